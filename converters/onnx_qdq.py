"""Writing an ONNX graph with eight-bit tensors: QuantizeLinear and DequantizeLinear around them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from converters.errors import ConversionError
from converters.graph import Array, Graph, Node
from converters.ranges import LEVELS, Range
from converters.to_onnx import MAX_IR_VERSION, OPSET

Value: TypeAlias = Array | np.generic

GATE_RANGE: Final[Range] = (0.0, 1.0)  # of a hard sigmoid

_WEIGHT_MAX: Final = 127
_BIAS_MAX: Final = 2**30
_TINY: Final = np.float32(1e-12)  # scale of weights that are all 0
# relu6(x + 3) / 6: the sum is rounded in steps of 6 / 255, and read in steps of 1 / 255.
_GATE_OFFSET, _GATE_HEIGHT = 3.0, 6.0
_OFFSET_NAME: Final = "hard_sigmoid_offset"


@dataclass(frozen=True, slots=True)
class Scale:
    """How a tensor is held in uint8: value = step * (integer - zero).

    Attributes:
        step: between two integers.
        zero: the integer that stands for 0.
    """

    step: np.float32
    zero: int

    @classmethod
    def of(cls, values: Range) -> "Scale":
        """The scale that spreads uint8 over a range; 0 is always an integer.

        Raises:
            ConversionError: the range is empty or not finite.
        """
        low, high = min(values[0], 0.0), max(values[1], 0.0)
        if not 0.0 < high - low < np.inf:
            raise ConversionError(f"expected a range of values to spread eight bits over: {values}")
        step = np.float32((high - low) / LEVELS)
        return cls(step, int(np.clip(np.rint(-low / step), 0, LEVELS)))

    def quantize(self, values: Value) -> NDArray[np.uint8]:
        """The integers of values, those outside of the range cut off."""
        integers = np.rint(np.asarray(values, np.float64) / self.step) + self.zero
        return np.asarray(np.clip(integers, 0, LEVELS), np.uint8)


class QdqWriter:
    """Collects the nodes and constants of a graph that computes in integers what it is told to."""

    def __init__(self, graph: Graph, ranges: Mapping[str, Range], *, any_cpu: bool) -> None:
        """Start an empty graph.

        Args:
            graph: the float one: names, shapes and constants.
            ranges: of the computed tensors that are held in eight bits.
            any_cpu: whether weights are kept so small that no processor's kernels overflow.
        """
        self._graph = graph
        self._any_cpu = any_cpu
        self._scales = {name: Scale.of(values) for name, values in ranges.items()}
        self._floats: dict[str, Value] = {**graph.constants, _OFFSET_NAME: np.float32(_GATE_OFFSET)}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, Array] = {}

    def add_float(self, node: Node, inputs: Sequence[str]) -> None:
        """A node as it is.

        Args:
            node: of the float graph.
            inputs: the names it reads here.
        """
        self._add(node.op, inputs, node.output, node.name, node.attributes)
        for name in inputs:
            if name in self._floats:
                self._constants[name] = np.asarray(self._floats[name])

    def add_integer(self, node: Node, result: str) -> None:
        """A node whose inputs and result are in eight bits.

        Args:
            node: of the float graph; Conv, Add, Mul, Concat, or the hard sigmoid of hard-swish.
            result: name of what is rounded: its output, or that of the ReLU after it.
        """
        if node.op == "HardSigmoid":
            inputs = [self.eight_bits(node.inputs[0]), self.eight_bits(_OFFSET_NAME)]
            self._add("Add", inputs, result, node.name)
            self.add_quantization(result, Scale.of((0.0, _GATE_HEIGHT)))
            return
        if node.op == "Conv":
            inputs = [self.eight_bits(node.inputs[0]), *self._weights(node)]
        else:
            inputs = [self.eight_bits(name) for name in node.inputs]
        self._add(node.op, inputs, result, node.name, node.attributes)
        self.add_quantization(result)

    def add_quantization(self, name: str, rounding: Scale | None = None) -> None:
        """Round a tensor to eight bits.

        Args:
            name: of the tensor, which exists in float.
            rounding: how it is rounded where that is not how the result is read.
        """
        scale = self._scales[name]
        read = self._parameters(name, scale.step, np.uint8(scale.zero))
        written = read
        if rounding is not None:
            written = self._parameters(f"{name}_rounded", rounding.step, np.uint8(rounding.zero))
        self._add("QuantizeLinear", [name, *written], f"{name}_uint8", f"{name}_quantize")
        self._add("DequantizeLinear", [f"{name}_uint8", *read], _float(name), f"{name}_dequantize")

    def eight_bits(self, name: str) -> str:
        """Name of a tensor as read from its eight bits."""
        if name in self._floats and f"{name}_uint8" not in self._constants:
            values = self._floats[name]
            scale = Scale.of((float(values.min()), float(values.max())))
            self._store(name, scale.quantize(values), scale.step, np.uint8(scale.zero))
        return _float(name)

    def model(self) -> bytes:
        """The .onnx file.

        Raises:
            ConversionError: it is not valid.
        """
        graph = helper.make_graph(
            self._nodes,
            self._graph.name,
            [self._tensor(self._graph.input)],
            [self._tensor(name) for name in self._graph.outputs],
            [numpy_helper.from_array(array, name) for name, array in self._constants.items()],
        )
        model = helper.make_model(
            graph,
            producer_name="atpn_mobile",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=MAX_IR_VERSION,
        )
        try:
            onnx.checker.check_model(model, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise ConversionError(f"expected a valid int8 {self._graph.name!r}: {error}") from error
        contents: bytes = model.SerializeToString(deterministic=True)
        return contents

    def _weights(self, node: Node) -> list[str]:
        """Names of weights and bias as read from int8 and int32."""
        weights = self._graph.constant(node, 1)
        bias = self._graph.constant(node, 2) if node.has_input(2) else np.zeros(len(weights))
        entering = self._scales[node.inputs[0]].step
        steps = weight_steps(weights, any_cpu=self._any_cpu)
        # the bias of a channel of tiny weights has to fit into 32 bits
        steps = np.maximum(steps, np.abs(bias) / (entering * _BIAS_MAX)).astype(np.float32)
        integers = np.rint(weights / steps.reshape(-1, *[1] * (weights.ndim - 1)))
        zeros = np.zeros(len(steps), np.int8)
        names = [self._store(node.inputs[1], integers.astype(np.int8), steps, zeros)]
        if node.has_input(2):
            steps = (steps * entering).astype(np.float32)
            sums = np.rint(bias.astype(np.float64) / steps).astype(np.int32)
            names.append(self._store(node.inputs[2], sums, steps, zeros.astype(np.int32)))
        return names

    def _store(self, name: str, integers: Array, step: Value, zero: Value) -> str:
        """Add a constant held in integers; gives the name of its values."""
        read = self._parameters(name, step, zero)
        stored = f"{name}_{integers.dtype}"
        self._constants[stored] = integers
        attributes = {"axis": 0} if np.ndim(step) else {}
        self._add(
            "DequantizeLinear", [stored, *read], _float(name), f"{name}_dequantize", attributes
        )
        return _float(name)

    def _parameters(self, name: str, step: Value, zero: Value) -> list[str]:
        """Add how a tensor is held; gives the names of step and zero."""
        self._constants[f"{name}_step"] = np.asarray(step)
        self._constants[f"{name}_zero"] = np.asarray(zero)
        return [f"{name}_step", f"{name}_zero"]

    def _add(
        self,
        kind: str,
        inputs: Sequence[str],
        output: str,
        name: str,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self._nodes.append(
            helper.make_node(kind, list(inputs), [output], name=name, **dict(attributes or {}))
        )

    def _tensor(self, name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, self._graph.shapes[name])


def _float(name: str) -> str:
    """Name of what is read from a tensor's integers."""
    return f"{name}_float"


def weight_steps(weights: Array, *, any_cpu: bool) -> NDArray[np.float32]:
    """Step of int8 weights, per output channel.

    x86 without VNNI adds two products of uint8 and int8 in sixteen bits. No such sum overflows
    while the two largest weights of one sign add up to 128 at most: 255 * 128 < 2^15. The kernels
    of depthwise convolutions add in 32 bits.

    Args:
        weights: (out, in, ...).
        any_cpu: keep to that.

    Returns:
        (out,).
    """
    rows = weights.reshape(len(weights), -1)
    largest = np.abs(rows).max(axis=1)
    if any_cpu and weights.shape[1] > 1:
        ordered = np.sort(rows, axis=1)
        above = ordered[:, -2:].clip(min=0.0).sum(axis=1)
        below = -ordered[:, :2].clip(max=0.0).sum(axis=1)
        # to 127 and not to 128, as rounding can add one to a sum
        largest = np.maximum(largest, np.maximum(above, below))
    return np.asarray(np.maximum(largest / _WEIGHT_MAX, _TINY), np.float32)
