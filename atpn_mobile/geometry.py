"""Regions, crop transforms and head rotations. Pure functions.

Two coordinate systems for a crop: *crop pixels*, pixel centres at integers, and *crop units*,
0..1 from the outer edge of the first pixel to the outer edge of the last, whatever the resolution:
``u = (pixel + 0.5) / resolution``. The network's landmarks are crop units.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from atpn_mobile.landmarks import MIRROR
from atpn_mobile.types import FloatArray, Frame, HeadPose, Roi

ROI_EXTENSION = (
    0.25  # of the longer side, on each boundary: side = 1.5 x (arXiv 2103.07615, sec. 3)
)

# A region at rest; see ``steady_roi``. Training moved its crops by several times as much.
POSITION_STEP = 0.02  # of the grid of centres, share of the size
SIZE_STEP = 0.035  # of the grid of sizes, in their natural logarithm
# Grid steps that a region may be off before it moves. The network's own idea of the place moves
# with the region, by up to about 0.6 of its step and against it: with less than 0.8 steps some
# still faces have no region that fits, and the region goes back and forth in every frame.
KEEP = 1.0


def box_from_landmarks(landmarks: FloatArray) -> tuple[float, float, float, float]:
    """Bounding box of (N, 2) points: left, top, right, bottom."""
    left, top = np.minimum.reduce(landmarks).tolist()  # in less time than landmarks.min(axis=0)
    right, bottom = np.maximum.reduce(landmarks).tolist()
    return left, top, right, bottom


def roi_from_box(
    box_xyxy: tuple[float, float, float, float], extension: float = ROI_EXTENSION
) -> Roi:
    """Square region around a box: its centre, its longer side extended on each boundary.

    Args:
        box_xyxy: left, top, right, bottom, frame pixels.
        extension: share of the longer side added at each boundary.

    Raises:
        InvalidFrameError: the box is empty or not finite.
    """
    left, top, right, bottom = box_xyxy
    size = max(right - left, bottom - top) * (1.0 + 2.0 * extension)
    return Roi((left + right) / 2.0, (top + bottom) / 2.0, size)


def roi_from_landmarks(landmarks: FloatArray, extension: float = ROI_EXTENSION) -> Roi:
    """Region in which a face with these (N, 2) landmarks is looked for in the next frame."""
    return roi_from_box(box_from_landmarks(landmarks), extension)


def box_from_roi(roi: Roi, extension: float = ROI_EXTENSION) -> tuple[float, float, float, float]:
    """The square box whose region this is, rotation left out: left, top, right, bottom."""
    half = roi.size / (1.0 + 2.0 * extension) / 2.0
    return roi.center_x - half, roi.center_y - half, roi.center_x + half, roi.center_y + half


def box_iou(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Intersection over union of two boxes (left, top, right, bottom), 0..1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0.0 or height <= 0.0:
        return 0.0
    intersection = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - intersection
    return intersection / union


def steady_roi(current: Roi, target: Roi) -> Roi:
    """Where to look next: the same region as long as it fits, else a nearby one out of a grid.

    A region that follows every small change of the landmarks feeds the network's own noise back to
    it: on a still face the crop never rests, and a difference in the last digit between two engines
    grows to pixels. A region that rests until it is off by ``KEEP`` of a grid step, and then jumps
    to the grid, ends both.

    Args:
        current: the region of this frame.
        target: the region by this frame's landmarks.

    Returns:
        ``current``, or the region of the grid next to ``target``: sizes are powers of
        ``exp(SIZE_STEP)``, centres are multiples of ``POSITION_STEP`` times the size.
    """
    reach = KEEP * POSITION_STEP * current.size
    fits = (
        abs(target.center_x - current.center_x) <= reach
        and abs(target.center_y - current.center_y) <= reach
        and abs(math.log(target.size / current.size)) <= KEEP * SIZE_STEP
        and target.rotation_rad == current.rotation_rad
    )
    if fits:
        return current
    return on_grid(target)


def on_grid(roi: Roi) -> Roi:
    """The nearest of the regions that ``steady_roi`` jumps to; at most half a step away."""
    size = math.exp(_nearest(math.log(roi.size) / SIZE_STEP) * SIZE_STEP)
    step = POSITION_STEP * size
    return Roi(
        _nearest(roi.center_x / step) * step,
        _nearest(roi.center_y / step) * step,
        size,
        roi.rotation_rad,
    )


def _nearest(value: float) -> int:
    """The nearest whole number; halves go up, so that ports in other languages agree."""
    return math.floor(value + 0.5)


def upright_rotation(rotation_deg: int) -> float:
    """How a region is turned that shows faces upright, in radians, clockwise in the image.

    Args:
        rotation_deg: clockwise turn that would put the frame upright: a multiple of 90.
    """
    return math.radians((179 - rotation_deg) % 360 - 179)  # above -180, up to 180


def crop_to_frame_matrix(roi: Roi, resolution: int) -> NDArray[np.float64]:
    """Affine map of crop pixels to frame pixels.

    Args:
        roi: the region.
        resolution: pixels on a side of the crop.

    Returns:
        (2, 3) float64.
    """
    scale = roi.size / resolution
    cos, sin = scale * math.cos(roi.rotation_rad), scale * math.sin(roi.rotation_rad)
    middle = (resolution - 1) / 2.0
    return np.array(
        [
            [cos, -sin, roi.center_x - middle * (cos - sin)],
            [sin, cos, roi.center_y - middle * (sin + cos)],
        ]
    )


def crop_frame(frame: Frame, roi: Roi, resolution: int) -> Frame:
    """Cut a region out of a frame in one affine, bilinear pass; black outside the frame.

    Args:
        frame: (H, W) or (H, W, C) uint8.
        roi: the region.
        resolution: pixels on a side of the crop.

    Returns:
        (resolution, resolution) or (resolution, resolution, C) uint8.
    """
    crop = cv2.warpAffine(
        frame,
        crop_to_frame_matrix(roi, resolution),
        (resolution, resolution),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )
    return crop.astype(np.uint8, copy=False)


def landmarks_to_frame(landmarks: FloatArray, roi: Roi) -> FloatArray:
    """Move (N, 2) landmarks from crop units to frame pixels."""
    if roi.rotation_rad == 0.0:  # the same numbers as below, in a third of the time
        center = np.array([roi.center_x, roi.center_y], landmarks.dtype)
        return ((landmarks - 0.5) * roi.size + center).astype(np.float32, copy=False)
    cos = roi.size * math.cos(roi.rotation_rad)
    sin = roi.size * math.sin(roi.rotation_rad)
    x, y = landmarks[:, 0] - 0.5, landmarks[:, 1] - 0.5
    return np.stack(
        [roi.center_x + cos * x - sin * y, roi.center_y + sin * x + cos * y], axis=1
    ).astype(np.float32, copy=False)


def landmarks_to_crop(landmarks: FloatArray, roi: Roi) -> FloatArray:
    """Move (N, 2) landmarks from frame pixels to crop units: the inverse of landmarks_to_frame."""
    cos = math.cos(roi.rotation_rad) / roi.size
    sin = math.sin(roi.rotation_rad) / roi.size
    x, y = landmarks[:, 0] - roi.center_x, landmarks[:, 1] - roi.center_y
    return np.stack([0.5 + cos * x + sin * y, 0.5 - sin * x + cos * y], axis=1).astype(
        np.float32, copy=False
    )


def rotation_from_euler(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """Head rotation from angles in radians, in the convention of ``HeadPose``.

    Returns:
        (3, 3) float64, ``Rz(-roll) Rx(-pitch) Ry(-yaw)``.
    """
    cy, sy = math.cos(-yaw), math.sin(-yaw)
    cp, sp = math.cos(-pitch), math.sin(-pitch)
    cr, sr = math.cos(-roll), math.sin(-roll)
    return np.array(  # multiplied out: three matrix products cost more than the landmarks
        [
            [cr * cy - sr * sp * sy, -sr * cp, cr * sy + sr * sp * cy],
            [sr * cy + cr * sp * sy, cr * cp, sr * sy - cr * sp * cy],
            [-cp * sy, sp, cp * cy],
        ]
    )


def euler_from_rotation(rotation: NDArray[np.floating]) -> tuple[float, float, float]:
    """Angles (yaw, pitch, roll) in radians of a (3, 3) head rotation; pitch within +-pi/2."""
    pose = HeadPose(rotation.astype(np.float64))
    return math.radians(pose.yaw_deg), math.radians(pose.pitch_deg), math.radians(pose.roll_deg)


def rotate_in_image(rotation: NDArray[np.float64], rotation_rad: float) -> NDArray[np.float64]:
    """Head rotation after the picture was turned clockwise by an angle in radians."""
    return rotation_from_euler(0.0, 0.0, rotation_rad) @ rotation


def mirror_landmarks(landmarks: FloatArray) -> FloatArray:
    """(98, 2) crop units in the mirrored crop: other places, and right is left."""
    mirrored = landmarks[MIRROR]
    mirrored[:, 0] = 1.0 - mirrored[:, 0]
    return mirrored


def mirror_rotation(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Head rotation in the mirrored picture: yaw and roll change sign."""
    signs: NDArray[np.float64] = np.array([-1.0, 1.0, 1.0])
    mirrored: NDArray[np.float64] = rotation * signs[:, None] * signs[None, :]
    return mirrored
