"""Decode a clip as the tests of the web demo need it: raw RGBA frames, one after the other.

python clip_frames.py CLIP OUTPUT [--frames N]

Writes OUTPUT (frames x height x width x 4 bytes) and prints {"width", "height", "frames"}.
"""

import argparse
import json
import sys
from pathlib import Path

import cv2


def write_frames(clip: Path, output: Path, limit: int | None) -> dict[str, int]:
    """Decode at most ``limit`` frames into one file.

    Raises:
        SystemExit: the clip cannot be read.
    """
    video = cv2.VideoCapture(str(clip))
    count, height, width = 0, 0, 0
    with output.open("wb") as file:
        while limit is None or count < limit:
            there, frame = video.read()
            if not there:
                break
            height, width = frame.shape[:2]
            file.write(cv2.cvtColor(frame, cv2.COLOR_BGR2RGBA).tobytes())
            count += 1
    if count == 0:
        raise SystemExit(f"expected a video at {clip}, got no frame out of it")
    return {"width": width, "height": height, "frames": count}


def main() -> int:
    """Read the arguments, decode, say what was written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--frames", type=int)
    args = parser.parse_args()
    sys.stdout.write(json.dumps(write_frames(args.clip, args.output, args.frames)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
