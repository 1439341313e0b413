"""The ONNX graph as the other converters read it: nodes in order, constants as arrays.

One reader for all of them, so that an attribute or a default is understood once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from converters.errors import ConversionError

Array = NDArray[Any]
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One operation.

    Attributes:
        op: ONNX operator, for example "Conv".
        name: of the node, for messages.
        inputs: names of tensors; "" for an optional one that is left out.
        output: name of its only result.
        attributes: numbers, strings and lists of them by name.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]

    def has_input(self, index: int) -> bool:
        """Whether the optional input is given."""
        return index < len(self.inputs) and self.inputs[index] != ""

    def attribute(self, name: str, default: Value) -> Value:
        """An attribute, or its default in the ONNX standard."""
        value: Value = self.attributes.get(name, default)
        return value


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A network with one input, a fixed batch, and all shapes known.

    Attributes:
        name: of the network.
        input: name of the input.
        outputs: names of the results, in order.
        nodes: in an order in which they can be executed.
        constants: weights and other constants by name.
        shapes: of every tensor that is no constant.
    """

    name: str
    input: str
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    shapes: Mapping[str, tuple[int, ...]]

    def constant(self, node: Node, index: int) -> Array:
        """Input ``index`` of a node, which has to be a constant.

        Raises:
            ConversionError: it is computed.
        """
        name = node.inputs[index] if node.has_input(index) else ""
        if name not in self.constants:
            raise ConversionError(
                f"expected a constant as input {index} of {describe(node)}, got {name!r}"
            )
        return self.constants[name]


def describe(node: Node) -> str:
    """A node in the words of an error message."""
    return f"{node.op} {node.name!r} ({', '.join(node.inputs)} -> {node.output})"


def read_graph(model: bytes) -> Graph:
    """Read an .onnx file.

    Args:
        model: of a fixed batch, its weights inside.

    Raises:
        ConversionError: it is no such file, or has several inputs, open dimensions, nodes with
            several outputs, or another operator set than that of the standard.
    """
    try:
        proto = onnx.shape_inference.infer_shapes(onnx.load_from_string(model), strict_mode=True)
    except Exception as error:  # protobuf's and onnx's errors share no base of their own
        raise ConversionError(f"expected an ONNX file: {error}") from error
    graph = proto.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise ConversionError(f"expected one input of {graph.name!r}, got {inputs}")
    nodes = []
    for node in graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = _constant(node)
        else:
            nodes.append(_node(node))
    values = [*graph.input, *graph.value_info, *graph.output]
    return Graph(
        name=graph.name,
        input=inputs[0],
        outputs=tuple(value.name for value in graph.output),
        nodes=tuple(nodes),
        constants=MappingProxyType(constants),
        shapes=MappingProxyType(
            {value.name: _shape(value) for value in values if value.name not in constants}
        ),
    )


def _node(node: onnx.NodeProto) -> Node:
    if node.domain or len(node.output) != 1:
        raise ConversionError(
            f"expected operators of ONNX with one output each, got {node.domain or 'onnx'}::"
            f"{node.op_type} with {len(node.output)}"
        )
    attributes = {one.name: _plain(onnx.helper.get_attribute_value(one)) for one in node.attribute}
    return Node(
        node.op_type, node.name, tuple(node.input), node.output[0], MappingProxyType(attributes)
    )


def _constant(node: onnx.NodeProto) -> Array:
    (attribute,) = node.attribute
    value = onnx.helper.get_attribute_value(attribute)
    return numpy_helper.to_array(value) if attribute.name == "value" else np.asarray(value)


def _plain(value: Any) -> Any:  # noqa: ANN401 - what protobuf holds
    if isinstance(value, bytes):
        return value.decode()
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    dims = value.type.tensor_type.shape.dim
    if any(not dim.HasField("dim_value") for dim in dims):
        raise ConversionError(
            f"expected fixed dimensions of {value.name!r}, got "
            f"{[dim.dim_param or dim.dim_value for dim in dims]}"
        )
    return tuple(dim.dim_value for dim in dims)
