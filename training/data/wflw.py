"""WFLW: 10,000 faces with 98 landmarks and six attributes.

Source: Wu et al., "Look at Boundary: A Boundary-Aware Face Alignment Algorithm", CVPR 2018. The
layout is that of the two official archives unpacked side by side::

    WFLW_images/0--Parade/0_Parade_marchingband_1_116.jpg
    WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_train.txt
    WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_test.txt

A line of a list holds one face: 98 x 2 coordinates, the rectangle x_min y_min x_max y_max, six
attributes (pose expression illumination make-up occlusion blur; 1 = yes) and the picture's path.
The coordinates are taken as they stand, pixel centres at integers from 0. The rectangle is checked
and left out: a picture's other faces need not be listed, and regions come from the landmarks.
"""

import math
from pathlib import Path
from typing import Final

import numpy as np

from training.data.sample import DatasetError, ImageFile, Sample

ATTRIBUTES: Final = ("pose", "expression", "illumination", "make-up", "occlusion", "blur")

# Parts of the test list (2,500 faces), named as the official lists of them; the column is that of
# the attribute which puts a face there.
TEST_SUBSETS: Final = {
    "test_largepose": 0,  # 326 faces
    "test_expression": 1,  # 314
    "test_illumination": 2,  # 698
    "test_makeup": 3,  # 206
    "test_occlusion": 4,  # 736
    "test_blur": 5,  # 773
}
SPLITS: Final = ("train", "val", "test", *TEST_SUBSETS)

_LISTS: Final = "list_98pt_rect_attr_train_test"
_COORDINATES: Final = 98 * 2
_RECT: Final = 4
_FIELDS: Final = _COORDINATES + _RECT + len(ATTRIBUTES) + 1


def read_wflw(root: Path, split: str | None = None) -> list[Sample]:
    """Read WFLW.

    Args:
        root: the folder that holds WFLW_images and WFLW_annotations (or the folder of the lists
            itself in place of the latter).
        split: "train", "test" (or "val", the same), a subset of the test list such as
            "test_largepose" (see ``TEST_SUBSETS``), None for train and test.

    Returns:
        One sample per face, with ``points98``; the faces of the test list have the split "val".

    Raises:
        DatasetError: no such split, a list or picture is missing, or a line is malformed.
    """
    if split is not None and split not in SPLITS:
        raise DatasetError(f"expected a split of WFLW out of {SPLITS}, got {split!r}")
    samples: list[Sample] = []
    if split in (None, "train"):
        samples += _read_list(root, "train", None)
    if split != "train":
        samples += _read_list(root, "test", TEST_SUBSETS.get(split or ""))
    return samples


def _read_list(root: Path, part: str, attribute: int | None) -> list[Sample]:
    file = f"{_LISTS}/list_98pt_rect_attr_{part}.txt"
    candidates = (root / "WFLW_annotations" / file, root / file)
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        raise DatasetError(f"expected the list of WFLW at {candidates[0]}, found no file there")
    samples = []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        sample, attributes = _parse_line(line, f"{path}, line {number}", root, part, number)
        if attribute is None or attributes[attribute]:
            samples.append(sample)
    return samples


def _parse_line(
    line: str, where: str, root: Path, part: str, number: int
) -> tuple[Sample, tuple[bool, ...]]:
    fields = line.split(maxsplit=_FIELDS - 1)
    if len(fields) != _FIELDS:
        raise DatasetError(
            f"{where}: expected {_FIELDS} fields (98 points, a rectangle, 6 attributes, a path), "
            f"got {len(fields)}"
        )
    try:
        values = [float(field) for field in fields[: _COORDINATES + _RECT]]
    except ValueError as error:
        raise DatasetError(f"{where}: expected 200 numbers first, {error}") from error
    if not all(map(math.isfinite, values)):
        raise DatasetError(f"{where}: expected finite coordinates, got nan or inf")
    flags = fields[_COORDINATES + _RECT : -1]
    if any(flag not in ("0", "1") for flag in flags):
        raise DatasetError(f"{where}: expected attributes of 0 or 1, got {' '.join(flags)}")
    picture = root / "WFLW_images" / fields[-1].strip()
    if not picture.is_file():
        raise DatasetError(f"{where}: expected a picture at {picture}, found no file there")
    points = np.asarray(values[:_COORDINATES], dtype=np.float32).reshape(98, 2)
    sample = Sample(
        name=f"{part}/{number}/{fields[-1].strip()}",  # a picture stands in several lines
        image=ImageFile(picture),
        split="train" if part == "train" else "val",
        points98=points,
    )
    return sample, tuple(flag == "1" for flag in flags)
