"""``compare``: two results row by row; exact columns must not grow."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.errors import BenchmarkError
from benchmarks.record import Record, Row, Table, Value, read_record
from benchmarks.tables import cell, text_table

HELP: Final = "compare two results: exact columns must not grow beyond limits"
EXIT_WORSE: Final = 1
EXIT_USAGE: Final = 2


@dataclass(frozen=True, slots=True)
class Change:
    """A value that differs, or a row that only one result has.

    Attributes:
        row: table and key.
        column: of the value; "" for a whole row.
        old: value of the first result; None where it has none.
        new: value of the second.
        verdict: "smaller", "new", "within the limit", or why it is not allowed.
        allowed: whether it is.
    """

    row: str
    column: str
    old: Value
    new: Value
    verdict: str
    allowed: bool

    @property
    def percent(self) -> float | None:
        """Growth; None where there is none to speak of."""
        return growth_percent(self.old, self.new)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("old", type=Path, metavar="A.json")
    parser.add_argument("new", type=Path, metavar="B.json")
    parser.add_argument(
        "--limit",
        type=_limit,
        action="append",
        default=[],
        metavar="COLUMN=PERCENT",
        help="let a column grow so far; columns that are not exact are compared only with one",
    )
    parser.add_argument(
        "--allow-missing", action="store_true", help="rows of A that B lacks are no failure"
    )


def _limit(text: str) -> tuple[str, float]:
    column, _, percent = text.partition("=")
    try:
        limit = float(percent)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected COLUMN=PERCENT, got {text!r}") from error
    if not column or not 0 <= limit < float("inf"):
        raise argparse.ArgumentTypeError(f"expected COLUMN=PERCENT of 0 or more, got {text!r}")
    return column, limit


def run(args: argparse.Namespace) -> int:
    """Compare and print.

    Returns:
        0; 1 when something grew too far or is missing; 2 when a limit is for no column.

    Raises:
        BenchmarkError: a file is no result, or they are of two benchmarks.
    """
    old, new = read_record(args.old), read_record(args.new)
    limits: dict[str, float] = dict(args.limit)
    columns = {column for table in old.tables.values() for row in table.rows for column in row}
    unknown = sorted(set(limits) - columns)
    if unknown:
        sys.stderr.write(f"error: expected columns of {args.old} as limits, got {unknown}\n")
        return EXIT_USAGE
    changes = compare_records(old, new, limits, allow_missing=args.allow_missing)
    sys.stdout.write(describe(changes))
    return 0 if all(change.allowed for change in changes) else EXIT_WORSE


def compare_records(
    old: Record, new: Record, limits: Mapping[str, float], *, allow_missing: bool = False
) -> tuple[Change, ...]:
    """What differs between two results of one benchmark.

    Args:
        old: what to hold to.
        new: what is held to it.
        limits: growth in percent that is allowed, by column.
        allow_missing: whether ``new`` may lack rows.

    Raises:
        BenchmarkError: they are of two benchmarks, or name their rows by different columns.
    """
    if old.kind != new.kind:
        raise BenchmarkError(f"expected two results of {old.kind!r}, got one of {new.kind!r}")
    found: list[Change] = []
    for name in dict.fromkeys((*old.tables, *new.tables)):
        was, now = old.tables.get(name), new.tables.get(name)
        key = (was or now or Table((), ())).key
        if was and now and was.key != now.key:
            raise BenchmarkError(f"expected rows of {name!r} named by {key}, got {now.key}")
        empty = Table(key, ())
        pairs = _join(was or empty, now or empty)
        exact = (was or empty).exact
        for row, one, other in pairs:
            label = f"{name}: {row}"
            if one is None:
                found.append(Change(label, "", None, None, "new", allowed=True))
            elif other is None:
                found.append(Change(label, "", None, None, "missing", allowed=allow_missing))
            else:
                found += _compare_rows(label, one, other, exact, limits)
    return tuple(found)


def _join(old: Table, new: Table) -> Iterator[tuple[str, Row | None, Row | None]]:
    before = {old.name(row): row for row in old.rows}
    after = {new.name(row): row for row in new.rows}
    for name in dict.fromkeys((*before, *after)):
        yield ", ".join(map(cell, name)), before.get(name), after.get(name)


def _compare_rows(
    label: str, old: Row, new: Row, exact: Sequence[str], limits: Mapping[str, float]
) -> Iterator[Change]:
    for column in dict.fromkeys((*exact, *limits)):
        was, now = old.get(column), new.get(column)
        if was != now:
            verdict, allowed = _judge(was, now, limits.get(column, 0.0))
            yield Change(label, column, was, now, verdict, allowed)


def _judge(old: Value, new: Value, limit: float) -> tuple[str, bool]:
    if old is None:
        return "new", True
    percent = growth_percent(old, new)
    if percent is None:
        return "another value", False
    if percent <= 0:
        return "smaller", True
    if percent <= limit:
        return f"within the limit of {limit:g} %", True
    return f"over the limit of {limit:g} %", False


def growth_percent(old: Value, new: Value) -> float | None:
    """By how much a number grew; None where one of both is no number."""
    if isinstance(old, str | bool | None) or isinstance(new, str | bool | None):
        return None
    if old == 0:
        return 0.0 if new <= 0 else float("inf")
    return 100.0 * (new - old) / abs(old)


def describe(changes: Sequence[Change]) -> str:
    """The changes as a table, and how many there are."""
    if not changes:
        return "no change\n"
    rows: list[Row] = [
        {
            "row": change.row,
            "column": change.column,
            "old": change.old,
            "new": change.new,
            "growth_percent": None if change.percent is None else f"{change.percent:+.2f}",
            "": change.verdict if change.allowed else f"FAILED: {change.verdict}",
        }
        for change in changes
    ]
    failed = sum(not change.allowed for change in changes)
    return f"{text_table(rows, tuple(rows[0]))}{len(changes)} changes, {failed} not allowed\n"
