"""Palettes: the best numbers, and the indices that keep a layer's results."""

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from converters.coreml.palettes import assign, nearest, palette


def squared_error(weights: NDArray, numbers: NDArray) -> float:
    chosen = numbers.astype(np.float64)[nearest(weights.astype(np.float64).ravel(), numbers)]
    return float(np.square(weights.ravel() - chosen).sum())


def best_error(weights: NDArray, size: int) -> float:
    """By trying every way to cut the sorted weights into intervals."""
    ordered = np.sort(weights.ravel())
    ways = combinations(range(1, len(ordered)), size - 1)
    return min(
        sum(float(part.var() * part.size) for part in np.split(ordered, cuts)) for cuts in ways
    )


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_no_other_numbers_are_nearer(size: int, seed: int) -> None:
    weights = np.random.default_rng(seed).standard_t(2, (3, 4))
    numbers = palette(weights, size)
    assert numbers.dtype == np.float16
    assert squared_error(weights, numbers) <= best_error(weights, size) * 1.01 + 1e-5


def test_many_weights_are_grouped_without_much_loss() -> None:
    weights = np.random.default_rng(0).standard_t(3, 20_000)  # far more than groups; heavy tails
    even = np.quantile(weights, (np.arange(64) + 0.5) / 64).astype(np.float16)
    numbers = palette(weights, 64)
    assert squared_error(weights, numbers) < 0.2 * squared_error(weights, even)
    assert np.all(np.diff(numbers.astype(float)) > 0.0)


def test_fewer_weights_than_numbers() -> None:
    numbers = palette(np.array([[0.5, -1.0], [0.5, 2.0]]), 16)
    assert numbers.shape == (16,)
    assert numbers[:3].tolist() == [-1.0, 0.5, 2.0]
    assert set(numbers[3:].tolist()) == {2.0}
    assert squared_error(np.array([0.5, -1.0, 2.0]), numbers) == 0.0


def test_nearest() -> None:
    numbers = np.array([-1.0, 0.0, 4.0], np.float16)
    values = np.array([-9.0, -0.6, -0.4, 1.9, 2.1, 99.0])
    assert nearest(values, numbers).tolist() == [0, 0, 1, 1, 2, 2]


def test_indices_keep_the_results_rather_than_the_weights() -> None:
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(500, 6)) @ rng.normal(size=(6, 24))  # of 24 inputs 6 are free
    weights = rng.normal(size=(10, 24))
    numbers = palette(weights, 8)
    known = numbers.astype(np.float64)
    chosen = known[assign(weights, numbers, inputs.T @ inputs / len(inputs))]
    rounded = known[nearest(weights, numbers)]
    results = inputs @ weights.T
    error = np.abs(inputs @ chosen.T - results).mean()
    assert error < 0.5 * np.abs(inputs @ rounded.T - results).mean()
    assert np.abs(chosen - weights).mean() > np.abs(rounded - weights).mean()


@pytest.mark.parametrize("moments", [np.eye(5), np.zeros((5, 5))])
def test_independent_inputs_leave_nothing_to_make_good(moments: NDArray) -> None:
    weights = np.random.default_rng(2).normal(size=(4, 5))
    numbers = palette(weights, 4)
    np.testing.assert_array_equal(assign(weights, numbers, moments), nearest(weights, numbers))
