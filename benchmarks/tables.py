"""Rows as text: for the terminal and for Markdown."""

from collections.abc import Iterable, Sequence
from typing import Final

from benchmarks.record import Row, Value

NOTHING: Final = "-"
# The end of a column's name says its unit.
UNITS: Final = {
    "_percent": ", %",
    "_ms": ", ms",
    "_us": ", µs",
    "_s": ", s",
    "_mhz": ", MHz",
    "_ghz": ", GHz",
}
WORDS: Final = {"macs": "MACs", "flops": "FLOPs"}


def columns_of(rows: Iterable[Row]) -> tuple[str, ...]:
    """All columns, in the order in which they appear."""
    return tuple(dict.fromkeys(column for row in rows for column in row))


def heading(column: str) -> str:
    """A column's name in words, with its unit: "median, ms" for "median_ms"."""
    unit = next((one for one in UNITS if column.endswith(one)), "")
    words = column.removesuffix(unit).split("_")
    return " ".join(WORDS.get(word, word) for word in words) + UNITS.get(unit, "")


def cell(value: Value) -> str:
    """A value: thousands apart, three or four digits of fractions that matter, "-" for nothing."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return value


def text_table(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """Rows in aligned columns, numbers to the right; ends with a new line."""
    lines = [[heading(column) for column in columns]]
    lines += [[cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    numeric = [_is_numeric(rows, column) for column in columns]
    return "".join(
        "  ".join(
            one.rjust(width) if right else one.ljust(width)
            for one, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        + "\n"
        for line in lines
    )


def markdown_table(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """Rows as a table of Markdown, numbers to the right; ends with a new line."""
    rules = ["---:" if _is_numeric(rows, column) else "---" for column in columns]
    lines = [
        [heading(column) for column in columns],
        rules,
        *([cell(row.get(column)).replace("|", r"\|") for column in columns] for row in rows),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _is_numeric(rows: Sequence[Row], column: str) -> bool:
    """Whether a column has numbers; texts among them are numbers with fewer digits."""
    return any(
        isinstance(row.get(column), int | float) and not isinstance(row.get(column), bool)
        for row in rows
    )
