"""The examples run: each on a few frames of the rendered clips, with the networks that ship."""

import csv
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest

from atpn_mobile.backends import available_backends

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
CLIP = ROOT / "assets" / "clips" / "synthetic_pair.mp4"
FRAMES = 12

pytestmark = pytest.mark.skipif(not available_backends(), reason="no engine is installed")


def run(script, *arguments):
    """Run an example as a user does."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        environment.pop(name, None)
    return subprocess.run(
        [sys.executable, str(EXAMPLES / script), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment,
    )


@pytest.fixture(scope="module")
def frames():
    capture = cv2.VideoCapture(str(CLIP))
    read = [capture.read()[1] for _ in range(FRAMES)]
    capture.release()
    return read


@pytest.fixture(scope="module")
def videos(tmp_path_factory, frames):
    """A folder with two short videos, a broken one and something else."""
    folder = tmp_path_factory.mktemp("videos")
    height, width = frames[0].shape[:2]
    for name in ("a.mp4", "b.mp4"):
        writer = cv2.VideoWriter(
            str(folder / name), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (width, height)
        )
        for frame in frames:
            writer.write(frame)
        writer.release()
    (folder / "broken.mp4").write_bytes(b"no video")
    (folder / "notes.txt").write_text("not a video either")
    return folder


@pytest.fixture
def example(monkeypatch):
    """Import examples as their folder's scripts do one another."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    names = [path.stem for path in EXAMPLES.glob("*.py")]
    yield __import__
    for name in names:
        sys.modules.pop(name, None)


def check_results(path):
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(records) == FRAMES
    assert all(len(record["faces"]) == 2 for record in records)


class TestWebcam:
    def test_lines_instead_of_a_window(self, videos):
        done = run("webcam.py", videos / "a.mp4", "--text")
        assert done.returncode == 0
        last = done.stdout.splitlines()[-1]
        assert last.split()[0] == f"{(FRAMES - 1) / 25.0:.2f}"  # the last frame is never dropped
        assert "yaw" in last
        tracked, dropped = (int(word) for word in done.stderr.split() if word.isdigit())
        assert tracked == len(done.stdout.splitlines())
        assert tracked + dropped == FRAMES

    def test_without_a_display_it_says_what_to_do(self, videos):
        done = run("webcam.py", videos / "a.mp4")
        assert done.returncode == 2
        assert "cannot open a window" in done.stderr
        assert "--text" in done.stderr
        assert "Traceback" not in done.stderr

    def test_frames_are_shown_with_the_newest_result(self, monkeypatch, example, videos):
        webcam = example("webcam")
        shown = []

        class FakeWindow:
            def __init__(self, title):
                pass

            def __enter__(self):
                return self

            def __exit__(self, *error):
                pass

            def show(self, frame):
                shown.append(frame.copy())
                return len(shown) < 5

        monkeypatch.setattr(webcam, "Window", FakeWindow)
        monkeypatch.setattr(webcam, "check_display", lambda: None)
        assert webcam.main([str(videos / "a.mp4")]) == 0
        assert len(shown) == 5  # the window was closed then


class TestFolderOfVideos:
    def test_every_video_once_and_the_broken_one_is_told(self, tmp_path, videos):
        done = run("folder_of_videos.py", videos, tmp_path, "--processes", 1)
        assert done.returncode == 1
        assert "a.mp4: done" in done.stdout
        assert "broken.mp4: expected a video" in done.stdout
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4.jsonl", "b.mp4.jsonl"]
        check_results(tmp_path / "a.mp4.jsonl")

    def test_what_is_there_is_not_done_again(self, tmp_path, example, videos):
        folder_of_videos = example("folder_of_videos")
        (tmp_path / "a.mp4.jsonl").write_text("{}\n")
        (tmp_path / ".b.mp4.1.partial.jsonl").write_text("cut off\n")
        pending = folder_of_videos.pending_videos(videos, tmp_path)
        assert [video.name for video, _ in pending] == ["b.mp4", "broken.mp4"]

    def test_an_interrupted_video_leaves_no_results(self, tmp_path, monkeypatch, example, videos):
        folder_of_videos = example("folder_of_videos")

        class Interrupted:
            def __init__(self, **options):
                self.frames = 0

            def __enter__(self):
                return self

            def __exit__(self, *error):
                pass

            def track(self, frame, timestamp_s):
                raise KeyboardInterrupt

        monkeypatch.setattr(folder_of_videos, "FaceTracker", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            folder_of_videos.track_video(videos / "a.mp4", tmp_path / "a.mp4.jsonl")
        assert list(tmp_path.iterdir()) == []


class FakeRay(types.ModuleType):
    """Ray as far as the example uses it; tasks run at once, results are handed out one by one."""

    def __init__(self):
        super().__init__("ray")
        self.options = {}
        self.is_open = False

    def init(self, **options):
        self.options, self.is_open = options, True

    def shutdown(self):
        self.is_open = False

    def remote(self, **resources):
        assert resources == {"num_cpus": 1}
        return lambda function: types.SimpleNamespace(
            remote=lambda *arguments: (function(*arguments), *arguments)
        )

    def wait(self, jobs):
        return jobs[:1], jobs[1:]

    def get(self, job):
        return job[0]


class TestRayCluster:
    def test_every_video_is_a_task(self, tmp_path, monkeypatch, capsys, example, videos):
        ray = FakeRay()
        monkeypatch.setitem(sys.modules, "ray", ray)
        cluster = example("ray_cluster")
        assert cluster.main([str(videos), str(tmp_path), "--address", "auto"]) == 1
        assert ray.options["address"] == "auto"
        assert ray.options["runtime_env"] == {"working_dir": str(EXAMPLES)}
        assert not ray.is_open
        said = capsys.readouterr().out.splitlines()
        assert said[:2] == ["a.mp4: done", "b.mp4: done"]
        assert said[2].startswith("broken.mp4: expected")
        check_results(tmp_path / "b.mp4.jsonl")

    def test_without_ray_it_says_how_to_get_it(self, tmp_path, monkeypatch, capsys, example):
        monkeypatch.setitem(sys.modules, "ray", None)
        assert example("ray_cluster").main([str(tmp_path), str(tmp_path)]) == 2
        assert 'pip install "atpn-mobile[ray]"' in capsys.readouterr().err


class TestFacesInPictures:
    def test_a_picture_is_drawn_and_described(self, tmp_path, frames):
        picture = tmp_path / "two.png"
        cv2.imwrite(str(picture), frames[0])
        done = run("faces_in_pictures.py", picture, tmp_path / "drawn")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("two.png: 2 faces\n")
        drawn = cv2.imread(str(tmp_path / "drawn" / "two.png"))
        assert drawn.shape == frames[0].shape
        assert (drawn != frames[0]).any()

    def test_a_broken_picture_is_told(self, tmp_path, capsys, example):
        (tmp_path / "broken.png").write_bytes(b"no picture")
        assert example("faces_in_pictures").main([str(tmp_path), str(tmp_path / "drawn")]) == 2
        assert "broken.png" in capsys.readouterr().err


class TestExpressionsOverTime:
    def test_a_row_per_frame(self, tmp_path, videos):
        table = tmp_path / "expressions.csv"
        done = run("expressions_over_time.py", videos / "a.mp4", table)
        assert (done.returncode, done.stderr) == (0, "")
        with table.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [float(row["timestamp_s"]) for row in rows] == pytest.approx(
            np.arange(FRAMES) / 25.0
        )
        widths = [float(row["mouth_width"]) for row in rows]
        changes = [float(row["mouth_width_change"]) for row in rows]
        assert 0.4 < min(widths) <= max(widths) < 0.8
        assert np.median(changes) == pytest.approx(0.0, abs=1e-4)
        assert np.ptp(changes) == pytest.approx(np.ptp(widths), abs=2e-4)

    def test_a_broken_video_is_told(self, tmp_path, capsys, example, videos):
        main = example("expressions_over_time").main
        assert main([str(videos / "broken.mp4"), str(tmp_path / "t.csv")]) == 2
        assert "broken.mp4" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []


def test_every_example_is_short_and_in_the_list():
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in sorted(EXAMPLES.glob("*.py")):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 80, path.name
        assert f"]({path.name})" in listed
