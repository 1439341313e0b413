"""The compiled kernels: built once per machine, loaded with ctypes."""

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("fused.cpp")
COMPILER: Final = "g++"
FLAGS: Final = (
    *("-std=c++20", "-O3", "-march=native", "-mprefer-vector-width=512"),
    *("-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-shared", "-fPIC"),
)
NEEDED: Final = "avx512_bf16"  # as Linux names it in /proc/cpuinfo
CPU_INFO: Final = Path("/proc/cpuinfo")
_POINTER, _INT, _LONG = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
_SIGNATURES: Final = {
    "statistics": (_POINTER, _LONG, _LONG, _POINTER, _POINTER),
    "normalise_forwards": (_POINTER, _POINTER, _LONG, _LONG, _POINTER, _POINTER, _INT),
    "normalise_backwards": (
        *(_POINTER, _POINTER, _POINTER, _LONG, _LONG),
        *(_POINTER, _POINTER, _POINTER, _POINTER, _INT, _INT, _POINTER, _POINTER),
    ),
    "depthwise_forwards": (*(_POINTER,) * 3, *(_INT,) * 9),
    "depthwise_backwards": (*(_POINTER,) * 5, *(_INT,) * 9),
}


class KernelError(Exception):
    """The kernels cannot be had on this machine."""


@cache
def load_kernels() -> ctypes.CDLL:
    """Compile the kernels, unless that was done before, and load them.

    Raises:
        KernelError: the processor lacks AVX-512 BF16, there is no compiler, or it fails.
    """
    _require_processor()
    library = ctypes.CDLL(str(build(_cache_folder())))
    for name, types in _SIGNATURES.items():
        function = getattr(library, name)
        function.argtypes, function.restype = types, None
    return library


def build(folder: Path) -> Path:
    """Compile into a folder; returns the library, which may have been there.

    Raises:
        KernelError: there is no compiler, or it fails.
    """
    compiler = shutil.which(COMPILER)
    if compiler is None:
        raise KernelError(f"expected {COMPILER} to compile {SOURCE.name} with, found none")
    described = subprocess.run(
        [compiler, "-march=native", "-Q", "--help=target"], capture_output=True, check=False
    ).stdout
    parts = (SOURCE.read_bytes(), " ".join(FLAGS).encode(), described)
    key = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    path = folder / f"fused-{key}.so"
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as made:
        partial = Path(made) / path.name
        done = subprocess.run(
            [compiler, *FLAGS, str(SOURCE), "-o", str(partial)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise KernelError(f"expected {COMPILER} to compile {SOURCE.name}: {done.stderr}")
        partial.replace(path)
    return path


def _require_processor() -> None:
    info = CPU_INFO.read_text() if CPU_INFO.is_file() else ""
    if NEEDED not in info.split():
        raise KernelError(f"expected a processor with {NEEDED} under Linux, this one lacks it")


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "atpn_mobile"
