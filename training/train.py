"""The training loop: stages of a recipe, resumable at every checkpoint, repeatable for a seed."""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

import cv2
import torch
from torch import Tensor, nn

from atpn_mobile.geometry import landmarks_to_crop, roi_from_landmarks
from atpn_mobile.types import Frame
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
)
from training.data.packs import read_pack
from training.data.sample import DatasetError
from training.evaluate import plain_crops, validation_summary
from training.loader import iterate_batches, require_device
from training.loop import LoopPlan, run_loop
from training.losses import alignment_loss, pose_loss, presence_loss
from training.network.atpn import Atpn
from training.recipes import Branch, Recipe, StageConfig
from training.schedule import learning_rate_factor
from training.weights import load_weights, save_weights

WEIGHTS: Final = "atpn.safetensors"
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
    resume: bool = False
    init: Path | None = None  # weights to start from
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
    """Crops of a step as tensors, see ``Crop``; N crops."""

    image: Tensor  # (N, 112, 112, 3)
    landmarks: Tensor  # (N, 98, 2)
    point_weight: Tensor  # (N, 98)
    rotation: Tensor  # (N, 3, 3)
    has_rotation: Tensor  # (N,)
    is_face: Tensor  # (N,)


def load_training_data(recipe: Recipe, folder: Path) -> TrainingData:
    """Decode the packs of a recipe; faces of the "val" splits are kept apart, as crops.

    Raises:
        DatasetError: a pack is missing or damaged.
    """
    sources, validation = [], {}
    for name, weight in recipe.faces.items():
        samples = read_pack(folder / name)
        sources.append(FaceSource(load_faces([s for s in samples if s.split == "train"]), weight))
        held_out = [s for s in samples if s.split == "val"]
        if held_out:
            validation[Path(name).stem] = plain_crops(load_faces(held_out))
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


def set_trainable(network: Atpn, branches: Sequence[Branch]) -> list[nn.Parameter]:
    """Freeze everything but the branches (and the backbone with "alignment").

    Frozen modules also stop updating their normalisation statistics.
    """
    trained = set(branches) | ({"backbone"} if "alignment" in branches else set())
    for name, child in network.named_children():
        child.train(name in trained)
        child.requires_grad_(name in trained)
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def stage_loss(network: Atpn, batch: CropBatch, branches: Sequence[Branch]) -> Tensor:
    """Sum of the losses of the branches that are trained."""
    image = batch.image.permute(0, 3, 1, 2).float()
    if "alignment" in branches:
        return alignment_loss(network.align(image), batch.landmarks, batch.point_weight)
    with torch.no_grad():
        shallow, middle, deep = network.backbone(image)
        attended = network.attend(shallow, network.alignment(shallow, middle, deep))
    loss: Tensor = image.new_zeros(())
    if "tracking" in branches:
        loss = loss + presence_loss(network.tracking(attended), batch.is_face)
    if "pose" in branches:
        known = batch.has_rotation > 0
        angles = torch.tanh(network.pose(attended[known])) * math.pi
        loss = loss + 2.0 * pose_loss(angles, batch.rotation[known], batch.has_rotation[known])
    return loss


class StageRun:
    """One stage in progress: network, average, optimiser, step."""

    def __init__(self, network: Atpn, stage: StageConfig, device: str) -> None:
        self.stage, self.device = stage, device
        self.network: Atpn = network.to(device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.parameters = set_trainable(network, stage.branches)
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=stage.learning_rate, weight_decay=stage.weight_decay
        )
        self.average = Averager(network, stage.ema_decay) if stage.ema_decay > 0 else None
        self.step = 0
        self.steps = stage.crops // stage.batch

    @property
    def result(self) -> Atpn:
        """The network to keep: the average where there is one."""
        return self.average.network if self.average else self.network

    def train_on(self, batch: Crop) -> float:
        """One step; returns the loss."""
        factor = learning_rate_factor(self.stage.schedule, self.step / self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.stage.learning_rate * factor
        tensors = (torch.as_tensor(value) for value in batch)  # a collated one has them already
        moved = CropBatch(*(value.to(self.device, non_blocking=True) for value in tensors))
        loss = stage_loss(self.network, moved, self.stage.branches)
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


def batches(
    data: TrainingData, stage: StageConfig, seed: int, start: int, options: RunOptions
) -> Iterator[Crop]:
    """Batches of a stage from step ``start``: the same ones in every run of a seed."""
    steps = stage.crops // stage.batch
    crops = CropDataset(
        data.sources,
        data.backgrounds,
        data.hard_negatives,
        stage.data,
        length=steps * stage.batch,
        seed=seed,
    )
    return iterate_batches(
        crops,
        range(start, steps),
        batch=stage.batch,
        workers=options.workers,
        device=options.device,
    )


def train(recipe: Recipe, options: RunOptions) -> Path:
    """Run a recipe.

    Writes ``recipe.json``, ``checkpoint.pt``, ``log.jsonl``, ``curve.png`` and at the end
    ``atpn.safetensors`` into ``options.out``.

    Args:
        recipe: what to train.
        options: where and how.

    Returns:
        path of the weights.

    Raises:
        DatasetError: a pack or the device is missing, there is no checkpoint of this recipe to
            resume, or a new run would overwrite one.
        WeightsError: ``init`` cannot be loaded.
    """
    require_device(options.device)
    checkpoint = open_run(options.out, resume=options.resume)
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    state = None
    if options.resume:
        state = read_checkpoint(checkpoint, recipe.identity, options.device)
    data = load_training_data(recipe, options.data)
    network = Atpn()
    network.alignment.mean_shape.copy_(mean_shape(data.sources))
    if options.init:
        load_weights(network, options.init)
    names = [stage.name for stage in recipe.stages]
    first = names.index(state["stage"]) if state else 0
    options.out.mkdir(parents=True, exist_ok=True)
    if state:
        trim_log(options.out / LOG, names[: first + 1], state["step"])
    else:
        trim_log(options.out / LOG, [], 0)
        write_recipe(options.out, "atpn", _settings(recipe, options))
    for index in range(first, len(recipe.stages)):
        run = StageRun(network, recipe.stages[index], options.device)
        if state:
            run.restore(state)
            state = None
        _run_stage(run, data, recipe, index, options)
        network = copy.deepcopy(run.result)
    description = {"network": "atpn", "recipe": recipe.name, "seed": recipe.seed}
    save_weights(network, options.out / WEIGHTS, description)
    return options.out / WEIGHTS


def _settings(recipe: Recipe, options: RunOptions) -> dict[str, object]:
    """Everything that decides the weights, but the folder of the packs."""
    return {
        "recipe": recipe.settings(),
        "init": options.init.name if options.init else None,
        "threads": options.threads,
        "device": options.device,
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
        batches(data, stage, recipe.seed + index, run.step, options),
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
