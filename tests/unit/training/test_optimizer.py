"""Muon moves the kernels as matrices, AdamW the rest; both go on from a state."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from training.network.blocks import ConvBnAct
from training.optimizer import MuonWithAdamW, as_matrix, is_hidden_matrix, make_optimizer
from training.recipes import StageConfig

STAGE = StageConfig(
    "alignment", ("alignment",), 640, learning_rate=0.01, weight_decay=0.0, optimizer="muon"
)


class Small(nn.Module):
    """A first layer, a dense kernel, a depthwise one, a thin one, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvBnAct(3, 16, 3, 2)
        self.dense = ConvBnAct(16, 32, 3)
        self.depthwise = ConvBnAct(32, 32, 3, groups=32)
        self.thin = ConvBnAct(32, 8)
        self.out = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.thin(self.depthwise(self.dense(self.stem(x))))
        z: Tensor = self.out(y.mean((2, 3)))
        return z


@pytest.fixture
def network() -> Small:
    torch.manual_seed(3)
    small = Small()
    small.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return small


def train(network: nn.Module, optimizer: object, steps: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        x = torch.rand(8, 3, 16, 16, generator=generator)
        loss = (network(x) - x.mean((2, 3))[:, :1]).square().mean()
        optimizer.zero_grad()  # type: ignore[attr-defined]
        loss.backward()
        optimizer.step()  # type: ignore[attr-defined]


def test_only_dense_kernels_behind_the_first_layer_are_matrices(network):
    found = {name for name, one in network.named_parameters() if is_hidden_matrix(name, one)}
    assert found == {"dense.conv.weight"}


def test_a_step_turns_the_gradient_into_equal_singular_values(network):
    before = network.dense.conv.weight.detach().clone()
    others = {
        name: one.detach().clone()
        for name, one in network.named_parameters()
        if name != "dense.conv.weight"
    }
    optimizer = make_optimizer(network, list(network.parameters()), STAGE)
    train(network, optimizer, 1, seed=1)
    step = as_matrix(network.dense.conv.weight.detach() - before)
    values = torch.linalg.svdvals(step) / (0.01 * 0.2 * max(step.shape) ** 0.5)
    # a few iterations of Newton and Schulz bring singular values near 1, not to it
    assert 0.5 < values.median() < 1.5
    assert values.max() < 1.5
    moved = {n for n, one in network.named_parameters() if n in others and one.ne(others[n]).any()}
    assert {"stem.conv.weight", "depthwise.conv.weight", "out.bias"} <= moved


def test_frozen_kernels_stay(network):
    network.dense.requires_grad_(False)
    before = network.dense.conv.weight.detach().clone()
    trained = [one for one in network.parameters() if one.requires_grad]
    train(network, make_optimizer(network, trained, STAGE), 2, seed=1)
    assert torch.equal(network.dense.conv.weight, before)


def test_it_goes_on_from_a_state(network):
    optimizer = make_optimizer(network, list(network.parameters()), STAGE)
    train(network, optimizer, 3, seed=1)
    weights = {k: v.clone() for k, v in network.state_dict().items()}
    state = copy.deepcopy(optimizer.state_dict())  # it holds the tensors themselves
    train(network, optimizer, 3, seed=2)

    again = Small()
    again.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    resumed = make_optimizer(again, list(again.parameters()), STAGE)
    again.load_state_dict(weights)
    resumed.load_state_dict(state)
    train(again, resumed, 3, seed=2)
    for name, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_rates_reach_both(network):
    optimizer = make_optimizer(network, list(network.parameters()), STAGE)
    assert len(optimizer.param_groups) == 2
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    before = {k: v.clone() for k, v in network.named_parameters()}
    train(network, optimizer, 1, seed=1)
    for name, value in network.named_parameters():
        assert torch.equal(value, before[name]), name


def test_kernels_in_another_order_are_refused():
    with pytest.raises(ValueError, match="expected kernels channels last, got strides"):
        MuonWithAdamW(network := Small(), list(network.parameters()), STAGE)


def test_adamw_is_the_default(network):
    stage = replace(STAGE, optimizer="adamw")
    optimizer = make_optimizer(network, list(network.parameters()), stage)
    assert isinstance(optimizer, torch.optim.AdamW)
