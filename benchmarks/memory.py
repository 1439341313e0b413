"""Memory of activations: how much is alive at once, and what a planner that reuses it needs.

Every computed tensor with memory of its own lives from the layer that writes it to the last one
that reads it; inputs live from the start, results to the end. Layers write into memory of their
own: an engine that computes in place needs less than this, one that pads or aligns a little more.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.layers import Network


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Memory that a network needs for some time.

    Attributes:
        name: of the tensor that owns it.
        bytes: how much.
        first: place of the layer that writes it.
        last: place of the last layer that reads it.
    """

    name: str
    bytes: int
    first: int
    last: int

    def overlaps(self, other: "Lifetime") -> bool:
        """Whether both are needed at one time."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class Placed:
    """A lifetime with its place in an arena.

    Attributes:
        lifetime: what is placed.
        offset: of its first byte.
    """

    lifetime: Lifetime
    offset: int

    @property
    def end(self) -> int:
        """Offset behind its last byte."""
        return self.offset + self.lifetime.bytes


@dataclass(frozen=True, slots=True)
class Memory:
    """What the activations of a network need, bytes.

    Attributes:
        live_bytes: the most that is alive at one layer; no planner needs less.
        arena_bytes: size of an arena planned greedily by size.
        unshared_bytes: all of them, each with memory of its own.
        peak_layer: the first layer with ``live_bytes``; "" in a network without layers.
    """

    live_bytes: int
    arena_bytes: int
    unshared_bytes: int
    peak_layer: str


def measure_memory(network: Network) -> Memory:
    """What the activations of a network need."""
    lives = lifetimes(network)
    live = live_bytes(lives, len(network.layers))
    peak = max(live, default=0)
    return Memory(
        live_bytes=peak,
        arena_bytes=max((placed.end for placed in plan_arena(lives)), default=0),
        unshared_bytes=sum(life.bytes for life in lives),
        peak_layer=network.layers[live.index(peak)].name if live else "",
    )


def lifetimes(network: Network) -> tuple[Lifetime, ...]:
    """When the memory of each tensor is needed, in the order in which they are written."""
    if not network.layers:
        return ()
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    sizes: dict[str, int] = {}

    def use(name: str, place: int) -> None:
        tensor = network.tensors[name]
        first.setdefault(tensor.storage, place)
        last[tensor.storage] = place
        sizes[tensor.storage] = max(sizes.get(tensor.storage, 0), tensor.bytes)

    for name in network.inputs:
        use(name, 0)
    for place, layer in enumerate(network.layers):
        for name in (*layer.inputs, *layer.outputs):
            use(name, place)
    for name in network.outputs:
        use(name, len(network.layers) - 1)
    return tuple(Lifetime(name, sizes[name], first[name], last[name]) for name in first)


def live_bytes(lives: Iterable[Lifetime], layers: int) -> list[int]:
    """What is alive at each layer.

    Args:
        lives: of all tensors.
        layers: how many there are.
    """
    live = [0] * layers
    for life in lives:
        for place in range(life.first, life.last + 1):
            live[place] += life.bytes
    return live


def plan_arena(lives: Sequence[Lifetime]) -> tuple[Placed, ...]:
    """Give each tensor its place in one arena, as TFLite's planner does.

    Greedy by size: the largest first, each into the smallest gap that it fits among those that live
    at the same time, or behind them (Pisarchyk and Lee, Efficient Memory Management for Deep Neural
    Net Inference, arXiv 2001.03288, "Greedy by Size for Offset Calculation").

    Returns:
        the tensors in the order of their offsets.
    """
    arena: list[Placed] = []
    for life in sorted(lives, key=lambda one: (-one.bytes, one.first)):
        arena.append(Placed(life, _best_offset(life, arena)))
        arena.sort(key=lambda placed: placed.offset)
    return tuple(arena)


def _best_offset(life: Lifetime, arena: Sequence[Placed]) -> int:
    """Where the smallest gap starts that holds it.

    Args:
        life: what to place.
        arena: those that have their place, in the order of their offsets.
    """
    best: int | None = None
    smallest = end = 0
    for other in arena:
        if not other.lifetime.overlaps(life):
            continue
        gap = other.offset - end
        if gap >= life.bytes and (best is None or gap < smallest):
            best, smallest = end, gap
        end = max(end, other.end)
    return end if best is None else best
