"""Named recipes: what is trained, on what, in which order, for how long."""

import json
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Final, Literal

from training.augment import AugmentConfig
from training.data.crops import SPREAD_TOLERANCE, CropConfig
from training.network.config import AtpnConfig
from training.network.variants import NetworkName

Branch = Literal["alignment", "tracking", "pose"]
Schedule = Literal["constant", "cosine", "steps"]
OptimizerName = Literal["adamw", "muon"]
# distance: over the inter-ocular distance, the loss of ATPN's paper; asm: that of ASMNet's
LandmarkLoss = Literal["distance", "smooth_l1", "wing", "squared", "asm"]


@dataclass(frozen=True, slots=True)
class StageConfig:
    """One stage of training."""

    name: str
    # Of ATPN: the backbone is trained with "alignment" and frozen otherwise. The other networks
    # have alignment and pose, and train as a whole.
    branches: tuple[Branch, ...]
    crops: int  # length of the stage, examples
    batch: int = 128
    learning_rate: float = 0.001  # the highest
    schedule: Schedule = "steps"
    optimizer: OptimizerName = "adamw"  # see ``training.optimizer``
    weight_decay: float = 0.0
    ema_decay: float = 0.0  # moving average of the weights, per step; 0 for none
    landmark_loss: LandmarkLoss = "distance"
    # Normalise by the averages of the stages before, as in use, and not by each batch: what rare
    # faces make of those averages is seen in training only so.
    fixed_statistics: bool = False
    size: int | None = None  # pixels on a side of the crops; None for the network's input
    data: CropConfig = field(default_factory=CropConfig)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Stages and the share of each data set."""

    name: str
    summary: str
    stages: tuple[StageConfig, ...]
    # file name of a pack -> weight of each of its pictures
    faces: MappingProxyType[str, float]
    backgrounds: str = "backgrounds.npz"
    hard_negatives: str = "negatives_back_of_head.npz"
    seed: int = 1
    network: NetworkName = "atpn"
    architecture: AtpnConfig | None = None  # of ATPN; None for the usual one
    spread_tolerance: float | None = SPREAD_TOLERANCE  # see ``label_weight``

    def settings(self) -> dict[str, object]:
        """All fields as values that JSON has."""
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            **plain,
            "stages": [asdict(stage) for stage in self.stages],
            "faces": dict(self.faces),
            "architecture": asdict(self.architecture) if self.architecture else None,
        }

    @property
    def identity(self) -> str:
        """The settings that a run cannot change half-way, as JSON."""
        settings = self.settings()
        del settings["summary"]
        return json.dumps(settings, sort_keys=True)


FACES: Final = MappingProxyType(
    {
        "faces_helen.npz": 5.0,
        "faces_ytf.npz": 1.2,
        "faces_web.npz": 0.8,
        "faces_color.npz": 0.6,
        "faces_synthetic.npz": 0.6,
    }
)

_MILD = AugmentConfig(occlusion=0.0, low_resolution=0.0, noise=0.0, jpeg=0.0, blur=0.0)

PAPER: Final = Recipe(
    name="paper",
    summary="arXiv 2103.07615: three stages, Adam at 0.001 in steps, 10 negatives per positive",
    stages=(
        StageConfig("alignment", ("alignment",), 3_000_000, data=CropConfig(augment=_MILD)),
        StageConfig(
            "tracking",
            ("tracking",),
            1_000_000,
            data=CropConfig(augment=_MILD, negatives=10 / 11),
        ),
        StageConfig("pose", ("pose",), 1_000_000, data=CropConfig(augment=_MILD)),
    ),
    faces=FACES,
)

_SHORT = StageConfig(
    "alignment",
    ("alignment",),
    320_000,
    learning_rate=0.002,
    schedule="cosine",
    optimizer="muon",
    weight_decay=0.01,
    ema_decay=0.999,
)

COMPACT: Final = Recipe(
    name="compact",
    summary="an hour on two cores: Muon, one cosine cycle, averaged weights, heads together",
    stages=(
        _SHORT,
        replace(
            _SHORT,
            name="heads",
            branches=("tracking", "pose"),
            crops=100_000,
            data=CropConfig(negatives=0.5),
        ),
    ),
    faces=FACES,
)

# Also other proportions of the face, and shadows.
_STRONG = AugmentConfig(
    shift=0.05,
    rotation_deg=14.0,
    stretch=0.10,
    shear=0.06,
    shade=0.25,
    occlusion=0.3,
    low_resolution=0.25,
)

_RARE_POSES = CropConfig(pose_balance=0.5)

# Regions about as far off as those of a tracker, most pictures as they are.
_GENTLE = AugmentConfig(
    shift=0.03,
    log_scale=0.06,
    rotation_deg=8.0,
    blur=0.08,
    noise=0.1,
    low_resolution=0.15,
    occlusion=0.1,
)

# More of the photographs, on which most users' faces are: errors on held-out faces are no larger
# than on those trained on, so there is nothing to fear from seeing them often.
_MOSTLY_REAL: Final = MappingProxyType(
    {
        "faces_helen.npz": 7.0,
        "faces_ytf.npz": 1.0,
        "faces_web.npz": 1.0,
        "faces_color.npz": 0.8,
        "faces_synthetic.npz": 0.5,
    }
)

LONG: Final = Recipe(
    name="long",
    summary="at a high rate for as long as it helps, then down; rare poses more often",
    stages=(
        replace(
            _SHORT,
            crops=2_000_000,
            schedule="constant",
            data=_RARE_POSES,
        ),
        replace(_SHORT, name="cool", crops=256_000, data=_RARE_POSES),
        replace(
            _SHORT,
            name="settle",
            crops=96_000,
            learning_rate=0.0003,
            fixed_statistics=True,
            data=_RARE_POSES,
        ),
        replace(
            _SHORT,
            name="polish",
            crops=128_000,
            learning_rate=0.0006,
            fixed_statistics=True,
            data=replace(_RARE_POSES, augment=_GENTLE),
        ),
        replace(
            COMPACT.stages[1],
            crops=96_000,
            data=replace(_RARE_POSES, negatives=0.5),
        ),
    ),
    faces=_MOSTLY_REAL,
)

# Networks of 224 pixels cost four times as much as ATPN. They end in averages over their maps, so
# they can learn most of it from crops of a quarter of the pixels, and then see the size in use.
_JOINT_SMALL = replace(
    _SHORT,
    name="small",
    branches=("alignment", "pose"),
    crops=128_000,
    size=112,
)
_JOINT = replace(
    _JOINT_SMALL,
    name="joint",
    crops=32_000,
    learning_rate=0.001,
    size=None,
)


def _joint(loss: LandmarkLoss) -> tuple[StageConfig, ...]:
    return tuple(replace(stage, landmark_loss=loss) for stage in (_JOINT_SMALL, _JOINT))


ASMNET: Final = Recipe(
    name="asmnet",
    summary="ASMNet (CVPRW 2021) with its ASM-assisted loss, landmarks and pose together",
    stages=_joint("asm"),
    faces=FACES,
    network="asmnet",
)
ASMNET_SQUARED: Final = Recipe(
    name="asmnet_squared",
    summary="ASMNet without the smooth target of its loss",
    stages=_joint("squared"),
    faces=FACES,
    network="asmnet",
)
MOBILENETV2: Final = Recipe(
    name="mobilenetv2",
    summary="the baseline of ASMNet's paper: MobileNetV2, squared errors",
    stages=_joint("squared"),
    faces=FACES,
    network="mobilenetv2",
)

# --- ablations: compact, with one thing changed ---

# What changes the landmarks is trained and judged by its first stage alone.
_ALIGNMENT = replace(COMPACT, stages=COMPACT.stages[:1])

ABLATION_FULL: Final = replace(COMPACT, name="ablation_full", summary="nothing left out")

# arXiv 2103.07615, Table 7
NO_LOW_LEVEL: Final = replace(
    _ALIGNMENT,
    name="ablation_no_low_level",
    summary="pyramid of 14x14 and 7x7 alone, each reduced to 96 channels instead of 64",
    architecture=AtpnConfig(fuse_shallow=False, reduced=96),
)
NO_MULTIVIEW: Final = replace(
    _ALIGNMENT,
    name="ablation_no_multiview",
    summary="a plain residual of two 3x3 convolutions, of the same weights and multiply-adds",
    architecture=AtpnConfig(multiview=False),
)
NO_COORDCONV: Final = replace(
    _ALIGNMENT,
    name="ablation_no_coordconv",
    summary="no coordinate planes",
    architecture=AtpnConfig(coordconv=False),
)

# arXiv 2103.07615, Tables 8 (pose) and 9 (tracking)
OWN_FEATURES: Final = replace(
    COMPACT,
    name="ablation_own_features",
    summary="each head with a stem and 28x28 stage of its own: 11 M multiply-adds more per head",
    architecture=AtpnConfig(share_features=False),
)
NO_HEATMAP: Final = replace(
    COMPACT,
    name="ablation_no_heatmap",
    summary="heads on the backbone's features as they are",
    architecture=AtpnConfig(heatmap=False),
)
OWN_FEATURES_NO_HEATMAP: Final = replace(
    COMPACT,
    name="ablation_own_features_no_heatmap",
    summary="three networks side by side: neither features nor landmarks are shared",
    architecture=AtpnConfig(share_features=False, heatmap=False),
)


def _changed(name: str, summary: str, **changes: Any) -> Recipe:  # noqa: ANN401 - any field
    """The alignment stage of compact with other settings."""
    return replace(
        _ALIGNMENT,
        name=f"ablation_{name}",
        summary=summary,
        stages=(replace(_ALIGNMENT.stages[0], **changes),),
    )


# of our own recipe
NO_AVERAGE: Final = _changed("no_average", "the last weights, not their average", ema_decay=0.0)
ADAMW: Final = _changed(
    "adamw", "AdamW, in batches of 64: twice as many steps", optimizer="adamw", batch=64
)
STRONG_AUGMENT: Final = _changed(
    "strong_augment",
    "stronger augmentation: stretch, shear, shade, more occlusion",
    data=CropConfig(augment=_STRONG),
)
RARE_POSES: Final = _changed(
    "rare_poses",
    "faces of rare poses drawn more often",
    data=_RARE_POSES,
)
EQUAL_LABELS: Final = replace(
    _ALIGNMENT,
    name="ablation_equal_labels",
    summary="machine labels count fully, however far they disagree",
    spread_tolerance=None,
)
SMOOTH_L1: Final = _changed("smooth_l1", "smooth L1 of coordinates", landmark_loss="smooth_l1")
WING: Final = _changed("wing", "wing loss of coordinates", landmark_loss="wing")

ABLATIONS: Final = (
    *(ABLATION_FULL, NO_LOW_LEVEL, NO_MULTIVIEW, NO_COORDCONV),
    *(OWN_FEATURES, NO_HEATMAP, OWN_FEATURES_NO_HEATMAP),
    *(ADAMW, NO_AVERAGE, STRONG_AUGMENT, RARE_POSES, EQUAL_LABELS, SMOOTH_L1, WING),
)

RECIPES: Final = MappingProxyType(
    {
        recipe.name: recipe
        for recipe in (PAPER, COMPACT, LONG, ASMNET, ASMNET_SQUARED, MOBILENETV2, *ABLATIONS)
    }
)
