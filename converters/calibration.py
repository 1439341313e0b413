"""The pictures that int8 ranges are measured on: the same ones for every format."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from atpn_mobile.geometry import crop_frame, roi_from_landmarks
from atpn_mobile.manifest import InputSpec, Task
from atpn_mobile.preprocess import letterbox_tensor, to_tensor
from atpn_mobile.types import FloatArray, Frame
from converters.errors import RequestError
from converters.parity import DATA, scaled_crop
from training.data.packs import read_pack
from training.data.sample import Sample

CALIBRATION_CROPS: Final = DATA / "calibration_crops.npz"  # faces and none, cut out
CALIBRATION_FRAMES: Final = DATA / "calibration_frames.npz"  # whole pictures
MAX_PICTURES: Final = 512  # of a pack, evenly chosen; more only take longer


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Pictures to measure ranges on.

    Attributes:
        inputs: float32 network inputs, of the layout of the reference.
        sha256: of the pack that they were read from, hexadecimal.
    """

    inputs: tuple[FloatArray, ...]
    sha256: str


def calibration_inputs(task: Task, spec: InputSpec, path: Path | None = None) -> Calibration:
    """Read the calibration pictures.

    Args:
        task: decides between crops and whole pictures.
        spec: what the reference takes.
        path: a pack (.npz) of your own pictures instead of the project's, whose crops are scaled
            to the network's size. Crops of your own are taken as they are when they have it;
            larger pictures need ``points98`` or ``points68``, and the face is cut out as the
            tracker does. At most ``MAX_PICTURES`` are used, evenly chosen.

    Raises:
        DatasetError: the pack is missing or damaged.
        RequestError: the pack is empty, or a picture is neither a crop nor labelled.
    """
    source = path or (CALIBRATION_CROPS if task == "alignment" else CALIBRATION_FRAMES)
    samples = read_pack(source)
    if not samples:
        raise RequestError(f"expected pictures to calibrate on in {source}, found none")
    step = max(1.0, len(samples) / MAX_PICTURES)
    chosen = [samples[int(index * step)] for index in range(min(len(samples), MAX_PICTURES))]
    inputs = tuple(_input(sample, task, spec, is_crop=path is None) for sample in chosen)
    return Calibration(inputs, hashlib.sha256(source.read_bytes()).hexdigest())


def _input(sample: Sample, task: Task, spec: InputSpec, *, is_crop: bool) -> FloatArray:
    image = sample.image.read()
    if task == "detection":
        return letterbox_tensor(image, spec, "rgb")[0]
    size = spec.resolution
    crop = scaled_crop(image, size) if is_crop else _own_crop(sample, image, size)
    return to_tensor(crop, spec, "rgb")


def _own_crop(sample: Sample, image: Frame, resolution: int) -> Frame:
    if image.shape[:2] == (resolution, resolution):
        return image
    points = sample.points98 if sample.points98 is not None else sample.points68
    if points is None:
        raise RequestError(
            f"expected crops of {resolution}x{resolution} pixels or pictures with points98 or "
            f"points68, got {sample.name!r} of {image.shape[1]}x{image.shape[0]} without"
        )
    return crop_frame(image, roi_from_landmarks(points), resolution)
