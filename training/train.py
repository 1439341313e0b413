"""The training loop: stages of a recipe, resumable at every checkpoint, repeatable for a seed."""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from atpn_mobile.geometry import landmarks_to_crop, roi_from_landmarks
from atpn_mobile.types import Frame
from training.asm import ShapeSpace, asm_assisted_loss, training_space
from training.checkpoint import (
    CHECKPOINT,
    LOG,
    open_run,
    read_checkpoint,
    trim_log,
    write_checkpoint,
    write_recipe,
)
from training.data.crops import (
    Crop,
    CropDataset,
    FaceSource,
    load_faces,
    plain_crops,
)
from training.data.packs import read_pack
from training.data.sample import DatasetError
from training.evaluate import pose_measures
from training.kernels import accelerate
from training.loader import iterate_batches, require_device
from training.loop import LoopPlan, run_loop
from training.losses import (
    alignment_loss,
    pose_loss,
    presence_loss,
    smooth_l1_loss,
    squared_loss,
    squared_pose_loss,
    wing_loss,
)
from training.metrics import nme_percent
from training.network.atpn import Atpn
from training.network.mobilenetv2 import AlignmentOutput
from training.network.variants import (
    FaceNetwork,
    build_network,
    describe_network,
    start_from_shape,
)
from training.optimizer import make_optimizer
from training.protocols.predictor import NetworkPredictor, predict_crops
from training.recipes import Branch, Recipe, StageConfig
from training.schedule import learning_rate_factor
from training.weights import WeightsError, load_weights, read_weights, save_weights

MAX_GRADIENT_NORM: Final = 1.0  # a rare large step would undo many small ones

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Where and how a recipe is run."""

    data: Path  # folder of packs
    out: Path  # recipe, checkpoint, log, curve and weights
    workers: int = 2  # processes that prepare crops
    threads: int = 2  # of the network
    device: str = "cpu"
    fused: bool = False  # in bfloat16, see ``training.kernels``
    resume: bool = False
    init: Path | None = None  # weights to start from
    init_parts: tuple[str, ...] = ()  # children of the network that take them; none for all
    start_at: str | None = None  # the first stage to run, where init did those before
    checkpoint_every: int = 500  # steps
    validate_every: int = 500  # steps


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """Everything decoded, in memory."""

    sources: tuple[FaceSource, ...]
    backgrounds: tuple[Frame, ...]
    hard_negatives: tuple[Frame, ...]
    validation: dict[str, list[Crop]]


class CropBatch(NamedTuple):
    """Crops of a step as tensors, see ``Crop``; N crops of the network's input size S."""

    image: Tensor  # (N, S, S, 3)
    landmarks: Tensor  # (N, 98, 2)
    point_weight: Tensor  # (N, 98)
    rotation: Tensor  # (N, 3, 3)
    has_rotation: Tensor  # (N,)
    is_face: Tensor  # (N,)


def load_training_data(recipe: Recipe, folder: Path, size: int) -> TrainingData:
    """Decode the packs of a recipe; faces of the "val" splits are kept apart, as crops.

    Args:
        recipe: what to train.
        folder: of the packs.
        size: pixels on a side of the validation crops, the network's input.

    Raises:
        DatasetError: a pack is missing or damaged.
    """
    sources, validation = [], {}
    for name, weight in recipe.faces.items():
        samples = read_pack(folder / name)
        faces = load_faces([s for s in samples if s.split == "train"], recipe.spread_tolerance)
        sources.append(FaceSource(faces, weight))
        held_out = [s for s in samples if s.split == "val"]
        if held_out:
            validation[Path(name).stem] = plain_crops(load_faces(held_out), size)
    return TrainingData(
        tuple(sources),
        tuple(s.image.read() for s in read_pack(folder / recipe.backgrounds, "train")),
        tuple(s.image.read() for s in read_pack(folder / recipe.hard_negatives, "train")),
        validation,
    )


def mean_shape(sources: Sequence[FaceSource]) -> Tensor:
    """Mean of the landmarks in their own regions, (1, 98, 2) crop units."""
    total, weights = torch.zeros(98, 2, dtype=torch.float64), 0.0
    for source in sources:
        for face in source.faces:
            unit = landmarks_to_crop(face.points98, roi_from_landmarks(face.points98))
            total += source.weight * torch.from_numpy(unit).double()
            weights += source.weight
    return (total / weights).float()[None]


def validation_summary(
    network: FaceNetwork, validation: Mapping[str, Sequence[Crop]]
) -> dict[str, float]:
    """NME of 98 points and mean pose error per data set: what a run logs."""
    summary: dict[str, float] = {}
    predictor = NetworkPredictor("in training", network)
    for name, crops in validation.items():
        found = predict_crops(predictor, [crop.image for crop in crops])
        nme = nme_percent(found.landmarks, np.stack([crop.landmarks for crop in crops]))
        summary[f"nme_{name}"] = round(float(nme.mean()), 3)
        if found.pose is not None and all(crop.has_rotation for crop in crops):
            pose = pose_measures(found.pose, [crop.rotation for crop in crops])
            summary[f"pose_{name}"] = round(pose["geodesic_deg"], 3)
    return summary


class Averager(Generic[Network]):
    """Exponential moving average of a network's weights and statistics."""

    def __init__(self, network: Network, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self.network.eval()
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, network: Network) -> None:
        """Move towards the network; young averages move faster."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        pairs = zip(self.network.state_dict().values(), network.state_dict().values(), strict=True)
        for average, value in pairs:
            if average.is_floating_point():
                average.lerp_(value, 1.0 - decay)
            else:
                average.copy_(value)


def set_trainable(
    network: FaceNetwork, branches: Sequence[Branch], *, fixed_statistics: bool = False
) -> list[nn.Parameter]:
    """Freeze everything of ATPN but the branches (and the backbone with "alignment").

    Frozen modules also stop updating their normalisation statistics. The other networks have no
    parts that are trained alone.

    Args:
        network: of which kind ever.
        branches: what is trained.
        fixed_statistics: normalise by the averages of earlier training, which stay as they are.

    Returns:
        the parameters that are trained.
    """
    trained: set[str] = set(branches) | ({"backbone"} if "alignment" in branches else set())
    for name, child in network.named_children():
        is_trained = not isinstance(network, Atpn) or name.removesuffix("_features") in trained
        child.train(is_trained)
        child.requires_grad_(is_trained)
    if fixed_statistics:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


@dataclass(frozen=True, slots=True, eq=False)
class LandmarkObjective:
    """The loss of the landmarks in one stage."""

    stage: StageConfig
    space: ShapeSpace | None  # of the training shapes; only the loss "asm" needs one

    def __call__(self, predicted: Tensor, batch: CropBatch, progress: float) -> Tensor:
        """Loss of (N, 98, 2) landmarks, crop units, at a share of the stage; a scalar.

        Raises:
            ValueError: the loss needs a shape space and there is none.
        """
        target, weight = batch.landmarks, batch.point_weight
        if self.stage.landmark_loss == "asm":
            if self.space is None:
                raise ValueError("expected a shape space for the loss 'asm', got none")
            return asm_assisted_loss(predicted, target, weight, self.space, progress)
        losses = {
            "distance": alignment_loss,
            "smooth_l1": smooth_l1_loss,
            "wing": wing_loss,
            "squared": squared_loss,
        }
        return losses[self.stage.landmark_loss](predicted, target, weight)


def stage_loss(
    network: FaceNetwork, batch: CropBatch, objective: LandmarkObjective, progress: float
) -> Tensor:
    """Sum of the losses of the branches that are trained.

    Args:
        network: in training mode.
        batch: on its device.
        objective: of the stage.
        progress: share of the stage that is done, 0..1.
    """
    image = batch.image.permute(0, 3, 1, 2).float()
    if not isinstance(network, Atpn):
        return _joint_loss(network(image), batch, objective, progress)
    if "alignment" in objective.stage.branches:
        return objective(network.align(image), batch, progress)
    return _heads_loss(network, image, batch, objective.stage.branches)


def _joint_loss(
    output: AlignmentOutput, batch: CropBatch, objective: LandmarkObjective, progress: float
) -> Tensor:
    """Landmarks and pose of a network that is trained as a whole."""
    pose = squared_pose_loss(output.pose, batch.rotation, batch.has_rotation)
    return objective(output.landmarks, batch, progress) + pose


def _heads_loss(
    network: Atpn, image: Tensor, batch: CropBatch, branches: Sequence[Branch]
) -> Tensor:
    """Tracking and pose of ATPN, on its frozen backbone."""
    with torch.no_grad():
        shallow, middle, deep = network.backbone(image)
        landmarks = network.alignment(shallow, middle, deep)
        attended = network.attend(shallow, landmarks)
    shared = network.config.share_features
    loss: Tensor = image.new_zeros(())
    if "tracking" in branches:
        seen = attended if shared else network.attend(network.tracking_features(image), landmarks)
        loss = loss + presence_loss(network.tracking(seen), batch.is_face)
    if "pose" in branches:
        known = batch.has_rotation > 0
        if shared:
            seen = attended[known]
        else:
            seen = network.attend(network.pose_features(image[known]), landmarks[known])
        angles = torch.tanh(network.pose(seen)) * math.pi
        loss = loss + 2.0 * pose_loss(angles, batch.rotation[known], batch.has_rotation[known])
    return loss


class StageRun:
    """One stage in progress: network, average, optimiser, step."""

    def __init__(
        self,
        network: FaceNetwork,
        stage: StageConfig,
        device: str,
        space: ShapeSpace | None = None,
    ) -> None:
        self.stage, self.device = stage, device
        self.objective = LandmarkObjective(stage, space.to(device) if space else None)
        self.network: FaceNetwork = network.to(device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.parameters = set_trainable(
            network, stage.branches, fixed_statistics=stage.fixed_statistics
        )
        self.optimizer = make_optimizer(self.network, self.parameters, stage)
        self.average = Averager(network, stage.ema_decay) if stage.ema_decay > 0 else None
        self.step = 0
        self.steps = stage.crops // stage.batch

    @property
    def result(self) -> FaceNetwork:
        """The network to keep: the average where there is one."""
        return self.average.network if self.average else self.network

    def train_on(self, batch: Crop) -> float:
        """One step; returns the loss."""
        progress = self.step / self.steps
        factor = learning_rate_factor(self.stage.schedule, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = self.stage.learning_rate * factor
        tensors = (torch.as_tensor(value) for value in batch)  # a collated one has them already
        moved = CropBatch(*(value.to(self.device, non_blocking=True) for value in tensors))
        loss = stage_loss(self.network, moved, self.objective, progress)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters, MAX_GRADIENT_NORM)
        self.optimizer.step()
        if self.average:
            self.average.update(self.network)
        self.step += 1
        return float(loss.detach())

    def state(self) -> dict[str, object]:
        """Everything needed to go on."""
        return {
            "stage": self.stage.name,
            "step": self.step,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.network.state_dict() if self.average else None,
            "average_steps": self.average.steps if self.average else 0,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            self.average.network.load_state_dict(state["average"])
            self.average.steps = state["average_steps"]
        self.step = state["step"]


def batches(data: TrainingData, run: StageRun, seed: int, options: RunOptions) -> Iterator[Crop]:
    """Batches of a stage from where it stands: the same ones in every run of a seed."""
    stage = run.stage
    steps = stage.crops // stage.batch
    crops = CropDataset(
        data.sources,
        data.backgrounds,
        data.hard_negatives,
        stage.data,
        length=steps * stage.batch,
        seed=seed,
        size=stage.size or run.network.input_size,
    )
    return iterate_batches(
        crops,
        range(run.step, steps),
        batch=stage.batch,
        workers=options.workers,
        device=options.device,
    )


def weights_name(recipe: Recipe) -> str:
    """File name of a recipe's weights: the network's, where the export may take it for that one."""
    name = recipe.network if recipe.architecture is None else recipe.name
    return f"{name}.safetensors"


def train(recipe: Recipe, options: RunOptions) -> Path:
    """Run a recipe.

    Writes ``recipe.json``, ``checkpoint.pt``, ``log.jsonl``, ``curve.png`` and at the end the
    weights (see ``weights_name``) into ``options.out``.

    Args:
        recipe: what to train.
        options: where and how.

    Returns:
        path of the weights.

    Raises:
        DatasetError: a pack, the device or the stage to start at is missing, there is no
            checkpoint of this recipe to resume, or a new run would overwrite one.
        WeightsError: ``init`` cannot be loaded.
        KernelError: ``fused``, and this machine cannot run the kernels.
    """
    require_device(options.device)
    if options.fused and options.device != "cpu":
        raise DatasetError(f"expected the device cpu for fused kernels, got {options.device!r}")
    checkpoint = open_run(options.out, resume=options.resume)
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    state = None
    if options.resume:
        state = read_checkpoint(checkpoint, recipe.identity, options.device)
    first = _first_stage(recipe, state["stage"] if state else options.start_at)
    network = build_network(recipe.network, recipe.architecture)
    data = load_training_data(recipe, options.data, network.input_size)
    start_from_shape(network, mean_shape(data.sources))
    if options.init:
        load_parts(network, options.init, options.init_parts)
    if options.fused:
        accelerate(network)
    options.out.mkdir(parents=True, exist_ok=True)
    if state:
        stages = [stage.name for stage in recipe.stages[: first + 1]]
        trim_log(options.out / LOG, stages, state["step"])
    else:
        trim_log(options.out / LOG, [], 0)
        write_recipe(options.out, recipe.network, _settings(recipe, options))
    for index in range(first, len(recipe.stages)):
        stage = recipe.stages[index]
        space = _shape_space(data, stage, recipe.seed)
        run = StageRun(network, stage, options.device, space)
        if state:
            run.restore(state)
            state = None
        _run_stage(run, data, recipe, index, options)
        network = copy.deepcopy(run.result)
    path = options.out / weights_name(recipe)
    described = describe_network(recipe.network, recipe.architecture)
    save_weights(network, path, {**described, "recipe": recipe.name, "seed": recipe.seed})
    return path


def load_parts(network: nn.Module, path: Path, parts: Sequence[str]) -> None:
    """Fill children of a network with the weights of a file.

    Args:
        network: the others of its children stay as they are.
        path: the .safetensors file, of a network that has these children too.
        parts: names of the children; none for the whole network.

    Raises:
        WeightsError: no such file, a damaged one, or one with other children.
    """
    if not parts:
        load_weights(network, path)
        return
    tensors, _ = read_weights(path)
    for part in parts:
        start = f"{part}."
        chosen = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
        try:
            network.get_submodule(part).load_state_dict(chosen)
        except (AttributeError, RuntimeError) as error:
            raise WeightsError(
                f"expected weights with the part {part!r} of {type(network).__name__}, got "
                f"others in {path}: {error}"
            ) from error


def _first_stage(recipe: Recipe, name: str | None) -> int:
    names = [stage.name for stage in recipe.stages]
    if name is not None and name not in names:
        raise DatasetError(f"expected a stage of {recipe.name} out of {names}, got {name!r}")
    return 0 if name is None else names.index(name)


def _shape_space(data: TrainingData, stage: StageConfig, seed: int) -> ShapeSpace | None:
    if stage.landmark_loss != "asm":
        return None
    return training_space(data.sources, stage.data.augment, seed)


def _settings(recipe: Recipe, options: RunOptions) -> dict[str, object]:
    """Everything that decides the weights, but the folder of the packs."""
    return {
        "recipe": recipe.settings(),
        "init": options.init.name if options.init else None,
        "init_parts": options.init_parts,
        "start_at": options.start_at,
        "threads": options.threads,
        "device": options.device,
        "fused": options.fused,
    }


def _run_stage(
    run: StageRun, data: TrainingData, recipe: Recipe, index: int, options: RunOptions
) -> None:
    stage = run.stage
    plan = LoopPlan(
        stage=stage.name,
        out=options.out,
        start=run.step,
        steps=run.steps,
        batch=stage.batch,
        checkpoint_every=options.checkpoint_every,
        validate_every=options.validate_every,
    )
    run_loop(
        plan,
        batches(data, run, recipe.seed + index, options),
        lambda batch: {"loss": run.train_on(batch)},
        lambda: validation_summary(run.result, data.validation),
        lambda: write_checkpoint(options.out / CHECKPOINT, recipe.identity, run.state()),
    )


def shortened(recipe: Recipe, crops: dict[str, int], seed: int | None = None) -> Recipe:
    """A recipe with other lengths of its stages (name -> crops), or another seed.

    Raises:
        DatasetError: it has no such stage, or a length is below the stage's batch.
    """
    batch = {stage.name: stage.batch for stage in recipe.stages}
    for name, length in crops.items():
        if length < batch.get(name, length + 1):
            known = ", ".join(f"{name} (batch {size})" for name, size in batch.items())
            raise DatasetError(
                f"expected a stage of {recipe.name} and at least one batch of crops for it, "
                f"{known}; got {name}={length}"
            )
    stages = tuple(replace(s, crops=crops.get(s.name, s.crops)) for s in recipe.stages)
    return replace(recipe, stages=stages, seed=recipe.seed if seed is None else seed)
