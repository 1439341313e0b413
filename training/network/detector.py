"""The face detector: one stage, anchor-free, one box and one score per cell of a 32x32 grid.

MobileNet backbone, feature pyramid down to stride 8, a separable head; centre-based like CenterNet
(Zhou et al., arXiv 1904.07850), distances to four sides like FCOS (Tian et al., ICCV 2019). The
normalisation is inside the graph, so no caller can get it wrong.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.network.blocks import ConvBnAct, stage
from training.network.config import BlockConfig, JsonConfig

STRIDE: Final = 8  # input pixels between two cells
PRIOR_SCORE: Final = 0.01  # of every cell before training: keeps the first steps calm (RetinaNet)
MAX_LOG_DISTANCE: Final = 4.0  # exp(4) = 54 cells, well above the 32 of a picture


@dataclass(frozen=True, slots=True)
class DetectorConfig(JsonConfig):
    """Widths of the detector.

    Most blocks do not expand (``expand`` equals the channels that enter): at equal MACs these
    train about twice as fast on a CPU as narrow blocks that expand, and the activations at high
    resolution stay small.
    """

    described: ClassVar[str] = "a detector configuration"
    input_size: int = 256  # pixels on a side
    stem: int = 16  # 256 -> 128
    stage4: tuple[BlockConfig, ...] = (BlockConfig(3, 16, 32, 2, "relu"),)  # 128 -> 64
    stage8: tuple[BlockConfig, ...] = (  # 64 -> 32
        BlockConfig(3, 32, 64, 2, "relu"),
        BlockConfig(3, 64, 64, 1, "relu"),
        BlockConfig(3, 64, 64, 1, "relu"),
    )
    stage16: tuple[BlockConfig, ...] = (  # 32 -> 16
        BlockConfig(3, 64, 96, 2),
        BlockConfig(3, 96, 96),
        BlockConfig(3, 96, 96),
    )
    stage32: tuple[BlockConfig, ...] = (  # 16 -> 8
        BlockConfig(3, 96, 128, 2),
        BlockConfig(5, 128, 128),
        BlockConfig(5, 128, 128),
    )
    fused: int = 48  # channels of the feature pyramid
    merge: tuple[BlockConfig, ...] = (BlockConfig(3, 48, 48),)  # at 16x16, after the first sum
    head: tuple[BlockConfig, ...] = (  # at 32x32, after the second sum
        BlockConfig(3, 48, 48),
        BlockConfig(3, 48, 48),
    )

    @property
    def grid_size(self) -> int:
        """Cells on a side of the output."""
        return self.input_size // STRIDE


class DetectorOutput(NamedTuple):
    """What the network gives, in this order in every exported graph."""

    boxes: Tensor  # (B, N, 4) left, top, right, bottom in 0..1 of the input; may reach beyond it
    scores: Tensor  # (B, N) probability that a face is centred in the cell


class RawDetections(NamedTuple):
    """The output before its decoding, for the loss."""

    logits: Tensor  # (B, 1, S, S) of the score
    log_distances: Tensor  # (B, 4, S, S) log of cells from the cell's centre to l, t, r, b


class Detector(nn.Module):
    """The whole network."""

    centers: Tensor
    signs: Tensor

    def __init__(self, config: DetectorConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DetectorConfig()
        width = config.fused
        self.stem = ConvBnAct(3, config.stem, 3, 2)
        self.stage4 = stage(config.stem, config.stage4)
        self.stage8 = stage(config.stage4[-1].out, config.stage8)
        self.stage16 = stage(config.stage8[-1].out, config.stage16)
        self.stage32 = stage(config.stage16[-1].out, config.stage32)
        self.lateral8, self.lateral16, self.lateral32 = (
            ConvBnAct(blocks[-1].out, width, activation=None)
            for blocks in (config.stage8, config.stage16, config.stage32)
        )
        self.merge = stage(width, config.merge)
        self.head = stage(width, config.head)
        # Two layers and not one with five channels: each gets its own scale when quantised.
        self.score = nn.Conv2d(width, 1, 1)
        self.distances = nn.Conv2d(width, 4, 1)
        self._add_grid(config.grid_size)
        self._reset_outputs()

    def _add_grid(self, size: int) -> None:
        line = (torch.arange(size) + 0.5) / size
        y, x = torch.meshgrid(line, line, indexing="ij")
        self.register_buffer("centers", torch.stack([x, y, x, y])[None], persistent=False)
        signs = torch.tensor([-1.0, -1.0, 1.0, 1.0]).reshape(1, 4, 1, 1) / size
        self.register_buffer("signs", signs, persistent=False)

    def _reset_outputs(self) -> None:
        for layer in (self.score, self.distances):
            nn.init.normal_(layer.weight, std=0.01)
        nn.init.constant_(_bias(self.score), math.log(PRIOR_SCORE / (1.0 - PRIOR_SCORE)))
        nn.init.constant_(_bias(self.distances), math.log(3.0))  # a face of six cells

    def forward_raw(self, image: Tensor) -> RawDetections:
        """(B, 3, 256, 256) RGB, 0..255 -> logits and log distances."""
        x = self.stem(image * (1.0 / 127.5) - 1.0)
        level8 = self.stage8(self.stage4(x))
        level16 = self.stage16(level8)
        level32 = self.stage32(level16)
        merged = self.merge(self.lateral16(level16) + _double(self.lateral32(level32)))
        features = self.head(self.lateral8(level8) + _double(merged))
        return RawDetections(self.score(features), self.distances(features))

    def decode_boxes(self, log_distances: Tensor) -> Tensor:
        """(B, 4, S, S) -> (B, 4, S, S) left, top, right, bottom in 0..1 of the input."""
        limited = log_distances.clamp(-MAX_LOG_DISTANCE, MAX_LOG_DISTANCE)
        return self.centers + torch.exp(limited) * self.signs

    def forward(self, image: Tensor) -> DetectorOutput:
        """(B, 3, 256, 256) RGB, 0..255 -> boxes and scores of all cells, row by row."""
        raw = self.forward_raw(image)
        boxes = self.decode_boxes(raw.log_distances)
        return DetectorOutput(
            boxes.flatten(2).transpose(1, 2), torch.sigmoid(raw.logits.flatten(1))
        )


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def _bias(layer: nn.Conv2d) -> Tensor:
    if layer.bias is None:  # the type allows it; these layers are built with one
        raise TypeError("expected a convolution with a bias")
    return layer.bias
