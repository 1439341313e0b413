"""300W: common, challenging and full, 68 points out of 98 (Sagonas et al., ICCVW 2013).

Each face is seen in the region of its true landmarks: the ground-truth boxes. NME in % of the
distance of the outer eye corners (36 and 45) and of the pupils, as papers use either.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atpn_mobile.geometry import roi_from_landmarks
from atpn_mobile.landmarks import TO_68
from atpn_mobile.types import FloatArray
from training.data.ibug import read_300w
from training.data.sample import DatasetError, Sample
from training.evaluate import INNER_51
from training.metrics import nme_inter_pupil_percent, nme_percent
from training.protocols.predictor import Predictor, predict_faces
from training.protocols.results import ErrorCurves, ProtocolResult, Row, landmark_rows

Array = NDArray[np.float64]

# Parts of "full" by the folders that the names begin with.
SUBSETS: Final = {
    "common": ("lfpw/testset/", "helen/testset/"),
    "challenging": ("ibug/",),
    "full": ("lfpw/testset/", "helen/testset/", "ibug/"),
    "HELEN test": ("helen/testset/",),
}
_MEASURE: Final = "NME inter-ocular"
_NOTES: Final = (
    "68 of the 98 points, each face in the region of its true landmarks (ground-truth box)",
    "FR and AUC: of the inter-ocular NME",
    "AFW is a part of 300W's training faces: of no use for a network that was trained on them",
)


def evaluate_300w(predictor: Predictor, data: Path) -> ProtocolResult:
    """Errors on the parts that papers report on, on the HELEN test faces alone, and on AFW.

    Args:
        predictor: the network.
        data: the folder that holds lfpw, helen, ibug and, where AFW is wanted, afw.

    Raises:
        DatasetError: a folder but afw is missing, or a file is malformed.
    """
    samples = read_300w(data, "full")
    true, found = _predict(predictor, samples)
    names = [sample.name for sample in samples]
    rows: list[Row] = []
    errors = {}
    for subset, folders in SUBSETS.items():
        chosen = np.array([name.startswith(folders) for name in names])
        errors[subset] = nme_percent(found[chosen], true[chosen])
        rows += _rows(subset, found[chosen], true[chosen])
    try:
        samples = read_300w(data, "afw")
    except DatasetError as error:
        rows.append(Row("AFW", _MEASURE, "%", None, reason=str(error)))
    else:
        rows += _rows("AFW", *reversed(_predict(predictor, samples)))
    curves = ErrorCurves("ced_300w", "300W, inter-ocular", errors)
    return ProtocolResult(tuple(rows), (curves,), _NOTES)


def points_68(samples: Sequence[Sample]) -> FloatArray:
    """The (N, 68, 2) points of samples that have them.

    Raises:
        DatasetError: one has none.
    """
    points = [sample.points68 for sample in samples if sample.points68 is not None]
    if len(points) != len(samples) or not points:
        raise DatasetError(
            f"expected samples with 68 points, got {len(points)} out of {len(samples)}"
        )
    return np.stack(points)


def _predict(predictor: Predictor, samples: Sequence[Sample]) -> tuple[FloatArray, FloatArray]:
    """True and found 68 points."""
    true = points_68(samples)
    rois = [roi_from_landmarks(points) for points in true]
    found = predict_faces(predictor, [sample.image for sample in samples], rois)
    return true, found.landmarks[:, TO_68]


def _rows(subset: str, found: FloatArray, true: FloatArray) -> list[Row]:
    inter_ocular, *rest = landmark_rows(subset, nme_percent(found, true), _MEASURE)
    count = inter_ocular.count
    inter_pupil = float(nme_inter_pupil_percent(found, true).mean())
    inner = float(nme_percent(found, true, points=INNER_51).mean())
    return [
        inter_ocular,
        Row(subset, "NME inter-pupil", "%", inter_pupil, count),
        Row(subset, "NME inner 51", "%", inner, count),
        *rest,
    ]
