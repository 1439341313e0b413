import numpy as np
import pytest

from atpn_mobile.geometry import rotation_from_euler
from benchmarks.tracking_measures import (
    difference_percent,
    frames_to_recover,
    id_switches,
    interocular,
    lag_ms,
    longest_run,
    nme,
    recognise,
    shared_ids,
    track_ids,
    tracked_share,
    turn_deg,
)
from tests.unit.benchmarks.fake_faces import face, frame, points

NAN = np.full((98, 2), np.nan, np.float32)


def test_nme_is_in_interoculars():
    truth = points(10.0, 20.0, eyes=50.0)
    assert interocular(truth) == pytest.approx(50.0)
    assert nme(truth + np.array([3.0, 4.0], np.float32), truth) == pytest.approx(0.1)


# --- who is who --------------------------------------------------------------------------------


def seen_at(*xs, people=((0.0, 1.0), (300.0, 1.0))):
    """Faces at xs, in one frame; people as (x, share that can be seen)."""
    truth = np.stack([points(x) if share > 0 else NAN for x, share in people])[np.newaxis]
    shares = np.array([[share for _, share in people]])
    said = frame(*(face(number, points(x)) for number, x in enumerate(xs)))
    found = recognise([said], truth, shares)
    return [one and one.track_id for one in found.faces[0]], found.false[0]


def test_faces_are_recognised_by_their_place():
    assert seen_at(301.0, 2.0) == ([1, 0], 0)


def test_half_an_interocular_is_the_limit():
    assert seen_at(49.0) == ([0, None], 0)
    assert seen_at(51.0) == ([None, None], 1)


def test_two_faces_on_one_person_are_one_and_a_false_one():
    assert seen_at(20.0, 10.0) == ([1, None], 1)  # the nearer one is right


def test_the_nearest_pair_comes_first():
    # both are near enough to both people; 0 is nearest to the second
    assert seen_at(41.0, 30.0, people=((0.0, 1.0), (40.0, 1.0))) == ([1, 0], 0)


def test_a_face_where_nobody_is_left_is_false():
    assert seen_at(0.0, people=((0.0, 0.0),)) == ([None], 1)


def test_beside_one_who_is_partly_seen_nothing_is_false():
    assert seen_at(51.0, people=((0.0, 0.4),)) == ([None], 0)  # IoU (100 - 51) / 151
    assert seen_at(60.0, people=((0.0, 0.4),)) == ([None], 1)  # IoU 0.25


def sightings(*found, people=1):
    """Per frame the numbers of the people, None where one was not found."""
    truth = np.stack([[points(300.0 * person) for person in range(people)]] * len(found))
    frames = [
        frame(
            *(
                face(number, points(300.0 * person))
                for person, number in enumerate(one)
                if number is not None
            )
        )
        for one in found
    ]
    return recognise(frames, truth, np.ones((len(found), people)))


def test_tracked_share_counts_faces_in_view():
    found = sightings([0, None], [0, 1], [None, 1], people=2)
    assert tracked_share(found, np.ones((3, 2))) == pytest.approx(4 / 6)
    assert tracked_share(found, np.array([[1, 0.5], [1, 1], [0.94, 0.95]])) == 1.0


@pytest.mark.parametrize(
    ("found", "visible", "cuts", "expected"),
    [
        ([0, 0, 0, 0], [1, 1, 1, 1], (), None),  # nothing came back
        ([None, 0, 0, 0], [1, 1, 1, 1], (), None),  # nor was it away before
        ([0, None, 0, 0], [1, 0, 1, 1], (), 1),  # right on the first frame
        ([0, None, None, 0], [1, 0, 1, 1], (), 2),
        ([0, None, None, None], [1, 0, 1, 1], (), 3),  # not at all: one more than there are
        ([0, None, 0, 0], [1, 1, 1, 1], (1,), 2),  # a cut
        ([0, 0, 0, 0], [1, 1, 1, 1], (1,), 1),
        ([0, None, 0, 0], [1, 0, 0, 0], (1,), None),  # a cut to nobody
        ([0, None, 0, None, None, 0], [1, 0, 1, 0, 1, 1], (), 2),  # the worst of two
    ],
)
def test_frames_to_recover(found, visible, cuts, expected):
    seen = sightings(*([number] for number in found))
    shares = np.array(visible, float)[:, np.newaxis]
    assert frames_to_recover(seen, shares, cuts) == expected


def test_ids():
    found = sightings([0, 1], [0, 1], [None, 1], [2, 0], [2, 0], people=2)
    ids = track_ids(found)
    assert ids == ((0, 0, 2, 2), (1, 1, 1, 0, 0))
    assert id_switches(ids) == 2  # also across a gap
    assert shared_ids(ids) == 1  # 0
    assert id_switches(((), (3,))) == shared_ids(((), (3,))) == 0


def test_longest_run_has_no_gap_and_one_number():
    numbers = [0, 0, None, 0, 0, 0, 1, 1, 1, 1, None]
    run = longest_run([None if number is None else face(number) for number in numbers])
    assert [one.track_id for one in run] == [1, 1, 1, 1]
    assert longest_run([None]) == ()


# --- jitter ------------------------------------------------------------------------------------


def trembling(amplitude, frames=20):
    """To and fro along x in every frame."""
    return np.stack([points(amplitude * (-1) ** index, eyes=50.0) for index in range(frames)])


def test_jitter_of_a_face_that_goes_to_and_fro():
    # Steps of 2 pixels, which change by 4; the eyes are 50 apart.
    assert difference_percent(trembling(1.0), 1) == pytest.approx(4.0, rel=1e-4)
    assert difference_percent(trembling(1.0), 2) == pytest.approx(8.0, rel=1e-4)


def test_even_motion_is_no_second_difference():
    moving = np.stack([points(2.0 * index, eyes=50.0) for index in range(20)])
    assert difference_percent(moving, 1) == pytest.approx(4.0, rel=1e-4)
    assert difference_percent(moving, 2) == pytest.approx(0.0, abs=1e-4)


def test_turn():
    yaws = np.radians([0.0, 3.0, 0.0, 4.0])  # steps of 3, 3 and 4 degrees
    rotations = np.stack([rotation_from_euler(yaw, 0.2, 0.1) for yaw in yaws])
    assert turn_deg(rotations) == pytest.approx(np.sqrt(34.0 / 3.0), rel=1e-6)
    assert turn_deg(rotations[:1].repeat(3, axis=0)) == pytest.approx(0.0, abs=1e-5)


# --- lag ---------------------------------------------------------------------------------------


def path(xs):
    return np.stack([points(x) for x in xs])


@pytest.mark.parametrize("frames_late", [0.0, 0.5, 2.5])
def test_lag_of_a_delayed_face(frames_late):
    times = np.arange(90)
    moves = [40.0 * np.sin(2.0 * np.pi * (times - late) / 45.0) for late in (0.0, frames_late)]
    assert lag_ms(path(moves[1]), path(moves[0]), 30.0) == pytest.approx(
        1000.0 * frames_late / 30.0, abs=2.0
    )


def test_lag_of_a_low_pass():
    # Half of each new value: on a steady path one frame behind.
    ramp = 3.0 * np.arange(60)
    smooth = [0.0]
    for value in ramp[1:]:
        smooth.append(0.5 * smooth[-1] + 0.5 * value)
    assert lag_ms(path(smooth), path(ramp), 30.0) == pytest.approx(33.3, abs=1.0)
    assert lag_ms(path(smooth), path(ramp), 60.0) == pytest.approx(16.7, abs=1.0)


def test_an_early_face_has_a_lag_below_zero():
    ramp = 3.0 * np.arange(60)
    assert lag_ms(path(ramp + 1.5), path(ramp), 30.0) == pytest.approx(-16.7, abs=1.0)
