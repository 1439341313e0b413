"""Same frames, same options, same results, bit for bit; whatever else goes on in the process."""

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from atpn_mobile import AtpnError, FaceTracker, TrackerConfig
from atpn_mobile.backends import available_backends

CLIPS = Path(__file__).parents[2] / "assets" / "clips"
ENGINES = [name for name in available_backends() if name in ("onnx", "tflite")]
FRAMES = 12
# Two faces, found one after the other; every option that adds a stage.
CONFIG = TrackerConfig(color="bgr", max_faces=2, detect_interval_frames=3, views=2)


@pytest.fixture(scope="module")
def clips():
    """Some frames of both clips; the face of one is painted out for a while."""
    read = {}
    for name in ("synthetic_solo", "synthetic_pair"):
        video = cv2.VideoCapture(str(CLIPS / f"{name}.mp4"))
        read[name] = [video.read()[1] for _ in range(FRAMES)]
        video.release()
    for frame in read["synthetic_solo"][5:8]:
        frame[:] = 90
    return read


def run(tracker, frames):
    """Everything a run gave, without the times it took."""
    return [
        (
            result.timestamp_s,
            result.detector_ran,
            result.lost_ids,
            [
                (
                    *(face.track_id, face.source, face.presence, face.roi),
                    *(face.landmarks.tobytes(), face.raw_landmarks.tobytes()),
                    *(face.pose.rotation.tobytes(), face.raw_pose.rotation.tobytes()),
                )
                for face in result.faces
            ],
        )
        for result in map(tracker.track, frames)
    ]


@pytest.fixture(scope="module", params=ENGINES)
def alone(request, clips):
    """An engine, and what a tracker of its own gives for each clip."""
    expected = {}
    for name, frames in clips.items():
        with FaceTracker(request.param, CONFIG) as tracker:
            expected[name] = run(tracker, frames)
    assert sum(len(faces) for *_, faces in expected["synthetic_pair"]) == 2 * FRAMES
    assert any(lost for _, _, lost, _ in expected["synthetic_solo"])
    return request.param, expected


def test_the_same_again_and_after_a_reset(alone, clips):
    engine, expected = alone
    with FaceTracker(engine, CONFIG) as tracker:
        for name in ("synthetic_pair", "synthetic_solo", "synthetic_pair"):
            assert run(tracker, clips[name]) == expected[name]
            tracker.reset()


def test_two_trackers_in_two_threads(alone, clips):
    engine, expected = alone
    got, together = {}, threading.Barrier(len(clips))

    def work(name):
        with FaceTracker(engine, CONFIG) as tracker:
            together.wait()
            got[name] = run(tracker, clips[name])

    threads = [threading.Thread(target=work, args=(name,)) for name in clips]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == expected


def test_two_trackers_in_turn(alone, clips):
    engine, expected = alone
    got = {name: [] for name in clips}
    with FaceTracker(engine, CONFIG) as one, FaceTracker(engine, CONFIG) as other:
        for index in range(FRAMES):
            for tracker, (name, frames) in zip((one, other), clips.items(), strict=True):
                got[name] += run(tracker, [frames[index]])
    assert got == expected


@pytest.mark.parametrize("engine", ENGINES)
def test_close(engine, clips):
    frame = clips["synthetic_pair"][0]
    other = FaceTracker(engine, CONFIG)
    closed = FaceTracker(engine, CONFIG)
    (kept,) = (face for face in closed.track(frame).faces if face.track_id == 0)
    before = kept.landmarks.copy()
    closed.close()
    closed.close()
    for call in (lambda: closed.track(frame), lambda: closed.detect(frame), closed.reset):
        with pytest.raises(AtpnError, match="closed"):
            call()
    assert len(other.track(frame).faces) == 2  # not closed with it
    np.testing.assert_array_equal(kept.landmarks, before)  # results outlive the tracker
    other.close()
