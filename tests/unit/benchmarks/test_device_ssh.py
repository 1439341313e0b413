"""Boards: an ``ssh`` that runs the commands here, and what goes wrong on the way."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.device.ssh import Board, measure_board
from benchmarks.errors import BenchmarkError

# The last word is the command; what stands before it is kept for the test.
SSH = """\
#!/bin/sh
for last in "$@"; do :; done
echo "$@" >> {home}/calls
[ -e {home}/unreachable ] && echo "ssh: connect to host board: No route to host" >&2 && exit 255
TMPDIR={home}/tmp TEST={pid} exec sh -c "$last"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The board's folders; a "Python" there is a shell script."""
    place = tmp_path / "home"
    (place / "bin").mkdir(parents=True)
    (place / "tmp").mkdir()
    ssh = place / "bin" / "ssh"
    ssh.write_text(SSH.format(home=place, pid=os.getpid()), encoding="utf-8")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place / 'bin'}:{os.environ['PATH']}")
    call_itself(place, "aarch64")
    return place


def call_itself(home: Path, machine: str) -> None:
    path = home / "bin" / "uname"
    path.write_text(f"#!/bin/sh\necho {machine}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "it's a net.onnx"  # a name that a shell would take apart
    path.write_bytes(b"network")
    return path


def python(home: Path, text: str) -> str:
    path = home / "python"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def honest(home: Path) -> str:
    """Hashes the last argument, as the agent does."""
    body = "import hashlib, json, pathlib, sys; p = pathlib.Path(sys.argv[-1]); print(json.dumps("
    body += "{'results': [{'file': p.name, 'sha256': hashlib.sha256(p.read_bytes()).hexdigest()}],"
    body += " 'affinity': '4,5', 'arguments': sys.argv[1:]}))"
    return python(home, f'echo a word of the engine\n{sys.executable} -IS -c "{body}" "$@"')


def test_a_board_runs_what_was_sent_and_is_left_clean(home: Path, model: Path) -> None:
    board = Board("pi@board", 2222, Path("config"))
    message = measure_board(board, [model], honest(home), ["--threads", "2"], 20)
    agent, *options = message["arguments"]
    assert agent.startswith(f"{home}/tmp/atpn_benchmark.")
    assert options[:-1] == ["--end-with-stdin", "--threads", "2"]
    calls = (home / "calls").read_text(encoding="utf-8")
    assert "-F config -p 2222 -- pi@board sh -c" in calls
    assert list((home / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            'echo \'{"error": "expected numpy: pip install numpy"}\'; exit 1',
            "board: expected numpy",
        ),
        ("echo Traceback >&2; echo 'MemoryError: all of it' >&2; exit 1", "MemoryError: all of it"),
        ("kill -ILL $$", "expected the agent on board to end with its result"),
        ("exit 127", "choose one with --python"),
        ('echo \'{"results": [{"file": "other", "sha256": "0"}]}\'', "expected the device to run"),
    ],
)
def test_nothing_is_left_after_a_failure(home: Path, model: Path, script: str, said: str) -> None:
    with pytest.raises(BenchmarkError, match=said):
        measure_board(Board("board"), [model], python(home, script), [], 20)
    assert list((home / "tmp").iterdir()) == []


def test_nothing_is_left_after_an_interruption(home: Path, model: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        measure_board(Board("board"), [model], python(home, 'kill -INT "$TEST"; sleep 1'), [], 20)
    assert list((home / "tmp").iterdir()) == []


def test_a_run_that_takes_too_long(home: Path, model: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"expected to run the models within 0\.2 s"):
        measure_board(Board("board"), [model], python(home, "sleep 3"), [], 0.2)
    assert list((home / "tmp").iterdir()) == []


def test_an_unreachable_board(home: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "unreachable").touch()
    with pytest.raises(BenchmarkError, match=r"cannot be reached: .*No route to host"):
        measure_board(Board("board"), [model], "python3", [], 20)
    assert "is left on" not in capsys.readouterr().err  # nothing was made there


def test_a_file_that_cannot_be_read(home: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="expected to read"):
        measure_board(Board("board"), [tmp_path / "missing"], "python3", [], 20)
    assert list((home / "tmp").iterdir()) == []


def test_the_probe_runs_too(home: Path, model: Path, tmp_path: Path) -> None:
    probe = tmp_path / "probe"
    probe.write_text('#!/bin/sh\necho "{\\"cpu\\": $1}"\n', encoding="utf-8")
    message = measure_board(Board("board"), [model], honest(home), [], 20, probe)
    assert message["probe"] == {"cpu": 5}  # the last one that the agent might use


@pytest.mark.parametrize("host", ["", "-oProxyCommand=anything"])
def test_hosts_that_are_options(host: str) -> None:
    with pytest.raises(BenchmarkError, match="expected a host"):
        Board(host)


def test_a_computer_is_no_board(home: Path, model: Path) -> None:
    call_itself(home, "x86_64")
    with pytest.raises(BenchmarkError, match="expected an ARM device, got 'x86_64'"):
        measure_board(Board("board"), [model], honest(home), [], 20)
    assert list((home / "tmp").iterdir()) == []
