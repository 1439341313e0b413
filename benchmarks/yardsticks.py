"""Networks that everybody knows, written down from their papers, to set ours beside.

One description of each serves three ends: its costs (``Yardstick.network``), the published times of
phones that estimates are fitted on, and files for engines (``benchmarks.yardstick_files``). The
counts of the papers are what the tests hold them to.

Batch normalisation is folded into the convolution before it, as every engine does: a convolution
has one bias per output channel.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from benchmarks.errors import BenchmarkError
from benchmarks.layers import Kind, Layer, Network, Tensor

Op = Literal[
    "Conv",
    "Gemm",
    "Add",
    "Mul",
    "Concat",
    "Slice",  # channels from ``start`` on
    "ChannelShuffle",  # of two groups
    "PadChannels",  # with zeros at the end
    "MaxPool",
    "GlobalAveragePool",
    "Flatten",
    "Relu",
    "Relu6",
    "HardSwish",
    "HardSigmoid",
]
Activation = Literal["Relu", "Relu6", "HardSwish", "HardSigmoid"]
Shape = tuple[int, ...]

INPUT: Final = "image"
_FLOAT32_BYTES: Final = 4
# What works on the memory of its input, or is done while the layer before writes its result.
_IN_PLACE: Final = frozenset({"Flatten", "Relu", "Relu6", "HardSwish", "HardSigmoid"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes:
        op: what it does.
        name: its own, and that of its result.
        inputs: names of what it reads.
        shape: of its result without the batch: (C, H, W), or (C,) after Flatten.
        kernel: side of a convolution or pooling.
        stride: both ways. Padding is such that a side of n becomes ceil(n / stride), the odd pixel
            of padding at the end (SAME of TensorFlow, SAME_UPPER of ONNX).
        groups: of a convolution.
        start: first channel that Slice takes.
    """

    op: Op
    name: str
    inputs: tuple[str, ...]
    shape: Shape
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    start: int = 0


@dataclass(frozen=True, slots=True)
class Yardstick:
    """A network.

    Attributes:
        name: "mobilenet_v2", ...
        input_shape: (C, H, W).
        operations: in the order in which they run.
        outputs: names of results.
    """

    name: str
    input_shape: Shape
    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]

    def shapes(self) -> Mapping[str, Shape]:
        """Shapes of the input and of every result, without the batch."""
        return {INPUT: self.input_shape} | {one.name: one.shape for one in self.operations}

    def network(self) -> Network:
        """Its layers with their costs in float32, as of an .onnx file that holds nothing else."""
        shapes = self.shapes()
        storage = {INPUT: INPUT}
        for one in self.operations:
            storage[one.name] = storage[one.inputs[0]] if one.op in _IN_PLACE else one.name
        layers = tuple(_layer(one, shapes) for one in self.operations)
        tensors = {
            name: Tensor((1, *shape), _FLOAT32_BYTES, storage[name])
            for name, shape in shapes.items()
        }
        size = sum(layer.weight_bytes for layer in layers)
        return Network(self.name, "onnx", (INPUT,), self.outputs, layers, tensors, size)


def weight_shape(operation: Operation, channels: int) -> Shape:
    """Shape of the weights in ONNX, (out, in / groups, k, k) or (out, in); () for none.

    Args:
        operation: with weights or without.
        channels: of its input.
    """
    if operation.op == "Conv":
        kernel = operation.kernel
        return operation.shape[0], channels // operation.groups, kernel, kernel
    return (operation.shape[0], channels) if operation.op == "Gemm" else ()


def _layer(operation: Operation, shapes: Mapping[str, Shape]) -> Layer:
    channels, out = shapes[operation.inputs[0]][0], operation.shape[0]
    weights = weight_shape(operation, channels)
    count = _product(weights) if weights else 0
    parameters = count + out if weights else 0
    kernel = operation.kernel
    return Layer(
        name=operation.name,
        op=operation.op,
        kind=_kind(operation, channels),
        inputs=operation.inputs,
        outputs=(operation.name,),
        macs=count * _product(operation.shape[1:]),
        parameters=parameters,
        weight_bytes=_FLOAT32_BYTES * parameters,
        kernel=(kernel, kernel),
        stride=operation.stride,
        channels=(channels, out),
    )


def _kind(operation: Operation, channels: int) -> Kind:
    if operation.op == "Gemm":
        return "linear"
    if operation.op != "Conv":
        return "other"
    if operation.groups == channels:
        return "depthwise"
    return "pointwise" if operation.kernel == 1 else "conv"


def _product(sizes: Sequence[int]) -> int:
    count = 1
    for size in sizes:
        count *= size
    return count


@dataclass(slots=True)
class _Builder:
    """Writes a network down; every method adds an operation and returns the name of its result."""

    input_shape: Shape
    operations: list[Operation] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shapes[INPUT] = self.input_shape

    def add(self, op: Op, inputs: Sequence[str], shape: Shape, **options: int) -> str:
        name = f"{op.lower()}_{len(self.operations)}"
        self.operations.append(Operation(op, name, tuple(inputs), shape, **options))
        self.shapes[name] = shape
        return name

    def conv(
        self,
        x: str,
        channels: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        activation: Activation | None = None,
    ) -> str:
        shape = (channels, *self._sides(x, stride))
        x = self.add("Conv", (x,), shape, kernel=kernel, stride=stride, groups=groups)
        return x if activation is None else self.add(activation, (x,), shape)

    def depthwise(
        self, x: str, kernel: int, stride: int, activation: Activation | None = None
    ) -> str:
        channels = self.shapes[x][0]
        return self.conv(x, channels, kernel, stride, groups=channels, activation=activation)

    def linear(self, x: str, channels: int) -> str:
        if len(self.shapes[x]) > 1:
            x = self.add("Flatten", (x,), (_product(self.shapes[x]),))
        return self.add("Gemm", (x,), (channels,))

    def activate(self, x: str, activation: Activation) -> str:
        return self.add(activation, (x,), self.shapes[x])

    def plus(self, x: str, y: str) -> str:
        return self.add("Add", (x, y), self.shapes[x])

    def times(self, x: str, y: str) -> str:
        return self.add("Mul", (x, y), self.shapes[x])

    def concat(self, x: str, y: str) -> str:
        channels = self.shapes[x][0] + self.shapes[y][0]
        return self.add("Concat", (x, y), (channels, *self.shapes[x][1:]))

    def slice(self, x: str, start: int, channels: int) -> str:
        return self.add("Slice", (x,), (channels, *self.shapes[x][1:]), start=start)

    def shuffle(self, x: str) -> str:
        return self.add("ChannelShuffle", (x,), self.shapes[x])

    def pad_channels(self, x: str, channels: int) -> str:
        return self.add("PadChannels", (x,), (channels, *self.shapes[x][1:]))

    def max_pool(self, x: str, kernel: int, stride: int) -> str:
        shape = (self.shapes[x][0], *self._sides(x, stride))
        return self.add("MaxPool", (x,), shape, kernel=kernel, stride=stride)

    def average(self, x: str) -> str:
        return self.add("GlobalAveragePool", (x,), (self.shapes[x][0], 1, 1))

    def squeeze_and_excite(self, x: str, channels: int) -> str:
        gate = self.conv(self.average(x), channels, activation="Relu")
        gate = self.conv(gate, self.shapes[x][0], activation="HardSigmoid")
        return self.times(x, gate)

    def finish(self, name: str, *outputs: str) -> Yardstick:
        return Yardstick(name, self.input_shape, tuple(self.operations), outputs)

    def _sides(self, x: str, stride: int) -> Shape:
        return tuple(-(-side // stride) for side in self.shapes[x][1:])


def _image(side: int = 224) -> _Builder:
    return _Builder((3, side, side))


_CLASSES: Final = 1000  # of ImageNet


def _mobilenet_v1() -> Yardstick:
    """Howard et al., arXiv:1704.04861, table 1."""
    table = (
        *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
        *((512, 1),) * 5,
        *((1024, 2), (1024, 1)),
    )
    net = _image()
    x = net.conv(INPUT, 32, 3, 2, activation="Relu")
    for channels, stride in table:
        x = net.conv(net.depthwise(x, 3, stride, "Relu"), channels, activation="Relu")
    return net.finish("mobilenet_v1", net.linear(net.average(x), _CLASSES))


def _mobilenet_v2(name: str, *, first_expanded: bool = False) -> Yardstick:
    """Sandler et al., CVPR 2018 (arXiv:1801.04381), table 2.

    Args:
        name: of the network.
        first_expanded: the first block has an expansion, by 1, which the paper's has not.
    """
    # expansion, channels, blocks, stride of the first
    table = (
        *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
        *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
    )
    net = _image()
    x = net.conv(INPUT, 32, 3, 2, activation="Relu6")
    for expansion, channels, blocks, first_stride in table:
        for block in range(blocks):
            before, stride = x, first_stride if block == 0 else 1
            if expansion > 1 or first_expanded:
                x = net.conv(x, expansion * net.shapes[x][0], activation="Relu6")
            x = net.conv(net.depthwise(x, 3, stride, "Relu6"), channels)
            if block > 0:
                x = net.plus(before, x)
    x = net.conv(x, 1280, activation="Relu6")
    return net.finish(name, net.linear(net.average(x), _CLASSES))


@dataclass(frozen=True, slots=True)
class _Bneck:
    """A block of MobileNetV3.

    Attributes:
        kernel: of the depthwise convolution.
        expanded: channels inside.
        channels: of the result.
        squeeze: whether it has squeeze-and-excite.
        activation: inside.
        stride: of the depthwise convolution.
    """

    kernel: int
    expanded: int
    channels: int
    squeeze: bool
    activation: Activation
    stride: int


_RE: Final = "Relu"
_HS: Final = "HardSwish"

# Howard et al., ICCV 2019 (arXiv:1905.02244), tables 1 and 2.
_V3_LARGE: Final = (
    _Bneck(3, 16, 16, False, _RE, 1),
    _Bneck(3, 64, 24, False, _RE, 2),
    _Bneck(3, 72, 24, False, _RE, 1),
    _Bneck(5, 72, 40, True, _RE, 2),
    _Bneck(5, 120, 40, True, _RE, 1),
    _Bneck(5, 120, 40, True, _RE, 1),
    _Bneck(3, 240, 80, False, _HS, 2),
    _Bneck(3, 200, 80, False, _HS, 1),
    _Bneck(3, 184, 80, False, _HS, 1),
    _Bneck(3, 184, 80, False, _HS, 1),
    _Bneck(3, 480, 112, True, _HS, 1),
    _Bneck(3, 672, 112, True, _HS, 1),
    _Bneck(5, 672, 160, True, _HS, 2),
    _Bneck(5, 960, 160, True, _HS, 1),
    _Bneck(5, 960, 160, True, _HS, 1),
)
_V3_SMALL: Final = (
    _Bneck(3, 16, 16, True, _RE, 2),
    _Bneck(3, 72, 24, False, _RE, 2),
    _Bneck(3, 88, 24, False, _RE, 1),
    _Bneck(5, 96, 40, True, _HS, 2),
    _Bneck(5, 240, 40, True, _HS, 1),
    _Bneck(5, 240, 40, True, _HS, 1),
    _Bneck(5, 120, 48, True, _HS, 1),
    _Bneck(5, 144, 48, True, _HS, 1),
    _Bneck(5, 288, 96, True, _HS, 2),
    _Bneck(5, 576, 96, True, _HS, 1),
    _Bneck(5, 576, 96, True, _HS, 1),
)
# ncnn's benchmark/mobilenet_v3.param: an earlier port of V3-Large, with 160 channels from 14x14 on.
_V3_NCNN: Final = (
    *_V3_LARGE[:12],
    _Bneck(5, 672, 160, True, _HS, 1),
    _Bneck(5, 672, 160, True, _HS, 2),
    _Bneck(5, 960, 160, True, _HS, 1),
)


def _mobilenet_v3(name: str, table: Sequence[_Bneck], hidden: int) -> Yardstick:
    """MobileNetV3.

    Args:
        name: of the network.
        table: its blocks.
        hidden: width of the layer before the last.
    """
    net = _image()
    x = net.conv(INPUT, 16, 3, 2, activation="HardSwish")
    for block in table:
        before = x
        if block.expanded != net.shapes[x][0]:
            x = net.conv(x, block.expanded, activation=block.activation)
        x = net.depthwise(x, block.kernel, block.stride, block.activation)
        if block.squeeze:
            x = net.squeeze_and_excite(x, _multiple_of_8(block.expanded / 4))
        x = net.conv(x, block.channels)
        if block.stride == 1 and net.shapes[x] == net.shapes[before]:
            x = net.plus(before, x)
    x = net.conv(x, table[-1].expanded, activation="HardSwish")
    x = net.activate(net.linear(net.average(x), hidden), "HardSwish")
    return net.finish(name, net.linear(x, _CLASSES))


def _multiple_of_8(channels: float) -> int:
    """As the authors' code rounds: to the nearest, but not down by more than a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _shufflenet_v2() -> Yardstick:
    """Ma et al., ECCV 2018 (arXiv:1807.11164), table 5, 1x, and figure 3."""
    net = _image()
    x = net.max_pool(net.conv(INPUT, 24, 3, 2, activation="Relu"), 3, 2)
    for channels, blocks in ((116, 4), (232, 8), (464, 4)):
        half = channels // 2
        left = net.conv(net.depthwise(x, 3, 2), half, activation="Relu")
        right = net.conv(x, half, activation="Relu")
        right = net.conv(net.depthwise(right, 3, 2), half, activation="Relu")
        x = net.shuffle(net.concat(left, right))
        for _ in range(blocks - 1):
            left, right = net.slice(x, 0, half), net.slice(x, half, half)
            right = net.conv(right, half, activation="Relu")
            right = net.conv(net.depthwise(right, 3, 1), half, activation="Relu")
            x = net.shuffle(net.concat(left, right))
    x = net.conv(x, 1024, activation="Relu")
    return net.finish("shufflenet_v2", net.linear(net.average(x), _CLASSES))


def _blazeface(name: str, *, heads: bool = True) -> Yardstick:
    """Bazarevsky et al., arXiv:1907.05047, as MediaPipe ships it (face_detection_front, 128x128).

    Its widths differ from those of the paper's table; the blocks are the paper's.

    Args:
        name: of the network.
        heads: with the layers that give boxes and scores.
    """
    table = (
        *((24, 1), (28, 1), (32, 2), (36, 1), (42, 1), (48, 2), (56, 1), (64, 1), (72, 1)),
        *((80, 1), (88, 1), (96, 2), (96, 1), (96, 1), (96, 1), (96, 1)),
    )
    net = _image(128)
    x = net.conv(INPUT, 24, 5, 2, activation="Relu")
    at_16x16 = x
    for channels, stride in table:
        before = net.max_pool(x, 2, 2) if stride == 2 else x
        if channels != net.shapes[before][0]:
            before = net.pad_channels(before, channels)
        if net.shapes[x][1:] == (16, 16):
            at_16x16 = x
        x = net.activate(net.plus(net.conv(net.depthwise(x, 3, stride), channels), before), "Relu")
    if not heads:
        return net.finish(name, x)
    # two anchors per cell of 16x16, six per cell of 8x8: a score, and a box with six points, each
    outputs = [
        net.conv(source, anchors * values)
        for values in (1, 16)
        for source, anchors in ((at_16x16, 2), (x, 6))
    ]
    return net.finish(name, *outputs)


_YARDSTICKS: Final[Mapping[str, Callable[[], Yardstick]]] = MappingProxyType(
    {
        "mobilenet_v1": _mobilenet_v1,
        "mobilenet_v2": lambda: _mobilenet_v2("mobilenet_v2"),
        "mobilenet_v3_small": lambda: _mobilenet_v3("mobilenet_v3_small", _V3_SMALL, 1024),
        "mobilenet_v3_large": lambda: _mobilenet_v3("mobilenet_v3_large", _V3_LARGE, 1280),
        "shufflenet_v2": _shufflenet_v2,
        "blazeface": lambda: _blazeface("blazeface"),
        # As ncnn's benchmark has them (github.com/Tencent/ncnn, benchmark/*.param), where that is
        # not what the paper has.
        "mobilenet_v2_ncnn": lambda: _mobilenet_v2("mobilenet_v2_ncnn", first_expanded=True),
        "mobilenet_v3_ncnn": lambda: _mobilenet_v3("mobilenet_v3_ncnn", _V3_NCNN, 1280),
        "blazeface_ncnn": lambda: _blazeface("blazeface_ncnn", heads=False),
    }
)


def yardstick_names() -> tuple[str, ...]:
    """Of all networks."""
    return tuple(_YARDSTICKS)


def make_yardstick(name: str) -> Yardstick:
    """Write a network down.

    Raises:
        BenchmarkError: there is none of that name.
    """
    if name not in _YARDSTICKS:
        raise BenchmarkError(f"expected a yardstick out of {list(_YARDSTICKS)}, got {name!r}")
    return _YARDSTICKS[name]()
