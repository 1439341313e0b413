import math

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from atpn_mobile import geometry
from atpn_mobile.errors import InvalidFrameError
from atpn_mobile.landmarks import LEFT_EYE, RIGHT_EYE
from atpn_mobile.types import HeadPose, Roi

RESOLUTION = 112


def numbers(low, high):
    return st.floats(low, high, allow_nan=False)


rois = st.builds(
    Roi, numbers(-500, 2000), numbers(-500, 2000), numbers(4, 2000), numbers(-math.pi, math.pi)
)
angles = numbers(-3.1, 3.1)
pitches = numbers(-1.5, 1.5)  # at +-90 degrees yaw and roll cannot be told apart
boxes = st.tuples(numbers(-300, 300), numbers(-300, 300), numbers(1, 300), numbers(1, 300)).map(
    lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
)


def wrapped_deg(angle):
    return (angle + 180.0) % 360.0 - 180.0


@given(rois)
def test_landmarks_go_to_the_frame_and_back(roi):
    points = np.random.default_rng(0).uniform(-0.3, 1.3, (98, 2)).astype(np.float32)
    back = geometry.landmarks_to_crop(geometry.landmarks_to_frame(points, roi), roi)
    # float32 resolves 0.00025 of a pixel at 2000 to 4000
    assert np.abs(back - points).max() < 2e-6 + 1e-3 / roi.size


@given(rois)
def test_crop_matrix_and_landmarks_share_one_map(roi):
    pixels = np.array([[0.0, 0.0], [111.0, 0.0], [40.0, 77.0]])
    matrix = geometry.crop_to_frame_matrix(roi, RESOLUTION)
    by_matrix = pixels @ matrix[:, :2].T + matrix[:, 2]
    units = ((pixels + 0.5) / RESOLUTION).astype(np.float32)
    np.testing.assert_allclose(geometry.landmarks_to_frame(units, roi), by_matrix, atol=2e-3)


def test_crop_of_a_region_of_its_own_size_is_a_copy():
    frame = np.random.default_rng(1).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    roi = Roi(100.5, 80.5, 112.0)  # pixels 45..156 and 25..136
    np.testing.assert_array_equal(
        geometry.crop_frame(frame, roi, RESOLUTION), frame[25:137, 45:157]
    )


def test_crop_is_black_outside_the_frame():
    frame = np.full((50, 50, 3), 255, np.uint8)
    crop = geometry.crop_frame(frame, Roi(-24.5, 24.5, 100.0), 100)
    assert crop[:, :74].max() == 0
    assert crop[30:70, 76:].min() == 255


def test_a_point_is_found_where_the_rotated_crop_shows_it():
    frame = np.zeros((240, 320, 3), np.uint8)
    cv2.circle(frame, (190, 90), 4, (255, 255, 255), -1)
    roi = Roi(160.0, 120.0, 150.0, math.radians(35.0))
    crop = geometry.crop_frame(frame, roi, RESOLUTION)
    rows, columns = np.nonzero(crop[:, :, 0] > 127)
    seen = np.array([[columns.mean(), rows.mean()]])
    expected = geometry.landmarks_to_crop(np.array([[190.0, 90.0]], np.float32), roi)
    np.testing.assert_allclose((seen + 0.5) / RESOLUTION, expected, atol=0.01)


def test_clockwise_rotation_brings_an_upright_crop():
    # A head tilted clockwise has its top to the right of its middle: the crop turns it upright.
    roi = Roi(0.0, 0.0, 10.0, math.radians(30.0))
    top_of_head = np.array([[math.sin(roi.rotation_rad), -math.cos(roi.rotation_rad)]], np.float32)
    np.testing.assert_allclose(
        geometry.landmarks_to_crop(top_of_head, roi), [[0.5, 0.4]], atol=1e-6
    )


def test_roi_is_one_and_a_half_times_the_longer_side():
    assert geometry.roi_from_box((10.0, 20.0, 50.0, 100.0)) == Roi(30.0, 60.0, 120.0)
    landmarks = np.array([[10.0, 20.0], [50.0, 100.0], [30.0, 40.0]], np.float32)
    assert geometry.roi_from_landmarks(landmarks) == Roi(30.0, 60.0, 120.0)


@pytest.mark.parametrize("box", [(5.0, 5.0, 5.0, 5.0), (0.0, 0.0, math.nan, 1.0)])
def test_roi_of_an_empty_box_is_an_error(box):
    with pytest.raises(InvalidFrameError):
        geometry.roi_from_box(box)


@given(boxes, numbers(0, 1))
def test_box_from_roi_undoes_roi_from_box(box, extension):
    left, top, right, bottom = geometry.box_from_roi(
        geometry.roi_from_box(box, extension), extension
    )
    assert right - left == pytest.approx(max(box[2] - box[0], box[3] - box[1]))
    assert left + right == pytest.approx(box[0] + box[2], abs=1e-6)
    assert top + bottom == pytest.approx(box[1] + box[3], abs=1e-6)


@given(boxes, boxes)
def test_iou_is_a_symmetric_share(a, b):
    iou = geometry.box_iou(a, b)
    assert 0.0 <= iou <= 1.0 + 1e-9
    assert iou == pytest.approx(geometry.box_iou(b, a))
    assert geometry.box_iou(a, a) == pytest.approx(1.0)


def test_iou_of_known_boxes():
    assert geometry.box_iou((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert geometry.box_iou((0, 0, 1, 1), (1, 0, 2, 1)) == 0.0  # touching
    assert geometry.box_iou((0, 0, 1, 1), (5, 5, 6, 6)) == 0.0


@given(angles, pitches, angles)
def test_angles_go_to_a_rotation_and_back(yaw, pitch, roll):
    rotation = geometry.rotation_from_euler(yaw, pitch, roll)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    assert geometry.euler_from_rotation(rotation) == pytest.approx((yaw, pitch, roll), abs=1e-6)


@pytest.mark.parametrize(
    ("angles_deg", "nose_x", "nose_y"),
    [
        ((20, 0, 0), -1, 0),  # yaw > 0: to the left edge of the image
        ((0, 20, 0), 0, 1),  # pitch > 0: up (y up in camera axes)
    ],
)
def test_signs_of_yaw_and_pitch(angles_deg, nose_x, nose_y):
    rotation = geometry.rotation_from_euler(*(math.radians(angle) for angle in angles_deg))
    nose = rotation @ np.array([0.0, 0.0, 1.0])  # the face looks along its own z
    assert np.sign(np.round(nose[:2], 9)).tolist() == [nose_x, nose_y]


def test_sign_of_roll():
    rotation = geometry.rotation_from_euler(0.0, 0.0, math.radians(20))
    crown = rotation @ np.array([0.0, 1.0, 0.0])
    assert crown[0] > 0  # clockwise in the image: the crown moves to the right


@given(angles, pitches, angles)
def test_mirroring_changes_the_sign_of_yaw_and_roll(yaw, pitch, roll):
    assume(abs(abs(yaw) - math.pi) > 0.01)
    assume(abs(abs(roll) - math.pi) > 0.01)
    mirrored = geometry.mirror_rotation(geometry.rotation_from_euler(yaw, pitch, roll))
    assert geometry.euler_from_rotation(mirrored) == pytest.approx((-yaw, pitch, -roll), abs=1e-6)


@given(angles, pitches, angles, numbers(-3, 3))
def test_roll_follows_a_turn_of_the_image_with_slope_one(yaw, pitch, roll, turn):
    rotation = geometry.rotation_from_euler(yaw, pitch, roll)
    before, after = HeadPose(rotation), HeadPose(geometry.rotate_in_image(rotation, turn))
    change = wrapped_deg(after.roll_deg - before.roll_deg - math.degrees(turn))
    assert change == pytest.approx(0.0, abs=1e-4)
    assert after.pitch_deg == pytest.approx(before.pitch_deg, abs=1e-4)
    assert wrapped_deg(after.yaw_deg - before.yaw_deg) == pytest.approx(0.0, abs=1e-4)


class TestSteadyRoi:
    ROI = Roi(200.0, 120.0, 100.0)

    @pytest.mark.parametrize(
        ("dx", "dy", "scale"),
        [(0, 0, 1), (1.9, 0, 1), (0, -1.9, 1), (-1.9, 1.9, 1.035), (0, 0, 0.967)],
    )
    def test_rests_while_it_fits(self, dx: float, dy: float, scale: float) -> None:
        target = Roi(200.0 + dx, 120.0 + dy, 100.0 * scale)
        assert geometry.steady_roi(self.ROI, target) is self.ROI

    @pytest.mark.parametrize(
        ("dx", "dy", "scale"), [(2.1, 0, 1), (0, -2.1, 1), (0, 0, 1.04), (0, 0, 0.96), (70, -50, 2)]
    )
    def test_moves_to_a_grid_near_the_target(self, dx: float, dy: float, scale: float) -> None:
        target = Roi(200.0 + dx, 120.0 + dy, 100.0 * scale)
        moved = geometry.steady_roi(self.ROI, target)
        step = geometry.POSITION_STEP * moved.size
        assert abs(moved.center_x - target.center_x) <= step / 2 + 1e-9
        assert abs(moved.center_y - target.center_y) <= step / 2 + 1e-9
        assert abs(math.log(moved.size / target.size)) <= geometry.SIZE_STEP / 2 + 1e-9
        for value in (
            moved.center_x / step,
            moved.center_y / step,
            math.log(moved.size) / geometry.SIZE_STEP,
        ):
            assert value == pytest.approx(round(value), abs=1e-6)

    def test_rests_where_it_moved_to(self) -> None:
        target = Roi(237.3, 101.9, 143.0)
        moved = geometry.steady_roi(self.ROI, target)
        assert moved != target
        assert geometry.steady_roi(moved, target) is moved

    def test_targets_that_nearly_agree_give_the_same_region(self) -> None:
        # what keeps engines together that differ in the last digit
        moved = geometry.steady_roi(self.ROI, Roi(237.3, 101.9, 143.0))
        assert geometry.steady_roi(self.ROI, Roi(237.3001, 101.8999, 143.0001)) == moved

    @pytest.mark.parametrize("lean", [-0.6, 0.0, 0.6])
    @pytest.mark.parametrize("face_size", [100.0, 101.0, 102.0, 103.0, 104.0])
    def test_finds_rest_although_the_network_leans(self, lean: float, face_size: float) -> None:
        # What the network says moves with the region it looks at: by a share of the difference.
        roi, seen = self.ROI, []
        for _ in range(6):
            target = Roi(200.0, 120.0, face_size * (roi.size / face_size) ** lean)
            roi = geometry.steady_roi(roi, target)
            seen.append(roi)
        assert seen[2:] == [seen[2]] * 4

    def test_a_turned_target_is_turned(self) -> None:
        target = Roi(200.0, 120.0, 100.0, 0.25)
        assert geometry.steady_roi(self.ROI, target).rotation_rad == 0.25


@pytest.mark.parametrize(
    ("rotation_deg", "up"),
    [
        (0, (0, -1)),
        (90, (-1, 0)),  # a clockwise quarter turn brings the left edge to the top
        (180, (0, 1)),
        (270, (1, 0)),
        (-90, (1, 0)),
        (450, (-1, 0)),
    ],
)
def test_a_region_of_upright_rotation_shows_what_is_up_at_its_top(rotation_deg, up):
    roi = Roi(50.0, 40.0, 20.0, geometry.upright_rotation(rotation_deg))
    assert -math.pi < roi.rotation_rad <= math.pi
    top = geometry.landmarks_to_frame(np.array([[0.5, 0.0]], np.float32), roi)[0]
    np.testing.assert_allclose(top, [50.0 + 10.0 * up[0], 40.0 + 10.0 * up[1]], atol=1e-5)


@pytest.mark.parametrize("rotation_deg", [0, 90, 180, 270])
def test_upright_rotation_agrees_with_turning_the_picture(rotation_deg):
    frame = np.random.default_rng(2).integers(0, 256, (41, 41, 3), dtype=np.uint8)
    roi = Roi(20.0, 20.0, 41.0, geometry.upright_rotation(rotation_deg))
    upright = np.rot90(frame, -rotation_deg // 90)  # numpy turns counter-clockwise
    crop = geometry.crop_frame(frame, roi, 41).astype(int)
    assert np.abs(crop - upright)[1:-1, 1:-1].max() <= 8  # cv2 rounds coordinates to 1/32 pixel


def test_mirrored_landmarks_keep_the_names_of_the_subject():
    points = np.full((98, 2), 0.5, np.float32)
    points[RIGHT_EYE] = [0.3, 0.4]  # on the left of the picture
    points[LEFT_EYE] = [0.8, 0.45]
    mirrored = geometry.mirror_landmarks(points)
    # What was the left eye looks like a right eye now, and stands on the left.
    np.testing.assert_allclose(mirrored[RIGHT_EYE], np.tile([0.2, 0.45], (8, 1)), atol=1e-6)
    np.testing.assert_allclose(mirrored[LEFT_EYE], np.tile([0.7, 0.4], (8, 1)), atol=1e-6)
    assert points[RIGHT_EYE][0, 0] == np.float32(0.3)  # the argument is not changed


@given(st.integers(0, 1000))
def test_mirroring_twice_changes_nothing(seed):
    points = np.random.default_rng(seed).uniform(-0.5, 1.5, (98, 2)).astype(np.float32)
    back = geometry.mirror_landmarks(geometry.mirror_landmarks(points))
    np.testing.assert_allclose(back, points, atol=1e-6)
    rotation = geometry.rotation_from_euler(0.1 * seed, 0.3, -0.2)
    twice = geometry.mirror_rotation(geometry.mirror_rotation(rotation))
    np.testing.assert_array_equal(twice, rotation)


@given(angles, pitches, angles, numbers(-3, 3))
def test_mirrored_and_turned_is_turned_the_other_way_and_mirrored(yaw, pitch, roll, turn):
    rotation = geometry.rotation_from_euler(yaw, pitch, roll)
    one = geometry.mirror_rotation(geometry.rotate_in_image(rotation, turn))
    other = geometry.rotate_in_image(geometry.mirror_rotation(rotation), -turn)
    np.testing.assert_allclose(one, other, atol=1e-12)
    assert np.linalg.det(one) == pytest.approx(1.0)


@given(rois, rois)
def test_a_region_that_moved_rests(current, target):
    moved = geometry.steady_roi(current, target)
    assert geometry.steady_roi(moved, target) is moved
    assert geometry.on_grid(geometry.on_grid(target)) == geometry.on_grid(target)
