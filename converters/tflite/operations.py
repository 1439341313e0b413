"""One small function per ONNX operator that writes it as TensorFlow operations, channels last.

The forms are those that TFLite fuses and that its CPU kernels (XNNPACK) take.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from converters.errors import ConversionError
from converters.graph import Graph, Node, describe
from converters.regions import float_layers, graph_operations
from converters.sixths import times
from converters.tflite.convolutions import WEIGHTED, conv, conv_transpose, gemm
from converters.tflite.layout import (
    CHANNELS_LAST,
    Stored,
    flat_positions,
    identity,
    reshaped,
    stored_shape,
    transposed,
)
from converters.tflite.tensors import HardSwishForm, Tensors

Operator = Callable[[Tensors, Node], Stored]

_MAX_CONCATENATED: Final = 5  # XNNPACK ends at xnn_define_concatenate5


def emit(
    tf: Any,  # noqa: ANN401 - a module without types
    graph: Graph,
    image: Any,  # noqa: ANN401
    hard_swish: HardSwishForm,
) -> dict[str, Any]:
    """Write a graph as TensorFlow operations; to be called while TensorFlow traces a function.

    Args:
        tf: the module tensorflow.
        graph: what is written.
        image: the input, stored channels last.
        hard_swish: its form, see ``to_tflite``.

    Returns:
        The outputs by name, stored as ONNX stores them.

    Raises:
        ConversionError: an operator is unknown, or a node cannot be expressed.
    """
    floats = float_layers(graph_operations(graph), graph.outputs)
    tensors = Tensors(tf, graph, image, hard_swish, floats)
    for node in graph.nodes:
        if node.op not in OPERATORS:
            raise ConversionError(
                f"expected operators out of {sorted(OPERATORS)}, got {describe(node)}"
            )
        try:
            with tf.name_scope(_scope(node)):
                tensors.add(node, OPERATORS[node.op](tensors, node))
        except (ValueError, TypeError, tf.errors.OpError) as error:
            raise ConversionError(
                f"expected TensorFlow to take {describe(node)}: {error}"
            ) from error
    return {name: tensors.output(name) for name in graph.outputs}


def _scope(node: Node) -> str:
    """The layer of a node with weights, else its result; in letters that TensorFlow takes."""
    weights = node.inputs[1] if node.op in WEIGHTED else ""
    name = weights.removesuffix(".weight") if weights.endswith(".weight") else node.output
    return re.sub(r"[^\w.\-]|^(?=[^A-Za-z0-9.])", "_", name, flags=re.ASCII)


# --- elementwise ---


def _unary(function: str) -> Operator:
    """An operation of one tensor, by its name in TensorFlow."""

    def emit(tensors: Tensors, node: Node) -> Stored:
        tensor = tensors.computed(node)
        operation = tensors.tf
        for part in function.split("."):
            operation = getattr(operation, part)
        return Stored(operation(tensor.value), tensor.shape, tensor.order)

    return emit


def _binary(function: str) -> Operator:
    """An operation of two tensors, by its name in tf.math."""

    def emit(tensors: Tensors, node: Node) -> Stored:
        (left, right), order = tensors.operands(node)
        value = getattr(tensors.tf.math, function)(left, right)
        return Stored(value, tensors.graph.shapes[node.output], order)

    return emit


def _clip(tensors: Tensors, node: Node) -> Stored:
    tf, tensor = tensors.tf, tensors.computed(node)
    low, high = tensors.scalar(node, 1, -np.inf), tensors.scalar(node, 2, np.inf)
    value = tensor.value
    if low > -np.inf:
        value = tf.maximum(value, np.float32(low))
    if high < np.inf:
        value = tf.minimum(value, np.float32(high))
    return Stored(value, tensor.shape, tensor.order)


def _hard_sigmoid(tensors: Tensors, node: Node) -> Stored:
    # max(0, min(1, a x + b)) = relu6(6 a x + 6 b) / 6: an addition that ends in a relu6, and a
    # multiplication. With the usual a = 1/6 nothing is left of 6 a.
    tf, tensor = tensors.tf, tensors.computed(node)
    slope = np.float32(6.0 * node.attribute("alpha", 0.2))
    offset = np.float32(6.0 * node.attribute("beta", 0.5))
    value = tensor.value if slope == 1.0 else tensor.value * slope
    value = tf.nn.relu6(value + offset)
    if (factor := times(node) / np.float32(6.0)) != 1.0:
        value = value * factor
    return Stored(value, tensor.shape, tensor.order)


def _hard_swish(tensors: Tensors, node: Node) -> Stored:
    tf, tensor = tensors.tf, tensors.computed(node)
    x = tensor.value
    if tensors.hard_swish == "fused":
        value = x * tf.nn.relu6(x + np.float32(3.0)) * np.float32(1.0 / 6.0)
    elif (factor := times(node) / np.float32(6.0)) == 1.0:
        value = x * tf.nn.relu6(x + np.float32(3.0))
    else:
        value = (x * factor) * tf.nn.relu6(x + np.float32(3.0))
    return Stored(value, tensor.shape, tensor.order)


def _softmax(tensors: Tensors, node: Node) -> Stored:
    tensor = tensors.computed(node)
    rank = len(tensor.shape)
    if tensor.order[-1] != node.attribute("axis", -1) % rank:
        raise ConversionError(
            f"expected the axis of {describe(node)} to be stored last, got the order {tensor.order}"
        )
    return Stored(tensors.tf.nn.softmax(tensor.value), tensor.shape, tensor.order)


# --- axes ---


def _reduce(function: str) -> Operator:
    """A reduction along constant axes, by its name in TensorFlow."""

    def emit(tensors: Tensors, node: Node) -> Stored:
        tensor = tensors.computed(node)
        rank = len(tensor.shape)
        if not node.has_input(1) or node.attribute("keepdims", 1) != 1:
            raise ConversionError(f"expected axes, and that they are kept, in {describe(node)}")
        axes = {int(axis) % rank for axis in tensors.graph.constant(node, 1).ravel()}
        places = sorted(tensor.order.index(axis) for axis in axes)
        value = getattr(tensors.tf, function)(tensor.value, axis=places, keepdims=True)
        shape = tuple(1 if axis in axes else size for axis, size in enumerate(tensor.shape))
        return Stored(value, shape, tensor.order)

    return emit


def _concat(tensors: Tensors, node: Node) -> Stored:
    values, order = tensors.operands(node)
    shape = tensors.graph.shapes[node.output]
    axis = order.index(node.attribute("axis", 0) % len(shape))
    while len(values) > _MAX_CONCATENATED:
        first = tensors.tf.concat(values[:_MAX_CONCATENATED], axis)
        values = [first, *values[_MAX_CONCATENATED:]]
    return Stored(tensors.tf.concat(values, axis), shape, order)


def _slice(tensors: Tensors, node: Node) -> Stored:
    tensor = tensors.computed(node)
    graph, rank = tensors.graph, len(tensor.shape)
    starts, ends = (graph.constant(node, index).ravel() for index in (1, 2))
    axes = graph.constant(node, 3).ravel() if node.has_input(3) else np.arange(len(starts))
    steps = graph.constant(node, 4).ravel() if node.has_input(4) else np.ones_like(starts)
    if any(step != 1 for step in steps):
        raise ConversionError(f"expected steps of 1 in {describe(node)}, got {steps.tolist()}")
    begin, size = [0] * rank, list(tensor.shape)
    for axis, start, end in zip(axes, starts, ends, strict=True):
        first, last, _ = slice(int(start), int(end)).indices(tensor.shape[axis])
        begin[axis % rank], size[axis % rank] = first, last - first
    value = tensors.tf.slice(
        tensor.value,
        stored_shape(tuple(begin), tensor.order),
        stored_shape(tuple(size), tensor.order),
    )
    return Stored(value, tuple(size), tensor.order)


def _reshape(tensors: Tensors, node: Node) -> Stored:
    tensor, shape = tensors.computed(node), tensors.graph.shapes[node.output]
    is_row = len(shape) == 2 and shape[0] == 1
    if is_row and reshaped(tensor.shape, tensor.order, shape) is None:
        shuffle = flat_positions(tensor.shape, tensor.order)
        return Stored(tensors.tf.reshape(tensor.value, shape), shape, identity(2), shuffle)
    return tensors.reshape(tensor, shape, node)


def _unsqueeze(tensors: Tensors, node: Node) -> Stored:
    return tensors.reshape(tensors.computed(node), tensors.graph.shapes[node.output], node)


def _transpose(tensors: Tensors, node: Node) -> Stored:
    tensor = tensors.computed(node)
    perm = node.attribute("perm", list(reversed(identity(len(tensor.shape)))))
    return Stored(tensor.value, *transposed(tensor.shape, tensor.order, perm))


def _resize(tensors: Tensors, node: Node) -> Stored:
    tf, image = tensors.tf, tensors.feature_map(node)
    expected = {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    }
    got = {name: node.attribute(name, "") for name in expected}
    batch, channels, height, width = image.shape
    shape = tensors.graph.shapes[node.output]
    if got != expected or shape != (batch, channels, 2 * height, 2 * width):
        raise ConversionError(
            f"expected {expected} and twice the size from {describe(node)}, got {got} from "
            f"{image.shape} to {shape}"
        )
    # XNNPACK has no nearest neighbour. Channels last, each pixel twice is its channels twice, and
    # each row twice is the row twice: copies, in operations that are free or inside.
    columns = tf.concat([image.value, image.value], 3)
    rows = tf.reshape(columns, (batch, height, 1, 2 * width * channels))
    value = tf.reshape(tf.concat([rows, rows], 3), stored_shape(shape, CHANNELS_LAST))
    return Stored(value, shape, CHANNELS_LAST)


OPERATORS: Final[Mapping[str, Operator]] = MappingProxyType(
    {
        "Add": _binary("add"),
        "Clip": _clip,
        "Concat": _concat,
        "Conv": conv,
        "ConvTranspose": conv_transpose,
        "Exp": _unary("exp"),
        "Gemm": gemm,
        "HardSigmoid": _hard_sigmoid,
        "HardSwish": _hard_swish,
        "Mul": _binary("multiply"),
        "Reciprocal": _unary("math.reciprocal"),
        "ReduceMean": _reduce("reduce_mean"),
        "ReduceMin": _reduce("reduce_min"),
        "Relu": _unary("nn.relu"),
        "Reshape": _reshape,
        "Resize": _resize,
        "Sigmoid": _unary("sigmoid"),
        "Slice": _slice,
        "Softmax": _softmax,
        "Sqrt": _unary("sqrt"),
        "Sub": _binary("subtract"),
        "Tanh": _unary("tanh"),
        "Transpose": _transpose,
        "Unsqueeze": _unsqueeze,
    }
)
