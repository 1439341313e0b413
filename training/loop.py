"""The loop that every training shares: progress bar, log, learning curve, checkpoints."""

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from tqdm import tqdm

from training.checkpoint import CURVE, LOG
from training.curve import draw_curve

MEMORY_OF_LOSS: Final = 0.98  # smoothing of the loss that is shown

Batch = TypeVar("Batch")


@dataclass(frozen=True, slots=True)
class LoopPlan:
    """One stage of a run as the loop sees it."""

    stage: str  # its name in bar, log and curve
    out: Path  # folder of log and curve
    start: int  # steps that are done already
    steps: int  # length of the stage
    batch: int  # examples per step
    checkpoint_every: int  # steps
    validate_every: int  # steps


def run_loop(
    plan: LoopPlan,
    batches: Iterable[Batch],
    train_on: Callable[[Batch], Mapping[str, float]],
    validate: Callable[[], Mapping[str, float]],
    save: Callable[[], None],
) -> None:
    """Train on each batch; validate and log, and save, at their steps and after the last one.

    Args:
        plan: how far and how often.
        batches: from step ``plan.start``.
        train_on: one step; returns what the bar shows, "loss" among it.
        validate: measures for the log.
        save: writes the checkpoint.
    """
    started, smooth, step = time.perf_counter(), math.nan, plan.start
    with tqdm(total=plan.steps, initial=step, desc=plan.stage, mininterval=5.0) as bar:
        for batch in batches:
            losses = train_on(batch)
            step += 1
            smooth = _smoothed(smooth, losses["loss"])
            shown = {**losses, "loss": smooth}
            bar.update()
            bar.set_postfix({k: f"{v:.4f}" for k, v in shown.items()}, refresh=False)
            last = step == plan.steps
            if last or step % plan.validate_every == 0:
                record = {
                    "stage": plan.stage,
                    "step": step,
                    "crops": step * plan.batch,
                    "loss": round(smooth, 5),
                    "seconds": round(time.perf_counter() - started, 1),
                    **validate(),
                }
                with (plan.out / LOG).open("a", encoding="utf-8") as log:
                    log.write(json.dumps(record) + "\n")
                bar.write(json.dumps(record))
                draw_curve(plan.out / LOG, plan.out / CURVE)
            if last or step % plan.checkpoint_every == 0:
                save()


def _smoothed(before: float, now: float) -> float:
    if math.isnan(before):
        return now
    return MEMORY_OF_LOSS * before + (1.0 - MEMORY_OF_LOSS) * now
