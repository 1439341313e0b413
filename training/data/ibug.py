"""300W: photographs with the 68 landmarks of iBUG in .pts files.

Source: Sagonas et al., "300 Faces in-the-Wild Challenge", ICCVW 2013. The layout is that of the
official archives unpacked side by side, a .pts file beside each picture::

    lfpw/trainset  lfpw/testset  helen/trainset  helen/testset  afw  ibug

The coordinates of a .pts file were made in Matlab: the centre of the first pixel is (1, 1). They
are moved to pixel centres from 0 by taking 1 off both, as menpo's importer does.
"""

import math
from pathlib import Path
from typing import Final

import numpy as np

from atpn_mobile.types import FloatArray
from training.data.sample import DatasetError, ImageFile, Sample

TRAIN_FOLDERS: Final = ("lfpw/trainset", "helen/trainset", "afw")  # 3,148 faces
COMMON_FOLDERS: Final = ("lfpw/testset", "helen/testset")  # 554
CHALLENGING_FOLDERS: Final = ("ibug",)  # 135

# The parts of the protocol that papers report on.
FOLDERS_BY_SPLIT: Final = {
    "train": TRAIN_FOLDERS,
    "common": COMMON_FOLDERS,
    "challenging": CHALLENGING_FOLDERS,
    "full": COMMON_FOLDERS + CHALLENGING_FOLDERS,  # 689
    "afw": ("afw",),  # 337, a part of "train"; a test set for those who did not train on it
    "test": COMMON_FOLDERS + CHALLENGING_FOLDERS,
    "val": COMMON_FOLDERS + CHALLENGING_FOLDERS,
}
SPLITS: Final = tuple(FOLDERS_BY_SPLIT)

_NUM_POINTS: Final = 68
_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".JPG", ".PNG")
_MATLAB_ORIGIN: Final = 1.0


def read_300w(root: Path, split: str | None = None) -> list[Sample]:
    """Read 300W.

    Args:
        root: the folder that holds lfpw, helen, afw and ibug.
        split: "train" (lfpw train, helen train, afw), "common" (lfpw test, helen test),
            "challenging" (ibug), "full" (the two together; also "test" and "val"), "afw", None for
            all.

    Returns:
        One sample per .pts file, with ``points68``; common and challenging have the split "val".

    Raises:
        DatasetError: no such split, a folder or picture is missing, or a .pts file is malformed.
    """
    if split is not None and split not in FOLDERS_BY_SPLIT:
        raise DatasetError(f"expected a split of 300W out of {SPLITS}, got {split!r}")
    folders = FOLDERS_BY_SPLIT[split] if split else TRAIN_FOLDERS + FOLDERS_BY_SPLIT["full"]
    return [sample for folder in folders for sample in _read_folder(root, folder)]


def _read_folder(root: Path, folder: str) -> list[Sample]:
    files = sorted((root / folder).glob("*.pts"))
    if not files:
        raise DatasetError(f"expected .pts files of 300W in {root / folder}, found none")
    return [
        Sample(
            name=f"{folder}/{file.stem}",
            image=ImageFile(_picture_of(file)),
            split="train" if folder in TRAIN_FOLDERS else "val",
            points68=read_pts(file),
        )
        for file in files
    ]


def _picture_of(file: Path) -> Path:
    # Not with_suffix(): a stem may have a dot of its own.
    candidates = (file.parent / f"{file.stem}{suffix}" for suffix in _SUFFIXES)
    picture = next((candidate for candidate in candidates if candidate.is_file()), None)
    if picture is None:
        raise DatasetError(f"expected a picture ({', '.join(_SUFFIXES)}) beside {file}, found none")
    return picture


def read_pts(path: Path, num_points: int = _NUM_POINTS) -> FloatArray:
    """Read the landmarks of a .pts file (version 1).

    Args:
        path: the file: ``version: 1``, ``n_points: 68``, ``{``, a line "x y" per point, ``}``.
        num_points: how many points there must be.

    Returns:
        (num_points, 2) float32, pixels, pixel centres at integers from 0: 1 less than in the file.

    Raises:
        DatasetError: no such file, or not such a file; with the line, what was expected and what
            came.
    """
    if not path.is_file():
        raise DatasetError(f"expected a .pts file, found no file at {path}")
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = [
        (number, line.strip())
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip()
    ]
    expected = 4 + num_points  # version, n_points, two braces
    if len(lines) != expected:
        raise DatasetError(
            f"{path}: expected {expected} lines for {num_points} points, got {len(lines)}"
        )
    _expect_header(path, lines[0], "version", "1")
    _expect_header(path, lines[1], "n_points", str(num_points))
    _expect(path, lines[2], "{")
    _expect(path, lines[-1], "}")
    points = [_parse_point(path, number, line) for number, line in lines[3:-1]]
    return np.asarray(points, dtype=np.float32) - np.float32(_MATLAB_ORIGIN)


def _expect_header(path: Path, line: tuple[int, str], key: str, value: str) -> None:
    found, _, found_value = line[1].partition(":")
    if (found.strip(), found_value.strip()) != (key, value):
        raise DatasetError(f"{path}, line {line[0]}: expected '{key}: {value}', got {line[1]!r}")


def _expect(path: Path, line: tuple[int, str], text: str) -> None:
    if line[1] != text:
        raise DatasetError(f"{path}, line {line[0]}: expected {text!r}, got {line[1]!r}")


def _parse_point(path: Path, number: int, line: str) -> tuple[float, float]:
    try:
        x, y = (float(field) for field in line.split())
    except ValueError as error:
        raise DatasetError(f"{path}, line {number}: expected 'x y', got {line!r}") from error
    if not (math.isfinite(x) and math.isfinite(y)):
        raise DatasetError(f"{path}, line {number}: expected finite numbers, got {line!r}")
    return x, y
