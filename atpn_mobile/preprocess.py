"""Frame -> network input. Pure functions."""

import cv2
import numpy as np

from atpn_mobile.config import Color
from atpn_mobile.errors import InvalidFrameError
from atpn_mobile.geometry import crop_frame
from atpn_mobile.manifest import InputSpec
from atpn_mobile.types import FloatArray, Frame, Roi

MAX_FRAME_SIDE = 32_766  # pixels: cv2.warpAffine of OpenCV 4 takes no more

_HINTS = {
    "grey": "convert it with cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB)",
    "alpha": "drop the alpha channel with cv2.cvtColor(frame, cv2.COLOR_RGBA2RGB)",
    "float": "scale its values to 0..255, then frame.astype(np.uint8)",
}


def check_frame(frame: object) -> Frame:
    """Check a frame at the border of the package.

    Args:
        frame: (H, W, 3) uint8; any strides, read-only or not.

    Returns:
        The same pixels, contiguous; a copy only where the frame was not.

    Raises:
        InvalidFrameError: it is anything else.
    """
    expected = "expected a frame of shape (H, W, 3) and dtype uint8"
    if not isinstance(frame, np.ndarray):
        raise InvalidFrameError(f"{expected}, got {type(frame).__name__}")
    got = f"got shape {frame.shape} and dtype {frame.dtype}"
    if frame.ndim == 2 or (frame.ndim == 3 and frame.shape[2] == 1):
        raise InvalidFrameError(f"{expected}, {got}: a grey picture; {_HINTS['grey']}")
    if frame.ndim == 3 and frame.shape[2] == 4:
        raise InvalidFrameError(f"{expected}, {got}; {_HINTS['alpha']}")
    if frame.ndim == 3 and frame.shape[2] == 3 and np.issubdtype(frame.dtype, np.floating):
        raise InvalidFrameError(f"{expected}, {got}; {_HINTS['float']}")
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise InvalidFrameError(f"{expected}, {got}")
    if frame.size == 0:
        raise InvalidFrameError(f"{expected}, {got}: an empty picture")
    if max(frame.shape) > MAX_FRAME_SIDE:
        raise InvalidFrameError(f"{expected}, no side above {MAX_FRAME_SIDE} pixels, {got}")
    return np.ascontiguousarray(frame)


def letterbox(frame: Frame, resolution: int) -> tuple[Frame, Roi]:
    """Scale a frame so that its longer side fills a square; centred, black bars.

    Args:
        frame: (H, W, 3) uint8.
        resolution: pixels on a side of the square.

    Returns:
        The square, (resolution, resolution, 3) uint8, and the region of the frame it shows:
        crop units of the square go back to the frame through it.
    """
    height, width = frame.shape[:2]
    longer = max(height, width)
    new_width = _centered_length(width, longer, resolution)
    new_height = _centered_length(height, longer, resolution)
    # INTER_AREA averages what falls into a pixel: no aliasing of small faces.
    method = cv2.INTER_AREA if longer > resolution else cv2.INTER_LINEAR
    scaled = cv2.resize(frame, (new_width, new_height), interpolation=method)
    square = np.zeros((resolution, resolution, frame.shape[2]), np.uint8)
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
        picture: (resolution, resolution, 3) uint8.
        spec: what the network takes.
        color: order of the picture's channels.

    Returns:
        float32 of ``spec.shape``, in RGB, values 0..255.
    """
    rgb = picture if color == "rgb" else picture[:, :, ::-1]
    planes = rgb.transpose(2, 0, 1) if spec.layout == "NCHW" else rgb
    return np.ascontiguousarray(planes[np.newaxis], dtype=np.float32)


def crop_tensor(frame: Frame, roi: Roi, spec: InputSpec, color: Color) -> FloatArray:
    """Cut a region out of a frame as a network input: one affine pass.

    Args:
        frame: (H, W, 3) uint8.
        roi: the region; black where it leaves the frame.
        spec: what the network takes.
        color: order of the frame's channels.

    Returns:
        float32 of ``spec.shape``.
    """
    return to_tensor(crop_frame(frame, roi, spec.resolution), spec, color)


def letterbox_tensor(frame: Frame, spec: InputSpec, color: Color) -> tuple[FloatArray, Roi]:
    """The whole frame as a network input, and the region it shows: see ``letterbox``."""
    square, roi = letterbox(frame, spec.resolution)
    return to_tensor(square, spec, color), roi
