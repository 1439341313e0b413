"""Results files hold what the tracker gave, in whole lines; the summary counts it right."""

import csv
import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from atpn_mobile.errors import ConfigError
from atpn_mobile.expressions import measure_expressions
from atpn_mobile.geometry import rotation_from_euler
from atpn_mobile.results import (
    CSV_COLUMNS,
    EXPRESSION_COLUMNS,
    RunStatistics,
    check_results_path,
    format_summary,
    open_results,
    result_record,
)
from atpn_mobile.types import Face, HeadPose, Roi, StageTimings, TrackResult


def make_face(track_id=0, source="tracked", offset=0.0):
    grid = np.arange(196, dtype=np.float32).reshape(98, 2) / 7.0 + np.float32(offset)
    return Face(
        track_id=track_id,
        landmarks=grid,
        raw_landmarks=grid + np.float32(1.0),
        presence=0.98765432,
        pose=HeadPose(rotation_from_euler(*np.radians([36.123456, -5.0, 12.0]))),
        raw_pose=HeadPose(np.eye(3)),
        roi=Roi(100.123456, 50.0, 80.0, 0.1),
        source=source,
    )


def make_result(*faces, timestamp_s=0.04, detector_ran=False, timings=None, lost_ids=()):
    return TrackResult(faces, timestamp_s, timings or StageTimings(), detector_ran, lost_ids)


class TestJsonLines:
    def test_one_object_per_frame_also_without_a_face(self, tmp_path):
        path = tmp_path / "results.jsonl"
        with open_results(path) as writer:
            writer.write(0, make_result(make_face(), make_face(1)))
            writer.write(1, make_result(timestamp_s=0.08), name="b.png")
        records = [json.loads(line) for line in path.read_text().splitlines()]
        assert [record["frame"] for record in records] == [0, 1]
        assert [len(record["faces"]) for record in records] == [2, 0]
        assert [record["name"] for record in records] == [None, "b.png"]
        assert records[1]["timestamp_s"] == 0.08

    def test_a_record_gives_back_the_face(self):
        face = make_face(3, "detected")
        record = json.loads(json.dumps(result_record(5, make_result(face, detector_ran=True))))
        assert record["detector_ran"] is True
        (written,) = record["faces"]
        assert (written["track_id"], written["source"]) == (3, "detected")
        assert written["presence"] == pytest.approx(face.presence, abs=1e-4)
        assert written["yaw_deg"] == pytest.approx(36.12, abs=1e-9)
        assert written["pitch_deg"] == pytest.approx(-5.0)
        assert written["roll_deg"] == pytest.approx(12.0)
        np.testing.assert_allclose(written["rotation"], face.pose.rotation, atol=1e-6)
        np.testing.assert_allclose(written["raw_rotation"], face.raw_pose.rotation, atol=1e-6)
        np.testing.assert_allclose(written["landmarks"], face.landmarks, atol=0.0051)
        np.testing.assert_allclose(written["raw_landmarks"], face.raw_landmarks, atol=0.0051)
        assert written["roi"] == {
            "center_x": 100.12,
            "center_y": 50.0,
            "size": 80.0,
            "rotation_rad": 0.1,
        }

    def test_lost_tracks_are_named(self):
        record = json.loads(json.dumps(result_record(0, make_result(lost_ids=(2, 5)))))
        assert record["lost_ids"] == [2, 5]
        assert result_record(0, make_result())["lost_ids"] == []

    def test_numbers_are_short(self):
        text = json.dumps(result_record(0, make_result(make_face()))["faces"][0]["landmarks"])
        digits = [
            number.partition(".")[2] for number in text.strip("[]").replace("]", "").split(",")
        ]
        assert max(len(part.strip()) for part in digits) <= 2

    def test_timings_are_by_stage(self):
        record = result_record(0, make_result(timings=StageTimings(1.23456, 0.5, 2.0, 0.1)))
        assert record["timings"] == {
            "detector_ms": 1.235,
            "crop_ms": 0.5,
            "network_ms": 2.0,
            "tracker_ms": 0.1,
        }

    def test_lines_are_on_disk_while_the_file_is_open(self, tmp_path):
        path = tmp_path / "results.jsonl"
        with open_results(path) as writer:
            for index in range(3):
                writer.write(index, make_result(make_face()))
                content = path.read_text()
                assert content.endswith("\n")
                assert [json.loads(line)["frame"] for line in content.splitlines()] == list(
                    range(index + 1)
                )

    def test_a_number_that_json_cannot_hold_leaves_no_line(self, tmp_path):
        path = tmp_path / "results.jsonl"
        with open_results(path) as writer:
            writer.write(0, make_result())
            with pytest.raises(ValueError, match="JSON"):
                writer.write(1, make_result(timestamp_s=math.inf))
        assert len(path.read_text().splitlines()) == 1


class TestCsv:
    def read(self, path):
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    def test_one_row_per_face(self, tmp_path):
        path = tmp_path / "results.csv"
        with open_results(path) as writer:
            writer.write(0, make_result(make_face(0), make_face(1, offset=5.0)))
            writer.write(1, make_result())
            writer.write(
                2, make_result(make_face(1, "detected"), detector_ran=True), name="a,b.png"
            )
        rows = self.read(path)
        assert [(row["frame"], row["track_id"]) for row in rows] == [
            ("0", "0"),
            ("0", "1"),
            ("2", "1"),
        ]
        assert rows[2]["name"] == "a,b.png"
        assert (rows[0]["detector_ran"], rows[2]["detector_ran"]) == ("0", "1")
        assert float(rows[0]["yaw_deg"]) == pytest.approx(36.12)
        assert float(rows[1]["x0"]) == pytest.approx(5.0)
        assert float(rows[0]["y97"]) == pytest.approx(195 / 7.0, abs=0.0051)
        assert float(rows[0]["roi_size"]) == 80.0

    def test_a_run_without_a_face_leaves_the_header(self, tmp_path):
        path = tmp_path / "results.csv"
        with open_results(path) as writer:
            writer.write(0, make_result())
        assert path.read_text() == ",".join(CSV_COLUMNS) + "\n"

    def test_every_row_has_every_column(self, tmp_path):
        path = tmp_path / "results.csv"
        with open_results(path) as writer:
            writer.write(0, make_result(make_face()))
        with path.open(newline="") as file:
            header, row = csv.reader(file)
        assert header == list(CSV_COLUMNS)
        assert len(row) == len(header) == 18 + 2 * 98

    def test_a_run_without_a_face_is_a_header(self, tmp_path):
        path = tmp_path / "results.csv"
        with open_results(path) as writer:
            writer.write(0, make_result())
            writer.write(1, make_result())
        assert path.read_text() == ",".join(CSV_COLUMNS) + "\n"


class TestExpressions:
    signals = (
        "right_eye_openness",
        "left_eye_openness",
        "mouth_openness",
        "mouth_width",
        "smile",
        "right_brow_raise",
        "left_brow_raise",
    )

    def test_they_are_there_when_asked_for(self):
        face = replace(make_face(), pose=HeadPose(np.eye(3)))
        (plain,) = result_record(0, make_result(face))["faces"]
        (more,) = result_record(0, make_result(face), with_expressions=True)["faces"]
        told = more.pop("expressions")
        assert more == plain
        assert tuple(told) == self.signals == EXPRESSION_COLUMNS
        expected = measure_expressions(face.landmarks, face.pose)
        assert told == pytest.approx(asdict(expected), abs=5.1e-5)

    @pytest.mark.parametrize(("yaw_deg", "is_told"), [(39.0, True), (41.0, False)])
    def test_what_cannot_be_told_is_null_and_an_empty_cell(self, tmp_path, yaw_deg, is_told):
        turned = HeadPose(rotation_from_euler(math.radians(yaw_deg), 0.0, 0.0))
        result = make_result(replace(make_face(), pose=turned))
        for suffix in ("jsonl", "csv"):
            with open_results(tmp_path / f"r.{suffix}", with_expressions=True) as writer:
                writer.write(0, result)
        (record,) = map(json.loads, (tmp_path / "r.jsonl").read_text().splitlines())
        told = record["faces"][0]["expressions"]
        assert all((value is not None) == is_told for value in told.values())
        with (tmp_path / "r.csv").open(newline="") as file:
            header, row = csv.reader(file)
        assert header == [*CSV_COLUMNS, *self.signals]
        assert [cell != "" for cell in row[-7:]] == [is_told] * 7

    def test_they_are_explained(self):
        table = [row for row in TestDocumentation.text.splitlines() if row.startswith("| `")]
        assert all(any(f"`{name}`" in row for row in table) for name in self.signals)


class TestDocumentation:
    """docs/results.md shows what is written, shortened to one landmark and one entry of a list."""

    text = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")

    def documented_result(self):
        timings = StageTimings(8.125, 0.25, 2.5, 0.125)
        face = make_face(source="detected")
        return make_result(face, detector_ran=True, timings=timings, lost_ids=(2,))

    def test_the_example_of_the_json_lines_is_one(self):
        record = result_record(1, self.documented_result())
        (face,) = record["faces"]
        for field in ("landmarks", "raw_landmarks"):
            face[field] = [face[field][0], "..."]
        line = json.dumps(record, separators=(",", ":")).replace('"..."', "...")
        assert f"\n{line}\n" in self.text

    def test_the_example_of_the_csv_is_one(self, tmp_path):
        with open_results(tmp_path / "results.csv") as writer:
            writer.write(1, self.documented_result())
        for line in (tmp_path / "results.csv").read_text().splitlines():
            cells = line.split(",")
            assert f"\n{','.join([*cells[:20], '...', *cells[-2:]])}\n" in self.text

    def test_every_field_is_explained(self):
        def names(value):
            if isinstance(value, list):
                return set().union(*map(names, value), set())
            if isinstance(value, dict):
                return set(value).union(*map(names, value.values()))
            return set()

        fields = names(result_record(1, self.documented_result())) | set(CSV_COLUMNS[:20])
        assert len(fields) > 25
        table = "\n".join(row for row in self.text.splitlines() if row.startswith("| `"))
        assert {field for field in fields if f"`{field}`" not in table} == set()


class TestPaths:
    @pytest.mark.parametrize("name", ["results.txt", "results", "results.json"])
    def test_an_unknown_format_is_refused_with_the_known_ones(self, tmp_path, name):
        with pytest.raises(ConfigError, match=r"\.jsonl or \.csv"):
            check_results_path(tmp_path / name)
        with pytest.raises(ConfigError, match=name):
            open_results(tmp_path / name)
        assert list(tmp_path.iterdir()) == []

    def test_capitals_and_missing_folders_are_fine(self, tmp_path):
        path = tmp_path / "out" / "deep" / "RESULTS.JSONL"
        with open_results(path) as writer:
            writer.write(0, make_result())
        assert json.loads(path.read_text())["frame"] == 0

    @pytest.mark.parametrize("name", ["results.jsonl", "results.csv"])
    def test_without_a_frame_an_old_file_stays_and_no_new_one_comes(self, tmp_path, name):
        path = tmp_path / name
        open_results(path).close()
        assert not path.exists()
        path.write_text("old\n")
        open_results(path).close()
        assert path.read_text() == "old\n"

    def test_an_old_file_is_replaced_and_not_appended_to(self, tmp_path):
        path = tmp_path / "results.jsonl"
        path.write_text("old\n")
        with open_results(path) as writer:
            writer.write(0, make_result())
        assert "old" not in path.read_text()


class TestSummary:
    def test_counts(self):
        run = RunStatistics()
        run.add(make_result(detector_ran=True))  # asked, nothing found
        run.add(make_result(make_face(0, "detected"), detector_ran=True))
        run.add(make_result(make_face(0)))
        run.add(make_result(make_face(0), make_face(1, "detected"), detector_ran=True))
        summary = run.summary(2.0)
        assert (summary.frames, summary.frames_with_face) == (4, 3)
        assert summary.tracked_share_percent == 75.0
        assert (summary.detections, summary.detector_calls, summary.tracks) == (2, 3, 2)
        assert summary.frames_per_second == 2.0
        assert not summary.interrupted

    def test_a_face_that_comes_back_is_one_track_found_twice(self):
        run = RunStatistics()
        run.add(make_result(make_face(0, "detected"), detector_ran=True))
        run.add(make_result(detector_ran=True, lost_ids=(0,)))
        run.add(make_result(make_face(0, "detected"), detector_ran=True))
        summary = run.summary(1.0)
        assert (summary.tracks, summary.detections, summary.frames_with_face) == (1, 2, 2)

    def test_faces_outside_tracks_are_no_tracks(self):
        run = RunStatistics()
        run.add(make_result(make_face(-1, "detected")))
        assert run.summary(1.0).tracks == 0

    def test_medians_are_over_the_frames_in_which_a_stage_ran(self):
        run = RunStatistics()
        run.add(make_result(timings=StageTimings(9.0, 1.0, 4.0, 0.0)), read_ms=2.0, output_ms=5.0)
        run.add(make_result(timings=StageTimings(0.0, 3.0, 5.0, 0.0)), read_ms=4.0)
        run.add(make_result(timings=StageTimings(0.0, 2.0, 9.0, 0.0)), read_ms=6.0)
        medians = run.summary(1.0).median_ms
        assert medians.detector_ms == 9.0
        assert (medians.crop_ms, medians.network_ms) == (2.0, 5.0)
        assert medians.tracker_ms == 0.0
        assert medians.total_ms == 11.0  # of 14, 8 and 11: every frame counts
        assert (medians.read_ms, medians.output_ms) == (4.0, 5.0)

    def test_a_run_without_a_frame_divides_by_nothing(self):
        summary = RunStatistics().summary(0.0)
        assert (summary.frames, summary.tracked_share_percent) == (0, 0.0)
        assert summary.frames_per_second == 0.0

    def test_people_read_the_same_numbers_as_machines(self):
        run = RunStatistics()
        run.add(make_result(make_face(0, "detected"), detector_ran=True))
        run.add(make_result())
        run.add(make_result(make_face(0)))
        summary = run.summary(1.0, interrupted=True)
        text = format_summary(summary)
        assert "66.7 %" in text
        assert "interrupted" in text
        record = json.loads(json.dumps(summary.record()))
        assert record["tracked_share_percent"] == 66.67
        assert record["interrupted"] is True
        assert set(record["median_ms"]) >= {"detector_ms", "network_ms", "total_ms"}
