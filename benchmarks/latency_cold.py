"""A fresh process from the import to the first result, and its memory.

``start_cold`` starts one. The process runs this module, which imports nothing but the standard
library before its clock runs.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.errors import BenchmarkError

RUNS: Final = 200  # inferences over which the growth of memory is taken
SETTLING: Final = 20  # inferences before, in which engines fetch what they keep
STARTS: Final = 3  # of which the median is taken
_STATUS: Final = Path("/proc/self/status")
_TIMEOUT_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class ColdStart:
    """What a fresh process took.

    Attributes:
        import_ms: for the package and the engine, from the disk's cache.
        load_ms: to read and prepare the network.
        first_ms: for the first inference.
        imported_mib: memory after the imports; None where the system does not tell.
        peak_mib: most memory, up to the end of all runs.
        growth_mib: what ``RUNS`` inferences add, after ``SETTLING`` others.
    """

    import_ms: float
    load_ms: float
    first_ms: float
    imported_mib: float | None
    peak_mib: float | None
    growth_mib: float | None


def start_cold(path: Path, runtime: str, threads: int, runs: int = RUNS) -> ColdStart:
    """Run a file in a fresh process.

    Args:
        path: of the file.
        runtime: "onnx" or "tflite".
        threads: of one run.
        runs: inferences over which the growth is taken.

    Raises:
        BenchmarkError: the process failed.
    """
    command = [sys.executable, "-m", __name__, str(path.resolve()), runtime, str(threads)]
    root = Path(__file__).resolve().parent.parent
    try:
        done = subprocess.run(
            [*command, str(runs)],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
            timeout=_TIMEOUT_S,
        )
        return ColdStart(**json.loads(done.stdout.splitlines()[-1]))
    except subprocess.CalledProcessError as error:
        raise BenchmarkError(
            f"expected {path.name} to run in a fresh process, got: {error.stderr[-1000:]}"
        ) from error
    except (OSError, subprocess.TimeoutExpired, ValueError, TypeError, IndexError) as error:
        raise BenchmarkError(
            f"expected {path.name} to run in a fresh process, got: {error}"
        ) from error


def median_start(starts: Sequence[ColdStart]) -> ColdStart:
    """The median of each number; None where one start has none."""

    def middle(name: str) -> float | None:
        values = [getattr(one, name) for one in starts]
        return None if None in values else statistics.median(values)

    return ColdStart(
        import_ms=statistics.median(one.import_ms for one in starts),
        load_ms=statistics.median(one.load_ms for one in starts),
        first_ms=statistics.median(one.first_ms for one in starts),
        imported_mib=middle("imported_mib"),
        peak_mib=middle("peak_mib"),
        growth_mib=middle("growth_mib"),
    )


def memory_mib(field: str) -> float | None:
    """VmRSS (now) or VmHWM (most so far) of this process; None where Linux does not tell.

    Not ``getrusage``: its peak is that of the parent process where that was larger.
    """
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) / 1024.0
    return None


def measure_start(
    path: Path, runtime: str, threads: int, runs: int, clock: Callable[[], float]
) -> ColdStart:
    """What ``start_cold`` runs in the fresh process.

    Args:
        path: of the file.
        runtime: "onnx" or "tflite".
        threads: of one run.
        runs: inferences over which the growth is taken.
        clock: seconds.
    """
    begin = clock()
    from benchmarks.latency_engines import load_subject  # the package, numpy and OpenCV

    if runtime == "onnx":
        __import__("onnxruntime")
    else:
        __import__("ai_edge_litert.interpreter")
    imported, imported_mib = clock(), memory_mib("VmRSS")
    subject = load_subject(path, threads)
    loaded = clock()
    subject.run()
    first = clock()
    for _ in range(SETTLING):
        subject.run()
    settled_mib = memory_mib("VmRSS")
    for _ in range(runs):
        subject.run()
    last_mib = memory_mib("VmRSS")
    return ColdStart(
        import_ms=1000.0 * (imported - begin),
        load_ms=1000.0 * (loaded - imported),
        first_ms=1000.0 * (first - loaded),
        imported_mib=imported_mib,
        peak_mib=memory_mib("VmHWM"),
        growth_mib=None if last_mib is None or settled_mib is None else last_mib - settled_mib,
    )


if __name__ == "__main__":
    from dataclasses import asdict

    _path, _runtime, _threads, _runs = sys.argv[1:]
    _found = measure_start(
        Path(_path), _runtime, int(_threads), int(_runs), clock=time.perf_counter
    )
    sys.stdout.write(json.dumps(asdict(_found)) + "\n")
