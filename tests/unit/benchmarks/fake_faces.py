"""Faces of 98 points whose interocular distance is exactly known, and what trackers say of them."""

import numpy as np

from benchmarks.tracking_clips import Clip
from benchmarks.tracking_measures import SeenFace, SeenFrame

UPRIGHT = np.eye(3)


def points(x=0.0, y=0.0, eyes=100.0):
    """(98, 2): a circle around (x, y) as wide as the eyes are apart."""
    angles = 2.0 * np.pi * np.arange(98) / 98.0
    landmarks = np.stack([np.cos(angles), np.sin(angles)], axis=1) * eyes / 2.0
    landmarks[60], landmarks[72] = (-eyes / 2.0, 0.0), (eyes / 2.0, 0.0)
    return (landmarks + np.array([x, y])).astype(np.float32)


def face(track_id=0, landmarks=None, raw=None, rotation=UPRIGHT, raw_rotation=None):
    landmarks = points() if landmarks is None else landmarks
    return SeenFace(
        track_id,
        landmarks,
        landmarks if raw is None else raw,
        rotation,
        rotation if raw_rotation is None else raw_rotation,
    )


def frame(*faces, detector_ran=False):
    return SeenFrame(tuple(faces), detector_ran)


def clip(frames=110, center=(200, 240), eyes=80.0, leaves=None):
    """A disc on a grey wall, labelled as one face; from ``leaves`` on it is away."""
    picture = np.full((480, 640, 3), 128, np.uint8)
    rows, columns = np.mgrid[:480, :640]
    picture[np.hypot(rows - center[1], columns - center[0]) < eyes / 2.0] = (40, 80, 200)
    landmarks = np.repeat(points(*center, eyes)[np.newaxis, np.newaxis], frames, axis=0)
    if leaves is not None:
        landmarks[leaves:] = np.nan
    return Clip("disc", [picture] * frames, 25.0, landmarks)
