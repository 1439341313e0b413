"""ASMNet and MobileNetV2 go through every converter, and what comes out agrees with torch."""

import importlib.util
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from atpn_mobile.backends.base import Backend
from atpn_mobile.backends.onnx import OnnxBackend
from atpn_mobile.manifest import ModelSpec
from atpn_mobile.types import FloatArray
from converters.calibration import calibration_inputs
from converters.errors import ParityError
from converters.graph import Graph, read_graph
from converters.models import ASMNET, MOBILENETV2, Reference, ReferenceModel
from converters.parity import (
    LIMITS,
    AlignmentParity,
    ParityInput,
    compare,
    parity_inputs,
    require_parity,
    to_layout,
)
from converters.quantize_onnx import to_onnx_int8
from converters.to_onnx import to_onnx
from training.network.mobilenetv2 import BLOCKS, AlignmentOutput, ConvBnRelu6, Heads, Trunk


def pictures(count: int) -> list[FloatArray]:
    found = calibration_inputs("alignment", ASMNET.input).inputs
    return list(found[:: len(found) // count])


def calm(network: nn.Module) -> None:
    """Random weights that keep what a picture shows, as trained ones do.

    Depthwise filters that blur, and activations that seldom reach their bounds: a random network
    as it is made turns a grey level of noise into another result.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.groups > 1:
            layer.weight.abs_()
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
            layer.weight.uniform_(0.7, 1.4)
            layer.bias.uniform_(-0.3, 0.3)
    for layer in network.modules():
        if isinstance(layer, ConvBnRelu6):
            layer.norm.bias += 1.5


def untrained(model: ReferenceModel) -> Reference:
    """Random weights; batch normalisation with the statistics of pictures."""
    torch.manual_seed(5)
    network = model.build({}).train()
    with torch.no_grad():
        calm(network)
        network(torch.from_numpy(np.concatenate(pictures(8))))
        for head in (network.heads.landmarks, network.heads.pose):
            head.weight *= 0.1  # landmarks that stay on the crop, angles below the bounds of tanh
    return Reference(model, network.eval(), "0" * 64)


@pytest.fixture(scope="module", params=[ASMNET, MOBILENETV2], ids=lambda model: model.name)
def baseline(request: pytest.FixtureRequest) -> Reference:
    return untrained(request.param)


@pytest.fixture(scope="module")
def onnx_file(baseline: Reference) -> bytes:
    return to_onnx(baseline.network, baseline.model.spec)


@pytest.fixture(scope="module")
def graph(onnx_file: bytes) -> Graph:
    return read_graph(onnx_file)


@pytest.fixture(scope="module")
def inputs() -> tuple[ParityInput, ...]:
    return parity_inputs("alignment", ASMNET.input)[::8]


def measure(
    reference: Reference, backend: Backend, inputs: tuple[ParityInput, ...]
) -> AlignmentParity:
    with closing(backend):
        spec = reference.model.spec
        report = compare(reference, backend, "alignment", spec, inputs, "the file with torch")
    assert isinstance(report, AlignmentParity)
    assert report.presence_max is None
    assert report.random_inputs > 0
    return report


def channels_last(reference: Reference) -> ModelSpec:
    spec = reference.model.spec
    return replace(spec, input=replace(spec.input, shape=(1, 224, 224, 3), layout="NHWC"))


def test_the_comparison_is_not_one_of_constants(
    baseline: Reference, inputs: tuple[ParityInput, ...]
) -> None:
    outputs = [baseline.run({"image": one.tensor}) for one in inputs if not one.is_random]
    for name in ("landmarks", "pose"):
        values = np.concatenate([one[name] for one in outputs])
        assert values.std(axis=0).max() > 0.01, name
        assert np.abs(values).max() < 3.0, name


def test_onnx(baseline: Reference, onnx_file: bytes, inputs: tuple[ParityInput, ...]) -> None:
    report = measure(baseline, OnnxBackend(onnx_file, baseline.model.spec), inputs)
    require_parity(report, LIMITS["float32", "alignment"])
    assert report.sqnr_db > 80.0


def test_onnx_int8(baseline: Reference, onnx_file: bytes) -> None:
    int8 = to_onnx_int8(onnx_file, pictures(2))
    OnnxBackend(int8, baseline.model.spec).close()  # the engine takes it
    assert len(int8) < 0.4 * len(onnx_file)
    nodes = onnx.load_from_string(int8).graph.node
    made_by = {node.output[0]: node for node in nodes}
    kinds = Counter(node.op_type for node in nodes)
    assert kinds["Clip"] == 0  # rounding is the clipping
    assert kinds["Gemm"] == 2  # the heads, in float
    for node in nodes:
        if node.op_type == "Conv":
            assert [made_by[name].op_type for name in node.input] == ["DequantizeLinear"] * 3


@pytest.fixture
def tflite() -> Callable[[Graph, ModelSpec], bytes]:
    pytest.importorskip("tensorflow", reason="makes the .tflite files")
    pytest.importorskip("ai_edge_litert", reason="runs the .tflite files")
    from converters.to_tflite import to_tflite

    return to_tflite


def test_tflite(
    baseline: Reference,
    graph: Graph,
    inputs: tuple[ParityInput, ...],
    tflite: Callable[[Graph, ModelSpec], bytes],
) -> None:
    pytest.importorskip("ai_edge_quantizer", reason="makes the int8 file")
    from atpn_mobile.backends.tflite import TfliteBackend
    from converters.quantize_tflite import quantize_tflite
    from converters.tflite.file import count_operations
    from converters.tflite.xnnpack import XnnpackReport, ops_outside

    spec = channels_last(baseline)
    float32 = tflite(graph, spec)
    report = measure(baseline, TfliteBackend(float32, spec), inputs)
    require_parity(report, LIMITS["float32", "alignment"])
    assert report.sqnr_db > 80.0
    assert ops_outside(float32) == XnnpackReport(partitions=1, outside={})
    found = count_operations(float32)
    assert {"TRANSPOSE", "PAD", "MINIMUM", "MAXIMUM", "RELU6"}.isdisjoint(found)

    int8 = quantize_tflite(float32, "int8", [to_layout(one, "NHWC") for one in pictures(2)])
    assert ops_outside(int8) == XnnpackReport(partitions=1, outside={})
    assert {"TRANSPOSE", "PAD"}.isdisjoint(count_operations(int8))
    assert len(int8) < 0.4 * len(float32)


class FirstBlocks(nn.Module):
    """As ASMNet begins: rounding does not yet add up over half a hundred layers."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk(BLOCKS[:4], kept=(1, 3))
        self.heads = Heads(BLOCKS[1].out + BLOCKS[3].out)

    def forward(self, image: Tensor) -> AlignmentOutput:
        output: AlignmentOutput = self.heads(self.trunk(image))
        return output


def test_int8_is_close_while_layers_are_few(
    inputs: tuple[ParityInput, ...], tflite: Callable[[Graph, ModelSpec], bytes]
) -> None:
    pytest.importorskip("ai_edge_quantizer", reason="makes the int8 file")
    from atpn_mobile.backends.tflite import TfliteBackend
    from converters.quantize_tflite import quantize_tflite

    first = untrained(replace(ASMNET, build=lambda description: FirstBlocks()))
    float32, spec = to_onnx(first.network, first.model.spec), channels_last(first)
    images = [to_layout(one, "NHWC") for one in pictures(8)]
    backends: tuple[Backend, ...] = (
        OnnxBackend(to_onnx_int8(float32, pictures(8)), first.model.spec),
        TfliteBackend(quantize_tflite(tflite(read_graph(float32), spec), "int8", images), spec),
    )
    for backend in backends:
        assert 20.0 < measure(first, backend, inputs).sqnr_db < 60.0


@pytest.mark.skipif(
    importlib.util.find_spec("coremltools") is None, reason="coremltools makes the packages"
)
def test_core_ml(baseline: Reference, graph: Graph, inputs: tuple[ParityInput, ...]) -> None:
    from converters.coreml.interpreter import InterpretedCoreml
    from converters.to_coreml import to_coreml

    package = to_coreml(graph, baseline.model, "float32")
    report = measure(baseline, InterpretedCoreml(package, baseline.model.spec), inputs[::2])
    require_parity(report, LIMITS["float32", "alignment"])
    assert report.sqnr_db > 80.0


def test_an_altered_head_is_caught(
    baseline: Reference, onnx_file: bytes, inputs: tuple[ParityInput, ...]
) -> None:
    model = onnx.load_from_string(onnx_file)
    (bias,) = (one for one in model.graph.initializer if one.name == "heads.pose.bias")
    moved = onnx.numpy_helper.to_array(bias) + np.float32(0.002)
    bias.CopyFrom(onnx.numpy_helper.from_array(moved, bias.name))
    backend = OnnxBackend(model.SerializeToString(), baseline.model.spec)
    with pytest.raises(ParityError, match="pose_max_deg"):
        require_parity(measure(baseline, backend, inputs), LIMITS["float32", "alignment"])
