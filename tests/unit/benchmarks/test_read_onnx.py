"""Counts of ONNX files, worked out by hand."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.helper import make_node

from benchmarks.errors import BenchmarkError
from benchmarks.layers import Layer, Network, is_view
from benchmarks.read_onnx import read_onnx
from tests.unit.benchmarks.builders import onnx_file, zeros


def read(*args: object, **kwargs: object) -> Network:
    return read_onnx(onnx_file(*args, **kwargs), "file")


def only(network: Network, op: str) -> Layer:
    (layer,) = [layer for layer in network.layers if layer.op == op]
    return layer


def test_convolutions_of_every_kind_with_an_open_batch():
    network = read(
        [
            make_node("Conv", ["x", "a.weight", "b"], ["y"], strides=[2, 2], pads=[1] * 4),
            make_node("Conv", ["y", "d.weight"], ["z"], group=4, pads=[1] * 4),
            make_node("Conv", ["z", "p.weight"], ["u"]),
            make_node("ConvTranspose", ["u", "t.weight"], ["v"], strides=[2, 2]),
            make_node("Conv", ["v", "g.weight"], ["w"], group=2),
        ],
        {"x": ["N", 3, 8, 8]},
        ["w"],
        {
            "a.weight": zeros(4, 3, 3, 3),
            "b": zeros(4),
            "d.weight": zeros(4, 1, 3, 3),
            "p.weight": zeros(8, 4, 1, 1),
            "t.weight": zeros(8, 4, 2, 2),
            "g.weight": zeros(6, 2, 1, 1),
        },
    )

    counted = [
        (one.name, one.kind, one.macs, one.parameters, one.weight_bytes, one.channels)
        for one in network.layers
    ]
    assert counted == [
        ("a", "conv", 4 * 4 * 4 * 27, 108 + 4, 448, (3, 4)),
        ("d", "depthwise", 4 * 4 * 4 * 9, 36, 144, (4, 4)),
        ("p", "pointwise", 4 * 4 * 4 * 8, 32, 128, (4, 8)),
        # every number of the input (4x4x8) times its kernel (2x2x4), not of the output
        ("t", "deconv", 4 * 4 * 8 * 16, 128, 512, (8, 4)),
        ("g", "conv", 8 * 8 * 12, 12, 48, (4, 6)),  # grouped, though 1x1
    ]
    assert network.tensors["y"].shape == (1, 4, 4, 4)
    assert [one.stride for one in network.layers] == [2, 1, 1, 2, 1]
    assert network.name == "tiny"


def test_products_of_constants_and_of_two_activations():
    network = read(
        [
            make_node("Gemm", ["x", "g.weight", "g.bias"], ["y"], transB=1),
            make_node("MatMul", ["y", "m.weight"], ["z"]),
            make_node("Add", ["z", "m.bias"], ["u"]),
            make_node("Transpose", ["u"], ["t"], perm=[1, 0]),
            make_node("MatMul", ["u", "t"], ["v"]),
            make_node("Einsum", ["u", "e.weight"], ["w"], equation="ni,ij->nj"),
        ],
        {"x": [3, 5]},
        ["v", "w"],
        {
            "g.weight": zeros(7, 5),
            "g.bias": zeros(7),
            "m.weight": zeros(7, 2),
            "m.bias": zeros(2),
            "e.weight": zeros(2, 4),
        },
    )

    found = [(one.op, one.kind, one.macs, one.parameters) for one in network.layers]
    assert found == [
        ("Gemm", "linear", 3 * 7 * 5, 35 + 7),
        ("MatMul", "linear", 3 * 2 * 7, 14),
        ("Add", "other", 0, 2),  # the bias of the product before
        ("Transpose", "other", 0, 0),
        ("MatMul", "linear", 3 * 3 * 2, 0),
        ("Einsum", "linear", 3 * 2 * 4, 8),
    ]


def test_a_recurrent_layer_multiplies_once_per_step():
    network = read(
        [make_node("LSTM", ["x", "w", "r", "b"], ["y", "h", "c"], hidden_size=3)],
        {"x": [5, 2, 4]},
        ["y", "h", "c"],
        {"w": zeros(1, 12, 4), "r": zeros(1, 12, 3), "b": zeros(1, 24)},
    )

    (layer,) = network.layers
    assert layer.macs == 5 * 2 * (48 + 36)
    assert layer.parameters == 48 + 36 + 24
    assert layer.outputs == ("y", "h", "c")


def test_shared_weights_count_once_and_constants_beside_weights_never():
    network = read(
        [
            make_node("MatMul", ["x", "w"], ["y"], name="first"),
            make_node("MatMul", ["y", "w"], ["z"], name="second"),
            make_node("Add", ["z", "offset"], ["u"]),
            make_node("Mul", ["u", "scale"], ["v"]),
        ],
        {"x": [1, 4]},
        ["v"],
        {"w": zeros(4, 4), "offset": zeros(3, 4), "scale": zeros(4)},
    )

    assert [one.parameters for one in network.layers] == [16, 0, 0, 0]
    assert [one.macs for one in network.layers] == [16, 16, 0, 0]
    assert network.weight_bytes == 64


def test_weights_behind_nodes_of_constants_keep_their_stored_bytes():
    network = read(
        [
            make_node("Cast", ["half"], ["single"], to=TensorProto.FLOAT),
            make_node("Transpose", ["single"], ["w"], perm=[1, 0]),
            make_node("MatMul", ["x", "w"], ["y"]),
        ],
        {"x": [1, 4]},
        ["y"],
        {"half": zeros(6, 4, dtype=np.float16)},
    )

    (layer,) = network.layers
    assert (layer.macs, layer.parameters, layer.weight_bytes) == (24, 24, 48)


def test_several_inputs_and_outputs():
    network = read(
        [
            make_node("Split", ["x"], ["a", "b"], axis=1, num_outputs=2),
            make_node("Add", ["a", "second"], ["c"]),
        ],
        {"x": [None, 4], "second": [None, 2]},
        ["b", "c"],
    )

    assert network.inputs == ("x", "second")
    assert network.outputs == ("b", "c")
    assert network.layers[0].outputs == ("a", "b")
    assert network.tensors["c"].shape == (1, 2)


def quantised(source: str, result: str) -> onnx.NodeProto:
    return make_node("QuantizeLinear", [source, "step", "zero"], [result])


def dequantised(source: str, result: str, zero: str = "zero") -> onnx.NodeProto:
    return make_node("DequantizeLinear", [source, "step", zero], [result])


QDQ_WEIGHTS = {
    "step": np.float32(0.1),
    "zero": np.uint8(0),
    "zero8": np.int8(0),
    "w8": zeros(4, 3, 1, 1, dtype=np.int8),
}


def test_between_integer_layers_quantisation_moves_nothing():
    network = read(
        [
            quantised("x", "xq"),
            dequantised("xq", "xf"),
            dequantised("w8", "w", "zero8"),
            make_node("Conv", ["xf", "w"], ["c"]),
            make_node("Relu", ["c"], ["r"]),
            quantised("r", "rq"),
            dequantised("rq", "rf"),
            make_node("Mul", ["rf", "rf"], ["m"]),
            quantised("m", "mq"),
            dequantised("mq", "y"),
        ],
        {"x": [1, 3, 2, 2]},
        ["y"],
        QDQ_WEIGHTS,
    )

    conv = only(network, "Conv")
    assert (conv.macs, conv.parameters, conv.weight_bytes) == (48, 12, 12)
    storages = {name: (one.storage, one.itemsize) for name, one in network.tensors.items()}
    assert storages["x"] == ("x", 4)  # the caller's
    assert storages["xf"] == ("xq", 1)
    assert {storages[name] for name in ("c", "r", "rq", "rf")} == {("rq", 1)}
    assert storages["m"] == ("mq", 1)
    assert storages["y"] == ("y", 4)  # the caller's again
    moving = [one.op for one in network.layers if not is_view(network, one)]
    assert moving == ["QuantizeLinear", "Conv", "Mul", "DequantizeLinear"]


def test_before_a_float_layer_dequantisation_is_a_layer():
    network = read(
        [
            quantised("x", "xq"),
            dequantised("xq", "xf"),
            dequantised("w8", "w", "zero8"),
            make_node("Conv", ["xf", "w"], ["y"]),
        ],
        {"x": [1, 3, 2, 2]},
        ["y"],
        QDQ_WEIGHTS,
    )

    assert network.tensors["xf"].storage == "xf"
    assert network.tensors["xf"].itemsize == 4


def test_integer_operators():
    network = read(
        [
            make_node("DynamicQuantizeLinear", ["x"], ["xq", "s", "z"]),
            make_node("MatMulInteger", ["xq", "w", "z"], ["y"]),
            make_node("Unsqueeze", ["xq", "axes"], ["xq4"]),
            make_node(
                "QLinearConv",
                ["xq4", "step", "zero", "k", "step", "zero8", "step", "zero", "bias"],
                ["c"],
                group=2,
            ),
        ],
        {"x": [2, 4]},
        ["y", "c"],
        {
            **QDQ_WEIGHTS,
            "w": zeros(4, 5, dtype=np.int8),
            "axes": np.array([0, 3]),
            "k": zeros(6, 1, 1, 1, dtype=np.int8),
            "bias": zeros(6, dtype=np.int32),
        },
    )

    product, conv = only(network, "MatMulInteger"), only(network, "QLinearConv")
    assert (product.macs, product.parameters, product.weight_bytes) == (2 * 5 * 4, 20, 20)
    assert (conv.macs, conv.parameters, conv.weight_bytes) == (4 * 6, 12, 6 + 24)
    assert conv.kind == "depthwise"
    assert network.tensors["xq4"].storage == "xq"
    assert network.tensors["y"].itemsize == 4


def test_an_activation_that_the_engine_fuses_is_a_view_and_another_is_not():
    network = read(
        [
            make_node("Conv", ["x", "w"], ["a"]),
            make_node("Relu", ["a"], ["b"]),
            make_node("Conv", ["b", "w"], ["c"]),
            make_node("Relu", ["c"], ["d"]),
            make_node("Add", ["c", "d"], ["e"]),  # needs what the activation would overwrite
            make_node("HardSwish", ["e"], ["y"]),
        ],
        {"x": [1, 2, 4, 4]},
        ["y"],
        {"w": zeros(2, 2, 1, 1)},
    )

    assert [is_view(network, one) for one in network.layers] == [
        False,
        True,
        False,
        False,
        False,
        False,
    ]


def test_repeated_names_are_told_apart():
    nodes = [make_node("Relu", ["x"], ["y"], name="n"), make_node("Relu", ["y"], ["z"], name="n")]

    assert [one.name for one in read(nodes, {"x": [1, 2]}, ["z"]).layers] == ["n", "n.1"]


@pytest.mark.parametrize(
    ("nodes", "inputs", "message"),
    [
        # a side that is open
        ([make_node("Relu", ["x"], ["y"])], {"x": [1, 3, "side", 8]}, r"fixed dimensions of 'x'"),
        # an operator of nobody
        (
            [make_node("Magic", ["x"], ["y"], domain="example")],
            {"x": [1, 3]},
            "Magic",
        ),
        # control flow
        (
            [
                make_node(
                    "If",
                    ["x"],
                    ["y"],
                    then_branch=helper.make_graph([], "a", [], []),
                    else_branch=helper.make_graph([], "b", [], []),
                )
            ],
            {"x": [1]},
            "MACs can be counted, got If",
        ),
        ([make_node("Einsum", ["x"], ["y"], equation="...i->i")], {"x": [2, 2]}, "Einsum"),
    ],
)
def test_what_cannot_be_counted_is_refused(nodes, inputs, message):
    with pytest.raises(BenchmarkError, match=message):
        read(nodes, inputs, ["y"])


def test_weights_in_another_file_are_refused():
    model = onnx.load_from_string(
        onnx_file(
            [make_node("MatMul", ["x", "w"], ["y"])], {"x": [1, 2]}, ["y"], {"w": zeros(2, 2)}
        )
    )
    (stored,) = model.graph.initializer
    stored.ClearField("raw_data")
    stored.data_location = TensorProto.EXTERNAL
    stored.external_data.add(key="location", value="weights.bin")

    with pytest.raises(BenchmarkError, match="weights inside the file, got 'w'"):
        read_onnx(model.SerializeToString(), "file")


@pytest.mark.parametrize("contents", [b"", b"not a model at all", b"\x00" * 64])
def test_other_files_are_refused(contents):
    with pytest.raises(BenchmarkError, match="expected an ONNX file"):
        read_onnx(contents, "file")
