"""300W-LP and AFLW2000-3D: photographs with head pose and 68 landmarks in .mat files.

Source: Zhu et al., "Face Alignment Across Large Poses: A 3D Solution" (3DDFA), CVPR 2016. A .mat
file stands beside each .jpg, with ``Pose_Para`` (1, 7): pitch, yaw, roll in radians, the
translation (3) and the scale of a fitted 3D face.

**Head pose.** The Matlab code that comes with the data (RotationMatrix.m) defines the angles by::

    R_x = [1 0 0; 0 cos(pitch) sin(pitch); 0 -sin(pitch) cos(pitch)]     % = Rx(-pitch)
    R_y = [cos(yaw) 0 -sin(yaw); 0 1 0; sin(yaw) 0 cos(yaw)]             % = Ry(-yaw)
    R_z = [cos(roll) sin(roll) 0; -sin(roll) cos(roll) 0; 0 0 1]         % = Rz(-roll)
    R = R_x * R_y * R_z

in a space with x right, y up (its y is ``height + 1 - y``) and z towards the camera, which are the
axes of ``HeadPose`` too. The signs are ours and the order is not (ours is Rz Rx Ry), so the angles
differ as soon as two of them are not 0; the rotation is the same. The readers give the rotation,
and angles of ours are taken from that. To compare with numbers published on AFLW2000-3D, whose
angles are those of ``Pose_Para``, take both sides through ``pose_para_from_rotation``.

**Landmarks.** Matlab's pixel coordinates start at 1; 1 is taken off both. They are projections of a
3D face: where the outline of the far cheek is hidden, its points lie behind the visible outline,
which is where the points of 300W would lie.
"""

import math
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat  # type: ignore[import-untyped]
from scipy.io.matlab import MatReadError  # type: ignore[import-untyped]

from atpn_mobile.geometry import rotation_from_euler
from atpn_mobile.types import FloatArray
from training.data.sample import DatasetError, ImageFile, Sample

SUBSETS: Final = ("AFW", "HELEN", "IBUG", "LFPW")  # each has a mirrored twin, NAME_Flip
SPLITS_300W_LP: Final = ("train",)
SPLITS_AFLW2000: Final = ("val", "test", "all")
MAX_ANGLE_DEG: Final = 99.0  # of the AFLW2000-3D protocol (Ruiz et al., CVPRW 2018)

_MATLAB_ORIGIN: Final = 1.0
_POSE_KEY: Final = "Pose_Para"
_POSE_SHAPE: Final = (1, 7)
_UNREADABLE: Final = (  # what loadmat raises on files that are cut off or are something else
    MatReadError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    NotImplementedError,
    zlib.error,
)


def read_300w_lp(root: Path, split: str | None = None) -> list[Sample]:
    """Read 300W-LP (122,450 pictures).

    Args:
        root: the folder that holds AFW, AFW_Flip, HELEN and so on; or one of these.
        split: "train" or None: all of it is for training.

    Returns:
        One sample per picture, with ``points68`` (``pt2d``) and ``rotation``.

    Raises:
        DatasetError: no such split, no pictures, a .mat file is missing or not as expected.
    """
    if split is not None and split not in SPLITS_300W_LP:
        raise DatasetError(f"expected a split of 300W-LP out of {SPLITS_300W_LP}, got {split!r}")
    names = [name + suffix for name in SUBSETS for suffix in ("", "_Flip")]
    # By name, since the archive also has folders of code and of other landmarks.
    folders = [root / name for name in names if (root / name).is_dir()] or [root]
    pictures = [picture for folder in folders for picture in _pictures(folder, "300W-LP")]
    return [_read_sample(root, picture, "train", "pt2d", 2)[0] for picture in pictures]


def read_aflw2000(root: Path, split: str | None = None) -> list[Sample]:
    """Read AFLW2000-3D (2,000 pictures).

    Args:
        root: the folder of the pictures.
        split: "val", "test" or None for the protocol of head pose papers, which leaves out the 31
            pictures with an angle beyond +-99 degrees (1,969 remain); "all" for every picture.

    Returns:
        One sample per picture, split "val", with ``points68`` (``pt3d_68``, its x and y) and
        ``rotation``.

    Raises:
        DatasetError: no such split, no pictures, a .mat file is missing or not as expected.
    """
    if split is not None and split not in SPLITS_AFLW2000:
        raise DatasetError(
            f"expected a split of AFLW2000-3D out of {SPLITS_AFLW2000}, got {split!r}"
        )
    read = (_read_sample(root, file, "val", "pt3d_68", 3) for file in _pictures(root, "AFLW2000"))
    limit = math.inf if split == "all" else math.radians(MAX_ANGLE_DEG)
    return [sample for sample, angles in read if np.abs(angles).max() <= limit]


def rotation_from_pose_para(pitch: float, yaw: float, roll: float) -> NDArray[np.float64]:
    """Head rotation from the angles of ``Pose_Para``, radians, in their order.

    Returns:
        (3, 3) float64, camera <- head, axes as in ``HeadPose``: ``Rx(-pitch) Ry(-yaw) Rz(-roll)``.
    """
    around_x = rotation_from_euler(0.0, pitch, 0.0)
    around_y = rotation_from_euler(yaw, 0.0, 0.0)
    around_z = rotation_from_euler(0.0, 0.0, roll)
    return around_x @ around_y @ around_z


def pose_para_from_rotation(rotation: NDArray[np.floating]) -> tuple[float, float, float]:
    """Pitch, yaw, roll of ``Pose_Para``, radians, of a (3, 3) head rotation; yaw within +-pi/2."""
    yaw = -math.asin(min(1.0, max(-1.0, float(rotation[0, 2]))))
    pitch = math.atan2(float(rotation[1, 2]), float(rotation[2, 2]))
    roll = math.atan2(float(rotation[0, 1]), float(rotation[0, 0]))
    return pitch, yaw, roll


def _pictures(folder: Path, dataset: str) -> list[Path]:
    pictures = sorted(folder.glob("*.jpg"))
    if not pictures:
        raise DatasetError(f"expected .jpg files of {dataset} in {folder}, found none")
    return pictures


def _read_sample(
    root: Path, picture: Path, split: str, key: str, rows: int
) -> tuple[Sample, NDArray[np.float64]]:
    """The sample of a picture, and its pitch, yaw, roll as they stand in the file."""
    path = picture.with_suffix(".mat")
    if not path.is_file():
        raise DatasetError(f"expected a .mat file beside {picture}, found none at {path}")
    try:
        content = loadmat(path, variable_names=(_POSE_KEY, key))
    except _UNREADABLE as error:
        raise DatasetError(f"expected a .mat file, {path} cannot be read: {error}") from error
    pitch_yaw_roll = _array(content, path, _POSE_KEY, _POSE_SHAPE)[0, :3]
    points = _array(content, path, key, (rows, 68))[:2].T - _MATLAB_ORIGIN
    pitch, yaw, roll = pitch_yaw_roll.tolist()
    sample = Sample(
        name=picture.relative_to(root).with_suffix("").as_posix(),
        image=ImageFile(picture),
        split=split,
        points68=points.astype(np.float32),
        rotation=_as_float32(rotation_from_pose_para(pitch, yaw, roll)),
    )
    return sample, pitch_yaw_roll


def _as_float32(values: NDArray[np.float64]) -> FloatArray:
    return values.astype(np.float32)


def _array(
    content: dict[str, NDArray[np.generic]], path: Path, key: str, shape: tuple[int, int]
) -> NDArray[np.float64]:
    if key not in content:
        raise DatasetError(f"{path}: expected the variable {key} {shape}, found none of that name")
    found = np.asarray(content[key])
    if found.shape != shape or found.dtype.kind not in "fiu":
        raise DatasetError(
            f"{path}: expected {key} to be {shape} numbers, got {found.shape} {found.dtype}"
        )
    values = found.astype(np.float64)
    if not np.isfinite(values).all():
        raise DatasetError(f"{path}: expected {key} to be finite, got nan or inf")
    return values
