"""XNNPACK runs the whole of every file of both networks, and the report can say otherwise."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atpn_mobile.manifest import ModelSpec
from converters.errors import ConversionError
from converters.graph import read_graph
from converters.models import MODELS
from converters.parity import parity_inputs

pytest.importorskip("tensorflow", reason="makes the .tflite files")
pytest.importorskip("ai_edge_litert", reason="loads the .tflite files")
pytest.importorskip("ai_edge_quantizer", reason="makes the smaller ones")

from converters.quantize_tflite import quantize_tflite
from converters.tflite.file import WEIGHTED, count_operations, operations, read_model
from converters.tflite.tool import tensorflow
from converters.tflite.xnnpack import XnnpackReport, ops_outside
from converters.to_tflite import to_tflite

MODELS_DIR = Path(__file__).parents[3] / "models"
SHIPPED = [name for name, model in MODELS.items() if not model.is_baseline]
EVERYTHING_INSIDE = XnnpackReport(partitions=1, outside={})

# What the float32 file consists of; smaller weights add a DEQUANTIZE each.
OPERATIONS = {
    "atpn": {
        "ADD": 17,
        "CONCATENATION": 7,
        "CONV_2D": 59,
        "DEPTHWISE_CONV_2D": 7,
        "DIV": 1,
        "FULLY_CONNECTED": 3,
        "MAXIMUM": 3,
        "MEAN": 5,
        "MINIMUM": 2,
        "MUL": 19,
        "REDUCE_MIN": 1,
        "RESHAPE": 3,
        "SLICE": 3,
        "SOFTMAX": 1,
        "SQRT": 2,
        "SUB": 4,
        "SUM": 3,
        "TANH": 1,
        "TRANSPOSE_CONV": 2,
    },
    "detector": {
        "ADD": 12,
        "CONCATENATION": 4,
        "CONV_2D": 19,
        "DEPTHWISE_CONV_2D": 13,
        "EXP": 1,
        "HARD_SWISH": 9,
        "LOGISTIC": 1,
        "MAXIMUM": 1,
        "MINIMUM": 1,
        "MUL": 2,
        "RESHAPE": 6,
        "SUB": 1,
    },
}
# What int8 computes in float: the heads and the cheap layers before them (7x7 windows as products
# and sums), the hard-swishes that feed those alone, and what follows up to an output or the product
# with features.
FLOAT_IN_INT8 = {
    "atpn": {
        "ADD": 5,
        "DIV": 1,
        "FULLY_CONNECTED": 3,
        "MAXIMUM": 3,
        "MINIMUM": 2,
        "MUL": 7,
        "REDUCE_MIN": 1,
        "RESHAPE": 3,
        "SLICE": 3,
        "SOFTMAX": 1,
        "SQRT": 2,
        "SUB": 3,
        "SUM": 3,
        "TANH": 1,
    },
    "detector": {
        "ADD": 2,
        "CONV_2D": 2,
        "EXP": 1,
        "LOGISTIC": 1,
        "MAXIMUM": 1,
        "MINIMUM": 1,
        "MUL": 1,
        "RESHAPE": 2,
    },
}


def channels_last(spec: ModelSpec) -> ModelSpec:
    side = spec.input.resolution
    return replace(spec, input=replace(spec.input, shape=(1, side, side, 3), layout="NHWC"))


@pytest.fixture(scope="module", params=SHIPPED)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def graph(name):
    return read_graph((MODELS_DIR / f"{name}_float32.onnx").read_bytes())


@pytest.fixture(scope="module")
def spec(name):
    return channels_last(MODELS[name].spec)


@pytest.fixture(scope="module")
def float32(graph, spec):
    return to_tflite(graph, spec)


@pytest.fixture(scope="module")
def int8(name, graph, spec):
    pictures = parity_inputs(MODELS[name].task, MODELS[name].input)[:4]
    images = [np.ascontiguousarray(one.tensor.transpose(0, 2, 3, 1)) for one in pictures]
    return quantize_tflite(to_tflite(graph, spec, hard_swish="relu6"), "int8", images)


def test_float32(name, float32):
    assert ops_outside(float32) == EVERYTHING_INSIDE
    assert count_operations(float32) == OPERATIONS[name]


@pytest.mark.parametrize("precision", ["float16", "int8_weights"])
def test_smaller_weights(name, float32, precision):
    contents = quantize_tflite(float32, precision)
    assert ops_outside(contents) == EVERYTHING_INSIDE
    found = count_operations(contents)
    weighted = sum(found.get(kind, 0) for kind in WEIGHTED)
    assert found == {**OPERATIONS[name], "DEQUANTIZE": weighted}


def test_int8(int8):
    assert ops_outside(int8) == EVERYTHING_INSIDE
    found = count_operations(int8)
    assert "HARD_SWISH" not in found
    assert "TRANSPOSE" not in found


def test_what_int8_leaves_float(name, int8):
    model = read_model(int8)
    kinds = {tensor.name.decode(): tensor.type for tensor in model.subgraphs[0].tensors}
    floats = [
        one.kind
        for one in operations(model)
        if kinds[one.output] == 0 and one.kind not in ("QUANTIZE", "DEQUANTIZE")
    ]
    assert {kind: floats.count(kind) for kind in floats} == FLOAT_IN_INT8[name]


def test_what_stays_outside_is_counted():
    with tensorflow() as tf:

        @tf.function(input_signature=[tf.TensorSpec((1, 4, 4, 3), name="x")], autograph=False)
        def network(x):
            for _ in range(2):
                x = tf.nn.relu(x) + 1.0
                size = (2 * x.shape[1], 2 * x.shape[2])
                x = tf.raw_ops.ResizeNearestNeighbor(images=x, size=size)
            return {"y": tf.tanh(x)}

        module = tf.Module()
        module.network = network
        functions = [network.get_concrete_function()]
        contents = tf.lite.TFLiteConverter.from_concrete_functions(functions, module).convert()
    assert ops_outside(contents) == XnnpackReport(3, {"RESIZE_NEAREST_NEIGHBOR": 2})


def test_no_tflite_file():
    with pytest.raises(ConversionError, match=r"expected a \.tflite file"):
        ops_outside(b"something else")
