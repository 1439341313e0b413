"""One labelled picture, whatever format it came from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from atpn_mobile.types import FloatArray, Frame


class DatasetError(Exception):
    """A data set is missing, incomplete, or not in the format its reader expects."""


class ImageSource(Protocol):
    """Where a picture comes from; read when needed, not before."""

    def read(self) -> Frame:
        """The picture, (H, W, 3) uint8 RGB. Raises DatasetError when it cannot be read."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class EncodedImage:
    """A picture held in memory as a JPEG or PNG file."""

    encoded: NDArray[np.uint8]

    def read(self) -> Frame:
        """The picture, (H, W, 3) uint8 RGB."""
        image = cv2.imdecode(self.encoded, cv2.IMREAD_COLOR)
        if image is None:
            raise DatasetError(
                f"expected a JPEG or PNG, got {self.encoded.size} bytes that cannot be decoded"
            )
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A picture in a file."""

    path: Path

    def read(self) -> Frame:
        """The picture, (H, W, 3) uint8 RGB."""
        image = cv2.imread(str(self.path), cv2.IMREAD_COLOR)
        if image is None:
            raise DatasetError(f"expected a picture, got a file that cannot be read: {self.path}")
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One picture and what is known of the faces in it.

    Attributes:
        name: unique within its data set.
        image: the picture.
        split: "train" or "val" ("test" sets count as "val": never trained on).
        points98: (98, 2) float32, WFLW scheme, pixels, pixel centres at integers; None if unknown.
        points68: (68, 2) float32, iBUG scheme, likewise.
        rotation: (3, 3) float32, camera <- head, as in ``HeadPose``; None if unknown.
        boxes_xyxy: (K, 4) float32, left, top, right, bottom of all faces; None if unknown.
        spread: (98,) float32, disagreement of machine labels in inter-ocular distances; None for
            labels by people and exact ones.
        subject: the person, where the data set names one.
    """

    name: str
    image: ImageSource
    split: str = "train"
    points98: FloatArray | None = None
    points68: FloatArray | None = None
    rotation: FloatArray | None = None
    boxes_xyxy: FloatArray | None = None
    spread: FloatArray | None = None
    subject: str = ""
