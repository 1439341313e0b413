"""Smaller weights for a Core ML program: 8 bit integers, or palettes of 64 or 16 numbers.

Activations and arithmetic stay float16: the engine unpacks the weights when it loads the model.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from numpy.typing import NDArray
from torch import Tensor

from atpn_mobile.types import FloatArray
from converters.coreml.interpreter import Argument, Interpreter
from converters.coreml.package import package_files
from converters.coreml.palettes import assign, palette
from converters.coreml.program import Operation, Program, load_program
from converters.errors import ConversionError

# By precision: bits of an index into a palette; None for 8 bit integers alone.
COMPRESSIONS: Final[Mapping[str, int | None]] = MappingProxyType(
    {"int8_weights": None, "palettized6": 6, "palettized4": 4}
)
# Smaller weights stay float16: they are little of the file and much of its accuracy.
MIN_WEIGHTS: Final = 2048
MAX_PICTURES: Final = 64  # of the calibration, evenly chosen; more take longer and change nothing


def compress(
    tool: Any,  # noqa: ANN401 - coremltools has no types
    model: Any,  # noqa: ANN401
    precision: str,
    calibration: Sequence[FloatArray] = (),
) -> Any:  # noqa: ANN401
    """Compress the weights of a float16 program.

    Palettes are for convolutions that mix channels, one palette per tensor, which is what iOS 16
    can. All other weights become integers with a scale per channel: a palette for all channels of
    a depthwise convolution, whose scales differ, would cost more than it saves.

    Args:
        tool: the module coremltools.
        model: its ``MLModel``.
        precision: one of ``COMPRESSIONS``.
        calibration: pictures as the network takes them, for palettes.

    Returns:
        Another ``MLModel``.

    Raises:
        ConversionError: pictures are needed, and there are none.
    """
    methods = tool.optimize.coreml
    bits = COMPRESSIONS[precision]
    if bits is not None:
        if not calibration:
            raise ConversionError(f"expected pictures to calibrate {precision} on, got none")
        program = load_program(package_files(model.get_spec(), model.weights_dir))
        config = methods.OptimizationConfig()
        for name, (numbers, indices) in _palettes(program, bits, calibration).items():
            config.set_op_name(name, _fixed_palette(methods, numbers, indices))
        model = methods.palettize_weights(model, config)
    integers = methods.OpLinearQuantizerConfig(
        mode="linear_symmetric", granularity="per_channel", weight_threshold=MIN_WEIGHTS
    )
    return methods.linear_quantize_weights(model, methods.OptimizationConfig(integers))


def _fixed_palette(
    methods: Any,  # noqa: ANN401
    numbers: NDArray[np.float16],
    indices: NDArray[np.uint8],
) -> Any:  # noqa: ANN401
    return methods.OpPalettizerConfig(
        mode="custom", lut_function=lambda weights: (numbers, indices), weight_threshold=0
    )


def _palettes(
    program: Program, bits: int, calibration: Sequence[FloatArray]
) -> dict[str, tuple[NDArray[np.float16], NDArray[np.uint8]]]:
    """Palette and indices by name of the weights."""
    palettes = {}
    with _one_thread():
        for name, moments in _second_moments(program, calibration).items():
            weights = np.asarray(program.constants[name])
            numbers = palette(weights, 1 << bits)
            rows = weights.reshape(len(weights), -1)
            palettes[name] = numbers, assign(rows, numbers, moments).reshape(-1)
    return palettes


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums come out the same to the last digit, however many cores there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _second_moments(
    program: Program, calibration: Sequence[FloatArray]
) -> dict[str, NDArray[np.float64]]:
    """Mean products of what each pair of weights of an output is multiplied with.

    Returns:
        By name of the weights of each convolution that gets a palette.
    """
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}

    def observe(operation: Operation, arguments: Mapping[str, Argument]) -> None:
        if operation.kind != "conv" or not _has_palette(arguments):
            return
        (name,) = operation.inputs["weight"]
        patches = _patches(arguments)
        counts[name] = counts.get(name, 0) + len(patches)
        product = (patches.T @ patches).double()
        sums[name] = sums[name] + product if name in sums else product

    interpreter = Interpreter(program)
    for picture in calibration[:: -(-len(calibration) // MAX_PICTURES)]:
        interpreter.run(picture, observe)
    return {name: (total / counts[name]).numpy() for name, total in sums.items()}


def _has_palette(arguments: Mapping[str, Argument]) -> bool:
    return bool(arguments["groups"] == 1 and arguments["weight"].numel() > MIN_WEIGHTS)


def _patches(arguments: Mapping[str, Argument]) -> Tensor:
    """(positions, inputs): what a row of weights is multiplied with, for each output pixel."""
    x, weight = arguments["x"], arguments["weight"]
    top, bottom, left, right = arguments["pad"]
    columns = F.unfold(
        F.pad(x, (left, right, top, bottom)),
        weight.shape[2:],
        dilation=arguments["dilations"],
        stride=arguments["strides"],
    )
    return columns[0].T
