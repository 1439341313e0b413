"""Composed training frames: real scenes, faces pasted onto backgrounds, and look-alikes.

Frame ``i`` depends on the seed and on ``i`` alone, so a run can be resumed at any frame and
repeated with any number of workers. Sizes are pixels of the letterboxed input.
"""

import math
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import cv2
import numpy as np

from atpn_mobile.types import FloatArray, Frame
from training.augment import Generator, compress, to_grey, transform_channels
from training.augment import blur as blur_image
from training.detection.patches import (
    HEAD_SHARE,
    Mask,
    Matrix,
    Patch,
    background_piece,
    crop_around_face,
    ellipse_mask,
    hand_mask,
    hull_mask,
    mirror,
    paste,
    patch_extent,
    placement,
    points_box,
    rectangle_mask,
    scrambled_face,
    shrink,
    skin_piece,
    texture_piece,
    transform_points,
    trim,
)
from training.detection.pictures import FACE_SOURCES, Picture, PictureLibrary

ASPECTS: Final = (  # width / height of a frame, and how often
    (4 / 3, 0.50),
    (16 / 9, 0.15),
    (1.0, 0.15),
    (3 / 4, 0.12),
    (9 / 16, 0.08),
)
PLACEMENT_TRIES: Final = 8
MAX_COVERED: Final = 0.12  # share of a face that a later patch may hide
NOISE_VALUES: Final = 1 << 20  # drawn once; a frame takes a random run of them


@dataclass(frozen=True, slots=True)
class ComposeConfig:
    """How frames are composed. Probabilities are per frame unless another unit is named."""

    input_size: int = 256
    min_face_px: float = 13.0  # longer side of the landmarks' box
    max_face_px: float = 240.0
    small_below_px: float = 48.0
    small_share: float = 0.62  # of the pasted faces that are drawn from min_face to small_below
    scene: float = 0.40  # a face picture with its surroundings fills the frame
    stretched: float = 0.5  # per scene: a small face, the rim of its picture drawn out
    empty: float = 0.12  # no face at all
    max_faces: int = 6
    max_distractors: int = 4
    rotation_deg: float = 12.0  # standard deviation of the in-plane rotation
    large_rotation: float = 0.04  # per face: uniform up to 60 degrees instead
    body: float = 0.4  # per cut-out: shoulders below the head
    occlusion: float = 0.15  # per face: a hand or an object over a part of it
    channels: float = 0.75
    grey: float = 0.15
    low_resolution: float = 0.2
    blur: float = 0.12
    noise: float = 0.2
    jpeg: float = 0.2


class ComposedFrame(NamedTuple):
    """A training frame."""

    image: Frame  # (S, S, 3) RGB, letterboxed
    faces_xyxy: FloatArray  # (K, 4) boxes in 0..1 of the input
    ignored_xyxy: FloatArray  # (M, 4) likewise: where unlabelled faces may be


@dataclass(slots=True)
class _Scene:
    """A frame in the making; boxes are pixels of the frame, (4,) float32 each."""

    frame: Frame
    faces: list[FloatArray] = field(default_factory=list)
    ignored: list[FloatArray] = field(default_factory=list)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.frame.shape[1], self.frame.shape[0]


class FrameComposer:
    """Composes frames from a library of pictures; holds no state between them."""

    def __init__(
        self, library: PictureLibrary, config: ComposeConfig | None = None, seed: int = 0
    ) -> None:
        self.library = library
        self.config = config or ComposeConfig()
        self.seed = seed
        sources = [source for source in FACE_SOURCES if source.pack in library.faces]
        shares = np.array([source.share for source in sources])
        self._packs = [library.faces[source.pack] for source in sources]
        self._pack_shares = shares / shares.sum()
        scenes = [library.faces[s.pack] for s in sources if s.surroundings]
        self._scenes = scenes or self._packs
        self._noise = np.random.default_rng(seed).standard_normal(NOISE_VALUES, np.float32)

    def compose(self, index: int) -> ComposedFrame:
        """Frame number ``index``."""
        rng = np.random.default_rng((self.seed, index))
        scene = _Scene(self._background(_frame_size(self.config.input_size, rng), rng))
        kind = rng.random()
        if kind < self.config.scene:
            self._fill_with_picture(scene, rng)
            faces, distractors = int(rng.random() < 0.3), int(rng.integers(0, 3))
        elif kind < self.config.scene + self.config.empty:
            faces, distractors = 0, int(rng.integers(0, self.config.max_distractors + 3))
        else:
            faces = int(rng.integers(1, self.config.max_faces + 1))
            distractors = int(rng.integers(0, self.config.max_distractors + 1))
        for is_face in rng.permutation([True] * faces + [False] * distractors):
            if is_face:
                self._add_face(scene, rng, crowd=faces)
            else:
                self._add_distractor(scene, rng)
        return self._finish(scene, rng)

    # --- layers --------------------------------------------------------------------------------

    def _background(self, size: tuple[int, int], rng: Generator) -> Frame:
        """A background of width and height ``size``: zoomed, tiled by mirroring, or made up."""
        width, height = size
        if rng.random() < 0.06:
            return np.ascontiguousarray(texture_piece(max(size), rng)[:height, :width])
        picture = self._any(self.library.backgrounds, rng).image
        zoom = math.exp(rng.uniform(math.log(0.7), math.log(3.0)))
        map_ = placement(
            np.array(rng.uniform(0.2, 0.8, 2) * picture.shape[1::-1], np.float32),
            (width * float(rng.uniform(0.3, 0.7)), height * float(rng.uniform(0.3, 0.7))),
            zoom,
            0.0,
        )
        if rng.random() < 0.5:
            map_[:, 0] *= -1.0
            map_[0, 2] += width
        frame = cv2.warpAffine(picture, map_, size, borderMode=cv2.BORDER_REFLECT_101)
        return frame.astype(np.uint8, copy=False)

    def _fill_with_picture(self, scene: _Scene, rng: Generator) -> None:
        """A face with its surroundings; the frame is covered, or the picture's rim is stretched."""
        picture = self._face(rng, self._scenes)
        _, face = points_box(picture.points)
        width, height = scene.size
        cover = max(width / picture.image.shape[1], height / picture.image.shape[0])
        stretched = rng.random() < self.config.stretched
        smallest = self.config.min_face_px if stretched else 0.8 * cover * face
        biggest = max(smallest, cover * face if stretched else self.config.max_face_px)
        size = _log_uniform(smallest, biggest, rng)
        small = shrink(picture, size / face)
        center, now = points_box(small.points)
        target = [
            _overhang(float(middle), extent, limit, size / now, size, rng)
            for middle, extent, limit in zip(
                center, small.image.shape[1::-1], scene.size, strict=True
            )
        ]
        matrix = placement(center, (target[0], target[1]), size / now, self._rotation(rng))
        if stretched:
            cv2.warpAffine(
                small.image, matrix, scene.size, scene.frame, borderMode=cv2.BORDER_REPLICATE
            )
        self._put_face(scene, small, rectangle_mask(small.image, rng), matrix, rng)

    def _add_face(self, scene: _Scene, rng: Generator, crowd: int) -> None:
        picture = self._face(rng, self._packs)
        room = 1.1 * min(scene.size) / math.sqrt(max(1.0, crowd / 2))
        size = self._face_size(min(self.config.max_face_px, room), rng)
        _, face = points_box(picture.points)
        picture, mask, cut_out = _cut(shrink(picture, size / face), rng)
        if rng.random() < 0.5:
            picture = _recolored(picture, rng)
        center, now = points_box(picture.points)
        patch = Patch(picture.image, mask)
        matrix = self._free_place(scene, patch, center, size / now, size, rng)
        if matrix is None:
            return
        if cut_out and rng.random() < self.config.body:
            self._draw_body(scene, transform_points(center[None], matrix)[0], size, picture, rng)
        self._put_face(scene, picture, mask, matrix, rng)

    def _put_face(
        self,
        scene: _Scene,
        picture: Picture,
        mask: Mask,
        matrix: Matrix,
        rng: Generator,
    ) -> None:
        """Paste, label, mark what is not known around it, and perhaps hide a part of it."""
        patch = Patch(picture.image, mask)
        paste(scene.frame, patch, matrix)
        points = transform_points(picture.points, matrix)
        box = np.concatenate([points.min(axis=0), points.max(axis=0)])
        if not picture.alone:
            scene.ignored.extend(_beside(box, patch_extent(patch, matrix)))
        if _visible_share(box, scene.size) < 0.6:
            scene.ignored.append(box)
            return
        if rng.random() < self.config.occlusion:
            self._occlude(scene, box, picture, rng)
        scene.faces.append(box)

    def _occlude(self, scene: _Scene, box: FloatArray, picture: Picture, rng: Generator) -> None:
        """A hand or an object from one side, over less than half of the face."""
        center, size = points_box(box.reshape(2, 2))
        piece = max(6, round(float(rng.uniform(0.5, 1.1)) * size))
        direction = rng.uniform(0.0, math.tau)
        reach = (0.5 + rng.uniform(0.0, 0.3)) * size
        target = (
            float(center[0]) + reach * math.cos(direction),
            float(center[1]) + reach * math.sin(direction),
        )
        if rng.random() < 0.7:
            image, mask = skin_piece(picture, piece, rng), hand_mask(piece, rng)
        else:
            image = background_piece(self._any(self.library.backgrounds, rng), piece, rng)
            mask = _object_mask(image, rng)
        middle = np.array([piece / 2, piece / 2], np.float32)
        patch = Patch(image, mask)
        matrix = placement(middle, target, 1.0, direction - math.pi / 2)
        if not _hides_a_face(scene, patch_extent(patch, matrix)):
            paste(scene.frame, patch, matrix)

    def _draw_body(
        self,
        scene: _Scene,
        head: FloatArray,
        size: float,
        face: Picture | None,
        rng: Generator,
    ) -> None:
        """Neck, shoulders and arms in the size of a head, drawn before the head."""
        x, y = float(head[0]), float(head[1])
        shoulder, down = float(rng.uniform(0.9, 1.5)) * size, float(rng.uniform(0.65, 0.9)) * size
        length = float(rng.uniform(1.5, 4.5)) * size
        pixels = max(8, round(2.0 * size))
        cloth = (
            texture_piece(pixels, rng)
            if rng.random() < 0.6
            else background_piece(self._any(self.library.backgrounds, rng), pixels, rng)
        )
        if face is not None:
            skin = skin_piece(face, 4, rng).mean(axis=(0, 1))
            neck = round(float(rng.uniform(0.25, 0.4)) * size)
            ends = (round(x), round(y)), (round(x), round(y + down + 0.2 * size))
            cv2.line(scene.frame, *ends, [float(v) for v in skin], max(1, neck * 2))
        outline = np.array(
            [
                [x - 0.35 * size, y + down],
                [x + 0.35 * size, y + down],
                [x + shoulder, y + down + 0.35 * size],
                [x + shoulder * rng.uniform(0.8, 1.2), y + down + length],
                [x - shoulder * rng.uniform(0.8, 1.2), y + down + length],
                [x - shoulder, y + down + 0.35 * size],
            ],
            np.float32,
        )
        low, high = outline.min(axis=0), outline.max(axis=0)
        scale = (pixels - 1) / (high - low)
        mask = np.zeros((pixels, pixels), np.uint8)
        cv2.fillPoly(mask, [np.round((outline - low) * scale).astype(np.int32)], 255)
        matrix = np.array([[1.0 / scale[0], 0.0, low[0]], [0.0, 1.0 / scale[1], low[1]]])
        if not _hides_a_face(scene, np.concatenate([low, high])):
            paste(scene.frame, Patch(cloth, mask), matrix)

    def _add_distractor(self, scene: _Scene, rng: Generator) -> None:
        """Something that is no face, cut and pasted as the faces are."""
        size = self._face_size(0.9 * min(scene.size), rng)
        is_head = rng.random() < 0.35
        patch = self._back_of_head(size, rng) if is_head else self._look_alike(size, rng)
        height, width = patch.mask.shape
        middle = np.array([width / 2, height / 2], np.float32)
        matrix = self._free_place(scene, patch, middle, 1.7 * size / max(width, height), size, rng)
        if matrix is None:
            return
        if is_head and rng.random() < self.config.body:
            self._draw_body(scene, transform_points(middle[None], matrix)[0], size, None, rng)
        paste(scene.frame, patch, matrix)

    def _look_alike(self, size: float, rng: Generator) -> Patch:
        """A hand, skin, a scrambled face, a piece of background or a made-up surface."""
        pixels = max(8, min(160, round(1.7 * size)))
        kind = rng.random()
        if kind < 0.4:
            skin = skin_piece(self._face(rng, self._packs), pixels, rng)
            is_hand = rng.random() < 0.6
            return Patch(skin, hand_mask(pixels, rng) if is_hand else _object_mask(skin, rng))
        if kind < 0.5:
            image = scrambled_face(self._face(rng, self._packs), pixels, rng)
        elif kind < 0.9:
            image = background_piece(self._any(self.library.backgrounds, rng), pixels, rng)
        else:
            image = texture_piece(pixels, rng)
        return Patch(image, _object_mask(image, rng))

    def _back_of_head(self, size: float, rng: Generator) -> Patch:
        picture = self._any(self.library.backs_of_heads, rng)
        head = HEAD_SHARE * picture.image.shape[1]
        small = shrink(mirror(picture) if rng.random() < 0.5 else picture, size / head)
        small = _recolored(small, rng) if rng.random() < 0.3 else small
        image = small.image
        if rng.random() < 0.5:
            return Patch(image, rectangle_mask(image, rng))
        middle = np.array([image.shape[1] / 2, image.shape[0] / 2], np.float32)
        return Patch(image, ellipse_mask(image, middle, HEAD_SHARE * image.shape[1], rng))

    # --- choices -------------------------------------------------------------------------------

    def _free_place(
        self,
        scene: _Scene,
        patch: Patch,
        anchor: FloatArray,
        scale: float,
        size: float,
        rng: Generator,
    ) -> Matrix | None:
        """Where a patch hides no face, its anchor inside the frame; None when nothing was found.

        ``size`` is that of the head: in most frames all of it stays inside.
        """
        rotation = self._rotation(rng)
        margin = 0.5 * size if rng.random() < 0.85 else 0.2 * size
        for _ in range(PLACEMENT_TRIES):
            x, y = (
                float(rng.uniform(min(margin, 0.4 * limit), limit - min(margin, 0.4 * limit)))
                for limit in scene.size
            )
            matrix = placement(anchor, (x, y), scale, rotation)
            if not _hides_a_face(scene, patch_extent(patch, matrix)):
                return matrix
        return None

    def _any(self, pictures: tuple[Picture, ...], rng: Generator) -> Picture:
        return pictures[int(rng.integers(0, len(pictures)))]

    def _face(self, rng: Generator, packs: list[tuple[Picture, ...]]) -> Picture:
        """A face, mirrored half of the time; sources by their share where all are allowed."""
        shares = self._pack_shares if packs is self._packs else None
        picture = self._any(packs[int(rng.choice(len(packs), p=shares))], rng)
        return mirror(picture) if rng.random() < 0.5 else picture

    def _face_size(self, biggest: float, rng: Generator) -> float:
        config = self.config
        biggest = max(biggest, config.min_face_px)
        limit = min(config.small_below_px, biggest)
        if rng.random() < config.small_share:
            return _log_uniform(config.min_face_px, limit, rng)
        return _log_uniform(0.8 * limit, biggest, rng)

    def _rotation(self, rng: Generator) -> float:
        """Radians."""
        if rng.random() < self.config.large_rotation:
            return math.radians(float(rng.uniform(-60.0, 60.0)))
        limit = 40.0
        return math.radians(
            float(np.clip(rng.normal(0.0, self.config.rotation_deg), -limit, limit))
        )

    # --- the whole frame -----------------------------------------------------------------------

    def _finish(self, scene: _Scene, rng: Generator) -> ComposedFrame:
        sides = [float((box[2:] - box[:2]).max()) for box in scene.faces]
        frame = self._degrade(scene.frame, min(sides, default=self.config.max_face_px), rng)
        size = self.config.input_size
        width, height = scene.size
        x, y = (size - width) // 2, (size - height) // 2
        image = np.zeros((size, size, 3), np.uint8)
        image[y : y + height, x : x + width] = frame
        # From pixel centres at integers to 0..1 between the outer edges.
        shift = np.array([x, y, x, y], np.float32) + 0.5

        def units(boxes: list[FloatArray]) -> FloatArray:
            return ((np.array(boxes, np.float32).reshape(-1, 4) + shift) / size).astype(np.float32)

        return ComposedFrame(image, units(scene.faces), units(scene.ignored))

    def _degrade(self, frame: Frame, smallest_face: float, rng: Generator) -> Frame:
        """What cameras and codecs do; only as far as the smallest face stays a face."""
        config = self.config
        if rng.random() < config.channels:
            frame = transform_channels(frame, rng)
        if rng.random() < config.grey:
            frame = to_grey(frame)
        keep = max(0.3, 13.0 / smallest_face)
        if rng.random() < config.low_resolution and keep < 0.9:
            frame = _lower_resolution(frame, float(rng.uniform(keep, 0.9)), rng)
        if rng.random() < config.blur and smallest_face > 28.0:
            frame = blur_image(frame, rng)
        if rng.random() < config.noise:
            frame = self._add_noise(frame, float(rng.uniform(1.5, 10.0)), rng)
        if rng.random() < config.jpeg:
            frame = compress(frame, rng)
        return frame

    def _add_noise(self, frame: Frame, sigma: float, rng: Generator) -> Frame:
        start = int(rng.integers(0, NOISE_VALUES - frame.size))
        noise = self._noise[start : start + frame.size].reshape(frame.shape)
        return np.clip(frame + noise * np.float32(sigma), 0.0, 255.0).astype(np.uint8)


def _frame_size(input_size: int, rng: Generator) -> tuple[int, int]:
    """Width and height of the frame inside the black bars."""
    aspects = np.array([aspect for aspect, _ in ASPECTS])
    share = np.array([share for _, share in ASPECTS])
    aspect = float(rng.choice(aspects, p=share / share.sum())) * math.exp(rng.normal(0.0, 0.02))
    if aspect >= 1.0:
        return input_size, max(1, min(input_size, round(input_size / aspect)))
    return max(1, min(input_size, round(input_size * aspect))), input_size


def _overhang(
    middle: float, extent: int, limit: int, scale: float, size: float, rng: Generator
) -> float:
    """Where a face goes along one axis: its picture covers the frame, or lies within it.

    Args:
        middle: the face in its picture.
        extent: pixels of the picture.
        limit: pixels of the frame.
        scale: frame pixels per picture pixel.
        size: of the face, frame pixels; at most a little of it may leave the frame.
        rng: source of randomness.
    """
    first, second = middle * scale, limit - (extent - 1 - middle) * scale
    place = float(rng.uniform(min(first, second), max(first, second)))
    margin = 0.35 * min(size, limit)
    return min(max(place, margin), limit - margin)


def _log_uniform(low: float, high: float, rng: Generator) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(max(low, high))))


def _recolored(picture: Picture, rng: Generator) -> Picture:
    return Picture(transform_channels(picture.image, rng), picture.points, picture.alone)


def _cut(picture: Picture, rng: Generator) -> tuple[Picture, Mask, bool]:
    """Choose how a face leaves its picture: whole, with margins, or cut out along the head."""
    kind = rng.random()
    if kind < 0.25:
        return picture, rectangle_mask(picture.image, rng), False
    if kind < 0.5:
        margins = rng.uniform(0.55, 1.0, 2)
        picture = crop_around_face(
            picture,
            margins[0],
            float(rng.uniform(0.6, 1.1)),
            margins[1],
            float(rng.uniform(0.55, 2.0)),
        )
        return picture, rectangle_mask(picture.image, rng), False
    if kind < 0.75:
        center, size = points_box(picture.points)
        return *trim(picture, ellipse_mask(picture.image, center, size, rng)), True
    return *trim(picture, hull_mask(picture.image, picture.points, rng)), True


def _object_mask(image: Frame, rng: Generator) -> Mask:
    """A mask as a face in the middle of the image would get."""
    if rng.random() < 0.4:
        return rectangle_mask(image, rng)
    size = image.shape[0]
    return ellipse_mask(image, np.array([0.5 * size, 0.55 * size], np.float32), 0.58 * size, rng)


def _beside(face: FloatArray, extent: FloatArray) -> list[FloatArray]:
    """What of a picture is left, right and above of the room that one head takes."""
    (x, y), size = points_box(face.reshape(2, 2))
    left, top, right, bottom = (float(v) for v in extent)
    return [
        np.array([left, top, min(right, x - size), bottom], np.float32),
        np.array([max(left, x + size), top, right, bottom], np.float32),
        np.array([left, top, right, min(bottom, y - 1.2 * size)], np.float32),
    ]


def _visible_share(box: FloatArray, size: tuple[int, int]) -> float:
    inside = np.clip(box.reshape(2, 2), 0.0, np.array(size, np.float32))
    return float(np.prod(inside[1] - inside[0]) / max(1e-3, float(np.prod(box[2:] - box[:2]))))


def _hides_a_face(scene: _Scene, box: FloatArray) -> bool:
    for face in scene.faces:
        overlap = np.minimum(face[2:], box[2:]) - np.maximum(face[:2], box[:2])
        if overlap.min() > 0.0 and np.prod(overlap) > MAX_COVERED * np.prod(face[2:] - face[:2]):
            return True
    return False


def _lower_resolution(frame: Frame, scale: float, rng: Generator) -> Frame:
    size = frame.shape[1], frame.shape[0]
    small = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    shrunk = cv2.resize(frame, small, interpolation=cv2.INTER_AREA)
    kind = cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_CUBIC
    return cv2.resize(shrunk, size, interpolation=kind).astype(np.uint8, copy=False)
