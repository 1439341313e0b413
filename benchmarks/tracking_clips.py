"""Videos in memory with their labels, and what can be done to whole frames."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from atpn_mobile import AtpnError
from atpn_mobile.types import FloatArray, Frame
from atpn_mobile.video import open_source
from benchmarks.errors import BenchmarkError

Truth: TypeAlias = NDArray[np.float32]  # (frames, people, 98, 2) frame pixels, NaN while away

RATE_HZ: Final = 30.0  # of what is composed
SEED: Final = 7


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A video in memory, with its labels where it has some.

    Attributes:
        name: of the file, without its ending.
        frames: BGR.
        rate_hz: frames per second.
        landmarks: (frames, people, 98, 2) frame pixels, NaN while away; None where nobody knows.
    """

    name: str
    frames: Sequence[Frame]
    rate_hz: float
    landmarks: Truth | None


def read_clip(path: Path) -> Clip:
    """Read a video and, where it has some, the labels beside it (``.npz``).

    Raises:
        BenchmarkError: it is no video, or its labels do not fit it.
    """
    try:
        with open_source(path) as source:
            frames = [one.image for one in source]
            rate_hz = source.fps
    except AtpnError as error:
        raise BenchmarkError(str(error)) from error
    labels = path.with_suffix(".npz")
    if not labels.exists():
        return Clip(path.stem, frames, rate_hz, None)
    try:
        with np.load(labels, allow_pickle=False) as arrays:
            landmarks = arrays["landmarks"].astype(np.float32)
    except (OSError, ValueError, KeyError) as error:
        raise BenchmarkError(f"expected labels in {labels}, got: {error!r}") from error
    if landmarks.ndim != 4 or len(landmarks) != len(frames):
        raise BenchmarkError(
            f"expected landmarks ({len(frames)}, people, 98, 2) in {labels}, got {landmarks.shape}"
        )
    return Clip(path.stem, frames, rate_hz, landmarks)


def is_inside(landmarks: FloatArray, width: int, height: int) -> NDArray[np.bool_]:
    """Which landmarks (..., 98, 2) are in a picture: (..., 98); those that are NaN are not."""
    inside = (landmarks >= 0) & (landmarks <= np.array([width, height]) - 1)
    return np.asarray(inside.all(axis=-1), np.bool_)


def frames_in_view(clip: Clip) -> int:
    """How many frames there are before a face of the clip is no more all in the picture.

    Raises:
        BenchmarkError: the clip has no labels.
    """
    if clip.landmarks is None:
        raise BenchmarkError(f"expected a clip with labels, got {clip.name}")
    height, width = clip.frames[0].shape[:2]
    seen = is_inside(clip.landmarks, width, height).reshape(len(clip.frames), -1).all(axis=1)
    return len(clip.frames) if np.all(seen) else int(np.argmin(seen))


def moved(frame: Frame, shift: tuple[float, float]) -> Frame:
    """A picture moved by (x, y) pixels, its edges drawn out."""
    matrix = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    height, width = frame.shape[:2]
    return cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE).astype(
        np.uint8, copy=False
    )


def through_codec(frames: Sequence[Frame]) -> list[Frame]:
    """Frames after an MPEG-4 video file.

    Raises:
        BenchmarkError: OpenCV cannot write one here.
    """
    height, width = frames[0].shape[:2]
    with TemporaryDirectory() as folder:
        path = Path(folder, "clip.mp4")
        writer = cv2.VideoWriter(
            str(path), cv2.VideoWriter.fourcc(*"mp4v"), RATE_HZ, (width, height)
        )
        for frame in frames:
            writer.write(frame)
        writer.release()
        if not path.exists():
            raise BenchmarkError("expected an OpenCV that writes MPEG-4, got no file")
        coded = list(read_clip(path).frames)
    if len(coded) != len(frames):
        raise BenchmarkError(f"expected {len(frames)} frames back, got {len(coded)}")
    return coded


def with_noise(frames: Iterator[Frame], noise: float) -> Iterator[Frame]:
    """Frames with normal noise of a standard deviation in grey levels; the same in every call."""
    generator = np.random.default_rng(SEED)
    for frame in frames:
        values = frame + noise * generator.standard_normal(frame.shape, np.float32)
        yield np.clip(np.rint(values), 0, 255).astype(np.uint8)
