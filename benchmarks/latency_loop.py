"""The whole tracking loop over a video, by stage."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from atpn_mobile import AtpnError, FaceTracker, StageTimings, TrackerConfig
from atpn_mobile.video import open_source
from benchmarks.errors import BenchmarkError
from benchmarks.latency_measure import Clock, Statistics

# "loop" is what an app pays for a frame in which the face is followed: all but the detector.
STAGES: Final = ("decode", "crop", "network", "tracker", "loop", "detector")


@dataclass(frozen=True, slots=True)
class LoopFrame:
    """One frame.

    Attributes:
        decode_ms: to get it out of the video.
        timings: of ``track``.
        detector_ran: whether the detector was asked; the network looks more than once then.
        faces: how many were found.
    """

    decode_ms: float
    timings: StageTimings
    detector_ran: bool
    faces: int


def track_clip(
    clip: Path, engine: str, precision: str, threads: int, clock: Clock = time.perf_counter
) -> list[LoopFrame]:
    """Follow the face through a video.

    Args:
        clip: the video.
        engine: "onnx" or "tflite".
        precision: of the networks.
        threads: of one run.
        clock: seconds, for the decoding; the tracker has its own.

    Raises:
        BenchmarkError: the video or the networks cannot be read.
    """
    frames: list[LoopFrame] = []
    config = TrackerConfig(color="bgr", precision=precision, num_threads=threads)
    try:
        with FaceTracker(engine, config) as tracker, open_source(clip) as source:
            pictures = iter(source)
            while True:
                start = clock()
                picture = next(pictures, None)
                decode_ms = 1000.0 * (clock() - start)
                if picture is None:
                    return frames
                found = tracker.track(picture.image, picture.timestamp_s)
                frames.append(
                    LoopFrame(decode_ms, found.timings, found.detector_ran, len(found.faces))
                )
    except AtpnError as error:
        raise BenchmarkError(str(error)) from error


def stage_statistics(frames: Sequence[LoopFrame]) -> dict[str, Statistics]:
    """Statistics by stage: of the frames in which a face was followed, "detector" of the others.

    Stages without a frame are left out.
    """
    followed = [one for one in frames if one.faces and not one.detector_ran]
    times_ms = {
        "decode": [one.decode_ms for one in followed],
        "crop": [one.timings.crop_ms for one in followed],
        "network": [one.timings.network_ms for one in followed],
        "tracker": [one.timings.tracker_ms for one in followed],
        "loop": [one.decode_ms + one.timings.total_ms for one in followed],
        "detector": [one.timings.detector_ms for one in frames if one.detector_ran],
    }
    return {stage: Statistics.of(times_ms[stage]) for stage in STAGES if times_ms[stage]}
