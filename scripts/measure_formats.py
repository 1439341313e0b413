"""Export every format and precision, measure what each lost, and write the README's table.

    python scripts/measure_formats.py --data DIR [--out exported] [--report report.json]

Exports into ``--out``, and runs ``python -m converters verify --data DIR`` on it (half an hour),
unless its JSON is given as ``--report``; of several, a later one replaces a file's earlier
numbers, and what none of them measured on held-out data stays empty.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure_models import ROOT, fill

sys.path.insert(0, str(ROOT))

from converters.targets import TARGETS, Target

RUNTIMES = {"onnx": "ONNX Runtime", "tflite": "LiteRT", "coreml": "Core ML"}


def run(*arguments: str) -> str:
    """Output of the converters' command."""
    command = [sys.executable, "-m", "converters", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def report(data: Path, out: Path) -> list[dict[str, Any]]:
    """Export, verify, measure."""
    run("export", "--all", "--out", str(out))
    arguments = ["--models", str(out), "--weights-dir", "models", "--data", str(data), "--json"]
    rows: list[dict[str, Any]] = json.loads(run("verify", *arguments))
    return rows


def table(rows: Sequence[dict[str, Any]], sizes: dict[str, int]) -> str:
    """One line per format and precision, both networks."""
    by_name = {Path(row["file"]).name: row for row in rows}
    columns = ["format", "precision", "ATPN", "moved", "NME", "alike", "detector", "recall"]
    headings = {"moved": "landmarks moved, mean / max", "alike": "decisions alike"}
    heading = " | ".join(headings.get(column, column) for column in columns)
    lines = [f"| {heading} |", "|---|---|---:|---:|---:|---:|---:|---:|"]
    return "\n".join([*lines, *(line(target, by_name, sizes) for target in TARGETS)])


def line(target: Target, rows: dict[str, dict[str, Any]], sizes: dict[str, int]) -> str:
    """What was measured on the files of a target."""
    names = [target.file_name(model) for model in ("atpn", "detector")]
    atpn, detector = (rows[name] for name in names)
    if atpn["status"] != "ok" or detector["status"] != "ok":
        raise SystemExit(f"expected files that are ok, got {atpn} and {detector}")
    parity, loss, found = atpn["parity"], atpn.get("loss"), detector.get("loss")
    bold = "**" if target.shipped else ""
    cells = [
        RUNTIMES[target.runtime],
        f"{bold}{target.precision}{bold}",
        f"{sizes[names[0]] / 1e6:.2f} MB",
        f"{parity['landmarks_mean_percent']:.2g} / {parity['landmarks_max_percent']:.2g} %",
        f"{signed(max(loss['nme_increase_percent'].values()))} %" if loss else "",
        f"{100 * loss['presence_agreement']:.2f} %" if loss else "",
        f"{sizes[names[1]] / 1e6:.2f} MB",
        f"{signed(100 * found['recall_large'])} %" if found else "",
    ]
    return f"| {' | '.join(cells)} |"


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
    fill(ROOT / "README.md", "formats", table(rows, sizes), script="measure_formats")


if __name__ == "__main__":
    main()
