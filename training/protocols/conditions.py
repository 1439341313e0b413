"""Where the network fails: errors on the packs by source, pose, light and sharpness.

Pose comes from the rotations of the packs (exact for rendered heads, fitted to landmarks for
photographs). Brightness, contrast and sharpness are measured in each face's own crop: mean and
standard deviation of the luminance, and variance of its Laplacian, inside the box of the true
landmarks, at 112 pixels for every network. Each source is cut into thirds of its own, so that
"dark" is not another word for the source with the darkest pictures; the rows of all sources hold
the same third of each. Nothing in the packs says what is occluded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from atpn_mobile.geometry import (
    box_from_landmarks,
    crop_frame,
    landmarks_to_crop,
    roi_from_landmarks,
)
from atpn_mobile.types import HeadPose
from training.data.crops import LabelledFace
from training.evaluate import GATE, load_val_faces, predict_in_truth
from training.metrics import failure_rate, nme_percent
from training.network.config import INPUT_SIZE
from training.protocols.predictor import Predictor
from training.protocols.results import LIMIT_PERCENT, ErrorCurves, ProtocolResult, Row

Array = NDArray[np.float64]

POSE_EDGES_DEG: Final[Mapping[str, tuple[float, ...]]] = MappingProxyType(
    {
        "yaw": (0.0, 15.0, 30.0, 45.0, 60.0, 180.0),
        "pitch": (0.0, 10.0, 20.0, 30.0, 180.0),
        "roll": (0.0, 10.0, 20.0, 30.0, 180.0),
    }
)
THIRDS: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {
        "brightness": ("dark", "medium", "bright"),
        "contrast": ("flat", "medium", "strong"),
        "sharpness": ("blurred", "medium", "sharp"),
    }
)
ALL: Final = "all"
_NOTES: Final = (
    "each face in the region of its true landmarks; NME of 98 points",
    "brightness, contrast, sharpness: thirds within each source, measured in the face's box",
    "occlusion: not run, the packs do not tell what is occluded",
)


@dataclass(frozen=True, slots=True, eq=False)
class FaceConditions:
    """One face and what happened to it.

    Attributes:
        source: the pack it comes from.
        nme: error of 98 points, %.
        presence: of its crop; nan where the network gives none.
        angles_deg: true yaw, pitch, roll; nan where unknown.
        light: brightness, contrast, sharpness, in the order of ``THIRDS``.
    """

    source: str
    nme: float
    presence: float
    angles_deg: tuple[float, float, float]
    light: tuple[float, float, float]


def evaluate_conditions(predictor: Predictor, data: Path) -> ProtocolResult:
    """Errors by condition, for all sources together and for each.

    Args:
        predictor: the network.
        data: the folder of packs.

    Raises:
        DatasetError: a pack is missing or damaged.
    """
    faces = [
        face
        for source, pack in load_val_faces(data).items()
        for face in _measure(predictor, source, pack)
    ]
    groups = condition_groups(faces)
    sources = list(dict.fromkeys(face.source for face in faces))
    rows: list[Row] = []
    for condition, members in groups.items():
        for source in (ALL, *sources):
            chosen = [f for f in members if source in (ALL, f.source)]
            if chosen:
                rows += _rows(f"{source}: {condition}" if condition else source, chosen)
    curves = ErrorCurves(
        "ced_sources",
        "Held-out faces by source, 98 points",
        {source: np.array([f.nme for f in faces if f.source == source]) for source in sources},
    )
    return ProtocolResult(tuple(rows), (curves,), _NOTES)


def face_light(face: LabelledFace) -> tuple[float, float, float]:
    """Brightness (0..255), contrast and sharpness of a face, see the module."""
    roi = roi_from_landmarks(face.points98)
    crop = crop_frame(face.image, roi, INPUT_SIZE)
    luminance = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float64)
    box = box_from_landmarks(landmarks_to_crop(face.points98, roi) * INPUT_SIZE)
    left, top, right, bottom = (round(value) for value in box)
    inside = slice(top, bottom), slice(left, right)
    laplacian = cv2.Laplacian(luminance, cv2.CV_64F)
    part = luminance[inside]
    return float(part.mean()), float(part.std()), float(laplacian[inside].var())


def condition_groups(faces: Sequence[FaceConditions]) -> dict[str, list[FaceConditions]]:
    """Faces by condition; "" for all of them. A face is in one group of each kind at most."""
    groups: dict[str, list[FaceConditions]] = {"": list(faces)}
    for index, (angle, edges) in enumerate(POSE_EDGES_DEG.items()):
        for low, high in pairwise(edges):
            end = f"{low:g}+" if high == edges[-1] else f"{low:g} to {high:g}"
            groups[f"|{angle}| {end}"] = [
                face for face in faces if low <= abs(face.angles_deg[index]) < high
            ]
    for index, (quality, names) in enumerate(THIRDS.items()):
        for number, name in enumerate(names):
            groups[f"{quality} {name}"] = []
            for source in dict.fromkeys(face.source for face in faces):
                same = [face for face in faces if face.source == source]
                same.sort(key=lambda face: face.light[index])
                start, stop = (len(same) * third // len(names) for third in (number, number + 1))
                groups[f"{quality} {name}"] += same[start:stop]
    return groups


def _measure(
    predictor: Predictor, source: str, faces: Sequence[LabelledFace]
) -> list[FaceConditions]:
    found, true = predict_in_truth(predictor, faces)
    nme = nme_percent(found.landmarks, true)
    presence = np.full(len(faces), np.nan) if found.presence is None else found.presence
    return [
        FaceConditions(source, float(error), float(score), _angles_deg(face), face_light(face))
        for face, error, score in zip(faces, nme, presence, strict=True)
    ]


def _angles_deg(face: LabelledFace) -> tuple[float, float, float]:
    if face.rotation is None:
        return float("nan"), float("nan"), float("nan")
    pose = HeadPose(face.rotation.astype(np.float64))
    return pose.yaw_deg, pose.pitch_deg, pose.roll_deg


def _rows(subset: str, faces: Sequence[FaceConditions]) -> list[Row]:
    nme = np.array([face.nme for face in faces])
    presence = np.array([face.presence for face in faces], np.float32)
    count = len(faces)
    rows = [
        Row(subset, "NME", "%", float(nme.mean()), count),
        Row(subset, "FR 10 %", "%", 100.0 * failure_rate(nme, LIMIT_PERCENT), count),
    ]
    if not np.isnan(presence).any():
        accepted = 100.0 * float((presence >= np.float32(GATE)).mean())
        rows.append(Row(subset, "accepted at gate", "%", accepted, count))
    return rows
