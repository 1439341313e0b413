"""Times model files on the machine where it runs; boards and phones get this one file.

Needs Python 3.9, numpy, and ONNX Runtime or LiteRT (or tflite-runtime); nothing of this project:

    python3 agent.py atpn_float32.onnx atpn_int8.tflite > result.json

One line of JSON goes to the standard output; ``python -m benchmarks device import`` reads it.
"""

from __future__ import annotations

import argparse
import glob
import hashlib
import importlib
import json
import math
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

FORMAT = 1  # of the JSON
EMULATED = "BENCHMARKS_EMULATED"  # an environment variable: set where no times may be believed
EXIT_FAILED = 1
EXIT_ABANDONED = 130

# What a system tells of itself, by path: shell patterns, for a phone's shell as for glob.
CPU = "/sys/devices/system/cpu"
PATTERNS = (
    "/proc/cpuinfo",
    "/proc/sys/kernel/osrelease",
    "/proc/device-tree/model",
    "/proc/device-tree/compatible",
    "/sys/devices/soc0/machine",
    f"{CPU}/online",
    f"{CPU}/cpu[0-9]*/regs/identification/midr_el1",
    f"{CPU}/cpufreq/policy*/affected_cpus",
    f"{CPU}/cpufreq/policy*/scaling_governor",
    f"{CPU}/cpufreq/policy*/scaling_cur_freq",
    f"{CPU}/cpufreq/policy*/scaling_min_freq",
    f"{CPU}/cpufreq/policy*/scaling_max_freq",
    "/sys/class/thermal/thermal_zone*/type",
    "/sys/class/thermal/thermal_zone*/temp",
    "/sys/class/power_supply/*/type",
    "/sys/class/power_supply/*/capacity",
    "/sys/class/power_supply/*/status",
    "/sys/devices/platform/soc/soc:firmware/get_throttled",  # Raspberry Pi
)
# The same of Android, by name of the property.
PROPERTIES = (
    "ro.product.manufacturer",
    "ro.product.model",
    "ro.soc.manufacturer",
    "ro.soc.model",
    "ro.board.platform",
    "ro.build.version.release",
    "ro.boot.qemu",
    "ro.kernel.qemu",
)
_FREQUENCIES = {
    "scaling_cur_freq": "current",
    "scaling_min_freq": "minimum",
    "scaling_max_freq": "maximum",
}
# Some zones have no sensor, or do not tell thousandths of a degree as Linux wants it.
_PLAUSIBLE_CELSIUS = (1.0, 150.0)
_SEED = 0
_MIDR_LOWEST = 1 << 24  # below, no implementer is named
_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}
_ENGINES = {
    "onnx": (("onnxruntime", "onnxruntime"),),
    "tflite": (
        ("ai_edge_litert.interpreter", "ai-edge-litert"),
        ("tflite_runtime.interpreter", "tflite-runtime"),
    ),
}

Facts = Mapping[str, str]  # what was read, by path or name
State = dict[str, "str | float"]  # what changes, by item: "policy0 current, MHz"


class AgentError(Exception):
    """Something could not be measured; the message says what was expected and what came."""


def read_facts(root: str = "") -> dict[str, str]:
    """What the system tells of itself; what cannot be read is left out.

    Args:
        root: folder that is read as if it were "/".
    """
    facts = {EMULATED: os.environ.get(EMULATED, "")}
    for pattern in PATTERNS:
        for path in sorted(glob.glob(root + pattern)):  # noqa: PTH207 - skips what is forbidden
            try:
                text = Path(path).read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            facts[path[len(root) :]] = text.strip("\0\n ")
    getprop = f"{root}/system/bin/getprop"
    for name in PROPERTIES if os.access(getprop, os.X_OK) else ():
        found = subprocess.run(
            [getprop, name],
            env={"PATH": "/system/bin"},  # without what Termux preloads
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        facts[name] = found.stdout.strip()
    return facts


def describe_device(facts: Facts) -> dict[str, Any]:
    """Which device it is: model, soc, system, kernel, and whether it is an emulated one."""
    android = facts.get("ro.build.version.release", "")
    names = (facts.get("ro.product.manufacturer", ""), facts.get("ro.product.model", ""))
    compatible = facts.get("/proc/device-tree/compatible", "").split("\0")
    soc = (facts.get("ro.soc.manufacturer", ""), facts.get("ro.soc.model", ""))
    return {
        "model": " ".join(filter(None, names)) or facts.get("/proc/device-tree/model", ""),
        "soc": " ".join(filter(None, soc))
        or facts.get("ro.board.platform", "")
        or facts.get("/sys/devices/soc0/machine", "")
        or compatible[-1],
        "system": f"Android {android}" if android else "Linux",
        "kernel": facts.get("/proc/sys/kernel/osrelease", ""),
        "emulated": bool(facts.get(EMULATED))
        or "1" in (facts.get("ro.boot.qemu"), facts.get("ro.kernel.qemu"))
        or "QEMU" in facts.get("/proc/cpuinfo", "")
        or "linux,dummy-virt" in compatible,
    }


def describe_cores(facts: Facts) -> list[dict[str, int]]:
    """Each core's place, implementer and part number, from MIDR_EL1 or /proc/cpuinfo."""
    cores = {}
    for block in facts.get("/proc/cpuinfo", "").split("\n\n"):
        lines = (line.partition(":") for line in block.splitlines())
        fields = {name.strip(): value.strip() for name, _, value in lines}
        if "CPU part" in fields and fields.get("processor", "").isdigit():
            cores[int(fields["processor"])] = (
                int(fields.get("CPU implementer", "0"), 16),
                int(fields["CPU part"], 16),
            )
    for path, text in facts.items():
        if path.endswith("/midr_el1"):
            midr = int(text, 16)
            if midr >= _MIDR_LOWEST:
                cpu = int(path[len(f"{CPU}/cpu") :].partition("/")[0])
                cores[cpu] = (midr >> 24 & 0xFF, midr >> 4 & 0xFFF)
    return [
        {"cpu": cpu, "implementer": implementer, "part": part}
        for cpu, (implementer, part) in sorted(cores.items())
    ]


def describe_state(facts: Facts) -> State:
    """What changes while it runs: frequencies, governors, temperatures, power."""
    state: State = {}
    for path, text in facts.items():
        folder, _, leaf = path.rpartition("/")
        place = folder.rpartition("/")[2]
        if leaf in _FREQUENCIES and text.isdigit():
            state[f"{place} {_FREQUENCIES[leaf]}, MHz"] = int(text) / 1000
        elif leaf == "scaling_governor":
            state[f"{place} governor"] = text
        elif leaf == "get_throttled":
            state["throttled (flags of the firmware)"] = text
        elif leaf in ("capacity", "status") and facts.get(f"{folder}/type") == "Battery":
            state[f"{place} {leaf}"] = text
    for place, celsius in _temperatures(facts).items():
        state[f"{place}, °C"] = celsius
    return state


def _temperatures(facts: Facts) -> dict[str, float]:
    found = {}
    for path, text in facts.items():
        folder, _, leaf = path.rpartition("/")
        if leaf == "temp" and text.lstrip("-").isdigit():
            celsius = int(text) / 1000
            if _PLAUSIBLE_CELSIUS[0] <= celsius <= _PLAUSIBLE_CELSIUS[1]:
                name = facts.get(f"{folder}/type", "")
                found[f"{folder.rpartition('/')[2]} {name}".strip()] = celsius
    return found


def spot(facts: Facts, cpus: Sequence[int]) -> dict[str, float | None]:
    """The two numbers that show throttling.

    Args:
        facts: see ``read_facts``.
        cpus: cores that may be used; none for all.

    Returns:
        mhz: frequency of the fastest of these cores; celsius: of the hottest zone. None where
        the system does not tell.
    """
    speeds = []
    for path, text in facts.items():
        folder, _, leaf = path.rpartition("/")
        if leaf == "scaling_cur_freq" and text.isdigit():
            members = [int(one) for one in facts.get(f"{folder}/affected_cpus", "").split()]
            if not cpus or not members or set(members) & set(cpus):
                speeds.append(int(text) / 1000)
    return {
        "mhz": max(speeds, default=None),
        "celsius": max(_temperatures(facts).values(), default=None),
    }


def load(path: Path, runtime: str, threads: int) -> tuple[Callable[[], object], str, str]:
    """Load a model on its engine, on the CPU alone.

    Args:
        path: of the file.
        runtime: "onnx" or "tflite".
        threads: of one run.

    Returns:
        one inference; the engine with its version; where the engine says that it runs.

    Raises:
        AgentError: the engine is missing, or the file is no such model.
    """
    module, distribution = _find_engine(runtime)
    try:
        run, accelerator = {"onnx": _onnx, "tflite": _tflite}[runtime](module, path, threads)
    except AgentError:
        raise
    except Exception as error:  # the engines' exceptions share no base of their own
        raise AgentError(f"expected {path.name} to load on {distribution}, got: {error}") from error
    return run, f"{distribution} {metadata.version(distribution)}", accelerator


def _find_engine(runtime: str) -> tuple[Any, str]:
    reasons = []
    for module, distribution in _ENGINES[runtime]:
        try:
            return importlib.import_module(module), distribution
        except ImportError as error:  # noqa: PERF203 - two at most
            reasons.append(str(error))
    raise AgentError(
        f"expected an engine for {runtime}, got none ({'; '.join(reasons)}): "
        f"pip install {_ENGINES[runtime][0][1]}"
    )


def _onnx(engine: Any, path: Path, threads: int) -> tuple[Callable[[], object], str]:  # noqa: ANN401
    options = engine.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # as the package does
    session = engine.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = {
        one.name: example_input(one.shape, _TYPES.get(one.type, one.type))
        for one in session.get_inputs()
    }
    names = [name.replace("ExecutionProvider", "").lower() for name in session.get_providers()]
    return lambda: session.run(None, inputs), "+".join(names)


def _tflite(engine: Any, path: Path, threads: int) -> tuple[Callable[[], object], str]:  # noqa: ANN401
    interpreter = engine.Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    import numpy as np

    inputs = [
        (one["index"], example_input(one["shape"], np.dtype(one["dtype"]).name))
        for one in interpreter.get_input_details()
    ]
    outputs = [one["index"] for one in interpreter.get_output_details()]

    def run() -> list[Any]:
        for index, value in inputs:
            interpreter.set_tensor(index, value)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return run, "cpu"  # no delegate but XNNPACK, which runs there too


def example_input(shape: Sequence[Any], dtype: str) -> Any:  # noqa: ANN401 - numpy comes later
    """Numbers for an input: noise in 0..1, zeros where it takes integers; open sizes are 1.

    Raises:
        AgentError: it takes no numbers.
    """
    import numpy as np

    sizes = [int(size) if isinstance(size, (int, np.integer)) and size > 0 else 1 for size in shape]
    try:
        kind = np.dtype(dtype)
    except TypeError as error:
        raise AgentError(f"expected an input of numbers, got {dtype}") from error
    if kind.kind == "f":
        return np.random.default_rng(_SEED).uniform(0.0, 1.0, sizes).astype(kind)
    return np.zeros(sizes, kind)


def statistics(times_ms: Sequence[float]) -> dict[str, float]:
    """Of at least one time, milliseconds; medians of both ends show a device that slows down."""
    import numpy as np

    low, middle, high = (float(one) for one in np.percentile(times_ms, (10.0, 50.0, 90.0)))
    third = math.ceil(len(times_ms) / 3)
    return {
        "median_ms": middle,
        "p10_ms": low,
        "p90_ms": high,
        "min_ms": min(times_ms),
        "max_ms": max(times_ms),
        "first_third_ms": float(np.median(times_ms[:third])),
        "last_third_ms": float(np.median(times_ms[-third:])),
    }


def measure_file(
    path: Path,
    options: argparse.Namespace,
    clock: Callable[[], float] = time.perf_counter,
    root: str = "",
) -> dict[str, Any]:
    """Time one file.

    Args:
        path: of the file.
        options: the command line.
        clock: seconds.
        root: see ``read_facts``.

    Raises:
        AgentError: it cannot be read or run.
    """
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise AgentError(f"expected a model at {path}, got: {error}") from error
    runtime = "tflite" if contents[4:8] == b"TFL3" else "onnx"
    if options.engine not in (None, runtime):
        raise AgentError(f"expected a model for {options.engine}, {path.name} is for {runtime}")
    start = clock()
    run, engine, accelerator = load(path, runtime, options.threads)
    loaded = clock()
    run()
    first = clock()
    for _ in range(options.warm_up):
        run()
    before = spot(read_facts(root), affinity())
    times_ms = []
    for _ in range(options.iterations):
        begin = clock()
        run()
        times_ms.append(1000.0 * (clock() - begin))
    after = spot(read_facts(root), affinity())
    return {
        "file": path.name,
        "sha256": hashlib.sha256(contents).hexdigest(),
        "runtime": runtime,
        "engine": engine,
        "threads": options.threads,
        "iterations": len(times_ms),
        "warm_up": options.warm_up,
        "requested_accelerator": "cpu",
        "actual_accelerator": accelerator,
        "load_ms": 1000.0 * (loaded - start),
        "first_ms": 1000.0 * (first - loaded),
        **statistics(times_ms),
        **{f"before_{name}": value for name, value in before.items()},
        **{f"after_{name}": value for name, value in after.items()},
    }


def affinity() -> list[int]:
    """Cores that this process may use; none where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def pin(mask: str) -> None:
    """Use the cores of a mask alone; bit 0 of the hexadecimal number is core 0.

    Raises:
        AgentError: there are no such cores, or the system does not let it.
    """
    cpus = [bit for bit in range(int(mask, 16).bit_length()) if int(mask, 16) >> bit & 1]
    try:
        os.sched_setaffinity(0, cpus)
    except (AttributeError, OSError) as error:
        raise AgentError(f"expected to run on cores {cpus}, got: {error}") from error


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Time all files.

    Raises:
        AgentError: see ``measure_file``.
    """
    if options.cpu_mask:
        pin(options.cpu_mask)
    try:
        numpy = metadata.version(importlib.import_module("numpy").__name__)
    except ImportError as error:
        raise AgentError(f"expected numpy, got: {error}: pip install numpy") from error
    before = read_facts()
    results = [measure_file(path, options) for path in options.files]
    return {
        "format": FORMAT,
        "agent_sha256": hashlib.sha256(Path(__file__).read_bytes()).hexdigest(),
        "device": {**describe_device(before), "machine": platform.machine()},
        "cores": describe_cores(before),
        "affinity": ",".join(map(str, affinity())),
        "before": describe_state(before),
        "after": describe_state(read_facts()),
        "packages": {"python": platform.python_version(), "numpy": numpy},
        "results": results,
    }


def _whole(lowest: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdigit() or int(text) < lowest:
            raise argparse.ArgumentTypeError(f"expected a number from {lowest} on, got {text!r}")
        return int(text)

    return number


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Time model files on this machine.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help=".onnx or .tflite")
    parser.add_argument("--engine", choices=tuple(_ENGINES), help="refuse files for others")
    parser.add_argument("--threads", type=_whole(1), default=1, help="of one run")
    parser.add_argument("--iterations", type=_whole(1), default=200, help="timed runs")
    parser.add_argument("--warm-up", type=_whole(0), default=20, help="runs before")
    parser.add_argument("--cpu-mask", metavar="HEX", help="cores to run on, f0 for 4 to 7")
    parser.add_argument(
        "--end-with-stdin", action="store_true", help="stop when the standard input is closed"
    )
    return parser.parse_args(argv)


def _end_with_stdin() -> None:
    """Leave no run behind on a board whose connection broke."""
    while os.read(0, 1):  # not sys.stdin: its lock would be held when the interpreter ends
        pass
    os._exit(EXIT_ABANDONED)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print one line."""
    options = parse_arguments(argv)
    if options.end_with_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        message = measure(options)
    except AgentError as error:
        message = {"format": FORMAT, "error": str(error)}
    sys.stdout.write(json.dumps(message) + "\n")
    return EXIT_FAILED if "error" in message else 0


if __name__ == "__main__":
    sys.exit(main())
