"""What the detector should answer for a frame: score map, boxes, and where nothing is known."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atpn_mobile.types import FloatArray

SIGMA_SHARE: Final = 0.09  # of the box side: 0.54 / 6 (TTFNet, Liu et al., AAAI 2020)
MIN_SIGMA_CELLS: Final = 0.6  # two cells share a face whose centre lies on their border
BOX_REGION: Final = 0.5  # cells whose score target is above this also learn the box


@dataclass(frozen=True, slots=True, eq=False)
class DetectorTargets:
    """Training target of one frame on a grid of S x S cells.

    Attributes:
        scores: (S, S) float32, 1 in the cell of a face's centre, a Gaussian around it.
        score_weights: (S, S) float32, 0 where it is unknown whether there is a face, else 1.
        boxes: (4, S, S) float32, left, top, right, bottom in 0..1 of the input.
        box_weights: (S, S) float32, sums to 1 per face, 0 where there is no box to learn.
        count: number of faces.
    """

    scores: FloatArray
    score_weights: FloatArray
    boxes: FloatArray
    box_weights: FloatArray
    count: int


def make_targets(faces_xyxy: FloatArray, ignored_xyxy: FloatArray, grid: int) -> DetectorTargets:
    """Draw the targets of one frame.

    Where faces overlap, a cell belongs to the face whose Gaussian is higher there.

    Args:
        faces_xyxy: (K, 4) left, top, right, bottom in 0..1 of the input. A face whose centre lies
            outside the input cannot be learned: its box is treated as ignored.
        ignored_xyxy: (M, 4) likewise: regions in which the score is not judged.
        grid: cells on a side.
    """
    inside = _centers_inside(faces_xyxy)
    ignored = np.concatenate([ignored_xyxy, faces_xyxy[~inside]])
    faces = faces_xyxy[inside]
    scores = np.zeros((grid, grid), np.float32)
    boxes = np.zeros((4, grid, grid), np.float32)
    owner = np.full((grid, grid), -1)
    for index, face in enumerate(faces):
        bump = _gaussian(face, grid)
        higher = bump > scores
        scores[higher] = bump[higher]
        region = higher & (bump > BOX_REGION)
        owner[region] = index
        boxes[:, region] = face[:, None]
    box_weights = np.zeros((grid, grid), np.float32)
    for index in range(len(faces)):
        region = owner == index
        if region.any():
            box_weights[region] = scores[region] / scores[region].sum()
    return DetectorTargets(
        scores, _score_weights(scores, ignored, grid), boxes, box_weights, len(faces)
    )


def _centers_inside(boxes_xyxy: FloatArray) -> NDArray[np.bool_]:
    centers = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2.0
    return np.asarray(((centers > 0.0) & (centers < 1.0)).all(axis=1))


def _gaussian(box: FloatArray, grid: int) -> FloatArray:
    """(grid, grid): a Gaussian around the exact centre, 1 in the cell that holds it."""
    cells = np.arange(grid, dtype=np.float32) + 0.5
    bump = np.ones((grid, grid), np.float32)
    for axis in range(2):
        low, high = float(box[axis]) * grid, float(box[axis + 2]) * grid
        center = (low + high) / 2.0
        sigma = max(MIN_SIGMA_CELLS, SIGMA_SHARE * (high - low))
        line = np.exp(-((cells - center) ** 2) / (2.0 * sigma**2))
        line = np.minimum(line / line[min(int(center), grid - 1)], 1.0)
        bump = bump * (line[None, :] if axis == 0 else line[:, None])
    return bump.astype(np.float32, copy=False)


def _score_weights(scores: FloatArray, ignored: FloatArray, grid: int) -> FloatArray:
    """0 in ignored regions, but never on a labelled face."""
    cells = (np.arange(grid, dtype=np.float32) + 0.5) / grid
    weights = np.ones((grid, grid), np.float32)
    for left, top, right, bottom in ignored:
        columns = (cells >= left) & (cells <= right)
        rows = (cells >= top) & (cells <= bottom)
        weights[np.ix_(rows, columns)] = 0.0
    weights[scores > BOX_REGION] = 1.0
    return weights
