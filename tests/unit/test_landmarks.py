import re
from pathlib import Path

import numpy as np

from atpn_mobile import landmarks


def test_mirror_is_a_permutation_and_its_own_inverse():
    assert sorted(landmarks.MIRROR) == list(range(landmarks.NUM_LANDMARKS))
    assert (landmarks.MIRROR[landmarks.MIRROR] == np.arange(landmarks.NUM_LANDMARKS)).all()


def test_mirror_swaps_right_and_left_parts():
    everything = np.arange(landmarks.NUM_LANDMARKS)
    pairs = [
        (landmarks.RIGHT_EYE, landmarks.LEFT_EYE),
        (landmarks.RIGHT_EYEBROW, landmarks.LEFT_EYEBROW),
    ]
    for right, left in pairs:
        assert set(landmarks.MIRROR[right]) == set(everything[left])
    assert landmarks.MIRROR[landmarks.RIGHT_PUPIL] == landmarks.LEFT_PUPIL
    assert landmarks.MIRROR[landmarks.RIGHT_EYE_OUTER_CORNER] == landmarks.LEFT_EYE_OUTER_CORNER
    for own_mirror in (landmarks.CONTOUR, landmarks.OUTER_LIPS, landmarks.INNER_LIPS):
        assert set(landmarks.MIRROR[own_mirror]) == set(everything[own_mirror])


def test_mirror_leaves_the_axis_in_place():
    chin, nose_tip, upper_lip, lower_lip = 16, 57, 79, 85
    for point in (chin, nose_tip, upper_lip, lower_lip, *range(51, 55)):
        assert landmarks.MIRROR[point] == point


def test_to_68_keeps_the_order_of_the_parts():
    assert len(landmarks.TO_68) == 68
    assert len(set(landmarks.TO_68)) == 68
    ibug_outer_corners = landmarks.TO_68[[36, 45]]
    assert list(ibug_outer_corners) == [
        landmarks.RIGHT_EYE_OUTER_CORNER,
        landmarks.LEFT_EYE_OUTER_CORNER,
    ]
    assert landmarks.TO_68[8] == 16  # the chin


def test_parts_cover_every_point_but_the_pupils():
    everything = np.arange(landmarks.NUM_LANDMARKS)
    covered = [index for part, _ in landmarks.FACE_PARTS for index in everything[part]]
    assert sorted(covered) == list(range(landmarks.RIGHT_PUPIL))


def test_to_facemesh_names_a_vertex_for_every_point():
    assert landmarks.TO_FACEMESH.shape == (landmarks.NUM_LANDMARKS,)
    of_the_mesh = landmarks.TO_FACEMESH[: landmarks.RIGHT_PUPIL]
    assert of_the_mesh.min() >= 0
    assert of_the_mesh.max() < 468
    inner = of_the_mesh[33:]
    assert len(set(inner)) == len(inner)  # the contour is finer here than there


def test_to_facemesh_knows_right_from_left_and_up_from_down():
    # Corners and middles as FaceMesh numbers them, subject's right first.
    known = {60: 33, 64: 133, 62: 159, 66: 145, 68: 362, 72: 263, 70: 386, 74: 374}
    known |= {76: 61, 82: 291, 79: 0, 85: 17, 88: 78, 92: 308, 90: 13, 94: 14, 16: 152, 57: 2}
    assert {point: int(landmarks.TO_FACEMESH[point]) for point in known} == known


def test_to_facemesh_is_symmetric():
    """The vertices of the mirrored face are FaceMesh's own mirror images."""
    halves = (  # of the ring of each part, from the middle outwards or downwards
        ((168, 197, 5, 4, 2, 0, 17, 13, 14, 152),) * 2,
        ((148, 176, 149, 150, 136, 172, 58, 132), (377, 400, 378, 379, 365, 397, 288, 361)),
        ((93, 234, 127), (323, 454, 356)),
        ((70, 63, 105, 66, 107, 53, 52, 65, 55), (300, 293, 334, 296, 336, 283, 282, 295, 285)),
        ((33, 160, 159, 157, 133, 153, 145, 144), (263, 387, 386, 384, 362, 380, 374, 373)),
        (
            (98, 97, 61, 39, 37, 91, 84, 78, 81, 178),
            (327, 326, 291, 269, 267, 321, 314, 308, 311, 402),
        ),
        ((468,), (473,)),
    )
    mirror = {a: b for right, left in halves for a, b in zip(right, left, strict=True)}
    mirror |= {b: a for a, b in mirror.items()}
    for point, vertex in enumerate(landmarks.TO_FACEMESH):
        assert landmarks.TO_FACEMESH[landmarks.MIRROR[point]] == mirror[int(vertex)]


def test_the_index_map_of_the_documentation_is_the_one_of_the_code():
    page = Path(__file__).parents[2] / "docs" / "from_facemesh.md"
    row = re.compile(r"^\| (\d+)-(\d+) \|[^|]+\| ([\d ]+) \|", re.MULTILINE)
    rows = row.findall(page.read_text("utf-8"))
    documented = {
        point: int(vertex)
        for first, last, vertices in rows
        for point, vertex in zip(range(int(first), int(last) + 1), vertices.split(), strict=True)
    }
    assert documented == dict(enumerate(landmarks.TO_FACEMESH.tolist()))
