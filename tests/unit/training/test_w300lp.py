"""300W-LP and AFLW2000-3D, on .mat files as their authors write them."""

import math

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from atpn_mobile.geometry import euler_from_rotation, mirror_rotation, rotation_from_euler
from training.data.sample import DatasetError
from training.data.w300lp import (
    pose_para_from_rotation,
    read_300w_lp,
    read_aflw2000,
    rotation_from_pose_para,
)


def matlab_rotation(pitch, yaw, roll):
    """RotationMatrix.m of 3DDFA, by its own letters."""
    cos, sin = math.cos, math.sin
    r_x = np.array([[1, 0, 0], [0, cos(pitch), sin(pitch)], [0, -sin(pitch), cos(pitch)]])
    r_y = np.array([[cos(yaw), 0, -sin(yaw)], [0, 1, 0], [sin(yaw), 0, cos(yaw)]])
    r_z = np.array([[cos(roll), sin(roll), 0], [-sin(roll), cos(roll), 0], [0, 0, 1]])
    return r_x @ r_y @ r_z


def write_face(path, angles=(0.1, 0.2, 0.3), key="pt2d", points=None, **changes):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((45, 45, 3), 60, np.uint8))
    rows = 2 if key == "pt2d" else 3
    content = {
        "Pose_Para": np.array([[*angles, 80.0, 90.0, -60.0, 0.001]], dtype=np.float32),
        key: np.arange(rows * 68, dtype=np.float32).reshape(rows, 68) if points is None else points,
        "Illum_Para": np.zeros((1, 10)),  # one of many more in the real files
    } | changes
    content = {name: value for name, value in content.items() if value is not None}
    savemat(path.with_suffix(".mat"), content, do_compression=True)
    return path


def write_aflw(path, angles_deg=(0, 0, 0), **changes):
    # Its pt2d has 21 points, not for use.
    return write_face(
        path, np.radians(angles_deg), "pt3d_68", pt2d=np.full((2, 21), -1.0), **changes
    )


@pytest.mark.parametrize("angles", [(0.3, -0.8, 0.5), (-0.4, 1.4, -1.0), (0.0, 0.0, 0.0)])
def test_rotation_is_that_of_the_matlab_code(angles):
    np.testing.assert_allclose(
        rotation_from_pose_para(*angles), matlab_rotation(*angles), atol=1e-12
    )
    np.testing.assert_allclose(
        pose_para_from_rotation(rotation_from_pose_para(*angles)), angles, atol=1e-12
    )


@pytest.mark.parametrize("angle", [-1.2, 0.4])
def test_single_angles_are_ours(angle):
    # The signs agree; only the order of three rotations at once does not.
    np.testing.assert_allclose(
        rotation_from_pose_para(0, angle, 0), rotation_from_euler(angle, 0, 0), atol=1e-12
    )
    np.testing.assert_allclose(
        rotation_from_pose_para(angle, 0, 0), rotation_from_euler(0, angle, 0), atol=1e-12
    )
    np.testing.assert_allclose(
        rotation_from_pose_para(0, 0, angle), rotation_from_euler(0, 0, angle), atol=1e-12
    )


def test_three_angles_at_once_are_not_ours():
    pitch, yaw, roll = 0.5, 0.8, 0.6
    ours = euler_from_rotation(rotation_from_pose_para(pitch, yaw, roll))
    assert np.abs(np.subtract(ours, (yaw, pitch, roll))).max() > 0.1


@pytest.mark.parametrize(
    ("angles", "axis", "goes_to"),
    [
        ((0.0, 0.5, 0.0), (0, 0, 1), (-math.sin(0.5), 0, math.cos(0.5))),  # nose: left in the image
        ((0.5, 0.0, 0.0), (0, 0, 1), (0, math.sin(0.5), math.cos(0.5))),  # nose: up
        ((0.0, 0.0, 0.5), (0, 1, 0), (math.sin(0.5), math.cos(0.5), 0)),  # crown: right = clockwise
    ],
)
def test_directions(angles, axis, goes_to):
    np.testing.assert_allclose(rotation_from_pose_para(*angles) @ axis, goes_to, atol=1e-12)


def test_mirrored_twin_has_yaw_and_roll_reversed():
    # As the pictures of AFW_Flip are labelled.
    np.testing.assert_allclose(
        mirror_rotation(rotation_from_pose_para(0.3, 0.7, -0.2)),
        rotation_from_pose_para(0.3, -0.7, 0.2),
        atol=1e-12,
    )


def test_300w_lp(tmp_path):
    points = np.random.default_rng(0).uniform(1, 45, (2, 68))
    write_face(tmp_path / "AFW/AFW_1_0.jpg", (0.1, -0.9, 0.2), points=points)
    write_face(tmp_path / "AFW/AFW_1_1.jpg")
    write_face(tmp_path / "AFW_Flip/AFW_1_0.jpg")
    (tmp_path / "Code").mkdir()  # code stands in the archive too, with .mat files of its own
    savemat(tmp_path / "Code/Model_Shape.mat", {"w": np.zeros(3)})

    samples = read_300w_lp(tmp_path)

    assert [s.name for s in samples] == ["AFW/AFW_1_0", "AFW/AFW_1_1", "AFW_Flip/AFW_1_0"]
    assert {sample.split for sample in samples} == {"train"}
    first = samples[0]
    np.testing.assert_allclose(first.points68, points.T - 1.0, atol=1e-5)  # Matlab starts at 1
    np.testing.assert_allclose(first.rotation, matlab_rotation(0.1, -0.9, 0.2), atol=1e-6)
    assert first.points68.dtype == first.rotation.dtype == np.float32
    assert first.image.read().shape == (45, 45, 3)


def test_one_folder_of_300w_lp(tmp_path):
    write_face(tmp_path / "AFW_1_0.jpg")
    assert [sample.name for sample in read_300w_lp(tmp_path)] == ["AFW_1_0"]


def test_aflw2000_takes_the_68_points(tmp_path):
    points = np.random.default_rng(0).uniform(1, 45, (3, 68))
    write_aflw(tmp_path / "image00002.jpg", (10, -20, 30), pt3d_68=points)

    (sample,) = read_aflw2000(tmp_path)

    assert (sample.name, sample.split) == ("image00002", "val")
    np.testing.assert_allclose(sample.points68, points[:2].T - 1.0, atol=1e-5)


@pytest.mark.parametrize(
    ("angles_deg", "kept"),
    [
        ((0, 98.9, 0), True),
        ((0, -99.1, 0), False),
        ((99.5, 0, 0), False),
        ((0, 0, -170), False),
        ((-98, 98, 98), True),
    ],
)
def test_aflw2000_protocol_leaves_out_extreme_angles(tmp_path, angles_deg, kept):
    write_aflw(tmp_path / "image00002.jpg")
    write_aflw(tmp_path / "image00004.jpg", angles_deg)

    names = [sample.name for sample in read_aflw2000(tmp_path)]

    assert names == ["image00002"] + ["image00004"] * kept
    assert len(read_aflw2000(tmp_path, "all")) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Pose_Para": None}, r"b\.mat: expected the variable Pose_Para \(1, 7\), found none"),
        ({"pt2d": None}, r"b\.mat: expected the variable pt2d \(2, 68\), found none"),
        ({"pt2d": np.zeros((2, 21))}, r"expected pt2d to be \(2, 68\) numbers, got \(2, 21\)"),
        ({"Pose_Para": np.zeros((1, 3))}, r"Pose_Para to be \(1, 7\) numbers, got \(1, 3\)"),
        ({"Pose_Para": np.full((1, 7), np.nan)}, r"expected Pose_Para to be finite"),
        ({"Pose_Para": "0 0 0 0 0 0 0"}, r"expected Pose_Para to be \(1, 7\) numbers, got"),
    ],
)
def test_malformed_mat(tmp_path, changes, message):
    write_face(tmp_path / "AFW/a.jpg")
    write_face(tmp_path / "AFW/b.jpg", **changes)
    with pytest.raises(DatasetError, match=message):
        read_300w_lp(tmp_path)


def test_mat_that_is_cut_off_anywhere(tmp_path):
    path = write_face(tmp_path / "AFW/a.jpg", Illum_Para=None).with_suffix(".mat")
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(DatasetError, match=r"a\.mat"):
            read_300w_lp(tmp_path)


def test_file_that_is_no_mat(tmp_path):
    write_face(tmp_path / "AFW/a.jpg").with_suffix(".mat").write_bytes(b"something else" * 100)
    with pytest.raises(DatasetError, match=r"a\.mat cannot be read"):
        read_300w_lp(tmp_path)


def test_missing_mat(tmp_path):
    write_face(tmp_path / "AFW/a.jpg").with_suffix(".mat").unlink()
    with pytest.raises(DatasetError, match=r"beside .*a\.jpg, found none"):
        read_300w_lp(tmp_path)


@pytest.mark.parametrize("read", [read_300w_lp, read_aflw2000])
def test_no_pictures_and_unknown_split(tmp_path, read):
    with pytest.raises(DatasetError, match=r"expected \.jpg files"):
        read(tmp_path)
    with pytest.raises(DatasetError, match="got 'best'"):
        read(tmp_path, "best")
