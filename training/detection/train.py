"""Training of the detector: resumable at every checkpoint, repeatable for a seed."""

import argparse
import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from atpn_mobile.types import FloatArray, Frame
from training.checkpoint import (
    CHECKPOINT,
    LOG,
    open_run,
    read_checkpoint,
    trim_log,
    write_checkpoint,
    write_recipe,
)
from training.detection.compose import ComposeConfig, FrameComposer
from training.detection.evaluate import (
    DetectorReport,
    EvaluationFrame,
    build_frames,
    evaluate_detector,
)
from training.detection.loss import DetectorLoss, TargetBatch, detector_loss
from training.detection.pictures import load_library
from training.detection.targets import make_targets
from training.loader import iterate_batches, require_device
from training.loop import LoopPlan, run_loop
from training.network.detector import Detector, DetectorConfig
from training.options import at_least
from training.schedule import learning_rate_factor
from training.train import Averager
from training.weights import save_weights

WEIGHTS: Final = "detector.safetensors"
STAGE: Final = "detector"  # the only one
MAX_GRADIENT: Final = 10.0  # norm; a rare crowded batch must not undo a hundred others
MINIMA: Final = {"steps": 1, "batch": 2, "seed": 0, "workers": 0, "threads": 1}


@dataclass(frozen=True, slots=True)
class DetectorTrainConfig:
    """One run.

    Raises:
        ValueError: a count is below what it can be.
    """

    data: Path  # folder of the packs
    out: Path  # checkpoint, log, curve and weights
    steps: int = 10_000
    batch: int = 32  # frames per step
    seed: int = 1
    learning_rate: float = 0.004  # the highest
    weight_decay: float = 0.01  # of kernels; biases and normalisation have none
    ema_decay: float = 0.998  # moving average of the weights, per step
    workers: int = 2  # processes that compose frames
    threads: int = 2  # of the network
    device: str = "cpu"
    resume: bool = False
    checkpoint_every: int = 500  # steps
    validate_every: int = 1000  # steps
    validation_limit: int = 150  # pictures of a pack that are looked at while training
    limit: int | None = None  # pictures of a pack to train on, for trials; None for all
    network: DetectorConfig = field(default_factory=DetectorConfig)
    compose: ComposeConfig = field(default_factory=ComposeConfig)

    def __post_init__(self) -> None:
        for name, least in MINIMA.items():
            if getattr(self, name) < least:
                raise ValueError(f"expected {name} of {least} or more, got {getattr(self, name)}")
        if self.network.input_size != self.compose.input_size:
            raise ValueError(
                "expected frames of the network's input size, got "
                f"{self.compose.input_size} and {self.network.input_size}"
            )


class Example(NamedTuple):
    """One frame and its targets; a batch is the same with a leading dimension."""

    image: Frame  # (S, S, 3)
    scores: FloatArray
    score_weights: FloatArray
    boxes: FloatArray
    box_weights: FloatArray
    num_faces: int


class ComposedFrames(Dataset[Example]):
    """Frames of a composer with their targets."""

    def __init__(self, composer: FrameComposer, length: int, grid: int) -> None:
        self.composer, self.length, self.grid = composer, length, grid

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Example:
        """Frame number ``index``, whatever was asked for before."""
        frame = self.composer.compose(index)
        targets = make_targets(frame.faces_xyxy, frame.ignored_xyxy, self.grid)
        return Example(
            frame.image,
            targets.scores,
            targets.score_weights,
            targets.boxes,
            targets.box_weights,
            targets.count,
        )


class DetectorRun:
    """A run in progress: network, average, optimiser, step."""

    def __init__(self, config: DetectorTrainConfig) -> None:
        self.config = config
        network = Detector(config.network).to(config.device)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        parameters = list(network.parameters())
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters if p.ndim > 1]},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(
            groups,
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        self.average = Averager(network, config.ema_decay)
        self.step = 0

    @property
    def result(self) -> Detector:
        """The network to keep: the average."""
        return self.average.network

    def train_on(self, batch: Example) -> DetectorLoss:
        """One step; the loss without its graph."""
        factor = learning_rate_factor("cosine", self.step / self.config.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * factor
        self.network.train()
        image, *maps = (_as_tensor(value).to(self.config.device) for value in batch)
        raw = self.network.forward_raw(image.permute(0, 3, 1, 2).float())
        boxes = self.network.decode_boxes(raw.log_distances)
        loss = detector_loss(raw.logits, boxes, TargetBatch(*maps))
        self.optimizer.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), MAX_GRADIENT)
        self.optimizer.step()
        self.average.update(self.network)
        self.step += 1
        return DetectorLoss(*(value.detach() for value in loss))

    def state(self) -> dict[str, object]:
        """Everything needed to go on."""
        return {
            "step": self.step,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.network.state_dict(),
            "average_steps": self.average.steps,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.network.load_state_dict(state["average"])
        self.average.steps = state["average_steps"]
        self.step = state["step"]


def _as_tensor(value: object) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"expected a collated batch of tensors, got {type(value).__name__}")
    return value


def _identity(config: DetectorTrainConfig) -> str:
    """The settings that a run cannot change half-way, as JSON."""
    kept = ("steps", "batch", "seed", "learning_rate", "weight_decay", "ema_decay", "limit")
    settings = {name: getattr(config, name) for name in kept}
    settings["compose"] = dataclasses.asdict(config.compose)
    settings["network"] = config.network.to_json()
    return json.dumps(settings, sort_keys=True)


def _settings(config: DetectorTrainConfig) -> dict[str, object]:
    """Everything but the folders, as values that JSON has."""
    settings = dataclasses.asdict(config)
    for name in ("data", "out", "resume"):
        del settings[name]
    settings["config"] = settings.pop("network")  # as in the description of the weights
    return settings


def load_batches(
    composer: FrameComposer, config: DetectorTrainConfig, start: int
) -> Iterator[Example]:
    """Batches from step ``start``: the same ones in every run of a seed."""
    frames = ComposedFrames(composer, config.steps * config.batch, config.network.grid_size)
    return iterate_batches(
        frames,
        range(start, config.steps),
        batch=config.batch,
        workers=config.workers,
        device=config.device,
    )


def train_detector(config: DetectorTrainConfig) -> Path:
    """Run a training.

    Writes ``recipe.json``, ``checkpoint.pt``, ``log.jsonl``, ``curve.png`` and at the end
    ``detector.safetensors`` into ``config.out``.

    Returns:
        path of the weights.

    Raises:
        DatasetError: a pack or the device is missing, there is no checkpoint of this run to
            resume, or a new run would overwrite one.
    """
    require_device(config.device)
    checkpoint = open_run(config.out, resume=config.resume)
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(1)
    run = DetectorRun(config)
    if config.resume:
        run.restore(read_checkpoint(checkpoint, _identity(config), config.device))
    composer = FrameComposer(
        load_library(config.data, "train", config.limit), config.compose, config.seed
    )
    validation = build_frames(load_library(config.data, "val", config.validation_limit))
    config.out.mkdir(parents=True, exist_ok=True)
    trim_log(config.out / LOG, [STAGE] if config.resume else [], run.step)
    if not config.resume:
        write_recipe(config.out, "detector", _settings(config))
    _run(run, composer, validation)
    description = {
        "network": "detector",
        "config": config.network.to_json(),
        "seed": config.seed,
        "frames": config.steps * config.batch,
    }
    save_weights(run.result, config.out / WEIGHTS, description)
    return config.out / WEIGHTS


def _run(run: DetectorRun, composer: FrameComposer, validation: list[EvaluationFrame]) -> None:
    config = run.config
    plan = LoopPlan(
        stage=STAGE,
        out=config.out,
        start=run.step,
        steps=config.steps,
        batch=config.batch,
        checkpoint_every=config.checkpoint_every,
        validate_every=config.validate_every,
    )
    run_loop(
        plan,
        load_batches(composer, config, run.step),
        lambda batch: _shown(run.train_on(batch)),
        lambda: _measures(evaluate_detector(run.result, validation)),
        lambda: write_checkpoint(config.out / CHECKPOINT, _identity(config), run.state()),
    )


def _shown(loss: DetectorLoss) -> dict[str, float]:
    return {"loss": float(loss.total), "box": float(loss.box)}


def _measures(report: DetectorReport) -> dict[str, float]:
    point = report.chosen
    return {
        "missed_small": round(1.0 - point.recall_small, 4),
        "missed_large": round(1.0 - point.recall_large, 4),
        "false_per_background": round(point.false_boxes / report.backgrounds, 4),
        "threshold": point.threshold,
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a run."""
    parser.add_argument("--data", type=Path, required=True, help="folder of the packs")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    defaults = {f.name: f.default for f in dataclasses.fields(DetectorTrainConfig)}
    for name, text in (
        ("steps", "length of the run"),
        ("batch", "frames per step"),
        ("seed", "of everything random"),
        ("workers", "processes that compose frames"),
        ("threads", "of the network"),
    ):
        parser.add_argument(
            f"--{name}",
            type=at_least(MINIMA[name]),
            default=defaults[name],
            help=f"{text} (%(default)s)",
        )
    parser.add_argument("--device", default=defaults["device"], help="cpu or cuda (%(default)s)")
    parser.add_argument(
        "--limit", type=at_least(1), help="at most so many pictures of a pack, for trials"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")


def run(args: argparse.Namespace) -> int:
    """Train; the exit status is 0.

    Raises:
        DatasetError: see ``train_detector``.
        ValueError: an option is outside its range.
    """
    names = ("data", "out", "steps", "batch", "seed", "workers", "threads", "device")
    settings = {name: getattr(args, name) for name in (*names, "limit", "resume")}
    train_detector(DetectorTrainConfig(**settings))
    return 0
