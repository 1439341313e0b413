import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from atpn_mobile.config import DetectorConfig, SmoothingConfig, TrackerConfig
from atpn_mobile.errors import AtpnError, ConfigError
from atpn_mobile.geometry import KEEP, POSITION_STEP, SIZE_STEP


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
        (TrackerConfig, "color", "gray"),
        (TrackerConfig, "rotation_deg", 45),
        (TrackerConfig, "rotation_deg", -90),
        (TrackerConfig, "rotation_deg", 360),
        (TrackerConfig, "rotation_deg", False),  # equals 0 in Python
        (TrackerConfig, "rotation_deg", "90"),
        (TrackerConfig, "mirrored", 1),
        (TrackerConfig, "mirrored", None),
        (TrackerConfig, "presence_hysteresis", -0.01),
        (TrackerConfig, "presence_hysteresis", math.nan),
        (TrackerConfig, "retry_scale", 0.99),
        (TrackerConfig, "retry_scale", math.inf),
        (TrackerConfig, "reattach_s", -1.0),
        (TrackerConfig, "reattach_s", None),
        (TrackerConfig, "reattach_distance", -0.5),
        (TrackerConfig, "idle_after_frames", 0),
        (TrackerConfig, "idle_interval_frames", 0),
        (TrackerConfig, "idle_interval_frames", 2.0),
        (TrackerConfig, "views", 0),
        (TrackerConfig, "views", 3),
        (TrackerConfig, "views", True),
        (SmoothingConfig, "pose_min_cutoff_hz", 0.0),
        (SmoothingConfig, "pose_beta", -0.1),
        (DetectorConfig, "tiles", 0),
        (DetectorConfig, "tiles", 1.5),
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


@pytest.mark.parametrize(
    ("threshold", "hysteresis", "accept", "keep"),
    [(0.7, 0.05, 0.75, 0.65), (0.7, 0.0, 0.7, 0.7), (0.98, 0.1, 1.0, 0.88), (0.1, 0.3, 0.4, 0.0)],
)
def test_the_gate_lies_around_the_threshold_within_0_and_1(threshold, hysteresis, accept, keep):
    config = TrackerConfig(presence_threshold=threshold, presence_hysteresis=hysteresis)
    assert (config.accept_presence, config.keep_presence) == pytest.approx((accept, keep))


PROFILES = (TrackerConfig.fast, TrackerConfig.balanced, TrackerConfig.accurate)


def test_balanced_is_the_default():
    assert TrackerConfig.balanced() == TrackerConfig()


def test_profiles_order_speed_against_care():
    fast, balanced, accurate = (profile() for profile in PROFILES)
    assert (fast.precision, accurate.precision) == ("int8", "auto")
    assert [config.views for config in (fast, balanced, accurate)] == [1, 1, 2]
    assert [config.detector.tiles for config in (fast, balanced, accurate)] == [1, 1, 2]
    for interval in ("detect_interval_frames", "idle_interval_frames"):
        slow, middle, often = (getattr(one, interval) for one in (fast, balanced, accurate))
        assert slow > middle > often


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_is_where_options_start_from(profile):
    changed = profile(color="grey", max_faces=3, views=1, precision="float32")
    assert (changed.color, changed.max_faces) == ("grey", 3)
    assert (changed.views, changed.precision) == (1, "float32")
    assert changed.detect_interval_frames == profile().detect_interval_frames
    with pytest.raises(ConfigError, match="max_faces"):
        profile(max_faces=0)
    with pytest.raises(TypeError, match="max_face"):
        profile(max_face=2)


class TestDocumentation:
    """docs/tracking.md has every option with its default, and the profiles as they are."""

    text = (Path(__file__).parents[2] / "docs" / "tracking.md").read_text(encoding="utf-8")

    @pytest.mark.parametrize("kind", [TrackerConfig, SmoothingConfig, DetectorConfig])
    def test_every_option_has_its_default(self, kind):
        for option in dataclasses.fields(kind):
            default = getattr(kind(), option.name)
            if dataclasses.is_dataclass(default):
                shown = f"`{type(default).__name__}()`"
            elif isinstance(default, (bool, str)):
                shown = f"`{default}`" if isinstance(default, bool) else f'`"{default}"`'
            else:
                shown = str(default)
            assert f"\n| `{option.name}` | {shown} | " in self.text

    def test_the_region_at_rest(self):
        assert f"moved by more than {100 * KEEP * POSITION_STEP:.2g} % of its size" in self.text
        assert f"changed by more than {100 * KEEP * SIZE_STEP:.2g} %" in self.text

    def test_the_table_of_profiles(self):
        profiles = [profile() for profile in PROFILES]
        rows = {}
        for option in dataclasses.fields(TrackerConfig):
            values = [getattr(config, option.name) for config in profiles]
            if option.name != "detector" and len(set(values)) > 1:
                rows[option.name] = values
        rows["detector.tiles"] = [config.detector.tiles for config in profiles]
        shown = {
            name: " | ".join(f'`"{one}"`' if isinstance(one, str) else str(one) for one in values)
            for name, values in rows.items()
        }
        table = self.text.split("## Profiles")[1].split("## All options")[0]
        assert {line for line in table.splitlines() if line.startswith("| `")} == {
            f"| `{name}` | {values} |" for name, values in shown.items()
        }
