"""ATPN: alignment, head pose and face presence from one crop (arXiv 2103.07615)."""

import math
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from training.network.blocks import AddCoordinates, ConvBnAct, Multiview, stage
from training.network.config import (
    HEATMAP_SIZE,
    INPUT_SIZE,
    NUM_LANDMARKS,
    AtpnConfig,
    BlockConfig,
)
from training.network.heatmap import LandmarkHeatmap


class AtpnOutput(NamedTuple):
    """What the network gives, in this order in every exported graph."""

    landmarks: Tensor  # (B, 98, 2) crop units
    pose: Tensor  # (B, 3) yaw, pitch, roll in radians, within (-pi, pi)
    presence: Tensor  # (B, 1) probability of a face


class PlainResidual(nn.Module):
    """Two 3x3 convolutions with a residual: one field of view, as many weights as ``Multiview``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # 9 * 2 * C * inner weights against the 9 * (1/2 + 1/8 + 1/16) * C * C of Multiview
        inner = round(channels * 11 / 32)
        self.first = ConvBnAct(channels, inner, 3)
        self.second = ConvBnAct(inner, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        y: Tensor = self.second(self.first(x))
        return x + y


class ShallowFeatures(nn.Module):
    """Features at 28x28 that one head has for itself: stem and first stage of the backbone."""

    def __init__(self, config: AtpnConfig) -> None:
        super().__init__()
        self.stem = ConvBnAct(3, config.stem, 3, 2)
        self.stage28 = stage(config.stem, config.stage28)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, 112, 112), 0..255 -> (B, C, 28, 28)."""
        features: Tensor = self.stage28(self.stem(image * (1.0 / 127.5) - 1.0))
        return features


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
        width, reduced, fuse_shallow = config.fused, config.reduced, config.fuse_shallow
        planes, coordinates = (2, AddCoordinates) if config.coordconv else (0, nn.Identity)
        view = Multiview if config.multiview else PlainResidual
        self.fuse_shallow = fuse_shallow
        if fuse_shallow:
            self.lateral28 = ConvBnAct(config.stage28[-1].out, width, activation=None)
        self.lateral14 = ConvBnAct(config.stage14[-1].out, width, activation=None)
        self.lateral7 = ConvBnAct(config.stage7[-1].out, width, activation=None)
        self.up14 = nn.ConvTranspose2d(width, width, 2, 2)
        if fuse_shallow:
            self.up28 = nn.ConvTranspose2d(width, width, 2, 2)
            self.view28 = view(width)
        self.view14, self.view7 = view(width), view(width)
        if fuse_shallow:
            self.coords28 = coordinates(28)
            self.down28 = ConvBnAct(width + planes, reduced, 4, 4)
        self.coords14, self.coords7 = coordinates(14), coordinates(7)
        self.down14 = ConvBnAct(width + planes, reduced, 3, 2)
        self.down7 = ConvBnAct(width + planes, reduced, 3, 1)
        self.coords = coordinates(7)
        levels = 3 if fuse_shallow else 2
        self.mix = ConvBnAct(levels * reduced + planes, config.vector)
        self.gather = nn.Conv2d(config.vector, config.vector, 7, groups=config.vector)
        self.gather_act = nn.ReLU()
        self.residual = nn.Linear(config.vector, 2 * NUM_LANDMARKS)
        self.register_buffer("mean_shape", torch.full((1, NUM_LANDMARKS, 2), 0.5))

    def forward(self, shallow: Tensor, middle: Tensor, deep: Tensor) -> Tensor:
        """Features at 28, 14 and 7 -> (B, 98, 2) landmarks, crop units."""
        level7 = self.lateral7(deep)
        level14 = self.lateral14(middle) + self.up14(level7)
        reduced = []
        if self.fuse_shallow:
            level28 = self.lateral28(shallow) + self.up28(level14)
            reduced.append(self.down28(self.coords28(self.view28(level28))))
        reduced.append(self.down14(self.coords14(self.view14(level14))))
        reduced.append(self.down7(self.coords7(self.view7(level7))))
        fused = torch.cat(reduced, dim=1)
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
        self.mix = ConvBnAct(blocks[-1].out, vector)
        self.gather = nn.Conv2d(vector, vector, 7, groups=vector)
        self.gather_act = nn.ReLU()
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

    input_size: Final = INPUT_SIZE

    def __init__(self, config: AtpnConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or AtpnConfig()
        shallow = config.stage28[-1].out
        self.backbone = Backbone(config)
        self.alignment = AlignmentBranch(config)
        self.heatmap = LandmarkHeatmap(HEATMAP_SIZE) if config.heatmap else None
        self.tracking = Head(shallow, config.tracking, config.tracking_vector, 2)
        self.pose = Head(shallow, config.pose, config.pose_vector, 3)
        if not config.share_features:
            self.tracking_features = ShallowFeatures(config)
            self.pose_features = ShallowFeatures(config)

    def attend(self, shallow: Tensor, landmarks: Tensor) -> Tensor:
        """Shallow features (B, C, 28, 28) weighted by the heatmap of (B, 98, 2) landmarks."""
        if self.heatmap is None:
            return shallow
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
        if self.config.share_features:
            for_tracking = for_pose = self.attend(shallow, landmarks)
        else:
            for_tracking = self.attend(self.tracking_features(image), landmarks)
            for_pose = self.attend(self.pose_features(image), landmarks)
        pose = torch.tanh(self.pose(for_pose)) * math.pi
        presence = torch.softmax(self.tracking(for_tracking), dim=1)[:, 1:2]
        return AtpnOutput(landmarks, pose, presence)
