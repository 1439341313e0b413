"""Weights files are read without running code, and said to be what they are not."""

from pathlib import Path

import pytest
import torch
from torch import nn

from training.weights import WeightsError, load_weights, read_weights, save_weights


def network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def changed(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1.0)
    return module


def test_safetensors_come_back_with_their_description(tmp_path: Path) -> None:
    save_weights(network(), tmp_path / "a.safetensors", {"recipe": "short"})
    other = changed(network())
    assert load_weights(other, tmp_path / "a.safetensors") == {"recipe": "short"}
    assert same(other, network())


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin"])
@pytest.mark.parametrize(
    "wrap",
    [
        dict,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state},
        lambda state: {f"module.{key}": value for key, value in state.items()},
    ],
    ids=["alone", "state_dict", "model", "data parallel"],
)
def test_state_dicts_are_read(tmp_path: Path, suffix: str, wrap) -> None:
    path = tmp_path / f"own{suffix}"
    torch.save(wrap(network().state_dict()), path)
    other = changed(network())
    assert load_weights(other, path) == {}
    assert same(other, network())


class Trap:
    """Pickles as a call: reading it must not make the call."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return (Path.touch, (self.place,))


def test_a_state_dict_runs_no_code(tmp_path: Path) -> None:
    path = tmp_path / "trap.pt"
    torch.save({"weight": Trap(tmp_path / "sprung")}, path)
    with pytest.raises(WeightsError, match="cannot be read"):
        read_weights(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("value", [[1, 2], {"weight": 1.0}, {1: torch.zeros(1)}, torch.zeros(1)])
def test_what_is_no_state_dict_is_refused(tmp_path: Path, value: object) -> None:
    torch.save(value, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="expected a PyTorch state dict of tensors"):
        read_weights(tmp_path / "a.pt")


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_damaged_and_missing_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match="found no file"):
        read_weights(tmp_path / name)
    (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(WeightsError, match="expected"):
        read_weights(tmp_path / name)


def test_weights_of_another_network(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="expected the weights of Sequential"):
        load_weights(network(), tmp_path / "a.pt")
