"""What the Python runtime gives for a clip: the reference of the Android demo's tests.

python android_demo/tools/reference.py CLIP FOLDER

Writes into FOLDER: ``frames.rgba``, the decoded frames one after the other, four bytes per pixel;
``float32.json``, the faces of each frame as tracked; ``int8.json``, what the int8 network sees in
the regions of that run; ``clip.json``, the clip's facts.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from atpn_mobile import Face, FaceTracker, TrackerConfig  # noqa: E402

Frames = np.ndarray[Any, np.dtype[np.uint8]]


def write_frames(clip: Path, output: Path) -> dict[str, Any]:
    """Decode all frames into one file.

    Raises:
        SystemExit: the clip cannot be read.
    """
    video = cv2.VideoCapture(str(clip))
    count, height, width = 0, 0, 0
    with output.open("wb") as file:
        while True:
            there, frame = video.read()
            if not there:
                break
            height, width = frame.shape[:2]
            file.write(cv2.cvtColor(frame, cv2.COLOR_BGR2RGBA).tobytes())
            count += 1
    if count == 0:
        raise SystemExit(f"expected a video at {clip}, got no frame out of it")
    return {
        "clip": clip.resolve().relative_to(ROOT).as_posix(),
        "width": width,
        "height": height,
        "frames": count,
        "frames_per_second": video.get(cv2.CAP_PROP_FPS),
    }


def face_record(face: Face) -> dict[str, Any]:
    """A face in plain values, frame pixels and degrees."""
    return {
        "trackId": face.track_id,
        "source": face.source,
        "presence": face.presence,
        "landmarks": face.landmarks.astype(float).tolist(),
        "rawLandmarks": face.raw_landmarks.astype(float).tolist(),
        "anglesDeg": [face.pose.yaw_deg, face.pose.pitch_deg, face.pose.roll_deg],
        "roi": asdict(face.roi),
    }


def track(frames: Frames, rate_hz: float) -> tuple[list[dict[str, Any]], list[list[Face]]]:
    """Track (N, H, W, 4) frames; records, and the faces themselves."""
    records, faces = [], []
    with FaceTracker("onnx", TrackerConfig(precision="float32"), models_dir=ROOT / "models") as one:
        for index, frame in enumerate(frames):
            result = one.track(frame[:, :, :3], index / rate_hz)
            faces.append(list(result.faces))
            records.append(
                {
                    "faces": [face_record(face) for face in result.faces],
                    "lostIds": list(result.lost_ids),
                    "detectorRan": result.detector_ran,
                }
            )
    return records, faces


def look(frames: Frames, faces: list[list[Face]]) -> list[dict[str, Any]]:
    """Run the int8 network on the regions of faces."""
    with FaceTracker("onnx", TrackerConfig(precision="int8"), models_dir=ROOT / "models") as one:
        return [
            {
                "faces": [
                    face_record(face)
                    for face in one.align(frame[:, :, :3], [before.roi for before in seen])
                ]
            }
            for frame, seen in zip(frames, faces, strict=True)
        ]


def write_json(path: Path, document: object) -> None:
    """Write beside the target, then put it in place."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(document), encoding="utf-8")
    part.replace(path)


def main() -> int:
    """Read the arguments, decode, track, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    facts = write_frames(args.clip, args.folder / "frames.rgba")
    shape = (facts["frames"], facts["height"], facts["width"], 4)
    frames = np.memmap(args.folder / "frames.rgba", np.uint8, "r", shape=shape)
    records, faces = track(frames, facts["frames_per_second"])
    write_json(args.folder / "float32.json", records)
    write_json(args.folder / "int8.json", look(frames, faces))
    write_json(args.folder / "clip.json", facts)  # the last one: it stands for all of them
    return 0


if __name__ == "__main__":
    sys.exit(main())
