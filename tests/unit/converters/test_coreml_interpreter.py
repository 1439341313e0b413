"""Packages are read by the formats' own description, and executed as their programs say."""

import importlib.util
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from atpn_mobile.errors import AtpnError, ModelMismatchError
from atpn_mobile.manifest import InputSpec, ModelSpec, OutputSpec
from converters.errors import ConversionError
from converters.graph import read_graph
from tests.unit.converters.mil_graphs import IMAGE, SIDE, description, network, node, picture

if importlib.util.find_spec("coremltools") is None:  # not importorskip: its import prints
    pytest.skip("coremltools reads and writes the packages", allow_module_level=True)

from converters.coreml import interpreter as interpreter_module
from converters.coreml.interpreter import (
    DESCRIPTION,
    InterpretedCoreml,
    Interpreter,
    parity_backends,
)
from converters.coreml.kernels import KERNELS
from converters.coreml.package import read_spec
from converters.coreml.program import _UNPACK, Operation, Program, TensorType, load_program
from converters.coreml.tool import conversion
from converters.to_coreml import PRECISIONS, to_coreml

MODEL_PATH = "Data/com.apple.CoreML/model.mlmodel"
WEIGHTS_PATH = "Data/com.apple.CoreML/weights/weight.bin"
CHANNELS = 64
SPEC = ModelSpec(
    "toy", InputSpec("image", IMAGE, "NCHW"), (OutputSpec("y", (1, CHANNELS, SIDE, SIDE), "y"),)
)

Package = dict[str, bytes]


@pytest.fixture(scope="module")
def packages() -> Mapping[str, Package]:
    """Three convolutions, one of them depthwise, in every precision."""
    rng = np.random.default_rng(7)
    nodes = [
        node("Conv", ["x", "w", "b"], "c", pads=[0, 0, 1, 1]),
        node("HardSwish", ["c"], "h"),
        node("Conv", ["h", "u"], "g"),
        node("Conv", ["g", "v"], group=CHANNELS, pads=[3, 3, 3, 3]),
    ]
    shapes = {
        "w": (CHANNELS, 3, 2, 2),
        "b": (CHANNELS,),
        "u": (CHANNELS, CHANNELS, 1, 1),
        "v": (CHANNELS, 1, 7, 7),
    }
    constants = {key: rng.normal(0, 0.2, one).astype(np.float32) for key, one in shapes.items()}
    model = network(nodes, constants)
    graph = read_graph(model)
    return {name: to_coreml(graph, description(model), name, [picture(1)]) for name in PRECISIONS}


def edited(package: Package, change: Callable[[Any], object]) -> Package:
    """The package with its specification changed."""
    specification, _ = read_spec(package)
    change(specification)
    return {**package, MODEL_PATH: specification.SerializeToString()}


def operations(specification: Any) -> Any:
    function = specification.mlProgram.functions["main"]
    return function.block_specializations[function.opset].operations


# --- reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", PRECISIONS)
def test_constants_are_those_that_coremltools_reads(
    packages: Mapping[str, Package], precision: str, tmp_path: Path
) -> None:
    from coremltools.converters.mil.frontend.milproto.load import load

    (tmp_path / "weight.bin").write_bytes(packages[precision][WEIGHTS_PATH])
    specification, _ = read_spec(packages[precision])
    with conversion():
        theirs = load(specification, specification.specificationVersion, str(tmp_path))
        expected = {}
        for operation in theirs.functions["main"].operations:
            (output,) = operation.outputs
            if operation.op_type == "const":
                expected[output.name] = output.val
            elif operation.op_type.startswith("constexpr_"):
                expected[output.name] = operation.materialized_val_inference()
    program = load_program(packages[precision])
    parts = expected.keys() - program.constants.keys()  # of compressed weights
    assert program.constants.keys() <= expected.keys()
    assert bool(parts) == bool(program.compressed)
    assert not {name for one in program.operations for name in sum(one.inputs.values(), ())} & parts
    assert len(program.compressed) == {"float32": 0, "float16": 0}.get(precision, 2)
    for name, ours in program.constants.items():
        values = expected[name]
        if isinstance(values, str):
            assert ours == values
        else:
            assert isinstance(ours, np.ndarray)
            assert ours.dtype == np.asarray(values).dtype
            np.testing.assert_array_equal(ours, values)


def test_scales_and_zero_points() -> None:
    unpack = _UNPACK["constexpr_affine_dequantize"]
    data = np.array([[-2, 0], [100, 127]], np.int8)
    scale = np.array([0.5, 2.0], np.float16)
    zero = np.array([1, -1], np.int8)
    by_row = unpack(quantized_data=data, scale=scale, zero_point=zero, axis=np.int32(0))
    assert by_row.dtype == np.float16
    assert by_row.tolist() == [[-1.5, -0.5], [202.0, 256.0]]
    by_column = unpack(quantized_data=data, scale=scale, zero_point=zero, axis=np.int32(1))
    assert by_column.tolist() == [[-1.5, 2.0], [49.5, 256.0]]
    one = {"scale": np.float32(0.25), "zero_point": np.int8(-8)}
    assert unpack(quantized_data=data, **one, axis=np.int32(0))[0].tolist() == [1.5, 2.0]


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 8])
def test_indices_are_packed_from_the_lowest_bit_on(bits: int) -> None:
    indices = np.random.default_rng(bits).integers(0, 1 << bits, 15)
    stream = sum(int(index) << (bits * place) for place, index in enumerate(indices))
    packed = np.frombuffer(stream.to_bytes(-(-15 * bits // 8), "little"), np.uint8)
    lut = np.arange(1 << bits).astype(np.float16) / 4
    shape = np.array([3, 5], np.uint32)
    got = _UNPACK["constexpr_lut_to_dense"](indices=packed, lut=lut, shape=shape)
    np.testing.assert_array_equal(got, lut[indices].reshape(3, 5))


def test_the_example_of_the_documentation() -> None:
    # Five indices of two bits: 0, 3, 2, 1 in the first byte, 3 in the lowest bits of the next.
    packed = np.array([0b01_10_11_00, 0b11], np.uint8)
    lut = np.array([10, 11, 12, 13], np.float32)
    got = _UNPACK["constexpr_lut_to_dense"](indices=packed, lut=lut, shape=np.array([5], np.uint32))
    assert got.tolist() == [10, 13, 12, 11, 13]


def without(name: str) -> Callable[[Package], object]:
    return lambda package: package.pop(name)


def shortened(package: Package) -> None:
    package[WEIGHTS_PATH] = package[WEIGHTS_PATH][:200]


def wrong_marker(package: Package) -> None:
    weights = bytearray(package[WEIGHTS_PATH])
    weights[64] ^= 0xFF  # the first description
    package[WEIGHTS_PATH] = bytes(weights)


def wrong_size(package: Package) -> None:
    weights = bytearray(package[WEIGHTS_PATH])
    weights[72:80] = (16).to_bytes(8, "little")
    package[WEIGHTS_PATH] = bytes(weights)


def no_manifest_entry(package: Package) -> None:
    package["Manifest.json"] = json.dumps({"rootModelIdentifier": "x"}).encode()


def no_model(package: Package) -> None:
    package[MODEL_PATH] = b""


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without("Manifest.json"), r"an \.mlpackage, got .*KeyError"),
        (without(MODEL_PATH), r"an \.mlpackage, got .*KeyError"),
        (without(WEIGHTS_PATH), r"expected .*weight\.bin in the package"),
        (no_manifest_entry, r"an \.mlpackage, got"),
        (no_model, "expected an ML program, got no model"),
        (shortened, "expected weights at|bytes for"),
        (wrong_marker, "got the marker 0x"),
        (wrong_size, "bytes for TensorType"),
    ],
)
def test_a_damaged_package(
    packages: Mapping[str, Package], damage: Callable[[Package], object], message: str
) -> None:
    package = dict(packages["float32"])
    damage(package)
    with pytest.raises(ConversionError, match=message):
        load_program(package)


def test_a_file_is_no_package() -> None:
    with pytest.raises(ConversionError, match="folder, got one file of 3 bytes"):
        load_program(b"abc")


def test_another_type_of_weights_than_declared(packages: Mapping[str, Package]) -> None:
    def change(specification: Any) -> None:
        constant = next(
            one
            for one in operations(specification)
            if one.type == "const" and one.attributes["val"].WhichOneof("value") == "blobFileValue"
        )
        kind = constant.attributes["val"].type.tensorType
        kind.dataType = (
            kind.DESCRIPTOR.fields_by_name["dataType"].enum_type.values_by_name["FLOAT16"].number
        )

    with pytest.raises(ConversionError, match="expected weights of FLOAT16"):
        load_program(edited(packages["float32"], change))


def test_unknown_compression(packages: Mapping[str, Package]) -> None:
    def change(specification: Any) -> None:
        compressed = next(
            one for one in operations(specification) if one.type.startswith("constexpr_")
        )
        compressed.type = "constexpr_sparse_to_dense"

    with pytest.raises(ConversionError, match=r"got 'constexpr_sparse_to_dense'"):
        load_program(edited(packages["int8_weights"], change))


def two_inputs(specification: Any) -> None:
    specification.description.input.add().CopyFrom(specification.description.input[0])


def no_function(specification: Any) -> None:
    specification.mlProgram.functions["main"].Clear()


def no_such_constant_type(specification: Any) -> None:
    for one in operations(specification):
        if one.type == "const":
            kind = one.attributes["val"].type.tensorType
            types = kind.DESCRIPTOR.fields_by_name["dataType"].enum_type.values_by_name
            kind.dataType = types["FLOAT64"].number


@pytest.mark.parametrize("change", [two_inputs, no_function, no_such_constant_type])
def test_a_program_of_another_kind(
    packages: Mapping[str, Package], change: Callable[[Any], None]
) -> None:
    with pytest.raises(ConversionError, match="expected a program that can be read"):
        load_program(edited(packages["float32"], change))


def test_an_array_as_input(packages: Mapping[str, Package]) -> None:
    def change(specification: Any) -> None:
        specification.description.input[0].type.multiArrayType.shape.extend(IMAGE)

    with pytest.raises(ConversionError, match=r"expected a picture .* 'image', got multiArrayType"):
        load_program(edited(packages["float32"], change))


# --- executing ----------------------------------------------------------------------------------


def toy_program(*steps: Operation, **constants: NDArray | str) -> Program:
    """A program of the picture x of one pixel and three channels, and the output y."""
    kind = TensorType("FLOAT16", (1, 3, 1, 1))
    return Program(
        image="x",
        color="RGB",
        image_type=TensorType("FLOAT32", (1, 3, 1, 1)),
        constants=MappingProxyType(constants),
        compressed=MappingProxyType({}),
        operations=steps,
        outputs=MappingProxyType({"y": kind}),
    )


def step(kind: str, output: str = "y", declared: str = "FLOAT16", **inputs: str) -> Operation:
    names = {key: tuple(value.split()) for key, value in inputs.items()}
    return Operation(kind, names, output, TensorType(declared, (1, 3, 1, 1)))


def pixel(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32).reshape(1, 3, 1, 1)


def test_every_float16_result_is_rounded_to_half() -> None:
    large = np.float16(2048)
    steps = [step("add", "s", x="x", y="large"), step("sub", x="s", y="large")]
    got = Interpreter(toy_program(*steps, large=np.asarray(large))).run(pixel(1, 2, 3))
    # Above 2048 float16 has even numbers alone, ties go to the multiple of four.
    assert got["y"].ravel().tolist() == [0.0, 2.0, 4.0]
    exact = [replace(one, type=TensorType("FLOAT32", (1, 3, 1, 1))) for one in steps]
    got = Interpreter(toy_program(*exact, large=np.asarray(large))).run(pixel(1, 2, 3))
    assert got["y"].ravel().tolist() == [1.0, 2.0, 3.0]


def test_an_operation_is_rounded_once() -> None:
    third, half = np.asarray(np.float16(1 / 3)), np.asarray(np.float16(0.1))
    program = toy_program(step("sigmoid_hard", x="x", alpha="a", beta="b"), a=third, b=half)
    got = Interpreter(program).run(pixel(0.7, 1.3, 9.0))["y"].ravel()
    x = np.array([0.7, 1.3, 9.0], np.float32)
    expected = (np.float32(third) * x + np.float32(half)).clip(0, 1).astype(np.float16)
    np.testing.assert_array_equal(got, expected.astype(np.float32))


def test_float16_overflows() -> None:
    program = toy_program(step("mul", x="x", y="x"))
    assert Interpreter(program).run(pixel(255, 256, 1))["y"].ravel().tolist() == [
        65024.0,
        np.inf,
        1.0,
    ]


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (step("gru", x="x"), r"operations out of .* got gru 'y'"),
        (step("add", x="x"), "execute add 'y'"),
        (step("relu", x="x", threshold="x"), "execute relu 'y': .*threshold"),
        (step("cast", x="x", dtype="int"), "fp16 or fp32, got 'int32'"),
        (step("concat", values="x x", axis="first"), "from concat 'y', got the shape"),
        (step("relu", declared="INT32", x="x"), "expected TensorType.*INT32"),
        (step("slice_by_index", x="x", begin="b", end="b", squeeze_mask="m"), "keep their axis"),
        (step("concat", values="x x", axis="first", interleave="yes"), "no interleaving"),
    ],
)
def test_what_cannot_be_executed(one: Operation, message: str) -> None:
    program = toy_program(
        one,
        first=np.asarray(np.int32(0)),
        yes=np.asarray(np.True_),
        int="int32",
        b=np.zeros(4, np.int32),
        m=np.ones(4, np.bool_),
    )
    with pytest.raises(ConversionError, match=message):
        Interpreter(program).run(pixel(1, 2, 3))


def test_parts_of_an_axis_by_their_masks() -> None:
    steps = step("slice_by_index", x="x", begin="b", end="b", begin_mask="m", end_mask="m")
    program = toy_program(steps, b=np.full(4, 9, np.int32), m=np.ones(4, np.bool_))
    assert Interpreter(program).run(pixel(1, 2, 3))["y"].ravel().tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("kind", ["conv", "conv_transpose"])
def test_paddings_that_are_not_written_are_not_guessed(kind: str) -> None:
    options = {"strides": [1, 1], "pad": [0] * 4, "dilations": [1, 1], "groups": 1}
    with pytest.raises(ValueError, match="pad_type 'valid' or 'custom', got 'same'"):
        KERNELS[kind](
            x=torch.zeros(1, 1, 4, 4),
            weight=torch.zeros(1, 1, 3, 3),
            pad_type="same",
            **options,
        )


def test_a_transposed_convolution_of_another_shape_than_it_says() -> None:
    with pytest.raises(ValueError, match=r"expected the shape \[1, 1, 9, 9\], got \[1, 1, 6, 6\]"):
        KERNELS["conv_transpose"](
            x=torch.zeros(1, 1, 4, 4),
            weight=torch.zeros(1, 1, 3, 3),
            strides=[1, 1],
            pad_type="valid",
            pad=[0] * 4,
            dilations=[1, 1],
            groups=1,
            output_shape=[1, 1, 9, 9],
        )


def test_another_shape_than_declared_in_the_file(packages: Mapping[str, Package]) -> None:
    def change(specification: Any) -> None:
        last = next(one for one in reversed(operations(specification)) if one.type == "conv")
        last.outputs[0].type.tensorType.dimensions[1].constant.size = CHANNELS // 2

    with pytest.raises(ModelMismatchError, match=r"expected a picture and outputs .*32, 8, 8"):
        InterpretedCoreml(edited(packages["float32"], change), SPEC)
    program = load_program(edited(packages["float32"], change))
    with pytest.raises(ConversionError, match=r"32, 8, 8.* from conv 'y', got the shape"):
        Interpreter(program).run(picture())


# --- as a backend -------------------------------------------------------------------------------


def test_runs_like_a_backend(packages: Mapping[str, Package]) -> None:
    backend = InterpretedCoreml(packages["float32"], SPEC, num_threads=2)
    assert (backend.name, backend.spec) == ("coreml", SPEC)
    first = backend.run({"image": picture(1)})
    kept = first["y"].copy()
    backend.run({"image": picture(2)})
    np.testing.assert_array_equal(first["y"], kept)
    assert first["y"].dtype == np.float32
    assert first["y"].flags.writeable
    backend.close()
    backend.close()
    with pytest.raises(AtpnError, match="open backend, model 'toy' was closed"):
        backend.run({"image": picture()})


def test_takes_a_picture_of_8_bits(packages: Mapping[str, Package]) -> None:
    backend = InterpretedCoreml(packages["float32"], SPEC)
    noise = np.random.default_rng(5).uniform(-9.0, 270.0, IMAGE).astype(np.float32)
    whole = np.rint(noise).clip(0, 255)
    assert np.abs(noise - whole).max() > 0.4
    got, expected = backend.run({"image": noise}), backend.run({"image": whole})
    np.testing.assert_array_equal(got["y"], expected["y"])


def test_layout_of_the_input(packages: Mapping[str, Package]) -> None:
    image = picture()
    expected = InterpretedCoreml(packages["float32"], SPEC).run({"image": image})["y"]
    last = replace(SPEC, input=InputSpec("image", (1, SIDE, SIDE, 3), "NHWC"))
    got = InterpretedCoreml(packages["float32"], last).run({"image": image.transpose(0, 2, 3, 1)})
    np.testing.assert_array_equal(got["y"], expected)


def test_order_of_the_channels(packages: Mapping[str, Package]) -> None:
    def change(specification: Any) -> None:
        image = specification.description.input[0].type.imageType
        image.colorSpace = image.ColorSpace.Value("BGR")

    image = picture()
    got = InterpretedCoreml(edited(packages["float32"], change), SPEC).run({"image": image})["y"]
    backend = InterpretedCoreml(packages["float32"], SPEC)
    flipped = backend.run({"image": np.ascontiguousarray(image[:, ::-1])})["y"]
    np.testing.assert_array_equal(got, flipped)
    assert not np.allclose(got, backend.run({"image": image})["y"], atol=0.01)


@pytest.mark.parametrize(
    "spec",
    [
        replace(SPEC, input=InputSpec("picture", IMAGE, "NCHW")),
        replace(SPEC, input=InputSpec("image", (1, 3, 9, 9), "NCHW")),
        replace(SPEC, outputs=(OutputSpec("z", SPEC.outputs[0].shape),)),
        replace(SPEC, outputs=(OutputSpec("y", (1, 3, SIDE, SIDE)),)),
        replace(SPEC, outputs=()),
    ],
)
def test_another_network_than_declared(packages: Mapping[str, Package], spec: ModelSpec) -> None:
    with pytest.raises(ModelMismatchError, match="expected a picture and outputs"):
        InterpretedCoreml(packages["float32"], spec)


def test_inputs_are_checked(packages: Mapping[str, Package]) -> None:
    backend = InterpretedCoreml(packages["float32"], SPEC)
    for inputs in ({}, {"image": picture()[0]}, {"image": picture().astype(np.float64)}):
        with pytest.raises(ModelMismatchError, match="expected inputs of model 'toy'"):
            backend.run(inputs)


def test_what_runs_a_package_here(
    packages: Mapping[str, Package], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    ((interpreter, text),) = parity_backends(packages["float32"], SPEC)
    assert isinstance(interpreter, InterpretedCoreml)
    assert text == DESCRIPTION
    assert "not on Apple hardware" in text

    class FakeCoreml:
        def __init__(self, model: Package, spec: ModelSpec) -> None:
            self.made_of = model, spec

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(interpreter_module, "CoremlBackend", FakeCoreml)
    (_, text), (real, system) = parity_backends(packages["float32"], SPEC)
    assert text == DESCRIPTION
    assert isinstance(real, FakeCoreml)
    assert real.made_of == (packages["float32"], SPEC)
    assert system.startswith("Core ML on macOS")
