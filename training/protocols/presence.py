"""Presence as a probability: reliability, the gate, precision and recall, on the packs.

Faces are moved as a tracker's region may be off from frame to frame. The negatives are what the
packs have: backgrounds, backs of heads, and crops beside a face (IoU below 0.3). There are no
hands among them, because no pack has labelled ones.

A reliability curve holds for the share of faces among the crops it was measured on, which is in
the rows; with more negatives the same presence means a face less often.
"""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.calibration import NEAR, Promise, presence_reliability
from training.evaluate import (
    GATE,
    NEGATIVE_KINDS,
    load_val_faces,
    predict_presence,
    presence_measures,
    presence_set,
)
from training.protocols.predictor import Predictor
from training.protocols.results import (
    NotRunError,
    ProtocolResult,
    ReliabilityPlot,
    Row,
    presence_curves,
)

_NOTES: Final = (
    "negatives: backgrounds, backs of heads, crops beside a face; no hands: no data has labels",
    f"gate: presence of {GATE:g}; promised: mean presence; observed: share of faces; ECE: 15 bins",
    "with T: presence's logits over the temperature T; ECE with T: T of the other half of the data",
)


def evaluate_presence(predictor: Predictor, data: Path) -> ProtocolResult:
    """How well presence tells faces, and how far it can be taken at its word.

    Args:
        predictor: the network.
        data: the folder of packs.

    Raises:
        NotRunError: the network gives no presence.
        DatasetError: a pack is missing or damaged.
    """
    if not predictor.has_presence:
        raise NotRunError(f"expected a network with presence, {predictor.name} gives none")
    faces = [face for pack in load_val_faces(data).values() for face in pack]
    crops = presence_set(faces, data, size=predictor.input_size)
    scores = predict_presence(predictor, crops.images)
    measures = presence_measures(scores, crops)
    reliability = presence_reliability(scores, crops.is_face, GATE)
    total, num_faces = crops.is_face.size, int(crops.is_face.sum())
    others = total - num_faces
    rows = [
        Row("ranking", "AP", "", measures["average_precision"], total),
        Row(
            "ranking",
            "FA at 99 % TA",
            "%",
            100.0 * measures["false_accept_at_99_true_accept"],
            total,
        ),
        Row("gate", "true accept", "%", 100.0 * measures["true_accept_at_gate"], num_faces),
        Row("gate", "false accept", "%", 100.0 * measures["false_accept_at_gate"], others),
        Row("calibration", "ECE", "%", 100.0 * reliability.bins.expected_error, total),
        Row("calibration", "Brier", "", reliability.brier, total),
        Row("calibration", "faces", "%", 100.0 * reliability.face_share, total),
        Row("calibration", "T", "", reliability.temperature, total),
        Row("calibration", "ECE with T", "%", 100.0 * reliability.error_with_temperature, total),
        *_promise_rows("behind the gate", reliability.passed),
        *_promise_rows(f"within {NEAR:g} of the gate", reliability.near_gate),
    ]
    kinds = np.array(crops.kind)
    for kind in NEGATIVE_KINDS:
        accept = measures[f"false_accept_at_gate_{kind.replace(' ', '_')}"]
        rows.append(Row(kind, "false accept", "%", 100.0 * accept, int((kinds == kind).sum())))
    return ProtocolResult(
        tuple(rows),
        (
            ReliabilityPlot("reliability", "Presence", reliability.bins, GATE),
            presence_curves("pr_presence", "Presence", _by_kind(scores, crops.is_face, kinds)),
        ),
        _NOTES,
    )


def _promise_rows(subset: str, promise: Promise) -> list[Row]:
    """Mean presence and share of faces of some crops."""
    if promise.count == 0:
        return [Row(subset, "promised", "%", None, 0, "no crop has such a presence")]
    return [
        Row(subset, "promised", "%", 100.0 * promise.promised, promise.count),
        Row(subset, "observed", "%", 100.0 * promise.observed, promise.count),
    ]


def _by_kind(
    scores: NDArray[np.float32], is_face: NDArray[np.bool_], kinds: NDArray[np.str_]
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """All faces against all negatives, and against each kind of them."""
    values = scores.astype(np.float64)
    series = {"all": (values, is_face)}
    for kind in NEGATIVE_KINDS:
        chosen = is_face | (kinds == kind)
        series[kind] = (values[chosen], is_face[chosen])
    return series
