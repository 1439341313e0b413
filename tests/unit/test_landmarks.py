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
