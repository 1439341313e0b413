"""300VW: the test videos of categories A, B and C, 68 points out of 98 (Shen et al., ICCVW 2015).

Two modes, as in tables 3 and 4 of arXiv 2103.07615. *Detection*: each frame alone, in the region
of its true landmarks; or in that of a detector, where its weights are given. *Tracking*: the
runtime's own FaceTracker, with its gate and its second look, without smoothing; the box of the
true landmarks stands in for the detector, and is asked for only when the tracker has no face.

A frame for which there is no face is *lost*: it has no NME, and counts as a failure.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atpn_mobile.config import TrackerConfig
from atpn_mobile.geometry import box_from_landmarks, box_iou, roi_from_landmarks
from atpn_mobile.landmarks import TO_68
from atpn_mobile.tracker import FaceTracker
from atpn_mobile.types import FloatArray, Frame
from training.data.sample import Sample
from training.data.vw300 import read_300vw
from training.metrics import nme_percent
from training.protocols.predictor import Predictor, predict_faces
from training.protocols.results import (
    LIMIT_PERCENT,
    ErrorCurves,
    ProtocolResult,
    Row,
    landmark_rows,
)
from training.protocols.runtime import PredictorBackend, TruthDetector, open_detector
from training.protocols.w300 import points_68

Array = NDArray[np.float64]

CATEGORIES: Final = {
    "category A": "category1",
    "category B": "category2",
    "category C": "category3",
}
MIN_IOU: Final = 0.3  # of a detection and the true landmarks' box, to be the annotated face
MAX_DETECTED: Final = 8  # faces of a frame that are compared with the annotated one
_NOTE: Final = "68 of the 98 points, inter-ocular; lost frames have no NME and count as failures"


@dataclass(slots=True)
class _Tally:
    """What became of the frames so far."""

    nme: list[float] = field(default_factory=list)  # %, of the frames with a face
    lost: int = 0
    detections: int = 0  # times that the detector was asked

    def add(self, found: FloatArray | None, true: FloatArray) -> None:
        """Count a frame: its 98 points, None if no face was found, and the true 68 points."""
        if found is None:
            self.lost += 1
        else:
            self.nme.append(float(nme_percent(found[None, TO_68], true[None])[0]))

    def rows(self, subset: str) -> list[Row]:
        """The numbers; lost frames are failures, with an NME beyond the end of the curve."""
        frames = len(self.nme) + self.lost
        nme, beyond = np.array(self.nme), np.full(self.lost, 10.0 * LIMIT_PERCENT)
        mean, *rest = landmark_rows(subset, np.concatenate([nme, beyond]))
        reason = "" if self.nme else "no frame had a face"
        return [
            Row(subset, mean.measure, mean.unit, _mean(nme), frames, reason),
            *rest,
            Row(subset, "lost", "%", 100.0 * self.lost / frames, frames),
        ]


def evaluate_300vw(
    predictor: Predictor, data: Path, detector_weights: Path | None = None
) -> ProtocolResult:
    """Errors of the three categories in both modes.

    Args:
        predictor: the network.
        data: the folder that holds the numbered folders.
        detector_weights: of the detector; None leaves its rows out.

    Raises:
        DatasetError: a video or its annotations are missing or malformed.
        WeightsError: the weights of the detector cannot be read.
    """
    rows: list[Row] = []
    errors = {}
    for category, split in CATEGORIES.items():
        samples = read_300vw(data, split)
        aligned = _align_truth(predictor, samples)
        subset = f"{category}, detection"
        rows += landmark_rows(subset, aligned)
        errors[subset] = aligned
        if detector_weights is not None:
            tally = _detect(predictor, samples, detector_weights)
            rows += tally.rows(f"{category}, detector")
        if not predictor.has_presence:
            reason = f"{predictor.name} gives no presence"
            rows.append(Row(f"{category}, tracking", "NME", "%", None, None, reason))
            continue
        subset = f"{category}, tracking"
        tally = _track(predictor, samples)
        rows += [
            *tally.rows(subset),
            Row(subset, "detections", "count", float(tally.detections), len(samples)),
            Row(subset, "clips", "count", float(len({s.subject for s in samples})), len(samples)),
        ]
        errors[subset] = np.array(tally.nme)
    shown = {name: values for name, values in errors.items() if values.size}
    curves = ErrorCurves("ced_300vw", "300VW, frames with a face", shown)
    return ProtocolResult(tuple(rows), (curves,), (_NOTE,))


def _align_truth(predictor: Predictor, samples: list[Sample]) -> Array:
    true = points_68(samples)
    rois = [roi_from_landmarks(points) for points in true]
    found = predict_faces(predictor, [sample.image for sample in samples], rois)
    return nme_percent(found.landmarks[:, TO_68], true)


def _detect(predictor: Predictor, samples: list[Sample], weights: Path) -> _Tally:
    """Each frame alone, in the region that the detector finds: ``FaceTracker.detect``."""
    tally = _Tally()
    detector = open_detector(weights)
    config = TrackerConfig(max_faces=MAX_DETECTED, smoothing=None)
    with FaceTracker(PredictorBackend(predictor), config, detector=detector) as tracker:
        for sample in samples:
            true = points_68([sample])[0]
            tally.add(_annotated_face(tracker, sample.image.read(), true), true)
    return tally


def _annotated_face(tracker: FaceTracker, frame: Frame, true: FloatArray) -> FloatArray | None:
    """The 98 points of the face that is annotated, out of all faces that are found."""
    truth = box_from_landmarks(true)
    faces = [face.landmarks for face in tracker.detect(frame).faces]
    overlaps = [box_iou(box_from_landmarks(landmarks[TO_68]), truth) for landmarks in faces]
    if not overlaps or max(overlaps) < MIN_IOU:
        return None
    return faces[int(np.argmax(overlaps))]


def _track(predictor: Predictor, samples: Iterable[Sample]) -> _Tally:
    """Clip by clip, the frames that are annotated, one after the other."""
    tally = _Tally()
    detector = TruthDetector()
    config = TrackerConfig(smoothing=None)
    with FaceTracker(PredictorBackend(predictor), config, detector=detector) as tracker:
        for _, clip in groupby(samples, key=lambda sample: sample.subject):
            tracker.reset()
            for sample in clip:
                true = points_68([sample])[0]
                detector.landmarks = true
                result = tracker.track(sample.image.read())
                tally.add(result.faces[0].landmarks if result.faces else None, true)
    tally.detections = detector.calls
    return tally


def _mean(values: Array) -> float | None:
    return float(values.mean()) if values.size else None
