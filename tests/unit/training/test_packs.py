"""The project's packs, and the pictures they hold."""

import cv2
import numpy as np
import pytest

from training.data.packs import read_pack
from training.data.sample import DatasetError, EncodedImage, ImageFile

COLORS = [(200, 30, 60), (20, 180, 90), (40, 50, 220)]  # RGB


def encode(color):
    image = np.full((8, 12, 3), color[::-1], dtype=np.uint8)
    return cv2.imencode(".png", image)[1].reshape(-1)


def pack_arrays():
    files = [encode(color) for color in COLORS]
    return {
        "jpeg": np.concatenate(files),
        "offset": np.cumsum([0, *map(len, files)]),
        "name": np.array(["a", "b", "c"]),
        "split": np.array(["train", "val", "train"]),
        "points98": np.arange(3 * 98 * 2, dtype=np.float64).reshape(3, 98, 2),
        "rotation": np.stack([np.eye(3) * sign for sign in (1, 1, 1)]),
        "person": np.array(["p", "q", "q"]),
    }


def write_pack(folder, **changes):
    arrays = {key: value for key, value in (pack_arrays() | changes).items() if value is not None}
    path = folder / "pack.npz"
    np.savez(path, **arrays)
    return path


def test_samples_are_what_was_packed(tmp_path):
    samples = read_pack(write_pack(tmp_path))

    assert [sample.name for sample in samples] == ["a", "b", "c"]
    assert [sample.split for sample in samples] == ["train", "val", "train"]
    assert [sample.subject for sample in samples] == ["p", "q", "q"]
    for sample, color in zip(samples, COLORS, strict=True):
        frame = sample.image.read()
        assert frame.shape == (8, 12, 3)
        assert frame.dtype == np.uint8
        assert (frame == color).all()
    np.testing.assert_array_equal(samples[1].points98, pack_arrays()["points98"][1])
    assert samples[1].points98.dtype == np.float32
    assert samples[1].rotation.dtype == np.float32
    assert samples[0].points68 is None
    assert samples[0].boxes_xyxy is None


@pytest.mark.parametrize(("split", "names"), [("train", ["a", "c"]), ("val", ["b"]), ("x", [])])
def test_split_selects(tmp_path, split, names):
    assert [sample.name for sample in read_pack(write_pack(tmp_path), split)] == names


def test_pack_without_splits_is_validation(tmp_path):
    samples = read_pack(write_pack(tmp_path, split=None))
    assert {sample.split for sample in samples} == {"val"}


def test_missing_file(tmp_path):
    with pytest.raises(DatasetError, match=r"found no file at .*nowhere\.npz"):
        read_pack(tmp_path / "nowhere.npz")


def test_file_that_is_no_pack(tmp_path):
    path = tmp_path / "pack.npz"
    path.write_bytes(b"not an archive")
    with pytest.raises(DatasetError, match=r"pack\.npz cannot be read"):
        read_pack(path)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_pack_that_was_cut(tmp_path, share):
    path = write_pack(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DatasetError, match=r"pack\.npz cannot be read"):
        read_pack(path)


def test_missing_array(tmp_path):
    with pytest.raises(DatasetError, match=r"missing \['offset'\]"):
        read_pack(write_pack(tmp_path, offset=None))


def test_undecodable_picture_fails_when_read():
    with pytest.raises(DatasetError, match="got 3 bytes that cannot be decoded"):
        EncodedImage(np.array([1, 2, 3], dtype=np.uint8)).read()


def test_image_file_is_rgb(tmp_path):
    path = tmp_path / "red.png"
    path.write_bytes(encode((250, 0, 10)).tobytes())
    assert (ImageFile(path).read() == (250, 0, 10)).all()


def test_image_file_that_is_missing(tmp_path):
    with pytest.raises(DatasetError, match=r"gone\.jpg"):
        ImageFile(tmp_path / "gone.jpg").read()
