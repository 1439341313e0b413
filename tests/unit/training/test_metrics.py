"""Metrics, against cases worked out by hand and against slow, independent computations."""

import math

import numpy as np
import pytest

from atpn_mobile.geometry import box_iou, euler_from_rotation, rotation_from_euler
from training.metrics import (
    FrameBoxes,
    angle_difference_deg,
    auc,
    average_precision,
    box_iou_matrix,
    detection_report,
    expected_calibration_error,
    failure_rate,
    false_accept_at_true_accept,
    match_boxes,
    nme_inter_pupil_percent,
    nme_percent,
    pose_mae_deg,
    precision_recall_curve,
    reliability_bins,
    roc_curve,
)

# ---- landmarks ---------------------------------------------------------------------------------


def faces(num_points, right, left, inter_ocular):
    points = np.random.default_rng(0).uniform(0, 100, (2, num_points, 2))
    points[:, right] = (20.0, 30.0)
    points[:, left] = (20.0 + 0.6 * inter_ocular, 30.0 + 0.8 * inter_ocular)
    return points


@pytest.mark.parametrize(("num_points", "right", "left"), [(98, 60, 72), (68, 36, 45)])
def test_nme_of_a_shift(num_points, right, left):
    true = faces(num_points, right, left, inter_ocular=50.0)
    shift = np.array([[[3.0, 4.0]], [[0.0, 1.0]]])  # 5 and 1 of 50 pixels
    np.testing.assert_allclose(nme_percent(true + shift, true), [10.0, 2.0])


def test_nme_is_normalised_by_the_true_eyes():
    true = faces(98, 60, 72, inter_ocular=50.0)
    predicted = true.copy()
    predicted[:, 72] = true[:, 72] + (98.0, 0.0)  # one point of 98: a mean error of 1 pixel
    np.testing.assert_allclose(nme_percent(predicted, true), [2.0, 2.0])


def test_nme_of_other_schemes_and_parts():
    true = np.array([[[0.0, 0.0], [10.0, 0.0], [5.0, 5.0]]])
    predicted = true + np.array([[[0.0, 1.0], [0.0, 1.0], [0.0, 4.0]]])
    np.testing.assert_allclose(nme_percent(predicted, true, eye_corners=(0, 1)), [20.0])
    np.testing.assert_allclose(nme_percent(predicted, true, (0, 1), points=[2]), [40.0])
    np.testing.assert_allclose(nme_percent(predicted, true, (0, 1), points=slice(2)), [10.0])


def test_nme_inter_pupil_by_hand():
    true = np.random.default_rng(0).uniform(0, 100, (1, 68, 2))
    true[:, 36:42], true[:, 42:48] = (20.0, 30.0), (50.0, 70.0)  # pupils 50 pixels apart
    true[:, 36] += (-6.0, 0.0)  # one point of an eye: the mean of six moves by one
    true[:, 45] += (6.0, 0.0)
    predicted = true + np.array([3.0, 4.0])
    pupils = math.hypot(32.0, 40.0)
    np.testing.assert_allclose(nme_inter_pupil_percent(predicted, true), [500.0 / pupils])


@pytest.mark.parametrize(
    ("predicted", "true", "message"),
    [
        (np.ones((1, 98, 2)), np.ones((1, 98, 2)), "expected 68 points, got 98"),
        (np.ones((1, 68, 2)), np.ones((1, 68, 2)), "same point twice in face 0"),
        (np.ones((1, 68, 2)), np.ones((2, 68, 2)), r"got \(1, 68, 2\) and \(2, 68, 2\)"),
        (np.full((1, 68, 2), np.nan), np.ones((1, 68, 2)), "predicted to be finite"),
    ],
)
def test_nme_inter_pupil_refuses(predicted, true, message):
    with pytest.raises(ValueError, match=message):
        nme_inter_pupil_percent(predicted, true)


def test_nme_of_no_faces():
    assert nme_percent(np.empty((0, 98, 2)), np.empty((0, 98, 2))).shape == (0,)


@pytest.mark.parametrize(
    ("predicted", "true", "message"),
    [
        (np.ones((2, 98, 2)), np.ones((3, 98, 2)), r"got \(2, 98, 2\) and \(3, 98, 2\)"),
        (np.ones((98, 2)), np.ones((98, 2)), r"expected .*\(N, P, 2\), got \(98, 2\)"),
        (np.ones((1, 98, 3)), np.ones((1, 98, 3)), r"got \(1, 98, 3\)"),
        (np.ones((1, 5, 2)), np.ones((1, 5, 2)), r"98 or 68 points, or eye_corners, got 5"),
        (np.ones((1, 98, 2)), np.ones((1, 98, 2)), "same point twice in face 0"),
        (np.full((1, 98, 2), np.nan), np.ones((1, 98, 2)), "predicted to be finite"),
    ],
)
def test_nme_refuses(predicted, true, message):
    with pytest.raises(ValueError, match=message):
        nme_percent(predicted, true)


@pytest.mark.parametrize(
    ("nme", "threshold", "expected"),
    [([1.0, 2.0, 3.0], 10.0, 0.0), ([5.0, 10.0, 10.1, 50.0], 10.0, 0.5), ([5.0], 4.0, 1.0)],
)
def test_failure_rate(nme, threshold, expected):
    assert failure_rate(np.array(nme), threshold) == expected


@pytest.mark.parametrize(
    ("nme", "expected"),
    [
        ([0.0, 0.0], 1.0),
        ([10.0, 80.0], 0.0),
        ([5.0], 0.5),  # the curve is 0 up to 5 and 1 from there
        ([2.0, 6.0], 0.6),  # 4 x 0.5 + 4 x 1, of 10
    ],
)
def test_auc_by_hand(nme, expected):
    assert auc(np.array(nme)) == pytest.approx(expected)


@pytest.mark.parametrize("threshold", [7.0, 10.0])
def test_auc_is_the_area_under_the_curve(threshold):
    nme = np.random.default_rng(1).gamma(3.0, 2.0, 200)
    thresholds = (np.arange(20000) + 0.5) * threshold / 20000
    curve = [(nme <= value).mean() for value in thresholds]
    assert auc(nme, threshold) == pytest.approx(np.mean(curve), abs=1e-4)


@pytest.mark.parametrize("function", [failure_rate, auc])
@pytest.mark.parametrize(
    ("nme", "threshold", "message"),
    [
        ([], 10.0, r"at least one face, got \(0,\)"),
        ([[1.0]], 10.0, r"got \(1, 1\)"),
        ([1.0, math.nan], 10.0, "finite"),
        ([1.0], 0.0, "threshold above 0, got 0.0"),
    ],
)
def test_error_curve_refuses(function, nme, threshold, message):
    with pytest.raises(ValueError, match=message):
        function(np.array(nme), threshold)


# ---- head pose ---------------------------------------------------------------------------------


def rotations(angles_deg):
    return np.stack([rotation_from_euler(*np.radians(angles)) for angles in angles_deg])


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [(359.0, 1.0, 2.0), (-179.0, 179.0, 2.0), (0.0, 180.0, 180.0), (10.0, 4.0, 6.0), (720, 1, 1)],
)
def test_angle_difference(a, b, expected):
    assert angle_difference_deg(np.array([a]), np.array([b])) == pytest.approx([expected])
    assert angle_difference_deg(np.array([b]), np.array([a])) == pytest.approx([expected])


def test_pose_errors_by_hand():
    true = rotations([(10, 0, 0), (-20, 0, 0)])
    predicted = rotations([(14, 0, 0), (-20, 6, 0)])

    errors = pose_mae_deg(predicted, true)

    assert errors.yaw_deg == pytest.approx(2.0)
    assert errors.pitch_deg == pytest.approx(3.0)
    assert errors.roll_deg == pytest.approx(0.0, abs=1e-9)
    assert errors.mean_deg == pytest.approx(5.0 / 3.0)
    assert errors.geodesic_deg == pytest.approx(5.0)  # 4 and 6


def test_pose_errors_wrap_around():
    errors = pose_mae_deg(rotations([(178, 0, 179)]), rotations([(-179, 0, -178)]))
    assert (errors.yaw_deg, errors.roll_deg) == pytest.approx((3.0, 3.0))


def test_pose_errors_use_the_angles_of_the_runtime():
    rng = np.random.default_rng(2)
    predicted, true = (rotations(rng.uniform(-80, 80, (20, 3))) for _ in range(2))
    angles = [[euler_from_rotation(r) for r in each] for each in (predicted, true)]
    difference = np.abs(np.degrees(np.subtract(*angles)))
    expected = np.minimum(difference, 360.0 - difference).mean(axis=0)

    errors = pose_mae_deg(predicted.astype(np.float32), true.astype(np.float32))

    np.testing.assert_allclose(
        (errors.yaw_deg, errors.pitch_deg, errors.roll_deg), expected, atol=1e-3
    )


@pytest.mark.parametrize("angle", [1e-6, 0.01, 1.0, 90.0, 179.0, 180.0])
def test_geodesic_error_at_every_angle(angle):
    base = rotations([(30, 20, -50)])
    errors = pose_mae_deg(base @ rotations([(0, 0, angle)]), base)
    assert errors.geodesic_deg == pytest.approx(angle, rel=1e-6)


def test_no_pose_error():
    same = rotations([(30, 20, -50)])
    assert pose_mae_deg(same, same).geodesic_deg == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("predicted", "true", "message"),
    [
        (np.eye(3), np.eye(3), r"\(N, 3, 3\) with N > 0, got \(3, 3\)"),
        (np.empty((0, 3, 3)), np.empty((0, 3, 3)), r"got \(0, 3, 3\)"),
        (np.stack([np.eye(3)] * 2), np.eye(3)[None], r"got \(2, 3, 3\) and \(1, 3, 3\)"),
        (2 * np.eye(3)[None], np.eye(3)[None], "predicted matrices to be rotations"),
        (np.eye(3)[None], np.diag([1.0, 1.0, -1.0])[None], "true matrices to be rotations"),
    ],
)
def test_pose_errors_refuse(predicted, true, message):
    with pytest.raises(ValueError, match=message):
        pose_mae_deg(predicted, true)


# ---- presence ----------------------------------------------------------------------------------


def slow_rates(scores, labels):
    """Precision, true and false accept rate at each score that occurs, falling."""
    points = []
    for threshold in sorted(set(scores), reverse=True):
        accepted = [
            label for score, label in zip(scores, labels, strict=True) if score >= threshold
        ]
        hits, falls = accepted.count(1), accepted.count(0)
        points.append((hits / len(accepted), hits / labels.count(1), falls / labels.count(0)))
    return points


def random_scores(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 60)
    scores = (rng.normal(size=60) + labels).round(1)  # rounded: with ties
    return scores, labels


def test_average_precision_by_hand():
    # falling scores, positives at ranks 1, 3, 4: precision there 1, 2/3, 3/4
    scores, labels = np.array([0.9, 0.8, 0.7, 0.6, 0.5]), np.array([1, 0, 1, 1, 0])
    assert average_precision(scores, labels) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert average_precision(scores[::-1], labels[::-1]) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)


def test_average_precision_of_perfect_and_of_equal_scores():
    assert average_precision(np.array([3.0, 2.0, 1.0]), np.array([True, True, False])) == 1.0
    assert average_precision(np.ones(4), np.array([1, 0, 0, 0])) == 0.25


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_against_direct_computation(seed):
    scores, labels = random_scores(seed)
    expected, last_recall = 0.0, 0.0
    for precision, recall, _ in slow_rates(scores.tolist(), labels.tolist()):
        expected += precision * (recall - last_recall)
        last_recall = recall
    assert average_precision(scores, labels) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_precision_recall_against_direct_computation(seed):
    scores, labels = random_scores(seed)

    curve = precision_recall_curve(scores, labels)

    points = slow_rates(scores.tolist(), labels.tolist())
    np.testing.assert_allclose(curve.precision, [point[0] for point in points])
    np.testing.assert_allclose(curve.recall, [point[1] for point in points])
    assert curve.thresholds.tolist() == sorted(set(scores.tolist()), reverse=True)
    assert curve.recall[-1] == 1.0


def test_reliability_by_hand():
    probabilities = np.array([0.0, 0.1, 0.25, 0.45, 0.9, 1.0])
    labels = np.array([0, 1, 0, 1, 1, 1])

    bins = reliability_bins(probabilities, labels, num_bins=4)

    assert bins.edges.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert bins.count.tolist() == [2, 2, 0, 2]  # an edge belongs to the bin above it, but for 1
    np.testing.assert_allclose(bins.promised, [0.05, 0.35, np.nan, 0.95])
    np.testing.assert_allclose(bins.observed, [0.5, 0.5, np.nan, 1.0])
    expected = (2 * 0.45 + 2 * 0.15 + 2 * 0.05) / 6
    assert bins.expected_error == pytest.approx(expected)
    assert expected_calibration_error(probabilities, labels, 4) == pytest.approx(expected)


def test_calibrated_probabilities_have_no_error():
    rng = np.random.default_rng(0)
    probabilities = rng.uniform(size=200_000)
    labels = rng.random(200_000) < probabilities
    assert expected_calibration_error(probabilities, labels) < 0.005
    assert expected_calibration_error(probabilities**3, labels) > 0.2


@pytest.mark.parametrize(
    ("probabilities", "labels", "num_bins", "message"),
    [
        ([0.5, 1.1], [1, 0], 15, r"within 0\.\.1, got 0\.5\.\.1\.1"),
        ([-0.1], [0], 15, "within 0..1"),
        ([], [], 15, "got none"),
        ([0.5], [1, 0], 15, r"got \(1,\) and \(2,\)"),
        ([0.5], [2], 15, "labels of 0 or 1"),
        ([math.nan], [1], 15, "finite"),
        ([0.5], [1], 0, "num_bins of at least 1"),
    ],
)
def test_reliability_refuses(probabilities, labels, num_bins, message):
    with pytest.raises(ValueError, match=message):
        reliability_bins(np.array(probabilities), np.array(labels), num_bins)


@pytest.mark.parametrize("seed", range(3))
def test_roc_against_direct_computation(seed):
    scores, labels = random_scores(seed)

    curve = roc_curve(scores, labels)

    points = slow_rates(scores.tolist(), labels.tolist())
    np.testing.assert_allclose(curve.true_accept, [0.0, *(point[1] for point in points)])
    np.testing.assert_allclose(curve.false_accept, [0.0, *(point[2] for point in points)])
    assert curve.thresholds.tolist() == [math.inf, *sorted(set(scores.tolist()), reverse=True)]


def test_roc_goes_from_corner_to_corner():
    curve = roc_curve(np.array([0.1, 0.9]), np.array([1, 0]))
    assert curve.false_accept.tolist() == [0.0, 1.0, 1.0]
    assert curve.true_accept.tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("true_accept", "expected"), [(0.25, 0.0), (0.5, 0.0), (0.51, 0.25), (0.75, 0.25), (1.0, 0.5)]
)
def test_false_accept_at_true_accept(true_accept, expected):
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2])
    labels = np.array([1, 1, 0, 1, 0, 1, 0, 0])
    assert false_accept_at_true_accept(scores, labels, true_accept) == expected


def test_false_accept_counts_ties_against():
    # A threshold that accepts the positive accepts both negatives of the same score.
    assert false_accept_at_true_accept(np.full(3, 0.5), np.array([1, 0, 0]), 0.5) == 1.0


@pytest.mark.parametrize("function", [average_precision, precision_recall_curve, roc_curve])
@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([1.0, 2.0], [1], r"got \(2,\) and \(1,\)"),
        ([[1.0]], [[1]], r"got \(1, 1\)"),
        ([], [], "expected positives"),
        ([1.0, 2.0], [0, 0], "expected positives among the labels, got 2 negatives"),
        ([1.0, 2.0], [1, 2], r"labels of 0 or 1, got \[1, 2\]"),
        ([1.0, math.nan], [1, 0], "scores to be finite"),
    ],
)
def test_ranking_refuses(function, scores, labels, message):
    with pytest.raises(ValueError, match=message):
        function(np.array(scores), np.array(labels))


def test_roc_refuses_without_negatives():
    with pytest.raises(ValueError, match="expected negatives among the labels, got 2 positives"):
        roc_curve(np.array([1.0, 2.0]), np.array([1, 1]))


@pytest.mark.parametrize("true_accept", [0.0, 1.5, math.nan])
def test_true_accept_out_of_range(true_accept):
    with pytest.raises(ValueError, match="true_accept above 0 and at most 1"):
        false_accept_at_true_accept(np.array([1.0, 2.0]), np.array([0, 1]), true_accept)


# ---- boxes -------------------------------------------------------------------------------------


def test_iou_matrix_agrees_with_the_runtime():
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 100, (2, 12, 2))
    sizes = rng.uniform(1, 60, (2, 12, 2))
    a, b = np.concatenate([corners, corners + sizes], axis=2)
    expected = [[box_iou(tuple(first), tuple(second)) for second in b] for first in a]
    np.testing.assert_allclose(box_iou_matrix(a, b), expected)


def test_iou_matrix_of_nothing_and_of_empty_boxes():
    assert box_iou_matrix(np.empty((0, 4)), np.ones((3, 4))).shape == (0, 3)
    assert box_iou_matrix(np.ones((1, 4)), np.ones((1, 4))).tolist() == [[0.0]]


FACE = np.array([[0.0, 0.0, 10.0, 10.0]])


@pytest.mark.parametrize(
    ("detected", "scores", "true", "expected"),
    [
        ([[0, 0, 10, 10]], [0.9], FACE, [0]),
        ([[0, 0, 10, 5]], [0.9], FACE, [0]),  # exactly 0.5
        ([[0, 0, 10, 4.9]], [0.9], FACE, [-1]),
        # two on one face: the higher score has it, though it overlaps less
        ([[0, 0, 10, 10], [0, 0, 10, 8]], [0.6, 0.9], FACE, [-1, 0]),
        # two faces close to each other: the best is taken, the second best goes to the next
        ([[0, 0, 10, 10], [0, 1, 10, 11]], [0.9, 0.8], [[0, 0, 10, 10], [0, 3, 10, 13]], [0, 1]),
        ([[0, 0, 10, 10]], [0.9], np.empty((0, 4)), [-1]),
        (np.empty((0, 4)), [], FACE, []),
    ],
)
def test_match_boxes(detected, scores, true, expected):
    matches = match_boxes(np.array(detected), np.array(scores), np.array(true))
    assert matches.tolist() == expected


@pytest.mark.parametrize(
    ("detected", "scores", "min_iou", "message"),
    [
        (np.ones((2, 4)), np.ones(3), 0.5, r"scores \(2,\), one per box, got \(3,\)"),
        (np.ones((2, 3)), np.ones(2), 0.5, r"detected|a_xyxy \(K, 4\), got \(2, 3\)"),
        (np.array([[5, 0, 1, 1]]), np.ones(1), 0.5, "swapped sides"),
        (FACE, np.ones(1), 0.0, "min_iou above 0"),
        (np.full((1, 4), np.nan), np.ones(1), 0.5, "finite"),
    ],
)
def test_match_boxes_refuses(detected, scores, min_iou, message):
    with pytest.raises(ValueError, match=message):
        match_boxes(detected, scores, FACE, min_iou)


def test_detection_report():
    nothing = np.empty((0, 4))
    frames = [
        FrameBoxes(  # a face of 40 found, one of 32 missed, one false box
            np.array([[0, 0, 40, 30], [200, 200, 240, 240]]),
            np.array([0.9, 0.8]),
            np.array([[0, 0, 40, 30], [100, 100, 120, 132]]),
        ),
        FrameBoxes(  # one of 25 found, one of 10 missed
            np.array([[50, 50, 75, 75]]),
            np.array([0.7]),
            np.array([[50, 50, 75, 75], [0, 0, 10, 10]]),
        ),
        FrameBoxes(nothing, np.empty(0), nothing),
        FrameBoxes(np.array([[0, 0, 5, 5]]), np.array([0.6]), nothing),  # one false box
    ]

    report = detection_report(frames)

    counts = [(part.min_size, part.max_size, part.found, part.total) for part in report.by_size]
    assert counts == [(0.0, 20.0, 0, 1), (20.0, 32.0, 1, 1), (32.0, math.inf, 1, 2)]
    assert [part.recall for part in report.by_size] == [0.0, 1.0, 0.5]
    assert report.recall == 0.5
    assert report.false_per_image == 0.5


def test_detection_report_of_backgrounds():
    report = detection_report([FrameBoxes(np.empty((0, 4)), np.empty(0), np.empty((0, 4)))])
    assert report.false_per_image == 0.0
    assert math.isnan(report.recall)
    assert all(math.isnan(part.recall) for part in report.by_size)


def test_faces_outside_the_sizes_asked_for_do_not_count():
    frame = FrameBoxes(FACE, np.array([0.9]), FACE)
    report = detection_report([frame], size_edges=(20.0, 50.0))
    assert report.by_size[0].total == 0
    assert report.false_per_image == 0.0


@pytest.mark.parametrize("edges", [(10.0,), (10.0, 10.0), (20.0, 10.0)])
def test_detection_report_refuses_borders(edges):
    with pytest.raises(ValueError, match="rising numbers"):
        detection_report([FrameBoxes(FACE, np.ones(1), FACE)], size_edges=edges)


def test_detection_report_refuses_no_frames():
    with pytest.raises(ValueError, match="at least one frame"):
        detection_report([])
