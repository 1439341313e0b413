"""Track all videos of a folder on a cluster, through Ray; locally where there is no cluster.

    pip install "atpn-mobile[onnx,ray]"
    python examples/ray_cluster.py /shared/videos /shared/results --address auto

All machines need the package and see both folders under the same path. As in folder_of_videos.py,
a video that has its results is skipped, and a video that failed does not stop the others.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from folder_of_videos import pending_videos, track_video


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; the exit status: 1 when a video failed, 2 without Ray."""
    parser = argparse.ArgumentParser(description="Track all videos of a folder on a cluster.")
    parser.add_argument("videos", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--address", help="of the cluster, or auto; default: this machine alone")
    arguments = parser.parse_args(argv)
    if not arguments.videos.is_dir():
        parser.error(f"expected a folder of videos, got {arguments.videos}")
    try:
        import ray
    except ImportError:
        sys.stderr.write('Ray is not installed: pip install "atpn-mobile[ray]"\n')
        return 2

    # The folder of this file goes along, for a task to find folder_of_videos.
    here = str(Path(__file__).resolve().parent)
    ray.init(address=arguments.address, runtime_env={"working_dir": here})
    failures = 0
    try:
        # One core per video: the networks run on one thread each.
        task = ray.remote(num_cpus=1)(track_video)
        pending = pending_videos(arguments.videos.resolve(), arguments.results.resolve())
        jobs = {task.remote(video, target): video for video, target in pending}
        waiting = list(jobs)
        while waiting:
            done, waiting = ray.wait(waiting)
            for job in done:
                failure = ray.get(job)
                failures += bool(failure)
                sys.stdout.write(f"{jobs[job].name}: {failure or 'done'}\n")
    finally:
        ray.shutdown()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
