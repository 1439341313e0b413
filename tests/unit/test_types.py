import dataclasses
import math

import numpy as np
import pytest

from atpn_mobile.errors import AtpnError, InvalidFrameError
from atpn_mobile.geometry import rotation_from_euler
from atpn_mobile.types import HeadPose, Roi, StageTimings, TrackResult


@pytest.mark.parametrize(
    "values",
    [
        (math.nan, 0.0, 1.0, 0.0),
        (0.0, math.inf, 1.0, 0.0),
        (0.0, 0.0, math.nan, 0.0),
        (0.0, 0.0, 1.0, math.inf),
        (0.0, 0.0, 0.0, 0.0),  # no size
        (0.0, 0.0, -1.0, 0.0),
    ],
)
def test_roi_refuses_values_that_are_no_region(values):
    with pytest.raises(InvalidFrameError, match="finite numbers with size > 0"):
        Roi(*values)


def test_frame_errors_are_value_errors_of_the_package():
    with pytest.raises(ValueError, match="Roi") as caught:
        Roi(0.0, 0.0, 0.0)
    assert isinstance(caught.value, AtpnError)


def test_results_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Roi(0.0, 0.0, 1.0).size = 2.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrackResult((), 0.0).timestamp_s = 1.0


@pytest.mark.parametrize("angles_deg", [(0, 0, 0), (30, -20, 10), (-75, 40, -35), (120, 5, 170)])
def test_head_pose_gives_the_angles_it_was_made_of(angles_deg):
    pose = HeadPose(rotation_from_euler(*(math.radians(angle) for angle in angles_deg)))
    assert (pose.yaw_deg, pose.pitch_deg, pose.roll_deg) == pytest.approx(angles_deg)


def test_head_pose_at_the_pole_is_finite():
    rotation = rotation_from_euler(0.0, math.pi / 2, 0.0)
    rotation[2, 1] = -1.0 - 1e-12  # rounding may leave the range of asin
    assert HeadPose(rotation).pitch_deg == pytest.approx(90.0)


def test_timings_add_up():
    assert StageTimings(1.0, 2.0, 4.0, 8.0).total_ms == 15.0
    assert StageTimings().total_ms == 0.0


def test_no_face_is_an_empty_result():
    result = TrackResult((), 1.5)
    assert result.faces == ()
    assert not result.detector_ran
    assert not np.isnan(result.timestamp_s)
