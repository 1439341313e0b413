"""Recall and false boxes of a detector on held-out pictures, and the score threshold to use.

The frames are 320x240, built from the "val" splits in the same way every time. Detections are
made as the runtime makes them: its letterbox, its decoding, its suppression.
"""

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from atpn_mobile.config import DetectorConfig as DecodeConfig
from atpn_mobile.decode import decode_detections
from atpn_mobile.preprocess import letterbox
from atpn_mobile.types import FloatArray, Frame
from training.augment import Generator
from training.detection.patches import (
    HEAD_SHARE,
    Patch,
    ellipse_mask,
    paste,
    placement,
    points_box,
    rectangle_mask,
    shrink,
    transform_points,
)
from training.detection.pictures import Picture, PictureLibrary, load_library
from training.metrics import match_boxes
from training.network.detector import Detector, DetectorConfig
from training.weights import WeightsError, load_weights, read_weights

FRAME_SIZE: Final = (320, 240)  # width, height, pixels
SMALL_PX: Final = (20.0, 32.0)  # longer side of the landmarks' box, pixels of the frame
LARGE_PX: Final = (32.0, 200.0)
MIN_IOU: Final = 0.5
MAX_FALSE_SHARE: Final = 1.0 / 20.0  # false boxes per background
GOAL_SMALL: Final = 0.80
GOAL_LARGE: Final = 0.95
LOWEST_SCORE: Final = 0.05  # boxes below it are not looked at
SHIPPED_THRESHOLD: Final = DecodeConfig().score_threshold
THRESHOLDS: Final = tuple(round(0.05 * step, 2) for step in range(1, 20))
REAL_PACKS: Final = ("faces_helen", "faces_ytf")
COMPOSED_PACK: Final = "faces_synthetic"
BATCH: Final = 32

FacePart = Literal["small", "large"]
Part = Literal["small", "large", "background", "back_of_head"]
FACE_PARTS: Final[tuple[FacePart, ...]] = ("small", "large")


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationFrame:
    """A frame and the one face in it.

    Attributes:
        frame: (240, 320, 3) uint8 RGB.
        face_xyxy: (K, 4) float32, frame pixels, K = 1 with a face and 0 without.
        part: "small" and "large" faces, or frames without a face.
        source: the pack it comes from.
    """

    frame: Frame
    face_xyxy: FloatArray
    part: Part
    source: str


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What a score threshold gives.

    Attributes:
        threshold: of the score.
        recall_small: share found of the faces of 20 to 32 pixels, IoU at least 0.5.
        recall_large: share found of the faces of 32 pixels and more.
        recall_by_source: share found by pack and size.
        false_boxes: on the backgrounds, all together.
        false_heads: boxes on backs of heads, all together.
    """

    threshold: float
    recall_small: float
    recall_large: float
    recall_by_source: dict[str, float]
    false_boxes: int
    false_heads: int


@dataclass(frozen=True, slots=True)
class DetectorReport:
    """Every threshold tried, the best one, and the runtime's own.

    Attributes:
        points: by rising threshold.
        threshold: the best one here, see ``pick_threshold``.
        shipped: what the runtime's default threshold gives.
        backgrounds: number of frames without a face.
        heads: number of backs of heads.
        faces: number of frames with a face, by part.
    """

    points: tuple[OperatingPoint, ...]
    threshold: float
    shipped: OperatingPoint
    backgrounds: int
    heads: int
    faces: dict[str, int]

    @property
    def chosen(self) -> OperatingPoint:
        """What the chosen threshold gives."""
        return next(point for point in self.points if point.threshold == self.threshold)


# --- frames ------------------------------------------------------------------------------------


def build_frames(library: PictureLibrary, seed: int = 0) -> list[EvaluationFrame]:
    """The frames of an evaluation: the same ones for the same pictures and seed.

    Every real picture once with a small and once with a large face; every synthetic face once,
    small and large in turn; every background; every back of a head on a background.
    """
    frames: list[EvaluationFrame] = []
    for pack in REAL_PACKS:
        for index, picture in enumerate(library.faces.get(pack, ())):
            for part in FACE_PARTS:
                rng = np.random.default_rng((seed, len(frames)))
                background = library.backgrounds[index % len(library.backgrounds)]
                frames.append(_face_frame(picture, background, part, pack, rng))
    for index, picture in enumerate(library.faces.get(COMPOSED_PACK, ())):
        rng = np.random.default_rng((seed, len(frames)))
        background = library.backgrounds[index % len(library.backgrounds)]
        part = FACE_PARTS[index % 2]
        frames.append(_face_frame(picture, background, part, COMPOSED_PACK, rng))
    nothing = np.zeros((0, 4), np.float32)
    frames.extend(
        EvaluationFrame(_cover(picture.image), nothing, "background", "backgrounds")
        for picture in library.backgrounds
    )
    for index, picture in enumerate(library.backs_of_heads):
        rng = np.random.default_rng((seed, len(frames)))
        frame = _cover(library.backgrounds[index % len(library.backgrounds)].image)
        head = HEAD_SHARE * picture.image.shape[1]
        center = np.array([picture.image.shape[1] / 2, picture.image.shape[0] / 2], np.float32)
        _place(frame, picture, center, head, _log_uniform(*LARGE_PX, rng), rng)
        frames.append(EvaluationFrame(frame, nothing, "back_of_head", "negatives_back_of_head"))
    return frames


def _face_frame(
    picture: Picture,
    background: Picture,
    part: FacePart,
    pack: str,
    rng: Generator,
) -> EvaluationFrame:
    """A face of a random size of its part; real pictures whole, synthetic heads cut out."""
    frame = _cover(background.image)
    center, face = points_box(picture.points)
    size = _log_uniform(*(SMALL_PX if part == "small" else LARGE_PX), rng)
    matrix = _place(frame, picture, center, face, size, rng, cut_out=pack == COMPOSED_PACK)
    points = transform_points(picture.points, matrix)
    box = np.concatenate([points.min(axis=0), points.max(axis=0)])
    return EvaluationFrame(frame, box[None], part, pack)


def _place(
    frame: Frame,
    picture: Picture,
    center: FloatArray,
    now: float,
    size: float,
    rng: Generator,
    cut_out: bool = False,
) -> NDArray[np.float64]:
    """Paste a picture whose object of size ``now`` becomes ``size``, the object inside the frame.

    Returns:
        (2, 3) map of the picture to the frame.
    """
    small = shrink(picture, size / now)
    factor = small.image.shape[1] / picture.image.shape[1]
    middle = (center + 0.5) * factor - 0.5
    x, y = (
        float(rng.uniform(min(size / 2, limit / 2), max(limit - size / 2, limit / 2)))
        for limit in (frame.shape[1], frame.shape[0])
    )
    image = small.image
    mask = ellipse_mask(image, middle, now * factor, rng) if cut_out else rectangle_mask(image, rng)
    paste(frame, Patch(image, mask), placement(middle, (x, y), size / (now * factor), 0.0))
    return placement(center, (x, y), size / now, 0.0)


def _cover(image: Frame) -> Frame:
    """The picture over the whole frame, its overhang cut off evenly."""
    width, height = FRAME_SIZE
    scale = max(width / image.shape[1], height / image.shape[0])
    size = max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    x, y = (size[0] - width) // 2, (size[1] - height) // 2
    return np.ascontiguousarray(resized[y : y + height, x : x + width]).astype(np.uint8)


def _log_uniform(low: float, high: float, rng: Generator) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


# --- detections --------------------------------------------------------------------------------


@torch.inference_mode()
def detect(detector: Detector, frames: Sequence[Frame]) -> list[tuple[FloatArray, FloatArray]]:
    """Run a network over frames of any sizes, as the runtime does.

    Returns:
        For each frame boxes (K, 4) in frame pixels and scores (K,), best first.
    """
    was_training = detector.training
    detector.eval()
    device = next(detector.parameters()).device
    config = DecodeConfig(score_threshold=LOWEST_SCORE)
    found = []
    for start in range(0, len(frames), BATCH):
        squares, rois = zip(
            *(letterbox(frame, detector.config.input_size) for frame in frames[start:][:BATCH]),
            strict=True,
        )
        images = torch.from_numpy(np.stack(squares)).to(device).permute(0, 3, 1, 2).float()
        output = detector(images)
        boxes, scores = output.boxes.cpu().numpy(), output.scores.cpu().numpy()
        for index, roi in enumerate(rois):
            outputs = {"boxes": boxes[index : index + 1], "scores": scores[index : index + 1]}
            detections = decode_detections(outputs, roi, config)
            corners = np.array([d.box_xyxy for d in detections], np.float32).reshape(-1, 4)
            found.append((corners, np.array([d.score for d in detections], np.float32)))
    detector.train(was_training)
    return found


def evaluate_detector(detector: Detector, frames: Sequence[EvaluationFrame]) -> DetectorReport:
    """Recall and false boxes at every threshold.

    Args:
        detector: the network; its mode is left as it was.
        frames: from ``build_frames``.
    """
    return evaluate_detections(frames, detect(detector, [frame.frame for frame in frames]))


def evaluate_detections(
    frames: Sequence[EvaluationFrame], detections: Sequence[tuple[FloatArray, FloatArray]]
) -> DetectorReport:
    """Recall and false boxes at every threshold, of detections that anything made.

    Args:
        frames: from ``build_frames``.
        detections: for each frame boxes (K, 4) in frame pixels and scores (K,), best first.
    """
    # A face counts as found up to the score of the detection that matches it: suppression and
    # matching go from the best score down, so a threshold never changes what is above it.
    found_at: dict[str, list[float]] = {}
    false_boxes: list[float] = []
    false_heads: list[float] = []
    for frame, (boxes, scores) in zip(frames, detections, strict=True):
        if frame.part == "background":
            false_boxes.extend(scores.tolist())
        elif frame.part == "back_of_head":
            false_heads.extend(scores.tolist())
        else:
            matched = scores[match_boxes(boxes, scores, frame.face_xyxy, MIN_IOU) == 0]
            found_at.setdefault(f"{frame.source} {frame.part}", []).append(
                float(matched.max(initial=0.0))
            )
    parts = [frame.part for frame in frames]
    points = tuple(
        _operating_point(threshold, found_at, false_boxes, false_heads) for threshold in THRESHOLDS
    )
    backgrounds = parts.count("background")
    return DetectorReport(
        points,
        pick_threshold(points, backgrounds),
        _operating_point(SHIPPED_THRESHOLD, found_at, false_boxes, false_heads),
        backgrounds,
        parts.count("back_of_head"),
        {part: parts.count(part) for part in FACE_PARTS},
    )


def _operating_point(
    threshold: float,
    found_at: dict[str, list[float]],
    false_boxes: Iterable[float],
    false_heads: Iterable[float],
) -> OperatingPoint:
    def recall(keys: Iterable[str]) -> float:
        scores = [score for key in keys for score in found_at[key]]
        return float(np.mean(np.array(scores) >= threshold)) if scores else float("nan")

    return OperatingPoint(
        threshold,
        recall(key for key in found_at if key.endswith(" small")),
        recall(key for key in found_at if key.endswith(" large")),
        {key: recall([key]) for key in sorted(found_at)},
        sum(bool(score >= threshold) for score in false_boxes),
        sum(bool(score >= threshold) for score in false_heads),
    )


def pick_threshold(points: Sequence[OperatingPoint], backgrounds: int) -> float:
    """The score threshold to use.

    Of those that meet all goals the middle one, as far as can be from failing either; else the
    lowest with few enough false boxes; else the highest.

    Args:
        points: by rising threshold.
        backgrounds: number of frames without a face.
    """
    quiet = [p for p in points if p.false_boxes <= MAX_FALSE_SHARE * backgrounds]
    good = [p for p in quiet if p.recall_small > GOAL_SMALL and p.recall_large > GOAL_LARGE]
    if good:
        return good[len(good) // 2].threshold
    return (quiet or list(points[-1:]))[0].threshold


# --- command -----------------------------------------------------------------------------------


def load_detector(weights: Path) -> Detector:
    """A detector from its weights file, in evaluation mode.

    Raises:
        WeightsError: no such file, a damaged one, or one of another network.
    """
    _, description = read_weights(weights)
    try:
        config = DetectorConfig.from_json(str(description["config"]))
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f"expected the weights of a detector, got others in {weights}"
        ) from error
    detector = Detector(config)
    load_weights(detector, weights)
    return detector.eval()


def format_report(report: DetectorReport) -> str:
    """The report as a table for people."""
    lines = [
        f"small faces (20-32 px): {report.faces['small']}, large (32+ px): {report.faces['large']}",
        f"backgrounds: {report.backgrounds}, backs of heads: {report.heads}, IoU: {MIN_IOU}",
        "threshold  recall 20-32  recall 32+  false boxes  on heads",
    ]
    marks = {report.shipped.threshold: "  < default of the runtime"}
    marks[report.threshold] = "  < best" + marks.get(report.threshold, "")
    points = {p.threshold: p for p in (*report.points, report.shipped)}
    lines += [
        f"{p.threshold:9.2f}  {p.recall_small:12.3f}  {p.recall_large:10.3f}  "
        f"{p.false_boxes:11d}  {p.false_heads:8d}{marks.get(p.threshold, '')}"
        for _, p in sorted(points.items())
    ]
    lines += [f"{key}: {value:.3f}" for key, value in report.chosen.recall_by_source.items()]
    return "\n".join(lines)


def report_as_json(report: DetectorReport) -> dict[str, Any]:
    """The report as plain values."""
    return {
        **dataclasses.asdict(report),
        "chosen": dataclasses.asdict(report.chosen),
        "frame_size": FRAME_SIZE,
        "min_iou": MIN_IOU,
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of an evaluation."""
    parser.add_argument("--weights", type=Path, required=True, help="detector.safetensors")
    parser.add_argument("--data", type=Path, required=True, help="folder of the packs")
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON; - for stdout")
    parser.add_argument("--limit", type=int, help="at most so many pictures of a pack")
    parser.add_argument("--threads", type=int, default=2, help="of the network")


def run(args: argparse.Namespace) -> int:
    """Evaluate; the exit status is 0.

    Raises:
        DatasetError: a pack is missing or damaged.
        WeightsError: the weights are missing, damaged, or of another network.
    """
    torch.set_num_threads(args.threads)
    detector = load_detector(args.weights)
    frames = build_frames(load_library(args.data, "val", args.limit))
    report = evaluate_detector(detector, frames)
    if args.json == "-":
        sys.stdout.write(json.dumps(report_as_json(report), indent=2) + "\n")
        return 0
    sys.stdout.write(format_report(report) + "\n")
    if args.json:
        Path(args.json).write_text(json.dumps(report_as_json(report), indent=2) + "\n")
    return 0
