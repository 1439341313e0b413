"""Which kernels of LiteRT the instructions are spent in.

The library of its wheel carries the names of its functions, those of XNNPACK's kernels among them:
``xnn_qs8_qc8w_gemm_minmax_...`` is a matrix product of int8. ONNX Runtime's has none.
"""

import re
import subprocess
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from benchmarks.arm.counts import Block
from benchmarks.arm.emulator import Emulator
from benchmarks.errors import BenchmarkError

LIBRARY: Final = "libpywrap_litert_common.so"
OTHER: Final = "other"
_CODE: Final = "tTwW"  # letters of nm for functions

# XNNPACK's names (google/XNNPACK, src): data types, what it computes, "ukernel", how. The first
# that fits.
_KINDS: Final = (
    ("matrix product", re.compile(r"^xnn_\w+?_gemm_\w*ukernel")),
    ("convolution", re.compile(r"^xnn_\w+?_igemm_\w*ukernel")),
    ("depthwise convolution", re.compile(r"^xnn_\w+?_dwconv\w*_ukernel")),
    ("table look-up", re.compile(r"^xnn_x8_lut_ukernel")),
    ("reduction", re.compile(r"^xnn_\w+?_r(d?sum|min|max|addstore)\w*_ukernel")),
    ("(de)quantisation", re.compile(r"^xnn_\w+?_vcvt_ukernel")),
    ("elementwise", re.compile(r"^xnn_\w+?_v\w+_ukernel")),
    ("copy, pad, resize", re.compile(r"^xnn_\w+?(copy|fill|pad|ibilinear|transpose)\w*_ukernel")),
)
# Of the kernel's name what says what it does: without the tile and the instruction set.
_SHORT: Final = re.compile(r"^xnn_(\w+?)_ukernel")


def kernel_kind(function: str) -> str:
    """What a function of the library does, in words; "other" for what is no kernel."""
    return next((kind for kind, pattern in _KINDS if pattern.match(function)), OTHER)


def kernel_name(function: str) -> str:
    """A kernel's name without its tile: "qs8_qc8w_gemm_minmax_fp32"; "other" for no kernel."""
    found = _SHORT.match(function)
    return found.group(1) if found else OTHER


def instructions_by_function(
    emulator: Emulator, blocks: Iterable[Block], libraries: Mapping[str, int]
) -> dict[str, int]:
    """Instructions per function of LiteRT's library; those of elsewhere under "other".

    Args:
        emulator: where the library lies.
        blocks: what was executed.
        libraries: where libraries begin in memory, by path.

    Raises:
        BenchmarkError: the library was not loaded, or has no names.
    """
    path = next((path for path in libraries if path.endswith(LIBRARY)), None)
    if path is None:
        raise BenchmarkError(f"expected {LIBRARY} in memory, got {sorted(libraries)}")
    addresses, names = _functions(emulator, Path(path))
    start = libraries[path]
    end = min((one for one in libraries.values() if one > start), default=1 << 64)
    found: dict[str, int] = defaultdict(int)
    for block in blocks:
        place = bisect_right(addresses, block.address - start) - 1
        inside = start <= block.address < end and place >= 0
        found[names[place] if inside else OTHER] += block.instructions
    return dict(found)


def _functions(emulator: Emulator, library: Path) -> tuple[list[int], list[str]]:
    """Addresses, rising, and names of a library's functions."""
    nm = emulator.host_command("aarch64-linux-gnu-nm", "--defined-only", str(library))
    process = subprocess.run(nm, capture_output=True, text=True, check=False)
    fields = [line.split() for line in process.stdout.splitlines()]
    functions = sorted(
        (int(one[0], 16), one[2]) for one in fields if len(one) == 3 and one[1] in _CODE
    )
    if not functions:
        raise BenchmarkError(f"expected names of functions in {library}, got none")
    return [address for address, _ in functions], [name for _, name in functions]
