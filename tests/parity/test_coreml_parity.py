"""The shipped networks as Core ML packages agree with torch, and one that does not is caught.

Off macOS the packages are read back and executed by the project's interpreter.
"""

import importlib.util
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from converters.calibration import calibration_inputs
from converters.errors import ParityError
from converters.graph import Graph, Node, read_graph
from converters.models import MODELS, Reference, load_reference
from converters.parity import ParityInput, ParityReport, compare, parity_inputs, require_parity

if importlib.util.find_spec("coremltools") is None:  # not importorskip: its import prints
    pytest.skip("coremltools makes the packages", allow_module_level=True)

from converters.coreml.interpreter import parity_backends
from converters.to_coreml import PRECISIONS, to_coreml

MODELS_DIR = Path(__file__).parents[2] / "models"
EVERY = 4  # a part of the inputs is enough to see that nothing is broken
EVERY_CALIBRATION = 16

# The project's limits for float32 and float16 of the landmark network; otherwise about twice what
# was measured on these inputs. The larger network leaves out palettized6, to save time.
LIMITS = {
    ("atpn", "float32"): {
        "landmarks_max_percent": 0.015,
        "pose_max_deg": 0.1,
        "presence_max": 1e-3,
    },
    ("atpn", "float16"): {"landmarks_max_percent": 0.3, "pose_max_deg": 0.5, "presence_max": 1e-3},
    ("atpn", "int8_weights"): {"landmarks_mean_percent": 0.15, "pose_max_deg": 0.5},
    ("atpn", "palettized4"): {"landmarks_mean_percent": 0.6, "pose_max_deg": 5.0},
    ("detector", "float32"): {"boxes_max_percent": 0.01, "scores_max": 1e-3},
    ("detector", "float16"): {"boxes_max_percent": 0.4, "scores_max": 0.005},
    ("detector", "int8_weights"): {"boxes_mean_percent": 0.4, "scores_max": 0.02},
    ("detector", "palettized6"): {"boxes_mean_percent": 0.4, "scores_max": 0.03},
    ("detector", "palettized4"): {"boxes_mean_percent": 0.7, "scores_max": 0.15},
}


@cache
def reference(name: str) -> Reference:
    model = MODELS[name]
    return load_reference(model, MODELS_DIR / model.weights_name)


@cache
def graph(name: str) -> Graph:
    return read_graph((MODELS_DIR / f"{name}_float32.onnx").read_bytes())


@cache
def inputs(name: str) -> tuple[ParityInput, ...]:
    model = MODELS[name]
    chosen = parity_inputs(model.task, model.input)[::EVERY]
    # A picture has whole numbers.
    return tuple(replace(one, tensor=np.rint(one.tensor)) for one in chosen)


def measure(name: str, precision: str, source: Graph) -> list[ParityReport]:
    model = MODELS[name]
    pictures = calibration_inputs(model.task, model.input).inputs[::EVERY_CALIBRATION]
    package = to_coreml(source, model, precision, pictures)
    reports = []
    for backend, text in parity_backends(package, model.spec):
        with closing(backend):
            compared = f"coreml {precision} ({text}) with torch"
            reports.append(
                compare(reference(name), backend, model.task, model.spec, inputs(name), compared)
            )
    return reports


@pytest.mark.parametrize(("name", "precision"), LIMITS)
def test_agrees_with_torch(name: str, precision: str) -> None:
    reports = measure(name, precision, graph(name))
    for report in reports:
        require_parity(report, LIMITS[name, precision])
        if precision == "float32":
            assert report.sqnr_db > 100.0
            assert report.random_inputs > 0
    assert "read back and executed by the project's interpreter" in reports[0].compared
    assert "not on Apple hardware" in reports[0].compared


def test_every_precision_is_compared() -> None:
    assert {precision for _, precision in LIMITS} == set(PRECISIONS)


def changed(source: Graph, node: Node, **fields: object) -> Graph:
    """The graph with one node changed."""
    nodes = tuple(replace(one, **fields) if one is node else one for one in source.nodes)
    return replace(source, nodes=nodes)


def transposed_weight(source: Graph) -> Graph:
    """A convolution with as many inputs as outputs, the two exchanged: every shape still fits."""
    node = next(
        one
        for one in source.nodes
        if one.op == "Conv"
        and one.attributes["group"] == 1
        and source.constant(one, 1).shape[0] == source.constant(one, 1).shape[1]
    )
    name = node.inputs[1]
    weight = source.constants[name].swapaxes(0, 1)
    return replace(source, constants=MappingProxyType({**source.constants, name: weight}))


def padding_on_the_other_side(source: Graph) -> Graph:
    node = next(one for one in source.nodes if one.attributes.get("pads") == [0, 0, 1, 1])
    return changed(source, node, attributes={**node.attributes, "pads": [1, 1, 0, 0]})


def sides_exchanged(source: Graph) -> Graph:
    """Left for top: what a converter that misreads the order of the pads would do."""
    node = next(one for one in source.nodes if one.attributes.get("pads") == [0, 0, 1, 1])
    return changed(source, node, attributes={**node.attributes, "pads": [0, 1, 1, 0]})


@pytest.mark.parametrize("damage", [transposed_weight, padding_on_the_other_side, sides_exchanged])
def test_a_wrong_graph_is_caught(damage: Callable[[Graph], Graph]) -> None:
    for report in measure("detector", "float32", damage(graph("detector"))):
        with pytest.raises(ParityError, match=r"expected agreement of coreml .* boxes_max_percent"):
            require_parity(report, LIMITS["detector", "float32"])
