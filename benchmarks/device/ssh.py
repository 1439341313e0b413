"""A board with an SSH server and a POSIX shell; its own Python runs the agent."""

import hashlib
import json
import secrets
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.device.cores import require_arm_machine
from benchmarks.device.probe import parse_probe
from benchmarks.device.process import Output, run_program
from benchmarks.errors import BenchmarkError

AGENT: Final = Path(__file__).parent / "agent.py"
STEP_LIMIT_S: Final = 120.0  # to connect, to copy a file
_CONNECT_S: Final = 10
_SSH_FAILED: Final = 255  # of ssh itself; others are those of the command
_NO_COMMAND: Final = 127


@dataclass(frozen=True, slots=True)
class Board:
    """How to reach it.

    Attributes:
        host: as for ssh: a name of its configuration, or user@address.
        port: None for that of the configuration.
        config: file of ssh's configuration; None for the user's.
    """

    host: str
    port: int | None = None
    config: Path | None = None

    def __post_init__(self) -> None:
        """Check the name.

        Raises:
            BenchmarkError: ssh would take it for an option.
        """
        if not self.host or self.host.startswith("-"):
            raise BenchmarkError(f"expected a host such as pi@192.168.0.7, got {self.host!r}")

    def run(
        self, script: str, doing: str, limit_s: float = STEP_LIMIT_S, source: Path | None = None
    ) -> Output:
        """Run a shell script there; see ``run_program``.

        Raises:
            BenchmarkError: the board cannot be reached, or takes too long.
        """
        command = ["ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={_CONNECT_S}"]
        command += ["-o", "ServerAliveInterval=15", "-o", "LogLevel=ERROR"]
        command += ["-F", str(self.config)] if self.config else []
        command += ["-p", str(self.port)] if self.port else []
        # One word for the board's login shell, which need not be a POSIX one.
        command += ["--", self.host, f"sh -c {shlex.quote(script)}"]
        found = run_program(command, doing, limit_s, source)
        if found.status == _SSH_FAILED:
            raise BenchmarkError(
                f"expected {doing} on {self.host} over ssh, it cannot be reached: {found.words}"
            )
        return found

    def must(self, script: str, doing: str, source: Path | None = None) -> str:
        """Run a script that has to succeed; returns what it wrote.

        Raises:
            BenchmarkError: it failed, too.
        """
        found = self.run(script, doing, source=source)
        if found.status != 0:
            raise BenchmarkError(
                f"expected {doing} on {self.host}, it ended with {found.status}: {found.words}"
            )
        return found.text

    @contextmanager
    def folder(self) -> Iterator[str]:
        """A new folder there, as a word for its shell; removed at the end, whatever happens.

        Raises:
            BenchmarkError: it cannot be made.
        """
        # Named here, so that it can be removed even when the answer to mkdir never came.
        name = f'"${{TMPDIR:-/tmp}}"/atpn_benchmark.{secrets.token_hex(8)}'
        made = False
        try:
            self.must(f"umask 077; mkdir {name} {name}/models", "to make a folder")
            made = True
            yield name
        finally:
            try:
                self.must(f"rm -rf {name}", "to remove the folder")
            except BenchmarkError as error:  # must not hide why the measurement failed
                if made:
                    sys.stderr.write(f"{name} is left on {self.host}: {error}\n")


def measure_board(
    board: Board,
    files: Sequence[Path],
    python: str,
    options: Sequence[str],
    limit_s: float,
    probe: Path | None = None,
) -> Mapping[str, Any]:
    """Run the agent on a board.

    Args:
        board: where.
        files: models.
        python: its interpreter; a relative path begins at the user's home.
        options: of the agent.
        limit_s: seconds the run may take.
        probe: the compiled probe.c, to run it too.

    Returns:
        what the agent wrote.

    Raises:
        BenchmarkError: the board cannot be reached, is no ARM one, has not what it takes, runs
            other files than these, or the agent failed.
    """
    require_arm_machine(board.must("uname -m", "to ask for the processor").strip())
    with board.folder() as folder:
        sent = {AGENT: f"{folder}/agent.py"}
        sent |= {path: f"{folder}/models/{shlex.quote(path.name)}" for path in files}
        for path, place in sent.items():
            board.must(f"cat > {place}", f"to copy {path.name}", path)
        words = [shlex.quote(python), f"{folder}/agent.py", "--end-with-stdin"]
        words += [shlex.quote(option) for option in options]
        words += [sent[path] for path in files]
        found = board.run(f"exec {' '.join(words)}", "to run the models", limit_s)
        message = parse_message(found, board.host, python)
        check_hashes(message, {path.name: path for path in files})
        if probe:
            place = f"{folder}/probe"
            board.must(f"cat > {place} && chmod +x {place}", "to copy the probe", probe)
            core = str(message["affinity"]).rpartition(",")[2]
            text = board.must(f"{place} {shlex.quote(core)}", "to run the probe")
            return {**message, "probe": parse_probe(text)}
        return message


def parse_message(found: Output, host: str, python: str) -> dict[str, Any]:
    """What the agent wrote.

    Raises:
        BenchmarkError: it failed.
    """
    if found.status == _NO_COMMAND:
        raise BenchmarkError(
            f"expected {python} on {host}, it cannot be run (choose one with --python): "
            f"{found.words}"
        )
    lines = found.text.strip().splitlines()  # engines may write lines of their own
    try:
        message = json.loads(lines[-1])
    except (ValueError, IndexError):
        message = None
    if not isinstance(message, dict) or not {"results", "error"} & message.keys():
        raise BenchmarkError(
            f"expected the agent on {host} to end with its result, it ended with "
            f"{found.status}:\n{found.words}"
        )
    if "error" in message:
        raise BenchmarkError(f"{host}: {message['error']}")
    return message


def check_hashes(message: Mapping[str, Any], files: Mapping[str, Path]) -> None:
    """Check that the files that ran are the ones that are here.

    Raises:
        BenchmarkError: one is not.
    """
    found = {str(row["file"]): str(row["sha256"]) for row in message["results"]}
    wanted = {name: sha256_of(path) for name, path in files.items()}
    if found != wanted:
        raise BenchmarkError(f"expected the device to run {wanted}, it ran {found}")


def sha256_of(path: Path) -> str:
    """Of a file's contents."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
