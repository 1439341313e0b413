"""ONNX -> Core ML: an ML program for iOS 16 that takes a picture."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from atpn_mobile.manifest import Task
from atpn_mobile.types import FloatArray
from converters.coreml.compress import COMPRESSIONS, compress
from converters.coreml.operations import Emitter
from converters.coreml.package import package_files
from converters.coreml.tool import conversion, import_mil
from converters.errors import ConversionError, MissingToolError, RequestError
from converters.graph import Graph
from converters.models import ReferenceModel

PRECISIONS: Final = ("float32", "float16", *COMPRESSIONS)
AUTHOR: Final = "The atpn-mobile developers"

_GIVEN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "landmarks": "98 facial landmarks",
        "pose": "the head pose",
        "presence": "whether there is a face",
    }
)
_PICTURE: Final[Mapping[Task, str]] = MappingProxyType(
    {
        "alignment": "a square cut around one face, its landmarks' box extended by a quarter on "
        "each side",
        "detection": "the whole picture, scaled to fit and centred, the rest black",
    }
)


def to_coreml(
    graph: Graph,
    model: ReferenceModel,
    precision: str,
    calibration: Sequence[FloatArray] = (),
) -> dict[str, bytes]:
    """Convert a graph.

    Args:
        graph: of one square RGB picture, values 0..255, normalised inside.
        model: texts that Xcode shows, and the outputs expected.
        precision: one of ``PRECISIONS``. Compressed weights are those of the float16 program.
        calibration: pictures as the network takes them; palettes are fitted to them.

    Returns:
        The files of the .mlpackage folder, by path in it. The same graph and tools give the same
        bytes.

    Raises:
        RequestError: there is no such precision.
        ConversionError: the graph cannot be converted.
        MissingToolError: coremltools is not installed.
    """
    if precision not in PRECISIONS:
        raise RequestError(f"expected a precision out of {PRECISIONS}, got {precision!r}")
    expected = [(output.name, output.shape) for output in model.outputs]
    found = [(name, graph.shapes[name]) for name in graph.outputs]
    if found != expected or graph.shapes[graph.input] != model.input.shape:
        raise ConversionError(
            f"expected {model.input} and outputs {expected} in {graph.name!r}, got "
            f"{graph.shapes[graph.input]} and {found}"
        )
    with conversion() as tool, _translated_errors(tool, graph):
        converted = _convert(tool, graph, precision)
        if precision in COMPRESSIONS:
            converted = compress(tool, converted, precision, calibration)
        specification = converted.get_spec()
        _describe(specification.description, model, precision)
        return package_files(specification, converted.weights_dir)


@contextmanager
def _translated_errors(tool: Any, graph: Graph) -> Iterator[None]:  # noqa: ANN401
    try:
        yield
    except (ConversionError, MissingToolError):
        raise
    except Exception as error:  # coremltools' errors share no base of their own
        raise ConversionError(
            f"expected coremltools {tool.__version__} to convert {graph.name!r}: {error}"
        ) from error


def _convert(tool: Any, graph: Graph, precision: str) -> Any:  # noqa: ANN401
    target = tool.target.iOS16
    picture = tool.ImageType(
        name=graph.input, shape=graph.shapes[graph.input], color_layout=tool.colorlayout.RGB
    )
    half = precision != "float32"
    return tool.convert(
        _program(graph, target),
        convert_to="mlprogram",
        inputs=[picture],
        # float32 also where the program is float16: Swift has no Float16 on Intel Macs, and the
        # arrays are too small for their size to matter.
        outputs=[tool.TensorType(name=name, dtype=np.float32) for name in graph.outputs],
        minimum_deployment_target=target,
        compute_precision=tool.precision.FLOAT16 if half else tool.precision.FLOAT32,
        skip_model_load=True,  # it is run where parity is checked
    )


def _program(graph: Graph, target: Any) -> Any:  # noqa: ANN401
    mil = import_mil()
    picture = mil.Builder.placeholder(shape=graph.shapes[graph.input])
    with mil.Function({graph.input: picture}, opset_version=target) as function:
        outputs = Emitter(mil.Builder, graph).run(function.inputs[graph.input])
        function.set_outputs(list(outputs))
    program = mil.Program()
    program.add_function("main", function)
    return program


def _describe(description: Any, model: ReferenceModel, precision: str) -> None:  # noqa: ANN401
    """Write what Xcode shows; the date and the tools go: the project's manifest names the tools."""
    metadata = description.metadata
    metadata.Clear()
    metadata.shortDescription = _summary(model)
    metadata.author = AUTHOR
    metadata.license = model.license
    metadata.versionString = model.version
    metadata.userDefined["precision"] = precision
    metadata.userDefined["training data"] = model.training_data
    if model.landmark_scheme is not None:
        metadata.userDefined["landmark scheme"] = model.landmark_scheme
    (picture,) = description.input
    side = model.input.resolution
    picture.shortDescription = f"{_PICTURE[model.task]}, {side} x {side} pixels"
    for feature, output in zip(description.output, model.outputs, strict=True):
        feature.shortDescription = output.meaning


def _summary(model: ReferenceModel) -> str:
    if model.task == "detection":
        return "Boxes and scores of faces in a square picture."
    *others, last = (_GIVEN.get(output.name, output.name) for output in model.outputs)
    given = f"{', '.join(others)} and {last}" if others else last
    return f"{given}, from a square picture of one face."
