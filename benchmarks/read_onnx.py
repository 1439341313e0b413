"""ONNX files as networks: any graph with its weights inside."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from benchmarks.errors import BenchmarkError
from benchmarks.layers import Kind, Layer, Network, Tensor
from benchmarks.reading import (
    Constant,
    WeightCounter,
    convolution_kind,
    import_tool,
    layer_name,
    plane,
    unique,
)

if TYPE_CHECKING:
    import onnx
    from onnx import ModelProto

# Which inputs are weights and biases. Of a batch normalisation the trained ones: scale and shift.
WEIGHTS: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {
        "Conv": (1, 2),
        "ConvInteger": (1,),
        "ConvTranspose": (1, 2),
        "QLinearConv": (3, 8),
        "Gemm": (0, 1, 2),
        "MatMul": (0, 1),
        "MatMulInteger": (0, 1),
        "QLinearMatMul": (0, 3),
        "Einsum": (0, 1),
        "RNN": (1, 2, 3),
        "GRU": (1, 2, 3),
        "LSTM": (1, 2, 3, 7),
        "BatchNormalization": (1, 2),
        "GroupNormalization": (1, 2),
        "InstanceNormalization": (1, 2),
        "LayerNormalization": (1, 2),
        "RMSNormalization": (1,),
        "PRelu": (1,),
        "Gather": (0,),
    }
)
# Where the picture stands among the inputs, and where the kernel.
CONVOLUTIONS: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {"Conv": (0, 1), "ConvInteger": (0, 1), "ConvTranspose": (0, 1), "QLinearConv": (0, 3)}
)
# The two factors.
PRODUCTS: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {"Gemm": (0, 1), "MatMul": (0, 1), "MatMulInteger": (0, 1), "QLinearMatMul": (0, 3)}
)
RECURRENT: Final = ("RNN", "GRU", "LSTM")
NOT_COUNTED: Final = ("DeformConv", "Attention")  # they multiply, and no rule here says how often

VIEWS: Final = ("Reshape", "Flatten", "Identity", "Squeeze", "Unsqueeze")
QUANTIZE: Final = "QuantizeLinear"
DEQUANTIZE: Final = "DequantizeLinear"
# ONNX Runtime computes them with the layer before (its conv_ and gemm_activation_fusion.cc).
ACTIVATIONS: Final = ("Relu", "Clip", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid")
ACTIVATED: Final = ("Conv", "Gemm")
# Between a layer and QuantizeLinear they are part of its rounding.
CLIPPING: Final = ("Relu", "Clip")

_FLOATING_OR_QUANTISED: Final = ("f", "V", "i", "u")  # kinds of numpy; V holds those it lacks


@dataclass(frozen=True, slots=True)
class _Graph:
    """What is known of a graph before its layers are built.

    Attributes:
        nodes: those that compute something of the inputs.
        inputs: names.
        outputs: names.
        constants: by name.
        shapes: of every computed tensor.
        itemsizes: of every computed tensor, bytes.
    """

    nodes: "tuple[onnx.NodeProto, ...]"
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, Constant]
    shapes: Mapping[str, tuple[int, ...]]
    itemsizes: Mapping[str, int]

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor, computed or not."""
        return self.constants[name].shape if name in self.constants else self.shapes[name]


def read_onnx(contents: bytes, name: str) -> Network:
    """Read an .onnx file.

    Args:
        contents: of the file; a batch that is left open is taken as 1.
        name: of the network if the file has none.

    Returns:
        its layers. Nodes that engines fuse into others (activations, quantisation between integer
        layers, reshaping) are among them, as views: see ``layers.is_view``.

    Raises:
        BenchmarkError: it is no such file, keeps its weights elsewhere, has control flow, other
            open dimensions, or operators whose shapes or MACs are not known.
    """
    model = _load(contents)
    graph = _read_graph(model.graph)
    storages = _storages(graph)
    tensors = {
        tensor: Tensor(shape, graph.itemsizes[storages[tensor]], storages[tensor])
        for tensor, shape in graph.shapes.items()
    }
    return Network(
        name=model.graph.name or name,
        runtime="onnx",
        inputs=graph.inputs,
        outputs=graph.outputs,
        layers=_layers(graph),
        tensors=MappingProxyType(tensors),
        file_bytes=len(contents),
    )


def _load(contents: bytes) -> "ModelProto":
    onnx = import_tool("onnx", "onnx")
    try:
        model = onnx.load_from_string(contents)
        if model.functions:
            model = import_tool("onnx.inliner", "onnx").inline_local_functions(model)
        _fix_batch(model.graph)
        inferred: ModelProto = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # protobuf's and onnx's errors share no base of their own
        raise BenchmarkError(f"expected an ONNX file, got: {error}") from error
    if not inferred.graph.node:
        raise BenchmarkError(f"expected an ONNX file with nodes, got {len(contents)} bytes of none")
    for tensor in inferred.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise BenchmarkError(
                f"expected the weights inside the file, got {tensor.name!r} in another: "
                "onnx.save_model(onnx.load(FILE), OTHER) puts them in"
            )
    return inferred


def _fix_batch(graph: "onnx.GraphProto") -> None:
    """Set the first dimension of the inputs to 1 where it is open, and whatever is named alike."""
    stored = {tensor.name for tensor in graph.initializer}
    batches = set()
    for value in graph.input:
        dimensions = value.type.tensor_type.shape.dim
        if value.name not in stored and dimensions and not dimensions[0].HasField("dim_value"):
            batches.add(dimensions[0].dim_param)
            dimensions[0].dim_value = 1
    for value in (*graph.input, *graph.value_info, *graph.output):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param and dimension.dim_param in batches:
                dimension.dim_value = 1


def _read_graph(graph: "onnx.GraphProto") -> _Graph:
    values = {value.name: value for value in (*graph.input, *graph.value_info, *graph.output)}
    constants = {tensor.name: _constant(tensor.name, tensor) for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        _refuse_unknown(node)
        given = [name for name in node.input if name]
        if all(name in constants for name in given):
            _fold(node, given, constants, values)
        else:
            nodes.append(node)
    inputs = tuple(value.name for value in graph.input if value.name not in constants)
    results = [name for node in nodes for name in node.output if name]
    computed = dict.fromkeys((*inputs, *results))
    return _Graph(
        nodes=tuple(nodes),
        inputs=inputs,
        outputs=tuple(value.name for value in graph.output if value.name in computed),
        constants=MappingProxyType(constants),
        shapes=MappingProxyType({name: _shape(name, values) for name in computed}),
        itemsizes=MappingProxyType(
            {name: _itemsize(values[name].type.tensor_type.elem_type) for name in computed}
        ),
    )


def _refuse_unknown(node: "onnx.NodeProto") -> None:
    onnx = import_tool("onnx", "onnx")
    graphs = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
    if node.op_type in NOT_COUNTED or any(one.type in graphs for one in node.attribute):
        raise BenchmarkError(
            f"expected operators whose MACs can be counted, got {node.op_type} {node.name!r}"
        )


def _constant(origin: str, tensor: "onnx.TensorProto") -> Constant:
    elements = math.prod(tensor.dims)
    size = len(tensor.raw_data) or elements * _itemsize(tensor.data_type)
    counted = _numpy_kind(tensor.data_type) in _FLOATING_OR_QUANTISED
    return Constant(origin, tuple(tensor.dims), elements if counted else 0, size)


def _fold(
    node: "onnx.NodeProto",
    given: Sequence[str],
    constants: dict[str, Constant],
    values: "Mapping[str, onnx.ValueInfoProto]",
) -> None:
    """Make results of constants constants: they are stored as the first of those."""
    for name in node.output:
        stored = next((one.t for one in node.attribute if one.name == "value" and one.t.dims), None)
        if node.op_type == "Constant" and stored is not None:
            constants[name] = _constant(name, stored)
        elif given:
            constants[name] = replace(constants[given[0]], shape=_shape(name, values))
        else:
            constants[name] = Constant(name, (), 0, 0)


def _shape(name: str, values: "Mapping[str, onnx.ValueInfoProto]") -> tuple[int, ...]:
    tensor = values[name].type.tensor_type if name in values else None
    if tensor is None or not tensor.HasField("shape"):
        raise BenchmarkError(
            f"expected a shape of {name!r}, got none: its operator is not one of ONNX's own, or "
            "the shape depends on values"
        )
    dimensions = tensor.shape.dim
    if any(not dimension.HasField("dim_value") for dimension in dimensions):
        got = [dimension.dim_param or dimension.dim_value or "?" for dimension in dimensions]
        raise BenchmarkError(f"expected fixed dimensions of {name!r} but for the batch, got {got}")
    return tuple(dimension.dim_value for dimension in dimensions)


def _itemsize(data_type: int) -> int:
    helper = import_tool("onnx.helper", "onnx")
    return int(helper.tensor_dtype_to_np_dtype(data_type).itemsize)


def _numpy_kind(data_type: int) -> str:
    helper = import_tool("onnx.helper", "onnx")
    return str(helper.tensor_dtype_to_np_dtype(data_type).kind)


# --- where tensors lie -----------------------------------------------------------------------


def _storages(graph: _Graph) -> dict[str, str]:
    """For each tensor the one whose memory it uses."""
    fusing = _Fusing.of(graph)
    sources: dict[str, str] = {}
    for node in graph.nodes:
        if node.op_type in VIEWS or fusing.is_integer(node) or fusing.is_activation(node):
            sources[node.output[0]] = node.input[0]
    for name in graph.shapes:
        target = fusing.rounded(name)
        if target is not None:
            sources[name] = target
    return {name: _follow(name, sources, graph.shapes) for name in graph.shapes}


@dataclass(frozen=True, slots=True)
class _Fusing:
    """What engines compute together with the layers around it.

    Attributes:
        readers: nodes by the tensor that they read.
        writers: operators by the tensor that they write.
        kept: tensors that the caller gives or gets as they are.
    """

    readers: "Mapping[str, Sequence[onnx.NodeProto]]"
    writers: Mapping[str, str]
    kept: frozenset[str]

    @classmethod
    def of(cls, graph: _Graph) -> "_Fusing":
        """That of a graph."""
        readers: dict[str, list[onnx.NodeProto]] = {name: [] for name in graph.shapes}
        for node in graph.nodes:
            for name in dict.fromkeys(node.input):
                if name in readers:
                    readers[name].append(node)
        writers = {name: node.op_type for node in graph.nodes for name in node.output}
        return cls(readers, writers, frozenset((*graph.inputs, *graph.outputs)))

    def rounded(self, name: str) -> str | None:
        """The quantised result of a tensor that nothing else reads; None if something does."""
        uses = self.readers[name]
        if name in self.kept or not uses:
            return None
        if all(node.op_type == QUANTIZE for node in uses):
            return str(uses[0].output[0])
        if len(uses) == 1 and uses[0].op_type in CLIPPING:
            return self.rounded(uses[0].output[0])
        return None

    def is_activation(self, node: "onnx.NodeProto") -> bool:
        """Whether an activation is part of the layer before, whose result nothing else reads."""
        source = node.input[0] if node.op_type in ACTIVATIONS else ""
        return (
            self.writers.get(source) in ACTIVATED
            and source not in self.kept
            and len(self.readers[source]) == 1
        )

    def is_integer(self, node: "onnx.NodeProto") -> bool:
        """Whether a DequantizeLinear is part of integer layers: all that reads it is quantised."""
        if node.op_type != DEQUANTIZE or node.output[0] in self.kept:
            return False
        return all(
            reader.op_type == QUANTIZE
            or all(self.rounded(name) is not None for name in reader.output if name)
            for reader in self.readers[node.output[0]]
        )


def _follow(name: str, sources: Mapping[str, str], computed: Mapping[str, object]) -> str:
    while name in sources and sources[name] in computed:  # a view of a constant is its own
        name = sources[name]
    return name


# --- layers ----------------------------------------------------------------------------------


def _layers(graph: _Graph) -> tuple[Layer, ...]:
    counter = WeightCounter()
    without_bias: dict[str, int] = {}  # results of products -> their channels
    layers = []
    for node in graph.nodes:
        bias = _added_bias(node, graph, without_bias)
        weights = [*_weights(node, graph), *bias]
        parameters, size = counter.count(graph.constants[name] for name in weights)
        layer = Layer(
            name=layer_name(_named_weights(weights, graph), node.name or node.output[0]),
            op=node.op_type,
            kind="other",
            inputs=tuple(
                dict.fromkeys(name for name in node.input if name and name in graph.shapes)
            ),
            outputs=tuple(name for name in node.output if name),
            parameters=parameters,
            weight_bytes=size,
        )
        layers.append(_with_cost(layer, node, graph))
        if node.op_type in PRODUCTS or node.op_type in CONVOLUTIONS:
            without_bias[node.output[0]] = layers[-1].channels[1]
    names = unique(layer.name for layer in layers)
    return tuple(replace(layer, name=name) for layer, name in zip(layers, names, strict=True))


def _weights(node: "onnx.NodeProto", graph: _Graph) -> list[str]:
    places = WEIGHTS.get(node.op_type, ())
    given = [node.input[place] for place in places if place < len(node.input)]
    return [name for name in given if name in graph.constants]


def _added_bias(
    node: "onnx.NodeProto", graph: _Graph, without_bias: Mapping[str, int]
) -> list[str]:
    """The bias of a product, where the file adds it in a node of its own."""
    if node.op_type != "Add":
        return []
    channels = {without_bias[name] for name in node.input if name in without_bias}
    constants = [name for name in node.input if name in graph.constants]
    return [name for name in constants if graph.constants[name].elements in channels]


def _named_weights(names: Sequence[str], graph: _Graph) -> str | None:
    return graph.constants[names[0]].origin if names else None


def _with_cost(layer: Layer, node: "onnx.NodeProto", graph: _Graph) -> Layer:
    if node.op_type in CONVOLUTIONS:
        return _convolution(layer, node, graph)
    if node.op_type in PRODUCTS:
        return _product(layer, node, graph)
    if node.op_type == "Einsum":
        return replace(layer, kind="linear", macs=_einsum_macs(node, graph))
    if node.op_type in RECURRENT:
        steps = math.prod(graph.shape(node.input[0])[:2])
        matrices = sum(math.prod(graph.shape(name)) for name in node.input[1:3])
        return replace(layer, kind="linear", macs=steps * matrices)
    return layer


def _convolution(layer: Layer, node: "onnx.NodeProto", graph: _Graph) -> Layer:
    picture, kernel = (graph.shape(node.input[place]) for place in CONVOLUTIONS[node.op_type])
    result = graph.shape(node.output[0])
    groups = int(_attribute(node, "group", 1))
    transposed = node.op_type == "ConvTranspose"
    # Each weight works once per position: of the input where the layer enlarges the picture.
    positions = math.prod((picture if transposed else result)[2:])
    kind: Kind = (
        "deconv" if transposed else convolution_kind(kernel[2:], groups, channels=picture[1])
    )
    return replace(
        layer,
        kind=kind,
        macs=picture[0] * positions * math.prod(kernel),
        kernel=plane(kernel[2:]),
        stride=_vertical(_attribute(node, "strides", (1,))),
        channels=(picture[1], result[1]),
    )


def _vertical(strides: Sequence[int]) -> int:
    return int((1, *strides)[-2]) if len(strides) > 1 else 1


def _product(layer: Layer, node: "onnx.NodeProto", graph: _Graph) -> Layer:
    first, _ = (graph.shape(node.input[place]) for place in PRODUCTS[node.op_type])
    result = graph.shape(node.output[0])
    transposed = node.op_type == "Gemm" and _attribute(node, "transA", 0)
    summed = first[0] if transposed else first[-1]
    return replace(
        layer,
        kind="linear",
        macs=math.prod(result) * summed,
        channels=(summed, result[-1] if result else 1),
    )


def _einsum_macs(node: "onnx.NodeProto", graph: _Graph) -> int:
    """Every combination of the indices is one product; of one operand only sums are taken."""
    equation = _attribute(node, "equation", b"").decode().replace(" ", "")
    terms = equation.split("->")[0].split(",")
    if "." in equation or len(terms) > 2:
        raise BenchmarkError(
            f"expected an Einsum of one or two operands without '...', got {equation!r}"
        )
    sizes = {
        index: size
        for term, name in zip(terms, node.input, strict=True)
        for index, size in zip(term, graph.shape(name), strict=True)
    }
    return math.prod(sizes.values()) if len(terms) == 2 else 0


def _attribute(node: "onnx.NodeProto", name: str, default: Any) -> Any:  # noqa: ANN401
    onnx = import_tool("onnx", "onnx")
    for one in node.attribute:
        if one.name == name:
            return onnx.helper.get_attribute_value(one)
    return default
