"""The network under test, whatever it is: pictures in, landmarks, pose and presence out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from atpn_mobile.geometry import crop_frame, landmarks_to_frame, rotation_from_euler
from atpn_mobile.types import FloatArray, Frame, Roi
from training.data.sample import ImageSource
from training.network.atpn import Atpn
from training.network.variants import FaceNetwork, network_from_description
from training.weights import WeightsError, load_weights, read_weights

BATCH: Final = 64  # crops that are held and run at once

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a network says about N crops.

    Attributes:
        landmarks: (N, 98, 2) crop units.
        pose: (N, 3) yaw, pitch, roll in radians, as in ``HeadPose``; None where it gives none.
        presence: (N,) probability of a face; None where it gives none.
    """

    landmarks: FloatArray
    pose: FloatArray | None
    presence: FloatArray | None


class Predictor(Protocol):
    """A network under test."""

    @property
    def name(self) -> str:
        """What its row is called."""
        ...

    @property
    def input_size(self) -> int:
        """Pixels on a side of the crops it takes."""
        ...

    @property
    def has_pose(self) -> bool:
        """Whether it gives the head pose."""
        ...

    @property
    def has_presence(self) -> bool:
        """Whether it gives the presence of a face."""
        ...

    def predict(self, images: Sequence[Frame]) -> Prediction:
        """Run it over crops.

        Args:
            images: at least one, each (input_size, input_size, 3) RGB.
        """
        ...


class NetworkPredictor:
    """Any network of this project as a predictor."""

    def __init__(self, name: str, network: FaceNetwork) -> None:
        """Wrap a network; it is put into evaluation mode for each call and back afterwards.

        Args:
            name: what its row is called.
            network: on any device.
        """
        self._name = name
        self._network = network

    @property
    def name(self) -> str:
        """What its row is called."""
        return self._name

    @property
    def input_size(self) -> int:
        """Pixels on a side of the crops it takes."""
        return self._network.input_size

    @property
    def has_pose(self) -> bool:
        """All of them give the head pose."""
        return True

    @property
    def has_presence(self) -> bool:
        """Whether it gives the presence of a face."""
        return isinstance(self._network, Atpn)

    @torch.inference_mode()
    def predict(self, images: Sequence[Frame]) -> Prediction:
        """Run it over crops, see ``Predictor``."""
        network = self._network
        modes = [(module, module.training) for module in network.modules()]
        network.eval()
        batch = torch.from_numpy(np.stack(images)).to(next(network.parameters()).device)
        output = network(batch.permute(0, 3, 1, 2).float())
        for module, mode in modes:
            module.training = mode
        landmarks, pose, *rest = (value.cpu().numpy() for value in output)
        return Prediction(landmarks, pose, rest[0][:, 0] if rest else None)


def load_predictor(weights: Path) -> Predictor:
    """The network of a weights file.

    Raises:
        WeightsError: no such file, a damaged one, or one of a network that has no landmarks.
    """
    description = read_weights(weights)[1]
    try:
        network = network_from_description(description)
    except ValueError as error:
        raise WeightsError(f"{error}, in {weights}") from error
    load_weights(network, weights)
    return NetworkPredictor(str(description.get("network", "atpn")), network)


def rotations_from_angles(angles: FloatArray) -> NDArray[np.float64]:
    """(N, 3) yaw, pitch, roll in radians -> (N, 3, 3) head rotations."""
    return np.stack([rotation_from_euler(*map(float, row)) for row in angles])


# --- faces in pictures -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class FacePredictions:
    """What a network says about N faces of pictures.

    Attributes:
        landmarks: (N, 98, 2) float32, pixels of each picture.
        angles: (N, 3) yaw, pitch, roll in radians, as in ``HeadPose``; None where it gives none.
        presence: (N,) float32; None where it gives none.
    """

    landmarks: FloatArray
    angles: FloatArray | None
    presence: FloatArray | None


def predict_crops(predictor: Predictor, crops: Iterable[Frame]) -> Prediction:
    """Run a network over any number of crops, of which only a batch is held at a time.

    Raises:
        ValueError: there are none.
    """
    parts = [predictor.predict(batch) for batch in _batches(crops, BATCH)]
    if not parts:
        raise ValueError("expected at least one crop, got none")
    return Prediction(
        np.concatenate([part.landmarks for part in parts]),
        _joined([part.pose for part in parts]),
        _joined([part.presence for part in parts]),
    )


def predict_faces(
    predictor: Predictor, pictures: Sequence[ImageSource], rois: Sequence[Roi]
) -> FacePredictions:
    """Run a network over one region of each picture, not rotated.

    Args:
        predictor: the network.
        pictures: at least one; each is read once.
        rois: as many regions.

    Raises:
        DatasetError: a picture cannot be read.
    """
    pairs = zip(pictures, rois, strict=True)
    size = predictor.input_size
    prediction = predict_crops(
        predictor, (crop_frame(picture.read(), roi, size) for picture, roi in pairs)
    )
    landmarks = [
        landmarks_to_frame(points, roi)
        for points, roi in zip(prediction.landmarks, rois, strict=True)
    ]
    return FacePredictions(np.stack(landmarks), prediction.pose, prediction.presence)


def _joined(parts: Sequence[FloatArray | None]) -> FloatArray | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None


def _batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
