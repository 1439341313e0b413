"""The TFLite files agree with torch, and one that does not is caught."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from converters.errors import ParityError
from converters.graph import read_graph
from converters.models import MODELS, Reference, load_reference
from converters.parity import (
    LIMITS,
    ParityInput,
    ParityReport,
    compare,
    parity_inputs,
    require_parity,
)

pytest.importorskip("tensorflow", reason="makes the .tflite files")
pytest.importorskip("ai_edge_litert", reason="runs the .tflite files")
pytest.importorskip("ai_edge_quantizer", reason="makes the smaller ones")

from atpn_mobile.backends.tflite import TfliteBackend
from converters.quantize_tflite import quantize_tflite
from converters.tflite import convolutions
from converters.to_tflite import to_tflite

MODELS_DIR = Path(__file__).parents[2] / "models"
SHIPPED = [name for name, model in MODELS.items() if not model.is_baseline]
FLOAT16_LIMITS = {
    "alignment": {"landmarks_max_percent": 0.3, "pose_max_deg": 0.5, "presence_max": 0.005},
    "detection": {"boxes_max_percent": 0.5, "scores_max": 0.005},
}


def channels_last(reference):
    spec = reference.model.spec
    side = spec.input.resolution
    return replace(spec, input=replace(spec.input, shape=(1, side, side, 3), layout="NHWC"))


def convert(reference: Reference, model: bytes, **options) -> bytes:
    return to_tflite(read_graph(model), channels_last(reference), **options)


def measure(
    reference: Reference, contents: bytes, inputs: tuple[ParityInput, ...] | None = None
) -> ParityReport:
    task, spec = reference.model.task, reference.model.spec
    inputs = inputs or parity_inputs(task, spec.input)
    with closing(TfliteBackend(contents, channels_last(reference))) as backend:
        return compare(reference, backend, task, spec, inputs, "tflite with torch")


def edited(model: bytes, initializer: str, change: Callable[[np.ndarray], np.ndarray]) -> bytes:
    """The ONNX graph with one constant changed."""
    graph = onnx.load_from_string(model)
    (tensor,) = (one for one in graph.graph.initializer if one.name == initializer)
    tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor)), initializer))
    return graph.SerializeToString()


# --- the shipped networks ---


@pytest.fixture(scope="module", params=SHIPPED)
def shipped(request) -> Reference:
    model = MODELS[request.param]
    return load_reference(model, MODELS_DIR / model.weights_name)


@pytest.fixture(scope="module")
def shipped_tflite(shipped: Reference) -> bytes:
    return convert(shipped, (MODELS_DIR / f"{shipped.model.name}_float32.onnx").read_bytes())


def test_the_shipped_networks_agree_with_torch(shipped: Reference, shipped_tflite: bytes) -> None:
    report = measure(shipped, shipped_tflite)
    require_parity(report, LIMITS["float32", shipped.model.task])
    assert report.sqnr_db > 80.0


def test_float16_weights_agree_with_torch(shipped: Reference, shipped_tflite: bytes) -> None:
    report = measure(shipped, quantize_tflite(shipped_tflite, "float16"))
    require_parity(report, FLOAT16_LIMITS[shipped.model.task])
    assert report.sqnr_db < 80.0  # something was rounded


# --- networks with random weights ---


@pytest.mark.parametrize("form", ["fused", "relu6"])
def test_atpn_agrees_with_torch(atpn: Reference, atpn_onnx: bytes, form: str) -> None:
    report = measure(atpn, convert(atpn, atpn_onnx, hard_swish=form))
    require_parity(report, LIMITS["float32", "alignment"])
    assert report.sqnr_db > 80.0


def test_detector_agrees_with_torch(detector: Reference, detector_onnx: bytes) -> None:
    report = measure(detector, convert(detector, detector_onnx))
    require_parity(report, LIMITS["float32", "detection"])
    assert report.sqnr_db > 80.0


@pytest.mark.parametrize(
    ("weights", "axes"),
    [
        ("backbone.stem.conv.weight", (0, 1, 3, 2)),  # height and width
        ("alignment.up14.weight", (1, 0, 2, 3)),  # inputs and outputs
        ("backbone.stage14.1.layers.1.conv.weight", (0, 1, 3, 2)),  # depthwise
    ],
)
def test_a_transposed_weight_is_caught(
    atpn: Reference,
    atpn_onnx: bytes,
    crops: tuple[ParityInput, ...],
    weights: str,
    axes: tuple[int, ...],
) -> None:
    altered = edited(atpn_onnx, weights, lambda values: values.transpose(axes).copy())
    with pytest.raises(ParityError, match="expected agreement of tflite"):
        require_parity(measure(atpn, convert(atpn, altered), crops), LIMITS["float32", "alignment"])


def test_wrong_padding_is_caught(
    atpn: Reference,
    atpn_onnx: bytes,
    crops: tuple[ParityInput, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What a converter does that takes ONNX's padding at the end for padding at the start.
    pads = convolutions._padding

    def swapped(node, sizes, kernel):
        top, left, bottom, right = node.attribute("pads", [0] * 4)
        if top == bottom:
            return pads(node, sizes, kernel)
        return [[0, 0], [bottom, top], [right, left], [0, 0]]

    monkeypatch.setattr(convolutions, "_padding", swapped)
    with pytest.raises(ParityError, match="landmarks_max_percent"):
        require_parity(
            measure(atpn, convert(atpn, atpn_onnx), crops), LIMITS["float32", "alignment"]
        )


def test_an_altered_detector_is_caught(detector: Reference, detector_onnx: bytes) -> None:
    altered = edited(detector_onnx, "distances.bias", lambda values: values + np.float32(0.01))
    with pytest.raises(ParityError, match="boxes_max_percent"):
        require_parity(
            measure(detector, convert(detector, altered)), LIMITS["float32", "detection"]
        )
