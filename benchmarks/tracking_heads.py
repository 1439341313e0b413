"""Heads cut out of frames, to be put into others where every place is known."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from atpn_mobile.types import FloatArray, Frame

BACKDROP_SEED: Final = 7


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A head cut out of a frame.

    Attributes:
        picture: (h, w, 3) uint8, BGR.
        mask: (h, w) float32, how much of each pixel is head, 0..1.
        landmarks: (98, 2) pixels of the picture.
    """

    picture: Frame
    mask: FloatArray
    landmarks: FloatArray

    @property
    def size(self) -> float:
        """The longer side of the landmarks' box, pixels."""
        return float(np.ptp(self.landmarks, axis=0).max())


def cut_out(frame: Frame, landmarks: FloatArray) -> Head:
    """Cut a head out of a frame along a soft oval.

    Args:
        frame: BGR.
        landmarks: (98, 2) of the head, pixels of the frame.
    """
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    width, height = high - low
    # The landmarks end at the brows: the oval goes higher, for the forehead and hair.
    center = (low + high) / 2.0 - np.array([0.0, 0.15 * height])
    reach = np.array([0.95 * max(width, 0.75 * height), 1.1 * height])
    left, top = np.maximum(np.floor(center - reach), 0).astype(int)
    right, bottom = np.minimum(np.ceil(center + reach) + 1, frame.shape[1::-1]).astype(int)
    picture = np.ascontiguousarray(frame[top:bottom, left:right])
    mask = np.zeros(picture.shape[:2], np.float32)
    middle = (float(center[0] - left), float(center[1] - top))
    axes = (float(1.8 * reach[0]), float(1.8 * reach[1]))
    cv2.ellipse(mask, (middle, axes, 0.0), (1.0,), thickness=-1)
    soft = cv2.GaussianBlur(mask, (0, 0), 0.02 * float(height)).astype(np.float32)
    return Head(picture, soft, landmarks - np.array([left, top], np.float32))


def scaled_to(head: Head, size: float) -> Head:
    """A head with a face of another size, pixels."""
    height, width = head.mask.shape
    shape = (round(width * size / head.size), round(height * size / head.size))
    scale = np.array([shape[0] / width, shape[1] / height], np.float32)
    method = cv2.INTER_AREA if size < head.size else cv2.INTER_LINEAR
    return Head(
        cv2.resize(head.picture, shape, interpolation=method).astype(np.uint8),
        cv2.resize(head.mask, shape, interpolation=method).astype(np.float32),
        (head.landmarks + 0.5) * scale - 0.5,
    )


def paste(canvas: Frame, head: Head, left: int, top: int) -> FloatArray:
    """Put a head into a picture, in place; what leaves the picture is cut off.

    Args:
        canvas: BGR.
        head: what to put there.
        left: column of its first pixel; whole, so that no pixel is interpolated.
        top: row of its first pixel.

    Returns:
        (98, 2) the landmarks in the picture.
    """
    height, width = head.mask.shape
    rows = slice(max(top, 0), max(0, min(top + height, canvas.shape[0])))
    columns = slice(max(left, 0), max(0, min(left + width, canvas.shape[1])))
    if rows.start < rows.stop and columns.start < columns.stop:
        part = (
            slice(rows.start - top, rows.stop - top),
            slice(columns.start - left, columns.stop - left),
        )
        mask = head.mask[part][:, :, np.newaxis]
        below = canvas[rows, columns].astype(np.float32)
        mixed = below + mask * (head.picture[part] - below)
        canvas[rows, columns] = np.rint(mixed).astype(np.uint8)
    return head.landmarks + np.array([left, top], np.float32)


def covered(head: Head, left: int, top: int, landmarks: FloatArray) -> NDArray[np.bool_]:
    """Which landmarks of another face lie behind a head.

    Args:
        head: in front.
        left: column of its first pixel.
        top: row of its first pixel.
        landmarks: (98, 2) of the other face.

    Returns:
        (98,) bool.
    """
    height, width = head.mask.shape
    columns, rows = np.rint(landmarks - np.array([left, top])).astype(int).T
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    behind = head.mask[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)] > 0.5
    hidden: NDArray[np.bool_] = inside & behind
    return hidden


def backdrop(width: int, height: int) -> Frame:
    """A wall of soft colours, BGR."""
    coarse = np.random.default_rng(BACKDROP_SEED).integers(60, 190, (5, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
