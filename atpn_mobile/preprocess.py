"""Frame -> network input. Pure functions."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from atpn_mobile.config import Color, QuarterTurn
from atpn_mobile.errors import InvalidFrameError
from atpn_mobile.geometry import crop_frame, upright_rotation
from atpn_mobile.manifest import InputSpec
from atpn_mobile.types import FloatArray, Frame, Roi

MAX_FRAME_SIDE = 32_766  # pixels: cv2.warpAffine of OpenCV 4 takes no more

_TO_RGB = {"bgr": cv2.COLOR_BGR2RGB, "grey": cv2.COLOR_GRAY2RGB}

_HINTS = {
    "grey": 'say so with color="grey"',
    "alpha": "drop the alpha channel with cv2.cvtColor(frame, cv2.COLOR_RGBA2RGB)",
    "float": "scale its values to 0..255, then frame.astype(np.uint8)",
}


def check_frame(frame: object, color: Color = "rgb") -> Frame:
    """Check a frame at the border of the package.

    Args:
        frame: (H, W, 3) uint8, or (H, W) or (H, W, 1) for "grey"; any strides, read-only or not.
        color: what it is said to be.

    Returns:
        The same pixels, contiguous; a copy only where the frame was not.

    Raises:
        InvalidFrameError: it is anything else.
    """
    if isinstance(frame, np.ndarray):
        if color == "grey" and frame.ndim == 3 and frame.shape[2] == 1:
            frame = frame[:, :, 0]
        fits = frame.ndim == 2 if color == "grey" else frame.ndim == 3 and frame.shape[2] == 3
        small = frame.size > 0 and max(frame.shape, default=0) <= MAX_FRAME_SIDE
        if fits and small and frame.dtype == np.uint8:
            return np.ascontiguousarray(frame)
    raise InvalidFrameError(_what_is_wrong(frame, color))


def _what_is_wrong(frame: object, color: Color) -> str:
    """The message for what is no frame."""
    shape = "(H, W)" if color == "grey" else "(H, W, 3)"
    expected = f"expected a frame of shape {shape} and dtype uint8"
    if not isinstance(frame, np.ndarray):
        return f"{expected}, got {type(frame).__name__}"
    got = f"got shape {frame.shape} and dtype {frame.dtype}"
    fits = frame.ndim == 2 if color == "grey" else frame.ndim == 3 and frame.shape[2] == 3
    if not fits or frame.dtype != np.uint8:
        return f"{expected}, {got}{_hint(frame, color)}"
    if frame.size == 0:
        return f"{expected}, {got}: an empty picture"
    return f"{expected}, no side above {MAX_FRAME_SIDE} pixels, {got}"


def _hint(frame: np.ndarray[Any, Any], color: Color) -> str:
    """What may have gone wrong with a frame of another shape or type."""
    channels = frame.shape[2] if frame.ndim == 3 else 1 if frame.ndim == 2 else 0
    if color == "grey":
        return '; say color="rgb" or "bgr" for pictures with colours' if channels == 3 else ""
    if channels == 1:
        return f": a grey picture; {_HINTS['grey']}"
    if channels == 4:
        return f"; {_HINTS['alpha']}"
    return f"; {_HINTS['float']}" if np.issubdtype(frame.dtype, np.floating) else ""


def letterbox(frame: Frame, resolution: int) -> tuple[Frame, Roi]:
    """Scale a frame so that its longer side fills a square; centred, black bars.

    Args:
        frame: (H, W, 3) or (H, W) uint8.
        resolution: pixels on a side of the square.

    Returns:
        The square, uint8, with the frame's channels, and the region of the frame it shows: crop
        units of the square go back to the frame through it.
    """
    height, width = frame.shape[:2]
    longer = max(height, width)
    new_width = _centered_length(width, longer, resolution)
    new_height = _centered_length(height, longer, resolution)
    # INTER_AREA averages what falls into a pixel: no aliasing of small faces.
    method = cv2.INTER_AREA if longer > resolution else cv2.INTER_LINEAR
    scaled = cv2.resize(frame, (new_width, new_height), interpolation=method)
    square = np.zeros((resolution, resolution, *frame.shape[2:]), np.uint8)
    top, left = (resolution - new_height) // 2, (resolution - new_width) // 2
    square[top : top + new_height, left : left + new_width] = scaled
    return square, Roi((width - 1) / 2.0, (height - 1) / 2.0, float(longer))


def _centered_length(length: int, longer: int, resolution: int) -> int:
    """Scaled length, rounded so that the bars on both sides are equal: the centre stays exact."""
    bar = round((resolution - length * resolution / longer) / 2.0)
    return max(resolution - 2 * bar, 2 - resolution % 2)


def to_tensor(picture: Frame, spec: InputSpec, color: Color) -> FloatArray:
    """Turn a square picture into a network input.

    Args:
        picture: (resolution, resolution, 3) uint8, or (resolution, resolution) for "grey".
        spec: what the network takes.
        color: order of the picture's channels.

    Returns:
        float32 of ``spec.shape``, in RGB, values 0..255.
    """
    if spec.layout == "NCHW" and color != "grey":
        # by OpenCV: NumPy takes channels apart in twice the time
        planes = np.empty((3, *picture.shape[:2]), np.uint8)
        cv2.split(picture, tuple(planes) if color == "rgb" else tuple(planes[::-1]))
        return planes[np.newaxis].astype(np.float32)
    if color != "rgb":  # NumPy reads swapped channels ten times as slowly
        picture = cv2.cvtColor(picture, _TO_RGB[color]).astype(np.uint8, copy=False)
    channels = picture.transpose(2, 0, 1) if spec.layout == "NCHW" else picture
    return np.ascontiguousarray(channels[np.newaxis], dtype=np.float32)


def crop_tensor(
    frame: Frame, roi: Roi, spec: InputSpec, color: Color, *, mirrored: bool = False
) -> FloatArray:
    """Cut a region out of a frame as a network input: one affine pass.

    Args:
        frame: (H, W, 3) uint8, or (H, W) for "grey".
        roi: the region; black where it leaves the frame.
        spec: what the network takes.
        color: order of the frame's channels.
        mirrored: hand the network the mirror image of the region.

    Returns:
        float32 of ``spec.shape``.
    """
    crop = crop_frame(frame, roi, spec.resolution)
    return to_tensor(crop[:, ::-1] if mirrored else crop, spec, color)


def letterbox_tensor(
    frame: Frame, spec: InputSpec, color: Color, rotation_deg: QuarterTurn = 0
) -> tuple[FloatArray, Roi]:
    """The whole frame as a network input, and the region it shows: see ``letterbox``.

    Args:
        frame: (H, W, 3) uint8, or (H, W) for "grey".
        spec: what the network takes.
        color: order of the frame's channels.
        rotation_deg: clockwise turn that puts the frame upright.
    """
    square, roi = letterbox(frame, spec.resolution)
    if rotation_deg:
        square = np.rot90(square, -rotation_deg // 90)
    upright = replace(roi, rotation_rad=upright_rotation(rotation_deg))
    return to_tensor(square, spec, color), upright
