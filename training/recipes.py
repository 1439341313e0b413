"""Named recipes: what is trained, on what, in which order, for how long."""

import json
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Final, Literal

from training.augment import AugmentConfig
from training.data.crops import CropConfig

Branch = Literal["alignment", "tracking", "pose"]
Schedule = Literal["cosine", "steps"]


@dataclass(frozen=True, slots=True)
class StageConfig:
    """One stage of training."""

    name: str
    branches: tuple[Branch, ...]  # the backbone is trained with "alignment" and frozen otherwise
    crops: int  # length of the stage, examples
    batch: int = 128
    learning_rate: float = 0.001  # the highest
    schedule: Schedule = "steps"
    weight_decay: float = 0.0
    ema_decay: float = 0.0  # moving average of the weights, per step; 0 for none
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

    def settings(self) -> dict[str, object]:
        """All fields as values that JSON has."""
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            **plain,
            "stages": [asdict(stage) for stage in self.stages],
            "faces": dict(self.faces),
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
    batch=64,
    learning_rate=0.002,
    schedule="cosine",
    weight_decay=0.01,
    ema_decay=0.999,
)

COMPACT: Final = Recipe(
    name="compact",
    summary="an hour on two cores: AdamW, one cosine cycle, averaged weights, heads together",
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

RECIPES: Final = MappingProxyType({recipe.name: recipe for recipe in (PAPER, COMPACT)})
