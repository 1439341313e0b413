"""ONNX int8 of a small network that has everything the project's networks have."""

import hashlib
import subprocess
import sys
from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from atpn_mobile.backends.onnx import OnnxBackend
from atpn_mobile.manifest import InputSpec, ModelSpec, OutputSpec
from converters.errors import ConversionError
from converters.graph import read_graph
from converters.onnx_qdq import Scale, weight_steps
from converters.quantize_onnx import OnnxInt8Options, to_onnx_int8
from converters.to_onnx import OPSET, to_onnx
from training.network.blocks import AddCoordinates, ConvBnAct, InvertedResidual
from training.network.config import BlockConfig

SPEC = ModelSpec(
    "small",
    InputSpec("image", (1, 3, 32, 32), "NCHW"),
    (OutputSpec("points", (1, 6)), OutputSpec("presence", (1, 1))),
)


class Small(nn.Module):
    """Shortcuts, squeeze-excite, coordinates, a transposed convolution, a product, two heads."""

    def __init__(self):
        super().__init__()
        self.stem = ConvBnAct(3, 16, 3, 2)
        self.block = InvertedResidual(16, BlockConfig(3, 32, 16, 1, "hardswish", True))
        self.plain = InvertedResidual(16, BlockConfig(3, 32, 16, 1, "relu"))
        self.down = ConvBnAct(16, 16, 3, 2)
        self.up = nn.ConvTranspose2d(16, 16, 2, 2)
        self.coords = AddCoordinates(16)
        self.mix = ConvBnAct(18, 24, 4, 4, activation="hardswish")
        self.gather = nn.Conv2d(24, 24, 4, groups=24)
        self.act = nn.Hardswish()
        self.points = nn.Linear(24, 6)
        self.view = ConvBnAct(16, 32, 3, 2)
        self.presence = nn.Linear(32 * 64, 1)

    def forward(self, image):
        features = self.plain(self.block(self.stem(image * (1.0 / 127.5) - 1.0)))
        features = features + self.up(self.down(features))
        vector = self.act(self.gather(self.mix(self.coords(features)))).flatten(1)
        points = self.points(vector)
        heat = torch.sigmoid(points[:, :1]).reshape(-1, 1, 1, 1)
        seen = self.view(features * heat).flatten(1)
        return points, torch.sigmoid(self.presence(seen))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(3)
    network = Small()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.7, 1.4)
            nn.init.uniform_(layer.bias, -0.3, 0.3)
            layer.momentum = 1.0
    with torch.no_grad():
        network(torch.from_numpy(np.concatenate(pictures(16, seed=1))))
        network.points.weight *= 4.0  # outputs that depend on the picture
        network.presence.weight *= 4.0
    return network.eval()


def pictures(count, seed):
    """Soft blobs of colour."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(0.0, 255.0, (count, 3, 5, 5)))
    fine = nn.functional.interpolate(coarse, (32, 32), mode="bilinear", align_corners=True)
    return [picture[None] for picture in fine.numpy().astype(np.float32)]


@pytest.fixture(scope="module")
def float32(network):
    return to_onnx(network, SPEC)


@pytest.fixture(scope="module")
def calibration():
    return pictures(16, seed=1)


@pytest.fixture(scope="module")
def int8(float32, calibration):
    return to_onnx_int8(float32, calibration)


def parts(model):
    """Nodes by output and constants by name."""
    graph = onnx.load_from_string(model).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    return {node.output[0]: node for node in graph.node}, constants


def outputs(model, images):
    backend = OnnxBackend(model, SPEC)
    runs = [backend.run({"image": image}) for image in images]
    return {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}


def decibels(expected, got):
    """Signal to noise, the signal being what differs between pictures."""
    signal = np.square(expected - expected.mean(axis=0)).sum()
    return 10.0 * np.log10(signal / np.square(got - expected).sum())


# --- what it computes ---


def test_outputs_are_close_on_other_pictures(float32, int8):
    images = pictures(24, seed=2)
    expected, got = outputs(float32, images), outputs(int8, images)
    for name in ("points", "presence"):
        assert expected[name].std(axis=0).min() > 0.1, name  # no comparison of constants
        assert 15.0 < decibels(expected[name], got[name]) < 60.0, name


def test_the_graph_is_valid_and_keeps_its_names(int8):
    model = onnx.load_from_string(int8)
    onnx.checker.check_model(model, full_check=True)
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": OPSET}
    assert model.graph.name == "small"
    OnnxBackend(int8, SPEC)  # checks inputs and outputs


def test_the_same_bytes_in_another_process(float32, calibration, int8, tmp_path):
    (tmp_path / "model.onnx").write_bytes(float32)
    np.save(tmp_path / "pictures.npy", np.concatenate(calibration))
    program = (
        "import hashlib, sys, numpy as np; from pathlib import Path;"
        "from converters.quantize_onnx import to_onnx_int8; folder = Path(sys.argv[1]);"
        "pictures = [one[None] for one in np.load(folder / 'pictures.npy')];"
        "model = to_onnx_int8((folder / 'model.onnx').read_bytes(), pictures);"
        "print(hashlib.sha256(model).hexdigest())"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hashlib.sha256(int8).hexdigest()


def test_the_file_is_much_smaller(float32, int8):
    assert len(int8) < 0.65 * len(float32)


# --- what is computed in integers ---


def test_layers_compute_in_integers_but_for_heads_and_cheap_ones_before(int8):
    nodes, constants = parts(int8)
    layers = [node for node in nodes.values() if node.op_type in ("Conv", "Gemm")]
    floats = {node.input[1] for node in layers if node.input[1] in constants}
    assert floats == {"gather.weight", "points.weight", "presence.weight"}
    kinds = Counter(node.op_type for node in nodes.values())
    assert kinds["HardSwish"] == 2  # before and after gather
    assert kinds["HardSigmoid"] == 0
    for node in layers:
        if node.input[1] not in floats:
            assert [nodes[name].op_type for name in node.input] == ["DequantizeLinear"] * 3


def test_the_whole_range_of_a_picture_is_held_whatever_the_pictures_show(float32):
    nodes, constants = parts(to_onnx_int8(float32, [np.full((1, 3, 32, 32), 9.0, np.float32)]))
    stem = next(node for node in nodes.values() if node.op_type == "Conv")
    _, step, zero = nodes[stem.input[0]].input
    levels = (np.arange(256) - int(constants[zero])) * constants[step]
    assert constants[step] == pytest.approx(2.0 / 255.0)
    np.testing.assert_allclose([levels[0], levels[-1]], [-1.0, 1.0], atol=1.01 / 255.0)


def test_a_network_without_normalisation_reads_the_picture_in_eight_bits(calibration):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(3600, 2)).eval()
    spec = ModelSpec("plain", SPEC.input, (OutputSpec("y", (1, 2)),))
    nodes, constants = parts(to_onnx_int8(to_onnx(network, spec), calibration))
    (rounding,) = (node for node in nodes.values() if node.input[0] == "image")
    assert rounding.op_type == "QuantizeLinear"
    assert (constants[rounding.input[1]], constants[rounding.input[2]]) == (1.0, 0)


def test_onnx_runtime_has_kernels_for_it(int8, tmp_path):
    # The engine replaces everything between the conversions; what it leaves would be slow.
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3  # that such a file belongs to this machine
    onnxruntime.InferenceSession(int8, options, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert kinds["QLinearConv"] == 12
    assert kinds["Conv"] == 1  # gather
    assert kinds["Relu"] == 0
    assert kinds["QLinearMul"] == 4  # two hard-swishes, squeeze-excite, product with the heat
    assert kinds["QLinearAdd"] == 6  # two hard-swishes, squeeze-excite, three sums
    assert kinds["QLinearConcat"] == 1


def test_hard_swish_is_a_sum_and_a_product(calibration):
    network = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.Hardswish(), nn.Conv2d(8, 4, 1), nn.Flatten(), nn.Linear(4096, 2)
    )
    torch.manual_seed(0)
    nn.init.normal_(network[0].weight, std=0.03)
    spec = ModelSpec("swish", SPEC.input, (OutputSpec("y", (1, 2)),))
    float32 = to_onnx(network.eval(), spec)
    int8 = to_onnx_int8(float32, calibration)
    images = pictures(8, seed=5)
    first, second = (
        np.concatenate([OnnxBackend(model, spec).run({"image": one})["y"] for one in images])
        for model in (float32, int8)
    )
    assert decibels(first, second) > 25.0
    nodes, _ = parts(int8)
    assert "HardSwish" not in {node.op_type for node in nodes.values()}
    assert "HardSigmoid" not in {node.op_type for node in nodes.values()}


class Clipped(nn.Module):
    """A convolution that goes far beyond the bounds, and one after it."""

    def __init__(self, low, high):
        super().__init__()
        self.low, self.high = low, high
        self.first, self.second = nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 4, 3, 2)
        self.out = nn.Linear(4 * 49, 2)

    def forward(self, x):
        bounded = self.first(x * (1.0 / 127.5) - 1.0).clamp(self.low, self.high)
        return self.out(self.second(bounded).flatten(1))


def clipped(low, high, calibration):
    torch.manual_seed(0)
    network = Clipped(low, high).eval()
    nn.init.normal_(network.first.weight, std=3.0)
    spec = ModelSpec("clipped", SPEC.input, (OutputSpec("y", (1, 2)),))
    float32 = to_onnx(network, spec)
    int8 = to_onnx_int8(float32, calibration)
    images = pictures(24, seed=5)
    first, second = (
        np.concatenate([OnnxBackend(model, spec).run({"image": one})["y"] for one in images])
        for model in (float32, int8)
    )
    assert decibels(first, second) > 20.0
    return parts(int8)


@pytest.mark.parametrize(("low", "high"), [(0.0, 6.0), (-1.0, 1.0), (0.0, None)])
def test_rounding_is_the_clipping(calibration, low, high):
    nodes, constants = clipped(low, high, calibration)
    assert {"Clip", "Relu"}.isdisjoint(node.op_type for node in nodes.values())
    convolution = next(node for node in nodes.values() if node.op_type == "Conv")
    (rounding,) = (n for n in nodes.values() if n.input[0] == convolution.output[0])
    step, zero = (constants[name].item() for name in rounding.input[1:])
    lowest, highest = -zero * step, (255 - zero) * step
    assert lowest == pytest.approx(low, abs=step)
    if high is not None:  # no result is beyond, not even by the width of a bin of the histogram
        assert highest <= high + 0.51 * step
        assert highest > 0.9 * high


def test_a_clip_that_leaves_out_zero_stays(calibration):
    nodes, _ = clipped(1.0, 3.0, calibration)
    assert [node.op_type for node in nodes.values()].count("Clip") == 1


def test_another_hard_sigmoid_stays_as_it_is(calibration):
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(3, 4, 1)
            self.second = nn.Conv2d(4, 4, 1)
            self.out = nn.Linear(4096, 2)

        def forward(self, x):
            return self.out(self.second(nn.functional.hardsigmoid(self.first(x))).flatten(1))

    torch.manual_seed(0)
    spec = ModelSpec("gated", SPEC.input, (OutputSpec("y", (1, 2)),))
    model = onnx.load_from_string(to_onnx(Gated().eval(), spec))
    (node,) = (node for node in model.graph.node if node.op_type == "HardSigmoid")
    next(one for one in node.attribute if one.name == "alpha").f = 0.2
    nodes, _ = parts(to_onnx_int8(model.SerializeToString(), calibration))
    assert "HardSigmoid" in {node.op_type for node in nodes.values()}


# --- weights ---


def integer_weights(model):
    _, constants = parts(model)
    return {
        name: array
        for name, array in constants.items()
        if array.dtype == np.int8 and array.ndim == 4
    }


def largest_sums(weights):
    """Of two weights of one sign, by channel, in whatever order a kernel takes them."""
    rows = np.sort(weights.reshape(len(weights), -1).astype(int), axis=1)
    return np.maximum(rows[:, -2:].clip(min=0).sum(axis=1), -rows[:, :2].clip(max=0).sum(axis=1))


def test_no_sum_of_two_products_overflows_sixteen_bits(float32, calibration, int8):
    dense = {name: one for name, one in integer_weights(int8).items() if one.shape[1] > 1}
    assert len(dense) == 10
    for weights in dense.values():
        assert 255 * largest_sums(weights).max() <= 32_767
        assert largest_sums(weights).min() >= 126  # and no bit is given away
    full = to_onnx_int8(float32, calibration, OnnxInt8Options(any_cpu=False))
    for name in dense:
        assert 255 * largest_sums(integer_weights(full)[name]).max() > 32_767
        assert (np.abs(integer_weights(full)[name]).max(axis=(1, 2, 3)) == 127).all()


def test_depthwise_weights_use_all_their_bits(int8):
    depthwise = [one for one in integer_weights(int8).values() if one.shape[1] == 1]
    assert len(depthwise) == 2
    for weights in depthwise:
        assert (np.abs(weights).max(axis=(1, 2, 3)) == 127).all()


def test_steps_of_weights():
    weights = np.array([[1.0, -1.0, 0.5], [0.25, 0.25, 0.0], [0.0, 0.0, 0.0]])[:, :, None, None]
    wide = weight_steps(weights, any_cpu=False)
    np.testing.assert_allclose(wide * 127, [1.0, 0.25, 0.0], atol=1e-6)
    safe = weight_steps(weights, any_cpu=True)
    np.testing.assert_allclose(safe * 127, [1.5, 0.5, 0.0], atol=1e-6)
    assert (safe > 0.0).all()


def test_the_bias_of_a_dead_channel_is_kept(calibration):
    network = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Flatten(), nn.Linear(4096, 2)
    )
    torch.manual_seed(0)
    with torch.no_grad():
        network[0].weight[1] = 0.0  # its bias is millions of steps of its weights
        network[0].bias[1] = 50.0
    spec = ModelSpec("dead", SPEC.input, (OutputSpec("y", (1, 2)),))
    float32 = to_onnx(network.eval(), spec)
    images = pictures(4, seed=5)
    first, second = (
        np.concatenate([OnnxBackend(model, spec).run({"image": one})["y"] for one in images])
        for model in (float32, to_onnx_int8(float32, calibration))
    )
    assert np.abs(first - second).max() < 0.02 * np.abs(first).max()


# --- scales ---


@pytest.mark.parametrize(
    ("values", "zero"), [((0.0, 2.0), 0), ((-2.0, 0.0), 255), ((-1.0, 1.0), 128), ((1.0, 3.0), 0)]
)
def test_zero_is_an_integer_of_every_scale(values, zero):
    scale = Scale.of(values)
    assert scale.zero == pytest.approx(zero, abs=1)
    assert scale.quantize(np.zeros(1, np.float32))[0] == scale.zero


def test_values_beyond_the_range_are_cut_off():
    scale = Scale.of((-1.0, 1.0))
    assert scale.quantize(np.array([-9.0, -1.0, 0.5, 9.0])).tolist() == [0, 0, 191, 255]


@pytest.mark.parametrize("values", [(0.0, 0.0), (0.0, np.inf), (np.nan, 1.0)])
def test_a_range_of_nothing_is_refused(values):
    with pytest.raises(ConversionError, match="range of values"):
        Scale.of(values)


# --- options and errors ---


def test_layers_that_are_named_stay_float(float32, calibration, int8):
    options = OnnxInt8Options(float_layers=("^view", "reduce$"))
    nodes, constants = parts(to_onnx_int8(float32, calibration, options))
    convolutions = [node for node in nodes.values() if node.op_type == "Conv"]
    floats = {node.input[1] for node in convolutions if node.input[1] in constants}
    assert floats == {"view.conv.weight", "block.layers.2.reduce.weight", "gather.weight"}
    with pytest.raises(ConversionError, match="layers that match 'nose'"):
        to_onnx_int8(float32, calibration, OnnxInt8Options(float_layers=("nose",)))


def test_other_pictures_give_other_ranges(float32, int8):
    dark = [0.2 * picture for picture in pictures(4, seed=1)]
    assert to_onnx_int8(float32, dark) != int8


def test_it_needs_pictures_a_network_and_layers(float32, calibration):
    with pytest.raises(ConversionError, match="expected pictures"):
        to_onnx_int8(float32, [])
    with pytest.raises(ConversionError, match="expected an ONNX file"):
        to_onnx_int8(b"nothing", calibration)
    with pytest.raises(ConversionError, match="to compute in int8, got none"):
        to_onnx_int8(float32, calibration, OnnxInt8Options(float_layers=(".",)))


def test_every_node_has_a_name_of_its_own(int8):
    names = [node.name for node in onnx.load_from_string(int8).graph.node]
    assert len(names) == len(set(names))
    assert read_graph(int8).outputs == ("points", "presence")
