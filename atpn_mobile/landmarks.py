"""The 98-point landmark scheme of WFLW and the 68-point scheme of iBUG inside it.

"Right" and "left" are the subject's: the right eye is on the left side of the picture.
Source: Wu et al., "Look at Boundary", CVPR 2018 (WFLW); Sagonas et al., 300-W, ICCVW 2013 (iBUG).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

NUM_LANDMARKS: Final = 98

CONTOUR: Final = slice(0, 33)  # right ear, chin, left ear
RIGHT_EYEBROW: Final = slice(33, 42)
LEFT_EYEBROW: Final = slice(42, 51)
NOSE_BRIDGE: Final = slice(51, 55)
NOSE_BASE: Final = slice(55, 60)
RIGHT_EYE: Final = slice(60, 68)
LEFT_EYE: Final = slice(68, 76)
OUTER_LIPS: Final = slice(76, 88)
INNER_LIPS: Final = slice(88, 96)
RIGHT_PUPIL: Final = 96
LEFT_PUPIL: Final = 97

RIGHT_EYE_OUTER_CORNER: Final = 60  # the two points that define the inter-ocular distance
LEFT_EYE_OUTER_CORNER: Final = 72

# Landmark i of a mirrored picture is landmark MIRROR[i] of the original.
MIRROR: Final[NDArray[np.intp]] = np.array(
    [
        *range(32, -1, -1),  # contour
        *(46, 45, 44, 43, 42, 50, 49, 48, 47),  # right brow <- left brow
        *(37, 36, 35, 34, 33, 41, 40, 39, 38),  # left brow <- right brow
        *(51, 52, 53, 54),  # nose bridge: on the axis
        *(59, 58, 57, 56, 55),  # nose base
        *(72, 71, 70, 69, 68, 75, 74, 73),  # right eye <- left eye
        *(64, 63, 62, 61, 60, 67, 66, 65),  # left eye <- right eye
        *(82, 81, 80, 79, 78, 77, 76, 87, 86, 85, 84, 83),  # outer lips
        *(92, 91, 90, 89, 88, 95, 94, 93),  # inner lips
        *(97, 96),  # pupils
    ],
    dtype=np.intp,
)

# Landmark i of the 68-point scheme is landmark TO_68[i] of the 98-point scheme.
TO_68: Final[NDArray[np.intp]] = np.array(
    [
        *range(0, 33, 2),  # contour: every second point
        *range(33, 38),  # right brow, upper edge
        *range(42, 47),  # left brow, upper edge
        *range(51, 60),  # nose
        *(60, 61, 63, 64, 65, 67),  # right eye
        *(68, 69, 71, 72, 73, 75),  # left eye
        *range(76, 96),  # lips
    ],
    dtype=np.intp,
)

# Landmark i of the 98-point scheme lies nearest to vertex TO_FACEMESH[i] of MediaPipe's FaceMesh,
# of the vertices that FaceMesh has on the same edge of the same part. Measured with MediaPipe
# 0.10.21, see docs/from_facemesh.md. The contour names no points of the skin: it moves with the
# view.
TO_FACEMESH: Final[NDArray[np.intp]] = np.array(
    [
        *(127, 234, 234, 93, 132, 132, 58, 58, 172, 136, 136, 150, 149, 176, 148, 148),  # right ear
        152,  # chin
        *(
            377,
            377,
            400,
            378,
            379,
            365,
            365,
            397,
            288,
            288,
            361,
            361,
            323,
            454,
            454,
            356,
        ),  # left ear
        *(70, 63, 105, 66, 107, 55, 65, 52, 53),  # right brow
        *(336, 296, 334, 293, 300, 283, 282, 295, 285),  # left brow
        *(168, 197, 5, 4),  # nose bridge
        *(98, 97, 2, 326, 327),  # nose base
        *(33, 160, 159, 157, 133, 153, 145, 144),  # right eye
        *(362, 384, 386, 387, 263, 373, 374, 380),  # left eye
        *(61, 39, 37, 0, 267, 269, 291, 321, 314, 17, 84, 91),  # outer lips
        *(78, 81, 13, 311, 308, 402, 14, 178),  # inner lips
        *(468, 473),  # pupils: only of the 478 points that refine_landmarks gives
    ],
    dtype=np.intp,
)

# Polylines that draw a face: (indices, closed).
FACE_PARTS: Final[tuple[tuple[slice, bool], ...]] = (
    (CONTOUR, False),
    (RIGHT_EYEBROW, True),
    (LEFT_EYEBROW, True),
    (NOSE_BRIDGE, False),
    (NOSE_BASE, False),
    (RIGHT_EYE, True),
    (LEFT_EYE, True),
    (OUTER_LIPS, True),
    (INNER_LIPS, True),
)
