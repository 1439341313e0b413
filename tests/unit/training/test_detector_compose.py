"""Composed frames: what is in them, and that labels lie where the faces are."""

import dataclasses
import math
from types import MappingProxyType

import cv2
import numpy as np
import pytest

from training.detection.compose import ComposeConfig, FrameComposer
from training.detection.patches import (
    Patch,
    crop_around_face,
    ellipse_mask,
    hand_mask,
    hull_mask,
    mirror,
    paste,
    patch_extent,
    placement,
    points_box,
    rectangle_mask,
    scrambled_face,
    shrink,
    skin_piece,
    texture_piece,
    transform_points,
    trim,
)
from training.detection.pictures import Picture, PictureLibrary

GREEN = (0, 255, 0)


def face_points(center, size):
    """98 points in the places of the scheme: a contour below, the rest inside."""
    rng = np.random.default_rng(0)
    angle = np.linspace(math.pi, 0.0, 33)
    contour = np.stack([np.cos(angle) * 0.5, np.sin(angle) * 0.75 - 0.25], axis=1)
    inside = rng.uniform(-0.25, 0.25, (65, 2))
    return (np.concatenate([contour, inside]) * size + center).astype(np.float32)


def face_picture(size=60, side=120, alone=True):
    """A green disc, the only green in these tests, with landmarks that span it."""
    image = np.full((side, side, 3), (90, 60, 160), np.uint8)
    center = np.array([side / 2, side / 2])
    points = face_points(center, size)
    middle, extent = points_box(points)
    cv2.circle(image, tuple(round(float(v)) for v in middle), round(extent / 2), GREEN, -1)
    return Picture(image, points, alone)


def plain(color, side=64):
    return Picture(np.full((side, side, 3), color, np.uint8), np.zeros((0, 2), np.float32))


def library(alone=True):
    face = face_picture(alone=alone)
    packs = {"faces_ytf": (face,), "faces_web": (face,)}
    return PictureLibrary(MappingProxyType(packs), (plain((40, 40, 40)),), (plain((120, 80, 60)),))


UNTOUCHED = ComposeConfig(
    channels=0.0, grey=0.0, low_resolution=0.0, blur=0.0, noise=0.0, jpeg=0.0, occlusion=0.0
)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


# --- frames ------------------------------------------------------------------------------------


def test_a_frame_depends_on_seed_and_index_alone():
    first, second = FrameComposer(library(), seed=1), FrameComposer(library(), seed=1)
    first.compose(3)  # no state is kept
    for index in (7, 8):
        a, b = first.compose(index), second.compose(index)
        for one, other in zip(a, b, strict=True):
            np.testing.assert_array_equal(one, other)
    other_seed = FrameComposer(library(), seed=2).compose(7)
    assert (other_seed.image != first.compose(7).image).any()
    assert (first.compose(7).image != first.compose(8).image).any()


def test_types_and_shapes():
    frame = FrameComposer(library()).compose(0)

    assert frame.image.shape == (256, 256, 3)
    assert frame.image.dtype == np.uint8
    for boxes in (frame.faces_xyxy, frame.ignored_xyxy):
        assert boxes.dtype == np.float32
        assert boxes.shape[1:] == (4,)


def test_sources_are_not_changed():
    pictures = library()
    before = pictures.faces["faces_ytf"][0].image.copy()
    composer = FrameComposer(pictures)
    for index in range(20):
        composer.compose(index)

    np.testing.assert_array_equal(pictures.faces["faces_ytf"][0].image, before)


def test_boxes_lie_on_the_faces():
    # the middle of a labelled face is green unless a later patch lies on it, which is rare
    composer = FrameComposer(library(), dataclasses.replace(UNTOUCHED, body=0.0))
    on_face, total = 0, 0
    for index in range(60):
        frame = composer.compose(index)
        for box in frame.faces_xyxy:
            x, y = ((box[:2] + box[2:]) / 2.0 * 256.0).astype(int)
            if 0 <= x < 256 and 0 <= y < 256:
                red, green, blue = (int(v) for v in frame.image[y, x])
                on_face += green > red + 20 and green > blue + 20
                total += 1

    assert total > 60
    assert on_face / total > 0.85


def test_faces_have_the_sizes_asked_for():
    composer = FrameComposer(library())
    frames = [composer.compose(index) for index in range(150)]
    sides = np.concatenate(
        [256.0 * (f.faces_xyxy[:, 2:] - f.faces_xyxy[:, :2]).max(axis=1) for f in frames]
    )

    assert sides.min() > 0.8 * composer.config.min_face_px  # a turned box may be a little smaller
    assert (sides < 32.0).mean() > 0.25
    assert (sides > 80.0).mean() > 0.05


def test_some_frames_are_empty_and_some_crowded():
    composer = FrameComposer(library())
    counts = [len(composer.compose(index).faces_xyxy) for index in range(150)]

    assert 0 < counts.count(0) < 60
    assert max(counts) >= 4


def test_frames_without_faces_are_without_labels():
    composer = FrameComposer(library(), dataclasses.replace(UNTOUCHED, empty=1.0, scene=0.0))
    for index in range(30):
        frame = composer.compose(index)
        assert len(frame.faces_xyxy) == 0
        assert len(frame.ignored_xyxy) == 0


def test_bars_stay_black():
    composer = FrameComposer(library(), dataclasses.replace(ComposeConfig(), noise=1.0))
    barred = 0
    for index in range(30):
        image = composer.compose(index).image
        if not image[0].any() or not image[:, 0].any():
            barred += 1
            lines = image.any(axis=(1, 2)) if not image[0].any() else image.any(axis=(0, 2))
            first, last = np.flatnonzero(lines)[[0, -1]]
            assert abs(first - (255 - last)) <= 1  # centred

    assert barred > 10


def test_what_may_hold_unlabelled_faces_is_ignored():
    config = dataclasses.replace(UNTOUCHED, scene=1.0)
    labelled = [FrameComposer(library(alone=True), config).compose(i) for i in range(12)]
    doubtful = [FrameComposer(library(alone=False), config).compose(i) for i in range(12)]

    assert sum(len(frame.ignored_xyxy) for frame in labelled) < 6
    assert sum(len(frame.ignored_xyxy) for frame in doubtful) >= 30


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scene", 1.0),
        ("stretched", 1.0),
        ("empty", 0.9),
        ("min_face_px", 40.0),
        ("max_face_px", 60.0),
        ("small_below_px", 20.0),
        ("small_share", 0.0),
        ("max_faces", 1),
        ("max_distractors", 0),
        ("rotation_deg", 0.0),
        ("large_rotation", 1.0),
        ("body", 1.0),
        ("occlusion", 1.0),
        ("channels", 0.0),
        ("grey", 1.0),
        ("low_resolution", 1.0),
        ("blur", 1.0),
        ("noise", 1.0),
        ("jpeg", 1.0),
    ],
)
def test_every_option_changes_something(name, value):
    config = dataclasses.replace(ComposeConfig(), **{name: value})
    usual, changed = FrameComposer(library()), FrameComposer(library(), config)

    assert any(
        (usual.compose(index).image != changed.compose(index).image).any() for index in range(24)
    )


def test_the_size_of_the_input_is_an_option():
    frame = FrameComposer(library(), ComposeConfig(input_size=128)).compose(0)

    assert frame.image.shape == (128, 128, 3)


# --- patches -----------------------------------------------------------------------------------


def test_shrinking_keeps_points_on_their_pixels():
    picture = face_picture()
    small = shrink(picture, 0.5)

    assert small.image.shape == (60, 60, 3)
    # (p + 0.5) scales: the outer edges are what two pictures of one scene share
    np.testing.assert_allclose(small.points, (picture.points + 0.5) * 0.5 - 0.5, atol=1e-4)
    assert shrink(picture, 1.5) is picture


def test_mirror_twice_is_nothing():
    picture = face_picture()
    twice = mirror(mirror(picture))

    np.testing.assert_array_equal(twice.image, picture.image)
    np.testing.assert_allclose(twice.points, picture.points, atol=1e-4)


def test_crop_stays_inside_and_moves_points_along():
    picture = face_picture()
    crop = crop_around_face(picture, 0.6, 9.0, 0.6, 9.0)
    offset = picture.points - crop.points

    assert crop.image.shape[0] == picture.image.shape[0]  # 9 face sizes are more than there is
    assert crop.image.shape[1] < picture.image.shape[1]
    assert np.ptp(offset, axis=0).max() == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("cut", ["rectangle", "ellipse", "hull"])
def test_masks_show_the_face(cut, rng):
    picture = face_picture()
    center, size = points_box(picture.points)
    mask = {
        "rectangle": lambda: rectangle_mask(picture.image, rng),
        "ellipse": lambda: ellipse_mask(picture.image, center, size, rng),
        "hull": lambda: hull_mask(picture.image, picture.points, rng),
    }[cut]()

    assert mask.shape == picture.image.shape[:2]
    assert mask[round(center[1]), round(center[0])] == 255
    trimmed, small = trim(picture, mask)
    assert (small > 0).sum() == (mask > 0).sum()
    assert trimmed.image.shape[:2] == small.shape


def test_pieces_have_the_size_asked_for(rng):
    picture = face_picture()
    for size in (9, 40):
        assert skin_piece(picture, size, rng).shape == (size, size, 3)
        assert scrambled_face(picture, size, rng).shape == (size, size, 3)
        assert texture_piece(size, rng).shape == (size, size, 3)
        assert hand_mask(size, rng).shape == (size, size)
        assert hand_mask(size, rng).max() > 128


def test_a_scrambled_face_has_the_colours_but_not_the_places(rng):
    picture = Picture(rng.integers(0, 256, (120, 120, 3)).astype(np.uint8), face_picture().points)
    whole = cv2.resize(
        crop_around_face(picture, 0.55, 0.6, 0.55, 0.55).image,
        (36, 36),
        interpolation=cv2.INTER_AREA,
    )
    mixed = scrambled_face(picture, 36, rng)

    assert abs(float(mixed.mean()) - float(whole.mean())) < 5.0
    assert np.abs(mixed.astype(int) - whole).mean() > 10.0


def test_placement_puts_the_anchor_on_the_target():
    matrix = placement(np.array([4.0, 7.0], np.float32), (50.0, 60.0), 2.0, 0.3)
    moved = transform_points(np.array([[4.0, 7.0], [5.0, 7.0]], np.float32), matrix)

    np.testing.assert_allclose(moved[0], (50.0, 60.0), atol=1e-4)
    # one pixel to the right becomes two, turned clockwise: down in the image
    np.testing.assert_allclose(
        moved[1] - moved[0], (2 * math.cos(0.3), 2 * math.sin(0.3)), atol=1e-4
    )


def test_paste_covers_its_extent_and_nothing_else():
    frame = np.zeros((40, 50, 3), np.uint8)
    patch = Patch(np.full((10, 10, 3), 200, np.uint8), np.full((10, 10), 255, np.uint8))
    matrix = placement(np.zeros(2, np.float32), (20.0, 15.0), 1.0, 0.0)
    paste(frame, patch, matrix)

    np.testing.assert_allclose(patch_extent(patch, matrix), (20, 15, 29, 24))
    assert (frame[15:25, 20:30] >= 199).all()
    frame[15:25, 20:30] = 0
    assert not frame.any()


def test_paste_outside_changes_nothing():
    frame = np.zeros((40, 50, 3), np.uint8)
    patch = Patch(np.full((10, 10, 3), 200, np.uint8), np.full((10, 10), 255, np.uint8))
    paste(frame, patch, placement(np.zeros(2, np.float32), (90.0, 15.0), 1.0, 0.0))

    assert not frame.any()


def test_a_hidden_part_of_a_patch_leaves_the_frame_alone():
    frame = np.full((20, 20, 3), 7, np.uint8)
    patch = Patch(np.full((10, 10, 3), 200, np.uint8), np.zeros((10, 10), np.uint8))
    paste(frame, patch, placement(np.zeros(2, np.float32), (5.0, 5.0), 1.0, 0.0))

    assert (frame == 7).all()
