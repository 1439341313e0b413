"""Small ONNX graphs for the Core ML tests."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from atpn_mobile.manifest import InputSpec, OutputSpec
from converters.graph import read_graph
from converters.models import ATPN, ReferenceModel

SIDE = 8
IMAGE = (1, 3, SIDE, SIDE)


def node(op: str, inputs: Sequence[str], output: str = "y", **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op, inputs, [output], name=f"the_{op}", **attributes)


def network(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, NDArray] | None = None,
    outputs: Sequence[str] = ("y",),
) -> bytes:
    """An ONNX file: the picture as x in -1..1, then the nodes, which make the outputs."""
    scaled = [
        helper.make_node("Mul", ["image", "scale"], ["unit"], name="scaled"),
        helper.make_node("Sub", ["unit", "one"], ["x"], name="shifted"),
    ]
    constants = {"scale": np.float32(1 / 127.5), "one": np.float32(1), **(constants or {})}
    graph = helper.make_graph(
        [*scaled, *nodes],
        "toy",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, IMAGE)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(one), name) for name, one in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True).SerializeToString()


def description(model: bytes) -> ReferenceModel:
    """What there is to say of such a file."""
    graph = read_graph(model)
    return replace(
        ATPN,
        name="toy",
        input=InputSpec(graph.input, graph.shapes[graph.input], "NCHW"),
        outputs=tuple(OutputSpec(name, graph.shapes[name], name) for name in graph.outputs),
    )


def picture(seed: int = 0, shape: tuple[int, ...] = IMAGE) -> NDArray[np.float32]:
    """Noise of whole numbers 0..255."""
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.float32)
