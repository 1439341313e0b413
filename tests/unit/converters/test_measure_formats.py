"""The tables of formats are made from what ``verify`` reports."""

import importlib
import sys
from pathlib import Path

import pytest

from converters.targets import TARGETS

SCRIPTS = Path(__file__).parents[3] / "scripts"


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(SCRIPTS))  # as when it is run: it imports its neighbour
    try:
        yield importlib.import_module("measure_formats")
    finally:
        sys.path.remove(str(SCRIPTS))


def rows(*models, presence=None, loss=True):
    found = {}
    for model in models:
        for target in TARGETS:
            row = {
                "status": "ok",
                "parity": {"landmarks_mean_percent": 0.25, "landmarks_max_percent": 1.5},
                "loss": {
                    "nme_increase_percent": {"a": -1.0, "b": 0.5},
                    "presence_agreement": presence,
                },
            }
            found[target.file_name(model)] = row if loss else {**row, "loss": None}
    return found


def sizes(by_name):
    return dict.fromkeys(by_name, 2_500_000)


def test_the_product(script):
    by_name = rows("atpn", presence=0.9975)
    for target in TARGETS:
        detector = {"status": "ok", "parity": {}, "loss": {"recall_large": -0.002}}
        by_name[target.file_name("detector")] = detector
    _, _, first, *others = script.table(by_name, sizes(by_name)).splitlines()
    assert first == (
        "| ONNX Runtime | **float32** | 2.50 MB | 0.25 / 1.5 % | +0.5 % | 99.75 % | 2.50 MB "
        "| -0.2 % |"
    )
    assert len(others) == len(TARGETS) - 1


def test_baselines_that_are_there(script):
    by_name = rows("mobilenetv2")
    heading, _, first, *others, empty, note = script.baselines_table(
        by_name, sizes(by_name)
    ).splitlines()
    assert heading == "| format | precision | MobileNetV2 | moved, mean / max | NME |"
    assert first == "| ONNX Runtime | float32 | 2.50 MB | 0.25 / 1.5 % | +0.5 % |"
    assert len(others) == len(TARGETS) - 1
    assert (empty, note) == ("", "Not exported, for want of weights: `models/asmnet.safetensors`.")
    unmeasured = rows("asmnet", "mobilenetv2", loss=False)
    line = script.baselines_table(unmeasured, sizes(unmeasured)).splitlines()[2]
    assert line.endswith("| 2.50 MB | 0.25 / 1.5 % |  | 2.50 MB | 0.25 / 1.5 % |  |")


def test_no_baseline(script):
    by_name = rows("atpn")
    assert script.baselines_table(by_name, sizes(by_name)).startswith("Not exported, for want")


def test_a_file_that_is_broken_or_missing_ends_it(script):
    by_name = rows("asmnet")
    by_name["asmnet_int8.onnx"]["status"] = "broken"
    with pytest.raises(SystemExit, match=r"asmnet_int8\.onnx to be ok"):
        script.baselines_table(by_name, sizes(by_name))
    del by_name["asmnet_int8.onnx"]
    with pytest.raises(SystemExit, match=r"asmnet_int8\.onnx to be ok"):
        script.baselines_table(by_name, sizes(rows("asmnet")))
