"""Core ML, on a Mac: the same .mlpackage that an iPhone runs."""

import importlib
import platform
import shutil
import sys
import tempfile
import warnings
import weakref
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

import numpy as np

from atpn_mobile.backends.base import check_inputs, check_outputs
from atpn_mobile.errors import (
    AtpnError,
    BackendUnavailableError,
    ConfigError,
    ModelMismatchError,
)
from atpn_mobile.manifest import Contents, Layout, ModelSpec
from atpn_mobile.types import FloatArray, Frame

ENGINE_MODULE = "coremltools"
PICTURE_MODULE: Final = "PIL.Image"  # coremltools takes pictures in this form
INSTALL_HINT = "pip install coremltools pillow"
PLATFORM: Final = "darwin"  # ``sys.platform`` where Core ML is
OLDEST_MACOS: Final = 13  # has the ML programs of iOS 16

# Processors that Core ML may choose from: "ane" is the Neural Engine.
ComputeUnits = Literal["all", "cpu", "cpu_and_gpu", "cpu_and_ane"]
_COMPUTE_UNITS: Final[Mapping[ComputeUnits, str]] = {
    "all": "ALL",
    "cpu": "CPU_ONLY",
    "cpu_and_gpu": "CPU_AND_GPU",
    "cpu_and_ane": "CPU_AND_NE",
}


class CoremlBackend:
    """A network that Core ML runs."""

    def __init__(
        self,
        model: Contents,
        spec: ModelSpec,
        *,
        num_threads: int = 1,
        compute_units: ComputeUnits = "all",
    ) -> None:
        """Load a network.

        Core ML compiles it from a folder: the files are written to a private temporary one, which
        ``close`` removes.

        Args:
            model: the files of the .mlpackage by their paths in it, already verified.
            spec: what the manifest says about it.
            num_threads: has no effect: Core ML chooses itself.
            compute_units: the processors it may choose from.

        Raises:
            BackendUnavailableError: this is no Mac, or coremltools or Pillow is not installed.
            ConfigError: there are no such compute units.
            ModelMismatchError: the files are no model that Core ML loads, or its picture or its
                outputs are not those of ``spec``.
        """
        if compute_units not in _COMPUTE_UNITS:
            raise ConfigError(
                f"expected compute_units out of {list(_COMPUTE_UNITS)}, got {compute_units!r}"
            )
        _require_macos()
        engine, self._pictures = _import(ENGINE_MODULE), _import(PICTURE_MODULE)
        files = _require_folder(model, spec)
        folder = tempfile.mkdtemp(prefix="atpn-coreml-")  # readable by this user alone
        self._remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        package = Path(folder, "model.mlpackage")
        try:
            _write(package, files)
            units = engine.ComputeUnit[_COMPUTE_UNITS[compute_units]]
            self._model: Any = _load(engine, package, units, spec)
            _check_description(self._model.get_spec().description, spec)
        except BaseException:
            self._remove()
            raise
        self._spec = spec

    @property
    def name(self) -> str:
        """The engine: "coreml"."""
        return "coreml"

    @property
    def spec(self) -> ModelSpec:
        """The network's input and outputs."""
        return self._spec

    def run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Run the network once.

        Args:
            inputs: float32 arrays by input name, of the shapes in ``spec``. Core ML takes a
                picture of 8 bits: values are rounded to 0..255, which those of the crop are.

        Returns:
            float32 arrays by output name, of the shapes in ``spec``; the caller's to keep.

        Raises:
            ModelMismatchError: names or shapes are not those of ``spec``.
            AtpnError: the backend is closed, or Core ML reports an error.
        """
        if self._model is None:
            raise AtpnError(f"expected an open backend, model {self._spec.name!r} was closed")
        check_inputs(self._spec, inputs)
        declared = self._spec.input
        pixels = to_picture(inputs[declared.name], declared.layout)
        try:
            values = self._model.predict({declared.name: self._pictures.fromarray(pixels)})
        except Exception as error:  # the engine's exceptions share no base of their own
            raise AtpnError(f"expected Core ML to run {self._spec.name!r}: {error}") from error
        outputs = {name: np.array(value, dtype=np.float32) for name, value in values.items()}
        check_outputs(self._spec, outputs)
        return outputs

    def close(self) -> None:
        """Free the engine and remove its files; a second call does nothing."""
        self._model = None
        self._remove()


def to_picture(tensor: FloatArray, layout: Layout) -> Frame:
    """Turn a network input back into the picture that Core ML takes.

    Args:
        tensor: (1, 3, S, S) or (1, S, S, 3) as ``layout`` says, RGB, values 0..255.
        layout: order of its dimensions.

    Returns:
        (S, S, 3) uint8, RGB; values are rounded.
    """
    picture = tensor[0].transpose(1, 2, 0) if layout == "NCHW" else tensor[0]
    return np.ascontiguousarray(np.rint(picture).clip(0.0, 255.0), dtype=np.uint8)


def _require_macos() -> None:
    if sys.platform != PLATFORM:
        raise BackendUnavailableError(
            f"expected a Mac, this is {sys.platform}: Core ML runs on macOS and iOS only; use the "
            "backend 'onnx' or 'tflite'"
        )
    version = platform.mac_ver()[0]
    if int(version.split(".")[0]) < OLDEST_MACOS:
        raise BackendUnavailableError(f"expected macOS {OLDEST_MACOS} or newer, got {version}")


def _import(module: str) -> Any:  # noqa: ANN401 - coremltools has no types
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BackendUnavailableError(
            f"expected {module}, it cannot be imported ({error}): {INSTALL_HINT}"
        ) from error


def _require_folder(model: Contents, spec: ModelSpec) -> Mapping[str, bytes]:
    if isinstance(model, bytes):
        raise ModelMismatchError(
            f"expected an .mlpackage folder of model {spec.name!r}, got one file of {len(model)} "
            "bytes"
        )
    outside = [name for name in model if not _is_inside(PurePosixPath(name))]
    if outside:
        raise ModelMismatchError(f"expected files inside of the .mlpackage, got {outside}")
    return model


def _is_inside(path: PurePosixPath) -> bool:
    return not path.is_absolute() and ".." not in path.parts


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, contents in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)


def _load(engine: Any, package: Path, units: Any, spec: ModelSpec) -> Any:  # noqa: ANN401
    try:
        with warnings.catch_warnings():
            # A model that cannot run is loaded all the same, with a warning.
            warnings.simplefilter("error", RuntimeWarning)
            return engine.models.MLModel(str(package), compute_units=units)
    except Exception as error:  # the engine's exceptions share no base of their own
        raise ModelMismatchError(
            f"expected an .mlpackage of model {spec.name!r}, got files that Core ML cannot load: "
            f"{error}"
        ) from error


def _check_description(description: Any, spec: ModelSpec) -> None:  # noqa: ANN401
    side = spec.input.resolution
    outputs = {output.name: output.shape for output in spec.outputs}
    expected = {"pictures": {spec.input.name: (side, side)}, "arrays": outputs}
    pictures = {one.name: one.type.imageType for one in description.input}
    arrays = {one.name: one.type.multiArrayType for one in description.output}
    found = {  # a feature of another type has neither sides nor a shape
        "pictures": {name: (one.height, one.width) for name, one in pictures.items()},
        "arrays": {name: tuple(one.shape) for name, one in arrays.items()},
    }
    if found != expected:
        raise ModelMismatchError(
            f"expected input and outputs {expected} of model {spec.name!r}, got {found}"
        )
