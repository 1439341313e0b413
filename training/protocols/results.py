"""What a protocol gives: rows of numbers, curves to draw, and remarks."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.data.sample import DatasetError
from training.metrics import (
    PrecisionRecallCurve,
    ReliabilityBins,
    auc,
    failure_rate,
    precision_recall_curve,
)

Array = NDArray[np.float64]

LIMIT_PERCENT = 10.0  # NME at which a face counts as failed, and where the CED curve ends


class NotRunError(DatasetError):
    """A protocol cannot be run: its data, or an output of the network, is missing."""


@dataclass(frozen=True, slots=True)
class Row:
    """One number.

    Attributes:
        subset: the part of the data.
        measure: what was measured.
        unit: "%", "deg", "count", or "" for a number without one.
        value: the number; None where it was not measured.
        count: how many faces, frames or crops it was measured on; None where that does not apply.
        reason: why it was not measured.
    """

    subset: str
    measure: str
    unit: str
    value: float | None
    count: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class ErrorCurves:
    """Cumulative error distributions: the share of faces by the error they stay below.

    Attributes:
        name: file name without a suffix.
        title: what is drawn.
        errors: (N,) of each series, by its name.
        unit: of the errors.
        limit: where the curve ends.
    """

    name: str
    title: str
    errors: Mapping[str, Array]
    unit: str = "NME (%)"
    limit: float = LIMIT_PERCENT


@dataclass(frozen=True, slots=True, eq=False)
class PrecisionRecallCurves:
    """Precision over recall.

    Attributes:
        name: file name without a suffix.
        title: what is drawn.
        curves: by the name of the series.
    """

    name: str
    title: str
    curves: Mapping[str, PrecisionRecallCurve]


@dataclass(frozen=True, slots=True, eq=False)
class ReliabilityPlot:
    """Observed over promised probability.

    Attributes:
        name: file name without a suffix.
        title: what is drawn.
        bins: the curve.
        gate: the probability to mark.
    """

    name: str
    title: str
    bins: ReliabilityBins
    gate: float


Curves = ErrorCurves | PrecisionRecallCurves | ReliabilityPlot


@dataclass(frozen=True, slots=True, eq=False)
class ProtocolResult:
    """All that a protocol gives.

    Attributes:
        rows: the numbers, those of a subset together.
        curves: to draw.
        notes: how it was measured, where that needs saying.
    """

    rows: tuple[Row, ...]
    curves: tuple[Curves, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())


def landmark_rows(subset: str, nme: Array, name: str = "NME") -> list[Row]:
    """Mean, failure rate and area under the curve of (N,) errors in %, N > 0."""
    count = nme.size
    return [
        Row(subset, name, "%", float(nme.mean()), count),
        Row(subset, "FR 10 %", "%", 100.0 * failure_rate(nme, LIMIT_PERCENT), count),
        Row(subset, "AUC 10 %", "", auc(nme, LIMIT_PERCENT), count),
    ]


def presence_curves(
    name: str, title: str, series: Mapping[str, tuple[Array, NDArray[np.bool_]]]
) -> PrecisionRecallCurves:
    """Precision over recall of scores with their labels, by the name of the series."""
    return PrecisionRecallCurves(
        name,
        title,
        {key: precision_recall_curve(scores, labels) for key, (scores, labels) in series.items()},
    )
