"""Which operations of a .tflite file XNNPACK runs: the CPU kernels that make it fast on phones.

LiteRT hands XNNPACK the parts of a graph that it takes. What stays outside runs in slow kernels,
and each change from one side to the other costs time; a network of the project has one part and
nothing outside.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from converters.errors import ConversionError
from converters.tools import import_tool

INSTALL_HINT: Final = "pip install ai-edge-litert"

_DELEGATE: Final = "DELEGATE"


@dataclass(frozen=True, slots=True)
class XnnpackReport:
    """How XNNPACK takes a network.

    Attributes:
        partitions: number of connected parts that it runs.
        outside: operations that it does not run, with their number.
    """

    partitions: int
    outside: Mapping[str, int]


def ops_outside(model: bytes) -> XnnpackReport:
    """Load a file as the runtime does, and see what XNNPACK leaves.

    Args:
        model: a .tflite file.

    Raises:
        ConversionError: LiteRT cannot load it.
        MissingToolError: LiteRT is not installed.
    """
    tool = import_tool("ai_edge_litert.interpreter", INSTALL_HINT)
    try:
        interpreter = tool.Interpreter(model_content=model, num_threads=1)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ConversionError(f"expected a .tflite file, LiteRT cannot load it: {error}") from error
    found = interpreter._get_ops_details()  # there is no public list of operations
    delegates = [one for one in found if one["op_name"] == _DELEGATE]
    plain = [one for one in found if one["op_name"] != _DELEGATE]
    inside = set().union(*(_replaced_by(delegate, plain) for delegate in delegates))
    outside = Counter(one["op_name"] for one in plain if one["index"] not in inside)
    return XnnpackReport(len(delegates), MappingProxyType(dict(sorted(outside.items()))))


def _replaced_by(delegate: Mapping[str, Any], plain: Sequence[Mapping[str, Any]]) -> set[int]:
    """Indices of the operations between a delegate's inputs and its outputs."""
    made_by = {tensor: one for one in plain for tensor in one["outputs"]}
    borders = {int(tensor) for tensor in delegate["inputs"]}
    left = [int(tensor) for tensor in delegate["outputs"]]
    inside = set[int]()
    while left:
        tensor = left.pop()
        one = made_by.get(tensor)
        if one is None or tensor in borders or one["index"] in inside:
            continue
        inside.add(one["index"])
        left += [int(source) for source in one["inputs"]]
    return inside
