"""The one-euro filter for landmarks: calm at rest, quick in motion.

Source: Casiez, Roussel, Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input
in Interactive Systems", CHI 2012. Two differences: speed is in face sizes per second, so a near and
a far face are smoothed alike; and it is the speed of the point, not of x and y apart, so the
direction of a movement does not matter.
"""

import math

import numpy as np
from numpy.typing import NDArray

from atpn_mobile.config import SmoothingConfig
from atpn_mobile.types import FloatArray

MIN_STEP_S = 1e-6  # two frames cannot be closer; a speed over less could overflow


class OneEuroFilter:
    """The state of one track; time is in seconds, so the frame rate may vary."""

    def __init__(self, config: SmoothingConfig) -> None:
        """Start without history: the first points come back as they are."""
        self._config = config
        self._points: NDArray[np.float64] | None = None  # the last result
        self._velocity: NDArray[np.float64] | None = None  # pixels / s, low-passed
        self._timestamp_s = -math.inf

    def reset(self) -> None:
        """Forget the history."""
        self._points = None
        self._velocity = None
        self._timestamp_s = -math.inf

    def smooth(self, points: FloatArray, timestamp_s: float, face_size: float) -> FloatArray:
        """Filter the next points.

        A timestamp that is not above the last one starts the filter anew, and the points come back
        as they are: without a time step there is no speed, and holding the old points would freeze
        a caller whose clock stands still.

        Args:
            points: (N, 2) float32, frame pixels.
            timestamp_s: when they were seen, seconds.
            face_size: the unit of length, pixels, above 0.

        Returns:
            (N, 2) float32.
        """
        step_s = timestamp_s - self._timestamp_s
        self._timestamp_s = timestamp_s
        raw = points.astype(np.float64)
        if self._points is None or self._velocity is None or step_s < MIN_STEP_S:
            self._points, self._velocity = raw, np.zeros_like(raw)
            return points.copy()
        velocity = (raw - self._points) / step_s
        weight = _weight(np.array(self._config.derivative_cutoff_hz), step_s)
        self._velocity = self._velocity + weight * (velocity - self._velocity)
        speed = np.linalg.norm(self._velocity, axis=1, keepdims=True) / face_size
        weights = _weight(self._config.min_cutoff_hz + self._config.beta * speed, step_s)
        self._points = self._points + weights * (raw - self._points)
        return self._points.astype(np.float32)


def _weight(cutoff_hz: NDArray[np.float64], step_s: float) -> NDArray[np.float64]:
    """Share of the new value in a first-order low-pass: 1 / (1 + tau / step)."""
    tau_s = 1.0 / (2.0 * math.pi * cutoff_hz)
    return 1.0 / (1.0 + tau_s / step_s)
