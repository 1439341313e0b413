"""The model of times: its parts by hand, and what it claims about itself on published numbers."""

import numpy as np
import pytest

from atpn_mobile import load_manifest
from benchmarks.estimate_fit import (
    FEATURES,
    PUBLISHED_SPREAD,
    Estimate,
    Fit,
    estimate,
    fit_model,
    fit_times,
    layer_work,
    left_out_errors,
    network_work,
    non_negative_least_squares,
    share_of_layers,
)
from benchmarks.estimate_published import CORES, NETWORKS
from benchmarks.layers import Layer, Network, Tensor
from benchmarks.read_model import read_network
from benchmarks.yardsticks import make_yardstick

WORKS = np.array([network_work(make_yardstick(name).network()) for name in NETWORKS])
GROUPS = {
    arithmetic: [core for core in CORES if core.arithmetic == arithmetic]
    for arithmetic in ("float32", "float16")
}


def times(arithmetic: str) -> np.ndarray:
    return np.array([core.times_ms for core in GROUPS[arithmetic]])


def network_of(layer: Layer, shapes: dict[str, tuple[int, ...]]) -> Network:
    tensors = {name: Tensor(shape, 4, name) for name, shape in shapes.items()}
    return Network("one", "onnx", layer.inputs, layer.outputs, (layer,), tensors, 0)


@pytest.mark.parametrize(
    ("layer", "shapes", "wanted"),
    [
        # a convolution: reads 4 * 100, writes 8 * 100 elements
        (
            Layer("c", "Conv", "conv", ("x",), ("y",), macs=5_000_000),
            {"x": (1, 4, 10, 10), "y": (1, 8, 10, 10)},
            (5.0, 0.0, 1200e-6, 1.0),
        ),
        (
            Layer("d", "DEPTHWISE_CONV_2D", "depthwise", ("x",), ("y",), macs=2_000_000),
            {"x": (1, 10, 10, 4), "y": (1, 10, 10, 4)},
            (0.0, 2.0, 800e-6, 1.0),
        ),
        # vectors, channels first or last, are no feature maps
        (
            Layer("g", "Gemm", "linear", ("x",), ("y",), macs=1_000_000),
            {"x": (1, 50), "y": (1, 30)},
            (1.0, 0.0, 80e-6, 0.0),
        ),
        (
            Layer("s", "Conv", "pointwise", ("x",), ("y",), macs=1_000_000),
            {"x": (1, 1, 1, 50), "y": (1, 1, 1, 30)},
            (1.0, 0.0, 80e-6, 0.0),
        ),
        # two tensors in: an addition is work
        (
            Layer("a", "Add", "other", ("x", "z"), ("y",)),
            {"x": (1, 4, 5, 5), "z": (1, 4, 5, 5), "y": (1, 4, 5, 5)},
            (0.0, 0.0, 300e-6, 1.0),
        ),
        # one in, as many elements out: an activation or a view is none
        (
            Layer("r", "HardSwish", "other", ("x",), ("y",)),
            {"x": (1, 4, 5, 5), "y": (1, 100)},
            (0.0, 0.0, 0.0, 0.0),
        ),
        # fewer elements out: a pooling is
        (
            Layer("p", "MEAN", "other", ("x",), ("y",)),
            {"x": (1, 5, 5, 4), "y": (1, 1, 1, 4)},
            (0.0, 0.0, 104e-6, 1.0),
        ),
    ],
    ids=lambda value: value.op if isinstance(value, Layer) else None,
)
def test_work_of_a_layer(layer, shapes, wanted):
    network = network_of(layer, shapes)

    np.testing.assert_allclose(layer_work(network, layer), wanted)
    np.testing.assert_allclose(network_work(network), wanted)


def test_formats_of_one_network_are_the_same_work():
    folder = load_manifest().folder

    onnx = network_work(read_network(folder / "atpn_float32.onnx"))
    tflite = network_work(read_network(folder / "atpn_float16.tflite"))

    # TFLite's three windows as large as their picture are three operations each, and what goes from
    # one to the next are elements too.
    np.testing.assert_allclose(tflite[:-1], onnx[:-1], rtol=0.03)
    assert tflite[-1] - onnx[-1] <= 6


@pytest.mark.parametrize(
    ("matrix", "target", "wanted"),
    [
        ([[1.0, 0.0], [0.0, 2.0]], [3.0, 4.0], [3.0, 2.0]),
        # the free solution is (3, -1): without the second column the first is 2 alone
        ([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]], [2.0, 1.0, 0.0], [1.0, 0.0]),
        ([[1.0], [1.0]], [-1.0, -2.0], [0.0]),
    ],
)
def test_least_squares_without_negative_numbers(matrix, target, wanted):
    found = non_negative_least_squares(np.array(matrix), np.array(target))

    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_fit_finds_costs_that_differ_by_a_factor():
    costs = np.array([[1.0, 4.0, 2.0, 0.0], [0.25, 1.0, 0.5, 0.0]])
    known = np.ones((2, 5), dtype=bool)
    known[0, 1] = known[1, 3] = False

    found = fit_model(WORKS, costs @ WORKS.T, known, (0, 1, 2))

    np.testing.assert_allclose(found, costs, rtol=1e-6)


def test_fit_foretells_times_that_follow_one_of_its_models():
    costs = np.array([[1.0, 4.0, 2.0, 0.0], [0.2, 0.8, 0.4, 0.0]])

    found = fit_times(WORKS, costs @ WORKS.T)

    assert found.weights["elements"] > 0.9
    assert found.half_range == pytest.approx(np.log(PUBLISHED_SPREAD))
    np.testing.assert_allclose(
        left_out_errors(WORKS, costs @ WORKS.T, {"elements": 1.0, "layers": 0.0}), 0.0, atol=1e-4
    )


def by_hand() -> Fit:
    # per unit of work 1 and 4 ms: a geometric mean of 2 ms
    costs = {"elements": np.eye(1, 4), "layers": 4.0 * np.eye(1, 4)}
    weights = {"elements": 0.5, "layers": 0.5}
    return Fit(costs, weights, np.zeros((1, 1)), float(np.log(1.5)))


def test_estimate_is_between_the_models_and_its_range_holds_both():
    found = estimate(by_hand(), 0, np.array([10.0, 0.0, 0.0, 0.0]))

    assert found.ms == pytest.approx(20.0)
    assert (found.low_ms, found.high_ms) == pytest.approx((10.0, 40.0))


def test_shares_of_layers_are_those_of_the_models():
    fit = Fit(
        {"elements": np.array([[1.0, 0.0, 2.0, 0.0]]), "layers": np.array([[1.0, 0.0, 0.0, 6.0]])},
        {"elements": 0.25, "layers": 0.75},
        np.zeros((1, 1)),
        0.0,
    )
    works = np.array([[2.0, 0.0, 1.0, 0.0], [0.0, 0.0, 2.0, 1.0]])

    # elements: 4 and 4 of 8; layers: 2 and 6 of 8
    np.testing.assert_allclose(share_of_layers(fit, 0, works), [0.3125, 0.6875])


def test_a_factor_with_an_error_scales_and_widens():
    found = Estimate(10.0, 10.0 / np.exp(0.3), 10.0 * np.exp(0.3)).scaled(0.5, 0.4)

    assert found.ms == pytest.approx(5.0)
    assert found.low_ms == pytest.approx(5.0 / np.exp(0.5))
    assert found.high_ms == pytest.approx(5.0 * np.exp(0.5))


@pytest.mark.parametrize("arithmetic", GROUPS)
def test_ranges_hold_most_numbers_that_the_fit_has_not_seen(arithmetic):
    """Each network is kept from everything: costs, weights of the models and half the range."""
    published = times(arithmetic)
    inside = []
    for unseen in range(len(NETWORKS)):
        rest = [place for place in range(len(NETWORKS)) if place != unseen]
        fit = fit_times(WORKS[rest], published[:, rest])
        for core in range(len(published)):
            found = estimate(fit, core, WORKS[unseen])
            inside.append(found.low_ms <= published[core, unseen] <= found.high_ms)

    assert np.mean(inside) >= 0.8


@pytest.mark.parametrize(("arithmetic", "rms"), [("float32", 0.10), ("float16", 0.16)])
def test_errors_on_unseen_networks_are_small(arithmetic, rms):
    fit = fit_times(WORKS, times(arithmetic))

    assert np.sqrt(np.mean(fit.unseen**2)) < rms
    assert sum(fit.weights.values()) == pytest.approx(1.0)
    assert all((costs >= 0.0).all() for costs in fit.costs.values())
    assert all(costs.shape[1] == len(FEATURES) for costs in fit.costs.values())
