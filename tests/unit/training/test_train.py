import json
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from atpn_mobile.config import TrackerConfig
from tests.unit.training.fake_packs import write_pack
from training import __main__ as command
from training.__main__ import main
from training.asm import fit_shape_space
from training.checkpoint import LOG, RECIPE
from training.data.packs import read_pack
from training.data.sample import DatasetError
from training.network.atpn import Atpn
from training.network.variants import network_from_description
from training.recipes import ASMNET, COMPACT, LONG, MOBILENETV2, PAPER, RECIPES
from training.schedule import learning_rate_factor
from training.train import (
    Averager,
    CropBatch,
    LandmarkObjective,
    RunOptions,
    StageRun,
    batches,
    load_training_data,
    set_trainable,
    shortened,
    stage_loss,
    train,
    weights_name,
)
from training.weights import WeightsError, load_weights, read_weights, save_weights


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packs")
    for name in COMPACT.faces:
        write_pack(folder / name, 4, faces=True, held_out=2)
    write_pack(folder / COMPACT.backgrounds, 3, faces=False, held_out=2)
    write_pack(folder / COMPACT.hard_negatives, 3, faces=False, held_out=2)
    return folder


def tiny(recipe, steps=2):
    stages = tuple(replace(stage, crops=4 * steps, batch=4) for stage in recipe.stages)
    return replace(recipe, stages=stages)


def options(data, out, **changes):
    plain = RunOptions(data, out, workers=0, threads=1, checkpoint_every=1, validate_every=2)
    return replace(plain, **changes)


def same(one, two):
    first, second = read_weights(one)[0], read_weights(two)[0]
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_a_run_leaves_weights_log_and_curve_and_repeats(data, tmp_path):
    one = train(tiny(COMPACT), options(data, tmp_path / "one"))
    two = train(tiny(COMPACT), options(data, tmp_path / "two"))
    assert same(one, two)
    other = train(replace(tiny(COMPACT), seed=9), options(data, tmp_path / "other"))
    assert not same(one, other)
    records = [json.loads(line) for line in (tmp_path / "one" / LOG).read_text().splitlines()]
    assert [record["stage"] for record in records] == ["alignment", "heads"]
    assert records[0]["nme_faces_helen"] > 0
    assert cv2.imread(str(tmp_path / "one" / "curve.png")) is not None
    assert read_weights(one)[1]["recipe"] == "compact"
    assert one == tmp_path / "one" / "atpn.safetensors"  # what the export looks for


def test_a_run_keeps_its_recipe(data, tmp_path):
    recipe = tiny(COMPACT)
    train(recipe, options(data, tmp_path))
    written = json.loads((tmp_path / RECIPE).read_text())
    assert written["recipe"]["stages"][1]["name"] == "heads"
    assert written["recipe"]["stages"][0]["data"]["augment"]["flip"] == 0.5
    assert written["recipe"]["faces"] == dict(COMPACT.faces)
    assert written["recipe"]["seed"] == recipe.seed
    assert str(data) not in (tmp_path / RECIPE).read_text()


def test_two_recipes_differ_in_identity_but_not_by_their_summary():
    assert replace(COMPACT, summary="").identity == COMPACT.identity
    for other in (PAPER, replace(COMPACT, seed=2), shortened(COMPACT, {"heads": 640})):
        assert other.identity != COMPACT.identity


class InterruptionError(Exception):
    pass


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    return train(tiny(COMPACT, 3), options(data, tmp_path_factory.mktemp("whole")))


@pytest.mark.parametrize("stage", ["alignment", "heads"])
def test_a_resumed_run_ends_as_if_it_had_not_stopped(data, whole, tmp_path, monkeypatch, stage):
    train_on = StageRun.train_on

    def stop_at_the_third(run, batch):
        if run.step == 2 and run.stage.name == stage:
            raise InterruptionError
        return train_on(run, batch)

    monkeypatch.setattr(StageRun, "train_on", stop_at_the_third)
    often = {"checkpoint_every": 1, "validate_every": 1}
    with pytest.raises(InterruptionError):
        train(tiny(COMPACT, 3), options(data, tmp_path / "cut", **often))
    monkeypatch.undo()
    log = tmp_path / "cut" / LOG
    later = json.loads(log.read_text().splitlines()[-1]) | {"step": 3}
    log.write_text(log.read_text() + json.dumps(later) + "\n")  # logged, but not saved
    again = options(data, tmp_path / "cut", resume=True, **often)
    assert same(whole, train(tiny(COMPACT, 3), again))
    records = [json.loads(line) for line in log.read_text().splitlines()]
    steps = [(record["stage"], record["step"]) for record in records]
    assert steps == [(name, step) for name in ("alignment", "heads") for step in (1, 2, 3)]


def test_a_resumed_run_of_asmnet_ends_as_if_it_had_not_stopped(data, tmp_path, monkeypatch):
    often = {"checkpoint_every": 1, "validate_every": 3}
    weights = train(tiny(ASMNET, 3), options(data, tmp_path / "whole", **often))
    assert weights.name == "asmnet.safetensors"
    network = network_from_description(read_weights(weights)[1])
    load_weights(network, weights)
    records = [json.loads(line) for line in (tmp_path / "whole" / LOG).read_text().splitlines()]
    assert [record["stage"] for record in records] == ["small", "joint"]
    record = records[-1]
    assert record["nme_faces_helen"] > 0
    assert record["pose_faces_helen"] > 0
    train_on = StageRun.train_on

    def stop_at_the_third(run, batch):
        if run.step == 2:
            raise InterruptionError
        return train_on(run, batch)

    monkeypatch.setattr(StageRun, "train_on", stop_at_the_third)
    with pytest.raises(InterruptionError):
        train(tiny(ASMNET, 3), options(data, tmp_path / "cut", **often))
    monkeypatch.undo()
    again = train(tiny(ASMNET, 3), options(data, tmp_path / "cut", resume=True, **often))
    assert same(weights, again)


def test_crops_have_the_size_that_the_network_takes(data):
    for recipe, size in ((COMPACT, 112), (ASMNET, 224), (MOBILENETV2, 224)):
        network = network_from_description({"network": recipe.network})
        assert network.input_size == size
        held_out = load_training_data(recipe, data, network.input_size).validation
        assert held_out["faces_helen"][0].image.shape == (size, size, 3)


@pytest.mark.parametrize(("place", "size"), [(0, 112), (1, 224)])
def test_a_stage_may_take_smaller_crops(data, tmp_path, place, size):
    recipe = tiny(ASMNET)
    network = network_from_description({"network": "asmnet"})
    run = StageRun(network, recipe.stages[place], "cpu")
    loaded = load_training_data(recipe, data, network.input_size)
    batch = next(iter(batches(loaded, run, 1, options(data, tmp_path))))
    assert batch.image.shape[1:] == (size, size, 3)


class Remembering:
    """A loss of landmarks that keeps what it was asked for."""

    def __init__(self, stage):
        self.stage, self.progress = stage, []

    def __call__(self, predicted, batch, progress):
        self.progress.append(progress)
        return predicted.sum() * 0.0


def make_batch(size, count=2):
    turned = torch.tensor([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    return CropBatch(
        torch.zeros(count, size, size, 3, dtype=torch.uint8),
        torch.full((count, 98, 2), 0.5),
        torch.ones(count, 98),
        torch.stack([torch.eye(3), turned]),
        torch.tensor([1.0, 0.0]),
        torch.ones(count, dtype=torch.int64),
    )


def test_asmnet_learns_landmarks_and_the_known_poses_together():
    network = network_from_description({"network": "asmnet"})
    torch.nn.init.zeros_(network.heads.pose.weight)
    torch.nn.init.constant_(network.heads.pose.bias, math.atanh(0.25))  # of pi, each angle
    objective = Remembering(ASMNET.stages[0])
    loss = stage_loss(network, make_batch(224), objective, 0.4)
    assert loss.item() == pytest.approx(0.25**2, rel=1e-5)  # the second pose is unknown
    assert objective.progress == [0.4]


def test_each_loss_of_landmarks_is_another(data):
    shapes = torch.full((2, 98, 2), 0.5) + torch.linspace(0, 0.3, 98)[None, :, None]
    predicted = shapes + 0.05 * torch.sin(torch.arange(392.0)).reshape(2, 98, 2)
    batch = make_batch(112)._replace(landmarks=shapes)
    space = fit_shape_space(np.random.default_rng(0).normal(0.5, 0.1, (9, 98, 2)))
    values = [
        LandmarkObjective(replace(COMPACT.stages[0], landmark_loss=name), space)(
            predicted, batch, 0.0
        ).item()
        for name in ("distance", "smooth_l1", "wing", "squared", "asm")
    ]
    assert len({round(value, 6) for value in values}) == 5
    assert min(values) > 0
    with pytest.raises(ValueError, match="shape space"):
        LandmarkObjective(ASMNET.stages[0], None)(predicted, batch, 0.0)


def test_label_weights_can_be_left_out(tmp_path, data):
    folder = tmp_path
    for pack in data.iterdir():
        with np.load(pack) as arrays:
            known = dict(arrays)
        if "points98" in known:
            known["spread"] = np.full(known["points98"].shape[:2], 0.03, np.float32)
        np.savez(folder / pack.name, **known)
    weighted = load_training_data(COMPACT, folder, 112)
    equal = load_training_data(replace(COMPACT, spread_tolerance=None), folder, 112)
    assert weighted.sources[0].faces[0].point_weight.mean() == pytest.approx(0.5)
    assert equal.sources[0].faces[0].point_weight.mean() == 1.0


def test_a_run_of_other_settings_is_not_resumed(data, tmp_path):
    train(tiny(COMPACT), options(data, tmp_path))
    with pytest.raises(DatasetError, match="seed was 1, is 2"):
        train(replace(tiny(COMPACT), seed=2), options(data, tmp_path, resume=True))
    with pytest.raises(DatasetError, match="another --out"):
        train(tiny(COMPACT), options(data, tmp_path))


def test_resume_without_a_checkpoint_is_an_error(data, tmp_path):
    with pytest.raises(DatasetError, match="checkpoint"):
        train(tiny(COMPACT), options(data, tmp_path, resume=True))


def test_the_heads_leave_backbone_and_alignment_alone(data, tmp_path):
    weights = train(tiny(COMPACT), options(data, tmp_path / "first"))
    init = RunOptions(data, tmp_path / "second", workers=0, threads=1, init=weights)
    heads = replace(tiny(COMPACT), stages=tiny(COMPACT).stages[1:], seed=5)
    before, after = read_weights(weights)[0], read_weights(train(heads, init))[0]
    changed = {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])}
    assert changed == {"tracking", "pose"}


def test_the_papers_stages_train_one_branch_each():
    network = Atpn()
    for stage in PAPER.stages:
        set_trainable(network, stage.branches)
        trained = {name for name, child in network.named_children() if child.training}
        expected = {"backbone", "alignment"} if stage.name == "alignment" else {stage.name}
        assert trained == expected


@pytest.mark.parametrize("recipe", [ASMNET, MOBILENETV2])
def test_the_other_networks_train_as_a_whole(recipe):
    network = network_from_description({"network": recipe.network})
    trained = set_trainable(network, recipe.stages[0].branches)
    assert len(trained) == len(list(network.parameters()))
    assert network.heads.training


def test_long_stays_at_a_high_rate_before_it_comes_down():
    high, cool, settle, polish, heads = LONG.stages
    assert [stage.schedule for stage in LONG.stages] == ["constant", *["cosine"] * 4]
    assert high.learning_rate == cool.learning_rate > polish.learning_rate
    assert high.crops > cool.crops > polish.crops > settle.crops
    assert polish.data.augment.shift < settle.data.augment.shift
    assert [stage.fixed_statistics for stage in LONG.stages] == [False, False, True, True, False]
    assert {stage.data.pose_balance for stage in LONG.stages} == {0.5}
    assert [s.optimizer for s in LONG.stages] == ["muon"] * 5
    assert heads.branches == COMPACT.stages[1].branches
    assert LONG.faces.keys() == COMPACT.faces.keys()
    assert weights_name(LONG) == "atpn.safetensors"


def test_fixed_statistics_stay_while_the_weights_change():
    torch.manual_seed(0)
    network = Atpn()
    stage = replace(LONG.stages[2], crops=64, batch=2)
    run = StageRun(network, stage, "cpu")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    run.train_on(make_batch(112))
    run.train_on(make_batch(112))
    changed = {
        name for name, value in network.state_dict().items() if (value != before[name]).any()
    }
    assert not any("running" in name for name in changed)
    assert "backbone.stem.norm.weight" in changed
    assert "alignment.residual.weight" in changed


def test_the_papers_recipe_keeps_ten_negatives_per_positive():
    assert PAPER.stages[1].data.negatives == pytest.approx(10 / 11)
    assert all(stage.batch == 128 for stage in PAPER.stages)
    assert all(stage.learning_rate == 0.001 for stage in PAPER.stages)


def test_average_moves_towards_the_network():
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    average = Averager(network, 0.9)
    torch.nn.init.ones_(network.weight)
    values = []
    for _ in range(200):
        average.update(network)
        values.append(average.network.weight.item())
    assert values == sorted(values)
    assert values[-1] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("schedule", ["cosine", "steps"])
def test_learning_rate_ends_lower_than_it_peaks(schedule):
    factors = [learning_rate_factor(schedule, i / 1000) for i in range(1001)]
    assert max(factors) == pytest.approx(1.0, abs=1e-3)
    assert factors[-1] <= 0.01
    assert min(factors) > 0


def test_a_constant_rate_warms_up_and_stays():
    factors = [learning_rate_factor("constant", i / 1000) for i in range(1001)]
    assert factors[0] == pytest.approx(0.01)
    assert factors[:41] == sorted(factors[:41])
    assert set(factors[40:]) == {1.0}


def test_fused_kernels_are_of_the_cpu(data, tmp_path, monkeypatch):
    monkeypatch.setattr("training.train.require_device", lambda name: None)
    elsewhere = options(data, tmp_path / "run", fused=True, device="cuda")
    with pytest.raises(DatasetError, match="expected the device cpu for fused kernels, got 'cuda'"):
        train(tiny(COMPACT), elsewhere)
    assert not (tmp_path / "run").exists()


def test_stage_lengths_can_be_changed():
    recipe = shortened(COMPACT, {"heads": 640}, seed=4)
    assert [stage.crops for stage in recipe.stages] == [COMPACT.stages[0].crops, 640]
    assert recipe.seed == 4


@pytest.mark.parametrize("crops", [{"pose": 640}, {"heads": 127}])
def test_impossible_stage_lengths_are_refused(crops):
    with pytest.raises(DatasetError, match=r"alignment \(batch 128\), heads \(batch 128\); got"):
        shortened(COMPACT, crops)


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(torch.nn.Linear(2, 2), path, {})
    with pytest.raises(WeightsError, match="Atpn"):
        load_weights(Atpn(), path)
    path.write_bytes(b"not safetensors")
    with pytest.raises(WeightsError, match="damaged"):
        read_weights(path)
    with pytest.raises(WeightsError, match="no file"):
        read_weights(tmp_path / "missing.safetensors")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["weights.safetensors"]


def test_evaluate_command_measures_packs(data, tmp_path, capsys):
    weights = tmp_path / "weights.safetensors"
    save_weights(Atpn(), weights, {"network": "atpn"})
    command = ["evaluate", "--weights", str(weights), "--data", str(data), "--json", "-"]
    assert main(command) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["landmarks faces_helen"]["faces"] == 2
    assert report["landmarks faces_helen"]["nme_98_percent"] > 0
    assert 0 <= report["presence"]["average_precision"] <= 1
    assert report["presence"]["gate"] == TrackerConfig().presence_threshold
    dataset = ["--dataset", f"pack:{data / 'faces_ytf.npz'}:val"]
    assert main(["evaluate", "--weights", str(weights), *dataset]) == 0
    assert "nme_98_percent" in capsys.readouterr().out


TRAIN = ["train", "--recipe", "compact", "--out", "{out}", "--data"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "--weights", "nowhere.safetensors", "--data", "."], "no file"),
        ([*TRAIN, "nowhere"], "no file"),
        ([*TRAIN, "nowhere", "--device", "cuda:99"], "expected a device"),
        ([*TRAIN, "nowhere", "--crops", "pose=640"], "alignment (batch 128)"),
        ([*TRAIN, "nowhere", "--resume"], "checkpoint"),
        (["evaluate", "--weights", "{out}/none", "--data", "."], "no file"),
    ],
)
def test_unusable_input_is_one_line_and_status_2(arguments, message, tmp_path, capsys):
    assert main([a.format(out=tmp_path) for a in arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def raising(error):
    def fail(*_):
        raise error

    return fail


def test_a_system_error_is_one_line_and_status_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "train", raising(OSError(28, "No space left on device", "out")))
    assert main([a.format(out=tmp_path) for a in [*TRAIN, "packs"]]) == 2
    assert capsys.readouterr().err == "error: [Errno 28] No space left on device: 'out'\n"


def test_a_stopped_run_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "train", raising(KeyboardInterrupt))
    assert main([a.format(out=tmp_path) for a in [*TRAIN, "packs"]]) == 130
    assert capsys.readouterr().err == "stopped; --resume goes on from the last checkpoint\n"


@pytest.mark.parametrize(
    ("recipe", "present", "absent"),
    [
        ([], ["--crops", "--init", "--recipe detector --help"], ["--steps"]),
        (["--recipe", "paper"], ["--crops"], ["--steps"]),
        (["--recipe", "detector"], ["--steps"], ["--crops", "--init"]),
    ],
)
def test_help_of_train_needs_no_recipe(recipe, present, absent, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["train", *recipe, "--help"])
    assert caught.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert all(text in shown for text in present)
    assert not any(text in shown for text in absent)


def test_training_needs_a_recipe(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["train", "--data", "packs", "--out", "run"])
    assert caught.value.code == 2
    assert "--recipe" in capsys.readouterr().err


def test_recipes_are_listed(capsys):
    assert main(["recipes"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in RECIPES)


def test_counts_are_printed_per_branch(capsys):
    assert main(["counts"]) == 0
    printed = capsys.readouterr().out
    lines = {line.split()[0]: line.split()[1:] for line in printed.splitlines()}
    parameters, macs = (int(value.replace(",", "")) for value in lines["tracking"])
    assert parameters == sum(p.numel() for p in Atpn().tracking.parameters())
    assert 0.016e9 < macs < 0.018e9


def test_packs_of_the_fixture_are_readable(data):
    assert len(read_pack(data / "faces_helen.npz", "train")) == 2
