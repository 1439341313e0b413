"""``device``: times of model files on a phone or a board, in the tables of ``latency``."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from atpn_mobile import AtpnError, load_manifest
from benchmarks.device import adb, ssh
from benchmarks.device.probe import COMPILER, build_probe
from benchmarks.device.results import describe, record_of
from benchmarks.errors import BenchmarkError
from benchmarks.latency_engines import runtime_of
from benchmarks.record import Record, to_json, write_record

HELP: Final = "time model files on a phone or a board: over adb, over ssh, in Termux"
RUNTIMES: Final = ("onnx", "tflite")
TERMUX: Final = """\
In Termux on the phone (docs/device.md has the details):

  pkg install python python-numpy python-onnxruntime
  termux-setup-storage            # so that it may read the Download folder

Copy these to the phone's Download folder:

  {agent}
  {files}

In Termux again:

  cd ~/storage/downloads
  python agent.py {names} > result.json

Copy result.json back, and here:

  python -m benchmarks device import result.json --json PATH
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    ways = parser.add_subparsers(dest="way", required=True, metavar="WAY")
    board = ways.add_parser("ssh", help="an ARM board with an SSH server, Python and an engine")
    board.add_argument("host", metavar="HOST", help="name, or user@address")
    board.add_argument("--port", type=_above_zero)
    board.add_argument("--ssh-config", type=Path, metavar="FILE", help="instead of the user's")
    board.add_argument("--python", default="python3", help="of the board; default: python3")
    board.add_argument("--engine", choices=RUNTIMES, help="run files for this one alone")
    phone = ways.add_parser("adb", help="a phone with USB debugging switched on")
    phone.add_argument("--serial", help="which phone, where there are several")
    phone.add_argument(
        "--benchmark-binary", type=Path, metavar="PATH", help="TFLite's benchmark_model for ARM"
    )
    accelerators = phone.add_mutually_exclusive_group()
    for name in ("gpu", "nnapi"):
        accelerators.add_argument(
            f"--use-{name}", dest="accelerator", action="store_const", const=name, default="cpu"
        )
    for one in (board, phone):
        _add_measuring(one)
    termux = ways.add_parser("termux", help="print the steps for a phone without a computer")
    imported = ways.add_parser("import", help="read what agent.py wrote on a device")
    imported.add_argument("file", type=Path, metavar="FILE")
    build = ways.add_parser("build-probe", help="compile probe.c for 64-bit ARM")
    build.add_argument("--compiler", default=COMPILER, help=f"default: {COMPILER}")
    build.add_argument("--out", type=Path, default=Path("probe"), metavar="PATH")
    for one in (board, phone, imported):
        one.add_argument("--json", metavar="PATH", help="write the result there, - for the output")
    termux.set_defaults(do=run_termux)
    board.set_defaults(do=run_ssh)
    phone.set_defaults(do=run_adb)
    imported.set_defaults(do=run_import)
    build.set_defaults(do=run_build)


def _add_measuring(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--files", nargs="+", type=Path, metavar="FILE", help=".onnx or .tflite; default: ours"
    )
    parser.add_argument("--threads", type=_above_zero, default=1)
    parser.add_argument("--iterations", type=_above_zero, default=200, help="timed runs")
    parser.add_argument("--warm-up", type=_from_zero, default=20, help="runs before")
    parser.add_argument(
        "--cpu-mask", type=_mask, metavar="HEX", help="cores to run on, f0 for 4 to 7"
    )
    parser.add_argument("--probe", type=Path, metavar="PATH", help="run what build-probe made, too")
    parser.add_argument(
        "--limit", type=_above_zero, default=1800, metavar="SECONDS", help="for a run"
    )


def _from_zero(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}")
    return int(text)


def _above_zero(text: str) -> int:
    if _from_zero(text) == 0:
        raise argparse.ArgumentTypeError("expected a number above 0, got 0")
    return int(text)


def _mask(text: str) -> str:
    try:
        mask = int(text, 16)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected hexadecimal, got {text!r}") from error
    if mask <= 0:
        raise argparse.ArgumentTypeError(f"expected a mask with cores, got {text!r}")
    return f"{mask:x}"


def run(args: argparse.Namespace) -> int:
    """Do what was asked for.

    Raises:
        BenchmarkError: it could not be measured.
    """
    status: int = args.do(args)
    return status


def run_ssh(args: argparse.Namespace) -> int:
    """Measure a board.

    Raises:
        BenchmarkError: see ``measure_board``.
    """
    options = _options(args) + (["--engine", args.engine] if args.engine else [])
    files = find_files(args.files, (args.engine,) if args.engine else RUNTIMES)
    if args.probe:
        adb.require_arm(args.probe)
    board = ssh.Board(args.host, args.port, args.ssh_config)
    message = ssh.measure_board(board, files, args.python, options, args.limit, args.probe)
    return finish(record_of(message, command_of("ssh HOST", args.files, options)), args.json)


def run_adb(args: argparse.Namespace) -> int:
    """Measure a phone.

    Raises:
        BenchmarkError: see ``measure_phone``.
    """
    if not args.benchmark_binary and not args.probe:
        raise BenchmarkError("expected --benchmark-binary, --probe or both, got none")
    options = adb.Options(
        args.accelerator, args.threads, args.iterations, args.warm_up, args.cpu_mask
    )
    files = find_files(args.files, ("tflite",)) if args.benchmark_binary else []
    phone = adb.find_phone(args.serial)
    message = adb.measure_phone(
        phone, files, args.benchmark_binary, options, args.limit, args.probe
    )
    words = _options(args)
    words += [f"--use-{args.accelerator}"] if args.accelerator != "cpu" else []
    words += ["--benchmark-binary PATH"] if args.benchmark_binary else []
    return finish(record_of(message, command_of("adb", args.files, words)), args.json)


def run_termux(args: argparse.Namespace) -> int:
    """Print the steps."""
    files = find_files(None, ("onnx",))
    places = "\n  ".join(map(str, files))
    names = " ".join(path.name for path in files)
    sys.stdout.write(TERMUX.format(agent=ssh.AGENT, files=places, names=names))
    return 0


def run_import(args: argparse.Namespace) -> int:
    """Read what the agent wrote.

    Raises:
        BenchmarkError: the file cannot be read, or is something else.
    """
    try:
        lines = args.file.read_text(encoding="utf-8").strip().splitlines()
        message = json.loads(lines[-1])
    except (OSError, ValueError, IndexError) as error:
        raise BenchmarkError(f"expected what agent.py wrote in {args.file}: {error}") from error
    if not isinstance(message, dict):
        raise BenchmarkError(f"expected what agent.py wrote in {args.file}, got {message!r}")
    return finish(record_of(message, "python agent.py FILE..."), args.json)


def run_build(args: argparse.Namespace) -> int:
    """Compile the probe.

    Raises:
        BenchmarkError: the compiler is missing, or failed.
    """
    build_probe(args.out, args.compiler)
    sys.stdout.write(f"wrote {args.out}\n")
    return 0


def find_files(files: Sequence[Path] | None, runtimes: Sequence[str]) -> list[Path]:
    """The files to run: what was asked for, or the manifest's.

    Args:
        files: what was asked for; None for the manifest's.
        runtimes: engines that will run them.

    Raises:
        BenchmarkError: one cannot be read, is for another engine, or names are not unique.
    """
    if files is None:
        return our_files(runtimes)
    if len({path.name for path in files}) != len(files):
        raise BenchmarkError(f"expected file names that differ, got {list(map(str, files))}")
    for path in files:
        try:
            runtime = runtime_of(path.read_bytes())
        except OSError as error:
            raise BenchmarkError(f"expected a model at {path}, got: {error}") from error
        if runtime not in runtimes:
            raise BenchmarkError(f"expected files for {' or '.join(runtimes)}, {path} is {runtime}")
    return list(files)


def our_files(runtimes: Sequence[str]) -> list[Path]:
    """The manifest's files for engines.

    Raises:
        BenchmarkError: it cannot be read.
    """
    try:
        manifest = load_manifest()
    except AtpnError as error:
        raise BenchmarkError(str(error)) from error
    return [
        manifest.folder / artifact.path
        for model in manifest.models
        for artifact in model.artifacts
        if artifact.runtime in runtimes
    ]


def _options(args: argparse.Namespace) -> list[str]:
    options = ["--threads", str(args.threads), "--iterations", str(args.iterations)]
    options += ["--warm-up", str(args.warm_up)]
    return options + (["--cpu-mask", args.cpu_mask] if args.cpu_mask else [])


def command_of(way: str, files: Sequence[Path] | None, options: Sequence[str]) -> str:
    """The command line that repeats it, without the name of anyone's device."""
    named = ["--files", *(path.name for path in files)] if files else []
    return " ".join(["python -m benchmarks device", way, *named, *options, "--json PATH"])


def finish(record: Record, target: str | None) -> int:
    """Write the record, print it."""
    if target == "-":
        sys.stdout.write(to_json(record))
        return 0
    if target:
        write_record(record, Path(target))
    sys.stdout.write(describe(record))
    return 0
