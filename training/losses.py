"""Losses of landmarks, head pose and presence.

``alignment_loss``, ``presence_loss`` and ``pose_loss`` are those of the three stages of the paper
(arXiv 2103.07615, eq. 4 to 7; 5 and 7 are misprinted there).
"""

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from atpn_mobile.landmarks import LEFT_EYE_OUTER_CORNER, RIGHT_EYE_OUTER_CORNER

MIN_INTEROCULAR = 0.2  # crop units; about half a frontal face's: profiles must not weigh infinitely
EPSILON = 1e-8

# In inter-ocular distances. The wing loss was published with a width of 10 and a curvature of 2
# pixels for crops of 256 pixels, where such a distance is about 90 pixels.
SMOOTH_L1_BETA: Final = 0.02  # error from which on the loss is linear
WING_WIDTH: Final = 0.1  # error from which on the loss is linear
WING_CURVATURE: Final = 0.02


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
    loss: Tensor = ((distance * weight).mean(dim=1) / _interocular(target)).mean()
    return loss


def smooth_l1_loss(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Smooth L1 (Girshick, ICCV 2015) of the coordinates, in inter-ocular distances.

    Arguments and result as of ``alignment_loss``.
    """
    error = _coordinate_errors(predicted, target)
    loss = torch.where(
        error < SMOOTH_L1_BETA,
        error.square() * (0.5 / SMOOTH_L1_BETA),
        error - 0.5 * SMOOTH_L1_BETA,
    )
    return (loss.sum(dim=2) * weight).mean()


def wing_loss(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Wing loss (Feng et al., CVPR 2018) of the coordinates, in inter-ocular distances.

    Arguments and result as of ``alignment_loss``.
    """
    error = _coordinate_errors(predicted, target)
    offset = WING_WIDTH - WING_WIDTH * math.log1p(WING_WIDTH / WING_CURVATURE)
    curved = WING_WIDTH * torch.log1p(error / WING_CURVATURE)
    loss = torch.where(error < WING_WIDTH, curved, error - offset)
    return (loss.sum(dim=2) * weight).mean()


def squared_loss(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean squared distance of the landmarks, in crop units.

    Arguments and result as of ``alignment_loss``.
    """
    return ((predicted - target).square().sum(dim=2) * weight).mean()


def _interocular(target: Tensor) -> Tensor:
    """(B, 98, 2) -> (B,) outer-eye distances that errors are divided by."""
    eyes = target[:, RIGHT_EYE_OUTER_CORNER] - target[:, LEFT_EYE_OUTER_CORNER]
    distance: Tensor = eyes.norm(dim=1).clamp_min(MIN_INTEROCULAR)
    return distance


def _coordinate_errors(predicted: Tensor, target: Tensor) -> Tensor:
    """(B, 98, 2) absolute errors, in inter-ocular distances."""
    return (predicted - target).abs() / _interocular(target)[:, None, None]


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


def squared_pose_loss(angles: Tensor, rotation: Tensor, weight: Tensor) -> Tensor:
    """Mean squared error of the angles in units of pi, about the size of squared crop units.

    Arguments and result as of ``pose_loss``.
    """
    error = ((angles - euler_angles(rotation)) / math.pi).square().mean(dim=1)
    return (error * weight).sum() / weight.sum().clamp_min(1.0)
