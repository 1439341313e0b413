"""A network that takes and gives what ATPN does, small enough to be exported in a moment."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
import torch
from torch import Tensor, nn

from converters.models import ATPN, Reference, load_reference
from training.network.blocks import ConvBnAct, SqueezeExcite
from training.weights import save_weights


class TinyAtpn(nn.Module):
    """Strided convolution with padding on one side, batch normalisation, squeeze-excite, heads."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvBnAct(3, 8, 3, 2, activation="hardswish")
        self.excite = SqueezeExcite(8)
        self.down = nn.Conv2d(8, 8, 8, 8)
        self.head = nn.Linear(8 * 7 * 7, 98 * 2 + 3 + 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.down(self.excite(self.stem(image * (1.0 / 127.5) - 1.0)))
        y = self.head(x.flatten(1))
        landmarks = y[:, :196].reshape(-1, 98, 2)
        return landmarks, torch.tanh(y[:, 196:199]), torch.sigmoid(y[:, 199:])


TINY = replace(ATPN, version="tiny", build=lambda description: TinyAtpn())


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """One crop has too little work for two threads, which would only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def weights_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights of the tiny network; not to be written to."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(1)
    network = TinyAtpn()
    nn.init.uniform_(network.stem.norm.running_mean, -0.5, 0.5)
    nn.init.uniform_(network.stem.norm.running_var, 0.5, 1.5)
    save_weights(network, folder / TINY.weights_name, {"network": "tiny"})
    return folder


@pytest.fixture(scope="session")
def _tiny(weights_dir: Path) -> Reference:
    return load_reference(TINY, weights_dir / TINY.weights_name)


@pytest.fixture
def tiny(_tiny: Reference) -> Reference:
    """The tiny network as a reference; a copy for each test."""
    return replace(_tiny, network=copy.deepcopy(_tiny.network))


@pytest.fixture
def only_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny network is the project's only one."""
    for module in ("models", "verify", "cli"):
        monkeypatch.setattr(f"converters.{module}.MODELS", MappingProxyType({"atpn": TINY}))
