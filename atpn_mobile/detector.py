"""Finding faces in a whole frame."""

from typing import Protocol

from atpn_mobile.backends.base import Backend, require_outputs
from atpn_mobile.config import Color, DetectorConfig
from atpn_mobile.decode import DETECTION_OUTPUTS, decode_detections
from atpn_mobile.preprocess import letterbox_tensor
from atpn_mobile.types import Detection, Frame


class Detector(Protocol):
    """Finds faces; an app can bring its own."""

    def detect(self, frame: Frame) -> tuple[Detection, ...]:
        """The faces of a frame, best first; empty when there is none.

        Args:
            frame: (H, W, 3) uint8, as it was handed to the tracker, checked and contiguous.
        """
        ...


class NetworkDetector:
    """The project's own detector: one network on the letterboxed frame."""

    def __init__(
        self, backend: Backend, config: DetectorConfig | None = None, *, color: Color = "rgb"
    ) -> None:
        """Wrap a network.

        Args:
            backend: runs it; stays the caller's to close.
            config: thresholds; the defaults when None.
            color: order of the channels in the frames.

        Raises:
            ModelMismatchError: the network has no ``boxes`` and ``scores``.
        """
        require_outputs(backend.spec, DETECTION_OUTPUTS)
        self._backend = backend
        self._config = DetectorConfig() if config is None else config
        self._color: Color = color

    def detect(self, frame: Frame) -> tuple[Detection, ...]:
        """The faces of a frame, best first; empty when there is none.

        Args:
            frame: (H, W, 3) uint8.
        """
        spec = self._backend.spec.input
        tensor, roi = letterbox_tensor(frame, spec, self._color)
        return decode_detections(self._backend.run({spec.name: tensor}), roi, self._config)
