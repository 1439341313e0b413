"""Training crops, cut with the runtime's own geometry: what the network sees on a phone.

Crop ``i`` of a set depends on the seed and on ``i`` alone, so a run can be resumed at any crop and
repeated with any number of workers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from atpn_mobile.geometry import (
    box_from_landmarks,
    box_iou,
    crop_frame,
    crop_to_frame_matrix,
    landmarks_to_crop,
    mirror_rotation,
    roi_from_box,
    roi_from_landmarks,
    rotate_in_image,
)
from atpn_mobile.landmarks import MIRROR, NUM_LANDMARKS
from atpn_mobile.types import FloatArray, Frame, Roi
from training.augment import (
    AugmentConfig,
    Generator,
    degrade,
    jitter_roi,
    random_patch,
    random_warp,
)
from training.data.balance import pose_factors
from training.data.sample import DatasetError, Sample
from training.network.config import INPUT_SIZE

SPREAD_TOLERANCE: Final = 0.03  # of machine labels, inter-ocular distances: these count half


class Crop(NamedTuple):
    """One training example; a batch of them is the same with a leading dimension."""

    image: Frame  # (S, S, 3) RGB, S = 112 unless the network takes more
    landmarks: FloatArray  # (98, 2) crop units; zeros for a negative
    point_weight: FloatArray  # (98,) confidence of each label; zeros for a negative
    rotation: FloatArray  # (3, 3) camera <- head in the crop; identity where unknown
    has_rotation: np.float32  # 1 where rotation is known
    is_face: np.int64  # 1 for a face, 0 for a negative


@dataclass(frozen=True, slots=True, eq=False)
class LabelledFace:
    """A decoded picture with one face."""

    image: Frame
    points98: FloatArray
    point_weight: FloatArray
    rotation: FloatArray | None


class Placement(NamedTuple):
    """How a face is cut out of its picture."""

    roi: Roi
    mirrored: bool
    warp: FloatArray | None  # (2, 2), see ``training.augment.random_warp``


@dataclass(frozen=True, slots=True)
class FaceSource:
    """Faces of one data set and how often each of them is drawn."""

    faces: Sequence[LabelledFace]
    weight: float  # per picture, relative to the other sources


@dataclass(frozen=True, slots=True)
class CropConfig:
    """How crops are drawn."""

    augment: AugmentConfig = field(default_factory=AugmentConfig)
    negatives: float = 0.0  # share of the crops that show no face
    hard_negatives: float = 0.25  # share of the negatives that are backs of heads
    shifted_negatives: float = 0.4  # share of the negatives cut beside a face, IoU below max_iou
    max_iou: float = 0.3  # between a shifted negative's region and the face's (the paper's bound)
    pose_balance: float = 0.0  # exponent of ``pose_factors``: 0 draws all faces of a source alike


def label_weight(
    spread: FloatArray | None, tolerance: float | None = SPREAD_TOLERANCE
) -> FloatArray:
    """Confidence of labels: 1 for people and exact ones, falling where machine labels disagree.

    Args:
        spread: (98,) disagreement in inter-ocular distances, or None.
        tolerance: disagreement at which a label counts half; None if all count fully.
    """
    if spread is None or tolerance is None:
        return np.ones(NUM_LANDMARKS, np.float32)
    return (1.0 / (1.0 + (spread / tolerance) ** 2)).astype(np.float32)


def load_faces(
    samples: Sequence[Sample], tolerance: float | None = SPREAD_TOLERANCE
) -> list[LabelledFace]:
    """Decode all pictures that have 98 points.

    Args:
        samples: of any data set.
        tolerance: see ``label_weight``.

    Raises:
        DatasetError: a picture cannot be read, or none has 98 points.
    """
    faces = [
        LabelledFace(
            sample.image.read(),
            sample.points98,
            label_weight(sample.spread, tolerance),
            sample.rotation,
        )
        for sample in samples
        if sample.points98 is not None
    ]
    if not faces:
        raise DatasetError("expected faces with 98 points, got none")
    return faces


def random_placement(points98: FloatArray, config: AugmentConfig, rng: Generator) -> Placement:
    """A region around a face, as an imperfect tracker would have it; perhaps mirrored, warped."""
    roi = jitter_roi(roi_from_landmarks(points98), config, rng)
    mirrored = bool(rng.random() < config.flip)
    return Placement(roi, mirrored, random_warp(config, rng))


def place_landmarks(points98: FloatArray, placement: Placement) -> FloatArray:
    """Landmarks, (98, 2) pixels of the picture, in (98, 2) crop units."""
    landmarks = landmarks_to_crop(points98, placement.roi)
    if placement.warp is not None:
        inverse = np.linalg.inv(placement.warp.astype(np.float64))
        landmarks = ((landmarks - 0.5) @ inverse.T + 0.5).astype(np.float32)
    if placement.mirrored:
        landmarks = landmarks[MIRROR] * np.array([-1.0, 1.0], np.float32)
        landmarks[:, 0] += 1.0
    return landmarks


def cut_warped(image: Frame, roi: Roi, warp: FloatArray | None, size: int) -> Frame:
    """Cut a region out of a picture, stretched and sheared about its middle.

    Args:
        image: (H, W) or (H, W, C) uint8.
        roi: the region, pixels of the picture.
        warp: (2, 2), see ``random_warp``; None for the runtime's plain crop.
        size: pixels on a side of the crop.

    Returns:
        (size, size) or (size, size, C) uint8, black outside the picture.
    """
    if warp is None:
        return crop_frame(image, roi, size)
    middle = (size - 1) / 2.0
    about_middle = np.eye(3)
    about_middle[:2, :2] = warp
    about_middle[:2, 2] = middle - warp.astype(np.float64) @ np.array([middle, middle])
    crop = cv2.warpAffine(
        image,
        crop_to_frame_matrix(roi, size) @ about_middle,
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )
    return crop.astype(np.uint8, copy=False)


def cut_face(
    face: LabelledFace,
    roi: Roi,
    mirrored: bool,
    size: int = INPUT_SIZE,
    warp: FloatArray | None = None,
) -> Crop:
    """Cut a region out of a labelled picture and move the labels with it.

    Args:
        face: picture and labels.
        roi: the region, pixels of the picture.
        mirrored: mirror the crop, its labels and its head pose.
        size: pixels on a side of the crop.
        warp: stretch and shear of the crop, see ``random_warp``. No rotation describes a warped
            head: its rotation counts as unknown.
    """
    image = cut_warped(face.image, roi, warp, size)
    landmarks = place_landmarks(face.points98, Placement(roi, mirrored, warp))
    weight = face.point_weight
    rotation = np.eye(3) if face.rotation is None else face.rotation.astype(np.float64)
    rotation = rotate_in_image(rotation, -roi.rotation_rad)
    if mirrored:
        image = image[:, ::-1]
        weight = weight[MIRROR]
        rotation = mirror_rotation(rotation)
    return Crop(
        np.ascontiguousarray(image),
        landmarks,
        weight,
        rotation.astype(np.float32),
        np.float32(face.rotation is not None and warp is None),
        np.int64(1),
    )


def plain_crops(faces: Sequence[LabelledFace], size: int = INPUT_SIZE) -> list[Crop]:
    """Each face in the region of its own landmarks, unchanged, ``size`` pixels on a side."""
    rois = (roi_from_landmarks(face.points98) for face in faces)
    return [cut_face(face, roi, False, size) for face, roi in zip(faces, rois, strict=True)]


def outside_mask(
    shape: tuple[int, ...], roi: Roi, size: int = INPUT_SIZE, warp: FloatArray | None = None
) -> NDArray[np.bool_] | None:
    """Pixels of a crop that lie outside the picture; None when there is none.

    Args:
        shape: of the picture.
        roi: the region, pixels of the picture.
        size: pixels on a side of the crop.
        warp: stretch and shear of the crop, see ``random_warp``.
    """
    reach = roi.size * 0.75  # half the diagonal, rounded up
    if warp is not None:
        reach *= float(np.linalg.norm(warp, 2))  # as far as a warp moves any offset
    height, width = shape[:2]
    if reach <= roi.center_x <= width - reach and reach <= roi.center_y <= height - reach:
        return None
    inside = cut_warped(np.full((height, width), 255, np.uint8), roi, warp, size)
    mask = inside < 128
    return mask if bool(mask.any()) else None


class CropDataset(Dataset[Crop]):
    """An endless, repeatable stream of augmented crops, ``length`` of them."""

    def __init__(
        self,
        sources: Sequence[FaceSource],
        backgrounds: Sequence[Frame],
        hard_negatives: Sequence[Frame],
        config: CropConfig,
        *,
        length: int,
        seed: int,
        size: int = INPUT_SIZE,
    ) -> None:
        """Prepare the stream.

        Args:
            sources: faces.
            backgrounds: pictures without a face.
            hard_negatives: pictures that a network may take for a face; may be empty.
            config: how crops are drawn.
            length: number of crops.
            seed: of everything random; the size of the crops changes nothing of it.
            size: pixels on a side of a crop, the network's input.

        Raises:
            DatasetError: there is no face or no background.
        """
        if not sources or not backgrounds:
            raise DatasetError(
                f"expected faces and backgrounds, got {len(sources)} and {len(backgrounds)}"
            )
        self.sources, self.backgrounds = tuple(sources), backgrounds
        self.hard_negatives = hard_negatives
        self.config, self.length, self.seed, self.size = config, length, seed, size
        share = np.array([len(source.faces) * source.weight for source in sources])
        self.cumulative = np.cumsum(share / share.sum())
        self.faces_cumulative = _faces_cumulative(sources, config.pose_balance)

    def __len__(self) -> int:
        """Number of crops."""
        return self.length

    def __getitem__(self, index: int) -> Crop:
        """Crop number ``index``: always the same one."""
        rng = np.random.default_rng((self.seed, index))
        if rng.random() < self.config.negatives:
            return self._negative(rng)
        return self._positive(rng)

    def _face(self, rng: Generator) -> LabelledFace:
        which = int(np.searchsorted(self.cumulative, rng.random(), side="right"))
        which = min(which, len(self.sources) - 1)
        faces = self.sources[which].faces
        if self.faces_cumulative is None:
            return faces[int(rng.integers(len(faces)))]
        place = int(np.searchsorted(self.faces_cumulative[which], rng.random(), side="right"))
        return faces[min(place, len(faces) - 1)]

    def _background(self, rng: Generator) -> Frame:
        return self.backgrounds[int(rng.integers(len(self.backgrounds)))]

    def _positive(self, rng: Generator) -> Crop:
        augment = self.config.augment
        face = self._face(rng)
        placement = random_placement(face.points98, augment, rng)
        crop = cut_face(face, placement.roi, placement.mirrored, self.size, placement.warp)
        background = self._background(rng)
        image = crop.image
        if rng.random() < augment.background:
            image = self._fill_outside(image, face.image.shape, placement, rng)
        return crop._replace(image=degrade(image, background, augment, rng))

    def _fill_outside(
        self, image: Frame, shape: tuple[int, ...], placement: Placement, rng: Generator
    ) -> Frame:
        mask = outside_mask(shape, placement.roi, self.size, placement.warp)
        if mask is None:
            return image
        if placement.mirrored:
            mask = mask[:, ::-1]
        filling = random_patch(self._background(rng), self.size, rng)
        return np.where(mask[:, :, None], filling, image)

    def _negative(self, rng: Generator) -> Crop:
        kind = rng.random()
        config = self.config
        if self.hard_negatives and kind < config.hard_negatives:
            image = self._hard_negative(rng)
        elif kind < config.hard_negatives + config.shifted_negatives:
            image = self._shifted_negative(rng)
        else:
            image = random_patch(self._background(rng), self.size, rng)
        if rng.random() < config.augment.flip:
            image = np.ascontiguousarray(image[:, ::-1])
        image = degrade(image, self._background(rng), config.augment, rng)
        return Crop(
            image,
            np.zeros((NUM_LANDMARKS, 2), np.float32),
            np.zeros(NUM_LANDMARKS, np.float32),
            np.eye(3, dtype=np.float32),
            np.float32(0.0),
            np.int64(0),
        )

    def _hard_negative(self, rng: Generator) -> Frame:
        picture = self.hard_negatives[int(rng.integers(len(self.hard_negatives)))]
        height, width = picture.shape[:2]
        middle = Roi((width - 1) / 2.0, (height - 1) / 2.0, min(height, width) * 0.85)
        return crop_frame(picture, jitter_roi(middle, self.config.augment, rng), self.size)

    def _shifted_negative(self, rng: Generator) -> Frame:
        """A region beside, around or inside a face whose box overlaps it by less than max_iou."""
        face = self._face(rng)
        truth = roi_from_landmarks(face.points98)
        box = box_from_landmarks(face.points98)
        square = (
            truth.center_x - truth.size / 2,
            truth.center_y - truth.size / 2,
            truth.center_x + truth.size / 2,
            truth.center_y + truth.size / 2,
        )
        side = max(box[2] - box[0], box[3] - box[1])
        for _ in range(20):
            size = truth.size * float(np.exp(rng.uniform(np.log(0.3), np.log(2.2))))
            x = truth.center_x + float(rng.uniform(-1.2, 1.2)) * side
            y = truth.center_y + float(rng.uniform(-1.2, 1.2)) * side
            other = (x - size / 2, y - size / 2, x + size / 2, y + size / 2)
            if box_iou(square, other) < self.config.max_iou:
                roi = roi_from_box(other, extension=0.0)
                crop = crop_frame(face.image, roi, self.size)
                placement = Placement(roi, mirrored=False, warp=None)
                return self._fill_outside(crop, face.image.shape, placement, rng)
        return random_patch(self._background(rng), self.size, rng)


def _faces_cumulative(
    sources: Sequence[FaceSource], pose_balance: float
) -> list[NDArray[np.float64]] | None:
    """Per source the cumulative share of its faces; None where all count alike."""
    if pose_balance == 0.0:
        return None
    factors = pose_factors(
        [[face.rotation for face in source.faces] for source in sources],
        [source.weight for source in sources],
        pose_balance,
    )
    return [np.cumsum(one / one.sum()) for one in factors]


def limit_worker_threads(_: int) -> None:
    """Give OpenCV one thread in each worker of a loader; the network has the rest."""
    cv2.setNumThreads(0)
