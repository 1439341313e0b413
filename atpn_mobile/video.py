"""Frames in and out: videos, pictures, folders of pictures, cameras, a window.

Frames are OpenCV's: (H, W, 3) uint8, blue, green, red.
"""

import contextlib
import math
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Protocol, TypeAlias, TypeVar

import cv2
import numpy as np

from atpn_mobile.errors import VideoError
from atpn_mobile.types import Frame

SourceKind: TypeAlias = Literal["video", "picture", "folder", "camera"]

# The codecs are those that every OpenCV wheel can write.
VIDEO_CODECS: Final[dict[str, str]] = {
    ".mp4": "mp4v",
    ".mov": "mp4v",
    ".mkv": "mp4v",
    ".avi": "MJPG",
}
PICTURE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")

DEFAULT_FPS: Final = 25.0  # of a folder of pictures, and of a source that does not know its own
_HIGHEST_FPS: Final = 1000.0  # containers without a frame rate report nonsense above it
_ESCAPE_KEY: Final = 27
_SILENT_LOG_LEVEL: Final = 0


@dataclass(frozen=True, slots=True, eq=False)
class SourceFrame:
    """One frame of a source.

    Attributes:
        image: (H, W, 3) uint8, BGR.
        timestamp_s: time since the start, seconds, growing from frame to frame.
        name: file name of a picture; None for a frame of a video or camera.
    """

    image: Frame
    timestamp_s: float
    name: str | None = None


_SourceT = TypeVar("_SourceT", bound="FrameSource")
_WriterT = TypeVar("_WriterT", bound="FrameWriter")


class FrameSource(Protocol):
    """Where frames come from: iterate over it once, and close it.

    Attributes:
        kind: "video", "picture", "folder" or "camera".
        path: the file or folder; None for a camera.
        fps: frames per second, above 0.
        length: number of frames, as far as the file tells; None where nobody knows.
        size: width and height of the first frame, pixels.
    """

    kind: SourceKind
    path: Path | None
    fps: float
    length: int | None
    size: tuple[int, int]

    def __iter__(self) -> Iterator[SourceFrame]: ...

    def close(self) -> None:
        """Give back the file or camera; nothing where none is held. May be called again."""
        return

    def __enter__(self: _SourceT) -> _SourceT:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class FrameWriter(Protocol):
    """Where annotated frames go.

    Left by a ``with`` block normally or by an interruption, it keeps what was written; left by an
    error, it discards it.
    """

    def write(self, frame: SourceFrame) -> None:
        """Add a frame.

        Raises:
            VideoError: it cannot be written.
        """

    def close(self) -> None:
        """Finish the output and put it in its place; nothing where every frame is complete."""
        return

    def discard(self) -> None:
        """Leave no unfinished output behind; nothing where every frame is complete."""
        return

    def __enter__(self: _WriterT) -> _WriterT:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # An interruption is no failure: what was written until then is kept.
        if exc_type is None or issubclass(exc_type, KeyboardInterrupt):
            self.close()
        else:
            self.discard()


def open_source(location: str | Path | int, *, fps: float = DEFAULT_FPS) -> FrameSource:
    """Open a video, a picture, a folder of pictures or a camera.

    Files are told apart by their content, not by their name. The first frame is read here, so that
    what cannot be read is known before anything else is done.

    Args:
        location: a path; a number (or a string of digits) is a camera index. A file whose name is
            all digits is reached as "./0".
        fps: frames per second of a folder of pictures.

    Raises:
        VideoError: there is nothing to read, or it cannot be read.
    """
    if isinstance(location, int):
        return CameraSource(location)
    if isinstance(location, str) and location.isascii() and location.isdigit():
        return CameraSource(int(location))
    path = Path(location)
    if path.is_dir():
        return PictureSource(list_pictures(path), path, "folder", fps)
    if not path.exists():
        raise VideoError(f"expected a video, picture, folder or camera index, found no {path}")
    if not path.is_file():
        # A pipe would block for ever, a device has to be opened by its index.
        raise VideoError(
            f"expected a file or folder, {path} is neither; name a camera by its index"
        )
    if _is_picture(path):
        return PictureSource([path], path, "picture", fps)
    return VideoFileSource(path)


def list_pictures(folder: Path) -> list[Path]:
    """Pictures of a folder in natural order: 2.png before 10.png. Hidden files are left out.

    Raises:
        VideoError: the folder holds no picture.
    """
    pictures = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES
        and not path.name.startswith(".")
        and path.is_file()
    ]
    if not pictures:
        raise VideoError(
            f"expected pictures ({', '.join(PICTURE_SUFFIXES)}) in the folder {folder}, found none"
        )
    return sorted(pictures, key=_natural_key)


def read_picture(path: Path) -> Frame:
    """Read a picture as (H, W, 3) uint8 BGR, turned upright by its EXIF entry.

    Raises:
        VideoError: the file cannot be read or decoded; the message names it.
    """
    try:
        # Through numpy, for OpenCV cannot open every path on Windows.
        data = np.fromfile(path, dtype=np.uint8)
        with quiet_opencv():
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error) as error:
        raise VideoError(f"cannot read the picture {path}: {error}") from error
    if picture is None:
        raise VideoError(f"cannot decode the picture {path}: damaged, cut off or not a picture")
    return picture.astype(np.uint8, copy=False)


def write_picture(path: Path, picture: Frame) -> None:
    """Write a picture; the file appears complete or not at all.

    Raises:
        VideoError: it cannot be encoded or written.
    """
    try:
        encoded, data = cv2.imencode(path.suffix, picture)
    except cv2.error as error:
        raise VideoError(f"cannot encode {path.name} as {path.suffix}: {error}") from error
    if not encoded:
        raise VideoError(f"cannot encode {path.name} as {path.suffix}")
    partial = _partial_path(path)
    try:
        partial.write_bytes(data.tobytes())
        partial.replace(path)
    except OSError as error:
        raise VideoError(f"cannot write {path}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


class PictureSource(FrameSource):
    """Pictures one after another, as if they were the frames of a video."""

    def __init__(
        self, pictures: list[Path], path: Path, kind: SourceKind, fps: float = DEFAULT_FPS
    ) -> None:
        """Read the first of the pictures.

        Args:
            pictures: the files, in order, at least one.
            path: the folder or file the user named.
            kind: "folder" or "picture".
            fps: frames per second, for the timestamps.

        Raises:
            VideoError: the first picture cannot be read, or ``fps`` is not above 0.
        """
        if not (math.isfinite(fps) and fps > 0.0):
            raise VideoError(f"expected frames per second above 0, got {fps}")
        self.kind = kind
        self.path = path
        self.fps = fps
        self.length = len(pictures)
        self._pictures = pictures
        self._first = read_picture(pictures[0])
        self.size = (self._first.shape[1], self._first.shape[0])

    def __iter__(self) -> Iterator[SourceFrame]:
        for index, picture in enumerate(self._pictures):
            image = read_picture(picture) if index else self._first
            yield SourceFrame(image, index / self.fps, picture.name)


class _CaptureSource(FrameSource):
    """What a video file and a camera share: an opened capture and its first frame."""

    def __init__(self, location: str | int, failure: str) -> None:
        with quiet_opencv():
            self._capture = cv2.VideoCapture(location)
            first = self._read()
        if first is None:
            self._capture.release()
            raise VideoError(failure)
        self._first = first
        self.size = (first.shape[1], first.shape[0])
        self.fps = self._known_fps()

    def close(self) -> None:
        """Give back the file or camera."""
        self._capture.release()

    def _frames(self) -> Iterator[Frame]:
        frame: Frame | None = self._first
        while frame is not None:
            yield frame
            frame = self._read()

    def _read(self) -> Frame | None:
        try:
            read, frame = self._capture.read()
        except cv2.error:
            return None
        return frame.astype(np.uint8, copy=False) if read and frame is not None else None

    def _known_fps(self) -> float:
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        return fps if math.isfinite(fps) and 0.0 < fps < _HIGHEST_FPS else DEFAULT_FPS


class VideoFileSource(_CaptureSource):
    """The frames of a video file, with the times that the file gives them."""

    kind: SourceKind = "video"

    def __init__(self, path: Path) -> None:
        """Open the file and read its first frame.

        Raises:
            VideoError: it is no video or picture that can be decoded.
        """
        super().__init__(
            str(path), f"expected a video or picture, {path} is neither, or has no readable frame"
        )
        self.path = path
        announced = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        # Streams announce 0, a negative number or nonsense.
        self.length = round(announced) if 0.0 < announced < 2**31 else None

    def __iter__(self) -> Iterator[SourceFrame]:
        previous_s = -1.0 / self.fps
        for frame in self._frames():
            stamp_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
            # Phones film at a varying rate, so the file's own times count; where it has none, or
            # they stand still, the frame rate does.
            if not math.isfinite(stamp_s) or stamp_s <= previous_s:
                stamp_s = previous_s + 1.0 / self.fps
            yield SourceFrame(frame, stamp_s)
            previous_s = stamp_s


class CameraSource(_CaptureSource):
    """The frames of a camera, with the times at which they came; ends when the camera does."""

    kind: SourceKind = "camera"
    path: Path | None = None
    length: int | None = None

    def __init__(self, index: int) -> None:
        """Open the camera and read its first frame.

        Raises:
            VideoError: there is no such camera, or it gives no frame.
        """
        super().__init__(
            index, f"expected a camera at index {index}, found none that delivers a frame"
        )

    def __iter__(self) -> Iterator[SourceFrame]:
        start = time.monotonic()
        for frame in self._frames():
            yield SourceFrame(frame, time.monotonic() - start)


def check_output(path: Path, source: FrameSource, *, overwrite: bool = False) -> None:
    """Refuse an output that ``open_writer`` would refuse, before anything costly is done.

    Args:
        path: where the output goes.
        source: what is annotated.
        overwrite: whether an existing output may be replaced.

    Raises:
        VideoError: the suffix does not fit, the output is the input, or it exists already.
    """
    to_folder = _is_folder_output(path, source)
    accepted = PICTURE_SUFFIXES if source.kind == "picture" else tuple(VIDEO_CODECS)
    if not to_folder and path.suffix.lower() not in accepted:
        hint = ", or a folder" if source.kind == "folder" else ""
        raise VideoError(
            f"expected an output ending in {', '.join(accepted)}{hint} for a {source.kind}, "
            f"got {path}"
        )
    check_target(path, source, overwrite=overwrite, folder=to_folder)


def open_writer(path: Path, source: FrameSource, *, overwrite: bool = False) -> FrameWriter:
    """Open the output that fits a source.

    A video or camera is written to a video file, a picture to a picture, a folder of pictures to a
    video file or, where the path has no suffix or is a folder, to a folder of pictures.

    Args:
        path: where the output goes; missing parent folders are made.
        source: what is annotated.
        overwrite: whether an existing output may be replaced.

    Raises:
        VideoError: the suffix does not fit, the output is the input, it exists already, or it
            cannot be written.
    """
    check_output(path, source, overwrite=overwrite)
    if _is_folder_output(path, source):
        return PictureFolderWriter(path)
    if source.kind == "picture":
        return PictureFileWriter(path)
    return VideoFileWriter(path, source.fps, source.size)


def check_target(path: Path, source: FrameSource, *, overwrite: bool, folder: bool = False) -> None:
    """Refuse a path that would destroy the input or, unless asked to, an earlier output.

    Args:
        path: the file or folder to be written.
        source: what is read.
        overwrite: whether an existing output may be replaced.
        folder: whether a folder is to be written.

    Raises:
        VideoError: the path is refused.
    """
    if source.path is not None and _is_same(path, source.path):
        raise VideoError(f"expected an output other than the input, got {path} for both")
    if not path.exists():
        return
    if path.is_dir() != folder:
        expected, found = ("folder", "file") if folder else ("file", "folder")
        raise VideoError(f"expected a {expected} as output, {path} is a {found}")
    if not overwrite and not (folder and next(path.iterdir(), None) is None):
        raise VideoError(f"the output {path} exists already; --force replaces it")


class VideoFileWriter(FrameWriter):
    """A video file, written under a temporary name beside its place and moved there when done."""

    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        """Start the video.

        Args:
            path: where it goes, with a suffix of ``VIDEO_CODECS``.
            fps: frames per second.
            size: width and height of every frame, pixels.

        Raises:
            VideoError: the suffix is unknown, or OpenCV cannot write such a video here.
        """
        codec = VIDEO_CODECS.get(path.suffix.lower())
        if codec is None:
            raise VideoError(f"expected a video ending in {', '.join(VIDEO_CODECS)}, got {path}")
        self._path = path
        self._size = size
        self._frames = 0
        self._partial = _partial_path(path)
        _make_folder(path.parent)
        with quiet_opencv():
            self._writer = cv2.VideoWriter(
                str(self._partial), cv2.VideoWriter.fourcc(*codec), fps, size
            )
        if not self._writer.isOpened():
            self.discard()
            raise VideoError(
                f"cannot write {path}: a {size[0]}x{size[1]} video with codec {codec} at "
                f"{fps:g} frames per second cannot be opened"
            )

    def write(self, frame: SourceFrame) -> None:
        """Add a frame; see FrameWriter."""
        height, width = frame.image.shape[:2]
        if (width, height) != self._size:  # OpenCV would leave the frame out without a word
            name = frame.name or f"frame {self._frames}"
            raise VideoError(
                f"expected frames of {self._size[0]}x{self._size[1]} for {self._path.name}, "
                f"{name} has {width}x{height}; write to a folder instead"
            )
        self._writer.write(frame.image)
        self._frames += 1

    def close(self) -> None:
        """Finish the video and move it to its place; without a frame, there is none."""
        self._writer.release()
        try:
            if self._frames:
                self._partial.replace(self._path)
        except OSError as error:
            raise VideoError(f"cannot write {self._path}: {error}") from error
        finally:
            self._partial.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the unfinished video."""
        self._writer.release()
        self._partial.unlink(missing_ok=True)


class PictureFileWriter(FrameWriter):
    """One picture."""

    def __init__(self, path: Path) -> None:
        """Make the folder it goes to.

        Raises:
            VideoError: the folder cannot be made.
        """
        self._path = path
        _make_folder(path.parent)

    def write(self, frame: SourceFrame) -> None:
        """Write the picture; see FrameWriter."""
        write_picture(self._path, frame.image)


class PictureFolderWriter(FrameWriter):
    """A folder of pictures under the names they had; each is complete, also after an error."""

    def __init__(self, folder: Path) -> None:
        """Make the folder.

        Raises:
            VideoError: it cannot be made.
        """
        self._folder = folder
        self._count = 0
        _make_folder(folder)

    def write(self, frame: SourceFrame) -> None:
        """Write a picture; see FrameWriter."""
        write_picture(self._folder / (frame.name or f"{self._count:06d}.png"), frame.image)
        self._count += 1


class Window:
    """A window that shows frames; q, Escape or its close button ask for the end."""

    def __init__(self, title: str) -> None:
        """Check that windows can be shown; it opens with the first frame.

        Raises:
            VideoError: this OpenCV has no windows, or there is no display.
        """
        check_display()
        self._title = title

    def show(self, frame: Frame) -> bool:
        """Show a frame.

        Args:
            frame: (H, W, 3) uint8, BGR.

        Returns:
            Whether to go on.
        """
        cv2.imshow(self._title, frame)
        return self.poll()

    def poll(self, wait_ms: int = 1) -> bool:
        """Let the window work for a while.

        Returns:
            Whether to go on.
        """
        if cv2.waitKey(wait_ms) & 0xFF in (ord("q"), _ESCAPE_KEY):
            return False
        return cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Close the window."""
        # Another key or the user may have closed it: that is what was wanted.
        with contextlib.suppress(cv2.error):
            cv2.destroyWindow(self._title)

    def __enter__(self) -> "Window":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def check_display() -> None:
    """Refuse to open a window where there can be none.

    Raises:
        VideoError: this OpenCV was built without windows, or there is no display.
    """
    if not cv2.currentUIFramework():
        raise VideoError(
            "cannot open a window: this is OpenCV without windows; "
            "pip uninstall opencv-python-headless, then pip install opencv-python"
        )
    # Checked first because OpenCV's Qt ends the whole process where it finds no display.
    needs_server = sys.platform.startswith("linux")
    if needs_server and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise VideoError("cannot open a window: no display (DISPLAY and WAYLAND_DISPLAY are unset)")


@contextlib.contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keep OpenCV's log off stderr while something that may fail is tried."""
    # OpenCV moved these functions: up to 4.10 they are in the module itself, later in a submodule.
    log: Any = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging
    level = log.getLogLevel()
    log.setLogLevel(_SILENT_LOG_LEVEL)
    try:
        yield
    finally:
        log.setLogLevel(level)


def _is_picture(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise VideoError(f"cannot read {path}: {error}") from error
    if start.startswith(b"GIF8"):  # may move: read as a video
        return False
    with quiet_opencv():
        return bool(cv2.haveImageReader(str(path)))


def _natural_key(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", path.name.casefold())
    # The digits stand at the odd places.
    return [(int(part), part) if index % 2 else (0, part) for index, part in enumerate(parts)]


def _is_folder_output(path: Path, source: FrameSource) -> bool:
    return source.kind == "folder" and (path.is_dir() or not path.suffix)


def _is_same(a: Path, b: Path) -> bool:
    if a.exists() and b.exists():
        return a.samefile(b)
    return a.resolve() == b.resolve()


def _partial_path(path: Path) -> Path:
    """A name in the same folder, so that moving is one step, with the same suffix for codecs."""
    return path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VideoError(f"cannot make the folder {folder}: {error}") from error
