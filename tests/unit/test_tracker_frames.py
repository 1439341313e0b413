"""Frames as phones give them, on the fake world: turned, mirrored, grey, looked at twice.

The fake face is a circle of landmarks: 0 on the right of the crop that the network is shown, 1 at
its bottom, 2 on its left, 3 at its top.
"""

import math

import cv2
import numpy as np
import pytest

from atpn_mobile.config import TrackerConfig
from atpn_mobile.geometry import mirror_rotation, rotate_in_image, rotation_from_euler
from atpn_mobile.landmarks import MIRROR
from atpn_mobile.testing import FakeBackend, FakeDetector, fake_face
from atpn_mobile.tracker import FaceTracker
from atpn_mobile.types import Detection, Roi

TURNS = (0, 90, 180, 270)
POSE = (0.3, 0.2, 0.1)
BOX = (100.0, 80.0, 140.0, 120.0)


def picture(height=240, width=320):
    noise = np.random.default_rng(8).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def turned_for(rotation_deg, upright):
    """The frame that a clockwise turn by ``rotation_deg`` puts upright."""
    return np.rot90(upright, rotation_deg // 90)  # numpy turns counter-clockwise


def make(script=None, **options):
    backend = FakeBackend(script or [fake_face(pose=POSE)])
    detector = FakeDetector([[Detection(BOX, 0.9)]])
    config = TrackerConfig(smoothing=None, **options)
    return FaceTracker(backend, config, detector=detector), backend


@pytest.mark.parametrize(
    ("rotation_deg", "top"), [(0, (0, -1)), (90, (-1, 0)), (180, (0, 1)), (270, (1, 0))]
)
@pytest.mark.parametrize("mirrored", [False, True])
def test_landmarks_lie_in_the_frame_as_it_is(rotation_deg, top, mirrored):
    tracker, _ = make(rotation_deg=rotation_deg, mirrored=mirrored)
    right = (-top[1], top[0]) if not mirrored else (top[1], -top[0])  # of the crop as it was shown
    for result in (tracker.track(picture()), tracker.track(picture()), tracker.detect(picture())):
        (face,) = result.faces
        middle = np.array([face.roi.center_x, face.roi.center_y])
        directions = (face.raw_landmarks[[3, 0]] - middle) / (face.roi.size / 3.0)
        np.testing.assert_allclose(directions, [top, right], atol=1e-4)
        assert math.degrees(face.roi.rotation_rad) % 360 == pytest.approx((-rotation_deg) % 360)


@pytest.mark.parametrize("rotation_deg", TURNS)
@pytest.mark.parametrize("mirrored", [False, True])
def test_poses_are_those_of_the_frame_as_it_is(rotation_deg, mirrored):
    tracker, _ = make(rotation_deg=rotation_deg, mirrored=mirrored)
    seen = rotation_from_euler(*POSE)
    upright = mirror_rotation(seen) if mirrored else seen
    expected = rotate_in_image(upright, -math.radians(rotation_deg))
    for _ in range(2):
        (face,) = tracker.track(picture()).faces
        np.testing.assert_allclose(face.raw_pose.rotation, expected, atol=1e-6)


@pytest.mark.parametrize("rotation_deg", TURNS)
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_network_is_shown_upright_faces_that_are_no_mirror_images(rotation_deg, mirrored):
    upright = picture()
    shown = upright[:, ::-1] if mirrored else upright
    frame = turned_for(rotation_deg, shown)
    middle = np.array([[200.0, 90.0]])  # of the region, in the upright picture
    if mirrored:
        middle = 319.0 * np.array([[1.0, 0.0]]) + middle * [-1.0, 1.0]
    for _ in range(rotation_deg // 90):  # a quarter turn counter-clockwise
        width = 319.0 if _ % 2 == 0 else 239.0
        middle = np.stack([middle[:, 1], width - middle[:, 0]], axis=1)
    inputs = []
    for picture_, roi, options in (
        (upright, Roi(200.0, 90.0, 112.0), {}),
        (frame, Roi(*middle[0], 112.0), {"rotation_deg": rotation_deg, "mirrored": mirrored}),
    ):
        tracker, backend = make(**options)
        tracker.align(picture_, [roi])
        inputs.append(backend.calls[0]["image"])
    np.testing.assert_allclose(inputs[1], inputs[0], atol=1.0)


def test_grey_frames_give_what_three_equal_channels_give():
    grey = picture()[:, :, 1].copy()
    forms = {"grey": [grey, grey[:, :, np.newaxis]], "rgb": [np.dstack([grey] * 3)]}
    inputs = []
    for color, frames in forms.items():
        for frame in frames:
            tracker, backend = make(color=color)
            for _ in range(2):
                assert len(tracker.track(frame).faces) == 1
            inputs.append([call["image"] for call in backend.calls])
    np.testing.assert_array_equal(inputs[0], inputs[2])
    np.testing.assert_array_equal(inputs[1], inputs[2])


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_second_view_is_the_mirror_image_of_the_first(mirrored):
    tracker, backend = make(views=2, mirrored=mirrored)
    (face,) = tracker.align(picture(), [Roi(150.0, 100.0, 90.0)])
    first, second = (call["image"] for call in backend.calls)
    np.testing.assert_array_equal(second, first[..., ::-1])
    assert len(backend.calls) == 2
    assert face.presence == 1.0


def test_two_views_average_away_what_is_not_symmetric():
    def biased(inputs):
        """Says of each crop, mirrored or not, that the face stands a little to the right."""
        presence = 0.8 if len(backend.calls) % 2 else 1.0
        return fake_face(center=(0.55, 0.5), pose=(0.2, 0.1, 0.3), presence=presence)

    tracker, backend = make(biased, views=2)
    (face,) = tracker.align(picture(), [Roi(150.0, 100.0, 100.0)])
    biased_points = fake_face(center=(0.55, 0.5))["landmarks"][0]
    expected = (biased_points + biased_points[MIRROR] * [-1, 1] + [1, 0]) / 2
    crop = (face.raw_landmarks - [150.0, 100.0]) / 100.0 + 0.5
    np.testing.assert_allclose(crop, expected, atol=1e-5)
    assert face.presence == pytest.approx(0.9)
    # yaw and roll of the two views cancel out, pitch does not
    angles = (face.raw_pose.yaw_deg, face.raw_pose.pitch_deg, face.raw_pose.roll_deg)
    assert angles == pytest.approx((0.0, math.degrees(0.1), 0.0), abs=1e-4)


def test_two_views_cost_twice_the_network():
    calls = []
    for views in (1, 2):
        tracker, backend = make(views=views)
        for _ in range(3):
            tracker.track(picture())
        calls.append(len(backend.calls))
    assert calls == [2 + 2, 2 * (2 + 2)]


def test_align_turns_the_regions_it_is_given():
    tracker, _ = make(rotation_deg=90)
    (face,) = tracker.align(picture(), [Roi(150.0, 100.0, 90.0, 0.25)])
    assert face.roi.rotation_rad == pytest.approx(0.25 - math.pi / 2)
    # the top of the head, 0.25 clockwise of the left edge
    top = (face.raw_landmarks[3] - [150.0, 100.0]) / 30.0
    np.testing.assert_allclose(top, [-math.cos(0.25), -math.sin(0.25)], atol=1e-4)


def test_the_pose_is_smoothed_and_the_raw_one_kept():
    def nod(inputs):
        return fake_face(pose=(0.0, 0.02 * (-1) ** (len(backend.calls) // 2), 0.0))

    backend = FakeBackend(nod)
    detector = FakeDetector([[Detection(BOX, 0.9)]])
    tracker = FaceTracker(backend, TrackerConfig(), detector=detector)
    pitches = []
    for _ in range(20):
        (face,) = tracker.track(picture()).faces
        pitches.append((face.raw_pose.pitch_deg, face.pose.pitch_deg))
    raw, smoothed = np.array(pitches).T
    assert np.abs(raw) == pytest.approx(math.degrees(0.02), abs=1e-3)
    assert np.abs(np.diff(smoothed)).mean() < 0.7 * np.abs(np.diff(raw)).mean()
    assert smoothed[0] == pytest.approx(raw[0], abs=1e-6)
