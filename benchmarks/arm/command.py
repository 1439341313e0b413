"""``arm``: instructions per inference and per tracked frame on ARM cores, counted under QEMU."""

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atpn_mobile import AtpnError, load_manifest
from benchmarks.arm.counts import Counts
from benchmarks.arm.emulator import CORES, FOLDER, INSTALL, Core, Emulator, find_emulator
from benchmarks.arm.kernels import instructions_by_function, kernel_kind, kernel_name
from benchmarks.arm.labels import NETWORK, STAGES
from benchmarks.arm.measure import (
    FRAMES,
    RUNS,
    Inference,
    count_frame,
    count_inference,
    read_frames,
)
from benchmarks.errors import BenchmarkError
from benchmarks.layers import Network
from benchmarks.read_model import read_network
from benchmarks.record import Record, Row, Table, conditions, to_json, write_record
from benchmarks.tables import columns_of, text_table
from benchmarks.yardstick_files import write_yardsticks

HELP: Final = "count the instructions on ARM cores, in an emulator"
RUNTIMES: Final = ("onnx", "tflite")
LOOP_MODEL: Final = "atpn"
NOTE: Final = (
    "Executed instructions, counted in an emulator (QEMU): exact, and no time. One thread. Cores "
    "differ in the instructions they have and in the kernels that the engines choose for them; "
    "the A55 is emulated as an A76, which has the same extensions, with the A55's part number. "
    "One inference: the median of the counted runs. A tracked frame: the mean of the counted "
    "frames, by the Python runtime, with what Python itself executes."
)
EXACT: Final = (
    "instructions",
    "macs",
    "multiply_add",
    "dot",
    "matrix",
    "load",
    "store",
    "branch",
    "integer",
    "simd",
    "sve",
)
_PIXEL: Final = 255.0  # inputs of any network here are pictures; the counts do not depend on them
_SEED: Final = 0


@dataclass(frozen=True, slots=True)
class _File:
    """A model file to count.

    Attributes:
        name: in the tables.
        runtime: "onnx" or "tflite".
        precision: "" where nobody says.
        path: where it is.
    """

    name: str
    runtime: str
    precision: str
    path: Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help=".onnx or .tflite; default: ours"
    )
    parser.add_argument("--core", nargs="+", choices=tuple(CORES), default=list(CORES))
    parser.add_argument("--yardsticks", action="store_true", help="MobileNets beside them")
    parser.add_argument("--loop", action="store_true", help="a whole tracked frame too")
    parser.add_argument(
        "--kernels", action="store_true", help="LiteRT: instructions by kernel of XNNPACK too"
    )
    parser.add_argument("--json", metavar="PATH", help="write the result there, - for the output")
    parser.add_argument(
        "--dir", type=Path, default=FOLDER, help=f"the ARM system that {INSTALL} made"
    )


def run(args: argparse.Namespace) -> int:
    """Count, print, write.

    Raises:
        BenchmarkError: there is no ARM system, or something does not run in it.
    """
    emulator = find_emulator(args.dir)
    cores = [CORES[name] for name in args.core]
    with tempfile.TemporaryDirectory() as folder:
        files = [_any_file(path) for path in args.files] or list(_our_files())
        if args.yardsticks:
            files += [
                _File(one.name, one.runtime, one.precision, one.path)
                for one in write_yardsticks(Path(folder))
            ]
        tables = count_files(emulator, cores, files, with_kernels=args.kernels)
    if args.loop:
        tables["loop"] = _table(("runtime", "precision", "core", "stage"), _loop(emulator, cores))
    record = _record(emulator, args, tables)
    if args.json == "-":
        sys.stdout.write(to_json(record))
        return 0
    if args.json:
        write_record(record, Path(args.json))
    sys.stdout.write(describe(record))
    return 0


def describe(record: Record) -> str:
    """A result as text: the tables, then what the numbers are."""
    tables = (
        f"{name}\n{text_table(table.rows, columns_of(table.rows))}\n"
        for name, table in record.tables.items()
        if table.rows
    )
    return "".join(tables) + f"{record.note}\n"


def count_files(
    emulator: Emulator, cores: Sequence[Core], files: Sequence[_File], *, with_kernels: bool
) -> dict[str, Table]:
    """Count inferences: the table "networks", and "kernels" where asked for.

    Raises:
        BenchmarkError: a file cannot be read, or does not run.
    """
    networks: list[Row] = []
    kernels: list[Row] = []
    for file in files:
        network = read_network(file.path)
        given = make_input(network)
        for core in cores:
            sys.stderr.write(f"{file.name} {file.runtime} {file.precision} on {core.title}\n")
            by_kernel = with_kernels and file.runtime == "tflite"
            found = count_inference(
                emulator, core, file.path, file.runtime, given, with_blocks=by_kernel
            )
            key = _key(file, core)
            networks.append({**key, **network_columns(found.counts, network.macs)})
            if by_kernel:
                kernels += kernel_rows(key, emulator, found)
    tables = {"networks": _table(("network", "runtime", "precision", "core"), networks)}
    if kernels:
        tables["kernels"] = _table(("network", "runtime", "precision", "core", "kernel"), kernels)
    return tables


def make_input(network: Network) -> NDArray[np.float32]:
    """One input of noise, (1, ...), for a network with one float32 input.

    Raises:
        BenchmarkError: it has others.
    """
    tensors = [network.tensors[name] for name in network.inputs]
    if len(tensors) != 1 or tensors[0].itemsize != 4 or min(tensors[0].shape, default=0) < 1:
        raise BenchmarkError(
            f"expected one float32 input of a fixed shape, got {[one.shape for one in tensors]}"
        )
    noise = np.random.default_rng(_SEED).random(tensors[0].shape, np.float32)
    return noise * np.float32(_PIXEL)


def network_columns(counts: Counts, macs: int) -> Row:
    """Instructions in all, per MAC, and by class."""
    per_mac = round(counts.total / macs, 4) if macs else None
    return {"instructions": counts.total, "macs": macs, "per_mac": per_mac, **counts.by_class}


def kernel_rows(key: Row, emulator: Emulator, found: Inference) -> list[Row]:
    """Instructions by kernel, the most first."""
    spent: dict[tuple[str, str], int] = defaultdict(int)
    functions = instructions_by_function(emulator, found.blocks, found.libraries)
    for function, instructions in functions.items():
        spent[kernel_kind(function), kernel_name(function)] += instructions
    total = sum(spent.values())
    return [
        {
            **key,
            "kernel": name,
            "kind": kind,
            "instructions": instructions // RUNS,
            "share_percent": round(100.0 * instructions / total, 3),
        }
        for (kind, name), instructions in sorted(spent.items(), key=lambda one: -one[1])
    ]


def _loop(emulator: Emulator, cores: Sequence[Core]) -> Iterator[Row]:
    frames = read_frames()
    for file in _our_files():
        if file.name != LOOP_MODEL:
            continue
        for core in cores:
            sys.stderr.write(f"tracked frame {file.runtime} {file.precision} on {core.title}\n")
            stages = count_frame(emulator, core, file.runtime, file.precision, frames).stages
            yield from loop_rows(
                {"runtime": file.runtime, "precision": file.precision, "core": core.title}, stages
            )


def loop_rows(key: Row, stages: Mapping[str, Counts]) -> Iterator[Row]:
    """Instructions by stage, then what is not the network, then all."""
    total = sum(counts.total for counts in stages.values())
    outside = total - stages[STAGES[NETWORK]].total
    sums = {name: counts.total for name, counts in stages.items()}
    for name, instructions in {**sums, "outside the network": outside, "all": total}.items():
        yield {
            **key,
            "stage": name,
            "instructions": instructions,
            "share_percent": round(100.0 * instructions / total, 3),
        }


def _key(file: _File, core: Core) -> Row:
    return {
        "network": file.name,
        "runtime": file.runtime,
        "precision": file.precision,
        "core": core.title,
    }


def _any_file(path: Path) -> _File:
    return _File(path.name, read_network(path).runtime, "", path)


def _our_files() -> Iterator[_File]:
    """What models/manifest.json names.

    Raises:
        BenchmarkError: it cannot be read.
    """
    try:
        manifest = load_manifest()
    except AtpnError as error:
        raise BenchmarkError(str(error)) from error
    for model in manifest.models:
        for one in model.artifacts:
            if one.runtime in RUNTIMES:
                yield _File(model.name, one.runtime, one.precision, manifest.folder / one.path)


def _table(key: tuple[str, ...], rows: Sequence[Row] | Iterator[Row]) -> Table:
    rows = tuple(rows)
    columns = columns_of(rows)
    return Table(key, rows, tuple(column for column in EXACT if column in columns))


def _record(emulator: Emulator, args: argparse.Namespace, tables: dict[str, Table]) -> Record:
    words = [str(path) for path in args.files] + ["--core", *args.core]
    words += [f"--{name}" for name in ("yardsticks", "loop", "kernels") if getattr(args, name)]
    made = conditions((), threads=1, runs=RUNS, frames=FRAMES, **emulator.versions())
    command = f"python -m benchmarks arm {' '.join(words)} --json PATH"
    return Record("arm", NOTE, command, made, tables)
