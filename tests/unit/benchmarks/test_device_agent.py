"""The file that runs on the device: it stands alone, and agrees with ``latency``."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from atpn_mobile import load_manifest
from benchmarks import latency_engines
from benchmarks.device import agent
from benchmarks.latency_measure import Statistics

AGENT = Path(agent.__file__)
MODELS = load_manifest().folder
ALONE = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}


def write(root: Path, path: str, text: str) -> None:
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A Raspberry Pi 4 with a slow and a fast cluster, which it has not."""
    cpuinfo = "".join(
        f"processor\t: {cpu}\nCPU implementer\t: 0x41\nCPU part\t: {part}\n\n"
        for cpu, part in enumerate(("0xd03", "0xd08"))
    )
    write(tmp_path, "/proc/cpuinfo", cpuinfo)
    write(tmp_path, "/proc/sys/kernel/osrelease", "6.6.31+rpt-rpi-v8\n")
    write(tmp_path, "/proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0")
    write(tmp_path, "/proc/device-tree/compatible", "raspberrypi,4-model-b\0brcm,bcm2711\0")
    for policy, cpus, current in (("policy0", "0", "600000"), ("policy1", "1", "1500000")):
        folder = f"/sys/devices/system/cpu/cpufreq/{policy}"
        write(tmp_path, f"{folder}/affected_cpus", f"{cpus}\n")
        write(tmp_path, f"{folder}/scaling_governor", "ondemand\n")
        write(tmp_path, f"{folder}/scaling_cur_freq", f"{current}\n")
        write(tmp_path, f"{folder}/scaling_max_freq", "1800000\n")
    for zone, kind, temperature in ((0, "cpu-thermal", "48199"), (1, "no-sensor", "-274000")):
        write(tmp_path, f"/sys/class/thermal/thermal_zone{zone}/type", f"{kind}\n")
        write(tmp_path, f"/sys/class/thermal/thermal_zone{zone}/temp", f"{temperature}\n")
    write(tmp_path, "/sys/class/power_supply/bat/type", "Battery\n")
    write(tmp_path, "/sys/class/power_supply/bat/capacity", "81\n")
    write(tmp_path, "/sys/class/power_supply/usb/type", "USB\n")
    write(tmp_path, "/sys/class/power_supply/usb/status", "ignored\n")
    return tmp_path


def test_the_agent_is_python_3_9_and_knows_nothing_of_the_project() -> None:
    tree = ast.parse(AGENT.read_text(encoding="utf-8"), feature_version=(3, 9))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= set(sys.stdlib_module_names) | {"numpy"}


def test_statistics_are_those_of_latency() -> None:
    times_ms = list(np.random.default_rng(3).gamma(2.0, 5.0, 101))
    ours, shared = agent.statistics(times_ms), Statistics.of(times_ms)
    assert (ours["median_ms"], ours["p10_ms"], ours["p90_ms"]) == (
        shared.median_ms,
        shared.p10_ms,
        shared.p90_ms,
    )


def test_thirds_show_a_device_that_slows_down() -> None:
    found = agent.statistics([1.0, 1.0, 5.0, 2.0, 3.0, 3.0, 9.0])
    # ceil(7 / 3) = 3 at both ends
    assert (found["first_third_ms"], found["last_third_ms"]) == (1.0, 3.0)
    assert (found["min_ms"], found["max_ms"]) == (1.0, 9.0)
    assert agent.statistics([4.0])["last_third_ms"] == 4.0


@pytest.mark.parametrize(
    ("shape", "dtype"), [([1, 3, 4], "float32"), (["batch", 2], "uint8"), ([-1, 5], "float16")]
)
def test_inputs_are_those_of_latency(shape: list[object], dtype: str) -> None:
    ours, shared = agent.example_input(shape, dtype), latency_engines.example_input(shape, dtype)
    assert ours.dtype == shared.dtype
    np.testing.assert_array_equal(ours, shared)


def test_an_input_of_texts_is_refused() -> None:
    with pytest.raises(agent.AgentError, match=r"numbers, got tensor\(string\)"):
        agent.example_input([1], "tensor(string)")


def test_facts_of_a_board(board: Path) -> None:
    facts = agent.read_facts(str(board))
    assert agent.describe_device(facts) == {
        "model": "Raspberry Pi 4 Model B Rev 1.4",
        "soc": "brcm,bcm2711",
        "system": "Linux",
        "kernel": "6.6.31+rpt-rpi-v8",
        "emulated": False,
    }
    assert agent.describe_cores(facts) == [
        {"cpu": 0, "implementer": 0x41, "part": 0xD03},
        {"cpu": 1, "implementer": 0x41, "part": 0xD08},
    ]
    assert agent.describe_state(facts) == {
        "policy0 governor": "ondemand",
        "policy1 governor": "ondemand",
        "policy0 current, MHz": 600.0,
        "policy1 current, MHz": 1500.0,
        "policy0 maximum, MHz": 1800.0,
        "policy1 maximum, MHz": 1800.0,
        "bat capacity": "81",
        "thermal_zone0 cpu-thermal, °C": 48.199,  # the other zone is colder than anything
    }


def test_the_registers_of_a_core_come_before_cpuinfo(board: Path) -> None:
    identification = "regs/identification/midr_el1"
    # implementer 0x51, variant 0xd, architecture 0xf, part 0x804, revision 0xe
    write(
        board,
        f"/sys/devices/system/cpu/cpu1/{identification}",
        "0x00000000 51df804e".replace(" ", ""),
    )
    write(
        board, f"/sys/devices/system/cpu/cpu0/{identification}", "0x0000000000000000"
    )  # says nothing
    cores = agent.describe_cores(agent.read_facts(str(board)))
    assert [(core["implementer"], core["part"]) for core in cores] == [(0x41, 0xD03), (0x51, 0x804)]


def test_the_speed_is_that_of_cores_that_may_be_used(board: Path) -> None:
    facts = agent.read_facts(str(board))
    assert agent.spot(facts, [0]) == {"mhz": 600.0, "celsius": 48.199}
    assert agent.spot(facts, [])["mhz"] == 1500.0
    assert agent.spot({}, [0]) == {"mhz": None, "celsius": None}


@pytest.mark.parametrize(
    "facts",
    [
        {agent.EMULATED: "1"},
        {"/proc/cpuinfo": "model name : QEMU Virtual CPU"},
        {"ro.boot.qemu": "1"},
        {"/proc/device-tree/compatible": "linux,dummy-virt"},
    ],
)
def test_emulators_are_told_from_devices(facts: dict[str, str]) -> None:
    assert agent.describe_device(facts)["emulated"]


def test_android_tells_its_names_by_properties(board: Path) -> None:
    place = board / "system" / "bin" / "getprop"
    write(board, "/system/bin/getprop", '#!/bin/sh\necho "value of $1"\n')
    place.chmod(0o755)
    found = agent.describe_device(agent.read_facts(str(board)))
    assert found["model"] == "value of ro.product.manufacturer value of ro.product.model"
    assert found["system"] == "Android value of ro.build.version.release"


@pytest.mark.parametrize("name", ["detector_int8.onnx", "detector_int8.tflite"])
def test_it_runs_alone_and_prints_one_line(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime" if name.endswith("onnx") else "ai_edge_litert")
    copy = tmp_path / "agent.py"
    copy.write_bytes(AGENT.read_bytes())
    found = subprocess.run(
        [sys.executable, str(copy), "--iterations", "4", "--warm-up", "1", str(MODELS / name)],
        cwd=tmp_path,
        env=ALONE,
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = found.stdout.splitlines()
    message = json.loads(line)
    (row,) = message["results"]
    assert (row["file"], row["iterations"], row["warm_up"]) == (name, 4, 1)
    assert row["sha256"] == latency_engines.load_subject(MODELS / name, 1).sha256
    assert row["runtime"] == name.rpartition(".")[2]
    assert row["actual_accelerator"] == "cpu"
    assert 0 < row["min_ms"] <= row["median_ms"] <= row["max_ms"]
    assert message["device"]["machine"] == os.uname().machine


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.onnx"], "expected a model at missing.onnx"),
        (["agent.py"], "expected agent.py to load on onnxruntime"),
        (["--engine", "tflite", "agent.py"], "expected a model for tflite, agent.py is for onnx"),
        (["--cpu-mask", f"{1 << 1000:x}", "agent.py"], "expected to run on cores [1000]"),
    ],
)
def test_what_cannot_be_measured_is_told_as_json(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "agent.py").write_text("no model", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert agent.main(arguments) == agent.EXIT_FAILED
    assert said in json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize(
    ("missing", "file", "said"),
    [
        ("numpy", "a.onnx", "expected numpy"),
        ("onnxruntime", "a.onnx", "pip install onnxruntime"),
        ("tflite_runtime", "a.tflite", "pip install ai-edge-litert"),
    ],
)
def test_what_is_not_installed_is_named(missing: str, file: str, said: str, tmp_path: Path) -> None:
    for name in (missing, "ai_edge_litert"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not here')", encoding="utf-8")
    contents = b"\0\0\0\0TFL3" if file.endswith("tflite") else b"\0" * 8
    (tmp_path / file).write_bytes(contents)
    (tmp_path / "agent.py").write_bytes(AGENT.read_bytes())
    found = subprocess.run(
        [sys.executable, "agent.py", file],
        cwd=tmp_path,
        env=ALONE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == agent.EXIT_FAILED, found.stderr
    assert said in json.loads(found.stdout)["error"]


def test_it_ends_with_its_connection(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("import time; time.sleep(60)", encoding="utf-8")
    (tmp_path / "agent.py").write_bytes(AGENT.read_bytes())
    process = subprocess.Popen(
        [sys.executable, "agent.py", "--end-with-stdin", "a.onnx"],
        cwd=tmp_path,
        env=ALONE,
        stdin=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=30) == agent.EXIT_ABANDONED
