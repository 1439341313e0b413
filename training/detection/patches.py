"""Pieces that composed frames are made of: cut-outs of faces, and things that are no faces.

Faces and non-faces are cut with the same masks, so that the edge of a cut-out says nothing about
what is inside.
"""

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from atpn_mobile.landmarks import CONTOUR
from atpn_mobile.types import FloatArray, Frame
from training.augment import Generator
from training.detection.pictures import Picture

Mask = NDArray[np.uint8]
Matrix = NDArray[np.float64]

HEAD_SHARE: Final = 0.7  # of a back-of-head picture that the head fills


class Patch(NamedTuple):
    """A picture with its opacity."""

    image: Frame  # (H, W, 3) RGB
    mask: Mask  # (H, W) 0..255


def points_box(points: FloatArray) -> tuple[FloatArray, float]:
    """Centre (2,) of the bounding box of (N, 2) points, and its longer side."""
    low, high = points.min(axis=0), points.max(axis=0)
    return (low + high) / 2.0, float((high - low).max())


def shrink(picture: Picture, scale: float) -> Picture:
    """Resize by averaging where ``scale`` is below 1; larger scales are left to the warp."""
    if scale >= 1.0:
        return picture
    height, width = picture.image.shape[:2]
    size = max(2, round(width * scale)), max(2, round(height * scale))
    factor = np.array([size[0] / width, size[1] / height], np.float32)
    image = cv2.resize(picture.image, size, interpolation=cv2.INTER_AREA)
    points = (picture.points + 0.5) * factor - 0.5
    return Picture(image.astype(np.uint8, copy=False), points, picture.alone)


def mirror(picture: Picture) -> Picture:
    """Flip left to right. The order of the landmarks stays: only their extent is used here."""
    points = picture.points.copy()
    points[:, 0] = picture.image.shape[1] - 1 - points[:, 0]
    image = cv2.flip(picture.image, 1).astype(np.uint8, copy=False)
    return Picture(image, points, picture.alone)


def crop_around_face(
    picture: Picture, left: float, top: float, right: float, bottom: float
) -> Picture:
    """Cut out the face with margins given in face sizes from its centre."""
    center, size = points_box(picture.points)
    height, width = picture.image.shape[:2]
    x0 = int(np.clip(center[0] - left * size, 0, width - 2))
    y0 = int(np.clip(center[1] - top * size, 0, height - 2))
    x1 = int(np.clip(center[0] + right * size, x0 + 2, width))
    y1 = int(np.clip(center[1] + bottom * size, y0 + 2, height))
    return Picture(
        picture.image[y0:y1, x0:x1], picture.points - np.array([x0, y0], np.float32), picture.alone
    )


# --- masks -------------------------------------------------------------------------------------


def _soften(mask: Mask, size: float, rng: Generator) -> Mask:
    sigma = float(rng.uniform(0.3, max(0.5, 0.05 * size)))
    return cv2.GaussianBlur(mask, (0, 0), sigma).astype(np.uint8, copy=False)


def rectangle_mask(image: Frame, rng: Generator) -> Mask:
    """Everything; in half of the cases its rim fades."""
    height, width = image.shape[:2]
    mask = np.full((height, width), 255, np.uint8)
    rim = int(rng.uniform(0.0, 0.06) * min(height, width))
    if rim > 0 and rng.random() < 0.5:
        mask[:rim] = mask[-rim:] = mask[:, :rim] = mask[:, -rim:] = 0
        mask = cv2.blur(mask, (2 * rim + 1, 2 * rim + 1)).astype(np.uint8, copy=False)
    return mask


def ellipse_mask(image: Frame, center: FloatArray, size: float, rng: Generator) -> Mask:
    """A head-like ellipse around a face of this centre and size."""
    mask = np.zeros(image.shape[:2], np.uint8)
    middle = (round(float(center[0])), round(float(center[1] - rng.uniform(0.05, 0.2) * size)))
    axes = (
        max(1, round(float(rng.uniform(0.5, 0.85)) * size)),
        max(1, round(float(rng.uniform(0.65, 1.0)) * size)),
    )
    cv2.ellipse(mask, middle, axes, float(rng.normal(0.0, 8.0)), 0.0, 360.0, 255, -1)
    return _soften(mask, size, rng)


def hull_mask(image: Frame, points: FloatArray, rng: Generator) -> Mask:
    """The outline of the face, mirrored upwards for the forehead and enlarged."""
    contour = points[CONTOUR]
    start, end = contour[0], contour[-1]
    along = (end - start) / max(1e-3, float(np.linalg.norm(end - start)))
    offset = contour - start
    on_line = offset @ along
    across = offset - on_line[:, None] * along
    forehead = start + on_line[:, None] * along - across * float(rng.uniform(0.5, 0.9))
    outline = np.concatenate([points, forehead])
    center, size = points_box(outline)
    outline = center + (outline - center) * float(rng.uniform(1.0, 1.3))
    mask = np.zeros(image.shape[:2], np.uint8)
    hull = cv2.convexHull(np.round(outline).astype(np.int32))
    cv2.fillConvexPoly(mask, hull, 255)
    return _soften(mask, size, rng)


def trim(picture: Picture, mask: Mask) -> tuple[Picture, Mask]:
    """Cut away what the mask hides completely; a mask that hides all is kept."""
    x, y, width, height = cv2.boundingRect(mask)
    if width == 0 or height == 0:
        return picture, mask
    piece = picture.image[y : y + height, x : x + width]
    points = picture.points - np.array([x, y], np.float32)
    return Picture(piece, points, picture.alone), mask[y : y + height, x : x + width]


def hand_mask(size: int, rng: Generator) -> Mask:
    """A palm with fingers, or a forearm, in a square."""
    mask = np.zeros((size, size), np.uint8)
    middle = np.array([0.5, 0.62]) * size
    palm = (
        max(1, round(rng.uniform(0.14, 0.24) * size)),
        max(1, round(rng.uniform(0.16, 0.26) * size)),
    )
    cv2.ellipse(mask, (round(middle[0]), round(middle[1])), palm, 0.0, 0.0, 360.0, 255, -1)
    thickness = max(1, round(rng.uniform(0.07, 0.11) * size))
    for angle in np.linspace(-0.7, 0.7, int(rng.integers(2, 6))) + rng.normal(0.0, 0.1):
        length = rng.uniform(0.25, 0.55) * size
        tip = middle + length * np.array([math.sin(angle), -math.cos(angle)])
        cv2.line(mask, _pixel(middle), _pixel(tip), 255, thickness)
    if rng.random() < 0.5:
        wrist = middle + np.array([rng.normal(0.0, 0.1), 0.5]) * size
        cv2.line(mask, _pixel(middle), _pixel(wrist), 255, max(1, round(1.4 * palm[0])))
    return _soften(mask, 0.5 * size, rng)


def _pixel(point: NDArray[np.float64]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


# --- pictures of things that are no faces ------------------------------------------------------


def _resized(image: Frame, size: int, interpolation: int = cv2.INTER_AREA) -> Frame:
    resized = cv2.resize(image, (size, size), interpolation=interpolation)
    return resized.astype(np.uint8, copy=False)


def background_piece(picture: Picture, size: int, rng: Generator) -> Frame:
    """A random square of a background, (size, size, 3)."""
    height, width = picture.image.shape[:2]
    side = int(rng.uniform(0.2, 1.0) * min(height, width))
    x, y = int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1))
    return _resized(picture.image[y : y + side, x : x + side], size)


def skin_piece(picture: Picture, size: int, rng: Generator) -> Frame:
    """The cheek of a face blown up, shaded unevenly: skin without features, (size, size, 3)."""
    _, face = points_box(picture.points)
    # Half-way from the contour to the side of the nose, right or left.
    outer, inner = (4, 55) if rng.random() < 0.5 else (28, 59)
    x, y = (picture.points[outer] + picture.points[inner]) / 2.0
    half = max(2, round(0.09 * face))
    height, width = picture.image.shape[:2]
    x0 = int(np.clip(x - half, 0, width - 2 * half))
    y0 = int(np.clip(y - half, 0, height - 2 * half))
    skin = picture.image[y0 : y0 + 2 * half, x0 : x0 + 2 * half]
    shade = cv2.resize(
        rng.uniform(0.6, 1.25, (3, 3)).astype(np.float32),
        (size, size),
        interpolation=cv2.INTER_CUBIC,
    )
    shaded = _resized(skin, size, cv2.INTER_CUBIC) * shade[:, :, None]
    limited: Frame = np.clip(shaded, 0.0, 255.0).astype(np.uint8)
    return limited


def scrambled_face(picture: Picture, size: int, rng: Generator) -> Frame:
    """The parts of a face in a wrong order: its texture without its layout, (size, size, 3)."""
    face = crop_around_face(picture, 0.55, 0.6, 0.55, 0.55)
    cells = int(rng.integers(2, 4))
    side = max(1, size // cells)
    whole = _resized(face.image, cells * side)
    order = np.roll(rng.permutation(cells * cells), 1)
    if (order == np.arange(order.size)).any():  # no part where it belongs
        order = np.roll(np.arange(order.size), int(rng.integers(1, order.size)))
    tiles = whole.reshape(cells, side, cells, side, 3).transpose(0, 2, 1, 3, 4)
    mixed = tiles.reshape(-1, side, side, 3)[order].reshape(tiles.shape)
    joined = np.ascontiguousarray(mixed.transpose(0, 2, 1, 3, 4).reshape(whole.shape))
    return _resized(joined, size)


def _gradient(size: int, rng: Generator) -> FloatArray:
    corners = rng.uniform(0.0, 255.0, (2, 2, 3)).astype(np.float32)
    return cv2.resize(corners, (size, size), interpolation=cv2.INTER_LINEAR).astype(np.float32)


def _clouds(size: int, rng: Generator) -> FloatArray:
    cells = int(rng.integers(3, 24))
    noise = rng.uniform(0.0, 255.0, (cells, cells, 3)).astype(np.float32)
    return cv2.resize(noise, (size, size), interpolation=cv2.INTER_LINEAR).astype(np.float32)


def _stripes(size: int, rng: Generator) -> FloatArray:
    line = np.arange(size, dtype=np.float32)
    angle, period = rng.uniform(0.0, math.pi), rng.uniform(4.0, 40.0)
    phase = (math.cos(angle) * line[None] + math.sin(angle) * line[:, None]) * (math.tau / period)
    first, second = rng.uniform(0.0, 255.0, (2, 3)).astype(np.float32)
    share = (np.sin(phase) * float(rng.uniform(0.5, 4.0)) + 0.5).clip(0.0, 1.0)[:, :, None]
    stripes: FloatArray = (first * share + second * (1.0 - share)).astype(np.float32)
    return stripes


def _spots(size: int, rng: Generator) -> FloatArray:
    """Round dark or bright marks on a plain colour: eye-like, without a face."""
    image = np.empty((size, size, 3), np.float32)
    image[:] = rng.uniform(0.0, 255.0, 3)
    for _ in range(int(rng.integers(2, 9))):
        radius = max(1, round(float(rng.uniform(0.02, 0.15)) * size))
        x, y = (int(v) for v in rng.integers(0, size, 2))
        axes = (radius, max(1, round(radius * float(rng.uniform(0.4, 1.0)))))
        color = [float(v) for v in rng.uniform(0.0, 255.0, 3)]
        cv2.ellipse(image, (x, y), axes, float(rng.uniform(0.0, 180.0)), 0.0, 360.0, color, -1)
    return image


_TEXTURES: Final[tuple[Callable[[int, Generator], FloatArray], ...]] = (
    _gradient,
    _clouds,
    _stripes,
    _spots,
)


def texture_piece(size: int, rng: Generator) -> Frame:
    """A made-up surface: gradient, clouds, stripes or spots, (size, size, 3)."""
    image = _TEXTURES[int(rng.integers(0, len(_TEXTURES)))](size, rng)
    grey = image.mean(axis=2, keepdims=True)
    image = grey + (image - grey) * float(rng.uniform(0.0, 1.0))
    limited: Frame = image.clip(0.0, 255.0).astype(np.uint8)
    return limited


# --- putting pieces down -----------------------------------------------------------------------


def placement(
    anchor: FloatArray, target: tuple[float, float], scale: float, rotation_rad: float
) -> Matrix:
    """(2, 3) map of patch pixels to frame pixels: scaled, turned clockwise, anchor on target."""
    cos, sin = scale * math.cos(rotation_rad), scale * math.sin(rotation_rad)
    x, y = float(anchor[0]), float(anchor[1])
    return np.array(
        [
            [cos, -sin, target[0] - cos * x + sin * y],
            [sin, cos, target[1] - sin * x - cos * y],
        ]
    )


def transform_points(points: FloatArray, matrix: Matrix) -> FloatArray:
    """Apply a (2, 3) map to (N, 2) points."""
    moved: FloatArray = (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    return moved


def patch_extent(patch: Patch, matrix: Matrix) -> FloatArray:
    """(4,) left, top, right, bottom of the patch in the frame."""
    height, width = patch.mask.shape
    corners = np.array(
        [[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], np.float32
    )
    moved = transform_points(corners, matrix)
    return np.concatenate([moved.min(axis=0), moved.max(axis=0)])


def paste(frame: Frame, patch: Patch, matrix: Matrix) -> None:
    """Blend a patch into a frame, in place; what falls outside is lost."""
    height, width = frame.shape[:2]
    extent = patch_extent(patch, matrix)
    x0, y0 = (max(0, math.floor(v)) for v in extent[:2])
    x1, y1 = min(width, math.ceil(extent[2]) + 1), min(height, math.ceil(extent[3]) + 1)
    if x1 <= x0 or y1 <= y0:
        return
    local = matrix.copy()
    local[:, 2] -= (x0, y0)
    size = (x1 - x0, y1 - y0)
    image = cv2.warpAffine(patch.image, local, size, borderMode=cv2.BORDER_REPLICATE)
    opacity = cv2.warpAffine(patch.mask, local, size).astype(np.float32)
    region = np.ascontiguousarray(frame[y0:y1, x0:x1])
    frame[y0:y1, x0:x1] = cv2.blendLinear(image, region, opacity, 255.0 - opacity)
