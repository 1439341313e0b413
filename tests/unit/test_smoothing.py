import math

import numpy as np
import pytest

from atpn_mobile.config import SmoothingConfig
from atpn_mobile.smoothing import OneEuroFilter

FACE_SIZE = 100.0


def run(config, points, rate_hz=30.0, face_size=FACE_SIZE):
    smoother = OneEuroFilter(config)
    return np.stack(
        [smoother.smooth(p, index / rate_hz, face_size) for index, p in enumerate(points)]
    )


def noise(frames=120, amplitude=0.4):
    values = np.random.default_rng(3).normal(scale=amplitude, size=(frames, 98, 2))
    return (200.0 + values).astype(np.float32)


def jitter(points):
    return float(np.abs(np.diff(points[20:], axis=0)).mean())


def ramp(frames=60, pixels_per_frame=5.0):
    steps = np.arange(frames, dtype=np.float32)[:, np.newaxis, np.newaxis] * pixels_per_frame
    return np.broadcast_to(steps, (frames, 98, 2)).astype(np.float32)


def lag(config):
    points = ramp()
    return float((points[-1] - run(config, points)[-1]).mean())


def test_equals_the_published_algorithm_for_one_point():
    """Algorithm 1 of the paper, written out for one coordinate that moves."""
    config = SmoothingConfig(min_cutoff_hz=1.2, beta=0.5, derivative_cutoff_hz=0.9)
    times = np.cumsum([0.0, 0.03, 0.05, 0.02, 0.04, 0.04])
    values = [0.0, 1.0, 0.5, 3.0, 7.0, 7.5]

    def alpha(cutoff, step):
        tau = 1.0 / (2.0 * math.pi * cutoff)
        return 1.0 / (1.0 + tau / step)

    expected, estimate, speed = [values[0]], values[0], 0.0
    for index in range(1, len(values)):
        step = times[index] - times[index - 1]
        derivative = (values[index] - estimate) / step
        weight = alpha(0.9, step)
        speed = weight * derivative + (1.0 - weight) * speed
        weight = alpha(1.2 + 0.5 * abs(speed), step)
        estimate = weight * values[index] + (1.0 - weight) * estimate
        expected.append(estimate)

    smoother = OneEuroFilter(config)
    got = [
        smoother.smooth(np.array([[value, 0.0]], np.float32), float(time), 1.0)[0, 0]
        for value, time in zip(values, times, strict=True)
    ]
    assert got == pytest.approx(expected, rel=1e-6)


def test_first_points_come_back_as_they_are():
    points = noise(1)[0]
    smoothed = OneEuroFilter(SmoothingConfig()).smooth(points, 5.0, FACE_SIZE)
    np.testing.assert_array_equal(smoothed, points)
    assert smoothed.dtype == np.float32
    assert smoothed is not points


def test_defaults_leave_less_than_a_third_of_the_jitter_of_a_face_at_rest():
    points = noise()
    assert jitter(run(SmoothingConfig(), points)) < jitter(points) / 3.0


@pytest.mark.parametrize("pixels_per_frame", [0.33, 1.0, 5.0])
def test_defaults_lag_less_than_30_ms_behind_a_moving_face(pixels_per_frame):
    # from 0.1 to 1.5 face sizes per second; 30 ms are 0.9 frames at 30 per second
    points = ramp(90, pixels_per_frame)
    behind = points[-1] - run(SmoothingConfig(), points)[-1]
    assert 0.0 < behind[:, 0].mean() < 0.9 * pixels_per_frame


def test_min_cutoff_calms():
    points = noise()
    calm, quick = (SmoothingConfig(min_cutoff_hz=hz, beta=0.0) for hz in (0.5, 5.0))
    assert jitter(run(calm, points)) < 0.5 * jitter(run(quick, points))


def test_beta_reduces_lag():
    assert lag(SmoothingConfig(beta=30.0)) < 0.5 * lag(SmoothingConfig(beta=1.0))


def test_derivative_cutoff_reacts_sooner():
    jump = np.concatenate([ramp(10, 0.0), ramp(10, 0.0) + np.float32(50.0)])
    slow, fast = (
        run(SmoothingConfig(derivative_cutoff_hz=hz), jump)[11].mean() for hz in (0.5, 5.0)
    )
    assert fast > slow


def test_distance_does_not_matter():
    near, far = noise(), noise() / 4.0
    config = SmoothingConfig()
    np.testing.assert_allclose(
        run(config, near) / 4.0, run(config, far, face_size=FACE_SIZE / 4.0), rtol=1e-5
    )


def test_direction_does_not_matter():
    points = noise()
    turned = np.stack([-points[..., 1], points[..., 0]], axis=-1)
    smoothed, smoothed_turned = run(SmoothingConfig(), points), run(SmoothingConfig(), turned)
    np.testing.assert_allclose(smoothed_turned[..., 0], -smoothed[..., 1], rtol=1e-6)


def test_time_counts_and_not_frames():
    # Half the frame rate at the same speed in the world: about the same lag in pixels.
    config = SmoothingConfig(beta=0.0, min_cutoff_hz=2.0)
    fast = ramp(120, 2.0)[-1] - run(config, ramp(120, 2.0), rate_hz=60.0)[-1]
    slow = ramp(60, 4.0)[-1] - run(config, ramp(60, 4.0), rate_hz=30.0)[-1]
    assert slow.mean() == pytest.approx(fast.mean(), rel=0.05)
    by_frames = ramp(120, 2.0)[-1] - run(config, ramp(120, 2.0), rate_hz=30.0)[-1]
    assert by_frames.mean() < 0.6 * fast.mean()


@pytest.mark.parametrize("next_s", [1.0, 1.0 + 1e-12, 0.5, -1e300])
def test_time_that_does_not_increase_starts_anew(next_s):
    first, second, third = noise(3)
    smoother = OneEuroFilter(SmoothingConfig())
    smoother.smooth(first, 0.9, FACE_SIZE)
    smoother.smooth(first, 1.0, FACE_SIZE)
    np.testing.assert_array_equal(smoother.smooth(second, next_s, FACE_SIZE), second)
    after = smoother.smooth(third, 1.03, FACE_SIZE)
    assert np.isfinite(after).all()


def test_smoothing_goes_on_after_a_step_back():
    first, second, third = noise(3)
    smoother = OneEuroFilter(SmoothingConfig())
    smoother.smooth(first, 100.0, FACE_SIZE)
    smoother.smooth(second, 1.0, FACE_SIZE)
    smoothed = smoother.smooth(third, 1.0 + 1 / 30, FACE_SIZE)
    assert np.abs(smoothed - second).mean() < np.abs(third - second).mean()


def test_a_clock_that_stands_still_does_not_freeze_the_face():
    smoother = OneEuroFilter(SmoothingConfig())
    for points in ramp(5):
        np.testing.assert_array_equal(smoother.smooth(points, 0.0, FACE_SIZE), points)


def test_extreme_time_steps_stay_finite():
    smoother = OneEuroFilter(SmoothingConfig())
    points = noise(6)
    times = [-1e308, 1e308, 1e308, 0.0, 5e-324, 1e-5]
    for frame, time in zip(points, times, strict=True):
        assert np.isfinite(smoother.smooth(frame, time, FACE_SIZE)).all()


def test_reset_forgets():
    first, second = noise(2)
    smoother = OneEuroFilter(SmoothingConfig())
    smoother.smooth(first, 0.0, FACE_SIZE)
    smoother.reset()
    np.testing.assert_array_equal(smoother.smooth(second, 0.1, FACE_SIZE), second)


def test_the_result_is_not_the_state():
    first, second = noise(2)
    one, other = OneEuroFilter(SmoothingConfig()), OneEuroFilter(SmoothingConfig())
    one.smooth(first.copy(), 0.0, FACE_SIZE)[:] = -1.0  # a caller writes into its result
    other.smooth(first.copy(), 0.0, FACE_SIZE)
    np.testing.assert_array_equal(
        one.smooth(second, 0.1, FACE_SIZE), other.smooth(second, 0.1, FACE_SIZE)
    )
