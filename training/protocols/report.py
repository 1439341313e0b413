"""Reports as an aligned table and as JSON."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final

from training.protocols.published import Published, published
from training.protocols.registry import ProtocolReport
from training.protocols.results import Row

NOT_RUN: Final = "not run"
UNKNOWN: Final = "-"  # published somewhere, and not known here
_DECIMALS: Final = {"%": 2, "deg": 2, "count": 0, "": 4}

_Line = list[str]


def format_report(report: ProtocolReport) -> str:
    """A report as text: a table for each run of subsets with the same measures.

    Below each subset stand the published numbers for it, "-" where they are not known here.
    """
    lines = [f"{report.protocol}: {report.summary}"]
    if report.not_run:
        lines.append(f"  {NOT_RUN}: {report.not_run}")
    entries = published(report.protocol)
    subsets = [list(rows) for _, rows in groupby(report.result.rows, key=lambda row: row.subset)]
    for measures, block in groupby(subsets, key=_measures):
        lines += _format_block(report.network, measures, block, entries)
    reasons = {(row.subset, row.reason): None for row in report.result.rows if row.reason}
    lines += [f"  {subset}: {reason}" for subset, reason in reasons]
    lines += [f"  {note}" for note in report.result.notes]
    return "\n".join(lines) + "\n"


def report_as_json(reports: Sequence[ProtocolReport]) -> list[dict[str, Any]]:
    """Reports as plain values."""
    return [
        {
            "protocol": report.protocol,
            "summary": report.summary,
            "network": report.network,
            "not_run": report.not_run,
            "notes": list(report.result.notes),
            "rows": [_row_as_json(report.protocol, row) for row in report.result.rows],
        }
        for report in reports
    ]


def _row_as_json(protocol: str, row: Row) -> dict[str, Any]:
    others = [
        {"system": entry.system, "value": entry.value, "source": entry.source}
        for entry in published(protocol)
        if (entry.subset, entry.measure) == (row.subset, row.measure)
    ]
    return {
        "subset": row.subset,
        "measure": row.measure,
        "unit": row.unit,
        "value": row.value,
        "count": row.count,
        "reason": row.reason,
        "published": others,
    }


def _measures(rows: Sequence[Row]) -> tuple[tuple[str, str], ...]:
    return tuple((row.measure, row.unit) for row in rows)


def _format_block(
    network: str,
    measures: Sequence[tuple[str, str]],
    subsets: Iterable[Sequence[Row]],
    entries: Sequence[Published],
) -> _Line:
    table: list[_Line] = [["", "", "n", *(_heading(*measure) for measure in measures)]]
    for rows in subsets:
        count = next((str(row.count) for row in rows if row.count is not None), "")
        table.append([rows[0].subset, network, count, *(_format_value(row) for row in rows)])
        same = [entry for entry in entries if entry.subset == rows[0].subset]
        for system in dict.fromkeys(entry.system for entry in same):
            known = {e.measure: e.value for e in same if e.system == system}
            cells = [_format_published(known, row) for row in rows]
            if any(cells):
                table.append(["", system, "", *cells])
    return _align(table)


def _heading(measure: str, unit: str) -> str:
    return f"{measure}, {unit}" if unit and unit not in (measure.split()[-1], "count") else measure


def _format_value(row: Row) -> str:
    if row.value is None:
        return NOT_RUN
    return f"{row.value:.{_DECIMALS[row.unit]}f}"


def _format_published(known: dict[str, float | None], row: Row) -> str:
    if row.measure not in known:
        return ""
    value = known[row.measure]
    return UNKNOWN if value is None else f"{value:g}"


def _align(table: Sequence[_Line]) -> _Line:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        words = [row[i].ljust(widths[i]) for i in (0, 1)]
        numbers = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  " + "  ".join([*words, *numbers]).rstrip())
    return lines
