"""The smaller .tflite files of a small network."""

import hashlib
import importlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from atpn_mobile.manifest import ModelSpec
from converters.errors import ConversionError, MissingToolError
from converters.graph import read_graph
from converters.parity import parity_inputs
from converters.to_onnx import to_onnx

pytest.importorskip("tensorflow", reason="makes the .tflite files")
pytest.importorskip("ai_edge_litert", reason="runs the .tflite files")
pytest.importorskip("ai_edge_quantizer", reason="makes the smaller ones")

from atpn_mobile.backends.tflite import TfliteBackend
from converters.quantize_tflite import Int8Options, quantize_tflite
from converters.tflite.file import count_operations, read_model
from converters.tflite.ranges import activation_ranges
from converters.to_tflite import to_tflite

FLOAT32, FLOAT16, INT8 = 0, 1, 9  # kinds of tensors in the format


def channels_last(spec: ModelSpec) -> ModelSpec:
    side = spec.input.resolution
    return replace(spec, input=replace(spec.input, shape=(1, side, side, 3), layout="NHWC"))


@pytest.fixture(scope="module")
def spec(_tiny):
    return channels_last(_tiny.model.spec)


@pytest.fixture(scope="module")
def graph(_tiny):
    return read_graph(to_onnx(_tiny.network, _tiny.model.spec))


@pytest.fixture(scope="module")
def float32(graph, spec):
    return to_tflite(graph, spec)


@pytest.fixture(scope="module")
def relu6(graph, spec):
    return to_tflite(graph, spec, hard_swish="relu6")


@pytest.fixture(scope="module")
def images(_tiny):
    pictures = parity_inputs("alignment", _tiny.model.input)[:8]
    return [np.ascontiguousarray(one.tensor.transpose(0, 2, 3, 1)) for one in pictures]


@pytest.fixture(scope="module")
def int8(relu6, images):
    return quantize_tflite(relu6, "int8", images)


def worst(first, second, spec, images):
    """Largest difference of each output of two files."""
    runs = [
        [TfliteBackend(contents, spec).run({"image": image}) for image in images]
        for contents in (first, second)
    ]
    return {
        output.name: max(
            np.abs(a[output.name] - b[output.name]).max() for a, b in zip(*runs, strict=True)
        )
        for output in spec.outputs
    }


def kinds(contents):
    """Kind of each tensor by name."""
    tensors = read_model(contents).subgraphs[0].tensors
    return {tensor.name.decode(): tensor.type for tensor in tensors}


@pytest.mark.parametrize(
    ("precision", "kind", "share", "least", "most"),
    [("float16", FLOAT16, 0.6, 1e-6, 1e-3), ("int8_weights", INT8, 0.4, 1e-4, 0.03)],
)
def test_smaller_weights(float32, spec, images, precision, kind, share, least, most):
    contents = quantize_tflite(float32, precision)
    assert len(contents) < share * len(float32)
    assert least < max(worst(float32, contents, spec, images).values()) < most
    found = kinds(contents)
    stored = {name: found[name] for name in found if name.endswith(".weight")}
    assert stored == dict.fromkeys(stored, kind)
    assert len(stored) == 5


def test_weights_have_a_scale_per_channel(float32):
    tensors = read_model(quantize_tflite(float32, "int8_weights")).subgraphs[0].tensors
    scales = {one.name.decode(): one.quantization.scale for one in tensors if one.quantization}
    assert len(scales["stem.conv.weight"]) == 8
    assert len(scales["head.weight"]) == 200


def test_int8(relu6, int8, spec, images):
    assert len(int8) < 0.8 * len(relu6)
    difference = worst(relu6, int8, spec, images)
    assert 1e-4 < difference["landmarks"] < 0.1
    found = kinds(int8)
    assert {name: found[name] for name in ("image", "landmarks", "pose", "presence")} == {
        "image": FLOAT32,
        "landmarks": FLOAT32,
        "pose": FLOAT32,
        "presence": FLOAT32,
    }
    assert found["stem.conv.weight"] == found["down.weight"] == INT8
    assert found["head.weight"] == FLOAT16  # the last layer before the outputs
    assert found["head"] == FLOAT32


def test_layers_that_stay_float(relu6, int8, images):
    options = Int8Options(float_layers=(r"^excite\.",))
    found = kinds(quantize_tflite(relu6, "int8", images, options))
    assert found["excite.reduce.weight"] == found["excite.expand.weight"] == FLOAT16
    assert found["stem.conv.weight"] == INT8
    assert kinds(int8)["excite.reduce.weight"] == INT8


def test_how_ranges_are_chosen(relu6, images):
    # One picture in eight is all noise: all that occurs includes it, the least noise cuts it off.
    noise = np.random.default_rng(1).uniform(0.0, 255.0, images[0].shape).astype(np.float32)
    mixed = [*images[:7], noise]
    whole = activation_ranges(relu6, mixed, "min_max", ())
    chosen = activation_ranges(relu6, mixed, "least_noise", ())
    assert whole.keys() == chosen.keys() > {"image", "stem.conv", "landmarks"}
    assert whole["image"] == (0.0, pytest.approx(255.0, abs=0.1))
    assert whole["stem.conv"][0] < chosen["stem.conv"][0] <= 0.0
    assert 0.0 <= chosen["stem.conv"][1] < whole["stem.conv"][1]
    files = [
        quantize_tflite(relu6, "int8", images, Int8Options(activations=method))
        for method in ("min_max", "least_noise")
    ]
    assert files[0] != files[1]


def test_any_picture_is_taken_exactly(relu6, images):
    # The calibration pictures are grey, others are not: 0 and 255 stay apart from their neighbours.
    grey = [np.clip(image, 100.0, 150.0) for image in images]
    tensors = read_model(quantize_tflite(relu6, "int8", grey)).subgraphs[0].tensors
    found = {one.name.decode(): one.quantization for one in tensors if one.quantization}
    (name,) = (name for name in found if name.startswith("image") and found[name].scale is not None)
    assert found[name].scale[0] == pytest.approx(1.0, rel=1e-4)
    assert found[name].zeroPoint[0] == -128


def test_the_form_of_hard_swish(float32, images):
    with pytest.raises(ConversionError, match='expected hard_swish="relu6"'):
        quantize_tflite(float32, "int8", images)


@pytest.mark.parametrize("calibration", [None, []])
def test_int8_without_pictures(relu6, calibration):
    with pytest.raises(ConversionError, match="expected pictures"):
        quantize_tflite(relu6, "int8", calibration)


def test_an_unknown_precision(float32):
    with pytest.raises(ConversionError, match="expected float16, int8_weights or int8, got 'int4'"):
        quantize_tflite(float32, "int4")


@pytest.mark.parametrize("precision", ["float16", "int8"])
@pytest.mark.parametrize("contents", [b"", b"something else"])
def test_no_tflite_file(precision, contents, images):
    with pytest.raises(ConversionError, match=r"expected a \.tflite file"):
        quantize_tflite(contents, precision, images)


def test_a_pattern_without_a_layer(relu6, images):
    with pytest.raises(ConversionError, match=r"match 'stomach', out of .*'stem.conv'"):
        quantize_tflite(relu6, "int8", images, Int8Options(float_layers=("stem", "stomach")))


def test_a_missing_quantizer(monkeypatch, float32):
    load = importlib.import_module

    def fail(name, *rest):
        if name.startswith("ai_edge_quantizer"):
            raise ImportError(f"No module named {name!r}")
        return load(name, *rest)

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(MissingToolError, match="pip install ai-edge-quantizer"):
        quantize_tflite(float32, "float16")


def test_nothing_is_printed(float32, relu6, images, capfd):
    quantize_tflite(float32, "float16")
    quantize_tflite(relu6, "int8", images)
    assert capfd.readouterr() == ("", "")


def test_another_process_makes_the_same_bytes(float32, relu6, int8, images, tmp_path):
    (tmp_path / "float32").write_bytes(float32)
    (tmp_path / "relu6").write_bytes(relu6)
    np.save(tmp_path / "images.npy", np.stack(images))
    code = """
import hashlib, sys
from pathlib import Path
import numpy as np
from converters.quantize_tflite import quantize_tflite
folder = Path(sys.argv[1])
images = list(np.load(folder / "images.npy"))
float32, relu6 = ((folder / name).read_bytes() for name in ("float32", "relu6"))
for made in (
    quantize_tflite(relu6, "int8", images),
    quantize_tflite(float32, "int8_weights"),
    quantize_tflite(float32, "float16"),
):
    print(hashlib.sha256(made).hexdigest())
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    here = [
        int8,
        quantize_tflite(float32, "int8_weights"),
        quantize_tflite(float32, "float16"),
    ]
    assert done.stdout.split() == [hashlib.sha256(made).hexdigest() for made in here]


def test_operations_are_those_of_float32_besides_conversions(float32, int8):
    before, after = count_operations(float32), count_operations(int8)
    assert after.pop("HARD_SWISH", 0) == 0
    assert before["CONV_2D"] == after["CONV_2D"]
    assert before["FULLY_CONNECTED"] == after["FULLY_CONNECTED"] == 1


def test_options_are_compared_by_value():
    assert replace(Int8Options(), float_layers=("a",)) == Int8Options(float_layers=("a",))
