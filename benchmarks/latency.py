"""``latency``: times of model files on this machine, beside a yardstick in the same process."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from atpn_mobile import AtpnError, available_backends, load_manifest
from benchmarks.errors import BenchmarkError
from benchmarks.latency_cold import STARTS, ColdStart, median_start, start_cold
from benchmarks.latency_engines import ACCELERATOR, Subject, load_subject
from benchmarks.latency_loop import stage_statistics, track_clip
from benchmarks.latency_measure import BLOCK, Statistics, measure_in_turns
from benchmarks.record import Record, Row, Table, Value, conditions, to_json, write_record
from benchmarks.tables import columns_of, text_table
from benchmarks.yardstick_files import Runtime, write_yardsticks

HELP: Final = "time model files on this machine, beside MobileNetV3-Small in the same process"
STATUS: Final = "host, not a phone"
NOTE: Final = (
    "Times of this machine (host), not of a phone. Files and a MobileNetV3-Small in float32 on the "
    f"same engine run by turns of {BLOCK} in one warm process; the ratio to its median says more "
    "than the milliseconds. The quiet ratio is that of the fastest tenths: the one to read on a "
    "busy machine. Loop: stages of one frame in which a face is followed. Cold: a fresh "
    f"process, the median of {STARTS}; the start of Python itself is left out."
)
PACKAGES: Final = (
    "atpn-mobile",
    "onnxruntime",
    "ai-edge-litert",
    "numpy",
    "opencv-python-headless",
)
YARDSTICK: Final = "mobilenet_v3_small"
LOOP_MODEL: Final = "atpn"
RUNTIMES: Final = ("onnx", "tflite")
_TITLES: Final = {
    "hot": "Hot loop, one inference",
    "files": "What was run",
    "loop": "Tracking loop, one frame",
    "cold": "Cold start and memory",
}
_SHOWN: Final = {
    "hot": (
        *("file", "runtime", "precision", "threads", "median_ms", "p10_ms", "p90_ms"),
        *("yardstick_ms", "ratio", "quiet_ratio", "status"),
    ),
    "files": ("file", "engine", "through", "actual_accelerator"),
    "loop": ("runtime", "precision", "threads", "stage", "median_ms", "p10_ms", "p90_ms", "status"),
    "cold": (
        *("file", "runtime", "threads", "import_ms", "load_ms", "first_ms"),
        *("imported_mib", "peak_mib", "growth_mib", "status"),
    ),
}


@dataclass(frozen=True, slots=True)
class Options:
    """How it is measured.

    Attributes:
        threads: of one run, one measurement each.
        iterations: timed runs of each file.
        warm_up: runs of each file before.
        loop: a video for the tracking loop; None for none.
        yardsticks: folder of the yardstick's files; missing ones are written into it.
        cold: whether fresh processes are started.
    """

    threads: tuple[int, ...] = (1,)
    iterations: int = 200
    warm_up: int = 20
    loop: Path | None = None
    yardsticks: Path | None = None
    cold: bool = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    defaults = Options()
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help=".onnx or .tflite; default: ours"
    )
    parser.add_argument(
        "--threads", type=thread_counts, default=(1,), metavar="N[,N]", help="default: 1"
    )
    parser.add_argument(
        "--iterations", type=int, default=defaults.iterations, help="timed runs of each file"
    )
    parser.add_argument(
        "--warm-up", type=int, default=defaults.warm_up, help="runs of each file before"
    )
    parser.add_argument(
        "--loop", type=Path, metavar="CLIP", help="time the tracking loop over this video, too"
    )
    parser.add_argument(
        "--no-cold", dest="cold", action="store_false", help="start no fresh processes"
    )
    parser.add_argument(
        "--yardstick-folder",
        type=Path,
        metavar="DIR",
        help="with the yardstick's files, or for them; default: the user's cache",
    )
    parser.add_argument("--json", metavar="PATH", help="write the result there, - for the output")


def thread_counts(text: str) -> tuple[int, ...]:
    """Numbers of threads, "1,2".

    Raises:
        argparse.ArgumentTypeError: they are none.
    """
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"expected numbers above 0 such as 1,2, got {text!r}")
    return tuple(dict.fromkeys(map(int, parts)))


def run(args: argparse.Namespace) -> int:
    """Measure, print, write.

    Raises:
        BenchmarkError: a file cannot be read or run, or an option makes no sense.
    """
    if args.iterations < 1 or args.warm_up < 0:
        raise BenchmarkError(
            f"expected --iterations above 0 and --warm-up of 0 or more, got {args.iterations} and "
            f"{args.warm_up}"
        )
    options = Options(
        threads=args.threads,
        iterations=args.iterations,
        warm_up=args.warm_up,
        loop=args.loop,
        yardsticks=args.yardstick_folder or default_folder(),
        cold=args.cold,
    )
    record = measure(args.files or our_files(), options, command_of(args.files, options))
    if args.json == "-":
        sys.stdout.write(to_json(record))
        return 0
    if args.json:
        write_record(record, Path(args.json))
    sys.stdout.write(describe(record))
    return 0


def default_folder() -> Path:
    """Where the yardstick's files are kept between runs."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "atpn_mobile" / "yardsticks"


def command_of(files: Sequence[Path], options: Options) -> str:
    """The command line that repeats it."""
    parts = ["python -m benchmarks latency", *map(str, files)]
    parts += [f"--threads {','.join(map(str, options.threads))}"]
    parts += [f"--iterations {options.iterations} --warm-up {options.warm_up}"]
    parts += [f"--loop {options.loop}"] if options.loop else []
    parts += [] if options.cold else ["--no-cold"]
    return " ".join([*parts, "--json PATH"])


def our_files() -> list[Path]:
    """The manifest's files for the engines that are installed here.

    Raises:
        BenchmarkError: the manifest cannot be read.
    """
    engines = [name for name in available_backends() if name in RUNTIMES]
    try:
        manifest = load_manifest()
    except AtpnError as error:
        raise BenchmarkError(str(error)) from error
    return [
        manifest.folder / artifact.path
        for model in manifest.models
        for artifact in model.artifacts
        if artifact.runtime in engines
    ]


def measure(files: Sequence[Path], options: Options, command: str) -> Record:
    """Measure files.

    Raises:
        BenchmarkError: one cannot be read or run, or names are not unique.
    """
    if len({path.name for path in files}) != len(files):
        raise BenchmarkError(f"expected file names that differ, got {list(map(str, files))}")
    hot: list[Row] = []
    cold: list[Row] = []
    subjects: list[Subject] = []
    for threads in options.threads:
        subjects = [load_subject(path, threads) for path in files]
        for runtime in dict.fromkeys(one.runtime for one in subjects):
            group = [one for one in subjects if one.runtime == runtime]
            yardstick = load_yardstick(cast("Runtime", runtime), threads, options.yardsticks)
            hot += hot_rows(group, yardstick, threads, options)
        if options.cold:
            cold += cold_rows(files, subjects, threads)
    tables = {
        "hot": Table(("file", "runtime", "threads"), tuple(hot)),
        "files": Table(("file",), tuple(file_rows(subjects))),
    }
    if options.loop:
        rows = tuple(loop_rows(options.loop, options.threads))
        tables["loop"] = Table(("runtime", "precision", "threads", "stage"), rows)
    if options.cold:
        tables["cold"] = Table(("file", "runtime", "threads"), tuple(cold))
    return Record("latency", NOTE, command, conditions(PACKAGES, **settings_of(options)), tables)


def settings_of(options: Options) -> dict[str, Value]:
    """What was asked for, and how busy the machine was."""
    return {
        "threads": ",".join(map(str, options.threads)),
        "iterations": options.iterations,
        "warm_up": options.warm_up,
        "block": BLOCK,
        "yardstick": f"{YARDSTICK} float32",
        "loop": options.loop.name if options.loop else None,
        "accelerator": ACCELERATOR,
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def load_yardstick(runtime: Runtime, threads: int, folder: Path | None) -> Subject | None:
    """The yardstick of an engine; None, and a word on stderr, where it cannot be made here."""
    try:
        (file,) = write_yardsticks(
            folder or default_folder(), (YARDSTICK,), (runtime,), ("float32",)
        )
        return load_subject(file.path, threads, file.precision)
    except BenchmarkError as error:
        sys.stderr.write(f"no yardstick for {runtime}, so no ratios: {error}\n")
        return None


def hot_rows(
    subjects: Sequence[Subject],
    yardstick: Subject | None,
    threads: int,
    options: Options,
    measure_runs: Callable[..., Mapping[str, Sequence[float]]] = measure_in_turns,
) -> Iterable[Row]:
    """The files of one engine and its yardstick, run by turns.

    Args:
        subjects: the files.
        yardstick: what they are set against; None for no ratios.
        threads: of one run.
        options: how often.
        measure_runs: see ``measure_in_turns``.
    """
    runs = {one.file: one.run for one in subjects}
    if yardstick:
        runs[YARDSTICK] = yardstick.run
    times_ms = measure_runs(runs, options.iterations, options.warm_up)
    reference = Statistics.of(times_ms[YARDSTICK]) if yardstick else None
    for subject in subjects:
        found = Statistics.of(times_ms[subject.file])
        yield {
            "file": subject.file,
            "runtime": subject.runtime,
            "precision": subject.precision,
            "threads": threads,
            **milliseconds(found),
            **_beside(found, reference),
            "status": STATUS,
        }


def file_rows(subjects: Sequence[Subject]) -> Iterable[Row]:
    """What was run: files, engines, accelerators."""
    for subject in subjects:
        yield {
            "file": subject.file,
            "runtime": subject.runtime,
            "precision": subject.precision,
            "engine": subject.engine,
            "through": subject.through,
            "requested_accelerator": ACCELERATOR,
            "actual_accelerator": subject.accelerator,
            "sha256": subject.sha256,
        }


def loop_rows(clip: Path, threads: Sequence[int]) -> Iterable[Row]:
    """The stages of the tracking loop for each file of the network that can be run here.

    Raises:
        BenchmarkError: the video cannot be read, or no face is followed in it.
    """
    engines = available_backends()
    for count in threads:
        for artifact in load_manifest().model(LOOP_MODEL).artifacts:
            if artifact.runtime not in RUNTIMES or artifact.runtime not in engines:
                continue
            frames = track_clip(clip, artifact.runtime, artifact.precision, count)
            found = stage_statistics(frames)
            if "loop" not in found:
                raise BenchmarkError(f"expected a face to follow in {clip}, got none")
            for stage, statistics in found.items():
                yield {
                    "runtime": artifact.runtime,
                    "precision": artifact.precision,
                    "threads": count,
                    "stage": stage,
                    **milliseconds(statistics),
                    "frames": statistics.count,
                    "status": STATUS,
                }


def cold_rows(files: Sequence[Path], subjects: Sequence[Subject], threads: int) -> Iterable[Row]:
    """Each file in fresh processes.

    Raises:
        BenchmarkError: one failed.
    """
    for path, subject in zip(files, subjects, strict=True):
        starts = [start_cold(path, subject.runtime, threads) for _ in range(STARTS)]
        yield {
            "file": subject.file,
            "runtime": subject.runtime,
            "threads": threads,
            **_rounded(median_start(starts)),
            "status": STATUS,
        }


def milliseconds(found: Statistics) -> Row:
    """Statistics as columns."""
    return {
        "median_ms": round(found.median_ms, 4),
        "p10_ms": round(found.p10_ms, 4),
        "p90_ms": round(found.p90_ms, 4),
    }


def _beside(found: Statistics, reference: Statistics | None) -> Row:
    if reference is None:
        return dict.fromkeys(("yardstick_ms", "ratio", "quiet_ratio"))
    return {
        "yardstick_ms": round(reference.median_ms, 4),
        "ratio": round(found.median_ms / reference.median_ms, 4),
        "quiet_ratio": round(found.p10_ms / reference.p10_ms, 4),
    }


def _rounded(found: ColdStart) -> Row:
    def mib(value: float | None) -> float | None:
        return None if value is None else round(value, 2)

    return {
        "import_ms": round(found.import_ms, 1),
        "load_ms": round(found.load_ms, 2),
        "first_ms": round(found.first_ms, 3),
        "imported_mib": mib(found.imported_mib),
        "peak_mib": mib(found.peak_mib),
        "growth_mib": mib(found.growth_mib),
    }


def describe(record: Record) -> str:
    """A record as text for the terminal."""
    text = f"{record.conditions.machine}; {STATUS}\n"
    for name, table in record.tables.items():
        shown = [column for column in _SHOWN[name] if column in columns_of(table.rows)]
        text += f"\n{_TITLES[name]}\n\n{text_table(table.rows, shown)}"
    return text
