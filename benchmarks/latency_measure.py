"""Timing: what is compared runs by turns in one process, so that noise hits all of it alike."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

Clock: TypeAlias = Callable[[], float]  # seconds

BLOCK: Final = 5  # timed runs of one network before the next has its turn


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of times, milliseconds.

    Attributes:
        median_ms: half of them are longer.
        p10_ms: a tenth of them is shorter.
        p90_ms: a tenth of them is longer.
        count: how many there were.
    """

    median_ms: float
    p10_ms: float
    p90_ms: float
    count: int

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> "Statistics":
        """Of at least one time, interpolated between neighbours."""
        low, middle, high = np.percentile(times_ms, (10.0, 50.0, 90.0))
        return cls(float(middle), float(low), float(high), len(times_ms))


def measure_in_turns(
    runs: Mapping[str, Callable[[], object]],
    iterations: int,
    warm_up: int,
    clock: Clock = time.perf_counter,
) -> dict[str, list[float]]:
    """Time functions by turns, ``BLOCK`` runs each.

    The first run of a turn is not timed: it finds the caches full of what the others left.

    Args:
        runs: what is timed, by name.
        iterations: timed runs of each.
        warm_up: runs of each before the first turn.
        clock: seconds.

    Returns:
        ``iterations`` times of each, milliseconds.
    """
    times_ms: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        for _ in range(warm_up):
            run()
    for done in range(0, iterations, BLOCK):
        for name, run in runs.items():
            run()
            for _ in range(min(BLOCK, iterations - done)):
                start = clock()
                run()
                times_ms[name].append(1000.0 * (clock() - start))
    return times_ms
