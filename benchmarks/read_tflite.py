"""TFLite files as networks: any file with one graph."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from benchmarks.errors import BenchmarkError
from benchmarks.layers import Layer, Network, Tensor
from benchmarks.reading import (
    Constant,
    WeightCounter,
    convolution_kind,
    import_tool,
    layer_name,
    plane,
    unique,
)

FILE_IDENTIFIER: Final = b"TFL3"
# Which inputs are weights and biases.
WEIGHTS: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {
        "CONV_2D": (1, 2),
        "DEPTHWISE_CONV_2D": (1, 2),
        "TRANSPOSE_CONV": (1, 3),
        "FULLY_CONNECTED": (1, 2),
        "BATCH_MATMUL": (0, 1),
        "PRELU": (1,),
        "GATHER": (0,),
        "EMBEDDING_LOOKUP": (1,),
    }
)
CONVOLUTIONS: Final = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
VIEWS: Final = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
# They multiply, or call other graphs, and no rule here says how often.
NOT_COUNTED: Final = (
    "CONV_3D",
    "LSTM",
    "RNN",
    "SEQUENCE",
    "SVDF",
    "WHILE",
    "IF",
    "CALL",
    "STABLEHLO",
)
# Bytes by the schema's TensorType. Numbers of four bits are unpacked where they are computed.
ITEMSIZES: Final[Mapping[str, int]] = MappingProxyType(
    {
        **dict.fromkeys(("BOOL", "INT2", "INT4", "UINT4", "INT8", "UINT8"), 1),
        **dict.fromkeys(("FLOAT16", "BFLOAT16", "INT16", "UINT16"), 2),
        **dict.fromkeys(("FLOAT32", "INT32", "UINT32"), 4),
        **dict.fromkeys(("FLOAT64", "INT64", "UINT64", "COMPLEX64"), 8),
        "COMPLEX128": 16,
    }
)


@dataclass(frozen=True, slots=True)
class _Graph:
    """A graph of the schema, with what is known of its tensors.

    Attributes:
        operators: those that compute something of the inputs, each with its name.
        names: of all tensors, unique.
        constants: by place in the list of tensors.
        tensors: the computed ones, by place.
        inputs: places.
        outputs: places.
    """

    operators: tuple[tuple[str, Any], ...]
    names: Sequence[str]
    constants: Mapping[int, Constant]
    tensors: Mapping[int, Tensor]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def shape(self, place: int) -> tuple[int, ...]:
        """Of a tensor, computed or not."""
        held = self.constants.get(place)
        return self.tensors[place].shape if held is None else held.shape


def read_tflite(contents: bytes, name: str) -> Network:
    """Read a .tflite file.

    Args:
        contents: of the file.
        name: of the network if the file has none.

    Returns:
        its layers; weights that a DEQUANTIZE makes of half floats are weights, not a layer.

    Raises:
        BenchmarkError: it is no such file, has several graphs, open dimensions other than the
            batch, or operators whose MACs are not known.
    """
    if contents[4:8] != FILE_IDENTIFIER:
        raise BenchmarkError(f"expected a .tflite file, got {len(contents)} bytes of another")
    schema = import_tool("ai_edge_litert.tools.flatbuffer_utils", "ai-edge-litert")
    try:
        model = schema.read_model_from_bytearray(contents)
    except Exception as error:  # struct.error, IndexError, ...: whatever the broken bytes lead to
        raise BenchmarkError(f"expected a .tflite file, got a broken one: {error}") from error
    if len(model.subgraphs) != 1:
        raise BenchmarkError(f"expected one graph in a .tflite file, got {len(model.subgraphs)}")
    graph = _read_graph(model, schema)
    return Network(
        name=_text(model.subgraphs[0].name) or name,
        runtime="tflite",
        inputs=tuple(graph.names[place] for place in graph.inputs),
        outputs=tuple(graph.names[place] for place in graph.outputs),
        layers=_layers(graph),
        tensors=MappingProxyType(
            {graph.names[place]: tensor for place, tensor in graph.tensors.items()}
        ),
        file_bytes=len(contents),
    )


def _read_graph(model: Any, schema: Any) -> _Graph:  # noqa: ANN401 - generated classes
    graph = model.subgraphs[0]
    names = unique(_text(tensor.name) for tensor in graph.tensors)
    constants: dict[int, Constant] = {}
    for place, tensor in enumerate(graph.tensors):
        data = model.buffers[tensor.buffer].data
        if data is not None and len(data):
            shape = _dimensions(tensor.shape)
            constants[place] = Constant(
                f"buffer {tensor.buffer}", shape, math.prod(shape), len(data)
            )
    operators = []
    for operator in graph.operators:
        op = _operator_name(model, operator, schema)
        given = [place for place in operator.inputs if place >= 0]
        if given and all(place in constants for place in given):
            for place in operator.outputs:
                shape = _dimensions(graph.tensors[place].shape)
                constants[place] = replace(constants[given[0]], shape=shape)
        else:
            operators.append((op, operator))
    results = [place for _, operator in operators for place in operator.outputs]
    computed = list(dict.fromkeys((*(int(place) for place in graph.inputs), *results)))
    sources = {
        operator.outputs[0]: operator.inputs[0]
        for op, operator in operators
        if op in VIEWS and operator.inputs[0] not in constants
    }
    return _Graph(
        operators=tuple(operators),
        names=names,
        constants=MappingProxyType(constants),
        tensors=MappingProxyType(
            {
                place: Tensor(
                    _fixed_shape(graph.tensors[place]),
                    _itemsize(graph.tensors[place], schema),
                    names[_follow(place, sources)],
                )
                for place in computed
            }
        ),
        inputs=tuple(int(place) for place in graph.inputs),
        outputs=tuple(int(place) for place in graph.outputs if place not in constants),
    )


def _operator_name(model: Any, operator: Any, schema: Any) -> str:  # noqa: ANN401
    op = str(schema.opcode_to_name(model, operator.opcodeIndex))
    if any(part in op for part in NOT_COUNTED):
        raise BenchmarkError(f"expected operators whose MACs can be counted, got {op}")
    custom = model.operatorCodes[operator.opcodeIndex].customCode
    return _text(custom) if op == "CUSTOM" and custom else op


def _follow(place: int, sources: Mapping[int, int]) -> int:
    while place in sources:
        place = sources[place]
    return place


def _text(name: bytes | str | None) -> str:
    return name.decode() if isinstance(name, bytes) else name or ""


def _dimensions(shape: Sequence[int] | None) -> tuple[int, ...]:
    return () if shape is None else tuple(int(size) for size in shape)


def _fixed_shape(tensor: Any) -> tuple[int, ...]:  # noqa: ANN401
    signature = _dimensions(tensor.shapeSignature)
    if -1 in signature[1:]:
        raise BenchmarkError(
            f"expected fixed dimensions of {_text(tensor.name)!r} but for the batch, got "
            f"{list(signature)}"
        )
    return _dimensions(tensor.shape)  # an open batch stands as 1 here


def _itemsize(tensor: Any, schema: Any) -> int:  # noqa: ANN401
    kind = str(schema.type_to_name(tensor.type))
    if kind not in ITEMSIZES:
        raise BenchmarkError(f"expected numbers in {_text(tensor.name)!r}, got {kind}")
    return ITEMSIZES[kind]


def _window_products(graph: _Graph) -> frozenset[int]:
    """Results of the parts of depthwise windows as large as their picture.

    A picture times weights of its shape, whose only reader sums it up, is such a window; what is
    added to the sum is its bias.
    """
    readers: dict[int, list[str]] = {}
    for op, operator in graph.operators:
        for place in operator.inputs:
            readers.setdefault(int(place), []).append(op)
    products, sums = set[int](), set[int]()
    for op, operator in graph.operators:
        inputs, result = [int(place) for place in operator.inputs], int(operator.outputs[0])
        if op == "SUM" and inputs[0] in products:
            sums.add(result)
        if op not in ("MUL", "ADD") or not any(place in graph.constants for place in inputs):
            continue
        shapes = {graph.shape(place) for place in inputs}
        is_window = len(shapes) == 1 and len(shapes.pop()) == 4 and readers.get(result) == ["SUM"]
        if is_window if op == "MUL" else not sums.isdisjoint(inputs):
            products.add(result)
    return frozenset(products)


def _layers(graph: _Graph) -> tuple[Layer, ...]:
    counter = WeightCounter()
    products = _window_products(graph)
    layers = []
    for op, operator in graph.operators:
        inputs = [int(place) for place in operator.inputs]
        places = [inputs[place] for place in WEIGHTS.get(op, ()) if place < len(inputs)]
        if operator.outputs[0] in products:
            places = inputs
        weights = [place for place in places if place in graph.constants]
        parameters, size = counter.count(graph.constants[place] for place in weights)
        results = [graph.names[place] for place in operator.outputs]
        stored = graph.names[weights[0]] if weights else None
        layer = Layer(
            name=layer_name(stored, results[0].split(";")[0]),
            op=op,
            kind="other",
            inputs=tuple(
                dict.fromkeys(graph.names[place] for place in inputs if place in graph.tensors)
            ),
            outputs=tuple(results),
            parameters=parameters,
            weight_bytes=size,
        )
        if op == "MUL" and operator.outputs[0] in products:
            layers.append(_window(layer, graph.shape(inputs[0])))
        else:
            layers.append(_with_cost(layer, operator, graph))
    names = unique(layer.name for layer in layers)
    return tuple(replace(layer, name=name) for layer, name in zip(layers, names, strict=True))


def _with_cost(layer: Layer, operator: Any, graph: _Graph) -> Layer:  # noqa: ANN401
    if layer.op in CONVOLUTIONS:
        return _convolution(layer, operator, graph)
    if layer.op == "FULLY_CONNECTED":
        rows, columns = graph.shape(operator.inputs[1])
        elements = math.prod(graph.shape(operator.inputs[0]))
        return replace(layer, kind="linear", macs=elements * rows, channels=(columns, rows))
    if layer.op == "BATCH_MATMUL":
        first, result = graph.shape(operator.inputs[0]), graph.shape(operator.outputs[0])
        summed = first[-2 if operator.builtinOptions.adjX else -1]
        return replace(
            layer,
            kind="linear",
            macs=math.prod(result) * summed,
            channels=(summed, result[-1]),
        )
    return layer


def _window(layer: Layer, picture: tuple[int, ...]) -> Layer:
    """A depthwise convolution with one position."""
    return replace(
        layer,
        kind="depthwise",
        macs=math.prod(picture),
        kernel=plane(picture[1:3]),
        channels=(picture[3], picture[3]),
    )


def _convolution(layer: Layer, operator: Any, graph: _Graph) -> Layer:  # noqa: ANN401
    transposed = layer.op == "TRANSPOSE_CONV"
    picture = graph.shape(operator.inputs[2 if transposed else 0])
    kernel = graph.shape(operator.inputs[1])
    result = graph.shape(operator.outputs[0])
    # Each weight works once per position: of the input where the layer enlarges the picture.
    positions = math.prod((picture if transposed else result)[1:3])
    # A depthwise kernel is (1, height, width, output channels), others end with the input's.
    groups = picture[3] if layer.op == "DEPTHWISE_CONV_2D" else picture[3] // kernel[3]
    return replace(
        layer,
        kind="deconv" if transposed else convolution_kind(kernel[1:3], groups, channels=picture[3]),
        macs=picture[0] * positions * math.prod(kernel),
        kernel=plane(kernel[1:3]),
        stride=int(operator.builtinOptions.strideH),
        channels=(picture[3], result[3]),
    )
