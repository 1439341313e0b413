"""One small function per ONNX operator that writes it with coremltools' builder.

Each takes the node and gives the MIL variable it makes. Every operation is named after the tensor
it makes, so that the same graph gives the same program.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from converters.errors import ConversionError
from converters.graph import Graph, Node, Value, describe

Var = Any  # a variable of the program; coremltools has no types


class Emitter:
    """Holds the variables of a program while the nodes of a graph are written one by one."""

    def __init__(self, builder: Any, graph: Graph) -> None:  # noqa: ANN401
        """Nothing is written yet.

        Args:
            builder: coremltools' ``Builder``, inside of a program.
            graph: what is converted.
        """
        self.builder = builder
        self.graph = graph
        self._variables: dict[str, Var] = {}

    def run(self, image: Var) -> tuple[Var, ...]:
        """Write all nodes.

        Args:
            image: the program's input.

        Returns:
            The outputs, in the order of the graph.

        Raises:
            ConversionError: an operator is unknown, or a node cannot be expressed.
        """
        self._variables[self.graph.input] = image
        for node in self.graph.nodes:
            if node.op not in OPERATORS:
                raise ConversionError(
                    f"expected operators out of {sorted(OPERATORS)}, got {describe(node)}"
                )
            made = OPERATORS[node.op](self, node)
            expected = self.graph.shapes[node.output]
            if tuple(made.shape) != expected:
                raise ConversionError(
                    f"expected the shape {expected} from {describe(node)}, got {tuple(made.shape)}"
                )
            self._variables[node.output] = made
        return tuple(self._variables[name] for name in self.graph.outputs)

    def computed(self, node: Node, index: int = 0) -> Var:
        """An input that is computed.

        Raises:
            ConversionError: it is a constant.
        """
        name = node.inputs[index]
        if name not in self._variables:
            raise ConversionError(
                f"expected input {index} of {describe(node)} to be computed, it is a constant"
            )
        return self._variables[name]

    def operand(self, node: Node, index: int) -> Var | NDArray[np.float32]:
        """An input that is computed, or a constant of numbers."""
        name = node.inputs[index]
        return self._variables[name] if name in self._variables else self.weight(node, index)

    def weight(self, node: Node, index: int) -> NDArray[np.float32]:
        """A constant of numbers.

        Raises:
            ConversionError: it is computed.
        """
        return np.ascontiguousarray(self.graph.constant(node, index), dtype=np.float32)

    def integers(self, node: Node, index: int) -> list[int]:
        """A constant list of integers, such as axes.

        Raises:
            ConversionError: it is computed.
        """
        return [int(value) for value in self.graph.constant(node, index).reshape(-1)]


def _require(node: Node, name: str, default: Value, *allowed: Value) -> Value:
    """An attribute that may have these values alone."""
    value = node.attribute(name, default)
    if value not in allowed:
        raise ConversionError(
            f"expected {name} out of {list(allowed)} in {describe(node)}, got {value!r}"
        )
    return value


def _padding(node: Node) -> dict[str, Any]:
    """ONNX: all beginnings, then all ends. MIL: beginning and end of each axis."""
    _require(node, "auto_pad", "NOTSET", "NOTSET")
    top, left, bottom, right = node.attribute("pads", [0, 0, 0, 0])
    if not any((top, left, bottom, right)):
        return {"pad_type": "valid"}
    return {"pad_type": "custom", "pad": [top, bottom, left, right]}


def _bias(emitter: Emitter, node: Node) -> dict[str, Any]:
    return {"bias": emitter.weight(node, 2)} if node.has_input(2) else {}


def _require_planar(emitter: Emitter, node: Node) -> None:
    shape = tuple(emitter.computed(node).shape)
    if len(shape) != 4:
        raise ConversionError(f"expected two spatial axes in {describe(node)}, got {shape}")


def _conv(emitter: Emitter, node: Node) -> Var:
    _require_planar(emitter, node)
    return emitter.builder.conv(
        x=emitter.computed(node),
        weight=emitter.weight(node, 1),
        strides=node.attribute("strides", [1, 1]),
        dilations=node.attribute("dilations", [1, 1]),
        groups=node.attribute("group", 1),
        **_padding(node),
        **_bias(emitter, node),
        name=node.output,
    )


def _conv_transpose(emitter: Emitter, node: Node) -> Var:
    _require_planar(emitter, node)
    _require(node, "output_padding", [0, 0], [0, 0])
    _require(node, "output_shape", None, None)
    return emitter.builder.conv_transpose(
        x=emitter.computed(node),
        weight=emitter.weight(node, 1),
        strides=node.attribute("strides", [1, 1]),
        dilations=node.attribute("dilations", [1, 1]),
        groups=node.attribute("group", 1),
        **_padding(node),
        **_bias(emitter, node),
        name=node.output,
    )


def _gemm(emitter: Emitter, node: Node) -> Var:
    _require(node, "transA", 0, 0)
    _require(node, "alpha", 1.0, 1.0)
    _require(node, "beta", 1.0, 1.0)
    weight = emitter.weight(node, 1)
    if not _require(node, "transB", 0, 0, 1):
        weight = np.ascontiguousarray(weight.T)
    return emitter.builder.linear(
        x=emitter.computed(node), weight=weight, **_bias(emitter, node), name=node.output
    )


def _hard_sigmoid(emitter: Emitter, node: Node) -> Var:
    return emitter.builder.sigmoid_hard(
        x=emitter.computed(node),
        alpha=float(node.attribute("alpha", 0.2)),
        beta=float(node.attribute("beta", 0.5)),
        name=node.output,
    )


def _hard_swish(emitter: Emitter, node: Node) -> Var:
    x = emitter.computed(node)
    gate = emitter.builder.sigmoid_hard(x=x, alpha=1.0 / 6.0, beta=0.5, name=f"{node.output}_gate")
    return emitter.builder.mul(x=x, y=gate, name=node.output)


def _reciprocal(emitter: Emitter, node: Node) -> Var:
    # Not MIL's inverse: it adds 1e-4 to its input by default.
    return emitter.builder.real_div(x=np.float32(1.0), y=emitter.computed(node), name=node.output)


def _clip(emitter: Emitter, node: Node) -> Var:
    builder, x = emitter.builder, emitter.computed(node)
    low = emitter.weight(node, 1).item() if node.has_input(1) else None
    high = emitter.weight(node, 2).item() if node.has_input(2) else None
    if low is not None and high is not None:
        return builder.clip(x=x, alpha=low, beta=high, name=node.output)
    if low is not None:
        return builder.maximum(x=x, y=np.float32(low), name=node.output)
    if high is not None:
        return builder.minimum(x=x, y=np.float32(high), name=node.output)
    raise ConversionError(f"expected a bound in {describe(node)}, it has none")


def _softmax(emitter: Emitter, node: Node) -> Var:
    return emitter.builder.softmax(
        x=emitter.computed(node), axis=node.attribute("axis", -1), name=node.output
    )


def _concat(emitter: Emitter, node: Node) -> Var:
    values = [emitter.operand(node, index) for index in range(len(node.inputs))]
    return emitter.builder.concat(values=values, axis=node.attribute("axis", 0), name=node.output)


def _reshape(emitter: Emitter, node: Node) -> Var:
    shape = emitter.graph.shapes[node.output]  # without the -1 and 0 of the node's own constant
    return emitter.builder.reshape(x=emitter.computed(node), shape=shape, name=node.output)


def _transpose(emitter: Emitter, node: Node) -> Var:
    x = emitter.computed(node)
    backwards = list(reversed(range(len(x.shape))))
    return emitter.builder.transpose(x=x, perm=node.attribute("perm", backwards), name=node.output)


def _unsqueeze(emitter: Emitter, node: Node) -> Var:
    return emitter.builder.expand_dims(
        x=emitter.computed(node), axes=emitter.integers(node, 1), name=node.output
    )


def _slice(emitter: Emitter, node: Node) -> Var:
    x = emitter.computed(node)
    rank = len(x.shape)
    starts, ends = emitter.integers(node, 1), emitter.integers(node, 2)
    axes = emitter.integers(node, 3) if node.has_input(3) else list(range(len(starts)))
    steps = emitter.integers(node, 4) if node.has_input(4) else [1] * len(starts)
    if min(steps) < 1:
        raise ConversionError(f"expected steps from 1 in {describe(node)}, got {steps}")
    begin, end, stride = [0] * rank, list(x.shape), [1] * rank
    for axis, start, stop, step in zip(axes, starts, ends, steps, strict=True):
        # As Python reads it: counted from the end when negative, cut off where the axis ends.
        begin[axis], end[axis], stride[axis] = slice(start, stop, step).indices(x.shape[axis])
    return emitter.builder.slice_by_index(
        x=x, begin=begin, end=end, stride=stride, name=node.output
    )


def _resize(emitter: Emitter, node: Node) -> Var:
    _require(node, "mode", "nearest", "nearest")
    _require(node, "coordinate_transformation_mode", "half_pixel", "asymmetric")
    _require(node, "nearest_mode", "round_prefer_floor", "floor")
    _require_planar(emitter, node)
    x = emitter.computed(node)
    before, after = tuple(x.shape), emitter.graph.shapes[node.output]
    if before[:2] != after[:2] or any(b % a for a, b in zip(before, after, strict=True)):
        raise ConversionError(
            f"expected both sides of the picture times a whole number in {describe(node)}, got "
            f"{before} -> {after}"
        )
    return emitter.builder.upsample_nearest_neighbor(
        x=x,
        scale_factor_height=after[2] // before[2],
        scale_factor_width=after[3] // before[3],
        name=node.output,
    )


Operator = Callable[[Emitter, Node], Var]


def _unary(mil: str) -> Operator:
    def emit(emitter: Emitter, node: Node) -> Var:
        return getattr(emitter.builder, mil)(x=emitter.computed(node), name=node.output)

    return emit


def _binary(mil: str) -> Operator:
    def emit(emitter: Emitter, node: Node) -> Var:
        x, y = emitter.operand(node, 0), emitter.operand(node, 1)
        return getattr(emitter.builder, mil)(x=x, y=y, name=node.output)

    return emit


def _reduce(mil: str) -> Operator:
    def emit(emitter: Emitter, node: Node) -> Var:
        return getattr(emitter.builder, mil)(
            x=emitter.computed(node),
            axes=emitter.integers(node, 1),
            keep_dims=bool(node.attribute("keepdims", 1)),
            name=node.output,
        )

    return emit


OPERATORS: Final[Mapping[str, Operator]] = MappingProxyType(
    {
        "Add": _binary("add"),
        "Clip": _clip,
        "Concat": _concat,
        "Conv": _conv,
        "ConvTranspose": _conv_transpose,
        "Exp": _unary("exp"),
        "Gemm": _gemm,
        "HardSigmoid": _hard_sigmoid,
        "HardSwish": _hard_swish,
        "Mul": _binary("mul"),
        "Reciprocal": _reciprocal,
        "ReduceMean": _reduce("reduce_mean"),
        "ReduceMin": _reduce("reduce_min"),
        "Relu": _unary("relu"),
        "Reshape": _reshape,
        "Resize": _resize,
        "Sigmoid": _unary("sigmoid"),
        "Slice": _slice,
        "Softmax": _softmax,
        "Sqrt": _unary("sqrt"),
        "Sub": _binary("sub"),
        "Tanh": _unary("tanh"),
        "Transpose": _transpose,
        "Unsqueeze": _unsqueeze,
    }
)
