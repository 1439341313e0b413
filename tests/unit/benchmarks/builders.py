"""Small networks, as ``layers.Network`` and as files of both formats."""

from collections.abc import Sequence

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from onnx import TensorProto, helper, numpy_helper

from benchmarks.layers import Layer, Network, Tensor


def chain(sizes: Sequence[int], *, name: str = "chain") -> Network:
    """Layers one after the other; tensor i has ``sizes[i]`` bytes, the first one is the input."""
    tensors = {f"t{i}": Tensor((1, size), 1, f"t{i}") for i, size in enumerate(sizes)}
    layers = tuple(
        Layer(f"layer{i}", "Op", "other", (f"t{i}",), (f"t{i + 1}",)) for i in range(len(sizes) - 1)
    )
    return Network(name, "onnx", ("t0",), (f"t{len(sizes) - 1}",), layers, tensors, 0)


def onnx_file(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, Sequence[int | str | None]],
    outputs: Sequence[str],
    weights: dict[str, np.ndarray] | None = None,
    *,
    opset: int = 18,
) -> bytes:
    """An .onnx file; dimensions are sizes, names of open ones, or None."""
    stored = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(
        list(nodes),
        "tiny",
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return bytes(model.SerializeToString())


def zeros(*shape: int, dtype: type = np.float32) -> np.ndarray:
    """An array of zeros."""
    return np.zeros(shape, dtype)


class TfliteFile:
    """Builds a .tflite file tensor by tensor."""

    def __init__(self) -> None:
        self._graph = schema.SubGraphT()
        self._graph.name = b"tiny"
        self._graph.tensors, self._graph.operators = [], []
        self._model = schema.ModelT()
        self._model.version = 3
        self._model.buffers = [schema.BufferT()]
        self._model.operatorCodes = []
        self._model.subgraphs = [self._graph]

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        data: np.ndarray | None = None,
        *,
        kind: str = "FLOAT32",
        signature: Sequence[int] | None = None,
    ) -> int:
        """Add one; returns its place."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape = name.encode(), list(shape)
        tensor.shapeSignature = signature
        tensor.type = getattr(schema.TensorType, kind)
        tensor.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            self._model.buffers.append(buffer)
            tensor.buffer = len(self._model.buffers) - 1
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def operator(
        self, op: str, inputs: Sequence[int], outputs: Sequence[int], options: object = None
    ) -> None:
        """Add one."""
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, op)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        self._model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self._model.operatorCodes) - 1
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        if options is not None:
            operator.builtinOptions = options
            name = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
        self._graph.operators.append(operator)

    def build(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file."""
        self._graph.inputs, self._graph.outputs = list(inputs), list(outputs)
        return bytes(flatbuffer_utils.convert_object_to_bytearray(self._model))


def strided(options: object, stride: int) -> object:
    """Options of a convolution with that stride both ways."""
    options.strideH = options.strideW = stride  # type: ignore[attr-defined]
    return options
