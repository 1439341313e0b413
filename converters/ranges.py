"""The range of values that eight bits are spread over, chosen for each tensor from what it holds.

A few odd pictures drive some tensors to fifty times what faces do. The smallest and the largest
value, as most tools take them, would then leave faces a handful of levels. Here the range is the
one with the best signal to noise ratio in decibels, on average over the pictures: noise is what
rounding does within the range and cutting off beyond it, and no picture outweighs the others.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from atpn_mobile.types import FloatArray

Range = tuple[float, float]

LEVELS: Final = 255  # steps of eight bits

# A bin is a float32 without its lower bits: 32 bins per power of two, whatever the magnitude.
_DROPPED_BITS: Final = 18
_BINS: Final = 1 << (32 - _DROPPED_BITS)
_CANDIDATES: Final = np.geomspace(0.01, 1.0, 121)  # of each end, as shares of the extreme value

_Numbers = NDArray[np.float64]
_Histogram = tuple[NDArray[np.uint16], NDArray[np.float32]]  # used bins; counts / signal power


class RangeStatistics:
    """Histograms of tensors, picture by picture."""

    def __init__(self) -> None:
        self._histograms: dict[str, list[_Histogram]] = {}

    def add(self, name: str, values: FloatArray) -> None:
        """Count the values of one tensor for one picture.

        Args:
            name: of the tensor.
            values: float32, any shape.
        """
        flat = np.ascontiguousarray(values, np.float32).reshape(-1)
        power = float(np.square(flat, dtype=np.float64).sum())
        histograms = self._histograms.setdefault(name, [])
        if power > 0.0:
            counts = np.bincount(flat.view(np.uint32) >> _DROPPED_BITS)
            used = np.flatnonzero(counts)
            histograms.append((used.astype(np.uint16), (counts[used] / power).astype(np.float32)))

    def ranges(self) -> dict[str, Range]:
        """The best range of each tensor, 0 included; (0, 1) for one that was always 0."""
        return {name: _best_range(found) for name, found in self._histograms.items()}


def _best_range(histograms: list[_Histogram]) -> Range:
    pictures = [(_values(bins), weights.astype(np.float64)) for bins, weights in histograms]
    high = max((values.max() for values, _ in pictures), default=0.0)
    low = min((values.min() for values, _ in pictures), default=0.0)
    highs, lows = _candidates(high), _candidates(-low)
    step = (highs[None] + lows[:, None]) / LEVELS
    if not step.all():
        return 0.0, 1.0
    decibels = np.zeros(step.shape)
    for values, weights in pictures:
        rounded = weights[values != 0.0].sum()  # 0 is a level: it has no error
        noise = rounded * step**2 / 12.0
        noise += _cut_off(values, weights, highs)[None] + _cut_off(-values, weights, lows)[:, None]
        decibels += np.log10(noise)
    best_low, best_high = np.unravel_index(int(decibels.argmin()), decibels.shape)
    return -float(lows[best_low]), float(highs[best_high])


def _candidates(extreme: float) -> _Numbers:
    """What an end of the range may be; 0 alone where no value is on its side."""
    return _CANDIDATES * extreme if extreme > 0.0 else np.zeros(1)


def _cut_off(values: _Numbers, weights: _Numbers, ends: _Numbers) -> _Numbers:
    """Squared error of cutting off at each of the ends."""
    order = np.argsort(values)
    values, weights = values[order], weights[order]
    first = np.searchsorted(values, ends, "right")

    def beyond(terms: _Numbers) -> _Numbers:
        sums: _Numbers = np.append(np.cumsum(terms[::-1])[::-1], 0.0)
        return sums[first]

    squares = beyond(weights * values**2)
    error = squares - 2.0 * ends * beyond(weights * values) + ends**2 * beyond(weights)
    return np.maximum(error, 0.0)  # a difference of equal numbers may come out below


def _values(bins: NDArray[np.uint16]) -> _Numbers:
    """The middle of each bin; 0 stays exactly 0."""
    bits = bins.astype(np.uint32) << _DROPPED_BITS
    middle = np.where(bins % (_BINS >> 1) == 0, 0, 1 << (_DROPPED_BITS - 1)).astype(np.uint32)
    return (bits + middle).view(np.float32).astype(np.float64)
