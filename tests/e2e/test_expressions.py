"""What of an expression the shipped network carries: a rendered clip whose head speaks."""

from dataclasses import astuple, fields
from pathlib import Path

import cv2
import numpy as np
import pytest

from atpn_mobile import Expressions, FaceTracker, HeadPose, TrackerConfig, measure_expressions
from atpn_mobile.backends import available_backends

CLIP = Path(__file__).parents[2] / "assets" / "clips" / "synthetic_solo"
SIGNALS = [field.name for field in fields(Expressions)]


@pytest.fixture(scope="module")
def measured_and_true():
    """(frames, 7) each, of the frames in which both can be told."""
    if not available_backends():
        pytest.skip("no engine is installed")
    rows = []
    capture = cv2.VideoCapture(f"{CLIP}.mp4")
    with (
        np.load(f"{CLIP}.npz") as truth,
        FaceTracker(config=TrackerConfig(color="bgr")) as tracker,
    ):
        labels = zip(truth["landmarks"][:, 0], truth["rotation"][:, 0], strict=True)
        for index, (points, rotation) in enumerate(labels):
            faces = tracker.track(capture.read()[1], index / 25.0).faces
            if not faces or not np.isfinite(points).all() or points.min() < 0.0:
                continue
            (face,) = faces
            measured = measure_expressions(face.landmarks, face.pose)
            true = measure_expressions(points, HeadPose(rotation.astype(np.float64)))
            rows.append((astuple(measured), astuple(true)))
    capture.release()
    pairs = np.array(rows)
    pairs = pairs[np.isfinite(pairs).all(axis=(1, 2)) & (pairs[:, 1, 3] > 0.0)]
    assert len(pairs) > 120
    return pairs[:, 0], pairs[:, 1]


@pytest.mark.parametrize(
    ("signal", "correlation"), [("mouth_openness", 0.8), ("mouth_width", 0.6), ("smile", 0.6)]
)
def test_the_mouth_is_followed(measured_and_true, signal, correlation):
    measured, true = (side[:, SIGNALS.index(signal)] for side in measured_and_true)
    assert np.corrcoef(measured, true)[0, 1] > correlation


def test_brows_at_rest_are_seen_at_rest(measured_and_true):
    measured, true = (side[:, 5:] for side in measured_and_true)
    assert np.abs(np.median(measured - true, axis=0)).max() < 0.03
    assert np.std(measured, axis=0).max() < 0.03
