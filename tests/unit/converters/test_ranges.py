"""The range that eight bits are spread over."""

import numpy as np
import pytest

from converters.ranges import LEVELS, RangeStatistics


def range_of(*pictures):
    statistics = RangeStatistics()
    for picture in pictures:
        statistics.add("x", np.asarray(picture, np.float32))
    return statistics.ranges()["x"]


def noise(pictures, low, high):
    """Mean over the pictures of noise to signal, decibels."""
    step = (high - low) / LEVELS
    zero = np.rint(-low / step)
    total = 0.0
    for picture in pictures:
        held = (np.clip(np.rint(picture / step) + zero, 0, LEVELS) - zero) * step
        total += 10.0 * np.log10(np.square(held - picture).sum() / np.square(picture).sum())
    return total / len(pictures)


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def test_values_that_fill_their_range_are_not_cut_off(rng):
    low, high = range_of(*rng.uniform(-1.0, 3.0, (4, 10_000)))
    assert low == pytest.approx(-1.0, abs=0.05)
    assert high == pytest.approx(3.0, abs=0.1)


def test_an_odd_picture_does_not_take_the_levels_of_the_others(rng):
    faces = [rng.normal(0.0, 1.0, 4_000) for _ in range(20)]
    odd = 60.0 * rng.normal(0.0, 1.0, 4_000)
    alone, together = range_of(*faces), range_of(*faces, odd)
    assert alone[1] < 5.0
    assert odd.max() > 150.0
    assert together[1] < 1.2 * alone[1]
    assert noise(faces, *together) < noise(faces, -odd.max(), odd.max()) - 20.0


@pytest.mark.parametrize("kind", ["normal", "laplace", "relu", "offset"])
def test_no_other_range_has_much_less_noise(rng, kind):
    pictures = rng.normal(0.0, 1.0, (8, 5_000)) * np.geomspace(0.5, 2.0, 8)[:, None]
    if kind == "laplace":
        pictures = rng.laplace(0.0, 1.0, (8, 5_000))
    elif kind == "relu":
        pictures = np.maximum(pictures, 0.0)
    elif kind == "offset":
        pictures = pictures + 3.0
    pictures = pictures.astype(np.float32)
    low, high = range_of(*pictures)
    chosen = noise(pictures, low, high)
    ends = np.geomspace(0.05, 1.0, 40)
    others = [
        noise(pictures, a * min(pictures.min(), -1e-3), b * pictures.max())
        for a in ends
        for b in ends
    ]
    assert chosen < min(others) + 0.2


def test_many_odd_pictures_are_not_ignored(rng):
    faces = [rng.normal(0.0, 1.0, 4_000) for _ in range(10)]
    larger = [8.0 * rng.normal(0.0, 1.0, 4_000) for _ in range(30)]
    assert range_of(*faces, *larger)[1] > 20.0


def test_a_faint_picture_does_not_narrow_the_range(rng):
    faces = [rng.normal(0.0, 1.0, 4_000) for _ in range(10)]
    faint = 1e-4 * rng.normal(0.0, 1.0, 4_000)
    assert range_of(*faces, faint)[1] > 0.8 * range_of(*faces)[1]


def test_zero_is_always_inside(rng):
    low, high = range_of(rng.uniform(2.0, 3.0, 1_000))
    assert low == 0.0
    assert high == pytest.approx(3.0, rel=0.05)
    low, high = range_of(-rng.uniform(2.0, 3.0, 1_000))
    assert low == pytest.approx(-3.0, rel=0.05)
    assert high == 0.0


def test_zeros_cost_nothing(rng):
    # A ReLU's many zeros are held exactly: they must not argue for cutting off what is rare.
    values = np.abs(rng.normal(0.0, 1.0, 2_000))
    sparse = np.concatenate([values, np.zeros(200_000)])
    assert range_of(sparse) == pytest.approx(range_of(values))


def test_the_magnitude_does_not_matter(rng):
    values = rng.normal(0.0, 1.0, 5_000)
    low, high = range_of(values)
    for factor in (2.0**-40, 2.0**40):
        assert range_of(values * factor) == pytest.approx((low * factor, high * factor))


def test_a_tensor_of_zeros_has_a_range_too():
    assert range_of(np.zeros(10)) == (0.0, 1.0)
    assert range_of(-np.zeros(10)) == (0.0, 1.0)


def test_a_picture_of_zeros_says_nothing(rng):
    values = rng.normal(0.0, 1.0, 1_000)
    assert range_of(values, np.zeros(1_000)) == range_of(values)


def test_tensors_are_kept_apart_and_any_shape_is_taken(rng):
    statistics = RangeStatistics()
    statistics.add("small", rng.uniform(0.0, 1.0, (1, 3, 8, 8)).astype(np.float32))
    statistics.add("large", rng.uniform(0.0, 9.0, (1, 8, 8, 3)).astype(np.float32)[:, ::2])
    ranges = statistics.ranges()
    assert ranges["small"][1] == pytest.approx(1.0, abs=0.1)
    assert ranges["large"][1] == pytest.approx(9.0, abs=0.9)
