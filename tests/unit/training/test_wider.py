"""WIDER FACE, on lists in its official format."""

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from training.data.sample import DatasetError
from training.data.wider import read_wider, read_wider_difficulty, read_wider_pictures

TRAIN = """\
0--Parade/0_Parade_marchingband_1_849.jpg
1
449 330 122 149 0 0 0 0 0 0
0--Parade/0_Parade_Parade_0_904.jpg
4
361 98 263 339 0 0 0 0 0 0
78 221 7 8 2 0 0 1 0 0
10 20 0 9 2 0 0 0 2 0
5 6 7 8 1 1 1 0 2 1
0--Parade/0_Parade_Parade_0_452.jpg
0
0 0 0 0 0 0 0 0 0 0
1--Handshaking/1_Handshaking_Handshaking_1_35.jpg
1
1 2 3 4 0 0 0 0 0 0
"""
VAL = """\
2--Demonstration/2_Demonstration_1.jpg
1
9 8 7 6 0 0 0 0 0 0
"""


def write_wider(root, train=TRAIN, val=VAL):
    (root / "wider_face_split").mkdir()
    for split, text in (("train", train), ("val", val)):
        (root / f"wider_face_split/wider_face_{split}_bbx_gt.txt").write_text(text)
        for line in text.splitlines():
            if line.endswith(".jpg"):
                picture = root / f"WIDER_{split}/images" / line
                picture.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(picture), np.full((20, 30, 3), 50, np.uint8))
    return root


def test_boxes(tmp_path):
    samples = read_wider(write_wider(tmp_path), "train")

    assert [sample.name for sample in samples] == [
        "train/0--Parade/0_Parade_marchingband_1_849",
        "train/0--Parade/0_Parade_Parade_0_904",
        "train/0--Parade/0_Parade_Parade_0_452",
        "train/1--Handshaking/1_Handshaking_Handshaking_1_35",
    ]
    assert samples[0].boxes_xyxy.tolist() == [[449, 330, 571, 479]]
    # The second box is marked invalid, the third has no width.
    assert samples[1].boxes_xyxy.tolist() == [[361, 98, 624, 437], [5, 6, 12, 14]]
    assert samples[2].boxes_xyxy.shape == (0, 4)  # no face: known to have none
    assert samples[3].boxes_xyxy.tolist() == [[1, 2, 4, 6]]
    assert all(sample.boxes_xyxy.dtype == np.float32 for sample in samples)
    assert samples[0].image.read().shape == (20, 30, 3)


def test_splits(tmp_path):
    root = write_wider(tmp_path)
    assert [sample.split for sample in read_wider(root)] == ["train"] * 4 + ["val"]
    (sample,) = read_wider(root, "val")
    assert sample.boxes_xyxy.tolist() == [[9, 8, 16, 14]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # one face more than announced: its line is taken for a path
        ("\n4\n", "\n3\n", r"train_bbx_gt\.txt, line 9: expected the path of a picture, got '5 6"),
        # one fewer: the next path is taken for a face
        ("\n4\n", "\n5\n", r"line 10: expected 10 whole numbers .* got '0--Parade"),
        ("78 221 7 8 2 0 0 1 0 0", "78 221 7 8 2", r"line 7: expected 10 whole numbers .*got '78"),
        ("78 221 7 8 2 0 0 1 0 0", "78 221 7 x 2 0 0 1 0 0", r"line 7: expected 10 whole numbers"),
        ("\n4\n", "\nfour\n", r"line 5: expected the number of faces, got 'four'"),
        ("\n0 0 0 0 0 0 0 0 0 0", "\n0 0 5 0 0 0 0 0 0 0", r"line 12: expected a line of zeros"),
        ("\n0 0 0 0 0 0 0 0 0 0", "", r"line 12: expected 10 whole numbers .* got '1--Hand"),
        ("1 2 3 4 0 0 0 0 0 0\n", "", r"expected face 1 of 1 of 1--Hand.* the end of the file"),
        ("\n1\n1 2 3 4 0 0 0 0 0 0\n", "", r"expected the number of faces of 1--Handshaking"),
    ],
)
def test_malformed_list_names_file_and_line(tmp_path, old, new, message):
    assert old in TRAIN
    head, _, tail = TRAIN.rpartition(old)
    with pytest.raises(DatasetError, match=message):
        read_wider(write_wider(tmp_path, head + new + tail), "train")


def test_missing_picture(tmp_path):
    root = write_wider(tmp_path)
    (root / "WIDER_train/images/0--Parade/0_Parade_Parade_0_904.jpg").unlink()
    with pytest.raises(DatasetError, match=r"line 4: expected a picture at .*_904\.jpg"):
        read_wider(root)


def test_missing_list(tmp_path):
    with pytest.raises(DatasetError, match=r"wider_face_val_bbx_gt\.txt, found no file"):
        read_wider(tmp_path, "val")


def test_unknown_split(tmp_path):
    with pytest.raises(DatasetError, match="got 'test'"):
        read_wider(tmp_path, "test")


def test_pictures_with_events_and_ignored_boxes(tmp_path):
    root = write_wider(tmp_path)

    pictures = read_wider_pictures(root, "train")

    assert [picture.event for picture in pictures] == ["0--Parade"] * 3 + ["1--Handshaking"]
    assert pictures[1].ignored_xyxy.tolist() == [[78, 221, 85, 229]]  # invalid; no width: no box
    assert pictures[0].ignored_xyxy.shape == (0, 4)
    samples = read_wider(root, "train")
    assert [picture.sample.name for picture in pictures] == [sample.name for sample in samples]


def cells(items):
    array = np.empty((len(items), 1), dtype=object)
    for index, item in enumerate(items):
        array[index, 0] = item
    return array


def difficulty_lists():
    """Two events of two and one pictures, as in the official files."""
    boxes = [
        np.array([[1, 2, 3, 4], [10, 20, 30, 40]], float),
        np.array([[5, 5, 5, 5]], float),
        np.array([[9, 8, 7, 6]], float),
    ]
    chosen = [
        np.array([[2]], np.uint8),
        np.empty((0, 0), np.uint8),  # no face of the picture is as easy
        np.array([[1]], np.uint16),
    ]
    return {
        "event_list": cells(["0--Parade", "1--Handshaking"]),
        "file_list": cells([cells(["a", "b"]), cells(["c"])]),
        "face_bbx_list": cells([cells(boxes[:2]), cells(boxes[2:])]),
        "gt_list": cells([cells(chosen[:2]), cells(chosen[2:])]),
    }


@pytest.mark.parametrize(
    "folder", ["eval_tools/ground_truth", "ground_truth", "wider_face_split", "."]
)
def test_difficulty(tmp_path, folder):
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    savemat(tmp_path / folder / "wider_medium_val.mat", difficulty_lists())

    faces = read_wider_difficulty(tmp_path, "medium")

    assert {name: boxes.tolist() for name, boxes in faces.items()} == {
        "val/0--Parade/a": [[10, 20, 40, 60]],
        "val/0--Parade/b": [],
        "val/1--Handshaking/c": [[9, 8, 16, 14]],
    }
    assert all(boxes.dtype == np.float32 for boxes in faces.values())
    assert faces["val/0--Parade/b"].shape == (0, 4)


@pytest.mark.parametrize(
    "changes",
    [
        {"gt_list": None},
        {"gt_list": cells([cells([np.array([[3]])]), cells([np.array([[1]])])])},
        {"face_bbx_list": cells([np.zeros((2, 4))])},
    ],
)
def test_malformed_difficulty(tmp_path, changes):
    lists = {
        key: value for key, value in (difficulty_lists() | changes).items() if value is not None
    }
    savemat(tmp_path / "wider_easy_val.mat", lists)
    with pytest.raises(DatasetError, match=r"wider_easy_val\.mat"):
        read_wider_difficulty(tmp_path, "easy")


def test_difficulty_that_is_no_mat(tmp_path):
    (tmp_path / "wider_easy_val.mat").write_bytes(b"something else" * 100)
    with pytest.raises(DatasetError, match=r"wider_easy_val\.mat"):
        read_wider_difficulty(tmp_path, "easy")


def test_missing_and_unknown_difficulty(tmp_path):
    with pytest.raises(DatasetError, match=r"hard faces at .*wider_hard_val\.mat, not there"):
        read_wider_difficulty(tmp_path, "hard")
    with pytest.raises(DatasetError, match="got 'brutal'"):
        read_wider_difficulty(tmp_path, "brutal")
