import math

import numpy as np
import pytest

from atpn_mobile.config import DetectorConfig
from atpn_mobile.decode import (
    MAX_LANDMARK,
    average_views,
    decode_alignment,
    decode_detections,
    suppress_overlaps,
)
from atpn_mobile.geometry import landmarks_to_frame, rotation_from_euler
from atpn_mobile.landmarks import MIRROR
from atpn_mobile.testing import fake_face
from atpn_mobile.types import Roi

ROI = Roi(100.0, 60.0, 50.0)


def detections(*rows):
    """Outputs of a detector: rows of left, top, right, bottom, score."""
    table = np.array(rows, dtype=np.float32).reshape(-1, 5)
    return {"boxes": table[np.newaxis, :, :4], "scores": table[np.newaxis, :, 4]}


def test_alignment_goes_to_the_frame():
    outputs = fake_face(center=(0.4, 0.6), pose=(0.3, -0.2, 0.1), presence=0.875)
    alignment = decode_alignment(outputs, ROI)
    np.testing.assert_allclose(
        alignment.landmarks, landmarks_to_frame(outputs["landmarks"][0], ROI)
    )
    assert alignment.landmarks.dtype == np.float32
    assert alignment.presence == 0.875
    pose = alignment.pose
    assert (pose.yaw_deg, pose.pitch_deg, pose.roll_deg) == pytest.approx(
        tuple(math.degrees(angle) for angle in (0.3, -0.2, 0.1)), abs=1e-4
    )


def test_a_rotated_region_turns_the_pose_and_the_landmarks():
    upright = fake_face(pose=(0.4, 0.2, 0.1))
    turned = decode_alignment(upright, Roi(100.0, 60.0, 50.0, math.radians(25.0))).pose
    straight = decode_alignment(upright, ROI).pose
    assert turned.roll_deg - straight.roll_deg == pytest.approx(25.0, abs=1e-6)
    assert turned.yaw_deg == pytest.approx(straight.yaw_deg, abs=1e-6)
    assert turned.pitch_deg == pytest.approx(straight.pitch_deg, abs=1e-6)


def test_presence_of_two_classes_is_the_last_one():
    outputs = {**fake_face(), "presence": np.array([[0.25, 0.75]], np.float32)}
    assert decode_alignment(outputs, ROI).presence == 0.75


@pytest.mark.parametrize("name", ["landmarks", "pose", "presence"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_no_face(name, value):
    outputs = fake_face()
    outputs[name].flat[-1] = value
    assert decode_alignment(outputs, ROI) is None


def test_a_landmark_absurdly_far_away_is_no_face():
    outputs = fake_face()
    outputs["landmarks"][0, 0, 0] = -MAX_LANDMARK
    assert decode_alignment(outputs, ROI) is None


def test_boxes_go_to_the_frame():
    (detection,) = decode_detections(
        detections((0.25, 0.5, 0.5, 1.25, 0.75)), ROI, DetectorConfig()
    )
    assert detection.box_xyxy == pytest.approx((87.5, 60.0, 100.0, 97.5))
    assert detection.score == 0.75


def test_no_box_is_an_empty_result():
    assert decode_detections(detections(), ROI, DetectorConfig()) == ()
    assert decode_detections(detections((0, 0, 1, 1, 0.1)), ROI, DetectorConfig()) == ()


def test_boxes_that_are_none_are_left_out():
    outputs = detections(
        (0.1, 0.1, 0.1, 0.5, 0.9),  # no width
        (0.5, 0.5, 0.4, 0.6, 0.9),  # right before left
        (np.nan, 0.1, 0.3, 0.5, 0.9),
        (0.1, 0.1, np.inf, 0.5, 0.9),
        (0.1, 0.1, 0.3, 0.5, np.nan),
        (0.6, 0.6, 0.8, 0.8, 0.6),
    )
    (detection,) = decode_detections(outputs, ROI, DetectorConfig())
    assert detection.score == pytest.approx(0.6)


CROWD = detections(
    (0.0, 0.0, 0.2, 0.2, 0.7),
    (0.5, 0.5, 0.7, 0.7, 0.9),
    (0.51, 0.5, 0.71, 0.7, 0.95),  # the same face, better: IoU 0.9
    (0.58, 0.5, 0.78, 0.7, 0.6),  # IoU 0.48 with the best
    (0.8, 0.0, 0.9, 0.1, 0.3),
)


def scores(**options):
    return [
        round(detection.score, 2)
        for detection in decode_detections(CROWD, ROI, DetectorConfig(**options))
    ]


def test_best_first_and_one_box_per_face():
    assert scores() == [0.95, 0.7]


def test_score_threshold_decides_what_is_a_face():
    assert scores(score_threshold=0.2) == [0.95, 0.7, 0.3]
    assert scores(score_threshold=0.7) == [0.95, 0.7]  # in float32, as the network gave it
    assert scores(score_threshold=0.96) == []


def test_iou_threshold_decides_what_is_the_same_face():
    assert scores(iou_threshold=0.5) == [0.95, 0.7, 0.6]
    assert scores(iou_threshold=0.95) == [0.95, 0.9, 0.7, 0.6]


def test_max_detections_keeps_the_best():
    assert scores(max_detections=1) == [0.95]


def test_suppression_equals_the_plain_double_loop():
    rng = np.random.default_rng(7)
    corners = rng.uniform(0.0, 0.8, (200, 2))
    boxes = np.hstack([corners, corners + rng.uniform(0.05, 0.4, (200, 2))]).astype(np.float32)
    values = rng.uniform(size=200).astype(np.float32)

    def iou(a, b):
        sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0.0)
        shared = sides.prod()
        return shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared)

    expected = []
    for index in np.argsort(-values):
        if all(iou(boxes[index], boxes[other]) <= 0.3 for other in expected):
            expected.append(index)
    assert suppress_overlaps(boxes, values, 0.3, 1000).tolist() == expected


def test_equal_scores_keep_their_order():
    boxes = np.array([[i, 0, i + 0.5, 1] for i in range(50)], np.float32)
    kept = suppress_overlaps(boxes, np.full(50, 0.5, np.float32), 0.5, 1000)
    assert kept.tolist() == list(range(50))


def test_boxes_too_small_for_their_area_do_not_divide_by_zero():
    box = np.array([[0.0, 0.0, 1e-30, 1e-30]] * 2, np.float32)
    assert len(suppress_overlaps(box, np.array([0.9, 0.8], np.float32), 0.5, 10)) >= 1


def random_outputs(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "landmarks": rng.uniform(0.0, 1.0, (1, 98, 2)).astype(np.float32),
        "pose": rng.uniform(-0.8, 0.8, (1, 3)).astype(np.float32),
        "presence": rng.uniform(0.5, 1.0, (1, 1)).astype(np.float32),
    }


def as_in_the_mirror(outputs):
    """What a network without left-right bias says about the mirrored crop."""
    landmarks = outputs["landmarks"][:, MIRROR] * np.array([-1, 1], np.float32)
    pose = outputs["pose"] * np.array([-1, 1, -1], np.float32)
    return {
        "landmarks": landmarks + np.array([1, 0], np.float32),
        "pose": pose,
        "presence": outputs["presence"],
    }


@pytest.mark.parametrize("rotation_rad", [0.0, math.pi / 2])
def test_a_mirrored_crop_comes_back_to_its_place_under_its_names(rotation_rad):
    roi = Roi(100.0, 60.0, 50.0, rotation_rad)
    outputs = random_outputs()
    plain = decode_alignment(outputs, roi)
    mirrored = decode_alignment(outputs, roi, mirrored=True)
    # The middle of the crop stays; along the crop's own x axis everything changes its side.
    axis = np.array([math.cos(rotation_rad), math.sin(rotation_rad)])
    offset = plain.landmarks - [100.0, 60.0]
    expected = plain.landmarks - 2.0 * (offset @ axis)[:, np.newaxis] * axis
    np.testing.assert_allclose(mirrored.landmarks, expected, atol=1e-4)
    assert mirrored.presence == plain.presence
    turn = math.degrees(rotation_rad)
    assert mirrored.pose.yaw_deg == pytest.approx(-plain.pose.yaw_deg)
    assert mirrored.pose.pitch_deg == pytest.approx(plain.pose.pitch_deg)
    assert mirrored.pose.roll_deg - turn == pytest.approx(-(plain.pose.roll_deg - turn))


def test_decoding_does_not_change_the_outputs():
    outputs, same = random_outputs(), random_outputs()
    decode_alignment(outputs, ROI, mirrored=True)
    average_views(outputs, as_in_the_mirror(outputs))
    for name, array in outputs.items():
        np.testing.assert_array_equal(array, same[name])


def test_two_views_that_agree_are_one():
    outputs = random_outputs()
    averaged = average_views(outputs, as_in_the_mirror(outputs))
    for name, array in outputs.items():
        np.testing.assert_allclose(averaged[name], array, atol=1e-6)
        assert averaged[name].dtype == np.float32


def test_two_views_are_averaged():
    left = {**random_outputs(), "pose": np.array([[0.1, 0.2, 0.3]], np.float32)}
    right = as_in_the_mirror(random_outputs(1))
    right["pose"] = np.array([[0.3, 0.4, -0.1]], np.float32)
    right["presence"] = np.array([[0.5]], np.float32)
    left["presence"] = np.array([[0.9]], np.float32)
    averaged = average_views(left, right)
    np.testing.assert_allclose(averaged["pose"], [[-0.1, 0.3, 0.2]], atol=1e-6)
    np.testing.assert_allclose(averaged["presence"], [[0.7]], atol=1e-6)
    expected = (left["landmarks"] + random_outputs(1)["landmarks"]) / 2
    np.testing.assert_allclose(averaged["landmarks"], expected, atol=1e-6)


@pytest.mark.parametrize("broken", [0, 1])
def test_a_view_without_numbers_spoils_the_average(broken):
    views = [random_outputs(), random_outputs(1)]
    views[broken]["pose"][0, 0] = np.nan
    assert decode_alignment(average_views(*views), ROI) is None


@pytest.mark.parametrize(
    ("turn_deg", "box"),
    [
        # In the crop the box spans x 10..40, y 5..15 of 100, from the middle -40..-10, -45..-35.
        (0, (60.0, 15.0, 90.0, 25.0)),
        (90, (135.0, 20.0, 145.0, 50.0)),
        (180, (110.0, 95.0, 140.0, 105.0)),
        (-90, (55.0, 70.0, 65.0, 100.0)),
    ],
)
def test_boxes_of_a_turned_region_have_their_corners_in_order(turn_deg, box):
    roi = Roi(100.0, 60.0, 100.0, math.radians(turn_deg))
    outputs = detections((0.1, 0.05, 0.4, 0.15, 0.9))
    (detection,) = decode_detections(outputs, roi, DetectorConfig())
    assert detection.box_xyxy == pytest.approx(box, abs=1e-4)


def test_a_mirrored_head_is_the_mirrored_rotation():
    outputs = {**fake_face(), "pose": np.array([[0.5, -0.2, 0.3]], np.float32)}
    mirrored = decode_alignment(outputs, ROI, mirrored=True)
    expected = rotation_from_euler(-0.5, -0.2, -0.3)
    np.testing.assert_allclose(mirrored.pose.rotation, expected, atol=1e-6)
