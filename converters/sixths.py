"""Hard-swish and hard sigmoid without their division by six: the next layers' weights take it.

``x * relu6(x + 3) / 6`` costs int8 kernels three passes over the activations. What reads the result
is nearly always linear, so the last one can be had for nothing: a sixth of the weights.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import numpy as np

from converters.graph import Graph, Node

# Attribute of an activation whose result is so many times what ONNX says.
TIMES: Final = "times"

_SIX: Final = 6.0
_WEIGHTED: Final = frozenset({"Conv", "ConvTranspose", "Gemm"})
# They give so many times the result for so many times the input.
_PASSING: Final = frozenset({"ReduceMean", "Reshape", "Transpose", "Unsqueeze", "Mul"})


def fold_sixths(graph: Graph) -> Graph:
    """Divide weights instead of activations.

    Args:
        graph: a float network.

    Returns:
        The same function. Each HardSwish and HardSigmoid from which only layers with weights of
        their own are reached, through nothing but products, means and reshaping, has the attribute
        ``TIMES`` and gives so many times its result; those layers' weights are divided.
    """
    readers = _readers(graph)
    nodes, constants = list[Node](), dict(graph.constants)
    factors: dict[str, float] = {}  # of tensors that are larger than in the graph
    for node in graph.nodes:
        factor = float(np.prod([factors.get(name, 1.0) for name in node.inputs]))
        changed = node
        if node.op in _WEIGHTED:
            if factor != 1.0:
                weights = constants[node.inputs[1]]
                constants[node.inputs[1]] = (weights / np.float64(factor)).astype(weights.dtype)
            factor = 1.0
        elif _has_sixth(node) and _is_absorbed(graph, readers, node.output):
            factor = _SIX
            attributes = {**node.attributes, TIMES: _SIX}
            changed = replace(node, attributes=MappingProxyType(attributes))
        if factor != 1.0:
            factors[node.output] = factor
        nodes.append(changed)
    return replace(graph, nodes=tuple(nodes), constants=MappingProxyType(constants))


def _readers(graph: Graph) -> Mapping[str, Collection[Node]]:
    """Who reads each tensor and constant."""
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    return readers


def _has_sixth(node: Node) -> bool:
    """Whether a sixth is the last factor of an activation."""
    if node.op == "HardSigmoid":
        return bool(np.isclose(node.attribute("alpha", 0.2), 1.0 / _SIX))
    return node.op == "HardSwish"


def _is_absorbed(graph: Graph, readers: Mapping[str, Collection[Node]], name: str) -> bool:
    """Whether a factor of a tensor can be taken back in the weights of all that it reaches."""
    if name in graph.outputs:
        return False
    for node in readers.get(name, ()):
        if node.op in _WEIGHTED:
            weights = node.inputs[1]
            alone = weights in graph.constants and len(readers[weights]) == 1
            if name != node.inputs[0] or not alone:
                return False
        elif node.op in _PASSING:
            if list(node.inputs).count(name) != 1 or not _is_absorbed(graph, readers, node.output):
                return False
        else:
            return False
    return True


def times(node: Node) -> np.float32:
    """So many times the result of ONNX is the result of an activation; 1 unless folded."""
    return np.float32(node.attribute(TIMES, 1.0))
