"""What the readers of model files share: optional tools, weights counted once, kinds, names."""

import importlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.layers import Kind


def import_tool(module: str, distribution: str) -> Any:  # noqa: ANN401 - a module without types
    """Import an optional tool.

    Args:
        module: its full name.
        distribution: what to install for it.

    Raises:
        BenchmarkError: it cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BenchmarkError(
            f"expected {module}, it cannot be imported ({error}): pip install {distribution}"
        ) from error


@dataclass(frozen=True, slots=True)
class Constant:
    """Numbers in the file, or what was computed of nothing else.

    Attributes:
        origin: of the stored numbers; the same for all that share them.
        shape: where it is used.
        elements: numbers that are stored.
        bytes: of the stored numbers.
    """

    origin: str
    shape: tuple[int, ...]
    elements: int
    bytes: int


@dataclass(slots=True)
class WeightCounter:
    """Counts every stored array once, with the layer that uses it first."""

    _seen: set[str] = field(default_factory=set)

    def count(self, constants: Iterable[Constant]) -> tuple[int, int]:
        """Numbers and bytes of those that no layer before has used."""
        parameters = size = 0
        for constant in constants:
            if constant.origin not in self._seen:
                self._seen.add(constant.origin)
                parameters += constant.elements
                size += constant.bytes
        return parameters, size


def convolution_kind(kernel: Sequence[int], groups: int, channels: int) -> Kind:
    """The kind of a convolution.

    Args:
        kernel: its sizes.
        groups: in how many parts the channels are convolved on their own.
        channels: of the input.
    """
    if groups > 1 and groups == channels:
        return "depthwise"
    return "pointwise" if groups == 1 and math.prod(kernel) == 1 else "conv"


def plane(sizes: Sequence[int]) -> tuple[int, int]:
    """Height and width of a kernel of one, two or three dimensions."""
    height, width = (1, 1, *sizes)[-2:]
    return height, width


def layer_name(weights: str | None, otherwise: str) -> str:
    """A layer's name: "stem.conv" for weights "stem.conv.weight", so that formats agree."""
    if weights and ".weight" in weights:
        return weights.split(".weight")[0]
    return otherwise


def unique(names: Iterable[str]) -> list[str]:
    """The names, repeated ones numbered: "a", "a.1"."""
    counts: Counter[str] = Counter()
    found: list[str] = []
    taken: set[str] = set()
    for name in names:
        full = name
        while full in taken:
            counts[name] += 1
            full = f"{name}.{counts[name]}"
        taken.add(full)
        found.append(full)
    return found
