"""``tracking``: what is recorded of trackers that lag, tremble and lose faces by known amounts."""

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

from atpn_mobile import SmoothingConfig, TrackResult
from atpn_mobile.geometry import rotation_from_euler
from atpn_mobile.testing import FakeBackend, fake_face
from benchmarks import cli, tracking, tracking_speed
from benchmarks.errors import BenchmarkError
from benchmarks.record import read_record
from benchmarks.tracking import calm_row, crowd_row, lag_row, scene_row, scenes_of
from benchmarks.tracking_curve import curve_rows
from benchmarks.tracking_scenes import Scene, scene_of_clip
from benchmarks.tracking_speed import BLOCK, FrameTime, OurLoop, TimedBackend, in_turns, loop_rows
from tests.unit.benchmarks.fake_faces import clip, face, frame, points

SOLO = Path(__file__).parents[3] / "assets" / "clips" / "synthetic_solo.mp4"


def scene(xs, *, visible=None, cuts=(), max_faces=1):
    """One person whose middle goes along xs; 30 frames per second."""
    landmarks = np.stack([points(x) for x in xs])[:, np.newaxis]
    shares = np.ones((len(xs), 1)) if visible is None else np.array(visible)[:, np.newaxis]
    picture = np.zeros((1080, 1920, 3), np.uint8)
    frames = lambda: itertools.repeat(picture, len(xs))  # noqa: E731
    return Scene("moving", frames, 30.0, max_faces, landmarks, shares, cuts, 0.5)


# --- rows --------------------------------------------------------------------------------------


def test_scene_row_of_a_tracker_that_loses_and_confuses():
    truth = scene([0.0] * 10, visible=[1, 1, 0, 0, 1, 1, 1, 1, 1, 1])
    said = [frame(face(0, points(3.0)), detector_ran=index == 0) for index in range(3)]  # 2: false
    said += [frame(detector_ran=True)] * 2
    said += [frame(face(5, points(3.0)))] * 5
    assert scene_row(truth, said) == {
        "frames": 10,
        "detections": 3,
        "tracked_percent": 87.5,  # 7 of 8
        "false_frames": 1,
        "recovered_on": 2,
        "id_switches": 1,
        "ids_per_person": 2.0,
        "shared_ids": 0,
        "nme_percent": 3.0,
    }


def test_scene_row_without_a_truth():
    bare = Scene("bare", lambda: iter(()), 30.0)
    said = [frame(face(0, points(2.0 * (-1) ** index))) for index in range(60)]
    row = scene_row(bare, [*said, *[frame()] * 20])
    assert (row["tracked_percent"], row["frames"]) == (75.0, 80)
    assert "false_frames" not in row
    assert row["jitter_percent"] == row["raw_jitter_percent"] == pytest.approx(8.0)


def test_calm_row():
    turns = [rotation_from_euler(0.0, 0.0, np.radians(angle)) for angle in (0.0, 1.0, 3.0)]
    said = [
        frame(
            face(
                0,
                points(0.5 * sign),
                raw=points(2.0 * sign),
                rotation=turns[index % 2],
                raw_rotation=turns[2 * (index % 2)],
            )
        )
        for index, sign in enumerate([9.0] * 30 + [1.0, -1.0] * 20)  # the first 30 do not count
    ]
    assert calm_row(scene([0.0] * 70), said) == pytest.approx(
        {
            "raw_step_percent": 4.0,
            "step_percent": 1.0,
            "step_share": 0.25,
            "raw_jitter_percent": 8.0,
            "jitter_percent": 2.0,
            "jitter_share": 0.25,
            "raw_turn_deg": 3.0,
            "turn_deg": 1.0,
            "turn_share": 0.3333,
        },
        rel=1e-3,
    )


def test_lag_row_of_a_tracker_that_is_late_and_off():
    times = np.arange(120)
    way = [60.0 * np.sin(2.0 * np.pi * (times - late) / 60.0) for late in (0.0, 0.5, 2.0)]
    said = [
        frame(face(0, points(smooth + 5.0), raw=points(raw + 5.0)))  # 5 pixels off all the time
        for raw, smooth in zip(way[1], way[2], strict=True)
    ]
    row = lag_row(scene(way[0]), said)
    assert row["speed"] == 0.5
    assert row["raw_lag_ms"] == pytest.approx(16.7, abs=1.1)
    assert row["lag_ms"] == pytest.approx(66.7, abs=1.1)
    assert row["behind_raw_ms"] == pytest.approx(50.0, abs=1.1)


def test_a_lost_face_has_no_jitter_and_no_lag():
    said = [frame(face())] * 40 + [frame()] + [frame(face())] * 40
    for measure in (calm_row, lag_row):
        with pytest.raises(BenchmarkError, match="81 frames, got 40"):
            measure(scene([0.0] * 81), said)


def test_crowd_row():
    people = np.stack([points(200.0 * person, eyes=40.0) for person in range(4)])[np.newaxis]
    picture = np.zeros((1000, 1000, 3), np.uint8)
    many = Scene("many", lambda: iter([picture]), 30.0, 4, people, np.ones((1, 4)))
    said = [frame(face(0, people[0, 1]), face(1, people[0, 3]), face(2, points(900.0, 500.0)))]
    row = crowd_row(many, said)
    assert (row["faces"], row["found"], row["false_faces"]) == (4, 2, 1)
    assert row["smallest_percent"] == row["largest_percent"] == pytest.approx(4.0, abs=0.01)


def test_curve_row():
    # White noise around a face at rest, through a low-pass at 2 Hz, whatever the speed.
    noise = np.random.default_rng(0).normal(0.0, 1.0, (4000, 98, 2))
    still = [face(0, (points() + one).astype(np.float32)) for one in noise]
    moving = [face(0, points(x)) for x in 2.0 * np.arange(200)]
    (row,) = curve_rows(
        [still], [moving], 30.0, 100, [SmoothingConfig(min_cutoff_hz=2.0, beta=0.0)]
    )
    weight = 1.0 / (1.0 + 30.0 / (2.0 * np.pi * 2.0))
    assert row["step_share"] == pytest.approx(weight / np.sqrt(2.0 - weight), rel=0.02)
    # 79.6 ms: so far behind is a low-pass on a steady path; it begins without a lag
    assert row["behind_raw_ms"] == pytest.approx(1000.0 / (2.0 * np.pi * 2.0), abs=2.0)
    assert row["is_default"] is False


# --- the command -------------------------------------------------------------------------------


def main(*arguments):
    return cli.run_commands({"tracking": tracking}, ["tracking", *map(str, arguments)])


def test_the_command_writes_what_it_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        tracking, "read_clip", lambda path: clip(frames=40) if path == SOLO else None
    )
    path = tmp_path / "tracking.json"
    options = ["--no-scenes", "--turns", "0", "--settings", "default", "fast"]
    assert main(SOLO, *options, "--json", path) == 0
    record = read_record(path)
    assert list(record.tables) == ["scenes"]
    rows = record.tables["scenes"].rows
    assert [(row["scene"], row["setting"]) for row in rows] == [
        ("disc", "default"),
        ("disc", "fast"),
    ]
    assert record.command.endswith("--settings default fast --no-scenes --turns 0 --json PATH")
    assert "Finding, losing, recognising" in capsys.readouterr().out


def test_errors_are_told(capsys):
    assert main("nowhere.mp4", "--turns", "0") == 1
    assert main("--turns", "-1") == 1
    assert main("--no-scenes", "--turns", "0", "--backend", "none") == 1
    errors = capsys.readouterr().err.splitlines()
    assert "nowhere.mp4" in errors[0]
    assert "--turns of 0 or more, got -1" in errors[1]
    assert "none" in errors[2]


def test_every_scene_has_its_table_and_a_name_of_its_own():
    found = list(scenes_of([SOLO], composed=True))
    assert {table for table, _ in found} == {"scenes", "calm", "lag", "crowd"}
    names = [one.name for _, one in found]
    assert len(set(names)) == len(names) == 16


def test_every_setting_changes_something():
    made = [make(3) for make in tracking.SETTINGS.values()]
    assert all(config.max_faces == 3 and config.color == "bgr" for config in made)
    assert all(a != b for a, b in itertools.combinations(made, 2))


# --- time --------------------------------------------------------------------------------------


class FakeLoop:
    def __init__(self, wall_ms, network_ms=0.0):
        self.time = FrameTime(wall_ms, 2.0 * wall_ms, network_ms)
        self.asked = []

    def follow(self, start, stop):
        self.asked.append((start, stop))
        return [self.time] * (stop - start)


def test_loops_see_the_same_frames_by_turns():
    loops = {("one", ""): FakeLoop(1.0), ("other", ""): FakeLoop(2.0)}
    times = in_turns(loops, 2 * BLOCK + 3, turns=3)
    blocks = [(0, BLOCK), (BLOCK, 2 * BLOCK)]
    for loop in loops.values():
        assert loop.asked == [*blocks, *blocks]  # the first round warms up
    assert [len(found) for found in times.values()] == [3 * BLOCK, 3 * BLOCK]


def test_a_loop_that_follows_nothing_is_an_error():
    class Blind:
        def follow(self, start, stop):
            return []

    with pytest.raises(BenchmarkError, match="blind"):
        in_turns({("blind", ""): Blind()}, BLOCK, 1)


def test_rows_of_loops():
    peer = [FrameTime(4.0, 5.0)] * 3
    # the helpers of an engine add to the process, and not to the thread that waits for them
    ours = [
        FrameTime(2.0, 4.0, 1.5, 2.0),
        FrameTime(3.0, 8.0, 3.0, 4.0),
        FrameTime(4.0, 4.0, 3.6, 4.0),
    ]
    row = tracking_speed.loop_row(("onnx", "int8"), ours, peer)
    assert row["median_ms"] == 3.0
    assert row["cpu_ms"] == 4.0
    assert row["outside_percent"] == 25.0  # of 25, 25 and 10 %
    assert (row["ratio"], row["cpu_ratio"]) == (0.75, 0.8)
    assert "ratio" not in tracking_speed.loop_row(("onnx", "int8"), ours, None)
    assert tracking_speed.loop_row(("peer", ""), peer, peer)["outside_percent"] is None


def test_our_loop_leaves_out_frames_in_which_the_detector_ran():
    backend = TimedBackend(FakeBackend([fake_face()]))

    class Tracker:
        calls = 0

        def track(self, picture):
            self.calls += 1
            backend.run({"image": np.zeros(backend.spec.input.shape, np.float32)})
            return TrackResult((face(),), 0.0, detector_ran=self.calls == 1)

    loop = OurLoop(Tracker(), backend, [np.zeros((4, 4, 3), np.uint8)] * 5)
    times = loop.follow(0, 5)
    assert len(times) == 4
    assert all(0.0 <= one.network_cpu_ms <= one.thread_cpu_ms for one in times)
    assert backend.spent_s > 0.0


MEDIAPIPE = """
__version__ = "0.0.1"
class FaceMesh:
    def __init__(self, static_image_mode, max_num_faces):
        assert (static_image_mode, max_num_faces) == (False, 1)
    def process(self, frame):
        class Found:
            multi_face_landmarks = [1] if frame[0, 0].tolist() == [30, 20, 10] else None  # RGB
        return Found
class solutions:
    class face_mesh:
        FaceMesh = FaceMesh
"""


def test_the_peer_runs_in_an_interpreter_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "mediapipe.py").write_text(MEDIAPIPE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(tracking_speed, "_kinds", list)
    one = clip(frames=BLOCK)
    for picture in one.frames:
        picture[0, 0] = (10, 20, 30)
    (row,) = loop_rows(one, 2, Path(sys.executable))
    assert row["system"] == "MediaPipe FaceMesh 0.0.1"
    assert row["frames"] == 2 * BLOCK
    assert row["ratio"] == row["cpu_ratio"] == 1.0


def test_an_interpreter_without_mediapipe_is_told(tmp_path, monkeypatch):
    (tmp_path / "mediapipe.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(tracking_speed, "_kinds", list)
    with pytest.raises(BenchmarkError, match="pip install mediapipe"):
        loop_rows(clip(frames=BLOCK), 1, Path(sys.executable))
    with pytest.raises(BenchmarkError, match="nowhere"):
        loop_rows(clip(frames=BLOCK), 1, tmp_path / "nowhere")


def test_options_have_defaults():
    parser = argparse.ArgumentParser()
    tracking.add_arguments(parser)
    args = parser.parse_args([])
    assert (args.clips, args.backend, args.scenes) == ([], "auto", True)
    assert args.settings == list(tracking.SETTINGS)


def test_a_clip_is_followed_by_the_shipped_networks():
    one = tracking.read_clip(SOLO)
    short = type(one)(one.name, one.frames[:12], one.rate_hz, one.landmarks[:12])
    scene_found = scene_of_clip(short)
    said = tracking.follow(scene_found, "auto", tracking.SETTINGS["default"](1))
    row = scene_row(scene_found, said)
    assert (row["tracked_percent"], row["false_frames"], row["detections"]) == (100.0, 0, 1)
