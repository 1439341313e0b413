"""Contact sheets: what the network sees in faces, the worst of them and random ones.

Faces of photographs are not ours to publish; those of the rendered pack are. So the caller names
the packs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from atpn_mobile.draw import NOSE_TIP, draw_axes, draw_label, draw_landmarks
from atpn_mobile.geometry import (
    ROI_EXTENSION,
    crop_frame,
    landmarks_to_crop,
    landmarks_to_frame,
    roi_from_landmarks,
)
from atpn_mobile.types import FloatArray, Frame, HeadPose, Roi
from training.data.crops import LabelledFace, load_faces
from training.data.packs import read_pack
from training.evaluate import predict_in_truth
from training.metrics import nme_percent
from training.protocols.predictor import Predictor, rotations_from_angles

TILE: Final = 168  # pixels on a side of a face's picture
COLUMNS: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class SheetFace:
    """A face and what the network made of it.

    Attributes:
        image: (H, W, 3) RGB.
        roi: the region it was seen in, pixels of the picture.
        landmarks: (98, 2) as found, pixels of the picture.
        pose: as found; None where the network gives none.
        label: a few words, ASCII.
    """

    image: Frame
    roi: Roi
    landmarks: FloatArray
    pose: HeadPose | None
    label: str


def worst_and_random(
    predictor: Predictor,
    data: Path,
    packs: Sequence[str],
    *,
    count: int = 50,
    seed: int = 0,
) -> tuple[Frame, Frame]:
    """Sheets of the faces with the largest errors, and of faces drawn at random.

    Args:
        predictor: the network.
        data: the folder of packs.
        packs: names of the packs whose "val" faces are looked at, without ".npz".
        count: faces on each sheet; fewer where there are not as many.
        seed: of the random ones.

    Returns:
        the worst, largest error first, and the random ones; RGB.

    Raises:
        DatasetError: a pack is missing or damaged, or has no "val" faces.
    """
    faces, errors = [], []
    for pack in packs:
        held_out = load_faces(read_pack(data / f"{pack}.npz", "val"))
        found, true = predict_in_truth(predictor, held_out)
        nme = nme_percent(found.landmarks, true)
        rotations = None if found.pose is None else rotations_from_angles(found.pose)
        for index, face in enumerate(held_out):
            pose = None if rotations is None else HeadPose(rotations[index])
            faces.append(_sheet_face(face, found.landmarks[index], pose, float(nme[index])))
        errors.extend(nme.tolist())
    worst = np.argsort(-np.array(errors), kind="stable")[:count]
    drawn = np.random.default_rng(seed).permutation(len(faces))[:count]
    return contact_sheet([faces[i] for i in worst]), contact_sheet([faces[i] for i in drawn])


def contact_sheet(faces: Sequence[SheetFace], *, columns: int = COLUMNS, tile: int = TILE) -> Frame:
    """Faces side by side with landmarks, axes and label.

    Args:
        faces: at least one, row by row.
        columns: faces in a row.
        tile: pixels on a side of a face's picture.

    Returns:
        (rows * tile, columns * tile, 3) RGB, black where the last row ends early; no wider than
        the faces there are.

    Raises:
        ValueError: there are no faces, or no columns.
    """
    if not faces or columns < 1:
        raise ValueError(f"expected faces and columns, got {len(faces)} and {columns}")
    columns = min(columns, len(faces))
    rows = -(-len(faces) // columns)
    sheet = np.zeros((rows * tile, columns * tile, 3), np.uint8)
    for index, face in enumerate(faces):
        top, left = index // columns * tile, index % columns * tile
        sheet[top : top + tile, left : left + tile] = _tile(face, tile)
    return sheet


def _tile(face: SheetFace, size: int) -> Frame:
    picture = np.ascontiguousarray(crop_frame(face.image, face.roi, size))
    # crop units to pixels of the tile, whose centres are at integers
    landmarks = (landmarks_to_crop(face.landmarks, face.roi) * size - 0.5).astype(np.float32)
    draw_landmarks(picture, landmarks, color="rgb")
    if face.pose is not None:
        x, y = landmarks[NOSE_TIP].tolist()
        length = 0.45 * size / (1.0 + 2.0 * ROI_EXTENSION)
        draw_axes(picture, face.pose, (x, y), length, color="rgb")
    draw_label(picture, (face.label,), (2.0, size - 2.0), font_scale=0.35, color="rgb")
    return picture


def _sheet_face(
    face: LabelledFace, landmarks: FloatArray, pose: HeadPose | None, nme: float
) -> SheetFace:
    roi = roi_from_landmarks(face.points98)
    return SheetFace(face.image, roi, landmarks_to_frame(landmarks, roi), pose, f"NME {nme:.1f}%")
