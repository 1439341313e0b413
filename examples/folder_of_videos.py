"""Track all videos of a folder on all cores: one process and one tracker per video at a time.

    python examples/folder_of_videos.py videos/ results/ --processes 8

Each video gives one file of results, results/NAME.jsonl, which is there when it is complete. A
video that has one is skipped: stopped and started again, the run goes on where it was.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from atpn_mobile import AtpnError, FaceTracker, TrackerConfig
from atpn_mobile.results import open_results
from atpn_mobile.video import VIDEO_CODECS, open_source


def pending_videos(videos: Path, results: Path) -> list[tuple[Path, Path]]:
    """The videos without results, each with the place of its results."""
    pairs = [
        (video, results / f"{video.name}.jsonl")
        for video in sorted(videos.iterdir())
        if video.suffix.lower() in VIDEO_CODECS and not video.name.startswith(".")
    ]
    return [(video, target) for video, target in pairs if not target.exists()]


def track_video(video: Path, target: Path, max_faces: int = 4) -> str:
    """Track one video; the results appear complete or not at all.

    Returns:
        What went wrong; empty when nothing did: one broken video must not end the run.
    """
    partial = target.with_name(f".{target.stem}.{os.getpid()}.partial{target.suffix}")
    try:
        with (
            open_source(video) as source,
            FaceTracker(config=TrackerConfig(color="bgr", max_faces=max_faces)) as tracker,
            open_results(partial) as results,
        ):
            for index, frame in enumerate(source):
                results.write(index, tracker.track(frame.image, frame.timestamp_s))
        partial.replace(target)
    except (AtpnError, OSError) as error:
        return str(error)
    finally:
        partial.unlink(missing_ok=True)
    return ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; the exit status: 1 when a video failed."""
    parser = argparse.ArgumentParser(description="Track all videos of a folder.")
    parser.add_argument("videos", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--processes", type=int, default=None, help="default: one per core")
    arguments = parser.parse_args(argv)
    if not arguments.videos.is_dir():
        parser.error(f"expected a folder of videos, got {arguments.videos}")
    failures = 0
    # Spawned, not forked: a fork would inherit the threads of OpenCV and of the engine half-way.
    with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn")) as pool:
        pending = pending_videos(arguments.videos, arguments.results)
        jobs = {pool.submit(track_video, video, target): video for video, target in pending}
        for job in as_completed(jobs):
            failure = job.result()
            failures += bool(failure)
            sys.stdout.write(f"{jobs[job].name}: {failure or 'done'}\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
