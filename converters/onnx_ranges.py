"""The ranges of values that int8 has to hold in an ONNX network, measured on pictures."""

from collections.abc import Collection, Sequence
from typing import Any, Final

import numpy as np
import onnx

from atpn_mobile.backends.onnx import ENGINE_MODULE, INSTALL_HINT
from atpn_mobile.types import FloatArray
from converters.ranges import Range, RangeStatistics
from converters.tools import import_tool

IMAGE_RANGE: Final[Range] = (0.0, 255.0)  # of the values of a picture

_DIGITS: Final = 5  # significant ones of a range: what differs between processors is beyond


def activation_ranges(
    model: bytes, images: Sequence[FloatArray], names: Collection[str], exact: Collection[str]
) -> dict[str, Range]:
    """Ranges of tensors that a float network computes.

    Args:
        model: an .onnx file with one input.
        images: what it is run on, of the shape of its input.
        names: the tensors.
        exact: those of them that get the range of black and white pictures, whatever ``images``
            show.

    Raises:
        MissingToolError: ONNX Runtime is not installed.
    """
    session, image, wanted = _observer(model, names)
    statistics = RangeStatistics()
    for values in images:
        for name, tensor in zip(wanted, session.run(wanted, {image: values}), strict=True):
            statistics.add(name, tensor)
    ranges = statistics.ranges()
    black_and_white = [np.full_like(images[0], value) for value in IMAGE_RANGE]
    extremes = [session.run(wanted, {image: values}) for values in black_and_white]
    for name, black, white in zip(wanted, *extremes, strict=True):
        if name in exact:
            ranges[name] = (
                float(min(black.min(), white.min())),
                float(max(black.max(), white.max())),
            )
    if image in names:
        ranges[image] = IMAGE_RANGE
    return {name: (_rounded(low), _rounded(high)) for name, (low, high) in ranges.items()}


def _observer(model: bytes, names: Collection[str]) -> tuple[Any, str, list[str]]:
    """A session that hands out these tensors, its input, and those of the tensors it computes."""
    engine = import_tool(ENGINE_MODULE, INSTALL_HINT)
    network = onnx.shape_inference.infer_shapes(onnx.load_from_string(model))
    (image,) = (value.name for value in network.graph.input)
    computed = sorted(set(names) - {image})
    known = {value.name: value for value in network.graph.value_info}
    shown = {value.name for value in network.graph.output}
    network.graph.output.extend([known[name] for name in computed if name not in shown])
    options = engine.SessionOptions()
    options.intra_op_num_threads = 2
    session = engine.InferenceSession(
        network.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
    )
    return session, image, computed


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
