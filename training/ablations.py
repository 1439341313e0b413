"""The ablations: what each part of ATPN, and each ingredient of our recipe, is worth.

``python -m training.ablations --data DIR --out DIR [--crops N]`` trains the full network and every
variant with one budget, measures all of them on the "val" splits, and writes ``ablations.md`` and
``ablations.json``. It can be stopped at any time; the same command goes on.

The paper (arXiv 2103.07615) leaves parts of the alignment branch out in its Table 7, and shared
features and heatmap in Tables 8 and 9; it also shows that the pose that the network predicts for
pictures without a face follows the landmarks that it predicts there.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from atpn_mobile.types import FloatArray, Frame
from training.augment import random_patch
from training.checkpoint import CHECKPOINT
from training.data.crops import Crop, plain_crops
from training.data.packs import read_pack
from training.data.sample import DatasetError
from training.evaluate import (
    FACE_PACKS,
    POSE_SOURCE,
    PresenceSet,
    landmark_measures,
    load_val_faces,
    pose_measures,
    predict_presence,
    presence_measures,
    presence_set,
)
from training.files import replacing
from training.kernels import KernelError
from training.landmark_pose import LandmarkModel, fit_pose, read_landmark_model
from training.losses import euler_angles
from training.network.atpn import Atpn
from training.network.config import INPUT_SIZE
from training.network.macs import count_modules
from training.options import add_machine_arguments, at_least
from training.protocols.predictor import NetworkPredictor, Predictor, predict_crops
from training.recipes import (
    ABLATION_FULL,
    ADAMW,
    COMPACT,
    EQUAL_LABELS,
    NO_AVERAGE,
    NO_COORDCONV,
    NO_HEATMAP,
    NO_LOW_LEVEL,
    NO_MULTIVIEW,
    OWN_FEATURES,
    OWN_FEATURES_NO_HEATMAP,
    RARE_POSES,
    SMOOTH_L1,
    STRONG_AUGMENT,
    WING,
    Recipe,
)
from training.train import RunOptions, shortened, train, weights_name
from training.weights import WeightsError, load_weights

Group = Literal["landmarks", "heads", "recipe"]

TABLE: Final = "ablations.md"
DATA: Final = "ablations.json"
RESULT: Final = "result.json"  # in each variant's folder
STOPPED: Final = 130  # as shells report a process ended by SIGINT
MODEL_PACK: Final = "landmark_model.npz"
PACKS: Final = tuple(Path(name).stem for name in FACE_PACKS)
PATCHES: Final = 2  # crops of each background
FOLLOWED_FACES: Final = 400  # at most; a fit of the landmark model takes a hundredth of a second
SEED: Final = 11  # of the crops of backgrounds
ANGLES: Final = ("yaw", "pitch", "roll")


@dataclass(frozen=True, slots=True)
class PaperValue:
    """A number that the paper prints for a variant."""

    value: float
    unit: str
    source: str  # table and column


@dataclass(frozen=True, slots=True)
class Ablation:
    """One variant."""

    recipe: Recipe
    label: str  # its row
    paper: PaperValue | None = None  # None: not known to us


@dataclass(frozen=True, slots=True)
class Column:
    """A measure in a table."""

    key: str
    heading: str
    digits: int = 2


_LANDMARK_COLUMNS = tuple(
    Column(f"nme_{pack}", f"NME {pack.removeprefix('faces_')} %") for pack in PACKS
)
_HEAD_COLUMNS = (
    *(Column(f"{angle}_mae_deg", f"{angle} MAE") for angle in ANGLES),
    Column("average_precision", "presence AP", 4),
    Column("false_accept_at_99_true_accept", "FA at 99 % TA", 4),
    *(Column(f"follows_{angle}_backgrounds", f"{angle} r, backgrounds") for angle in ANGLES),
)
COLUMNS: Final[Mapping[Group, tuple[Column, ...]]] = MappingProxyType(
    {"landmarks": _LANDMARK_COLUMNS, "heads": _HEAD_COLUMNS, "recipe": _LANDMARK_COLUMNS}
)
TITLES: Final[Mapping[Group, str]] = MappingProxyType(
    {
        "landmarks": "Parts of the alignment branch (arXiv 2103.07615, Table 7)",
        "heads": "What the heads see (arXiv 2103.07615, Tables 8 and 9)",
        "recipe": "Ingredients of the recipe",
    }
)
FULL: Final = Ablation(ABLATION_FULL, "the full network")
ABLATIONS: Final[Mapping[Group, tuple[Ablation, ...]]] = MappingProxyType(
    {
        "landmarks": (
            Ablation(NO_LOW_LEVEL, "without low-level features"),
            Ablation(NO_MULTIVIEW, "without multiview blocks"),
            Ablation(NO_COORDCONV, "without CoordConv"),
        ),
        "heads": (
            Ablation(OWN_FEATURES, "without shared features"),
            Ablation(NO_HEATMAP, "without heatmap"),
            Ablation(OWN_FEATURES_NO_HEATMAP, "without either"),
        ),
        "recipe": (
            Ablation(ADAMW, "with AdamW instead of Muon"),
            Ablation(NO_AVERAGE, "without averaged weights"),
            Ablation(STRONG_AUGMENT, "with stretch, shear and shade"),
            Ablation(RARE_POSES, "with rare poses more often"),
            Ablation(EQUAL_LABELS, "without label weights"),
            Ablation(SMOOTH_L1, "with smooth L1"),
            Ablation(WING, "with the wing loss"),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class AblationOptions:
    """Where and how the variants are run."""

    data: Path  # folder of packs
    out: Path  # a folder for each variant, and the tables
    crops: int = COMPACT.stages[0].crops  # of the alignment stage of each
    only: tuple[str, ...] = ()  # names of recipes, beside the full one; none for all
    workers: int = 2  # processes that prepare crops
    threads: int = 2  # of the network
    device: str = "cpu"
    fused: bool = False  # in bfloat16, see ``training.kernels``


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """What the variants are measured on."""

    crops: Mapping[str, Sequence[Crop]]  # faces of each pack
    presence: PresenceSet
    backgrounds: Sequence[Frame]  # crops without a face
    model: LandmarkModel


def load_validation(data: Path) -> Validation:
    """Read the "val" splits of a folder of packs.

    Raises:
        DatasetError: a pack or the landmark model is missing.
    """
    faces = load_val_faces(data)
    pictures = [s.image.read() for s in read_pack(data / "backgrounds.npz", "val")]
    return Validation(
        crops={name: plain_crops(some, INPUT_SIZE) for name, some in faces.items()},
        presence=presence_set([face for some in faces.values() for face in some], data),
        backgrounds=background_crops(pictures),
        model=read_landmark_model(data / MODEL_PACK),
    )


def background_crops(pictures: Sequence[Frame]) -> list[Frame]:
    """Random squares of pictures without a face, ``PATCHES`` of each, as a network takes them."""
    rng = np.random.default_rng(SEED)
    return [random_patch(picture, INPUT_SIZE, rng) for picture in pictures for _ in range(PATCHES)]


def with_budget(recipe: Recipe, crops: int) -> Recipe:
    """A recipe with another number of crops in its first stage, the others in proportion.

    Raises:
        DatasetError: less than a batch is left for a stage.
    """
    share = crops / recipe.stages[0].crops
    return shortened(recipe, {stage.name: round(stage.crops * share) for stage in recipe.stages})


def pose_following(
    landmarks: FloatArray, angles: FloatArray, model: LandmarkModel
) -> dict[str, float]:
    """How far predicted poses follow predicted landmarks, whatever the pictures show.

    Args:
        landmarks: (N, 98, 2) crop units, as the network gives them.
        angles: (N, 3) yaw, pitch, roll in radians, as the network gives them.
        model: its rotation that explains the landmarks is what the angles are held against.

    Returns:
        Pearson's correlation of each angle (0 where one of both never changes).
    """
    fit = fit_pose(landmarks, model)
    fitted = euler_angles(torch.from_numpy(fit.rotation)).numpy()
    return {
        f"follows_{name}": _correlation(angles[:, column].astype(np.float64), fitted[:, column])
        for column, name in enumerate(ANGLES)
    }


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    first, second = a - a.mean(), b - b.mean()
    spread = float(np.sqrt(np.square(first).sum() * np.square(second).sum()))
    return float((first * second).sum()) / spread if spread > 0.0 else 0.0


def measure_landmarks(predictor: Predictor, validation: Validation) -> dict[str, float]:
    """NME of 98 points, %, on each pack."""
    measures = {}
    for name, crops in validation.crops.items():
        found = predict_crops(predictor, [crop.image for crop in crops])
        true = np.stack([crop.landmarks for crop in crops])
        measures[f"nme_{name}"] = landmark_measures(found.landmarks, true)["nme_98_percent"]
    return measures


def measure_heads(predictor: Predictor, validation: Validation) -> dict[str, float]:
    """Pose errors on exact rotations, the presence test, and whether pose follows landmarks.

    Args:
        predictor: an ATPN.
        validation: what it is measured on.
    """
    faces = validation.crops[POSE_SOURCE]
    found, angles = _predict_pose(predictor, [crop.image for crop in faces])
    measures = pose_measures(angles, [crop.rotation for crop in faces])
    scores = predict_presence(predictor, validation.presence.images)
    measures |= presence_measures(scores, validation.presence)
    few = slice(FOLLOWED_FACES)
    for where, (landmarks, poses) in {
        "faces": (found[few], angles[few]),
        "backgrounds": _predict_pose(predictor, validation.backgrounds),
    }.items():
        following = pose_following(landmarks, poses, validation.model)
        measures |= {f"{name}_{where}": value for name, value in following.items()}
    return measures


def _predict_pose(predictor: Predictor, crops: Sequence[Frame]) -> tuple[FloatArray, FloatArray]:
    """Landmarks (N, 98, 2) and angles (N, 3) of crops."""
    found = predict_crops(predictor, crops)
    if found.pose is None:
        raise ValueError(f"expected head poses from {predictor.name}, which gives none")
    return found.landmarks, found.pose


def run_variant(
    ablation: Ablation,
    group: Group | None,
    options: AblationOptions,
    validation: Validation,
) -> dict[str, Any]:
    """Train a variant, or go on with it, and measure it; or read what was measured before.

    A variant of the heads takes backbone and alignment branch from the full network, which has to
    be there: its own first stage would end with the same weights.

    Args:
        ablation: the variant.
        group: its table; None for the full network, which stands in all.
        options: where and how.
        validation: what it is measured on.

    Returns:
        its row, as JSON has it.

    Raises:
        DatasetError: a pack is missing, or its folder has a run with other settings.
    """
    recipe = with_budget(ablation.recipe, options.crops)
    folder = options.out / recipe.name
    identity = hashlib.sha256(recipe.identity.encode()).hexdigest()
    known = _read_result(folder / RESULT, identity)
    if known is not None:
        return known
    run = RunOptions(
        data=options.data,
        out=folder,
        workers=options.workers,
        threads=options.threads,
        device=options.device,
        fused=options.fused,
        resume=(folder / CHECKPOINT).is_file(),
    )
    if group == "heads":
        full = options.out / FULL.recipe.name / weights_name(FULL.recipe)
        parts = ("backbone", "alignment")
        run = replace(run, init=full, init_parts=parts, start_at=recipe.stages[1].name)
    network = Atpn(recipe.architecture)
    load_weights(network, train(recipe, run))
    network.to(options.device)
    predictor = NetworkPredictor(recipe.name, network)
    measures = measure_landmarks(predictor, validation)
    if group in (None, "heads"):
        measures |= measure_heads(predictor, validation)
    row = {
        "recipe": recipe.name,
        "label": ablation.label,
        "changes": recipe.summary,
        "crops": {stage.name: stage.crops for stage in recipe.stages},
        **_counts(network),
        "measures": {name: round(value, 5) for name, value in measures.items()},
        "paper": asdict(ablation.paper) if ablation.paper else None,
        "identity": identity,
    }
    _write(folder / RESULT, json.dumps(row, indent=2) + "\n")
    return row


def _counts(network: Atpn) -> dict[str, dict[str, int]]:
    """Parameters and multiply-adds of what gives landmarks, and of the whole network."""
    device = next(network.parameters()).device
    counts = count_modules(network, torch.zeros(1, 3, INPUT_SIZE, INPUT_SIZE, device=device))
    landmarks = counts["backbone"] + counts["alignment"]
    return {"alignment_counts": asdict(landmarks), "total_counts": asdict(counts["total"])}


def run_ablations(options: AblationOptions) -> Path:
    """Run all variants, and write the tables after each.

    Returns:
        path of the table as text.

    Raises:
        DatasetError: a pack is missing, a name is unknown, or a folder has a run with other
            settings.
        WeightsError: the full network's weights have been damaged.
    """
    names = [one.recipe.name for group in ABLATIONS.values() for one in group]
    unknown = set(options.only) - {*names, FULL.recipe.name}
    if unknown:
        raise DatasetError(f"expected ablations out of {names}, got {sorted(unknown)}")
    validation = load_validation(options.data)
    rows = {name: [run_variant(FULL, None, options, validation)] for name in ABLATIONS}
    write_tables(options.out, rows)
    for group, ablations in ABLATIONS.items():
        for ablation in ablations:
            if not options.only or ablation.recipe.name in options.only:
                rows[group].append(run_variant(ablation, group, options, validation))
                write_tables(options.out, rows)
    return options.out / TABLE


def write_tables(out: Path, rows: Mapping[Group, Sequence[Mapping[str, Any]]]) -> None:
    """Write the rows of each group as text and as JSON."""
    text = "\n".join(format_table(group, some) for group, some in rows.items())
    _write(out / TABLE, text)
    document = {group: {"title": TITLES[group], "rows": list(some)} for group, some in rows.items()}
    _write(out / DATA, json.dumps(document, indent=2) + "\n")


def format_table(group: Group, rows: Sequence[Mapping[str, Any]]) -> str:
    """A group's rows as a table in Markdown; "-" where a number is not known."""
    columns = COLUMNS[group]
    counted = "total_counts" if group == "heads" else "alignment_counts"
    headings = ["variant", "changed", "parameters", "M MACs"]
    headings += [*(column.heading for column in columns), "paper"]
    lines = [
        f"## {TITLES[group]}",
        "",
        f"| {' | '.join(headings)} |",
        f"|{'---|' * 2}{'---:|' * (len(headings) - 2)}",
    ]
    for row in rows:
        measures = row["measures"]
        cells = [row["label"], row["changes"]]
        cells += [f"{row[counted]['parameters']:,}", f"{row[counted]['macs'] / 1e6:.1f}"]
        cells += [
            f"{measures[column.key]:.{column.digits}f}" if column.key in measures else "-"
            for column in columns
        ]
        paper = row["paper"]
        cells.append(f"{paper['value']:g} {paper['unit']}" if paper else "-")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _read_result(path: Path, identity: str) -> dict[str, Any] | None:
    """The row of a variant that was measured with these settings."""
    if not path.is_file():
        return None
    row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return row if row.get("identity") == identity else None


def _write(path: Path, text: str) -> None:
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--data", type=Path, required=True, help="folder of packs")
    parser.add_argument("--out", type=Path, required=True, help="folder of runs and tables")
    parser.add_argument(
        "--crops",
        type=at_least(1),
        default=COMPACT.stages[0].crops,
        help="of each alignment stage; the heads' in proportion (%(default)s)",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="RECIPE",
        help="this variant beside the full network, may be repeated; default: all",
    )
    add_machine_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the ablations as the command line says.

    Raises:
        DatasetError: see ``run_ablations``.
        WeightsError: see ``run_ablations``.
    """
    options = AblationOptions(
        data=args.data,
        out=args.out,
        crops=args.crops,
        only=tuple(args.only),
        workers=args.workers,
        threads=args.threads,
        device=args.device,
        fused=args.fused,
    )
    table = run_ablations(options)
    sys.stdout.write(table.read_text(encoding="utf-8"))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 2 unusable input, 130 stopped by a key."""
    parser = argparse.ArgumentParser(prog="python -m training.ablations")
    add_arguments(parser)
    args = parser.parse_args(argv)
    try:
        return run(args)
    except (DatasetError, KernelError, WeightsError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the same command goes on from the last checkpoint\n")
        return STOPPED


if __name__ == "__main__":
    sys.exit(main())
