"""300VW by protocol: detection, detector and tracking on videos whose frames tell what to find."""

import cv2
import numpy as np
import pytest

from atpn_mobile.geometry import landmarks_to_frame, roi_from_landmarks
from atpn_mobile.landmarks import TO_68
from atpn_mobile.testing import FakeDetector, fake_face
from atpn_mobile.types import Detection
from training.data import vw300 as data_vw300
from training.metrics import nme_percent
from training.protocols import vw300
from training.protocols.predictor import Prediction
from training.protocols.vw300 import evaluate_300vw

VIDEOS = {"category1": (114, 124), "category2": (203,), "category3": (410,)}
SIZE = 64


def true_points():
    angle = np.linspace(0, 2 * np.pi, 68)
    points = np.stack([32 + 14 * np.cos(angle), 32 + 14 * np.sin(angle)], axis=1)
    points[36], points[45] = (22.0, 30.0), (42.0, 30.0)
    return points.round(2).astype(np.float32)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Four videos of four frames: grey 200, 200, 40, 200."""
    for split, numbers in VIDEOS.items():
        monkeypatch.setitem(data_vw300.VIDEOS_BY_SPLIT, split, numbers)
    everyone = tuple(number for numbers in VIDEOS.values() for number in numbers)
    monkeypatch.setitem(data_vw300.VIDEOS_BY_SPLIT, "test", everyone)
    for number in everyone:
        folder = tmp_path / f"{number:03d}"
        (folder / "annot").mkdir(parents=True)
        writer = cv2.VideoWriter(
            str(folder / "vid.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (SIZE, SIZE)
        )
        for index, grey in enumerate((200, 200, 40, 200)):
            writer.write(np.full((SIZE, SIZE, 3), grey, np.uint8))
            lines = "".join(f"{x + 1} {y + 1}\n" for x, y in true_points().tolist())
            text = f"version: 1\nn_points: 68\n{{\n{lines}}}\n"
            (folder / "annot" / f"{index + 1:06d}.pts").write_text(text)
        writer.release()
    return tmp_path


class Grey:
    """Sees a face on a circle in bright crops alone."""

    name = "grey"
    input_size = 24
    has_pose = True

    def __init__(self, *, has_presence=True):
        self.has_presence = has_presence

    def predict(self, images):
        landmarks = np.repeat(fake_face()["landmarks"], len(images), axis=0)
        bright = np.array([image[12, 12, 0] > 100 for image in images], np.float32)
        pose = np.zeros((len(images), 3), np.float32)
        return Prediction(landmarks, pose, bright if self.has_presence else None)


def expected_nme():
    true = true_points()
    found = landmarks_to_frame(fake_face()["landmarks"][0], roi_from_landmarks(true))
    return float(nme_percent(found[None, TO_68], true[None])[0])


def rows_of(result, subset):
    return {row.measure: row for row in result.rows if row.subset == subset}


def test_detection_mode_has_a_number_for_every_frame(data):
    rows = rows_of(evaluate_300vw(Grey(), data), "category A, detection")
    assert rows["NME"].value == pytest.approx(expected_nme(), rel=1e-3)
    assert rows["NME"].count == 8
    assert "lost" not in rows


@pytest.mark.parametrize(
    ("category", "clips"), [("category A", 2), ("category B", 1), ("category C", 1)]
)
def test_tracking_mode_counts_what_the_tracker_loses(data, category, clips):
    rows = rows_of(evaluate_300vw(Grey(), data), f"{category}, tracking")

    # each clip anew: found, tracked, lost though looked for, found again
    assert rows["detections"].value == 3 * clips
    assert rows["lost"].value == 25.0
    assert rows["lost"].count == 4 * clips
    assert rows["clips"].value == clips
    # of the frames with a face; the detector's region is the true one but for the tracker's grid
    assert rows["NME"].value == pytest.approx(expected_nme(), rel=0.03)


def test_a_lost_frame_is_a_failure(data):
    tally = vw300._Tally()
    true = true_points()
    exact = np.zeros((98, 2), np.float32)
    exact[TO_68] = true
    tally.add(exact, true)
    tally.add(None, true)
    rows = {row.measure: row.value for row in tally.rows("x")}
    assert rows["NME"] == pytest.approx(0.0, abs=1e-5)
    assert rows["FR 10 %"] == 50.0
    assert rows["AUC 10 %"] == pytest.approx(0.5)
    assert rows["lost"] == 50.0


def test_frames_that_are_all_lost():
    tally = vw300._Tally()
    tally.add(None, true_points())
    (nme, failures, _, lost) = tally.rows("x")
    assert nme.value is None
    assert nme.reason
    assert (failures.value, lost.value) == (100.0, 100.0)


def test_a_network_without_presence_does_not_track(data):
    result = evaluate_300vw(Grey(has_presence=False), data)
    rows = rows_of(result, "category B, tracking")
    assert rows["NME"].value is None
    assert "grey gives no presence" in rows["NME"].reason
    assert rows_of(result, "category B, detection")["NME"].value is not None


BESIDE = Detection((2.0, 2.0, 14.0, 14.0), 0.9)
FACE = Detection((18.0, 18.0, 46.0, 46.0), 0.8)


@pytest.mark.parametrize(
    ("detections", "lost"),
    [
        ([], 100.0),
        ([BESIDE], 100.0),  # somebody else's face
        ([BESIDE, FACE], 25.0),  # the annotated one, though another is surer; dark: refused
    ],
)
def test_detector_mode_takes_the_annotated_face(data, tmp_path, monkeypatch, detections, lost):
    monkeypatch.setattr(vw300, "open_detector", lambda weights: FakeDetector([detections]))
    result = evaluate_300vw(Grey(), data, tmp_path / "detector.safetensors")
    rows = rows_of(result, "category C, detector")
    assert rows["lost"].value == lost
    if lost < 100.0:
        assert rows["NME"].value == pytest.approx(expected_nme(), rel=0.03)


def test_curves_hold_the_frames_with_a_face(data):
    (curves,) = evaluate_300vw(Grey(), data).curves
    sizes = {name: errors.size for name, errors in curves.errors.items()}
    assert sizes["category A, detection"] == 8
    assert sizes["category A, tracking"] == 6
