"""The pictures that conversions are compared on, and how they are made."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from atpn_mobile.geometry import box_from_landmarks
from converters.make_parity_crops import (
    PAINT,
    SYNTHETIC_FACES,
    cut_face,
    encode,
    is_in_view,
    paint_over_background,
    save_pack,
    spread,
)
from converters.parity import CROPS, FRAMES
from training.data.packs import read_pack
from training.data.sample import DatasetError

SQUARE = np.array([[20, 20], [60, 20], [60, 60], [20, 60]], np.float32)
IDENTITY = np.eye(3, dtype=np.float32)


def test_spreads_evenly_from_the_first_to_the_last() -> None:
    assert spread(101, 5) == [0, 25, 50, 75, 100]
    assert spread(3, 3) == [0, 1, 2]
    with pytest.raises(DatasetError, match="at least 3 pictures, got 2"):
        spread(2, 3)


@pytest.mark.parametrize(
    ("x", "seen"), [(0.0, True), (99.0, True), (-0.1, False), (99.1, False), (np.nan, False)]
)
def test_in_view_means_every_landmark(x: float, seen: bool) -> None:
    points = SQUARE.copy()
    points[0, 0] = x
    assert is_in_view(points, np.zeros((80, 100, 3), np.uint8)) == seen


def test_paints_over_everything_outside_the_face() -> None:
    image = np.full((80, 80, 3), 7, np.uint8)
    painted = paint_over_background(image, SQUARE)
    outside = np.ones((80, 80), bool)
    outside[20:61, 20:61] = False
    assert (painted[outside] == PAINT).all()
    assert (painted[25:56, 25:56] == 7).all()
    assert (image == 7).all()


def test_a_face_fills_two_thirds_of_its_crop() -> None:
    crop = cut_face("name", np.zeros((80, 80, 3), np.uint8), SQUARE, IDENTITY)
    left, top, right, bottom = box_from_landmarks(crop.points98)
    assert crop.image.shape == (112, 112, 3)
    assert right - left == pytest.approx(112 / 1.5, rel=1e-5)
    assert (left + right) / 2 == pytest.approx(55.5)
    assert (top + bottom) / 2 == pytest.approx(55.5)


def test_packs_are_read_back(tmp_path: Path) -> None:
    images = [np.full((16, 24, 3), value, np.uint8) for value in (10, 200)]
    save_pack(tmp_path / "pack.npz", {**encode(images), "name": np.array(["dark", "light"])})
    samples = read_pack(tmp_path / "pack.npz")
    assert [sample.name for sample in samples] == ["dark", "light"]
    for sample, image in zip(samples, images, strict=True):
        np.testing.assert_allclose(sample.image.read(), image, atol=2)
    assert [path.name for path in tmp_path.iterdir()] == ["pack.npz"]


def test_the_pack_has_faces_with_labels_in_view() -> None:
    samples = read_pack(CROPS)
    assert len(samples) == 64
    for sample in samples:
        assert sample.points98 is not None
        assert sample.rotation is not None
        assert is_in_view(sample.points98, sample.image.read())
        np.testing.assert_allclose(sample.rotation @ sample.rotation.T, np.eye(3), atol=1e-4)


def test_no_photograph_is_passed_on() -> None:
    # Of the pack whose backgrounds are photographs, what lies outside the face is painted, or
    # black where the crop leaves the picture. The edges between the two are all that is neither.
    for sample in read_pack(CROPS)[:SYNTHETIC_FACES]:
        hull = cv2.convexHull(np.rint(sample.points98).astype(np.int32))
        near = cv2.fillConvexPoly(np.zeros((112, 112), np.uint8), hull, 1)
        far = cv2.dilate(near, np.ones((9, 9), np.uint8)) == 0
        outside = sample.image.read()[far].astype(int)
        plain = (np.abs(outside - PAINT) <= 8).all(axis=1) | (outside <= 8).all(axis=1)
        assert plain.mean() > 0.9, sample.name


def test_frames_are_whole_pictures() -> None:
    samples = read_pack(FRAMES)
    assert len(samples) == 16
    assert {sample.image.read().shape for sample in samples} == {(240, 320, 3)}
