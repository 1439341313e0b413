"""Rare poses are drawn more often: most faces of any collection look into the camera.

PFLD (arXiv 1902.10859) weights its loss by the pose for the same reason; drawing rare faces more
often leaves the loss as it is, and shows each of them under more augmentations.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]

from atpn_mobile.types import FloatArray, HeadPose

Array = NDArray[np.float64]

CELL_DEG: Final = 4.0
SMOOTHING_DEG: Final = 8.0  # the labels' own uncertainty
YAW_LIMIT_DEG: Final = 92.0
PITCH_LIMIT_DEG: Final = 60.0
MAX_FACTOR: Final = 4.0  # of a face against the usual one: the rarest are often wrong labels


def pose_factors(
    sources: Sequence[Sequence[FloatArray | None]], weights: Sequence[float], exponent: float
) -> list[Array]:
    """How often each face is to be drawn, relative to its source.

    A face counts the inverse density of its yaw and pitch among all sources, to a power; left and
    right are taken together.

    Args:
        sources: per source the rotations (3, 3) of its faces, None where unknown.
        weights: of a face of each source.
        exponent: 0 draws all alike, 1 as if every pose were equally frequent.

    Returns:
        per source (N,) factors with a mean of 1; 1 before that for a face of unknown pose.
    """
    cells = [_cells(rotations) for rotations in sources]
    shape = (round(2 * YAW_LIMIT_DEG / CELL_DEG), round(2 * PITCH_LIMIT_DEG / CELL_DEG))
    counts: Array = np.zeros(shape)
    for (places, known), weight in zip(cells, weights, strict=True):
        np.add.at(counts, tuple(places[known].T), weight)
    density = gaussian_filter(counts + counts[::-1], SMOOTHING_DEG / CELL_DEG, mode="constant")
    usual = max(float(np.average(density, weights=counts)), 1e-12) if counts.any() else 1.0
    found = []
    for places, known in cells:
        factors = np.ones(len(places))
        relative = usual / np.maximum(density[tuple(places[known].T)], 1e-12)
        factors[known] = np.clip(relative**exponent, 1.0 / MAX_FACTOR, MAX_FACTOR)
        found.append(factors / factors.mean())
    return found


def _cells(rotations: Sequence[FloatArray | None]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The cell of each pose, (N, 2) of yaw and pitch, and whether it is known, (N,)."""
    poses = [None if one is None else HeadPose(one.astype(np.float64)) for one in rotations]
    angles = np.array(
        [(0.0, 0.0) if pose is None else (pose.yaw_deg, pose.pitch_deg) for pose in poses]
    ).reshape(-1, 2)
    limits = np.array([YAW_LIMIT_DEG, PITCH_LIMIT_DEG]) - 1e-6
    places = np.floor((np.clip(angles, -limits, limits) + limits) / CELL_DEG).astype(np.intp)
    return places, np.array([pose is not None for pose in poses], dtype=bool)
