"""Inference engines: one file each, chosen by name."""

import importlib.util
import sys
from dataclasses import dataclass
from typing import Final, Protocol

from atpn_mobile.backends import coreml, onnx, tflite
from atpn_mobile.backends.base import Backend
from atpn_mobile.errors import BackendUnavailableError, ModelNotFoundError
from atpn_mobile.manifest import Artifact, Contents, Manifest, ModelSpec

__all__ = ["Backend", "Engine", "available_backends", "create_backend", "engines"]


class BackendFactory(Protocol):
    """Makes a backend of a model file; the class of a backend is one."""

    def __call__(self, model: Contents, spec: ModelSpec, *, num_threads: int = 1) -> Backend:
        """Load a network."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An inference engine that the package has a backend for.

    Attributes:
        name: of the runtime in the manifest.
        modules: top-level modules that have the engine, the preferred one first.
        install_hint: the command that installs it.
        create: makes its backend.
        platform: the only ``sys.platform`` it runs on; None for all.
    """

    name: str
    modules: tuple[str, ...]
    install_hint: str
    create: BackendFactory
    platform: str | None = None

    @property
    def module(self) -> str | None:
        """The module that is installed here; it is not imported. None when there is none."""
        if self.platform not in (None, sys.platform):
            return None
        found = (name for name in self.modules if importlib.util.find_spec(name) is not None)
        return next(found, None)

    @property
    def installed(self) -> bool:
        """Whether one of its modules can be found."""
        return self.module is not None


# The one list of engines, the preferred one first.
_ENGINES: Final = (
    Engine("onnx", (onnx.ENGINE_MODULE,), onnx.INSTALL_HINT, onnx.OnnxBackend),
    Engine("tflite", tflite.ENGINE_MODULES, tflite.INSTALL_HINT, tflite.TfliteBackend),
    Engine(
        "coreml",
        (coreml.ENGINE_MODULE,),
        coreml.INSTALL_HINT,
        coreml.CoremlBackend,
        coreml.PLATFORM,
    ),
)

AUTO: Final = "auto"
# What "auto" takes first; another precision of the manifest has to be asked for by name.
_PRECISIONS: Final = ("float32", "float16", "int8_weights", "int8")


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
    precision: str = AUTO,
    num_threads: int = 1,
) -> Backend:
    """Load a model on an engine; the file is checked against the manifest's SHA-256 first.

    Args:
        name: the engine, or "auto" for the first one installed that has a file of the model.
        manifest: where the models are.
        model: name of the model in the manifest.
        precision: one that the manifest names, or "auto" for the most exact one of the engine.
        num_threads: threads of one run.

    Raises:
        BackendUnavailableError: no engine of that name, or it is not installed.
        ModelNotFoundError: no such model, or no such file of it.
        ChecksumError: the file is not the one that the manifest describes.
        ModelMismatchError: the file's inputs or outputs are not the ones the manifest describes.
    """
    by_name = {engine.name: engine for engine in engines()}
    if name not in (AUTO, *by_name):
        known = ", ".join(repr(known) for known in (AUTO, *by_name))
        raise BackendUnavailableError(f"expected a backend out of {known}, got {name!r}")
    artifact = _choose_artifact(name, manifest, model, precision)
    contents = manifest.read_artifact(artifact)
    spec = manifest.model(model).spec(artifact)
    return by_name[artifact.runtime].create(contents, spec, num_threads=num_threads)


def _choose_artifact(name: str, manifest: Manifest, model: str, precision: str) -> Artifact:
    runtimes: tuple[str, ...] = (name,)
    if name == AUTO:
        runtimes = available_backends()
        if not runtimes:
            hints = " or ".join(engine.install_hint for engine in engines())
            raise BackendUnavailableError(
                f"expected an inference engine, none is installed: {hints}"
            )
    artifacts = manifest.model(model).artifacts
    files = {(file.runtime, file.precision): file for file in artifacts}
    precisions = _PRECISIONS if precision == AUTO else (precision,)
    for runtime in runtimes:
        for one in precisions:
            if (runtime, one) in files:
                return files[runtime, one]
    engine = f"an installed engine ({', '.join(runtimes)})" if name == AUTO else f"engine {name!r}"
    wanted = "" if precision == AUTO else f" in {precision}"
    raise ModelNotFoundError(
        f"expected a file of model {model!r}{wanted} for {engine}, the manifest has {[*files]}"
    )
