"""The tensors of an ONNX graph while it is written as TensorFlow operations, channels last."""

from collections.abc import Collection
from typing import Any, Literal

import numpy as np

from converters.errors import ConversionError
from converters.graph import Graph, Node, describe
from converters.tflite.layout import (
    CHANNELS_LAST,
    Order,
    Shape,
    Stored,
    common_order,
    identity,
    reshaped,
    same_memory,
    stored_shape,
)

HardSwishForm = Literal["fused", "relu6"]


class Tensors:
    """What the nodes written so far have made, and the forms in which a node asks for it."""

    def __init__(
        self,
        tf: Any,  # noqa: ANN401 - a module without types
        graph: Graph,
        image: Any,  # noqa: ANN401
        hard_swish: HardSwishForm,
        float_layers: Collection[str] = (),
    ) -> None:
        """Start with the input alone.

        Args:
            tf: the module tensorflow.
            graph: what is written.
            image: the input, stored channels last.
            hard_swish: how that operator is written, see ``to_tflite``.
            float_layers: layers that stay float when the network is made int8.
        """
        self.tf = tf
        self.graph = graph
        self.hard_swish = hard_swish
        self._float_layers = float_layers
        self._made = {graph.input: Stored(image, graph.shapes[graph.input], CHANNELS_LAST)}

    def add(self, node: Node, made: Stored) -> None:
        """Take what a node made.

        Raises:
            ConversionError: it has another shape than ONNX says.
        """
        wanted = self.graph.shapes[node.output]
        stored = tuple(made.value.shape)
        if made.shape != wanted or stored != stored_shape(wanted, made.order):
            raise ConversionError(
                f"expected {wanted} from {describe(node)}, got {made.shape}, stored as {stored}"
            )
        self._made[node.output] = made

    def shuffled(self, node: Node, index: int = 0) -> Stored:
        """A computed input, even a flattened feature map whose elements lie in another order.

        Raises:
            ConversionError: it is a constant.
        """
        name = node.inputs[index]
        if name not in self._made:
            raise ConversionError(f"expected input {index} of {describe(node)} to be computed")
        return self._made[name]

    def computed(self, node: Node, index: int = 0) -> Stored:
        """A computed input.

        Raises:
            ConversionError: it is a constant, or a flattened feature map.
        """
        tensor = self.shuffled(node, index)
        if tensor.shuffle is not None:
            raise ConversionError(
                f"expected a Gemm to read a flattened feature map, got {describe(node)}: its "
                "elements lie channels last"
            )
        return tensor

    def feature_map(self, node: Node, index: int = 0) -> Stored:
        """A computed input of four axes, stored channels last.

        Raises:
            ConversionError: it cannot be had without moving elements.
        """
        return self._stored_as(self.computed(node, index), CHANNELS_LAST, node)

    def operands(self, node: Node) -> tuple[list[Any], Order]:
        """All inputs of an elementwise operation or a concatenation, stored alike.

        Returns:
            TensorFlow tensors, and the order of their axes.

        Raises:
            ConversionError: they cannot be had without moving elements.
        """
        rank = len(self.graph.shapes[node.output])
        computed = {
            name: self._with_rank(self.computed(node, index), rank, node)
            for index, name in enumerate(node.inputs)
            if name not in self.graph.constants
        }
        order = common_order([(one.shape, one.order) for one in computed.values()], describe(node))
        values = [
            self._stored_as(computed[name], order, node).value
            if name in computed
            else self._constant(name, order)
            for name in node.inputs
        ]
        return values, order

    def in_float(self, node: Node) -> bool:
        """Whether a layer will never be made int8, which rounds what lies between operations."""
        layer = node.inputs[1].removesuffix(".weight")
        return self.hard_swish == "fused" or layer in self._float_layers

    def scalar(self, node: Node, index: int, default: float) -> float:
        """An optional constant of one element.

        Raises:
            ConversionError: it is computed.
        """
        return float(self.graph.constant(node, index).item()) if node.has_input(index) else default

    def reshape(self, tensor: Stored, shape: Shape, node: Node) -> Stored:
        """A Reshape of ONNX that moves nothing.

        Raises:
            ConversionError: elements would have to move.
        """
        order = reshaped(tensor.shape, tensor.order, shape)
        if order is None:
            raise ConversionError(
                f"expected {describe(node)} to leave the elements where they are, but the shape "
                f"{tensor.shape} is stored with its axes in the order {tensor.order}"
            )
        return Stored(self.tf.reshape(tensor.value, stored_shape(shape, order)), shape, order)

    def output(self, name: str) -> Any:  # noqa: ANN401 - a TensorFlow tensor
        """An output of the graph, as ONNX stores it.

        Raises:
            ConversionError: elements would have to move.
        """
        tensor = self._made[name]
        wanted = identity(len(tensor.shape))
        if tensor.shuffle is not None or not same_memory(tensor.shape, tensor.order, wanted):
            raise ConversionError(
                f"expected output {name!r} of shape {tensor.shape} in the order of ONNX, its axes "
                f"are stored in the order {tensor.order}"
            )
        if tensor.order == wanted:
            return tensor.value
        return self.tf.reshape(tensor.value, tensor.shape)

    def _stored_as(self, tensor: Stored, order: Order, node: Node) -> Stored:
        if tensor.order == order:
            return tensor
        if len(order) != len(tensor.order) or not same_memory(tensor.shape, tensor.order, order):
            raise ConversionError(
                f"expected {describe(node)} to read axes stored in the order {order}, got "
                f"{tensor.order} of the shape {tensor.shape}"
            )
        value = self.tf.reshape(tensor.value, stored_shape(tensor.shape, order))
        return Stored(value, tensor.shape, order)

    def _with_rank(self, tensor: Stored, rank: int, node: Node) -> Stored:
        """Axes of size 1 in front, as broadcasting adds them."""
        if len(tensor.shape) == rank:
            return tensor
        return self.reshape(tensor, (1,) * (rank - len(tensor.shape)) + tensor.shape, node)

    def _constant(self, name: str, order: Order) -> Any:  # noqa: ANN401
        """A constant operand; a scalar stays one."""
        values = self.graph.constants[name]
        if values.ndim == 0:
            return self.tf.constant(values)
        full = values.reshape((1,) * (len(order) - values.ndim) + values.shape)
        return self.tf.constant(np.ascontiguousarray(full.transpose(order)))
