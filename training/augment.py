"""Augmentation of face crops. Pure functions of a picture and a random generator.

The paper (arXiv 2103.07615, sec. 4) names translation, rotation, flip, channel transforms and
mixing with background; blur, noise, low resolution, occlusion, shadows, and other proportions of
the face are added for real video.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from atpn_mobile.types import FloatArray, Frame, Roi
from training.network.config import INPUT_SIZE

Generator = np.random.Generator


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """How far, and how often, a crop is changed. Probabilities are per crop."""

    shift: float = 0.06  # standard deviation of the centre, share of the crop
    log_scale: float = 0.10  # standard deviation of the logarithm of the size
    rotation_deg: float = 12.0  # standard deviation of the in-plane rotation
    stretch: float = 0.0  # standard deviation of the logarithm of width over height
    shear: float = 0.0  # standard deviation of the sideways shift per unit of height
    flip: float = 0.5
    shade: float = 0.0  # light that falls off across the crop
    grey: float = 0.15
    channels: float = 0.8  # brightness, contrast, gamma and a gain per channel
    blur: float = 0.12
    noise: float = 0.15
    low_resolution: float = 0.2
    jpeg: float = 0.1
    occlusion: float = 0.2
    background: float = 0.6  # fill what lies outside a picture with a background, else black


NO_AUGMENT = AugmentConfig(
    shift=0.0,
    log_scale=0.0,
    rotation_deg=0.0,
    stretch=0.0,
    shear=0.0,
    flip=0.0,
    shade=0.0,
    grey=0.0,
    channels=0.0,
    blur=0.0,
    noise=0.0,
    low_resolution=0.0,
    jpeg=0.0,
    occlusion=0.0,
    background=0.0,
)


def jitter_roi(roi: Roi, config: AugmentConfig, rng: Generator) -> Roi:
    """Move, scale and turn a region as an imperfect tracker would."""
    shift = rng.normal(0.0, 1.0, 2) * config.shift * roi.size
    scale = math.exp(float(np.clip(rng.normal(), -2.5, 2.5)) * config.log_scale)
    turn = math.radians(float(np.clip(rng.normal(), -3.0, 3.0)) * config.rotation_deg)
    limit = 0.2 * roi.size
    dx, dy = np.clip(shift, -limit, limit)
    return Roi(
        roi.center_x + float(dx),
        roi.center_y + float(dy),
        roi.size * scale,
        roi.rotation_rad + turn,
    )


def random_warp(config: AugmentConfig, rng: Generator) -> FloatArray | None:
    """A stretch and a shear: faces of other proportions, lenses off their axis.

    Returns:
        (2, 2) float32, of determinant 1: offsets from the middle of the crop -> offsets from the
        middle of the region. None where the options are 0; nothing is drawn then.
    """
    if config.stretch == 0.0 and config.shear == 0.0:
        return None
    half = 0.5 * config.stretch * float(np.clip(rng.normal(), -2.5, 2.5))
    shear = config.shear * float(np.clip(rng.normal(), -2.5, 2.5))
    return np.array([[math.exp(half), shear], [0.0, math.exp(-half)]], np.float32)


def shade(image: Frame, rng: Generator) -> Frame:
    """Light that falls off along a random direction, softly or as the edge of a shadow.

    The dark side keeps between a quarter and 0.8 of the light; the bright side gains up to 38 %.
    """
    size = image.shape[0]
    angle = rng.uniform(0.0, 2.0 * math.pi)
    line = np.linspace(-1.0, 1.0, size, dtype=np.float32)
    ramp = math.cos(angle) * line[None, :] + math.sin(angle) * line[:, None]
    sharpness = math.exp(rng.uniform(math.log(0.7), math.log(12.0)))
    depth = rng.uniform(0.2, 0.75)
    light = 1.0 - depth / (1.0 + np.exp(-sharpness * (ramp - rng.uniform(-0.5, 0.5))))
    light *= 1.0 + 0.5 * depth
    shaded: Frame = np.clip(image * light[:, :, None], 0.0, 255.0).astype(np.uint8)
    return shaded


def transform_channels(image: Frame, rng: Generator) -> Frame:
    """Random brightness, contrast, gamma, and a gain per channel, in one table look-up."""
    values = np.arange(256, dtype=np.float64) / 255.0
    values = values ** math.exp(rng.normal(0.0, 0.25))
    contrast = math.exp(rng.normal(0.0, 0.2))
    values = (values - 0.5) * contrast + 0.5 + rng.normal(0.0, 0.08)
    gains = np.exp(rng.normal(0.0, 0.07, 3))
    table = np.clip(values[:, None] * gains[None] * 255.0, 0.0, 255.0).astype(np.uint8)
    return cv2.LUT(image, table[:, None, :].transpose(1, 0, 2)).astype(np.uint8, copy=False)


def to_grey(image: Frame) -> Frame:
    """Luminance in all three channels."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.repeat(grey[:, :, None], 3, axis=2).astype(np.uint8, copy=False)


def blur(image: Frame, rng: Generator, scale: float = 1.0) -> Frame:
    """Defocus or motion in a random direction, up to 7 pixels times the scale."""
    if rng.random() < 0.5:
        sigma = float(rng.uniform(0.5, 2.0)) * scale
        return cv2.GaussianBlur(image, (0, 0), sigma).astype(np.uint8, copy=False)
    length = round(int(rng.integers(1, 4)) * scale) * 2 + 1
    angle = rng.uniform(0.0, math.pi)
    kernel = np.zeros((length, length), np.float32)
    middle = length // 2
    dx, dy = math.cos(angle) * middle, math.sin(angle) * middle
    start = (round(middle - dx), round(middle - dy))
    cv2.line(kernel, start, (round(middle + dx), round(middle + dy)), 1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum()).astype(np.uint8, copy=False)


def add_noise(image: Frame, rng: Generator) -> Frame:
    """Sensor noise, up to 12 grey levels of standard deviation."""
    noise = rng.normal(0.0, rng.uniform(2.0, 12.0), image.shape).astype(np.float32)
    noisy: Frame = np.clip(image + noise, 0.0, 255.0).astype(np.uint8)
    return noisy


def lower_resolution(image: Frame, rng: Generator) -> Frame:
    """Shrink to between a quarter and 0.8 of the size, and enlarge again."""
    size = image.shape[0]
    small = max(8, round(size * float(rng.uniform(0.22, 0.8))))
    shrunk = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
    kind = cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_CUBIC
    return cv2.resize(shrunk, (size, size), interpolation=kind).astype(np.uint8, copy=False)


def compress(image: Frame, rng: Generator) -> Frame:
    """JPEG blocks at a quality of 20 to 70."""
    quality = int(rng.integers(20, 70))
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)


def occlude(image: Frame, background: Frame, rng: Generator) -> Frame:
    """Cover a part with an ellipse or box: one colour, or a piece of a background."""
    size = image.shape[0]
    width, height = (int(v) for v in rng.uniform(0.12, 0.45, 2) * size)
    x, y = (int(v) for v in rng.uniform(0.0, 1.0, 2) * size)
    mask = np.zeros((size, size), np.uint8)
    if rng.random() < 0.5:
        cv2.rectangle(
            mask, (x - width // 2, y - height // 2), (x + width // 2, y + height // 2), 1, -1
        )
    else:
        angle = float(rng.uniform(0.0, 180.0))
        cv2.ellipse(mask, (x, y), (width // 2 + 1, height // 2 + 1), angle, 0.0, 360.0, 1, -1)
    if rng.random() < 0.5:
        cover = random_patch(background, size, rng)
    else:
        cover = np.empty_like(image)
        cover[:] = rng.integers(0, 256, 3)
    return np.where(mask[:, :, None] > 0, cover, image)


def random_patch(picture: Frame, size: int, rng: Generator) -> Frame:
    """A random square of a picture, at least a quarter of its shorter side, scaled to ``size``."""
    shorter = min(picture.shape[:2])
    side = int(rng.uniform(0.25, 1.0) * shorter)
    y = int(rng.integers(0, picture.shape[0] - side + 1))
    x = int(rng.integers(0, picture.shape[1] - side + 1))
    piece = picture[y : y + side, x : x + side]
    return cv2.resize(piece, (size, size), interpolation=cv2.INTER_LINEAR).astype(
        np.uint8, copy=False
    )


def degrade(image: Frame, background: Frame, config: AugmentConfig, rng: Generator) -> Frame:
    """Everything that changes pixels and moves nothing, each with its probability.

    Args:
        image: (S, S, 3) uint8 RGB. Larger crops of the same face are blurred over more pixels.
        background: a picture for occlusions.
        config: probabilities.
        rng: source of randomness.

    Returns:
        (S, S, 3) uint8 RGB, a new array or the same one.
    """
    if rng.random() < config.occlusion:
        image = occlude(image, background, rng)
    # an option that is off draws nothing: recipes from before it was added keep their crops
    if config.shade > 0.0 and rng.random() < config.shade:
        image = shade(image, rng)
    if rng.random() < config.channels:
        image = transform_channels(image, rng)
    if rng.random() < config.grey:
        image = to_grey(image)
    if rng.random() < config.low_resolution:
        image = lower_resolution(image, rng)
    if rng.random() < config.blur:
        image = blur(image, rng, image.shape[0] / INPUT_SIZE)
    if rng.random() < config.noise:
        image = add_noise(image, rng)
    if rng.random() < config.jpeg:
        image = compress(image, rng)
    return image
