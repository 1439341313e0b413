"""The nouns of the runtime: regions, poses, faces and results. Frozen, checked at the border."""

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from atpn_mobile.errors import InvalidFrameError

FloatArray = NDArray[np.float32]
Frame = NDArray[np.uint8]
Source = Literal["detected", "tracked"]


@dataclass(frozen=True, slots=True)
class Roi:
    """A square region of a frame, the network's field of view.

    Attributes:
        center_x: centre, frame pixels, x right, pixel centres at integers.
        center_y: centre, frame pixels, y down.
        size: length of a side, frame pixels, above 0.
        rotation_rad: clockwise in the image, radians.

    Raises:
        InvalidFrameError: a value is not finite, or the size is not above 0.
    """

    center_x: float
    center_y: float
    size: float
    rotation_rad: float = 0.0

    def __post_init__(self) -> None:
        values = (self.center_x, self.center_y, self.size, self.rotation_rad)
        if not all(math.isfinite(value) for value in values) or self.size <= 0.0:
            raise InvalidFrameError(
                "expected a Roi of finite numbers with size > 0, got "
                f"center ({self.center_x}, {self.center_y}), size {self.size}, "
                f"rotation {self.rotation_rad}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class HeadPose:
    """The orientation of a head.

    Angles are degrees with the signs of 300W-LP and AFLW2000: ``yaw > 0`` the face turns to the
    left edge of the image, ``pitch > 0`` it looks up, ``roll > 0`` it tilts clockwise in the image.

    Attributes:
        rotation: (3, 3) float64, camera <- head, axes x right, y up, z towards the camera;
            ``rotation = Rz(-roll) Rx(-pitch) Ry(-yaw)``.
    """

    rotation: NDArray[np.float64]

    @property
    def yaw_deg(self) -> float:
        """Turn to the left edge of the image, degrees, -180..180."""
        return -math.degrees(math.atan2(-self.rotation[2, 0], self.rotation[2, 2]))

    @property
    def pitch_deg(self) -> float:
        """Look upwards, degrees, -90..90."""
        return -math.degrees(math.asin(min(1.0, max(-1.0, float(self.rotation[2, 1])))))

    @property
    def roll_deg(self) -> float:
        """Tilt clockwise in the image, degrees, -180..180."""
        return -math.degrees(math.atan2(-self.rotation[0, 1], self.rotation[1, 1]))


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face of one frame.

    Attributes:
        track_id: number of the track, from 0, not used twice between two ``reset()``s of a
            tracker; -1 outside tracks.
        landmarks: (98, 2) float32, frame pixels, x right, y down, smoothed where smoothing is on.
        raw_landmarks: (98, 2) float32, as the network gave them.
        presence: probability that the region shows a face, 0..1.
        pose: orientation of the head, smoothed where smoothing is on.
        raw_pose: as the network gave it.
        roi: the region the network looked at.
        source: "detected" when the detector found the face in this frame, else "tracked".
    """

    track_id: int
    landmarks: FloatArray
    raw_landmarks: FloatArray
    presence: float
    pose: HeadPose
    raw_pose: HeadPose
    roi: Roi
    source: Source


@dataclass(frozen=True, slots=True)
class Detection:
    """A box found by a detector.

    Attributes:
        box_xyxy: left, top, right, bottom, frame pixels: the bounding box of the landmarks.
        score: confidence, 0..1.
    """

    box_xyxy: tuple[float, float, float, float]
    score: float


@dataclass(frozen=True, slots=True)
class StageTimings:
    """Wall time of one frame by stage, milliseconds; 0 for a stage that did not run."""

    detector_ms: float = 0.0
    crop_ms: float = 0.0
    network_ms: float = 0.0
    tracker_ms: float = 0.0  # decoding, gate, smoothing, association

    @property
    def total_ms(self) -> float:
        """Sum of the stages, milliseconds."""
        return self.detector_ms + self.crop_ms + self.network_ms + self.tracker_ms


@dataclass(frozen=True, slots=True, eq=False)
class TrackResult:
    """What one frame gave.

    Attributes:
        faces: the faces; by track_id from ``track()``, best detection first from ``detect()``;
            empty when there is none, never None.
        timestamp_s: the frame's time, seconds.
        timings: wall time by stage.
        detector_ran: whether the detector was asked in this frame.
        lost_ids: tracks of the frame before that have no face in this one.
    """

    faces: tuple[Face, ...]
    timestamp_s: float
    timings: StageTimings = field(default_factory=StageTimings)
    detector_ran: bool = False
    lost_ids: tuple[int, ...] = ()
