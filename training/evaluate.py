"""Accuracy on held-out data: landmarks, head pose and presence, by the field's measures."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from atpn_mobile.config import TrackerConfig
from atpn_mobile.geometry import crop_frame, landmarks_to_crop, roi_from_landmarks
from atpn_mobile.landmarks import TO_68
from atpn_mobile.types import FloatArray, Frame
from training.augment import NO_AUGMENT
from training.data.crops import CropConfig, CropDataset, FaceSource, LabelledFace, load_faces
from training.data.packs import read_pack
from training.data.registry import open_dataset
from training.data.sample import DatasetError, Sample
from training.metrics import (
    auc,
    average_precision,
    failure_rate,
    false_accept_at_true_accept,
    nme_percent,
    pose_mae_deg,
)
from training.network.config import INPUT_SIZE
from training.protocols.predictor import (
    Prediction,
    Predictor,
    load_predictor,
    predict_crops,
    predict_faces,
    rotations_from_angles,
)

GATE = TrackerConfig().presence_threshold  # presence at which a track is kept
INNER_51 = slice(17, 68)  # the 68-point scheme without its outline
POSE_SOURCE = "faces_synthetic"  # the one pack whose rotations are exact
FACE_PACKS = ("faces_helen.npz", "faces_ytf.npz", "faces_synthetic.npz")

# How the presence test moves its faces: as far as a tracker's region is off from frame to frame.
PRESENCE_JITTER = replace(
    NO_AUGMENT, shift=0.04, log_scale=0.06, rotation_deg=8.0, flip=0.5, background=0.6
)
NEGATIVE_KINDS: Mapping[str, CropConfig] = {
    "backgrounds": CropConfig(PRESENCE_JITTER, 1.0, hard_negatives=0.0, shifted_negatives=0.0),
    "backs of heads": CropConfig(PRESENCE_JITTER, 1.0, hard_negatives=1.0, shifted_negatives=0.0),
    "beside the face": CropConfig(PRESENCE_JITTER, 1.0, hard_negatives=0.0, shifted_negatives=1.0),
}


@dataclass(frozen=True, slots=True, eq=False)
class PresenceSet:
    """Crops with and without a face.

    Attributes:
        images: (S, S, 3) RGB crops.
        is_face: (N,) bool.
        kind: where each crop comes from.
    """

    images: list[Frame]
    is_face: NDArray[np.bool_]
    kind: list[str]


def pose_measures(angles: FloatArray, rotations: Sequence[FloatArray]) -> dict[str, float]:
    """Mean absolute error per angle and of the rotation, degrees.

    Args:
        angles: (N, 3) yaw, pitch, roll in radians, as the network gives them.
        rotations: N true head rotations, (3, 3).
    """
    errors = pose_mae_deg(rotations_from_angles(angles), np.stack(rotations))
    return {
        "yaw_mae_deg": errors.yaw_deg,
        "pitch_mae_deg": errors.pitch_deg,
        "roll_mae_deg": errors.roll_deg,
        "geodesic_deg": errors.geodesic_deg,
    }


def landmark_measures(predicted: FloatArray, true: FloatArray) -> dict[str, float]:
    """Errors of (N, 98, 2) or (N, 68, 2) landmarks against as many true ones.

    98 points against 98 give all measures; against 68, those of the 68-point scheme.

    Returns:
        NME in % of the outer-eye distance; failure rate and AUC at 10 %, 0..1.
    """
    measures: dict[str, float] = {"faces": float(len(true))}
    if true.shape[1] == 98:
        nme = nme_percent(predicted, true)
        measures["nme_98_percent"] = float(nme.mean())
        true = true[:, TO_68]
    else:
        nme = nme_percent(predicted[:, TO_68], true)
    predicted = predicted[:, TO_68]
    measures["nme_68_percent"] = float(nme_percent(predicted, true).mean())
    measures["nme_inner_51_percent"] = float(nme_percent(predicted, true, points=INNER_51).mean())
    measures["failure_rate_10"] = failure_rate(nme)
    measures["auc_10"] = auc(nme)
    return measures


def presence_set(
    faces: Sequence[LabelledFace], data: Path, *, seed: int = 7, size: int = INPUT_SIZE
) -> PresenceSet:
    """The presence test: faces, and what the "val" splits of a folder of packs have without one.

    Every face, moved as a tracker's region may be off; four crops of every background, four of
    every back of a head, and as many crops beside a face (IoU below 0.3) as there are faces.

    Args:
        faces: decoded, of the "val" splits.
        data: the folder of packs.
        seed: of the crops.
        size: pixels on a side of the crops, the network's input.

    Raises:
        DatasetError: a pack is missing.
    """
    backgrounds = [s.image.read() for s in read_pack(data / "backgrounds.npz", "val")]
    backs = [s.image.read() for s in read_pack(data / "negatives_back_of_head.npz", "val")]
    numbers = {
        "backgrounds": 4 * len(backgrounds),
        "backs of heads": 4 * len(backs),
        "beside the face": len(faces),
    }
    images, kinds = [], []
    for face_number, face in enumerate(faces):
        one = CropDataset(
            [FaceSource([face], 1.0)],
            backgrounds,
            backs,
            CropConfig(PRESENCE_JITTER),
            length=face_number + 1,
            seed=seed,
            size=size,
        )
        images.append(one[face_number].image)
        kinds.append("faces")
    for kind, config in NEGATIVE_KINDS.items():
        crops = CropDataset(
            [FaceSource(faces, 1.0)],
            backgrounds,
            backs,
            config,
            length=numbers[kind],
            seed=seed + 1,
            size=size,
        )
        images.extend(crops[index].image for index in range(numbers[kind]))
        kinds.extend([kind] * numbers[kind])
    return PresenceSet(images, np.array([kind == "faces" for kind in kinds]), kinds)


def presence_measures(scores: FloatArray, crops: PresenceSet) -> dict[str, float]:
    """Average precision, error rates at the gate, and false accepts at 99 % true accepts.

    Args:
        scores: (N,) presence of the crops.
        crops: as many.
    """
    kinds = np.array(crops.kind)
    measures = {
        "gate": GATE,
        "average_precision": average_precision(scores, crops.is_face),
        "false_accept_at_99_true_accept": false_accept_at_true_accept(scores, crops.is_face, 0.99),
        "true_accept_at_gate": float((scores[crops.is_face] >= GATE).mean()),
        "false_accept_at_gate": float((scores[~crops.is_face] >= GATE).mean()),
    }
    for kind in NEGATIVE_KINDS:
        name = f"false_accept_at_gate_{kind.replace(' ', '_')}"
        measures[name] = float((scores[kinds == kind] >= GATE).mean())
    return measures


def load_val_faces(data: Path) -> dict[str, list[LabelledFace]]:
    """The decoded faces of the "val" splits of a folder of packs, by the name of the pack.

    Raises:
        DatasetError: a pack is missing or damaged.
    """
    return {Path(name).stem: load_faces(read_pack(data / name, "val")) for name in FACE_PACKS}


def predict_in_truth(
    predictor: Predictor, faces: Sequence[LabelledFace]
) -> tuple[Prediction, FloatArray]:
    """Run a network over faces in the regions of their true landmarks.

    Returns:
        what it says, and the true landmarks (N, 98, 2) in crop units.
    """
    rois = [roi_from_landmarks(face.points98) for face in faces]
    pairs = list(zip(faces, rois, strict=True))
    crops = (crop_frame(face.image, roi, predictor.input_size) for face, roi in pairs)
    true = np.stack([landmarks_to_crop(face.points98, roi) for face, roi in pairs])
    return predict_crops(predictor, crops), true


def evaluate_packs(predictor: Predictor, data: Path) -> dict[str, dict[str, float]]:
    """All measures on the "val" splits of a folder of packs.

    Raises:
        DatasetError: a pack is missing.
    """
    report: dict[str, dict[str, float]] = {}
    packs = load_val_faces(data)
    for name, faces in packs.items():
        found, true = predict_in_truth(predictor, faces)
        report[f"landmarks {name}"] = landmark_measures(found.landmarks, true)
        rotations = [face.rotation for face in faces if face.rotation is not None]
        if name == POSE_SOURCE and found.pose is not None and len(rotations) == len(faces):
            report[f"pose {name}"] = pose_measures(found.pose, rotations)
    if predictor.has_presence:
        everyone = [face for faces in packs.values() for face in faces]
        crops = presence_set(everyone, data, size=predictor.input_size)
        report["presence"] = presence_measures(predict_presence(predictor, crops.images), crops)
    return report


def predict_presence(predictor: Predictor, images: Sequence[Frame]) -> FloatArray:
    """Presence of crops, (N,).

    Raises:
        ValueError: the network gives none.
    """
    presence = predict_crops(predictor, images).presence
    if presence is None:
        raise ValueError(f"expected presence from {predictor.name}, which gives none")
    return presence


def evaluate_samples(
    predictor: Predictor, samples: Sequence[Sample]
) -> dict[str, dict[str, float]]:
    """Measures on any data set, each face in the region of its true landmarks.

    Raises:
        DatasetError: no sample has landmarks.
    """
    usable = [s for s in samples if s.points98 is not None or s.points68 is not None]
    if not usable:
        raise DatasetError(f"expected samples with landmarks, got {len(samples)} without")
    points = [s.points98 if s.points98 is not None else s.points68 for s in usable]
    rois = [roi_from_landmarks(p) for p in points if p is not None]
    found = predict_faces(predictor, [sample.image for sample in usable], rois)
    report: dict[str, dict[str, float]] = {}
    for count in sorted({p.shape[0] for p in points if p is not None}):
        chosen = [i for i, p in enumerate(points) if p is not None and p.shape[0] == count]
        true = np.stack([p for i in chosen if (p := points[i]) is not None])
        report[f"landmarks {count}"] = landmark_measures(found.landmarks[chosen], true)
    known = [(i, s.rotation) for i, s in enumerate(usable) if s.rotation is not None]
    if known and found.angles is not None:
        angles = found.angles[[i for i, _ in known]]
        report["pose"] = pose_measures(angles, [rotation for _, rotation in known])
    return report


def format_report(report: Mapping[str, Mapping[str, float]]) -> str:
    """The measures as aligned text."""
    lines = []
    for group, measures in report.items():
        lines.append(group)
        lines.extend(f"  {name:<44} {value:10.4f}" for name, value in measures.items())
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``python -m training evaluate``."""
    parser.add_argument("--weights", type=Path, required=True, help="a .safetensors file")
    parser.add_argument(
        "--data", type=Path, help="folder of packs: all measures on their val parts"
    )
    parser.add_argument(
        "--dataset", action="append", default=[], help="kind:path[:split], may be repeated"
    )
    parser.add_argument("--json", metavar="FILE", help="write the measures as JSON, - for stdout")
    parser.add_argument("--threads", type=int, default=2, help="threads of the network")


def run(args: argparse.Namespace) -> int:
    """Evaluate as the command line says.

    Raises:
        DatasetError: neither data nor dataset, or one of them cannot be read.
        WeightsError: the weights cannot be read.
    """
    if args.data is None and not args.dataset:
        raise DatasetError("expected --data FOLDER or --dataset kind:path[:split], got neither")
    torch.set_num_threads(args.threads)
    predictor = load_predictor(args.weights)
    report = evaluate_packs(predictor, args.data) if args.data else {}
    for spec in args.dataset:
        measures = evaluate_samples(predictor, open_dataset(spec))
        report.update({f"{spec} {group}": values for group, values in measures.items()})
    if args.json == "-":
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        return 0
    sys.stdout.write(format_report(report) + "\n")
    if args.json:
        Path(args.json).write_text(json.dumps(report, indent=2) + "\n")
    return 0
