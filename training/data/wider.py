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

Which faces of "val" count as easy, medium or hard stands in the .mat files of the official
eval_tools, unpacked beside the rest or elsewhere: ``eval_tools/ground_truth/wider_easy_val.mat``.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat  # type: ignore[import-untyped]
from scipy.io.matlab import MatReadError  # type: ignore[import-untyped]

from atpn_mobile.types import FloatArray
from training.data.sample import DatasetError, ImageFile, Sample

SPLITS: Final = ("train", "val")  # the labels of "test" are not published
DIFFICULTIES: Final = ("easy", "medium", "hard")  # each holds the faces of the one before it

_FIELDS: Final = "x y w h blur expression illumination invalid occlusion pose"
_NUM_FIELDS: Final = 10
_INVALID: Final = 7
_DIFFICULTY_FOLDERS: Final = ("eval_tools/ground_truth", "ground_truth", "wider_face_split", ".")
_DIFFICULTY_KEYS: Final = ("event_list", "file_list", "face_bbx_list", "gt_list")
_UNREADABLE: Final = (  # what loadmat raises on files that are cut off or are something else
    MatReadError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    NotImplementedError,
    zlib.error,
)

_Lines = Iterator[tuple[int, str]]


@dataclass(frozen=True, slots=True, eq=False)
class WiderPicture:
    """A picture of WIDER FACE with all that its list says of boxes.

    Attributes:
        sample: the picture, with the boxes that can be used.
        event: the kind of event, as in "0--Parade".
        ignored_xyxy: (K, 4) float32, boxes with a size that are marked invalid: something is
            there, and it is not asked for.
    """

    sample: Sample
    event: str
    ignored_xyxy: FloatArray


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
    return [picture.sample for picture in read_wider_pictures(root, split)]


def read_wider_pictures(root: Path, split: str | None = None) -> list[WiderPicture]:
    """Read WIDER FACE with events and with the boxes that are marked invalid.

    Args:
        root: as ``read_wider``.
        split: likewise.

    Raises:
        DatasetError: likewise.
    """
    if split is not None and split not in SPLITS:
        raise DatasetError(f"expected a split of WIDER FACE out of {SPLITS}, got {split!r}")
    parts = SPLITS if split is None else (split,)
    return [picture for part in parts for picture in _read_list(root, part)]


def read_wider_difficulty(root: Path, difficulty: str) -> dict[str, FloatArray]:
    """Read which faces of "val" belong to a difficulty.

    Args:
        root: the folder that holds eval_tools, or the .mat files themselves.
        difficulty: "easy", "medium" or "hard".

    Returns:
        (K, 4) float32 boxes x, y, x + w, y + h, by the name of the sample.

    Raises:
        DatasetError: no such difficulty, the .mat file is missing or not as expected.
    """
    if difficulty not in DIFFICULTIES:
        raise DatasetError(f"expected a difficulty out of {DIFFICULTIES}, got {difficulty!r}")
    file = f"wider_{difficulty}_val.mat"
    candidates = [root / folder / file for folder in _DIFFICULTY_FOLDERS]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        raise DatasetError(f"expected the list of {difficulty} faces at {candidates[0]}, not there")
    try:
        content = loadmat(path, variable_names=_DIFFICULTY_KEYS)
        return dict(_difficult_faces(content))
    except _UNREADABLE as error:
        raise DatasetError(
            f"expected {', '.join(_DIFFICULTY_KEYS)} of WIDER FACE in {path}: {error}"
        ) from error


def _difficult_faces(
    content: dict[str, NDArray[np.generic]],
) -> Iterator[tuple[str, FloatArray]]:
    """Cells inside cells: event (E, 1) -> picture (P, 1) -> boxes (F, 4) and numbers from 1."""
    columns = (content[key][:, 0] for key in _DIFFICULTY_KEYS)
    for event, files, boxes, chosen in zip(*columns, strict=True):
        cells = zip(files[:, 0], boxes[:, 0], chosen[:, 0], strict=True)
        for file, all_boxes, numbers in cells:
            picked = all_boxes[numbers.reshape(-1).astype(np.intp) - 1].astype(np.float32)
            picked = picked.reshape(-1, 4)
            picked[:, 2:] += picked[:, :2]
            yield f"val/{event.item()}/{file.item()}", picked


def _read_list(root: Path, split: str) -> list[WiderPicture]:
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
) -> WiderPicture:
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
    sized = [face for face in faces if face[2] > 0 and face[3] > 0]
    sample = Sample(
        name=f"{split}/{Path(name).with_suffix('').as_posix()}",
        image=ImageFile(picture),
        split=split,
        boxes_xyxy=_boxes(face for face in sized if not face[_INVALID]),
    )
    ignored = _boxes(face for face in sized if face[_INVALID])
    return WiderPicture(sample, Path(name).parent.as_posix(), ignored)


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


def _boxes(faces: Iterable[list[int]]) -> FloatArray:
    corners = [(x, y, x + w, y + h) for x, y, w, h, *_ in faces]
    return np.asarray(corners, dtype=np.float32).reshape(-1, 4)
