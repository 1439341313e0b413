"""Each operator against ONNX Runtime; what cannot be expressed; the file itself."""

import hashlib
import importlib
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from atpn_mobile.backends.onnx import OnnxBackend
from atpn_mobile.manifest import InputSpec, ModelSpec, OutputSpec
from converters.errors import ConversionError, MissingToolError
from converters.graph import read_graph
from converters.tflite.operations import OPERATORS
from converters.to_onnx import EXPECTED_OPS, to_onnx

pytest.importorskip("tensorflow", reason="makes the .tflite files")
pytest.importorskip("ai_edge_litert", reason="runs the .tflite files")

from atpn_mobile.backends.tflite import TfliteBackend
from converters.tflite.file import ALIGNMENT, count_operations, read_model
from converters.tflite.xnnpack import XnnpackReport, ops_outside
from converters.to_tflite import to_tflite

CHANNELS, HEIGHT, WIDTH = 4, 8, 6
IMAGE = (1, CHANNELS, HEIGHT, WIDTH)
RNG = np.random.default_rng(3)


def weights(*shape):
    return RNG.normal(0.0, 0.5, shape).astype(np.float32)


def floats(*values):
    return np.array(values, np.float32)


def integers(*values):
    return np.array(values, np.int64)


def node(op, inputs, output="y", **attributes):
    return helper.make_node(op, inputs, [output], **attributes)


def network(nodes, constants=None, shape=IMAGE):
    """An ONNX file of the input x and the output y."""
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True).SerializeToString()


def specs(graph):
    """What the graph takes, and what its .tflite file takes."""
    batch, channels, height, width = graph.shapes["x"]
    outputs = tuple(OutputSpec(name, graph.shapes[name]) for name in graph.outputs)
    return (
        ModelSpec("toy", InputSpec("x", graph.shapes["x"], "NCHW"), outputs),
        ModelSpec("toy", InputSpec("x", (batch, height, width, channels), "NHWC"), outputs),
    )


def convert(model, **options):
    graph = read_graph(model)
    return to_tflite(graph, specs(graph)[1], **options)


def check(model, low=-4.0, high=4.0, **options):
    """Both files give the same; returns the .tflite file's operations."""
    plain, channels_last = specs(read_graph(model))
    contents = convert(model, **options)
    values = RNG.uniform(low, high, plain.input.shape).astype(np.float32)
    expected = OnnxBackend(model, plain).run({"x": values})["y"]
    image = np.ascontiguousarray(values.transpose(0, 2, 3, 1))
    got = TfliteBackend(contents, channels_last).run({"x": image})["y"]
    assert expected.std() > 0.0
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    return count_operations(contents)


def flattened(name="x"):
    """Nodes that bring a map (1, C, H, W) to an output (1, H * W, C), which NHWC stores alike."""
    return [
        node("Reshape", [name, "flat"], "planes"),
        node("Transpose", ["planes"], perm=[0, 2, 1]),
    ]


FLAT = {"flat": integers(1, 0, -1)}


def check_map(nodes, constants=None, **options):
    """The same for nodes whose result "m" is a feature map."""
    return check(network([*nodes, *flattened("m")], {**FLAT, **(constants or {})}), **options)


def resize(**attributes):
    defaults = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
    return node("Resize", ["x", "", "c"], "m", **{**defaults, **attributes})


# --- operators ---


@pytest.mark.parametrize(
    ("kernel", "attributes", "pads"),
    [
        ((6, CHANNELS, 3, 3), {"pads": [1, 1, 1, 1]}, False),
        ((6, CHANNELS, 3, 3), {"pads": [0, 0, 1, 1], "strides": [2, 2]}, False),
        ((6, CHANNELS, 5, 5), {"pads": [1, 1, 2, 2], "strides": [2, 2]}, False),
        ((6, CHANNELS, 3, 3), {}, False),
        ((6, CHANNELS, 1, 1), {}, False),
        ((6, CHANNELS, 2, 2), {"strides": [2, 2]}, False),
        ((6, CHANNELS, 3, 3), {"pads": [2, 2, 2, 2], "dilations": [2, 2]}, False),
        # TFLite has no name for these: the zeros are an operation of their own
        ((6, CHANNELS, 3, 3), {"pads": [1, 1, 1, 1], "strides": [2, 2]}, True),
        ((6, CHANNELS, 3, 3), {"pads": [1, 1, 0, 0], "strides": [2, 2]}, True),
        ((CHANNELS, 1, 3, 3), {"pads": [1, 1, 1, 1], "group": CHANNELS}, False),
        ((CHANNELS, 1, 3, 3), {"pads": [0, 0, 1, 1], "strides": [2, 2], "group": CHANNELS}, False),
        ((2 * CHANNELS, 1, 3, 3), {"pads": [1, 1, 1, 1], "group": CHANNELS}, False),
        ((CHANNELS, 1, HEIGHT, 3), {"group": CHANNELS}, False),
    ],
)
def test_convolution(kernel, attributes, pads):
    constants = {"w": weights(*kernel), "b": weights(kernel[0])}
    found = check_map([node("Conv", ["x", "w", "b"], "m", **attributes)], constants)
    assert ("PAD" in found) == pads
    kind = "DEPTHWISE_CONV_2D" if "group" in attributes else "CONV_2D"
    assert found[kind] == 1
    assert "ADD" not in found  # the bias is inside


def test_a_window_as_large_as_the_picture_is_a_product_and_a_sum():
    constants = {"w": weights(CHANNELS, 1, HEIGHT, WIDTH), "b": weights(CHANNELS)}
    nodes = [node("Conv", ["x", "w", "b"], "m", group=CHANNELS)]
    found = check_map(nodes, constants)
    assert found == {"MUL": 1, "SUM": 1, "ADD": 1, "RESHAPE": 1}
    # In int8 the products would be rounded: only right before the outputs, where all is float.
    assert check_map(nodes, constants, hard_swish="relu6") == found
    constants |= {"v": weights(6, CHANNELS, 1, 1)}
    nodes = [node("Conv", ["x", "w", "b"], "c", group=CHANNELS), node("Conv", ["c", "v"], "m")]
    found = check_map(nodes, constants, hard_swish="relu6")
    assert found["DEPTHWISE_CONV_2D"] == 1


def test_convolution_without_a_bias():
    check_map([node("Conv", ["x", "w"], "m")], {"w": weights(6, CHANNELS, 1, 1)})


@pytest.mark.parametrize("size", [2, 3])
def test_transposed_convolution(size):
    constants = {"w": weights(CHANNELS, 3, size, size), "b": weights(3)}
    found = check_map([node("ConvTranspose", ["x", "w", "b"], "m", strides=[2, 2])], constants)
    assert found["TRANSPOSE_CONV"] == 1


@pytest.mark.parametrize("transposed", [0, 1])
def test_fully_connected_on_channels(transposed):
    nodes = [
        node("ReduceMean", ["x", "axes"], "mean"),
        node("Reshape", ["mean", "row"], "r"),
        node("Gemm", ["r", "w", "b"], transB=transposed, alpha=0.5, beta=2.0),
    ]
    kernel = weights(5, CHANNELS) if transposed else weights(CHANNELS, 5)
    constants = {"axes": integers(-1, -2), "row": integers(1, -1), "w": kernel, "b": weights(5)}
    assert check(network(nodes, constants))["FULLY_CONNECTED"] == 1


def test_fully_connected_on_a_flattened_map():
    # Channels and pixels lie in another order than in ONNX: the weights follow.
    nodes = [node("Reshape", ["x", "row"], "r"), node("Gemm", ["r", "w"])]
    constants = {"row": integers(1, -1), "w": weights(CHANNELS * HEIGHT * WIDTH, 5)}
    assert check(network(nodes, constants)) == {"FULLY_CONNECTED": 1, "RESHAPE": 1}


@pytest.mark.parametrize(
    ("op", "low", "attributes", "found"),
    [
        ("Relu", -4.0, {}, {"RELU": 1}),
        ("Sigmoid", -4.0, {}, {"LOGISTIC": 1}),
        ("Tanh", -4.0, {}, {"TANH": 1}),
        ("Exp", -4.0, {}, {"EXP": 1}),
        ("Sqrt", 0.1, {}, {"SQRT": 1}),
        ("Reciprocal", 0.5, {}, {"DIV": 1}),
        ("HardSwish", -6.0, {}, {"HARD_SWISH": 1}),
        ("HardSigmoid", -6.0, {"alpha": 1.0 / 6.0, "beta": 0.5}, {"ADD": 1, "MUL": 1}),
        ("HardSigmoid", -6.0, {"alpha": 0.3, "beta": 0.4}, {"ADD": 1, "MUL": 2}),
        ("HardSigmoid", -6.0, {}, {"ADD": 1, "MUL": 2}),  # alpha 0.2, beta 0.5
    ],
)
def test_function_of_one_tensor(op, low, attributes, found):
    result = check_map([node(op, ["x"], "m", **attributes)], low=low, high=6.0)
    assert result == {**found, "RESHAPE": 1}


def test_hard_swish_as_int8_needs_it():
    found = check_map([node("HardSwish", ["x"], "m")], low=-6.0, high=6.0, hard_swish="relu6")
    assert found == {"ADD": 1, "MUL": 2, "RESHAPE": 1}


SIXTHS = {
    "w": weights(CHANNELS, CHANNELS, 1, 1),
    "v": weights(6, CHANNELS, 1, 1),
    "axes": integers(2, 3),
}


def test_the_next_weights_take_the_sixth_of_hard_swish():
    nodes = [node("HardSwish", ["x"], "h"), node("Conv", ["h", "w"], "m")]
    found = check_map(nodes, SIXTHS, low=-6.0, high=6.0, hard_swish="relu6")
    assert found == {"ADD": 1, "MUL": 1, "CONV_2D": 1, "RESHAPE": 1}


def test_sixths_pass_through_means_and_products():
    nodes = [  # a squeeze-excite between two layers
        node("HardSwish", ["x"], "h"),
        node("ReduceMean", ["h", "axes"], "mean"),
        node("Conv", ["mean", "w"], "gate"),
        node("HardSigmoid", ["gate"], "s", alpha=1.0 / 6.0, beta=0.5),
        node("Mul", ["h", "s"], "p"),
        node("Conv", ["p", "v"], "m"),
    ]
    found = check_map(nodes, SIXTHS, low=-6.0, high=6.0, hard_swish="relu6")
    # The sum of the hard sigmoid becomes the bias of the layer before it.
    assert (found["ADD"], found["MUL"], found["CONV_2D"]) == (1, 2, 2)


@pytest.mark.parametrize(
    ("nodes", "products"),
    [
        # an addition of something without a sixth
        ([node("HardSwish", ["x"], "h"), node("Add", ["h", "x"], "m")], 2),
        # one of two ways has no weights
        (
            [
                node("HardSwish", ["x"], "h"),
                node("Conv", ["h", "w"], "c"),
                node("Add", ["c", "h"], "m"),
            ],
            2,
        ),
        # weights that something else uses too
        (
            [
                node("HardSwish", ["x"], "h"),
                node("Conv", ["h", "w"], "c"),
                node("Conv", ["c", "w"], "m"),
            ],
            2,
        ),
        # a square would be 36 times as large through one name
        (
            [
                node("HardSwish", ["x"], "h"),
                node("Mul", ["h", "h"], "p"),
                node("Conv", ["p", "w"], "m"),
            ],
            3,
        ),
    ],
)
def test_sixths_that_stay(nodes, products):
    found = check_map(nodes, SIXTHS, low=-6.0, high=6.0, hard_swish="relu6")
    assert found["MUL"] == products


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        (["x", "low"], {"MAXIMUM": 1}),
        (["x", "", "high"], {"MINIMUM": 1}),
        (["x", "low", "high"], {"MAXIMUM": 1, "MINIMUM": 1}),
    ],
)
def test_clip(inputs, found):
    constants = {"low": floats(-1.0)[0], "high": floats(2.0)[0]}
    assert check_map([node("Clip", inputs, "m")], constants) == {**found, "RESHAPE": 1}


def test_a_clip_from_0_to_6_is_a_part_of_the_convolution():
    constants = {"w": weights(6, CHANNELS, 1, 1), "b": floats(*range(6))}
    constants |= {"low": floats(0.0)[0], "high": floats(6.0)[0]}
    nodes = [node("Conv", ["x", "w", "b"], "c"), node("Clip", ["c", "low", "high"], "m")]
    assert check_map(nodes, constants) == {"CONV_2D": 1, "RESHAPE": 1}


@pytest.mark.parametrize(("count", "found"), [(5, 1), (6, 2), (9, 2), (10, 3)])
def test_a_concatenation_is_of_no_more_tensors_than_xnnpack_takes(count, found):
    names = [f"t{i}" for i in range(count)]
    constants = {f"c{i}": floats(0.5 * i)[0] for i in range(count)}
    nodes = [node("Mul", ["x", f"c{i}"], name) for i, name in enumerate(names)]
    nodes.append(node("Concat", names, "m", axis=1))
    operations = check_map(nodes, constants)
    assert operations["CONCATENATION"] == found
    assert ops_outside(convert(network([*nodes, *flattened("m")], {**FLAT, **constants}))) == (
        XnnpackReport(1, {})
    )


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize(
    "shape",
    [(), (1,), (CHANNELS, 1, 1), (1, CHANNELS, 1, 1), (WIDTH,), (1, 1, HEIGHT, WIDTH), IMAGE],
)
def test_arithmetic_with_a_constant(op, shape):
    constants = {"c": weights(*shape) if shape else floats(0.7)[0]}
    check_map([node(op, ["c", "x"], "m")], constants)


def test_arithmetic_of_two_tensors():
    check_map([node("Tanh", ["x"], "t"), node("Sub", ["t", "x"], "m")])


def test_a_scale_per_channel():
    nodes = [
        node("ReduceMean", ["x", "axes"], "mean"),
        node("Sigmoid", ["mean"], "s"),
        node("Mul", ["x", "s"], "m"),
    ]
    check_map(nodes, {"axes": integers(-1, -2)})


def test_reduction_of_channels():
    nodes = [node("ReduceMin", ["x", "axis"], "least"), node("Add", ["x", "least"], "m")]
    assert check_map(nodes, {"axis": integers(1)})["REDUCE_MIN"] == 1


def test_concatenation_of_single_elements():
    nodes = [
        node("ReduceMin", ["x", "axes"], "least"),
        node("Concat", ["least", "c"], "both", axis=1),
        node("Reshape", ["both", "row"]),
    ]
    constants = {"axes": integers(1, 2, 3), "c": weights(1, 1, 1, 1), "row": integers(1, 2)}
    check(network(nodes, constants))


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_concatenation(axis):
    planes = list(IMAGE)
    planes[axis] = 2
    check_map([node("Concat", ["x", "c", "x"], "m", axis=axis)], {"c": weights(*planes)})


@pytest.mark.parametrize(
    ("axes", "starts", "ends", "steps"),
    [
        ([1], [1], [3], [1]),
        ([2, -1], [-5, 0], [2**31, -2], [1, 1]),
        (None, [0, 2], [1, 4], None),
    ],
)
def test_slice(axes, starts, ends, steps):
    constants = {"starts": integers(*starts), "ends": integers(*ends)}
    inputs = ["x", "starts", "ends", "", ""]
    if axes is not None:
        inputs[3], constants["axes"] = "axes", integers(*axes)
    if steps is not None:
        inputs[4], constants["steps"] = "steps", integers(*steps)
    check_map([node("Slice", inputs, "m")], constants)


def test_softmax():
    nodes = [
        node("ReduceMean", ["x", "axes"], "mean"),
        node("Reshape", ["mean", "row"], "r"),
        node("Softmax", ["r"], axis=1),
    ]
    found = check(network(nodes, {"axes": integers(2, 3), "row": integers(1, -1)}))
    assert found["SOFTMAX"] == 1


def test_doubled_size():
    found = check_map([resize(nearest_mode="floor")], {"c": floats(1, 1, 2, 2)})
    # no RESIZE_NEAREST_NEIGHBOR, which XNNPACK does not have
    assert found == {"CONCATENATION": 2, "RESHAPE": 2}


def test_distance_of_points_and_cells():
    # As in the heatmap: points along the channels, cells along height and width.
    nodes = [
        node("ReduceMean", ["x", "axes"], "mean"),
        node("Reshape", ["mean", "points"], "p"),  # (1, 2, 2)
        node("Slice", ["p", "0", "1", "2", "1"], "u"),
        node("Unsqueeze", ["u", "3"], "column"),
        node("Sub", ["grid", "column"], "distance"),
        node("ReduceMin", ["distance", "1"], "least"),
        node("Mul", ["x", "least"], "m"),
    ]
    constants = {
        **{name: integers(int(name)) for name in "0123"},
        "axes": integers(-1, -2),
        "points": integers(1, 2, 2),
        "grid": weights(1, 1, HEIGHT, WIDTH),
    }
    assert "TRANSPOSE" not in check_map(nodes, constants)


def test_every_operator_of_our_graphs_is_known():
    assert set(OPERATORS) == EXPECTED_OPS


# --- what cannot be expressed ---


@pytest.mark.parametrize(
    ("nodes", "constants", "message"),
    [
        ([node("Gelu", ["x"], "m")], {}, r"operators out of .*'Add'.*got Gelu '' \(x -> m\)"),
        ([node("Erf", ["x"], "m")], {}, "got Erf"),
        ([node("Conv", ["x", "c"], "m", group=2)], {"c": weights(4, 2, 1, 1)}, "1 group.*got 2"),
        (
            [node("Conv", ["x", "c"], "m", auto_pad="SAME_LOWER")],
            {"c": weights(4, 4, 3, 3)},
            "pads",
        ),
        (
            [node("ConvTranspose", ["x", "c"], "m", strides=[2, 2], pads=[1, 1, 1, 1])],
            {"c": weights(4, 4, 4, 4)},
            r"got .*'pads': \[1, 1, 1, 1\]",
        ),
        ([resize(nearest_mode="floor")], {"c": floats(1, 1, 3, 3)}, "twice the size"),
        ([resize(mode="linear")], {"c": floats(1, 1, 2, 2)}, "got .*'linear'"),
        ([resize()], {"c": floats(1, 1, 2, 2)}, "nearest_mode"),  # rounds down at .5: other pixels
        ([node("Softmax", ["x"], "m", axis=2)], {}, "axis of Softmax"),
        ([node("ReduceMean", ["x"], "m")], {}, "expected axes"),
        (
            [node("Slice", ["x", "c", "d", "c", "e"], "m")],
            {"c": integers(2), "d": integers(8), "e": integers(2)},
            "steps of 1",
        ),
        (
            [node("Mul", ["x", "x"], "k"), node("Conv", ["x", "k"], "m", kernel_shape=[8, 6])],
            {},
            "constant as input 1 of Conv",
        ),
        (
            [
                node("Transpose", ["x"], "t", perm=[0, 2, 3, 1]),
                node("Relu", ["t"], "r"),
                node("Conv", ["r", "c"], "m"),
            ],
            {"c": weights(4, HEIGHT, 1, 1)},
            r"Conv .*stored in the order \(0, 2, 3, 1\), got \(0, 1, 2, 3\)",
        ),
    ],
)
def test_refused(nodes, constants, message):
    with pytest.raises(ConversionError, match=message):
        convert(network([*nodes, *flattened("m")], {**FLAT, **constants}))


@pytest.mark.parametrize(
    ("nodes", "constants", "message"),
    [
        ([node("Relu", ["x"])], {}, r"output 'y' .* in the order of ONNX.*\(0, 2, 3, 1\)"),
        ([node("Reshape", ["x", "s"])], {"s": integers(1, -1)}, "output 'y'"),
        ([node("Reshape", ["x", "s"])], {"s": integers(1, 2, -1)}, "leave the elements where"),
        (
            [node("Reshape", ["x", "s"], "r"), node("Relu", ["r"])],
            {"s": integers(1, -1)},
            "expected a Gemm to read a flattened feature map, got Relu",
        ),
    ],
)
def test_a_layout_that_needs_a_copy_is_refused(nodes, constants, message):
    with pytest.raises(ConversionError, match=message):
        convert(network(nodes, constants))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": InputSpec("x", IMAGE, "NCHW")}, "in NHWC"),
        ({"input": InputSpec("picture", (1, HEIGHT, WIDTH, CHANNELS), "NHWC")}, "picture"),
        ({"input": InputSpec("x", (1, HEIGHT, HEIGHT, CHANNELS), "NHWC")}, "expected the input"),
        ({"outputs": (OutputSpec("z", (1, HEIGHT * WIDTH, CHANNELS)),)}, "expected the outputs"),
        ({"outputs": (OutputSpec("y", (1, CHANNELS)),)}, "expected the outputs"),
    ],
)
def test_a_specification_of_another_network(change, message):
    graph = read_graph(network(flattened(), FLAT))
    given = specs(graph)[1]
    wrong = {"input": given.input, "outputs": given.outputs, **change}
    with pytest.raises(ConversionError, match=message):
        to_tflite(graph, ModelSpec("toy", **wrong))


@pytest.mark.parametrize("missing", ["tensorflow", "ai_edge_litert.tools.flatbuffer_utils"])
def test_a_missing_tool(monkeypatch, missing):
    load = importlib.import_module

    def fail(name, *rest):
        if name == missing:
            raise ImportError(f"No module named {name!r}")
        return load(name, *rest)

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(MissingToolError, match=f"{missing}.*pip install"):
        convert(network(flattened(), FLAT))


# --- the file ---


@pytest.fixture(scope="module")
def tiny_onnx(_tiny):
    return to_onnx(_tiny.network, _tiny.model.spec)


def tiny_spec(model):
    graph = read_graph(model)
    side = graph.shapes["image"][-1]
    outputs = tuple(OutputSpec(name, graph.shapes[name]) for name in graph.outputs)
    return graph, ModelSpec("atpn", InputSpec("image", (1, side, side, 3), "NHWC"), outputs)


@pytest.fixture(scope="module")
def tiny_tflite(tiny_onnx):
    return to_tflite(*tiny_spec(tiny_onnx))


def test_names(tiny_tflite):
    model = read_model(tiny_tflite)
    (signature,) = model.signatureDefs
    assert signature.signatureKey == b"serving_default"
    graph = model.subgraphs[0]
    outputs = ["landmarks", "pose", "presence"]
    assert [graph.tensors[i].name.decode() for i in graph.inputs] == ["image"]
    assert [graph.tensors[i].name.decode() for i in graph.outputs] == outputs
    assert [one.name.decode() for one in signature.outputs] == outputs
    assert [one.tensorIndex for one in signature.outputs] == list(graph.outputs)
    names = [tensor.name.decode() for tensor in graph.tensors]
    assert len(set(names)) == len(names)
    layers = {"stem.conv", "excite.reduce", "excite.expand", "down", "head"}
    wanted = {f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")} | layers
    assert wanted <= set(names)


def test_nothing_tells_of_the_machine(tiny_tflite):
    model = read_model(tiny_tflite)
    assert model.description == b"atpn"
    assert [one.name for one in model.metadata] == [b"min_runtime_version"]
    texts = ("2.21", "MLIR", "tensorflow", "PartitionedCall", "BiasAdd", "/home", "/root")
    assert [text for text in texts if text.encode() in tiny_tflite] == []


def test_constants_are_aligned(tiny_tflite):
    start = np.frombuffer(tiny_tflite, np.uint8).ctypes.data
    places = [
        one.data.ctypes.data - start
        for one in read_model(tiny_tflite).buffers
        if one.data is not None
    ]
    assert len(places) > 10
    assert [place % ALIGNMENT for place in places] == [0] * len(places)


def test_another_process_makes_the_same_bytes(tiny_onnx, tiny_tflite, tmp_path):
    (tmp_path / "tiny.onnx").write_bytes(tiny_onnx)
    code = """
import hashlib, sys
from pathlib import Path
from atpn_mobile.manifest import InputSpec, ModelSpec, OutputSpec
from converters.graph import read_graph
from converters.to_tflite import to_tflite
graph = read_graph(Path(sys.argv[1]).read_bytes())
outputs = tuple(OutputSpec(name, graph.shapes[name]) for name in graph.outputs)
side = graph.shapes["image"][-1]
spec = ModelSpec("atpn", InputSpec("image", (1, side, side, 3), "NHWC"), outputs)
to_tflite(graph, spec, hard_swish="relu6")  # what was done before leaves no trace
print(hashlib.sha256(to_tflite(graph, spec)).hexdigest())
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path / "tiny.onnx")],
        capture_output=True,
        text=True,
        check=False,
    )
    # nothing but our own line is printed
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == hashlib.sha256(tiny_tflite).hexdigest()


def test_nothing_is_printed(capfd):
    convert(network(flattened(), FLAT))
    assert capfd.readouterr() == ("", "")
