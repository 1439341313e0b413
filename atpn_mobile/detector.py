"""Finding faces in a whole frame."""

from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np

from atpn_mobile.backends.base import Backend, require_outputs
from atpn_mobile.config import Color, DetectorConfig, QuarterTurn
from atpn_mobile.decode import DETECTION_OUTPUTS, decode_detections, suppress_overlaps
from atpn_mobile.preprocess import letterbox_tensor
from atpn_mobile.types import Detection, Frame

TILE_OVERLAP = 0.25  # of a tile, shared with the next one: more than the small faces it is for
MIN_TILE = 32  # pixels: smaller ones show no face better, and a thin frame would have thousands
BORDER = 0.02  # of a tile: a box that comes so near to an inner edge is a part of a face


class Tile(NamedTuple):
    """A part of a frame, pixels: the first column and row, and those behind the last."""

    left: int
    top: int
    right: int
    bottom: int


class Detector(Protocol):
    """Finds faces; an app can bring its own."""

    def detect(self, frame: Frame) -> tuple[Detection, ...]:
        """The faces of a frame, best first; empty when there is none.

        Args:
            frame: (H, W, 3) uint8, or (H, W) for "grey", as it was handed to the tracker, checked
                and contiguous.
        """
        ...


class NetworkDetector:
    """The project's own detector: one network on the letterboxed frame, and on tiles of it."""

    def __init__(
        self,
        backend: Backend,
        config: DetectorConfig | None = None,
        *,
        color: Color = "rgb",
        rotation_deg: QuarterTurn = 0,
    ) -> None:
        """Wrap a network.

        Args:
            backend: runs it; stays the caller's to close.
            config: thresholds; the defaults when None.
            color: order of the channels in the frames.
            rotation_deg: clockwise turn that puts the frames upright.

        Raises:
            ModelMismatchError: the network has no ``boxes`` and ``scores``.
        """
        require_outputs(backend.spec, DETECTION_OUTPUTS)
        self._backend = backend
        self._config = DetectorConfig() if config is None else config
        self._color: Color = color
        self._rotation_deg: QuarterTurn = rotation_deg

    def detect(self, frame: Frame) -> tuple[Detection, ...]:
        """The faces of a frame, best first; empty when there is none.

        Args:
            frame: (H, W, 3) uint8, or (H, W) for "grey".
        """
        found = list(self._look(frame))
        if self._config.tiles == 1:
            return tuple(found)
        height, width = frame.shape[:2]
        for tile in tiles_of(width, height, self._config.tiles):
            part = frame[tile.top : tile.bottom, tile.left : tile.right]
            found += [
                _moved(detection, tile)
                for detection in self._look(np.ascontiguousarray(part))
                if not _is_cut(detection, tile, width, height)
            ]
        return self._distinct(found)

    def _look(self, frame: Frame) -> tuple[Detection, ...]:
        spec = self._backend.spec.input
        tensor, roi = letterbox_tensor(frame, spec, self._color, self._rotation_deg)
        return decode_detections(self._backend.run({spec.name: tensor}), roi, self._config)

    def _distinct(self, detections: list[Detection]) -> tuple[Detection, ...]:
        if not detections:
            return ()
        boxes = np.array([one.box_xyxy for one in detections], np.float32)
        scores = np.array([one.score for one in detections], np.float32)
        config = self._config
        kept = suppress_overlaps(boxes, scores, config.iou_threshold, config.max_detections)
        return tuple(detections[index] for index in kept)


def tiles_of(width: int, height: int, count: int) -> tuple[Tile, ...]:
    """Overlapping squares that cover a frame, row by row.

    Args:
        width: of the frame, pixels.
        height: of the frame, pixels.
        count: of tiles along the shorter side; the longer one has as many as it takes.

    Returns:
        at least ``count`` tiles of one size; empty where they would be below ``MIN_TILE``.
    """
    shorter = min(width, height)
    size = round(shorter / (count - (count - 1) * TILE_OVERLAP))
    if size < MIN_TILE:
        return ()
    return tuple(
        Tile(left, top, left + size, top + size)
        for top in _starts(height, size)
        for left in _starts(width, size)
    )


def _starts(length: int, size: int) -> list[int]:
    """Where tiles begin along a side: evenly, the last at the end, sharing at least the overlap."""
    free = length - size
    count = 1 + int(np.ceil(free / (size * (1.0 - TILE_OVERLAP)) - 0.01))  # for the rounding above
    return [round(free * index / max(count - 1, 1)) for index in range(count)]


def _moved(detection: Detection, tile: Tile) -> Detection:
    left, top, right, bottom = detection.box_xyxy
    box = (left + tile.left, top + tile.top, right + tile.left, bottom + tile.top)
    return replace(detection, box_xyxy=box)


def _is_cut(detection: Detection, tile: Tile, width: int, height: int) -> bool:
    """Whether a box, in the tile's pixels, reaches an edge of the tile that is not the frame's."""
    left, top, right, bottom = detection.box_xyxy
    margin = BORDER * (tile.right - tile.left)
    return bool(
        (tile.left > 0 and left < margin)
        or (tile.top > 0 and top < margin)
        or (tile.right < width and right > tile.right - tile.left - margin)
        or (tile.bottom < height and bottom > tile.bottom - tile.top - margin)
    )
