"""Yardsticks as files for ONNX Runtime and LiteRT, float32 and int8: seeded weights, same bytes.

The times and instructions of these networks do not depend on what they have learned, so their
weights are random, of a size that keeps activations near 1. Hard-swish and hard-sigmoid are single
operations in float32. In int8 neither engine has integer kernels for them (XNNPACK has no int8
HARD_SWISH): there they are written with relu6, ``(x * (1/6)) * relu6(x + 3)``.
"""

import importlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkError
from benchmarks.record import writing
from benchmarks.yardsticks import INPUT, Operation, Yardstick, make_yardstick, weight_shape

Array: TypeAlias = NDArray[np.float32]
Runtime = Literal["onnx", "tflite"]
Precision = Literal["float32", "int8"]

RUNTIMES: Final[tuple[Runtime, ...]] = ("onnx", "tflite")
PRECISIONS: Final[tuple[Precision, ...]] = ("float32", "int8")
WRITTEN: Final = ("mobilenet_v2", "mobilenet_v3_small")

_SEED: Final = 0
_CALIBRATION_IMAGES: Final = 4
_ONNX_OPSET: Final = 17
_ONNX_IR: Final = 8
# ONNX Runtime's quantizer asks for a model that its own pre-processing has been over. What that
# does, shapes and folding, is done here by construction.
_PREPARED: Final = ("onnx.infer", "onnx.quant.pre_process")
_PREPARED_BY: Final = "onnxruntime.quant"
_ACTIVATIONS: Final = frozenset({"Relu", "Relu6", "HardSwish", "HardSigmoid"})
_SIXTH: Final = 1.0 / 6.0


@dataclass(frozen=True, slots=True)
class YardstickFile:
    """A file that was written.

    Attributes:
        name: of the network.
        runtime: engine that reads it.
        precision: "float32" or "int8".
        path: where it is.
    """

    name: str
    runtime: Runtime
    precision: Precision
    path: Path


def write_yardsticks(
    folder: Path,
    names: Sequence[str] = WRITTEN,
    runtimes: Sequence[Runtime] = RUNTIMES,
    precisions: Sequence[Precision] = PRECISIONS,
) -> tuple[YardstickFile, ...]:
    """Write the files that a folder does not have yet, whole or not at all.

    Args:
        folder: for the files, ``<name>_<precision>.<runtime>``.
        names: of networks.
        runtimes: engines.
        precisions: of the files.

    Returns:
        every file asked for, those included that were there.

    Raises:
        BenchmarkError: a network is unknown, a tool is not installed, or a file cannot be written.
    """
    files = []
    for name in names:
        for runtime in runtimes:
            for precision in precisions:
                path = folder / f"{name}_{precision}.{runtime}"
                if not path.is_file():
                    contents = yardstick_bytes(make_yardstick(name), runtime, precision)
                    with writing(path) as partial:
                        partial.write_bytes(contents)
                files.append(YardstickFile(name, runtime, precision, path))
    return tuple(files)


def yardstick_bytes(yardstick: Yardstick, runtime: Runtime, precision: Precision) -> bytes:
    """A network as a file. Input "image" in the engine's layout, the same tools: the same bytes.

    Args:
        yardstick: with the operations that MobileNets are made of.
        runtime: engine that reads it: "onnx" takes (1, C, H, W), "tflite" (1, H, W, C).
        precision: "float32" or "int8", with float32 input and outputs.

    Raises:
        BenchmarkError: an operation is not among those, or a tool is not installed.
    """
    unknown = sorted({one.op for one in yardstick.operations} - set(_ONNX))
    if unknown:
        raise BenchmarkError(f"expected operations out of {sorted(_ONNX)}, got {unknown}")
    writer = {"onnx": _onnx_file, "tflite": _tflite_file}[runtime]
    return writer(yardstick, precision == "int8")


def make_weights(yardstick: Yardstick, seed: int = _SEED) -> dict[str, tuple[Array, Array]]:
    """Weights (as ONNX stores them) and biases by operation.

    Uniform, with the variance that keeps that of the activations: 2 / fan-in where a rectifier
    follows (He et al., arXiv:1502.01852), 1 / fan-in elsewhere.
    """
    random = np.random.default_rng(seed)
    rectified = {one.inputs[0] for one in yardstick.operations if one.op in _ACTIVATIONS}
    shapes = yardstick.shapes()
    weights = {}
    for one in yardstick.operations:
        shape = weight_shape(one, shapes[one.inputs[0]][0])
        if not shape:
            continue
        variance = (2.0 if one.name in rectified else 1.0) / float(np.prod(shape[1:]))
        limit = (3.0 * variance) ** 0.5
        values = random.uniform(-limit, limit, shape).astype(np.float32)
        bias = random.uniform(-0.1, 0.1, shape[:1]).astype(np.float32)
        weights[one.name] = values, bias
    return weights


def example_images(yardstick: Yardstick, count: int, seed: int = _SEED + 1) -> list[Array]:
    """Noise in -1..1 to calibrate and to compare on, (1, C, H, W) each."""
    random = np.random.default_rng(seed)
    shape = 1, *yardstick.input_shape
    return [random.uniform(-1.0, 1.0, shape).astype(np.float32) for _ in range(count)]


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Padding before and after a side such that ceil(size / stride) results come out."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


# --- ONNX ------------------------------------------------------------------------------------


class _OnnxGraph:
    """The nodes and constants of a graph while it is written."""

    def __init__(self, yardstick: Yardstick, *, relu6: bool) -> None:
        self.shapes = yardstick.shapes()
        self.weights = make_weights(yardstick)
        self.relu6 = relu6
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}

    def add(self, op: str, inputs: Sequence[str], name: str, **attributes: object) -> str:
        helper = _import("onnx.helper", "onnx")
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, value: float) -> str:
        name = f"constant_{value:.4g}"
        self.constants[name] = np.asarray(value, np.float32)
        return name

    def trained(self, one: Operation) -> tuple[str, str]:
        names = f"{one.name}.weight", f"{one.name}.bias"
        self.constants |= dict(zip(names, self.weights[one.name], strict=True))
        return names

    def relu6_of_shifted(self, one: Operation) -> str:
        shifted = self.add("Add", (one.inputs[0], self.constant(3.0)), f"{one.name}.shifted")
        return self.add("Clip", (shifted, *self.limits()), f"{one.name}.gate")

    def limits(self) -> tuple[str, str]:
        return self.constant(0.0), self.constant(6.0)


def _onnx_conv(graph: _OnnxGraph, one: Operation) -> None:
    sides = graph.shapes[one.inputs[0]][1:]
    pads = [same_padding(side, one.kernel, one.stride) for side in sides]
    graph.add(
        "Conv",
        (one.inputs[0], *graph.trained(one)),
        one.name,
        kernel_shape=[one.kernel] * 2,
        strides=[one.stride] * 2,
        group=one.groups,
        pads=[before for before, _ in pads] + [after for _, after in pads],
    )


def _onnx_gemm(graph: _OnnxGraph, one: Operation) -> None:
    graph.add("Gemm", (one.inputs[0], *graph.trained(one)), one.name, transB=1)


def _onnx_plain(graph: _OnnxGraph, one: Operation) -> None:
    graph.add(one.op, one.inputs, one.name)


def _onnx_relu6(graph: _OnnxGraph, one: Operation) -> None:
    graph.add("Clip", (one.inputs[0], *graph.limits()), one.name)


def _onnx_hard_swish(graph: _OnnxGraph, one: Operation) -> None:
    if not graph.relu6:
        graph.add("HardSwish", one.inputs, one.name)
        return
    scaled = graph.add("Mul", (one.inputs[0], graph.constant(_SIXTH)), f"{one.name}.scaled")
    graph.add("Mul", (scaled, graph.relu6_of_shifted(one)), one.name)


def _onnx_hard_sigmoid(graph: _OnnxGraph, one: Operation) -> None:
    if not graph.relu6:
        graph.add("HardSigmoid", one.inputs, one.name, alpha=_SIXTH, beta=0.5)
        return
    graph.add("Mul", (graph.relu6_of_shifted(one), graph.constant(_SIXTH)), one.name)


_ONNX: Final[Mapping[str, Callable[[_OnnxGraph, Operation], None]]] = {
    "Conv": _onnx_conv,
    "Gemm": _onnx_gemm,
    "Add": _onnx_plain,
    "Mul": _onnx_plain,
    "GlobalAveragePool": _onnx_plain,
    "Flatten": _onnx_plain,
    "Relu": _onnx_plain,
    "Relu6": _onnx_relu6,
    "HardSwish": _onnx_hard_swish,
    "HardSigmoid": _onnx_hard_sigmoid,
}


def _onnx_file(yardstick: Yardstick, int8: bool) -> bytes:
    onnx = _import("onnx", "onnx")
    helper = _import("onnx.helper", "onnx")
    graph = _OnnxGraph(yardstick, relu6=int8)
    for one in yardstick.operations:
        _ONNX[one.op](graph, one)

    def value(name: str) -> object:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (1, *graph.shapes[name]))

    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            yardstick.name,
            [value(INPUT)],
            [value(name) for name in yardstick.outputs],
            [onnx.numpy_helper.from_array(array, name) for name, array in graph.constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", _ONNX_OPSET)],
        ir_version=_ONNX_IR,
    )
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    if int8:
        model = _onnx_int8(model, example_images(yardstick, _CALIBRATION_IMAGES))
    contents: bytes = model.SerializeToString(deterministic=True)
    return contents


def _onnx_int8(model: Any, images: Sequence[Array]) -> Any:  # noqa: ANN401 - a ModelProto
    onnx = _import("onnx", "onnx")
    tool = _import("onnxruntime.quantization", "onnxruntime")
    for key in _PREPARED:
        model.metadata_props.add(key=key, value=_PREPARED_BY)

    class Reader(tool.CalibrationDataReader):  # type: ignore[misc,name-defined]
        """Hands out the images, one by one."""

        def __init__(self) -> None:
            self._left = iter([{INPUT: image} for image in images])

        def get_next(self) -> dict[str, Array] | None:
            """The next, None at the end."""
            return next(self._left, None)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "int8.onnx")
        tool.quantize_static(
            model,
            path,
            Reader(),
            quant_format=tool.QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,  # x86 without VNNI adds two products in 16 bits
            activation_type=tool.QuantType.QUInt8,
            weight_type=tool.QuantType.QInt8,
        )
        return onnx.load(path)


# --- TFLite ----------------------------------------------------------------------------------


def _tflite_file(yardstick: Yardstick, int8: bool) -> bytes:
    images = [
        image.transpose(0, 2, 3, 1) for image in example_images(yardstick, _CALIBRATION_IMAGES)
    ]
    with _quiet():
        tf = _import("tensorflow", "tensorflow")
        module = tf.Module()

        def network(image: Any) -> dict[str, Any]:  # noqa: ANN401 - a tensor
            return _tensorflow(tf, yardstick, image, relu6=int8)

        image = tf.TensorSpec(images[0].shape, tf.float32, INPUT)
        module.network = tf.function(network, input_signature=[image], autograph=False)
        function = module.network.get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
        if int8:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([one] for one in images)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        contents: bytes = converter.convert()
    return contents


def _tensorflow(
    tf: Any,  # noqa: ANN401 - a module without types
    yardstick: Yardstick,
    image: Any,  # noqa: ANN401
    *,
    relu6: bool,
) -> dict[str, Any]:
    weights, made = make_weights(yardstick), {INPUT: image}
    sixth, three = np.float32(_SIXTH), np.float32(3.0)

    def conv(one: Operation, x: Any) -> Any:  # noqa: ANN401
        values, bias = weights[one.name]
        if one.groups > 1:  # (C, 1, k, k) -> (k, k, C, 1)
            strides = (1, one.stride, one.stride, 1)
            y = tf.nn.depthwise_conv2d(x, values.transpose(2, 3, 0, 1), strides, "SAME")
        else:
            y = tf.nn.conv2d(x, values.transpose(2, 3, 1, 0), one.stride, "SAME")
        return y + bias

    def hard_swish(x: Any) -> Any:  # noqa: ANN401
        if relu6:
            return (x * sixth) * tf.nn.relu6(x + three)
        return x * tf.nn.relu6(x + three) * sixth  # which the converter makes one operation

    writers: dict[str, Callable[..., Any]] = {
        "Conv": conv,
        "Gemm": lambda one, x: tf.matmul(x, weights[one.name][0].T) + weights[one.name][1],
        "Add": lambda _, x, y: x + y,
        "Mul": lambda _, x, y: x * y,
        "GlobalAveragePool": lambda _, x: tf.reduce_mean(x, (1, 2), keepdims=True),
        "Flatten": lambda one, x: tf.reshape(x, (1, one.shape[0])),
        "Relu": lambda _, x: tf.nn.relu(x),
        "Relu6": lambda _, x: tf.nn.relu6(x),
        "HardSwish": lambda _, x: hard_swish(x),
        "HardSigmoid": lambda _, x: tf.nn.relu6(x + three) * sixth,
    }
    for one in yardstick.operations:
        with tf.name_scope(one.name):
            made[one.name] = writers[one.op](one, *(made[name] for name in one.inputs))
    return {name: made[name] for name in yardstick.outputs}


# --- tools -----------------------------------------------------------------------------------


def _import(module: str, package: str) -> Any:  # noqa: ANN401 - a module, perhaps without types
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BenchmarkError(
            f"expected {package} to write yardsticks, it cannot be imported ({error}): "
            f"pip install {package}"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """TensorFlow without its talk: its C++ writes to file descriptor 2, its Python to a log."""
    sys.stderr.flush()
    loggers = [logging.getLogger(name) for name in ("tensorflow", "absl")]
    levels = [logger.level for logger in loggers]
    kept = os.dup(2)
    with open(os.devnull, "wb") as nothing, warnings.catch_warnings():  # noqa: PTH123 - a device
        warnings.simplefilter("ignore", DeprecationWarning)  # of the libraries it is made of
        os.dup2(nothing.fileno(), 2)
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
