"""Make the pictures that conversions are compared on: ``python -m converters.make_parity_crops``.

Rendered pictures alone, so that they may be passed on: frames of the project's synthetic clips, and
faces of the synthetic training pack. The backgrounds of that pack are photographs of others:
everything outside the face is painted over.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from atpn_mobile.geometry import crop_frame, landmarks_to_crop, roi_from_landmarks
from atpn_mobile.types import FloatArray, Frame
from converters.parity import CROPS, FRAMES
from training.data.packs import read_pack
from training.data.sample import DatasetError
from training.files import replacing
from training.network.config import INPUT_SIZE

CLIPS: Final = ("synthetic_solo", "synthetic_pair")
FACES_PACK: Final = "faces_synthetic.npz"
SYNTHETIC_FACES: Final = 32
CLIP_FACES: Final = 32
FRAMES_PER_CLIP: Final = 8
FRAME_SIZE: Final = (320, 240)  # pixels
JPEG_QUALITY: Final = 95
PAINT: Final = (128, 128, 128)  # grey, where a photograph was


@dataclass(frozen=True, slots=True, eq=False)
class ClipFrame:
    """One frame of a clip and what is exactly known of it."""

    name: str
    image: Frame  # (H, W, 3) RGB
    landmarks: FloatArray  # (people, 98, 2) frame pixels, NaN for somebody who is away
    rotation: NDArray[np.float32]  # (people, 3, 3)


@dataclass(frozen=True, slots=True, eq=False)
class LabelledCrop:
    """One face, cut out."""

    name: str
    image: Frame  # (112, 112, 3) RGB
    points98: FloatArray  # (98, 2) pixels of the crop
    rotation: NDArray[np.float32]  # (3, 3)


def read_clip(folder: Path, name: str) -> Iterator[ClipFrame]:
    """Frames of a clip with their labels.

    Raises:
        DatasetError: the clip or its labels are missing, or not of one length.
    """
    labels, video = folder / f"{name}.npz", folder / f"{name}.mp4"
    for path in (labels, video):
        if not path.is_file():
            raise DatasetError(f"expected a clip and its labels, found no file at {path}")
    with np.load(labels, allow_pickle=False) as archive:
        landmarks, rotation = archive["landmarks"], archive["rotation"]
    capture = cv2.VideoCapture(str(video))
    try:
        for index in range(len(landmarks)):
            read, image = capture.read()
            if not read:
                raise DatasetError(f"expected {len(landmarks)} frames in {video}, got {index}")
            rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
            yield ClipFrame(f"{name} {index}", rgb, landmarks[index], rotation[index])
    finally:
        capture.release()


def cut_face(
    name: str, image: Frame, landmarks: FloatArray, rotation: NDArray[np.float32]
) -> LabelledCrop:
    """A face in the region of its own landmarks, as the tracker would cut it."""
    roi = roi_from_landmarks(landmarks)
    points = landmarks_to_crop(landmarks, roi) * INPUT_SIZE - 0.5
    return LabelledCrop(name, crop_frame(image, roi, INPUT_SIZE), points, rotation)


def face_hull(image: Frame, landmarks: FloatArray) -> NDArray[np.bool_]:
    """Pixels surely inside the convex hull of the landmarks: (H, W)."""
    inside = np.zeros(image.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(np.rint(landmarks).astype(np.int32)), 1)
    return cv2.erode(inside, np.ones((3, 3), np.uint8)) > 0


def paint_over_background(image: Frame, landmarks: FloatArray) -> Frame:
    """The picture with the convex hull of the landmarks kept and everything else painted over."""
    inside = face_hull(image, landmarks)
    return np.where(inside[:, :, None], image, np.array(PAINT, np.uint8))


def synthetic_faces(data: Path) -> list[LabelledCrop]:
    """Rendered faces of many people, evenly out of the pack's "val" part."""
    samples = read_pack(data / FACES_PACK, "val")
    crops = []
    for index in spread(len(samples), SYNTHETIC_FACES):
        sample = samples[index]
        if sample.points98 is None or sample.rotation is None:
            raise DatasetError(f"expected points98 and rotation of {sample.name!r} in {FACES_PACK}")
        image = paint_over_background(sample.image.read(), sample.points98)
        crops.append(cut_face(sample.name, image, sample.points98, sample.rotation))
    return crops


def clip_faces(frames: Sequence[ClipFrame]) -> list[LabelledCrop]:
    """Faces of the clips, evenly out of those that are fully in the picture."""
    seen = [
        (frame, person)
        for frame in frames
        for person, points in enumerate(frame.landmarks)
        if is_in_view(points, frame.image)
    ]
    return [
        cut_face(
            f"{frame.name} face {person}",
            frame.image,
            frame.landmarks[person],
            frame.rotation[person],
        )
        for frame, person in (seen[index] for index in spread(len(seen), CLIP_FACES))
    ]


def is_in_view(points: FloatArray, image: Frame) -> bool:
    """Whether all landmarks lie in the picture; NaN does not."""
    height, width = image.shape[:2]
    return bool(((points >= 0) & (points <= (width - 1, height - 1))).all())


def spread(count: int, wanted: int) -> list[int]:
    """Indices evenly over ``count`` items.

    Raises:
        DatasetError: there are fewer than wanted.
    """
    if count < wanted:
        raise DatasetError(f"expected at least {wanted} pictures, got {count}")
    return [int(index) for index in np.linspace(0, count - 1, wanted).round()]


def encode(images: Sequence[Frame], quality: int = JPEG_QUALITY) -> dict[str, NDArray[np.generic]]:
    """The arrays ``jpeg`` and ``offset`` of a pack."""
    files = []
    for image in images:
        _, file = cv2.imencode(
            ".jpg",
            cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
            [cv2.IMWRITE_JPEG_QUALITY, quality],
        )
        files.append(file.reshape(-1))
    lengths = [0, *(len(file) for file in files)]
    return {
        "jpeg": np.concatenate(files).astype(np.uint8, copy=False),
        "offset": np.cumsum(lengths).astype(np.int64),
    }


def save_pack(path: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    """Write a pack; the file appears whole or not at all."""
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def make_parity_crops(data: Path, out: Path) -> None:
    """Write both packs.

    Args:
        data: folder of ``faces_synthetic.npz`` and ``clips/``.
        out: folder to write to.

    Raises:
        DatasetError: something is missing.
    """
    clips = [list(read_clip(data / "clips", name)) for name in CLIPS]
    crops = [*synthetic_faces(data), *clip_faces([frame for clip in clips for frame in clip])]
    save_pack(
        out / CROPS.name,
        {
            **encode([crop.image for crop in crops]),
            "name": np.array([crop.name for crop in crops]),
            "points98": np.stack([crop.points98 for crop in crops]),
            "rotation": np.stack([crop.rotation for crop in crops]),
        },
    )
    frames = [clip[index] for clip in clips for index in spread(len(clip), FRAMES_PER_CLIP)]
    small = [cv2.resize(frame.image, FRAME_SIZE, interpolation=cv2.INTER_AREA) for frame in frames]
    save_pack(
        out / FRAMES.name,
        {
            **encode([image.astype(np.uint8, copy=False) for image in small]),
            "name": np.array([frame.name for frame in frames]),
        },
    )


def main() -> None:
    """Read the arguments and write the packs."""
    parser = argparse.ArgumentParser(
        prog="python -m converters.make_parity_crops", description=__doc__
    )
    parser.add_argument("data", type=Path, help="folder of faces_synthetic.npz and clips/")
    parser.add_argument("--out", type=Path, default=CROPS.parent, help="default: %(default)s")
    arguments = parser.parse_args()
    make_parity_crops(arguments.data, arguments.out)


if __name__ == "__main__":
    main()
