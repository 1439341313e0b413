"""The tables of the model card are made from what an evaluation reports."""

import importlib.util
from pathlib import Path

import pytest

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
