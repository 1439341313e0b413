"""How well a model does on held-out data, on any engine: what int8 costs in the unit of the task.

Parity says how far the outputs moved; this says whether they got worse. The measures are those of
``python -m training evaluate``, one crop at a time as on a phone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from atpn_mobile.config import DetectorConfig
from atpn_mobile.decode import decode_detections
from atpn_mobile.manifest import InputSpec, ModelSpec
from atpn_mobile.preprocess import letterbox_tensor, to_tensor
from atpn_mobile.types import FloatArray, Frame
from converters.errors import ParityError
from converters.parity import Network
from training.data.crops import Crop, plain_crops
from training.detection.evaluate import (
    LOWEST_SCORE,
    EvaluationFrame,
    OperatingPoint,
    build_frames,
    evaluate_detections,
)
from training.detection.pictures import load_library
from training.evaluate import (
    GATE,
    POSE_SOURCE,
    PresenceSet,
    load_val_faces,
    presence_set,
)
from training.metrics import nme_percent, pose_mae_deg
from training.protocols.predictor import rotations_from_angles

MAX_NME_INCREASE_PERCENT: Final = 5.0  # relative, of each data set
MIN_PRESENCE_AGREEMENT: Final = 0.995  # share of crops with the same decision at the gate


@dataclass(frozen=True, slots=True, eq=False)
class AlignmentAccuracy:
    """What an alignment network achieves on the "val" splits.

    Attributes:
        nme_percent: by pack, mean NME of 98 points, % of the outer-eye distance.
        pose_mae_deg: mean absolute error of the three angles on rendered heads, degrees.
        true_accept: share of the faces whose presence reaches the gate; None, as the two below,
            where the network gives no presence.
        false_accept: share of the crops without a face whose presence reaches it.
        presence: (N,) float32, of every crop of the presence test.
    """

    nme_percent: Mapping[str, float]
    pose_mae_deg: float
    true_accept: float | None = None
    false_accept: float | None = None
    presence: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class AlignmentLoss:
    """What a converted alignment network lost against its reference.

    Attributes:
        nme_increase_percent: by pack, relative increase of the NME, %.
        pose_increase_deg: increase of the mean absolute error of the angles, degrees.
        presence_agreement: share of crops on whose presence at the gate both decide alike; None
            where they give no presence.
    """

    nme_increase_percent: Mapping[str, float]
    pose_increase_deg: float
    presence_agreement: float | None


@dataclass(frozen=True, slots=True, eq=False)
class _AlignmentData:
    crops: Mapping[str, Sequence[Crop]]
    presence: PresenceSet | None


def measure_alignment(network: Network, spec: ModelSpec, data: Path) -> AlignmentAccuracy:
    """Measure an alignment network.

    Args:
        network: a backend, or a reference.
        spec: what it takes, which decides resolution and layout of the crops, and what it gives.
        data: folder of packs. They are decoded once for all networks of one resolution in a row.

    Raises:
        DatasetError: a pack is missing or damaged.
        ModelMismatchError: the network takes something else than ``spec``.
    """
    gives_presence = any(output.name == "presence" for output in spec.outputs)
    held_out = _alignment_data(data.resolve(), spec.input.resolution, gives_presence)
    nme: dict[str, float] = {}
    pose = float("nan")
    for name, crops in held_out.crops.items():
        outputs = [_run(network, spec.input, crop.image) for crop in crops]
        predicted = np.concatenate([output["landmarks"] for output in outputs])
        truth = np.stack([crop.landmarks for crop in crops])
        nme[name] = float(nme_percent(predicted, truth).mean())
        if name == POSE_SOURCE:
            angles = np.concatenate([output["pose"] for output in outputs])
            rotations = np.stack([crop.rotation for crop in crops])
            pose = pose_mae_deg(rotations_from_angles(angles), rotations).mean_deg
    test = held_out.presence
    if test is None:
        return AlignmentAccuracy(nme, pose)
    presence = np.array(
        [_run(network, spec.input, image)["presence"].item() for image in test.images], np.float32
    )
    accepted = presence >= GATE
    return AlignmentAccuracy(
        nme,
        pose,
        float(accepted[test.is_face].mean()),
        float(accepted[~test.is_face].mean()),
        presence,
    )


def compare_alignment(reference: AlignmentAccuracy, converted: AlignmentAccuracy) -> AlignmentLoss:
    """What the converted network lost, both measured on the same data."""
    agreement = None
    if reference.presence is not None and converted.presence is not None:
        agreement = float(((reference.presence >= GATE) == (converted.presence >= GATE)).mean())
    return AlignmentLoss(
        {
            name: 100.0 * (converted.nme_percent[name] / before - 1.0)
            for name, before in reference.nme_percent.items()
        },
        converted.pose_mae_deg - reference.pose_mae_deg,
        agreement,
    )


def require_accuracy(loss: AlignmentLoss) -> None:
    """Check a loss against what int8 may cost.

    Raises:
        ParityError: it costs more.
    """
    broken = [
        f"NME on {name} {increase:+.1f} % (at most +{MAX_NME_INCREASE_PERCENT:g} %)"
        for name, increase in loss.nme_increase_percent.items()
        if not increase <= MAX_NME_INCREASE_PERCENT  # so that NaN is broken too
    ]
    alike = loss.presence_agreement
    if alike is not None and not alike >= MIN_PRESENCE_AGREEMENT:
        broken.append(
            f"presence decisions alike on {100.0 * alike:.2f} % (at least "
            f"{100.0 * MIN_PRESENCE_AGREEMENT:g} %)"
        )
    if broken:
        raise ParityError(f"expected the accuracy of the reference, got {', '.join(broken)}")


def measure_detection(network: Network, spec: InputSpec, data: Path) -> OperatingPoint:
    """Measure a detector at the runtime's threshold.

    Args:
        network: a backend, or a reference.
        spec: what it takes; decides the layout.
        data: folder of packs. The frames are composed once per process.

    Raises:
        DatasetError: a pack is missing or damaged.
        ModelMismatchError: the network takes something else than ``spec``.
    """
    frames = _detection_frames(data.resolve())
    detections = [_detect(network, spec, frame.frame) for frame in frames]
    return evaluate_detections(frames, detections).shipped


def _run(network: Network, spec: InputSpec, image: Frame) -> dict[str, FloatArray]:
    return network.run({spec.name: to_tensor(image, spec, "rgb")})


def _detect(network: Network, spec: InputSpec, frame: Frame) -> tuple[FloatArray, FloatArray]:
    tensor, roi = letterbox_tensor(frame, spec, "rgb")
    found = decode_detections(
        network.run({spec.name: tensor}), roi, DetectorConfig(score_threshold=LOWEST_SCORE)
    )
    boxes = np.array([one.box_xyxy for one in found], np.float32).reshape(-1, 4)
    return boxes, np.array([one.score for one in found], np.float32)


@lru_cache(maxsize=1)
def _alignment_data(data: Path, size: int, with_presence: bool) -> _AlignmentData:
    packs = load_val_faces(data)
    crops = {name: plain_crops(faces, size) for name, faces in packs.items()}
    if not with_presence:
        return _AlignmentData(crops, None)
    everyone = [face for faces in packs.values() for face in faces]
    return _AlignmentData(crops, presence_set(everyone, data, size=size))


@lru_cache(maxsize=1)
def _detection_frames(data: Path) -> list[EvaluationFrame]:
    return build_frames(load_library(data, "val"))
