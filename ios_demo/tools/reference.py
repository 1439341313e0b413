"""Decode the bundled clip for the Swift tests, with what the Python runtime gives for it.

python ios_demo/tools/reference.py OUTPUT

Writes OUTPUT/frames.rgba, raw frames of four bytes per pixel one after the other, and then
OUTPUT/reference.json: the frames' size, and the faces of each frame by the float32 networks. Files
that were made of the same clip, models and code before are kept.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import cv2

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from atpn_mobile import Face, FaceTracker, TrackerConfig  # noqa: E402

CLIP = ROOT / "assets" / "clips" / "synthetic_solo.mp4"


def face_record(face: Face) -> dict[str, Any]:
    """A face as JSON, in frame pixels and degrees."""
    return {
        "track_id": face.track_id,
        "source": face.source,
        "presence": face.presence,
        "landmarks": face.landmarks.astype(float).tolist(),
        "raw_landmarks": face.raw_landmarks.astype(float).tolist(),
        "angles_deg": [face.pose.yaw_deg, face.pose.pitch_deg, face.pose.roll_deg],
    }


def write_reference(output: Path) -> dict[str, Any]:
    """Decode and track the clip.

    Raises:
        SystemExit: the clip cannot be read.
    """
    video = cv2.VideoCapture(str(CLIP))
    rate = video.get(cv2.CAP_PROP_FPS)
    height, width, records = 0, 0, []
    config = TrackerConfig(color="rgb", precision="float32", num_threads=1)
    with (
        FaceTracker("onnx", config, models_dir=ROOT / "models") as tracker,
        (output / "frames.rgba").open("wb") as file,
    ):
        while True:
            there, bgr = video.read()
            if not there:
                break
            height, width = bgr.shape[:2]
            frame = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGBA)
            file.write(frame.tobytes())
            result = tracker.track(frame[:, :, :3], len(records) / rate)
            records.append(
                {
                    "faces": [face_record(face) for face in result.faces],
                    "lost_ids": list(result.lost_ids),
                    "detector_ran": result.detector_ran,
                }
            )
    if not records:
        raise SystemExit(f"expected a video at {CLIP}, got no frame out of it")
    return {"width": width, "height": height, "frames_per_second": rate, "frames": records}


def fingerprint() -> str:
    """SHA-256 of all that the result depends on."""
    files = [CLIP, Path(__file__), *sorted((ROOT / "atpn_mobile").rglob("*.py"))]
    files += sorted((ROOT / "models").glob("*_float32.onnx"))
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def main() -> int:
    """Read the arguments, write what is not there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    target = output / "reference.json"
    made_of = fingerprint()
    if target.is_file() and json.loads(target.read_text(encoding="utf-8"))["made_of"] == made_of:
        return 0
    output.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    document = {"made_of": made_of, **write_reference(output)}
    unfinished = target.with_suffix(".tmp")
    unfinished.write_text(json.dumps(document), encoding="utf-8")
    unfinished.replace(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
