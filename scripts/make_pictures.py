"""Draw the pictures of the README: ``python scripts/make_pictures.py [--portrait FILE]``.

The portrait is NASA's public-domain photograph of Eileen Collins; scikit-image carries it as
``skimage/data/astronaut.png``.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from atpn_mobile import FaceTracker, HeadPose, TrackerConfig
from atpn_mobile.config import QUARTER_TURNS, QuarterTurn
from atpn_mobile.draw import (
    NOSE_TIP,
    WHITE,
    draw_axes,
    draw_label,
    draw_landmarks,
    draw_result,
)
from atpn_mobile.landmarks import LEFT_EYE_OUTER_CORNER, RIGHT_EYE_OUTER_CORNER
from atpn_mobile.types import FloatArray, Frame

ROOT = Path(__file__).resolve().parent.parent
CLIP = ROOT / "assets" / "clips" / "synthetic_solo.mp4"
OUT = ROOT / "docs" / "pictures"
CONFIG = TrackerConfig(color="bgr")
PHONE_HEIGHT = 270  # pixels of a frame in the figure
JPEG_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 88]


def read_clip() -> list[Frame]:
    """All frames of the bundled clip, BGR."""
    video = cv2.VideoCapture(str(CLIP))
    frames = []
    found, frame = video.read()
    while found:
        frames.append(frame.astype(np.uint8, copy=False))
        found, frame = video.read()
    return frames


def draw_clip(frames: list[Frame]) -> Frame:
    """Six frames, tracked."""
    with FaceTracker(config=CONFIG) as tracker:
        drawn = [draw_result(frame, tracker.track(frame), color="bgr") for frame in frames]
    seen = np.linspace(15, len(drawn) - 10, 6).astype(int)
    tiles = [cv2.resize(drawn[i], (480, 360), interpolation=cv2.INTER_AREA) for i in seen]
    return np.vstack([np.hstack(tiles[:3]), np.hstack(tiles[3:])])


def draw_head_pose(frames: list[Frame]) -> Frame:
    """The frames with the largest yaw, pitch and roll of both signs, axes from the true pose."""
    truth = np.load(CLIP.with_suffix(".npz"))
    rotations, landmarks = truth["rotation"][:, 0], truth["landmarks"][:, 0]
    poses = [HeadPose(rotation.astype(np.float64)) for rotation in rotations]
    whole = [bool(np.isfinite(points).all() and points.min() > 5) for points in landmarks]
    tiles = []
    for name in ("yaw_deg", "pitch_deg", "roll_deg"):
        others = [n for n in ("yaw_deg", "pitch_deg", "roll_deg") if n != name]
        for sign in (1, -1):
            # far in one angle, little in the others
            score = [
                sign * getattr(pose, name) - 0.3 * sum(abs(getattr(pose, n)) for n in others)
                if seen
                else -np.inf
                for pose, seen in zip(poses, whole, strict=True)
            ]
            best = int(np.argmax(score))
            tiles.append(_pose_tile(frames[best], landmarks[best], poses[best], name))
    return np.vstack([np.hstack(tiles[0::2]), np.hstack(tiles[1::2])])


def _pose_tile(frame: Frame, points: FloatArray, pose: HeadPose, name: str) -> Frame:
    picture = frame.copy()
    center = points.mean(axis=0)
    size = float(np.linalg.norm(points[RIGHT_EYE_OUTER_CORNER] - points[LEFT_EYE_OUTER_CORNER]))
    draw_landmarks(picture, points.astype(np.float32), color="bgr")
    nose = (float(points[NOSE_TIP][0]), float(points[NOSE_TIP][1]))
    draw_axes(picture, pose, nose, size, color="bgr")
    half = int(1.9 * size)
    left, top = (np.clip(center - half, 0, None)).astype(int)
    cut = picture[top : top + 2 * half, left : left + 2 * half]
    tile = cv2.resize(cut, (320, 320)).astype(np.uint8, copy=False)
    label = f"{name.removesuffix('_deg')} {getattr(pose, name):+.0f}"
    draw_label(tile, (label,), (8.0, 40.0), WHITE, font_scale=0.7, color="bgr")
    return tile


def draw_phone_frames(frame: Frame) -> Frame:
    """A frame as phones may deliver it, with what is found there; R is the subject's right eye."""
    kinds = [*((turn, False) for turn in QUARTER_TURNS), (QUARTER_TURNS[0], True)]
    return np.hstack([_phone_tile(frame, turn, mirrored=mirrored) for turn, mirrored in kinds])


def _phone_tile(frame: Frame, turn: QuarterTurn, *, mirrored: bool) -> Frame:
    shown = frame[:, ::-1] if mirrored else frame
    phone = np.ascontiguousarray(np.rot90(shown, turn // 90))  # numpy turns counter-clockwise
    config = replace(CONFIG, rotation_deg=turn, mirrored=mirrored)
    with FaceTracker(config=config) as tracker:
        result = tracker.detect(phone)
    scale = PHONE_HEIGHT / phone.shape[0]
    size = (round(phone.shape[1] * scale), PHONE_HEIGHT)
    tile = cv2.resize(phone, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    for face in result.faces:
        points = face.landmarks * np.float32(scale)
        draw_landmarks(tile, points, color="bgr")
        nose = (float(points[NOSE_TIP][0]), float(points[NOSE_TIP][1]))
        draw_axes(tile, face.pose, nose, face.roi.size * scale * 0.4, color="bgr")
        x, y = points[RIGHT_EYE_OUTER_CORNER]
        draw_label(tile, ("R",), (float(x), float(y)), WHITE, font_scale=0.6, color="bgr")
    text = "mirrored" if mirrored else f"{turn}"
    draw_label(tile, (text,), (6.0, 24.0), WHITE, font_scale=0.6, color="bgr")
    return tile


def draw_portrait(path: Path) -> Frame:
    """One picture, detected and aligned."""
    picture = cv2.imread(str(path))
    if picture is None:
        raise SystemExit(f"expected a picture, got {path}")
    frame = picture.astype(np.uint8, copy=False)
    with FaceTracker(config=CONFIG) as tracker:
        return draw_result(frame, tracker.detect(frame), color="bgr")


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--portrait", type=Path)
    args = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    frames = read_clip()
    cv2.imwrite(str(OUT / "clip.jpg"), draw_clip(frames), JPEG_QUALITY)
    cv2.imwrite(str(OUT / "head_pose.jpg"), draw_head_pose(frames), JPEG_QUALITY)
    cv2.imwrite(str(OUT / "phone_frames.jpg"), draw_phone_frames(frames[60]), JPEG_QUALITY)
    if args.portrait:
        cv2.imwrite(str(OUT / "real_face.jpg"), draw_portrait(args.portrait), JPEG_QUALITY)


if __name__ == "__main__":
    main()
