"""Follow the faces of a camera and show them, always the newest frame.

    python examples/webcam.py          the first camera, in a window; q or Escape ends it
    python examples/webcam.py 1        another camera; a video file works as well
    python examples/webcam.py --text   without a window: one line per frame tracked

The window needs OpenCV with windows: opencv-python instead of opencv-python-headless.
"""

import argparse
import sys
from collections.abc import Sequence

from atpn_mobile import AtpnError, FaceTracker, LatestFrameWorker, TrackerConfig, TrackResult
from atpn_mobile.draw import draw_result
from atpn_mobile.video import FrameSource, Window, check_display, open_source


def say(result: TrackResult) -> None:
    """One line per frame."""
    faces = ", ".join(
        f"{face.track_id}: {face.presence:.2f}, yaw {face.pose.yaw_deg:+.0f}"
        for face in result.faces
    )
    sys.stdout.write(f"{result.timestamp_s:8.2f} s  {faces or 'no face'}\n")


def print_faces(source: FrameSource, worker: LatestFrameWorker) -> None:
    """Hand in every frame; the worker says what it finds."""
    for frame in source:
        worker.submit(frame.image, frame.timestamp_s)
    worker.wait()


def show_faces(source: FrameSource, worker: LatestFrameWorker) -> None:
    """Show every frame at once with the newest result there is."""
    with Window("atpn: q ends") as window:
        for frame in source:
            worker.submit(frame.image, frame.timestamp_s)
            result = worker.latest()
            painted = (
                frame.image if result is None else draw_result(frame.image, result, color="bgr")
            )
            if not window.show(painted):
                return


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description="Follow the faces of a camera.")
    parser.add_argument("source", nargs="?", default="0", help="index of a camera, or a video")
    parser.add_argument("--text", action="store_true", help="lines instead of a window")
    parser.add_argument("--max-faces", type=int, default=2)
    arguments = parser.parse_args(argv)
    try:
        if not arguments.text:
            check_display()
        config = TrackerConfig(color="bgr", max_faces=arguments.max_faces)
        with (
            open_source(arguments.source) as source,
            FaceTracker(config=config) as tracker,
            LatestFrameWorker(tracker, say if arguments.text else None) as worker,
        ):
            (print_faces if arguments.text else show_faces)(source, worker)
            sys.stderr.write(
                f"{worker.tracked_frames} frames tracked, {worker.dropped_frames} dropped\n"
            )
    except AtpnError as error:
        sys.stderr.write(f"{error}\n")
        if not arguments.text:
            sys.stderr.write("--text works without a window\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
