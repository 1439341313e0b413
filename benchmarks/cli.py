"""The command line: one sub-command per benchmark, each in a module of its own."""

import argparse
import sys
from collections.abc import Sequence
from typing import Final, Protocol

from benchmarks.errors import BenchmarkError

EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130  # as shells report a process ended by SIGINT


class Command(Protocol):
    """A module with one sub-command."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it; returns the exit status.

        Raises:
            BenchmarkError: it could not be done.
        """


def run_commands(commands: dict[str, Command], argv: Sequence[str] | None = None) -> int:
    """Run the sub-command that was asked for.

    Args:
        commands: by name.
        argv: the arguments; None for the process's own.

    Returns:
        the exit status.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="What the models cost: counts, host times, ARM instructions, estimates.",
    )
    places = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in commands.items():
        command.add_arguments(places.add_parser(name, help=command.HELP, description=command.HELP))
    args = parser.parse_args(argv)
    try:
        return commands[args.command].run(args)
    except BenchmarkError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
