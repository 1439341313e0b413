"""How good landmarks, head poses, face confidences and face boxes are. Pure functions of numpy.

Every function checks the shapes it gets and raises ValueError with what it expected and what came.
A value that is not finite is refused too: a network that gives nan must not look good.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Numbers = NDArray[np.floating] | NDArray[np.integer]

# The outer corners of the right and the left eye, by the number of landmarks.
EYE_CORNERS: Final = {98: (60, 72), 68: (36, 45)}
# The outlines of the two eyes of 68 points, whose means stand for the pupils.
EYES_68: Final = (slice(36, 42), slice(42, 48))


# ---- landmarks ---------------------------------------------------------------------------------


def nme_percent(
    predicted: NDArray[np.floating],
    true: NDArray[np.floating],
    eye_corners: tuple[int, int] | None = None,
    points: slice | Sequence[int] | None = None,
) -> Array:
    """Normalised mean error of each face.

    The mean distance of the landmarks, in % of the distance between the outer eye corners
    (inter-ocular distance) of the true landmarks: Sagonas et al., 300-W, ICCVW 2013; Wu et al.,
    WFLW, CVPR 2018.

    Args:
        predicted: (N, P, 2), pixels or any other unit.
        true: (N, P, 2), the same unit.
        eye_corners: indices of the two points that normalise; None for 60 and 72 of 98 points,
            36 and 45 of 68.
        points: the points to take the mean over, None for all: ``slice(17, 68)`` of 68 for the
            inner 51.

    Returns:
        (N,) float64, %.

    Raises:
        ValueError: the shapes differ or are not (N, P, 2), a value is not finite, the corners are
            unknown, or they coincide in a true face.
    """
    predicted, true = _landmarks(predicted, true)
    if eye_corners is None:
        eye_corners = EYE_CORNERS.get(true.shape[1])
    if eye_corners is None:
        raise ValueError(
            f"expected {' or '.join(map(str, EYE_CORNERS))} points, or eye_corners, got "
            f"{true.shape[1]} points"
        )
    right, left = eye_corners
    return _normalised(predicted, true, true[:, right] - true[:, left], points)


def nme_inter_pupil_percent(predicted: NDArray[np.floating], true: NDArray[np.floating]) -> Array:
    """As ``nme_percent``, in % of the distance between the pupils, the other custom of 300W.

    The 68 points have no pupils: each is the mean of the six points of its eye (Sagonas et al.,
    300-W, ICCVW 2013).

    Args:
        predicted: (N, 68, 2), pixels or any other unit.
        true: (N, 68, 2), the same unit.

    Returns:
        (N,) float64, %.

    Raises:
        ValueError: the shapes differ or are not (N, 68, 2), a value is not finite, or the pupils
            coincide in a true face.
    """
    predicted, true = _landmarks(predicted, true)
    if true.shape[1] != 68:
        raise ValueError(f"expected 68 points, got {true.shape[1]}")
    right, left = (true[:, eye].mean(axis=1) for eye in EYES_68)
    return _normalised(predicted, true, right - left, None)


def failure_rate(nme: Numbers, threshold: float = 10.0) -> float:
    """Share of faces, 0..1, whose NME is above a threshold, both in % (WFLW: 10 %).

    Raises:
        ValueError: ``nme`` is not (N,) with N > 0, or not finite; the threshold is not above 0.
    """
    values = _errors(nme, threshold)
    return float((values > threshold).mean())


def auc(nme: Numbers, threshold: float = 10.0) -> float:
    """Area under the cumulative error curve from 0 to a threshold, as a share of the whole, 0..1.

    Exact: the curve is a step function, whose area is the mean of ``max(0, 1 - nme / threshold)``.
    (Programs that sample the curve and use Simpson's rule differ in the fourth digit.)

    Args:
        nme: (N,), %.
        threshold: end of the curve, % (WFLW: 10 %).

    Raises:
        ValueError: ``nme`` is not (N,) with N > 0, or not finite; the threshold is not above 0.
    """
    values = _errors(nme, threshold)
    return float(np.maximum(0.0, 1.0 - values / threshold).mean())


# ---- head pose ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PoseErrors:
    """Mean absolute errors of head poses, degrees.

    Attributes:
        yaw_deg: of the yaw of ``HeadPose``; likewise pitch and roll.
        pitch_deg: see yaw_deg.
        roll_deg: see yaw_deg.
        geodesic_deg: angle of the rotation between prediction and truth; free of any convention
            of angles.
    """

    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    geodesic_deg: float

    @property
    def mean_deg(self) -> float:
        """Mean of the three angles' errors, the MAE of head pose tables."""
        return (self.yaw_deg + self.pitch_deg + self.roll_deg) / 3.0


def angle_difference_deg(a: Numbers, b: Numbers) -> Array:
    """Distance of angles in degrees on the circle, 0..180, element by element: 359 and 1 are 2.

    Raises:
        ValueError: the shapes differ, or a value is not finite.
    """
    first, second = _finite(a, "a"), _finite(b, "b")
    if first.shape != second.shape:
        raise ValueError(f"expected angles of one shape, got {first.shape} and {second.shape}")
    difference: Array = np.abs((first - second + 180.0) % 360.0 - 180.0)
    return difference


def pose_mae_deg(
    predicted_rotation: NDArray[np.floating], true_rotation: NDArray[np.floating]
) -> PoseErrors:
    """Mean absolute error of head rotations.

    Args:
        predicted_rotation: (N, 3, 3), camera <- head, as in ``HeadPose``.
        true_rotation: (N, 3, 3), likewise.

    Raises:
        ValueError: the shapes differ, are not (N, 3, 3) with N > 0, or a matrix is no rotation.
    """
    predicted = _rotations(predicted_rotation, "predicted")
    true = _rotations(true_rotation, "true")
    if predicted.shape != true.shape:
        raise ValueError(
            f"expected as many predicted as true rotations, got {predicted.shape} and {true.shape}"
        )
    errors = angle_difference_deg(_euler_deg(predicted), _euler_deg(true)).mean(axis=0)
    yaw, pitch, roll = errors.tolist()
    return PoseErrors(yaw, pitch, roll, float(_geodesic_deg(predicted, true).mean()))


def _euler_deg(rotation: Array) -> Array:
    """(N, 3) yaw, pitch, roll: ``geometry.euler_from_rotation`` of many."""
    yaw = -np.arctan2(-rotation[:, 2, 0], rotation[:, 2, 2])
    pitch = -np.arcsin(np.clip(rotation[:, 2, 1], -1.0, 1.0))
    roll = -np.arctan2(-rotation[:, 0, 1], rotation[:, 1, 1])
    angles: Array = np.degrees(np.stack([yaw, pitch, roll], axis=1))
    return angles


def _geodesic_deg(a: Array, b: Array) -> Array:
    """(N,) angle of ``a.T @ b``; by sine and cosine, as the cosine alone is blind near 0."""
    between = np.swapaxes(a, 1, 2) @ b
    skew = between - np.swapaxes(between, 1, 2)
    sine = np.linalg.norm(np.stack([skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0]], axis=1), axis=1)
    cosine = np.trace(between, axis1=1, axis2=2) - 1.0
    angle: Array = np.degrees(np.arctan2(sine, cosine))  # both are doubled
    return angle


# ---- presence ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class RocCurve:
    """Rates by threshold; "accepted" is a score of at least the threshold.

    Attributes:
        thresholds: (K + 1,) float64, falling: infinity, then each score that occurs.
        false_accept: (K + 1,) float64, rising: share of the negatives that are accepted.
        true_accept: (K + 1,) float64, rising: share of the positives that are accepted.
    """

    thresholds: Array
    false_accept: Array
    true_accept: Array


def roc_curve(scores: Numbers, labels: NDArray[np.generic]) -> RocCurve:
    """Receiver operating characteristic, from nothing accepted to everything accepted.

    Args:
        scores: (N,), higher for positives.
        labels: (N,), True or 1 for positives, False or 0 for negatives.

    Raises:
        ValueError: the shapes differ, a score is not finite, a label is neither 0 nor 1, or there
            are no positives or no negatives.
    """
    thresholds, true_accepts, false_accepts = _accepted_by_threshold(scores, labels)
    if false_accepts[-1] == 0:
        raise ValueError(f"expected negatives among the labels, got {len(labels)} positives")
    return RocCurve(
        thresholds=np.concatenate([[np.inf], thresholds]),
        false_accept=np.concatenate([[0.0], false_accepts / false_accepts[-1]]),
        true_accept=np.concatenate([[0.0], true_accepts / true_accepts[-1]]),
    )


def average_precision(scores: Numbers, labels: NDArray[np.generic]) -> float:
    """Area under the precision-recall curve: the sum of precision times gain in recall.

    Without interpolation, equal scores taken together (Manning et al., Introduction to Information
    Retrieval, ch. 8), so the order of equal scores does not matter.

    Args:
        scores: (N,), higher for positives.
        labels: (N,), True or 1 for positives, False or 0 for negatives.

    Raises:
        ValueError: the shapes differ, a score is not finite, a label is neither 0 nor 1, or there
            are no positives.
    """
    curve = precision_recall_curve(scores, labels)
    return float(np.sum(curve.precision * np.diff(curve.recall, prepend=0.0)))


@dataclass(frozen=True, slots=True, eq=False)
class PrecisionRecallCurve:
    """Precision and recall by threshold; "accepted" is a score of at least the threshold.

    Attributes:
        thresholds: (K,) float64, falling: each score that occurs.
        precision: (K,) float64: share of positives among what is accepted.
        recall: (K,) float64, rising to 1: share of the positives that are accepted.
    """

    thresholds: Array
    precision: Array
    recall: Array


def precision_recall_curve(scores: Numbers, labels: NDArray[np.generic]) -> PrecisionRecallCurve:
    """Precision and recall, from the highest score accepted to everything accepted.

    Args:
        scores: (N,), higher for positives.
        labels: (N,), True or 1 for positives, False or 0 for negatives.

    Raises:
        ValueError: the shapes differ, a score is not finite, a label is neither 0 nor 1, or there
            are no positives.
    """
    thresholds, true_accepts, false_accepts = _accepted_by_threshold(scores, labels)
    return PrecisionRecallCurve(
        thresholds=thresholds,
        precision=true_accepts / (true_accepts + false_accepts),
        recall=true_accepts / true_accepts[-1],
    )


def false_accept_at_true_accept(
    scores: Numbers, labels: NDArray[np.generic], true_accept: float
) -> float:
    """Lowest share of negatives that any threshold accepts while it accepts enough positives.

    Args:
        scores: (N,), higher for positives.
        labels: (N,), True or 1 for positives, False or 0 for negatives.
        true_accept: the share of positives that must be accepted, above 0, at most 1.

    Raises:
        ValueError: as ``roc_curve``; or ``true_accept`` is out of range.
    """
    if not 0.0 < true_accept <= 1.0:
        raise ValueError(f"expected true_accept above 0 and at most 1, got {true_accept}")
    curve = roc_curve(scores, labels)
    enough = int(np.argmax(curve.true_accept >= true_accept))  # both rates rise: the first is best
    return float(curve.false_accept[enough])


@dataclass(frozen=True, slots=True, eq=False)
class ReliabilityBins:
    """What probabilities promise and what comes true, in bins of equal width.

    Attributes:
        edges: (B + 1,) float64, from 0 to 1.
        count: (B,) predictions in each bin.
        promised: (B,) float64, mean predicted probability; nan in an empty bin.
        observed: (B,) float64, share of positives; nan in an empty bin.
    """

    edges: Array
    count: NDArray[np.intp]
    promised: Array
    observed: Array

    @property
    def expected_error(self) -> float:
        """Expected calibration error: mean of |promised - observed|, weighted by ``count``."""
        gaps = np.abs(self.promised - self.observed)
        return float(np.nansum(self.count * gaps) / self.count.sum())


def reliability_bins(
    probabilities: Numbers, labels: NDArray[np.generic], num_bins: int = 15
) -> ReliabilityBins:
    """Compare predicted probabilities with what came true.

    Args:
        probabilities: (N,) of being positive, 0..1.
        labels: (N,), True or 1 for positives, False or 0 for negatives.
        num_bins: of equal width; a probability on an edge belongs to the bin above it, 1 to the
            last one.

    Raises:
        ValueError: the shapes differ, there is nothing, a probability is outside 0..1, a label is
            neither 0 nor 1, or ``num_bins`` is below 1.
    """
    values, positive = _scored(probabilities, labels)
    if values.size == 0 or values.min() < 0.0 or values.max() > 1.0:
        raise ValueError(f"expected probabilities within 0..1, got {_range(values)}")
    if num_bins < 1:
        raise ValueError(f"expected num_bins of at least 1, got {num_bins}")
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    index = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, num_bins - 1)
    count = np.bincount(index, minlength=num_bins)
    empty = np.where(count > 0, 1.0, np.nan)  # nan times anything is nan
    divisor = np.maximum(count, 1)
    return ReliabilityBins(
        edges=edges,
        count=count,
        promised=empty * np.bincount(index, weights=values, minlength=num_bins) / divisor,
        observed=empty * np.bincount(index, weights=positive, minlength=num_bins) / divisor,
    )


def expected_calibration_error(
    probabilities: Numbers, labels: NDArray[np.generic], num_bins: int = 15
) -> float:
    """How far predicted probabilities are from what comes true, 0..1.

    Bins of equal width, weighted by how many fall into each (Guo et al., "On Calibration of Modern
    Neural Networks", ICML 2017; 15 bins as there).

    Args:
        probabilities: (N,) of being positive, 0..1.
        labels: (N,), True or 1 for positives, False or 0 for negatives.
        num_bins: of equal width.

    Raises:
        ValueError: as ``reliability_bins``.
    """
    return reliability_bins(probabilities, labels, num_bins).expected_error


def _accepted_by_threshold(
    scores: Numbers, labels: NDArray[np.generic]
) -> tuple[Array, Array, Array]:
    """The distinct scores, falling, and how many positives and negatives score as high."""
    values, positive = _scored(scores, labels)
    if not positive.any():
        raise ValueError(f"expected positives among the labels, got {positive.size} negatives")
    order = np.argsort(-values, kind="stable")
    values, positive = values[order], positive[order]
    last = np.append(np.flatnonzero(np.diff(values)), values.size - 1)  # of each run of equals
    true_accepts = np.cumsum(positive)[last].astype(np.float64)
    return values[last], true_accepts, last + 1.0 - true_accepts


def _scored(scores: Numbers, labels: NDArray[np.generic]) -> tuple[Array, NDArray[np.bool_]]:
    """Scores with their labels, both (N,)."""
    values, truth = _finite(scores, "scores"), np.asarray(labels)
    if values.ndim != 1 or truth.shape != values.shape:
        raise ValueError(
            f"expected scores and labels (N,) of one length, got {values.shape} and {truth.shape}"
        )
    if not np.isin(truth, (0, 1)).all():
        raise ValueError(f"expected labels of 0 or 1, got {np.unique(truth).tolist()}")
    return values, truth.astype(bool)


def _range(values: Array) -> str:
    return f"{values.min()}..{values.max()}" if values.size else "none"


# ---- boxes -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class FrameBoxes:
    """What a detector found in one frame, and what is there.

    Attributes:
        detected_xyxy: (D, 4) left, top, right, bottom, pixels, those above the score wanted.
        scores: (D,).
        true_xyxy: (T, 4).
    """

    detected_xyxy: Numbers
    scores: Numbers
    true_xyxy: Numbers


@dataclass(frozen=True, slots=True)
class SizeRecall:
    """How many faces of a range of sizes were found.

    Attributes:
        min_size: the longer side of the true box, pixels, from here on.
        max_size: up to, not including.
        found: faces with a detection.
        total: faces.
    """

    min_size: float
    max_size: float
    found: int
    total: int

    @property
    def recall(self) -> float:
        """Share of faces found, 0..1; nan where there are none."""
        return self.found / self.total if self.total else float("nan")


@dataclass(frozen=True, slots=True)
class DetectionReport:
    """Recall and false boxes of a detector over many frames.

    Attributes:
        by_size: recall in each range of sizes.
        false_per_image: boxes without a face, per frame.
    """

    by_size: tuple[SizeRecall, ...]
    false_per_image: float

    @property
    def recall(self) -> float:
        """Share of all faces found, 0..1; nan where there are none."""
        total = sum(part.total for part in self.by_size)
        return sum(part.found for part in self.by_size) / total if total else float("nan")


def box_iou_matrix(a_xyxy: Numbers, b_xyxy: Numbers) -> Array:
    """Intersection over union of each box of one set with each of another.

    Args:
        a_xyxy: (A, 4) left, top, right, bottom.
        b_xyxy: (B, 4), likewise.

    Returns:
        (A, B) float64, 0..1; 0 where both boxes are empty.

    Raises:
        ValueError: a shape is not (K, 4), a value is not finite, or a box has its sides swapped.
    """
    a, b = _boxes(a_xyxy, "a_xyxy"), _boxes(b_xyxy, "b_xyxy")
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    intersection = np.prod(np.maximum(bottom_right - top_left, 0.0), axis=2)
    areas_a, areas_b = np.prod(a[:, 2:] - a[:, :2], axis=1), np.prod(b[:, 2:] - b[:, :2], axis=1)
    union = areas_a[:, None] + areas_b[None, :] - intersection
    iou: Array = np.divide(intersection, union, out=np.zeros_like(union), where=union > 0.0)
    return iou


def match_boxes(
    detected_xyxy: Numbers, scores: Numbers, true_xyxy: Numbers, min_iou: float = 0.5
) -> NDArray[np.intp]:
    """Assign detections to faces, the highest score first, each face at most once.

    A detection takes the face it overlaps most among those not yet taken, if it overlaps it enough
    (after Everingham et al., PASCAL VOC, IJCV 2010, which counts a detection as false when the
    face it overlaps most is taken).

    Args:
        detected_xyxy: (D, 4) left, top, right, bottom.
        scores: (D,).
        true_xyxy: (T, 4).
        min_iou: the least intersection over union.

    Returns:
        (D,) index of each detection's face, -1 for a false detection.

    Raises:
        ValueError: a shape or value is not as above, or ``min_iou`` is not above 0 and at most 1.
    """
    if not 0.0 < min_iou <= 1.0:
        raise ValueError(f"expected min_iou above 0 and at most 1, got {min_iou}")
    iou = box_iou_matrix(detected_xyxy, true_xyxy)
    values = _finite(scores, "scores")
    if values.shape != iou.shape[:1]:
        raise ValueError(f"expected scores ({iou.shape[0]},), one per box, got {values.shape}")
    matches = np.full(iou.shape[0], -1, dtype=np.intp)
    if iou.shape[1] == 0:
        return matches
    for detection in np.argsort(-values, kind="stable"):
        face = int(np.argmax(iou[detection]))
        if iou[detection, face] >= min_iou:
            matches[detection] = face
            iou[:, face] = 0.0  # taken
    return matches


def detection_report(
    frames: Sequence[FrameBoxes],
    size_edges: Sequence[float] = (0.0, 20.0, 32.0, float("inf")),
    min_iou: float = 0.5,
) -> DetectionReport:
    """Recall by the size of the face, and false boxes per image.

    Args:
        frames: detections and faces, frame by frame.
        size_edges: rising borders of the ranges of sizes, pixels of the longer side; a face outside
            all of them counts neither way, nor does its detection.
        min_iou: the least intersection over union of a detection and its face.

    Raises:
        ValueError: no frames, borders that do not rise, or boxes as ``match_boxes`` refuses them.
    """
    edges = np.asarray(size_edges, dtype=np.float64)
    if edges.ndim != 1 or edges.size < 2 or not (edges[:-1] < edges[1:]).all():
        raise ValueError(f"expected size_edges of at least two rising numbers, got {size_edges}")
    if not frames:
        raise ValueError("expected at least one frame, got none")
    found, total = np.zeros(edges.size - 1, dtype=int), np.zeros(edges.size - 1, dtype=int)
    num_false = 0
    for frame in frames:
        matches = match_boxes(frame.detected_xyxy, frame.scores, frame.true_xyxy, min_iou)
        faces = _boxes(frame.true_xyxy, "true_xyxy")
        size = (faces[:, 2:] - faces[:, :2]).max(axis=1)
        bucket = np.searchsorted(edges, size, side="right") - 1
        is_found = np.isin(np.arange(len(faces)), matches)
        for index in range(edges.size - 1):
            total[index] += (bucket == index).sum()
            found[index] += ((bucket == index) & is_found).sum()
        num_false += int((matches < 0).sum())
    by_size = tuple(
        SizeRecall(float(edges[i]), float(edges[i + 1]), int(found[i]), int(total[i]))
        for i in range(edges.size - 1)
    )
    return DetectionReport(by_size, num_false / len(frames))


# ---- checks ------------------------------------------------------------------------------------


def _landmarks(predicted: NDArray[np.floating], true: NDArray[np.floating]) -> tuple[Array, Array]:
    predicted, true = _finite(predicted, "predicted"), _finite(true, "true")
    if predicted.shape != true.shape or true.ndim != 3 or true.shape[2] != 2:
        raise ValueError(
            f"expected predicted and true landmarks (N, P, 2), got {predicted.shape} and "
            f"{true.shape}"
        )
    return predicted, true


def _normalised(
    predicted: Array, true: Array, eye_to_eye: Array, points: slice | Sequence[int] | None
) -> Array:
    """Mean distance of each face's points in % of the length of ``eye_to_eye`` (N, 2)."""
    length: Array = np.linalg.norm(eye_to_eye, axis=-1)
    if (length <= 0.0).any():
        face = int(np.argmin(length))
        raise ValueError(f"expected eye corners apart, got the same point twice in face {face}")
    distances = np.linalg.norm(predicted - true, axis=-1)
    error: Array = distances[:, slice(None) if points is None else points].mean(axis=-1)
    return 100.0 * error / length


def _finite(values: Numbers, name: str) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"expected {name} to be finite, got nan or inf")
    return array


def _errors(nme: Numbers, threshold: float) -> Array:
    values = _finite(nme, "nme")
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"expected nme (N,) of at least one face, got {values.shape}")
    if not threshold > 0.0:
        raise ValueError(f"expected a threshold above 0, got {threshold}")
    return values


def _rotations(values: NDArray[np.floating], name: str) -> Array:
    array = _finite(values, f"{name} rotations")
    if array.ndim != 3 or array.shape[1:] != (3, 3) or array.shape[0] == 0:
        raise ValueError(f"expected {name} rotations (N, 3, 3) with N > 0, got {array.shape}")
    product = array @ np.swapaxes(array, 1, 2)
    # float32 rotations are orthonormal to about 1e-6.
    if np.abs(product - np.eye(3)).max() > 1e-3 or (np.linalg.det(array) < 0.0).any():
        raise ValueError(f"expected {name} matrices to be rotations, got one that is none")
    return array


def _boxes(values: Numbers, name: str) -> Array:
    array = _finite(values, name)
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"expected {name} (K, 4), got {array.shape}")
    if (array[:, 2:] < array[:, :2]).any():
        raise ValueError(f"expected {name} left, top, right, bottom, got a box with swapped sides")
    return array
