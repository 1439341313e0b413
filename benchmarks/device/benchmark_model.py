"""What TFLite's ``benchmark_model`` writes: times, memory, and what ran where.

Formats: tensorflow/lite/tools/benchmark/benchmark_model.cc (``BenchmarkLoggingListener``),
benchmark_tflite_model.cc (delegates), tensorflow/lite/core/subgraph.cc (replaced nodes), and
``Stat::OutputToStream`` of its statistics. Lines may begin with "INFO: " or as logcat writes them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from benchmarks.errors import BenchmarkError

UNKNOWN: Final = "unknown"
_TAIL_LINES: Final = 8
_NUMBER: Final = r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_STATISTICS: Final = re.compile(r"(?:^|\s)(count=[1-9]\d* .*)$", re.MULTILINE)
_PAIR: Final = re.compile(rf"(\w+)=({_NUMBER})")
_TIMINGS: Final = re.compile(
    rf"Inference timings in us: Init: (?P<init>{_NUMBER}), First inference: (?P<first>{_NUMBER}), "
    rf"Warmup \(avg\): {_NUMBER}, Inference \(avg\): (?P<mean>{_NUMBER})"
)
_MEMORY: Final = re.compile(
    rf"Memory footprint delta .*init=(?P<init>{_NUMBER}) overall=(?P<overall>{_NUMBER})"
)
# "Replacing 60 out of 64 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 2 partitions";
# before 2021 without "out of 64".
_REPLACED: Final = re.compile(
    r"Replacing (?P<some>\d+)(?: out of (?P<all>\d+))? node\(s\) with delegate \((?P<name>\w+)\)"
)
_UNDONE: Final = "Restored original execution plan"
_APPLIED: Final = re.compile(
    r"Explicitly applied (?P<name>\w+) delegate, and the model graph will be (?P<how>\w+) executed"
)
_NOT_APPLIED: Final = re.compile(r"Though (?P<name>\w+) delegate is explicitly applied")
_DELEGATES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "TfLiteXNNPackDelegate": "cpu (XNNPACK)",
        "TfLiteGpuDelegateV2": "gpu",
        "TfLiteNnapiDelegate": "nnapi",
    }
)


@dataclass(frozen=True, slots=True)
class Timed:
    """One run of the program; times in milliseconds.

    Attributes:
        iterations: timed ones; it may do more than it was asked for.
        mean_ms: of them.
        min_ms: the shortest.
        max_ms: the longest.
        std_ms: standard deviation.
        p5_ms: a twentieth is shorter; None where the program is older than its percentiles.
        median_ms: half are longer; None as before.
        p95_ms: a twentieth is longer; None as before.
        load_ms: to load the model and hand it to the delegates.
        first_ms: the first inference.
        init_mib: memory that loading took, about; None where the program does not tell.
        overall_mib: memory that everything took, about; None as before.
        accelerator: what really ran where, with the number of nodes; "unknown" where the
            program does not tell.
    """

    iterations: int
    mean_ms: float
    min_ms: float
    max_ms: float
    std_ms: float
    p5_ms: float | None
    median_ms: float | None
    p95_ms: float | None
    load_ms: float
    first_ms: float
    init_mib: float | None
    overall_mib: float | None
    accelerator: str


def parse_output(text: str, requested: str = "cpu") -> Timed:
    """Read all that the program wrote.

    Args:
        text: both of its outputs.
        requested: "cpu", "gpu" or "nnapi".

    Raises:
        BenchmarkError: it did not come to its end.
    """
    end = _TIMINGS.search(text)
    lines = _STATISTICS.findall(text[: end.start()]) if end else []
    if end is None or not lines:
        tail = "\n".join(text.strip().splitlines()[-_TAIL_LINES:]) or "nothing"
        raise BenchmarkError(f"expected the times of benchmark_model, got:\n{tail}")
    found = {name: float(value) for name, value in _PAIR.findall(lines[-1])}
    if "avg" not in found:  # "count=50 curr=1200(all same)"
        same = ("avg", "min", "max", "p5", "median", "p95")
        found |= {**dict.fromkeys(same, found["curr"]), "std": 0.0}
    memory = _MEMORY.search(text)

    def ms(name: str) -> float | None:
        return found[name] / 1000 if name in found else None

    return Timed(
        iterations=int(found["count"]),
        mean_ms=float(end["mean"]) / 1000,
        min_ms=found["min"] / 1000,
        max_ms=found["max"] / 1000,
        std_ms=found["std"] / 1000,
        p5_ms=ms("p5"),
        median_ms=ms("median"),
        p95_ms=ms("p95"),
        load_ms=float(end["init"]) / 1000,
        first_ms=float(end["first"]) / 1000,
        init_mib=float(memory["init"]) if memory else None,
        overall_mib=float(memory["overall"]) if memory else None,
        accelerator=actual_accelerator(text, requested),
    )


def actual_accelerator(text: str, requested: str) -> str:
    """Which delegate took how many nodes: "gpu: 60 of 64 nodes; cpu (XNNPACK): 4 of 5 nodes".

    After a delegate has taken its nodes, they count as one node (or a few) for the next.

    Args:
        text: what the program wrote.
        requested: "cpu", "gpu" or "nnapi".
    """
    taken: list[str] = []
    for line in text.splitlines():
        if _UNDONE in line:
            taken = taken[:-1]
        elif match := _REPLACED.search(line):
            whole = f" of {match['all']}" if match["all"] else ""
            name = _DELEGATES.get(match["name"], match["name"])
            taken.append(f"{name}: {match['some']}{whole} nodes")
    if taken:
        return "; ".join(taken)
    if match := _APPLIED.search(text):
        return f"{match['name'].lower()}: {match['how']}"
    if _NOT_APPLIED.search(text):
        return "cpu"
    return "cpu" if requested == "cpu" else UNKNOWN
