"""Weights as indices into a palette: which numbers it has, and which of them each weight takes."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_GROUPS: Final = 512  # neighbouring values that start as one, when there are more
_BINS: Final = 4096  # of the histogram that decides which
_REFINEMENTS: Final = 50
_DAMPING: Final = 0.01  # of the mean second moment; keeps the inverse finite


def palette(weights: NDArray[np.floating], size: int) -> NDArray[np.float16]:
    """Numbers with a small sum of squared distances from each weight to the nearest: k-means.

    On a line the best clusters are intervals: they are found exactly for groups of neighbouring
    weights, and then refined (Lloyd). Nothing is random.

    Args:
        weights: any shape.
        size: how many numbers.

    Returns:
        (size,) ascending. Where there are fewer different weights, the last one is repeated.
    """
    values, counts = np.unique(weights.astype(np.float64), return_counts=True)
    centers = values
    if len(values) > size:
        sums = _prefix_sums(values, counts)
        cuts = _best_cuts(sums, _groups(values, counts), size)
        centers = _refined(values, sums, _means(sums, cuts))
    padded = np.full(size, centers[-1])
    padded[: len(centers)] = centers
    return padded.astype(np.float16)


def nearest(values: Floats, numbers: NDArray[np.float16]) -> NDArray[np.uint8]:
    """Index of the nearest number of a palette for each value, at most 256 numbers."""
    known = numbers.astype(np.float64)
    return np.searchsorted((known[1:] + known[:-1]) / 2.0, values).astype(np.uint8)


def assign(
    weights: NDArray[np.floating], numbers: NDArray[np.float16], moments: Floats
) -> NDArray[np.uint8]:
    """Indices that keep the products of the weights with their inputs, rather than the weights.

    Weights are rounded input by input, the most important one first; the error of each is made
    good by those not yet rounded, as far as their inputs go together (GPTQ, arXiv 2210.17323).

    Args:
        weights: (outputs, inputs).
        numbers: the palette, ascending.
        moments: (inputs, inputs), mean products of two inputs.

    Returns:
        (outputs, inputs).
    """
    left = weights.astype(np.float64)
    order = np.argsort(-np.diag(moments), kind="stable")
    left = left[:, order]
    root = _inverse_root(moments[np.ix_(order, order)])
    known = numbers.astype(np.float64)
    indices = np.empty(weights.shape, np.uint8)
    for column, place in enumerate(order):
        chosen = nearest(left[:, column], numbers)
        indices[:, place] = chosen
        error = (left[:, column] - known[chosen]) / root[column, column]
        left[:, column:] -= np.outer(error, root[column, column:])
    return indices


def _inverse_root(moments: Floats) -> Floats:
    """Upper triangular R with R' R the inverse of the damped moments."""
    damping = _DAMPING * np.diag(moments).mean()
    damped = moments + np.eye(len(moments)) * (damping if damping > 0.0 else 1.0)
    # torch, because the last digits depend on the number of threads, and torch's can be set.
    root: Floats = torch.linalg.cholesky(torch.linalg.inv(torch.from_numpy(damped))).T.numpy()
    return root


def _prefix_sums(values: Floats, counts: NDArray[np.integer]) -> Floats:
    """(3, N + 1): how many weights lie before each value, their sum, and their sum of squares."""
    powers = np.stack([counts, counts * values, counts * values**2])
    return np.concatenate([np.zeros((3, 1)), powers.cumsum(axis=1)], axis=1)


def _groups(values: Floats, counts: NDArray[np.integer]) -> NDArray[np.intp]:
    """Where groups of neighbouring values begin, 0 first, and the number of values as the last.

    As wide as the clusters of a large palette would be: with the cube root of the density.
    """
    if len(values) <= _GROUPS:
        return np.arange(len(values) + 1)
    density, edges = np.histogram(values, bins=_BINS, weights=counts)
    share = np.concatenate([[0.0], np.cbrt(density).cumsum()])
    inner = np.interp(np.arange(1, _GROUPS) / _GROUPS * share[-1], share, edges)
    return np.unique([0, *np.searchsorted(values, inner), len(values)])


def _best_cuts(sums: Floats, groups: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """The best way to make ``size`` intervals of groups; where they begin, and the end."""
    count, total, square = (row[groups[np.newaxis]] - row[groups[:, np.newaxis]] for row in sums)
    # Squared distance from the mean, for each interval from a row's group up to a column's.
    cost = np.where(count > 0.0, square - total**2 / np.maximum(count, 1.0), np.inf)
    best = cost[0]  # up to each column, with one interval
    previous = []  # where the last interval begins, with one more each time
    for _ in range(1, min(size, len(groups) - 1)):
        candidates = best[:, np.newaxis] + cost
        previous.append(candidates.argmin(axis=0))
        best = candidates.min(axis=0)
    cuts = [len(groups) - 1]
    for begins in reversed(previous):
        cuts.append(int(begins[cuts[-1]]))
    return groups[[0, *reversed(cuts)]]


def _means(sums: Floats, cuts: NDArray[np.intp]) -> Floats:
    count, total, _ = np.diff(sums[:, cuts], axis=1)
    means: Floats = total / count
    return means


def _refined(values: Floats, sums: Floats, centers: Floats) -> Floats:
    """Move cuts to the middle between centres, and centres to the means, until nothing moves."""
    for _ in range(_REFINEMENTS):
        middles = np.searchsorted(values, (centers[1:] + centers[:-1]) / 2.0)
        moved = _means(sums, np.array([0, *middles, len(values)]))
        if np.array_equal(moved, centers):
            break
        centers = moved
    return centers
