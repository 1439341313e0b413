"""Turns and statistics, with a clock that only moves when something runs."""

import pytest

from benchmarks.latency_measure import BLOCK, Statistics, measure_in_turns


class Workshop:
    """Runs that take a second per unit of work, and remember who ran."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.ran: list[str] = []

    def worker(self, name: str, seconds: float):
        def run() -> None:
            self.ran.append(name)
            self.now_s += seconds

        return run


def test_statistics_are_interpolated_percentiles():
    # 0, 1, ..., 10: the tenths fall on numbers
    assert Statistics.of([*range(11)][::-1]) == Statistics(5.0, 1.0, 9.0, 11)
    assert Statistics.of([1.0, 2.0]) == Statistics(1.5, 1.1, 1.9, 2)
    assert Statistics.of([3.0]) == Statistics(3.0, 3.0, 3.0, 1)


def test_networks_take_turns_and_the_first_run_of_a_turn_is_not_timed():
    shop = Workshop()
    runs = {"a": shop.worker("a", 0.002), "b": shop.worker("b", 0.003)}

    found = measure_in_turns(runs, BLOCK + 1, 2, lambda: shop.now_s)

    turn = 1 + BLOCK
    assert "".join(shop.ran) == "aabb" + "a" * turn + "b" * turn + "aa" + "bb"
    assert found["a"] == pytest.approx([2.0] * (BLOCK + 1))
    assert found["b"] == pytest.approx([3.0] * (BLOCK + 1))


def test_noise_that_comes_and_goes_hits_all_of_them():
    shop = Workshop()

    def slowed(name: str, seconds: float):
        plain, slow = shop.worker(name, seconds), shop.worker(name, 3.0 * seconds)
        # from the second turn on everything takes three times as long
        return lambda: (plain if shop.ran.count(name) <= BLOCK else slow)()

    found = measure_in_turns(
        {"a": slowed("a", 0.001), "b": slowed("b", 0.002)}, 2 * BLOCK, 0, lambda: shop.now_s
    )

    medians = [Statistics.of(found[name]).median_ms for name in "ab"]
    assert medians[1] / medians[0] == pytest.approx(2.0)
    assert set(map(round, found["a"])) == {1, 3}
