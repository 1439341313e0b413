"""Picture of a network's layers: how many MACs each has, and how many bytes it moves."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from benchmarks.errors import BenchmarkError
from benchmarks.layers import KINDS, Kind
from benchmarks.reading import import_tool
from benchmarks.record import Row, writing

WIDTH_PX: Final = 1200
DPI: Final = 100
ROW_INCHES: Final = 0.135
MARGIN_INCHES: Final = 1.7  # title, legend and axes
LEAST_SHARE: Final = 0.05  # of the largest layer's bytes: below, layers without MACs are left out
# Okabe and Ito's colours, which the colour-blind tell apart.
COLOURS: Final[dict[Kind, str]] = {
    "pointwise": "#0072B2",
    "depthwise": "#E69F00",
    "conv": "#009E73",
    "linear": "#CC79A7",
    "deconv": "#D55E00",
    "other": "#999999",
}


def draw_layers(rows: Iterable[Row], title: str, path: Path) -> None:
    """Draw horizontal bars, one line per layer from top to bottom.

    Args:
        rows: of the table "layers" of ``macs``; layers without MACs that move less than
            ``LEAST_SHARE`` of what the largest one moves are left out.
        title: what it shows.
        path: PNG to write.

    Raises:
        BenchmarkError: there is nothing to draw, or the file cannot be written.
    """
    shown = _worth_drawing(list(rows))
    if not shown:
        raise BenchmarkError(f"expected layers to draw for {path}, got none")
    with writing(path) as partial:
        figure = _figure(shown, title)
        figure.savefig(partial, format="png", dpi=DPI, metadata={"Software": None})


def _worth_drawing(rows: Sequence[Row]) -> list[Row]:
    least = LEAST_SHARE * max((_moved(row) for row in rows), default=0)
    return [row for row in rows if row["macs"] or _moved(row) >= least]


def _moved(row: Row) -> int:
    return _weights(row) + int(row["activation_bytes"] or 0)


def _figure(rows: Sequence[Row], title: str) -> Any:  # noqa: ANN401 - matplotlib's Figure
    figures = import_tool("matplotlib.figure", "matplotlib")
    height = MARGIN_INCHES + ROW_INCHES * len(rows)
    figure = figures.Figure(figsize=(WIDTH_PX / DPI, height), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    places = range(len(rows))
    colours = [COLOURS[_kind(row)] for row in rows]
    left.barh(places, [_macs(row) / 1e6 for row in rows], 0.8, color=colours)
    right.barh(places, [_moved(row) / 1e3 for row in rows], 0.8, color=colours, alpha=0.5)
    right.barh(places, [_weights(row) / 1e3 for row in rows], 0.8, color=colours)
    modules = _modules(rows)
    names = [_label(row, module) for row, module in zip(rows, modules, strict=True)]
    left.set_yticks(places, names, fontsize=7)
    left.set_ylim(len(rows) - 0.4, -0.6)
    for axes, label in ((left, "million MACs"), (right, "kB moved; full colour: weights")):
        _dress(axes, label)
        _shade(axes, modules)
    _name_modules(right, modules)
    _legend(figure, rows, title)
    return figure


def _macs(row: Row) -> int:
    return int(row["macs"] or 0)


def _weights(row: Row) -> int:
    return int(row["weight_bytes"] or 0)


def _modules(rows: Sequence[Row]) -> list[str]:
    """For each layer the first part of its name, or that of the layers around it."""
    firsts = [
        str(row["layer"]).partition(".")[0] if row["macs"] and "." in str(row["layer"]) else ""
        for row in rows
    ]
    module = next((first for first in firsts if first), "")
    modules = []
    for first in firsts:
        module = first or module
        modules.append(module)
    return modules


def _label(row: Row, module: str) -> str:
    """A layer by its name inside its module; what has no MACs by its operation."""
    return str(row["layer"]).removeprefix(f"{module}.") if row["macs"] else str(row["op"])


def _spans(modules: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Runs of layers of one module, each with its first place and the one behind its last."""
    start = 0
    for module, run in groupby(modules):
        end = start + len(list(run))
        yield module, start, end
        start = end


def _shade(axes: Any, modules: Sequence[str]) -> None:  # noqa: ANN401 - matplotlib's Axes
    for number, (_, start, end) in enumerate(_spans(modules)):
        if number % 2:
            axes.axhspan(start - 0.5, end - 0.5, color="#f2f2f2", zorder=-1, linewidth=0)


def _name_modules(axes: Any, modules: Sequence[str]) -> None:  # noqa: ANN401
    for module, start, _ in _spans(modules):
        axes.annotate(
            module,
            (1, start - 0.4),
            xycoords=("axes fraction", "data"),
            fontsize=9,
            fontweight="bold",
            ha="right",
            va="top",
        )


def _kind(row: Row) -> Kind:
    return next(kind for kind in KINDS if kind == row["kind"])


def _dress(axes: Any, label: str) -> None:  # noqa: ANN401
    axes.set_xlabel(label, fontsize=9)
    axes.tick_params(axis="x", labelsize=8, top=True, labeltop=True)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _legend(figure: Any, rows: Sequence[Row], title: str) -> None:  # noqa: ANN401
    patches = import_tool("matplotlib.patches", "matplotlib")
    kinds = [kind for kind in KINDS if any(row["kind"] == kind for row in rows)]
    figure.legend(
        [patches.Patch(color=COLOURS[kind]) for kind in kinds],
        [_share(kind, rows) for kind in kinds],
        loc="outside upper left",
        ncols=3,
        frameon=False,
        fontsize=9,
        title=title,
        title_fontproperties={"size": 13, "weight": "bold"},
        alignment="left",
    )


def _share(kind: Kind, rows: Sequence[Row]) -> str:
    """A kind with its share of all MACs and of all that is moved."""
    mine = [row for row in rows if row["kind"] == kind]
    macs = sum(_macs(row) for row in rows) or 1
    moved = sum(map(_moved, rows)) or 1
    own = 100 * sum(_macs(row) for row in mine) / macs
    return f"{kind}: {own:.0f} % of MACs, {100 * sum(map(_moved, mine)) / moved:.0f} % of bytes"
