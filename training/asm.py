"""The ASM-assisted loss of ASMNet: a point distribution model of the training shapes, and its use.

Fard, Abdollahi and Mahoor, "ASMNet", CVPRW 2021, after the active shape model of Cootes et al.
(CVIU 1995). ``ASM(shape)`` is the nearest shape of a space with few dimensions: a smoother face,
which a network learns first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atpn_mobile.landmarks import NUM_LANDMARKS
from atpn_mobile.types import FloatArray
from training.augment import AugmentConfig
from training.data.crops import FaceSource, place_landmarks, random_placement
from training.losses import squared_loss

KEPT_VARIANCE: Final = 0.9  # share of the variance of the training shapes that the space keeps
MAX_DEVIATIONS: Final = 3.0  # each coefficient stays within so many standard deviations
ASM_WEIGHTS: Final = (2.0, 1.0, 0.5)  # of the smooth target, in the thirds of a training


@dataclass(frozen=True, slots=True, eq=False)
class ShapeSpace:
    """A point distribution model: mean shape and K directions in which shapes vary.

    Attributes:
        mean: (196,) x and y of each landmark in turn, crop units.
        basis: (K, 196) orthonormal directions, by falling variance.
        limits: (K,) the most that a coefficient may be, either way.
    """

    mean: Tensor
    basis: Tensor
    limits: Tensor

    def to(self, device: str) -> "ShapeSpace":
        """The same space on a device."""
        return ShapeSpace(self.mean.to(device), self.basis.to(device), self.limits.to(device))

    def project(self, shapes: Tensor) -> Tensor:
        """ASM(): the nearest shapes of the space whose coefficients are within their limits.

        Args:
            shapes: (B, 98, 2) crop units.

        Returns:
            (B, 98, 2) crop units.
        """
        coefficients = (shapes.flatten(1) - self.mean) @ self.basis.T
        coefficients = torch.maximum(torch.minimum(coefficients, self.limits), -self.limits)
        return (self.mean + coefficients @ self.basis).reshape(shapes.shape)


def fit_shape_space(
    shapes: NDArray[np.floating],
    weights: NDArray[np.floating] | None = None,
    kept_variance: float = KEPT_VARIANCE,
) -> ShapeSpace:
    """Principal components of shapes.

    Args:
        shapes: (N, 98, 2) crop units.
        weights: (N,) how much each shape counts; None for all alike.
        kept_variance: the fewest components are kept that explain this share, above 0, at most 1.

    Returns:
        a space in float32; the same shapes give the same space.

    Raises:
        ValueError: a shape or the share is not as above, or all shapes are one.
    """
    if shapes.ndim != 3 or shapes.shape[1:] != (NUM_LANDMARKS, 2) or len(shapes) < 2:
        raise ValueError(f"expected shapes (N, 98, 2) with N > 1, got {shapes.shape}")
    if weights is not None and weights.shape != shapes.shape[:1]:
        raise ValueError(f"expected weights ({len(shapes)},), one per shape, got {weights.shape}")
    if not 0.0 < kept_variance <= 1.0:
        raise ValueError(f"expected kept_variance above 0 and at most 1, got {kept_variance}")
    points = shapes.reshape(len(shapes), -1).astype(np.float64)
    share = np.ones(len(shapes)) if weights is None else weights.astype(np.float64)
    share /= share.sum()
    mean = share @ points
    offsets = points - mean
    variances, directions = np.linalg.eigh(offsets.T @ (offsets * share[:, None]))
    variances, directions = variances[::-1].clip(min=0.0), directions[:, ::-1]
    if variances[0] <= 0.0:
        raise ValueError(f"expected shapes that differ, got {len(shapes)} equal ones")
    explained = np.cumsum(variances) / variances.sum()
    count = int(np.searchsorted(explained, kept_variance - 1e-12)) + 1
    return ShapeSpace(
        mean=torch.from_numpy(mean).float(),
        basis=torch.from_numpy(directions[:, :count].T.copy()).float(),
        limits=torch.from_numpy(MAX_DEVIATIONS * np.sqrt(variances[:count])).float(),
    )


def training_space(sources: Sequence[FaceSource], augment: AugmentConfig, seed: int) -> ShapeSpace:
    """The space of the shapes that a training shows: moved, turned and mirrored as its crops are.

    Args:
        sources: faces; a source's weight counts as in training.
        augment: how its crops are moved.
        seed: of the movements.

    Raises:
        ValueError: there are fewer than two faces.
    """
    rng = np.random.default_rng(seed)
    shapes: list[FloatArray] = []
    weights: list[float] = []
    for source in sources:
        for face in source.faces:
            placement = random_placement(face.points98, augment, rng)
            shapes.append(place_landmarks(face.points98, placement))
            weights.append(source.weight)
    return fit_shape_space(np.reshape(shapes, (-1, NUM_LANDMARKS, 2)), np.array(weights))


def asm_weight(progress: float) -> float:
    """Weight of the smooth target at a share of the training, 0..1: it falls third by third."""
    third = min(int(progress * len(ASM_WEIGHTS)), len(ASM_WEIGHTS) - 1)
    return ASM_WEIGHTS[third]


def asm_assisted_loss(
    predicted: Tensor, target: Tensor, weight: Tensor, space: ShapeSpace, progress: float
) -> Tensor:
    """Squared distance to the target, and, weighted by the progress, to the smooth target.

    Args:
        predicted: (B, 98, 2) crop units.
        target: (B, 98, 2) crop units.
        weight: (B, 98) confidence of each label, 0..1.
        space: of the training shapes, on the device of the target.
        progress: share of the training that is done, 0..1.

    Returns:
        scalar.
    """
    smooth = squared_loss(predicted, space.project(target), weight)
    return squared_loss(predicted, target, weight) + asm_weight(progress) * smooth
