"""The "val" parts of the project's own packs: what ``evaluate --data DIR`` measures, as rows."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from training.evaluate import GATE, NEGATIVE_KINDS, evaluate_packs
from training.protocols.predictor import Predictor
from training.protocols.results import ProtocolResult, Row


class _Column(NamedTuple):
    measure: str
    unit: str
    factor: float


def _share(measure: str) -> _Column:
    return _Column(measure, "%", 100.0)


# By the names of the report; "faces" and "gate" are the conditions and not results.
_COLUMNS: Final[Mapping[str, _Column]] = MappingProxyType(
    {
        "nme_98_percent": _Column("NME 98", "%", 1.0),
        "nme_68_percent": _Column("NME 68", "%", 1.0),
        "nme_inner_51_percent": _Column("NME inner 51", "%", 1.0),
        "failure_rate_10": _share("FR 10 %"),
        "auc_10": _Column("AUC 10 %", "", 1.0),
        "yaw_mae_deg": _Column("yaw", "deg", 1.0),
        "pitch_mae_deg": _Column("pitch", "deg", 1.0),
        "roll_mae_deg": _Column("roll", "deg", 1.0),
        "geodesic_deg": _Column("rotation", "deg", 1.0),
        "average_precision": _Column("AP", "", 1.0),
        "false_accept_at_99_true_accept": _share("FA at 99 % TA"),
        "true_accept_at_gate": _share("true accept"),
        "false_accept_at_gate": _share("false accept"),
        **{
            f"false_accept_at_gate_{kind.replace(' ', '_')}": _share(f"of {kind}")
            for kind in NEGATIVE_KINDS
        },
    }
)
_NOTE: Final = (
    "each face in the region of its true landmarks; presence: moved as a tracker's region may be "
    f"off, accepts at the gate of {GATE:g}"
)


def evaluate_pack_rows(predictor: Predictor, data: Path) -> ProtocolResult:
    """The report of ``evaluate_packs`` as rows.

    Args:
        predictor: the network.
        data: the folder of packs.

    Raises:
        DatasetError: a pack is missing or damaged.
    """
    rows = []
    for subset, measures in evaluate_packs(predictor, data).items():
        count = int(measures["faces"]) if "faces" in measures else None
        for name, column in _COLUMNS.items():
            if name in measures:
                value = measures[name] * column.factor
                rows.append(Row(subset, column.measure, column.unit, value, count))
    return ProtocolResult(tuple(rows), notes=(_NOTE,))
