"""Which operations stay float when a network is made int8."""

import pytest
from torch import nn

from atpn_mobile.manifest import InputSpec, ModelSpec, OutputSpec
from converters.errors import ConversionError
from converters.graph import read_graph
from converters.regions import (
    Operation,
    before_layers,
    float_layers,
    float_operations,
    graph_operations,
    integer_share,
    matching_layers,
)
from converters.to_onnx import to_onnx

# image -> norm -> stem -> swish -> mix -> bend -> gather -> points -> heat,
# swish * heat -> view -> out -> pose
NETWORK = (
    Operation("MUL", ("image",), "norm", None, 0),
    Operation("CONV_2D", ("norm",), "stem", "stem", 5_000),
    Operation("MUL", ("stem",), "swish", None, 0),
    Operation("CONV_2D", ("swish",), "mix", "mix", 3_000),
    Operation("RELU", ("mix",), "bend", None, 0),
    Operation("DEPTHWISE_CONV_2D", ("bend",), "gather", "gather", 10),
    Operation("FULLY_CONNECTED", ("gather",), "points", "points", 90),
    Operation("SUB", ("points",), "distance", None, 0),
    Operation("SQRT", ("distance",), "heat", None, 0),
    Operation("MUL", ("swish", "heat"), "product", None, 0),
    Operation("CONV_2D", ("product",), "view", "view", 1_890),
    Operation("FULLY_CONNECTED", ("view",), "out", "out", 10),
    Operation("TANH", ("out",), "pose", None, 0),
)


def test_heads_stay_float_whatever_they_cost():
    assert float_layers(NETWORK, ["points", "pose"], cheap_share=0.0) == {"points", "out"}
    assert float_layers(NETWORK, ["pose"], cheap_share=0.0) == {"out"}
    assert float_layers(NETWORK, ["product"], cheap_share=0.0) == {"stem", "points"}


def test_cheap_layers_before_the_heads_stay_float():
    assert float_layers(NETWORK, ["points", "pose"]) == {"gather", "points", "out"}
    assert "gather" not in float_layers(NETWORK, ["points"], cheap_share=0.0009)
    assert float_layers(NETWORK, ["points"], cheap_share=0.3) == {"mix", "gather", "points"}


def test_a_tensor_that_is_a_head_and_a_feature_is_a_head():
    # The walk comes to "out" twice: cheaply behind a layer, and as an output.
    network = (
        Operation("CONV_2D", ("image",), "big", "big", 1_000),
        Operation("RELU", ("big",), "bend", None, 0),
        Operation("CONV_2D", ("bend",), "small", "small", 1),
    )
    for outputs in (["small", "bend"], ["bend", "small"]):
        assert float_layers(network, outputs) == {"big", "small"}
    assert float_layers(network, ["small"]) == {"small"}


def test_float_operations_end_where_other_operations_are():
    kept = float_operations(NETWORK, {"points", "out"})
    assert kept == {"points", "distance", "heat", "out", "pose"}
    assert float_operations(NETWORK, {"gather"}) == {"bend", "gather"}
    assert float_operations(NETWORK, {"view"}) == {"distance", "heat", "product", "view"}
    assert float_operations(NETWORK, ()) == set()


def test_the_normalisation_ends_at_the_first_layer():
    assert before_layers(NETWORK, "image") == {"image", "norm"}


def test_layers_by_pattern():
    assert matching_layers(NETWORK, ("^g", "o")) == {"gather", "points", "out"}
    assert matching_layers(NETWORK, ()) == set()
    with pytest.raises(ConversionError, match="layers that match 'head'"):
        matching_layers(NETWORK, ("head",))


def test_share_of_the_multiply_adds_in_integers():
    assert integer_share(NETWORK, ()) == 1.0
    assert integer_share(NETWORK, {"stem", "points", "gather"}) == pytest.approx(0.49)


def test_operations_of_a_graph_have_the_names_and_costs_of_torch(tiny):
    found = graph_operations(read_graph(to_onnx(tiny.network, tiny.model.spec)))
    layers = [one.layer for one in found if one.layer is not None]
    assert layers == ["stem.conv", "excite.reduce", "excite.expand", "down", "head"]
    assert sum(one.macs for one in found) == tiny.counts().macs
    assert found[0].inputs == ("image",)


def test_a_transposed_convolution_works_once_for_each_pixel_that_enters():
    network = nn.Sequential(nn.ConvTranspose2d(3, 5, 2, 2), nn.Flatten()).eval()
    spec = ModelSpec(
        "up", InputSpec("image", (1, 3, 4, 4), "NCHW"), (OutputSpec("features", (1, 320)),)
    )
    found = graph_operations(read_graph(to_onnx(network, spec)))
    assert found[0].kind == "ConvTranspose"
    assert found[0].macs == 3 * 5 * 2 * 2 * 16
