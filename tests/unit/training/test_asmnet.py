import pytest
import torch

from training.network.asmnet import POOLED, AsmNet
from training.network.macs import count_modules
from training.network.mobilenetv2 import BLOCKS, Bottleneck, BottleneckConfig, Heads, MobileNetV2
from training.network.variants import (
    NETWORK_NAMES,
    build_network,
    describe_network,
    network_from_description,
    start_from_shape,
)

IMAGE = torch.zeros(1, 3, 224, 224)


@pytest.fixture(scope="module", params=[AsmNet, MobileNetV2])
def network(request):
    torch.manual_seed(0)
    return request.param().eval()


def test_asmnet_counts_are_the_published_ones():
    counts = count_modules(AsmNet(), IMAGE)["total"]
    assert counts.parameters == pytest.approx(1.43e6, rel=0.02)
    assert counts.macs == pytest.approx(0.257e9, rel=0.02)


def test_mobilenetv2_counts_are_the_published_ones():
    counts = count_modules(MobileNetV2(), IMAGE)
    # 2.42 M lies between 68 landmarks (2.40 M) and 98 (2.48 M); each has two rows of the last layer
    fewer = 30 * 2 * (1280 + 1)
    assert counts["total"].parameters - fewer < 2.42e6 < counts["total"].parameters
    assert counts["total"].macs == pytest.approx(0.30e9, rel=0.02)
    trunk = counts["trunk"] + counts["last"]
    assert (
        trunk.parameters == 2_223_872
    )  # of the network of Sandler et al., its classifier left out


def test_asmnet_averages_the_blocks_of_the_paper():
    assert POOLED == (1, 3, 6, 10, 13, 15)
    assert [BLOCKS[index].out for index in POOLED] == [24, 32, 64, 96, 160, 160]
    network = AsmNet().eval()
    with torch.no_grad():
        sizes = [features.shape[2] for features in network.trunk(IMAGE)]
    assert sizes == [56, 28, 14, 14, 7, 7]
    assert len(network.trunk.blocks) == 16  # block 0 to 15


def test_output_shapes_and_ranges(network):
    with torch.no_grad():
        output = network(torch.randint(0, 256, (2, 3, 224, 224)).float())
    assert output._fields == ("landmarks", "pose")
    assert output.landmarks.shape == (2, 98, 2)
    assert output.pose.shape == (2, 3)
    assert output.pose.abs().max() < torch.pi


def test_every_parameter_gets_a_gradient(network):
    output = network(torch.rand(2, 3, 224, 224) * 255)
    network.zero_grad()
    (output.landmarks.sum() + output.pose.sum()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_every_averaged_block_reaches_the_landmarks():
    heads = Heads(6)
    maps = [torch.rand(1, 2, 8, 8), torch.rand(1, 3, 4, 4), torch.rand(1, 1, 2, 2)]
    averages = torch.cat([x.mean(dim=(2, 3)) for x in maps], dim=1)
    expected = heads.landmarks(averages).reshape(1, 98, 2)
    torch.testing.assert_close(heads(maps).landmarks, expected)


def test_shortcut_only_where_the_shape_stays():
    assert Bottleneck(16, BottleneckConfig(6, 16)).shortcut
    assert not Bottleneck(16, BottleneckConfig(6, 24)).shortcut
    assert not Bottleneck(16, BottleneckConfig(6, 16, stride=2)).shortcut


def test_activations_are_cut_at_six():
    block = Bottleneck(1, BottleneckConfig(1, 1, stride=2)).eval()
    depthwise, project = block.layers
    torch.nn.init.ones_(depthwise.conv.weight)
    torch.nn.init.ones_(project.conv.weight)
    with torch.no_grad():
        y = block(torch.full((1, 1, 4, 4), 100.0))
    assert y.max().item() == pytest.approx(6.0, rel=1e-4)


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_landmarks_start_from_a_shape(name):
    network = build_network(name).eval()
    shape = torch.rand(1, 98, 2)
    start_from_shape(network, shape)
    last = network.alignment.residual if name == "atpn" else network.heads.landmarks
    torch.nn.init.zeros_(last.weight)
    if name == "atpn":
        torch.nn.init.zeros_(last.bias)
    with torch.no_grad():
        landmarks = network(torch.zeros(1, 3, network.input_size, network.input_size)).landmarks
    torch.testing.assert_close(landmarks, shape)


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_a_description_leads_back_to_the_network(name):
    network = network_from_description({**describe_network(name), "recipe": "any"})
    assert type(network) is type(build_network(name))


@pytest.mark.parametrize("description", [{"network": "detector"}, {"config": "{"}])
def test_another_description_is_refused(description):
    with pytest.raises(ValueError, match="expected"):
        network_from_description(description)


def test_only_atpn_has_a_configuration():
    with pytest.raises(ValueError, match="asmnet"):
        network_from_description({"network": "asmnet", "config": "{}"})
