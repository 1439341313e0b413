"""FaceTracker: detect once, then follow each face by its own landmarks.

The only module that knows all stages. State lives in the tracks and nowhere else.
"""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Literal

from atpn_mobile.association import (
    Box,
    distinct_faces,
    longer_side,
    match_lost,
    overlaps_any,
)
from atpn_mobile.backends import create_backend
from atpn_mobile.backends.base import Backend, require_outputs
from atpn_mobile.config import TrackerConfig
from atpn_mobile.decode import (
    ALIGNMENT_OUTPUTS,
    Alignment,
    average_views,
    decode_alignment,
)
from atpn_mobile.detector import Detector, NetworkDetector
from atpn_mobile.errors import AtpnError, InvalidFrameError
from atpn_mobile.gate import passes_gate
from atpn_mobile.geometry import (
    box_from_landmarks,
    box_iou,
    on_grid,
    roi_from_box,
    steady_roi,
    upright_rotation,
)
from atpn_mobile.manifest import load_manifest
from atpn_mobile.preprocess import check_frame, crop_tensor
from atpn_mobile.smoothing import OneEuroFilter, RotationFilter
from atpn_mobile.types import (
    Face,
    FloatArray,
    Frame,
    HeadPose,
    Roi,
    Source,
    StageTimings,
    TrackResult,
)

ALIGNMENT_MODEL = "atpn"
DETECTION_MODEL = "detector"
ASSUMED_FRAME_RATE_HZ = 30.0  # of frames that come without a timestamp
MIN_FACE_SIZE = 1.0  # pixels: below it a face is a point, and its region has no size
NO_TRACK = -1


@dataclass(frozen=True, slots=True, eq=False)
class _Sighting:
    """A face that the network sees in the present frame."""

    alignment: Alignment
    roi: Roi  # where the network looked
    box: Box  # of the landmarks
    next_roi: Roi  # where to look in the next frame


@dataclass(frozen=True, slots=True, eq=False)
class _Filters:
    """The smoothing of one track."""

    landmarks: OneEuroFilter
    pose: RotationFilter


@dataclass(frozen=True, slots=True, eq=False)
class _Track:
    """What is carried from frame to frame for one face."""

    track_id: int
    roi: Roi  # where to look next
    box: Box  # where it was seen
    filters: _Filters | None  # None: no smoothing


@dataclass(frozen=True, slots=True)
class _LostTrack:
    """A face that may come back."""

    track_id: int
    box: Box  # where it was last seen
    lost_s: float  # time of the first frame without it


class _StageClock:
    """Adds up the wall time of the stages of one frame."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._spent_ms = {"detector": 0.0, "crop": 0.0, "network": 0.0}

    def end(self, stage: Literal["detector", "crop", "network"], start: float) -> float:
        """Add a stage that began at ``start``; returns the time now."""
        now = time.perf_counter()
        self._spent_ms[stage] += (now - start) * 1000.0
        return now

    def timings(self) -> StageTimings:
        total_ms = (time.perf_counter() - self._start) * 1000.0
        spent = self._spent_ms
        rest_ms = max(0.0, total_ms - sum(spent.values()))
        return StageTimings(spent["detector"], spent["crop"], spent["network"], rest_ms)


class FaceTracker:
    """Landmarks, head pose and presence of the faces in a video or a picture.

    A face is found once by the detector and then followed by the region of its own landmarks; when
    the network no longer sees it there, nor around it, the detector is asked again. Landmarks and
    head poses of a video are smoothed (``raw_landmarks`` and ``raw_pose`` are not).

    Same frames, same options, same results. One tracker serves one video and one thread.

    Example:
        >>> with FaceTracker() as tracker:  # doctest: +SKIP
        ...     for frame in frames:
        ...         for face in tracker.track(frame).faces:
        ...             print(face.track_id, face.presence, face.pose.yaw_deg)
    """

    def __init__(
        self,
        backend: str | Backend = "auto",
        config: TrackerConfig | None = None,
        *,
        detector: Detector | None = None,
        models_dir: Path | str | None = None,
    ) -> None:
        """Load the networks.

        Args:
            backend: name of an engine, "auto" for the first one installed, or a backend that runs
                the alignment network; such a backend stays the caller's to close.
            config: options; the defaults when None.
            detector: finds the faces; the project's own detector when None.
            models_dir: folder of a manifest.json with its files; None for the models that came
                with the package. Not read when both a backend and a detector are handed in.

        Raises:
            BackendUnavailableError: the engine is unknown or not installed.
            ManifestError: the manifest is missing or broken.
            ModelNotFoundError: a model or its file is missing.
            ChecksumError: a model file is not the one its manifest describes.
            ModelMismatchError: a network's inputs or outputs are not the expected ones.
        """
        self._config = TrackerConfig() if config is None else config
        with ExitStack() as resources:
            if isinstance(backend, str):
                self._backend = self._load(resources, backend, ALIGNMENT_MODEL, models_dir)
            else:
                self._backend = backend
            require_outputs(self._backend.spec, ALIGNMENT_OUTPUTS)
            if detector is None:
                engine = backend if isinstance(backend, str) else "auto"
                network = self._load(resources, engine, DETECTION_MODEL, models_dir)
                detector = NetworkDetector(
                    network,
                    self._config.detector,
                    color=self._config.color,
                    rotation_deg=self._config.rotation_deg,
                )
            self._detector = detector
            self._resources = resources.pop_all()
        self._upright_rad = upright_rotation(self._config.rotation_deg)
        self._closed = False
        self._forget()

    def _forget(self) -> None:
        self._tracks: list[_Track] = []  # by track_id
        self._lost: list[_LostTrack] = []
        self._next_track_id = 0
        self._frame_index = 0
        self._detector_asked: int | None = None  # the frame of it
        self._frames_without_face = 0

    def _load(
        self, resources: ExitStack, engine: str, model: str, models_dir: Path | str | None
    ) -> Backend:
        backend = create_backend(
            engine,
            load_manifest(models_dir),
            model,
            self._config.precision,
            self._config.num_threads,
        )
        resources.callback(backend.close)
        return backend

    @property
    def config(self) -> TrackerConfig:
        """The options it was made with."""
        return self._config

    @property
    def backend_name(self) -> str:
        """The engine of the alignment network."""
        return self._backend.name

    def track(self, frame: Frame, timestamp_s: float | None = None) -> TrackResult:
        """Follow the faces into the next frame of a video.

        Args:
            frame: (H, W, 3) uint8, channels in the order of ``config.color``; (H, W) for "grey".
            timestamp_s: time of the frame, seconds; used for smoothing. None: frames since the
                start or ``reset()``, at 30 per second. A time that does not increase is allowed;
                it starts the smoothing anew.

        Returns:
            The faces by track_id; the frame's time; the time spent.

        Raises:
            InvalidFrameError: the frame or timestamp cannot be used; the tracks stay as they were.
            AtpnError: the tracker is closed.
        """
        self._require_open()
        clock = _StageClock()
        picture = check_frame(frame, self._config.color)
        now_s = self._check_timestamp(timestamp_s)

        followed = self._follow(picture, clock)
        lost = self._lost_tracks(followed, now_s)
        detector_due = self._is_detector_due(len(followed), bool(lost))
        fresh: list[_Sighting] = []
        if detector_due:
            known = [sighting.box for _, sighting in followed]
            fresh = self._find(picture, known, self._config.max_faces - len(followed), clock)

        # Everything that can fail is behind us: from here on the state changes.
        before = {track.track_id for track in self._tracks}
        faces = [self._face(track, seen, "tracked", now_s) for track, seen in followed]
        new_tracks = self._new_tracks(fresh, lost)
        faces += [
            self._face(track, sighting, "detected", now_s)
            for track, sighting in zip(new_tracks, fresh, strict=True)
        ]
        continued = [
            _Track(track.track_id, seen.next_roi, seen.box, track.filters)
            for track, seen in followed
        ]
        self._tracks = sorted(continued + new_tracks, key=lambda track: track.track_id)
        faces.sort(key=lambda face: face.track_id)
        now = {face.track_id for face in faces}
        self._lost = [one for one in lost if one.track_id not in now]
        self._detector_asked = self._frame_index if detector_due else self._detector_asked
        self._frames_without_face = 0 if faces else self._frames_without_face + 1
        self._frame_index += 1
        lost_ids = tuple(sorted(before - now))
        return TrackResult(tuple(faces), now_s, clock.timings(), detector_due, lost_ids)

    def detect(self, frame: Frame) -> TrackResult:
        """Find the faces of one picture; tracks are neither used nor changed.

        Args:
            frame: (H, W, 3) uint8, channels in the order of ``config.color``; (H, W) for "grey".

        Returns:
            At most ``config.max_faces`` faces, best detection first, unsmoothed, with track_id -1
            and timestamp 0.

        Raises:
            InvalidFrameError: the frame cannot be used.
            AtpnError: the tracker is closed.
        """
        self._require_open()
        clock = _StageClock()
        picture = check_frame(frame, self._config.color)
        found = self._find(picture, [], self._config.max_faces, clock)
        faces = tuple(
            _unsmoothed_face(sighting.alignment, sighting.roi, "detected") for sighting in found
        )
        return TrackResult(faces, 0.0, clock.timings(), detector_ran=True)

    def align(self, frame: Frame, rois: Iterable[Roi]) -> tuple[Face, ...]:
        """Run the network on regions of your own; no detector, no gate, no tracks.

        Args:
            frame: (H, W, 3) uint8, channels in the order of ``config.color``; (H, W) for "grey".
            rois: the regions; ``roi_from_box`` makes one of a face box. Where the frames are not
                upright, ``config.rotation_deg`` turns them.

        Returns:
            One face per region, in their order, unsmoothed, with track_id -1 and source
            "detected"; ``presence`` tells whether the region shows a face.

        Raises:
            InvalidFrameError: the frame cannot be used.
            AtpnError: the tracker is closed, or the network gave numbers that are not finite.
        """
        self._require_open()
        clock = _StageClock()
        picture = check_frame(frame, self._config.color)
        faces = []
        for wanted in rois:
            roi = replace(wanted, rotation_rad=wanted.rotation_rad + self._upright_rad)
            alignment = self._look(picture, roi, clock)
            if alignment is None:
                raise AtpnError(f"expected finite numbers from the network, got others for {roi}")
            faces.append(_unsmoothed_face(alignment, roi, "detected"))
        return tuple(faces)

    def reset(self) -> None:
        """Forget the tracks: from here on it behaves like a new tracker, ids from 0 included.

        Raises:
            AtpnError: the tracker is closed.
        """
        self._require_open()
        self._forget()

    def close(self) -> None:
        """Free the networks it loaded; a second call does nothing."""
        self._closed = True
        self._resources.close()

    def __enter__(self) -> "FaceTracker":
        """The tracker itself; it is closed at the end of the block."""
        self._require_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _require_open(self) -> None:
        if self._closed:
            raise AtpnError("expected an open FaceTracker, this one was closed")

    def _check_timestamp(self, timestamp_s: float | None) -> float:
        if timestamp_s is None:
            return self._frame_index / ASSUMED_FRAME_RATE_HZ
        try:
            seconds = float(timestamp_s)
        except (TypeError, ValueError, OverflowError):
            seconds = math.nan
        if not math.isfinite(seconds):
            raise InvalidFrameError(f"expected timestamp_s as finite seconds, got {timestamp_s!r}")
        return seconds

    def _run(
        self, picture: Frame, roi: Roi, mirrored: bool, clock: _StageClock
    ) -> Mapping[str, FloatArray]:
        spec = self._backend.spec.input
        start = time.perf_counter()
        tensor = crop_tensor(picture, roi, spec, self._config.color, mirrored=mirrored)
        start = clock.end("crop", start)
        outputs = self._backend.run({spec.name: tensor})
        clock.end("network", start)
        return outputs

    def _look(self, picture: Frame, roi: Roi, clock: _StageClock) -> Alignment | None:
        """Run the network on a region; None when its numbers are not finite."""
        mirrored = self._config.mirrored
        outputs = self._run(picture, roi, mirrored, clock)
        if self._config.views == 2:
            outputs = average_views(outputs, self._run(picture, roi, not mirrored, clock))
        return decode_alignment(outputs, roi, mirrored=mirrored)

    def _sight(
        self, picture: Frame, roi: Roi, threshold: float, clock: _StageClock
    ) -> _Sighting | None:
        """Look for a face in a region; None when there is none to follow."""
        alignment = self._look(picture, roi, clock)
        if alignment is None or not passes_gate(alignment.presence, threshold):
            return None
        box = box_from_landmarks(alignment.landmarks)
        target = self._next_roi(box, picture)
        if target is None:
            return None
        return _Sighting(alignment, roi, box, steady_roi(roi, target))

    def _acquire(self, picture: Frame, roi: Roi, clock: _StageClock) -> _Sighting | None:
        """Find the face in a region that may be off; None when there is none.

        The network looks twice: its first landmarks give the region in which a tracked face would
        be looked for, so the first frame of a track is as good as the others. The second look is
        the one that has to pass the gate: the first may be off by the detector's error.
        """
        first = self._look(picture, roi, clock)
        if first is None:
            return None
        refined = self._next_roi(box_from_landmarks(first.landmarks), picture)
        if refined is None:
            return None
        return self._sight(picture, on_grid(refined), self._config.accept_presence, clock)

    def _follow(self, picture: Frame, clock: _StageClock) -> list[tuple[_Track, _Sighting]]:
        """Look at the tracks; those that are not where they were, once more in a larger region."""
        threshold = self._config.keep_presence
        looks = [
            (track, self._sight(picture, track.roi, threshold, clock)) for track in self._tracks
        ]
        seen = self._one_track_per_face(
            [(track, sighting) for track, sighting in looks if sighting is not None]
        )
        if self._config.retry_scale == 1.0:
            return seen
        for track in (track for track, sighting in looks if sighting is None):
            larger = replace(track.roi, size=track.roi.size * self._config.retry_scale)
            found = self._acquire(picture, larger, clock)
            taken = [sighting.box for _, sighting in seen]
            if found and not overlaps_any(found.box, taken, self._config.same_face_iou):
                seen.append((track, found))
        return seen

    def _next_roi(self, box: Box, picture: Frame) -> Roi | None:
        """The region of a face's box; None when it is none, or one beside the picture."""
        if longer_side(box) < MIN_FACE_SIZE:
            return None
        roi = roi_from_box(box, self._config.roi_extension)
        if self._upright_rad != 0.0:
            roi = replace(roi, rotation_rad=self._upright_rad)
        height, width = picture.shape[:2]
        reach = (
            roi.size / 2.0 + 0.5
        )  # pixel centres are at integers: the edge lies half a pixel out
        inside_x = -reach < roi.center_x < width - 1 + reach
        inside_y = -reach < roi.center_y < height - 1 + reach
        return roi if inside_x and inside_y else None

    def _find(
        self, picture: Frame, known: Sequence[Box], limit: int, clock: _StageClock
    ) -> list[_Sighting]:
        """Ask the detector for at most ``limit`` faces that are not among the known boxes."""
        start = time.perf_counter()
        detections = self._detector.detect(picture)
        clock.end("detector", start)
        taken = list(known)
        found: list[_Sighting] = []
        for detection in detections:
            if len(found) == limit:
                break
            if overlaps_any(detection.box_xyxy, taken, self._config.same_face_iou):
                continue
            square = roi_from_box(detection.box_xyxy, self._config.roi_extension)
            roi = replace(square, rotation_rad=self._upright_rad)
            sighting = self._acquire(picture, roi, clock)
            if sighting is None or overlaps_any(sighting.box, taken, self._config.same_face_iou):
                continue
            taken.append(sighting.box)
            found.append(sighting)
        return found

    def _one_track_per_face(
        self, seen: Sequence[tuple[_Track, _Sighting]]
    ) -> list[tuple[_Track, _Sighting]]:
        if len(seen) < 2:
            return list(seen)
        # Of two on one face the one has slid over that is farther from where it was seen before.
        steadiest = sorted(
            seen, key=lambda one: (-round(box_iou(one[0].box, one[1].box), 1), one[0].track_id)
        )
        boxes = [sighting.box for _, sighting in steadiest]
        presences = [sighting.alignment.presence for _, sighting in steadiest]
        kept = distinct_faces(boxes, presences, self._config.same_face_iou)
        return sorted((steadiest[index] for index in kept), key=lambda one: one[0].track_id)

    def _lost_tracks(
        self, followed: Sequence[tuple[_Track, _Sighting]], now_s: float
    ) -> list[_LostTrack]:
        """The faces that may come back: those lost in this frame, and lately."""
        kept = {track.track_id for track, _ in followed}
        lost = self._lost + [
            _LostTrack(track.track_id, track.box, now_s)
            for track in self._tracks
            if track.track_id not in kept
        ]
        recent = [one for one in lost if 0.0 <= now_s - one.lost_s < self._config.reattach_s]
        return recent[-self._config.max_faces :]  # bounded, also while a clock stands still

    def _is_detector_due(self, num_followed: int, may_return: bool) -> bool:
        if num_followed >= self._config.max_faces:
            return False
        if self._detector_asked is None:
            return True
        if num_followed > 0:
            interval = 1 if may_return else self._config.detect_interval_frames
        else:
            is_idle = self._frames_without_face >= self._config.idle_after_frames
            interval = self._config.idle_interval_frames if is_idle else 1
        return self._frame_index - self._detector_asked >= interval

    def _new_tracks(
        self, sightings: Sequence[_Sighting], lost: Sequence[_LostTrack]
    ) -> list[_Track]:
        """A track for each face that was found: under its old id where it has come back."""
        if not sightings:
            return []
        boxes = [sighting.box for sighting in sightings]
        matches = match_lost(boxes, [one.box for one in lost], self._config.reattach_distance)
        tracks = []
        for sighting, match in zip(sightings, matches, strict=True):
            if match is None:
                track_id = self._next_track_id
                self._next_track_id += 1
            else:
                track_id = lost[match].track_id
            tracks.append(_Track(track_id, sighting.next_roi, sighting.box, self._filters()))
        return tracks

    def _filters(self) -> _Filters | None:
        smoothing = self._config.smoothing
        if smoothing is None:
            return None
        return _Filters(OneEuroFilter(smoothing), RotationFilter(smoothing))

    def _face(self, track: _Track, sighting: _Sighting, source: Source, now_s: float) -> Face:
        seen = sighting.alignment
        landmarks, pose = seen.landmarks.copy(), seen.pose
        if track.filters is not None:
            size = longer_side(sighting.box)
            landmarks = track.filters.landmarks.smooth(seen.landmarks, now_s, size)
            pose = HeadPose(track.filters.pose.smooth(seen.pose.rotation, now_s))
        return _face_of(seen, sighting.roi, source, track.track_id, landmarks, pose)


def _unsmoothed_face(alignment: Alignment, roi: Roi, source: Source) -> Face:
    # Not the same array twice: a caller may write to it.
    landmarks = alignment.landmarks.copy()
    return _face_of(alignment, roi, source, NO_TRACK, landmarks, alignment.pose)


def _face_of(
    alignment: Alignment,
    roi: Roi,
    source: Source,
    track_id: int,
    landmarks: FloatArray,
    pose: HeadPose,
) -> Face:
    return Face(
        track_id=track_id,
        landmarks=landmarks,
        raw_landmarks=alignment.landmarks,
        presence=alignment.presence,
        pose=pose,
        raw_pose=alignment.pose,
        roi=roi,
        source=source,
    )
