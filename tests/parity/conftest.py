"""Networks with random weights that behave like trained ones, and their ONNX files."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from atpn_mobile.geometry import landmarks_to_crop, roi_from_landmarks
from atpn_mobile.types import FloatArray
from converters.models import ATPN, DETECTOR, Reference, ReferenceModel
from converters.parity import CROPS, ParityInput, parity_inputs
from converters.to_onnx import to_onnx
from training.data.packs import read_pack

SEED = 5


def untrained(model: ReferenceModel) -> nn.Module:
    """Random weights; batch normalisation with the statistics of pictures, then disturbed.

    With the statistics it is made with, a random network dies away to constants, and constants
    agree with anything.
    """
    torch.manual_seed(SEED)
    network = model.build({}).train()
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    pictures = parity_inputs(model.task, model.input)[::4]
    with torch.no_grad():
        network(torch.from_numpy(np.concatenate([one.tensor for one in pictures])))
        for norm in norms:
            norm.running_mean += 0.1 * norm.running_var.sqrt() * torch.randn(norm.num_features)
            norm.running_var *= torch.empty(norm.num_features).uniform_(0.8, 1.25)
            norm.weight.uniform_(0.7, 1.4)
            norm.bias.uniform_(-0.3, 0.3)
    return network.eval()


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """One crop has too little work for two threads, which would only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def mean_face() -> FloatArray:
    """(98, 2) mean landmarks of the parity crops, crop units; not to be written to."""
    points = [sample.points98 for sample in read_pack(CROPS)]
    return np.mean([landmarks_to_crop(p, roi_from_landmarks(p)) for p in points], axis=0)


@pytest.fixture(scope="session")
def atpn(mean_face: FloatArray) -> Reference:
    """The alignment network; not to be changed."""
    network = untrained(ATPN)
    with torch.no_grad():
        network.alignment.mean_shape.copy_(torch.from_numpy(mean_face)[None])
        network.alignment.residual.weight *= 0.03  # landmarks that stay on a face
        network.pose.out.weight *= 0.3  # angles that stay below the saturation of tanh
    return Reference(ATPN, network, "0" * 64)


@pytest.fixture(scope="session")
def detector() -> Reference:
    """The detector; not to be changed."""
    network = untrained(DETECTOR)
    for layer in (network.score, network.distances):  # at first almost constant, by design
        nn.init.normal_(layer.weight, std=0.03)
    return Reference(DETECTOR, network, "0" * 64)


@pytest.fixture(scope="session")
def atpn_onnx(atpn: Reference) -> bytes:
    """The alignment network's file."""
    return to_onnx(atpn.network, ATPN.spec)


@pytest.fixture(scope="session")
def detector_onnx(detector: Reference) -> bytes:
    """The detector's file."""
    return to_onnx(detector.network, DETECTOR.spec)


@pytest.fixture(scope="session")
def crops() -> tuple[ParityInput, ...]:
    """A part of the inputs, where the whole would only take longer."""
    return parity_inputs("alignment", ATPN.input)[::8]
