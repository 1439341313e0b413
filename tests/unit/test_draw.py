"""What is painted is where it should be, in the colour it should have."""

import math

import numpy as np
import pytest

from atpn_mobile.draw import (
    DARK,
    FRONT_COLOR,
    LEFT_COLOR,
    TRACK_COLORS,
    UP_COLOR,
    WHITE,
    DrawOptions,
    axis_tips,
    draw_axes,
    draw_label,
    draw_landmarks,
    draw_result,
    draw_roi,
    label_lines,
    track_color,
)
from atpn_mobile.errors import ConfigError, InvalidFrameError
from atpn_mobile.geometry import roi_from_landmarks, rotation_from_euler
from atpn_mobile.types import Face, HeadPose, Roi, TrackResult

BACKGROUND = 90
NOSE_TIP = 54


def make_pose(yaw_deg=0.0, pitch_deg=0.0, roll_deg=0.0):
    return HeadPose(rotation_from_euler(*np.radians([yaw_deg, pitch_deg, roll_deg])))


def make_face(
    center=(160.0, 120.0), size=80.0, pose=None, track_id=0, source="tracked", presence=0.987
):
    """A ring of points with the nose tip in its middle."""
    angle = np.linspace(0.0, 2.0 * math.pi, 98, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1) * size / 2.0 + center
    ring[NOSE_TIP] = center
    landmarks = ring.astype(np.float32)
    return Face(
        track_id=track_id,
        landmarks=landmarks,
        raw_landmarks=landmarks,
        presence=presence,
        pose=pose or make_pose(),
        raw_pose=pose or make_pose(),
        roi=roi_from_landmarks(landmarks),
        source=source,
    )


def make_frame(width=320, height=240):
    return np.full((height, width, 3), BACKGROUND, np.uint8)


def pixels_of(frame, rgb, tolerance=12):
    """(N, 2) x, y of the BGR frame's pixels in a colour."""
    near = np.abs(frame[:, :, ::-1].astype(int) - np.array(rgb)).max(axis=2) <= tolerance
    rows, columns = np.nonzero(near)
    return np.stack([columns, rows], axis=1)


def changed(frame):
    """(N, 2) x, y of the pixels that are no background."""
    rows, columns = np.nonzero((frame != BACKGROUND).any(axis=2))
    return np.stack([columns, rows], axis=1)


class TestAxisTips:
    def test_a_frontal_head_looks_out_of_the_picture(self):
        tips = axis_tips(make_pose(), (100.0, 50.0), 10.0)
        assert tips.front == pytest.approx((100.0, 50.0))
        assert tips.left == pytest.approx((110.0, 50.0))  # their left is on our right
        assert tips.up == pytest.approx((100.0, 40.0))  # picture rows grow downwards

    @pytest.mark.parametrize(
        ("angles", "expected_sign_xy"),
        [
            ((36.0, 0.0, 0.0), (-1, 0)),  # yaw > 0: to the left edge
            ((-36.0, 0.0, 0.0), (1, 0)),
            ((0.0, 20.0, 0.0), (0, -1)),  # pitch > 0: upwards
            ((0.0, -20.0, 0.0), (0, 1)),
        ],
    )
    def test_the_front_axis_points_where_the_face_looks(self, angles, expected_sign_xy):
        x, y = axis_tips(make_pose(*angles), (0.0, 0.0), 1.0).front
        expected = math.sin(math.radians(max(abs(angle) for angle in angles)))
        assert (x, y) == pytest.approx(tuple(sign * expected for sign in expected_sign_xy))

    def test_roll_turns_the_up_axis_clockwise(self):
        x, y = axis_tips(make_pose(roll_deg=30.0), (0.0, 0.0), 1.0).up
        assert (x, y) == pytest.approx((math.sin(math.pi / 6), -math.cos(math.pi / 6)))


class TestDrawAxes:
    def paint(self, **angles):
        frame = make_frame()
        draw_axes(frame, make_pose(**angles), (160.0, 120.0), 60.0)
        return frame

    @pytest.mark.parametrize(("yaw_deg", "side"), [(36.0, -1), (-36.0, 1)])
    def test_red_goes_to_the_side_the_face_turns_to(self, yaw_deg, side):
        red = pixels_of(self.paint(yaw_deg=yaw_deg), FRONT_COLOR)
        reach = 60.0 * math.sin(math.radians(36.0))
        assert side * (red[:, 0].mean() - 160.0) > 10.0
        assert np.abs(red[:, 0] - 160.0).max() == pytest.approx(reach, abs=6.0)

    def test_blue_goes_up_and_green_to_the_subjects_left(self):
        frame = self.paint()
        blue, green = pixels_of(frame, UP_COLOR), pixels_of(frame, LEFT_COLOR)
        assert blue[:, 1].max() <= 120
        assert blue[:, 1].min() == pytest.approx(60.0, abs=5.0)
        assert green[:, 0].min() >= 160
        assert green[:, 0].max() == pytest.approx(220.0, abs=5.0)

    def test_an_axis_towards_the_viewer_lies_on_top_as_a_dot(self):
        red = pixels_of(self.paint(), FRONT_COLOR)
        assert len(red) > 4
        assert np.abs(red - (160, 120)).max() <= 5

    def test_an_axis_away_from_the_viewer_is_painted_first(self):
        # Seen from behind, the face looks away: the two other axes hide the red one's knob.
        frame = self.paint(yaw_deg=180.0)
        assert len(pixels_of(frame, FRONT_COLOR)) < len(pixels_of(self.paint(), FRONT_COLOR))

    def test_the_channel_order_swaps_red_and_blue(self):
        bgr, rgb = make_frame(), make_frame()
        draw_axes(bgr, make_pose(yaw_deg=30.0), (160.0, 120.0), 60.0, color="bgr")
        draw_axes(rgb, make_pose(yaw_deg=30.0), (160.0, 120.0), 60.0, color="rgb")
        np.testing.assert_array_equal(bgr[:, :, ::-1], rgb)
        assert (bgr != rgb).any()


class TestDrawLandmarks:
    @pytest.mark.parametrize("size", [30.0, 80.0, 200.0])
    def test_every_point_is_seen_where_it_is(self, size):
        frame, face = make_frame(), make_face(size=size)
        draw_landmarks(frame, face.landmarks, outlines=False)
        for x, y in np.rint(face.landmarks).astype(int):
            assert frame[y - 1 : y + 2, x - 1 : x + 2].max() > BACKGROUND

    def test_points_grow_with_the_face(self):
        areas = []
        for size in (30.0, 600.0):
            frame = make_frame(700, 700)
            draw_landmarks(frame, make_face((350.0, 350.0), size).landmarks, outlines=False)
            areas.append(len(changed(frame)))
        assert areas[1] > 3 * areas[0]

    def test_points_and_outlines_can_be_left_out(self):
        landmarks = make_face().landmarks
        nothing, points, lines = make_frame(), make_frame(), make_frame()
        draw_landmarks(nothing, landmarks, points=False, outlines=False)
        draw_landmarks(points, landmarks, outlines=False)
        draw_landmarks(lines, landmarks, points=False)
        assert len(changed(nothing)) == 0
        assert len(pixels_of(points, WHITE, 60)) > 0
        assert len(pixels_of(lines, WHITE, 60)) == 0
        assert len(changed(lines)) > 0

    def test_outlines_let_the_face_through(self):
        frame = make_frame()
        draw_landmarks(frame, make_face().landmarks, points=False)
        blended = 0.6 * np.array(TRACK_COLORS[0]) + 0.4 * BACKGROUND
        assert len(pixels_of(frame, blended)) > 20
        assert len(pixels_of(frame, TRACK_COLORS[0], 4)) == 0

    @pytest.mark.parametrize("center", [(0.0, 0.0), (319.0, 239.0), (-500.0, 900.0), (1e6, -1e6)])
    def test_a_face_partly_or_wholly_outside_is_no_problem(self, center):
        frame = make_frame()
        draw_landmarks(frame, make_face(center).landmarks)
        inside = -40 <= center[0] <= 360
        assert (len(changed(frame)) > 0) == inside


class TestDrawRoi:
    def test_the_square_lies_on_the_regions_edges(self):
        frame = make_frame()
        draw_roi(frame, Roi(160.0, 120.0, 100.0))
        painted = changed(frame)
        assert painted.min(axis=0) == pytest.approx((110, 70), abs=2)
        assert painted.max(axis=0) == pytest.approx((210, 170), abs=2)
        assert (frame[80:160, 120:200] == BACKGROUND).all()

    def test_rotation_turns_the_square(self):
        frame = make_frame()
        draw_roi(frame, Roi(160.0, 120.0, 100.0, math.pi / 4))
        painted = changed(frame)
        half_diagonal = 50.0 * math.sqrt(2.0)
        assert painted[:, 0].min() == pytest.approx(160.0 - half_diagonal, abs=3)
        assert painted[:, 1].max() == pytest.approx(120.0 + half_diagonal, abs=3)


class TestLabel:
    def test_the_text_names_id_presence_and_angles(self):
        face = make_face(pose=make_pose(12.4, -3.0, 0.6), track_id=7)
        assert label_lines(face) == ("#7  99%", "yaw +12  pitch -3  roll +1")

    def test_a_detection_is_told_apart(self):
        assert "detected" in label_lines(make_face(source="detected"))[0]
        assert "detected" not in label_lines(make_face(source="tracked"))[0]

    def test_a_face_outside_tracks_has_no_id(self):
        assert label_lines(make_face(track_id=-1, source="detected"))[0] == "99%"

    def test_no_angle_is_minus_zero(self):
        face = make_face(pose=make_pose(-0.2, -0.2, -0.2))
        assert label_lines(face)[1] == "yaw +0  pitch +0  roll +0"

    @pytest.mark.parametrize("anchor", [(-50.0, -50.0), (150.0, 5.0), (500.0, 500.0)])
    def test_it_is_moved_inside_the_frame(self, anchor):
        reference, frame = make_frame(), make_frame()
        draw_label(reference, ("yaw +12",), (100.0, 150.0))
        draw_label(frame, ("yaw +12",), anchor)
        whole = np.ptp(changed(reference), axis=0)
        np.testing.assert_array_equal(np.ptp(changed(frame), axis=0), whole)

    def test_light_letters_stand_on_a_dark_plate(self):
        frame = np.full((240, 320, 3), 250, np.uint8)  # a white wall would swallow white letters
        draw_label(frame, ("yaw +12",), (100.0, 150.0))
        plate = 0.25 * 250 + 0.75 * np.array(DARK)
        assert len(pixels_of(frame, plate)) > 100
        rows, columns = np.nonzero((frame != 250).any(axis=2))
        inside = frame[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert inside.max(axis=2).max() > 230

    def test_a_frame_smaller_than_the_label_is_no_problem(self):
        frame = make_frame(20, 10)
        draw_label(frame, ("yaw +12  pitch -3",), (5.0, 5.0))
        assert len(changed(frame)) > 0

    def test_no_line_paints_nothing(self):
        frame = make_frame()
        draw_label(frame, (), (100.0, 100.0))
        assert len(changed(frame)) == 0


class TestDrawResult:
    def test_the_frame_handed_in_stays_as_it_was(self):
        frame = make_frame()
        painted = draw_result(frame, TrackResult((make_face(),), 0.0))
        assert len(changed(frame)) == 0
        assert len(changed(painted)) > 0

    def test_no_face_gives_the_same_picture(self):
        frame = make_frame()
        painted = draw_result(frame, TrackResult((), 0.0))
        np.testing.assert_array_equal(painted, frame)
        assert painted is not frame

    def test_a_frame_with_other_strides_is_painted_alike(self):
        rng = np.random.default_rng(0)
        frame = rng.integers(0, 255, (240, 320, 3), np.uint8)
        flipped = frame[:, :, ::-1][:, :, ::-1]
        result = TrackResult((make_face(),), 0.0)
        np.testing.assert_array_equal(draw_result(flipped, result), draw_result(frame, result))

    @pytest.mark.parametrize("option", ["landmarks", "outlines", "axes", "box", "label"])
    def test_every_part_can_be_left_out(self, option):
        result = TrackResult((make_face(pose=make_pose(30.0)),), 0.0)
        whole = draw_result(make_frame(), result)
        part = draw_result(make_frame(), result, DrawOptions(**{option: False}))
        assert (whole != part).any()

    def test_nothing_is_painted_with_every_part_left_out(self):
        options = DrawOptions(landmarks=False, outlines=False, axes=False, box=False, label=False)
        painted = draw_result(make_frame(), TrackResult((make_face(),), 0.0), options)
        assert len(changed(painted)) == 0

    def test_scale_makes_everything_bolder(self):
        result = TrackResult((make_face(size=120.0),), 0.0)
        counts = [
            len(changed(draw_result(make_frame(), result, DrawOptions(scale=scale))))
            for scale in (1.0, 3.0)
        ]
        assert counts[1] > 1.5 * counts[0]

    @pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
    def test_a_scale_that_is_no_size_is_refused(self, scale):
        with pytest.raises(ConfigError, match="scale"):
            DrawOptions(scale=scale)

    def test_two_tracks_have_two_colours(self):
        assert track_color(0) != track_color(1)
        assert track_color(3) == track_color(3 + len(TRACK_COLORS))
        faces = (
            make_face((80.0, 140.0), 60.0, track_id=0),
            make_face((240.0, 140.0), 60.0, None, 1),
        )
        # Without labels: those are moved inside the frame, across its middle.
        options = DrawOptions(label=False)
        painted = draw_result(make_frame(), TrackResult(faces, 0.0), options)
        assert pixels_of(painted, TRACK_COLORS[0], 4)[:, 0].max() < 160
        assert pixels_of(painted, TRACK_COLORS[1], 4)[:, 0].min() > 160

    def test_rgb_and_bgr_show_the_same_picture(self):
        result = TrackResult((make_face(pose=make_pose(30.0)),), 0.0)
        bgr = draw_result(make_frame(), result, color="bgr")
        rgb = draw_result(make_frame(), result, color="rgb")
        np.testing.assert_array_equal(bgr[:, :, ::-1], rgb)

    @pytest.mark.parametrize(
        "frame",
        [
            np.zeros((10, 10), np.uint8),
            np.zeros((10, 10, 4), np.uint8),
            np.zeros((10, 10, 3), np.float32),
            np.zeros((0, 10, 3), np.uint8),
        ],
    )
    def test_what_is_no_colour_picture_is_refused(self, frame):
        with pytest.raises(InvalidFrameError, match="expected a frame"):
            draw_result(frame, TrackResult((), 0.0))
