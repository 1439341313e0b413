"""Head pose on AFLW2000-3D and on the test parts of 300W-LP (Zhu et al., CVPR 2016).

Each face is seen in the region of its 68 landmarks. Samples with an angle beyond +-99 degrees are
left out, as HopeNet (Ruiz et al., CVPRW 2018) and FSA-Net (Yang et al., CVPR 2019) do. Truth and
prediction are compared as the angles of ``Pose_Para``, in its order of rotations, so that the
numbers stand beside published ones; the error of the rotation is free of any order.

A face fails when the mean of its three errors is above 10 degrees.

300W-LP has no test list. Its parts are told by the names of the pictures: IBUG is challenging,
LFPW test is common; HELEN's test pictures carry no such name and are left out. The mirrored twins
are left out too.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atpn_mobile.geometry import roi_from_landmarks
from training.data.sample import DatasetError, Sample
from training.data.w300lp import (
    MAX_ANGLE_DEG,
    pose_para_from_rotation,
    read_300w_lp,
    read_aflw2000,
)
from training.metrics import angle_difference_deg, pose_mae_deg
from training.protocols.predictor import (
    FacePredictions,
    Predictor,
    predict_faces,
    rotations_from_angles,
)
from training.protocols.results import ErrorCurves, NotRunError, ProtocolResult, Row
from training.protocols.w300 import points_68

Array = NDArray[np.float64]

LIMIT_DEG: Final = 10.0
COMMON_YAW_DEG: Final = 45.0
YAW_EDGES_DEG: Final = (0.0, 30.0, 60.0, MAX_ANGLE_DEG)
ANGLES: Final = ("pitch", "yaw", "roll")  # the order of Pose_Para
_NOTES: Final = (
    "each face in the region of its 68 landmarks; angles of Pose_Para",
    f"samples with an angle beyond +-{MAX_ANGLE_DEG:g} degrees are left out (HopeNet, FSA-Net)",
    "FR 10 deg: share of faces whose mean error of the three angles is above 10 degrees",
)


def pose_para_deg(rotation: NDArray[np.floating]) -> Array:
    """Pitch, yaw, roll of ``Pose_Para``, degrees, of (3, 3); yaw beyond 90 degrees included.

    Every rotation has two such triples; the one with the smaller pitch and roll is given, for heads
    turn beyond 90 degrees more often than they stand upside down.
    """
    pitch, yaw, roll = np.degrees(pose_para_from_rotation(rotation)).tolist()
    if abs(pitch) + abs(roll) <= 180.0:
        return np.array([pitch, yaw, roll])
    half_turn = 180.0
    return np.array(
        [
            pitch - np.copysign(half_turn, pitch),
            np.copysign(half_turn, yaw) - yaw,
            roll - np.copysign(half_turn, roll),
        ]
    )


def evaluate_aflw2000(predictor: Predictor, data: Path) -> ProtocolResult:
    """Errors on AFLW2000-3D: full, by yaw, and either side of 45 degrees of it.

    Args:
        predictor: the network.
        data: the folder of the pictures.

    Raises:
        NotRunError: the network gives no pose.
        DatasetError: the data set is missing or malformed.
    """
    errors = _PoseErrors(predictor, read_aflw2000(data))
    yaw = np.abs(errors.true[:, 1])
    parts = {
        "full": np.ones(yaw.size, dtype=bool),
        "common": yaw <= COMMON_YAW_DEG,
        "challenging": yaw > COMMON_YAW_DEG,
    }
    for low, high in pairwise(YAW_EDGES_DEG):
        above = yaw >= low if low == 0.0 else yaw > low
        parts[f"yaw {low:g} to {high:g}"] = above & (yaw <= high)
    note = f"common: |yaw| up to {COMMON_YAW_DEG:g} degrees, challenging: beyond"
    return _result("aflw2000", "AFLW2000-3D", errors, parts, (*_NOTES, note))


def evaluate_300w_lp(predictor: Predictor, data: Path) -> ProtocolResult:
    """Errors on the test parts of 300W-LP.

    Args:
        predictor: the network.
        data: the folder that holds AFW, HELEN, IBUG and LFPW.

    Raises:
        NotRunError: the network gives no pose.
        DatasetError: the data set is missing or malformed, or has none of the test pictures.
    """
    samples = [s for s in read_300w_lp(data) if _part(s) and _within_limits(s)]
    if not samples:
        raise DatasetError(f"expected pictures of IBUG or LFPW test of 300W-LP in {data}, got none")
    names = np.array([_part(sample) for sample in samples])
    parts = {
        "full": np.ones(len(samples), dtype=bool),
        "common": names == "common",
        "challenging": names == "challenging",
    }
    note = "common: LFPW test; challenging: IBUG; HELEN's test pictures cannot be told by name"
    return _result("300w_lp", "300W-LP", _PoseErrors(predictor, samples), parts, (*_NOTES, note))


class _PoseErrors:
    """Errors of each face.

    Attributes:
        true: (N, 3) pitch, yaw, roll, degrees.
        by_angle: (N, 3) absolute errors of the same, degrees.
        rotations: found and true, (N, 3, 3) each.
    """

    def __init__(self, predictor: Predictor, samples: Sequence[Sample]) -> None:
        if not predictor.has_pose:
            raise NotRunError(f"expected a network with a head pose, {predictor.name} gives none")
        rois = [roi_from_landmarks(points) for points in points_68(samples)]
        found = predict_faces(predictor, [sample.image for sample in samples], rois)
        self.rotations = _rotations(found), np.stack([_rotation(sample) for sample in samples])
        found_deg, self.true = (
            np.stack([pose_para_deg(rotation) for rotation in rotations])
            for rotations in self.rotations
        )
        self.by_angle = angle_difference_deg(found_deg, self.true)


def _rotations(found: FacePredictions) -> NDArray[np.floating]:
    if found.angles is None:
        raise NotRunError("expected a head pose from the network, got none")
    return rotations_from_angles(found.angles)


def _rotation(sample: Sample) -> NDArray[np.float32]:
    if sample.rotation is None:
        raise DatasetError(f"expected a head pose of {sample.name}, got none")
    return sample.rotation


def _within_limits(sample: Sample) -> bool:
    return bool(np.abs(pose_para_deg(_rotation(sample))).max() <= MAX_ANGLE_DEG)


def _part(sample: Sample) -> str:
    """The part a picture of 300W-LP belongs to, "" for those that are for training."""
    path = PurePosixPath(sample.name)
    if path.parent.name.endswith("_Flip"):
        return ""
    if path.name.startswith("LFPW_image_test_"):
        return "common"
    return "challenging" if path.name.startswith("IBUG_") else ""


def _result(
    name: str,
    title: str,
    errors: _PoseErrors,
    parts: dict[str, NDArray[np.bool_]],
    notes: tuple[str, ...],
) -> ProtocolResult:
    rows: list[Row] = []
    for subset, chosen in parts.items():
        rows += _rows(subset, errors, chosen)
    mean = errors.by_angle.mean(axis=1)
    curves = ErrorCurves(
        f"ced_{name}",
        f"{title}, mean of yaw, pitch and roll",
        {subset: mean[chosen] for subset, chosen in parts.items() if chosen.any()},
        "error (degrees)",
        2.0 * LIMIT_DEG,
    )
    return ProtocolResult(tuple(rows), (curves,), notes)


def _rows(subset: str, errors: _PoseErrors, chosen: NDArray[np.bool_]) -> list[Row]:
    count = int(chosen.sum())
    if count == 0:
        return [Row(subset, "mean", "deg", None, 0, "no sample in this part")]
    by_angle = dict(zip(ANGLES, errors.by_angle[chosen].mean(axis=0).tolist(), strict=True))
    mean = errors.by_angle[chosen].mean(axis=1)
    found, true = (rotations[chosen] for rotations in errors.rotations)
    return [
        *(Row(subset, angle, "deg", by_angle[angle], count) for angle in ("yaw", "pitch", "roll")),
        Row(subset, "mean", "deg", float(mean.mean()), count),
        Row(subset, "rotation", "deg", pose_mae_deg(found, true).geodesic_deg, count),
        Row(subset, "FR 10 deg", "%", 100.0 * float((mean > LIMIT_DEG).mean()), count),
    ]
