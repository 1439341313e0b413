"""The tables of the model card are made from what an evaluation reports."""

import importlib.util
from pathlib import Path

import pytest

from training.network.macs import Counts

SCRIPT = Path(__file__).parents[3] / "scripts" / "measure_models.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("measure_models", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_detector_is_reported_at_the_shipped_threshold(script):
    def point(threshold, recall):
        shares = {"recall_small": recall, "recall_large": recall}
        return {"threshold": threshold, **shares, "false_boxes": 5, "false_heads": 2}

    report = {
        "shipped": point(0.5, 0.8),
        "chosen": point(0.3, 0.9),
        "faces": {"small": 10, "large": 20},
        "backgrounds": 50,
        "heads": 8,
    }
    values = {row.name: row.value for row in script.detector_rows(report)}
    assert values["threshold"] == 0.5
    assert values["recall, faces of 20 to 32 px"] == 0.8
    assert values["false boxes per background"] == pytest.approx(0.1)
    assert values["false boxes per back of a head"] == pytest.approx(0.25)


def test_faces_and_gate_are_those_of_the_report(script):
    measured = dict.fromkeys(script.LANDMARK_MEASURES, 1.0)
    report = {
        f"landmarks {pack}": {**measured, "faces": float(count)}
        for pack, count in zip(script.FACE_SETS, (11, 22, 33), strict=True)
    }
    report["pose faces_synthetic"] = dict.fromkeys(script.POSE_MEASURES, 1.0)
    report["presence"] = {**dict.fromkeys(script.PRESENCE_MEASURES, 1.0), "gate": 0.65}
    rows = script.alignment_rows(report)
    assert "(11 faces" in rows[0].data
    assert all("(33 faces" in row.data for row in rows if row.unit == "deg")
    assert "presence, true accepts at 0.65" in [row.name for row in rows]


def report(script, nme, *, presence):
    measured = dict.fromkeys(script.LANDMARK_MEASURES, nme)
    made = {f"landmarks {pack}": {**measured, "faces": 7.0} for pack in script.FACE_SETS}
    made["pose faces_synthetic"] = dict.fromkeys(script.POSE_MEASURES, 3.0)
    if presence:
        made["presence"] = {**dict.fromkeys(script.PRESENCE_MEASURES, 1.0), "gate": 0.7}
    return script.alignment_rows(made)


def test_networks_stand_side_by_side(script):
    rows = {
        "atpn": report(script, 4.0, presence=True),
        "asmnet": report(script, 5.0, presence=False),
    }
    assert not any("presence" in row.name for row in rows["asmnet"])
    counts = {"atpn": Counts(1_410_000, 93_700_000), "asmnet": Counts(1_432_000, 257_000_000)}
    heading, _, parameters, macs, *lines, empty, note = script.networks_table(
        rows, counts
    ).splitlines()
    assert heading == "| measure | on | ATPN | ASMNet |"
    assert parameters == "| parameters | | 1.41 M | 1.43 M |"
    assert macs == "| MACs | | 93.7 M | 257 M |"
    assert len(lines) == 3 * 3 + 3
    assert lines[0].startswith("| NME, 98 points | HELEN")
    assert lines[0].endswith("| 4.00 % | 5.00 % |")
    assert lines[-1].startswith("| roll, mean absolute error | rendered heads held out (7 faces")
    assert (empty, note) == (
        "",
        "Not measured, for want of weights: `models/mobilenetv2.safetensors`.",
    )


def test_no_table_without_a_network_to_compare_with(script):
    rows = {"atpn": report(script, 4.0, presence=True)}
    assert script.networks_table(rows, {"atpn": Counts(1, 1)}) == (
        "Not measured, for want of weights: `models/asmnet.safetensors`, "
        "`models/mobilenetv2.safetensors`."
    )


def test_a_protocol_becomes_a_table_for_each_kind_of_subset(script):
    def row(subset, measure, value, published=()):
        others = [{"system": "Peer", "value": other, "source": "a paper"} for other in published]
        fields = {"unit": "%", "count": 12, "published": others}
        return {"subset": subset, "measure": measure, "value": value, **fields}

    rows = [
        row("all", "NME", 5.123456, [6.5]),
        row("all", "FR", None),
        row("faces_helen: dark", "NME", 9.0),
        row("all: |yaw| 0 to 15", "AP", 0.5),
    ]
    lines = script.protocol_tables({"rows": rows, "notes": ["measured"]}).splitlines()
    assert lines == [
        "| subset | n | NME, % | FR, % |",
        "|---|---:|---:|---:|",
        "| all | 12 | 5.123 |  |",
        "| all: Peer, published |  | 6.5 |  |",
        "",
        "| subset | n | AP, % |",
        "|---|---:|---:|",
        r"| all: \|yaw\| 0 to 15 | 12 | 0.5 |",
        "",
        "*measured*  ",
    ]
