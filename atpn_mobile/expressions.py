"""Cheap signals of a facial expression: how open eyes and mouth are, brows, smile. Pure functions.

Every signal is a ratio of lengths: the unit of the landmarks, their place, a turn of the picture
and whether it is mirrored do not matter. Mouth and brows are measured in interocular distances, the
distance of the outer corners of the eyes. A turned head changes such ratios: a turn to the side by
shortening the interocular distance, a nod by moving what lies in front of the eyes, like lips and
brows, up or down. ``face_on`` takes both back; ``measure_expressions`` applies it when it gets the
head pose.

The ranges in this module are those of the photographs of HELEN, with points set by people, after
``face_on`` (828 that are turned by less than 35 degrees). How much of a signal arrives depends on
the network that gives the landmarks: those that come with the package carry mouth, smile and brows,
but hardly a blink; docs/from_facemesh.md has the numbers. People differ at rest, most of all in
brows and eyes: compare a face with itself.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atpn_mobile.errors import InvalidFrameError
from atpn_mobile.landmarks import (
    LEFT_EYE_OUTER_CORNER,
    LEFT_EYEBROW,
    NUM_LANDMARKS,
    RIGHT_EYE_OUTER_CORNER,
    RIGHT_EYEBROW,
)
from atpn_mobile.types import HeadPose

# The angle between the face and the direction to the camera, beyond which nothing is told: from
# here on an error of 5 degrees in the pose moves the openness of the far eye by 0.03, a tenth of
# an open one, and soon that eye is hidden.
MAX_TURN_DEG: Final = 40.0
NEUTRAL_MOUTH_WIDTH: Final = 0.6  # interocular distances, the median of HELEN is 0.61

_Points = NDArray[np.floating]

# Corners, then pairs of upper and lower lid.
_RIGHT_EYE: Final = (60, 64, ((61, 67), (62, 66), (63, 65)))
_LEFT_EYE: Final = (68, 72, ((69, 75), (70, 74), (71, 73)))
_MOUTH_CORNERS: Final = (76, 82)
_INNER_LIPS: Final = ((89, 95), (90, 94), (91, 93))
_INNER_LIPS_MIDDLE: Final = (90, 94)

# How far a landmark lies in front of the outer corners of the eyes, interocular distances: the mean
# of the rendered heads that the networks are trained on. Those of the contour have no fixed place.
_DEPTH: Final[NDArray[np.float64]] = np.array(
    [
        *[math.nan] * 33,  # contour
        *(-0.07, 0.10, 0.16, 0.18, 0.18, 0.15, 0.14, 0.14, 0.08),  # right brow
        *(0.18, 0.18, 0.16, 0.10, -0.07, 0.08, 0.14, 0.14, 0.15),  # left brow
        *(0.17, 0.24, 0.33, 0.40),  # nose bridge
        *(0.17, 0.25, 0.27, 0.25, 0.17),  # nose base
        *(0.00, 0.06, 0.08, 0.07, 0.04, 0.06, 0.07, 0.05),  # right eye
        *(0.04, 0.07, 0.08, 0.06, 0.00, 0.05, 0.07, 0.06),  # left eye
        *(0.10, 0.22, 0.28, 0.29, 0.28, 0.22, 0.10, 0.14, 0.19, 0.21, 0.19, 0.14),  # outer lips
        *(0.10, 0.20, 0.23, 0.20, 0.10, 0.18, 0.21, 0.18),  # inner lips
        *(0.04, 0.04),  # pupils
    ]
)


@dataclass(frozen=True, slots=True)
class Expressions:
    """The signals of one face; NaN where they cannot be told.

    Attributes:
        right_eye_openness: see ``eye_openness``; right and left are the subject's.
        left_eye_openness: the same.
        mouth_openness: see ``mouth_openness``.
        mouth_width: see ``mouth_width``.
        smile: see ``smile``.
        right_brow_raise: see ``brow_raise``.
        left_brow_raise: the same.
    """

    right_eye_openness: float
    left_eye_openness: float
    mouth_openness: float
    mouth_width: float
    smile: float
    right_brow_raise: float
    left_brow_raise: float


def measure_expressions(landmarks: _Points, pose: HeadPose | None = None) -> Expressions:
    """All signals of a face.

    Args:
        landmarks: (98, 2), any unit, x right, y down; ``Face.raw_landmarks`` for the quickest
            answer, ``Face.landmarks`` for the calmest.
        pose: of the same face: the signals are those of ``face_on`` then. None: the landmarks are
            taken as they are, as if the head looked into the camera.

    Returns:
        The signals; NaN, all of them, when the head is turned from the camera by more than
        ``MAX_TURN_DEG``, and those whose unit is a length of 0.

    Raises:
        InvalidFrameError: the landmarks are not (98, 2).
    """
    points = _checked(landmarks)
    if pose is not None:
        if _turn_deg(pose) > MAX_TURN_DEG:
            return Expressions(*[math.nan] * 7)
        points = face_on(points, pose)
    right_eye, left_eye = eye_openness(points)
    right_brow, left_brow = brow_raise(points)
    return Expressions(
        right_eye_openness=right_eye,
        left_eye_openness=left_eye,
        mouth_openness=mouth_openness(points),
        mouth_width=mouth_width(points),
        smile=smile(points),
        right_brow_raise=right_brow,
        left_brow_raise=left_brow,
    )


def face_on(landmarks: _Points, pose: HeadPose) -> NDArray[np.float64]:
    """Landmarks as they would be if the head looked into the camera, as far as can be told.

    The third coordinate that a turn back takes is that of a mean face. Over renderings with exact
    landmarks, up to 45 degrees of yaw and 35 of pitch, the head pose explains 65 % of the variance
    of the brows' height before and 2 % after, 37 % and 1 % of the lift of the corners of the mouth.

    Args:
        landmarks: (98, 2), any unit, x right, y down.
        pose: of the same face; a head that looks to the side by 90 degrees cannot be turned back.

    Returns:
        (98, 2) float64, the same unit, x right, y down, the origin between the outer corners of the
        eyes. NaN for the contour (0 to 32), which lies elsewhere on a turned head.

    Raises:
        InvalidFrameError: the landmarks are not (98, 2).
    """
    points = _checked(landmarks)
    corners = points[[RIGHT_EYE_OUTER_CORNER, LEFT_EYE_OUTER_CORNER]]
    # The head's axes, seen in the picture: how a step to its left, upwards and forwards shows.
    across, up, forward = (pose.rotation[:2] * [[1.0], [-1.0]]).T
    shown = float(np.linalg.norm(across))
    if shown == 0.0 or across[0] * up[1] == across[1] * up[0]:
        return np.full((NUM_LANDMARKS, 2), math.nan)
    interocular = _distance(*corners) / shown
    flat = points - corners.mean(axis=0) - np.outer(_DEPTH * interocular, forward)
    result: NDArray[np.float64] = np.linalg.solve(np.stack([across, -up], axis=1), flat.T).T
    return result


def eye_openness(landmarks: _Points) -> tuple[float, float]:
    """Distance of the lids over the width of the eye, for the right and the left eye.

    The eye aspect ratio of Soukupova and Cech, "Real-Time Eye Blink Detection using Facial
    Landmarks", CVWW 2016, with three pairs of lid points instead of two.

    Args:
        landmarks: (98, 2), any unit.

    Returns:
        Right, left; from 0. Shut 0.02 to 0.08, open 0.2 to 0.5, 0.35 in the middle; the eyes of
        children are the widest.

    Raises:
        InvalidFrameError: the landmarks are not (98, 2).
    """
    points = _checked(landmarks)
    right, left = (
        _ratio(_gap(points, lids), _distance(points[corner], points[other]))
        for corner, other, lids in (_RIGHT_EYE, _LEFT_EYE)
    )
    return right, left


def mouth_openness(landmarks: _Points) -> float:
    """Distance of the inner edges of the lips, interocular distances.

    Args:
        landmarks: (98, 2), any unit.

    Returns:
        From 0. Shut 0 to 0.03, speech and laughter to 0.3, a yawn or a shout to 0.6.

    Raises:
        InvalidFrameError: the landmarks are not (98, 2).
    """
    points = _checked(landmarks)
    return _ratio(_gap(points, _INNER_LIPS), _interocular(points))


def mouth_width(landmarks: _Points) -> float:
    """Distance of the corners of the mouth, interocular distances.

    Args:
        landmarks: (98, 2), any unit.

    Returns:
        Pursed 0.4, at rest 0.5 to 0.65, a broad smile 0.75 to 0.9.

    Raises:
        InvalidFrameError: the landmarks are not (98, 2).
    """
    points = _checked(landmarks)
    right, left = points[list(_MOUTH_CORNERS)]
    return _ratio(_distance(right, left), _interocular(points))


def smile(landmarks: _Points) -> float:
    """How far the corners of the mouth are lifted and drawn apart.

    The lift of the corners above the middle of the lips, plus half of what the mouth is wider than
    ``NEUTRAL_MOUTH_WIDTH``; interocular distances. Of what was tried it sorts photographs best: it
    is high for closed and open smiles; it is also high for a tongue put out.

    Args:
        landmarks: (98, 2), any unit.

    Returns:
        Pursed or turned down -0.15 to -0.05, at rest about 0, a smile from 0.1, a broad one to 0.3.

    Raises:
        InvalidFrameError: the landmarks are not (98, 2).
    """
    points = _checked(landmarks)
    corners = points[list(_MOUTH_CORNERS)].mean(axis=0)
    middle = points[list(_INNER_LIPS_MIDDLE)].mean(axis=0)
    lift = _ratio(_height(points, corners - middle), _interocular(points))
    return lift + 0.5 * (mouth_width(points) - NEUTRAL_MOUTH_WIDTH)


def brow_raise(landmarks: _Points) -> tuple[float, float]:
    """Height of a brow above the corners of its eye, interocular distances, right and left.

    Args:
        landmarks: (98, 2), any unit.

    Returns:
        Right, left. Drawn down 0.10, 0.19 in the middle, raised 0.25 to 0.33.

    Raises:
        InvalidFrameError: the landmarks are not (98, 2).
    """
    points = _checked(landmarks)
    unit = _interocular(points)
    right, left = (
        _ratio(
            _height(points, points[brow].mean(axis=0) - points[[corner, other]].mean(axis=0)), unit
        )
        for brow, (corner, other, _) in ((RIGHT_EYEBROW, _RIGHT_EYE), (LEFT_EYEBROW, _LEFT_EYE))
    )
    return right, left


def _checked(landmarks: _Points) -> NDArray[np.float64]:
    points = np.asarray(landmarks, np.float64)
    if points.shape != (NUM_LANDMARKS, 2):
        raise InvalidFrameError(
            f"expected landmarks of shape ({NUM_LANDMARKS}, 2), got {points.shape}"
        )
    return points


def _turn_deg(pose: HeadPose) -> float:
    """The angle between where the face looks and the direction to the camera, 0..180."""
    return math.degrees(math.acos(min(1.0, max(-1.0, float(pose.rotation[2, 2])))))


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return math.hypot(*(one - other))


def _interocular(points: NDArray[np.float64]) -> float:
    return _distance(points[RIGHT_EYE_OUTER_CORNER], points[LEFT_EYE_OUTER_CORNER])


def _gap(points: NDArray[np.float64], pairs: tuple[tuple[int, int], ...]) -> float:
    """Mean distance of pairs of points."""
    return sum(_distance(points[one], points[other]) for one, other in pairs) / len(pairs)


def _height(points: NDArray[np.float64], vector: NDArray[np.float64]) -> float:
    """How far a vector points upwards on the face: at right angles to the eyes, off the mouth.

    Off the mouth and not up in the picture: in a mirrored one the eyes are the other way round.
    """
    right, left = points[[RIGHT_EYE_OUTER_CORNER, LEFT_EYE_OUTER_CORNER]]
    line, to_mouth = left - right, points[list(_MOUTH_CORNERS)].mean(axis=0) - right
    up = -math.copysign(1.0, _cross(line, to_mouth))
    return _ratio(up * _cross(line, vector), math.hypot(*line))


def _cross(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(one[0] * other[1] - one[1] * other[0])


def _ratio(length: float, unit: float) -> float:
    return length / unit if unit > 0.0 else math.nan
