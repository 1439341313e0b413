"""What the tracker is shown: clips, and scenes composed of them in which every motion is known."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atpn_mobile.types import FloatArray, Frame
from benchmarks.errors import BenchmarkError
from benchmarks.tracking_clips import (
    RATE_HZ,
    SEED,
    Clip,
    Truth,
    frames_in_view,
    is_inside,
    moved,
    through_codec,
    with_noise,
)
from benchmarks.tracking_heads import Head, backdrop, covered, paste, scaled_to

WIDTH: Final = 640
HEIGHT: Final = 480
NOISE: Final = 4.0  # standard deviation of a sensor's noise, grey levels: a phone indoors

WARM_FRAMES: Final = 30  # before anything happens
PAINTED_FRAMES: Final = 40
JUMP_PX: Final = 200
STILL_FRAMES: Final = 120
SHORT_ABSENCE: Final = 30  # frames: a second, within TrackerConfig.reattach_s
LONG_ABSENCE: Final = 90  # three seconds, beyond it
CROWD_SIZE: Final = (1920, 1080)
CROWD: Final = 19
CROWD_FACE_PX: Final = (38.0, 52.0)  # longer sides of the faces' boxes: 3.5 to 4.8 % of the height


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Frames, and what is true of them.

    Attributes:
        name: of the scene.
        frames: makes them anew, BGR.
        rate_hz: frames per second.
        max_faces: what the tracker is asked for.
        landmarks: where the faces are; None where nobody knows.
        visible: (frames, people) share of a face's landmarks that can be seen, 0..1; None with
            the landmarks.
        cuts: frames at which the picture changes at once.
        speed: of the face, face sizes per second, where it is constant or has a highest value.
    """

    name: str
    frames: Callable[[], Iterator[Frame]]
    rate_hz: float
    max_faces: int = 1
    landmarks: Truth | None = None
    visible: NDArray[np.float64] | None = None
    cuts: tuple[int, ...] = ()
    speed: float | None = None


def scene_of_clip(clip: Clip) -> Scene:
    """A clip as it is."""
    height, width = clip.frames[0].shape[:2]
    people = 1 if clip.landmarks is None else clip.landmarks.shape[1]
    visible = None if clip.landmarks is None else shares_seen(clip.landmarks, width, height)
    return Scene(
        clip.name, lambda: iter(clip.frames), clip.rate_hz, people, clip.landmarks, visible
    )


def painted_out(clip: Clip) -> Scene:
    """The one face of a clip is painted over for a while."""
    frames, truth = _one_face(clip)
    last = WARM_FRAMES + PAINTED_FRAMES
    frames, truth = frames[: last + WARM_FRAMES], truth[: last + WARM_FRAMES].copy()
    shown = [
        _paint_over(frame, points) if WARM_FRAMES <= index < last else frame
        for index, (frame, points) in enumerate(zip(frames, truth[:, 0], strict=True))
    ]
    truth[WARM_FRAMES:last] = np.nan
    return _one_face_scene(
        f"painted out for {PAINTED_FRAMES} frames", lambda: iter(shown), truth, _size(frames)
    )


def jump_cut(clip: Clip) -> Scene:
    """The picture of a clip jumps aside, to where there is room for its one face."""
    frames, truth = _one_face(clip)
    frames, truth = frames[: 2 * WARM_FRAMES], truth[: 2 * WARM_FRAMES].copy()
    width = frames[0].shape[1]
    side = 1 if truth[WARM_FRAMES:, 0, :, 0].mean() < width / 2 else -1
    shift = np.array([side * JUMP_PX, 0], np.float32)
    shown = [
        moved(frame, (float(shift[0]), 0.0)) if index >= WARM_FRAMES else frame
        for index, frame in enumerate(frames)
    ]
    truth[WARM_FRAMES:] += shift
    return _one_face_scene(
        f"jump of {JUMP_PX} pixels",
        lambda: iter(shown),
        truth,
        _size(frames),
        cuts=(WARM_FRAMES,),
    )


def crossing(front: Head, back: Head) -> Scene:
    """Two faces pass each other, one behind the other."""
    steps = np.linspace(0.0, 1.0, 4 * WARM_FRAMES)
    low, high = 0.22 * WIDTH, 0.78 * WIDTH
    paths = [(back, high + (low - high) * steps), (front, low + (high - low) * steps)]
    return _heads("two faces cross", paths)


def absence(head: Head, frames: int) -> Scene:
    """A face moves out of the picture, stays away, and comes back by the same way."""
    middle, outside = WIDTH / 2.0, WIDTH + 0.6 * head.picture.shape[1]
    out = np.linspace(middle, outside, WARM_FRAMES)
    path = np.concatenate([np.full(WARM_FRAMES, middle), out, np.full(frames, outside), out[::-1]])
    path = np.concatenate([path, np.full(WARM_FRAMES, middle)])
    return _heads(f"away for {frames} frames", [(head, path)])


def other_person(first: Head, second: Head) -> Scene:
    """A cut to another person at the same place."""
    here, away = np.full(WARM_FRAMES, WIDTH / 2.0), np.full(WARM_FRAMES, np.nan)
    paths = [(first, np.concatenate([here, away])), (second, np.concatenate([away, here]))]
    return _heads("another person", paths, cuts=(WARM_FRAMES,))


def still_noise(clip: Clip, noise: float = NOISE) -> Scene:
    """One frame with a sensor's noise: what differs from frame to frame is noise alone."""
    frames, truth = _one_face(clip)

    def shown() -> Iterator[Frame]:
        return with_noise(repeat(frames[0], STILL_FRAMES), noise)

    still = np.repeat(truth[:1], STILL_FRAMES, axis=0)
    return _one_face_scene("still, sensor noise", shown, still, _size(frames))


def still_coded(clip: Clip, noise: float = NOISE) -> Scene:
    """The same through a video codec, whose errors stay for some frames and then jump."""
    still = still_noise(clip, noise)
    coded = through_codec(list(still.frames()))
    return replace(still, name="still, noise and codec", frames=lambda: iter(coded))


def swaying(clip: Clip, rate_hz: float, reach: float) -> Scene:
    """A still face goes to and fro.

    Args:
        clip: gives the face.
        rate_hz: times per second.
        reach: to each side, face sizes.
    """
    times = np.arange(STILL_FRAMES) / RATE_HZ
    path = np.asarray(reach * np.sin(2.0 * np.pi * rate_hz * times), np.float64)
    speed = 2.0 * np.pi * rate_hz * reach
    return _on_path(clip, f"sways {rate_hz:g} times a second", path, speed)


def passing(clip: Clip, speed: float) -> Scene:
    """A still face moves evenly, forth and back.

    Args:
        clip: gives the face.
        speed: face sizes per second.
    """
    half = min(STILL_FRAMES // 2, round(RATE_HZ / speed))  # at most one face size
    steps = np.arange(half, dtype=np.float64)
    path = np.concatenate([steps, half - steps]) - half / 2.0
    return _on_path(clip, f"moves {speed:g} face sizes a second", speed / RATE_HZ * path, speed)


def crowd(heads: Sequence[Head]) -> Scene:
    """A large picture with many small faces, in rows."""
    width, height = CROWD_SIZE
    generator = np.random.default_rng(SEED)
    picture = backdrop(width, height)
    columns = 5
    rows = -(-CROWD // columns)
    truth = []
    for index in range(CROWD):
        head = scaled_to(heads[index % len(heads)], float(generator.uniform(*CROWD_FACE_PX)))
        cell = np.array([width / columns, height / rows])
        offset = generator.uniform(0.35, 0.65, 2)
        center = (np.array([index % columns, index // columns]) + offset) * cell
        left, top = np.rint(center - np.array(head.mask.shape[::-1]) / 2.0).astype(int)
        truth.append(paste(picture, head, int(left), int(top)))
    landmarks = np.stack(truth)[np.newaxis].repeat(3, axis=0)
    visible = shares_seen(landmarks, width, height)
    return Scene(
        f"crowd of {CROWD}", lambda: repeat(picture, 3), RATE_HZ, CROWD, landmarks, visible
    )


def shares_seen(landmarks: Truth, width: int, height: int) -> NDArray[np.float64]:
    """(frames, people): the share of each face's landmarks that are in the picture, 0..1."""
    shares: NDArray[np.float64] = is_inside(landmarks, width, height).mean(axis=2)
    return shares


def _one_face(clip: Clip) -> tuple[Sequence[Frame], Truth]:
    """The frames up to the first in which the clip's one face is not all in the picture.

    Raises:
        BenchmarkError: the clip has no labels, more faces, or no such frames.
    """
    if clip.landmarks is None or clip.landmarks.shape[1] != 1:
        raise BenchmarkError(f"expected a clip with the labels of one face, got {clip.name}")
    count = frames_in_view(clip)
    wanted = 2 * WARM_FRAMES + PAINTED_FRAMES
    if count < wanted:
        raise BenchmarkError(
            f"expected a face in view in the first {wanted} frames of {clip.name}, got {count}"
        )
    return clip.frames[:count], clip.landmarks[:count]


def _size(frames: Sequence[Frame]) -> tuple[int, int]:
    """Height and width."""
    height, width = frames[0].shape[:2]
    return height, width


def _paint_over(frame: Frame, landmarks: FloatArray) -> Frame:
    """Cover a head with the colour around it."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    size = float((high - low).max())
    left, top = np.maximum(low - 0.5 * size, 0).astype(int)
    right, bottom = (high + 0.5 * size).astype(int)
    painted = frame.copy()
    part = painted[top:bottom, left:right]
    part[:] = np.concatenate([part[0], part[-1]]).mean(axis=0).astype(np.uint8)
    return painted


def _on_path(clip: Clip, name: str, path: NDArray[np.float64], speed: float) -> Scene:
    """The first frame of a clip, moved sideways along a path in face sizes, with noise."""
    frames, truth = _one_face(clip)
    size = float(np.ptp(truth[0, 0], axis=0).max())
    shifts = path * size

    def shown() -> Iterator[Frame]:
        return with_noise((moved(frames[0], (float(x), 0.0)) for x in shifts), NOISE / 2.0)

    landmarks = np.repeat(truth[:1], len(shifts), axis=0)
    landmarks[..., 0] += shifts[:, np.newaxis, np.newaxis].astype(np.float32)
    return _one_face_scene(name, shown, landmarks, _size(frames), speed=speed)


def _heads(
    name: str, paths: Sequence[tuple[Head, NDArray[np.float64]]], *, cuts: tuple[int, ...] = ()
) -> Scene:
    """Heads before a wall, each on its path of centres along x (NaN: away), the last in front."""
    count = len(paths[0][1])
    truth = np.full((count, len(paths), 98, 2), np.nan, np.float32)
    seen: NDArray[np.bool_] = np.zeros(truth.shape[:3], np.bool_)
    shown = []
    for index in range(count):
        picture = backdrop(WIDTH, HEIGHT)
        for person, (head, path) in enumerate(paths):
            if np.isnan(path[index]):
                continue
            height, width = head.mask.shape
            left, top = round(path[index] - width / 2.0), round((HEIGHT - height) / 2.0)
            for other in range(person):
                if seen[index, other].any():
                    seen[index, other] &= ~covered(head, left, top, truth[index, other])
            truth[index, person] = paste(picture, head, left, top)
            seen[index, person] = is_inside(truth[index, person], WIDTH, HEIGHT)
        shown.append(picture)
    visible = seen.mean(axis=2)
    return Scene(name, lambda: iter(shown), RATE_HZ, len(paths), truth, visible, cuts)


def _one_face_scene(
    name: str,
    frames: Callable[[], Iterator[Frame]],
    truth: Truth,
    size: tuple[int, int],
    *,
    cuts: tuple[int, ...] = (),
    speed: float | None = None,
) -> Scene:
    """A composed scene of one face in pictures of (height, width)."""
    height, width = size
    visible = shares_seen(truth, width, height)
    return Scene(name, frames, RATE_HZ, 1, truth, visible, cuts, speed)
