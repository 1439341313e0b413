"""The architecture of ATPN as data: kernel sizes and widths, the resolution beside each stage.

The paper (arXiv 2103.07615) prints its table only inside a figure; these widths are ours, chosen
within its counts: backbone + alignment 1.1 M parameters and 0.06 G multiply-adds, tracking branch
0.19 M and 0.017 G.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final, Literal, TypeVar, cast

INPUT_SIZE: Final = 112  # pixels on a side of the crop
NUM_LANDMARKS: Final = 98
HEATMAP_SIZE: Final = 28  # cells on a side, the resolution of the shallowest fused features

Activation = Literal["relu", "hardswish"]
Config = TypeVar("Config", bound="JsonConfig")


@dataclass(frozen=True, slots=True)
class BlockConfig:
    """One inverted residual block of MobileNetV3 (Howard et al., ICCV 2019)."""

    kernel: int  # of the depthwise convolution
    expand: int  # channels of the depthwise convolution
    out: int  # channels that leave the block
    stride: int = 1
    activation: Activation = "hardswish"
    squeeze_excite: bool = False
    # One dense convolution in place of expansion and depthwise convolution (Tan and Le,
    # EfficientNetV2, ICML 2021): more multiply-adds per channel, and each of them cheaper.
    fused: bool = False


class JsonConfig:
    """A configuration of numbers and tuples of blocks, which a weights file carries as JSON."""

    __slots__ = ()
    described: ClassVar[str]  # for messages

    def to_json(self) -> str:
        """The configuration as one line of JSON."""
        return json.dumps(asdict(cast(Any, self)), sort_keys=True)

    @classmethod
    def from_json(cls: type[Config], text: str) -> Config:
        """Read back what ``to_json`` wrote.

        Raises:
            ValueError: not JSON of this class.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            for name, value in values.items():
                if isinstance(value, list):
                    values[name] = tuple(BlockConfig(**block) for block in value)
            return cls(**values)
        except (TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"expected {cls.described}, got {text!r}: {error}") from error


@dataclass(frozen=True, slots=True)
class AtpnConfig(JsonConfig):
    """Widths of the whole network, and the parts that the paper's ablations leave out."""

    described: ClassVar[str] = "a configuration of ATPN"
    stem: int = 16  # 112 -> 56
    # Windows of 3x3 and ReLU throughout, fused blocks where maps are large and channels few: the
    # cheapest kernels per multiply-add on phones, in float as in int8.
    stage28: tuple[BlockConfig, ...] = (  # 56 -> 28
        BlockConfig(3, 32, 32, 2, "relu", fused=True),
        BlockConfig(3, 96, 32, 1, "relu"),
    )
    stage14: tuple[BlockConfig, ...] = (  # 28 -> 14
        BlockConfig(3, 128, 48, 2, "relu"),
        BlockConfig(3, 144, 48, 1, "relu", squeeze_excite=True),
        BlockConfig(3, 192, 64, 1, "relu", squeeze_excite=True),
    )
    stage7: tuple[BlockConfig, ...] = (  # 14 -> 7
        BlockConfig(3, 320, 112, 2, "relu", squeeze_excite=True),
        BlockConfig(3, 512, 112, 1, "relu", squeeze_excite=True),
        BlockConfig(3, 512, 112, 1, "relu", squeeze_excite=True),
    )
    fused: int = 32  # channels of the feature pyramid, at 28, 14 and 7
    reduced: int = 64  # channels of each level on its way to 7
    vector: int = 512  # channels of the 7x7 depthwise block that ends the alignment branch
    tracking: tuple[BlockConfig, ...] = (  # 28 -> 14 -> 7, on features x heatmap
        BlockConfig(3, 72, 48, 2, "relu", fused=True),
        BlockConfig(3, 64, 48, 1, "relu", fused=True),
        BlockConfig(3, 112, 72, 2, "relu", fused=True),
        BlockConfig(3, 80, 72, 1, "relu", fused=True),
    )
    tracking_vector: int = 128
    pose: tuple[BlockConfig, ...] = (  # 28 -> 14 -> 7, on features x heatmap
        BlockConfig(3, 32, 32, 2, "relu", fused=True),
        BlockConfig(3, 64, 48, 2, "relu", fused=True),
        BlockConfig(3, 64, 48, 1, "relu", fused=True),
    )
    pose_vector: int = 128
    fuse_shallow: bool = True  # the 28x28 features in the pyramid, beside 14x14 and 7x7
    multiview: bool = True  # three fields of view per level; else a plain residual of equal cost
    coordconv: bool = True  # x and y planes on each level's way to 7x7, and at 7x7
    share_features: bool = True  # heads on the backbone's 28x28 features; else each on its own
    heatmap: bool = True  # the heads' features times the heatmap of the landmarks
