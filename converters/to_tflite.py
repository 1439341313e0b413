"""ONNX -> TFLite: the same network channels last, float32, in operations that XNNPACK takes."""

from typing import Any, Final

from atpn_mobile.manifest import ModelSpec
from converters.errors import ConversionError
from converters.graph import Graph
from converters.sixths import fold_sixths
from converters.tflite.file import count_operations, tidy
from converters.tflite.layout import CHANNELS_LAST, stored_shape
from converters.tflite.operations import emit
from converters.tflite.tensors import HardSwishForm
from converters.tflite.tool import tensorflow

TOOLS: Final = ("tensorflow", "ai-edge-litert")

# A Transpose moves every value for nothing; the layout is chosen so that none is needed.
_FORBIDDEN: Final = frozenset({"TRANSPOSE"})


def to_tflite(graph: Graph, spec: ModelSpec, *, hard_swish: HardSwishForm = "fused") -> bytes:
    """Convert a network.

    Args:
        graph: a float32 network of one image input (1, C, H, W).
        spec: names and shapes of the file's input, (1, H, W, C), and outputs.
        hard_swish: "fused" for one operation, the form for float; "relu6" for
            ``x * relu6(x + 3)``, the form that XNNPACK has int8 kernels for; the sixth is in
            the weights of the layers that follow, where they can take it.

    Returns:
        The .tflite file. The same network and tools give the same bytes.

    Raises:
        ConversionError: the graph is not what ``spec`` says, or cannot be expressed.
        MissingToolError: TensorFlow or LiteRT is not installed.
    """
    _check_spec(graph, spec)
    contents = tidy(_convert(graph, spec, hard_swish), spec)
    found = count_operations(contents)
    if not _FORBIDDEN.isdisjoint(found):
        raise ConversionError(
            f"expected no {' or '.join(sorted(_FORBIDDEN))} in {spec.name!r}, got {found}"
        )
    return contents


def _check_spec(graph: Graph, spec: ModelSpec) -> None:
    inputs = {graph.input: stored_shape(graph.shapes[graph.input], CHANNELS_LAST)}
    if inputs != (wanted := {spec.input.name: spec.input.shape}) or spec.input.layout != "NHWC":
        raise ConversionError(
            f"expected the input {wanted} of {spec.name!r} in NHWC, the graph has {inputs}"
        )
    outputs = [(name, graph.shapes[name]) for name in graph.outputs]
    if outputs != (expected := [(output.name, output.shape) for output in spec.outputs]):
        raise ConversionError(
            f"expected the outputs {expected} of {spec.name!r}, the graph has {outputs}"
        )


def _convert(graph: Graph, spec: ModelSpec, hard_swish: HardSwishForm) -> bytes:
    if hard_swish == "relu6":
        graph = fold_sixths(graph)
    with tensorflow() as tf:
        module = tf.Module()

        def network(image: Any) -> dict[str, Any]:  # noqa: ANN401 - a tensor
            return emit(tf, graph, image, hard_swish)

        image = tf.TensorSpec(spec.input.shape, tf.float32, spec.input.name)
        module.network = tf.function(network, input_signature=[image], autograph=False)
        function = module.network.get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
        try:
            contents: bytes = converter.convert()
        except Exception as error:  # its errors share no base of their own
            raise ConversionError(
                f"expected TensorFlow {tf.__version__} to convert {spec.name!r}: {error}"
            ) from error
    return contents
