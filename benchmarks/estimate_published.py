"""Published times of known networks on named cores, one thread: what estimates are fitted on.

Source: the benchmark table of ncnn (github.com/Tencent/ncnn, benchmark/README.md, smallest of
several runs, 224x224, BlazeFace 128x128, networks as in benchmark/*.param). The entries are runs of
its community, with versions of the engine, compilers and coolings of their own: +-30 %. On ARMv8.2
cores ncnn computes in float16, on the others in float32.

Source of the second engine: the README of XNNPACK (github.com/google/XNNPACK, float32, one thread).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from benchmarks.errors import BenchmarkError

Arithmetic = Literal["float32", "float16"]

# Yardsticks, in the order of the numbers of a core.
NETWORKS: Final = (
    "blazeface_ncnn",
    "shufflenet_v2",
    "mobilenet_v3_ncnn",
    "mobilenet_v2_ncnn",
    "mobilenet_v1",
)


@dataclass(frozen=True, slots=True)
class Core:
    """A core and what was published of it.

    Attributes:
        name: how the command line calls it.
        described: for people.
        arm: its name in records of ``arm``, where such a core is emulated; "" elsewhere.
        ghz: clock at which the times were taken.
        arithmetic: in which a float network ran.
        vector_pipes: units for 128-bit multiply-accumulates, at most (Arm's software optimization
            guides and product pages; dougallj.github.io/applecpu for the M1).
        dot_product: whether it has SDOT (ARMv8.2).
        times_ms: of ``NETWORKS``.
        mobilenet_int8_ms: of MobileNetV1 in int8.
        listed: whether it is estimated when none is asked for.
    """

    name: str
    described: str
    arm: str
    ghz: float
    arithmetic: Arithmetic
    vector_pipes: int
    dot_product: bool
    times_ms: tuple[float, ...]
    mobilenet_int8_ms: float
    listed: bool = True

    @property
    def int8_ratio(self) -> float:
        """Time in int8 over time in float, of MobileNetV1."""
        return self.mobilenet_int8_ms / self.times_ms[NETWORKS.index("mobilenet_v1")]

    def macs_per_cycle(self, precision: str) -> int:
        """Most multiply-accumulates in a cycle: "float32", "float16" or "int8"."""
        if precision == "int8":
            return self.vector_pipes * (16 if self.dot_product else 8)  # SDOT, or SMLAL
        return self.vector_pipes * {"float32": 4, "float16": 8}[precision]


CORES: Final = (
    Core(
        *("A53-1.2", "Cortex-A53 1.2 GHz (Snapdragon 410)", "A53", 1.2, "float32", 1, False),
        *((27.6, 84.5, 147.1, 168.0, 243.8), 206.2, False),
    ),
    Core(
        *("A53-1.4", "Cortex-A53 1.4 GHz (Raspberry Pi 3B+)", "A53", 1.4, "float32", 1, False),
        *((22.8, 74.3, 127.1, 158.7, 204.6), 181.3),
    ),
    Core(
        *("A55-1.8", "Cortex-A55 1.8 GHz (RK3566)", "A55", 1.8, "float16", 1, True),
        *((11.6, 32.6, 45.6, 55.8, 70.2), 63.9),
    ),
    Core(
        *("A72-1.8", "Cortex-A72 1.8 GHz (Raspberry Pi 4)", "", 1.8, "float32", 2, False),
        *((12.5, 41.6, 72.5, 93.0, 123.8), 84.7),
    ),
    Core(
        *("A73-2.4", "Cortex-A73 2.4 GHz (Kirin 970)", "", 2.4, "float32", 2, False),
        *((10.1, 34.0, 59.9, 70.5, 103.9), 152.3, False),
    ),
    Core(
        *("A76-2.4", "Cortex-A76 2.4 GHz (Raspberry Pi 5)", "A76", 2.4, "float16", 2, True),
        *((2.98, 7.07, 11.6, 16.2, 20.2), 14.4),
    ),
    Core(
        *("A76-2.96", "Cortex-A76 2.96 GHz (Snapdragon 855+)", "A76", 2.96, "float16", 2, True),
        *((2.19, 5.38, 8.15, 9.82, 14.4), 11.1),
    ),
    Core(
        *("X3-3.2", "Cortex-X3 3.2 GHz (Snapdragon 8 Gen 2)", "", 3.2, "float16", 4, True),
        *((1.83, 5.28, 7.89, 9.52, 15.5), 8.76),
    ),
    Core(
        *("M1", "Apple M1 P-core 3.2 GHz", "", 3.2, "float16", 4, True),
        *((1.80, 3.69, 4.64, 5.64, 9.09), 4.65),
    ),
)

# XNNPACK on the Cortex-A73 class core of the Pixel 2 (Snapdragon 835, 2.35 GHz): says how far the
# estimates, which are of ncnn, are from another engine. The core of ncnn's table nearest to it:
XNNPACK_CORE: Final = "A73-2.4"
XNNPACK_MS: Final[Mapping[str, float]] = MappingProxyType(
    {"mobilenet_v1": 86.0, "mobilenet_v2": 53.0, "mobilenet_v3_large": 42.0}
)


def find_core(name: str) -> Core:
    """The core of that name.

    Raises:
        BenchmarkError: there is none.
    """
    for core in CORES:
        if core.name == name:
            return core
    raise BenchmarkError(f"expected a core out of {[core.name for core in CORES]}, got {name!r}")
