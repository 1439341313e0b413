"""The soak finds what it is there to find."""

import numpy as np
import pytest

from atpn_mobile import StageTimings, TrackResult
from scripts.soak import IdCheck, Sample, SoakError, configs, growth, judge


class Seen:
    """A face, as far as the check of ids looks at it."""

    def __init__(self, track_id):
        self.track_id = track_id


def feed(*frames, reattach_s=2.0):
    """Check frames of (time, ids); the lost ones are told as the tracker would."""
    check, before = IdCheck(reattach_s), set()
    for time_s, ids in frames:
        lost = tuple(sorted(before - set(ids)))
        faces = tuple(Seen(track_id) for track_id in ids)
        check.see(TrackResult(faces, time_s, StageTimings(), False, lost))
        before = set(ids)


def test_ids_that_are_right():
    feed((0.0, [0]), (0.1, [0, 1]), (0.2, [1]), (0.3, [1, 2]), (1.0, [0, 1, 2]), (1.1, []))


@pytest.mark.parametrize(
    "frames",
    [
        [(0.0, [0, 0])],  # twice in a frame
        [(0.0, [1, 0])],  # not in order
        [(0.0, [0]), (0.1, []), (2.1, [0])],  # after its window
        [(0.0, [0]), (0.1, []), (0.2, [0]), (0.3, []), (2.4, [0])],
    ],
)
def test_ids_that_are_not(frames):
    with pytest.raises(SoakError):
        feed(*frames)


def test_a_lost_id_has_to_be_told():
    check = IdCheck(2.0)
    check.see(TrackResult((Seen(0),), 0.0))
    with pytest.raises(SoakError, match="expected lost"):
        check.see(TrackResult((), 0.1))


def test_growth_is_that_of_the_floor():
    assert growth([10.0, 12.0, 11.0, 90.0, 16.0, 15.0, 99.0]) == 5.0
    assert growth([5.0, 6.0, 6.0, 5.0]) == 0.0
    assert growth([7.0, 0.0, 5.0]) == -2.0


@pytest.mark.parametrize(
    ("rss_per_s", "objects_per_s", "seen", "reasons"),
    [
        (0.01, 0.0005, 9, []),  # 280 seconds from third to third: 2.8 and 0.14 MiB
        (0.1, 0.0, 9, ["process grew by 28"]),
        (0.0, 0.01, 9, ["objects grew by 2.8"]),
        (-1.0, -1.0, 9, []),
        (0.0, 0.0, 0, ["no face"]),
    ],
)
def test_memory_has_to_be_flat_after_the_warm_up(rss_per_s, objects_per_s, seen, reasons):
    samples = [
        # whatever happens at first does not count
        Sample(t, (500.0 if t < 100 else 200.0) + rss_per_s * t, 5.0 + objects_per_s * t)
        for t in np.linspace(0.0, 600.0, 201).tolist()
    ]
    found = judge(samples, seen)
    assert len(found) == len(reasons)
    assert all(part in reason for part, reason in zip(reasons, found, strict=True))


def test_a_run_too_short_to_judge_is_no_success():
    assert "too short" in judge([Sample(1.0, 1.0, 1.0), Sample(2.0, 1.0, 1.0)], 9)[0]


def test_every_engine_meets_every_profile_colour_and_turn():
    stream = configs(np.random.default_rng(0))
    drawn = [next(stream) for _ in range(180)]
    assert len({(engine, config.precision, config.views) for engine, config, _ in drawn}) >= 3
    assert {config.color for _, config, _ in drawn} == {"rgb", "bgr", "grey"}
    assert {config.rotation_deg for _, config, _ in drawn} == {0, 90, 180, 270}
    assert len({size for *_, size in drawn}) == 6
