"""Counts of TFLite files, worked out by hand."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx.helper import make_node

from benchmarks.errors import BenchmarkError
from benchmarks.read_model import read_network
from benchmarks.read_tflite import read_tflite
from tests.unit.benchmarks.builders import TfliteFile, onnx_file, strided, zeros


def test_convolutions_and_linear_layers():
    file = TfliteFile()
    x = file.tensor("x", (1, 8, 8, 3), signature=(-1, 8, 8, 3))
    w = file.tensor("a.weight", (4, 3, 3, 3), zeros(108))
    b = file.tensor("a.bias", (4,), zeros(4))
    y = file.tensor("y", (1, 4, 4, 4))
    file.operator("CONV_2D", (x, w, b), (y,), strided(schema.Conv2DOptionsT(), 2))
    d = file.tensor("d.weight", (1, 3, 3, 4), zeros(36))
    z = file.tensor("z", (1, 4, 4, 4))
    options = strided(schema.DepthwiseConv2DOptionsT(), 1)
    file.operator("DEPTHWISE_CONV_2D", (y, d, -1), (z,), options)
    size = file.tensor("size", (4,), np.array([1, 8, 8, 2], np.int32), kind="INT32")
    t = file.tensor("t.weight", (2, 2, 2, 4), zeros(32))
    u = file.tensor("u", (1, 8, 8, 2))
    options = strided(schema.TransposeConvOptionsT(), 2)
    file.operator("TRANSPOSE_CONV", (size, t, z), (u,), options)
    shape = file.tensor("shape", (2,), np.array([1, 128], np.int32), kind="INT32")
    flat = file.tensor("flat", (1, 128))
    file.operator("RESHAPE", (u, shape), (flat,))
    f = file.tensor("f.weight", (10, 128), zeros(1280))
    v = file.tensor("v", (1, 10))
    file.operator("FULLY_CONNECTED", (flat, f, -1), (v,))
    network = read_tflite(file.build((x,), (v,)), "file")

    counted = [(one.name, one.kind, one.macs, one.parameters, one.stride) for one in network.layers]
    assert counted == [
        ("a", "conv", 4 * 4 * 4 * 27, 112, 2),
        ("d", "depthwise", 4 * 4 * 36, 36, 1),
        ("t", "deconv", 4 * 4 * 32, 32, 2),  # positions of the input
        ("flat", "other", 0, 0, 1),
        ("f", "linear", 1280, 1280, 1),
    ]
    assert network.weight_bytes == 4 * (112 + 36 + 32 + 1280)
    assert network.tensors["flat"].storage == "u"
    assert network.layers[3].inputs == ("u",)


def test_half_float_weights_are_weights_and_quantised_activations_are_layers():
    file = TfliteFile()
    x = file.tensor("x", (2, 3))
    q = file.tensor("q", (2, 3), kind="INT8")
    file.operator("QUANTIZE", (x,), (q,))
    back = file.tensor("back", (2, 3))
    file.operator("DEQUANTIZE", (q,), (back,))
    half = file.tensor("f.weight", (5, 3), zeros(15, dtype=np.float16), kind="FLOAT16")
    w = file.tensor("f.weight_dequant", (5, 3))
    file.operator("DEQUANTIZE", (half,), (w,))
    y = file.tensor("y", (2, 5))
    file.operator("FULLY_CONNECTED", (back, w, -1), (y,))
    network = read_tflite(file.build((x,), (y,)), "file")

    assert [one.op for one in network.layers] == ["QUANTIZE", "DEQUANTIZE", "FULLY_CONNECTED"]
    linear = network.layers[2]
    assert (linear.macs, linear.parameters, linear.weight_bytes) == (30, 15, 30)
    assert linear.inputs == ("back",)
    assert [(one.storage, one.bytes) for one in network.tensors.values()] == [
        ("x", 24),
        ("q", 6),
        ("back", 24),
        ("y", 40),
    ]


def test_products_of_two_activations_and_shared_weights():
    file = TfliteFile()
    x = file.tensor("x", (1, 3, 4))
    y = file.tensor("y", (1, 3, 3))
    options = schema.BatchMatMulOptionsT()
    options.adjY = True
    file.operator("BATCH_MATMUL", (x, x), (y,), options)
    w = file.tensor("w", (3, 3), zeros(9))
    z, u = file.tensor("z", (1, 3, 3)), file.tensor("u", (1, 3, 3))
    file.operator("FULLY_CONNECTED", (y, w, -1), (z,))
    file.operator("FULLY_CONNECTED", (z, w, -1), (u,))
    network = read_tflite(file.build((x,), (u,)), "file")

    found = [(one.macs, one.parameters) for one in network.layers]
    assert found == [(3 * 3 * 4, 0), (27, 9), (27, 0)]


def test_open_sides_are_refused():
    file = TfliteFile()
    x = file.tensor("x", (1, 1, 3), signature=(1, -1, 3))
    y = file.tensor("y", (1, 1, 3))
    file.operator("RELU", (x,), (y,))

    with pytest.raises(BenchmarkError, match=r"fixed dimensions of 'x'.*\[1, -1, 3\]"):
        read_tflite(file.build((x,), (y,)), "file")


def test_layers_that_cannot_be_counted_are_refused():
    file = TfliteFile()
    x, y = file.tensor("x", (1, 2)), file.tensor("y", (1, 2))
    file.operator("UNIDIRECTIONAL_SEQUENCE_LSTM", (x,), (y,))

    with pytest.raises(BenchmarkError, match="got UNIDIRECTIONAL_SEQUENCE_LSTM"):
        read_tflite(file.build((x,), (y,)), "file")


@pytest.mark.parametrize("contents", [b"", b"\x1c\x00\x00\x00TFL3", b"0000TFL3" + b"\xff" * 40])
def test_broken_files_are_refused(contents):
    with pytest.raises(BenchmarkError, match=r"expected a \.tflite file"):
        read_tflite(contents, "file")


def test_contents_decide_on_the_format(tmp_path):
    file = TfliteFile()
    x, y = file.tensor("x", (1, 2)), file.tensor("y", (1, 2))
    file.operator("RELU", (x,), (y,))
    (tmp_path / "a.onnx").write_bytes(file.build((x,), (y,)))
    relu = [make_node("Relu", ["x"], ["y"])]
    (tmp_path / "b.tflite").write_bytes(onnx_file(relu, {"x": [1, 2]}, ["y"]))

    assert read_network(tmp_path / "a.onnx").runtime == "tflite"
    assert read_network(tmp_path / "b.tflite").runtime == "onnx"


def test_errors_name_the_file(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"nothing")

    with pytest.raises(BenchmarkError, match=r"a\.onnx: expected an ONNX file"):
        read_network(tmp_path / "a.onnx")
    with pytest.raises(BenchmarkError, match=r"expected a model at .*missing\.tflite"):
        read_network(tmp_path / "missing.tflite")
