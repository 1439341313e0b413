"""Which boxes show the same face. Pure functions."""

import math
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
    to two decimals, noise must not decide, and the later in the order goes.

    Args:
        boxes_xyxy: box per track, the one to be preferred first.
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


MAX_SIZE_RATIO = 2.0  # between a lost face and one that may be it


def match_lost(
    boxes_xyxy: Sequence[Box], lost_xyxy: Sequence[Box], max_distance: float
) -> tuple[int | None, ...]:
    """Which faces that were lost have come back.

    The nearest pair first; a face is matched once. Distances are between centres, in longer sides
    of the lost face's box.

    Args:
        boxes_xyxy: of the faces that were found.
        lost_xyxy: where lost faces were last seen.
        max_distance: farther away, it is another face.

    Returns:
        per found face the index of the lost one, None where it is none of them.
    """
    pairs = sorted(
        (distance, found, lost)
        for found, box in enumerate(boxes_xyxy)
        for lost, other in enumerate(lost_xyxy)
        if (distance := _distance(box, other)) <= max_distance
    )
    matches: dict[int, int] = {}
    for _, found, lost in pairs:
        if found not in matches and lost not in matches.values():
            matches[found] = lost
    return tuple(matches.get(found) for found in range(len(boxes_xyxy)))


def longer_side(box: Box) -> float:
    """Length of a box's longer side."""
    return max(box[2] - box[0], box[3] - box[1])


def _distance(box: Box, lost: Box) -> float:
    """Between the centres, in sizes of the lost face; infinite for faces of other sizes."""
    size, other = longer_side(box), longer_side(lost)
    if not 1.0 / MAX_SIZE_RATIO <= size / other <= MAX_SIZE_RATIO:
        return math.inf
    dx = (box[0] + box[2] - lost[0] - lost[2]) / 2.0
    dy = (box[1] + box[3] - lost[1] - lost[3]) / 2.0
    return math.hypot(dx, dy) / other
