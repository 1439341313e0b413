"""Frames come in with their order and times; outputs are whole or absent; errors say why."""

import math
import os
import sys

import cv2
import numpy as np
import pytest

from atpn_mobile.errors import VideoError
from atpn_mobile.video import (
    VIDEO_CODECS,
    SourceFrame,
    VideoFileWriter,
    Window,
    check_display,
    list_pictures,
    open_source,
    open_writer,
    read_picture,
    write_picture,
)


def shade(index):
    """Brightness of frame ``index``: survives lossy codecs, tells frames apart."""
    return 20 + 20 * index


def make_video(path, frames=5, fps=25.0, size=(64, 48)):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
    assert writer.isOpened()
    for index in range(frames):
        writer.write(np.full((size[1], size[0], 3), shade(index), np.uint8))
    writer.release()
    return path


def make_picture(path, value=100, size=(64, 48)):
    assert cv2.imwrite(str(path), np.full((size[1], size[0], 3), value, np.uint8))
    return path


def make_frame(value=100, size=(64, 48), name=None):
    return SourceFrame(np.full((size[1], size[0], 3), value, np.uint8), 0.0, name)


def shades(path):
    with open_source(path) as source:
        return [float(frame.image.mean()) for frame in source]


@pytest.fixture
def no_camera(monkeypatch):
    """A machine without cameras, whatever this one has."""

    class ClosedCapture:
        def __init__(self, location):
            self.location = location

        def read(self):
            return False, None

        def release(self):
            pass

    monkeypatch.setattr("atpn_mobile.video.cv2.VideoCapture", ClosedCapture)


@pytest.fixture
def camera(monkeypatch):
    """A camera that delivers three frames and is then unplugged; gives its released flag."""
    state = {"released": False, "left": 3}

    class Capture:
        def __init__(self, location):
            assert location == 2

        def read(self):
            if state["left"] == 0:
                return False, None
            state["left"] -= 1
            return True, np.full((48, 64, 3), state["left"], np.uint8)

        def get(self, prop):
            return {cv2.CAP_PROP_FPS: math.nan}[prop]

        def release(self):
            state["released"] = True

    monkeypatch.setattr("atpn_mobile.video.cv2.VideoCapture", Capture)
    return state


class TestVideoFile:
    def test_frames_come_in_order_with_their_times(self, tmp_path):
        with open_source(make_video(tmp_path / "clip.mp4", frames=5, fps=20.0)) as source:
            assert (source.kind, source.length, source.size) == ("video", 5, (64, 48))
            assert source.fps == pytest.approx(20.0)
            frames = list(source)
        assert [frame.timestamp_s for frame in frames] == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
        assert [frame.image.mean() for frame in frames] == pytest.approx(
            [shade(index) for index in range(5)], abs=6.0
        )
        assert all(frame.image.shape == (48, 64, 3) for frame in frames)
        assert all(frame.image.dtype == np.uint8 for frame in frames)
        assert {frame.name for frame in frames} == {None}

    def test_times_grow_where_the_file_has_none(self, tmp_path, monkeypatch):
        path = make_video(tmp_path / "clip.mp4", frames=4, fps=20.0)

        class Timeless:
            def __init__(self, location):
                self.capture = original(location)
                self.read, self.release = self.capture.read, self.capture.release

            def get(self, prop):
                return 0.0 if prop == cv2.CAP_PROP_POS_MSEC else self.capture.get(prop)

        original = cv2.VideoCapture
        monkeypatch.setattr("atpn_mobile.video.cv2.VideoCapture", Timeless)
        with open_source(path) as source:
            assert [frame.timestamp_s for frame in source] == pytest.approx([0, 0.05, 0.1, 0.15])

    def test_a_video_is_known_by_its_content(self, tmp_path):
        path = make_video(tmp_path / "clip.mp4").rename(tmp_path / "clip.png")
        with open_source(path) as source:
            assert source.kind == "video"

    def test_an_animation_is_a_video(self, tmp_path):
        gif = (  # two frames of 2x2 pixels
            b"GIF89a\x02\x00\x02\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00"
            + 2
            * (
                b"!\xf9\x04\x00\x0a\x00\x00\x00"
                b",\x00\x00\x00\x00\x02\x00\x02\x00\x00\x02\x03\x84\x51\x05\x00"
            )
            + b";"
        )
        (tmp_path / "moving.gif").write_bytes(gif)
        with open_source(tmp_path / "moving.gif") as source:
            assert source.kind == "video"

    @pytest.mark.parametrize(
        "content", [b"", b"hello, this is text\n" * 50, bytes(range(256)) * 20], ids=len
    )
    def test_what_is_no_video_is_refused(self, tmp_path, content):
        path = tmp_path / "clip.mp4"
        path.write_bytes(content)
        with pytest.raises(VideoError, match=r"clip\.mp4 is neither"):
            open_source(path)

    def test_a_video_cut_off_in_its_header_is_refused(self, tmp_path):
        path = make_video(tmp_path / "clip.mp4")
        path.write_bytes(path.read_bytes()[:200])
        with pytest.raises(VideoError, match="no readable frame"):
            open_source(path)

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(VideoError, match=r"found no .*nowhere\.mp4"):
            open_source(tmp_path / "nowhere.mp4")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
    def test_a_pipe_is_refused_and_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.mp4")
        with pytest.raises(VideoError, match="expected a file or folder"):
            open_source(tmp_path / "pipe.mp4")

    def test_a_closed_source_can_be_closed_again(self, tmp_path):
        source = open_source(make_video(tmp_path / "clip.mp4"))
        source.close()
        source.close()


class TestPictures:
    def test_one_picture(self, tmp_path):
        with open_source(make_picture(tmp_path / "face.png", 77)) as source:
            assert (source.kind, source.length, source.size) == ("picture", 1, (64, 48))
            (frame,) = source
        assert frame.name == "face.png"
        assert frame.timestamp_s == 0.0
        assert (frame.image == 77).all()

    def test_a_picture_is_known_by_its_content(self, tmp_path):
        path = make_picture(tmp_path / "face.png").rename(tmp_path / "face.mp4")
        with open_source(path) as source:
            assert source.kind == "picture"

    @pytest.mark.parametrize(
        "pixels",
        [
            np.full((8, 6), 50, np.uint8),  # grey
            np.full((8, 6, 4), 50, np.uint8),  # with alpha
            np.full((8, 6, 3), 50 * 257, np.uint16),  # 16 bits
        ],
        ids=["grey", "alpha", "16 bits"],
    )
    def test_every_kind_of_picture_becomes_bgr_of_8_bits(self, tmp_path, pixels):
        assert cv2.imwrite(str(tmp_path / "picture.png"), pixels)
        picture = read_picture(tmp_path / "picture.png")
        assert (picture.shape, picture.dtype) == ((8, 6, 3), np.uint8)
        assert (picture == 50).all()

    def test_a_folder_is_read_in_natural_order(self, tmp_path):
        for name in ("10.png", "2.png", "1.png"):
            make_picture(tmp_path / name, int(name.partition(".")[0]))
        (tmp_path / "notes.txt").write_text("no picture")
        (tmp_path / "._1.png").write_text("hidden, and no picture")
        (tmp_path / "0.png").mkdir()
        with open_source(tmp_path, fps=10.0) as source:
            assert (source.kind, source.length, source.fps) == ("folder", 3, 10.0)
            frames = list(source)
        assert [frame.name for frame in frames] == ["1.png", "2.png", "10.png"]
        assert [frame.image[0, 0, 0] for frame in frames] == [1, 2, 10]
        assert [frame.timestamp_s for frame in frames] == pytest.approx([0.0, 0.1, 0.2])

    def test_names_without_and_with_numbers_sort_together(self, tmp_path):
        for name in ("b.png", "a10.png", "a9.png", "7.png", "B2.png"):
            make_picture(tmp_path / name)
        names = [path.name for path in list_pictures(tmp_path)]
        assert names == ["7.png", "a9.png", "a10.png", "B2.png", "b.png"]

    def test_an_empty_folder_is_refused(self, tmp_path):
        with pytest.raises(VideoError, match=r"expected pictures .*found none"):
            open_source(tmp_path)

    def test_an_unreadable_picture_in_a_folder_is_named(self, tmp_path):
        make_picture(tmp_path / "1.png")
        (tmp_path / "2.png").write_bytes(b"not a picture")
        with open_source(tmp_path) as source, pytest.raises(VideoError, match=r"2\.png"):
            list(source)

    def test_an_empty_picture_file_in_a_folder_is_named(self, tmp_path):
        (tmp_path / "1.png").write_bytes(b"")
        with pytest.raises(VideoError, match=r"1\.png"):
            open_source(tmp_path)

    def test_a_picture_cut_off_is_refused(self, tmp_path):
        path = make_picture(tmp_path / "face.png")
        path.write_bytes(path.read_bytes()[:40])
        with pytest.raises(VideoError, match=r"face\.png"):
            open_source(path)

    @pytest.mark.parametrize("fps", [0.0, -1.0, math.nan, math.inf])
    def test_a_frame_rate_that_is_none_is_refused(self, tmp_path, fps):
        make_picture(tmp_path / "1.png")
        with pytest.raises(VideoError, match="frames per second"):
            open_source(tmp_path, fps=fps)

    def test_writing_is_lossless_as_png_and_leaves_nothing_else(self, tmp_path):
        picture = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
        write_picture(tmp_path / "out.png", picture)
        np.testing.assert_array_equal(read_picture(tmp_path / "out.png"), picture)
        assert [path.name for path in tmp_path.iterdir()] == ["out.png"]

    def test_a_format_that_cannot_be_encoded_is_named(self, tmp_path):
        with pytest.raises(VideoError, match=r"\.xyz"):
            write_picture(tmp_path / "out.xyz", make_frame().image)
        assert list(tmp_path.iterdir()) == []


class TestCamera:
    @pytest.mark.parametrize("location", [0, "0", "17"])
    def test_a_camera_that_is_not_there(self, no_camera, location):
        with pytest.raises(VideoError, match=f"camera at index {location}"):
            open_source(location)

    def test_frames_come_until_the_camera_ends(self, camera):
        with open_source("2") as source:
            assert (source.kind, source.path, source.length) == ("camera", None, None)
            assert source.fps == 25.0  # it says nothing usable about its own
            frames = list(source)
        assert [frame.image[0, 0, 0] for frame in frames] == [2, 1, 0]
        times = [frame.timestamp_s for frame in frames]
        assert times[0] >= 0.0
        assert times == sorted(times)
        assert camera["released"]

    def test_a_file_named_like_a_camera_is_reached_by_a_path(self, tmp_path, monkeypatch):
        make_picture(tmp_path / "0.png").rename(tmp_path / "0")
        monkeypatch.chdir(tmp_path)
        with open_source("./0") as source:
            assert source.kind == "picture"


class TestVideoWriter:
    @pytest.mark.parametrize("suffix", sorted(VIDEO_CODECS))
    def test_what_was_written_can_be_played(self, tmp_path, suffix):
        path = tmp_path / "made" / f"out{suffix}"
        with VideoFileWriter(path, 25.0, (64, 48)) as writer:
            for index in range(4):
                writer.write(make_frame(shade(index)))
        assert shades(path) == pytest.approx([shade(index) for index in range(4)], abs=6.0)
        assert [file.name for file in path.parent.iterdir()] == [path.name]

    def test_the_output_appears_only_when_it_is_finished(self, tmp_path):
        path = tmp_path / "out.mp4"
        path.write_bytes(b"the old one")
        with VideoFileWriter(path, 25.0, (64, 48)) as writer:
            writer.write(make_frame())
            assert path.read_bytes() == b"the old one"
        assert len(shades(path)) == 1

    def test_an_interruption_keeps_a_playable_video(self, tmp_path):
        path = tmp_path / "out.mp4"

        def run():
            with VideoFileWriter(path, 25.0, (64, 48)) as writer:
                for index in range(3):
                    writer.write(make_frame(shade(index)))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run()
        assert len(shades(path)) == 3
        assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]

    def test_an_interruption_before_the_first_frame_leaves_nothing(self, tmp_path):
        with (
            pytest.raises(KeyboardInterrupt),
            VideoFileWriter(tmp_path / "out.mp4", 25.0, (64, 48)),
        ):
            raise KeyboardInterrupt
        assert list(tmp_path.iterdir()) == []

    def test_an_error_leaves_nothing(self, tmp_path):
        def run():
            with VideoFileWriter(tmp_path / "out.mp4", 25.0, (64, 48)) as writer:
                writer.write(make_frame())
                raise VideoError("no more")

        with pytest.raises(VideoError, match="no more"):
            run()
        assert list(tmp_path.iterdir()) == []

    def test_a_frame_of_another_size_is_refused_by_name(self, tmp_path):
        with VideoFileWriter(tmp_path / "out.mp4", 25.0, (64, 48)) as writer:
            writer.write(make_frame())
            with pytest.raises(VideoError, match=r"64x48 .*b\.png has 32x24"):
                writer.write(make_frame(size=(32, 24), name="b.png"))

    def test_a_video_that_cannot_be_opened_is_refused(self, tmp_path):
        with pytest.raises(VideoError, match="1x1"):  # too small for the codec
            VideoFileWriter(tmp_path / "out.mp4", 25.0, (1, 1))
        assert list(tmp_path.iterdir()) == []

    def test_an_unknown_suffix_is_refused_with_the_known_ones(self, tmp_path):
        with pytest.raises(VideoError, match=r"\.mp4, \.mov"):
            VideoFileWriter(tmp_path / "out.wmv", 25.0, (64, 48))


class TestOpenWriter:
    @pytest.fixture
    def video(self, tmp_path):
        with open_source(make_video(tmp_path / "clip.mp4")) as source:
            yield source

    @pytest.fixture
    def picture(self, tmp_path):
        with open_source(make_picture(tmp_path / "face.png")) as source:
            yield source

    @pytest.fixture
    def folder(self, tmp_path):
        (tmp_path / "in").mkdir()
        for name in ("a.png", "b.jpg"):
            make_picture(tmp_path / "in" / name)
        with open_source(tmp_path / "in") as source:
            yield source

    def copy(self, path, source, **options):
        with open_writer(path, source, **options) as writer:
            for frame in source:
                writer.write(frame)

    def test_a_video_becomes_a_video(self, tmp_path, video):
        self.copy(tmp_path / "out.mp4", video)
        assert len(shades(tmp_path / "out.mp4")) == 5

    def test_a_picture_becomes_a_picture(self, tmp_path, picture):
        self.copy(tmp_path / "out.png", picture)
        assert shades(tmp_path / "out.png") == [100.0]

    def test_a_folder_becomes_a_folder_with_the_same_names(self, tmp_path, folder):
        self.copy(tmp_path / "out", folder)
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.jpg"]

    def test_a_folder_becomes_a_video(self, tmp_path, folder):
        self.copy(tmp_path / "out.mp4", folder)
        assert len(shades(tmp_path / "out.mp4")) == 2

    @pytest.mark.parametrize(
        ("kind", "name", "accepted"),
        [
            ("video", "out.png", r"\.mp4, \.mov, \.mkv, \.avi for a video"),
            ("video", "out", r"\.mp4"),
            ("picture", "out.mp4", r"\.png, \.jpg.* for a picture"),
            ("folder", "out.png", r"\.mp4, .*or a folder"),
        ],
    )
    def test_an_output_that_does_not_fit_is_refused(self, request, tmp_path, kind, name, accepted):
        source = request.getfixturevalue(kind)
        with pytest.raises(VideoError, match=accepted):
            open_writer(tmp_path / name, source)
        assert not (tmp_path / name).exists()

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_the_input_is_never_overwritten(self, tmp_path, video, overwrite):
        (tmp_path / "other.mp4").hardlink_to(tmp_path / "clip.mp4")
        (tmp_path / "sub").mkdir()
        for path in ("clip.mp4", "other.mp4", "sub/../clip.mp4"):
            with pytest.raises(VideoError, match="other than the input"):
                open_writer(tmp_path / path, video, overwrite=overwrite)
        assert len(shades(tmp_path / "clip.mp4")) == 5

    def test_the_input_folder_is_never_written_to(self, tmp_path, folder):
        with pytest.raises(VideoError, match="other than the input"):
            open_writer(tmp_path / "in", folder, overwrite=True)

    def test_an_existing_output_is_kept_unless_asked(self, tmp_path, video):
        (tmp_path / "out.mp4").write_bytes(b"precious")
        with pytest.raises(VideoError, match="exists already; --force"):
            open_writer(tmp_path / "out.mp4", video)
        assert (tmp_path / "out.mp4").read_bytes() == b"precious"
        self.copy(tmp_path / "out.mp4", video, overwrite=True)
        assert len(shades(tmp_path / "out.mp4")) == 5

    def test_a_folder_with_files_is_kept_unless_asked(self, tmp_path, folder):
        (tmp_path / "out").mkdir()
        open_writer(tmp_path / "out", folder).close()  # empty: nothing to lose
        (tmp_path / "out" / "a.png").write_bytes(b"precious")
        with pytest.raises(VideoError, match="exists already"):
            open_writer(tmp_path / "out", folder)
        self.copy(tmp_path / "out", folder, overwrite=True)
        assert shades(tmp_path / "out" / "a.png") == [100.0]

    def test_a_folder_in_the_place_of_a_file(self, tmp_path, video):
        (tmp_path / "out.mp4").mkdir()
        with pytest.raises(VideoError, match="is a folder"):
            open_writer(tmp_path / "out.mp4", video, overwrite=True)

    def test_a_file_in_the_place_of_a_folder(self, tmp_path, folder):
        (tmp_path / "out").write_bytes(b"")
        with pytest.raises(VideoError, match="is a file"):
            open_writer(tmp_path / "out", folder, overwrite=True)

    def test_a_parent_that_cannot_be_made(self, tmp_path, video):
        (tmp_path / "blocked").write_bytes(b"")
        with pytest.raises(VideoError, match="cannot make the folder"):
            open_writer(tmp_path / "blocked" / "out.mp4", video)


class TestWindow:
    @pytest.fixture
    def screen(self, monkeypatch):
        """An OpenCV with windows: gives the frames shown and takes the next key."""
        state = {"shown": [], "key": -1, "visible": 1.0, "open": True}

        def destroy(title):
            if not state["open"]:
                raise cv2.error("no such window")
            state["open"] = False

        monkeypatch.setenv("DISPLAY", ":0")
        module = "atpn_mobile.video.cv2."
        monkeypatch.setattr(module + "currentUIFramework", lambda: "QT")
        monkeypatch.setattr(module + "imshow", lambda title, frame: state["shown"].append(frame))
        monkeypatch.setattr(module + "waitKey", lambda wait_ms: state["key"])
        monkeypatch.setattr(module + "getWindowProperty", lambda title, prop: state["visible"])
        monkeypatch.setattr(module + "destroyWindow", destroy)
        return state

    def test_frames_are_shown_until_a_key_ends_it(self, screen):
        with Window("test") as window:
            assert window.show(make_frame().image)
            screen["key"] = ord("x")
            assert window.show(make_frame().image)
            for key in (ord("q"), 27):
                screen["key"] = key
                assert not window.show(make_frame().image)
        assert len(screen["shown"]) == 4
        assert not screen["open"]

    def test_its_close_button_ends_it(self, screen):
        window = Window("test")
        screen["visible"] = 0.0
        assert not window.show(make_frame().image)
        window.close()
        window.close()  # gone already: no error

    def test_an_opencv_without_windows_is_explained(self, monkeypatch):
        monkeypatch.setattr("atpn_mobile.video.cv2.currentUIFramework", lambda: "")
        with pytest.raises(VideoError, match="pip install opencv-python"):
            Window("test")

    def test_a_machine_without_display_is_explained(self, monkeypatch):
        monkeypatch.setattr("atpn_mobile.video.cv2.currentUIFramework", lambda: "QT")
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.delenv("DISPLAY", raising=False)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        with pytest.raises(VideoError, match="no display"):
            check_display()
        monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
        check_display()
