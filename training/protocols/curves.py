"""Curves as pictures: cumulative errors, precision over recall, reliability."""

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from training.files import replacing
from training.metrics import auc, failure_rate
from training.protocols.results import (
    Curves,
    ErrorCurves,
    PrecisionRecallCurves,
    ReliabilityPlot,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

DPI: Final = 120
SIZE_INCHES: Final = (6.0, 5.0)
CLOSE_UP_AREA: Final = 0.98  # average precision above which only the corner is drawn
CLOSE_UP: Final = 0.9  # from here on


def draw_curves(curves: Curves, folder: Path) -> Path:
    """Draw curves into a folder.

    Args:
        curves: what to draw.
        folder: where the picture goes; made where it is missing.

    Returns:
        the picture, ``<name>.png``, written whole or not at all.
    """
    # the Agg canvas directly: no global backend is switched, no window system needed
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    if isinstance(curves, ErrorCurves):
        axes = figure.add_subplot()
        _draw_errors(curves, axes)
    elif isinstance(curves, PrecisionRecallCurves):
        axes = figure.add_subplot()
        _draw_precision_recall(curves, axes)
    else:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        _draw_reliability(curves, axes)
        _draw_counts(curves, below)
    axes.set_title(curves.title)
    axes.grid(visible=True, alpha=0.3)
    path = folder / f"{curves.name}.png"
    with replacing(path) as partial:
        figure.savefig(partial, dpi=DPI, format="png")
    return path


def _draw_errors(curves: ErrorCurves, axes: "Axes") -> None:
    limit = curves.limit
    for name, errors in curves.errors.items():
        inside = np.sort(errors[errors <= limit])
        share = np.arange(1, inside.size + 1) / errors.size
        # from the origin, and on to the limit: the distribution is known there too
        x = np.concatenate([[0.0], inside, [limit]])
        y = np.concatenate([[0.0], share, share[-1:] if share.size else [0.0]])
        area, failed = auc(errors, limit), failure_rate(errors, limit)
        label = f"{name}: AUC {area:.3f}, beyond {100.0 * failed:.1f} %"
        axes.plot(x, y, drawstyle="steps-post", label=label)
    axes.set(xlabel=curves.unit, ylabel="share of faces", xlim=(0.0, limit), ylim=(0.0, 1.0))
    _add_legend(axes, "lower right")


def _draw_precision_recall(curves: PrecisionRecallCurves, axes: "Axes") -> None:
    areas = []
    for name, curve in curves.curves.items():
        area = float(np.sum(curve.precision * np.diff(curve.recall, prepend=0.0)))
        recall = np.concatenate([[0.0], curve.recall])
        precision = np.concatenate([curve.precision[:1], curve.precision])
        axes.plot(recall, precision, drawstyle="steps-pre", label=f"{name}: AP {area:.4f}")
        areas.append(area)
    # A curve that hugs the corner is seen only from nearby.
    low = CLOSE_UP if min(areas, default=0.0) > CLOSE_UP_AREA else 0.0
    margin = 0.02 * (1.0 - low)
    axes.set(
        xlabel="recall", ylabel="precision", xlim=(low, 1.0 + margin), ylim=(low, 1.0 + margin)
    )
    _add_legend(axes, "lower left")


def _draw_reliability(plot: ReliabilityPlot, axes: "Axes") -> None:
    bins = plot.bins
    known = bins.count > 0
    observed, count = bins.observed[known], bins.count[known]
    low, high = wilson_interval(observed, count)
    axes.plot([0.0, 1.0], [0.0, 1.0], color="0.6", linestyle="--", label="calibrated")
    axes.errorbar(
        bins.promised[known],
        observed,
        # never below 0: rounding may put a bound on the wrong side of the share itself
        yerr=np.maximum([observed - low, high - observed], 0.0),
        fmt="o",
        capsize=3,
        label=f"observed (95 %), ECE {100.0 * bins.expected_error:.2f} %",
    )
    axes.axvline(plot.gate, color="tab:red", linestyle=":", label=f"gate {plot.gate:g}")
    axes.set(ylabel="share of faces", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    _add_legend(axes, "upper left")


def _draw_counts(plot: ReliabilityPlot, axes: "Axes") -> None:
    edges = plot.bins.edges
    axes.bar(edges[:-1], plot.bins.count, width=np.diff(edges), align="edge", edgecolor="white")
    axes.axvline(plot.gate, color="tab:red", linestyle=":")
    axes.set(xlabel="presence", ylabel="crops", yscale="log")


def wilson_interval(share: Array, count: NDArray[np.intp]) -> tuple[Array, Array]:
    """95 % interval of shares (Wilson, JASA 1927), which holds for few and for extreme ones too.

    Args:
        share: (B,) 0..1.
        count: (B,) how many each was taken of, above 0.

    Returns:
        lower and upper bounds, (B,).
    """
    z = 1.96
    denominator = 1.0 + z**2 / count
    middle = (share + z**2 / (2.0 * count)) / denominator
    half = z / denominator * np.sqrt(share * (1.0 - share) / count + (z / (2.0 * count)) ** 2)
    return middle - half, middle + half


def _add_legend(axes: "Axes", place: Literal["lower right", "lower left", "upper left"]) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc=place, fontsize=8)
