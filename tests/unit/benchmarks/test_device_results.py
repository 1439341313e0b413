"""What a device wrote, as a record."""

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from atpn_mobile import load_manifest
from benchmarks.cli import EXIT_FAILED, run_commands
from benchmarks.compare import compare_records
from benchmarks.device import agent, command
from benchmarks.device.cores import core_name
from benchmarks.device.probe import COMPILER, build_probe, parse_probe
from benchmarks.device.results import describe, record_of
from benchmarks.errors import BenchmarkError
from benchmarks.record import read_record, write_record
from benchmarks.report import render_tables

ARTIFACT = load_manifest().artifact("atpn", "onnx", "int8")
MESSAGE: dict[str, Any] = {
    "format": agent.FORMAT,
    "agent_sha256": hashlib.sha256(Path(agent.__file__).read_bytes()).hexdigest(),
    "device": {
        "model": "Raspberry Pi 4",
        "soc": "brcm,bcm2711",
        "system": "Linux",
        "kernel": "6.6",
        "machine": "aarch64",
        "emulated": False,
    },
    "cores": [{"cpu": 0, "implementer": 0x41, "part": 0xD08}],
    "affinity": "0,1,2,3",
    "before": {"policy0 current, MHz": 1800.0, "gone": 1.0},
    "after": {"policy0 current, MHz": 1000.0},
    "packages": {"numpy": "2.4.6"},
    "results": [
        {
            "file": "atpn_int8.onnx",
            "sha256": ARTIFACT.sha256,
            "runtime": "onnx",
            "engine": "onnxruntime 1.31.1",
            "threads": 1,
            "iterations": 200,
            "warm_up": 20,
            "requested_accelerator": "cpu",
            "actual_accelerator": "cpu",
            "median_ms": 25.123456,
            "p10_ms": 24.0,
            "p90_ms": 31.0,
            "first_third_ms": 24.5,
            "last_third_ms": 30.5,
            "before_mhz": 1800.0,
            "after_mhz": 1000.0,
            "before_celsius": None,
            "after_celsius": None,
            "home": "/home/somebody",
        }
    ],
}


@pytest.fixture
def message() -> dict[str, Any]:
    return copy.deepcopy(MESSAGE)


def imported(path: Path, *arguments: str) -> int:
    return run_commands({"device": command}, ["device", "import", str(path), *arguments])


def test_a_record_of_a_board(message: dict[str, Any]) -> None:
    record = record_of(message, "python agent.py")
    assert record.conditions.machine == "Raspberry Pi 4, brcm,bcm2711, Cortex-A72, Linux, aarch64"
    assert record.conditions.packages == {"numpy": "2.4.6"}
    assert record.conditions.settings["kernel"] == "6.6"
    assert record.conditions.settings["warm_up"] == 20
    table = record.tables["hot"]
    assert table.key == ("file", "runtime", "threads")  # as in the record of latency
    (row,) = table.rows
    assert row["precision"] == "int8"  # by its hash in the manifest
    assert row["median_ms"] == 25.1235
    assert (row["first_third_ms"], row["last_third_ms"]) == (24.5, 30.5)
    assert row["status"] == "measured on Raspberry Pi 4"
    assert "home" not in row
    assert record.tables["state"].rows == (
        {"item": "policy0 current, MHz", "before": 1800.0, "after": 1000.0},
        {"item": "gone", "before": 1.0, "after": None},
    )


def test_files_that_the_manifest_does_not_name(message: dict[str, Any]) -> None:
    message["results"][0]["sha256"] = "0" * 64
    (row,) = record_of(message, "").tables["hot"].rows
    assert row["precision"] == ""


def test_an_agent_of_other_sources_makes_a_dirty_record(message: dict[str, Any]) -> None:
    message["agent_sha256"] = "0" * 64
    assert record_of(message, "").conditions.dirty


def test_an_emulator_gives_no_times(message: dict[str, Any]) -> None:
    message["device"]["emulated"] = True
    record = record_of(message, "")
    (row,) = record.tables["hot"].rows
    assert {value for name, value in row.items() if name.endswith("_ms")} == {None}
    assert row["status"] == "emulated, no times"
    assert record.note.startswith("From an emulator")
    assert "Raspberry" not in record.conditions.machine
    assert "25.1" not in describe(record)


def test_no_host_is_taken_for_a_device(message: dict[str, Any]) -> None:
    message["device"]["machine"] = "x86_64"
    with pytest.raises(BenchmarkError, match="expected an ARM device, got 'x86_64'"):
        record_of(message, "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"error": "expected numpy"}, "it failed: expected numpy"),
        ({"format": 0}, "in format 1, got 0"),
        ({"results": [{"file": "a"}]}, "KeyError"),
        ({"device": None}, "TypeError"),
        ({"results": [{**MESSAGE["results"][0], "median_ms": "fast"}]}, "ValueError"),
        ({"results": MESSAGE["results"] * 2}, "keys of their own"),
    ],
)
def test_what_is_no_result(message: dict[str, Any], change: dict[str, Any], said: str) -> None:
    with pytest.raises(BenchmarkError, match=said):
        record_of({**message, **change}, "")


def test_report_and_compare_take_it(message: dict[str, Any], tmp_path: Path) -> None:
    write_record(record_of(message, ""), tmp_path / "a.json")
    old = read_record(tmp_path / "a.json")
    message["results"][0]["median_ms"] *= 2
    new = record_of(message, "")
    (change,) = compare_records(old, new, {"median_ms": 50.0})
    assert not change.allowed
    assert "measured on Raspberry Pi 4" in render_tables(new, "hot", "").text


def test_import(
    message: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "result.json", tmp_path / "record.json"
    source.write_text("INFO: a word of the engine\n" + json.dumps(message) + "\n", encoding="utf-8")
    assert imported(source, "--json", str(target)) == 0
    assert "25.12" in capsys.readouterr().out
    assert read_record(target).kind == "device"


@pytest.mark.parametrize("text", ["", "no JSON", "[1]", None])
def test_import_of_something_else(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "result.json"
    if text is not None:
        source.write_text(text, encoding="utf-8")
    assert imported(source) == EXIT_FAILED
    assert f"expected what agent.py wrote in {source}" in capsys.readouterr().err


def test_names_of_cores() -> None:
    assert core_name(0x41, 0xD05) == "Cortex-A55"
    assert core_name(0x48, 0xD01) == "0x48/0xd01"


def test_termux_names_the_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_commands({"device": command}, ["device", "termux"]) == 0
    text = capsys.readouterr().out
    assert str(Path(agent.__file__)) in text
    assert "python agent.py atpn_float32.onnx" in text


def test_files_are_checked_before_anything_runs(tmp_path: Path) -> None:
    onnx, tflite = tmp_path / "a.onnx", tmp_path / "a.tflite"
    onnx.write_bytes(b"anything")
    tflite.write_bytes(b"\0\0\0\0TFL3")
    assert command.find_files([onnx, tflite], command.RUNTIMES) == [onnx, tflite]
    with pytest.raises(BenchmarkError, match="expected files for tflite"):
        command.find_files([onnx], ("tflite",))
    with pytest.raises(BenchmarkError, match="names that differ"):
        command.find_files([onnx, onnx], command.RUNTIMES)
    with pytest.raises(BenchmarkError, match="expected a model at"):
        command.find_files([tmp_path / "b"], command.RUNTIMES)
    assert {path.suffix for path in command.find_files(None, ("tflite",))} == {".tflite"}


def test_building_the_probe_without_a_compiler(tmp_path: Path) -> None:
    target = tmp_path / "probe"
    with pytest.raises(BenchmarkError, match="expected the program no-such-gcc"):
        build_probe(target, "no-such-gcc -O3")
    with pytest.raises(BenchmarkError, match="expected false to compile"):
        build_probe(target, "false")
    assert list(tmp_path.iterdir()) == []
    assert COMPILER.startswith("aarch64")


@pytest.mark.parametrize("text", ["", "Segmentation fault", "[1]"])
def test_a_probe_that_wrote_something_else(text: str) -> None:
    with pytest.raises(BenchmarkError, match="expected the probe's JSON"):
        parse_probe(text)
