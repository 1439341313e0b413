"""WFLW, on lists and pictures in its official format."""

import cv2
import numpy as np
import pytest

from training.data.sample import DatasetError
from training.data.wflw import read_wflw

FOLDER = "WFLW_annotations/list_98pt_rect_attr_train_test"
PICTURE = "0--Parade/0_Parade_marchingband_1_116.jpg"


def face_points(seed):
    return np.random.default_rng(seed).uniform(0, 60, (98, 2)).round(6)


def face_line(seed, attributes="0 0 0 0 0 0", picture=PICTURE):
    coordinates = " ".join(f"{value:.6f}" for value in face_points(seed).reshape(-1))
    return f"{coordinates} 10 12 50 58 {attributes} {picture}"


def write_wflw(root, train=(), test=(), folder=FOLDER):
    (root / folder).mkdir(parents=True)
    for part, lines in (("train", train), ("test", test)):
        path = root / folder / f"list_98pt_rect_attr_{part}.txt"
        path.write_text("".join(f"{line}\n" for line in lines))
    picture = root / "WFLW_images" / PICTURE
    picture.parent.mkdir(parents=True)
    cv2.imwrite(str(picture), np.full((64, 48, 3), 127, np.uint8))
    return root


def test_reads_points_splits_and_pictures(tmp_path):
    root = write_wflw(tmp_path, train=[face_line(1), face_line(2)], test=[face_line(3)])

    samples = read_wflw(root)

    assert [sample.split for sample in samples] == ["train", "train", "val"]
    assert len({sample.name for sample in samples}) == 3  # though the picture is the same
    for sample, seed in zip(samples, (1, 2, 3), strict=True):
        assert sample.points98.shape == (98, 2)
        assert sample.points98.dtype == np.float32
        np.testing.assert_allclose(sample.points98, face_points(seed), atol=1e-5)
        assert sample.image.read().shape == (64, 48, 3)
    assert samples[0].points68 is None
    assert samples[0].boxes_xyxy is None  # the picture's other faces are not known


def test_lists_beside_the_pictures(tmp_path):
    root = write_wflw(
        tmp_path, train=[face_line(1)], test=[], folder="list_98pt_rect_attr_train_test"
    )
    assert len(read_wflw(root)) == 1


@pytest.mark.parametrize(
    ("split", "seeds"),
    [
        ("train", [9]),
        ("test", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("val", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("test_largepose", [0, 6]),
        ("test_expression", [1]),
        ("test_illumination", [2]),
        ("test_makeup", [3]),
        ("test_occlusion", [4]),
        ("test_blur", [5, 6]),
    ],
)
def test_splits_and_subsets(tmp_path, split, seeds):
    one_each = [" ".join("1" if i == k else "0" for i in range(6)) for k in range(6)]
    attributes = [*one_each, "1 0 0 0 0 1", "0 0 0 0 0 0"]
    root = write_wflw(
        tmp_path,
        train=[face_line(9, "1 1 1 1 1 1")],  # subsets are parts of the test list alone
        test=[face_line(seed, flags) for seed, flags in enumerate(attributes)],
    )

    samples = read_wflw(root, split)

    assert len(samples) == len(seeds)
    for sample, seed in zip(samples, seeds, strict=True):
        np.testing.assert_allclose(sample.points98, face_points(seed), atol=1e-5)


def truncated(line):
    return " ".join(line.split()[:150])


def with_field(line, index, value):
    fields = line.split()
    fields[index] = value
    return " ".join(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (truncated, r"test\.txt, line 2: expected 207 fields .* got 150"),
        (lambda line: line.rsplit(maxsplit=1)[0], r"line 2: expected 207 fields .* got 206"),
        (lambda line: with_field(line, 7, "1,5"), r"line 2: expected 200 numbers .*'1,5'"),
        (lambda line: with_field(line, 7, "nan"), r"line 2: expected finite coordinates"),
        (lambda line: with_field(line, 203, "2"), r"line 2: expected attributes of 0 or 1, got"),
        (
            lambda line: line.replace("_116.jpg", "_117.jpg"),
            r"line 2: expected a picture at .*_117\.jpg",
        ),
    ],
)
def test_malformed_line_names_file_and_line(tmp_path, change, message):
    root = write_wflw(tmp_path, test=[face_line(1), change(face_line(2))])
    with pytest.raises(DatasetError, match=message):
        read_wflw(root, "test")


def test_missing_list(tmp_path):
    with pytest.raises(DatasetError, match=r"found no file there"):
        read_wflw(tmp_path)


def test_unknown_split(tmp_path):
    with pytest.raises(DatasetError, match=r"test_largepose.* got 'test_pose'"):
        read_wflw(tmp_path, "test_pose")
