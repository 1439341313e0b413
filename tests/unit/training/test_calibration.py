"""Calibration, against probabilities whose truth is known."""

import numpy as np
import pytest

from training.calibration import (
    TEMPERATURES,
    fit_temperature,
    presence_reliability,
    with_temperature,
)


def drawn(count=20_000, seed=0):
    """Calibrated probabilities with the labels they promise."""
    rng = np.random.default_rng(seed)
    probabilities = rng.uniform(0.01, 0.99, count)
    return probabilities, rng.random(count) < probabilities


def test_temperature_of_calibrated_probabilities_is_one():
    assert fit_temperature(*drawn()) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("temperature", [0.4, 2.5])
def test_temperature_is_found_again(temperature):
    probabilities, labels = drawn()
    too_sure = with_temperature(probabilities, 1.0 / temperature)
    assert fit_temperature(too_sure, labels) == pytest.approx(temperature, rel=0.05)


def test_temperature_by_hand():
    # the logit of 0.8 is log 4; over 2 it is log 2, the logit of 2/3
    changed = with_temperature(np.array([0.8, 0.5, 0.2]), 2.0)
    np.testing.assert_allclose(changed, [2 / 3, 0.5, 1 / 3])


def test_certain_probabilities_stay_finite():
    changed = with_temperature(np.array([0.0, 1.0]), 0.5)
    assert np.isfinite(changed).all()
    assert fit_temperature(np.array([0.0, 1.0]), np.array([False, True])) >= TEMPERATURES[0]


def test_nothing_to_fit():
    assert fit_temperature(np.empty(0), np.empty(0, dtype=bool)) == 1.0


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_impossible_temperature(temperature):
    with pytest.raises(ValueError, match="temperature above 0"):
        with_temperature(np.array([0.5]), temperature)


def test_presence_reliability_by_hand():
    presence = np.array([0.1, 0.6, 0.8, 0.9, 0.9], np.float32)
    is_face = np.array([False, True, False, True, True])

    found = presence_reliability(presence, is_face, gate=0.7)

    assert found.face_share == pytest.approx(0.6)
    assert found.brier == pytest.approx((0.01 + 0.16 + 0.64 + 0.01 + 0.01) / 5)
    assert found.passed.count == 3
    assert found.passed.promised == pytest.approx(2.6 / 3)
    assert found.passed.observed == pytest.approx(2 / 3)
    assert found.near_gate.count == 4  # all but 0.1
    assert found.near_gate.observed == pytest.approx(3 / 4)
    assert found.bins.count.sum() == 5


def test_the_gate_itself_passes():
    # as in the runtime, in float32: the float64 of a float32 0.7 is below 0.7
    presence = np.array([0.7, 0.2], np.float32)
    assert presence_reliability(presence, np.array([True, False]), gate=0.7).passed.count == 1


def test_nothing_behind_the_gate():
    found = presence_reliability(np.array([0.1, 0.2], np.float32), np.array([True, False]), 0.7)
    assert found.passed.count == 0
    assert np.isnan(found.passed.observed)


def test_the_temperature_repairs_what_it_was_not_fitted_on():
    probabilities, labels = drawn()
    too_sure = with_temperature(probabilities, 1.0 / 3.0)

    found = presence_reliability(too_sure, labels, gate=0.7)

    assert found.temperature == pytest.approx(3.0, rel=0.05)
    assert found.bins.expected_error > 0.08
    assert found.error_with_temperature < 0.02
