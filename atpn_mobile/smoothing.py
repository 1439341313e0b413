"""The one-euro filter for landmarks and head poses: calm at rest, quick in motion.

Source: Casiez, Roussel, Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input
in Interactive Systems", CHI 2012. Two differences: speed is in face sizes per second, so a near and
a far face are smoothed alike; and it is the speed of the point, not of x and y apart, so the
direction of a movement does not matter. Head poses are filtered as rotations: angles jump where
they wrap around, and their sizes depend on one another.
"""

import math
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from atpn_mobile.config import SmoothingConfig
from atpn_mobile.types import FloatArray

_Cutoff = TypeVar("_Cutoff", float, NDArray[np.float64])

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
        if self._points is None or self._velocity is None or step_s < MIN_STEP_S:
            self._points = points.astype(np.float64)
            self._velocity = np.zeros_like(self._points)
            return points.copy()
        config = self._config
        step = points - self._points
        weight = _weight(config.derivative_cutoff_hz, step_s)
        self._velocity = (1.0 - weight) * self._velocity + (weight / step_s) * step
        speed = np.hypot(self._velocity[:, :1], self._velocity[:, 1:])
        cutoff_hz = speed * (config.beta / face_size) + config.min_cutoff_hz
        self._points = self._points + _weight(cutoff_hz, step_s) * step
        return self._points.astype(np.float32)


class RotationFilter:
    """The same for the rotation of one head; its speed is the angle of the turn per second."""

    def __init__(self, config: SmoothingConfig) -> None:
        """Start without history: the first rotation comes back as it is."""
        self._config = config
        self._rotation: NDArray[np.float64] | None = None  # the last result
        self._velocity = np.zeros(3)  # axis times radians / s, low-passed
        self._timestamp_s = -math.inf

    def smooth(self, rotation: NDArray[np.float64], timestamp_s: float) -> NDArray[np.float64]:
        """Filter the next rotation.

        A timestamp that is not above the last one starts the filter anew.

        Args:
            rotation: (3, 3).
            timestamp_s: when it was seen, seconds.

        Returns:
            (3, 3) a rotation.
        """
        step_s = timestamp_s - self._timestamp_s
        self._timestamp_s = timestamp_s
        if self._rotation is None or step_s < MIN_STEP_S:
            self._rotation, self._velocity = rotation.copy(), np.zeros(3)
            return rotation.copy()
        turn = cv2.Rodrigues(rotation @ self._rotation.T)[0].reshape(3)
        weight = _weight(self._config.derivative_cutoff_hz, step_s)
        self._velocity = (1.0 - weight) * self._velocity + (weight / step_s) * turn
        speed = math.hypot(*self._velocity.tolist())
        cutoff_hz = self._config.pose_min_cutoff_hz + self._config.pose_beta * speed
        part = cv2.Rodrigues(turn * _weight(cutoff_hz, step_s))[0]
        self._rotation = np.asarray(part @ self._rotation, np.float64)
        return self._rotation.copy()


def _weight(cutoff_hz: _Cutoff, step_s: float) -> _Cutoff:
    """Share of the new value in a first-order low-pass: 1 / (1 + tau / step)."""
    return 1.0 / (1.0 + (1.0 / (2.0 * math.pi * step_s)) / cutoff_hz)
