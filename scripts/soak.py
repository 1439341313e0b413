"""Run trackers for a long time on scenes that change all the time: ``python scripts/soak.py``.

Faces of the bundled clips are pasted into frames of changing sizes; they move, grow, jump, change
places, leave and come back. Trackers are made with one profile and engine after the other, used,
reset and closed. What has to hold: memory stays flat, ids are not used twice, every result is
finite, and what cannot be used is refused with an error of the package. Exit status: 0 it held, 1
it did not, with a line for each reason.
"""

import argparse
import gc
import math
import os
import resource
import sys
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from atpn_mobile import AtpnError, FaceTracker, TrackerConfig, TrackResult, available_backends
from atpn_mobile.config import COLORS, QUARTER_TURNS, Color
from atpn_mobile.geometry import box_from_landmarks, crop_frame, roi_from_box
from atpn_mobile.types import Frame

CLIPS = Path(__file__).resolve().parent.parent / "assets" / "clips"
FACE_SIDE = 192  # pixels of a face to paste, about those of the clips
SIZES = ((240, 320), (480, 640), (360, 202), (720, 1280), (16, 16), (300, 900))
PROFILES = (TrackerConfig.fast, TrackerConfig.balanced, TrackerConfig.accurate)
FRAMES = (20, 60)  # of one tracker, from and up to
MAX_ACTORS = 4

WARM_UP = 0.3  # share of the run whose memory does not count: engines and caches fill
# Growth over the rest of the run: the least in its last third less the least in its first, which
# leaves out what a larger frame or another engine takes for a while. A tracker that stays in memory
# takes 8 MiB, a frame 1 MiB; allocators wander by a few, and Python doubles its table of interned
# strings once, by 1 MiB.
MAX_RSS_GROWTH_MIB = 16.0
MAX_OBJECTS_GROWTH_MIB = 2.0
MIB = float(1 << 20)


class SoakError(Exception):
    """Something does not hold."""


@dataclass(slots=True)
class Actor:
    """A face that moves through a scene; lengths in pixels, speeds in pixels per frame."""

    face: int
    x: float
    y: float
    size: float
    speed_x: float
    speed_y: float
    growth: float  # of the size, per frame


class Scene:
    """Frames of one size with faces that come and go."""

    def __init__(
        self, rng: np.random.Generator, faces: Sequence[Frame], size: tuple[int, int]
    ) -> None:
        """Start without a face on a smooth, coloured background."""
        self._rng = rng
        self._faces = faces
        self._height, self._width = size
        coarse = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
        self._background = cv2.resize(coarse, (self._width, self._height))
        self._actors: list[Actor] = []

    def step(self) -> Frame:
        """The next frame, RGB."""
        self._change()
        frame = self._background.astype(np.uint8)
        for actor in self._actors:
            actor.x += actor.speed_x
            actor.y += actor.speed_y
            actor.size = min(max(8.0, actor.size * actor.growth), 2.0 * self._height)
            self._paste(frame, actor)
        return frame

    def _change(self) -> None:
        rng, actors = self._rng, self._actors
        if len(actors) < MAX_ACTORS and rng.random() < (0.08 if actors else 0.4):
            actors.append(self._newcomer())
        if actors and rng.random() < 0.03:
            actors.pop(int(rng.integers(len(actors))))
        if actors and rng.random() < 0.03:  # a jump
            actors[0].x, actors[0].y = rng.uniform(0.0, (self._width, self._height)).tolist()
        if len(actors) > 1 and rng.random() < 0.03:  # two change places
            one, other = actors[0], actors[-1]
            one.x, one.y, other.x, other.y = other.x, other.y, one.x, one.y

    def _newcomer(self) -> Actor:
        rng = self._rng
        size = self._height * rng.uniform(0.15, 0.6)
        speed_x, speed_y = rng.normal(0.0, 0.02 * size, 2).tolist()
        x, y = rng.uniform(0.0, (self._width, self._height)).tolist()
        face = int(rng.integers(len(self._faces)))
        return Actor(face, x, y, float(size), speed_x, speed_y, float(rng.normal(1.0, 0.01)))

    def _paste(self, frame: Frame, actor: Actor) -> None:
        side = max(1, round(actor.size))
        left, top = round(actor.x - side / 2), round(actor.y - side / 2)
        right, bottom = min(left + side, self._width), min(top + side, self._height)
        if max(left, 0) >= right or max(top, 0) >= bottom:
            return
        face = cv2.resize(self._faces[actor.face], (side, side), interpolation=cv2.INTER_AREA)
        part = face[max(-top, 0) : bottom - top, max(-left, 0) : right - left]
        frame[max(top, 0) : bottom, max(left, 0) : right] = part


class IdCheck:
    """Watches the ids of one tracker."""

    def __init__(self, reattach_s: float) -> None:
        """Start with the first id.

        Args:
            reattach_s: the tracker's window.
        """
        self._reattach_s = reattach_s
        self._next_id = 0
        self._before: set[int] = set()
        self._lost_s: dict[int, float] = {}

    def see(self, result: TrackResult) -> None:
        """Check the next result.

        Raises:
            SoakError: an id was used twice, or is not the next one.
        """
        ids = [face.track_id for face in result.faces]
        if ids != sorted(set(ids)):
            raise SoakError(f"expected ids in order and once, got {ids}")
        if set(result.lost_ids) != self._before - set(ids):
            raise SoakError(f"expected lost {self._before - set(ids)}, got {result.lost_ids}")
        self._lost_s.update(dict.fromkeys(result.lost_ids, result.timestamp_s))
        for track_id in set(ids) - self._before:
            self._see_new(track_id, result.timestamp_s)
        self._before = set(ids)

    def _see_new(self, track_id: int, now_s: float) -> None:
        if track_id >= self._next_id:
            # Several at once may be looked at in any order.
            self._next_id = track_id + 1
        elif not 0.0 <= now_s - self._lost_s.pop(track_id, math.inf) < self._reattach_s:
            raise SoakError(f"id {track_id} was used again after the window of its face")


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory after a tracker was closed."""

    at_s: float  # since the start
    rss_mib: float  # of the process
    objects_mib: float  # of Python and NumPy


def read_faces() -> list[Frame]:
    """Faces of the bundled clips, cut out of some of their frames, RGB."""
    faces = []
    for clip, every in (("synthetic_solo", 24), ("synthetic_pair", 30)):
        with np.load(CLIPS / f"{clip}.npz", allow_pickle=False) as labels:
            landmarks = labels["landmarks"]
        video = cv2.VideoCapture(str(CLIPS / f"{clip}.mp4"))
        for index in range(120):
            _, frame = video.read()
            if index % every == 0:
                rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
                faces += [
                    crop_frame(rgb, roi_from_box(box_from_landmarks(points), 0.3), FACE_SIDE)
                    for points in landmarks[index]
                ]
        video.release()
    return faces


def configs(rng: np.random.Generator) -> Iterator[tuple[str, TrackerConfig, tuple[int, int]]]:
    """Engine, options and frame size of one tracker after the other, for ever."""
    engines = available_backends()
    number = 0
    while True:
        color: Color = COLORS[number % len(COLORS)]
        config = PROFILES[number % len(PROFILES)](
            color=color,
            rotation_deg=QUARTER_TURNS[int(rng.integers(4))],
            mirrored=bool(rng.random() < 0.3),
            max_faces=int(rng.integers(1, MAX_ACTORS + 1)),
        )
        if rng.random() < 0.2:
            config = replace(config, smoothing=None)
        # The counts share no divisor: every profile meets every engine and size.
        engine = engines[number // len(PROFILES) % len(engines)]
        yield engine, config, SIZES[number // 5 % len(SIZES)]
        number += 1


def as_camera(frame: Frame, config: TrackerConfig) -> Frame:
    """The upright RGB frame as a camera of these options delivers it; often not contiguous."""
    if config.mirrored:
        frame = frame[:, ::-1]
    frame = np.rot90(frame, config.rotation_deg // 90)
    if config.color == "grey":
        return frame[:, :, 1]
    return frame[:, :, ::-1] if config.color == "bgr" else frame


def check_faces(result: TrackResult) -> None:
    """Every number is one.

    Raises:
        SoakError: it is not.
    """
    for face in result.faces:
        arrays = (face.landmarks, face.raw_landmarks, face.pose.rotation, face.raw_pose.rotation)
        if not all(np.isfinite(array).all() for array in arrays):
            raise SoakError(f"numbers of face {face.track_id} are not finite")


def refuse_nonsense(tracker: FaceTracker) -> None:
    """Hand in what cannot be used.

    Raises:
        SoakError: it was taken.
    """
    nonsense = (np.zeros((4, 4, 7), np.uint8), np.zeros((0, 3), np.uint8), None)
    for frame in nonsense:
        try:
            tracker.track(frame)  # type: ignore[arg-type]
        except AtpnError:
            continue
        raise SoakError(f"expected an error for {frame!r:.60}")


def use_tracker(
    rng: np.random.Generator,
    faces: Sequence[Frame],
    engine: str,
    config: TrackerConfig,
    size: tuple[int, int],
) -> tuple[int, int]:
    """Make a tracker, follow a scene, close it.

    Returns:
        Frames tracked and faces seen.
    """
    frames = int(rng.integers(*FRAMES))
    reset_at = frames // 2 if rng.random() < 0.3 else -1
    seen, now_s = 0, 0.0
    with FaceTracker(engine, config) as tracker:
        ids = IdCheck(config.reattach_s)
        scene = Scene(rng, faces, size)
        for index in range(frames):
            if index == reset_at:
                tracker.reset()
                ids = IdCheck(config.reattach_s)
            if rng.random() < 0.02:
                refuse_nonsense(tracker)
            now_s += float(rng.choice([0.0, 1 / 60, 1 / 30, 1 / 15, 0.7]))
            result = tracker.track(as_camera(scene.step(), config), now_s)
            ids.see(result)
            check_faces(result)
            seen += len(result.faces)
    return frames, seen


def sample(started: float) -> Sample:
    """Memory in use now."""
    gc.collect()
    return Sample(time.monotonic() - started, rss_mib(), tracemalloc.get_traced_memory()[0] / MIB)


def rss_mib() -> float:
    """Memory of the process: what it has now on Linux, elsewhere the most it ever had."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MIB if sys.platform == "darwin" else peak / 1024.0


def growth(values: Sequence[float]) -> float:
    """By how much the least of the last third is above the least of the first third."""
    third = len(values) // 3
    return min(values[-third:]) - min(values[:third])


def judge(samples: Sequence[Sample], seen: int) -> list[str]:
    """What the run as a whole has to hold; a line for each that it does not."""
    counted = [one for one in samples if one.at_s >= WARM_UP * samples[-1].at_s]
    if len(counted) < 3:
        return ["too short: fewer than three trackers after the warm-up"]
    rss = growth([one.rss_mib for one in counted])
    objects = growth([one.objects_mib for one in counted])
    sys.stdout.write(
        f"memory after the warm-up: process {counted[0].rss_mib:.1f} to {counted[-1].rss_mib:.1f} "
        f"MiB, growth {rss:+.2f} (limit {MAX_RSS_GROWTH_MIB:g}); Python objects "
        f"{counted[0].objects_mib:.2f} to {counted[-1].objects_mib:.2f} MiB, growth "
        f"{objects:+.3f} (limit {MAX_OBJECTS_GROWTH_MIB:g})\n"
    )
    reasons = []
    if rss > MAX_RSS_GROWTH_MIB:
        reasons.append(f"the process grew by {rss:.1f} MiB")
    if objects > MAX_OBJECTS_GROWTH_MIB:
        reasons.append(f"Python objects grew by {objects:.2f} MiB")
    if seen == 0:
        reasons.append("no face was seen")
    return reasons


def soak(minutes: float, seed: int) -> list[str]:
    """Run it.

    Returns:
        What did not hold.
    """
    rng = np.random.default_rng(seed)
    faces = read_faces()
    samples: list[Sample] = []
    frames = seen = 0
    reasons: list[str] = []
    tracemalloc.start()
    started = time.monotonic()
    for number, (engine, config, size) in enumerate(configs(rng)):
        try:
            more_frames, more_seen = use_tracker(rng, faces, engine, config, size)
        except SoakError as error:
            reasons.append(f"tracker {number} ({engine}, {size}, {config}): {error}")
            break
        frames, seen = frames + more_frames, seen + more_seen
        samples.append(sample(started))
        if number % 50 == 49:
            sys.stderr.write(f"{samples[-1].at_s:.0f} s, {frames} frames, {rss_mib():.0f} MiB\n")
        if samples[-1].at_s > 60.0 * minutes:
            break
    sys.stdout.write(f"{len(samples)} trackers, {frames} frames, {seen} faces\n")
    return reasons or judge(samples, seen)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Run trackers for a long time; watch memory, ids.")
    parser.add_argument("--minutes", type=float, default=10.0, help="(default: %(default)g)")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes (default: %(default)s)")
    arguments = parser.parse_args()
    reasons = soak(arguments.minutes, arguments.seed)
    for reason in reasons:
        sys.stdout.write(f"FAILED: {reason}\n")
    return 1 if reasons else 0


if __name__ == "__main__":
    sys.exit(main())
