"""What converted models lose on held-out data, each against its own reference."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from atpn_mobile.backends.base import Backend
from converters.accuracy import (
    AlignmentAccuracy,
    AlignmentLoss,
    compare_alignment,
    measure_alignment,
    measure_detection,
    require_accuracy,
)
from converters.models import Reference
from training.detection.evaluate import OperatingPoint


@dataclass(frozen=True, slots=True)
class DetectionLoss:
    """What a converted detector lost against its reference, at the runtime's threshold.

    Attributes:
        recall_large: change of the share found of the faces of 32 pixels and more.
        recall_small: change of the share found of the faces of 20 to 32 pixels.
        false_boxes: change of the number of boxes on backgrounds and backs of heads.
    """

    recall_large: float
    recall_small: float
    false_boxes: int


Loss: TypeAlias = AlignmentLoss | DetectionLoss


class HeldOutData:
    """Measures models on a folder of packs; each reference once."""

    def __init__(self, data: Path) -> None:
        """Nothing is read before it is needed.

        Args:
            data: folder of packs.
        """
        self._data = data
        self._alignment: dict[str, AlignmentAccuracy] = {}
        self._detection: dict[str, OperatingPoint] = {}

    def measure(self, reference: Reference, backend: Backend) -> Loss:
        """What a converted model lost.

        Raises:
            ParityError: it lost more than a converted model may.
            DatasetError: a pack is missing or damaged.
        """
        if reference.model.task == "detection":
            before = self._detector(reference)
            after = measure_detection(backend, backend.spec.input, self._data)
            return DetectionLoss(
                after.recall_large - before.recall_large,
                after.recall_small - before.recall_small,
                after.false_boxes + after.false_heads - before.false_boxes - before.false_heads,
            )
        loss = compare_alignment(
            self._aligner(reference), measure_alignment(backend, backend.spec, self._data)
        )
        require_accuracy(loss)
        return loss

    def _aligner(self, reference: Reference) -> AlignmentAccuracy:
        key = reference.weights_sha256
        if key not in self._alignment:
            self._alignment[key] = measure_alignment(reference, reference.model.spec, self._data)
        return self._alignment[key]

    def _detector(self, reference: Reference) -> OperatingPoint:
        key = reference.weights_sha256
        if key not in self._detection:
            self._detection[key] = measure_detection(reference, reference.model.input, self._data)
        return self._detection[key]
