"""Options of the runtime: frozen, checked when made, the unit in the name."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from atpn_mobile.errors import ConfigError

Color = Literal["rgb", "bgr", "grey"]
QuarterTurn = Literal[0, 90, 180, 270]

COLORS: tuple[Color, ...] = ("rgb", "bgr", "grey")
QUARTER_TURNS: tuple[QuarterTurn, ...] = (0, 90, 180, 270)


@dataclass(frozen=True, slots=True)
class DetectorConfig:
    """Options of the detector that is built from the project's own network.

    Raises:
        ConfigError: a value is outside its range.
    """

    score_threshold: float = 0.5  # boxes below this confidence are dropped; 0..1
    iou_threshold: float = 0.4  # boxes that overlap a better one by more are the same face; 0..1
    max_detections: int = 100  # at most so many boxes, the best ones; from 1
    # Small-face mode: besides the whole frame, its shorter side is cut into so many overlapping
    # tiles, the longer one into as many more as fit; each is looked at alone. 1 for none.
    tiles: int = 1

    def __post_init__(self) -> None:
        _require_number("score_threshold", self.score_threshold, 0.0, 1.0)
        _require_number("iou_threshold", self.iou_threshold, 0.0, 1.0)
        _require_count("max_detections", self.max_detections)
        _require_count("tiles", self.tiles)


@dataclass(frozen=True, slots=True)
class SmoothingConfig:
    """Options of the one-euro filter; lengths are in face sizes, so distance does not matter.

    The defaults are tuned with ``python -m benchmarks tracking``, at 30 frames per second: a still
    face trembles less than a third as much, and a face that moves by a tenth of its size in a
    second, or turns by 20 degrees, is less than 30 ms behind the raw one; a faster one less.

    Raises:
        ConfigError: a value is outside its range.
    """

    # Cut-off for a landmark at rest: lower is calmer and slower to follow; above 0.
    min_cutoff_hz: float = 1.0
    # Rise of the cut-off with speed, Hz per (face size / second): higher lags less; from 0.
    beta: float = 40.0
    # Cut-off of the speed estimate: lower ignores noise, higher reacts sooner; above 0.
    derivative_cutoff_hz: float = 1.0
    # The same for the head pose, whose speed is in radians per second.
    pose_min_cutoff_hz: float = 1.0
    pose_beta: float = 8.0

    def __post_init__(self) -> None:
        _require_number("min_cutoff_hz", self.min_cutoff_hz, 0.0, above_low=True)
        _require_number("beta", self.beta, 0.0)
        _require_number("derivative_cutoff_hz", self.derivative_cutoff_hz, 0.0, above_low=True)
        _require_number("pose_min_cutoff_hz", self.pose_min_cutoff_hz, 0.0, above_low=True)
        _require_number("pose_beta", self.pose_beta, 0.0)


@dataclass(frozen=True, slots=True)
class TrackerConfig:
    """Options of ``FaceTracker``.

    Raises:
        ConfigError: a value is outside its range.
    """

    # Order of the channels in the frames handed in; OpenCV reads "bgr". "grey": (H, W) frames.
    color: Color = "rgb"
    # Clockwise turn, degrees, that would put the frames upright: what phones report of a camera's
    # sensor. Results stay in the coordinates of the frame as it is.
    rotation_deg: QuarterTurn = 0
    # The frames are mirror images, as front cameras show them: landmarks keep the names of the
    # subject's own right and left.
    mirrored: bool = False
    # Faces followed at the same time, and the most that detect() reports; from 1.
    max_faces: int = 1
    # The gate: what the network's presence has to be; 0..1. A face is taken up at this plus
    # the hysteresis, and kept down to this minus the hysteresis; both from 0.
    presence_threshold: float = 0.7
    presence_hysteresis: float = 0.05
    # A face that does not pass the gate is looked for once more in a region so many times larger
    # before it is given up; from 1, which turns that off.
    retry_scale: float = 1.5
    # A face that comes back within so many seconds keeps its id, from 0, if it is not farther away
    # than so many times its size, from 0.
    reattach_s: float = 2.0
    reattach_distance: float = 2.0
    # With some faces tracked but fewer than max_faces, the detector is asked every so many frames;
    # with no face, and while a lost one may come back, it is asked at once; from 1.
    detect_interval_frames: int = 10
    # After so many frames without any face the detector is asked every so many frames only;
    # both from 1.
    idle_after_frames: int = 90
    idle_interval_frames: int = 3
    # Looks at each face: 2 also takes the mirrored crop and averages; steadier, at twice the cost.
    views: Literal[1, 2] = 1
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
        _require_one_of("color", self.color, COLORS)
        _require_one_of("rotation_deg", self.rotation_deg, QUARTER_TURNS)
        _require_type("mirrored", self.mirrored, (bool,))
        _require_count("max_faces", self.max_faces)
        _require_number("presence_threshold", self.presence_threshold, 0.0, 1.0)
        _require_number("presence_hysteresis", self.presence_hysteresis, 0.0, 1.0)
        _require_number("retry_scale", self.retry_scale, 1.0)
        _require_number("reattach_s", self.reattach_s, 0.0)
        _require_number("reattach_distance", self.reattach_distance, 0.0)
        _require_count("detect_interval_frames", self.detect_interval_frames)
        _require_count("idle_after_frames", self.idle_after_frames)
        _require_count("idle_interval_frames", self.idle_interval_frames)
        _require_one_of("views", self.views, (1, 2))
        _require_number("roi_extension", self.roi_extension, 0.0, 1.0)
        _require_number("same_face_iou", self.same_face_iou, 0.0, 1.0, above_low=True)
        _require_count("num_threads", self.num_threads)
        _require_type("smoothing", self.smoothing, (SmoothingConfig, type(None)))
        _require_type("precision", self.precision, (str,))
        _require_type("detector", self.detector, (DetectorConfig,))

    @property
    def accept_presence(self) -> float:
        """Presence at which a face is taken up, at most 1."""
        return min(1.0, self.presence_threshold + self.presence_hysteresis)

    @property
    def keep_presence(self) -> float:
        """Presence down to which a tracked face is kept, at least 0."""
        return max(0.0, self.presence_threshold - self.presence_hysteresis)

    @classmethod
    def fast(cls, **options: Any) -> "TrackerConfig":  # noqa: ANN401 - any field
        """For weak processors: eight bits, the detector asked less often.

        Args:
            options: fields that are to be otherwise.
        """
        return cls(
            **{
                "precision": "int8",
                "detect_interval_frames": 20,
                "idle_after_frames": 15,
                "idle_interval_frames": 5,
                **options,
            }
        )

    @classmethod
    def balanced(cls, **options: Any) -> "TrackerConfig":  # noqa: ANN401 - any field
        """The defaults.

        Args:
            options: fields that are to be otherwise.
        """
        return cls(**options)

    @classmethod
    def accurate(cls, **options: Any) -> "TrackerConfig":  # noqa: ANN401 - any field
        """For recordings: two looks at each face, small faces found, the detector asked more often.

        Args:
            options: fields that are to be otherwise.
        """
        return cls(
            **{
                "views": 2,
                "detect_interval_frames": 5,
                "idle_interval_frames": 1,
                "detector": DetectorConfig(tiles=2),
                **options,
            }
        )


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


def _require_one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if isinstance(value, bool) or value not in allowed:
        choices = " or ".join(repr(one) for one in allowed)
        raise ConfigError(f"expected {name} to be {choices}, got {value!r}")


def _require_count(name: str, value: object) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"expected {name} to be a whole number from 1, got {value!r}")


def _require_type(name: str, value: object, types: tuple[type, ...]) -> None:
    if not isinstance(value, types):
        wanted = " or ".join("None" if kind is type(None) else kind.__name__ for kind in types)
        raise ConfigError(f"expected {name} to be {wanted}, got {value!r}")
