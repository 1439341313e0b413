from dataclasses import replace

import cv2
import numpy as np
import pytest

from atpn_mobile.geometry import euler_from_rotation, roi_from_landmarks, rotation_from_euler
from atpn_mobile.types import Roi
from training.augment import NO_AUGMENT, AugmentConfig
from training.data.crops import (
    CropConfig,
    CropDataset,
    FaceSource,
    LabelledFace,
    Placement,
    cut_face,
    label_weight,
    load_faces,
    outside_mask,
    place_landmarks,
)
from training.data.sample import DatasetError


def make_face(size=200, seed=0):
    """A picture with a white dot at each landmark; rotation known."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0.3 * size, 0.7 * size, (98, 2)).round().astype(np.float32)
    image = np.zeros((size, size, 3), np.uint8)
    for x, y in points.astype(int):
        image[y, x] = 255
    rotation = rotation_from_euler(0.3, 0.2, 0.1).astype(np.float32)
    return LabelledFace(image, points, np.ones(98, np.float32), rotation)


BACKGROUND = np.full((64, 64, 3), (10, 200, 30), np.uint8)


def dataset(config, length=50, seed=3, hard=()):
    return CropDataset(
        [FaceSource([make_face()], 1.0)], [BACKGROUND], hard, config, length=length, seed=seed
    )


@pytest.mark.parametrize("mirrored", [False, True])
def test_labels_move_with_the_picture(mirrored):
    face = make_face()
    roi = Roi(99.5, 97.5, 112.0)  # one picture pixel is one crop pixel
    crop = cut_face(face, roi, mirrored)
    pixels = np.rint(crop.landmarks * 112 - 0.5).astype(int)
    assert (crop.image[pixels[:, 1], pixels[:, 0], 0] > 100).mean() > 0.95


WARP = np.array([[1.1, 0.15], [0.0, 1 / 1.1]], np.float32)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("size", [112, 224])
def test_labels_move_with_a_warped_picture(mirrored, size):
    face = make_face(400)
    picture = cv2.GaussianBlur(face.image.astype(np.float32) * 9, (0, 0), 1.5)
    face = LabelledFace(
        picture.clip(0, 255).astype(np.uint8), face.points98, face.point_weight, None
    )
    roi = Roi(200.0, 203.0, 224.0, 0.2)
    crop = cut_face(face, roi, mirrored, size, WARP)
    assert crop.image.shape == (size, size, 3)
    pixels = np.rint(crop.landmarks * size - 0.5).astype(int)
    inside = ((pixels >= 0) & (pixels < size)).all(axis=1)
    assert inside.mean() > 0.9
    at_landmarks = crop.image[pixels[inside, 1], pixels[inside, 0], 0]
    assert at_landmarks.mean() > 3 * crop.image[..., 0].mean()
    plain = cut_face(face, roi, mirrored, size).landmarks
    assert np.abs(crop.landmarks - plain).max() > 0.02  # as a control: the warp moves them


def test_a_warped_head_has_no_rotation():
    face = make_face()
    roi = roi_from_landmarks(face.points98)
    assert cut_face(face, roi, False).has_rotation == 1
    assert cut_face(face, roi, False, warp=WARP).has_rotation == 0


def test_a_warp_widens_or_narrows_about_the_middle():
    points = np.tile(np.array([[50.0, 50.0], [60.0, 50.0]], np.float32), (49, 1))
    roi = Roi(50.0, 50.0, 100.0)
    wide = np.array([[2.0, 0.0], [0.0, 0.5]], np.float32)
    placed = place_landmarks(points, Placement(roi, False, wide))
    assert placed[0] == pytest.approx([0.5, 0.5])
    assert placed[1] == pytest.approx([0.55, 0.5])  # twice the width of the region is seen


def test_pixels_outside_a_warped_region_are_found():
    roi = Roi(50.0, 50.0, 60.0)
    wide = np.array([[2.0, 0.0], [0.0, 0.5]], np.float32)
    assert outside_mask((100, 100, 3), roi) is None
    mask = outside_mask((100, 100, 3), roi, 112, wide)
    assert mask[:, 0].all()
    assert not mask[:, 56].any()


def test_the_size_of_the_crops_changes_no_label():
    config = CropConfig(replace(AugmentConfig(), stretch=0.1, shear=0.1), negatives=0.3)
    small, large = (
        CropDataset(
            [FaceSource([make_face()], 1.0)], [BACKGROUND], [], config, length=9, seed=1, size=size
        )
        for size in (112, 224)
    )
    for index in range(9):
        one, two = small[index], large[index]
        assert two.image.shape == (224, 224, 3)
        for before, after in zip(one[1:], two[1:], strict=True):
            np.testing.assert_array_equal(before, after)


def test_a_turned_region_turns_the_head_the_other_way():
    face = make_face()
    truth = roi_from_landmarks(face.points98)
    turned = Roi(truth.center_x, truth.center_y, truth.size, 0.4)
    upright = euler_from_rotation(cut_face(face, truth, False).rotation)
    yaw, pitch, roll = euler_from_rotation(cut_face(face, turned, False).rotation)
    assert roll == pytest.approx(upright[2] - 0.4, abs=1e-5)
    assert (yaw, pitch) == pytest.approx(upright[:2], abs=1e-5)


def test_a_mirrored_crop_mirrors_the_head():
    face = make_face()
    truth = roi_from_landmarks(face.points98)
    yaw, pitch, roll = euler_from_rotation(cut_face(face, truth, True).rotation)
    assert (yaw, pitch, roll) == pytest.approx((-0.3, 0.2, -0.1), abs=1e-5)


def test_a_crop_depends_on_seed_and_number_alone():
    config = CropConfig(negatives=0.3)
    first, again, other = dataset(config), dataset(config, length=99), dataset(config, seed=4)
    for index in range(10):
        for one, two in zip(first[index], again[index], strict=True):
            np.testing.assert_array_equal(one, two)
    assert any((first[i].image != other[i].image).any() for i in range(10))


def test_without_augmentation_a_face_is_cut_at_its_own_region():
    crop = dataset(CropConfig(NO_AUGMENT))[0]
    face = make_face()
    np.testing.assert_array_equal(
        crop.image, cut_face(face, roi_from_landmarks(face.points98), False).image
    )


def test_share_of_negatives():
    crops = dataset(CropConfig(negatives=0.4), length=400)
    faces = np.array([crops[i].is_face for i in range(400)])
    assert 0.52 < faces.mean() < 0.68


def test_negatives_have_no_labels():
    crops = dataset(CropConfig(negatives=1.0), hard=[BACKGROUND])
    for index in range(30):
        crop = crops[index]
        assert crop.image.shape == (112, 112, 3)
        assert crop.is_face == 0
        assert crop.point_weight.sum() == 0
        assert crop.has_rotation == 0


def test_sources_are_drawn_by_weight():
    dark = LabelledFace(
        np.zeros((50, 50, 3), np.uint8), make_face(50).points98, np.ones(98, np.float32), None
    )
    crops = CropDataset(
        [FaceSource([make_face()], 3.0), FaceSource([dark], 1.0)],
        [BACKGROUND],
        [],
        CropConfig(NO_AUGMENT),
        length=400,
        seed=0,
    )
    with_rotation = np.mean([crops[i].has_rotation for i in range(400)])
    assert 0.67 < with_rotation < 0.83


def test_rare_poses_are_drawn_more_often_where_asked_for():
    def dark(pitch):
        rotation = rotation_from_euler(0.0, pitch, 0.0).astype(np.float32)
        picture = np.full_like(make_face().image, 0 if pitch else 255)
        return replace(make_face(), image=picture, rotation=rotation)

    faces = [dark(0.0)] * 15 + [dark(-0.6)]
    shares = []
    for balance in (0.0, 0.5):
        config = CropConfig(augment=NO_AUGMENT, pose_balance=balance)
        crops = CropDataset([FaceSource(faces, 1.0)], [BACKGROUND], [], config, length=400, seed=2)
        shares.append(np.mean([crops[i].image.mean() < 100 for i in range(400)]))
    assert shares[0] == pytest.approx(1 / 16, abs=0.04)
    assert shares[1] == pytest.approx(4 / 19, abs=0.05)  # 15^0.5 is close to 4


def test_outside_is_filled_with_background():
    config = CropConfig(AugmentConfig(background=1.0, channels=0.0, flip=0.0))
    face = make_face(60)
    assert outside_mask(face.image.shape, Roi(0.0, 30.0, 60.0)) is not None
    assert outside_mask((200, 200, 3), Roi(100.0, 100.0, 60.0)) is None
    edge = LabelledFace(face.image, face.points98 - 20, face.point_weight, None)
    crops = CropDataset([FaceSource([edge], 1.0)], [BACKGROUND], [], config, length=9, seed=0)
    greens = [(crops[i].image == (10, 200, 30)).all(axis=2).any() for i in range(9)]
    assert any(greens)


def test_label_weight_halves_at_the_tolerance():
    weight = label_weight(np.array([0.0, 0.03, 0.3], np.float32), tolerance=0.03)
    assert weight == pytest.approx([1.0, 0.5, 1 / 101])
    assert (label_weight(None) == 1).all()
    assert (label_weight(np.ones(98, np.float32), tolerance=None) == 1).all()


def test_no_faces_is_an_error():
    with pytest.raises(DatasetError, match="98 points"):
        load_faces([])
    with pytest.raises(DatasetError, match="backgrounds"):
        CropDataset([], [BACKGROUND], [], CropConfig(), length=1, seed=0)
