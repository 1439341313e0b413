from dataclasses import fields, replace

import numpy as np
import pytest

from atpn_mobile.types import Roi
from training import augment
from training.augment import NO_AUGMENT, AugmentConfig, degrade, jitter_roi

PICTURE = np.random.default_rng(0).integers(0, 256, (112, 112, 3)).astype(np.uint8)
BACKGROUND = np.random.default_rng(1).integers(0, 256, (80, 90, 3)).astype(np.uint8)
PIXEL_OPTIONS = ("grey", "channels", "blur", "noise", "low_resolution", "jpeg", "occlusion")


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
