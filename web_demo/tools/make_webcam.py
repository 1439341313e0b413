"""Turn a clip into the file that Chromium plays as a webcam (.y4m), each frame with its number.

python web_demo/tools/make_webcam.py CLIP OUTPUT.y4m [--frames N] [--plain]

The number stands in the lower left corner: eight squares, black for 0 and white for 1, the lowest
bit first. A test can read from the pixels which frame the page has seen. --plain leaves it out.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

BITS = 8
SQUARE = 16  # pixels: large enough for the colour samples, which are shared by 2 x 2 pixels


def number_frame(frame: NDArray[np.uint8], number: int) -> None:
    """Paint a frame's number into its lower left corner."""
    for bit in range(BITS):
        value = 255 if number >> bit & 1 else 0
        frame[-SQUARE:, bit * SQUARE : (bit + 1) * SQUARE] = value


def write_webcam(clip: Path, output: Path, limit: int, *, numbered: bool = True) -> int:
    """Write the frames of a clip as YUV4MPEG2, 4:2:0; returns their number.

    Raises:
        SystemExit: the clip cannot be read.
    """
    video = cv2.VideoCapture(str(clip))
    rate_hz = round(video.get(cv2.CAP_PROP_FPS))
    count = 0
    with output.open("wb") as file:
        while count < min(limit, 1 << BITS):
            there, frame = video.read()
            if not there:
                break
            if count == 0:
                height, width = frame.shape[:2]
                header = f"YUV4MPEG2 W{width} H{height} F{rate_hz}:1 Ip A1:1 C420jpeg\n"
                file.write(header.encode())
            picture = frame.astype(np.uint8, copy=False)
            if numbered:
                number_frame(picture, count)
            file.write(b"FRAME\n" + cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420).tobytes())
            count += 1
    if count == 0:
        raise SystemExit(f"expected a video at {clip}, got no frame out of it")
    return count


def main() -> int:
    """Read the arguments, convert."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--frames", type=int, default=1 << BITS)
    parser.add_argument("--plain", action="store_true")
    args = parser.parse_args()
    count = write_webcam(args.clip, args.output, args.frames, numbered=not args.plain)
    sys.stdout.write(f"{count}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
