"""What the command shows: tables for people, JSON for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from converters.accuracy import AlignmentLoss
from converters.held_out import Loss
from converters.parity import AlignmentParity, ParityReport


def format_rows(rows: Sequence[dict[str, Any]], *, as_json: bool) -> str:
    """Rows as a table, or as JSON with every number.

    Args:
        rows: of equal keys; "parity" and "loss" are reports or None, "sha256" and "error" are for
            JSON alone.
        as_json: JSON instead of a table.
    """
    if as_json:
        plain = [{key: _plain(value) for key, value in row.items()} for row in rows]
        return json.dumps(plain, indent=2) + "\n"
    return format_table(
        [
            {key: _cell(key, value) for key, value in row.items() if key not in ("sha256", "error")}
            for row in rows
        ]
    )


def _plain(value: Any) -> Any:  # noqa: ANN401 - a value of any column
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _cell(key: str, value: Any) -> str:  # noqa: ANN401
    if key in ("parity", "loss"):
        show = format_parity if key == "parity" else format_loss
        return "-" if value is None else show(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def format_parity(report: ParityReport) -> str:
    """A report in one line: the largest differences on pictures."""
    if isinstance(report, AlignmentParity):
        parts = [
            f"landmarks {report.landmarks_max_percent:.2g} % of the face",
            f"pose {report.pose_max_deg:.2g} deg",
        ]
        if report.presence_max is not None:
            parts.append(f"presence {report.presence_max:.2g}")
        return ", ".join(parts)
    return (
        f"found boxes {report.found_boxes_max_percent:.2g} % of the input, scores "
        f"{report.scores_max:.2g}"
    )


def format_loss(loss: Loss) -> str:
    """A loss on held-out data in one line."""
    if isinstance(loss, AlignmentLoss):
        worst = max(loss.nme_increase_percent.values())
        parts = [f"NME {worst:+.1f} %", f"pose {loss.pose_increase_deg:+.2f} deg"]
        if loss.presence_agreement is not None:
            parts.append(f"presence alike {100.0 * loss.presence_agreement:.2f} %")
        return ", ".join(parts)
    return (
        f"recall {loss.recall_large:+.3f}, small {loss.recall_small:+.3f}, "
        f"false boxes {loss.false_boxes:+d}"
    )


def format_table(rows: Sequence[dict[str, str]]) -> str:
    """Rows of equal keys as aligned columns under a heading; nothing for no rows."""
    if not rows:
        return ""
    columns = list(rows[0])
    lines = [columns, *([row[column] for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        + "\n"
        for line in lines
    )
