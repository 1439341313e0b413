"""Lifetimes and the plan of an arena."""

from dataclasses import replace
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.layers import Layer, Network, Tensor
from benchmarks.memory import Lifetime, lifetimes, live_bytes, measure_memory, plan_arena
from tests.unit.benchmarks.builders import chain

LIVES = st.lists(
    st.builds(
        lambda size, first, length: Lifetime("t", size, first, first + length),
        st.integers(0, 100),
        st.integers(0, 12),
        st.integers(0, 6),
    ),
    max_size=25,
)


def test_a_chain_needs_two_neighbours_at_once():
    memory = measure_memory(chain([10, 30, 20, 5]))

    assert memory.live_bytes == 50  # 30 + 20
    assert memory.arena_bytes == 50
    assert memory.unshared_bytes == 65
    assert memory.peak_layer == "layer1"


def test_what_is_read_again_later_stays():
    network = chain([10, 30, 20, 5])
    last = replace(network.layers[2], inputs=("t2", "t0"))
    network = replace(network, layers=(*network.layers[:2], last))

    assert lifetimes(network)[0] == Lifetime("t0", 10, 0, 2)
    assert measure_memory(network).live_bytes == 60  # the input waits while 30 becomes 20


def test_results_stay_to_the_end_and_unread_ones_for_their_layer():
    tensors = {name: Tensor((1, 8), 1, name) for name in ("x", "early", "unread", "late")}
    layers = (
        Layer("split", "Split", "other", ("x",), ("early", "unread")),
        Layer("last", "Relu", "other", ("x",), ("late",)),
    )
    network = Network("n", "onnx", ("x",), ("early", "late"), layers, tensors, 0)

    found = {life.name: (life.first, life.last) for life in lifetimes(network)}
    assert found == {"x": (0, 1), "early": (0, 1), "unread": (0, 0), "late": (1, 1)}


def test_views_live_as_long_as_what_they_view():
    network = chain([8, 8, 8, 8])
    view = replace(network.tensors["t2"], storage="t1")
    network = replace(network, tensors={**network.tensors, "t2": view})

    found = {life.name: (life.first, life.last) for life in lifetimes(network)}
    assert found == {"t0": (0, 0), "t1": (0, 2), "t3": (2, 2)}
    assert measure_memory(network).unshared_bytes == 24


def test_a_network_without_layers_needs_nothing():
    network = chain([4])

    assert measure_memory(network) == measure_memory(replace(network, outputs=()))
    assert measure_memory(network).peak_layer == ""


def test_the_smallest_gap_that_fits_is_taken():
    # At layer 2 only "large", "middle" and "small" are left: their places leave gaps of 30 and 10.
    lives = [
        Lifetime("large", 50, 0, 9),
        Lifetime("gap30", 30, 0, 0),
        Lifetime("middle", 29, 0, 9),
        Lifetime("gap10", 10, 0, 0),
        Lifetime("small", 9, 0, 9),
        Lifetime("new", 8, 2, 2),
    ]
    placed = {one.lifetime.name: one.offset for one in plan_arena(lives)}

    assert placed == {"large": 0, "gap30": 50, "middle": 80, "gap10": 109, "small": 119, "new": 109}


@given(LIVES)
def test_what_lives_at_one_time_does_not_overlap(lives):
    placed = plan_arena(lives)

    assert sorted(map(repr, lives)) == sorted(repr(one.lifetime) for one in placed)
    for one, other in combinations(placed, 2):
        if one.lifetime.overlaps(other.lifetime):
            assert one.end <= other.offset or other.end <= one.offset


@given(LIVES)
def test_the_arena_lies_between_what_must_be_and_what_would_be_without_reuse(lives):
    arena = max((one.end for one in plan_arena(lives)), default=0)

    assert max(live_bytes(lives, 20)) <= arena <= sum(life.bytes for life in lives)
