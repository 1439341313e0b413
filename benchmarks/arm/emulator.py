"""The ARM system that ``install.sh`` unpacks, and programs run in it."""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.arm.counts import Counted, parse_counts
from benchmarks.errors import BenchmarkError
from benchmarks.record import ROOT

FOLDER: Final = ROOT / ".arm"
INSTALL: Final = "benchmarks/arm/install.sh"
LIMIT_S: Final = 1800.0  # an inference takes seconds: beyond it something hangs

# Names in a workplace.
_ARM: Final = "arm"
_PROJECT: Final = "project"
_COUNTS: Final = "counts"
_TEMPORARY: Final = "/tmp"  # not TMPDIR: see Emulator.workplace
ONNX_DRIVER: Final = (f"{_ARM}/bin/onnx_driver",)
GUEST: Final = (f"{_ARM}/root/usr/bin/python3.11", f"{_PROJECT}/benchmarks/arm/guest.py")
_SHOWN_LINES: Final = 8  # of what a program that failed wrote


@dataclass(frozen=True, slots=True)
class Core:
    """A core to count for.

    Attributes:
        name: on the command line, and of its folder in ``cores/``.
        title: in tables.
        cpu: name in QEMU: it decides which instructions there are. QEMU 7.2 has no Cortex-A55;
            a Cortex-A76 has the same extensions (ARMv8.2 with half precision and dot products). By
            which part number the engines choose their kernels is told by ``cores/``.
    """

    name: str
    title: str
    cpu: str


CORES: Final[Mapping[str, Core]] = {
    core.name: core
    for core in (
        Core("a53", "Cortex-A53", "cortex-a53"),
        Core("a55", "Cortex-A55", "cortex-a76"),
        Core("a76", "Cortex-A76", "cortex-a76"),
    )
}

# Whatever could make two runs differ is fixed: the environment, the seed of hashes, and threads
# of the engine's own (ONNX Runtime sends usage data from one, unless it is told not to).
_ENVIRONMENT: Final = {
    "HOME": "/nonexistent",
    "LD_LIBRARY_PATH": f"{_ARM}/site/onnxruntime/capi",
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONPATH": f"{_PROJECT}:{_ARM}/site",
}
_SEED: Final = "1"  # of the random bytes that QEMU hands to a program


@dataclass(frozen=True, slots=True)
class Emulator:
    """An ARM system in a folder.

    Attributes:
        folder: made by ``install.sh``.
    """

    folder: Path

    def versions(self) -> dict[str, str]:
        """What decides the counts: the emulator, the C library, Python and the wheels.

        Raises:
            BenchmarkError: the file is missing or broken.
        """
        path = self.folder / "versions.json"
        try:
            parts = json.loads(path.read_text(encoding="utf-8"))
            return {
                "qemu-user": parts["host"]["qemu-user"],
                "libc6": parts["root"]["libc6"],
                "python": parts["root"]["python3.11"],
                **parts["site"],
            }
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BenchmarkError(f"expected {path} of {INSTALL}, got: {error!r}") from error

    def host_command(self, program: str, *arguments: str) -> list[str]:
        """The command line of an x86 program in ``host/``, by Debian's own loader.

        So it runs on systems with another C library too.
        """
        host = self.folder / "host"
        libraries = [host / "lib" / "x86_64-linux-gnu", host / "usr" / "lib" / "x86_64-linux-gnu"]
        loader = [libraries[0] / "ld-linux-x86-64.so.2", "--library-path"]
        path = ":".join(map(str, libraries))
        return [*map(str, loader), path, str(host / "usr" / "bin" / program), *arguments]

    def run(
        self, core: Core, folder: Path, command: Sequence[str], *, blocks_label: int = 0
    ) -> tuple[Counted, str]:
        """Run an ARM program and count between its marks.

        Args:
            core: which core it believes to run on.
            folder: made by ``workplace``; the program runs there.
            command: the program and its arguments.
            blocks_label: also return the blocks that were executed under this label.

        Returns:
            The counts, and what the program wrote to its standard output.

        Raises:
            BenchmarkError: it failed.
        """
        plugin = f"{_ARM}/bin/plugin.so,out={_COUNTS}"
        if blocks_label:
            plugin += f",blocks={blocks_label}"
        emulator = self.host_command("qemu-aarch64", "-cpu", core.cpu, "-seed", _SEED)
        view = ["-L", f"{_ARM}/cores/{core.name}", "-plugin", plugin]
        variables = [word for pair in _ENVIRONMENT.items() for word in ("-E", "=".join(pair))]
        try:
            process = subprocess.run(
                [*emulator, *view, *variables, *command],
                cwd=folder,
                env={},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
                check=False,
            )
            if process.returncode == 0:
                text = (folder / _COUNTS).read_text(encoding="ascii")
                return parse_counts(text), process.stdout
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BenchmarkError(f"expected the emulator to run, got: {error}") from error
        said = "\n".join(process.stderr.splitlines()[-_SHOWN_LINES:])
        raise BenchmarkError(
            f"expected {command[0]} to run on {core.title}, it ended with "
            f"{process.returncode}:\n{said}"
        )

    @contextmanager
    def workplace(self) -> Iterator[Path]:
        """A folder to run programs in, with what goes in and out; removed at the end.

        All that a program is told has the same length on every machine: arguments and variables
        lie on its stack and paths in its memory, and where things lie changes a count a little.
        """
        with tempfile.TemporaryDirectory(dir=_TEMPORARY) as name:
            folder = Path(name)
            (folder / _ARM).symlink_to(self.folder)
            (folder / _PROJECT).symlink_to(ROOT)
            yield folder


def find_emulator(folder: Path = FOLDER) -> Emulator:
    """The ARM system in a folder.

    Raises:
        BenchmarkError: it is not there, or not whole.
    """
    emulator = Emulator(folder.resolve())
    needed = ("bin/plugin.so", "bin/onnx_driver", "versions.json")  # what it makes last
    missing = [name for name in needed if not (emulator.folder / name).exists()]
    if missing:
        raise BenchmarkError(
            f"expected an ARM system in {folder}, got no {', '.join(missing)}: run "
            f"{INSTALL} {folder}"
        )
    return emulator
