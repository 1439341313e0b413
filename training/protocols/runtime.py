"""Networks in training as backends of the runtime: the real FaceTracker, no exported file."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from atpn_mobile.backends.base import check_inputs
from atpn_mobile.detector import Detector as FaceFinder
from atpn_mobile.detector import NetworkDetector
from atpn_mobile.geometry import box_from_landmarks
from atpn_mobile.landmarks import NUM_LANDMARKS
from atpn_mobile.manifest import InputSpec, ModelSpec, OutputSpec
from atpn_mobile.types import Detection, FloatArray, Frame
from training.detection.evaluate import load_detector
from training.network.detector import Detector
from training.protocols.predictor import Predictor


class PredictorBackend:
    """A predictor as the alignment network of a ``FaceTracker``.

    A network without presence never lets a face go, one without pose looks straight ahead.
    """

    def __init__(self, predictor: Predictor) -> None:
        """Wrap a predictor."""
        size = predictor.input_size
        self._predictor = predictor
        self._spec = ModelSpec(
            predictor.name,
            InputSpec("image", (1, 3, size, size), "NCHW"),
            (
                OutputSpec("landmarks", (1, NUM_LANDMARKS, 2)),
                OutputSpec("pose", (1, 3)),
                OutputSpec("presence", (1, 1)),
            ),
        )

    @property
    def name(self) -> str:
        """The engine."""
        return "torch"

    @property
    def spec(self) -> ModelSpec:
        """Input and outputs."""
        return self._spec

    def run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Run the network once, see ``Backend``."""
        check_inputs(self._spec, inputs)
        # The runtime's tensor is its uint8 crop as float32: nothing is lost on the way back.
        crop = inputs["image"][0].transpose(1, 2, 0).astype(np.uint8)
        prediction = self._predictor.predict([crop])
        pose, presence = prediction.pose, prediction.presence
        return {
            "landmarks": prediction.landmarks,
            "pose": np.zeros((1, 3), np.float32) if pose is None else pose,
            "presence": (
                np.ones((1, 1), np.float32) if presence is None else presence.reshape(1, 1)
            ),
        }

    def close(self) -> None:
        """Nothing to free."""


class DetectorBackend:
    """The detector in training as a backend of ``NetworkDetector``."""

    def __init__(self, detector: Detector) -> None:
        """Wrap a detector in evaluation mode."""
        size = detector.config.input_size
        self._detector = detector
        cells = detector.config.grid_size**2
        self._spec = ModelSpec(
            "detector",
            InputSpec("image", (1, 3, size, size), "NCHW"),
            (OutputSpec("boxes", (1, cells, 4)), OutputSpec("scores", (1, cells))),
        )

    @property
    def name(self) -> str:
        """The engine."""
        return "torch"

    @property
    def spec(self) -> ModelSpec:
        """Input and outputs."""
        return self._spec

    @torch.inference_mode()
    def run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Run the network once, see ``Backend``."""
        check_inputs(self._spec, inputs)
        output = self._detector(torch.from_numpy(inputs["image"]))
        return {"boxes": output.boxes.numpy(), "scores": output.scores.numpy()}

    def close(self) -> None:
        """Nothing to free."""


class TruthDetector:
    """Stands in for the detector: gives the face that is known to be in the frame.

    Attributes:
        landmarks: (N, 2) of the frame to come, frame pixels; set before each frame.
        calls: how often it was asked.
    """

    def __init__(self) -> None:
        """Know of no face yet."""
        self.landmarks: FloatArray | None = None
        self.calls = 0

    def detect(self, frame: Frame) -> tuple[Detection, ...]:
        """The known face; the frame is not looked at."""
        self.calls += 1
        if self.landmarks is None:
            return ()
        return (Detection(box_from_landmarks(self.landmarks), 1.0),)


def open_detector(weights: Path | None) -> FaceFinder:
    """The detector of a weights file as the runtime uses it; None for one that finds nothing.

    Raises:
        WeightsError: no such file, a damaged one, or one of another network.
    """
    if weights is None:
        return TruthDetector()  # which knows of no face
    return NetworkDetector(DetectorBackend(load_detector(weights)))
