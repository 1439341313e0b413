"""WFLW: the test list and its six subsets, 98 points (Wu et al., CVPR 2018).

Each face is seen in the region of its true landmarks. NME in % of the distance between the outer
eye corners (points 60 and 72); failure rate and area under the curve at 10 %.
"""

from pathlib import Path
from typing import Final

import numpy as np

from atpn_mobile.geometry import roi_from_landmarks
from atpn_mobile.types import FloatArray
from training.data.sample import DatasetError, Sample
from training.data.wflw import TEST_SUBSETS, read_wflw
from training.metrics import nme_percent
from training.protocols.predictor import Predictor, predict_faces
from training.protocols.published import WFLW_SUBSETS
from training.protocols.results import ErrorCurves, ProtocolResult, Row, landmark_rows

_NOTE: Final = "98 points, each face in the region of its true landmarks"


def evaluate_wflw(predictor: Predictor, data: Path) -> ProtocolResult:
    """Errors on the test list and on its subsets.

    Args:
        predictor: the network.
        data: the folder that holds WFLW_images and WFLW_annotations.

    Raises:
        DatasetError: the data set is missing or malformed, or its test list is empty.
    """
    samples = read_wflw(data, "test")
    if not samples:
        raise DatasetError(f"expected faces in the test list of WFLW in {data}, found none")
    true = np.stack([_points(sample) for sample in samples])
    rois = [roi_from_landmarks(points) for points in true]
    found = predict_faces(predictor, [sample.image for sample in samples], rois)
    nme = nme_percent(found.landmarks, true)
    names = np.array([sample.name for sample in samples])
    rows: list[Row] = []
    errors = {}
    for subset, split in zip(WFLW_SUBSETS, ("test", *TEST_SUBSETS), strict=True):
        chosen = nme[np.isin(names, [sample.name for sample in read_wflw(data, split)])]
        if chosen.size == 0:
            rows.append(Row(subset, "NME", "%", None, 0, "no face of the list has this attribute"))
            continue
        rows += landmark_rows(subset, chosen)
        errors[subset] = chosen
    curves = ErrorCurves("ced_wflw", "WFLW test", errors)
    return ProtocolResult(tuple(rows), (curves,), (_NOTE,))


def _points(sample: Sample) -> FloatArray:
    if sample.points98 is None:
        raise DatasetError(f"expected 98 points of {sample.name}, got none")
    return sample.points98
