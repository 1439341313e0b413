"""What was measured is read strictly."""

import dataclasses
import json
from pathlib import Path

import pytest

from atpn_mobile.manifest import Metric
from converters.errors import RequestError
from converters.metrics import read_metrics

NME = Metric("NME", 1.5, "%", "faces", "python -m training evaluate")


def test_reads_metrics(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps({"atpn": [dataclasses.asdict(NME)], "detector": []}))
    assert read_metrics(path) == {"atpn": (NME,), "detector": ()}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"atpn": {}, "detector": 1}',
        '{"atpn": [{"name": "NME"}]}',
        '{"atpn": [{"name": "a", "value": NaN, "unit": "b", "data": "c", "command": "d"}]}',
        '{"atpn": [{"name": "a", "value": true, "unit": "b", "data": "c", "command": "d"}]}',
        '{"atpn": [{"name": "a", "value": 1, "unit": "", "data": "c", "command": "d"}]}',
        '{"atpn": [{"name": "a", "value": 1, "unit": "b", "data": "c", "command": "d", "e": "f"}]}',
        '{"unknown": []}',
    ],
)
def test_refuses_metrics_of_another_form(tmp_path: Path, text: str) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(text)
    with pytest.raises(RequestError, match="expected"):
        read_metrics(path)


def test_refuses_missing_metrics(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot be read"):
        read_metrics(tmp_path / "metrics.json")
