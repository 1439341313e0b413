"""What runs inside the emulated ARM system, in its Python: an inference, or the tracking loop.

``guest.py tflite MODEL INPUT OUTPUT RUNS`` as ``onnx_driver``, for LiteRT.
``guest.py loop FRAMES RUNTIME PRECISION`` follows a face and marks the stages of each frame.

Both print one JSON object to the standard output.
"""

import ctypes
import json
import sys
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.arm import labels

MARKER_SYSCALL: Final = 7777  # as in marker.h
WARM_UP_RUNS: Final = 3  # the first runs plan and allocate memory
WARM_UP_FRAMES: Final = 3  # the detector finds the face in the first

_libc = ctypes.CDLL(None)
_libc.syscall.argtypes = [ctypes.c_long, ctypes.c_long]


def mark(label: int) -> None:
    """Say that the instructions since the last mark belong to a label."""
    _libc.syscall(MARKER_SYSCALL, label)


def mark_nothing() -> None:
    """Mark what the marking itself costs."""
    for _ in range(WARM_UP_RUNS):
        mark(labels.IGNORED)
        mark(labels.IGNORED)
    mark(labels.EMPTY)


def run_tflite(model: str, source: str, target: str, runs: str) -> dict[str, Any]:
    """Run a model on every input of a file, then count some runs on the first."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=model, num_threads=1)
    interpreter.allocate_tensors()
    (given,) = interpreter.get_input_details()
    inputs = np.fromfile(source, given["dtype"]).reshape(-1, *given["shape"])
    with Path(target).open("wb") as file:
        for one in inputs:
            interpreter.set_tensor(given["index"], one.reshape(given["shape"]))
            interpreter.invoke()
            for found in sorted(interpreter.get_output_details(), key=lambda one: one["name"]):
                interpreter.get_tensor(found["index"]).astype(np.float32).tofile(file)
    interpreter.set_tensor(given["index"], inputs[0].reshape(given["shape"]))
    mark_nothing()
    for run in range(WARM_UP_RUNS + int(runs)):
        mark(labels.IGNORED)
        interpreter.invoke()
        mark(labels.IGNORED if run < WARM_UP_RUNS else labels.NETWORK)
    return {"libraries": loaded_libraries()}


class Stages:
    """Marks which stage of a frame the instructions belong to; stages may lie in one another."""

    def __init__(self) -> None:
        self._running = [labels.IGNORED]

    def wrap(self, place: Any, name: str, label: int) -> None:  # noqa: ANN401 - module or object
        """Make a function of a module, a class or an object a stage."""
        function: Callable[..., Any] = getattr(place, name)

        @wraps(function)
        def staged(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            if self._running[0] == labels.IGNORED:
                return function(*args, **kwargs)
            mark(self._running[-1])
            self._running.append(label)
            try:
                return function(*args, **kwargs)
            finally:
                mark(self._running.pop())

        setattr(place, name, staged)

    def frame(self, track: Callable[[], Any], label: int) -> Any:  # noqa: ANN401
        """Run a frame; what is no stage belongs to ``label``. IGNORED: without marks."""
        self._running[0] = label
        mark(labels.IGNORED)
        result = track()
        mark(label)
        self._running[0] = labels.IGNORED
        return result


def run_loop(frames: str, runtime: str, precision: str) -> dict[str, Any]:
    """Track a face; fails where a counted frame does not show one that is tracked."""
    from atpn_mobile import (
        FaceTracker,
        TrackerConfig,
        load_manifest,
        preprocess,
        smoothing,
        tracker,
    )
    from atpn_mobile.backends import create_backend

    backend = create_backend(runtime, load_manifest(), tracker.ALIGNMENT_MODEL, precision)
    pictures = np.load(frames)
    points = []
    with FaceTracker(backend, TrackerConfig(color="bgr")) as following:
        stages = Stages()
        stages.wrap(backend, "run", labels.NETWORK)
        stages.wrap(preprocess, "crop_frame", labels.WARP)
        stages.wrap(tracker, "crop_tensor", labels.TENSOR)
        stages.wrap(tracker, "decode_alignment", labels.DECODE)
        stages.wrap(FaceTracker, "_next_roi", labels.REGION)
        stages.wrap(tracker, "steady_roi", labels.REGION)
        stages.wrap(smoothing.OneEuroFilter, "smooth", labels.SMOOTHING)
        mark_nothing()
        for index, picture in enumerate(pictures):
            counted = index >= WARM_UP_FRAMES
            result = stages.frame(
                partial(following.track, picture), labels.REST if counted else labels.IGNORED
            )
            if counted and [face.source for face in result.faces] != ["tracked"]:
                raise SystemExit(f"expected one tracked face in frame {index}, got {result.faces}")
            if counted:
                points.append(result.faces[0].raw_landmarks.tolist())
    backend.close()
    return {"frames": len(points), "landmarks": points}


def loaded_libraries() -> dict[str, int]:
    """Where libraries begin in memory, by path."""
    found: dict[str, int] = {}
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and ".so" in fields[5] and int(fields[2], 16) == 0:
            start = int(fields[0].split("-")[0], 16)
            found[fields[5]] = min(start, found.get(fields[5], start))
    return found


def main(command: str, *args: str) -> None:
    """Do what the command line says."""
    commands: dict[str, Callable[..., dict[str, Any]]] = {"tflite": run_tflite, "loop": run_loop}
    sys.stdout.write(json.dumps(commands[command](*args)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
