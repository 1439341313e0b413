"""The ranges of values that int8 has to hold in a .tflite network, measured on pictures."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from atpn_mobile.types import FloatArray
from converters.ranges import Range, RangeStatistics
from converters.tools import import_tool

INSTALL_HINT: Final = "pip install ai-edge-litert"
IMAGE_RANGE: Final[Range] = (0.0, 255.0)  # of the values of a picture

RangeMethod = Literal["least_noise", "min_max"]

_DIGITS: Final = 5  # significant ones of a range


class Observer:
    """Runs a network and hands out every tensor that it computes."""

    def __init__(self, model: bytes) -> None:
        """Load a network; without XNNPACK, which keeps its tensors to itself.

        Args:
            model: a .tflite file with one input.

        Raises:
            MissingToolError: LiteRT is not installed.
        """
        tool = import_tool("ai_edge_litert.interpreter", INSTALL_HINT)
        interpreter = tool.Interpreter(
            model_content=model,
            num_threads=2,
            experimental_op_resolver_type=tool.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
        (image,) = interpreter.get_input_details()
        # There is no public list of operations.
        computed = {index for one in interpreter._get_ops_details() for index in one["outputs"]}
        self._interpreter = interpreter
        self._image: int = image["index"]
        shown = {self._image, *computed}
        self._tensors: dict[str, int] = {
            tensor["name"]: tensor["index"]
            for tensor in interpreter.get_tensor_details()
            if tensor["index"] in shown
        }

    def run(self, image: FloatArray) -> dict[str, FloatArray]:
        """Run the network once.

        Args:
            image: (1, H, W, C) float32.

        Returns:
            The input and all that is computed of it, by name.
        """
        self._interpreter.set_tensor(self._image, image)
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(i) for name, i in self._tensors.items()}


def activation_ranges(
    model: bytes, images: Sequence[FloatArray], method: RangeMethod, exact: Iterable[str]
) -> dict[str, Range]:
    """Ranges of all tensors that a float network computes.

    Args:
        model: a .tflite file with one input.
        images: what it is run on, (1, H, W, C) float32 each.
        method: "least_noise" as in ``converters.ranges``, or "min_max" for all that occurs.
        exact: tensors that get the range of black and white pictures, whatever ``images`` show.

    Raises:
        MissingToolError: LiteRT is not installed.
    """
    observer = Observer(model)
    statistics = RangeStatistics()
    extremes: dict[str, Range] = {}
    for image in images:
        for name, values in observer.run(image).items():
            if method == "least_noise":
                statistics.add(name, values)
            else:
                extremes[name] = _widened(extremes.get(name), values)
    ranges = statistics.ranges() if method == "least_noise" else extremes
    plain = [observer.run(np.full_like(images[0], value)) for value in IMAGE_RANGE]
    for name in exact:
        ranges[name] = _widened(_widened(None, plain[0][name]), plain[1][name])
    return ranges


def _widened(known: Range | None, values: FloatArray) -> Range:
    low, high = float(values.min()), float(values.max())
    return (low, high) if known is None else (min(low, known[0]), max(high, known[1]))


def as_statistics(ranges: Mapping[str, Range], ranks: Mapping[str, int]) -> dict[str, Any]:
    """Ranges in the form that the quantizer takes, by tensor name.

    They are rounded: processors differ in the last digits of a sum, files should not.

    Args:
        ranges: by tensor name.
        ranks: number of axes by tensor name.
    """
    return {
        name: {"min": _rounded(low, ranks[name]), "max": _rounded(high, ranks[name])}
        for name, (low, high) in ranges.items()
    }


def _rounded(value: float, rank: int) -> NDArray[np.float32]:
    return np.full((1,) * rank, float(f"{value:.{_DIGITS}g}"), np.float32)
