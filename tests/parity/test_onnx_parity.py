"""The exported networks agree with torch, and a graph that does not is caught."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from atpn_mobile.backends.onnx import OnnxBackend
from atpn_mobile.types import FloatArray
from converters.errors import ParityError
from converters.models import DETECTOR, Reference
from converters.parity import (
    LIMITS,
    AlignmentParity,
    ParityInput,
    ParityReport,
    compare,
    parity_inputs,
    require_parity,
)
from converters.to_onnx import to_onnx
from converters.verify import verify

MODELS_DIR = Path(__file__).parents[2] / "models"


def measure(
    reference: Reference, model: bytes, inputs: tuple[ParityInput, ...] | None = None
) -> ParityReport:
    task, spec = reference.model.task, reference.model.spec
    inputs = inputs or parity_inputs(task, spec.input)
    return compare(reference, OnnxBackend(model, spec), task, spec, inputs, "onnx with torch")


def test_atpn_agrees_with_torch(atpn: Reference, atpn_onnx: bytes) -> None:
    report = measure(atpn, atpn_onnx)
    require_parity(report, LIMITS["float32", "alignment"])
    assert isinstance(report, AlignmentParity)
    assert report.crops == 64
    assert report.sqnr_db > 80.0


def test_detector_agrees_with_torch(detector: Reference, detector_onnx: bytes) -> None:
    report = measure(detector, detector_onnx)
    require_parity(report, LIMITS["float32", "detection"])
    assert report.sqnr_db > 80.0


def test_the_comparison_is_not_one_of_constants(
    atpn: Reference, detector: Reference, crops: tuple[ParityInput, ...]
) -> None:
    outputs = [atpn.run({"image": one.tensor}) for one in crops]
    for name, least in (("landmarks", 0.01), ("pose", 0.01), ("presence", 0.01)):
        values = np.concatenate([one[name] for one in outputs])
        assert values.std(axis=0).max() > least, name
        assert np.abs(values).max() < 3.1, name  # tanh times pi is not saturated
    frames = parity_inputs("detection", DETECTOR.input)[::8]
    outputs = [detector.run({"image": one.tensor}) for one in frames]
    for name in ("boxes", "scores"):
        assert np.concatenate([one[name] for one in outputs]).std(axis=0).max() > 0.01, name


def with_mean_shape(
    reference: Reference, model: bytes, shape: FloatArray
) -> tuple[Reference, bytes]:
    """Both with other landmarks, and so with another heatmap."""
    network = copy.deepcopy(reference.network)
    network.alignment.mean_shape.copy_(torch.from_numpy(shape)[None])
    return replace(reference, network=network), edited(
        model, "alignment.mean_shape", lambda values: shape[None]
    )


def edited(model: bytes, initializer: str, change: Callable[[np.ndarray], np.ndarray]) -> bytes:
    """The graph with one constant changed."""
    graph = onnx.load_from_string(model)
    (tensor,) = (one for one in graph.graph.initializer if one.name == initializer)
    values = change(numpy_helper.to_array(tensor).copy()).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(values, initializer))
    return graph.SerializeToString()


@pytest.mark.parametrize(
    ("name", "move"),
    [
        ("one point: most cells at the floor", lambda face: np.full_like(face, 0.5)),
        ("all far outside: every cell at the floor", lambda face: face + 3.0),
        ("on cell centres: distance 0", lambda face: (np.rint(face * 28) + 0.5) / 28),
        ("spread out: many cells in between", lambda face: (face - 0.5) * 2 + 0.5),
    ],
)
def test_the_heatmap_agrees_where_it_saturates(
    atpn: Reference,
    atpn_onnx: bytes,
    crops: tuple[ParityInput, ...],
    mean_face: FloatArray,
    name: str,
    move: Callable[[FloatArray], FloatArray],
) -> None:
    reference, model = with_mean_shape(atpn, atpn_onnx, move(mean_face).astype(np.float32))
    report = measure(reference, model, crops)
    require_parity(report, LIMITS["float32", "alignment"])


def test_the_pose_depends_on_the_heatmap(
    atpn: Reference, atpn_onnx: bytes, crops: tuple[ParityInput, ...], mean_face: FloatArray
) -> None:
    # Otherwise the test above would not test the heatmap. Landmarks move by the shift alone.
    moved, _ = with_mean_shape(atpn, atpn_onnx, mean_face + np.float32(3.0))
    report = measure(moved, atpn_onnx, crops)
    assert isinstance(report, AlignmentParity)
    assert report.landmarks_mean_px == pytest.approx(112 * 3.0 * 2**0.5, rel=1e-3)
    assert report.pose_max_deg > 1.0
    assert report.presence_max > 0.01


def first_clip_bound(model: bytes) -> str:
    """The constant at which the heatmap's differences are cut off."""
    graph = onnx.load_from_string(model).graph
    return next(node.input[1] for node in graph.node if node.op_type == "Clip")


@pytest.mark.parametrize(
    ("find", "change"),
    [
        (lambda model: "backbone.stem.conv.weight", lambda values: values * 1.01),
        (lambda model: "alignment.residual.bias", lambda values: values + 0.001),
        (lambda model: "pose.out.bias", lambda values: values + 0.002),
        (lambda model: "tracking.out.bias", lambda values: values * 1.5),
        (first_clip_bound, lambda values: values / 2),
    ],
    ids=["stem", "landmarks", "pose", "presence", "heatmap"],
)
def test_an_altered_graph_is_caught(
    atpn: Reference,
    atpn_onnx: bytes,
    crops: tuple[ParityInput, ...],
    find: Callable[[bytes], str],
    change: Callable[[np.ndarray], np.ndarray],
) -> None:
    altered = edited(atpn_onnx, find(atpn_onnx), change)
    with pytest.raises(ParityError, match="expected agreement"):
        require_parity(measure(atpn, altered, crops), LIMITS["float32", "alignment"])


def test_an_altered_detector_is_caught(detector: Reference, detector_onnx: bytes) -> None:
    altered = edited(detector_onnx, "distances.bias", lambda values: values + 0.01)
    with pytest.raises(ParityError, match="boxes_max_percent"):
        require_parity(measure(detector, altered), LIMITS["float32", "detection"])


def test_the_export_is_repeatable(detector: Reference, detector_onnx: bytes) -> None:
    assert to_onnx(detector.network, DETECTOR.spec) == detector_onnx


def test_the_shipped_models_hold() -> None:
    results = verify(MODELS_DIR, MODELS_DIR, lambda text: None)
    assert {result.model for result in results} == {"atpn", "detector"}
    assert {result.path: result.error for result in results if result.error} == {}
