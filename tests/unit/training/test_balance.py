import numpy as np
import pytest

from atpn_mobile.geometry import rotation_from_euler
from training.data.balance import MAX_FACTOR, pose_factors


def rotation(yaw_deg, pitch_deg=0.0):
    return rotation_from_euler(np.radians(yaw_deg), np.radians(pitch_deg), 0.0).astype(np.float32)


FRONTAL, SIDE, DOWN = rotation(0.0), rotation(60.0), rotation(0.0, -40.0)


def test_rare_poses_are_drawn_more_often():
    (factors,) = pose_factors([[FRONTAL] * 96 + [SIDE, SIDE, DOWN, DOWN]], [1.0], 0.5)
    assert factors[96] > 2.0 * factors[0]
    assert factors[98] > 2.0 * factors[0]
    assert factors.mean() == pytest.approx(1.0)


def test_the_exponent_says_how_much():
    faces = [FRONTAL] * 9 + [DOWN]
    ratios = []
    for exponent in (0.0, 0.25, 0.5):
        (factors,) = pose_factors([faces], [1.0], exponent)
        ratios.append(factors[-1] / factors[0])
    assert ratios == pytest.approx([1.0, 9.0**0.25, 9.0**0.5], rel=1e-6)


def test_a_turned_face_is_rarer_than_a_frontal_one_because_it_is_mirrored_half_of_the_time():
    (factors,) = pose_factors([[FRONTAL, SIDE]], [1.0], 1.0)
    assert factors[1] / factors[0] == pytest.approx(2.0, rel=0.1)


def test_no_face_counts_beyond_the_limit():
    (factors,) = pose_factors([[FRONTAL] * 1000 + [SIDE]], [1.0], 1.0)
    assert factors[-1] / factors[0] == pytest.approx(MAX_FACTOR, rel=0.01)


def test_left_and_right_count_together():
    faces = [FRONTAL] * 10 + [rotation(50.0)] * 4 + [rotation(-50.0)]
    (factors,) = pose_factors([faces], [1.0], 0.5)
    assert factors[10] == pytest.approx(factors[14], rel=0.05)


def test_other_sources_and_their_weights_tell_what_is_rare():
    mine, others = [FRONTAL, DOWN], [DOWN] * 20
    alone, _ = pose_factors([mine, others], [1.0, 1e-9], 0.5)
    together, _ = pose_factors([mine, others], [1.0, 1.0], 0.5)
    assert alone[1] == pytest.approx(alone[0], rel=1e-6)
    assert together[1] < 0.5 * together[0]


def test_a_face_of_unknown_pose_counts_as_usual():
    known, unknown = pose_factors([[FRONTAL, FRONTAL], [None, None]], [1.0, 1.0], 0.5)
    assert known == pytest.approx([1.0, 1.0])
    assert unknown == pytest.approx([1.0, 1.0])
    (mixed,) = pose_factors([[FRONTAL] * 9 + [None]], [1.0], 0.5)
    assert mixed[-1] == pytest.approx(mixed[0])


def test_poses_beyond_the_grid_are_taken_to_its_edge():
    (factors,) = pose_factors([[FRONTAL, rotation(179.0, 85.0), rotation(-179.0, -85.0)]], [1.0], 1)
    assert np.isfinite(factors).all()
