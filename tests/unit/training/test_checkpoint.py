"""The files of a run: what is resumed, what is kept of a log, what is refused."""

import json
import pickle

import pytest
import torch

from training.checkpoint import (
    CHECKPOINT,
    LOG,
    RECIPE,
    open_run,
    read_checkpoint,
    trim_log,
    write_checkpoint,
    write_recipe,
)
from training.data.sample import DatasetError

IDENTITY = json.dumps({"seed": 1, "stages": [{"name": "one", "crops": 8}]})


def test_a_state_comes_back(tmp_path):
    path = tmp_path / CHECKPOINT
    write_checkpoint(path, IDENTITY, {"step": 3, "weight": torch.arange(3.0)})
    state = read_checkpoint(path, IDENTITY, "cpu")
    assert state["step"] == 3
    assert torch.equal(state["weight"], torch.arange(3.0))
    assert [p.name for p in tmp_path.iterdir()] == [CHECKPOINT]


def test_other_settings_are_named(tmp_path):
    path = tmp_path / CHECKPOINT
    write_checkpoint(path, IDENTITY, {"step": 3})
    other = IDENTITY.replace("8", "16")
    with pytest.raises(DatasetError, match=r"same settings.*: stages\.0\.crops was 8, is 16$"):
        read_checkpoint(path, other, "cpu")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_a_damaged_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / CHECKPOINT
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="cannot be read") as caught:
        read_checkpoint(path, IDENTITY, "cpu")
    assert "\n" not in str(caught.value)


def test_a_cut_checkpoint_is_refused(tmp_path):
    path = tmp_path / CHECKPOINT
    write_checkpoint(path, IDENTITY, {"weight": torch.zeros(1000)})
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DatasetError, match="cannot be read"):
        read_checkpoint(path, IDENTITY, "cpu")


def test_a_file_of_torch_without_a_run_is_refused(tmp_path):
    path = tmp_path / CHECKPOINT
    torch.save({"step": 3}, path)
    with pytest.raises(DatasetError, match="training run"):
        read_checkpoint(path, IDENTITY, "cpu")


def test_a_write_that_fails_keeps_the_old_state(tmp_path):
    path = tmp_path / CHECKPOINT
    write_checkpoint(path, IDENTITY, {"step": 3})
    with pytest.raises((AttributeError, pickle.PicklingError)):
        write_checkpoint(path, IDENTITY, {"step": lambda: None})
    assert read_checkpoint(path, IDENTITY, "cpu")["step"] == 3
    assert [p.name for p in tmp_path.iterdir()] == [CHECKPOINT]


def test_a_run_is_neither_overwritten_nor_resumed_from_nothing(tmp_path):
    assert open_run(tmp_path, resume=False) == tmp_path / CHECKPOINT
    with pytest.raises(DatasetError, match="found none"):
        open_run(tmp_path, resume=True)
    write_checkpoint(tmp_path / CHECKPOINT, IDENTITY, {})
    assert open_run(tmp_path, resume=True) == tmp_path / CHECKPOINT
    with pytest.raises(DatasetError, match=r"--resume.*another --out"):
        open_run(tmp_path, resume=False)


@pytest.mark.parametrize(
    ("stages", "step", "kept"),
    [
        (["one"], 2, [("one", 2)]),
        (["one", "two"], 2, [("one", 2), ("one", 4), ("two", 2)]),
        (["one", "two"], 0, [("one", 2), ("one", 4)]),
        ([], 0, []),  # a new run
    ],
)
def test_what_was_logged_after_the_checkpoint_is_forgotten(tmp_path, stages, step, kept):
    log = tmp_path / LOG
    records = [("one", 2), ("one", 4), ("two", 2), ("two", 4)]
    lines = [json.dumps({"stage": stage, "step": at}) + "\n" for stage, at in records]
    log.write_text("".join(lines) + '{"stage": "tw')  # the last one was cut
    trim_log(log, stages, step)
    left = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(record["stage"], record["step"]) for record in left] == kept
    assert [p.name for p in tmp_path.iterdir()] == [LOG]


def test_a_missing_log_stays_missing(tmp_path):
    trim_log(tmp_path / LOG, ["one"], 2)
    assert not any(tmp_path.iterdir())


def test_a_recipe_says_network_and_version(tmp_path):
    write_recipe(tmp_path, "atpn", {"seed": 3})
    written = json.loads((tmp_path / RECIPE).read_text())
    assert written == {"network": "atpn", "torch": torch.__version__, "seed": 3}
