"""WIDER FACE: pictures of many faces with boxes.

Source: Yang et al., "WIDER FACE: A Face Detection Benchmark", CVPR 2016. The layout is that of the
official archives unpacked side by side::

    WIDER_train/images/0--Parade/0_Parade_marchingband_1_849.jpg
    WIDER_val/images/...
    wider_face_split/wider_face_train_bbx_gt.txt
    wider_face_split/wider_face_val_bbx_gt.txt

A list holds, per picture, its path, the number of faces, and a line per face: ``x y w h blur
expression illumination invalid occlusion pose``. A picture without faces has the number 0 and one
line of zeros. The boxes go from the top of the forehead to the chin, and are looser than the
bounding box of the landmarks.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from training.data.sample import DatasetError, ImageFile, Sample

SPLITS: Final = ("train", "val")  # the labels of "test" are not published

_FIELDS: Final = "x y w h blur expression illumination invalid occlusion pose"
_NUM_FIELDS: Final = 10
_INVALID: Final = 7

_Lines = Iterator[tuple[int, str]]


def read_wider(root: Path, split: str | None = None) -> list[Sample]:
    """Read WIDER FACE.

    Args:
        root: the folder that holds WIDER_train, WIDER_val and wider_face_split.
        split: "train", "val", None for both.

    Returns:
        One sample per picture, with ``boxes_xyxy`` (x, y, x + w, y + h), (0, 4) where there is no
        face. Boxes that are marked invalid, or without width or height, are left out: faces may
        be where no box is.

    Raises:
        DatasetError: no such split, a list or picture is missing, or a line is malformed.
    """
    if split is not None and split not in SPLITS:
        raise DatasetError(f"expected a split of WIDER FACE out of {SPLITS}, got {split!r}")
    parts = SPLITS if split is None else (split,)
    return [sample for part in parts for sample in _read_list(root, part)]


def _read_list(root: Path, split: str) -> list[Sample]:
    path = root / "wider_face_split" / f"wider_face_{split}_bbx_gt.txt"
    if not path.is_file():
        raise DatasetError(f"expected the list of WIDER FACE at {path}, found no file there")
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = ((i, line.strip()) for i, line in enumerate(text.splitlines(), start=1) if line.strip())
    return [
        _read_picture(lines, path, number, name, root / f"WIDER_{split}" / "images", split)
        for number, name in lines
    ]


def _read_picture(
    lines: _Lines, path: Path, number: int, name: str, folder: Path, split: str
) -> Sample:
    # Without this check a wrong number of faces would make boxes of paths and paths of boxes.
    if not name.lower().endswith((".jpg", ".jpeg", ".png")):
        raise DatasetError(f"{path}, line {number}: expected the path of a picture, got {name!r}")
    picture = folder / name
    if not picture.is_file():
        raise DatasetError(f"{path}, line {number}: expected a picture at {picture}, found none")
    number, text = _next(lines, path, f"the number of faces of {name}")
    if not text.isdecimal():
        raise DatasetError(f"{path}, line {number}: expected the number of faces, got {text!r}")
    count = int(text)
    if count == 0:
        number, text = _next(lines, path, f"a line of zeros after the 0 faces of {name}")
        if any(_parse_face(path, number, text)):
            raise DatasetError(
                f"{path}, line {number}: expected a line of zeros after 0 faces, got {text!r}"
            )
    faces = [
        _parse_face(path, *_next(lines, path, f"face {i + 1} of {count} of {name}"))
        for i in range(count)
    ]
    boxes = [(x, y, x + w, y + h) for x, y, w, h, *_ in filter(_is_usable, faces)]
    return Sample(
        name=f"{split}/{Path(name).with_suffix('').as_posix()}",
        image=ImageFile(picture),
        split=split,
        boxes_xyxy=np.asarray(boxes, dtype=np.float32).reshape(-1, 4),
    )


def _next(lines: _Lines, path: Path, what: str) -> tuple[int, str]:
    line = next(lines, None)
    if line is None:
        raise DatasetError(f"{path}: expected {what}, got the end of the file")
    return line


def _parse_face(path: Path, number: int, line: str) -> list[int]:
    fields = line.split()
    try:
        values = [int(field) for field in fields]
    except ValueError:
        values = []
    if len(values) != _NUM_FIELDS:
        raise DatasetError(
            f"{path}, line {number}: expected {_NUM_FIELDS} whole numbers ({_FIELDS}), got {line!r}"
        )
    return values


def _is_usable(face: list[int]) -> bool:
    _, _, width, height, *_ = face
    return width > 0 and height > 0 and not face[_INVALID]
