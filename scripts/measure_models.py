"""Measure the shipped weights and write what was found, nothing typed by hand.

    python scripts/measure_models.py --data DIR

runs the evaluations below, writes models/metrics.json (the export copies it into the manifest) and
fills the tables between the markers of models/README.md and README.md, and draws the reliability of
the presence. The networks that ATPN is
compared with are measured where their weights lie in models/.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from converters.models import ASMNET, ATPN, MOBILENETV2, load_reference
from training.network.macs import Counts

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "models"
NETWORKS = {ATPN.name: "ATPN", ASMNET.name: "ASMNet", MOBILENETV2.name: "MobileNetV2"}
PROTOCOLS = ("conditions", "presence", "pointing04")  # of ``evaluate``, each with a table
RELIABILITY = ROOT / "docs" / "pictures" / "reliability.png"
COMMAND = "python -m training evaluate --weights models/{model}.safetensors --data DIR"
BEGIN, END = "<!-- {name}: written by scripts/{script}.py -->", "<!-- end of {name} -->"


class Row(NamedTuple):
    """One measurement."""

    name: str
    value: float
    unit: str
    data: str


# {faces} is counted by the evaluation, {gate} is the runtime's default presence threshold
FACE_SETS = {
    "faces_helen": (
        "HELEN training photographs held out ({faces:.0f} faces, labels by people and machine)"
    ),
    "faces_ytf": "YouTube Faces frames of 40 held-out people ({faces:.0f} faces, machine labels)",
    "faces_synthetic": "rendered heads held out ({faces:.0f} faces, exact labels)",
}
LANDMARK_MEASURES = {
    "nme_98_percent": ("NME, 98 points", "%"),
    "nme_68_percent": ("NME, 68 points", "%"),
    "nme_inner_51_percent": ("NME, inner 51 points", "%"),
    "failure_rate_10": ("failure rate at 10 %", "share"),
    "auc_10": ("AUC at 10 %", "share"),
}
POSE_MEASURES = {"yaw_mae_deg": "yaw", "pitch_mae_deg": "pitch", "roll_mae_deg": "roll"}
PRESENCE_DATA = (
    "held-out faces against backgrounds, backs of heads and crops with IoU < 0.3 to the face"
)
PRESENCE_MEASURES = {
    "average_precision": "presence, average precision",
    "false_accept_at_99_true_accept": "presence, false accepts at 99 % true accepts",
    "true_accept_at_gate": "presence, true accepts at {gate}",
    "false_accept_at_gate": "presence, false accepts at {gate}",
    "false_accept_at_gate_backgrounds": "presence, false accepts at {gate}, backgrounds",
    "false_accept_at_gate_backs_of_heads": "presence, false accepts at {gate}, backs of heads",
    "false_accept_at_gate_beside_the_face": "presence, false accepts at {gate}, beside the face",
}


def alignment_rows(report: Mapping[str, Mapping[str, float]]) -> list[Row]:
    """Measurements of a network of landmarks, from the JSON of its evaluation."""
    face_sets = {
        pack: text.format(faces=report[f"landmarks {pack}"]["faces"])
        for pack, text in FACE_SETS.items()
    }
    rows = [
        Row(name, report[f"landmarks {pack}"][key], unit, data)
        for pack, data in face_sets.items()
        for key, (name, unit) in LANDMARK_MEASURES.items()
    ]
    pose = report["pose faces_synthetic"]
    synthetic = face_sets["faces_synthetic"]
    rows += [
        Row(f"{angle}, mean absolute error", pose[key], "deg", synthetic)
        for key, angle in POSE_MEASURES.items()
    ]
    presence = report.get("presence")
    if presence is not None:
        rows += [
            Row(name.format(gate=f"{presence['gate']:g}"), presence[key], "share", PRESENCE_DATA)
            for key, name in PRESENCE_MEASURES.items()
        ]
    return rows


def detector_rows(report: Mapping[str, Any]) -> list[Row]:
    """Measurements of the detector at the runtime's threshold, from the JSON of its evaluation."""
    point, faces = report["shipped"], report["faces"]
    frames = "320x240 frames made of held-out faces, IoU 0.5"
    return [
        Row("threshold", point["threshold"], "score", "default of the runtime"),
        Row("recall, faces of 32 px and more", point["recall_large"], "share", frames),
        Row("recall, faces of 20 to 32 px", point["recall_small"], "share", frames),
        Row("frames with a face", float(faces["large"] + faces["small"]), "count", frames),
        Row(
            "false boxes per background",
            point["false_boxes"] / report["backgrounds"],
            "count",
            f"{report['backgrounds']} held-out backgrounds",
        ),
        Row(
            "false boxes per back of a head",
            point["false_heads"] / report["heads"],
            "count",
            f"{report['heads']} held-out rendered backs of heads",
        ),
    ]


def evaluate(model: str, data: Path, threads: int) -> dict[str, Any]:
    """The evaluation's JSON."""
    weights = MODELS / f"{model}.safetensors"
    command = [sys.executable, "-m", "training", "evaluate", "--weights", str(weights)]
    command += ["--data", str(data), "--threads", str(threads), "--json", "-"]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def table(rows: Sequence[Row]) -> str:
    """Measurements as a table of Markdown."""
    lines = ["| measure | value | on |", "|---|---:|---|"]
    lines += [f"| {row.name} | {number(row)} | {row.data} |" for row in rows]
    return "\n".join(lines)


def number(row: Row) -> str:
    """A value as people read it."""
    if row.unit == "%":
        return f"{row.value:.2f} %"
    if row.unit == "deg":
        return f"{row.value:.2f}°"
    return f"{row.value:.0f}" if row.unit == "count" and row.value >= 5 else f"{row.value:.4f}"


def fill(path: Path, name: str, text: str, script: str = "measure_models") -> None:
    """Replace what stands between the markers of a page."""
    begin, end = BEGIN.format(name=name, script=script), END.format(name=name)
    page = path.read_text(encoding="utf-8")
    if begin not in page or end not in page:
        raise SystemExit(f"expected the markers {begin} and {end} in {path}")
    head, rest = page.split(begin, 1)
    tail = rest.split(end, 1)[1]
    path.write_text(f"{head}{begin}\n{text}\n{end}{tail}", encoding="utf-8")


def summary(rows: Mapping[str, Sequence[Row]]) -> str:
    """The README's short table."""
    chosen = [
        *(row for row in rows["atpn"] if row.name == "NME, 98 points"),
        *(row for row in rows["atpn"] if "mean absolute error" in row.name),
        *(row for row in rows["atpn"] if row.name == "presence, average precision"),
        *(row for row in rows["detector"] if row.name.startswith("recall")),
    ]
    return table(chosen)


def count(model: str) -> Counts:
    """Parameters and MACs of a network with the weights in models/."""
    reference = {one.name: one for one in (ATPN, ASMNET, MOBILENETV2)}[model]
    return load_reference(reference, MODELS / reference.weights_name).counts()


def run_protocol(name: str, data: Path, threads: int) -> dict[str, Any]:
    """The JSON of an evaluation by protocol; the reliability curve becomes a picture."""
    with tempfile.TemporaryDirectory() as folder:
        found, curves = Path(folder) / "rows.json", Path(folder) / "curves"
        command = [sys.executable, "-m", "training", "evaluate", "--protocol", name]
        command += ["--weights", str(MODELS / ATPN.weights_name), "--data", str(data)]
        command += ["--threads", str(threads), "--json", str(found), "--curves", str(curves)]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        if (curve := curves / RELIABILITY.name).is_file():
            RELIABILITY.write_bytes(curve.read_bytes())
        (report,) = json.loads(found.read_text(encoding="utf-8"))
    return dict(report)


def protocol_tables(report: Mapping[str, Any]) -> str:
    """What a protocol measured: one table for each run of subsets with the same measures.

    Of subsets of one source ("faces_helen: ...") those of all sources together are enough.
    """
    rows = [
        row for row in report["rows"] if row["subset"].startswith("all") or ":" not in row["subset"]
    ]
    subsets = [list(same) for _, same in groupby(rows, key=lambda row: row["subset"])]
    blocks = groupby(subsets, key=lambda same: [(row["measure"], row["unit"]) for row in same])
    lines = []
    for measures, block in blocks:
        headings = [f"{name}, {unit}" if unit else name for name, unit in measures]
        lines += ["| subset | n | " + " | ".join(headings) + " |"]
        lines += ["|---|---:|" + "---:|" * len(headings)]
        for same in block:
            count = next((str(row["count"]) for row in same if row["count"] is not None), "")
            lines.append(protocol_line(same[0]["subset"], count, [row["value"] for row in same]))
            systems = dict.fromkeys(one["system"] for row in same for one in row["published"])
            for system in systems:
                values = [_published(row, system) for row in same]
                lines.append(protocol_line(f"{same[0]['subset']}: {system}, published", "", values))
        lines.append("")
    return "\n".join([*lines, *(f"*{note}*  " for note in report["notes"])])


def protocol_line(subset: str, count: str, values: Sequence[float | None]) -> str:
    """One line of a protocol's table."""
    cells = ["" if value is None else f"{value:.4g}" for value in values]
    name = subset.replace("|", r"\|")  # |yaw|
    return f"| {name} | {count} | {' | '.join(cells)} |"


def _published(row: Mapping[str, Any], system: str) -> float | None:
    return next((one["value"] for one in row["published"] if one["system"] == system), None)


def networks_table(rows: Mapping[str, Sequence[Row]], counts: Mapping[str, Counts]) -> str:
    """Landmarks, pose and size of ATPN beside the networks that it is compared with.

    Args:
        rows: measurements by network; those without are left out, with a note.
        counts: of the same networks.
    """
    missing = [f"`models/{name}.safetensors`" for name in NETWORKS if name not in rows]
    note = f"Not measured, for want of weights: {', '.join(missing)}." if missing else ""
    names = [name for name in NETWORKS if name in rows]
    if names == [ATPN.name]:
        return note
    compared = [[row for row in rows[name] if is_compared(row)] for name in names]
    lines = [
        f"| measure | on | {' | '.join(NETWORKS[name] for name in names)} |",
        f"|---|---|{'---:|' * len(names)}",
        f"| parameters | | {millions(counts[name].parameters for name in names)} |",
        f"| MACs | | {millions(counts[name].macs for name in names)} |",
    ]
    lines += [
        f"| {same[0].name} | {same[0].data} | {' | '.join(map(number, same))} |"
        for same in zip(*compared, strict=True)
    ]
    return "\n".join([*lines, *(["", note] if note else [])])


def is_compared(row: Row) -> bool:
    """Whether a measurement is one that all networks have and that the table shows."""
    return row.name.startswith("NME") or "mean absolute error" in row.name


def millions(values: Iterable[int]) -> str:
    """Counts as cells of a table."""
    return " | ".join(f"{value / 1e6:.3g} M" for value in values)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of packs")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    networks = [name for name in NETWORKS if (MODELS / f"{name}.safetensors").is_file()]
    readers = {"atpn": alignment_rows, "detector": detector_rows}
    readers |= dict.fromkeys(networks, alignment_rows)
    rows = {
        model: read(evaluate(model, args.data.resolve(), args.threads))
        for model, read in readers.items()
    }
    document = {
        model: [
            {**row._asdict(), "value": round(row.value, 5), "command": COMMAND.format(model=model)}
            for row in measured
        ]
        for model, measured in rows.items()
    }
    (MODELS / "metrics.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    for model in ("atpn", "detector"):
        fill(MODELS / "README.md", model, table(rows[model]))
    compared = networks_table(
        {name: rows[name] for name in networks}, {name: count(name) for name in networks}
    )
    fill(MODELS / "README.md", "networks", compared)
    for name in PROTOCOLS:
        report = run_protocol(name, args.data.resolve(), args.threads)
        fill(MODELS / "README.md", name, protocol_tables(report))
    fill(ROOT / "README.md", "accuracy", summary(rows))


if __name__ == "__main__":
    main()
