"""Labels of counted instructions: agreed between the drivers in the emulator and the host."""

from collections.abc import Mapping
from typing import Final

IGNORED: Final = 0
NETWORK: Final = 1  # onnx_driver.c knows it too
EMPTY: Final = 2  # nothing but the marking
WARP: Final = 3
TENSOR: Final = 4
DECODE: Final = 5
REGION: Final = 6
SMOOTHING: Final = 7
REST: Final = 8

# What a stage of the loop is called, in the order in which they run.
STAGES: Final[Mapping[int, str]] = {
    WARP: "crop: affine warp",
    TENSOR: "crop: to a tensor",
    NETWORK: "network",
    DECODE: "decode",
    REGION: "next region",
    SMOOTHING: "smoothing",
    REST: "rest of the frame",
}
