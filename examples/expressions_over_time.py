"""The expression of a face over a video, as a table: mouth, smile, brows, eyes.

    python examples/expressions_over_time.py clip.mp4 clip.csv

One row per frame with a face. People differ at rest, so each signal is also given relative to the
median of this face over the video, in the columns that end in _change. An empty cell: the head is
turned too far to tell.
"""

import argparse
import csv
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from atpn_mobile import AtpnError, Expressions, FaceTracker, TrackerConfig, measure_expressions
from atpn_mobile.video import open_source

SIGNALS = tuple(field.name for field in fields(Expressions))


def read_expressions(video: str) -> list[tuple[float, dict[str, float]]]:
    """Time and signals of every frame with a face; the landmarks smoothed."""
    rows = []
    config = TrackerConfig(color="bgr")
    with open_source(video) as source, FaceTracker(config=config) as tracker:
        for frame in source:
            result = tracker.track(frame.image, frame.timestamp_s)
            for face in result.faces:
                signals = asdict(measure_expressions(face.landmarks, face.pose))
                rows.append((result.timestamp_s, signals))
    return rows


def median(values: Sequence[float]) -> float:
    """The median of those that could be told."""
    told = [value for value in values if not math.isnan(value)]
    return statistics.median(told) if told else math.nan


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; the exit status: 2 when the video cannot be read."""
    parser = argparse.ArgumentParser(description="The expression of a face over a video.")
    parser.add_argument("video")
    parser.add_argument("table", type=Path, help="a .csv")
    arguments = parser.parse_args(argv)
    try:
        rows = read_expressions(arguments.video)
        rest = {name: median([signals[name] for _, signals in rows]) for name in SIGNALS}
        with arguments.table.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(["timestamp_s", *SIGNALS, *(f"{name}_change" for name in SIGNALS)])
            for timestamp_s, signals in rows:
                values = [*signals.values(), *(signals[name] - rest[name] for name in SIGNALS)]
                cells = ["" if math.isnan(value) else f"{value:.4f}" for value in values]
                table.writerow([f"{timestamp_s:.3f}", *cells])
    except (AtpnError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
