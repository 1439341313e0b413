"""The command from its arguments to its files and exit status, around a tracker of our own."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest

from atpn_mobile import cli
from atpn_mobile.backends import engines
from atpn_mobile.config import DetectorConfig, TrackerConfig
from atpn_mobile.errors import BackendUnavailableError, InvalidFrameError
from atpn_mobile.geometry import roi_from_landmarks
from atpn_mobile.types import Face, HeadPose, StageTimings, TrackResult
from atpn_mobile.video import open_source


def make_face(track_id=0, source="tracked"):
    angle = np.linspace(0.0, 6.0, 98)
    landmarks = np.stack([48 + 20 * np.cos(angle), 40 + 20 * np.sin(angle)], 1).astype(np.float32)
    return Face(
        track_id,
        landmarks,
        landmarks,
        0.9,
        HeadPose(np.eye(3)),
        HeadPose(np.eye(3)),
        roi_from_landmarks(landmarks),
        source,
    )


class FakeTracker:
    """Finds one face in its second frame and follows it; may do something at a frame."""

    def __init__(self, at_frame=None, action=None):
        self.at_frame, self.action = at_frame, action
        self.frames, self.times, self.stills = [], [], 0
        self.closed = False
        self.made_with = None

    def __call__(self, backend, config, models_dir):
        self.made_with = (backend, config, models_dir)
        return self

    def track(self, frame, timestamp_s=None):
        index = len(self.frames)
        if index == self.at_frame:
            self.action()
        self.frames.append(frame.copy())
        self.times.append(timestamp_s)
        faces = () if index == 0 else (make_face(0, "detected" if index == 1 else "tracked"),)
        detector_ran = index <= 1
        timings = StageTimings(8.0 if detector_ran else 0.0, 0.5, 2.0, 0.25)
        return TrackResult(faces, timestamp_s, timings, detector_ran)

    def detect(self, frame):
        self.stills += 1
        return TrackResult((make_face(-1, "detected"),), 0.0, StageTimings(8.0), True)

    def close(self):
        self.closed = True


def interrupt():
    raise KeyboardInterrupt


def fail():
    raise InvalidFrameError("expected something\nelse")


def make_video(path, frames=6):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (96, 80))
    for index in range(frames):
        writer.write(np.full((80, 96, 3), 20 + 20 * (index % 10), np.uint8))
    writer.release()
    return path


def make_picture(path, size=(96, 80)):
    assert cv2.imwrite(str(path), np.full((size[1], size[0], 3), 100, np.uint8))
    return path


def count_frames(path):
    with open_source(path) as source:
        return sum(1 for _ in source)


def read_lines(path):
    content = path.read_text()
    assert content.endswith("\n")
    return [json.loads(line) for line in content.splitlines()]


@pytest.fixture
def video(tmp_path):
    return make_video(tmp_path / "clip.mp4")


@pytest.fixture
def run(capsys):
    """Runs the command around a fake tracker: (status, stdout, stderr)."""

    def run_command(*arguments, tracker=None):
        status = cli.main(
            [str(argument) for argument in arguments], tracker_factory=tracker or FakeTracker()
        )
        return status, *capsys.readouterr()

    return run_command


class TestTrack:
    def test_a_video_gives_video_results_and_summary(self, run, video, tmp_path):
        tracker = FakeTracker()
        output, results = tmp_path / "out.mp4", tmp_path / "out.jsonl"
        status, stdout, _ = run(
            "track", video, "--output", output, "--results", results, tracker=tracker
        )
        assert status == 0
        assert count_frames(output) == 6
        lines = read_lines(results)
        assert [line["frame"] for line in lines] == list(range(6))
        assert [len(line["faces"]) for line in lines] == [0, 1, 1, 1, 1, 1]
        assert lines[5]["timestamp_s"] == pytest.approx(0.2)
        assert "83.3 %" in stdout
        assert tracker.closed
        assert tracker.times == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16, 0.2])

    def test_the_output_shows_the_face_and_the_tracker_never_sees_the_drawing(
        self, run, video, tmp_path
    ):
        tracker = FakeTracker()
        run("track", video, "--output", tmp_path / "out.mp4", tracker=tracker)
        with open_source(tmp_path / "out.mp4") as source:
            painted = [np.ptp(frame.image.reshape(-1, 3), axis=0).max() for frame in source]
        assert painted[0] < 10  # no face in the first frame
        assert min(painted[1:]) > 60
        assert max(int(np.ptp(frame)) for frame in tracker.frames) < 10

    def test_the_summary_as_json(self, run, video):
        status, stdout, _ = run("track", video, "--json", "--quiet")
        assert status == 0
        summary = json.loads(stdout)
        assert summary["frames"] == 6
        assert summary["frames_with_face"] == 5
        assert summary["tracked_share_percent"] == 83.33
        assert summary["detections"] == 1
        assert summary["detector_calls"] == 2
        assert summary["median_ms"]["detector_ms"] == 8.0
        assert summary["median_ms"]["total_ms"] == 2.75
        assert summary["interrupted"] is False
        assert summary["input"] == str(video)

    def test_csv(self, run, video, tmp_path):
        run("track", video, "--results", tmp_path / "out.csv")
        with (tmp_path / "out.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["frame"] for row in rows] == ["1", "2", "3", "4", "5"]

    def test_expressions_go_into_the_results(self, run, video, tmp_path):
        results = tmp_path / "r.jsonl"
        status, _, _ = run("track", str(video), "--results", str(results), "--expressions")
        assert status == cli.EXIT_OK
        (face,) = read_lines(results)[1]["faces"]
        assert "smile" in face["expressions"]

    def test_expressions_without_results_are_refused(self, run, video):
        status, _, stderr = run("track", str(video), "--expressions")
        assert status == cli.EXIT_BAD_INPUT
        assert "--results" in stderr

    def test_a_picture(self, run, tmp_path):
        picture = make_picture(tmp_path / "face.png")
        status, _, _ = run("track", picture, "--output", tmp_path / "out.jpg")
        assert status == 0
        assert cv2.imread(str(tmp_path / "out.jpg")).shape == (80, 96, 3)

    def test_a_folder_of_pictures(self, run, tmp_path):
        (tmp_path / "in").mkdir()
        for name in ("1.png", "2.png", "10.png"):
            make_picture(tmp_path / "in" / name)
        tracker = FakeTracker()
        results = tmp_path / "out.jsonl"
        status, _, _ = run(
            *("track", tmp_path / "in", "--output", tmp_path / "out", "--results", results),
            *("--fps", "10"),
            tracker=tracker,
        )
        assert status == 0
        assert [line["name"] for line in read_lines(results)] == ["1.png", "2.png", "10.png"]
        assert tracker.times == pytest.approx([0.0, 0.1, 0.2])
        assert len(list((tmp_path / "out").iterdir())) == 3

    def test_stills_are_looked_at_one_by_one(self, run, video, tmp_path):
        tracker = FakeTracker()
        run("track", video, "--stills", "--results", tmp_path / "out.jsonl", tracker=tracker)
        assert tracker.stills == 6
        assert tracker.frames == []
        assert read_lines(tmp_path / "out.jsonl")[5]["timestamp_s"] == pytest.approx(0.2)

    def test_options_reach_the_tracker(self, run, video, tmp_path):
        tracker = FakeTracker()
        run(
            *("track", video, "--backend", "onnx", "--models", tmp_path, "--max-faces", 3),
            *("--threads", 2, "--presence-threshold", 0.4, "--no-smoothing"),
            tracker=tracker,
        )
        backend, config, models_dir = tracker.made_with
        assert (backend, models_dir) == ("onnx", tmp_path)
        assert (config.max_faces, config.num_threads) == (3, 2)
        assert config.presence_threshold == 0.4
        assert config.smoothing is None
        assert config.color == "bgr"

    def test_defaults_are_the_trackers(self, run, video):
        tracker = FakeTracker()
        run("track", video, tracker=tracker)
        backend, config, models_dir = tracker.made_with
        assert (backend, models_dir) == ("auto", None)
        assert config == TrackerConfig(color="bgr")
        assert config.smoothing is not None

    @pytest.mark.parametrize("profile", ["fast", "balanced", "accurate"])
    def test_a_profile_is_the_trackers(self, run, video, profile):
        tracker = FakeTracker()
        run("track", video, "--profile", profile, tracker=tracker)
        assert tracker.made_with[1] == getattr(TrackerConfig, profile)(color="bgr")

    def test_options_go_before_the_profile(self, run, video):
        tracker = FakeTracker()
        given = ("--precision", "float32", "--tiles", 3, "--max-faces", 2, "--no-smoothing")
        run("track", video, "--profile", "fast", *given, tracker=tracker)
        assert tracker.made_with[1] == TrackerConfig.fast(
            color="bgr",
            precision="float32",
            max_faces=2,
            smoothing=None,
            detector=DetectorConfig(tiles=3),
        )
        run("track", video, "--profile", "accurate", "--tiles", 1, tracker=tracker)
        assert tracker.made_with[1] == TrackerConfig.accurate(
            color="bgr", detector=DetectorConfig()
        )

    @pytest.mark.parametrize("rotation", [0, 90, 180, 270])
    def test_frames_of_phones(self, run, video, rotation):
        tracker = FakeTracker()
        run("track", video, "--rotation", rotation, "--mirrored", tracker=tracker)
        config = tracker.made_with[1]
        assert (config.rotation_deg, config.mirrored) == (rotation, True)

    def test_quiet_says_nothing(self, run, video):
        assert run("track", video, "--quiet") == (0, "", "")

    def test_force_replaces_what_is_there(self, run, video, tmp_path):
        arguments = (
            "track",
            video,
            "--output",
            tmp_path / "o.mp4",
            "--results",
            tmp_path / "o.csv",
        )
        assert run(*arguments)[0] == 0
        assert run(*arguments)[0] == 2
        assert run(*arguments, "--force")[0] == 0
        assert count_frames(tmp_path / "o.mp4") == 6

    def test_a_video_cut_short_is_mentioned(self, run, video, monkeypatch):
        original = cv2.VideoCapture

        class Boastful:  # around a capture: OpenCV's own types cannot be derived from safely
            def __init__(self, location):
                self.capture = original(location)
                self.read, self.release = self.capture.read, self.capture.release

            def get(self, prop):
                return 1000.0 if prop == cv2.CAP_PROP_FRAME_COUNT else self.capture.get(prop)

        monkeypatch.setattr("atpn_mobile.video.cv2.VideoCapture", Boastful)
        status, _, stderr = run("track", video)
        assert status == 0
        assert "announces 1000 frames, 6 could be read" in stderr


class TestProgress:
    def test_without_a_terminal_a_line_every_hundred_frames(self, run, tmp_path):
        _, _, stderr = run("track", make_video(tmp_path / "long.mp4", frames=205))
        lines = stderr.splitlines()
        assert len(lines) == 2
        assert "100/205 frames" in lines[0]
        assert "200/205 frames" in lines[1]

    def test_on_a_terminal_one_line_is_rewritten(self, run, video, monkeypatch):
        terminal = io.StringIO()
        monkeypatch.setattr(terminal, "isatty", lambda: True)
        monkeypatch.setattr(sys, "stderr", terminal)
        run("track", video)
        text = terminal.getvalue()
        assert text.count("\n") == 1
        assert text.endswith("\n")
        assert "100 %  6/6 frames" in text.rpartition("\r")[2]
        assert "1 face" in text


@pytest.fixture
def _interruptible():
    """A process started in the background of a shell ignores SIGINT, and so would the command."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
class TestInterruption:
    def check_files(self, tmp_path, frames):
        assert count_frames(tmp_path / "out.mp4") == frames
        assert [line["frame"] for line in read_lines(tmp_path / "out.jsonl")] == list(range(frames))
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "clip.mp4",
            "out.jsonl",
            "out.mp4",
        ]

    def arguments(self, video, tmp_path):
        output, results = tmp_path / "out.mp4", tmp_path / "out.jsonl"
        return ("track", video, "--output", output, "--results", results)

    def test_what_was_done_is_kept_whole(self, run, video, tmp_path):
        tracker = FakeTracker(3, interrupt)
        status, stdout, stderr = run(*self.arguments(video, tmp_path), tracker=tracker)
        assert status == 130
        self.check_files(tmp_path, frames=3)
        assert tracker.closed
        assert "interrupted" in stdout
        assert "Traceback" not in stderr

    def test_before_the_first_frame_no_video_is_left(self, run, video, tmp_path):
        status, _, _ = run(*self.arguments(video, tmp_path), tracker=FakeTracker(0, interrupt))
        assert status == 130
        assert not (tmp_path / "out.mp4").exists()
        assert not (tmp_path / "out.jsonl").exists()

    @pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
    def test_before_the_first_frame_earlier_files_stay(self, run, video, tmp_path, suffix):
        output, results = tmp_path / "out.mp4", tmp_path / f"out{suffix}"
        for path in (output, results):
            path.write_text("earlier")
        status, _, _ = run(
            *("track", video, "--output", output, "--results", results, "--force"),
            tracker=FakeTracker(0, interrupt),
        )
        assert status == 130
        assert [path.read_text() for path in (output, results)] == ["earlier"] * 2

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_lets_the_frame_be_finished(self, run, video, tmp_path, number):
        before = [signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)]
        tracker = FakeTracker(3, lambda: signal.raise_signal(number))
        status, _, _ = run(*self.arguments(video, tmp_path), tracker=tracker)
        assert status == 130
        self.check_files(tmp_path, frames=4)
        assert [signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)] == before

    def test_a_second_signal_does_not_wait(self, run, video, tmp_path):
        def twice():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

        status, _, _ = run(*self.arguments(video, tmp_path), tracker=FakeTracker(3, twice))
        assert status == 130
        self.check_files(tmp_path, frames=3)

    def test_what_the_caller_ignores_stays_ignored(self, run, video, tmp_path):
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            tracker = FakeTracker(3, lambda: signal.raise_signal(signal.SIGINT))
            status, _, _ = run(*self.arguments(video, tmp_path), tracker=tracker)
        finally:
            signal.signal(signal.SIGINT, before)
        assert status == 0
        self.check_files(tmp_path, frames=6)

    def test_it_runs_outside_the_main_thread(self, run, video, tmp_path):
        statuses = []
        arguments = self.arguments(video, tmp_path)
        thread = threading.Thread(target=lambda: statuses.append(run(*arguments)[0]))
        thread.start()
        thread.join()
        assert statuses == [0]

    def test_an_error_leaves_whole_lines_and_no_video(self, run, video, tmp_path):
        tracker = FakeTracker(3, fail)
        status, _, stderr = run(*self.arguments(video, tmp_path), tracker=tracker)
        assert status == 2
        assert stderr == "atpn: error: expected something else\n"
        assert not (tmp_path / "out.mp4").exists()
        assert len(read_lines(tmp_path / "out.jsonl")) == 3
        assert tracker.closed


class TestShow:
    @pytest.fixture
    def window(self, monkeypatch):
        """A window that is told to end after so many answers."""

        class FakeWindow:
            shown, answers, closed = 0, 2, False

            def __init__(self, title):
                self.title = title

            def __enter__(self):
                return self

            def __exit__(self, *_):
                FakeWindow.closed = True

            def show(self, frame):
                FakeWindow.shown += 1
                return self.poll()

            def poll(self, wait_ms=1):
                FakeWindow.answers -= 1
                return FakeWindow.answers >= 0

        monkeypatch.setattr(cli, "Window", FakeWindow)
        monkeypatch.setattr(cli, "check_display", lambda: None)
        return FakeWindow

    def test_the_user_can_end_the_run(self, run, video, tmp_path, window):
        output = tmp_path / "out.mp4"
        status, stdout, stderr = run("track", video, "--show", "--output", output, "--json")
        assert status == 0
        assert window.shown == 3
        assert window.closed
        assert count_frames(output) == 3
        assert json.loads(stdout)["frames"] == 3
        assert "announces" not in stderr  # ended on purpose: nothing is missing

    def test_a_picture_stays_until_the_user_has_seen_it(self, run, tmp_path, window):
        status, _, _ = run("track", make_picture(tmp_path / "face.png"), "--show")
        assert status == 0
        assert window.shown == 1
        assert window.answers == -1  # asked until it said stop

    def test_no_windows_is_known_before_anything_starts(self, run, video, tmp_path, monkeypatch):
        monkeypatch.setattr("atpn_mobile.video.cv2.currentUIFramework", lambda: "")
        tracker = FakeTracker()
        status, _, stderr = run(
            "track", video, "--show", "--output", tmp_path / "out.mp4", tracker=tracker
        )
        assert status == 2
        assert "pip install opencv-python" in stderr
        assert tracker.made_with is None
        assert not (tmp_path / "out.mp4").exists()


class TestBadInput:
    """Every one ends with status 2, one line on stderr, and nothing made or destroyed."""

    @pytest.fixture
    def refused(self, run, tmp_path):
        def check(*arguments, match, tracker=None):
            before = {path: path.stat().st_size for path in tmp_path.rglob("*")}
            status, stdout, stderr = run(*arguments, tracker=tracker)
            assert status == 2
            assert stdout == ""
            assert stderr.startswith("atpn: error: ")
            assert stderr.count("\n") == 1
            assert match in stderr
            assert {path: path.stat().st_size for path in tmp_path.rglob("*")} == before

        return check

    @pytest.fixture
    def refused_early(self, refused):
        """Refused before a model is loaded."""

        def check(*arguments, match):
            tracker = FakeTracker()
            refused(*arguments, match=match, tracker=tracker)
            assert tracker.made_with is None

        return check

    def test_no_such_input(self, refused, tmp_path):
        refused("track", tmp_path / "nowhere.mp4", match="nowhere.mp4")

    def test_no_video(self, refused, tmp_path):
        (tmp_path / "clip.mp4").write_text("text")
        refused("track", tmp_path / "clip.mp4", match="clip.mp4 is neither")

    def test_an_empty_folder(self, refused, tmp_path):
        refused("track", tmp_path, match="expected pictures")

    def test_output_of_an_unknown_kind(self, refused_early, video, tmp_path):
        refused_early(
            "track", video, "--output", tmp_path / "out.wmv", match=".mp4, .mov, .mkv, .avi"
        )

    def test_results_of_an_unknown_kind(self, refused_early, video, tmp_path):
        refused_early("track", video, "--results", tmp_path / "out.xml", match=".jsonl or .csv")

    def test_output_over_input(self, refused_early, video):
        refused_early("track", video, "--output", video, "--force", match="other than the input")

    def test_results_over_input(self, refused_early, tmp_path):
        clip = make_video(tmp_path / "clip.mp4").rename(tmp_path / "clip.csv")
        refused_early("track", clip, "--results", clip, "--force", match="other than the input")

    def test_output_exists(self, refused_early, video, tmp_path):
        (tmp_path / "out.mp4").write_text("precious")
        refused_early("track", video, "--output", tmp_path / "out.mp4", match="--force")

    def test_results_exist(self, refused, video, tmp_path):
        (tmp_path / "out.csv").write_text("precious")
        output = tmp_path / "out.mp4"
        arguments = ("--output", output, "--results", tmp_path / "out.csv")
        refused("track", video, *arguments, match="--force")

    def test_output_and_results_are_one(self, refused, tmp_path):
        picture = make_picture(tmp_path / "face.png")
        path = tmp_path / "out.csv"
        refused("track", picture, "--output", path, "--results", path, match="different")

    @pytest.mark.parametrize(
        "option",
        [("--max-faces", 0), ("--presence-threshold", 1.5), ("--threads", 0), ("--tiles", 0)],
    )
    def test_an_option_outside_its_range(self, refused, video, option):
        refused("track", video, *option, match=option[0].strip("-").split("-")[-1])

    def test_an_engine_that_is_not_there(self, refused, video, tmp_path):
        def unavailable(backend, config, models_dir):
            raise BackendUnavailableError(f"expected {backend} to be installed")

        arguments = ("--backend", "onnx", "--output", tmp_path / "out.mp4")
        refused("track", video, *arguments, match="expected onnx", tracker=unavailable)

    def test_models_that_are_not_there(self, refused, video, tmp_path):
        refused(
            *("track", video, "--models", tmp_path / "nowhere"),
            match="nowhere",
            tracker=cli.make_tracker,
        )

    def test_results_that_cannot_be_written(self, run, video, tmp_path):
        # The folder is a file: an error of the operating system, not one of ours.
        (tmp_path / "blocked").write_text("")
        output = tmp_path / "out.mp4"
        status, _, stderr = run(
            *("track", video, "--output", output, "--results", tmp_path / "blocked" / "out.csv")
        )
        assert status == 2
        assert stderr.count("\n") == 1
        assert not output.exists()

    def test_an_unreadable_picture_among_others_is_named(self, run, tmp_path):
        make_picture(tmp_path / "1.png")
        (tmp_path / "2.png").write_text("no picture")
        status, _, stderr = run("track", tmp_path)
        assert status == 2
        assert "2.png" in stderr
        assert stderr.count("\n") == 1

    def test_pictures_of_two_sizes_make_no_video(self, run, tmp_path):
        (tmp_path / "in").mkdir()
        make_picture(tmp_path / "in" / "1.png")
        make_picture(tmp_path / "in" / "2.png", size=(40, 30))
        status, _, stderr = run("track", tmp_path / "in", "--output", tmp_path / "out.mp4")
        assert status == 2
        assert "2.png has 40x30" in stderr
        assert not (tmp_path / "out.mp4").exists()

    def test_the_choice_of_engines_is_the_registry(self, capsys):
        with pytest.raises(SystemExit):
            cli.main(["track", "--help"])
        choices = ",".join(("auto", *(engine.name for engine in engines())))
        assert f"--backend {{{choices}}}" in capsys.readouterr().out

    @pytest.mark.parametrize(
        "arguments",
        [
            (),
            ("track",),
            ("fly",),
            ("track", "x", "--backend", "abacus"),
            ("track", "x", "--fps", "a"),
            ("track", "x", "--rotation", "45"),
            ("track", "x", "--profile", "best"),
        ],
    )
    def test_bad_usage(self, arguments, capsys):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 2
        assert "usage: atpn" in capsys.readouterr().err


class TestInfo:
    def test_a_folder_without_models(self, run, tmp_path):
        status, stdout, _ = run("info", "--models", tmp_path)
        assert status == 2
        assert "error: expected a manifest" in stdout
        status, stdout, _ = run("info", "--models", tmp_path, "--json")
        assert status == 2
        assert json.loads(stdout)["intact"] is False

    def test_intact_models_end_well(self, run, monkeypatch):
        report = {"intact": True, "version": "1"}
        monkeypatch.setattr(cli, "collect_info", lambda models_dir: report)
        status, stdout, _ = run("info", "--json")
        assert (status, json.loads(stdout)) == (0, report)


class TestProcess:
    """As a user starts it: a process of its own."""

    def start(self, *arguments):
        return subprocess.run(
            [sys.executable, "-m", "atpn_mobile", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={**os.environ, "OPENCV_LOG_LEVEL": "INFO"},
        )

    def start_unread(self, tmp_path, *arguments, unread, frames=205):
        """Track a video by a fake tracker, with nobody who reads some of the streams."""
        make_video(tmp_path / "clip.mp4", frames=frames)
        code = (
            "import sys\n"
            "from atpn_mobile import cli\n"
            "from atpn_mobile.types import TrackResult\n"
            "class Tracker:\n"
            "    def track(self, frame, timestamp_s): return TrackResult((), timestamp_s)\n"
            "    def close(self): pass\n"
            "sys.exit(cli.main(sys.argv[1:], tracker_factory=lambda *_: Tracker()))\n"
        )
        reader, writer = os.pipe()
        os.close(reader)
        try:
            streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            return subprocess.run(
                [sys.executable, "-c", code, "track", str(tmp_path / "clip.mp4"), *arguments],
                text=True,
                check=False,
                timeout=120,
                **{**streams, **dict.fromkeys(unread, writer)},
            )
        finally:
            os.close(writer)

    def test_a_summary_that_nobody_reads_is_no_error(self, tmp_path):
        process = self.start_unread(tmp_path, unread=["stdout"], frames=3)
        assert (process.returncode, process.stderr) == (0, "")

    @pytest.mark.parametrize("unread", [["stderr"], ["stdout", "stderr"]])
    def test_progress_that_nobody_reads_costs_no_video(self, tmp_path, unread):
        output = tmp_path / "out.mp4"
        process = self.start_unread(tmp_path, "--output", str(output), unread=unread)
        assert process.returncode == 0
        assert count_frames(output) == 205

    def test_an_error_that_nobody_reads_is_still_one(self, tmp_path):
        output = tmp_path / "out.wmv"
        process = self.start_unread(tmp_path, "--output", str(output), unread=["stderr"], frames=3)
        assert process.returncode == 2

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    def test_results_that_nobody_reads_any_more_are_an_error(self, tmp_path):
        pipe = tmp_path / "out.jsonl"
        os.mkfifo(pipe)

        def read_a_little():
            with pipe.open("rb", buffering=0) as reading:
                reading.read(1)

        threading.Thread(target=read_a_little, daemon=True).start()
        # More lines than a pipe holds, so that the last cannot be written before the reader goes.
        process = self.start_unread(
            tmp_path, "--results", str(pipe), "--force", "--quiet", unread=[], frames=800
        )
        assert process.returncode == 2
        assert "Broken pipe" in process.stderr

    def start_slow(self, tmp_path, *arguments):
        """Track by a fake tracker that takes its time; returns when some frames are written."""
        make_video(tmp_path / "clip.mp4", frames=400)
        results = tmp_path / "out.jsonl"
        code = (
            "import signal, sys, time\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # as at a terminal
            "from atpn_mobile import cli\n"
            "from atpn_mobile.types import TrackResult\n"
            "class Tracker:\n"
            "    def track(self, frame, timestamp_s):\n"
            "        time.sleep(0.02)\n"
            "        return TrackResult((), timestamp_s)\n"
            "    def close(self): pass\n"
            "sys.exit(cli.main(sys.argv[1:], tracker_factory=lambda *_: Tracker()))\n"
        )
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", code, "track", str(tmp_path / "clip.mp4")),
                *("--results", str(results), "--output", str(tmp_path / "out.mp4"), "--quiet"),
                *arguments,
            ]
        )
        while process.poll() is None and not (
            results.exists() and results.read_text().startswith("{")  # no longer an earlier file
        ):
            time.sleep(0.01)
        return process

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_process_that_is_asked_to_end_leaves_what_it_did(self, tmp_path, number):
        process = self.start_slow(tmp_path)
        process.send_signal(number)
        assert process.wait(60) == 130
        done = [line["frame"] for line in read_lines(tmp_path / "out.jsonl")]
        assert done == list(range(len(done)))
        assert 0 < len(done) < 400
        assert count_frames(tmp_path / "out.mp4") == len(done)
        assert len(list(tmp_path.iterdir())) == 3

    def test_a_process_that_is_killed_leaves_whole_lines_and_no_video(self, tmp_path):
        (tmp_path / "out.mp4").write_text("earlier")
        (tmp_path / "out.jsonl").write_text("earlier")
        process = self.start_slow(tmp_path, "--force")
        process.kill()
        process.wait(60)
        done = [line["frame"] for line in read_lines(tmp_path / "out.jsonl")]
        assert done == list(range(len(done)))
        assert 0 < len(done) < 400
        # What was not finished does not stand in the place of what is.
        assert (tmp_path / "out.mp4").read_text() == "earlier"
        (partial,) = {path.name for path in tmp_path.iterdir()} - {
            *("clip.mp4", "out.mp4", "out.jsonl")
        }
        assert partial.startswith(".")
        assert ".partial" in partial

    def test_version(self):
        process = self.start("--version")
        assert process.returncode == 0
        assert process.stdout.startswith("atpn ")

    def test_one_line_and_nothing_from_opencv_or_ffmpeg(self, tmp_path):
        path = make_video(tmp_path / "clip.mp4")
        path.write_bytes(path.read_bytes()[:300])
        process = self.start("track", path)
        assert process.returncode == 2
        assert process.stdout == ""
        assert process.stderr.splitlines() == [
            f"atpn: error: expected a video or picture, {path} is neither, or has no readable frame"
        ]
