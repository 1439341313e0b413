"""Losses of the three stages (arXiv 2103.07615, eq. 4 to 7; 5 and 7 are misprinted there)."""

import torch
from torch import Tensor
from torch.nn import functional

from atpn_mobile.landmarks import LEFT_EYE_OUTER_CORNER, RIGHT_EYE_OUTER_CORNER

MIN_INTEROCULAR = 0.2  # crop units; about half a frontal face's: profiles must not weigh infinitely
EPSILON = 1e-8


def alignment_loss(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean point-to-point distance over the inter-ocular distance.

    Args:
        predicted: (B, 98, 2) crop units.
        target: (B, 98, 2) crop units.
        weight: (B, 98) confidence of each label, 0..1.

    Returns:
        scalar.
    """
    distance = ((predicted - target).square().sum(dim=2) + EPSILON).sqrt()
    eyes = target[:, RIGHT_EYE_OUTER_CORNER] - target[:, LEFT_EYE_OUTER_CORNER]
    interocular = eyes.norm(dim=1).clamp_min(MIN_INTEROCULAR)
    loss: Tensor = ((distance * weight).mean(dim=1) / interocular).mean()
    return loss


def presence_loss(logits: Tensor, is_face: Tensor) -> Tensor:
    """Cross-entropy of face against no face: (B, 2) logits, (B,) int64 -> scalar."""
    return functional.cross_entropy(logits, is_face)


def euler_angles(rotation: Tensor) -> Tensor:
    """Yaw, pitch, roll in radians of (B, 3, 3) head rotations, in the convention of HeadPose."""
    yaw = -torch.atan2(-rotation[:, 2, 0], rotation[:, 2, 2])
    pitch = -torch.asin(rotation[:, 2, 1].clamp(-1.0, 1.0))
    roll = -torch.atan2(-rotation[:, 0, 1], rotation[:, 1, 1])
    return torch.stack([yaw, pitch, roll], dim=1)


def pose_loss(angles: Tensor, rotation: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute error of the angles, radians.

    Args:
        angles: (B, 3) yaw, pitch, roll in radians.
        rotation: (B, 3, 3) true head rotation.
        weight: (B,) 1 where the rotation is known, else 0.

    Returns:
        scalar; 0 where no rotation is known.
    """
    error = (angles - euler_angles(rotation)).abs().mean(dim=1)
    return (error * weight).sum() / weight.sum().clamp_min(1.0)
