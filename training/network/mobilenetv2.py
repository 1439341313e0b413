"""MobileNetV2 (Sandler et al., CVPR 2018) as a regressor of landmarks and head pose.

The baseline of ASMNet's paper (Fard, Abdollahi and Mahoor, CVPRW 2021), and the trunk of ASMNet
itself. Strided convolutions pad only below and to the right, as TFLite's SAME does (see
``training.network.blocks``); the normalisation is inside the graph.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.network.blocks import ConvBnAct
from training.network.config import NUM_LANDMARKS

MOBILENET_INPUT_SIZE: Final = 224  # pixels on a side of the crop
STEM: Final = 32  # channels, 224 -> 112
LAST: Final = 1280  # channels of the last 1x1 convolution
NUM_ANGLES: Final = 3


class AlignmentOutput(NamedTuple):
    """What a network without a tracking branch gives, in this order in every exported graph."""

    landmarks: Tensor  # (B, 98, 2) crop units
    pose: Tensor  # (B, 3) yaw, pitch, roll in radians, within (-pi, pi)


@dataclass(frozen=True, slots=True)
class BottleneckConfig:
    """One inverted residual with a linear bottleneck."""

    expansion: int  # channels of the depthwise convolution over those that enter
    out: int  # channels that leave the block
    stride: int = 1


def _repeat(expansion: int, out: int, count: int, stride: int) -> tuple[BottleneckConfig, ...]:
    """A row of Table 2 of the paper: the first block has the stride, the others have none."""
    first = BottleneckConfig(expansion, out, stride)
    return (first, *[BottleneckConfig(expansion, out)] * (count - 1))


# Block 0 to 16: ASMNet's paper and Keras number them like this, the first without expansion is 0.
BLOCKS: Final = (
    *_repeat(1, 16, 1, 1),  # 112
    *_repeat(6, 24, 2, 2),  # 112 -> 56
    *_repeat(6, 32, 3, 2),  # 56 -> 28
    *_repeat(6, 64, 4, 2),  # 28 -> 14
    *_repeat(6, 96, 3, 1),  # 14
    *_repeat(6, 160, 3, 2),  # 14 -> 7
    *_repeat(6, 320, 1, 1),  # 7
)


class ConvBnRelu6(ConvBnAct):
    """Convolution with SAME padding, batch normalisation, ReLU6."""

    def __init__(
        self, channels: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(channels, out, kernel, stride, groups, activation=None)
        self.act = nn.ReLU6(inplace=True)


class Bottleneck(nn.Module):
    """Expand, depthwise, project without activation; a shortcut where the shape allows it."""

    def __init__(self, channels: int, config: BottleneckConfig) -> None:
        super().__init__()
        self.shortcut = config.stride == 1 and channels == config.out
        hidden = channels * config.expansion
        layers: list[nn.Module] = []
        if config.expansion > 1:
            layers.append(ConvBnRelu6(channels, hidden))
        layers.append(ConvBnRelu6(hidden, hidden, 3, config.stride, groups=hidden))
        layers.append(ConvBnAct(hidden, config.out, activation=None))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out, H / stride, W / stride)."""
        y: Tensor = self.layers(x)
        return x + y if self.shortcut else y


class Trunk(nn.Module):
    """The first blocks of MobileNetV2; the output of chosen ones is kept."""

    def __init__(self, blocks: Sequence[BottleneckConfig], kept: Sequence[int]) -> None:
        """Build the trunk.

        Args:
            blocks: in order.
            kept: indices of the blocks whose output is wanted, rising.
        """
        super().__init__()
        self.kept = frozenset(kept)
        self.stem = ConvBnRelu6(3, STEM, 3, 2)
        modules, channels = [], STEM
        for block in blocks:
            modules.append(Bottleneck(channels, block))
            channels = block.out
        self.blocks = nn.ModuleList(modules)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, 224, 224), 0..255 -> the output of each kept block."""
        x = self.stem(image * (1.0 / 127.5) - 1.0)
        outputs = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.kept:
                outputs.append(x)
        return outputs


class Heads(nn.Module):
    """Global averages of feature maps, side by side, and a linear layer for each task.

    The landmarks start in the middle of the crop.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.landmarks = nn.Linear(channels, 2 * NUM_LANDMARKS)
        self.pose = nn.Linear(channels, NUM_ANGLES)
        nn.init.constant_(self.landmarks.bias, 0.5)

    def forward(self, features: Sequence[Tensor]) -> AlignmentOutput:
        """Feature maps (B, C_i, H_i, W_i) whose C_i sum up to the channels -> both outputs."""
        # Four axes until the end: converters reduce with the axes kept, and concatenate channels.
        averages = [functional.adaptive_avg_pool2d(x, 1) for x in features]
        vector = torch.cat(averages, dim=1).flatten(1)
        landmarks = self.landmarks(vector).reshape(-1, NUM_LANDMARKS, 2)
        return AlignmentOutput(landmarks, torch.tanh(self.pose(vector)) * math.pi)

    @torch.no_grad()
    def start_from(self, shape: Tensor) -> None:
        """Let the landmarks start from a shape, (1, 98, 2) crop units."""
        self.landmarks.bias.copy_(shape.reshape(-1))


class MobileNetV2(nn.Module):
    """The whole of MobileNetV2, its classifier replaced by the two linear layers."""

    input_size: Final = MOBILENET_INPUT_SIZE

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk(BLOCKS, kept=(len(BLOCKS) - 1,))
        self.last = ConvBnRelu6(BLOCKS[-1].out, LAST)
        self.heads = Heads(LAST)

    def forward(self, image: Tensor) -> AlignmentOutput:
        """(B, 3, 224, 224) RGB, 0..255 -> landmarks, pose."""
        (features,) = self.trunk(image)
        output: AlignmentOutput = self.heads([self.last(features)])
        return output
