"""300W, on .pts files in their official format."""

import cv2
import numpy as np
import pytest

from training.data.ibug import read_300w, read_pts
from training.data.sample import DatasetError

FACES = {  # folder: file names, as in the archives
    "lfpw/trainset": ["image_0001.png", "image_0002.png"],
    "lfpw/testset": ["image_0003.png"],
    "helen/trainset": ["100032540_1.jpg"],
    "helen/testset": ["296814969_3.jpg"],
    "afw": ["1051618982_1.jpg"],
    "ibug": ["image_003_1.jpg", "image_092 _01.jpg"],  # this blank is in the archive
}


def face_points(seed=0):
    return np.random.default_rng(seed).uniform(1, 40, (68, 2)).round(3)


def pts_text(points, header="version: 1\nn_points:  68\n{\n"):
    return header + "".join(f"{x:.3f} {y:.3f}\n" for x, y in points) + "}\n"


def write_300w(root, faces=FACES):
    for folder, names in faces.items():
        (root / folder).mkdir(parents=True)
        for name in names:
            path = root / folder / name
            cv2.imwrite(str(path), np.full((40, 30, 3), 90, np.uint8))
            path.with_suffix(".pts").write_text(pts_text(face_points(len(name))))
    return root


def test_matlab_coordinates_start_at_zero_afterwards(tmp_path):
    path = tmp_path / "a.pts"
    points = face_points()
    points[0] = (1.0, 1.0)  # Matlab's first pixel
    path.write_text(pts_text(points))

    read = read_pts(path)

    assert read.shape == (68, 2)
    assert read.dtype == np.float32
    assert read[0].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(read, points - 1.0, atol=1e-5)


@pytest.mark.parametrize(
    "header",
    [
        "version: 1\r\nn_points: 68 \r\n{\r\n",  # lines as Windows ends them
        "version: 1\n\nn_points: 68\n{\n",
    ],
)
def test_harmless_variants(tmp_path, header):
    path = tmp_path / "a.pts"
    path.write_text(pts_text(face_points(), header))
    np.testing.assert_allclose(read_pts(path), face_points() - 1.0, atol=1e-5)


@pytest.mark.parametrize(
    ("split", "names"),
    [
        (
            "train",
            [
                "lfpw/trainset/image_0001",
                "lfpw/trainset/image_0002",
                "helen/trainset/100032540_1",
                "afw/1051618982_1",
            ],
        ),
        ("common", ["lfpw/testset/image_0003", "helen/testset/296814969_3"]),
        ("challenging", ["ibug/image_003_1", "ibug/image_092 _01"]),
        ("afw", ["afw/1051618982_1"]),
    ],
)
def test_protocol(tmp_path, split, names):
    samples = read_300w(write_300w(tmp_path), split)

    assert [sample.name for sample in samples] == names
    assert {sample.split for sample in samples} == {"train" if split in ("train", "afw") else "val"}
    for sample in samples:
        assert sample.image.read().shape == (40, 30, 3)
        assert sample.points68.shape == (68, 2)
        assert sample.points98 is None


@pytest.mark.parametrize("split", ["full", "test", "val"])
def test_full_is_common_and_challenging(tmp_path, split):
    root = write_300w(tmp_path)
    parts = read_300w(root, "common") + read_300w(root, "challenging")
    assert [s.name for s in read_300w(root, split)] == [s.name for s in parts]


def test_everything(tmp_path):
    samples = read_300w(write_300w(tmp_path))
    assert [sample.split for sample in samples] == ["train"] * 4 + ["val"] * 4


def replace_line(text, number, line):
    lines = text.splitlines()
    lines[number - 1] = line
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:300], r"a\.pts: expected 72 lines for 68 points, got"),
        (lambda text: text.replace("}", "1 2\n}"), r"expected 72 lines for 68 points, got 73"),
        (lambda text: replace_line(text, 1, "version: 2"), r"line 1: expected 'version: 1', got"),
        (lambda text: replace_line(text, 2, "n_points: 49"), r"line 2: expected 'n_points: 68'"),
        (lambda text: replace_line(text, 3, "1.0 2.0"), r"line 3: expected '\{', got '1.0 2.0'"),
        (lambda text: replace_line(text, 72, "3.0 4.0"), r"line 72: expected '\}', got"),
        (lambda text: replace_line(text, 10, "12.5"), r"line 10: expected 'x y', got '12.5'"),
        (lambda text: replace_line(text, 10, "1 2 3"), r"line 10: expected 'x y', got '1 2 3'"),
        (lambda text: replace_line(text, 10, "1 a"), r"line 10: expected 'x y', got '1 a'"),
        (lambda text: replace_line(text, 10, "1 inf"), r"line 10: expected finite numbers"),
    ],
)
def test_malformed_file_names_file_and_line(tmp_path, change, message):
    path = tmp_path / "a.pts"
    path.write_text(change(pts_text(face_points())))
    with pytest.raises(DatasetError, match=message):
        read_pts(path)


def test_missing_pts(tmp_path):
    with pytest.raises(DatasetError, match=r"found no file at .*a\.pts"):
        read_pts(tmp_path / "a.pts")


def test_missing_picture(tmp_path):
    root = write_300w(tmp_path)
    (root / "afw/1051618982_1.jpg").unlink()
    with pytest.raises(DatasetError, match=r"beside .*1051618982_1\.pts"):
        read_300w(root, "train")


def test_missing_folder(tmp_path):
    root = write_300w(tmp_path, {key: names for key, names in FACES.items() if key != "afw"})
    with pytest.raises(DatasetError, match=r"\.pts files of 300W in .*afw"):
        read_300w(root, "train")
    assert len(read_300w(root, "full")) == 4  # which does not need it


def test_unknown_split(tmp_path):
    with pytest.raises(DatasetError, match=r"challenging.* got 'hard'"):
        read_300w(tmp_path, "hard")
