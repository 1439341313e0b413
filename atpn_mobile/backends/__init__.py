"""Inference engines: one file each, chosen by name."""

import importlib.util
from dataclasses import dataclass
from typing import Final, Protocol

from atpn_mobile.backends import onnx
from atpn_mobile.backends.base import Backend
from atpn_mobile.errors import BackendUnavailableError, ModelNotFoundError
from atpn_mobile.manifest import Manifest, ModelSpec

__all__ = ["Backend", "Engine", "available_backends", "create_backend", "engines"]


class BackendFactory(Protocol):
    """Makes a backend of a model file; the class of a backend is one."""

    def __call__(self, model: bytes, spec: ModelSpec, *, num_threads: int = 1) -> Backend:
        """Load a network."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An inference engine that the package has a backend for.

    Attributes:
        name: of the runtime in the manifest.
        module: the top-level module that the engine installs.
        install_hint: the command that installs it.
        create: makes its backend.
    """

    name: str
    module: str
    install_hint: str
    create: BackendFactory

    @property
    def installed(self) -> bool:
        """Whether its module can be found; it is not imported."""
        return importlib.util.find_spec(self.module) is not None


# The one list of engines, the preferred one first.
_ENGINES: Final = (Engine("onnx", onnx.ENGINE_MODULE, onnx.INSTALL_HINT, onnx.OnnxBackend),)


def engines() -> tuple[Engine, ...]:
    """Every engine there is a backend for, installed or not, the preferred one first."""
    return _ENGINES


def available_backends() -> tuple[str, ...]:
    """Names of the engines that are installed here, the preferred one first."""
    return tuple(engine.name for engine in engines() if engine.installed)


def create_backend(
    name: str,
    manifest: Manifest,
    model: str,
    precision: str = "float32",
    num_threads: int = 1,
) -> Backend:
    """Load a model on an engine; the file is checked against the manifest's SHA-256 first.

    Args:
        name: the engine, or "auto" for the first one installed that has a file of the model.
        manifest: where the models are.
        model: name of the model in the manifest.
        precision: "float32", or another one that the manifest names.
        num_threads: threads of one run.

    Raises:
        BackendUnavailableError: no engine of that name, or it is not installed.
        ModelNotFoundError: no such model, or no such file of it.
        ChecksumError: the file is not the one that the manifest describes.
        ModelMismatchError: the file's inputs or outputs are not the ones the manifest describes.
    """
    runtime = _choose_engine(manifest, model, precision) if name == "auto" else name
    by_name = {engine.name: engine for engine in engines()}
    if runtime not in by_name:
        known = ", ".join(repr(known) for known in ("auto", *by_name))
        raise BackendUnavailableError(f"expected a backend out of {known}, got {name!r}")
    artifact = manifest.artifact(model, runtime, precision)
    contents = manifest.read_artifact(artifact)
    spec = manifest.model(model).spec(artifact)
    return by_name[runtime].create(contents, spec, num_threads=num_threads)


def _choose_engine(manifest: Manifest, model: str, precision: str) -> str:
    installed = available_backends()
    if not installed:
        hints = " or ".join(engine.install_hint for engine in engines())
        raise BackendUnavailableError(f"expected an inference engine, none is installed: {hints}")
    artifacts = manifest.model(model).artifacts
    offered = {file.runtime for file in artifacts if file.precision == precision}
    for runtime in installed:
        if runtime in offered:
            return runtime
    raise ModelNotFoundError(
        f"expected model {model!r} in {precision} for an installed engine "
        f"({', '.join(installed)}), the manifest has "
        f"{[(file.runtime, file.precision) for file in artifacts]}"
    )
