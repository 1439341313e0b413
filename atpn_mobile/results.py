"""What a run gave: one line per frame or face in a file, and the numbers at its end.

Fields of a line of ``.jsonl``, one per frame:
    ``frame``, ``name``, ``timestamp_s``, ``detector_ran``, ``lost_ids``,
    ``timings``: ``detector_ms``, ``crop_ms``, ``network_ms``, ``tracker_ms``,
    ``faces``, a list: ``track_id``, ``source``, ``presence``, ``yaw_deg``, ``pitch_deg``,
    ``roll_deg``, ``rotation``, ``raw_rotation``, ``roi`` (``center_x``, ``center_y``, ``size``,
    ``rotation_rad``), ``landmarks``, ``raw_landmarks``; where asked for, ``expressions``.

Columns of a row of ``.csv``, one per face: ``CSV_COLUMNS``; where asked for, those of
``Expressions`` at the end.

docs/results.md of the repository explains each and shows an example.
"""

import csv
import io
import json
import math
import statistics
from array import array
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, TypeVar

import numpy as np

from atpn_mobile.errors import ConfigError
from atpn_mobile.expressions import Expressions, measure_expressions
from atpn_mobile.landmarks import NUM_LANDMARKS
from atpn_mobile.types import Face, FloatArray, HeadPose, StageTimings, TrackResult

# Digits after the point: a hundredth of a pixel or degree is far below what a network knows.
_PIXEL_DIGITS: Final = 2
_ANGLE_DIGITS: Final = 2
_PRESENCE_DIGITS: Final = 4
_TIME_DIGITS: Final = 3  # of milliseconds
_STAMP_DIGITS: Final = 6  # of seconds
_ROTATION_DIGITS: Final = 6
_RATIO_DIGITS: Final = 4

CSV_COLUMNS: Final[tuple[str, ...]] = (
    "frame",
    "name",
    "timestamp_s",
    "detector_ran",
    "detector_ms",
    "crop_ms",
    "network_ms",
    "tracker_ms",
    "track_id",
    "source",
    "presence",
    "yaw_deg",
    "pitch_deg",
    "roll_deg",
    "roi_center_x",
    "roi_center_y",
    "roi_size",
    "roi_rotation_rad",
    *(f"{axis}{index}" for index in range(NUM_LANDMARKS) for axis in "xy"),
)
EXPRESSION_COLUMNS: Final[tuple[str, ...]] = tuple(field.name for field in fields(Expressions))

_WriterT = TypeVar("_WriterT", bound="ResultsWriter")


class ResultsWriter(Protocol):
    """A results file that grows by whole lines, so that one cut short holds whole frames.

    The first frame starts the file and replaces an earlier one; a run that ends before it leaves
    the earlier one as it was.
    """

    def write(self, index: int, result: TrackResult, name: str | None = None) -> None:
        """Add a frame.

        Args:
            index: number of the frame, from 0.
            result: what the tracker gave.
            name: file name of a picture; None for a frame of a video.

        Raises:
            OSError: the file cannot be written.
        """

    def close(self) -> None:
        """Close the file."""

    def __enter__(self: _WriterT) -> _WriterT:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class JsonLinesWriter(ResultsWriter):
    """One JSON object per line and frame, also for a frame without a face."""

    def __init__(self, path: Path, *, with_expressions: bool = False) -> None:
        """Prepare the file; the first frame starts it, replacing one that is there."""
        self._lines = _LineFile(path)
        self._with_expressions = with_expressions

    def write(self, index: int, result: TrackResult, name: str | None = None) -> None:
        """Add a frame; see ResultsWriter."""
        record = result_record(index, result, name, with_expressions=self._with_expressions)
        self._lines.append(json.dumps(record, allow_nan=False, separators=(",", ":")) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


class CsvWriter(ResultsWriter):
    """One row per face of a frame, flat, under ``CSV_COLUMNS``; no row for a frame without one.

    The rotation matrices, the landmarks before smoothing and the lost ids are in the JSON lines
    only.
    """

    def __init__(self, path: Path, *, with_expressions: bool = False) -> None:
        """Prepare the file; the first frame starts it with the header, replacing one there."""
        self._lines = _LineFile(path)
        self._with_expressions = with_expressions

    def write(self, index: int, result: TrackResult, name: str | None = None) -> None:
        """Add the faces of a frame; see ResultsWriter."""
        columns = CSV_COLUMNS + EXPRESSION_COLUMNS * self._with_expressions
        header = [] if self._lines.started else [columns]
        rows = [
            _csv_row(index, result, name, face, with_expressions=self._with_expressions)
            for face in result.faces
        ]
        if header or rows:
            self._lines.append(_csv_text([*header, *rows]))

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


RESULTS_WRITERS: Final[dict[str, type[JsonLinesWriter] | type[CsvWriter]]] = {
    ".jsonl": JsonLinesWriter,
    ".csv": CsvWriter,
}


def check_results_path(path: Path) -> None:
    """Refuse a path whose suffix names no format.

    Raises:
        ConfigError: the suffix is not one of ``RESULTS_WRITERS``.
    """
    if path.suffix.lower() not in RESULTS_WRITERS:
        raise ConfigError(f"expected results ending in {' or '.join(RESULTS_WRITERS)}, got {path}")


def open_results(path: Path, *, with_expressions: bool = False) -> ResultsWriter:
    """Prepare a results file of the format that its suffix names; see ResultsWriter.

    Args:
        path: the file, ``.jsonl`` or ``.csv``; missing parent folders are made.
        with_expressions: add the signals of ``measure_expressions`` to every face.

    Raises:
        ConfigError: the suffix names no format.
        OSError: a parent folder cannot be made.
    """
    check_results_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return RESULTS_WRITERS[path.suffix.lower()](path, with_expressions=with_expressions)


def result_record(
    index: int, result: TrackResult, name: str | None = None, *, with_expressions: bool = False
) -> dict[str, Any]:
    """A result as plain numbers, lists and strings, rounded, as a line of the JSON lines holds it.

    Args:
        index: number of the frame, from 0.
        result: what the tracker gave.
        name: file name of a picture; None for a frame of a video.
        with_expressions: add the signals of ``measure_expressions`` to every face.
    """
    return {
        "frame": index,
        "name": name,
        "timestamp_s": round(result.timestamp_s, _STAMP_DIGITS),
        "detector_ran": result.detector_ran,
        "lost_ids": list(result.lost_ids),
        "timings": _rounded_timings(result.timings),
        "faces": [_face_record(face, with_expressions=with_expressions) for face in result.faces],
    }


@dataclass(frozen=True, slots=True)
class StageMedians:
    """Median wall time of a stage over the frames in which it ran, milliseconds."""

    read_ms: float = 0.0
    detector_ms: float = 0.0
    crop_ms: float = 0.0
    network_ms: float = 0.0
    tracker_ms: float = 0.0
    total_ms: float = 0.0  # detector to tracker, over all frames
    output_ms: float = 0.0  # drawing, encoding, writing, showing


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run in numbers.

    Attributes:
        frames: frames tracked.
        frames_with_face: frames in which at least one face was reported.
        tracked_share_percent: ``frames_with_face`` in percent of ``frames``.
        tracks: different track ids seen.
        detections: faces that the detector found, first and again after a loss.
        detector_calls: frames in which the detector was asked.
        median_ms: time per frame by stage.
        frames_per_second: frames over the wall time of the run, reading and output included.
        interrupted: whether the run was stopped from outside.
    """

    frames: int
    frames_with_face: int
    tracked_share_percent: float
    tracks: int
    detections: int
    detector_calls: int
    median_ms: StageMedians
    frames_per_second: float
    interrupted: bool = False

    def record(self) -> dict[str, Any]:
        """The summary as plain numbers, rounded, for JSON."""
        values = asdict(self)
        values["tracked_share_percent"] = round(self.tracked_share_percent, 2)
        values["frames_per_second"] = round(self.frames_per_second, 2)
        values["median_ms"] = {
            stage: round(median, _TIME_DIGITS) for stage, median in values["median_ms"].items()
        }
        return values


class RunStatistics:
    """Counts of a run, frame by frame."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.frames = 0
        self._frames_with_face = 0
        self._detections = 0
        self._detector_calls = 0
        self._track_ids: set[int] = set()
        # Arrays of plain doubles: a camera may run for days.
        self._times_ms = {stage: array("d") for stage in StageMedians.__dataclass_fields__}

    def add(self, result: TrackResult, *, read_ms: float = 0.0, output_ms: float = 0.0) -> None:
        """Count a frame.

        Args:
            result: what the tracker gave.
            read_ms: time the frame took to come, milliseconds.
            output_ms: time of drawing and writing, milliseconds.
        """
        self.frames += 1
        self._frames_with_face += bool(result.faces)
        self._detections += sum(face.source == "detected" for face in result.faces)
        self._detector_calls += result.detector_ran
        self._track_ids.update(face.track_id for face in result.faces if face.track_id >= 0)
        timings = result.timings
        self._times_ms["total_ms"].append(timings.total_ms)
        for stage, value in (
            ("read_ms", read_ms),
            ("detector_ms", timings.detector_ms),
            ("crop_ms", timings.crop_ms),
            ("network_ms", timings.network_ms),
            ("tracker_ms", timings.tracker_ms),
            ("output_ms", output_ms),
        ):
            if value > 0.0:  # 0: the stage did not run
                self._times_ms[stage].append(value)

    def summary(self, wall_s: float, *, interrupted: bool = False) -> RunSummary:
        """The counts so far.

        Args:
            wall_s: wall time of the run, seconds.
            interrupted: whether the run was stopped from outside.
        """
        medians = {
            stage: statistics.median(times) if times else 0.0
            for stage, times in self._times_ms.items()
        }
        return RunSummary(
            frames=self.frames,
            frames_with_face=self._frames_with_face,
            tracked_share_percent=100.0 * self._frames_with_face / max(1, self.frames),
            tracks=len(self._track_ids),
            detections=self._detections,
            detector_calls=self._detector_calls,
            median_ms=StageMedians(**medians),
            frames_per_second=self.frames / wall_s if wall_s > 0.0 else 0.0,
            interrupted=interrupted,
        )


def format_summary(summary: RunSummary) -> str:
    """A summary as lines for people, without a newline at the end."""
    medians = summary.median_ms
    stages = (
        f"detector {medians.detector_ms:.2f} (when asked), crop {medians.crop_ms:.2f}, "
        f"network {medians.network_ms:.2f}, tracker {medians.tracker_ms:.2f}"
    )
    ending = "  (interrupted)" if summary.interrupted else ""
    rows = {
        "frames": f"{summary.frames}{ending}",
        "with a face": (
            f"{summary.frames_with_face}  (tracked share {summary.tracked_share_percent:.1f} %)"
        ),
        "detections": (
            f"{summary.detections}  (detector asked in {summary.detector_calls} frames)"
        ),
        "tracks": f"{summary.tracks}",
        "ms per frame": f"{medians.total_ms:.2f} median: {stages}",
        "around it": f"reading {medians.read_ms:.2f}, output {medians.output_ms:.2f}",
        "speed": f"{summary.frames_per_second:.1f} frames per second, all included",
    }
    return "\n".join(f"{title:<14} {text}" for title, text in rows.items())


class _LineFile:
    """A file that takes whole lines, each in one write of the operating system.

    No buffer of ours lies between, so a process that ends at any point leaves no half line. It is
    opened by the first lines: what stood there is not lost before there is something new.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: io.FileIO | None = None

    @property
    def started(self) -> bool:
        return self._file is not None

    def append(self, lines: str) -> None:
        """Write text that ends in a newline."""
        if self._file is None:
            self._file = self._path.open("wb", buffering=0)
        data = memoryview(lines.encode("utf-8"))
        while data:  # a full disk or a pipe may take a part
            data = data[self._file.write(data) :]

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _face_record(face: Face, *, with_expressions: bool = False) -> dict[str, Any]:
    record: dict[str, Any] = {
        "track_id": face.track_id,
        "source": face.source,
        "presence": round(float(face.presence), _PRESENCE_DIGITS),
        "yaw_deg": round(face.pose.yaw_deg, _ANGLE_DIGITS),
        "pitch_deg": round(face.pose.pitch_deg, _ANGLE_DIGITS),
        "roll_deg": round(face.pose.roll_deg, _ANGLE_DIGITS),
        "rotation": _rounded_rotation(face.pose),
        "raw_rotation": _rounded_rotation(face.raw_pose),
        "roi": {
            "center_x": round(face.roi.center_x, _PIXEL_DIGITS),
            "center_y": round(face.roi.center_y, _PIXEL_DIGITS),
            "size": round(face.roi.size, _PIXEL_DIGITS),
            "rotation_rad": round(face.roi.rotation_rad, _ROTATION_DIGITS),
        },
        "landmarks": _rounded_points(face.landmarks),
        "raw_landmarks": _rounded_points(face.raw_landmarks),
    }
    if with_expressions:
        signals = asdict(measure_expressions(face.landmarks, face.pose))
        record["expressions"] = {  # JSON has no NaN
            signal: None if math.isnan(value) else round(value, _RATIO_DIGITS)
            for signal, value in signals.items()
        }
    return record


def _csv_row(
    index: int, result: TrackResult, name: str | None, face: Face, *, with_expressions: bool
) -> list[str | int | float | None]:
    record = _face_record(face, with_expressions=with_expressions)
    return [
        index,
        name or "",
        round(result.timestamp_s, _STAMP_DIGITS),
        int(result.detector_ran),
        *_rounded_timings(result.timings).values(),
        *(
            record[column]
            for column in (
                "track_id",
                "source",
                "presence",
                "yaw_deg",
                "pitch_deg",
                "roll_deg",
            )
        ),
        *record["roi"].values(),
        *(coordinate for point in record["landmarks"] for coordinate in point),
        *record.get("expressions", {}).values(),
    ]


def _csv_text(rows: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _rounded_timings(timings: StageTimings) -> dict[str, float]:
    return {stage: round(value, _TIME_DIGITS) for stage, value in asdict(timings).items()}


def _rounded_rotation(pose: HeadPose) -> list[list[float]]:
    rounded: list[list[float]] = np.asarray(pose.rotation, float).round(_ROTATION_DIGITS).tolist()
    return rounded


def _rounded_points(points: FloatArray) -> list[list[float]]:
    # As doubles: rounded float32 numbers would be written as 12.34000015258789.
    rounded: list[list[float]] = points.astype(np.float64).round(_PIXEL_DIGITS).tolist()
    return rounded
