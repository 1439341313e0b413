"""A phone over adb; TFLite's ``benchmark_model`` runs the models."""

import re
import secrets
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.device import agent
from benchmarks.device.benchmark_model import parse_output
from benchmarks.device.cores import require_arm_machine
from benchmarks.device.probe import parse_probe
from benchmarks.device.process import Output, run_program
from benchmarks.device.ssh import sha256_of
from benchmarks.errors import BenchmarkError

STEP_LIMIT_S: Final = 120.0  # to copy a file
_PARENT: Final = "/data/local/tmp"  # the one place where a phone lets its shell run programs
_MARK: Final = "\n@@ "  # before each fact
_ARM: Final[Mapping[int, str]] = {183: "64-bit ARM", 40: "32-bit ARM"}  # e_machine of ELF
# Values of what ``dumpsys battery`` writes.
_BATTERY: Final = re.compile(r"^ *(AC powered|USB powered|level|temperature): (\w+)$", re.MULTILINE)
_THERMAL: Final = re.compile(r"Thermal Status: (\d+)")


@dataclass(frozen=True, slots=True)
class Options:
    """How the models are run.

    Attributes:
        accelerator: "cpu", "gpu" or "nnapi".
        threads: of one run, on the CPU.
        iterations: timed runs, at least.
        warm_up: runs before, at least.
        cpu_mask: cores to run on, hexadecimal; None for all.
    """

    accelerator: str = "cpu"
    threads: int = 1
    iterations: int = 200
    warm_up: int = 20
    cpu_mask: str | None = None

    @property
    def cpus(self) -> list[int]:
        """Cores of the mask; none for all."""
        mask = int(self.cpu_mask or "0", 16)
        return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone that lets this machine in.

    Attributes:
        serial: as ``adb devices`` calls it.
    """

    serial: str

    def adb(self, doing: str, *arguments: str, limit_s: float = STEP_LIMIT_S) -> Output:
        """Run an adb command; see ``run_program``.

        Raises:
            BenchmarkError: there is no adb, or it takes too long.
        """
        return run_program(["adb", "-s", self.serial, *arguments], doing, limit_s)

    def must(self, doing: str, *arguments: str, limit_s: float = STEP_LIMIT_S) -> str:
        """Run an adb command that has to succeed; returns what it wrote.

        Raises:
            BenchmarkError: it failed, too.
        """
        found = self.adb(doing, *arguments, limit_s=limit_s)
        if found.status != 0:
            raise BenchmarkError(f"expected adb {doing}, it failed: {found.words}")
        return found.text

    @contextmanager
    def folder(self) -> Iterator[str]:
        """A new folder there; removed at the end, whatever happens.

        Raises:
            BenchmarkError: it cannot be made.
        """
        # Named here, so that it can be removed even when the answer to mkdir never came.
        name = f"{_PARENT}/atpn_benchmark.{secrets.token_hex(8)}"
        made = False
        try:
            self.must("to make a folder", "shell", f"mkdir {name}")
            made = True
            yield name
        finally:
            try:
                self.must("to remove the folder", "shell", f"rm -rf {name}")
            except BenchmarkError as error:  # must not hide why the measurement failed
                if made:
                    sys.stderr.write(f"{name} is left on the phone: {error}\n")

    def send(self, path: Path, place: str) -> None:
        """Copy a file and compare its hash there.

        Raises:
            BenchmarkError: it did not arrive.
        """
        self.must(f"to copy {path.name}", "push", str(path), place)
        found = self.must("to hash a file", "shell", f"sha256sum {shlex.quote(place)}")
        if not found.startswith(wanted := sha256_of(path)):
            raise BenchmarkError(f"expected sha256 {wanted} of {place}, got: {found.strip()}")

    def read_facts(self) -> dict[str, str]:
        """As ``agent.read_facts``, with the words of two Android services.

        Raises:
            BenchmarkError: the phone does not answer.
        """
        script = f"for f in {' '.join(agent.PATTERNS)}; do "
        script += "[ -r $f ] && printf '\\n@@ %s\\n' $f && cat $f; done 2>/dev/null; "
        script += f"for p in {' '.join(agent.PROPERTIES)}; do "
        script += "printf '\\n@@ %s\\n' $p; getprop $p; done; "
        script += "for s in battery thermalservice; do "
        script += "printf '\\n@@ dumpsys %s\\n' $s; dumpsys $s 2>/dev/null; done; "
        script += "printf '\\n@@ machine\\n'; uname -m"
        text = self.must("to read the phone's state", "shell", script)
        parts = (part.partition("\n") for part in f"\n{text}".split(_MARK)[1:])
        return {name.strip(): value.strip("\0\n ") for name, _, value in parts}


def find_phone(serial: str | None) -> Phone:
    """The phone with a serial number, or the only one.

    Raises:
        BenchmarkError: there is none, there are several, or it does not let this machine in.
    """
    found = run_program(["adb", "devices"], "to list phones", STEP_LIMIT_S)
    if found.status != 0:
        raise BenchmarkError(f"expected adb to list phones, it failed: {found.words}")
    lines = found.text.partition("List of devices attached")[2].splitlines()
    phones = dict(line.split(None, 1) for line in lines if len(line.split(None, 1)) == 2)
    if serial is None and len(phones) > 1:
        raise BenchmarkError(f"expected one phone, got {sorted(phones)}: choose with --serial")
    if not phones or serial not in (None, *phones):
        wanted = f"the phone {serial}" if serial else "a phone"
        raise BenchmarkError(
            f"expected {wanted} with USB debugging switched on, adb lists {sorted(phones)}"
        )
    chosen = serial or next(iter(phones))
    state = phones[chosen].strip()
    if state != "device":
        hint = ": unlock it and accept this computer's key" if state == "unauthorized" else ""
        raise BenchmarkError(f"expected {chosen} to be ready, adb says {state!r}{hint}")
    return Phone(chosen)


def require_arm(path: Path) -> None:
    """Check a program before it is copied.

    Raises:
        BenchmarkError: it is missing, or of another processor.
    """
    try:
        with path.open("rb") as file:
            head = file.read(20)
    except OSError as error:
        raise BenchmarkError(f"expected a program at {path}, got: {error}") from error
    if head[:4] == b"\x7fELF" and int.from_bytes(head[18:20], "little") not in _ARM:
        raise BenchmarkError(
            f"expected a program for {' or '.join(_ARM.values())}, {path} is for another processor"
        )


def measure_phone(
    phone: Phone,
    files: Sequence[Path],
    binary: Path | None,
    options: Options,
    limit_s: float,
    probe: Path | None = None,
) -> dict[str, Any]:
    """Run ``benchmark_model`` and the probe on a phone.

    Args:
        phone: where.
        files: .tflite files.
        binary: ``benchmark_model``; None for the probe alone.
        options: of it.
        limit_s: seconds that each run may take.
        probe: the compiled probe.c, to run it too.

    Returns:
        what the agent would write.

    Raises:
        BenchmarkError: something is missing there, or failed.
    """
    for program in filter(None, (binary, probe)):
        require_arm(program)
    with phone.folder() as folder:
        before = phone.read_facts()
        require_arm_machine(before.get("machine", ""))
        results = []
        if binary:
            place = f"{folder}/benchmark_model"
            phone.send(binary, place)
            phone.must("to make it run", "shell", f"chmod 755 {place}")
            engine = f"benchmark_model sha256:{sha256_of(binary)[:12]}"
            results = [
                {**_run(phone, folder, path, options, limit_s), "engine": engine} for path in files
            ]
        probed = _run_probe(phone, folder, probe, options) if probe else None
        after = phone.read_facts()
    return {
        "format": agent.FORMAT,
        "device": {**agent.describe_device(before), "machine": before.get("machine", "")},
        "cores": agent.describe_cores(before),
        "affinity": ",".join(map(str, options.cpus)) or before.get(f"{agent.CPU}/online", ""),
        "before": describe_state(before),
        "after": describe_state(after),
        "packages": {},
        "results": results,
        "probe": probed,
    }


def _run(phone: Phone, folder: str, path: Path, options: Options, limit_s: float) -> dict[str, Any]:
    place = f"{folder}/model.tflite"
    phone.send(path, place)
    before = agent.spot(phone.read_facts(), options.cpus)
    words = [f"taskset {options.cpu_mask}"] if options.cpu_mask else []
    words += [f"{folder}/benchmark_model --graph={place} --num_threads={options.threads}"]
    words += [f"--num_runs={options.iterations} --warmup_runs={options.warm_up}"]
    words += [f"--use_{options.accelerator}=true"] if options.accelerator != "cpu" else []
    found = phone.adb("to run the models", "shell", f"{' '.join(words)} 2>&1", limit_s=limit_s)
    if found.status != 0:
        raise BenchmarkError(
            f"expected benchmark_model to run {path.name}, it ended with {found.status}:\n"
            f"{found.words}"
        )
    timed = asdict(parse_output(found.text, options.accelerator))
    after = agent.spot(phone.read_facts(), options.cpus)
    return {
        "file": path.name,
        "sha256": sha256_of(path),
        "runtime": "tflite",
        "threads": options.threads,
        "warm_up": options.warm_up,
        "requested_accelerator": options.accelerator,
        "actual_accelerator": timed.pop("accelerator"),
        **timed,
        **{f"before_{name}": value for name, value in before.items()},
        **{f"after_{name}": value for name, value in after.items()},
    }


def _run_probe(phone: Phone, folder: str, probe: Path, options: Options) -> dict[str, Any]:
    place = f"{folder}/probe"
    phone.send(probe, place)
    core = f" {options.cpus[-1]}" if options.cpus else ""
    text = phone.must("to run the probe", "shell", f"chmod 755 {place} && {place}{core}")
    return parse_probe(text)


def describe_state(facts: Mapping[str, str]) -> dict[str, str | float]:
    """As ``agent.describe_state``, with what Android's services say."""
    state = dict(agent.describe_state(facts))
    for name, value in _BATTERY.findall(facts.get("dumpsys battery", "")):
        if name == "temperature":  # in tenths
            state["battery, °C"] = int(value) / 10
        else:
            state[f"battery {name}"] = value
    if match := _THERMAL.search(facts.get("dumpsys thermalservice", "")):
        state["thermal status (0 none, 6 shutdown)"] = match[1]
    return state
