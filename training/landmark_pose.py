"""Head pose out of landmarks alone: the rotation at which a 3D landmark model explains them.

Blanz and Vetter's analysis by synthesis (SIGGRAPH 1999) with points: the model's shape, its
rotation, scale and place are fitted to 2D landmarks by Levenberg-Marquardt, under a weak
perspective whose strength is that of a face about a metre and a half away. A network's own pose
can be held against it: does the one follow the other?
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atpn_mobile.geometry import rotation_from_euler
from atpn_mobile.landmarks import NUM_LANDMARKS
from training.data.sample import DatasetError

Array = NDArray[np.float64]

# The outline moves along the head with the view and the pupils with the gaze: neither is a place
# on the head.
FITTED: Final = slice(33, 96)
DIMENSIONS: Final = 30  # of the shape; more than the landmarks of one view tell anyway
PRIOR: Final = 2e-5  # weight of a squared standard deviation against a squared mean distance
PERSPECTIVE: Final = 0.07  # growth of what lies a unit of the model nearer
ITERATIONS: Final = 25
START_YAWS: Final = (-0.7, 0.0, 0.7)  # radians; the best of three fits counts
FIRST_DAMPING: Final = 1e-3
POSE_PARAMETERS: Final = 6  # turn about x, y, z; logarithm of the scale; place in x and y


@dataclass(frozen=True, slots=True, eq=False)
class LandmarkModel:
    """A mean 3D shape and directions in which shapes vary.

    Attributes:
        mean: (98, 3) in the head frame: x right, y up, z towards the camera when the face looks
            into it; any unit.
        basis: (K, 98, 3) the same unit.
        std: (K,) standard deviation of each direction's coefficient.
    """

    mean: Array
    basis: Array
    std: Array


@dataclass(frozen=True, slots=True, eq=False)
class PoseFit:
    """Rotations of N faces.

    Attributes:
        rotation: (N, 3, 3) camera <- head, as in ``HeadPose``.
        residual: (N,) root mean square distance of landmarks and model over the mean distance of
            the landmarks from their middle: about 0.05 for faces, more for what is none.
    """

    rotation: Array
    residual: Array


def read_landmark_model(path: Path) -> LandmarkModel:
    """Read a model: an .npz of ``mean`` (98, 3), ``basis`` (K, 98, 3) and ``std`` (K,).

    Raises:
        DatasetError: no such file, or not such a model.
    """
    if not path.is_file():
        raise DatasetError(f"expected a landmark model (.npz), found no file at {path}")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            mean, basis, std = (archive[k].astype(np.float64) for k in ("mean", "basis", "std"))
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DatasetError(f"expected a landmark model, {path} cannot be read: {error}") from error
    wanted = ((NUM_LANDMARKS, 3), (len(std), NUM_LANDMARKS, 3), (len(std),))
    if (mean.shape, basis.shape, std.shape) != wanted:
        raise DatasetError(
            "expected mean (98, 3), basis (K, 98, 3) and std (K,), got "
            f"{mean.shape}, {basis.shape} and {std.shape} in {path}"
        )
    return LandmarkModel(mean, basis, std)


def fit_pose(landmarks: NDArray[np.floating], model: LandmarkModel) -> PoseFit:
    """Fit the model to landmarks.

    Args:
        landmarks: (N, 98, 2), x right, y down, any unit. The outline and the pupils are ignored.
        model: see ``LandmarkModel``.

    Raises:
        ValueError: the landmarks are not (N, 98, 2) with N > 0, not finite, or all in one place.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.ndim != 3 or points.shape[1:] != (NUM_LANDMARKS, 2) or len(points) == 0:
        raise ValueError(f"expected landmarks (N, 98, 2) with N > 0, got {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError("expected landmarks to be finite, got nan or inf")
    targets = points[:, FITTED] * np.array([1.0, -1.0])
    targets = targets - targets.mean(axis=1, keepdims=True)
    size = np.linalg.norm(targets, axis=2).mean(axis=1)
    if (size <= 0.0).any():
        raise ValueError(f"expected landmarks apart, got all in one place in face {size.argmin()}")
    targets = targets / size[:, None, None]
    fitter = _Fitter(model)
    fits = [fitter.fit(targets, yaw) for yaw in START_YAWS]
    best = np.argmin([fit.cost for fit in fits], axis=0)
    chosen = np.arange(len(targets))
    return PoseFit(
        np.stack([fit.rotation for fit in fits])[best, chosen],
        np.stack([fit.residual for fit in fits])[best, chosen],
    )


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """Parameters of N fits."""

    rotation: Array  # (N, 3, 3)
    log_scale: Array  # (N,)
    place: Array  # (N, 2)
    shape: Array  # (N, K) standard deviations

    def moved(self, step: Array) -> "_State":
        """After a step (N, 6 + K); the turn is about the camera's axes."""
        return _State(
            _rotations(step[:, :3]) @ self.rotation,
            self.log_scale + step[:, 3],
            self.place + step[:, 4:POSE_PARAMETERS],
            self.shape + step[:, POSE_PARAMETERS:],
        )

    def where(self, take: NDArray[np.bool_], other: "_State") -> "_State":
        """This state, but the other one where it is to be taken, (N,)."""
        return _State(
            np.where(take[:, None, None], other.rotation, self.rotation),
            np.where(take, other.log_scale, self.log_scale),
            np.where(take[:, None], other.place, self.place),
            np.where(take[:, None], other.shape, self.shape),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    rotation: Array
    cost: Array
    residual: Array


class _Fitter:
    """Levenberg-Marquardt over many faces at once."""

    def __init__(self, model: LandmarkModel) -> None:
        mean = model.mean[FITTED]
        self.mean = mean - mean.mean(axis=0)
        self.basis = model.basis[:DIMENSIONS, FITTED] * model.std[:DIMENSIONS, None, None]
        self.first_scale = 1.0 / float(np.linalg.norm(self.mean[:, :2], axis=1).mean())

    def fit(self, targets: Array, yaw: float) -> _Fit:
        """Fit to (N, P, 2) targets, x right, y up, mean distance 1, from a yaw in radians."""
        count, dimensions = len(targets), len(self.basis)
        state = _State(
            np.repeat(rotation_from_euler(yaw, 0.0, 0.0)[None], count, axis=0),
            np.full(count, np.log(self.first_scale)),
            np.zeros((count, 2)),
            np.zeros((count, dimensions)),
        )
        damping = np.full(count, FIRST_DAMPING)
        errors, jacobian = self._linearise(state, targets)
        cost = self._cost(errors, state)
        for _ in range(ITERATIONS):
            tried = state.moved(self._step(errors, jacobian, state, damping))
            tried_errors, tried_jacobian = self._linearise(tried, targets)
            tried_cost = self._cost(tried_errors, tried)
            better = tried_cost < cost
            state, cost = state.where(better, tried), np.where(better, tried_cost, cost)
            errors = np.where(better[:, None, None], tried_errors, errors)
            jacobian = np.where(better[:, None, None, None], tried_jacobian, jacobian)
            damping = np.where(better, damping * 0.3, damping * 5.0).clip(1e-9, 1e6)
        residual = np.sqrt(np.square(errors).sum(axis=2).mean(axis=1))
        return _Fit(state.rotation, cost, residual)

    def _cost(self, errors: Array, state: _State) -> Array:
        """(N,) mean squared distance, and the prior's part."""
        distance: Array = np.square(errors).sum(axis=2).mean(axis=1)
        cost: Array = distance + PRIOR * np.square(state.shape).sum(axis=1)
        return cost

    def _linearise(self, state: _State, targets: Array) -> tuple[Array, Array]:
        """Errors (N, P, 2) and their derivatives (N, P, 2, 6 + K)."""
        rotation = state.rotation
        shape = self.mean + np.einsum("nk,kpd->npd", state.shape, self.basis)
        camera = shape @ rotation.transpose(0, 2, 1)  # (N, P, 3)
        growth = 1.0 / (1.0 - PERSPECTIVE * camera[:, :, 2:])
        scale = np.exp(state.log_scale)[:, None, None]
        picture = scale * growth * camera[:, :, :2]
        # how each parameter moves the points in the camera's frame: turns, then directions
        x, y, z = camera[:, :, 0], camera[:, :, 1], camera[:, :, 2]
        zero = np.zeros_like(x)
        turns = np.stack(
            [
                np.stack([zero, -z, y], axis=2),
                np.stack([z, zero, -x], axis=2),
                np.stack([-y, x, zero], axis=2),
            ],
            axis=3,
        )  # (N, P, 3, 3)
        directions = np.einsum("ned,kpd->npek", rotation, self.basis)
        moved = np.concatenate([turns, directions], axis=3)  # (N, P, 3, 3 + K)
        # across the view a point moves by its scale; towards the camera, away from the middle
        nearer = PERSPECTIVE * growth * picture
        seen = (scale * growth)[..., None] * moved[:, :, :2] + nearer[..., None] * moved[:, :, 2:]
        place = np.broadcast_to(np.eye(2), (*picture.shape, 2))
        parts = [seen[..., :3], picture[..., None], place, seen[..., 3:]]
        errors = picture + state.place[:, None] - targets
        return errors, np.concatenate(parts, axis=3)

    def _step(self, errors: Array, jacobian: Array, state: _State, damping: Array) -> Array:
        """(N, 6 + K) damped Gauss-Newton step."""
        count, points = errors.shape[:2]
        slopes = jacobian.reshape(count, points * 2, -1)
        normal = slopes.transpose(0, 2, 1) @ slopes / points
        gradient = np.einsum("nij,ni->nj", slopes, errors.reshape(count, -1)) / points
        prior = np.zeros(normal.shape[1])
        prior[POSE_PARAMETERS:] = PRIOR
        gradient[:, POSE_PARAMETERS:] += PRIOR * state.shape
        diagonal = np.einsum("nii->ni", normal) + prior
        normal = normal + np.eye(len(prior)) * (prior + damping[:, None] * diagonal)[:, None]
        step: Array = -np.linalg.solve(normal, gradient[..., None])[..., 0]
        return step


def _rotations(turns: Array) -> Array:
    """(N, 3) rotation vectors -> (N, 3, 3), by Rodrigues' formula."""
    angle = np.linalg.norm(turns, axis=1)[:, None, None]
    x, y, z = (turns / np.maximum(angle[:, 0], 1e-12)).T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    rotation: Array = np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross)
    return rotation
