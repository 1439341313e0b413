"""The pictures that frames are composed of, decoded once and held in memory."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

from atpn_mobile.types import FloatArray, Frame
from training.data.packs import read_pack
from training.data.sample import DatasetError, Sample


@dataclass(frozen=True, slots=True)
class FaceSource:
    """A pack of faces.

    Attributes:
        pack: file name without its ending.
        share: of the faces of a composed frame, relative to the other sources.
        surroundings: whether its pictures show enough around the face to serve as a whole scene.
        alone: whether the labelled face is the only one in its picture.
    """

    pack: str
    share: float
    surroundings: bool
    alone: bool


FACE_SOURCES: Final = (
    FaceSource("faces_helen", 0.20, surroundings=True, alone=False),
    FaceSource("faces_ytf", 0.25, surroundings=True, alone=True),
    FaceSource("faces_web", 0.20, surroundings=False, alone=True),
    FaceSource("faces_color", 0.15, surroundings=False, alone=False),
    FaceSource("faces_synthetic", 0.20, surroundings=False, alone=True),
)
BACKGROUND_PACK: Final = "backgrounds"
BACK_OF_HEAD_PACK: Final = "negatives_back_of_head"


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded picture.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        points: (98, 2) float32 landmarks, pixels; an empty (0, 2) where there is no face.
        alone: whether no other face is in the picture.
    """

    image: Frame
    points: FloatArray
    alone: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class PictureLibrary:
    """Everything a composer draws from.

    Attributes:
        faces: pictures with a face, by pack.
        backgrounds: pictures without a face.
        backs_of_heads: heads seen from behind.
    """

    faces: Mapping[str, tuple[Picture, ...]]
    backgrounds: tuple[Picture, ...]
    backs_of_heads: tuple[Picture, ...]


def load_library(data: Path, split: str, limit: int | None = None) -> PictureLibrary:
    """Read and decode the packs of one split.

    A pack without pictures of this split is left out.

    Args:
        data: folder of the packs.
        split: "train" or "val".
        limit: at most so many pictures of a pack, evenly spread, for trials; None for all.

    Raises:
        DatasetError: a pack is missing or cannot be read, or there are no faces or backgrounds.
    """
    faces = {
        source.pack: _decode_pack(data, source.pack, split, limit, source.alone)
        for source in FACE_SOURCES
    }
    library = PictureLibrary(
        MappingProxyType({pack: pictures for pack, pictures in faces.items() if pictures}),
        _decode_pack(data, BACKGROUND_PACK, split, limit),
        _decode_pack(data, BACK_OF_HEAD_PACK, split, limit),
    )
    if not (library.faces and library.backgrounds and library.backs_of_heads):
        raise DatasetError(
            f'expected faces, backgrounds and backs of heads of the split "{split}" in {data}, got '
            f"{sum(map(len, library.faces.values()))}, {len(library.backgrounds)} and "
            f"{len(library.backs_of_heads)}"
        )
    return library


def _decode_pack(
    data: Path, pack: str, split: str, limit: int | None, alone: bool = True
) -> tuple[Picture, ...]:
    samples = read_pack(data / f"{pack}.npz", split)
    if limit is not None and len(samples) > limit:
        samples = [samples[index * len(samples) // limit] for index in range(limit)]

    def decode(sample: Sample) -> Picture:
        points = sample.points98 if sample.points98 is not None else np.zeros((0, 2), np.float32)
        return Picture(sample.image.read(), points, alone)

    with ThreadPoolExecutor() as pool:  # OpenCV decodes outside the interpreter lock
        return tuple(pool.map(decode, samples))
