"""What the smoothing's options cost and give: one run of the tracker, filtered again and again."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atpn_mobile import SmoothingConfig
from atpn_mobile.smoothing import OneEuroFilter
from benchmarks.record import Row
from benchmarks.tracking_measures import SeenFace, difference_percent, lag_ms

OPTIONS: Final = (
    SmoothingConfig(beta=0.0),
    *(SmoothingConfig(beta=beta) for beta in (10.0, 20.0, 40.0, 80.0, 160.0)),
    *(SmoothingConfig(min_cutoff_hz=cutoff) for cutoff in (0.5, 2.0, 4.0)),
    *(SmoothingConfig(derivative_cutoff_hz=cutoff) for cutoff in (0.5, 2.0)),
)


def curve_rows(
    still: Sequence[Sequence[SeenFace]],
    moving: Sequence[Sequence[SeenFace]],
    rate_hz: float,
    settled: int,
    options: Sequence[SmoothingConfig] = OPTIONS,
) -> list[Row]:
    """Jitter left on still faces and lag added to moving ones.

    Args:
        still: faces of scenes without motion.
        moving: faces of scenes with motion.
        rate_hz: frames per second.
        settled: frames of a still scene that do not count.
        options: the smoothings.

    Returns:
        per smoothing the highest share of the steps that is left, and the longest lag behind the
        raw landmarks.
    """
    rows: list[Row] = []
    for config in options:
        left = [
            difference_percent(_smooth(faces, rate_hz, config)[settled:], 1)
            / difference_percent(_raw(faces)[settled:], 1)
            for faces in still
        ]
        lags = [lag_ms(_smooth(faces, rate_hz, config), _raw(faces), rate_hz) for faces in moving]
        rows.append(
            {
                "min_cutoff_hz": config.min_cutoff_hz,
                "beta": config.beta,
                "derivative_cutoff_hz": config.derivative_cutoff_hz,
                "step_share": round(max(left), 4),
                "behind_raw_ms": round(max(lags), 1),
                "is_default": config == SmoothingConfig(),
            }
        )
    return rows


def _raw(faces: Sequence[SeenFace]) -> NDArray[np.float32]:
    return np.stack([face.raw_landmarks for face in faces])


def _smooth(
    faces: Sequence[SeenFace], rate_hz: float, config: SmoothingConfig
) -> NDArray[np.float32]:
    """As the tracker would have."""
    smoother = OneEuroFilter(config)
    return np.stack(
        [
            smoother.smooth(
                face.raw_landmarks,
                index / rate_hz,
                float(np.ptp(face.raw_landmarks, axis=0).max()),
            )
            for index, face in enumerate(faces)
        ]
    )
