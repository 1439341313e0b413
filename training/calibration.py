"""Reliability of presence: whether 0.7 means that seven of ten such crops show a face.

Pure functions of probabilities. Presence is a softmax of two numbers, so dividing both by one
temperature changes how sure it is and never which crop it prefers: it moves the reliability curve
and leaves precision, recall and average precision as they are.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]
from scipy.special import expit, logit  # type: ignore[import-untyped]

from training.metrics import ReliabilityBins, expected_calibration_error, reliability_bins

Array = NDArray[np.float64]
Numbers = NDArray[np.floating]

# Probabilities nearer to 0 or 1 are taken for this one: in float32 a softmax rounds to exactly 1.
SUREST: Final = 1e-6
TEMPERATURES: Final = (0.1, 10.0)  # tried; outside it a network is beyond repair by one number
NUM_FOLDS: Final = 2
NEAR: Final = 0.2  # presence this far from the gate is near it


@dataclass(frozen=True, slots=True)
class Promise:
    """Some crops: what presence says of them, and what they are.

    Attributes:
        count: how many.
        promised: mean presence, nan if there are none.
        observed: share of faces, nan if there are none.
    """

    count: int
    promised: float
    observed: float


@dataclass(frozen=True, slots=True, eq=False)
class PresenceReliability:
    """How far presence can be taken at its word.

    All of it holds for the share of faces among the crops it was measured on.

    Attributes:
        bins: the reliability curve.
        brier: mean squared difference of presence and truth, 0 (perfect) to 1.
        face_share: share of faces among all crops.
        passed: the crops that pass the gate.
        near_gate: the crops whose presence is within ``NEAR`` of the gate.
        temperature: the divisor of presence's logits that fits best; 1 for a calibrated network,
            above 1 for one that is too sure.
        error_with_temperature: expected calibration error that is left when each half of the crops
            is corrected with the temperature of the other half.
    """

    bins: ReliabilityBins
    brier: float
    face_share: float
    passed: Promise
    near_gate: Promise
    temperature: float
    error_with_temperature: float


def presence_reliability(
    presence: Numbers, is_face: NDArray[np.bool_], gate: float
) -> PresenceReliability:
    """Compare presence with the truth.

    Args:
        presence: (N,) 0..1.
        is_face: (N,).
        gate: the presence at which a track is kept.

    Raises:
        ValueError: the shapes differ, or presence is not a probability.
    """
    bins = reliability_bins(presence, is_face)
    values = presence.astype(np.float64)
    fold = np.arange(values.size) % NUM_FOLDS
    corrected = np.empty_like(values)
    for number in range(NUM_FOLDS):
        rest = fold != number
        corrected[~rest] = with_temperature(
            values[~rest], fit_temperature(values[rest], is_face[rest])
        )
    return PresenceReliability(
        bins=bins,
        brier=float(np.mean((values - is_face) ** 2)),
        face_share=float(is_face.mean()),
        passed=_promise(values, is_face, presence >= np.float32(gate)),
        near_gate=_promise(values, is_face, np.abs(values - gate) <= NEAR),
        temperature=fit_temperature(values, is_face),
        error_with_temperature=expected_calibration_error(corrected, is_face),
    )


def with_temperature(probabilities: Numbers, temperature: float) -> Array:
    """Divide the logits of probabilities by a temperature.

    Args:
        probabilities: (N,) 0..1.
        temperature: above 0; above 1 makes them less sure.

    Raises:
        ValueError: the temperature is not above 0.
    """
    if not temperature > 0.0:
        raise ValueError(f"expected a temperature above 0, got {temperature}")
    changed: Array = expit(_logits(probabilities) / temperature)
    return changed


def fit_temperature(probabilities: Numbers, labels: NDArray[np.bool_]) -> float:
    """The temperature under which labels are most likely (Guo et al., ICML 2017).

    Args:
        probabilities: (N,) 0..1 of being positive.
        labels: (N,) bool.

    Returns:
        the divisor of the logits, within ``TEMPERATURES``; 1 where there is nothing to fit.
    """
    if labels.size == 0:
        return 1.0
    signed = np.where(labels, 1.0, -1.0) * _logits(probabilities)

    def loss(log_temperature: float) -> float:
        return float(np.logaddexp(0.0, -signed / np.exp(log_temperature)).mean())

    low, high = np.log(TEMPERATURES)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded")
    return float(np.exp(found.x))


def _promise(presence: Array, is_face: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> Promise:
    if not chosen.any():
        return Promise(0, float("nan"), float("nan"))
    return Promise(int(chosen.sum()), float(presence[chosen].mean()), float(is_face[chosen].mean()))


def _logits(probabilities: Numbers) -> Array:
    values: Array = logit(np.clip(probabilities.astype(np.float64), SUREST, 1.0 - SUREST))
    return values
