"""Loss of the detector: penalty-reduced focal loss for the score, GIoU for the box."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

FOCAL_POWER = 2.0  # alpha of CenterNet (arXiv 1904.07850, eq. 1)
PENALTY_POWER = 4.0  # beta of the same: how fast the punishment sinks towards a centre
PEAK = 0.999  # a score target above this is a centre
BOX_WEIGHT = 2.0  # balances box against score, as GIoU losses usually are


class TargetBatch(NamedTuple):
    """The targets of a batch, as in ``DetectorTargets``, stacked."""

    scores: Tensor  # (B, S, S)
    score_weights: Tensor  # (B, S, S)
    boxes: Tensor  # (B, 4, S, S)
    box_weights: Tensor  # (B, S, S)
    counts: Tensor  # (B,)


class DetectorLoss(NamedTuple):
    """Scalars."""

    total: Tensor
    score: Tensor
    box: Tensor


def focal_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Penalty-reduced focal loss of CenterNet, summed over all cells.

    Args:
        logits: (B, S, S).
        targets: (B, S, S) 1 at centres, below 1 around them.
        weights: (B, S, S) 0 where the answer is not known.
    """
    probability = torch.sigmoid(logits)
    positive = -functional.logsigmoid(logits) * (1.0 - probability) ** FOCAL_POWER
    negative = -functional.logsigmoid(-logits) * probability**FOCAL_POWER
    negative = negative * (1.0 - targets) ** PENALTY_POWER
    return (torch.where(targets > PEAK, positive, negative) * weights).sum()


def giou_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """1 - generalised IoU (Rezatofighi et al., CVPR 2019) of boxes, 0..2.

    Args:
        predicted: (B, 4, ...) left, top, right, bottom, not empty.
        target: likewise.

    Returns:
        (B, ...).
    """
    left_top = torch.maximum(predicted[:, :2], target[:, :2])
    right_bottom = torch.minimum(predicted[:, 2:], target[:, 2:])
    outer_left_top = torch.minimum(predicted[:, :2], target[:, :2])
    outer_right_bottom = torch.maximum(predicted[:, 2:], target[:, 2:])
    intersection = _area(left_top, right_bottom)
    union = (
        _area(predicted[:, :2], predicted[:, 2:])
        + _area(target[:, :2], target[:, 2:])
        - intersection
    )
    hull = _area(outer_left_top, outer_right_bottom)
    tiny = 1e-9
    return 1.0 - intersection / (union + tiny) + (hull - union) / (hull + tiny)


def _area(left_top: Tensor, right_bottom: Tensor) -> Tensor:
    return (right_bottom - left_top).clamp(min=0.0).prod(dim=1)


def detector_loss(logits: Tensor, boxes: Tensor, targets: TargetBatch) -> DetectorLoss:
    """Loss per face of a batch.

    Args:
        logits: (B, 1, S, S).
        boxes: (B, 4, S, S) left, top, right, bottom in 0..1, as ``Detector.decode_boxes`` gives.
        targets: what they should be.
    """
    faces = targets.counts.sum().clamp(min=1).to(logits.dtype)
    score = focal_loss(logits[:, 0], targets.scores, targets.score_weights) / faces
    box = (giou_loss(boxes, targets.boxes) * targets.box_weights).sum() / faces
    return DetectorLoss(score + BOX_WEIGHT * box, score, box)
