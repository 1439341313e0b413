"""The filter of head poses: calm at rest, little lag in motion, and always a rotation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atpn_mobile.config import SmoothingConfig
from atpn_mobile.geometry import rotation_from_euler
from atpn_mobile.smoothing import RotationFilter


def run(rotations, config=None, rate_hz=30.0):
    smoother = RotationFilter(config or SmoothingConfig())
    return [smoother.smooth(one, index / rate_hz) for index, one in enumerate(rotations)]


def angle_deg(a, b):
    """Angle of the turn from one rotation to another."""
    return math.degrees(math.acos(np.clip((np.trace(a @ b.T) - 1.0) / 2.0, -1.0, 1.0)))


def noisy(frames=150, degrees=1.0, around=(0.4, -0.2, 0.1)):
    noise = np.random.default_rng(5).normal(scale=math.radians(degrees), size=(frames, 3))
    return [rotation_from_euler(*(np.array(around) + one)) for one in noise]


def jitter(rotations):
    return float(np.mean([angle_deg(a, b) for a, b in itertools.pairwise(rotations[20:])]))


def turning(deg_per_frame, frames=60):
    return [rotation_from_euler(math.radians(deg_per_frame * i), 0.0, 0.0) for i in range(frames)]


def lag_deg(config=None, deg_per_frame=3.0):
    rotations = turning(deg_per_frame)
    return angle_deg(run(rotations, config)[-1], rotations[-1])


def is_rotation(matrix):
    return np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-9) and np.linalg.det(matrix) > 0.0


def test_the_first_rotation_comes_back_as_it_is():
    first = rotation_from_euler(0.3, 0.2, 0.1)
    smoothed = RotationFilter(SmoothingConfig()).smooth(first, 7.0)
    np.testing.assert_array_equal(smoothed, first)
    assert smoothed is not first


def test_a_head_at_rest_is_calm():
    rotations = noisy()
    assert jitter(run(rotations)) < 0.5 * jitter(rotations)


def test_a_turning_head_is_followed():
    # 90 degrees per second: less than 60 ms behind
    assert lag_deg() < 90.0 * 0.06


def test_the_step_is_that_of_the_published_filter():
    """One axis, where rotations add up like numbers: Casiez et al., algorithm 1."""
    config = SmoothingConfig(pose_min_cutoff_hz=1.2, pose_beta=0.7, derivative_cutoff_hz=0.9)
    times = np.cumsum([0.0, 0.03, 0.05, 0.02, 0.04])
    yaws = [0.0, 0.1, 0.05, 0.3, 0.6]

    def alpha(cutoff, step):
        return 1.0 / (1.0 + 1.0 / (2.0 * math.pi * cutoff * step))

    expected, estimate, speed = [0.0], 0.0, 0.0
    for index in range(1, len(yaws)):
        step = times[index] - times[index - 1]
        weight = alpha(0.9, step)
        speed = weight * (yaws[index] - estimate) / step + (1.0 - weight) * speed
        weight = alpha(1.2 + 0.7 * abs(speed), step)
        estimate += weight * (yaws[index] - estimate)
        expected.append(estimate)

    smoother = RotationFilter(config)
    for yaw, time_s, wanted in zip(yaws, times, expected, strict=True):
        got = smoother.smooth(rotation_from_euler(yaw, 0.0, 0.0), float(time_s))
        np.testing.assert_allclose(got, rotation_from_euler(wanted, 0.0, 0.0), atol=1e-9)


def test_pose_min_cutoff_calms():
    calm, quick = (SmoothingConfig(pose_min_cutoff_hz=hz, pose_beta=0.0) for hz in (0.5, 5.0))
    assert jitter(run(noisy(), calm)) < 0.5 * jitter(run(noisy(), quick))


def test_pose_beta_reduces_lag():
    assert lag_deg(SmoothingConfig(pose_beta=5.0)) < 0.7 * lag_deg(SmoothingConfig(pose_beta=0.5))


def test_the_frame_of_the_camera_does_not_matter():
    turn = rotation_from_euler(0.7, 0.4, -1.2)
    for plain, turned in zip(run(noisy(30)), run([turn @ one for one in noisy(30)]), strict=True):
        np.testing.assert_allclose(turn @ plain, turned, atol=1e-9)


def test_angles_that_wrap_around_do_not_jump():
    # Upside down, roll wanders over 180 degrees: as numbers the angles would average to 0.
    rolls = [math.radians(179.0 if i % 2 else -179.0) for i in range(40)]
    for smoothed in run([rotation_from_euler(0.0, 0.0, roll) for roll in rolls]):
        assert angle_deg(smoothed, rotation_from_euler(0.0, 0.0, math.pi)) < 1.01


def test_a_half_turn_between_two_frames_stays_a_rotation():
    for axis in ((math.pi, 0.0, 0.0), (0.0, 0.0, math.pi)):
        _, smoothed, last = run([np.eye(3)] + [rotation_from_euler(*axis)] * 2)
        assert is_rotation(smoothed)
        assert is_rotation(last)


@pytest.mark.parametrize("next_s", [1.0, 1.0 + 1e-12, 0.5, -1e300])
def test_time_that_does_not_increase_starts_anew(next_s):
    first, second, third = noisy(3, degrees=20.0)
    smoother = RotationFilter(SmoothingConfig())
    smoother.smooth(first, 0.9)
    smoother.smooth(first, 1.0)
    np.testing.assert_array_equal(smoother.smooth(second, next_s), second)
    assert is_rotation(smoother.smooth(third, 1.03))


def test_the_result_is_not_the_state():
    first, second, third = noisy(3)
    one, other = RotationFilter(SmoothingConfig()), RotationFilter(SmoothingConfig())
    for rotation, time_s in ((first, 0.0), (second, 0.1)):
        one.smooth(rotation.copy(), time_s)[:] = 0.0  # a caller writes into its result
        other.smooth(rotation.copy(), time_s)
    np.testing.assert_array_equal(one.smooth(third, 0.2), other.smooth(third, 0.2))


angles = st.floats(-3.1, 3.1)
stamps = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(angles, st.floats(-1.5, 1.5), angles, stamps), min_size=1, max_size=20))
def test_whatever_comes_in_a_rotation_comes_out(steps):
    smoother = RotationFilter(SmoothingConfig())
    for yaw, pitch, roll, time_s in steps:
        assert is_rotation(smoother.smooth(rotation_from_euler(yaw, pitch, roll), time_s))


def test_rounding_does_not_add_up():
    smoother = RotationFilter(SmoothingConfig())
    for index in range(3000):
        last = smoother.smooth(rotation_from_euler(0.01 * index, 0.2, -0.02 * index), index / 30)
    assert is_rotation(last)
