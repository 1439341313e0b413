"""``device ssh`` for real: an OpenSSH server on this machine whose Python is the emulated ARM one.

And the probe, compiled for ARM and run by the emulator. No times are looked at.
"""

import getpass
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from atpn_mobile import load_manifest
from benchmarks.arm.emulator import Emulator
from benchmarks.cli import EXIT_FAILED, EXIT_INTERRUPTED, run_commands
from benchmarks.device import agent, command
from benchmarks.device.probe import RATES, build_probe, probe_row
from benchmarks.record import read_record

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
PRIVILEGE_SEPARATION = Path("/run/sshd")  # made when Debian's service starts; root needs it
PATIENCE_S = 60.0
MODELS = load_manifest().folder
CLI = "import sys; from benchmarks.cli import run_commands; from benchmarks.device import command;"
CLI += "sys.exit(run_commands({'device': command}))"


def arm(emulator: Emulator, core: str = "a76", **environment: str) -> list[str]:
    """The words before an ARM program and its arguments."""
    settings = [word for name, value in environment.items() for word in ("-E", f"{name}={value}")]
    view = ["-cpu", "cortex-a76", "-L", str(emulator.folder / "cores" / core), *settings]
    return emulator.host_command("qemu-aarch64", *view)


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def wait_for(reached: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < end, f"expected {what}"
        time.sleep(0.05)


class Server:
    """A board: its ssh configuration, its temporary folder, its last Python's process."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.config = home / "config"
        self.temporary = home / "tmp"
        self.process_id = home / "process_id"
        self.port = free_port()

    def measure(self, *arguments: object) -> int:
        words = ["device", "ssh", "board", "--ssh-config", self.config, *arguments]
        return run_commands({"device": command}, [str(word) for word in words])


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as trying:
        return trying.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def server(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip(
            "no sshd and ssh: measuring a board over ssh is NOT tested for real; "
            "apt install openssh-server"
        )
    made = Server(tmp_path_factory.mktemp("board"))
    prepare(made, emulator)
    separated = os.geteuid() != 0 or PRIVILEGE_SEPARATION.exists()
    if not separated:
        PRIVILEGE_SEPARATION.mkdir(mode=0o755)
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", made.home / "sshd_config"])
    try:
        wait_for(lambda: process.poll() is not None or listens(made.port), "sshd to listen")
        assert process.poll() is None, "sshd ended"
        yield made
    finally:
        process.terminate()
        process.wait()
        if not separated:
            PRIVILEGE_SEPARATION.rmdir()


def prepare(made: Server, emulator: Emulator) -> None:
    """Keys, configurations, and the board's programs."""
    made.temporary.mkdir()
    for name in ("host_key", "user_key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", made.home / name], check=True
        )
    public = (made.home / "host_key.pub").read_text(encoding="utf-8")
    (made.home / "known_hosts").write_text(f"[127.0.0.1]:{made.port} {public}", encoding="utf-8")
    (made.home / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {made.port}\nHostKey {made.home}/host_key\n"
        f"PidFile {made.home}/sshd.pid\nAuthorizedKeysFile {made.home}/user_key.pub\n"
        f"StrictModes no\nUsePAM no\nPasswordAuthentication no\nLogLevel ERROR\n"
        f"PermitRootLogin prohibit-password\nForceCommand {made.home}/shell\n",
        encoding="utf-8",
    )
    made.config.write_text(
        f"Host board\n  HostName 127.0.0.1\n  Port {made.port}\n  User {getpass.getuser()}\n"
        f"  IdentityFile {made.home}/user_key\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {made.home}/known_hosts\n",
        encoding="utf-8",
    )
    programs = made.home / "bin"
    programs.mkdir()
    script(
        made.home / "shell",
        f"export PATH={programs}:/usr/bin:/bin TMPDIR={made.temporary}\n"
        'exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"',
    )
    common = {
        agent.EMULATED: "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    script(programs / "uname", "echo aarch64")
    python = emulator.folder / "root" / "usr" / "bin" / "python3.11"
    for name, packages in (("python3", str(emulator.folder / "site")), ("bare_python", "")):
        words = [*arm(emulator, PYTHONPATH=packages, **common), str(python)]
        script(
            programs / name,
            f'echo $$ > {made.process_id}\nexec env -i {shlex.join(words)} "$@"',
        )


def test_a_board_is_measured_over_ssh(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "result.json"
    names = ("detector_int8.onnx", "detector_int8.tflite")
    files = [MODELS / name for name in names]
    settings = ["--iterations", 2, "--warm-up", 0, "--threads", 1]
    assert server.measure("--files", *files, *settings, "--json", target) == 0
    record = read_record(target)
    assert record.kind == "device"
    assert "an emulator" in record.conditions.machine
    assert "Cortex-A76" in record.conditions.machine
    assert record.conditions.machine.endswith("aarch64")
    assert record.note.startswith("From an emulator")
    rows = record.tables["hot"].rows
    assert [row["file"] for row in rows] == list(names)
    artifacts = {one.path: one for model in load_manifest().models for one in model.artifacts}
    assert [row["sha256"] for row in rows] == [artifacts[name].sha256 for name in names]
    assert [row["runtime"] for row in rows] == ["onnx", "tflite"]
    assert str(rows[0]["engine"]).startswith("onnxruntime ")
    assert str(rows[1]["engine"]).startswith("ai-edge-litert ")
    for row in rows:
        assert (row["iterations"], row["warm_up"], row["precision"]) == (2, 0, "int8")
        assert {value for name, value in row.items() if name.endswith("_ms")} == {None}
    assert record.conditions.packages["python"].startswith("3.")
    assert "no times" in capsys.readouterr().out
    assert list(server.temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--python", "bare_python"], "board: expected numpy"),
        (["--python", "no_python"], "choose one with --python"),
        (["--port", str(free_port())], "cannot be reached"),
    ],
)
def test_boards_that_lack_something(
    server: Server, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    files = ["--files", MODELS / "detector_int8.onnx"]
    assert server.measure(*files, *arguments) == EXIT_FAILED
    assert said in capsys.readouterr().err
    assert list(server.temporary.iterdir()) == []


def test_a_board_with_another_key_gets_nothing(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "config"
    text = server.config.read_text(encoding="utf-8")
    other.write_text(text.replace("known_hosts", "user_key.pub"), encoding="utf-8")
    files = ["--files", MODELS / "detector_int8.onnx"]
    assert server.measure(*files, "--ssh-config", other) == EXIT_FAILED
    assert "Host key verification failed" in capsys.readouterr().err


def test_an_interruption_leaves_nothing_on_the_board(server: Server) -> None:
    server.process_id.unlink(missing_ok=True)
    words = ["device", "ssh", "board", "--ssh-config", server.config, "--iterations", "1000000"]
    words += ["--files", MODELS / "detector_int8.onnx"]
    process = subprocess.Popen(
        [sys.executable, "-c", CLI, *words],
        env={**os.environ, "PYTHONPATH": str(Path(command.__file__).parents[2])},
    )
    try:
        wait_for(server.process_id.exists, "the board's Python to run")
        assert len(list(server.temporary.iterdir())) == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == EXIT_INTERRUPTED
    finally:
        process.kill()
        process.wait()
    assert list(server.temporary.iterdir()) == []
    there = Path("/proc") / server.process_id.read_text(encoding="ascii").strip()
    wait_for(lambda: not there.exists(), "the board's Python to end with its connection")


def test_the_probe_runs_on_arm(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = emulator.folder / "host"
    compiler = host / "usr" / "bin" / "aarch64-linux-gnu-gcc"
    monkeypatch.setenv("LD_LIBRARY_PATH", str(host / "usr" / "lib" / "x86_64-linux-gnu"))
    program = tmp_path / "probe"
    options = "-std=gnu11 -Wall -Wextra -Werror"
    build_probe(program, f"{compiler} --sysroot={host} {options}")
    monkeypatch.delenv("LD_LIBRARY_PATH")
    core = max(os.sched_getaffinity(0))
    found = subprocess.run(
        [*arm(emulator), str(program), str(core), "1"], capture_output=True, text=True, check=True
    )
    row = probe_row(json.loads(found.stdout), emulated=False)
    assert row["cpu"] == core
    assert int(str(row["midr"]), 16) >> 4 & 0xFFF == 0xD0B  # a Cortex-A76
    assert row["online"] == "0-3"  # of the emulated system
    assert all(float(row[name]) > 0 for name in RATES)  # type: ignore[arg-type]
    refused = subprocess.run(
        [*arm(emulator), str(program), "1000"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "core 1000" in refused.stderr
