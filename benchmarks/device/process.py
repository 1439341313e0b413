"""Programs of this machine that talk to a device."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.errors import BenchmarkError

_SHOWN_LINES: Final = 8  # of what a program that failed wrote


@dataclass(frozen=True, slots=True)
class Output:
    """What a program left.

    Attributes:
        status: its exit status.
        text: its standard output.
        errors: its standard error.
    """

    status: int
    text: str
    errors: str

    @property
    def words(self) -> str:
        """The end of what it wrote, for a message."""
        lines = (self.errors.strip() or self.text.strip() or "nothing").splitlines()
        return "\n".join(lines[-_SHOWN_LINES:])


def run_program(
    command: Sequence[str], doing: str, limit_s: float, source: Path | None = None
) -> Output:
    """Run a program to its end.

    Args:
        command: the program and its arguments.
        doing: what for, for a message: "to copy the agent".
        limit_s: seconds it may take.
        source: file that it reads; None for an input that stays open and says nothing, which a
            program on the other side sees closed when this one ends in whatever way.

    Raises:
        BenchmarkError: it is missing, takes too long, or ``source`` cannot be read.
    """
    with _opened(source) as stdin:
        try:
            process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise BenchmarkError(
                f"expected the program {command[0]} {doing}, it cannot be run: "
                f"{error.strerror or error}"
            ) from error
        with process:
            try:
                text, errors = process.communicate(timeout=limit_s)
            except subprocess.TimeoutExpired as error:
                raise BenchmarkError(
                    f"expected {doing} within {limit_s:g} s, it did not end"
                ) from error
            finally:  # of an interruption, too
                process.kill()
                process.wait()
    return Output(process.returncode, text, errors)


@contextmanager
def _opened(source: Path | None) -> Iterator[int]:
    if source is not None:
        try:
            file = source.open("rb")
        except OSError as error:
            raise BenchmarkError(f"expected to read {source}, got: {error}") from error
        with file:
            yield file.fileno()
        return
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)
