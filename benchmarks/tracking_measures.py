"""What is measured of a tracker's results: pure functions of what it said and what is true.

Lengths are in % of the distance between the outer corners of the eyes (interocular), as in NME.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atpn_mobile.geometry import box_from_landmarks, box_iou
from atpn_mobile.landmarks import LEFT_EYE_OUTER_CORNER, RIGHT_EYE_OUTER_CORNER
from atpn_mobile.types import FloatArray
from benchmarks.tracking_clips import Truth

MAX_DISTANCE: Final = 0.5  # interoculars, mean of the landmarks: beyond it, it is not that face
IN_VIEW: Final = 0.95  # share of the landmarks; below it, whether it is a face is nobody's to say
SAME_PLACE: Final = 0.3  # IoU of boxes: a face at the place of one that is partly seen
SETTLED: Final = 15  # frames after which a filter has forgotten where it began
LAG_STEP_MS: Final = 1.0

Series = NDArray[np.floating]  # (frames, 98, 2)


@dataclass(frozen=True, slots=True, eq=False)
class SeenFace:
    """One face of a frame, as the tracker gave it.

    Attributes:
        track_id: its number.
        landmarks: (98, 2) frame pixels.
        raw_landmarks: the same before smoothing.
        rotation: (3, 3) of the head.
        raw_rotation: the same before smoothing.
    """

    track_id: int
    landmarks: FloatArray
    raw_landmarks: FloatArray
    rotation: NDArray[np.float64]
    raw_rotation: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SeenFrame:
    """What the tracker said about a frame.

    Attributes:
        faces: in it.
        detector_ran: whether it asked the detector.
    """

    faces: tuple[SeenFace, ...]
    detector_ran: bool


@dataclass(frozen=True, slots=True, eq=False)
class Sightings:
    """Which face of each frame is which person.

    Attributes:
        faces: per frame and person the face, None where there is none.
        false: per frame the number of faces that are nobody.
    """

    faces: tuple[tuple[SeenFace | None, ...], ...]
    false: tuple[int, ...]


def interocular(landmarks: FloatArray) -> float:
    """Distance between the outer corners of the eyes of (98, 2) landmarks."""
    corners = landmarks[RIGHT_EYE_OUTER_CORNER] - landmarks[LEFT_EYE_OUTER_CORNER]
    return float(np.linalg.norm(corners))


def nme(landmarks: FloatArray, truth: FloatArray) -> float:
    """Mean distance of (98, 2) landmarks from the truth, in interoculars."""
    return float(np.linalg.norm(landmarks - truth, axis=1).mean()) / interocular(truth)


def recognise(frames: Sequence[SeenFrame], truth: Truth, visible: NDArray[np.float64]) -> Sightings:
    """Tell which face is which person: the nearest pairs first, each once.

    Args:
        frames: what the tracker said.
        truth: (frames, people, 98, 2).
        visible: (frames, people) share of the landmarks that can be seen. A person of whom none
            can be seen is nobody's face; where one is partly seen, no face is false.
    """
    matched = []
    false = []
    for frame, people, shares in zip(frames, truth, visible, strict=True):
        pairs = sorted(
            (distance, place, person)
            for place, face in enumerate(frame.faces)
            for person in np.flatnonzero(shares > 0.0)
            if (distance := nme(face.landmarks, people[person])) <= MAX_DISTANCE
        )
        found: dict[int, SeenFace] = {}
        used: set[int] = set()
        for _, place, person in pairs:
            if place not in used and person not in found:
                used.add(place)
                found[int(person)] = frame.faces[place]
        matched.append(tuple(found.get(person) for person in range(len(people))))
        partly = people[(shares > 0.0) & (shares < IN_VIEW)]
        false.append(
            sum(
                place not in used and not _is_at_one_of(face.landmarks, partly)
                for place, face in enumerate(frame.faces)
            )
        )
    return Sightings(tuple(matched), tuple(false))


def _is_at_one_of(landmarks: FloatArray, people: FloatArray) -> bool:
    """Whether (98, 2) landmarks are at the place of one of (people, 98, 2)."""
    box = box_from_landmarks(landmarks)
    return any(box_iou(box, box_from_landmarks(one)) >= SAME_PLACE for one in people)


def tracked_share(sightings: Sightings, visible: NDArray[np.float64]) -> float:
    """Share of the faces in view that were found."""
    in_view = visible >= IN_VIEW
    found = np.array([[face is not None for face in frame] for frame in sightings.faces])
    return float(found[in_view].mean())


def frames_to_recover(
    sightings: Sightings, visible: NDArray[np.float64], cuts: Sequence[int] = ()
) -> int | None:
    """The number of the frame in which a face that came back is right again: 1 for the first.

    Args:
        sightings: who was found where.
        visible: (frames, people).
        cuts: frames at which faces in view are elsewhere at once.

    Returns:
        the highest of all returns; frames that are left and one where it was not found again;
        None where nothing came back.
    """
    in_view = visible >= IN_VIEW
    highest = None
    for person in range(visible.shape[1]):
        returns = np.flatnonzero(in_view[1:, person] & ~in_view[:-1, person]) + 1
        starts = sorted({*returns.tolist(), *(cut for cut in cuts if in_view[cut, person])})
        for start in starts:
            found = (frame[person] is not None for frame in sightings.faces[start:])
            number = next((n for n, is_found in enumerate(found, 1) if is_found), None)
            number = len(sightings.faces) - start + 1 if number is None else number
            highest = max(number, highest or 0)
    return highest


def track_ids(sightings: Sightings) -> tuple[tuple[int, ...], ...]:
    """Per person the number of each face that was found, in order."""
    people = len(sightings.faces[0])
    return tuple(
        tuple(face.track_id for frame in sightings.faces if (face := frame[person]) is not None)
        for person in range(people)
    )


def id_switches(ids: Sequence[Sequence[int]]) -> int:
    """How often a person's number changed from one finding to the next."""
    return sum(a != b for one in ids for a, b in pairwise(one))


def shared_ids(ids: Sequence[Sequence[int]]) -> int:
    """Numbers that more than one person had."""
    people = [number for one in ids for number in set(one)]
    return sum(people.count(number) > 1 for number in set(people))


def difference_percent(landmarks: Series, order: int) -> float:
    """Jitter: the root of the mean square of differences between frames, % of the interocular.

    Args:
        landmarks: (frames, 98, 2) of one face without gaps.
        order: 1 for steps between frames, which only for a still face are jitter; 2 for changes
            of the steps, which for a moving one are jitter and acceleration.
    """
    steps = np.diff(landmarks, order, axis=0)
    unit = np.mean([interocular(one) for one in landmarks])
    return 100.0 * float(np.sqrt((steps**2).sum(axis=2).mean()) / unit)


def turn_deg(rotations: NDArray[np.floating]) -> float:
    """Root of the mean square of the turn between frames of (frames, 3, 3), degrees."""
    traces = np.einsum("nij,nij->n", rotations[1:], rotations[:-1])
    angles = np.degrees(np.arccos(np.clip((traces - 1.0) / 2.0, -1.0, 1.0)))
    return float(np.sqrt((angles**2).mean()))


def lag_ms(landmarks: Series, reference: Series, rate_hz: float) -> float:
    """By how much a series is late: the shift of the reference that best fits it.

    Args:
        landmarks: (frames, 98, 2), at a steady rate.
        reference: the same, of what it follows; linear between frames.
        rate_hz: frames per second.
    """
    late = landmarks.reshape(len(landmarks), -1)
    early = reference.reshape(len(reference), -1)
    places = np.arange(SETTLED, len(late))

    def misfit(shift_ms: float) -> float:
        at = np.clip(places - shift_ms * rate_hz / 1000.0, 0.0, len(early) - 1.0)
        before = np.minimum(at.astype(int), len(early) - 2)
        part = (at - before)[:, np.newaxis]
        shifted = early[before] * (1.0 - part) + early[before + 1] * part
        return float(((late[SETTLED:] - shifted) ** 2).mean())

    # Up to a frame early, and not so late that the reference has not begun.
    frame_ms = 1000.0 / rate_hz
    shifts = np.arange(-np.floor(frame_ms), SETTLED * frame_ms, LAG_STEP_MS)
    return float(shifts[np.argmin([misfit(float(shift)) for shift in shifts])])


def longest_run(faces: Sequence[SeenFace | None]) -> tuple[SeenFace, ...]:
    """The longest stretch in which a person was found in every frame under one number."""
    best: list[SeenFace] = []
    current: list[SeenFace] = []
    for face in faces:
        if face is None or (current and face.track_id != current[-1].track_id):
            current = []
        if face is not None:
            current.append(face)
        best = current if len(current) > len(best) else best
    return tuple(best)
