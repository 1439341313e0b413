"""What the Python runtime gives for frames: the reference of the web demo's tests.

python web_demo/tools/reference.py FRAMES.rgba TIMESTAMPS.json --width W --height H \
    [--precision float32|int8] [--max-faces N] [--rois ROIS.json]

FRAMES.rgba holds raw frames one after the other, four bytes per pixel; TIMESTAMPS.json a list of
seconds, one per frame. Prints a list with the faces of each frame as JSON. With ROIS.json, a list
of regions (centerX, centerY, size, rotationRad) per frame, nothing is tracked: the network looks
there.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from atpn_mobile import Face, FaceTracker, Roi, TrackerConfig  # noqa: E402


def face_record(face: Face) -> dict[str, Any]:
    """A face as the web page's result has it, in frame pixels and degrees."""
    return {
        "trackId": face.track_id,
        "source": face.source,
        "presence": face.presence,
        "landmarks": face.landmarks.reshape(-1).astype(float).tolist(),
        "rawLandmarks": face.raw_landmarks.reshape(-1).astype(float).tolist(),
        "anglesDeg": [face.pose.yaw_deg, face.pose.pitch_deg, face.pose.roll_deg],
    }


def track(
    frames: np.ndarray[Any, np.dtype[np.uint8]],
    timestamps_s: list[float],
    config: TrackerConfig,
) -> list[dict[str, Any]]:
    """Track (N, H, W, 4) frames."""
    records = []
    with FaceTracker("onnx", config, models_dir=ROOT / "models") as tracker:
        for frame, timestamp_s in zip(frames, timestamps_s, strict=True):
            result = tracker.track(frame[:, :, :3], timestamp_s)
            records.append(
                {
                    "faces": [face_record(face) for face in result.faces],
                    "lostIds": list(result.lost_ids),
                    "detectorRan": result.detector_ran,
                }
            )
    return records


def look(
    frames: np.ndarray[Any, np.dtype[np.uint8]],
    rois: list[list[dict[str, float]]],
    config: TrackerConfig,
) -> list[dict[str, Any]]:
    """Run the network on given regions of (N, H, W, 4) frames."""
    records = []
    with FaceTracker("onnx", config, models_dir=ROOT / "models") as tracker:
        for frame, fields in zip(frames, rois, strict=True):
            wanted = [
                Roi(one["centerX"], one["centerY"], one["size"], one["rotationRad"])
                for one in fields
            ]
            faces = tracker.align(frame[:, :, :3], wanted)
            records.append(
                {
                    "faces": [face_record(face) for face in faces],
                    "lostIds": [],
                    "detectorRan": False,
                }
            )
    return records


def main() -> int:
    """Read the arguments, track, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("frames", type=Path)
    parser.add_argument("timestamps", type=Path)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--height", type=int, required=True)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--max-faces", type=int, default=1)
    parser.add_argument("--rois", type=Path)
    args = parser.parse_args()
    timestamps_s = json.loads(args.timestamps.read_text(encoding="utf-8"))
    shape = (len(timestamps_s), args.height, args.width, 4)
    frames = np.memmap(args.frames, np.uint8, "r", shape=shape)
    config = TrackerConfig(
        color="rgb", precision=args.precision, max_faces=args.max_faces, num_threads=1
    )
    if args.rois is None:
        records = track(frames, timestamps_s, config)
    else:
        records = look(frames, json.loads(args.rois.read_text(encoding="utf-8")), config)
    json.dump(records, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
