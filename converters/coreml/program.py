"""Reads the program of an .mlpackage: operations, and constants with their weights.

coremltools gives the classes of the protocol buffers and nothing else: the weights file and
compressed weights are read here, by their documented formats, so that a fault in coremltools'
writer is not repeated by its reader.
"""

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from atpn_mobile.manifest import Contents
from converters.coreml.package import read_spec, require_package, weights_file
from converters.errors import ConversionError

Constant: TypeAlias = NDArray[Any] | str

_FUNCTION: Final = "main"
_DTYPES: Final[Mapping[str, type[np.generic]]] = MappingProxyType(
    {
        "BOOL": np.bool_,
        "FLOAT16": np.float16,
        "FLOAT32": np.float32,
        "INT8": np.int8,
        "INT32": np.int32,
        "UINT8": np.uint8,
        "UINT32": np.uint32,
    }
)
# The weights file: at the offset of a value lies its description, which names the data's place.
_BLOB: Final = struct.Struct("<IIQQ")  # marker, dtype, size in bytes, offset of the data
_BLOB_MARKER: Final = 0xDEADBEEF
_BLOB_DTYPES: Final = {1: "FLOAT16", 2: "FLOAT32", 3: "UINT8", 4: "INT8"}


@dataclass(frozen=True, slots=True)
class TensorType:
    """What a program declares of a value.

    Attributes:
        dtype: "FLOAT16", "FLOAT32", "INT32", "STRING", ...
        shape: its shape.
    """

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One operation that is executed.

    Attributes:
        kind: MIL operation, for example "conv".
        inputs: names of values, by the name of the parameter; several for a list.
        output: name of its result.
        type: of its result.
    """

    kind: str
    inputs: Mapping[str, tuple[str, ...]]
    output: str
    type: TensorType


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """The main function of a package that takes one picture.

    Attributes:
        image: name of the input, a picture.
        color: order of its channels: "RGB" or "BGR".
        image_type: the picture as the program sees it, (1, 3, H, W).
        constants: by name, compressed ones unpacked.
        compressed: names of the constants that were compressed -> how.
        operations: in an order in which they can be executed.
        outputs: names and types of the results.
    """

    image: str
    color: str
    image_type: TensorType
    constants: Mapping[str, Constant]
    compressed: Mapping[str, str]
    operations: tuple[Operation, ...]
    outputs: Mapping[str, TensorType]


def load_program(package: Contents) -> Program:
    """Read the program of an .mlpackage.

    Args:
        package: contents by path in the package.

    Raises:
        ConversionError: it is no ML program with one picture as input, or holds what cannot be
            read.
        MissingToolError: coremltools is not installed.
    """
    files = require_package(package)
    specification, folder = read_spec(files)
    try:
        return _read_program(specification, _Reader(files, folder))
    except (KeyError, ValueError, TypeError) as error:  # what it holds is not what is expected
        raise ConversionError(
            f"expected a program that can be read: {type(error).__name__} {error}"
        ) from error


def _read_program(specification: Any, reader: "_Reader") -> Program:  # noqa: ANN401
    if specification.WhichOneof("Type") != "mlProgram":
        raise ConversionError(
            f"expected an ML program, got {specification.WhichOneof('Type') or 'no model'}"
        )
    function = specification.mlProgram.functions[_FUNCTION]
    block = function.block_specializations[function.opset]
    for operation in block.operations:
        reader.read(operation)
    image, color = _image(specification.description)
    (declared,) = function.inputs
    types = {one.output: one.type for one in reader.operations}
    return Program(
        image,
        color,
        _tensor_type(declared.type),
        MappingProxyType(reader.constants),
        MappingProxyType(reader.compressed),
        tuple(reader.operations),
        MappingProxyType({name: types[name] for name in block.outputs}),
    )


class _Reader:
    """Collects constants and operations."""

    def __init__(self, files: Mapping[str, bytes], folder: str) -> None:
        self.constants: dict[str, Constant] = {}
        self.compressed: dict[str, str] = {}
        self.operations: list[Operation] = []
        self._files = files
        self._folder = folder

    def read(self, operation: Any) -> None:  # noqa: ANN401 - a protocol buffer
        (output,) = operation.outputs
        kind: str = operation.type
        if kind == "const":
            self.constants[output.name] = self._value(operation.attributes["val"])
        elif kind.startswith("constexpr_"):
            self.constants[output.name] = self._unpacked(operation, _tensor_type(output.type))
            self.compressed[output.name] = kind
        else:
            inputs = {key: self._names(key, value) for key, value in operation.inputs.items()}
            self.operations.append(
                Operation(kind, MappingProxyType(inputs), output.name, _tensor_type(output.type))
            )

    def _names(self, key: str, argument: Any) -> tuple[str, ...]:  # noqa: ANN401
        names = tuple(one.name for one in argument.arguments)
        if not all(names):
            raise ConversionError(f"expected named values as {key!r}, got a value without a name")
        return names

    def _unpacked(self, operation: Any, declared: TensorType) -> NDArray[Any]:  # noqa: ANN401
        if operation.type not in _UNPACK:
            raise ConversionError(
                f"expected compressed weights out of {sorted(_UNPACK)}, got {operation.type!r}"
            )
        parts = {
            key: self._value(value) for key, value in operation.attributes.items() if key != "name"
        }
        weights: NDArray[Any] = _UNPACK[operation.type](**parts)
        if weights.shape != declared.shape or weights.dtype != _DTYPES[declared.dtype]:
            raise ConversionError(
                f"expected {declared} of {operation.type}, got {weights.dtype} {weights.shape}"
            )
        return weights

    def _value(self, value: Any) -> Constant:  # noqa: ANN401
        declared = _tensor_type(value.type)
        if value.WhichOneof("value") == "blobFileValue":
            blob = value.blobFileValue
            contents = weights_file(self._files, self._folder, blob.fileName)
            return _array(_read_blob(contents, blob.offset, declared), declared)
        tensor = value.immediateValue.tensor
        kind = tensor.WhichOneof("value")
        values = getattr(tensor, kind).values
        if kind == "strings":
            (text,) = values
            return str(text)
        if kind == "bytes":
            return _array(values, declared)
        return _array(np.array(values, _DTYPES[declared.dtype]).tobytes(), declared)


def _image(description: Any) -> tuple[str, str]:  # noqa: ANN401
    """Name of the input, and the order of its channels."""
    (feature,) = description.input
    picture = feature.type.imageType
    color = picture.DESCRIPTOR.enum_types_by_name["ColorSpace"].values_by_number
    name = color[picture.colorSpace].name
    if feature.type.WhichOneof("Type") != "imageType" or name not in ("RGB", "BGR"):
        raise ConversionError(
            f"expected a picture in RGB or BGR as input {feature.name!r}, got "
            f"{feature.type.WhichOneof('Type')} {name}"
        )
    return str(feature.name), str(name)


def _tensor_type(value: Any) -> TensorType:  # noqa: ANN401
    tensor = value.tensorType
    names = tensor.DESCRIPTOR.fields_by_name["dataType"].enum_type.values_by_number
    shape = tuple(int(one.constant.size) for one in tensor.dimensions)
    return TensorType(names[tensor.dataType].name, shape)


def _read_blob(contents: bytes, offset: int, declared: TensorType) -> bytes:
    if offset + _BLOB.size > len(contents):
        raise ConversionError(f"expected weights at {offset}, the file ends at {len(contents)}")
    marker, dtype, size, start = _BLOB.unpack_from(contents, offset)
    if marker != _BLOB_MARKER or _BLOB_DTYPES.get(dtype) != declared.dtype:
        raise ConversionError(
            f"expected weights of {declared.dtype} at {offset}, got the marker {marker:#x} and the "
            f"type {_BLOB_DTYPES.get(dtype, dtype)}"
        )
    return contents[start : start + size]


def _array(raw: bytes, declared: TensorType) -> NDArray[Any]:
    dtype = np.dtype(_DTYPES[declared.dtype]).newbyteorder("<")
    expected = dtype.itemsize * math.prod(declared.shape)
    if len(raw) != expected:
        raise ConversionError(f"expected {expected} bytes for {declared}, got {len(raw)}")
    return np.frombuffer(raw, dtype).reshape(declared.shape)


def _affine_dequantize(
    quantized_data: NDArray[Any],
    scale: NDArray[Any],
    zero_point: NDArray[Any],
    axis: NDArray[Any],
) -> NDArray[Any]:
    """Unpack ``scale * (data - zero point)``, with one scale or one for each index of an axis."""
    along = [1] * quantized_data.ndim
    along[int(axis)] = -1
    steps = quantized_data.astype(np.float32) - zero_point.astype(np.float32).reshape(along)
    weights: NDArray[Any] = (scale.astype(np.float32).reshape(along) * steps).astype(scale.dtype)
    return weights


def _lut_to_dense(indices: NDArray[Any], lut: NDArray[Any], shape: NDArray[Any]) -> NDArray[Any]:
    """Indices of as many bits as the palette needs, packed from the lowest bit on."""
    size = tuple(int(side) for side in shape)
    width, count = int(lut.size).bit_length() - 1, math.prod(size)
    bits = np.unpackbits(indices, bitorder="little")[: width * count].reshape(count, width)
    places = bits.astype(np.int64) @ (1 << np.arange(width))
    weights: NDArray[Any] = lut[places].reshape(size)
    return weights


_UNPACK: Final[Mapping[str, Callable[..., NDArray[Any]]]] = MappingProxyType(
    {
        "constexpr_affine_dequantize": _affine_dequantize,
        "constexpr_lut_to_dense": _lut_to_dense,
    }
)
