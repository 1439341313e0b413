"""Export every format and precision, measure what each lost, and write the tables.

    python scripts/measure_formats.py --data DIR [--out exported] [--report report.json]

Exports into ``--out``, and runs ``python -m converters verify --data DIR`` on it (half an hour),
unless its JSON is given as ``--report``; of several, a later one replaces a file's earlier
numbers, and what none of them measured on held-out data stays empty. The networks that ATPN is
compared with have a table of their own in models/README.md, where their weights lie in models/.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measure_models import NETWORKS, ROOT, fill

sys.path.insert(0, str(ROOT))

from converters.models import MODELS
from converters.targets import TARGETS, Target

RUNTIMES = {"onnx": "ONNX Runtime", "tflite": "LiteRT", "coreml": "Core ML"}


def run(*arguments: str) -> str:
    """Output of the converters' command."""
    command = [sys.executable, "-m", "converters", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def report(data: Path, out: Path) -> list[dict[str, Any]]:
    """Export, verify, measure."""
    run("export", "--all", "--out", str(out))
    for model in MODELS.values():
        if model.is_baseline and (ROOT / "models" / model.weights_name).is_file():
            run("export", "--model", model.name, "--out", str(out))
    arguments = ["--models", str(out), "--weights-dir", "models", "--data", str(data), "--json"]
    rows: list[dict[str, Any]] = json.loads(run("verify", *arguments))
    return rows


def table(by_name: Mapping[str, dict[str, Any]], sizes: Mapping[str, int]) -> str:
    """One line per format and precision, both networks of the product."""
    columns = ["format", "precision", "ATPN", "moved", "NME", "alike", "detector", "recall"]
    headings = {"moved": "landmarks moved, mean / max", "alike": "decisions alike"}
    heading = " | ".join(headings.get(column, column) for column in columns)
    lines = [f"| {heading} |", "|---|---|---:|---:|---:|---:|---:|---:|"]
    return "\n".join([*lines, *(line(target, by_name, sizes) for target in TARGETS)])


def line(target: Target, rows: Mapping[str, dict[str, Any]], sizes: Mapping[str, int]) -> str:
    """What was measured on the files of a target."""
    atpn, detector = (target.file_name(model) for model in ("atpn", "detector"))
    loss, found = measured(rows, atpn).get("loss"), measured(rows, detector).get("loss")
    bold = "**" if target.shipped else ""
    cells = [
        RUNTIMES[target.runtime],
        f"{bold}{target.precision}{bold}",
        *landmark_cells(atpn, rows, sizes),
        f"{100 * loss['presence_agreement']:.2f} %" if loss else "",
        f"{sizes[detector] / 1e6:.2f} MB",
        f"{signed(100 * found['recall_large'])} %" if found else "",
    ]
    return f"| {' | '.join(cells)} |"


def baselines_table(by_name: Mapping[str, dict[str, Any]], sizes: Mapping[str, int]) -> str:
    """One line per format and precision, the networks that were exported beside the product's."""
    known = [model.name for model in MODELS.values() if model.is_baseline]
    names = [name for name in known if TARGETS[0].file_name(name) in by_name]
    missing = [f"`models/{name}.safetensors`" for name in known if name not in names]
    note = f"Not exported, for want of weights: {', '.join(missing)}." if missing else ""
    if not names:
        return note
    columns = [f"{NETWORKS[name]} | moved, mean / max | NME" for name in names]
    lines = [
        f"| format | precision | {' | '.join(columns)} |",
        f"|---|---|{'---:|---:|---:|' * len(names)}",
    ]
    for target in TARGETS:
        cells = [RUNTIMES[target.runtime], target.precision]
        for name in names:
            cells += landmark_cells(target.file_name(name), by_name, sizes)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, *(["", note] if note else [])])


def landmark_cells(
    name: str, rows: Mapping[str, dict[str, Any]], sizes: Mapping[str, int]
) -> list[str]:
    """Size of a file of landmarks, how far they moved, and their relative loss."""
    row = measured(rows, name)
    parity, loss = row["parity"], row.get("loss")
    return [
        f"{sizes[name] / 1e6:.2f} MB",
        f"{parity['landmarks_mean_percent']:.2g} / {parity['landmarks_max_percent']:.2g} %",
        f"{signed(max(loss['nme_increase_percent'].values()))} %" if loss else "",
    ]


def measured(rows: Mapping[str, dict[str, Any]], name: str) -> dict[str, Any]:
    """The row of a file that is what it should be."""
    if name not in rows or rows[name]["status"] != "ok":
        raise SystemExit(f"expected {name} to be ok, got {rows.get(name)}")
    return rows[name]


def signed(value: float) -> str:
    """One digit after the point; no sign where nothing is left."""
    return "0.0" if abs(value) < 0.05 else f"{value:+.1f}"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of packs")
    parser.add_argument("--out", type=Path, default=ROOT / "exported")
    parser.add_argument(
        "--report",
        type=Path,
        action="append",
        default=[],
        help="JSON of verify, instead of measuring again",
    )
    args = parser.parse_args()
    rows = [row for path in args.report for row in json.loads(path.read_text())]
    rows = rows or report(args.data.resolve(), args.out.resolve())
    manifest = json.loads((args.out / "manifest.json").read_text())
    sizes = {
        artifact["path"]: artifact["bytes"]
        for model in manifest["models"]
        for artifact in model["artifacts"]
    }
    by_name = {Path(row["file"]).name: row for row in rows}
    for page, name, text in (
        (ROOT / "README.md", "formats", table(by_name, sizes)),
        (ROOT / "models" / "README.md", "baseline formats", baselines_table(by_name, sizes)),
    ):
        fill(page, name, text, script="measure_formats")


if __name__ == "__main__":
    main()
