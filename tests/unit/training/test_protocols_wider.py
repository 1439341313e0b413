"""WIDER FACE by protocol: where the regions lie, and what the numbers count."""

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from atpn_mobile.geometry import box_iou, crop_frame, roi_from_box
from training.data.sample import DatasetError
from training.data.wider import read_wider_pictures
from training.metrics import average_precision
from training.protocols.predictor import Prediction
from training.protocols.results import NotRunError
from training.protocols.wider import MAX_IOU, NEGATIVES_PER_FACE, evaluate_wider, picture_regions

BOXES = np.array([[100, 80, 140, 130], [300, 200, 320, 224]], np.float32)
IGNORED = np.array([[200, 60, 240, 100]], np.float32)
SHAPE = (300, 400, 3)


def square(roi):
    half = roi.size / 2
    return roi.center_x - half, roi.center_y - half, roi.center_x + half, roi.center_y + half


def test_positives_are_the_boxes_extended():
    faces = [r for r in picture_regions(BOXES, IGNORED, SHAPE, 0) if r.is_face]
    assert [region.face for region in faces] == [0, 1]
    assert [region.roi.size for region in faces] == [75.0, 36.0]  # 1.5 x 50 and 1.5 x 24
    assert (faces[0].roi.center_x, faces[0].roi.center_y) == (120.0, 105.0)


@pytest.mark.parametrize("seed", range(5))
def test_negatives_overlap_no_face_and_nothing_that_may_be_one(seed):
    regions = picture_regions(BOXES, IGNORED, SHAPE, seed)
    taken = [square(roi_from_box(tuple(map(float, box)))) for box in (*BOXES, *IGNORED)]
    negatives = [region for region in regions if not region.is_face]
    for region in negatives:
        assert max(box_iou(square(region.roi), other) for other in taken) < MAX_IOU
    for face, side in ((0, 75.0), (1, 36.0)):
        own = [region.roi for region in negatives if region.face == face]
        assert len(own) == NEGATIVES_PER_FACE
        assert all(0.3 * side <= roi.size <= 2.2 * side for roi in own)
        reach = 1.2 * side / 1.5  # half of them near the face
        center = np.mean(BOXES[face].reshape(2, 2), axis=0)
        near = [
            max(abs(roi.center_x - center[0]), abs(roi.center_y - center[1])) <= reach
            for roi in own
        ]
        assert sum(near) >= NEGATIVES_PER_FACE // 2
        assert all(0 <= r.center_x < 400 and 0 <= r.center_y < 300 for r in own[1::2])


def test_the_same_picture_gives_the_same_regions():
    assert picture_regions(BOXES, IGNORED, SHAPE, 3) == picture_regions(BOXES, IGNORED, SHAPE, 3)
    assert picture_regions(BOXES, IGNORED, SHAPE, 3) != picture_regions(BOXES, IGNORED, SHAPE, 4)


def test_no_face_no_region():
    assert picture_regions(np.empty((0, 4), np.float32), IGNORED, SHAPE, 0) == []


VAL = """\
0--Parade/one.jpg
2
100 80 40 50 0 0 0 0 0 0
300 200 20 24 0 0 0 0 0 0
0--Parade/none.jpg
0
0 0 0 0 0 0 0 0 0 0
1--Handshaking/two.jpg
2
40 40 30 30 0 0 0 0 0 0
150 90 40 40 0 0 0 1 0 0
"""


def write_wider(root):
    (root / "wider_face_split").mkdir()
    (root / "wider_face_split/wider_face_val_bbx_gt.txt").write_text(VAL)
    rng = np.random.default_rng(0)
    for name in (line for line in VAL.splitlines() if line.endswith(".jpg")):
        path = root / "WIDER_val/images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        small = rng.integers(0, 256, (15, 20, 3)).astype(np.uint8)
        cv2.imwrite(str(path), cv2.resize(small, (400, 300)))
    return root


def cells(items):
    array = np.empty((len(items), 1), dtype=object)
    for index, item in enumerate(items):
        array[index, 0] = item
    return array


def write_difficulty(root, name, first, second):
    """Numbers from 1 of the chosen faces of the pictures "one" and "two"."""
    folder = root / "eval_tools/ground_truth"
    folder.mkdir(parents=True, exist_ok=True)
    boxes = (
        np.array([[100, 80, 40, 50], [300, 200, 20, 24]], float),
        np.array([[40, 40, 30, 30], [150, 90, 40, 40]], float),
    )
    chosen = (np.array(first, np.uint16).reshape(-1, 1), np.array(second, np.uint16).reshape(-1, 1))
    savemat(
        folder / f"wider_{name}_val.mat",
        {
            "event_list": cells(["0--Parade", "1--Handshaking"]),
            "file_list": cells([cells(["one"]), cells(["two"])]),
            "face_bbx_list": cells([cells([boxes[0]]), cells([boxes[1]])]),
            "gt_list": cells([cells([chosen[0]]), cells([chosen[1]])]),
        },
    )


class Mean:
    """Calls bright crops faces."""

    name = "mean"
    input_size = 16
    has_pose = False

    def __init__(self, *, has_presence=True):
        self.has_presence = has_presence

    def predict(self, images):
        presence = np.array([image.mean() / 255.0 for image in images], np.float32)
        return Prediction(np.zeros((len(images), 98, 2), np.float32), None, presence)


def direct_scores(root, faces):
    """Presence and label of every region of some faces, one crop after the other."""
    scores, labels = [], []
    for number, picture in enumerate(read_wider_pictures(root, "val")):
        frame = picture.sample.image.read()
        boxes = picture.sample.boxes_xyxy
        for region in picture_regions(boxes, picture.ignored_xyxy, frame.shape, number):
            if (number, region.face) in faces:
                crop = crop_frame(frame, region.roi, 16)
                scores.append(np.float32(crop.mean() / 255.0))
                labels.append(region.is_face)
    return np.array(scores), np.array(labels)


def rows_of(result, subset):
    return {row.measure: row for row in result.rows if row.subset == subset}


def test_numbers_of_all_faces_and_of_a_difficulty(tmp_path):
    root = write_wider(tmp_path)
    write_difficulty(root, "easy", [1], [])
    write_difficulty(root, "hard", [1, 2], [1])

    result = evaluate_wider(Mean(), root)

    for subset, faces in {
        "all": {(0, 0), (0, 1), (2, 0)},
        "easy": {(0, 0)},
        "hard": {(0, 0), (0, 1), (2, 0)},
    }.items():
        scores, labels = direct_scores(root, faces)
        rows = rows_of(result, subset)
        assert rows["AP"].count == len(faces)
        assert rows["AP"].value == pytest.approx(average_precision(scores, labels), rel=1e-6)
        assert rows["true accept at gate"].value == 100 * (scores[labels] >= np.float32(0.7)).mean()
        assert rows["false accept at gate"].count == (~labels).sum()
    missing = rows_of(result, "medium")["AP"]
    assert missing.value is None
    assert "wider_medium_val.mat" in missing.reason
    (curves,) = result.curves
    assert list(curves.curves) == ["all", "easy", "hard"]


def test_a_list_of_other_faces_is_not_measured(tmp_path):
    root = write_wider(tmp_path)
    write_difficulty(root, "easy", [], [2])  # a box that the list of val marks as invalid
    row = rows_of(evaluate_wider(Mean(), root), "easy")["AP"]
    assert row.value is None
    assert "none of its boxes" in row.reason


def test_needs_presence_and_faces(tmp_path):
    with pytest.raises(NotRunError, match="mean gives none"):
        evaluate_wider(Mean(has_presence=False), tmp_path)
    root = write_wider(tmp_path)
    (root / "wider_face_split/wider_face_val_bbx_gt.txt").write_text(
        "0--Parade/none.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n"
    )
    with pytest.raises(DatasetError, match="expected faces"):
        evaluate_wider(Mean(), root)
