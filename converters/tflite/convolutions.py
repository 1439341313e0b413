"""The ONNX operators with weights as TensorFlow operations, channels last."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from converters.errors import ConversionError
from converters.graph import Node, describe
from converters.tflite.layout import (
    CHANNELS_LAST,
    Shape,
    Stored,
    identity,
    same_memory,
    stored_shape,
)
from converters.tflite.tensors import Tensors

WEIGHTED: Final = frozenset({"Conv", "ConvTranspose", "Gemm"})  # their weights are input 1


def conv(tensors: Tensors, node: Node) -> Stored:
    """Convolution of one group, or of one group per channel; the padding as TensorFlow names it."""
    tf, image = tensors.tf, tensors.feature_map(node)
    weights = tensors.graph.constant(node, 1)  # (out, in / groups, kh, kw)
    groups, channels = node.attribute("group", 1), image.shape[1]
    strides, dilations = _pair(node, "strides"), _pair(node, "dilations")
    padding = _padding(node, image.shape[2:], weights.shape[2:])
    if groups == 1:
        value = tf.nn.conv2d(
            image.value, weights.transpose(2, 3, 1, 0), strides, padding, dilations=dilations
        )
    elif groups == channels and _covers(image.shape, weights, padding) and tensors.in_float(node):
        # One position per channel: a product and a sum. XNNPACK runs depthwise windows beyond 5x5
        # as general convolutions of one channel each, which cost many times more.
        product = tf.multiply(image.value, weights.transpose(1, 2, 3, 0))
        value = tf.reduce_sum(product, axis=(1, 2), keepdims=True)
    elif groups == channels:
        kernel = weights.reshape(channels, -1, *weights.shape[2:]).transpose(2, 3, 0, 1)
        value = tf.nn.depthwise_conv2d(
            image.value, kernel, (1, *strides, 1), padding, dilations=dilations
        )
    else:
        raise ConversionError(
            f"expected 1 group or one per channel ({channels}) in {describe(node)}, got {groups}"
        )
    return _with_bias(tensors, node, value)


def conv_transpose(tensors: Tensors, node: Node) -> Stored:
    """Transposed convolution without padding, such as a doubling of the size."""
    image = tensors.feature_map(node)
    weights = tensors.graph.constant(node, 1)  # (in, out, kh, kw)
    strides = _pair(node, "strides")
    plain = {"group": 1, "pads": [0] * 4, "output_padding": [0] * 2, "dilations": [1] * 2}
    got = {name: node.attribute(name, value) for name, value in plain.items()}
    if got != plain or any(k < s for k, s in zip(weights.shape[2:], strides, strict=True)):
        raise ConversionError(
            f"expected {plain} and no stride above the kernel in {describe(node)}, got {got}, "
            f"strides {strides}, kernel {weights.shape[2:]}"
        )
    shape = stored_shape(tensors.graph.shapes[node.output], CHANNELS_LAST)
    value = tensors.tf.nn.conv2d_transpose(
        image.value, weights.transpose(2, 3, 1, 0), shape, strides, "VALID"
    )
    return _with_bias(tensors, node, value)


def gemm(tensors: Tensors, node: Node) -> Stored:
    """Matrix product with constant weights: a fully connected layer.

    A feature map may come flattened as it is stored; the rows of the weights follow it.
    """
    tf, rows = tensors.tf, tensors.shuffled(node)
    weights = tensors.graph.constant(node, 1)
    weights = weights.T if node.attribute("transB", 0) else weights  # (in, out)
    weights = weights * np.float32(node.attribute("alpha", 1.0))
    bias = np.zeros(1, np.float32)
    if node.has_input(2):
        bias = tensors.graph.constant(node, 2).ravel() * np.float32(node.attribute("beta", 1.0))
    if (
        node.attribute("transA", 0)
        or not same_memory(rows.shape, rows.order, identity(2))
        or bias.size not in (1, weights.shape[1])
    ):
        raise ConversionError(
            f"expected rows of a matrix, weights and a bias per column in {describe(node)}"
        )
    if rows.shuffle is not None:
        weights = weights[rows.shuffle]
    matrix = rows.value if rows.order == identity(2) else tf.reshape(rows.value, rows.shape)
    value = tf.matmul(matrix, np.ascontiguousarray(weights))
    value = tf.nn.bias_add(value, np.broadcast_to(bias, weights.shape[1:]))
    return Stored(value, (rows.shape[0], weights.shape[1]), identity(2))


def _with_bias(tensors: Tensors, node: Node, value: Any) -> Stored:  # noqa: ANN401
    if node.has_input(2):
        value = tensors.tf.nn.bias_add(value, tensors.graph.constant(node, 2))
    batch, height, width, channels = (int(size) for size in value.shape)
    return Stored(value, (batch, channels, height, width), CHANNELS_LAST)


def _covers(image: Shape, weights: NDArray[np.float32], padding: object) -> bool:
    """Whether a window with one result per channel is as large as the picture."""
    return padding == "VALID" and weights.shape == (image[1], 1, *image[2:])


def _pair(node: Node, name: str) -> tuple[int, int]:
    first, second = node.attribute(name, [1, 1])
    return first, second


def _padding(node: Node, sizes: Shape, kernel: Shape) -> str | list[list[int]]:
    """TensorFlow's name of the zeros that a convolution adds.

    Returns:
        "VALID" or "SAME" where one of them means the same for this input; else the explicit zeros,
        which TFLite adds by an operation of its own.
    """
    top, left, bottom, right = node.attribute("pads", [0, 0, 0, 0])
    if node.attribute("auto_pad", "NOTSET") != "NOTSET" or min(top, left, bottom, right) < 0:
        raise ConversionError(f"expected explicit pads from 0 in {describe(node)}")
    pads = [(top, bottom), (left, right)]
    if pads == [(0, 0), (0, 0)]:
        return "VALID"
    same = [
        _same_pads(*axis)
        for axis in zip(
            sizes, kernel, _pair(node, "strides"), _pair(node, "dilations"), strict=True
        )
    ]
    if pads == same:
        return "SAME"
    return [[0, 0], *([before, after] for before, after in pads), [0, 0]]


def _same_pads(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Zeros before and after that TensorFlow's SAME adds along one axis."""
    reach = (kernel - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2
