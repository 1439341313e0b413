"""Costs of layers, and which results need them."""

from dataclasses import replace

from benchmarks.layers import (
    Layer,
    Network,
    Tensor,
    activation_bytes,
    arithmetic_intensity,
    branches,
    is_view,
)
from tests.unit.benchmarks.builders import chain


def forked() -> Network:
    tensors = {name: Tensor((1, 4), 4, name) for name in ("x", "shared", "a", "b", "unused")}
    layers = (
        Layer("stem", "Conv", "conv", ("x",), ("shared",), macs=100, weight_bytes=18),
        Layer("left", "Relu", "other", ("shared",), ("a",)),
        Layer("dead", "Relu", "other", ("shared",), ("unused",)),
        Layer("right", "Add", "other", ("shared", "a"), ("b",)),
    )
    return Network("forked", "onnx", ("x",), ("b", "a"), layers, tensors, 0)


def test_branches_name_the_results_in_the_order_of_the_network():
    assert branches(forked()) == ("b+a", "b+a", "", "b")


def test_intensity_counts_weights_and_activations():
    network = forked()

    assert activation_bytes(network, network.layers[0]) == 32
    assert arithmetic_intensity(network, network.layers[0]) == 100 / 50
    assert arithmetic_intensity(network, Layer("none", "Op", "other", (), ())) == 0.0


def test_a_view_gives_what_it_reads():
    network = chain([8, 8, 8])
    view = replace(network.tensors["t1"], storage="t0")
    network = replace(network, tensors={**network.tensors, "t1": view})

    assert is_view(network, network.layers[0])
    assert not is_view(network, network.layers[1])
    assert not is_view(network, replace(network.layers[0], macs=1))
