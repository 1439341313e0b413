"""Files of yardsticks: the same network for both engines and precisions, the same bytes."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter

from benchmarks import yardstick_files
from benchmarks.errors import BenchmarkError
from benchmarks.read_model import read_contents
from benchmarks.yardstick_files import (
    example_images,
    make_weights,
    same_padding,
    write_yardsticks,
    yardstick_bytes,
)
from benchmarks.yardsticks import INPUT, Operation, Yardstick, make_yardstick

MAP = (8, 5, 5)
# one of everything that MobileNets are made of; 10 -> 5 pads one pixel, at the end
TINY = Yardstick(
    "tiny",
    (3, 10, 10),
    (
        Operation("Conv", "stem", (INPUT,), MAP, kernel=3, stride=2),
        Operation("HardSwish", "stem_on", ("stem",), MAP),
        Operation("Conv", "deep", ("stem_on",), MAP, kernel=5, groups=8),
        Operation("Relu6", "deep_on", ("deep",), MAP),
        Operation("GlobalAveragePool", "mean", ("deep_on",), (8, 1, 1)),
        Operation("Conv", "squeeze", ("mean",), (4, 1, 1)),
        Operation("Relu", "squeeze_on", ("squeeze",), (4, 1, 1)),
        Operation("Conv", "excite", ("squeeze_on",), (8, 1, 1)),
        Operation("HardSigmoid", "gate", ("excite",), (8, 1, 1)),
        Operation("Mul", "gated", ("deep_on", "gate"), MAP),
        Operation("Add", "sum", ("gated", "stem_on"), MAP),
        Operation("GlobalAveragePool", "pool", ("sum",), (8, 1, 1)),
        Operation("Flatten", "flat", ("pool",), (8,)),
        Operation("Gemm", "classes", ("flat",), (6,)),
    ),
    ("classes",),
)
CASES = [
    (runtime, precision)
    for runtime in yardstick_files.RUNTIMES
    for precision in yardstick_files.PRECISIONS
]


@pytest.fixture(scope="module")
def files():
    return {case: yardstick_bytes(TINY, *case) for case in CASES}


def run(contents: bytes, runtime: str, image: np.ndarray) -> np.ndarray:
    if runtime == "onnx":
        session = onnxruntime.InferenceSession(contents, providers=["CPUExecutionProvider"])
        return session.run(None, {INPUT: image})[0]
    interpreter = Interpreter(model_content=contents, num_threads=1)
    interpreter.allocate_tensors()
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(given["index"], image.transpose(0, 2, 3, 1))
    interpreter.invoke()
    return interpreter.get_tensor(result["index"])


def plain(image: np.ndarray) -> np.ndarray:
    """The network in the words of its operations, convolutions as loops."""
    weights = make_weights(TINY)
    made = {INPUT: image[0].astype(np.float64)}

    def conv(one: Operation, x: np.ndarray) -> np.ndarray:
        values, bias = weights[one.name]
        pads = [same_padding(side, one.kernel, one.stride) for side in x.shape[1:]]
        x = np.pad(x, [(0, 0), *pads])
        result = np.zeros(one.shape)
        for c, i, j in np.ndindex(one.shape):
            top, left = i * one.stride, j * one.stride
            window = x[:, top : top + one.kernel, left : left + one.kernel]
            window = window[c : c + 1] if one.groups > 1 else window
            result[c, i, j] = (window * values[c]).sum() + bias[c]
        return result

    rules = {
        "Conv": conv,
        "Gemm": lambda one, x: weights[one.name][0] @ x + weights[one.name][1],
        "Add": lambda _, x, y: x + y,
        "Mul": lambda _, x, y: x * y,
        "GlobalAveragePool": lambda _, x: x.mean((1, 2), keepdims=True),
        "Flatten": lambda _, x: x.reshape(-1),
        "Relu": lambda _, x: np.maximum(x, 0.0),
        "Relu6": lambda _, x: np.clip(x, 0.0, 6.0),
        "HardSwish": lambda _, x: x * np.clip(x + 3.0, 0.0, 6.0) / 6.0,
        "HardSigmoid": lambda _, x: np.clip(x + 3.0, 0.0, 6.0) / 6.0,
    }
    for one in TINY.operations:
        made[one.name] = rules[one.op](one, *(made[name] for name in one.inputs))
    return made["classes"][None]


@pytest.mark.parametrize("case", CASES)
def test_files_compute_the_network(files, case):
    runtime, precision = case
    (image,) = example_images(TINY, 1, seed=7)
    wanted = plain(image)

    found = run(files[case], runtime, image)

    scale = np.abs(wanted).max()
    tolerance = 1e-5 if precision == "float32" else 0.05  # of int8: a few steps of 1/255
    np.testing.assert_allclose(found, wanted, atol=tolerance * scale)


@pytest.mark.parametrize("case", CASES)
def test_files_have_the_counts_of_the_description(files, case):
    wanted = TINY.network()

    found = read_contents(files[case], "tiny")

    assert (found.macs, found.parameters) == (wanted.macs, wanted.parameters)


@pytest.mark.parametrize("runtime", yardstick_files.RUNTIMES)
def test_the_same_network_gives_the_same_bytes(files, runtime):
    assert yardstick_bytes(TINY, runtime, "int8") == files[runtime, "int8"]


@pytest.mark.parametrize("runtime", yardstick_files.RUNTIMES)
def test_int8_has_no_hard_swish_in_one_piece(files, runtime):
    def operations(precision):
        layers = read_contents(files[runtime, precision], "tiny").layers
        return {layer.op.replace("_", "").upper() for layer in layers}

    assert "HARDSWISH" in operations("float32")
    assert operations("int8").isdisjoint({"HARDSWISH", "HARDSIGMOID"})


def test_int8_computes_every_layer_in_int8(files):
    for runtime in yardstick_files.RUNTIMES:
        network = read_contents(files[runtime, "int8"], "tiny")
        floats = [
            layer.name
            for layer in network.layers
            if layer.macs and network.tensors[layer.inputs[0]].itemsize != 1
        ]
        assert floats == []


def test_weights_keep_the_variance_of_activations():
    weights = make_weights(make_yardstick("mobilenet_v2"))

    by_shape = {values.shape: values for values, _ in weights.values()}

    # 2 / fan-in before a rectifier, 1 / fan-in before none
    assert by_shape[960, 160, 1, 1].var() == pytest.approx(2.0 / 160, rel=0.02)
    assert by_shape[160, 960, 1, 1].var() == pytest.approx(1.0 / 960, rel=0.02)
    assert by_shape[960, 1, 3, 3].var() == pytest.approx(2.0 / 9, rel=0.05)
    assert all(values.dtype == np.float32 for pair in weights.values() for values in pair)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "wanted"),
    [
        (224, 3, 2, (0, 1)),  # the odd pixel at the end
        (7, 3, 1, (1, 1)),
        (7, 5, 2, (2, 2)),
        (4, 1, 2, (0, 0)),  # never negative
    ],
)
def test_padding_makes_a_side_ceil_of_its_share(size, kernel, stride, wanted):
    assert same_padding(size, kernel, stride) == wanted


def test_files_that_are_there_are_kept(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(yardstick_files, "yardstick_bytes", lambda *_: b"new")
    kept = tmp_path / "mobilenet_v2_float32.onnx"
    kept.write_bytes(b"old")

    files = write_yardsticks(tmp_path, runtimes=("onnx",))

    assert [(one.name, one.precision) for one in files] == [
        ("mobilenet_v2", "float32"),
        ("mobilenet_v2", "int8"),
        ("mobilenet_v3_small", "float32"),
        ("mobilenet_v3_small", "int8"),
    ]
    assert [one.path.read_bytes() for one in files] == [b"old", b"new", b"new", b"new"]
    assert sorted(tmp_path.iterdir()) == sorted(one.path for one in files)


def test_operations_without_a_writer_are_refused():
    with pytest.raises(BenchmarkError, match=r"got \['ChannelShuffle', 'Concat', 'MaxPool'"):
        yardstick_bytes(make_yardstick("shufflenet_v2"), "onnx", "float32")
