"""The exported graph: valid, plain, self-contained, repeatable, silent about its maker."""

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from atpn_mobile.backends.onnx import OnnxBackend
from atpn_mobile.manifest import InputSpec, ModelSpec, OutputSpec
from converters.errors import ConversionError
from converters.models import Reference
from converters.to_onnx import (
    OPSET,
    TOOLS,
    check_graph,
    strip_origin,
    to_onnx,
    tool_versions,
)

ONE_TO_ONE = ModelSpec(
    "one", InputSpec("image", (1, 3, 4, 4), "NCHW"), (OutputSpec("out", (1, 3, 4, 4)),)
)


@pytest.fixture(scope="module")
def exported(_tiny: Reference) -> bytes:
    return to_onnx(_tiny.network, _tiny.model.spec)


@pytest.fixture
def graph(exported: bytes) -> onnx.ModelProto:
    return onnx.load_from_string(exported)


def image(seed: int, batch: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 255, (batch, 3, 112, 112)).astype(np.float32)


def test_gives_what_the_network_gives(tiny: Reference, exported: bytes) -> None:
    backend = OnnxBackend(exported, tiny.model.spec)
    for seed in range(4):
        expected = tiny.run({"image": image(seed)})
        got = backend.run({"image": image(seed)})
        for name in ("landmarks", "pose", "presence"):
            np.testing.assert_allclose(got[name], expected[name], atol=1e-4)


def test_names_and_shapes_are_those_of_the_specification(
    tiny: Reference, graph: onnx.ModelProto
) -> None:
    def shapes(tensors) -> dict[str, tuple[int, ...]]:
        return {
            one.name: tuple(dim.dim_value for dim in one.type.tensor_type.shape.dim)
            for one in tensors
        }

    assert shapes(graph.graph.input) == {"image": (1, 3, 112, 112)}
    assert shapes(graph.graph.output) == {one.name: one.shape for one in tiny.model.outputs}
    assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", OPSET)]


def test_padding_and_normalisation_are_part_of_the_convolution(graph: onnx.ModelProto) -> None:
    kinds = [node.op_type for node in graph.graph.node]
    assert "Pad" not in kinds
    assert "BatchNormalization" not in kinds
    first = next(node for node in graph.graph.node if node.op_type == "Conv")
    pads = next(attribute.ints for attribute in first.attribute if attribute.name == "pads")
    assert list(pads) == [0, 0, 1, 1]  # top, left, bottom, right: as TFLite's SAME pads


def test_is_repeatable_and_leaves_the_network_as_it_was(tiny: Reference, exported: bytes) -> None:
    before = {key: value.clone() for key, value in tiny.network.state_dict().items()}
    assert to_onnx(tiny.network, tiny.model.spec) == exported
    assert not tiny.network.training
    after = tiny.network.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_tells_nothing_of_the_machine(graph: onnx.ModelProto) -> None:
    assert not graph.doc_string
    assert not graph.metadata_props
    assert all(not n.doc_string and not n.metadata_props for n in graph.graph.node)
    for tensor in graph.graph.initializer:
        tensor.ClearField("raw_data")  # numbers may look like any word
    text = graph.SerializeToString()
    words = ["/", "\\", ".py", "site-packages", "torch", "forward", "Traceback"]
    assert [word for word in words if word.encode() in text] == []


def test_tool_versions_are_without_the_build() -> None:
    versions = tool_versions()
    assert set(versions) == set(TOOLS)
    assert versions["onnx"] == onnx.__version__
    assert torch.__version__.startswith(versions["torch"])
    assert not any("+" in version for version in versions.values())


def test_export_says_nothing(
    tiny: Reference, capfd: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        to_onnx(tiny.network, tiny.model.spec)
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.name.startswith("torch.onnx")] == []


def test_other_news_of_the_exporter_are_heard_again_afterwards(exported: bytes) -> None:
    assert logging.getLogger("torch.onnx._internal.exporter._registration").filters == []


def test_a_dynamic_batch_gives_the_same_rows(tiny: Reference) -> None:
    import onnxruntime

    model = to_onnx(tiny.network, tiny.model.spec, dynamic_batch=True)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    batch = image(7, batch=3)
    rows = session.run(None, {"image": batch})
    for index in range(3):
        expected = tiny.run({"image": batch[index : index + 1]})
        for value, name in zip(rows, expected, strict=True):
            np.testing.assert_allclose(value[index : index + 1], expected[name], atol=1e-4)
    # A runtime that knows the batch of 1 alone loads the same file.
    OnnxBackend(model, tiny.model.spec).run({"image": batch[:1]})


def test_refuses_a_network_in_training_mode(tiny: Reference) -> None:
    with pytest.raises(ConversionError, match="training mode"):
        to_onnx(tiny.network.train(), tiny.model.spec)


def test_refuses_what_torch_cannot_export() -> None:
    class Branches(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ConversionError, match=r"expected torch .* to export 'one'"):
        to_onnx(Branches().eval(), ONE_TO_ONE)


def test_refuses_an_operation_that_other_converters_do_not_know() -> None:
    class Erf(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.erf(x)

    with pytest.raises(ConversionError, match=r"operations out of .* got \{'Erf': 1\}"):
        to_onnx(Erf().eval(), ONE_TO_ONE)


def test_refuses_another_output_shape(tiny: Reference) -> None:
    landmarks, *others = tiny.model.outputs
    other = replace(tiny.model.spec, outputs=(replace(landmarks, shape=(1, 68, 2)), *others))
    with pytest.raises(ConversionError, match=r"expected outputs .*68"):
        to_onnx(tiny.network, other)


def older_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 17


def newer_file_format(model: onnx.ModelProto) -> None:
    model.ir_version = 11


def weights_outside(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.external_data.add(key="location", value="weights.bin")


def another_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 113


def undefined_value(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "nothing"


def foreign_operation(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.example"
    model.opset_import.add(domain="com.example", version=1)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (older_opset, "opset|valid graph"),
        (newer_file_format, "IR version 10"),
        (weights_outside, "outside|valid graph"),
        (another_input, "inputs|valid graph"),
        (undefined_value, "valid graph"),
        (foreign_operation, "opset 18 alone"),
    ],
)
def test_refuses_a_damaged_graph(
    tiny: Reference,
    graph: onnx.ModelProto,
    damage: Callable[[onnx.ModelProto], None],
    message: str,
) -> None:
    check_graph(graph, tiny.model.spec)  # what is damaged below was whole
    damage(graph)
    with pytest.raises(ConversionError, match=message):
        check_graph(graph, tiny.model.spec)


def test_strips_notes_wherever_they_stand(graph: onnx.ModelProto) -> None:
    places = [graph, graph.graph, graph.graph.node[3], graph.graph.initializer[0]]
    places += [graph.graph.input[0], graph.graph.output[0]]
    for place in places:
        place.doc_string = "secret"
        place.metadata_props.add(key="trace", value="secret")
    graph.producer_version = "secret"
    strip_origin(graph, "name")
    assert b"secret" not in graph.SerializeToString()
    assert graph.graph.name == "name"
