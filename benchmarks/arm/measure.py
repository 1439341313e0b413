"""Instructions of an inference and of a tracked frame, on one core."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.arm import labels
from benchmarks.arm.counts import Block, Counts, minus, plus, typical
from benchmarks.arm.emulator import CORES, GUEST, ONNX_DRIVER, Core, Emulator
from benchmarks.errors import BenchmarkError
from benchmarks.record import ROOT

RUNS: Final = 5
CLIP: Final = ROOT / "assets" / "clips" / "synthetic_solo.mp4"
FRAMES: Final = 8  # the first three find the face and warm up


@dataclass(frozen=True, slots=True, eq=False)
class Inference:
    """A model file on a core.

    Attributes:
        counts: of one inference.
        outputs: (inputs, values) float32, all outputs of each input, one after the other.
        blocks: what was executed in all the counted runs, where it was asked for.
        libraries: where the program's libraries begin in memory, by path; LiteRT only.
    """

    counts: Counts
    outputs: NDArray[np.float32]
    blocks: tuple[Block, ...]
    libraries: Mapping[str, int]


def count_inference(
    emulator: Emulator,
    core: Core,
    path: Path,
    runtime: str,
    inputs: NDArray[np.float32],
    *,
    runs: int = RUNS,
    with_blocks: bool = False,
) -> Inference:
    """Run a model file on a core, one thread.

    Args:
        emulator: the ARM system.
        core: see there.
        path: the file.
        runtime: "onnx" or "tflite".
        inputs: (N, ...) for the model's only input, in its layout; the first is counted.
        runs: to count.
        with_blocks: also return what was executed.

    Raises:
        BenchmarkError: it does not run.
    """
    with emulator.workplace() as folder:
        shutil.copyfile(path, folder / "model")
        inputs.tofile(folder / "input")
        program = ONNX_DRIVER if runtime == "onnx" else (*GUEST, "tflite")
        counted, said = emulator.run(
            core,
            folder,
            [*program, "model", "input", "output", str(runs)],
            blocks_label=labels.NETWORK if with_blocks else labels.IGNORED,
        )
        outputs = np.fromfile(folder / "output", np.float32).reshape(len(inputs), -1)
    counts = typical(counted.of(labels.NETWORK))
    for cost in counted.of(labels.EMPTY):  # of Python's marks; those of C are ten instructions
        counts = minus(counts, cost)
    libraries = json.loads(said)["libraries"] if said.strip() else {}
    return Inference(counts, outputs, counted.blocks, libraries)


@dataclass(frozen=True, slots=True, eq=False)
class TrackedFrame:
    """The mean tracked frame.

    Attributes:
        stages: instructions by stage.
        landmarks: (frames, 98, 2), unsmoothed.
    """

    stages: Mapping[str, Counts]
    landmarks: NDArray[np.float32]


def count_frame(
    emulator: Emulator, core: Core, runtime: str, precision: str, frames: NDArray[np.uint8]
) -> TrackedFrame:
    """Follow a face through frames with the Python runtime, as an app does; one thread.

    Args:
        emulator: the ARM system.
        core: see there.
        runtime: "onnx" or "tflite".
        precision: of the network's file.
        frames: (N, H, W, 3), BGR.

    Raises:
        BenchmarkError: it does not run, or loses the face.
    """
    _compile_sources(emulator)
    with emulator.workplace() as folder:
        np.save(folder / "frames.npy", frames)
        command = [*GUEST, "loop", "frames.npy", runtime, precision]
        counted, said = emulator.run(core, folder, command)
    told = json.loads(said)
    (cost,) = counted.of(labels.EMPTY)
    stages = {
        name: _mean([minus(one, cost) for one in counted.of(label)], told["frames"])
        for label, name in labels.STAGES.items()
    }
    return TrackedFrame(stages, np.array(told["landmarks"], np.float32))


@cache
def _compile_sources(emulator: Emulator) -> None:
    """Let Python write its byte code: the run that does so lays out its memory in another way."""
    with emulator.workplace() as folder:
        np.save(folder / "frames.npy", read_frames(count=4))
        emulator.run(CORES["a53"], folder, [*GUEST, "loop", "frames.npy", "tflite", "int8"])


def _mean(many: list[Counts], frames: int) -> Counts:
    return Counts({name: count // frames for name, count in plus(many).by_class.items()})


def read_frames(clip: Path = CLIP, count: int = FRAMES) -> NDArray[np.uint8]:
    """The first frames of a clip, (N, H, W, 3), BGR.

    Raises:
        BenchmarkError: there are not as many.
    """
    import cv2

    capture = cv2.VideoCapture(str(clip))
    frames = [frame for found, frame in (capture.read() for _ in range(count)) if found]
    capture.release()
    if len(frames) != count:
        raise BenchmarkError(f"expected {count} frames in {clip}, got {len(frames)}")
    return np.stack(frames).astype(np.uint8)
