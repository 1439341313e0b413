import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.unit.training.fake_packs import write_pack
from training import ablations
from training.ablations import (
    ABLATIONS,
    FULL,
    Ablation,
    AblationOptions,
    PaperValue,
    format_table,
    main,
    pose_following,
    run_ablations,
    with_budget,
)
from training.data.sample import DatasetError
from training.landmark_pose import LandmarkModel
from training.losses import euler_angles
from training.network.atpn import Atpn, PlainResidual
from training.network.blocks import Multiview
from training.network.config import AtpnConfig
from training.network.macs import count_modules
from training.network.variants import network_from_description
from training.recipes import COMPACT, NO_HEATMAP, NO_LOW_LEVEL, OWN_FEATURES, RECIPES
from training.train import RunOptions, load_parts, train, weights_name
from training.weights import WeightsError, load_weights, read_weights, save_weights

IMAGE = torch.zeros(1, 3, 112, 112)
ALL = [one for group in ABLATIONS.values() for one in group]
VARIANTS = [one.recipe for one in ALL if one.recipe.architecture is not None]


# --- networks ---


def counts_of(recipe):
    counts = count_modules(Atpn(recipe.architecture), IMAGE)
    return counts["backbone"] + counts["alignment"], counts["total"]


@pytest.mark.parametrize("recipe", VARIANTS, ids=lambda recipe: recipe.name)
def test_a_variant_has_the_outputs_of_the_network_and_trains_all_of_itself(recipe):
    network = Atpn(recipe.architecture).train()
    output = network(torch.rand(2, 3, 112, 112) * 255)
    assert output.landmarks.shape == (2, 98, 2)
    assert output.pose.shape == (2, 3)
    assert output.presence.shape == (2, 1)
    (output.landmarks.sum() + output.pose.sum() + output.presence.log().sum()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [("no_low_level", 0.03, 0.13), ("no_multiview", 0.001, 0.0), ("no_coordconv", 0.006, 0.005)],
)
def test_what_is_left_out_of_the_alignment_branch_costs_about_the_same(name, parameters, macs):
    before, _ = counts_of(COMPACT)
    after, _ = counts_of(RECIPES[f"ablation_{name}"])
    assert after != before
    assert after.parameters == pytest.approx(before.parameters, rel=parameters)
    assert after.macs == pytest.approx(before.macs, rel=macs)


def test_own_features_cost_what_their_summary_says():
    _, shared = counts_of(COMPACT)
    _, own = counts_of(OWN_FEATURES)
    assert (own.macs - shared.macs) / 2 == pytest.approx(11e6, rel=0.03)


def test_a_plain_residual_has_the_weights_of_a_multiview_block():
    def weights(block):
        return sum(p.numel() for p in block.parameters() if p.ndim == 4)

    assert weights(PlainResidual(32)) == weights(Multiview(32))


def test_the_pose_depends_on_shared_features_and_on_the_landmarks():
    image = torch.rand(1, 3, 112, 112) * 255

    def pose_changes(config, part):
        torch.manual_seed(0)
        network = Atpn(config).eval()
        with torch.no_grad():
            before = network(image).pose
            for parameter in part(network):
                parameter.add_(0.5)
            return not torch.equal(before, network(image).pose)

    def stem(network):
        return network.backbone.stem.parameters()

    def shape(network):
        return [network.alignment.mean_shape]

    neither = AtpnConfig(share_features=False, heatmap=False)
    assert pose_changes(AtpnConfig(), stem)
    assert pose_changes(AtpnConfig(), shape)
    assert not pose_changes(AtpnConfig(heatmap=False), shape)
    assert not pose_changes(neither, stem)
    assert pose_changes(AtpnConfig(share_features=False), shape)


def test_the_shipped_weights_fit_the_usual_network():
    weights = Path(__file__).parents[3] / "models" / "atpn.safetensors"
    network = Atpn()
    load_weights(network, weights)
    assert list(read_weights(weights)[0]) == sorted(network.state_dict())


def test_a_configuration_goes_through_json():
    config = AtpnConfig(heatmap=False, reduced=96)
    assert AtpnConfig.from_json(config.to_json()) == config
    with pytest.raises(ValueError, match="configuration"):
        AtpnConfig.from_json('{"no_such_width": 1}')


# --- recipes ---


def test_all_ablations_have_one_budget_and_differ_from_the_full_network():
    for ablation in ALL:
        for stage, full in zip(ablation.recipe.stages, COMPACT.stages, strict=False):
            assert (stage.name, stage.crops) == (full.name, full.crops)
            assert stage.batch == full.batch or ablation.recipe.name == "ablation_adamw"
        assert ablation.recipe.faces == COMPACT.faces
        same_name = replace(ablation.recipe, name=FULL.recipe.name, stages=FULL.recipe.stages)
        assert (same_name != FULL.recipe) or ablation.recipe.stages[0] != FULL.recipe.stages[0]
    names = [ablation.recipe.name for ablation in ALL]
    assert len(set(names)) == len(names)
    assert all(RECIPES[name].name == name for name in names)


def test_a_budget_keeps_the_proportion_of_the_stages():
    assert [s.crops for s in with_budget(COMPACT, 640_000).stages] == [640_000, 200_000]
    assert with_budget(COMPACT, COMPACT.stages[0].crops) == COMPACT
    with pytest.raises(DatasetError, match="heads"):
        with_budget(COMPACT, 64)


# --- runs ---


def make_model():
    rng = np.random.default_rng(2)
    return LandmarkModel(
        rng.uniform(-0.5, 0.5, (98, 3)), rng.normal(0, 0.05, (2, 98, 3)), np.ones(2)
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packs")
    for name in COMPACT.faces:
        write_pack(folder / name, 4, faces=True, held_out=2)
    write_pack(folder / COMPACT.backgrounds, 3, faces=False, held_out=2)
    write_pack(folder / COMPACT.hard_negatives, 3, faces=False, held_out=2)
    model = make_model()
    np.savez(folder / "landmark_model.npz", mean=model.mean, basis=model.basis, std=model.std)
    return folder


def tiny(recipe):
    stages = tuple(replace(stage, crops=8, batch=4) for stage in recipe.stages)
    return replace(recipe, stages=stages)


def options(data, out, **changes):
    return RunOptions(data, out, workers=0, threads=1, **changes)


@pytest.fixture(scope="module")
def full(data, tmp_path_factory):
    return train(tiny(FULL.recipe), options(data, tmp_path_factory.mktemp("full")))


PARTS = ("backbone", "alignment")


def test_heads_on_a_trained_backbone_end_as_in_the_whole_run(data, full, tmp_path):
    again = options(data, tmp_path, init=full, init_parts=PARTS, start_at="heads")
    after = train(tiny(FULL.recipe), again)
    one, two = read_weights(full)[0], read_weights(after)[0]
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_a_variant_keeps_its_name_and_configuration(data, full, tmp_path):
    again = options(data, tmp_path, init=full, init_parts=PARTS, start_at="heads")
    weights = train(tiny(OWN_FEATURES), again)
    assert weights.name == "ablation_own_features.safetensors"  # no export takes it for ATPN
    network = network_from_description(read_weights(weights)[1])
    assert network.config == OWN_FEATURES.architecture
    load_weights(network, weights)
    before, after = read_weights(full)[0], read_weights(weights)[0]
    kept = [key for key in before if key.startswith(PARTS)]
    assert kept
    assert all(torch.equal(before[key], after[key]) for key in kept)
    assert weights_name(COMPACT) == "atpn.safetensors"


def test_parts_of_another_network_are_refused(full, tmp_path):
    with pytest.raises(WeightsError, match="'alignment'"):
        load_parts(Atpn(NO_LOW_LEVEL.architecture), full, PARTS)
    with pytest.raises(WeightsError, match="'eyes'"):
        load_parts(Atpn(), full, ("eyes",))
    save_weights(torch.nn.Linear(1, 1), tmp_path / "w.safetensors", {})
    with pytest.raises(WeightsError, match="'backbone'"):
        load_parts(Atpn(), tmp_path / "w.safetensors", PARTS)


def test_a_run_starts_at_one_of_its_stages(data, tmp_path):
    with pytest.raises(DatasetError, match="out of \\['alignment', 'heads'\\], got 'pose'"):
        train(tiny(FULL.recipe), options(data, tmp_path, start_at="pose"))


@pytest.fixture
def small(monkeypatch):
    """One variant per table, a few crops each."""
    chosen = {
        "landmarks": (Ablation(tiny(NO_LOW_LEVEL), "no low level"),),
        "heads": (Ablation(tiny(NO_HEATMAP), "no heatmap", PaperValue(1.5, "deg", "Table 8")),),
        "recipe": (),
    }
    monkeypatch.setattr(ablations, "ABLATIONS", chosen)
    monkeypatch.setattr(ablations, "FULL", replace(FULL, recipe=tiny(FULL.recipe)))


def test_all_variants_are_trained_measured_and_tabled_once(data, small, tmp_path, monkeypatch):
    chosen = AblationOptions(data, tmp_path, crops=8, workers=0, threads=1)
    table = run_ablations(chosen)
    text = table.read_text()
    assert text.count("the full network") == 3
    assert "1.5 deg" in text
    document = json.loads((tmp_path / "ablations.json").read_text())
    whole, no_heatmap = document["heads"]["rows"]
    assert whole["paper"] is None
    assert no_heatmap["paper"] == {"value": 1.5, "unit": "deg", "source": "Table 8"}
    assert no_heatmap["measures"]["nme_faces_helen"] == whole["measures"]["nme_faces_helen"]
    assert {"average_precision", "follows_yaw_backgrounds"} < whole["measures"].keys()
    for key in ("yaw_mae_deg", "pitch_mae_deg", "roll_mae_deg"):
        assert no_heatmap["measures"][key] != whole["measures"][key]
    assert "yaw_mae_deg" not in document["landmarks"]["rows"][1]["measures"]
    assert not list(tmp_path.rglob("*.partial"))

    def train_again(*_):
        raise AssertionError("expected no further training")

    monkeypatch.setattr(ablations, "train", train_again)
    run_ablations(chosen)
    assert table.read_text() == text


def test_another_budget_in_the_same_folder_is_refused(data, small, tmp_path, capsys):
    chosen = AblationOptions(data, tmp_path, crops=8, only=("ablation_full",), workers=0, threads=1)
    run_ablations(chosen)
    arguments = ["--data", str(data), "--out", str(tmp_path), "--crops", "16", "--threads", "1"]
    assert main([*arguments, "--only", "ablation_full"]) == 2
    assert "crops was 8, is 16" in capsys.readouterr().err


def test_unknown_variants_and_missing_packs_are_one_line_and_status_2(data, tmp_path, capsys):
    arguments = ["--data", str(data), "--out", str(tmp_path)]
    assert main([*arguments, "--only", "ablation_none"]) == 2
    assert "ablation_no_heatmap" in capsys.readouterr().err
    assert main(["--data", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


# --- tables and the experiment on backgrounds ---


def test_what_is_not_known_is_a_dash():
    counts = {"parameters": 1_058_388, "macs": 61_485_152}
    row = {
        "label": "full",
        "changes": "nothing",
        "alignment_counts": counts,
        "total_counts": counts,
        "measures": {"nme_faces_helen": 5.004},
        "paper": None,
    }
    lines = format_table("landmarks", [row]).splitlines()
    assert lines[-1] == "| full | nothing | 1,058,388 | 61.5 | 5.00 | - | - | - |"
    assert lines[2].count("|") == lines[-1].count("|") == lines[3].count("|")


def test_poses_that_follow_the_landmarks_correlate_with_them():
    model = make_model()
    rng = np.random.default_rng(0)
    landmarks = rng.uniform(0.2, 0.8, (12, 98, 2)).astype(np.float32)
    fitted = euler_angles(torch.from_numpy(ablations.fit_pose(landmarks, model).rotation)).numpy()
    following = pose_following(landmarks, 0.5 * fitted + 0.1, model)
    assert list(following.values()) == pytest.approx([1.0, 1.0, 1.0])
    against = pose_following(landmarks, fitted * (-1.0, 1.0, 0.0), model)
    assert list(against.values()) == pytest.approx([-1.0, 1.0, 0.0])
