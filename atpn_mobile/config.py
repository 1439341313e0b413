"""Options of the runtime: frozen, checked when made, the unit in the name."""

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from atpn_mobile.errors import ConfigError

Color = Literal["rgb", "bgr"]


@dataclass(frozen=True, slots=True)
class DetectorConfig:
    """Options of the detector that is built from the project's own network.

    Raises:
        ConfigError: a value is outside its range.
    """

    score_threshold: float = 0.5  # boxes below this confidence are dropped; 0..1
    iou_threshold: float = 0.4  # boxes that overlap a better one by more are the same face; 0..1
    max_detections: int = 100  # at most so many boxes, the best ones; from 1

    def __post_init__(self) -> None:
        _require_number("score_threshold", self.score_threshold, 0.0, 1.0)
        _require_number("iou_threshold", self.iou_threshold, 0.0, 1.0)
        _require_count("max_detections", self.max_detections)


@dataclass(frozen=True, slots=True)
class SmoothingConfig:
    """Options of the one-euro filter; lengths are in face sizes, so distance does not matter.

    Raises:
        ConfigError: a value is outside its range.
    """

    # Cut-off for a landmark at rest: lower is calmer and slower to follow; above 0.
    min_cutoff_hz: float = 1.0
    # Rise of the cut-off with speed, Hz per (face size / second): higher lags less; from 0.
    beta: float = 30.0
    # Cut-off of the speed estimate: lower ignores noise, higher reacts sooner; above 0.
    derivative_cutoff_hz: float = 2.0

    def __post_init__(self) -> None:
        _require_number("min_cutoff_hz", self.min_cutoff_hz, 0.0, above_low=True)
        _require_number("beta", self.beta, 0.0)
        _require_number("derivative_cutoff_hz", self.derivative_cutoff_hz, 0.0, above_low=True)


@dataclass(frozen=True, slots=True)
class TrackerConfig:
    """Options of ``FaceTracker``.

    Raises:
        ConfigError: a value is outside its range.
    """

    # Order of the channels in the frames handed in. OpenCV reads "bgr".
    color: Color = "rgb"
    # Faces followed at the same time, and the most that detect() reports; from 1.
    max_faces: int = 1
    # A face is kept while the network's presence is at least this; 0..1.
    presence_threshold: float = 0.7
    # With some faces tracked but fewer than max_faces, the detector is asked every so many frames;
    # with no face, or when one was lost in this frame, it is asked at once; from 1.
    detect_interval_frames: int = 10
    # Share of the face box's longer side added at each boundary; 0..1. The network was trained
    # with the default.
    roi_extension: float = 0.25
    # Two boxes that overlap by at least this are one face; above 0, up to 1.
    same_face_iou: float = 0.5
    # Smoothing of the landmarks; None turns it off.
    smoothing: SmoothingConfig | None = field(default_factory=SmoothingConfig)
    # Threads of the engine; from 1. More than one pays only for larger networks than these.
    num_threads: int = 1
    # Which of an engine's files runs: a precision that the manifest names, such as "int8", or
    # "auto" for the most exact one.
    precision: str = "auto"
    # The project's own detector; without effect when another detector is handed in.
    detector: DetectorConfig = field(default_factory=DetectorConfig)

    def __post_init__(self) -> None:
        if self.color not in ("rgb", "bgr"):
            raise ConfigError(f'expected color to be "rgb" or "bgr", got {self.color!r}')
        _require_count("max_faces", self.max_faces)
        _require_number("presence_threshold", self.presence_threshold, 0.0, 1.0)
        _require_count("detect_interval_frames", self.detect_interval_frames)
        _require_number("roi_extension", self.roi_extension, 0.0, 1.0)
        _require_number("same_face_iou", self.same_face_iou, 0.0, 1.0, above_low=True)
        _require_count("num_threads", self.num_threads)
        _require_type("smoothing", self.smoothing, (SmoothingConfig, type(None)))
        _require_type("precision", self.precision, (str,))
        _require_type("detector", self.detector, (DetectorConfig,))


def _require_number(
    name: str, value: object, low: float, high: float = math.inf, *, above_low: bool = False
) -> None:
    above = ">" if above_low else ">="
    wanted = f"a finite number {above} {low:g}" + ("" if high == math.inf else f", <= {high:g}")
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(
        value, bool
    )
    number = float(value) if is_number else math.nan  # type: ignore[arg-type]
    if not math.isfinite(number) or number < low or number > high or (above_low and number == low):
        raise ConfigError(f"expected {name} to be {wanted}, got {value!r}")


def _require_count(name: str, value: object) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"expected {name} to be a whole number from 1, got {value!r}")


def _require_type(name: str, value: object, types: tuple[type, ...]) -> None:
    if not isinstance(value, types):
        wanted = " or ".join("None" if kind is type(None) else kind.__name__ for kind in types)
        raise ConfigError(f"expected {name} to be {wanted}, got {value!r}")
