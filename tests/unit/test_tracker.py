"""The tracker on a world of bright squares: a fake network finds the one in the middle of its crop.

A square's brightness is its presence, so a face can fade; the left half of the brightness range is
below the gate.
"""

import contextlib
import math
import time

import cv2
import numpy as np
import pytest

from atpn_mobile import tracker as tracker_module
from atpn_mobile.config import DetectorConfig, SmoothingConfig, TrackerConfig
from atpn_mobile.errors import (
    AtpnError,
    BackendUnavailableError,
    InvalidFrameError,
    ManifestError,
    ModelMismatchError,
)
from atpn_mobile.geometry import box_from_landmarks, roi_from_box, roi_from_landmarks, steady_roi
from atpn_mobile.manifest import InputSpec, ModelSpec, OutputSpec
from atpn_mobile.testing import FAKE_SPEC, FakeBackend, FakeDetector, fake_face
from atpn_mobile.tracker import FaceTracker
from atpn_mobile.types import Detection, Roi

HEIGHT, WIDTH = 240, 320
RAW = TrackerConfig(smoothing=None)


def world(*squares, value=255):
    """A frame with squares: (center_x, center_y, size) or (center_x, center_y, size, value)."""
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for x, y, size, *own_value in squares:
        left, top = round(x - size / 2), round(y - size / 2)
        corner = (left + size - 1, top + size - 1)
        cv2.rectangle(frame, (left, top), corner, (own_value or [value])[0:1] * 3, -1)
    return frame


def look(inputs):
    """The network: the square nearest to the middle of the crop."""
    brightness = inputs["image"][0, 0]
    side = brightness.shape[0]
    _, _, stats, _ = cv2.connectedComponentsWithStats((brightness > 20).astype(np.uint8))
    blobs = [
        ((x + width / 2) / side, (y + height / 2) / side, max(width, height) / side)
        for x, y, width, height, _ in stats[1:]
    ]
    if not blobs:
        return fake_face(presence=0.0)
    x, y, size = min(blobs, key=lambda blob: math.hypot(blob[0] - 0.5, blob[1] - 0.5))
    near = brightness[min(int(y * side), side - 1), min(int(x * side), side - 1)]
    return fake_face(center=(x, y), size=size, presence=float(near) / 255.0)


class MoodyError(Exception):
    """What an engine may throw."""


class SquareDetector:
    """Finds every square, the largest first."""

    def __init__(self, shift=0.0):
        self.calls = 0
        self.shift = shift

    def detect(self, frame):
        self.calls += 1
        _, _, stats, _ = cv2.connectedComponentsWithStats((frame[:, :, 0] > 20).astype(np.uint8))
        rows = sorted(stats[1:].tolist(), key=lambda row: -row[4])
        return tuple(
            Detection((x + self.shift, y, x + width + self.shift, y + height), 0.9)
            for x, y, width, height, _ in rows
        )


def make(config=RAW, detector=None, script=look):
    backend, detector = FakeBackend(script), detector or SquareDetector()
    return FaceTracker(backend, config, detector=detector), backend, detector


def center(face):
    left, top, right, bottom = box_from_landmarks(face.raw_landmarks)
    return (left + right) / 2, (top + bottom) / 2


def ids(result):
    return [face.track_id for face in result.faces]


# --- one face ----------------------------------------------------------------------------------


def test_detects_once_and_then_tracks():
    tracker, backend, detector = make()
    sources = []
    for step in range(30):
        x = 80 + 5 * step
        result = tracker.track(world((x, 120, 60)))
        (face,) = result.faces
        assert center(face) == pytest.approx((x, 120), abs=2.0)
        assert face.track_id == 0
        assert face.presence == pytest.approx(1.0)
        sources.append((face.source, result.detector_ran))
    assert sources == [("detected", True)] + [("tracked", False)] * 29
    assert detector.calls == 1
    assert len(backend.calls) == 2 + 29  # a detection is looked at twice


def test_no_face_is_an_empty_result_and_the_detector_stays_on():
    tracker, backend, detector = make()
    results = [tracker.track(world()) for _ in range(5)]
    assert all(result.faces == () and result.detector_ran for result in results)
    assert detector.calls == 5
    assert backend.calls == []


def test_a_lost_face_is_asked_for_again_in_the_same_frame():
    tracker, _, detector = make()
    tracker.track(world((80, 120, 60)))
    result = tracker.track(world((250, 120, 60)))  # a jump out of the region
    (face,) = result.faces
    assert center(face) == pytest.approx((250, 120), abs=2.0)
    assert (face.track_id, face.source) == (1, "detected")
    assert detector.calls == 2


def test_a_face_that_fades_is_dropped_and_comes_back_under_its_id():
    tracker, _, _ = make()
    results = [
        tracker.track(world((150, 120, 60), value=value)) for value in (255, 200, 150, 0, 255)
    ]
    assert [ids(result) for result in results] == [[0], [0], [], [], [0]]
    assert [result.lost_ids for result in results] == [(), (), (0,), (), ()]
    assert results[-1].faces[0].source == "detected"


@pytest.mark.parametrize(
    ("options", "gap_frames", "shift", "expected"),
    [
        ({}, 58, 0, 0),  # within 2 seconds at 30 frames per second
        ({}, 61, 0, 1),
        ({"reattach_s": 0.5}, 14, 0, 0),
        ({"reattach_s": 0.5}, 15, 0, 1),
        ({"reattach_s": 0.0}, 1, 0, 1),  # off
        ({}, 1, 110, 0),  # less than twice its size away
        ({}, 1, 130, 1),
        ({"reattach_distance": 3.0}, 1, 130, 0),
        ({"reattach_distance": 0.0}, 1, 20, 1),
    ],
)
def test_a_face_keeps_its_id_if_it_comes_back_soon_and_near(options, gap_frames, shift, expected):
    tracker, _, _ = make(TrackerConfig(smoothing=None, **options))
    assert ids(tracker.track(world((100, 120, 60)))) == [0]
    for _ in range(gap_frames):
        assert tracker.track(world()).faces == ()
    assert ids(tracker.track(world((100 + shift, 120, 60)))) == [expected]


def test_a_face_of_another_size_is_another_face():
    tracker, _, _ = make()
    for place, expected in (((100, 120, 80), [0]), (None, []), ((100, 120, 30), [1])):
        assert ids(tracker.track(world(place) if place else world())) == expected


def test_the_window_counts_seconds_and_not_frames():
    tracker, _, _ = make()
    tracker.track(world((100, 120, 60)), 0.0)
    tracker.track(world(), 5.0)
    assert ids(tracker.track(world((100, 120, 60)), 6.9)) == [0]
    tracker.track(world(), 10.0)
    assert ids(tracker.track(world((100, 120, 60)), 12.1)) == [1]


def test_a_face_that_jumps_out_of_its_region_is_found_around_it_without_the_detector():
    tracker, _, detector = make()
    tracker.track(world((100, 120, 60)))
    for _ in range(6):
        result = tracker.track(world((176, 120, 60)))
        assert (ids(result), result.faces[0].source) == ([0], "tracked")
    assert center(result.faces[0]) == pytest.approx((176, 120), abs=2.0)
    assert detector.calls == 1


def test_retry_scale():
    tracker, _, _ = make(TrackerConfig(smoothing=None, retry_scale=1.0))
    tracker.track(world((100, 120, 60)))
    assert tracker.track(world((176, 120, 60))).detector_ran


def test_a_retry_does_not_take_a_neighbours_face():
    tracker, _, _ = make(TrackerConfig(max_faces=2, smoothing=None, retry_scale=4.0))
    one, other = (70, 120, 50), (190, 120, 60)
    assert ids(tracker.track(world(one, other))) == [0, 1]
    result = tracker.track(world(one))
    assert [center(face) for face in result.faces] == [pytest.approx((70, 120), abs=2.0)]
    assert ids(result) == [1]
    assert result.lost_ids == (0,)


def test_presence_hysteresis():
    faint, fainter = (world((100, 120, 60), value=value) for value in (190, 168))  # 0.745, 0.66
    tracker, _, _ = make()
    assert tracker.track(faint).faces == ()  # not taken up
    tracker.track(world((100, 120, 60)))
    assert ids(tracker.track(faint)) == [0]
    assert ids(tracker.track(fainter)) == [0]  # kept
    assert tracker.track(world((100, 120, 60), value=160)).faces == ()  # 0.63
    exact, _, _ = make(TrackerConfig(smoothing=None, presence_hysteresis=0.0))
    assert len(exact.track(faint).faces) == 1
    assert exact.track(fainter).faces == ()


def test_the_detector_is_asked_less_often_after_a_while_without_a_face():
    tracker, _, _ = make(TrackerConfig(smoothing=None, idle_after_frames=4, idle_interval_frames=3))
    ran = [tracker.track(world()).detector_ran for _ in range(12)]
    assert [frame for frame, asked in enumerate(ran) if asked] == [0, 1, 2, 3, 6, 9]
    seen = [ids(tracker.track(world((100, 120, 60)))) for _ in range(2)]
    assert seen == [[0], [0]]
    assert tracker.track(world()).detector_ran  # at once again


def test_the_next_region_comes_from_the_unsmoothed_landmarks():
    config = TrackerConfig(smoothing=SmoothingConfig(min_cutoff_hz=0.01, beta=0.0))
    tracker, _, _ = make(config)
    tracker.track(world((100, 120, 60)))
    second = tracker.track(world((110, 120, 60))).faces[0]
    third = tracker.track(world((120, 120, 60))).faces[0]
    assert third.roi == steady_roi(second.roi, roi_from_landmarks(second.raw_landmarks))
    assert third.roi != second.roi
    assert np.abs(second.landmarks - second.raw_landmarks).max() > 5.0
    assert center(third) == pytest.approx((120, 120), abs=2.0)


def test_the_region_of_a_still_face_rests():
    tracker, _, _ = make(TrackerConfig())
    places = [(100 + 0.2 * (i % 2), 120, 60) for i in range(5)]
    rois = [tracker.track(world(place)).faces[0].roi for place in places]
    assert rois[2] == rois[1]
    assert rois[3:] == [rois[2]] * 2


def test_the_first_frame_is_as_good_as_a_tracked_one():
    tracker, _, _ = make(detector=SquareDetector(shift=15.0))
    (first,) = tracker.track(world((150, 120, 60))).faces
    assert (first.roi.center_x, first.roi.center_y) == pytest.approx((150, 120), abs=2.0)
    assert first.roi.size == pytest.approx(90, abs=3.0)


def test_a_detection_has_to_pass_the_gate():
    detector = FakeDetector([[Detection((40.0, 40.0, 100.0, 100.0), 0.99)]])
    tracker, backend, _ = make(detector=detector)
    result = tracker.track(world())  # the detector sees a face where there is none
    assert result.faces == ()
    assert result.detector_ran
    assert len(backend.calls) == 2
    assert ids(tracker.track(world((70, 70, 60)))) == [0]  # no id was spent on it


def test_a_face_that_leaves_the_frame_is_dropped():
    far_away = fake_face(center=(4.0, 0.5))
    detector = FakeDetector([[Detection((280.0, 100.0, 310.0, 130.0), 0.9)], []])
    script = [fake_face(), fake_face(), far_away]
    tracker, _, _ = make(detector=detector, script=script)
    assert ids(tracker.track(world())) == [0]
    assert tracker.track(world()).faces == ()


def test_a_face_half_outside_is_kept():
    tracker, _, _ = make()
    for x in range(200, 316, 10):
        assert ids(tracker.track(world((x, 120, 60)))) == [0]


@pytest.mark.parametrize(
    "outputs",
    [
        {**fake_face(), "landmarks": np.full((1, 98, 2), np.nan, np.float32)},
        {**fake_face(), "pose": np.array([[0.0, np.inf, 0.0]], np.float32)},
        {**fake_face(), "presence": np.array([[np.nan]], np.float32)},
        fake_face(size=0.0),  # all landmarks on one point
        fake_face(size=1e30),
    ],
)
def test_outputs_that_are_no_face_lose_the_track(outputs):
    detector = FakeDetector([[Detection((40.0, 40.0, 100.0, 100.0), 0.9)], []])
    tracker, _, _ = make(detector=detector, script=[fake_face(), fake_face(), outputs])
    assert ids(tracker.track(world())) == [0]
    assert tracker.track(world()).faces == ()


# --- several faces -----------------------------------------------------------------------------


def test_two_faces_have_their_own_ids():
    tracker, _, detector = make(TrackerConfig(max_faces=2, smoothing=None))
    for step in range(10):
        result = tracker.track(world((70 + step, 80, 50), (240 - step, 160, 60)))
        assert ids(result) == [0, 1]
        by_id = {face.track_id: center(face) for face in result.faces}
        assert by_id[0] == pytest.approx((240 - step, 160), abs=2.0)  # the larger one is first
        assert by_id[1] == pytest.approx((70 + step, 80), abs=2.0)
    assert detector.calls == 1


def test_smoothing_is_kept_apart():
    config = TrackerConfig(max_faces=2)
    together, _, _ = make(config)
    alone = [make(TrackerConfig())[0] for _ in range(2)]
    rng = np.random.default_rng(0)
    for _ in range(10):
        x, y = (int(value) for value in rng.integers(-4, 5, 2))
        squares = (230 + x, 160 + y, 60), (70 - y, 80 + x, 50)
        both = together.track(world(*squares)).faces
        for face, tracker, square in zip(both, alone, squares, strict=True):
            (single,) = tracker.track(world(square)).faces
            np.testing.assert_array_equal(face.landmarks, single.landmarks)


def test_two_tracks_never_sit_on_one_face():
    tracker, _, _ = make(TrackerConfig(max_faces=2, smoothing=None, roi_extension=1.0))
    first, second = (100, 120, 60), (190, 120, 60)
    assert ids(tracker.track(world(first, second))) == [0, 1]
    # One vanishes while the other stands between the two: both regions show the same face.
    result = tracker.track(world((145, 120, 60)))
    assert len(result.faces) == 1
    assert ids(result) == [0]  # equal presence, equally far: the younger goes


@pytest.mark.parametrize(("x", "kept"), [(130, [0]), (160, [1])])
def test_of_two_tracks_on_one_face_the_one_stays_that_was_there(x, kept):
    tracker, _, _ = make(TrackerConfig(max_faces=2, smoothing=None, roi_extension=1.0))
    assert ids(tracker.track(world((100, 120, 60), (190, 120, 60)))) == [0, 1]
    assert ids(tracker.track(world((x, 120, 60)))) == kept


def test_a_detection_of_a_tracked_face_is_no_new_face():
    tracker, backend, detector = make(
        TrackerConfig(max_faces=3, smoothing=None, detect_interval_frames=1)
    )
    for _ in range(4):
        assert ids(tracker.track(world((100, 120, 60)))) == [0]
    assert detector.calls == 4
    assert len(backend.calls) == 2 + 3  # the known face was not looked at again


def test_a_detection_beside_that_leads_to_a_tracked_face_is_no_new_face():
    detector = FakeDetector(
        [
            [Detection((70.0, 90.0, 130.0, 150.0), 0.9)],
            [Detection((105.0, 90.0, 165.0, 150.0), 0.9)],
        ]
    )
    tracker, _, _ = make(
        TrackerConfig(max_faces=2, smoothing=None, detect_interval_frames=1), detector
    )
    for _ in range(2):
        assert ids(tracker.track(world((100, 120, 60)))) == [0]
    assert detector.calls == 2


def test_ids_are_not_used_twice_between_two_resets():
    tracker, _, _ = make()
    for _ in range(2):
        seen = []
        for step in range(4):  # too far to be the same face
            seen += ids(tracker.track(world((40 + 240 * (step % 2), 120, 60))))
            tracker.track(world())
        assert seen == [0, 1, 2, 3]
        tracker.reset()


def test_tracked_faces_come_by_id_and_detected_ones_best_first():
    tracker, _, _ = make(TrackerConfig(max_faces=2, detect_interval_frames=1))
    tracker.track(world((60, 60, 40)))
    both = world((60, 60, 40), (240, 120, 60))  # the newcomer is the better detection
    assert [center(face)[0] for face in tracker.track(both).faces] == pytest.approx(
        [60, 240], abs=2.0
    )
    assert [center(face)[0] for face in tracker.detect(both).faces] == pytest.approx(
        [240, 60], abs=2.0
    )


# --- options: changing each changes something ---------------------------------------------------


def test_max_faces():
    squares = [(60, 60, 40), (160, 60, 44), (260, 60, 48), (60, 180, 52)]
    for max_faces in (1, 3, 4):
        tracker, _, _ = make(TrackerConfig(max_faces=max_faces, smoothing=None))
        assert len(tracker.track(world(*squares)).faces) == max_faces
        assert len(tracker.detect(world(*squares)).faces) == max_faces


def test_presence_threshold():
    faint = world((100, 120, 60), value=150)
    assert make(RAW)[0].track(faint).faces == ()
    generous = TrackerConfig(presence_threshold=0.5, smoothing=None)
    assert len(make(generous)[0].track(faint).faces) == 1


@pytest.mark.parametrize(("interval", "frames_asked"), [(1, [0, 1, 2, 3, 4, 5, 6]), (3, [0, 3, 6])])
def test_detect_interval_frames(interval, frames_asked):
    config = TrackerConfig(max_faces=2, smoothing=None, detect_interval_frames=interval)
    tracker, _, _ = make(config)
    ran = [tracker.track(world((100, 120, 60))).detector_ran for _ in range(7)]
    assert [frame for frame, asked in enumerate(ran) if asked] == frames_asked


def test_a_lost_face_does_not_wait_for_the_interval():
    tracker, _, _ = make(TrackerConfig(max_faces=2, smoothing=None, detect_interval_frames=1000))
    stays, goes = (70, 120, 50), (240, 120, 60)
    both = world(stays, goes)
    asked = [
        tracker.track(frame).detector_ran for frame in (both, both, world(stays), world(stays))
    ]
    assert asked == [True, False, True, True]  # and while it may come back
    later = [tracker.track(world(stays)).detector_ran for _ in range(100)]
    assert later[:50] == [True] * 50
    assert later[70:] == [False] * 30


def test_roi_extension():
    def size(extension):
        tracker, _, _ = make(TrackerConfig(roi_extension=extension, smoothing=None))
        tracker.track(world((150, 120, 60)))
        return tracker.track(world((150, 120, 60))).faces[0].roi.size

    assert size(0.25) == pytest.approx(90, abs=3)
    assert size(0.5) == pytest.approx(120, abs=3)


def test_roi_extension_of_a_detection():
    for extension in (0.25, 0.5):
        tracker, backend, _ = make(TrackerConfig(roi_extension=extension, smoothing=None))
        tracker.track(world((150, 120, 60)))
        bright_share = (backend.calls[0]["image"] > 127).mean()
        assert bright_share == pytest.approx((1 + 2 * extension) ** -2, abs=0.02)


def test_same_face_iou():
    def count(iou):
        apart, _, _ = make(TrackerConfig(max_faces=2, smoothing=None, same_face_iou=iou), detector)
        return len(apart.track(world()).faces)

    boxes = [Detection((50.0, 50.0, 110.0, 110.0), 0.9), Detection((80.0, 50.0, 140.0, 110.0), 0.8)]
    detector = FakeDetector([boxes])
    script_face = fake_face()

    def make(config, detector):
        backend = FakeBackend([script_face])
        return FaceTracker(backend, config, detector=detector), backend, detector

    assert count(0.5) == 2  # IoU 1 / 3
    assert count(0.3) == 1


def test_color():
    red_in_rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    red_in_rgb[100:160, 100:160, 0] = 255
    roi = Roi(130.0, 130.0, 90.0)
    for color, channel in (("rgb", 0), ("bgr", 2)):
        tracker, backend, _ = make(TrackerConfig(color=color))
        tracker.align(red_in_rgb, [roi])
        assert backend.calls[0]["image"][0].max(axis=(1, 2)).tolist() == [
            255.0 if index == channel else 0.0 for index in range(3)
        ]


def test_smoothing():
    rng = np.random.default_rng(4)
    positions = [(150 + int(x), 120 + int(y), 60) for x, y in rng.integers(-2, 3, (40, 2))]

    def jitter(config):
        tracker, _, _ = make(config)
        points = [tracker.track(world(position)).faces[0].landmarks for position in positions]
        return np.abs(np.diff(points, axis=0)).mean()

    assert jitter(TrackerConfig()) < 0.7 * jitter(RAW)


def test_without_smoothing_landmarks_are_the_raw_ones():
    tracker, _, _ = make()
    for x in (100, 110):
        (face,) = tracker.track(world((x, 120, 60))).faces
        np.testing.assert_array_equal(face.landmarks, face.raw_landmarks)
        assert face.landmarks is not face.raw_landmarks


def test_options_of_the_engine_and_the_detector_are_handed_on(monkeypatch):
    made = []
    scores = np.array([[0.6]], np.float32)
    detector_spec = ModelSpec(
        "detector",
        InputSpec("image", (1, 3, 64, 64), "NCHW"),
        (OutputSpec("boxes", (1, 1, 4)), OutputSpec("scores", (1, 1))),
    )
    box = {"boxes": np.array([[[0.4, 0.4, 0.6, 0.6]]], np.float32), "scores": scores}

    finder = FakeBackend([box], detector_spec)

    def create(name, manifest, model, precision, num_threads):
        made.append((name, manifest, model, precision, num_threads))
        return finder if model == "detector" else FakeBackend(look)

    monkeypatch.setattr(tracker_module, "create_backend", create)
    monkeypatch.setattr(tracker_module, "load_manifest", lambda path: f"manifest of {path}")
    frame = world((160, 120, 64))
    config = TrackerConfig(num_threads=3, precision="int8", smoothing=None)
    with FaceTracker("onnx", config, models_dir="here") as tracker:
        assert len(tracker.track(frame).faces) == 1
    assert made == [
        ("onnx", "manifest of here", "atpn", "int8", 3),
        ("onnx", "manifest of here", "detector", "int8", 3),
    ]
    finder.closed = False
    strict = TrackerConfig(detector=DetectorConfig(score_threshold=0.7), color="bgr")
    with FaceTracker("onnx", strict, models_dir="here") as tracker:
        frame[:, :, :2] = 0  # red alone, in the order of OpenCV
        assert tracker.track(frame).faces == ()
    assert finder.calls[-1]["image"][0].max(axis=(1, 2)).tolist() == [255.0, 0.0, 0.0]


# --- pictures and regions without state ---------------------------------------------------------


def test_detect_uses_and_changes_no_state():
    tracker, _, _ = make(TrackerConfig(max_faces=2))
    picture = world((60, 60, 40), (240, 120, 60))
    first = tracker.detect(picture)
    assert ids(first) == [-1, -1]
    assert [center(face)[0] for face in first.faces] == pytest.approx([240, 60], abs=2.0)
    assert {face.source for face in first.faces} == {"detected"}
    assert first.detector_ran
    assert first.timestamp_s == 0.0
    tracker.track(world((100, 120, 60)))
    tracker.detect(picture)
    result = tracker.track(world((105, 120, 60)))
    assert ids(result) == [0]
    assert result.timestamp_s == pytest.approx(1 / 30)


def test_detect_reports_each_face_once():
    boxes = [Detection((70.0, 90.0, 130.0, 150.0), 0.9), Detection((74.0, 90.0, 134.0, 150.0), 0.8)]
    tracker, _, _ = make(TrackerConfig(max_faces=5), FakeDetector([boxes]))
    assert len(tracker.detect(world((100, 120, 60))).faces) == 1


def test_align_gives_one_face_per_region_whatever_its_presence():
    tracker, _, detector = make()
    rois = [roi_from_box((70.0, 90.0, 130.0, 150.0)), Roi(250.0, 50.0, 60.0)]
    face, nothing = tracker.align(world((100, 120, 60)), rois)
    assert center(face) == pytest.approx((100, 120), abs=2.0)
    assert (face.presence, nothing.presence) == pytest.approx((1.0, 0.0))
    assert [face.roi, nothing.roi] == rois
    assert (face.track_id, nothing.track_id) == (-1, -1)
    assert detector.calls == 0
    assert tracker.align(world(), []) == ()


def test_align_turns_the_pose_with_the_region():
    tracker, _, _ = make(script=[fake_face(pose=(0.2, 0.1, 0.0))])
    straight, turned = tracker.align(
        world(), [Roi(100.0, 100.0, 50.0), Roi(100.0, 100.0, 50.0, math.radians(20.0))]
    )
    assert turned.pose.roll_deg - straight.pose.roll_deg == pytest.approx(20.0)


def test_align_says_when_the_network_fails():
    broken = {**fake_face(), "pose": np.full((1, 3), np.nan, np.float32)}
    tracker, _, _ = make(script=[broken])
    with pytest.raises(AtpnError, match=r"finite.*Roi\(center_x=5.0"):
        tracker.align(world(), [Roi(5.0, 5.0, 5.0)])


# --- time --------------------------------------------------------------------------------------


def test_frames_without_a_timestamp_come_at_30_per_second():
    tracker, _, _ = make()
    stamps = [tracker.track(world()).timestamp_s for _ in range(4)]
    assert stamps == pytest.approx([0.0, 1 / 30, 2 / 30, 3 / 30])


def test_timestamps_are_reported():
    tracker, _, _ = make()
    assert tracker.track(world(), 12.5).timestamp_s == 12.5
    assert tracker.track(world(), np.float32(13.5)).timestamp_s == 13.5


@pytest.mark.parametrize("timestamp_s", [math.nan, math.inf, -math.inf, "soon", 10**400, [1, 2]])
def test_a_timestamp_that_is_none_is_an_error_and_changes_nothing(timestamp_s):
    tracker, _, _ = make()
    tracker.track(world((100, 120, 60)))
    with pytest.raises(InvalidFrameError, match="timestamp_s as finite seconds"):
        tracker.track(world((100, 120, 60)), timestamp_s)
    result = tracker.track(world((100, 120, 60)))
    assert (ids(result), result.timestamp_s) == ([0], pytest.approx(1 / 30))


@pytest.mark.parametrize("stamps", [[1.0, 1.0, 1.0], [3.0, 2.0, 1.0], [0.0, -1e300, 1e300]])
def test_any_order_of_timestamps_is_allowed(stamps):
    tracker, _, _ = make(TrackerConfig())
    for step, stamp in enumerate(stamps):
        (face,) = tracker.track(world((100 + 5 * step, 120, 60)), stamp).faces
        assert face.track_id == 0
        np.testing.assert_allclose(face.landmarks, face.raw_landmarks, atol=1e-3)


def test_smoothing_follows_time():
    def lag(step_s):
        tracker, _, _ = make(TrackerConfig())
        for index in range(3):
            (face,) = tracker.track(world((100 + 8 * index, 120, 60)), index * step_s).faces
        return float((face.raw_landmarks - face.landmarks)[:, 0].mean())

    assert lag(1 / 120) > lag(1 / 5) > 0.0


# --- errors, order, life -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [None, np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((0, 0, 3), np.uint8), np.ones((9, 9, 3))],
)
def test_frames_are_checked_by_every_method(frame):
    tracker, _, _ = make()
    for call in (tracker.track, tracker.detect, lambda picture: tracker.align(picture, [])):
        with pytest.raises(InvalidFrameError, match=r"\(H, W, 3\)"):
            call(frame)


def test_an_error_in_the_middle_of_a_frame_changes_nothing():
    config = TrackerConfig(max_faces=2, detect_interval_frames=1)
    frames = [world((100 + 3 * step, 120, 60), (250, 60, 40)) for step in range(6)]
    undisturbed, _, _ = make(config)
    expected = [undisturbed.track(frame) for frame in frames]

    fail_at = {3, 9, 12}  # runs of the network: in the first frame, and within later ones

    def moody(inputs):
        if len(backend.calls) in fail_at:
            raise MoodyError
        return look(inputs)

    tracker, backend, _ = make(config, script=moody)
    got, failures = [], 0
    while len(got) < len(frames):
        before = len(got)
        with contextlib.suppress(MoodyError):
            got.append(tracker.track(frames[len(got)]))
        failures += len(got) == before
    assert failures == len(fail_at)
    for mine, theirs in zip(got, expected, strict=True):
        assert mine.timestamp_s == theirs.timestamp_s
        assert ids(mine) == ids(theirs)
        for a, b in zip(mine.faces, theirs.faces, strict=True):
            np.testing.assert_array_equal(a.landmarks, b.landmarks)


def test_same_frames_same_results_also_after_reset():
    config = TrackerConfig(max_faces=2, detect_interval_frames=3, reattach_distance=0.05)
    rng = np.random.default_rng(2)
    frames = [
        world((100 + int(x), 120, 60), (250, 60 + int(y), 40, int(v)))
        for x, y, v in zip(
            rng.integers(-6, 6, 20),
            rng.integers(-6, 6, 20),
            rng.integers(140, 255, 20),
            strict=True,
        )
    ]

    def run(tracker):
        return [tracker.track(frame) for frame in frames]

    used, _, _ = make(config)
    first = run(used)
    used.reset()
    for again in (run(used), run(make(config)[0])):
        for a, b in zip(first, again, strict=True):
            assert (a.timestamp_s, a.detector_ran, ids(a)) == (
                b.timestamp_s,
                b.detector_ran,
                ids(b),
            )
            for mine, theirs in zip(a.faces, b.faces, strict=True):
                np.testing.assert_array_equal(mine.landmarks, theirs.landmarks)
                assert (mine.roi, mine.presence) == (theirs.roi, theirs.presence)
    assert len({face.track_id for result in first for face in result.faces}) > 2


def test_results_do_not_share_memory_with_the_tracker():
    one, _, _ = make(TrackerConfig())
    other, _, _ = make(TrackerConfig())
    for x in (100, 108, 116):
        (spoiled,) = one.track(world((x, 120, 60))).faces
        (kept,) = other.track(world((x, 120, 60))).faces
        np.testing.assert_array_equal(spoiled.landmarks, kept.landmarks)
        spoiled.landmarks[:] = -1.0
        spoiled.raw_landmarks[:] = -1.0


def test_the_frame_is_not_changed():
    tracker, _, _ = make()
    frame = world((100, 120, 60))
    before = frame.copy()
    frame.flags.writeable = False
    tracker.track(frame)
    tracker.track(frame)
    np.testing.assert_array_equal(frame, before)


def test_timings_tell_where_the_time_went(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    class SlowDetector(SquareDetector):
        def detect(self, frame):
            now[0] += 0.008
            return super().detect(frame)

    def slow(inputs):
        now[0] += 0.002
        return look(inputs)

    tracker, _, _ = make(detector=SlowDetector(), script=slow)
    first = tracker.track(world((100, 120, 60))).timings
    second = tracker.track(world((100, 120, 60))).timings
    assert (first.detector_ms, first.network_ms) == pytest.approx((8.0, 4.0))
    assert (second.detector_ms, second.network_ms) == pytest.approx((0.0, 2.0))
    assert (first.total_ms, second.total_ms) == pytest.approx((12.0, 2.0))


def test_closing():
    with make()[0] as tracker:
        tracker.track(world())
    tracker.close()
    for call in (
        lambda: tracker.track(world()),
        lambda: tracker.detect(world()),
        lambda: tracker.align(world(), []),
        tracker.reset,
        tracker.__enter__,
    ):
        with pytest.raises(AtpnError, match="closed"):
            call()


def test_a_backend_handed_in_stays_open():
    tracker, backend, _ = make()
    tracker.close()
    assert not backend.closed


def test_backends_it_loaded_are_closed(monkeypatch):
    made = []

    def create(name, manifest, model, precision, num_threads):
        if model == "detector":
            raise ModelMismatchError("no detector")
        made.append(FakeBackend(look))
        return made[-1]

    monkeypatch.setattr(tracker_module, "create_backend", create)
    monkeypatch.setattr(tracker_module, "load_manifest", lambda path: None)
    with FaceTracker(detector=SquareDetector()):
        assert not made[0].closed
    assert made[0].closed
    with pytest.raises(ModelMismatchError, match="no detector"):
        FaceTracker()
    assert made[1].closed  # also when the second network fails to load


def test_a_network_without_the_outputs_is_refused():
    spec = ModelSpec("half", FAKE_SPEC.input, FAKE_SPEC.outputs[:1])
    with pytest.raises(ModelMismatchError, match=r"missing \['pose', 'presence'\]"):
        FaceTracker(FakeBackend([], spec), detector=FakeDetector([[]]))


def test_a_missing_model_folder(tmp_path):
    with pytest.raises(ManifestError, match="manifest"):
        FaceTracker(models_dir=tmp_path)


def test_an_unknown_engine(tmp_path):
    (tmp_path / "manifest.json").write_text('{"schema_version": 1, "models": []}')
    with pytest.raises(BackendUnavailableError, match="'warp'"):
        FaceTracker("warp", models_dir=tmp_path)


def test_what_it_was_made_with():
    tracker, _, _ = make()
    assert tracker.config is RAW
    assert tracker.backend_name == "fake"
