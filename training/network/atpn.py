"""ATPN: alignment, head pose and face presence from one crop (arXiv 2103.07615)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from training.network.blocks import AddCoordinates, ConvBnAct, Multiview, stage
from training.network.config import HEATMAP_SIZE, NUM_LANDMARKS, AtpnConfig, BlockConfig
from training.network.heatmap import LandmarkHeatmap


class AtpnOutput(NamedTuple):
    """What the network gives, in this order in every exported graph."""

    landmarks: Tensor  # (B, 98, 2) crop units
    pose: Tensor  # (B, 3) yaw, pitch, roll in radians, within (-pi, pi)
    presence: Tensor  # (B, 1) probability of a face


class Backbone(nn.Module):
    """MobileNetV3 blocks; features at three resolutions."""

    def __init__(self, config: AtpnConfig) -> None:
        super().__init__()
        self.stem = ConvBnAct(3, config.stem, 3, 2)
        self.stage28 = stage(config.stem, config.stage28)
        self.stage14 = stage(config.stage28[-1].out, config.stage14)
        self.stage7 = stage(config.stage14[-1].out, config.stage7)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, 112, 112), 0..255 -> features at 28, 14 and 7."""
        x = self.stem(image * (1.0 / 127.5) - 1.0)
        shallow = self.stage28(x)
        middle = self.stage14(shallow)
        return shallow, middle, self.stage7(middle)


class AlignmentBranch(nn.Module):
    """Feature pyramid, a multiview block per level, each level to 7x7, a vector, the shape."""

    mean_shape: Tensor

    def __init__(self, config: AtpnConfig) -> None:
        super().__init__()
        width, reduced = config.fused, config.reduced
        levels = (config.stage28[-1].out, config.stage14[-1].out, config.stage7[-1].out)
        self.lateral28, self.lateral14, self.lateral7 = (
            ConvBnAct(channels, width, activation=None) for channels in levels
        )
        self.up14 = nn.ConvTranspose2d(width, width, 2, 2)
        self.up28 = nn.ConvTranspose2d(width, width, 2, 2)
        self.view28, self.view14, self.view7 = (Multiview(width) for _ in range(3))
        self.coords28, self.coords14, self.coords7 = (AddCoordinates(n) for n in (28, 14, 7))
        self.down28 = ConvBnAct(width + 2, reduced, 4, 4)
        self.down14 = ConvBnAct(width + 2, reduced, 3, 2)
        self.down7 = ConvBnAct(width + 2, reduced, 3, 1)
        self.coords = AddCoordinates(7)
        self.mix = ConvBnAct(3 * reduced + 2, config.vector, activation="hardswish")
        self.gather = nn.Conv2d(config.vector, config.vector, 7, groups=config.vector)
        self.gather_act = nn.Hardswish()
        self.residual = nn.Linear(config.vector, 2 * NUM_LANDMARKS)
        self.register_buffer("mean_shape", torch.full((1, NUM_LANDMARKS, 2), 0.5))

    def forward(self, shallow: Tensor, middle: Tensor, deep: Tensor) -> Tensor:
        """Features at 28, 14 and 7 -> (B, 98, 2) landmarks, crop units."""
        level7 = self.lateral7(deep)
        level14 = self.lateral14(middle) + self.up14(level7)
        level28 = self.lateral28(shallow) + self.up28(level14)
        fused = torch.cat(
            [
                self.down28(self.coords28(self.view28(level28))),
                self.down14(self.coords14(self.view14(level14))),
                self.down7(self.coords7(self.view7(level7))),
            ],
            dim=1,
        )
        vector = self.gather_act(self.gather(self.mix(self.coords(fused)))).flatten(1)
        residual: Tensor = self.residual(vector).reshape(-1, NUM_LANDMARKS, 2)
        return self.mean_shape + residual


class Head(nn.Module):
    """MobileNetV3 blocks from 28x28 to 7x7, a depthwise vector, one linear layer."""

    def __init__(
        self, channels: int, blocks: tuple[BlockConfig, ...], vector: int, out: int
    ) -> None:
        super().__init__()
        self.blocks = stage(channels, blocks)
        self.mix = ConvBnAct(blocks[-1].out, vector, activation="hardswish")
        self.gather = nn.Conv2d(vector, vector, 7, groups=vector)
        self.gather_act = nn.Hardswish()
        self.out = nn.Linear(vector, out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, 28, 28) -> (B, out)."""
        vector = self.gather_act(self.gather(self.mix(self.blocks(x)))).flatten(1)
        y: Tensor = self.out(vector)
        return y


class Atpn(nn.Module):
    """The whole network.

    The alignment branch gives the landmarks; a heatmap drawn from them, multiplied into the
    shallow features, tells the pose and tracking branches where to look.
    """

    def __init__(self, config: AtpnConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or AtpnConfig()
        shallow = config.stage28[-1].out
        self.backbone = Backbone(config)
        self.alignment = AlignmentBranch(config)
        self.heatmap = LandmarkHeatmap(HEATMAP_SIZE)
        self.tracking = Head(shallow, config.tracking, config.tracking_vector, 2)
        self.pose = Head(shallow, config.pose, config.pose_vector, 3)

    def attend(self, shallow: Tensor, landmarks: Tensor) -> Tensor:
        """Shallow features (B, C, 28, 28) weighted by the heatmap of (B, 98, 2) landmarks."""
        attended: Tensor = shallow * self.heatmap(landmarks)
        return attended

    def align(self, image: Tensor) -> Tensor:
        """(B, 3, 112, 112), 0..255 -> (B, 98, 2): backbone and alignment branch alone."""
        landmarks: Tensor = self.alignment(*self.backbone(image))
        return landmarks

    def forward(self, image: Tensor) -> AtpnOutput:
        """(B, 3, 112, 112) RGB, 0..255 -> landmarks, pose, presence."""
        shallow, middle, deep = self.backbone(image)
        landmarks = self.alignment(shallow, middle, deep)
        attended = self.attend(shallow, landmarks)
        pose = torch.tanh(self.pose(attended)) * math.pi
        presence = torch.softmax(self.tracking(attended), dim=1)[:, 1:2]
        return AtpnOutput(landmarks, pose, presence)
