"""Reading and writing .tflite files: the same network gives the same bytes, named as it should be.

TFLite's file is a flatbuffer. TensorFlow writes names of its own into it, and by which version it
was made; what is written here has the names of the network's layers and outputs instead.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from atpn_mobile.manifest import ModelSpec
from converters.errors import ConversionError
from converters.regions import Operation
from converters.tools import import_tool

INSTALL_HINT: Final = "pip install ai-edge-litert"
FILE_IDENTIFIER: Final = b"TFL3"
SIGNATURE: Final = "serving_default"
KEPT_METADATA: Final = b"min_runtime_version"
ALIGNMENT: Final = 16  # bytes; the format's own for constants, engines read them in place

# The operations that have weights, and where weights and bias stand among their inputs.
WEIGHTED: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        "CONV_2D": (1, 2),
        "DEPTHWISE_CONV_2D": (1, 2),
        "FULLY_CONNECTED": (1, 2),
        "TRANSPOSE_CONV": (1, 3),
    }
)


def read_model(model: bytes) -> Any:  # noqa: ANN401 - generated classes without types
    """A .tflite file as objects of the format's schema (ModelT).

    Raises:
        ConversionError: it is no such file, or has other than one graph.
    """
    if len(model) < 8 or model[4:8] != FILE_IDENTIFIER:
        raise ConversionError(f"expected a .tflite file, got {len(model)} bytes of something else")
    found = _schema().read_model_from_bytearray(model)
    if len(found.subgraphs) != 1:
        raise ConversionError(f"expected one graph in a .tflite file, got {len(found.subgraphs)}")
    return found


def write_model(model: Any) -> bytes:  # noqa: ANN401
    """Objects of the format's schema as a file; the constants aligned.

    Args:
        model: a ModelT; not to be used afterwards.
    """
    builder = import_tool("flatbuffers", INSTALL_HINT).Builder(1024)
    _drop_unused_buffers(model)
    model.buffers = [_AlignedBuffer(buffer_bytes(one)) for one in model.buffers]
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


def _drop_unused_buffers(model: Any) -> None:  # noqa: ANN401
    owners = [*(tensor for one in model.subgraphs for tensor in one.tensors), *model.metadata]
    used = sorted({0, *(owner.buffer for owner in owners)})  # 0 is the empty one
    places = {old: new for new, old in enumerate(used)}
    for owner in owners:
        owner.buffer = places[owner.buffer]
    model.buffers = [model.buffers[index] for index in used]


def buffer_bytes(buffer: Any) -> bytes:  # noqa: ANN401
    """What a buffer of the schema holds, as an array or as memory; b"" for nothing."""
    return b"" if buffer.data is None else np.frombuffer(buffer.data, np.uint8).tobytes()


class _AlignedBuffer:
    """Packs like the schema's BufferT, which forgets the alignment the format asks for."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def Pack(self, builder: Any) -> int:  # noqa: ANN401, N802 - the name in the schema
        vector = 0
        if self._data:
            builder.Prep(ALIGNMENT, len(self._data))
            vector = builder.CreateByteVector(self._data)
        builder.StartObject(3)
        if vector:
            builder.PrependUOffsetTRelativeSlot(0, vector, 0)
        offset: int = builder.EndObject()
        return offset


def operation_names(model: Any) -> list[str]:  # noqa: ANN401
    """The kind of each operation of a graph, in order: "CONV_2D", ..."""
    schema = _schema()
    codes = [schema.opcode_to_name(model, i) for i in range(len(model.operatorCodes))]
    return [codes[one.opcodeIndex] for one in model.subgraphs[0].operators]


def count_operations(model: bytes) -> dict[str, int]:
    """How often each kind of operation stands in a .tflite file.

    Raises:
        ConversionError: it is no such file.
    """
    return dict(sorted(Counter(operation_names(read_model(model))).items()))


def operations(model: Any) -> tuple[Operation, ...]:  # noqa: ANN401 - a ModelT
    """The operations of a graph, in the order in which they run."""
    graph = model.subgraphs[0]
    names = [tensor.name.decode() for tensor in graph.tensors]
    computed = {*graph.inputs, *(index for one in graph.operators for index in one.outputs)}
    found = []
    for one, kind in zip(graph.operators, operation_names(model), strict=True):
        inputs = tuple(names[index] for index in one.inputs if index in computed)
        layer, macs = None, 0
        if kind in WEIGHTED:
            weights = one.inputs[WEIGHTED[kind][0]]
            layer = names[weights].removesuffix(".weight")
            macs = math.prod(graph.tensors[weights].shape) * _positions(graph, one, kind)
        found.append(Operation(kind, inputs, names[one.outputs[0]], layer, int(macs)))
    return tuple(found)


def _positions(graph: Any, operation: Any, kind: str) -> int:  # noqa: ANN401
    """How often each weight works: of the input where the layer enlarges the picture."""
    picture = operation.inputs[2] if kind == "TRANSPOSE_CONV" else operation.outputs[0]
    shape = graph.tensors[picture].shape
    return math.prod(shape[1:3]) if len(shape) == 4 else 1


def tidy(contents: bytes, spec: ModelSpec) -> bytes:
    """Name a converted network after its specification and its layers, and remove its origin.

    Args:
        contents: as TFLiteConverter made it: one signature with the names of ``spec``, tensors
            named ``scope/operation``.
        spec: names of input and outputs.

    Raises:
        ConversionError: the signature has other names.
    """
    model = read_model(contents)
    (signature,) = model.signatureDefs
    found = {one.name.decode(): one.tensorIndex for one in [*signature.inputs, *signature.outputs]}
    wanted = [spec.input.name, *(output.name for output in spec.outputs)]
    if sorted(found) != sorted(wanted):
        raise ConversionError(f"expected a signature of {wanted}, got {sorted(found)}")
    signature.signatureKey = SIGNATURE
    model.description = spec.name
    model.metadata = [one for one in model.metadata if one.name == KEPT_METADATA]
    graph = model.subgraphs[0]
    graph.name = spec.name
    graph.outputs = [found[output.name] for output in spec.outputs]
    order = {name: place for place, name in enumerate(wanted)}
    signature.outputs.sort(key=lambda one: order[one.name.decode()])
    _name_tensors(model, {index: name for name, index in found.items()})
    return write_model(model)


def _name_tensors(model: Any, names: dict[int, str]) -> None:  # noqa: ANN401
    """Name results after their layer or node, constants after the operation that reads them.

    Args:
        model: changed in place.
        names: the tensors that have their name; filled.
    """
    tensors = model.subgraphs[0].tensors
    taken = set(names.values())

    def name(index: int, wanted: str) -> None:
        if index < 0 or index in names:  # left out, or named
            return
        count = 0
        while (full := f"{wanted}.{count}" if count else wanted) in taken:
            count += 1
        names[index] = full
        taken.add(full)

    operations = model.subgraphs[0].operators
    for operation, kind in zip(operations, operation_names(model), strict=True):
        if kind in WEIGHTED:
            inputs = [*operation.inputs, -1]  # -1 where the bias is left out
            weights, bias = (inputs[min(place, len(inputs) - 1)] for place in WEIGHTED[kind])
            layer = _scope(tensors[weights].name)
            name(operation.outputs[0], layer)
            name(weights, f"{layer}.weight")
            name(bias, f"{layer}.bias")
    for operation in operations:
        result = operation.outputs[0]
        name(result, _scope(tensors[result].name))
        for index in operation.inputs:
            name(index, f"{names[result]}.constant")
    for index, tensor in enumerate(tensors):
        name(index, "unused")
        tensor.name = names[index]


def _scope(name: bytes) -> str:
    """The scope in TensorFlow's names, such as "scope/operation;..."."""
    return re.split("[/;]", name.decode())[0]


def _schema() -> Any:  # noqa: ANN401
    return import_tool("ai_edge_litert.tools.flatbuffer_utils", INSTALL_HINT)
