"""What networks are converted to: one entry per format and precision."""

import importlib.metadata
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from atpn_mobile.backends.base import Backend
from atpn_mobile.backends.onnx import OnnxBackend
from atpn_mobile.backends.tflite import TfliteBackend
from atpn_mobile.manifest import Contents, InputSpec, Layout, ModelSpec
from atpn_mobile.types import FloatArray
from converters.calibration import Calibration, calibration_inputs
from converters.coreml.interpreter import parity_backends
from converters.errors import MissingToolError, RequestError
from converters.graph import Graph, read_graph
from converters.models import Reference
from converters.parity import to_layout
from converters.quantize_onnx import to_onnx_int8
from converters.quantize_tflite import WeightPrecision, quantize_tflite
from converters.to_coreml import PRECISIONS as COREML_PRECISIONS
from converters.to_coreml import to_coreml
from converters.to_onnx import TOOLS as ONNX_TOOLS
from converters.to_onnx import to_onnx
from converters.to_tflite import to_tflite


class Source:
    """A reference network and what is made of it on the way to several formats, each once."""

    def __init__(self, reference: Reference, calibration: Path | None = None) -> None:
        """Nothing is made before it is asked for.

        Args:
            reference: the network.
            calibration: pack of pictures that int8 ranges are measured on; None for the project's.
        """
        self.reference = reference
        self._calibration = calibration

    @cached_property
    def onnx(self) -> bytes:
        """The float32 graph of a fixed batch, which all other formats are made of."""
        return to_onnx(self.reference.network, self.reference.model.spec)

    @cached_property
    def graph(self) -> Graph:
        """The same, read."""
        return read_graph(self.onnx)

    @cached_property
    def tflite(self) -> bytes:
        """The float32 .tflite file."""
        return to_tflite(self.graph, self._nhwc)

    @cached_property
    def tflite_for_int8(self) -> bytes:
        """The same with the activations that int8 kernels have."""
        return to_tflite(self.graph, self._nhwc, hard_swish="relu6")

    @property
    def _nhwc(self) -> ModelSpec:
        spec = self.reference.model.spec
        return ModelSpec(spec.name, in_layout(spec.input, "NHWC"), spec.outputs)

    @cached_property
    def calibration(self) -> Calibration:
        """Inputs that int8 ranges are measured on."""
        model = self.reference.model
        return calibration_inputs(model.task, model.input, self._calibration)

    def calibration_nhwc(self) -> list[FloatArray]:
        """The same channels last."""
        return [to_layout(one, "NHWC") for one in self.calibration.inputs]


@dataclass(frozen=True, slots=True)
class Runner:
    """Something that can run a converted model here.

    Attributes:
        backend: runs it; to be closed.
        description: what it is, for the report.
    """

    backend: Backend
    description: str


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of file that networks are converted to.

    Attributes:
        runtime: the engine it is for.
        precision: of its weights or its arithmetic.
        suffix: of its files.
        convert: makes the file.
        run: everything that can run the file here; the manifest tells of the first one.
        layout: order of the dimensions of its input.
        modules: what has to be installed, by how to install it.
        tools: distributions that make the file; their versions are published.
        shipped: whether the repository carries it.
        calibrated: whether it depends on the calibration's pictures.
    """

    runtime: str
    precision: str
    suffix: str
    convert: Callable[[Source], Contents]
    run: Callable[[Contents, ModelSpec], Sequence[Runner]]
    layout: Layout
    modules: Mapping[str, tuple[str, ...]]
    tools: tuple[str, ...]
    shipped: bool = False
    calibrated: bool = False

    @property
    def name(self) -> str:
        """Runtime and precision, for messages."""
        return f"{self.runtime} {self.precision}"

    def file_name(self, model: str) -> str:
        """Name of a model's file."""
        return f"{model}_{self.precision}{self.suffix}"

    def spec(self, reference: ModelSpec) -> ModelSpec:
        """Input and outputs of the file, given those of the reference."""
        return ModelSpec(reference.name, self.input(reference.input), reference.outputs)

    def input(self, reference: InputSpec) -> InputSpec:
        """What the file takes, given what the reference takes."""
        return in_layout(reference, self.layout)

    def tool_versions(self) -> dict[str, str]:
        """Versions of what makes the file."""
        return {name: version_of(name) for name in self.tools}

    def require_tools(self) -> None:
        """Check that everything is installed, before hours of work are spent.

        Raises:
            MissingToolError: something is missing.
        """
        for hint, modules in self.modules.items():
            missing = [name for name in modules if importlib.util.find_spec(name) is None]
            if missing:
                raise MissingToolError(
                    f"expected {', '.join(missing)} for {self.name}, not installed: {hint}"
                )


def in_layout(spec: InputSpec, layout: Layout) -> InputSpec:
    """The same input in another order of dimensions."""
    side = spec.resolution
    shape = (1, 3, side, side) if layout == "NCHW" else (1, side, side, 3)
    return InputSpec(spec.name, shape, layout)


def version_of(distribution: str) -> str:
    """Version of an installed distribution, without the build's suffix ("+cpu")."""
    return importlib.metadata.version(distribution).split("+")[0]


@dataclass(frozen=True, slots=True)
class _Format:
    """What the targets of one runtime have in common; see ``Target``."""

    runtime: str
    suffix: str
    layout: Layout
    run: Callable[[Contents, ModelSpec], Sequence[Runner]]
    modules: Mapping[str, tuple[str, ...]]
    tools: tuple[str, ...]

    def target(
        self,
        precision: str,
        convert: Callable[[Source], Contents],
        *,
        tools: tuple[str, ...] = (),
        shipped: bool = False,
        calibrated: bool = False,
    ) -> Target:
        return Target(
            runtime=self.runtime,
            precision=precision,
            suffix=self.suffix,
            convert=convert,
            run=self.run,
            layout=self.layout,
            modules=self.modules,
            tools=(*self.tools, *tools),
            shipped=shipped,
            calibrated=calibrated,
        )


def _run_onnx(contents: Contents, spec: ModelSpec) -> list[Runner]:
    return [Runner(OnnxBackend(contents, spec), f"onnxruntime {version_of('onnxruntime')}")]


def _run_tflite(contents: Contents, spec: ModelSpec) -> list[Runner]:
    return [Runner(TfliteBackend(contents, spec), f"LiteRT {version_of('ai-edge-litert')}")]


def _run_coreml(contents: Contents, spec: ModelSpec) -> list[Runner]:
    return [Runner(backend, described) for backend, described in parity_backends(contents, spec)]


def _tflite_weights(precision: WeightPrecision) -> Callable[[Source], Contents]:
    return lambda source: quantize_tflite(source.tflite, precision)


def _coreml(precision: str) -> Callable[[Source], Contents]:
    def convert(source: Source) -> Contents:
        pictures = source.calibration.inputs if precision.startswith("palettized") else ()
        return to_coreml(source.graph, source.reference.model, precision, pictures)

    return convert


_HINT: Final = 'pip install "atpn-mobile[convert]"'
_ONNX: Final = _Format("onnx", ".onnx", "NCHW", _run_onnx, {_HINT: ("onnxruntime",)}, ONNX_TOOLS)
_TFLITE: Final = _Format(
    "tflite",
    ".tflite",
    "NHWC",
    _run_tflite,
    {_HINT: ("tensorflow", "ai_edge_litert", "ai_edge_quantizer")},
    (*ONNX_TOOLS, "tensorflow", "ai-edge-litert"),
)
_COREML: Final = _Format(
    "coreml",
    ".mlpackage",
    "NCHW",
    _run_coreml,
    {_HINT: ("coremltools",)},
    (*ONNX_TOOLS, "coremltools", "numpy"),
)

_QUANTIZER: Final = ("ai-edge-quantizer",)

TARGETS: Final = (
    _ONNX.target("float32", lambda source: source.onnx, shipped=True),
    _ONNX.target(
        "int8",
        lambda source: to_onnx_int8(source.onnx, source.calibration.inputs),
        tools=("onnxruntime", "numpy"),
        shipped=True,
        calibrated=True,
    ),
    _TFLITE.target("float32", lambda source: source.tflite),
    _TFLITE.target(
        "float16", _tflite_weights("float16"), tools=("ai-edge-quantizer",), shipped=True
    ),
    _TFLITE.target("int8_weights", _tflite_weights("int8_weights"), tools=("ai-edge-quantizer",)),
    _TFLITE.target(
        "int8",
        lambda source: quantize_tflite(source.tflite_for_int8, "int8", source.calibration_nhwc()),
        tools=(*_QUANTIZER, "numpy"),
        shipped=True,
        calibrated=True,
    ),
    *(
        _COREML.target(
            precision,
            _coreml(precision),
            shipped=precision == "float16",
            calibrated=precision.startswith("palettized"),
        )
        for precision in COREML_PRECISIONS
    ),
)


def to_dynamic_onnx(target: Target) -> Target:
    """The float32 ONNX target with an open batch."""
    return replace(
        target,
        convert=lambda source: to_onnx(
            source.reference.network, source.reference.model.spec, dynamic_batch=True
        ),
    )


def find_target(runtime: str, precision: str) -> Target:
    """The target of that runtime and precision.

    Raises:
        RequestError: there is none.
    """
    for target in TARGETS:
        if (target.runtime, target.precision) == (runtime, precision):
            return target
    known = [(target.runtime, target.precision) for target in TARGETS]
    raise RequestError(f"expected a target out of {known}, got {(runtime, precision)}")


def select_targets(
    runtime: str | None = None, precision: str | None = None, *, shipped: bool = False
) -> list[Target]:
    """The targets of a runtime, a precision, or both; all of them for None.

    Args:
        runtime: only this one.
        precision: only this one.
        shipped: only those that the repository carries.

    Raises:
        RequestError: there is none.
    """
    chosen = [
        target
        for target in TARGETS
        if runtime in (None, target.runtime)
        and precision in (None, target.precision)
        and (target.shipped or not shipped)
    ]
    if not chosen:
        known = [target.name for target in TARGETS if target.shipped or not shipped]
        wanted = " ".join(one for one in (runtime, precision) if one)
        raise RequestError(f"expected a target out of {known}, got {wanted!r}")
    return chosen
