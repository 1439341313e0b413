"""Make the pictures that int8 ranges are measured on: ``python -m converters.make_calibration``.

Rendered pictures alone, as in ``make_parity_crops``, so that they may be passed on; other faces and
other frames than there, and none of the "val" faces that accuracy is measured on. The faces are
moved, scaled, turned and degraded as in training: what a tracker cuts out of real video.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np

from atpn_mobile.geometry import crop_frame
from atpn_mobile.types import FloatArray, Frame, Roi
from converters.calibration import CALIBRATION_CROPS, CALIBRATION_FRAMES
from converters.make_parity_crops import (
    CLIPS,
    FACES_PACK,
    ClipFrame,
    encode,
    face_hull,
    is_in_view,
    read_clip,
    save_pack,
    spread,
)
from converters.parity import CROPS, FRAMES
from training.augment import AugmentConfig, Generator, degrade, random_patch
from training.data.crops import CropConfig, CropDataset, FaceSource, LabelledFace, label_weight
from training.data.packs import read_pack
from training.data.sample import DatasetError

SEED: Final = 3
SYNTHETIC_CROPS: Final = 96  # of as many people
CLIP_CROPS: Final = 48
NEGATIVE_CROPS: Final = 48  # of backgrounds, and beside a face
WHOLE_FRAMES: Final = 16
PARTS_OF_FRAMES: Final = 16
FRAME_SIZE: Final = (256, 192)  # pixels: what the detector's letterbox makes of 4:3
JPEG_QUALITY: Final = 88

AUGMENT: Final = replace(AugmentConfig(), jpeg=0.0)  # the pack is JPEG already
NEGATIVES: Final = CropConfig(AUGMENT, 1.0, hard_negatives=0.0, shifted_negatives=0.5)


class NamedFace(NamedTuple):
    """A face and where it comes from."""

    name: str
    face: LabelledFace


class Picture(NamedTuple):
    """A picture of a pack."""

    name: str
    image: Frame


def scenes(frames: Sequence[ClipFrame], rng: Generator) -> list[Frame]:
    """Pictures without a face: empty frames of the clips, and textures.

    Raises:
        DatasetError: nobody is ever away.
    """
    empty = [frame.image for frame in frames if np.isnan(frame.landmarks).all()]
    if not empty:
        raise DatasetError("expected frames without a person in the clips, found none")
    rooms = [empty[index] for index in spread(len(empty), min(len(empty), 4))]
    return [*rooms, *(texture(rng) for _ in range(12))]


def texture(rng: Generator, side: int = 192) -> Frame:
    """A cloudy picture, coarse structure stronger than fine, weak in colour: (side, side, 3)."""
    picture = np.zeros((side, side, 3), np.float32)
    for cells in (2, 6, 18, 54):
        noise = rng.normal(0.0, 1.0, (cells, cells, 3)) * (0.2, 0.3, 0.2)
        noise += rng.normal(0.0, 1.0, (cells, cells, 1))
        strength = float(rng.uniform(0.0, 90.0)) * cells**-0.5
        picture += cv2.resize(
            (noise * strength).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC
        )
    brightness = rng.uniform(40.0, 215.0) + rng.normal(0.0, 12.0, 3)
    clipped: Frame = np.clip(picture + brightness, 0.0, 255.0).astype(np.uint8)
    return clipped


def on_other_background(image: Frame, landmarks: FloatArray, background: Frame) -> Frame:
    """The picture with the inside of the face kept and everything else replaced."""
    inside = face_hull(image, landmarks)
    return np.where(inside[:, :, None], image, background)


def synthetic_faces(data: Path, backgrounds: Sequence[Frame], rng: Generator) -> list[NamedFace]:
    """Rendered faces of many people, evenly out of the pack's "train" part."""
    samples = read_pack(data / FACES_PACK, "train")
    faces = []
    for index in spread(len(samples), SYNTHETIC_CROPS):
        sample = samples[index]
        if sample.points98 is None:
            raise DatasetError(f"expected points98 of {sample.name!r} in {FACES_PACK}")
        image = sample.image.read()
        scene = backgrounds[int(rng.integers(len(backgrounds)))]
        filling = random_patch(scene, image.shape[0], rng)
        image = on_other_background(image, sample.points98, filling)
        faces.append(NamedFace(sample.name, _labelled(image, sample.points98)))
    return faces


def clip_faces(frames: Sequence[ClipFrame]) -> list[NamedFace]:
    """Faces of the clips that are fully in the picture, as many as are used."""
    seen = [
        NamedFace(f"{frame.name} face {person}", _labelled(frame.image, points))
        for frame in frames
        for person, points in enumerate(frame.landmarks)
        if is_in_view(points, frame.image)
    ]
    return [seen[index] for index in spread(len(seen), CLIP_CROPS)]


def _labelled(image: Frame, landmarks: FloatArray) -> LabelledFace:
    return LabelledFace(image, landmarks, label_weight(None), None)


def crops_of_faces(faces: Sequence[NamedFace], backgrounds: Sequence[Frame]) -> list[Picture]:
    """Each face once, moved and degraded."""
    crops = []
    for number, (name, face) in enumerate(faces):
        source, config = FaceSource([face], 1.0), CropConfig(AUGMENT)
        stream = CropDataset([source], backgrounds, [], config, length=len(faces), seed=SEED)
        crops.append(Picture(name, stream[number].image))
    return crops


def crops_without_face(faces: Sequence[NamedFace], backgrounds: Sequence[Frame]) -> list[Picture]:
    """Pieces of backgrounds, and crops beside a face."""
    source = FaceSource([face for _, face in faces], 1.0)
    stream = CropDataset([source], backgrounds, [], NEGATIVES, length=NEGATIVE_CROPS, seed=SEED + 1)
    return [Picture(f"no face {index}", stream[index].image) for index in range(NEGATIVE_CROPS)]


def whole_frame(frame: ClipFrame) -> Picture:
    """The frame at the size that the detector sees."""
    small = cv2.resize(frame.image, FRAME_SIZE, interpolation=cv2.INTER_AREA)
    return Picture(frame.name, small.astype(np.uint8, copy=False))


def part_of_frame(frame: ClipFrame, background: Frame, rng: Generator) -> Picture:
    """A square part of the frame, or a square beyond it, mirrored at times and degraded."""
    height, width = frame.image.shape[:2]
    size = math.exp(rng.uniform(math.log(0.6), math.log(1.6))) * height
    x, y = rng.uniform(0.3, 0.7, 2) * (width, height)
    image = crop_frame(frame.image, Roi(float(x), float(y), size), FRAME_SIZE[0])
    if rng.random() < AUGMENT.flip:
        image = np.ascontiguousarray(image[:, ::-1])
    return Picture(f"{frame.name} part", degrade(image, background, AUGMENT, rng))


def other_frames(data: Path) -> list[ClipFrame]:
    """Frames of the clips that conversions are not compared on.

    Raises:
        DatasetError: a clip, or a pack of the parity pictures, is missing.
    """
    names = [sample.name for pack in (CROPS, FRAMES) for sample in read_pack(pack)]
    used = {name.split(" face ")[0] for name in names}
    frames = [frame for clip in CLIPS for frame in read_clip(data / "clips", clip)]
    return [frame for frame in frames if frame.name not in used]


def make_calibration(data: Path, out: Path) -> None:
    """Write both packs.

    Args:
        data: folder of ``faces_synthetic.npz`` and ``clips/``.
        out: folder to write to.

    Raises:
        DatasetError: something is missing.
    """
    rng = np.random.default_rng(SEED)
    frames = other_frames(data)
    backgrounds = scenes(frames, rng)
    faces = [*synthetic_faces(data, backgrounds, rng), *clip_faces(frames)]
    crops = [*crops_of_faces(faces, backgrounds), *crops_without_face(faces, backgrounds)]
    _save(out / CALIBRATION_CROPS.name, crops)
    whole = [whole_frame(frames[index]) for index in spread(len(frames), WHOLE_FRAMES)]
    parts = [
        part_of_frame(frames[index], backgrounds[0], rng)
        for index in spread(len(frames), PARTS_OF_FRAMES)
    ]
    _save(out / CALIBRATION_FRAMES.name, [*whole, *parts])


def _save(path: Path, pictures: Sequence[Picture]) -> None:
    images = encode([picture.image for picture in pictures], JPEG_QUALITY)
    save_pack(path, {**images, "name": np.array([picture.name for picture in pictures])})


def main() -> None:
    """Read the arguments and write the packs."""
    parser = argparse.ArgumentParser(
        prog="python -m converters.make_calibration", description=__doc__
    )
    parser.add_argument("data", type=Path, help="folder of faces_synthetic.npz and clips/")
    parser.add_argument(
        "--out", type=Path, default=CALIBRATION_CROPS.parent, help="default: %(default)s"
    )
    arguments = parser.parse_args()
    make_calibration(arguments.data, arguments.out)


if __name__ == "__main__":
    main()
