"""Time of the tracking loop by turns with MediaPipe's FaceMesh, in an interpreter of its own."""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Protocol

import numpy as np

from atpn_mobile import FaceTracker, TrackerConfig, available_backends, load_manifest
from atpn_mobile.backends import create_backend
from atpn_mobile.backends.base import Backend
from atpn_mobile.manifest import ModelSpec
from atpn_mobile.types import FloatArray, Frame
from benchmarks.errors import BenchmarkError
from benchmarks.record import Row
from benchmarks.tracking_clips import Clip, frames_in_view

TURNS: Final = 20
BLOCK: Final = 15  # frames of one loop before the next has its turn
RUNTIMES: Final = ("onnx", "tflite")
MODEL: Final = "atpn"
PEER: Final = "MediaPipe FaceMesh"

# Runs in the other interpreter: reads a range of frames per line, answers with times.
PEER_SCRIPT: Final = """
import json, sys, time
import mediapipe, numpy
frames = numpy.load(sys.argv[1], mmap_mode="c")
mesh = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=False, max_num_faces=1)
print(json.dumps(mediapipe.__version__), flush=True)
for line in sys.stdin:
    start, stop = json.loads(line)
    times = []
    for frame in frames[start:stop]:
        frame = numpy.array(frame)
        wall, cpu = time.perf_counter(), time.process_time()
        found = mesh.process(frame).multi_face_landmarks
        times.append([time.perf_counter() - wall, time.process_time() - cpu, bool(found)])
    print(json.dumps(times), flush=True)
"""


@dataclass(frozen=True, slots=True)
class FrameTime:
    """One frame in which a face was followed.

    Attributes:
        wall_ms: on the clock.
        cpu_ms: of the processor, all threads; less moved by what else the machine does.
        network_cpu_ms: of the calling thread, which does all the work, in the network; 0 where
            that is not known.
        thread_cpu_ms: of the calling thread; 0 where that is not known.
    """

    wall_ms: float
    cpu_ms: float
    network_cpu_ms: float = 0.0
    thread_cpu_ms: float = 0.0


class Loop(Protocol):
    """Something that follows a face through frames."""

    def follow(self, start: int, stop: int) -> Sequence[FrameTime]:
        """Go through these frames; times of those in which a face was followed."""
        ...


@dataclass(slots=True)
class TimedBackend:
    """A backend that adds up the processor's time in it.

    Attributes:
        backend: does the work.
        spent_s: so far.
    """

    backend: Backend
    spent_s: float = 0.0

    @property
    def name(self) -> str:
        """The engine."""
        return self.backend.name

    @property
    def spec(self) -> ModelSpec:
        """The network's input and outputs."""
        return self.backend.spec

    def run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Run the network once."""
        start = time.thread_time()
        outputs = self.backend.run(inputs)
        self.spent_s += time.thread_time() - start
        return outputs

    def close(self) -> None:
        """Free the engine."""
        self.backend.close()


@dataclass(slots=True)
class OurLoop:
    """``FaceTracker.track``.

    Attributes:
        tracker: does it.
        backend: its network.
        frames: BGR.
    """

    tracker: FaceTracker
    backend: TimedBackend
    frames: Sequence[Frame]

    def follow(self, start: int, stop: int) -> list[FrameTime]:
        """Go through these frames; times of those in which a face was followed."""
        times = []
        for one in self.frames[start:stop]:
            frame = one.copy()  # just written, as by a camera; the peer's is too
            before = self.backend.spent_s
            begin = (time.perf_counter(), time.process_time(), time.thread_time())
            result = self.tracker.track(frame)
            end = (time.perf_counter(), time.process_time(), time.thread_time())
            if result.faces and not result.detector_ran:
                wall, cpu, own = (1000.0 * (b - a) for a, b in zip(begin, end, strict=True))
                network = 1000.0 * (self.backend.spent_s - before)
                times.append(FrameTime(wall, cpu, network, own))
        return times


@dataclass(slots=True)
class PeerLoop:
    """MediaPipe's FaceMesh in another process.

    Attributes:
        process: of ``PEER_SCRIPT``.
        version: of MediaPipe.
    """

    process: "subprocess.Popen[str]"
    version: str = field(init=False)

    def __post_init__(self) -> None:
        """Wait until it is ready."""
        self.version = str(self._answer())

    def follow(self, start: int, stop: int) -> list[FrameTime]:
        """Go through these frames; times of those in which a face was found."""
        if self.process.stdin is not None:
            self.process.stdin.write(f"{json.dumps([start, stop])}\n")
            self.process.stdin.flush()
        return [
            FrameTime(1000.0 * wall, 1000.0 * cpu) for wall, cpu, found in self._answer() if found
        ]

    def _answer(self) -> Any:  # noqa: ANN401 - what JSON can be
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise BenchmarkError(
                "expected an interpreter with MediaPipe (pip install mediapipe==0.10.21), "
                f"got an end with status {self.process.wait()} of {self.process.args!r}"
            )
        return json.loads(line)


def loop_rows(clip: Clip, turns: int, mediapipe_python: Path | None) -> list[Row]:
    """Time all loops that can be run here, by turns of ``BLOCK`` frames on one core.

    Args:
        clip: with one face, which is in view at the beginning.
        turns: rounds.
        mediapipe_python: an interpreter with MediaPipe; None for none.

    Raises:
        AtpnError: a network cannot be loaded.
        BenchmarkError: the other interpreter ended, or a face was not followed.
    """
    frames = clip.frames[: frames_in_view(clip)]
    with ExitStack() as resources:
        resources.enter_context(one_core())
        loops: dict[tuple[str, str], Loop] = {
            kind: _our_loop(resources, *kind, frames) for kind in _kinds()
        }
        if mediapipe_python:
            peer = _peer_loop(resources, mediapipe_python, frames)
            loops[f"{PEER} {peer.version}", ""] = peer
        times = in_turns(loops, len(frames), turns)
    peer_times = next((times[kind] for kind in times if kind[0].startswith(PEER)), None)
    return [loop_row(kind, found, peer_times) for kind, found in times.items()]


def in_turns(
    loops: Mapping[tuple[str, str], Loop], frames: int, turns: int
) -> dict[tuple[str, str], list[FrameTime]]:
    """Let loops follow the same frames block by block; the first round is not timed.

    Raises:
        BenchmarkError: one never followed a face.
    """
    times: dict[tuple[str, str], list[FrameTime]] = {name: [] for name in loops}
    starts = range(0, frames - BLOCK + 1, BLOCK)
    for turn in range(turns + 1):
        start = starts[turn % len(starts)]
        for name, loop in loops.items():
            found = loop.follow(start, start + BLOCK)
            times[name] += found if turn else []
    for name, found in times.items():
        if not found:
            raise BenchmarkError(f"expected {name} to follow a face, it did in no frame")
    return times


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process and those it starts on one core, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {max(allowed)})
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def loop_row(
    kind: tuple[str, str], found: Sequence[FrameTime], peer: Sequence[FrameTime] | None
) -> Row:
    """The times of a loop, and how they stand to the peer's.

    Args:
        kind: system and precision.
        found: its frames.
        peer: those of the peer; None for no ratios.
    """
    wall = np.array([one.wall_ms for one in found])
    cpu = np.array([one.cpu_ms for one in found])
    network = np.array([one.network_cpu_ms for one in found])
    row: dict[str, str | float | int | None] = {
        "system": kind[0],
        "precision": kind[1],
        "frames": len(found),
        "median_ms": round(float(np.median(wall)), 3),
        "p10_ms": round(float(np.percentile(wall, 10)), 3),
        "cpu_ms": round(float(np.median(cpu)), 3),
        "outside_percent": None,
    }
    own = np.array([one.thread_cpu_ms for one in found])
    if own.any():
        row["outside_percent"] = round(100.0 * float(np.median(1.0 - network / own)), 2)
    if peer is not None:
        peer_wall = np.array([one.wall_ms for one in peer])
        peer_cpu = np.array([one.cpu_ms for one in peer])
        row |= {
            "ratio": round(float(np.median(wall) / np.median(peer_wall)), 3),
            "quiet_ratio": round(float(np.percentile(wall, 10) / np.percentile(peer_wall, 10)), 3),
            "cpu_ratio": round(float(np.median(cpu) / np.median(peer_cpu)), 3),
        }
    return row


def _kinds() -> list[tuple[str, str]]:
    """Engine and precision of the network's files that can be run here."""
    engines = [name for name in available_backends() if name in RUNTIMES]
    return [
        (artifact.runtime, artifact.precision)
        for artifact in load_manifest().model(MODEL).artifacts
        if artifact.runtime in engines
    ]


def _our_loop(
    resources: ExitStack, engine: str, precision: str, frames: Sequence[Frame]
) -> OurLoop:
    config = TrackerConfig(color="bgr", precision=precision)
    backend = TimedBackend(create_backend(engine, load_manifest(), MODEL, precision, 1))
    resources.callback(backend.close)
    tracker = resources.enter_context(FaceTracker(backend, config))
    return OurLoop(tracker, backend, frames)


def _peer_loop(resources: ExitStack, python: Path, frames: Sequence[Frame]) -> PeerLoop:
    folder = resources.enter_context(TemporaryDirectory())
    path = Path(folder, "frames.npy")
    np.save(path, np.stack(frames)[..., ::-1])  # it takes RGB
    try:
        process = subprocess.Popen(
            [str(python), "-c", PEER_SCRIPT, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    except OSError as error:
        raise BenchmarkError(f"expected an interpreter at {python}, got: {error}") from error
    resources.callback(_end, process)
    return PeerLoop(process)


def _end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()
