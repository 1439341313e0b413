"""Which operations of a network stay float when it is made int8: the same rule for all formats.

The last layers before the outputs always do: one of 256 steps of a landmark would be half a pixel.
So do the layers right before them as long as they are cheap, for their rounding reaches the outputs
as it is. Found by this rule alone, so that new weights and new networks need no list of names.
"""

import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from converters.errors import ConversionError
from converters.graph import Graph, Node

CHEAP_SHARE: Final = 0.001  # of all multiply-adds

_WEIGHTED: Final = frozenset({"Conv", "ConvTranspose", "Gemm"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a graph, whatever the format.

    Attributes:
        kind: its name in the format: "Conv", "CONV_2D", ...
        inputs: names of the tensors it reads that are computed.
        output: name of the tensor it makes.
        layer: name of the layer whose weights it holds, as in torch ("alignment.gather"); None for
            one without weights.
        macs: multiply-adds of the layer.
    """

    kind: str
    inputs: tuple[str, ...]
    output: str
    layer: str | None
    macs: int = 0


def graph_operations(graph: Graph) -> tuple[Operation, ...]:
    """The operations of an ONNX graph, in the order in which they run."""
    found = []
    for node in graph.nodes:
        inputs = tuple(name for name in node.inputs if name in graph.shapes)
        weighted = node.op in _WEIGHTED and node.inputs[1] in graph.constants
        layer = node.inputs[1].removesuffix(".weight") if weighted else None
        macs = _macs(graph, node) if weighted else 0
        found.append(Operation(node.op, inputs, node.output, layer, macs))
    return tuple(found)


def _macs(graph: Graph, node: Node) -> int:
    """Each weight works once per position: of the input where the layer enlarges the picture."""
    of = node.inputs[0] if node.op == "ConvTranspose" else node.output
    return math.prod(graph.constant(node, 1).shape) * math.prod(graph.shapes[of][2:])


def float_layers(
    found: Sequence[Operation], outputs: Iterable[str], cheap_share: float = CHEAP_SHARE
) -> frozenset[str]:
    """The layers that stay float: the heads and what is cheap right before them.

    Args:
        found: all operations.
        outputs: names of the network's outputs.
        cheap_share: the most that a layer before the heads may cost, as a share of all
            multiply-adds.

    Returns:
        Names of the layers from which an output is reached through nothing but cheap layers and
        operations without weights.
    """
    made_by = {one.output: one for one in found}
    limit = cheap_share * sum(one.macs for one in found)
    left = [(output, math.inf) for output in outputs]  # the heads, whatever they cost
    seen: dict[str, float] = {}
    layers = set[str]()
    while left:
        name, most = left.pop()
        one = made_by.get(name)
        if one is None or seen.get(name, -1.0) >= most:
            continue
        seen[name] = most
        if one.layer is None:
            left += [(source, most) for source in one.inputs]
        elif one.macs <= most:
            layers.add(one.layer)
            left += [(source, limit) for source in one.inputs]
    return frozenset(layers)


def float_operations(found: Sequence[Operation], layers: Collection[str]) -> frozenset[str]:
    """Outputs of the operations that stay float with some layers.

    Those are the layers, and the operations without weights that only they feed or that feed only
    them: after the layer that gives the landmarks the whole heatmap, but not the product of
    features and heatmap.

    Args:
        found: all operations.
        layers: names of layers.
    """
    kept = set[str]()
    for one in found:
        if one.layer in layers or (
            one.layer is None and one.inputs and kept.issuperset(one.inputs)
        ):
            kept.add(one.output)
    readers: dict[str, list[str]] = {}
    for one in reversed(found):
        if one.layer is None and kept.issuperset(readers.get(one.output, [one.output])):
            kept.add(one.output)
        for source in one.inputs:
            readers.setdefault(source, []).append(one.output)
    return frozenset(kept)


def matching_layers(found: Sequence[Operation], patterns: Iterable[str]) -> frozenset[str]:
    """The layers in whose name one of the regular expressions is found.

    Raises:
        ConversionError: an expression matches nothing.
    """
    names = [one.layer for one in found if one.layer is not None]
    matched = set[str]()
    for pattern in patterns:
        hits = [name for name in names if re.search(pattern, name)]
        if not hits:
            raise ConversionError(f"expected layers that match {pattern!r}, out of {names}")
        matched.update(hits)
    return frozenset(matched)


def before_layers(found: Sequence[Operation], image: str) -> frozenset[str]:
    """The input and all that is made of it without weights: the normalisation of the picture."""
    made = {image}
    for one in found:
        if one.layer is None and one.inputs and made.issuperset(one.inputs):
            made.add(one.output)
    return frozenset(made)


def integer_share(found: Sequence[Operation], layers: Collection[str]) -> float:
    """Share of the multiply-adds in other than these layers, 0..1."""
    floats = sum(one.macs for one in found if one.layer in layers)
    return 1.0 - floats / sum(one.macs for one in found)
