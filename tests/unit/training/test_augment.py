from dataclasses import fields, replace

import numpy as np
import pytest

from atpn_mobile.types import Roi
from training import augment
from training.augment import NO_AUGMENT, AugmentConfig, degrade, jitter_roi, random_warp

PICTURE = np.random.default_rng(0).integers(0, 256, (112, 112, 3)).astype(np.uint8)
BACKGROUND = np.random.default_rng(1).integers(0, 256, (80, 90, 3)).astype(np.uint8)
PIXEL_OPTIONS = (
    *("grey", "channels", "blur", "noise", "low_resolution", "jpeg", "occlusion"),
    "shade",
)


@pytest.mark.parametrize("name", PIXEL_OPTIONS)
def test_each_option_changes_the_picture(name):
    config = replace(NO_AUGMENT, **{name: 1.0})
    changed = degrade(PICTURE.copy(), BACKGROUND, config, np.random.default_rng(5))
    assert changed.shape == PICTURE.shape
    assert changed.dtype == np.uint8
    assert (changed != PICTURE).any()


def test_no_augmentation_changes_nothing():
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(degrade(PICTURE, BACKGROUND, NO_AUGMENT, rng), PICTURE)
    roi = Roi(10.0, 20.0, 30.0, 0.1)
    assert jitter_roi(roi, NO_AUGMENT, rng) == roi


@pytest.mark.parametrize(
    ("option", "attribute"),
    [("shift", "center_x"), ("log_scale", "size"), ("rotation_deg", "rotation_rad")],
)
def test_jitter_options_move_what_they_name(option, attribute):
    config = replace(NO_AUGMENT, **{option: 0.1})
    roi = Roi(100.0, 100.0, 50.0)
    moved = jitter_roi(roi, config, np.random.default_rng(2))
    assert getattr(moved, attribute) != getattr(roi, attribute)


def test_jitter_stays_bounded():
    roi = Roi(100.0, 100.0, 50.0)
    config = AugmentConfig()
    for seed in range(200):
        moved = jitter_roi(roi, config, np.random.default_rng(seed))
        assert abs(moved.center_x - 100) <= 10.0001
        assert 30 < moved.size < 80
        assert abs(np.degrees(moved.rotation_rad)) <= 3 * config.rotation_deg


def test_grey_has_equal_channels():
    grey = augment.to_grey(PICTURE)
    assert (grey[..., 0] == grey[..., 1]).all()
    assert (grey[..., 0] == grey[..., 2]).all()


def test_degradation_repeats_for_a_seed():
    config = AugmentConfig(**{f.name: 0.5 for f in fields(AugmentConfig)})
    one = degrade(PICTURE.copy(), BACKGROUND, config, np.random.default_rng(9))
    two = degrade(PICTURE.copy(), BACKGROUND, config, np.random.default_rng(9))
    np.testing.assert_array_equal(one, two)


def test_lower_resolution_loses_detail():
    blurred = augment.lower_resolution(PICTURE, np.random.default_rng(1))
    assert blurred.astype(float).std() < 0.8 * PICTURE.astype(float).std()


def test_options_that_are_off_draw_nothing():
    """Recipes from before an option was added keep their crops."""
    config = replace(AugmentConfig(), stretch=0.0, shear=0.0, shade=0.0)
    rng = np.random.default_rng(3)
    assert random_warp(config, rng) is None
    assert rng.random() == np.random.default_rng(3).random()
    shaded = [
        degrade(PICTURE, BACKGROUND, replace(config, shade=shade), np.random.default_rng(4))
        for shade in (0.0, 1e-9)  # the second draws, and does nothing else
    ]
    assert (shaded[0] != shaded[1]).any()


@pytest.mark.parametrize(
    ("option", "changed"),
    [("stretch", [True, False, False, True]), ("shear", [False, True, False, False])],
)
def test_a_warp_changes_proportions_and_keeps_the_area(option, changed):
    config = replace(NO_AUGMENT, **{option: 0.1})
    for seed in range(50):
        warp = random_warp(config, np.random.default_rng(seed))
        assert np.linalg.det(warp) == pytest.approx(1.0, abs=1e-6)
        assert ((warp != np.eye(2)).ravel() == changed).all()
        assert np.abs(warp - np.eye(2)).max() < 0.26


def test_a_shade_darkens_one_side_more_than_the_other():
    flat = np.full((112, 112, 3), 120, np.uint8)
    for seed in range(20):
        shaded = augment.shade(flat, np.random.default_rng(seed)).astype(float)
        assert (shaded[..., 0] == shaded[..., 2]).all()
        assert shaded.max() > 1.05 * shaded.min()
        assert shaded.min() > 0.2 * 120
        assert shaded.max() < 1.4 * 120


def test_larger_crops_of_a_face_are_blurred_as_much():
    config = replace(NO_AUGMENT, blur=1.0)
    ramp = np.zeros((112, 112, 3), np.uint8)
    ramp[:, 56:] = 255
    large = np.repeat(np.repeat(ramp, 2, axis=0), 2, axis=1)
    for seed in range(10):
        small_edge, large_edge = (
            degrade(image, BACKGROUND, config, np.random.default_rng(seed))[image.shape[0] // 2]
            for image in (ramp, large)
        )
        widths = [((edge > 5) & (edge < 250)).mean() for edge in (small_edge, large_edge)]
        assert widths[1] == pytest.approx(widths[0], abs=0.03)
