"""A network as a list of layers with their costs: what the readers of model files return.

A MAC is one multiplication with its addition. Counted are convolutions, transposed convolutions
and matrix products, as the literature does. FLOPs are not used here: papers mean one MAC by it, or
two.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["pointwise", "depthwise", "conv", "linear", "deconv", "other"]

# pointwise: 1x1 convolution, one group; conv: any other with one group; linear: matrix products.
KINDS: Final[tuple[Kind, ...]] = ("pointwise", "depthwise", "conv", "linear", "deconv", "other")


@dataclass(frozen=True, slots=True)
class Tensor:
    """Something computed: the input or the result of a layer.

    Attributes:
        shape: as in the file, the batch included.
        itemsize: bytes of an element where an engine keeps it, 1 for int8.
        storage: name of the tensor whose memory it uses; its own name where it has its own. A
            reshaped or (de)quantised view that engines fuse shares that of its source.
    """

    shape: tuple[int, ...]
    itemsize: int
    storage: str

    @property
    def elements(self) -> int:
        """Numbers in it."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def bytes(self) -> int:
        """Memory of its elements."""
        return self.elements * self.itemsize


@dataclass(frozen=True, slots=True)
class Layer:
    """One operation.

    Attributes:
        name: of the operation, or of its result.
        op: as the file's format calls it: "Conv", "DEPTHWISE_CONV_2D".
        kind: group of layers with a cost per MAC of their own.
        inputs: names of the computed tensors that it reads; weights are not among them.
        outputs: names of its results.
        macs: multiply-accumulates of one inference.
        parameters: weights and biases, each counted where it is first used.
        weight_bytes: size of them in the file.
        kernel: height and width; (1, 1) for what has none.
        stride: vertical; 1 for what has none.
        channels: of input and output, (0, 0) where that means nothing.
    """

    name: str
    op: str
    kind: Kind
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    macs: int = 0
    parameters: int = 0
    weight_bytes: int = 0
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    channels: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Network:
    """A model file.

    Attributes:
        name: of the network in the file, or of the file.
        runtime: engine that reads the file: "onnx" or "tflite".
        inputs: names of tensors.
        outputs: names of tensors, in the file's order.
        layers: in the order in which they run.
        tensors: every tensor that is computed, and the inputs, by name.
        file_bytes: size of the file.
    """

    name: str
    runtime: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    layers: tuple[Layer, ...]
    tensors: Mapping[str, Tensor]
    file_bytes: int

    @property
    def macs(self) -> int:
        """Of all layers."""
        return sum(layer.macs for layer in self.layers)

    @property
    def parameters(self) -> int:
        """Of all layers."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """Of all layers."""
        return sum(layer.weight_bytes for layer in self.layers)


def activation_bytes(network: Network, layer: Layer) -> int:
    """What a layer reads and writes of computed tensors, bytes."""
    return sum(network.tensors[name].bytes for name in (*layer.inputs, *layer.outputs))


def arithmetic_intensity(network: Network, layer: Layer) -> float:
    """MACs per byte that a layer moves: weights, what it reads, what it writes; 0 for no bytes."""
    moved = layer.weight_bytes + activation_bytes(network, layer)
    return layer.macs / moved if moved else 0.0


def branches(network: Network) -> tuple[str, ...]:
    """For each layer, the results of the network that need it.

    Returns:
        per layer the names of those outputs, joined by "+" in the network's order; "" for a layer
        that none needs.
    """
    needed: dict[str, set[str]] = {name: set() for name in network.tensors}
    for output in network.outputs:
        needed[output].add(output)
    found: list[str] = []
    for layer in reversed(network.layers):
        uses = set().union(*(needed[name] for name in layer.outputs))
        for name in layer.inputs:
            needed[name] |= uses
        found.append("+".join(name for name in network.outputs if name in uses))
    return tuple(reversed(found))


def is_view(network: Network, layer: Layer) -> bool:
    """Whether a layer moves nothing: what it gives lies where what it reads lies."""
    if layer.macs or not layer.inputs:
        return False
    read = {network.tensors[name].storage for name in layer.inputs}
    return all(network.tensors[name].storage in read for name in layer.outputs)
