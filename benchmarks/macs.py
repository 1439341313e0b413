"""``macs``: parameters, MACs, bytes and memory of model files, counted from the files alone."""

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from atpn_mobile import AtpnError, load_manifest
from atpn_mobile.manifest import Model
from benchmarks.errors import BenchmarkError
from benchmarks.layers import (
    KINDS,
    Layer,
    Network,
    activation_bytes,
    arithmetic_intensity,
    branches,
    is_view,
)
from benchmarks.macs_picture import draw_layers
from benchmarks.memory import lifetimes, live_bytes, measure_memory
from benchmarks.published import published_rows
from benchmarks.read_model import read_contents, read_network
from benchmarks.record import Record, Row, Table, conditions, to_json, write_record
from benchmarks.tables import columns_of, text_table

HELP: Final = "count parameters, MACs, bytes and memory of model files"
RUNTIMES: Final = ("onnx", "tflite")
PACKAGES: Final = ("onnx", "ai-edge-litert", "numpy")
NOTE: Final = (
    "Counted from the files, nothing was run. A MAC is one multiplication with its addition, of "
    "convolutions, transposed convolutions and matrix products. Activation bytes: what layers read "
    "and write. Live bytes: the most that is alive at one layer. Arena bytes: memory of all "
    "activations, planned greedily by size. Per byte: of weights and activations that are moved."
)
EXACT: Final = (
    "layers",
    "parameters",
    "macs",
    "weight_bytes",
    "file_bytes",
    "activation_bytes",
    "live_bytes",
    "arena_bytes",
    "unshared_bytes",
    "trained_parameters",
    "folded_parameters",
    "counted_parameters",
    "counted_macs",
)
BREAKDOWNS: Final[Mapping[str, str]] = {"layer": "layers", "branch": "branches", "kind": "kinds"}
# The file whose branches stand beside the paper's.
COMPARED_FILE: Final = "atpn_float32.onnx"


@dataclass(frozen=True, slots=True)
class _Measured:
    """A layer with what is counted of it.

    Attributes:
        layer: see there.
        branch: the results that need it.
        moved: bytes of activations that it reads and writes.
        live: bytes of activations that are alive while it runs.
    """

    layer: Layer
    branch: str
    moved: int
    live: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help=".onnx or .tflite; default: ours"
    )
    parser.add_argument("--by", choices=tuple(BREAKDOWNS), help="break the counts down")
    parser.add_argument("--top", type=int, metavar="N", help="print only the N rows of most MACs")
    parser.add_argument("--json", metavar="PATH", help="write the result there, - for the output")
    parser.add_argument(
        "--picture", type=Path, metavar="PNG", help="draw the layers of the one FILE"
    )


def run(args: argparse.Namespace) -> int:
    """Count, print, write.

    Raises:
        BenchmarkError: a file cannot be read, or an option does not fit.
    """
    if args.top is not None and args.top < 1:
        raise BenchmarkError(f"expected --top of 1 or more, got {args.top}")
    if args.picture and len(args.files) != 1:
        raise BenchmarkError(f"expected one FILE to draw, got {len(args.files)}")
    record = count_files(args.files, args.by) if args.files else count_ours(args.by)
    if args.picture:
        network = read_network(args.files[0])
        draw_layers(layer_rows(args.files[0].name, network), args.files[0].name, args.picture)
    if args.json == "-":
        sys.stdout.write(to_json(record))
        return 0
    if args.json:
        write_record(record, Path(args.json))
    sys.stdout.write(describe(record, args.by, args.top))
    return 0


def count_files(files: Sequence[Path], by: str | None = None) -> Record:
    """Count model files of anybody.

    Args:
        files: .onnx or .tflite; where two have one name, their paths tell them apart.
        by: "layer" adds the table of layers, the largest one.

    Raises:
        BenchmarkError: one cannot be read, or is named twice.
    """
    names = [path.name for path in files]
    labels = names if len(set(names)) == len(names) else [str(path) for path in files]
    networks = {label: read_network(path) for label, path in zip(labels, files, strict=True)}
    if len(networks) != len(files):
        raise BenchmarkError(f"expected each file once, got {labels}")
    command = f"python -m benchmarks macs {' '.join(map(str, files))}"
    return _record(networks, by, command, {})


def count_ours(by: str | None = None) -> Record:
    """Count the files that models/manifest.json names, and set them beside published numbers.

    Args:
        by: "layer" adds the table of layers, the largest one.

    Raises:
        BenchmarkError: the manifest or a file cannot be read.
    """
    networks: dict[str, Network] = {}
    models: dict[str, tuple[Model, Network]] = {}
    try:
        manifest = load_manifest()
        for model in manifest.models:
            for artifact in model.artifacts:
                if artifact.runtime in RUNTIMES:
                    contents = manifest.read_artifact(artifact)
                    if not isinstance(contents, bytes):
                        raise BenchmarkError(f"expected a file, got a folder: {artifact.path}")
                    network = read_contents(contents, model.name)
                    networks[artifact.path] = network
                    models.setdefault(model.name, (model, network))
    except AtpnError as error:
        raise BenchmarkError(str(error)) from error
    compared = networks.get(COMPARED_FILE)
    counts = {
        str(row["branch"]): (int(row["parameters"] or 0), int(row["macs"] or 0))
        for row in (branch_rows(COMPARED_FILE, compared) if compared else ())
    }
    extra = {
        "models": _table(("model",), [_model_row(*found) for found in models.values()]),
        "published": _table(("network", "part"), published_rows(counts)),
    }
    return _record(networks, by, "python -m benchmarks macs", extra)


def _record(
    networks: Mapping[str, Network], by: str | None, command: str, extra: Mapping[str, Table]
) -> Record:
    def table(rows: Callable[[str, Network], Iterable[Row]], *key: str) -> Table:
        return _table(key, [row for file, one in networks.items() for row in rows(file, one)])

    tables = {
        "files": table(file_rows, "file"),
        "branches": table(branch_rows, "file", "branch"),
        "kinds": table(kind_rows, "file", "kind"),
        **extra,
    }
    if by == "layer":
        tables["layers"] = table(layer_rows, "file", "layer")
    command += f" --by {by}" if by else ""
    return Record("macs", NOTE, f"{command} --json PATH", conditions(PACKAGES), tables)


def _table(key: tuple[str, ...], rows: Sequence[Row]) -> Table:
    columns = columns_of(rows)
    return Table(key, tuple(rows), tuple(column for column in EXACT if column in columns))


def _model_row(model: Model, network: Network) -> Row:
    """What training counts, and what is left of it in the files."""
    return {
        "model": model.name,
        "trained_parameters": model.parameters,
        # engines have no batch normalisation: a scale and a shift per channel become one bias
        "folded_parameters": model.parameters - network.parameters,
        "parameters": network.parameters,
        "macs": model.macs,
    }


def file_rows(file: str, network: Network) -> Iterable[Row]:
    """One row: the totals of a file."""
    memory = measure_memory(network)
    yield {
        "file": file,
        "parameters": network.parameters,
        "macs": network.macs,
        "weight_bytes": network.weight_bytes,
        "file_bytes": network.file_bytes,
        "live_bytes": memory.live_bytes,
        "arena_bytes": memory.arena_bytes,
        "unshared_bytes": memory.unshared_bytes,
        "macs_per_byte": _intensity(_measure(network)),
        "peak_layer": memory.peak_layer,
    }


def branch_rows(file: str, network: Network) -> Iterable[Row]:
    """A row for each set of results that layers are needed for, in the order of the layers."""
    groups: dict[str, list[_Measured]] = defaultdict(list)
    for one in _measure(network):
        groups[one.branch].append(one)
    for branch, measured in groups.items():
        yield {
            "file": file,
            "branch": branch,
            "modules": _modules(measured),
            **_sums(measured),
            "live_bytes": max(one.live for one in measured),
            "macs_per_byte": _intensity(measured),
        }


def kind_rows(file: str, network: Network) -> Iterable[Row]:
    """A row for each kind of layers that a network has."""
    groups: dict[str, list[_Measured]] = defaultdict(list)
    for one in _measure(network):
        groups[one.layer.kind].append(one)
    for kind in KINDS:
        if groups[kind]:
            yield {
                "file": file,
                "kind": kind,
                **_sums(groups[kind]),
                "macs_per_byte": _intensity(groups[kind]),
            }


def layer_rows(file: str, network: Network) -> Iterable[Row]:
    """A row for each layer that computes or moves something, in order."""
    for one in _measure(network):
        yield {
            "file": file,
            "layer": one.layer.name,
            "op": one.layer.op,
            "kind": one.layer.kind,
            "branch": one.branch,
            "parameters": one.layer.parameters,
            "macs": one.layer.macs,
            "weight_bytes": one.layer.weight_bytes,
            "activation_bytes": one.moved,
            "live_bytes": one.live,
            "macs_per_byte": round(arithmetic_intensity(network, one.layer), 3),
        }


def _measure(network: Network) -> list[_Measured]:
    live = live_bytes(lifetimes(network), len(network.layers))
    return [
        _Measured(layer, branch, activation_bytes(network, layer), alive)
        for layer, branch, alive in zip(network.layers, branches(network), live, strict=True)
        if not is_view(network, layer)
    ]


def _sums(measured: Sequence[_Measured]) -> dict[str, int]:
    return {
        "layers": len(measured),
        "parameters": sum(one.layer.parameters for one in measured),
        "macs": sum(one.layer.macs for one in measured),
        "weight_bytes": sum(one.layer.weight_bytes for one in measured),
        "activation_bytes": sum(one.moved for one in measured),
    }


def _intensity(measured: Sequence[_Measured]) -> float:
    moved = sum(one.layer.weight_bytes + one.moved for one in measured)
    return round(sum(one.layer.macs for one in measured) / moved, 3) if moved else 0.0


def _modules(measured: Sequence[_Measured]) -> str:
    """The first parts of the names of layers with MACs: "backbone" of "backbone.stem.conv"."""
    names = [one.layer.name for one in measured if one.layer.macs and "." in one.layer.name]
    return ", ".join(dict.fromkeys(name.split(".")[0] for name in names))


def describe(record: Record, by: str | None, top: int | None) -> str:
    """A result as text for the terminal.

    Args:
        record: of this benchmark.
        by: the breakdown to print for each file, None for none.
        top: rows of most MACs per file that are printed of it, None for all.
    """
    parts = [_described(record.tables["files"].rows)]
    if by:
        groups: dict[str, list[Row]] = defaultdict(list)
        for row in record.tables[BREAKDOWNS[by]].rows:
            groups[str(row["file"])].append(row)
        for file, rows in groups.items():
            shown = rows if top is None else sorted(rows, key=_macs, reverse=True)[:top]
            parts.append(f"{file}\n{_described([_labelled(row, rows) for row in shown], 'file')}")
    else:
        found = [name for name in ("models", "published") if name in record.tables]
        parts += [f"{name}\n{_described(record.tables[name].rows)}" for name in found]
    return "\n".join([*parts, f"{record.note}\n"])


def _macs(row: Row) -> int:
    return int(row["macs"] or 0)


def _labelled(row: Row, rows: Sequence[Row]) -> Row:
    """A row whose branch says "shared" where all results need it."""
    branch = str(row.get("branch", ""))
    results = {name for other in rows for name in str(other.get("branch", "")).split("+")}
    if len(results) > 1 and set(branch.split("+")) == results:
        return {**row, "branch": "shared"}
    return row


def _described(rows: Sequence[Row], *left_out: str) -> str:
    return text_table(rows, [column for column in columns_of(rows) if column not in left_out])
