"""What a run keeps in its folder: checkpoint, log and recipe, each written whole or not at all."""

import json
import pickle
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch

from training.data.sample import DatasetError
from training.files import replacing

CHECKPOINT: Final = "checkpoint.pt"
LOG: Final = "log.jsonl"
CURVE: Final = "curve.png"
RECIPE: Final = "recipe.json"


def open_run(out: Path, *, resume: bool) -> Path:
    """Path of a run's checkpoint, which is there to be resumed and absent before a new run.

    Raises:
        DatasetError: nothing to resume, or a new run would overwrite another one.
    """
    checkpoint = out / CHECKPOINT
    if resume and not checkpoint.is_file():
        raise DatasetError(f"expected a checkpoint to resume, found none at {checkpoint}")
    if not resume and checkpoint.exists():
        raise DatasetError(
            f"expected a folder without a run, found {checkpoint}: "
            "go on with it (--resume), or choose another --out"
        )
    return checkpoint


def write_checkpoint(path: Path, identity: str, state: Mapping[str, object]) -> None:
    """Save a state so that an interruption leaves the old one or the new one.

    Args:
        path: the file.
        identity: the settings that a run cannot change half-way, as JSON.
        state: tensors and plain values.
    """
    with replacing(path) as partial:
        torch.save({"run": identity, **state}, partial)


def read_checkpoint(path: Path, identity: str, device: str) -> dict[str, Any]:
    """The state of a run, to go on with it.

    Args:
        path: the file.
        identity: the settings of the run that goes on, as JSON.
        device: where its tensors are put.

    Raises:
        DatasetError: not a checkpoint, or one of a run with other settings.
    """
    try:
        state = torch.load(path, weights_only=True, map_location=device)
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DatasetError(f"expected a checkpoint, {path} cannot be read: {reason}") from error
    if not isinstance(state, dict) or "run" not in state:
        raise DatasetError(f"expected a checkpoint of a training run, {path} is none")
    if state["run"] != identity:
        changes = "; ".join(_changes(json.loads(state["run"]), json.loads(identity)))
        raise DatasetError(f"expected a checkpoint of the same settings, in {path}: {changes}")
    return state


def trim_log(log: Path, stages: Sequence[str], step: int) -> None:
    """Forget what was logged after the checkpoint from which a run goes on.

    Args:
        log: lines of JSON with "stage" and "step"; need not exist.
        stages: names up to the stage that goes on; none for a new run.
        step: of the last of them.
    """
    if not log.is_file():
        return
    kept = []
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue  # the line that was being written when the run was stopped
        finished = record["stage"] in stages[:-1]
        if finished or (record["stage"] in stages[-1:] and record["step"] <= step):
            kept.append(line + "\n")
    with replacing(log) as partial:
        partial.write_text("".join(kept), encoding="utf-8")


def write_recipe(out: Path, network: str, settings: Mapping[str, object]) -> None:
    """Write down what a run is, so that it can be repeated.

    Args:
        out: folder of the run.
        network: its name.
        settings: of the run, without where its data lie.
    """
    # A seed gives the same weights within one version of torch only.
    document = {"network": network, "torch": torch.__version__, **settings}
    with replacing(out / RECIPE) as partial:
        partial.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _changes(old: object, new: object) -> list[str]:
    """What differs between the settings of a checkpoint and those of the run."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    return [
        f"{name} was {reprlib.repr(before.get(name))}, is {reprlib.repr(after.get(name))}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _leaves(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Each value inside nested settings, with its dotted name."""
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    else:
        yield name, value
        return
    for key, item in items:
        yield from _leaves(item, f"{name}.{key}" if name else str(key))
