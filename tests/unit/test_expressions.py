"""A drawn face with known openings; what does not change a face does not change its signals."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atpn_mobile.errors import InvalidFrameError
from atpn_mobile.expressions import (
    MAX_TURN_DEG,
    Expressions,
    brow_raise,
    eye_openness,
    face_on,
    measure_expressions,
    mouth_openness,
    mouth_width,
    smile,
)
from atpn_mobile.geometry import rotation_from_euler
from atpn_mobile.landmarks import MIRROR
from atpn_mobile.types import HeadPose

CLIPS = Path(__file__).parents[2] / "assets" / "clips"
FRONTAL = HeadPose(np.eye(3))


def drawn_face(*, lids=(12.0, 12.0), lips=0.0, corners_up=0.0, width=60.0, brows=(20.0, 20.0)):
    """Eyes 30 wide with their outer corners 100 apart, so that a unit is a hundredth of that."""
    points = np.zeros((98, 2))
    arch = np.array([0.5, 1.0, 0.5])  # of a lid, between its corners
    for first, left_end, lid in ((60, 0.0, lids[0]), (68, 70.0, lids[1])):
        points[first : first + 5, 0] = left_end + np.linspace(0.0, 30.0, 5)
        points[first + 5 : first + 8, 0] = left_end + np.array([22.5, 15.0, 7.5])
        points[first + 1 : first + 4, 1] = -lid / 2.0 * arch
        points[first + 5 : first + 8, 1] = lid / 2.0 * arch
    points[33:42] = [15.0, -brows[0]]
    points[42:51] = [85.0, -brows[1]]
    x = np.linspace(50.0 - width / 2.0, 50.0 + width / 2.0, 7)
    points[76:83, 0] = x
    points[83:88, 0] = x[5:0:-1]
    points[76:88, 1] = 80.0
    points[88:93, 0] = np.linspace(x[0], x[-1], 5)
    points[93:96, 0] = points[91:88:-1, 0]
    points[88:96, 1] = 80.0
    points[89:92, 1] -= lips / 2.0
    points[93:96, 1] += lips / 2.0
    points[[76, 82, 88, 92], 1] -= corners_up
    return points


def values(landmarks, pose=None):
    return np.array(dataclasses.astuple(measure_expressions(landmarks, pose)))


class TestByHand:
    def test_eyes(self):
        # Lid distances 6, 12 and 6 over a width of 30.
        assert eye_openness(drawn_face()) == pytest.approx((8 / 30, 8 / 30))
        assert eye_openness(drawn_face(lids=(0.0, 3.0))) == pytest.approx((0.0, 2 / 30))

    def test_mouth(self):
        assert mouth_openness(drawn_face()) == 0.0
        assert mouth_openness(drawn_face(lips=25.0)) == pytest.approx(0.25)
        assert mouth_width(drawn_face(width=75.0)) == pytest.approx(0.75)

    def test_smile(self):
        assert smile(drawn_face()) == pytest.approx(0.0)
        assert smile(drawn_face(corners_up=10.0)) == pytest.approx(0.10)
        assert smile(drawn_face(corners_up=10.0, width=80.0)) == pytest.approx(0.20)
        assert smile(drawn_face(corners_up=-5.0, width=50.0)) == pytest.approx(-0.10)

    def test_opening_the_mouth_is_no_smile(self):
        assert smile(drawn_face(lips=30.0)) == pytest.approx(smile(drawn_face()))

    def test_brows(self):
        assert brow_raise(drawn_face(brows=(15.0, 30.0))) == pytest.approx((0.15, 0.30))

    def test_all_together(self):
        face = drawn_face(lids=(0.0, 12.0), lips=10.0, corners_up=5.0, brows=(20.0, 25.0))
        expected = Expressions(0.0, 8 / 30, 0.10, 0.60, 0.05, 0.20, 0.25)
        assert values(face) == pytest.approx(np.array(dataclasses.astuple(expected)))
        assert values(face.astype(np.float32)) == pytest.approx(values(face))


points_98 = st.integers(0, 2**32 - 1).map(
    lambda seed: drawn_face() + np.random.default_rng(seed).normal(scale=4.0, size=(98, 2))
)


class TestInvariance:
    @given(
        points_98,
        st.floats(-1e4, 1e4),
        st.floats(-1e4, 1e4),
        st.floats(0.01, 100.0),
        st.floats(-math.pi, math.pi),
    )
    def test_place_size_and_turn_of_the_picture_do_not_matter(self, points, x, y, scale, angle):
        cos, sin = math.cos(angle), math.sin(angle)
        moved = scale * points @ np.array([[cos, sin], [-sin, cos]]) + [x, y]
        assert values(moved) == pytest.approx(values(points), abs=1e-6)

    @given(points_98, st.floats(-0.4, 0.4), st.floats(-0.4, 0.4), st.floats(-3.0, 3.0))
    def test_a_picture_turned_with_its_pose_gives_the_same(self, points, yaw, pitch, roll):
        upright = values(points, HeadPose(rotation_from_euler(yaw, pitch, 0.0)))
        cos, sin = math.cos(roll), math.sin(roll)
        turned = points @ np.array([[cos, sin], [-sin, cos]])
        rolled = values(turned, HeadPose(rotation_from_euler(yaw, pitch, roll)))
        assert rolled == pytest.approx(upright, abs=1e-9)

    @given(points_98, st.floats(-0.4, 0.4), st.floats(-0.4, 0.4), st.floats(-3.0, 3.0))
    def test_a_mirrored_picture_keeps_the_subjects_right_and_left(self, points, yaw, pitch, roll):
        """As the tracker gives the faces of a mirrored camera."""
        mirrored = points * [-1.0, 1.0]
        assert values(mirrored) == pytest.approx(values(points), abs=1e-9)
        pose = HeadPose(rotation_from_euler(yaw, pitch, roll))
        mirrored_pose = HeadPose(rotation_from_euler(-yaw, pitch, -roll))
        assert values(mirrored, mirrored_pose) == pytest.approx(values(points, pose), abs=1e-9)

    @given(points_98, st.floats(-0.4, 0.4), st.floats(-0.4, 0.4))
    def test_the_mirrored_face_swaps_right_and_left(self, points, yaw, pitch):
        mirrored = points[MIRROR] * [-1.0, 1.0]
        own = values(points, HeadPose(rotation_from_euler(yaw, pitch, 0.0)))
        other = values(mirrored, HeadPose(rotation_from_euler(-yaw, pitch, 0.0)))
        assert other == pytest.approx(own[[1, 0, 2, 3, 4, 6, 5]], abs=1e-9)


class TestHeadPose:
    def test_a_frontal_pose_changes_nothing(self):
        face = drawn_face(lips=10.0, corners_up=5.0)
        assert values(face, FRONTAL) == pytest.approx(values(face))

    def test_face_on_keeps_the_unit_and_puts_the_origin_between_the_eyes(self):
        frontal = face_on(drawn_face(), FRONTAL)
        assert frontal[[60, 72]] == pytest.approx(np.array([[-50.0, 0.0], [50.0, 0.0]]))
        assert np.isnan(frontal[:33]).all()
        assert np.isfinite(frontal[33:]).all()

    def test_a_flat_turn_is_undone(self):
        # The outer corners of eyes and the corners of the mouth: of the same depth on both sides.
        turned = drawn_face() * [math.cos(math.radians(30)), 1.0]
        assert mouth_width(turned) == pytest.approx(0.6)
        back = face_on(turned, HeadPose(rotation_from_euler(math.radians(30), 0.0, 0.0)))
        assert back[72, 0] - back[60, 0] == pytest.approx(100.0)
        assert mouth_width(back) == pytest.approx(0.6)

    @pytest.mark.parametrize(("clip", "person"), [("solo", 0), ("pair", 0), ("pair", 1)])
    def test_brows_at_rest_stay_where_they_are_while_the_head_turns(self, clip, person):
        """Rendered heads that never move their brows, turned by up to 40 degrees."""
        with np.load(CLIPS / f"synthetic_{clip}.npz") as truth:
            landmarks, rotations = truth["landmarks"][:, person], truth["rotation"][:, person]
        rows = [
            (values(points, HeadPose(rotation.astype(float))), values(points))
            for points, rotation in zip(landmarks, rotations, strict=True)
            if np.isfinite(points).all() and rotation[2, 2] > math.cos(math.radians(MAX_TURN_DEG))
        ]
        corrected, plain = (
            np.ptp(np.array(side)[:, 5:], axis=0) for side in zip(*rows, strict=True)
        )
        assert len(rows) > 100
        assert (corrected < 0.025).all()
        assert (corrected < 0.55 * plain).all()

    def test_rendered_eyes_shut_and_open_whatever_the_pose(self):
        with np.load(CLIPS / "synthetic_solo.npz") as truth:
            rows = np.array(
                [
                    values(points, HeadPose(rotation.astype(float)))
                    for points, rotation in zip(
                        truth["landmarks"][:, 0], truth["rotation"][:, 0], strict=True
                    )
                    if np.isfinite(points).all()
                ]
            )
        eyes = np.nanmean(rows[:, :2], axis=1)
        eyes = eyes[np.isfinite(eyes)]
        shut = eyes < 0.15
        assert 5 <= shut.sum() <= 20
        assert eyes[shut].max() < 0.10
        assert np.median(eyes[~shut]) == pytest.approx(0.34, abs=0.02)

    @pytest.mark.parametrize(
        ("yaw", "pitch", "told"), [(39, 0, True), (41, 0, False), (0, -41, False), (30, 30, False)]
    )
    def test_a_head_turned_too_far_gives_nan(self, yaw, pitch, told):
        pose = HeadPose(rotation_from_euler(math.radians(yaw), math.radians(pitch), 1.0))
        assert np.isfinite(values(drawn_face(), pose)).all() == told
        assert np.isnan(values(drawn_face(), pose)).all() != told


class TestWhatCannotBeTold:
    @pytest.mark.parametrize("shape", [(68, 2), (98, 3), (1, 98, 2), (0, 2)])
    def test_another_shape_is_refused(self, shape):
        for signal in (
            measure_expressions,
            eye_openness,
            mouth_openness,
            mouth_width,
            smile,
            brow_raise,
        ):
            with pytest.raises(InvalidFrameError, match=r"\(98, 2\)"):
                signal(np.zeros(shape))

    def test_a_point_has_no_signals(self):
        assert np.isnan(values(np.zeros((98, 2)))).all()
        assert np.isnan(values(np.zeros((98, 2)), FRONTAL)).all()

    def test_a_profile_cannot_be_turned_back(self):
        profile = HeadPose(np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]))
        assert np.isnan(face_on(drawn_face(), profile)).all()

    def test_the_landmarks_are_not_changed(self):
        face = drawn_face()
        face.flags.writeable = False
        values(face, FRONTAL)
        np.testing.assert_array_equal(face, drawn_face())
