import itertools

import numpy as np
import pytest
import torch

from training.network.atpn import Atpn
from training.network.blocks import AddCoordinates, ConvBnAct, InvertedResidual, Multiview
from training.network.config import BlockConfig
from training.network.heatmap import LandmarkHeatmap
from training.network.macs import count_modules


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Atpn().eval()


def test_counts_are_the_papers(network):
    counts = count_modules(network, torch.zeros(1, 3, 112, 112))
    alignment = counts["backbone"] + counts["alignment"]
    tracking = counts["tracking"]
    assert alignment.parameters == pytest.approx(1.1e6, rel=0.05)
    assert alignment.macs == pytest.approx(0.06e9, rel=0.05)
    assert tracking.parameters == pytest.approx(0.19e6, rel=0.05)
    assert tracking.macs == pytest.approx(0.017e9, rel=0.05)


def test_counts_of_known_layers():
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1, bias=False),  # 10 x 10 x 3 x 8 x 9
        torch.nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),  # 10 x 10 x 8 x 9
        torch.nn.ConvTranspose2d(8, 4, 2, 2, bias=False),  # every input pixel: 8 x 4 x 4
        torch.nn.Flatten(),
        torch.nn.Linear(1600, 5),
    )
    counts = count_modules(layers, torch.zeros(1, 3, 10, 10))
    macs = [counts[str(index)].macs for index in range(5)]
    assert macs == [21600, 7200, 12800, 0, 8000]
    assert counts["total"].macs == sum(macs)
    assert counts["total"].parameters == 216 + 72 + 128 + 8005


def test_counting_leaves_the_network_as_it_was():
    layers = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1)).train()
    count_modules(layers, torch.zeros(1, 1, 2, 2))
    assert layers.training
    assert not layers[0]._forward_hooks


def test_output_shapes_and_ranges(network):
    with torch.no_grad():
        output = network(torch.randint(0, 256, (3, 3, 112, 112)).float())
    assert output.landmarks.shape == (3, 98, 2)
    assert output.pose.shape == (3, 3)
    assert output.presence.shape == (3, 1)
    assert output.pose.abs().max() < np.pi
    assert output.presence.min() >= 0
    assert output.presence.max() <= 1


def test_align_is_the_same_as_the_whole_network(network):
    image = torch.rand(2, 3, 112, 112) * 255
    with torch.no_grad():
        assert torch.equal(network.align(image), network(image).landmarks)


def test_every_parameter_gets_a_gradient():
    network = Atpn().train()
    output = network(torch.rand(2, 3, 112, 112) * 255)
    (output.landmarks.sum() + output.pose.sum() + output.presence.log().sum()).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None]
    assert without == []


def direct_heatmap(points, size):
    """The formula of the paper, written out."""
    heatmap = np.zeros((size, size))
    for y, x in itertools.product(range(size), range(size)):
        distance = min(np.hypot(x - px, y - py) for px, py in points)
        heatmap[y, x] = max(0.5, 1.0 / np.sqrt(1.0 + distance))
    return heatmap


@pytest.mark.parametrize(
    "spread",
    [
        (0.0, 1.0),  # all over the crop
        (0.4, 0.6),  # crowded: most cells at the floor
        (-0.5, 1.5),  # many outside
        (2.0, 3.0),  # all far outside: the floor everywhere
    ],
)
def test_heatmap_equals_the_formula(spread):
    rng = np.random.default_rng(1)
    landmarks = rng.uniform(*spread, (2, 98, 2)).astype(np.float32)
    drawn = LandmarkHeatmap(28)(torch.from_numpy(landmarks)).numpy()
    assert drawn.shape == (2, 1, 28, 28)
    for row, points in zip(drawn, landmarks, strict=True):
        expected = direct_heatmap(points.astype(np.float64) * 28 - 0.5, 28)
        np.testing.assert_allclose(row[0], expected, atol=2e-5)


def test_heatmap_is_one_at_a_landmark_and_x_runs_right():
    landmarks = torch.full((1, 98, 2), 0.0)
    landmarks[..., 0], landmarks[..., 1] = (20 + 0.5) / 28, (5 + 0.5) / 28
    heatmap = LandmarkHeatmap(28)(landmarks)[0, 0]
    assert heatmap[5, 20] == pytest.approx(1.0)
    assert heatmap.argmax().item() == 5 * 28 + 20


def test_the_heads_see_the_features_where_the_landmarks_are(network):
    shallow = torch.rand(1, network.config.stage28[-1].out, 28, 28)
    landmarks = torch.full((1, 98, 2), (20 + 0.5) / 28)
    attended = network.attend(shallow, landmarks)
    assert torch.allclose(attended[..., 20, 20], shallow[..., 20, 20])
    assert torch.allclose(attended[..., 0, 0], 0.5 * shallow[..., 0, 0])


@pytest.mark.parametrize(("kernel", "size"), [(3, 28), (5, 28), (4, 28), (3, 14)])
def test_strided_convolutions_pad_below_and_right(kernel, size):
    """The first window of a strided 3x3 starts at the first pixel, as TFLite's SAME does."""
    stride = 4 if kernel == 4 else 2
    block = ConvBnAct(1, 1, kernel, stride, activation=None).eval()
    torch.nn.init.ones_(block.conv.weight)
    image = torch.arange(size * size, dtype=torch.float32).reshape(1, 1, size, size)
    total = kernel - stride
    before = total // 2
    padded = np.pad(image[0, 0].numpy(), (before, total - before))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel))
    expected = windows[::stride, ::stride].sum(axis=(2, 3))
    with torch.no_grad():
        actual = block(image)[0, 0].numpy() * np.sqrt(1.0 + block.norm.eps)
    assert actual.shape == (size // stride, size // stride)
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


def test_shortcut_only_where_the_shape_stays():
    assert InvertedResidual(16, BlockConfig(3, 32, 16)).shortcut
    assert not InvertedResidual(16, BlockConfig(3, 32, 24)).shortcut
    assert not InvertedResidual(16, BlockConfig(3, 32, 16, stride=2)).shortcut


def test_multiview_is_a_residual():
    block = Multiview(8).eval()
    for convolution in (block.first, block.second, block.third):
        torch.nn.init.zeros_(convolution.conv.weight)
    image = torch.rand(1, 8, 7, 7)
    with torch.no_grad():
        assert torch.equal(block(image), image)


def test_coordinates_run_right_and_down():
    planes = AddCoordinates(3)(torch.zeros(2, 1, 3, 3))[1]
    assert planes[1, 0].tolist() == [-1, 0, 1]
    assert planes[2, :, 0].tolist() == [-1, 0, 1]
