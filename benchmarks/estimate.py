"""``estimate``: how long a network will take on named cores, from published times of others."""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from atpn_mobile import AtpnError, load_manifest
from benchmarks.errors import BenchmarkError
from benchmarks.estimate_fit import (
    Array,
    Estimate,
    Fit,
    estimate,
    fit_times,
    layer_work,
    left_out_errors,
    network_work,
    share_of_layers,
)
from benchmarks.estimate_published import (
    CORES,
    NETWORKS,
    XNNPACK_CORE,
    XNNPACK_MS,
    Arithmetic,
    Core,
    find_core,
)
from benchmarks.layers import Layer, Network, branches
from benchmarks.read_model import read_network
from benchmarks.record import (
    RESULTS,
    Record,
    Row,
    Table,
    conditions,
    read_record,
    to_json,
    write_record,
)
from benchmarks.tables import columns_of, text_table
from benchmarks.yardsticks import make_yardstick

HELP: Final = "estimate milliseconds per inference on named phone cores"
STATUS: Final = "estimated, not measured on a device"
NOTE: Final = (
    f"Every time is {STATUS}: one thread, one inference, a model fitted to the times that ncnn's "
    "benchmark table gives for five networks per core. On cores with ARMv8.2 a float network is "
    "taken to run in float16, as there. At least: all multiply-accumulates at the peak of the "
    "vector units. By instructions: the published time of MobileNetV2, times how many instructions "
    "the file executes under emulation over how many MobileNetV2 does on the same engine."
)
RUNTIMES: Final = ("onnx", "tflite")
ARM_RESULTS: Final = RESULTS / "arm.json"
REFERENCE: Final = (
    "mobilenet_v2"  # whose instructions and published time are set against each other
)
_REFERENCE_PLACE: Final = NETWORKS.index("mobilenet_v2_ncnn")
HELD_OUT: Final = "mobilenet_v2_ncnn"  # the number of each core whose prediction is printed
# Keys of the tables that hold instructions of whole inferences.
_COUNTED: Final = tuple({name, "runtime", "precision", "core"} for name in ("network", "file"))
_DIGITS: Final = 3  # of milliseconds after the point

# Instructions of one inference by network, runtime, precision and core.
Instructions = Mapping[tuple[str, str, str, str], float]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """The cores of one arithmetic, fitted together.

    Attributes:
        cores: in the order of the fit.
        fit: of the float times.
        int8_error: rms of log(ratio of the other cores / ratio), of times in int8 over float.
    """

    cores: tuple[Core, ...]
    fit: Fit
    int8_error: float

    def place(self, core: Core) -> int:
        """Of a core in the fit."""
        return self.cores.index(core)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    names = [core.name for core in CORES]
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help=".onnx or .tflite; default: ours"
    )
    parser.add_argument(
        "--core", action="append", choices=names, help="only this one; may be given again"
    )
    parser.add_argument("--by", choices=("branch", "kind"), help="print where the time goes")
    parser.add_argument("--json", metavar="PATH", help="write the result there, - for the output")


def run(args: argparse.Namespace) -> int:
    """Estimate, print, write.

    Raises:
        BenchmarkError: a file or the instruction counts cannot be read.
    """
    cores = [find_core(name) for name in dict.fromkeys(args.core or ())]
    record = estimate_files(args.files or our_files(), cores, command_of(args))
    if args.json == "-":
        sys.stdout.write(to_json(record))
        return 0
    if args.json:
        write_record(record, Path(args.json))
    sys.stdout.write(describe(record, args.by))
    return 0


def command_of(args: argparse.Namespace) -> str:
    """The command line that repeats it."""
    cores = [f"--core {name}" for name in args.core or ()]
    return " ".join(["python -m benchmarks estimate", *map(str, args.files), *cores, "--json PATH"])


def our_files() -> list[Path]:
    """The .onnx and .tflite files that models/manifest.json names.

    Raises:
        BenchmarkError: the manifest cannot be read.
    """
    try:
        manifest = load_manifest()
    except AtpnError as error:
        raise BenchmarkError(str(error)) from error
    return [
        manifest.folder / artifact.path
        for model in manifest.models
        for artifact in model.artifacts
        if artifact.runtime in RUNTIMES
    ]


def estimate_files(files: Sequence[Path], cores: Sequence[Core], command: str) -> Record:
    """Estimate model files.

    Args:
        files: .onnx or .tflite.
        cores: where; those that are listed by default when empty.
        command: that repeats it.

    Raises:
        BenchmarkError: a file or the instruction counts cannot be read, or a file is named twice.
    """
    chosen = list(cores) or [core for core in CORES if core.listed]
    instructions = read_instructions(ARM_RESULTS)
    networks = {path.name: read_network(path) for path in files}
    if len(networks) != len(files):
        raise BenchmarkError(f"expected file names that differ, got {list(map(str, files))}")
    rows: dict[str, list[Row]] = defaultdict(list)
    for file, network in networks.items():
        for core in chosen:
            rows["estimates"].append(estimate_row(file, network, core, instructions))
            rows["branches"] += part_rows(file, network, core, "branch")
            rows["kinds"] += part_rows(file, network, core, "kind")
    tables = {
        "estimates": Table(("file", "core"), tuple(rows["estimates"])),
        "branches": Table(("file", "core", "branch"), tuple(rows["branches"])),
        "kinds": Table(("file", "core", "kind"), tuple(rows["kinds"])),
        "left_out": Table(("core", "network"), tuple(left_out_rows(chosen))),
        "other_engine": Table(("network",), tuple(other_engine_rows())),
    }
    return Record("estimate", NOTE, command, conditions(("onnx", "numpy")), tables)


# --- the model -------------------------------------------------------------------------------


@cache
def published_works() -> Array:
    """Features of the networks whose times are published, (networks, features)."""
    return np.array([network_work(make_yardstick(name).network()) for name in NETWORKS])


@cache
def fit_group(arithmetic: Arithmetic) -> Group:
    """Fit the cores of one arithmetic."""
    cores = tuple(core for core in CORES if core.arithmetic == arithmetic)
    fit = fit_times(published_works(), np.array([core.times_ms for core in cores]))
    ratios = np.log([core.int8_ratio for core in cores])
    others = (ratios.sum() - ratios) / (len(ratios) - 1)
    return Group(cores, fit, float(np.sqrt(np.mean((others - ratios) ** 2))))


def is_integer(network: Network, layer: Layer) -> bool:
    """Whether a layer computes in int8."""
    return any(network.tensors[name].itemsize == 1 for name in layer.inputs)


def precision_of(network: Network) -> str:
    """In which most multiply-accumulates are done: "float" or "int8"."""
    integer = sum(layer.macs for layer in network.layers if is_integer(network, layer))
    return "int8" if integer > network.macs / 2 else "float"


def layer_times(network: Network, core: Core) -> Array:
    """Estimated milliseconds of each layer; their sum is the estimate of the network, (layers,)."""
    group = fit_group(core.arithmetic)
    works = np.array([layer_work(network, layer) for layer in network.layers])
    floats = estimate(group.fit, group.place(core), works.sum(axis=0))
    shares = share_of_layers(group.fit, group.place(core), works)
    factors = [core.int8_ratio if is_integer(network, one) else 1.0 for one in network.layers]
    times: Array = floats.ms * shares * np.array(factors)
    return times


def estimate_network(network: Network, core: Core) -> Estimate:
    """Estimated time of one inference.

    Layers in int8 take the time that they would take in float, times the published ratio of the
    core; how far the other cores' ratios are from its own widens the range.
    """
    group = fit_group(core.arithmetic)
    floats = estimate(group.fit, group.place(core), network_work(network))
    factor = float(layer_times(network, core).sum()) / floats.ms
    integer = precision_of(network) == "int8"
    return floats.scaled(factor, group.int8_error if integer else 0.0)


def least_ms(network: Network, core: Core) -> float:
    """What the multiply-accumulates alone take at the peak of the core's vector units."""
    cycles = sum(
        layer.macs / core.macs_per_cycle("int8" if is_integer(network, layer) else core.arithmetic)
        for layer in network.layers
    )
    return cycles / (core.ghz * 1e6)


# --- instructions ----------------------------------------------------------------------------


def read_instructions(path: Path) -> Instructions:
    """Instructions of one inference, as ``benchmarks arm`` has counted them; empty for no file.

    Raises:
        BenchmarkError: the file is no such result.
    """
    if not path.is_file():
        return {}
    found: dict[tuple[str, str, str, str], float] = {}
    for table in read_record(path).tables.values():
        if {*table.key} not in _COUNTED:  # instructions of parts: kernels, stages of a loop
            continue
        for row in table.rows:
            name = str(row.get("network") or row.get("file"))
            runtime, precision, core = (str(row[one]) for one in ("runtime", "precision", "core"))
            count = row.get("instructions")
            if isinstance(count, int | float):
                place = _network_name(name, precision), runtime, precision, _core_name(core)
                found[place] = count
    return found


def instructions_ms(
    file: str, network: Network, core: Core, instructions: Instructions
) -> float | None:
    """Time by instructions, see ``NOTE``; None where they were not counted."""
    int8 = precision_of(network) == "int8"
    place = network.runtime, "int8" if int8 else "float32", _core_name(core.arm)
    reference = instructions.get((REFERENCE, *place))
    # a file of float16 weights computes in float32
    precisions = ("int8",) if int8 else ("float32", "float16")
    counts = [
        count
        for one in precisions
        if (count := instructions.get((_network_name(file, one), place[0], one, place[2])))
    ]
    if not counts or not reference:
        return None
    published = core.times_ms[_REFERENCE_PLACE] * (core.int8_ratio if int8 else 1.0)
    return published * counts[0] / reference


def _network_name(file: str, precision: str) -> str:
    return Path(file).stem.removesuffix(f"_{precision}")


def _core_name(name: str) -> str:
    return name.lower().removeprefix("cortex-")


# --- tables ----------------------------------------------------------------------------------


def estimate_row(file: str, network: Network, core: Core, instructions: Instructions) -> Row:
    """The estimate of a file on a core."""
    found = estimate_network(network, core)
    precision = precision_of(network)
    by_instructions = instructions_ms(file, network, core, instructions)
    return {
        "file": file,
        "core": core.name,
        "arithmetic": precision if precision == "int8" else core.arithmetic,
        "estimated_ms": round(found.ms, _DIGITS),
        "low_ms": round(found.low_ms, _DIGITS),
        "high_ms": round(found.high_ms, _DIGITS),
        "at_least_ms": round(least_ms(network, core), _DIGITS),
        "by_instructions_ms": None if by_instructions is None else round(by_instructions, _DIGITS),
        "status": STATUS,
    }


def part_rows(file: str, network: Network, core: Core, by: str) -> Iterable[Row]:
    """What the parts of a network take on a core: by "branch" or by "kind" of layer."""
    names = branches(network) if by == "branch" else [one.kind for one in network.layers]
    times = layer_times(network, core)
    total = float(times.sum())
    parts: dict[str, float] = defaultdict(float)
    macs: dict[str, int] = defaultdict(int)
    for name, layer, ms in zip(names, network.layers, times, strict=True):
        parts[name] += float(ms)
        macs[name] += layer.macs
    for name, ms in parts.items():
        yield {
            "file": file,
            "core": core.name,
            by: name,
            "macs": macs[name],
            "estimated_ms": round(ms, _DIGITS),
            "share_percent": round(100.0 * ms / total, 1),
            "status": STATUS,
        }


def left_out_rows(cores: Sequence[Core]) -> Iterable[Row]:
    """Each published number, foretold without it, and without its network on any core."""
    for arithmetic in dict.fromkeys(core.arithmetic for core in cores):
        group = fit_group(arithmetic)
        times = np.array([core.times_ms for core in group.cores])
        errors = left_out_errors(published_works(), times, group.fit.weights)
        for core in group.cores:
            if core not in cores:
                continue
            place = group.place(core)
            for network, published, error, unseen in zip(
                NETWORKS, core.times_ms, errors[place], group.fit.unseen[place], strict=True
            ):
                yield {
                    "core": core.name,
                    "network": network,
                    "arithmetic": arithmetic,
                    "published_ms": published,
                    "foretold_ms": round(published * float(np.exp(error)), _DIGITS),
                    "error_percent": _percent(error),
                    "unseen_network_error_percent": _percent(unseen),
                }


def other_engine_rows() -> Iterable[Row]:
    """What the model says beside times of XNNPACK, none of which it was fitted on."""
    core = find_core(XNNPACK_CORE)
    for name, published in XNNPACK_MS.items():
        found = estimate_network(make_yardstick(name).network(), core)
        yield {
            "network": name,
            "core": core.name,
            "published_ms": published,
            "foretold_ms": round(found.ms, _DIGITS),
            "error_percent": _percent(float(np.log(found.ms / published))),
            "in_range": found.low_ms <= published <= found.high_ms,
        }


def _percent(log_ratio: float) -> float:
    return round(100.0 * float(np.expm1(log_ratio)), 1)


def describe(record: Record, by: str | None = None) -> str:
    """A record as text for the terminal."""
    tables = {name: table.rows for name, table in record.tables.items()}
    text = _section("Milliseconds per inference, one thread", tables["estimates"])
    if by:
        name = {"branch": "branches", "kind": "kinds"}[by]
        text += _section(f"Where the time goes, by {by}", tables[name])
    held_out = [row for row in tables["left_out"] if row["network"] == HELD_OUT]
    text += _section("One published number held out per core", held_out)
    errors = np.array([float(row["error_percent"] or 0.0) for row in tables["left_out"]])
    text += (
        f"\nAll {len(errors)} numbers, each left out in turn: rms error "
        f"{np.sqrt(np.mean(errors**2)):.0f} %, largest {np.abs(errors).max():.0f} %.\n"
    )
    return text + _section("Another engine: XNNPACK, published", tables["other_engine"])


def _section(title: str, rows: Sequence[Row]) -> str:
    return f"\n{title}\n\n{text_table(rows, columns_of(rows))}"
