"""WFLW and 300W by protocol, on small data sets in the official formats and known errors."""

import cv2
import numpy as np
import pytest

from atpn_mobile.geometry import landmarks_to_crop, roi_from_landmarks
from atpn_mobile.landmarks import TO_68
from training.data.sample import DatasetError
from training.protocols.predictor import Prediction
from training.protocols.published import WFLW_SUBSETS
from training.protocols.w300 import evaluate_300w
from training.protocols.wflw import evaluate_wflw

LISTS = "WFLW_annotations/list_98pt_rect_attr_train_test"


class Scripted:
    """Gives the landmarks it was told, in order; checks the size of the crops."""

    name = "scripted"
    input_size = 24
    has_pose = False
    has_presence = False

    def __init__(self, landmarks):
        self._landmarks = list(landmarks)
        self._next = 0

    def predict(self, images):
        assert all(image.shape == (24, 24, 3) for image in images)
        start, self._next = self._next, self._next + len(images)
        return Prediction(np.stack(self._landmarks[start : self._next]), None, None)


def value(result, subset, measure):
    (row,) = [row for row in result.rows if (row.subset, row.measure) == (subset, measure)]
    return row.value


def count(result, subset):
    return {row.count for row in result.rows if row.subset == subset}


# ---- WFLW --------------------------------------------------------------------------------------


def wflw_points(index):
    points = np.random.default_rng(index).uniform(0, 60, (98, 2)).round(4).astype(np.float32)
    points[60], points[72] = (10.0, 30.0), (50.0, 30.0)  # 40 pixels apart
    return points


def write_wflw(root, attributes):
    (root / LISTS).mkdir(parents=True)
    lines = [
        " ".join(map(str, wflw_points(i).reshape(-1).tolist())) + f" 1 2 3 4 {flags} a.jpg"
        for i, flags in enumerate(attributes)
    ]
    (root / LISTS / "list_98pt_rect_attr_test.txt").write_text("\n".join(lines) + "\n")
    (root / "WFLW_images").mkdir()
    cv2.imwrite(str(root / "WFLW_images/a.jpg"), np.full((64, 64, 3), 90, np.uint8))
    return root


def shifted_wflw(pixels):
    """A predictor that is off to the right by so many pixels, face by face."""
    landmarks = []
    for index, shift in enumerate(pixels):
        true = wflw_points(index)
        off = true + np.array([shift, 0.0], np.float32)
        landmarks.append(landmarks_to_crop(off, roi_from_landmarks(true)))
    return Scripted(landmarks)


def test_wflw_errors_of_all_subsets(tmp_path):
    attributes = [
        "1 0 0 0 0 0",
        "0 1 0 0 0 0",
        "0 0 1 1 0 0",
        "1 0 0 0 1 1",
    ]
    root = write_wflw(tmp_path, attributes)

    result = evaluate_wflw(shifted_wflw([0.4, 0.8, 2.0, 6.0]), root)  # 1, 2, 5 and 15 %

    assert value(result, "test", "NME") == pytest.approx(23 / 4, rel=1e-3)
    assert value(result, "test", "FR 10 %") == 25.0
    assert value(result, "test", "AUC 10 %") == pytest.approx((0.9 + 0.8 + 0.5) / 4, rel=1e-3)
    assert value(result, "pose", "NME") == pytest.approx(8.0, rel=1e-3)
    assert value(result, "pose", "FR 10 %") == 50.0
    assert value(result, "expression", "NME") == pytest.approx(2.0, rel=1e-3)
    assert value(result, "illumination", "NME") == pytest.approx(5.0, rel=1e-3)
    assert value(result, "make-up", "NME") == pytest.approx(5.0, rel=1e-3)
    assert value(result, "occlusion", "NME") == pytest.approx(15.0, rel=1e-3)
    assert value(result, "blur", "NME") == pytest.approx(15.0, rel=1e-3)
    assert count(result, "pose") == {2}
    (curves,) = result.curves
    assert list(curves.errors) == list(WFLW_SUBSETS)


def test_wflw_subset_without_a_face(tmp_path):
    result = evaluate_wflw(shifted_wflw([1.0]), write_wflw(tmp_path, ["1 0 0 0 0 0"]))
    assert value(result, "blur", "NME") is None
    assert value(result, "pose", "NME") == pytest.approx(2.5, rel=1e-3)


def test_more_faces_than_a_batch_stay_in_order(tmp_path):
    shifts = np.linspace(0.0, 3.9, 150)
    root = write_wflw(tmp_path, ["0 0 0 0 0 0"] * 149 + ["0 0 0 0 0 1"])
    result = evaluate_wflw(shifted_wflw(shifts), root)
    assert value(result, "blur", "NME") == pytest.approx(3.9 / 0.4, rel=1e-3)
    assert value(result, "test", "NME") == pytest.approx(shifts.mean() / 0.4, rel=1e-3)


@pytest.mark.parametrize("lines", [[], None])
def test_wflw_without_faces(tmp_path, lines):
    if lines is not None:
        write_wflw(tmp_path, lines)
    with pytest.raises(DatasetError, match="WFLW"):
        evaluate_wflw(shifted_wflw([]), tmp_path)


# ---- 300W --------------------------------------------------------------------------------------

FOLDERS = {  # faces in each
    "lfpw/testset": 1,
    "helen/testset": 1,
    "ibug": 2,
    "afw": 1,
}
# pixels that each face is off, in the order the faces are read in
SHIFTS = {"lfpw/testset": 0.5, "helen/testset": 1.0, "ibug": 4.5, "afw": 2.0}


def points_300w(name):
    points = np.random.default_rng(len(name)).uniform(5, 60, (68, 2))
    points[36:42], points[42:48] = (25.0, 30.0), (45.0, 30.0)  # pupils 20 pixels apart
    points[36], points[39] = (10.0, 30.0), (40.0, 30.0)  # outer corners 50 apart, means unchanged
    points[45], points[42] = (60.0, 30.0), (30.0, 30.0)
    return points.round(3)


def write_300w(root, folders):
    for folder, number in folders.items():
        (root / folder).mkdir(parents=True)
        for index in range(number):
            path = root / folder / f"face{index}.png"
            cv2.imwrite(str(path), np.full((64, 64, 3), 50, np.uint8))
            lines = "".join(f"{x + 1:.3f} {y + 1:.3f}\n" for x, y in points_300w(folder))
            path.with_suffix(".pts").write_text(f"version: 1\nn_points: 68\n{{\n{lines}}}\n")
    return root


def shifted_300w(folders):
    landmarks = []
    for folder, number in folders.items():
        true = points_300w(folder).astype(np.float32)
        off = true + np.array([0.0, SHIFTS[folder]], np.float32)
        points = np.zeros((98, 2), np.float32)
        points[TO_68] = landmarks_to_crop(off, roi_from_landmarks(true))
        landmarks += [points] * number
    return Scripted(landmarks)


def test_300w_parts_and_both_norms(tmp_path):
    result = evaluate_300w(shifted_300w(FOLDERS), write_300w(tmp_path, FOLDERS))

    inter_ocular = {
        subset: value(result, subset, "NME inter-ocular") for subset in _subsets(result)
    }
    expected = {
        "common": 1.5,  # 1 and 2 %
        "challenging": 9.0,
        "full": (1 + 2 + 9 + 9) / 4,
        "HELEN test": 2.0,
        "AFW": 4.0,
    }
    assert inter_ocular == pytest.approx(expected, rel=1e-3)
    assert value(result, "common", "NME inter-pupil") == pytest.approx(1.5 * 2.5, rel=1e-3)
    assert value(result, "common", "NME inner 51") == pytest.approx(1.5, rel=1e-3)
    assert count(result, "full") == {4}


def test_300w_without_afw_says_so(tmp_path):
    folders = {name: number for name, number in FOLDERS.items() if name != "afw"}
    result = evaluate_300w(shifted_300w(folders), write_300w(tmp_path, folders))
    (row,) = [row for row in result.rows if row.subset == "AFW"]
    assert row.value is None
    assert "afw" in row.reason
    assert value(result, "full", "FR 10 %") == 0.0


def test_300w_without_a_test_folder_is_refused(tmp_path):
    folders = {name: number for name, number in FOLDERS.items() if name != "ibug"}
    with pytest.raises(DatasetError, match="ibug"):
        evaluate_300w(shifted_300w(folders), write_300w(tmp_path, folders))


def _subsets(result):
    return list(dict.fromkeys(row.subset for row in result.rows))
