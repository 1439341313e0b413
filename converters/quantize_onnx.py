"""ONNX int8: the network's own graph with eight-bit tensors, as every engine understands it.

Where eight bits are meant stand QuantizeLinear and DequantizeLinear (the "QDQ" form); an engine
replaces what is between them by integer kernels. Activations are uint8, weights int8 per channel.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np

from atpn_mobile.types import FloatArray
from converters.errors import ConversionError
from converters.graph import Graph, Node, read_graph
from converters.onnx_qdq import GATE_RANGE, QdqWriter
from converters.onnx_ranges import activation_ranges
from converters.ranges import Range
from converters.regions import (
    before_layers,
    float_layers,
    float_operations,
    graph_operations,
    matching_layers,
)

TOOLS: Final = ("onnx", "onnxruntime")

# What ONNX Runtime has integer kernels for that are no slower than float ones.
_INTEGER: Final = frozenset({"Conv", "Add", "Mul", "Concat", "HardSigmoid"})
_HARD_SIGMOID: Final = (1.0 / 6.0, 0.5)  # slope and offset of the one in hard-swish
_SLOPE_TOLERANCE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class OnnxInt8Options:
    """How a network is made int8.

    Attributes:
        float_layers: regular expressions; the layers in whose name one is found stay float
            besides those of ``converters.regions.float_layers``.
        any_cpu: keep weights so small that no processor's kernels overflow. x86 without VNNI adds
            two products in sixteen bits: with the full range its results are wrong there.
    """

    float_layers: tuple[str, ...] = ()
    any_cpu: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What is computed in integers.

    Attributes:
        graph: the network, the hard-swishes in integers taken apart.
        integers: outputs of the operations that are.
        rectified: output of such an operation -> output of the ReLU or Clip after it, which
            rounding to uint8 does on its own.
        bounds: of those outputs; a range does not go beyond.
        tensors: everything computed that is held in eight bits.
        gates: those of them that are hard sigmoids, 0..1.
        exact: those of them whose range the picture's own range gives.
    """

    graph: Graph
    integers: frozenset[str]
    rectified: Mapping[str, str]
    bounds: Mapping[str, Range]
    tensors: frozenset[str]
    gates: frozenset[str]
    exact: frozenset[str]


def to_onnx_int8(
    model: bytes, calibration: Sequence[FloatArray], options: OnnxInt8Options | None = None
) -> bytes:
    """Make a network int8.

    Args:
        model: the float32 .onnx file, of a fixed batch.
        calibration: pictures as the network takes them.
        options: the defaults when None.

    Returns:
        The .onnx file; names, input and outputs stay. The same network and pictures give the same
        bytes.

    Raises:
        ConversionError: the file is no such network, there are no pictures, or an expression in
            ``options`` matches no layer.
        MissingToolError: ONNX Runtime, which measures the ranges, is not installed.
    """
    if not calibration:
        raise ConversionError("expected pictures to measure the ranges of int8 on, got none")
    options = options or OnnxInt8Options()
    graph = read_graph(model)
    plan = _plan(graph, options)
    if not plan.integers:
        raise ConversionError(f"expected layers of {graph.name!r} to compute in int8, got none")
    measured = plan.tensors - plan.gates
    ranges = activation_ranges(model, calibration, measured, plan.exact)
    for name, (low, high) in plan.bounds.items():
        ranges[name] = max(ranges[name][0], low), min(ranges[name][1], high)
    ranges |= dict.fromkeys(plan.gates, GATE_RANGE)
    return _write(plan, ranges, options)


def _plan(graph: Graph, options: OnnxInt8Options) -> _Plan:
    found = graph_operations(graph)
    layers = float_layers(found, graph.outputs) | matching_layers(found, options.float_layers)
    exact = before_layers(found, graph.input)
    floats = float_operations(found, layers) | exact
    graph = _split_hard_swish(graph, floats)
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    integers, tensors = set[str](), set[str]()
    rectified, bounded = dict[str, str](), dict[str, Range]()
    for node in graph.nodes:
        if node.output in floats or not _has_integer_kernel(graph, node, tensors):
            continue
        integers.add(node.output)
        after = readers.get(node.output, [])
        result = node.output
        bounds = _bounds(graph, after[0]) if len(after) == 1 else None
        if bounds is not None and result not in graph.outputs:
            rectified[result] = result = after[0].output
            bounded[result] = bounds
        tensors |= {*_pictures(graph, node), result}
    gates = {node.output for node in graph.nodes if node.op == "HardSigmoid"}
    return _Plan(
        graph,
        frozenset(integers),
        MappingProxyType(rectified),
        MappingProxyType(bounded),
        frozenset(tensors),
        frozenset(gates & integers),
        frozenset(exact & tensors),
    )


def _split_hard_swish(graph: Graph, floats: Collection[str]) -> Graph:
    """Hard-swish as what it is, but in float: the product of its input and a hard sigmoid."""
    nodes, shapes = [], dict(graph.shapes)
    alpha, beta = _HARD_SIGMOID
    for node in graph.nodes:
        if node.op != "HardSwish" or node.output in floats:
            nodes.append(node)
            continue
        gate = f"{node.output}_gate"
        shapes[gate] = graph.shapes[node.output]
        attributes = MappingProxyType({"alpha": alpha, "beta": beta})
        nodes.append(Node("HardSigmoid", f"{node.name}_gate", node.inputs, gate, attributes))
        inputs = (node.inputs[0], gate)
        nodes.append(Node("Mul", node.name, inputs, node.output, MappingProxyType({})))
    return replace(graph, nodes=tuple(nodes), shapes=MappingProxyType(shapes))


def _has_integer_kernel(graph: Graph, node: Node, tensors: set[str]) -> bool:
    if node.op not in _INTEGER:
        return False
    if node.op == "Conv":
        return node.inputs[1] in graph.constants
    if node.op == "HardSigmoid":
        slope = node.attribute("alpha", 0.2), node.attribute("beta", 0.5)
        if not np.allclose(slope, _HARD_SIGMOID, _SLOPE_TOLERANCE):
            return False
    return not tensors.isdisjoint(node.inputs)  # worth it where something is in eight bits anyway


def _bounds(graph: Graph, node: Node) -> Range | None:
    """The bounds of a node that does no more than cut off its input there.

    None for any other node, and where 0 is out of bounds, which is in every range of uint8.
    """
    if node.op == "Relu":
        return 0.0, np.inf
    if node.op != "Clip":
        return None
    low = graph.constant(node, 1).item() if node.has_input(1) else -np.inf
    high = graph.constant(node, 2).item() if node.has_input(2) else np.inf
    return (low, high) if low <= 0.0 <= high else None


def _pictures(graph: Graph, node: Node) -> tuple[str, ...]:
    """The inputs that hold computed activations."""
    inputs = node.inputs[:1] if node.op == "Conv" else node.inputs
    return tuple(name for name in inputs if name in graph.shapes)


def _write(plan: _Plan, ranges: Mapping[str, Range], options: OnnxInt8Options) -> bytes:
    graph = plan.graph
    writer = QdqWriter(graph, ranges, any_cpu=options.any_cpu)
    skipped = set(plan.rectified.values())
    made = {plan.rectified.get(name, name) for name in plan.integers}
    if graph.input in plan.tensors:
        writer.add_quantization(graph.input)
    for node in graph.nodes:
        if node.output in skipped:
            continue
        if node.output in plan.integers:
            writer.add_integer(node, plan.rectified.get(node.output, node.output))
            continue
        # What is computed in integers exists in eight bits alone.
        inputs = [writer.eight_bits(name) if name in made else name for name in node.inputs]
        writer.add_float(node, inputs)
        if node.output in plan.tensors:
            writer.add_quantization(node.output)
    return writer.model()
