"""Building blocks of the networks, written so that every converter keeps them as they are.

Strided convolutions pad only below and to the right, as TFLite's SAME does: no separate PAD
operation is needed on a phone.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.network.config import Activation, BlockConfig


def _activation(name: Activation | None) -> nn.Module:
    if name is None:
        return nn.Identity()
    return nn.ReLU(inplace=True) if name == "relu" else nn.Hardswish(inplace=True)


class ConvBnAct(nn.Module):
    """Convolution with SAME padding, batch normalisation, activation."""

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: Activation | None = "relu",
    ) -> None:
        super().__init__()
        total = kernel - stride if stride > 1 else kernel - 1
        before = total // 2
        self.pad = (before, total - before, before, total - before)
        symmetric = before * 2 == total
        self.conv = nn.Conv2d(
            channels, out, kernel, stride, before if symmetric else 0, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(out)
        self.act = _activation(activation)
        self.needs_pad = not symmetric

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out, ceil(H / stride), ceil(W / stride)), H and W even if strided."""
        if self.needs_pad:
            x = functional.pad(x, self.pad)
        y: Tensor = self.act(self.norm(self.conv(x)))
        return y


class SqueezeExcite(nn.Module):
    """Channel attention with a hard sigmoid (Howard et al., ICCV 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(8, channels // 4 // 8 * 8)
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same, each channel scaled by 0..1."""
        pooled = functional.adaptive_avg_pool2d(x, 1)
        scale = functional.hardsigmoid(self.expand(functional.relu(self.reduce(pooled))))
        return x * scale


class InvertedResidual(nn.Module):
    """Expand, depthwise, (squeeze-excite), project; a shortcut where the shape allows it.

    A fused block has one dense convolution in place of the first two.
    """

    def __init__(self, channels: int, config: BlockConfig) -> None:
        super().__init__()
        self.shortcut = config.stride == 1 and channels == config.out
        layers: list[nn.Module] = []
        if config.expand != channels and not config.fused:
            layers.append(ConvBnAct(channels, config.expand, activation=config.activation))
        layers.append(
            ConvBnAct(
                channels if config.fused else config.expand,
                config.expand,
                config.kernel,
                config.stride,
                groups=1 if config.fused else config.expand,
                activation=config.activation,
            )
        )
        if config.squeeze_excite:
            layers.append(SqueezeExcite(config.expand))
        layers.append(ConvBnAct(config.expand, config.out, activation=None))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out, H / stride, W / stride)."""
        y: Tensor = self.layers(x)
        return x + y if self.shortcut else y


def stage(channels: int, blocks: tuple[BlockConfig, ...]) -> nn.Sequential:
    """A run of blocks that starts from ``channels``."""
    modules = []
    for block in blocks:
        modules.append(InvertedResidual(channels, block))
        channels = block.out
    return nn.Sequential(*modules)


class Multiview(nn.Module):
    """Three 3x3 convolutions in a row, all three outputs kept: three fields of view, a residual.

    The widths are C/2, C/4 and C/4 (hierarchical block of Bulat and Tzimiropoulos, ICCV 2017).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.first = ConvBnAct(channels, half, 3)
        self.second = ConvBnAct(half, quarter, 3)
        self.third = ConvBnAct(quarter, quarter, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        first = self.first(x)
        second = self.second(first)
        return x + torch.cat([first, second, self.third(second)], dim=1)


class AddCoordinates(nn.Module):
    """Append x and y planes, -1..1, as constants (CoordConv, Liu et al., NeurIPS 2018)."""

    planes: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        line = torch.linspace(-1.0, 1.0, size)
        y, x = torch.meshgrid(line, line, indexing="ij")
        self.register_buffer("planes", torch.stack([x, y])[None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, size, size) -> (B, C + 2, size, size)."""
        return torch.cat([x, self.planes.expand(x.shape[0], -1, -1, -1)], dim=1)
