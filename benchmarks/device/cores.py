"""Which processors are devices, and what their cores are called."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from benchmarks.errors import BenchmarkError

# Linux, arch/arm64/include/asm/cputype.h; names of Qualcomm's and Apple's as in util-linux,
# sys-utils/lscpu-arm.c.
_PARTS: Final[Mapping[tuple[int, int], str]] = MappingProxyType(
    {
        (0x41, 0xD03): "Cortex-A53",
        (0x41, 0xD04): "Cortex-A35",
        (0x41, 0xD05): "Cortex-A55",
        (0x41, 0xD07): "Cortex-A57",
        (0x41, 0xD08): "Cortex-A72",
        (0x41, 0xD09): "Cortex-A73",
        (0x41, 0xD0A): "Cortex-A75",
        (0x41, 0xD0B): "Cortex-A76",
        (0x41, 0xD0C): "Neoverse-N1",
        (0x41, 0xD0D): "Cortex-A77",
        (0x41, 0xD40): "Neoverse-V1",
        (0x41, 0xD41): "Cortex-A78",
        (0x41, 0xD44): "Cortex-X1",
        (0x41, 0xD46): "Cortex-A510",
        (0x41, 0xD47): "Cortex-A710",
        (0x41, 0xD48): "Cortex-X2",
        (0x41, 0xD49): "Neoverse-N2",
        (0x41, 0xD4D): "Cortex-A715",
        (0x41, 0xD4E): "Cortex-X3",
        (0x41, 0xD80): "Cortex-A520",
        (0x41, 0xD81): "Cortex-A720",
        (0x41, 0xD82): "Cortex-X4",
        (0x51, 0x800): "Kryo 2xx Gold (Cortex-A73)",
        (0x51, 0x801): "Kryo 2xx Silver (Cortex-A53)",
        (0x51, 0x802): "Kryo 3xx Gold (Cortex-A75)",
        (0x51, 0x803): "Kryo 3xx Silver (Cortex-A55)",
        (0x51, 0x804): "Kryo 4xx Gold (Cortex-A76)",
        (0x51, 0x805): "Kryo 4xx Silver (Cortex-A55)",
        (0x61, 0x022): "Icestorm (M1)",
        (0x61, 0x023): "Firestorm (M1)",
    }
)
_ARM_MACHINES: Final = ("aarch64", "arm")  # armv7l, armv8l and Darwin's arm64 too


def core_name(implementer: int, part: int) -> str:
    """What a core is called; its numbers for one that is not known here."""
    return _PARTS.get((implementer, part), f"{implementer:#04x}/{part:#05x}")


def require_arm_machine(machine: str) -> None:
    """Check that what is measured is no computer.

    Args:
        machine: as ``uname -m`` calls it.

    Raises:
        BenchmarkError: it is none of ARM.
    """
    if not machine.startswith(_ARM_MACHINES):
        raise BenchmarkError(
            f"expected an ARM device, got {machine!r}: `latency` measures computers"
        )
