"""Phones: an ``adb`` that records its calls and runs the commands in a folder's shell."""

import json
import os
import sys
from pathlib import Path

import pytest

from benchmarks.cli import EXIT_FAILED, EXIT_INTERRUPTED, run_commands
from benchmarks.device import adb, command
from benchmarks.errors import BenchmarkError
from benchmarks.record import read_record

PLACES = ("/data/local/tmp", "/sys/", "/proc/")
ADB = """\
#!{python} -IS
import os, pathlib, shutil, subprocess, sys
home = pathlib.Path({home!r})
with (home / "calls").open("a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
def there(text):
    for place in {places!r}:
        text = text.replace(place, f"{{home}}/phone{{place}}")
    return text
if sys.argv[1:] == ["devices"]:
    print((home / "devices").read_text())
    sys.exit()
_, serial, what, *rest = sys.argv[1:]
if what == "push":
    shutil.copy(rest[0], there(rest[1]))
    print(f"{{rest[0]}}: 1 file pushed, 0 skipped.")
    sys.exit()
path = f"{{home}}/bin:/usr/bin:/bin"
found = subprocess.run(["sh", "-c", there(rest[0])], env={{"PATH": path, "TEST": "{pid}"}},
                       stdout=subprocess.PIPE)
sys.stdout.write(found.stdout.decode().replace(f"{{home}}/phone", ""))
sys.exit(found.returncode)
"""
LOG = """\
INFO: Created TensorFlow Lite delegate for GPU.
VERBOSE: Replacing 60 out of 64 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 2 \
partitions for subgraph 0.
INFO: count=9 first=9876 curr=6100 min=6050 max=9876 avg=6200.5 std=420 p5=6060 median=6105 p95=6400
INFO: count=200 first=6110 curr=6095 min=6040 max=7012 avg=6123.25 std=88 p5=6052 median=6101 \
p95=6300
INFO: Inference timings in us: Init: 12345, First inference: 9876, Warmup (avg): 6200.5, \
Inference (avg): 6123.25
"""
PROBE = {
    "cpu": 5,
    "midr": "0x411fd050",
    "online": "0-7",
    "governor": "schedutil",
    "min_khz": "300000",
    "max_khz": "1803000",
    "current_khz": "1803000",
    "clock_mhz": 1802.5,
    "scalar_gmac_s": 1.8,
    "neon_gmac_s": 7.2,
    "read_gb_s": 6.5,
    "zones": [["soc-thermal", "41000"]],
}
PROPERTIES = {
    "ro.product.manufacturer": "Google",
    "ro.product.model": "Pixel 6",
    "ro.soc.manufacturer": "Google",
    "ro.soc.model": "Tensor",
    "ro.build.version.release": "14",
}
ATTACHED = "List of devices attached\nABC123\tdevice\n"


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def speaking(path: Path, text: str) -> Path:
    return program(path, f"cat <<'EOF'\n{text}\nEOF")


class FakePhone:
    """What stands on the phone, and what was asked of it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.root = home / "phone"
        for name, text in (
            ("proc/cpuinfo", "processor : 0\nCPU implementer : 0x41\nCPU part : 0xd05\n"),
            ("proc/sys/kernel/osrelease", "5.10.157-android13\n"),
            ("sys/devices/system/cpu/online", "0-7\n"),
            ("sys/devices/system/cpu/cpufreq/policy4/affected_cpus", "4 5 6 7\n"),
            ("sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq", "2253000\n"),
            ("sys/devices/system/cpu/cpufreq/policy4/scaling_governor", "sched_pixel\n"),
            ("sys/class/thermal/thermal_zone0/type", "BIG\n"),
            ("sys/class/thermal/thermal_zone0/temp", "41000\n"),
            ("data/local/tmp/of_someone_else", "to be kept"),
        ):
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        answers = "\n".join(f"{name}) echo '{value}';;" for name, value in PROPERTIES.items())
        program(home / "bin" / "getprop", f'case "$1" in\n{answers}\nesac')
        dumpsys = "battery) echo '  USB powered: true\n  level: 80\n  temperature: 312';;"
        dumpsys += "thermalservice) echo 'IsStatusOverride: false\nThermal Status: 1';;"
        program(home / "bin" / "dumpsys", f'case "$1" in\n{dumpsys}\nesac')
        program(home / "bin" / "uname", "echo aarch64")
        # heats up the phone, too
        heat = self.root / "sys/class/thermal/thermal_zone0/temp"
        program(home / "bin" / "taskset", f'shift; echo 55000 > {heat}; exec "$@"')
        self.attach(ATTACHED)
        script = ADB.format(python=sys.executable, home=str(home), places=PLACES, pid=os.getpid())
        (home / "bin" / "adb").write_text(script, encoding="utf-8")
        (home / "bin" / "adb").chmod(0o755)

    def attach(self, devices: str) -> None:
        (self.home / "devices").write_text(devices, encoding="utf-8")

    @property
    def calls(self) -> list[str]:
        return (self.home / "calls").read_text(encoding="utf-8").splitlines()

    @property
    def left(self) -> list[str]:
        return [path.name for path in (self.root / "data" / "local" / "tmp").iterdir()]


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePhone:
    made = FakePhone(tmp_path / "home")
    monkeypatch.setenv("PATH", f"{made.home / 'bin'}:{os.environ['PATH']}")
    return made


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.tflite"
    path.write_bytes(b"\0\0\0\0TFL3 network")
    return path


def device(*arguments: object) -> int:
    return run_commands({"device": command}, ["device", "adb", *map(str, arguments)])


def test_a_phone_is_measured_and_left_as_it_was(
    phone: FakePhone, model: Path, tmp_path: Path
) -> None:
    binary = speaking(tmp_path / "benchmark_model", LOG)
    probe = speaking(tmp_path / "probe", json.dumps(PROBE))
    target = tmp_path / "result.json"
    arguments = ["--files", model, "--benchmark-binary", binary, "--probe", probe, "--use-gpu"]
    assert device(*arguments, "--cpu-mask", "30", "--threads", "2", "--json", target) == 0
    record = read_record(target)
    assert record.kind == "device"
    assert record.conditions.machine == (
        "Google Pixel 6, Google Tensor, Cortex-A55, Android 14, aarch64"
    )
    (row,) = record.tables["hot"].rows
    assert {name: row[name] for name in ("file", "runtime", "threads", "iterations")} == {
        "file": "net.tflite",
        "runtime": "tflite",
        "threads": 2,
        "iterations": 200,
    }
    assert (row["median_ms"], row["mean_ms"], row["p95_ms"]) == (6.101, 6.1232, 6.3)
    assert (row["requested_accelerator"], row["actual_accelerator"]) == (
        "gpu",
        "gpu: 60 of 64 nodes",
    )
    assert (row["before_mhz"], row["before_celsius"], row["after_celsius"]) == (2253.0, 41.0, 55.0)
    assert row["status"] == "measured on Google Pixel 6"
    states = {
        state["item"]: (state["before"], state["after"]) for state in record.tables["state"].rows
    }
    assert states["thermal_zone0 BIG, °C"] == (41.0, 55.0)
    assert states["policy4 governor"] == ("sched_pixel", "sched_pixel")
    assert states["battery, °C"] == (31.2, 31.2)
    assert states["thermal status (0 none, 6 shutdown)"] == ("1", "1")
    (probed,) = record.tables["probe"].rows
    assert (probed["neon_gmac_s"], probed["maximum_mhz"]) == (7.2, 1803.0)
    assert record.conditions.settings["affinity"] == "4,5"
    (ran,) = [call for call in phone.calls if "--graph" in call]
    assert ran.startswith("-s ABC123 shell taskset 30 /data/local/tmp/atpn_benchmark.")
    assert ran.endswith("--num_threads=2 --num_runs=200 --warmup_runs=20 --use_gpu=true 2>&1")
    assert any(call.endswith("/probe 5") for call in phone.calls)  # the last core of the mask
    assert phone.left == ["of_someone_else"]
    text = target.read_text(encoding="utf-8")
    assert "ABC123" not in text  # nobody's serial number in a result


@pytest.mark.parametrize(
    ("devices", "serial", "said"),
    [
        ("List of devices attached\n\n", None, "expected a phone with USB debugging"),
        ("List of devices attached\nA\tdevice\nB\tdevice\n", None, "choose with --serial"),
        ("List of devices attached\nA\tdevice\n", "C", r"expected the phone C .* \['A'\]"),
        ("List of devices attached\nA\tunauthorized\n", None, "accept this computer's key"),
        ("List of devices attached\nA\toffline\n", None, "adb says 'offline'"),
        (
            "List of devices attached\nA\tno permissions (verify udev rules); see [http://x]\n",
            None,
            "no permissions",
        ),
    ],
)
def test_phones_that_cannot_be_used(
    phone: FakePhone, devices: str, serial: str | None, said: str
) -> None:
    phone.attach(devices)
    with pytest.raises(BenchmarkError, match=said):
        adb.find_phone(serial)
    assert phone.calls == ["devices"]


def test_one_of_several_phones_is_chosen(phone: FakePhone) -> None:
    phone.attach("* daemon started successfully\nList of devices attached\nA\tdevice\nB\tdevice\n")
    assert adb.find_phone("B").serial == "B"


def test_no_adb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchmarkError, match="expected the program adb"):
        adb.find_phone(None)


@pytest.mark.parametrize(
    ("script", "status", "said"),
    [
        ("echo 'ERROR: Failed to mmap model'; exit 1", EXIT_FAILED, "ERROR: Failed to mmap model"),
        ("echo STARTING!", EXIT_FAILED, "expected the times of benchmark_model"),
        ("kill -SEGV $$", EXIT_FAILED, "expected benchmark_model to run net.tflite"),
        ('kill -INT "$TEST"; sleep 1', EXIT_INTERRUPTED, ""),
    ],
)
def test_nothing_is_left_after_a_failure(
    phone: FakePhone,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    script: str,
    status: int,
    said: str,
) -> None:
    binary = program(tmp_path / "benchmark_model", script)
    target = tmp_path / "result.json"
    found = device("--files", model, "--benchmark-binary", binary, "--json", target)
    assert found == status
    assert said in capsys.readouterr().err
    assert phone.left == ["of_someone_else"]
    assert not target.exists()


def test_a_run_that_takes_too_long(phone: FakePhone, model: Path, tmp_path: Path) -> None:
    binary = program(tmp_path / "benchmark_model", "sleep 3")
    with pytest.raises(BenchmarkError, match=r"within 0\.2 s"):
        adb.measure_phone(adb.Phone("ABC123"), [model], binary, adb.Options(), limit_s=0.2)
    assert phone.left == ["of_someone_else"]


def test_a_file_that_arrives_broken(phone: FakePhone, model: Path, tmp_path: Path) -> None:
    program(phone.home / "bin" / "sha256sum", "echo 0123 broken")
    binary = speaking(tmp_path / "benchmark_model", LOG)
    with pytest.raises(BenchmarkError, match=r"expected sha256 .* got: 0123 broken"):
        adb.measure_phone(adb.Phone("ABC123"), [model], binary, adb.Options(), limit_s=9)
    assert phone.left == ["of_someone_else"]


def test_a_failing_clean_up_hides_no_error(
    phone: FakePhone, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program(phone.home / "bin" / "rm", "echo 'device offline' >&2; exit 1")
    binary = program(tmp_path / "benchmark_model", "exit 3")
    with pytest.raises(BenchmarkError, match="it ended with 3"):
        adb.measure_phone(adb.Phone("ABC123"), [model], binary, adb.Options(), limit_s=9)
    assert "is left on the phone" in capsys.readouterr().err


def test_a_program_for_another_processor_is_not_copied(
    phone: FakePhone, model: Path, tmp_path: Path
) -> None:
    binary = tmp_path / "benchmark_model"
    binary.write_bytes(b"\x7fELF\2\1\1" + b"\0" * 11 + (62).to_bytes(2, "little"))  # x86-64
    with pytest.raises(BenchmarkError, match="64-bit ARM or 32-bit ARM"):
        adb.measure_phone(adb.Phone("ABC123"), [model], binary, adb.Options(), limit_s=9)
    assert not (phone.home / "calls").exists()


def test_an_emulator_gets_no_times(
    phone: FakePhone, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program(phone.home / "bin" / "getprop", 'case "$1" in ro.boot.qemu) echo 1;; esac')
    binary = speaking(tmp_path / "benchmark_model", LOG)
    target = tmp_path / "result.json"
    assert device("--files", model, "--benchmark-binary", binary, "--json", target) == 0
    (row,) = read_record(target).tables["hot"].rows
    assert {value for name, value in row.items() if name.endswith("_ms")} == {None}
    assert "6.1" not in capsys.readouterr().out


def test_something_to_run_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert device() == EXIT_FAILED
    assert "--benchmark-binary, --probe or both" in capsys.readouterr().err


def test_an_android_on_another_processor(phone: FakePhone, model: Path, tmp_path: Path) -> None:
    program(phone.home / "bin" / "uname", "echo x86_64")
    binary = speaking(tmp_path / "benchmark_model", LOG)
    with pytest.raises(BenchmarkError, match="expected an ARM device, got 'x86_64'"):
        adb.measure_phone(adb.Phone("ABC123"), [model], binary, adb.Options(), limit_s=9)
    assert phone.left == ["of_someone_else"]
