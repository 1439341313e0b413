"""Each operator against ONNX Runtime; what cannot be expressed; the package itself."""

import importlib
import importlib.util
import json
import logging
import os
import platform
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from atpn_mobile.backends.coreml import CoremlBackend
from atpn_mobile.backends.onnx import OnnxBackend
from atpn_mobile.errors import ModelMismatchError
from converters.coreml.operations import OPERATORS
from converters.errors import ConversionError, MissingToolError, RequestError
from converters.graph import Graph, read_graph
from converters.models import Reference
from converters.to_onnx import EXPECTED_OPS, to_onnx
from tests.unit.converters.mil_graphs import SIDE, description, network, node, picture

if importlib.util.find_spec("coremltools") is None:  # not importorskip: its import prints
    pytest.skip("coremltools makes the packages", allow_module_level=True)

from converters.coreml.interpreter import InterpretedCoreml
from converters.coreml.package import read_spec
from converters.coreml.program import load_program
from converters.coreml.tool import conversion, import_coremltools
from converters.to_coreml import AUTHOR, PRECISIONS, to_coreml

RNG = np.random.default_rng(3)
MODEL_PATH = "Data/com.apple.CoreML/model.mlmodel"
WEIGHTS_PATH = "Data/com.apple.CoreML/weights/weight.bin"
FIRST_OF_IOS_16 = 7  # specification version


def weights(*shape: int) -> NDArray[np.float32]:
    return RNG.normal(0.0, 0.5, shape).astype(np.float32)


def floats(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def integers(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


MEAN = node("ReduceMean", ["x", "sides"], "m", keepdims=0)  # (1, 3)
SIDES = {"sides": integers(-1, -2)}
CASES = {
    "Add constant": ([node("Add", ["x", "c"])], {"c": weights(1, 3, 1, 1)}),
    "Add twice": ([node("Add", ["x", "x"])], {}),
    "Clip both": ([node("Clip", ["x", "a", "b"])], {"a": floats(-0.5)[0], "b": floats(0.25)[0]}),
    "Clip below": ([node("Clip", ["x", "a"])], {"a": floats(0.1)[0]}),
    "Clip above": ([node("Clip", ["x", "", "b"])], {"b": floats(0.1)[0]}),
    "Concat": ([node("Concat", ["x", "c", "x"], axis=1)], {"c": weights(1, 2, SIDE, SIDE)}),
    "Concat width": ([node("Concat", ["x", "x"], axis=-1)], {}),
    "Conv": ([node("Conv", ["x", "w", "b"])], {"w": weights(5, 3, 3, 3), "b": weights(5)}),
    "Conv padded on one side": (
        [node("Conv", ["x", "w"], pads=[0, 1, 2, 3], strides=[2, 1])],
        {"w": weights(4, 3, 3, 2)},
    ),
    "Conv of groups": (
        [node("Conv", ["x", "w"], group=3, dilations=[2, 2], pads=[2, 2, 2, 2])],
        {"w": weights(6, 1, 3, 3)},
    ),
    "ConvTranspose": (
        [node("ConvTranspose", ["x", "w", "b"], strides=[2, 2])],
        {"w": weights(3, 4, 2, 2), "b": weights(4)},
    ),
    "ConvTranspose padded": (
        [node("ConvTranspose", ["x", "w"], strides=[2, 3], pads=[0, 1, 1, 2], group=3)],
        {"w": weights(3, 2, 4, 5)},
    ),
    "Exp": ([node("Exp", ["x"])], {}),
    "Gemm": ([MEAN, node("Gemm", ["m", "w", "b"])], {**SIDES, "w": weights(3, 7), "b": weights(7)}),
    "Gemm transposed": ([MEAN, node("Gemm", ["m", "w"], transB=1)], {**SIDES, "w": weights(7, 3)}),
    "HardSigmoid": ([node("HardSigmoid", ["x"], alpha=1 / 6, beta=0.3)], {}),
    "HardSigmoid as it is": ([node("HardSigmoid", ["x"])], {}),
    "HardSwish": (
        [node("Mul", ["x", "c"], "wide"), node("HardSwish", ["wide"])],
        {"c": floats(6.0)[0]},
    ),
    "Mul": ([node("Mul", ["x", "c"])], {"c": weights(3, 1, 1)}),
    "Reciprocal": ([node("Exp", ["x"], "e"), node("Reciprocal", ["e"])], {}),
    "ReduceMean": ([node("ReduceMean", ["x", "sides"])], SIDES),
    "ReduceMin": ([node("ReduceMin", ["x", "c"], keepdims=0)], {"c": integers(1)}),
    "Relu": ([node("Relu", ["x"])], {}),
    "Reshape": ([node("Reshape", ["x", "c"])], {"c": integers(0, -1, 4)}),
    "Resize": (
        [
            node(
                "Resize",
                ["x", "", "s"],
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )
        ],
        {"s": floats(1, 1, 2, 3)},
    ),
    "Sigmoid": ([node("Sigmoid", ["x"])], {}),
    "Slice": (
        [node("Slice", ["x", "begin", "end", "axes", "steps"])],
        {
            "begin": integers(-7, 1),
            "end": integers(2**62, -1),
            "axes": integers(2, -1),
            "steps": integers(2, 1),
        },
    ),
    "Slice from the first axis": (
        [node("Slice", ["x", "begin", "end"])],
        {"begin": integers(0, 1), "end": integers(1, 2)},
    ),
    "Softmax": ([node("Softmax", ["x"], axis=1)], {}),
    "Softmax of the last axis": ([MEAN, node("Softmax", ["m"])], SIDES),
    "Sqrt": ([node("Exp", ["x"], "e"), node("Sqrt", ["e"])], {}),
    "Sub from a constant": ([node("Sub", ["c", "x"])], {"c": weights(1, 1, SIDE, 1)}),
    "Tanh": ([node("Tanh", ["x"])], {}),
    "Transpose": ([node("Transpose", ["x"], perm=[0, 2, 3, 1])], {}),
    "Transpose backwards": ([node("Transpose", ["x"])], {}),
    "Unsqueeze": ([node("Unsqueeze", ["x", "c"])], {"c": integers(-1)}),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_gives_what_onnx_runtime_gives(name: str) -> None:
    model = network(*CASES[name])
    spec = description(model).spec
    expected = OnnxBackend(model, spec).run({"image": picture()})
    package = to_coreml(read_graph(model), description(model), "float32")
    got = InterpretedCoreml(package, spec).run({"image": picture()})
    assert np.ptp(expected["y"]) > 0.01
    np.testing.assert_allclose(got["y"], expected["y"], atol=2e-6)


def test_every_operator_of_the_exported_graphs_is_tested() -> None:
    assert {name.split()[0] for name in CASES} == set(OPERATORS) == EXPECTED_OPS


REFUSED = {
    "an operator": ([node("Erf", ["x"])], {}, r"operators out of .* got Erf 'the_Erf'"),
    "auto_pad": (
        [node("Conv", ["x", "w"], auto_pad="SAME_UPPER")],
        {"w": weights(4, 3, 3, 3)},
        r"auto_pad out of \['NOTSET'\] in Conv 'the_Conv'.* got 'SAME_UPPER'",
    ),
    "output_padding": (
        [node("ConvTranspose", ["x", "w"], strides=[2, 2], output_padding=[1, 1])],
        {"w": weights(3, 4, 2, 2)},
        r"output_padding out of .* in ConvTranspose",
    ),
    "computed weights": (
        [node("Exp", ["w"], "v"), node("Conv", ["x", "v"])],
        {"w": weights(4, 3, 3, 3)},
        r"input 0 of Exp .* to be computed, it is a constant",
    ),
    "one spatial axis": (
        [node("Reshape", ["x", "c"], "l"), node("Conv", ["l", "w"], kernel_shape=[2])],
        {"c": integers(1, 3, 64), "w": weights(4, 3, 2)},
        r"two spatial axes in Conv",
    ),
    "transposed input": (
        [MEAN, node("Gemm", ["m", "w"], transA=1)],
        {**SIDES, "w": weights(1, 7)},
        r"transA out of \[0\] in Gemm",
    ),
    "factor": (
        [MEAN, node("Gemm", ["m", "w"], alpha=2.0)],
        {**SIDES, "w": weights(3, 7)},
        r"alpha out of \[1.0\] in Gemm .* got 2.0",
    ),
    "backwards": (
        [node("Slice", ["x", "begin", "end", "axes", "steps"])],
        {"begin": integers(7), "end": integers(0), "axes": integers(2), "steps": integers(-1)},
        r"steps from 1 in Slice .* got \[-1\]",
    ),
    "no bound": ([node("Clip", ["x"])], {}, "a bound in Clip"),
    "smooth resize": (
        [node("Resize", ["x", "", "s"], mode="linear")],
        {"s": floats(1, 1, 2, 2)},
        r"mode out of \['nearest'\] in Resize 'the_Resize'.* got 'linear'",
    ),
    "resize about centres": (
        [node("Resize", ["x", "", "s"], mode="nearest", nearest_mode="floor")],
        {"s": floats(1, 1, 2, 2)},
        r"coordinate_transformation_mode out of \['asymmetric'\] in Resize",
    ),
    "resize by half": (
        [
            node(
                "Resize",
                ["x", "", "s"],
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )
        ],
        {"s": floats(1, 1, 1.5, 2)},
        r"times a whole number in Resize",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    nodes, constants, message = REFUSED[name]
    model = network(nodes, constants)
    with pytest.raises(ConversionError, match=message):
        to_coreml(read_graph(model), description(model), "float32")


def test_an_error_of_coremltools_names_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network([node("Relu", ["x"])])

    def fail(*arguments: object, **options: object) -> None:
        raise ValueError("out of luck")

    monkeypatch.setattr(import_coremltools(), "convert", fail)
    with pytest.raises(ConversionError, match=r"coremltools 9.* to convert 'toy': out of luck"):
        to_coreml(read_graph(model), description(model), "float32")


@pytest.fixture(scope="module")
def graph(_tiny: Reference) -> Graph:
    return read_graph(to_onnx(_tiny.network, _tiny.model.spec))


@pytest.fixture(scope="module")
def packages(_tiny: Reference, graph: Graph) -> Mapping[str, dict[str, bytes]]:
    """The tiny network in every precision."""
    pictures = [picture(seed, _tiny.model.input.shape) for seed in range(2)]
    return {name: to_coreml(graph, _tiny.model, name, pictures) for name in PRECISIONS}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_gives_what_the_network_gives(
    tiny: Reference, packages: Mapping[str, dict[str, bytes]], precision: str
) -> None:
    backend = InterpretedCoreml(packages[precision], tiny.model.spec)
    within = {"float32": 1e-5, "float16": 2e-3}.get(precision, 0.05)
    for seed in range(10, 13):
        image = picture(seed, tiny.model.input.shape)
        got, expected = backend.run({"image": image}), tiny.run({"image": image})
        for name in ("landmarks", "pose", "presence"):
            np.testing.assert_allclose(got[name], expected[name], atol=within)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_app_finds_a_picture_arrays_and_texts(
    tiny: Reference, packages: Mapping[str, dict[str, bytes]], precision: str
) -> None:
    specification, _ = read_spec(packages[precision])
    assert specification.specificationVersion == FIRST_OF_IOS_16
    assert specification.WhichOneof("Type") == "mlProgram"
    (image,) = specification.description.input
    sides = image.type.imageType
    assert (image.name, image.type.WhichOneof("Type")) == ("image", "imageType")
    assert (sides.width, sides.height) == (112, 112)
    assert sides.colorSpace == sides.ColorSpace.Value("RGB")
    assert "face" in image.shortDescription
    assert "112 x 112 pixels" in image.shortDescription
    for feature, output in zip(specification.description.output, tiny.model.outputs, strict=True):
        array = feature.type.multiArrayType
        assert (feature.name, tuple(array.shape)) == (output.name, output.shape)
        assert array.dataType == array.ArrayDataType.Value("FLOAT32")
        assert feature.shortDescription == output.meaning
    metadata = specification.description.metadata
    assert metadata.author == AUTHOR
    assert metadata.license == tiny.model.license
    assert metadata.versionString == tiny.model.version
    assert metadata.shortDescription == (
        "98 facial landmarks, the head pose and whether there is a face, from a square picture of "
        "one face."
    )
    assert dict(metadata.userDefined) == {
        "precision": precision,
        "landmark scheme": "wflw98",
        "training data": tiny.model.training_data,
    }


def test_no_presence_is_promised_of_a_network_without(tiny: Reference) -> None:
    class Silent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = tiny.network

        def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
            landmarks, pose, _ = self.network(image)
            return landmarks, pose

    model = replace(tiny.model, outputs=tiny.model.outputs[:2])
    graph = read_graph(to_onnx(Silent().eval(), model.spec))
    specification, _ = read_spec(to_coreml(graph, model, "float32"))
    assert specification.description.metadata.shortDescription == (
        "98 facial landmarks and the head pose, from a square picture of one face."
    )


def test_texts_of_a_detector() -> None:
    model = network([node("Relu", ["x"])])
    detector = replace(description(model), task="detection", landmark_scheme=None)
    specification, _ = read_spec(to_coreml(read_graph(model), detector, "float32"))
    texts = specification.description
    assert "Boxes" in texts.metadata.shortDescription
    assert "whole picture" in texts.input[0].shortDescription
    assert "landmark scheme" not in texts.metadata.userDefined


def test_precision_of_the_arithmetic(packages: Mapping[str, dict[str, bytes]]) -> None:
    for precision, package in packages.items():
        program = load_program(package)
        types = Counter(one.type.dtype for one in program.operations if one.kind != "cast")
        assert set(types) == {"FLOAT32" if precision == "float32" else "FLOAT16"}, precision
        assert {one.dtype for one in program.outputs.values()} == {"FLOAT32"}


def test_compressed_weights(packages: Mapping[str, dict[str, bytes]]) -> None:
    integer, palette = "constexpr_affine_dequantize", "constexpr_lut_to_dense"
    kinds = {
        precision: Counter(load_program(package).compressed.values())
        for precision, package in packages.items()
    }
    # The tiny network has a convolution and a linear layer of more than 2048 weights.
    assert kinds == {
        "float32": {},
        "float16": {},
        "int8_weights": {integer: 2},
        "palettized6": {palette: 1, integer: 1},
        "palettized4": {palette: 1, integer: 1},
    }
    sizes = [len(packages[precision][WEIGHTS_PATH]) for precision in PRECISIONS]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == len(sizes)


def test_palettes_have_as_many_numbers_as_their_bits_say(
    packages: Mapping[str, dict[str, bytes]],
) -> None:
    for precision, most in (("palettized6", 64), ("palettized4", 16)):
        program = load_program(packages[precision])
        names = [name for name, kind in program.compressed.items() if "lut" in kind]
        assert [len(np.unique(program.constants[name])) for name in names] == [most]


def test_palettes_do_not_depend_on_the_number_of_threads(
    tiny: Reference, graph: Graph, packages: Mapping[str, dict[str, bytes]]
) -> None:
    before = torch.get_num_threads()
    pictures = [picture(seed, tiny.model.input.shape) for seed in range(2)]
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            package = to_coreml(graph, tiny.model, "palettized4", pictures)
            assert package == packages["palettized4"]
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_palettes_need_pictures(tiny: Reference, graph: Graph) -> None:
    with pytest.raises(ConversionError, match="pictures to calibrate palettized6 on, got none"):
        to_coreml(graph, tiny.model, "palettized6")


def test_an_unknown_precision(tiny: Reference, graph: Graph) -> None:
    with pytest.raises(RequestError, match=r"precision out of \('float32'.* got 'int4'"):
        to_coreml(graph, tiny.model, "int4")


def test_another_network_than_described(tiny: Reference, graph: Graph) -> None:
    fewer = replace(tiny.model, outputs=tiny.model.outputs[:2])
    smaller = replace(tiny.model, input=replace(tiny.model.input, shape=(1, 3, 96, 96)))
    for other in (fewer, smaller):
        with pytest.raises(ConversionError, match=r"expected .* outputs .* in 'atpn', got"):
            to_coreml(graph, other, "float32")


def test_names_tell_nothing_and_are_the_same_every_time(
    packages: Mapping[str, dict[str, bytes]],
) -> None:
    for package in packages.values():
        assert list(package) == [MODEL_PATH, WEIGHTS_PATH, "Manifest.json"]
        model = package[MODEL_PATH]
        assert re.findall(rb"20\d\d-\d\d-\d\d|/tmp|/home|/root|\.py\b", model) == []
    manifests = {package["Manifest.json"] for package in packages.values()}
    assert len(manifests) == 1
    (manifest,) = (json.loads(one) for one in manifests)
    assert manifest["rootModelIdentifier"] in manifest["itemInfoEntries"]


CONVERT = """
import hashlib, sys
from pathlib import Path
from converters.graph import read_graph
from converters.to_coreml import to_coreml
from tests.unit.converters.mil_graphs import description, picture
model = Path(sys.argv[1]).read_bytes()
pictures = [picture(seed) for seed in range(2)]
for precision in sys.argv[2:]:
    package = to_coreml(read_graph(model), description(model), precision, pictures)
    for name, contents in sorted(package.items()):
        print(precision, name, hashlib.sha256(contents).hexdigest())
assert "tensorflow" not in sys.modules
"""


def test_two_processes_write_the_same_bytes_and_nothing_else(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w", "b"], "c"),
        node("HardSwish", ["c"], "h"),
        node("Conv", ["h", "v"], "d"),
        node("HardSwish", ["d"]),
    ]
    constants = {"w": weights(64, 3, 4, 4), "b": weights(64), "v": weights(64, 64, 1, 1)}
    (tmp_path / "model.onnx").write_bytes(network(nodes, constants))
    done = [
        subprocess.run(
            [sys.executable, "-c", CONVERT, str(tmp_path / "model.onnx"), *precisions],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=False,
            text=True,
        )
        for seed, precisions in (("1", PRECISIONS), ("2", PRECISIONS[::-1]))
    ]
    assert [one.stderr for one in done] == ["", ""]
    first, second = (sorted(one.stdout.splitlines()) for one in done)
    assert first == second
    assert len(set(first)) == 3 * len(PRECISIONS)


def test_coremltools_opens_the_folder(
    packages: Mapping[str, dict[str, bytes]], tmp_path: Path
) -> None:
    tool = import_coremltools()
    library = importlib.import_module("coremltools.libmodelpackage")
    for precision, package in packages.items():
        folder = tmp_path / f"{precision}.mlpackage"
        for name, contents in package.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents)
        assert library.ModelPackage.isValid(str(folder))
        with conversion():
            model = tool.models.MLModel(str(folder), skip_model_load=True)
        assert [one.name for one in model.get_spec().description.output] == [
            "landmarks",
            "pose",
            "presence",
        ]


def test_the_runtime_finds_what_it_expects(
    tiny: Reference, packages: Mapping[str, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = import_coremltools()
    make = tool.models.MLModel
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "mac_ver", lambda: ("14.0", ("", "", ""), "arm64"))
    monkeypatch.setattr(
        tool.models, "MLModel", lambda path, **options: make(path, skip_model_load=True, **options)
    )
    for package in packages.values():
        CoremlBackend(package, tiny.model.spec).close()  # its own check of the description
    fewer = replace(tiny.model.spec, outputs=tiny.model.outputs[:2])
    with pytest.raises(ModelMismatchError, match="presence"):
        CoremlBackend(packages["float16"], fewer)


def test_a_program_without_a_weights_file() -> None:
    model = network([node("Relu", ["x"])])
    package = to_coreml(read_graph(model), description(model), "float16")
    assert list(package) == [MODEL_PATH, "Manifest.json"]
    entries = json.loads(package["Manifest.json"])["itemInfoEntries"]
    assert [entry["name"] for entry in entries.values()] == ["model.mlmodel"]


def test_says_nothing_and_leaves_coremltools_as_it_was(
    capfd: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    tool = import_coremltools()
    passes = importlib.import_module("coremltools.converters.mil.mil.passes.pass_pipeline")
    builder = importlib.import_module("coremltools.converters.mil").Builder
    before = passes.tqdm, builder.name_count, dict(builder.name_count)
    model = network([node("Relu", ["x"])])
    with caplog.at_level(logging.DEBUG):
        to_coreml(read_graph(model), description(model), "int8_weights")
    assert capfd.readouterr() == ("", "")
    assert [one for one in caplog.records if one.name == "coremltools"] == []
    assert (passes.tqdm, builder.name_count, dict(builder.name_count)) == before
    assert logging.getLogger("coremltools").filters == []
    assert tool is import_coremltools()


def test_tensorflow_is_kept_from_coremltools_and_from_it_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    monkeypatch.setattr(
        importlib, "import_module", lambda name: seen.append(sys.modules["tensorflow"])
    )
    loaded = object()
    monkeypatch.setitem(sys.modules, "tensorflow", loaded)
    import_coremltools()
    assert (seen, sys.modules["tensorflow"]) == ([None], loaded)
    monkeypatch.delitem(sys.modules, "tensorflow")
    import_coremltools()
    assert (seen, "tensorflow" in sys.modules) == ([None, None], False)


def test_without_coremltools(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", fail)
    model = network([node("Relu", ["x"])])
    with pytest.raises(MissingToolError, match=r"coremltools.*pip install"):
        to_coreml(read_graph(model), description(model), "float32")
