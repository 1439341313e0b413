"""Smaller .tflite files of a float32 one: float16 or int8 weights, or int8 arithmetic."""

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

from atpn_mobile.types import FloatArray
from converters.errors import ConversionError
from converters.regions import (
    Operation,
    before_layers,
    float_layers,
    float_operations,
    matching_layers,
)
from converters.tflite.file import operations, read_model, write_model
from converters.tflite.ranges import RangeMethod, activation_ranges, as_statistics
from converters.tools import import_tool

INSTALL_HINT: Final = "pip install ai-edge-quantizer==0.10.0"
TOOLS: Final = ("tensorflow", "ai-edge-litert", "ai-edge-quantizer")

WeightPrecision = Literal["float16", "int8_weights"]
Precision = Literal["float16", "int8_weights", "int8"]


@dataclass(frozen=True, slots=True)
class Int8Options:
    """How a network is made int8.

    Attributes:
        float_layers: regular expressions; the layers in whose name one is found stay float
            besides those of ``converters.regions.float_layers``. Their weights are float16.
        activations: how the ranges of what is computed are chosen: "least_noise" as in
            ``converters.ranges``, or "min_max" for all that occurs.
    """

    float_layers: tuple[str, ...] = ()
    activations: RangeMethod = "least_noise"


def quantize_tflite(
    model: bytes,
    precision: Precision,
    calibration: Sequence[FloatArray] | None = None,
    options: Int8Options | None = None,
) -> bytes:
    """Make a smaller file of a float32 one; names, input and outputs stay.

    Args:
        model: as ``to_tflite`` makes it; for "int8" with ``hard_swish="relu6"``.
        precision: "float16" and "int8_weights" store the weights so, per channel, and compute in
            float32; "int8" computes in int8 what ``options`` do not keep float.
        calibration: for "int8": pictures as the network takes them, (1, H, W, C) float32 each.
        options: for "int8".

    Returns:
        The .tflite file. The same network, pictures and tools give the same bytes.

    Raises:
        ConversionError: the file is no such network, there are no pictures, or an expression in
            ``options`` matches no layer.
        MissingToolError: the quantizer is not installed.
    """
    if precision == "int8":
        if not calibration:
            raise ConversionError("expected pictures to measure the ranges of int8 on, got none")
        return _int8(model, calibration, options or Int8Options())
    if precision not in ("float16", "int8_weights"):
        raise ConversionError(f"expected float16, int8_weights or int8, got {precision!r}")
    return _weights(model, precision)


def _weights(model: bytes, precision: WeightPrecision) -> bytes:
    read_model(model)  # complains in our words
    with _quantizer(model) as (tool, quantizer):
        floats = precision == "float16"
        names = tool.AlgorithmName
        quantizer.add_weight_only_config(
            ".*",
            "*",
            num_bits=16 if floats else 8,
            algorithm_key=names.FLOAT_CASTING if floats else names.MIN_MAX_UNIFORM_QUANT,
        )
        return _finished(quantizer.quantize(enable_progress_report=False))


def _int8(model: bytes, calibration: Sequence[FloatArray], options: Int8Options) -> bytes:
    network = read_model(model)
    graph = network.subgraphs[0]
    outputs = [graph.tensors[index].name.decode() for index in graph.outputs]
    (image,) = (graph.tensors[index].name.decode() for index in graph.inputs)
    found = operations(network)
    layers = float_layers(found, outputs) | matching_layers(found, options.float_layers)
    floats = float_operations(found, layers)
    integers = [one for one in found if one.output not in floats]
    if any(one.kind == "HARD_SWISH" for one in integers):
        raise ConversionError('expected hard_swish="relu6": XNNPACK has no HARD_SWISH of int8')
    ranges = activation_ranges(model, calibration, options.activations, before_layers(found, image))
    ranks = {tensor.name.decode(): len(tensor.shape) for tensor in graph.tensors}
    statistics = as_statistics(ranges, ranks)
    with _quantizer(model) as (tool, quantizer):
        quantizer.add_static_config(_one_of(integers), "*", 8, 8)
        quantizer.add_weight_only_config(
            _one_of([one for one in found if one.layer in layers]),
            "*",
            16,
            algorithm_key=tool.AlgorithmName.FLOAT_CASTING,
        )
        return _finished(quantizer.quantize(statistics, enable_progress_report=False))


def _one_of(chosen: Iterable[Operation]) -> str:
    """A regular expression for these operations of the quantizer, and no others.

    The input and the outputs are operations of its own too; left out, they stay float.
    """
    return f"^({'|'.join(re.escape(one.output) for one in chosen)});$"


def _finished(result: Any) -> bytes:  # noqa: ANN401
    """What the quantizer made, written as all our files are."""
    return write_model(read_model(bytes(result.quantized_model)))


@contextmanager
def _quantizer(model: bytes) -> Iterator[tuple[Any, Any]]:
    """The quantizer's module and a quantizer of a model, without progress bars."""
    tool = import_tool("ai_edge_quantizer.quantizer", INSTALL_HINT)
    progress = import_tool("ai_edge_quantizer.utils.progress_utils", INSTALL_HINT)
    bars = progress.ProgressBar
    progress.ProgressBar = _NoProgress
    try:
        with warnings.catch_warnings():
            # That its own check of the network keeps all tensors is nothing to act on.
            warnings.filterwarnings("ignore", ".*experimental_preserve_all_tensors", UserWarning)
            yield tool, tool.Quantizer(model)
    except (ValueError, RuntimeError) as error:
        raise ConversionError(f"expected the quantizer to take the network: {error}") from error
    finally:
        progress.ProgressBar = bars


class _NoProgress:
    """Stands for the quantizer's progress bar."""

    def __init__(self, *_: object, **__: object) -> None:
        """Nothing is shown."""

    def __enter__(self) -> "_NoProgress":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def update_single_step(self) -> None:
        """Nothing is shown."""
