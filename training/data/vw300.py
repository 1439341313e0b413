"""300VW: 114 videos with 68 landmarks in every frame.

Source: Shen et al., "The First Facial Landmark Tracking in-the-Wild Challenge", ICCVW 2015. There
is a folder per video::

    001/vid.avi
    001/annot/000001.pts  000002.pts  ...

000001.pts belongs to the first frame. Coordinates as in 300W: pixel centres from 1 in the files,
from 0 in the samples.
"""

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from atpn_mobile.types import Frame
from training.data.ibug import read_pts
from training.data.sample import DatasetError, Sample

# The numbers of the test videos of the challenge; the other 50 are for training.
# fmt: off
CATEGORY_1: Final = (  # well lit, in the laboratory and elsewhere
    114, 124, 125, 126, 150, 158, 401, 402, 505, 506, 507, 508, 509, 510, 511, 514, 515, 518,
    519, 520, 521, 522, 524, 525, 537, 538, 540, 541, 546, 547, 548,
)
CATEGORY_2: Final = (  # people at a computer, unconstrained light
    203, 208, 211, 212, 213, 214, 218, 224, 403, 404, 405, 406, 407, 408, 409, 412, 550, 551,
    553,
)
CATEGORY_3: Final = (  # arbitrary conditions
    410, 411, 516, 517, 526, 528, 529, 530, 531, 533, 557, 558, 559, 562,
)
# fmt: on
VIDEOS_BY_SPLIT: Final = {
    "category1": CATEGORY_1,
    "category2": CATEGORY_2,
    "category3": CATEGORY_3,
    "test": CATEGORY_1 + CATEGORY_2 + CATEGORY_3,
    "val": CATEGORY_1 + CATEGORY_2 + CATEGORY_3,
}
SPLITS: Final = ("train", *VIDEOS_BY_SPLIT)

_MAX_SKIP: Final = 32  # frames; decoding so many is about as fast as seeking


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """A frame of a video file.

    Frames may be read in any order; one after another is fastest, since a thread keeps the video
    that it read last open.
    """

    path: Path
    index: int

    def read(self) -> Frame:
        """The frame, (H, W, 3) uint8 RGB. Raises DatasetError when it cannot be read."""
        return _open_video.read(self.path, self.index)


def read_300vw(root: Path, split: str | None = None) -> list[Sample]:
    """Read 300VW.

    Args:
        root: the folder that holds the numbered folders.
        split: "train" (every video that is in no test list), "category1", "category2",
            "category3", "test" (the three together; also "val"), None for every video there is.

    Returns:
        One sample per annotated frame, with ``points68`` and, as ``subject``, the video's number;
        the videos of the categories have the split "val".

    Raises:
        DatasetError: no such split, a video of a category, its vid.avi or its annotations are
            missing, or a .pts file is malformed.
    """
    if split is not None and split not in SPLITS:
        raise DatasetError(f"expected a split of 300VW out of {SPLITS}, got {split!r}")
    found = sorted(path.name for path in root.glob("[0-9][0-9][0-9]") if path.is_dir())
    if not found:
        raise DatasetError(f"expected the folders of 300VW (001, 002, ...) in {root}, found none")
    if split in VIDEOS_BY_SPLIT:
        videos = [f"{number:03d}" for number in VIDEOS_BY_SPLIT[split]]
        missing = [video for video in videos if video not in found]
        if missing:  # a result on a part of a category would not be comparable
            raise DatasetError(
                f"expected the {len(videos)} videos of 300VW {split} in {root}, "
                f"missing {' '.join(missing)}"
            )
    else:
        videos = [video for video in found if split is None or not _is_test(video)]
    return [sample for video in videos for sample in _read_video(root, video)]


def _read_video(root: Path, video: str) -> list[Sample]:
    path = root / video / "vid.avi"
    if not path.is_file():
        raise DatasetError(f"expected a video of 300VW at {path}, found no file there")
    files = sorted((root / video / "annot").glob("*.pts"))
    if not files:
        raise DatasetError(f"expected .pts files in {root / video / 'annot'}, found none")
    return [
        Sample(
            name=f"{video}/{file.stem}",
            image=VideoFrame(path, _frame_number(file) - 1),
            split="val" if _is_test(video) else "train",
            points68=read_pts(file),
            subject=video,
        )
        for file in files
    ]


def _is_test(video: str) -> bool:
    return int(video) in VIDEOS_BY_SPLIT["test"]


def _frame_number(file: Path) -> int:
    if not file.stem.isdecimal() or int(file.stem) < 1:
        raise DatasetError(f"expected a frame number from 000001 as file name, got {file}")
    return int(file.stem)


class _OpenVideo(threading.local):
    """The video that this thread read last, and the frame its decoder gives next."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._capture: cv2.VideoCapture | None = None
        self._next = 0
        self._process = 0
        self._inherited: list[cv2.VideoCapture] = []

    def read(self, path: Path, index: int) -> Frame:
        """Frame ``index``, from 0, (H, W, 3) uint8 RGB. Raises DatasetError if there is none."""
        image = None
        if index >= 0:
            capture = self._at(path, index)
            ok, image = capture.read()
            self._next = index + 1
        if image is None or not ok:
            # Where the decoder stands is unknown now: begin anew with the next frame.
            self._path = None
            raise DatasetError(f"expected a frame {index} (from 0) in {path}, it cannot be read")
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)

    def _at(self, path: Path, index: int) -> cv2.VideoCapture:
        """The decoder of a video, so that it gives frame ``index`` next."""
        capture = self._capture
        if capture is None or path != self._path or self._process != os.getpid():
            capture = self._open(path)
        if not 0 <= index - self._next <= _MAX_SKIP:
            capture.set(cv2.CAP_PROP_POS_FRAMES, index)
            self._next = round(capture.get(cv2.CAP_PROP_POS_FRAMES))
            if self._next != index:  # not every file can be sought in: count from the start
                capture = self._open(path)
        while self._next < index and capture.grab():
            self._next += 1
        if self._next != index:
            self._path = None
            raise DatasetError(
                f"expected a frame {index} (from 0) in {path}, it ends after {self._next} frames"
            )
        return capture

    def _open(self, path: Path) -> cv2.VideoCapture:
        if self._capture is not None:
            if self._process == os.getpid():
                self._capture.release()
            else:
                # Opened before a fork: shares its position in the file with the parent, and
                # closing it would wait for decoder threads that this process does not have.
                self._inherited.append(self._capture)
        capture = cv2.VideoCapture(str(path))
        self._path, self._capture, self._next, self._process = path, capture, 0, os.getpid()
        if not capture.isOpened():
            self._path = None
            raise DatasetError(f"expected a video, got a file that cannot be opened: {path}")
        return capture


_open_video = _OpenVideo()
