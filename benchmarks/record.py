"""The result of a benchmark: tables of rows, under the conditions in which they were measured.

Results are JSON files. A table says which columns name a row (its key) and which are exact: the
same in every run on any machine. ``benchmarks compare`` and ``benchmarks report`` read no others.
"""

import json
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Final, TypeAlias

from benchmarks.errors import BenchmarkError

SCHEMA_VERSION: Final = 1
ROOT: Final = Path(__file__).resolve().parent.parent
RESULTS: Final = ROOT / "benchmarks" / "results"
# What takes part in measuring; results and documents are written from it.
SOURCES: Final = ("atpn_mobile", "benchmarks", "models", ":(exclude)benchmarks/results")

Value: TypeAlias = str | int | float | bool | None
Row: TypeAlias = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one kind.

    Attributes:
        key: columns that together name a row.
        exact: columns whose numbers are the same in every run.
        rows: all with the columns of ``key``; others where they apply.
    """

    key: tuple[str, ...]
    rows: tuple[Row, ...]
    exact: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the rows.

        Raises:
            BenchmarkError: a row lacks a key column, or two rows have one key.
        """
        seen: set[tuple[Value, ...]] = set()
        for row in self.rows:
            missing = [column for column in self.key if column not in row]
            if missing:
                raise BenchmarkError(f"expected the columns {list(self.key)}, got no {missing}")
            name = self.name(row)
            if name in seen:
                raise BenchmarkError(f"expected rows with keys of their own, got {name} twice")
            seen.add(name)

    def name(self, row: Row) -> tuple[Value, ...]:
        """The key of a row."""
        return tuple(row[column] for column in self.key)


@dataclass(frozen=True, slots=True)
class Conditions:
    """Where, with what and of which sources something was measured.

    Attributes:
        commit: of the checkout; "" outside one.
        dirty: whether the sources had changes or new files; results of such a tree are not for
            the README.
        machine: processor and system.
        packages: versions of what took part.
        settings: what was asked for: threads, iterations, warm-up, accelerator, ...
    """

    commit: str
    dirty: bool
    machine: str
    packages: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """What one run of a benchmark gave.

    Attributes:
        kind: the benchmark: "macs", "latency", "arm", ...
        note: what the numbers are and are not, for whoever reads them alone.
        command: that repeats it.
        conditions: see there.
        tables: by name.
    """

    kind: str
    note: str
    command: str
    conditions: Conditions
    tables: Mapping[str, Table]


def conditions(packages: Sequence[str] = (), **settings: Value) -> Conditions:
    """The conditions of a measurement that is made now.

    Args:
        packages: distributions that took part; one that is not installed is left out.
        settings: what was asked for.
    """
    commit = _git("rev-parse", "HEAD")
    return Conditions(
        commit,
        bool(_git("status", "--porcelain", "--", *SOURCES)),
        f"{_processor()}, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}",
        dict(_versions(packages)),
        settings,
    )


def write_record(record: Record, path: Path) -> None:
    """Write a result as JSON, whole or not at all.

    Raises:
        BenchmarkError: the file cannot be written.
    """
    with writing(path) as partial:
        partial.write_text(to_json(record), encoding="utf-8")


def to_json(record: Record) -> str:
    """A result as JSON, one line per row: changes of a number show as one changed line."""
    head = {"schema_version": SCHEMA_VERSION, **asdict(record)}
    tables = head.pop("tables")
    lines = json.dumps(head, indent=2).removesuffix("\n}").splitlines()
    lines[-1] += ","
    lines.append('  "tables": {')
    for place, (name, table) in enumerate(tables.items()):
        rows = ",\n".join(f"        {json.dumps(row)}" for row in table["rows"])
        lines += [
            f"    {json.dumps(name)}: {{",
            f'      "key": {json.dumps(table["key"])},',
            f'      "exact": {json.dumps(table["exact"])},',
            f'      "rows": [\n{rows}\n      ]' if rows else '      "rows": []',
            "    }" + ("," if place + 1 < len(tables) else ""),
        ]
    return "\n".join([*lines, "  }", "}", ""])


def read_record(path: Path) -> Record:
    """Read a result.

    Raises:
        BenchmarkError: the file is missing, or no result.
    """
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
        if head["schema_version"] != SCHEMA_VERSION:
            raise BenchmarkError(
                f"expected results of schema {SCHEMA_VERSION}, got {head['schema_version']} "
                f"in {path}"
            )
        tables = {name: _table(table) for name, table in head["tables"].items()}
        return Record(
            head["kind"], head["note"], head["command"], Conditions(**head["conditions"]), tables
        )
    except OSError as error:
        raise BenchmarkError(f"expected a result at {path}, got: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchmarkError(f"expected the JSON of a result in {path}, got: {error!r}") from error


def _table(table: Mapping[str, Any]) -> Table:
    return Table(tuple(table["key"]), tuple(table["rows"]), tuple(table["exact"]))


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A file to write that takes the place of ``path`` when the block ends well.

    Raises:
        BenchmarkError: it cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise BenchmarkError(f"expected to write {path}, got: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _git(*arguments: str) -> str:
    try:
        found = subprocess.run(
            ["git", "-C", str(ROOT), *arguments],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):  # no git, or no checkout
        return ""
    return found.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def _versions(packages: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in packages:
        with suppress(metadata.PackageNotFoundError):
            yield name, metadata.version(name)
