"""The probe: ``probe.c`` compiled for a device, and what it tells of a core."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.device.process import run_program
from benchmarks.errors import BenchmarkError
from benchmarks.record import Row, writing

SOURCE: Final = Path(__file__).parent / "probe.c"
COMPILER: Final = "aarch64-linux-gnu-gcc"
RATES: Final = ("clock_mhz", "scalar_gmac_s", "neon_gmac_s", "read_gb_s")
_LIMIT_S: Final = 120.0


def build_probe(target: Path, compiler: str = COMPILER) -> None:
    """Compile the probe: a static program, which needs nothing on the device.

    Args:
        target: the program.
        compiler: for 64-bit ARM Linux; may have options.

    Raises:
        BenchmarkError: the compiler is missing, or failed.
    """
    with writing(target) as partial:
        command = [*shlex.split(compiler), "-O2", "-static", "-o", str(partial), str(SOURCE)]
        found = run_program(command, "to compile the probe", _LIMIT_S)
        if found.status != 0:
            raise BenchmarkError(f"expected {compiler} to compile {SOURCE}, got:\n{found.words}")


def parse_probe(text: str) -> dict[str, Any]:
    """What the probe wrote.

    Raises:
        BenchmarkError: it is something else.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BenchmarkError(f"expected the probe's JSON, got: {text[:200]!r}") from error
    if not isinstance(found, dict):
        raise BenchmarkError(f"expected the probe's JSON, got: {text[:200]!r}")
    return found


def probe_row(found: Mapping[str, Any], *, emulated: bool) -> Row:
    """What the probe wrote, as a row.

    Args:
        found: its JSON.
        emulated: whether it ran where no times may be believed; they are left out then.

    Raises:
        KeyError, TypeError, ValueError: it is no output of the probe.
    """

    def mhz(name: str) -> float | None:
        return None if found[name] is None else int(found[name]) / 1000

    return {
        "cpu": int(found["cpu"]),
        "midr": found["midr"],
        "online": found["online"],
        "governor": found["governor"],
        "minimum_mhz": mhz("min_khz"),
        "maximum_mhz": mhz("max_khz"),
        "current_mhz": mhz("current_khz"),
        **{name: None if emulated else float(found[name]) for name in RATES},
    }
