"""The table of networks, and which weights each of them takes."""

from pathlib import Path

import pytest
import torch

from converters.models import ASMNET, ATPN, DETECTOR, MOBILENETV2, MODELS, Reference, load_reference
from training.network.asmnet import AsmNet
from training.network.macs import count_modules
from training.network.mobilenetv2 import MobileNetV2
from training.weights import WeightsError, save_weights


def test_the_product_and_what_it_is_compared_with() -> None:
    assert list(MODELS.values()) == [ATPN, DETECTOR, ASMNET, MOBILENETV2]
    assert [name for name, model in MODELS.items() if model.is_baseline] == [
        "asmnet",
        "mobilenetv2",
    ]


@pytest.mark.parametrize(("model", "kind"), [(ASMNET, AsmNet), (MOBILENETV2, MobileNetV2)])
def test_a_baseline_is_described_as_it_is(model, kind) -> None:
    network = model.build({}).eval()
    assert type(network) is kind
    outputs = network(torch.zeros(model.input.shape))
    assert [(o.name, o.shape) for o in model.outputs] == [
        (name, tuple(value.shape)) for name, value in outputs._asdict().items()
    ]
    counts = Reference(model, network, "0" * 64).counts()
    assert counts == count_modules(kind(), torch.zeros(1, 3, 224, 224))["total"]


def test_weights_know_their_network(tmp_path: Path) -> None:
    path = tmp_path / ASMNET.weights_name
    network = AsmNet()
    save_weights(network, path, {"network": "asmnet", "recipe": "asmnet"})
    reference = load_reference(ASMNET, path)
    assert isinstance(reference.network, AsmNet)
    for other in (ATPN, MOBILENETV2):
        message = f"expected the weights of {other.name} .* the file says 'asmnet'"
        with pytest.raises(WeightsError, match=message):
            load_reference(other, path)
    # a plain state dict says nothing, and fits or does not
    torch.save(network.state_dict(), tmp_path / "own.pt")
    assert isinstance(load_reference(ASMNET, tmp_path / "own.pt").network, AsmNet)
    with pytest.raises(WeightsError, match="expected the weights of MobileNetV2"):
        load_reference(MOBILENETV2, tmp_path / "own.pt")
