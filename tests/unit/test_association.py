import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atpn_mobile.association import (
    MAX_SIZE_RATIO,
    distinct_faces,
    longer_side,
    match_lost,
    overlaps_any,
)
from atpn_mobile.geometry import box_iou

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


def square(x, y=0.0, size=10.0):
    """A box around a centre."""
    half = size / 2.0
    return (x - half, y - half, x + half, y + half)


@pytest.mark.parametrize(
    ("found", "lost", "matches"),
    [
        ([], [], ()),
        ([], [square(0)], ()),
        ([square(0)], [], (None,)),
        ([square(19)], [square(0)], (0,)),  # 1.9 of its size away
        ([square(20)], [square(0)], (0,)),  # the limit itself counts
        ([square(21)], [square(0)], (None,)),
        ([square(12, 16)], [square(0)], (0,)),  # 3-4-5: exactly 2 sizes
        ([square(50, size=20)], [square(0, size=30)], (0,)),  # in sizes of the lost one
        ([square(50, size=30)], [square(0, size=20)], (None,)),
        ([square(0, size=20)], [square(0)], (0,)),  # twice as large
        ([square(0, size=21)], [square(0)], (None,)),
        ([square(0, size=4.9)], [square(0)], (None,)),
        # the nearest pair first, not the first found one: 1 is nearer to 0, which 0 would take
        ([square(8), square(2)], [square(0)], (None, 0)),
        ([square(8), square(2)], [square(0), square(14)], (1, 0)),
        # equally near: the first found takes the first lost
        ([square(5)], [square(0), square(10)], (0,)),
        ([square(5), square(5)], [square(0)], (0, None)),
    ],
)
def test_match_lost(found, lost, matches):
    assert match_lost(found, lost, 2.0) == matches


def test_longer_side():
    assert longer_side((1.0, 2.0, 4.0, 9.0)) == 7.0
    assert longer_side((1.0, 2.0, 10.0, 9.0)) == 9.0


numbers = st.floats(0.0, 200.0)
boxes = st.builds(square, numbers, numbers, st.floats(5.0, 80.0))
crowds = st.lists(boxes, max_size=8)


@given(crowds, crowds, st.floats(0.0, 4.0))
def test_a_lost_face_comes_back_once_and_none_that_is_nearer_is_passed_over(found, lost, limit):
    def distance(index, other):
        (a, b), (c, d) = (
            (sum(box[0::2]) / 2, sum(box[1::2]) / 2) for box in (found[index], lost[other])
        )
        ratio = longer_side(found[index]) / longer_side(lost[other])
        fits = 1 / MAX_SIZE_RATIO <= ratio <= MAX_SIZE_RATIO
        return math.hypot(a - c, b - d) / longer_side(lost[other]) if fits else math.inf

    matches = match_lost(found, lost, limit)
    assert len(matches) == len(found)
    taken = [match for match in matches if match is not None]
    assert len(taken) == len(set(taken))
    own = [math.inf if match is None else distance(i, match) for i, match in enumerate(matches)]
    others = {match: own[i] for i, match in enumerate(matches) if match is not None}
    for index in range(len(found)):
        assert matches[index] is None or own[index] <= limit + 1e-9
        for other in range(len(lost)):
            # a stable pairing: no two would both rather have each other
            near = distance(index, other)
            if near <= limit - 1e-9:
                assert own[index] <= near + 1e-9 or others.get(other, math.inf) <= near + 1e-9


@given(st.lists(st.tuples(boxes, st.floats(0.0, 1.0)), max_size=10), st.floats(0.05, 1.0))
def test_no_two_tracks_that_are_kept_overlap_and_none_goes_without_a_reason(tracks, threshold):
    all_boxes, presences = [box for box, _ in tracks], [presence for _, presence in tracks]
    kept = distinct_faces(all_boxes, presences, threshold)
    assert list(kept) == sorted(set(kept))
    for index in kept:
        assert not overlaps_any(
            all_boxes[index], [all_boxes[other] for other in kept if other != index], threshold
        )
    for index in set(range(len(tracks))) - set(kept):
        better = [
            other
            for other in kept
            if (-round(presences[other], 2), other) < (-round(presences[index], 2), index)
        ]
        assert overlaps_any(all_boxes[index], [all_boxes[other] for other in better], threshold)


@given(st.lists(boxes, max_size=8), st.floats(0.05, 1.0))
def test_of_equal_tracks_the_oldest_stay(crowd, threshold):
    kept = distinct_faces(crowd, [0.9] * len(crowd), threshold)
    for index in set(range(len(crowd))) - set(kept):
        older = [other for other in kept if other < index]
        assert any(box_iou(crowd[index], crowd[other]) >= threshold for other in older)
