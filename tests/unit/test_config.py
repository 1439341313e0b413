import dataclasses
import math

import numpy as np
import pytest

from atpn_mobile.config import DetectorConfig, SmoothingConfig, TrackerConfig
from atpn_mobile.errors import AtpnError, ConfigError


def test_defaults_are_those_of_the_design():
    config = TrackerConfig()
    assert config.presence_threshold == 0.7
    assert config.roi_extension == 0.25
    assert (config.max_faces, config.num_threads) == (1, 1)
    assert config.color == "rgb"
    assert config.smoothing == SmoothingConfig()


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (DetectorConfig, "score_threshold", -0.1),
        (DetectorConfig, "score_threshold", 1.1),
        (DetectorConfig, "iou_threshold", math.nan),
        (DetectorConfig, "max_detections", 0),
        (SmoothingConfig, "min_cutoff_hz", 0.0),
        (SmoothingConfig, "min_cutoff_hz", math.inf),
        (SmoothingConfig, "beta", -1.0),
        (SmoothingConfig, "derivative_cutoff_hz", 0),
        (TrackerConfig, "color", "RGB"),
        (TrackerConfig, "max_faces", 0),
        (TrackerConfig, "max_faces", 1.5),
        (TrackerConfig, "max_faces", True),  # a bool is an int in Python, not here
        (TrackerConfig, "presence_threshold", 70),
        (TrackerConfig, "presence_threshold", "0.7"),
        (TrackerConfig, "presence_threshold", False),
        (TrackerConfig, "detect_interval_frames", -1),
        (TrackerConfig, "roi_extension", -0.01),
        (TrackerConfig, "same_face_iou", 0.0),
        (TrackerConfig, "smoothing", True),
        (TrackerConfig, "num_threads", 0),
        (TrackerConfig, "precision", 8),
        (TrackerConfig, "detector", None),
    ],
)
def test_a_value_outside_its_range_is_named(kind, name, value):
    with pytest.raises(ConfigError, match=f"expected {name} to be .*, got "):
        kind(**{name: value})


def test_errors_are_value_errors_of_the_package():
    assert issubclass(ConfigError, ValueError)
    assert issubclass(ConfigError, AtpnError)


def test_limits_and_numpy_numbers_are_allowed():
    DetectorConfig(score_threshold=0, iou_threshold=1, max_detections=np.int64(1))
    SmoothingConfig(min_cutoff_hz=np.float32(0.1), beta=0)
    TrackerConfig(presence_threshold=1.0, roi_extension=0.0, same_face_iou=1.0, smoothing=None)


def test_options_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrackerConfig().max_faces = 2
