"""Which boxes show the same face. Pure functions."""

from collections.abc import Sequence

from atpn_mobile.geometry import box_iou

Box = tuple[float, float, float, float]  # left, top, right, bottom, frame pixels


def overlaps_any(box_xyxy: Box, others: Sequence[Box], iou_threshold: float) -> bool:
    """Whether a box shows the same face as one of the others: IoU at or above the threshold."""
    return any(box_iou(box_xyxy, other) >= iou_threshold for other in others)


def distinct_faces(
    boxes_xyxy: Sequence[Box], presences: Sequence[float], iou_threshold: float
) -> tuple[int, ...]:
    """Choose one track per face.

    Of two tracks on one face the one with the lower presence goes: its region fits the face worse,
    as a region does that has just slid over from a face that is hidden now. Where presences agree
    to two decimals, noise must not decide, and the younger goes.

    Args:
        boxes_xyxy: box per track, the oldest track first.
        presences: presence per track.
        iou_threshold: tracks whose boxes overlap by at least this sit on one face.

    Returns:
        Indices of the tracks to keep, ascending.
    """
    order = sorted(range(len(boxes_xyxy)), key=lambda index: (-round(presences[index], 2), index))
    kept: list[int] = []
    for index in order:
        if not overlaps_any(boxes_xyxy[index], [boxes_xyxy[i] for i in kept], iou_threshold):
            kept.append(index)
    return tuple(sorted(kept))
