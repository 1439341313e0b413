"""What a device wrote, as a record like that of ``latency``."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from atpn_mobile import AtpnError, load_manifest
from benchmarks.device import agent
from benchmarks.device.cores import core_name, require_arm_machine
from benchmarks.device.probe import probe_row
from benchmarks.device.ssh import AGENT
from benchmarks.errors import BenchmarkError
from benchmarks.record import Record, Row, Table, Value, conditions
from benchmarks.tables import columns_of, text_table

KIND: Final = "device"
NOTE: Final = (
    "Measured on the device named in the rows, in one process per device or file that did nothing "
    "else; not comparable with host times. MHz and °C: the fastest core that could be used and "
    "the hottest zone, before and after the timed runs; medians of the first and the last third "
    "of the runs show whether the device slowed down meanwhile."
)
EMULATED_NOTE: Final = (
    "From an emulator: what would be measured and how, but no times, for these are not a device's."
)
_NUMBERS: Final = (
    *("median_ms", "p10_ms", "p90_ms", "p5_ms", "p95_ms", "mean_ms", "std_ms", "min_ms", "max_ms"),
    *("first_third_ms", "last_third_ms", "load_ms", "first_ms"),
    *("init_mib", "overall_mib"),
    *("before_mhz", "after_mhz", "before_celsius", "after_celsius"),
)
_SHOWN: Final = (
    *("file", "runtime", "precision", "threads", "median_ms", "p10_ms", "p90_ms", "mean_ms"),
    *("first_third_ms", "last_third_ms", "before_mhz", "after_mhz"),
    *("before_celsius", "after_celsius", "actual_accelerator", "status"),
)


def record_of(message: Mapping[str, Any], command: str) -> Record:
    """A record of what a device wrote.

    Args:
        message: of the agent, or of what stands for it.
        command: that measured it.

    Raises:
        BenchmarkError: it is not the agent's, the agent failed, or the device is no ARM one.
    """
    if "error" in message:
        raise BenchmarkError(f"expected the result of a device, it failed: {message['error']}")
    if message.get("format") != agent.FORMAT:
        raise BenchmarkError(
            f"expected the result of agent.py in format {agent.FORMAT}, "
            f"got {message.get('format')!r}"
        )
    try:
        return _record_of(message, command)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BenchmarkError(f"expected the result of agent.py, got one with {error!r}") from error


def _record_of(message: Mapping[str, Any], command: str) -> Record:
    device = message["device"]
    require_arm_machine(str(device["machine"]))
    emulated = bool(device["emulated"])
    name = "an emulator" if emulated else str(device["model"] or "unnamed device")
    cores = [_core_row(core) for core in message["cores"]]
    hot = [_hot_row(row, name, emulated=emulated) for row in message["results"]]
    states: list[Row] = [
        {"item": item, "before": message["before"].get(item), "after": message["after"].get(item)}
        for item in dict.fromkeys((*message["before"], *message["after"]))
    ]
    tables = {
        "hot": Table(("file", "runtime", "threads"), tuple(hot)),
        "cores": Table(("cpu",), tuple(cores)),
        "state": Table(("item",), tuple(states)),
    }
    if message.get("probe"):
        tables["probe"] = Table(("cpu",), (probe_row(message["probe"], emulated=emulated),))
    here = conditions()
    told = message.get("agent_sha256")
    same_agent = told in (None, hashlib.sha256(AGENT.read_bytes()).hexdigest())
    kinds = sorted({str(core["core"]) for core in cores})
    parts = (name, device["soc"], "+".join(kinds), device["system"], device["machine"])
    where = replace(
        here,
        dirty=here.dirty or not same_agent,  # an agent of other sources than these
        machine=", ".join(map(str, filter(None, parts))),
        settings=_settings(message),
        packages={str(key): str(value) for key, value in message["packages"].items()},
    )
    return Record(KIND, f"{EMULATED_NOTE} {NOTE}" if emulated else NOTE, command, where, tables)


def _settings(message: Mapping[str, Any]) -> dict[str, Value]:
    """What was asked for, as far as all files have it in common, and the kernel."""
    asked = ("threads", "iterations", "warm_up", "requested_accelerator")
    found = {name: {row[name] for row in message["results"]} for name in asked}
    common = {name: next(iter(values)) for name, values in found.items() if len(values) == 1}
    return {
        **common,
        "affinity": str(message["affinity"]),
        "kernel": str(message["device"]["kernel"]),
    }


def _core_row(core: Mapping[str, Any]) -> Row:
    implementer, part = int(core["implementer"]), int(core["part"])
    return {
        "cpu": int(core["cpu"]),
        "core": core_name(implementer, part),
        "implementer": f"{implementer:#04x}",
        "part": f"{part:#05x}",
    }


def _hot_row(row: Mapping[str, Any], name: str, *, emulated: bool) -> Row:
    numbers: dict[str, Value] = {}
    for column in _NUMBERS:
        if column in row:
            value = None if emulated and column.endswith("_ms") else row[column]
            numbers[column] = None if value is None else round(float(value), 4)
    return {
        "file": str(row["file"]),
        "runtime": str(row["runtime"]),
        "precision": _precision(str(row["sha256"])),
        "engine": str(row["engine"]),
        "through": "engine",
        "threads": int(row["threads"]),
        "iterations": int(row["iterations"]),
        "warm_up": int(row["warm_up"]),
        **numbers,
        "requested_accelerator": str(row["requested_accelerator"]),
        "actual_accelerator": str(row["actual_accelerator"]),
        "sha256": str(row["sha256"]),
        "status": "emulated, no times" if emulated else f"measured on {name}",
    }


def _precision(sha256: str) -> str:
    """What the manifest says of a file; "" for one that it does not name."""
    try:
        models = load_manifest().models
    except AtpnError as error:
        raise BenchmarkError(str(error)) from error
    return next(
        (one.precision for model in models for one in model.artifacts if one.sha256 == sha256), ""
    )


def describe(record: Record) -> str:
    """A record as text for the terminal."""
    text = f"{record.conditions.machine}\n"
    for name, table in record.tables.items():
        if table.rows:
            columns: Sequence[str] = columns_of(table.rows)
            if name == "hot":
                columns = [column for column in _SHOWN if column in columns]
            text += f"\n{text_table(table.rows, columns)}"
    return text if not record.note.startswith(EMULATED_NOTE) else f"{text}\n{EMULATED_NOTE}\n"
