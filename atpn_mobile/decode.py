"""Network outputs -> landmarks, pose, presence and boxes in frame pixels. Pure functions."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atpn_mobile.config import DetectorConfig
from atpn_mobile.geometry import (
    landmarks_to_frame,
    mirror_landmarks,
    mirror_rotation,
    rotate_in_image,
    rotation_from_euler,
)
from atpn_mobile.types import Detection, FloatArray, HeadPose, Roi

ALIGNMENT_OUTPUTS = ("landmarks", "pose", "presence")
DETECTION_OUTPUTS = ("boxes", "scores")

MAX_LANDMARK = 100.0  # crop units, 0..1 inside the crop: beyond it the network has gone astray


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """What the network says about one region.

    Attributes:
        landmarks: (N, 2) float32, frame pixels.
        pose: orientation of the head, in the frame.
        presence: probability that the region shows a face, 0..1.
    """

    landmarks: FloatArray
    pose: HeadPose
    presence: float


def average_views(
    plain: Mapping[str, FloatArray], mirrored: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    """Average the outputs for a crop with those for its mirror image, brought back.

    Args:
        plain: outputs of the alignment network, see ``decode_alignment``.
        mirrored: the same for the mirrored crop.
    """
    landmarks, pose, presence = (mirrored[name] for name in ALIGNMENT_OUTPUTS)
    back = {
        "landmarks": mirror_landmarks(landmarks.reshape(-1, 2)).reshape(landmarks.shape),
        "pose": pose * np.array([-1.0, 1.0, -1.0], np.float32),  # yaw and roll change sign
        "presence": presence,
    }
    return {name: (plain[name] + back[name]) * np.float32(0.5) for name in ALIGNMENT_OUTPUTS}


def decode_alignment(
    outputs: Mapping[str, FloatArray], roi: Roi, *, mirrored: bool = False
) -> Alignment | None:
    """Read the outputs of the alignment network.

    Args:
        outputs: ``landmarks`` (1, N, 2) crop units; ``pose`` (1, 3) yaw, pitch, roll in radians;
            ``presence`` (1, 1) probability, or (1, 2) with the face last.
        roi: the region that was cropped. Where it is rotated, the pose is turned with it.
        mirrored: the network saw the mirror image of the region. Landmarks keep their names, and
            come back to their places in the frame; so does the pose.

    Returns:
        None when a value is not finite, or a landmark absurdly far away: there is nothing to
        follow then.
    """
    landmarks = outputs["landmarks"]
    angles: list[float] = outputs["pose"].reshape(-1).tolist()
    presence: list[float] = outputs["presence"].reshape(-1).tolist()
    usable = np.abs(landmarks).max() < MAX_LANDMARK  # NaN compares false
    if not (usable and all(map(math.isfinite, angles + presence))):
        return None
    yaw, pitch, roll = angles
    rotation = rotation_from_euler(yaw, pitch, roll)
    points = landmarks.reshape(-1, 2)
    if mirrored:
        rotation = mirror_rotation(rotation)
        points = points * np.array([-1.0, 1.0], np.float32) + np.array([1.0, 0.0], np.float32)
    if roi.rotation_rad != 0.0:
        rotation = rotate_in_image(rotation, roi.rotation_rad)
    return Alignment(
        landmarks=landmarks_to_frame(points, roi),
        pose=HeadPose(rotation),
        presence=presence[-1],
    )


def decode_detections(
    outputs: Mapping[str, FloatArray], roi: Roi, config: DetectorConfig
) -> tuple[Detection, ...]:
    """Read the outputs of the detector network: threshold, non-maximum suppression, to the frame.

    Args:
        outputs: ``boxes`` (1, N, 4) left, top, right, bottom in crop units; ``scores`` (1, N).
        roi: the region that the input showed, turned by a multiple of 90 degrees.
        config: thresholds.

    Returns:
        Best first. Boxes may reach beyond the frame, as faces do. Boxes that are empty or not
        finite are left out.
    """
    boxes, scores = (outputs[name] for name in DETECTION_OUTPUTS)
    boxes, scores = boxes.reshape(-1, 4), scores.reshape(-1)
    usable = (scores >= np.float32(config.score_threshold)) & np.isfinite(boxes).all(axis=1)
    usable &= (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    boxes, scores = boxes[usable], scores[usable]
    chosen = suppress_overlaps(boxes, scores, config.iou_threshold, config.max_detections)
    corners = landmarks_to_frame(boxes[chosen].reshape(-1, 2), roi).reshape(-1, 2, 2)
    low, high = corners.min(axis=1), corners.max(axis=1)  # a turn exchanges them
    return tuple(
        Detection((float(left), float(top), float(right), float(bottom)), float(score))
        for (left, top), (right, bottom), score in zip(low, high, scores[chosen], strict=True)
    )


def suppress_overlaps(
    boxes_xyxy: FloatArray, scores: FloatArray, iou_threshold: float, max_boxes: int
) -> NDArray[np.intp]:
    """Greedy non-maximum suppression.

    Args:
        boxes_xyxy: (N, 4) left, top, right, bottom.
        scores: (N,).
        iou_threshold: a box that overlaps a better one by more than this is dropped.
        max_boxes: stop after so many.

    Returns:
        Indices of the boxes kept, best first; of equal scores the earlier index is better.
    """
    areas = (boxes_xyxy[:, 2] - boxes_xyxy[:, 0]) * (boxes_xyxy[:, 3] - boxes_xyxy[:, 1])
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while order.size > 0 and len(kept) < max_boxes:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        low = np.maximum(boxes_xyxy[best, :2], boxes_xyxy[rest, :2])
        high = np.minimum(boxes_xyxy[best, 2:], boxes_xyxy[rest, 2:])
        intersection = np.maximum(high - low, 0.0).prod(axis=1)
        union = np.maximum(areas[best] + areas[rest] - intersection, np.finfo(np.float32).tiny)
        iou = intersection / union
        order = rest[iou <= iou_threshold]
    return np.array(kept, dtype=np.intp)
