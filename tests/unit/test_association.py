import pytest

from atpn_mobile.association import distinct_faces, overlaps_any

HERE = (0.0, 0.0, 10.0, 10.0)
NEARLY_HERE = (1.0, 0.0, 11.0, 10.0)  # IoU 9 / 11
BESIDE = (6.0, 0.0, 16.0, 10.0)  # IoU 4 / 16
FAR = (100.0, 0.0, 110.0, 10.0)


def test_overlaps_any():
    assert overlaps_any(HERE, [FAR, NEARLY_HERE], 0.5)
    assert not overlaps_any(HERE, [FAR, BESIDE], 0.5)
    assert not overlaps_any(HERE, [], 0.5)
    assert overlaps_any(HERE, [BESIDE], 0.25)  # the threshold itself counts


@pytest.mark.parametrize(
    ("boxes", "presences", "kept"),
    [
        ([], [], ()),
        ([HERE], [0.8], (0,)),
        ([HERE, FAR], [0.8, 0.9], (0, 1)),  # two faces
        ([HERE, BESIDE], [0.8, 0.9], (0, 1)),  # two faces that touch
        ([HERE, NEARLY_HERE], [0.8, 0.9], (1,)),  # one face: the lower presence goes
        ([HERE, NEARLY_HERE], [0.9, 0.8], (0,)),
        ([HERE, NEARLY_HERE], [0.991, 0.994], (0,)),  # noise does not decide: the younger goes
        ([HERE, FAR, NEARLY_HERE, HERE], [0.8, 0.7, 0.9, 0.75], (1, 2)),
    ],
)
def test_distinct_faces(boxes, presences, kept):
    assert distinct_faces(boxes, presences, 0.5) == kept


def test_a_face_is_not_lost_to_one_that_goes_itself():
    # 1 overlaps 0 and 2, but 0 and 2 are two faces: the best, then what does not overlap it.
    boxes = [(0.0, 0.0, 10.0, 10.0), (3.0, 0.0, 13.0, 10.0), (6.0, 0.0, 16.0, 10.0)]
    assert distinct_faces(boxes, [0.9, 0.8, 0.85], 0.5) == (0, 2)
