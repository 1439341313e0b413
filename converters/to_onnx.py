"""torch -> ONNX, opset 18: one file that any runtime reads, and that says nothing of its maker."""

import importlib.metadata
import logging
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import onnx
import onnxsim  # type: ignore[import-untyped]
import torch
from torch import nn

from atpn_mobile.manifest import ModelSpec
from converters.errors import ConversionError

OPSET: Final = 18
MAX_IR_VERSION: Final = 10  # the newest that the oldest supported ONNX Runtime (1.18) reads
TOOLS: Final = ("torch", "onnx", "onnxscript", "onnxsim")

# What the other converters and the int8 recipes know. Not on the list: Pad, which belongs into the
# convolutions, and everything that a network of the project has no business with.
EXPECTED_OPS: Final = frozenset(
    {
        *("Conv", "ConvTranspose", "Gemm"),
        *("Relu", "HardSwish", "HardSigmoid", "Sigmoid", "Tanh", "Softmax"),
        *("Add", "Sub", "Mul", "Clip", "Exp", "Sqrt", "Reciprocal"),
        *("ReduceMean", "ReduceMin"),
        *("Concat", "Slice", "Reshape", "Transpose", "Unsqueeze", "Resize"),
    }
)
DYNAMIC_BATCH_OPS: Final = frozenset({"Shape", "Expand"})  # constants repeated along the batch

BATCH: Final = "batch"  # name of the dynamic dimension
_TRACED_BATCH: Final = 2  # torch.export takes a size of 1 for a constant


def to_onnx(network: nn.Module, spec: ModelSpec, *, dynamic_batch: bool = False) -> bytes:
    """Convert a network.

    Args:
        network: in evaluation mode; takes one tensor of ``spec.input``, gives the outputs in the
            order of ``spec``.
        spec: names and shapes of the graph's input and outputs, for a batch of 1.
        dynamic_batch: leave the first dimension open. Phones want it fixed.

    Returns:
        The .onnx file. The same network and tools give the same bytes.

    Raises:
        ConversionError: the network cannot be converted, or the graph is not as it has to be.
    """
    if network.training:
        raise ConversionError(
            f"expected {spec.name!r} in evaluation mode, got it in training mode: batch "
            "normalisation would be exported with the statistics of one batch"
        )
    model = _simplify(_export(network, spec, dynamic_batch), spec.name)
    strip_origin(model, spec.name)
    check_graph(model, spec, dynamic_batch=dynamic_batch)
    contents: bytes = model.SerializeToString(deterministic=True)
    return contents


def tool_versions() -> dict[str, str]:
    """Versions of what makes the file, without the build's suffix ("+cpu")."""
    return {name: importlib.metadata.version(name).split("+")[0] for name in TOOLS}


def _export(network: nn.Module, spec: ModelSpec, dynamic_batch: bool) -> onnx.ModelProto:
    _, *shape = spec.input.shape
    image = torch.zeros(_TRACED_BATCH if dynamic_batch else 1, *shape)
    axes = ({0: torch.export.Dim(BATCH)},) if dynamic_batch else None
    with _quiet_export():
        try:
            program = torch.onnx.export(
                network,
                (image,),
                dynamo=True,
                opset_version=OPSET,
                external_data=False,
                input_names=[spec.input.name],
                output_names=[output.name for output in spec.outputs],
                dynamic_shapes=axes,
                verbose=False,
            )
        except Exception as error:  # the exporter's errors share no base of their own
            raise ConversionError(
                f"expected torch {torch.__version__} to export {spec.name!r}: {error}"
            ) from error
    if program is None:  # the type allows it; only the exporter before dynamo gives None
        raise ConversionError(f"expected torch to hand out the graph of {spec.name!r}")
    return program.model_proto


@contextmanager
def _quiet_export() -> Iterator[None]:
    """Hide what the exporter says to its own developers; everything else is still heard."""
    registry = logging.getLogger("torch.onnx._internal.exporter._registration")

    def is_news(record: logging.LogRecord) -> bool:
        return "torchvision is not installed" not in record.getMessage()

    registry.addFilter(is_news)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(  # torch 2.13 copies its own trees in the old way
                "ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning
            )
            yield
    finally:
        registry.removeFilter(is_news)


def _simplify(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    simplified: onnx.ModelProto
    try:
        simplified, ok = onnxsim.simplify(model)
    except Exception as error:  # its errors share no base of their own
        raise ConversionError(f"expected onnxsim to simplify {name!r}: {error}") from error
    if not ok:
        raise ConversionError(f"expected onnxsim to keep the results of {name!r}, it does not")
    return simplified


def strip_origin(model: onnx.ModelProto, name: str) -> None:
    """Remove what tells of the machine and the build: stack traces, paths, build numbers.

    Args:
        model: changed in place.
        name: becomes the name of the graph.
    """
    model.producer_name, model.producer_version, model.domain = "atpn_mobile", "", ""
    graph = model.graph
    graph.name = name
    described = [model, graph, *graph.node, *graph.initializer]
    for item in [*described, *graph.input, *graph.output, *graph.value_info]:
        item.ClearField("doc_string")
        item.ClearField("metadata_props")


def check_graph(model: onnx.ModelProto, spec: ModelSpec, *, dynamic_batch: bool = False) -> None:
    """Check that a graph is valid, self-contained, and what its specification says.

    Raises:
        ConversionError: it is not.
    """
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(f"expected a valid graph of {spec.name!r}: {error}") from error
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets != {"": OPSET}:
        raise ConversionError(f"expected opset {OPSET} alone in {spec.name!r}, got {opsets}")
    if model.ir_version > MAX_IR_VERSION:
        raise ConversionError(
            f"expected IR version {MAX_IR_VERSION} or older in {spec.name!r}, got "
            f"{model.ir_version}"
        )
    _check_operations(model, spec, EXPECTED_OPS | (DYNAMIC_BATCH_OPS if dynamic_batch else set()))
    inputs = {spec.input.name: spec.input.shape}
    outputs = {output.name: output.shape for output in spec.outputs}
    _check_tensors("inputs", spec, inputs, model.graph.input, dynamic_batch)
    _check_tensors("outputs", spec, outputs, model.graph.output, dynamic_batch)


def _check_operations(model: onnx.ModelProto, spec: ModelSpec, expected: frozenset[str]) -> None:
    found = Counter(f"{n.domain}::{n.op_type}" if n.domain else n.op_type for n in model.graph.node)
    unexpected = {name: count for name, count in sorted(found.items()) if name not in expected}
    if unexpected:
        raise ConversionError(
            f"expected operations out of {sorted(expected)} in {spec.name!r}, got {unexpected}"
        )
    outside = [tensor.name for tensor in model.graph.initializer if tensor.external_data]
    if outside:
        raise ConversionError(f"expected all weights in the file, got {outside} outside")


def _check_tensors(
    what: str,
    spec: ModelSpec,
    shapes: dict[str, tuple[int, ...]],
    tensors: Sequence[onnx.ValueInfoProto],
    dynamic_batch: bool,
) -> None:
    wanted = [
        (name, onnx.TensorProto.FLOAT, (BATCH if dynamic_batch else shape[0], *shape[1:]))
        for name, shape in shapes.items()
    ]
    got = [(tensor.name, *_type_and_shape(tensor)) for tensor in tensors]
    if got != wanted:
        raise ConversionError(f"expected {what} {wanted} of {spec.name!r}, got {got}")


def _type_and_shape(tensor: onnx.ValueInfoProto) -> tuple[int, tuple[int | str, ...]]:
    kind = tensor.type.tensor_type
    return kind.elem_type, tuple(dim.dim_param or dim.dim_value for dim in kind.shape.dim)
