"""The tracking branch as a classifier on WIDER FACE val (Yang et al., CVPR 2016).

The question a tracker asks: does this region still show a face? The paper gives precision and
recall of its tracking branch on WIDER FACE without the code of its sampling; this is ours, exactly:

- *Positives*: every box of the val list that is not marked invalid, whatever its size, cut as a
  tracker cuts a box: a square around its centre with 1.5 times its longer side. WIDER's boxes are
  looser than the boxes of landmarks that the network was trained on; nothing corrects for that.
- *Negatives*: ten squares for each positive, of 0.3 to 2.2 times the side of its region
  (log-uniform). Five lie near the face, their centre within 1.2 longer sides of the box of the
  box's centre on either axis; five anywhere in the picture (uniform). A square counts when its
  intersection over union with the region of each box of the picture, also of those marked
  invalid, is below 0.3, as in the paper's training; after 20 tries it is left out.
- Whatever lies outside the picture is black. The same picture gives the same squares every time.
- *Easy, medium, hard*: the faces of the official lists, each with the negatives drawn for it, so
  that all sets have about one positive to ten negatives.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atpn_mobile.geometry import crop_frame, roi_from_box
from atpn_mobile.types import FloatArray, Frame, Roi
from training.data.sample import DatasetError
from training.data.wider import (
    DIFFICULTIES,
    WiderPicture,
    read_wider_difficulty,
    read_wider_pictures,
)
from training.evaluate import GATE
from training.metrics import average_precision, box_iou_matrix, false_accept_at_true_accept
from training.protocols.predictor import Predictor, predict_crops
from training.protocols.results import NotRunError, ProtocolResult, Row, presence_curves

Box = tuple[float, float, float, float]

NEGATIVES_PER_FACE: Final = 10  # the paper's ratio
MAX_IOU: Final = 0.3  # the paper's bound
REACH: Final = 1.2  # longer sides of the box: how far off a near negative may be, on either axis
SIZES: Final = (0.3, 2.2)  # of a negative, times the side of the face's region
MAX_TRIES: Final = 20
_NOTE: Final = (
    f"positives: boxes extended to 1.5 x their longer side; per positive {NEGATIVES_PER_FACE} "
    f"squares with IoU < {MAX_IOU:g} to every face's region, half of them near the face"
)


@dataclass(frozen=True, slots=True)
class Region:
    """A square of a picture.

    Attributes:
        roi: the square.
        face: number of the box it belongs to, in the order of the picture's usable boxes.
        is_face: whether it is the region of that box, or a negative drawn for it.
    """

    roi: Roi
    face: int
    is_face: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Scores:
    """Presence of all regions."""

    presence: NDArray[np.float64]  # (N,)
    is_face: NDArray[np.bool_]  # (N,)
    box: list[tuple[str, Box]]  # picture and box that each region belongs to


def picture_regions(
    boxes_xyxy: FloatArray, ignored_xyxy: FloatArray, shape: tuple[int, ...], seed: int
) -> list[Region]:
    """Positives and negatives of a picture.

    Args:
        boxes_xyxy: (K, 4) faces.
        ignored_xyxy: (I, 4) boxes that may hold a face and are not asked for.
        shape: height and width of the picture, pixels.
        seed: of the negatives.
    """
    rng = np.random.default_rng(seed)
    faces = [roi_from_box(_box(box)) for box in boxes_xyxy]
    ignored = [roi_from_box(_box(box)) for box in ignored_xyxy]
    taken = np.array([_square(roi) for roi in (*faces, *ignored)]).reshape(-1, 4)
    regions = []
    for number, (roi, box) in enumerate(zip(faces, boxes_xyxy, strict=True)):
        regions.append(Region(roi, number, True))
        side = float(max(box[2] - box[0], box[3] - box[1]))
        for index in range(NEGATIVES_PER_FACE):
            near = None if index % 2 else side * REACH
            found = _negative(roi, near, taken, shape, rng)
            if found is not None:
                regions.append(Region(found, number, False))
    return regions


def evaluate_wider(predictor: Predictor, data: Path) -> ProtocolResult:
    """Average precision of presence on all faces, and on the easy, medium and hard ones.

    Args:
        predictor: the network.
        data: the folder that holds WIDER_val, wider_face_split and, for the difficulties,
            eval_tools.

    Raises:
        NotRunError: the network gives no presence.
        DatasetError: the data set is missing or malformed, or has no face.
    """
    if not predictor.has_presence:
        raise NotRunError(f"expected a network with presence, {predictor.name} gives none")
    pictures = read_wider_pictures(data, "val")
    scores = _score(predictor, pictures)
    rows = _rows("all", scores, np.ones(scores.is_face.size, dtype=bool))
    series = {"all": (scores.presence, scores.is_face)}
    for difficulty in DIFFICULTIES:
        try:
            chosen = _belongs(scores, read_wider_difficulty(data, difficulty))
        except DatasetError as error:
            rows.append(Row(difficulty, "AP", "", None, reason=str(error)))
            continue
        rows += _rows(difficulty, scores, chosen)
        series[difficulty] = (scores.presence[chosen], scores.is_face[chosen])
    curves = presence_curves("pr_wider", "WIDER FACE val, presence", series)
    return ProtocolResult(tuple(rows), (curves,), (_NOTE,))


def _score(predictor: Predictor, pictures: Sequence[WiderPicture]) -> _Scores:
    is_face: list[bool] = []
    boxes: list[tuple[str, Box]] = []

    def crops() -> Iterator[Frame]:
        for number, picture in enumerate(pictures):
            sample = picture.sample
            faces = sample.boxes_xyxy
            if faces is None or faces.size == 0:
                continue
            frame = sample.image.read()
            for region in picture_regions(faces, picture.ignored_xyxy, frame.shape, number):
                is_face.append(region.is_face)
                boxes.append((sample.name, _box(faces[region.face])))
                yield crop_frame(frame, region.roi, predictor.input_size)

    if not any(p.sample.boxes_xyxy is not None and p.sample.boxes_xyxy.size for p in pictures):
        raise DatasetError(
            f"expected faces in the val list of WIDER FACE, got {len(pictures)} "
            "pictures without one"
        )
    presence = predict_crops(predictor, crops()).presence
    if presence is None:
        raise NotRunError(f"expected presence from {predictor.name}, got none")
    return _Scores(presence.astype(np.float64), np.array(is_face), boxes)


def _belongs(scores: _Scores, faces: Mapping[str, FloatArray]) -> NDArray[np.bool_]:
    """Which regions belong to the faces of a list."""
    wanted = {(name, _box(box)) for name, boxes in faces.items() for box in boxes}
    chosen = np.array([box in wanted for box in scores.box])
    if not (chosen & scores.is_face).any():
        raise DatasetError("expected a list with faces of the val list, none of its boxes is there")
    return chosen


def _rows(subset: str, scores: _Scores, chosen: NDArray[np.bool_]) -> list[Row]:
    presence, is_face = scores.presence[chosen], scores.is_face[chosen]
    faces, others = int(is_face.sum()), int((~is_face).sum())
    if others == 0:
        return [Row(subset, "AP", "", None, faces, "no negative could be drawn")]
    passed = presence.astype(np.float32) >= np.float32(GATE)
    false_accept = false_accept_at_true_accept(presence, is_face, 0.99)
    return [
        Row(subset, "AP", "", average_precision(presence, is_face), faces),
        Row(subset, "true accept at gate", "%", 100.0 * float(passed[is_face].mean()), faces),
        Row(subset, "false accept at gate", "%", 100.0 * float(passed[~is_face].mean()), others),
        Row(subset, "FA at 99 % TA", "%", 100.0 * false_accept, others),
    ]


def _negative(
    face: Roi,
    near: float | None,
    taken: NDArray[np.float64],
    shape: tuple[int, ...],
    rng: np.random.Generator,
) -> Roi | None:
    """A square that overlaps no face's region by much; None when there is hardly one."""
    height, width = shape[:2]
    for _ in range(MAX_TRIES):
        size = face.size * float(np.exp(rng.uniform(*np.log(SIZES))))
        if near is None:
            x, y = rng.uniform(0.0, width - 1.0), rng.uniform(0.0, height - 1.0)
        else:
            x = face.center_x + near * rng.uniform(-1.0, 1.0)
            y = face.center_y + near * rng.uniform(-1.0, 1.0)
        roi = Roi(float(x), float(y), size)
        if box_iou_matrix(np.array([_square(roi)]), taken).max() < MAX_IOU:
            return roi
    return None


def _square(roi: Roi) -> Box:
    half = roi.size / 2.0
    return roi.center_x - half, roi.center_y - half, roi.center_x + half, roi.center_y + half


def _box(box: FloatArray) -> Box:
    left, top, right, bottom = box.tolist()
    return left, top, right, bottom
