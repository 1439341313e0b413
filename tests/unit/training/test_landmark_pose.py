import numpy as np
import pytest

from atpn_mobile.geometry import rotation_from_euler
from atpn_mobile.landmarks import MIRROR
from training.data.sample import DatasetError
from training.landmark_pose import LandmarkModel, fit_pose, read_landmark_model
from training.metrics import pose_mae_deg

ANGLES = np.array([(0, 0, 0), (0.7, 0.1, 0), (-0.6, -0.3, 0.2), (0.1, 0.4, -0.5), (0.0, -0.4, 0)])


@pytest.fixture(scope="module")
def model():
    """A head-like shell, mirrored as faces are, that varies in four directions."""
    rng = np.random.default_rng(4)
    mean = rng.uniform(-0.6, 0.6, (98, 3))
    mean[:, 2] = 1.0 - 0.9 * (mean[:, 0] ** 2 + 0.6 * mean[:, 1] ** 2)
    mean = (mean + mean[MIRROR] * (-1, 1, 1)) / 2
    basis = np.linalg.qr(rng.normal(size=(98 * 3, 4)))[0].T.reshape(4, 98, 3)
    return LandmarkModel(mean, basis, np.array([0.4, 0.3, 0.2, 0.1]))


def picture(model, angles, coefficients=None):
    """Landmarks in pixels, y down, of heads that far turned, seen from far away."""
    shape = model.mean + 0.0
    if coefficients is not None:
        shape = shape + np.einsum("k,kpd->pd", coefficients * model.std, model.basis)
    rotations = np.stack([rotation_from_euler(*row) for row in angles])
    camera = shape @ rotations.transpose(0, 2, 1)
    return camera[:, :, :2] * (40.0, -40.0) + (70.0, 55.0), rotations


@pytest.mark.parametrize("coefficients", [None, np.array([1.0, -0.8, 0.5, 1.5])])
def test_the_rotation_is_found_again(model, coefficients):
    landmarks, rotations = picture(model, ANGLES, coefficients)
    fit = fit_pose(landmarks, model)
    assert pose_mae_deg(fit.rotation, rotations).geodesic_deg < 2.5  # the view is not weak
    assert fit.residual.max() < 0.03


def test_a_mirrored_picture_mirrors_the_fit(model):
    symmetric = LandmarkModel(model.mean, model.basis, np.zeros(4))
    landmarks, _ = picture(symmetric, ANGLES)
    fit = fit_pose(landmarks, symmetric).rotation
    mirrored = fit_pose(landmarks[:, MIRROR] * (-1.0, 1.0), symmetric).rotation
    signs = np.array([-1.0, 1.0, 1.0])
    np.testing.assert_allclose(mirrored, fit * signs[:, None] * signs, atol=1e-3)


def test_turning_the_picture_turns_the_fit(model):
    landmarks, _ = picture(model, ANGLES)
    turn = 0.3  # clockwise in the picture, where y runs down
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    before = fit_pose(landmarks, model).rotation
    after = fit_pose(landmarks @ matrix.T, model).rotation
    np.testing.assert_allclose(after, rotation_from_euler(0, 0, turn) @ before, atol=1e-3)


def test_place_size_outline_and_pupils_do_not_matter(model):
    landmarks, _ = picture(model, ANGLES)
    moved = landmarks * 0.01 - 3.0
    moved[:, :33] += 5.0
    moved[:, 96:] -= 5.0
    one, two = fit_pose(landmarks, model), fit_pose(moved, model)
    np.testing.assert_allclose(one.rotation, two.rotation, atol=1e-6)


def test_what_is_no_face_leaves_a_residual(model):
    rng = np.random.default_rng(0)
    assert fit_pose(rng.uniform(0, 100, (3, 98, 2)), model).residual.min() > 0.1


@pytest.mark.parametrize(
    ("landmarks", "message"),
    [
        (np.zeros((2, 68, 2)), "98"),
        (np.zeros((0, 98, 2)), "N > 0"),
        (np.full((1, 98, 2), np.nan), "finite"),
        (np.ones((1, 98, 2)), "in face 0"),
    ],
)
def test_impossible_landmarks_are_refused(model, landmarks, message):
    with pytest.raises(ValueError, match=message):
        fit_pose(landmarks, model)


def test_a_model_is_read_back(model, tmp_path):
    path = tmp_path / "model.npz"
    np.savez(path, mean=model.mean, basis=model.basis, std=model.std)
    read = read_landmark_model(path)
    np.testing.assert_array_equal(read.basis, model.basis)
    np.savez(path, mean=model.mean[:68], basis=model.basis, std=model.std)
    with pytest.raises(DatasetError, match=r"\(98, 3\)"):
        read_landmark_model(path)
    np.savez(path, mean=model.mean)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_landmark_model(path)
    path.write_bytes(b"no archive")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_landmark_model(path)
    with pytest.raises(DatasetError, match="no file"):
        read_landmark_model(tmp_path / "none.npz")
