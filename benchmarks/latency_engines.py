"""Model files on their engines, ready to be run again and again on one input."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from atpn_mobile import AtpnError, create_backend, load_manifest
from atpn_mobile.manifest import Artifact, Manifest, Model
from benchmarks.errors import BenchmarkError
from benchmarks.reading import import_tool

ACCELERATOR: Final = "cpu"  # the only one that is ever asked for
_TFLITE_IDENTIFIER: Final = b"TFL3"  # at byte 4
_DISTRIBUTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "onnx": ("onnxruntime",),
    "tflite": ("ai-edge-litert", "tflite-runtime", "tensorflow"),
}
_SEED: Final = 0
_TYPES: Final = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A network that can be run.

    Attributes:
        file: its name.
        runtime: "onnx" or "tflite".
        engine: with its version.
        precision: as the manifest says; "" for a file that it does not name.
        through: what stands between: "atpn_mobile" or "engine".
        accelerator: where the engine says that it runs.
        sha256: of the file.
        run: one inference.
    """

    file: str
    runtime: str
    engine: str
    precision: str
    through: str
    accelerator: str
    sha256: str
    run: Callable[[], object]


def load_subject(path: Path, threads: int, precision: str = "") -> Subject:
    """Load a file: one of the project's own as apps do, any other on the engine directly.

    Args:
        path: an .onnx or a .tflite file; its contents decide which.
        threads: of one run.
        precision: of a file that the manifest does not name, where it is known.

    Raises:
        BenchmarkError: it cannot be read, is no such model, or its engine is not installed.
    """
    contents = _read(path)
    sha256 = hashlib.sha256(contents).hexdigest()
    runtime = runtime_of(contents)
    try:
        ours = _find_artifact(sha256)
        if ours:
            run = _through_package(*ours, threads)
            precision = ours[2].precision
        else:
            run = {"onnx": _onnx, "tflite": _tflite}[runtime](contents, threads)
    except AtpnError as error:
        raise BenchmarkError(f"{path}: {error}") from error
    except BenchmarkError as error:
        raise BenchmarkError(f"{path}: {error}") from error
    return Subject(
        file=path.name,
        runtime=runtime,
        engine=engine_version(runtime),
        precision=precision,
        through="atpn_mobile" if ours else "engine",
        accelerator=ACCELERATOR,  # both engines are loaded with nothing else to choose from
        sha256=sha256,
        run=run,
    )


def runtime_of(contents: bytes) -> str:
    """The engine that reads a file: "onnx" or "tflite"."""
    return "tflite" if contents[4:8] == _TFLITE_IDENTIFIER else "onnx"


def engine_version(runtime: str) -> str:
    """The distribution that is installed of an engine, with its version; its name for none."""
    names = _DISTRIBUTIONS[runtime]
    return next((found for name in names if (found := _with_version(name))), names[0])


def _with_version(distribution: str) -> str | None:
    try:
        return f"{distribution} {metadata.version(distribution)}"
    except metadata.PackageNotFoundError:
        return None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BenchmarkError(
            f"expected a model at {path}, it cannot be read: {error.strerror or error}"
        ) from error


def _find_artifact(sha256: str) -> tuple[Manifest, Model, Artifact] | None:
    manifest = load_manifest()
    for model in manifest.models:
        for artifact in model.artifacts:
            if artifact.sha256 == sha256:
                return manifest, model, artifact
    return None


def _through_package(
    manifest: Manifest, model: Model, artifact: Artifact, threads: int
) -> Callable[[], object]:
    backend = create_backend(artifact.runtime, manifest, model.name, artifact.precision, threads)
    spec = backend.spec.input
    picture = np.random.default_rng(_SEED).uniform(0.0, 255.0, spec.shape).astype(np.float32)
    inputs = {spec.name: picture}
    return lambda: backend.run(inputs)


def _onnx(contents: bytes, threads: int) -> Callable[[], object]:
    engine = import_tool("onnxruntime", "onnxruntime")
    options = engine.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # as the package does
    try:
        session = engine.InferenceSession(
            contents, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the engine's exceptions share no base of their own
        raise BenchmarkError(f"expected an ONNX model, it cannot be loaded: {error}") from error
    inputs = {
        one.name: example_input(one.shape, _TYPES.get(one.type, one.type))
        for one in session.get_inputs()
    }
    return lambda: session.run(None, inputs)


def _tflite(contents: bytes, threads: int) -> Callable[[], object]:
    engine = import_tool("ai_edge_litert.interpreter", "ai-edge-litert")
    try:
        interpreter = engine.Interpreter(model_content=contents, num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise BenchmarkError(f"expected a TFLite model, it cannot be loaded: {error}") from error
    inputs = [
        (one["index"], example_input(one["shape"], np.dtype(one["dtype"]).name))
        for one in interpreter.get_input_details()
    ]
    outputs = [one["index"] for one in interpreter.get_output_details()]

    def run() -> list[Any]:
        for index, value in inputs:
            interpreter.set_tensor(index, value)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return run


def example_input(shape: Sequence[object], dtype: str) -> NDArray[Any]:
    """Numbers for an input: noise in 0..1, zeros where it takes integers; open sizes are 1.

    Raises:
        BenchmarkError: it takes no numbers.
    """
    sizes = [int(size) if isinstance(size, int | np.integer) and size > 0 else 1 for size in shape]
    try:
        kind = np.dtype(dtype)
    except TypeError as error:
        raise BenchmarkError(f"expected an input of numbers, got {dtype}") from error
    if kind.kind == "f":
        return np.random.default_rng(_SEED).uniform(0.0, 1.0, sizes).astype(kind)
    return np.zeros(sizes, kind)
