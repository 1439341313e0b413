"""The fused kernels against torch in float32: results, gradients, statistics; whole networks."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from training.data.packs import read_pack
from training.kernels import KernelError, accelerate, library
from training.kernels.functions import Depthwise, NormaliseActivate, batch_statistics
from training.network.atpn import Atpn
from training.network.blocks import ConvBnAct
from training.network.mobilenetv2 import ConvBnRelu6
from training.weights import load_weights

ROOT = Path(__file__).resolve().parents[3]
CROPS = "converters/data/parity_crops.npz"

try:
    library.load_kernels()
    MISSING = ""
except KernelError as error:
    MISSING = str(error)
fused_only = pytest.mark.skipif(bool(MISSING), reason=MISSING)
ROUNDING = 2.0**-8  # of bfloat16, relative


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Numbers that bfloat16 holds exactly, channels last where they are maps."""
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    rounded = values.to(torch.bfloat16).float()
    return rounded.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else rounded


def assert_close(found: Tensor, wanted: Tensor, steps: float) -> None:
    """Within so many roundings of the largest value."""
    assert found.shape == wanted.shape
    largest = wanted.abs().max().item()
    assert (found.float() - wanted).abs().max().item() <= steps * ROUNDING * largest


@fused_only
@pytest.mark.parametrize("window", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(8, 8), (14, 6), (7, 7)])
def test_depthwise(window, stride, size):
    if stride == 2 and size == (7, 7):
        pytest.skip("blocks halve even sizes only")
    block = ConvBnAct(32, 32, window, stride, groups=32)
    x, kernel = noise(3, 32, *size), noise(32, 1, window, window, seed=1)
    plain_x, plain_kernel = x.clone().requires_grad_(), kernel.clone().requires_grad_()
    padded = nn.functional.pad(plain_x, block.pad)
    wanted = nn.functional.conv2d(padded, plain_kernel, None, stride, groups=32)
    fast_x, fast_kernel = x.clone().requires_grad_(), kernel.clone().requires_grad_()
    found = Depthwise.apply(fast_x, fast_kernel, block.pad[0], stride)
    assert_close(found, wanted.detach(), 1)
    gradient = noise(*wanted.shape, seed=2)
    wanted.backward(gradient)
    found.backward(gradient.to(torch.bfloat16))
    assert_close(fast_x.grad, plain_x.grad, 1)
    assert_close(fast_kernel.grad, plain_kernel.grad, 0.01)  # summed in float32


@fused_only
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize(
    ("activation", "function"),
    [
        (0, nn.Identity()),
        (1, nn.ReLU()),
        (2, nn.Hardswish()),
        (3, nn.ReLU6()),
    ],
)
def test_normalisation_with_activation(activation, function, fixed):
    x = 4.0 * noise(5, 48, 9, 11) + 3.0
    x = x.to(torch.bfloat16).float()
    weight, bias = noise(48, seed=1).abs() + 0.5, noise(48, seed=2)
    mean, variance = batch_statistics(x)
    assert torch.allclose(mean, x.mean((0, 2, 3)), atol=1e-4)
    assert torch.allclose(variance, x.var((0, 2, 3), correction=0), rtol=1e-4)
    if fixed:
        mean, variance = mean + 0.3, variance * 1.5

    def plain(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        scaled = nn.functional.batch_norm(
            x, mean.clone(), variance.clone(), weight, bias, not fixed, 0.0, 1e-5
        )
        result: Tensor = function(scaled)
        return result

    def fast(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        result: Tensor = NormaliseActivate.apply(
            x, weight, bias, mean, variance, 1e-5, activation, fixed
        )
        return result

    gradient = noise(5, 48, 9, 11, seed=3)
    results = []
    for way, kind in ((plain, torch.float32), (fast, torch.bfloat16)):
        inputs = [value.clone().requires_grad_() for value in (x, weight, bias)]
        out = way(*inputs)
        out.backward(gradient.to(kind))
        results.append([out.detach(), *[value.grad for value in inputs]])
    wanted, found = results
    assert_close(found[0], wanted[0], 1)
    assert_close(found[1], wanted[1], 2)
    assert_close(found[2], wanted[2], 0.05)
    assert_close(found[3], wanted[3], 0.05)


def cosine(a: Tensor, b: Tensor) -> float:
    return nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0).item()


@fused_only
def test_a_trained_network_learns_the_same_from_faces():
    plain = Atpn()
    load_weights(plain, ROOT / "models" / "atpn.safetensors")
    plain.train().to(memory_format=torch.channels_last)
    fast = copy.deepcopy(plain)
    accelerate(fast)
    crops = [sample.image.read() for sample in read_pack(ROOT / CROPS)][:32]
    image = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        target = plain.eval().align(image) + 0.02 * noise(32, 98, 2)
        plain.train()
    losses = []
    for network in (plain, fast):
        loss = (network.align(image) - target).square().mean()
        loss.backward()
        losses.append(loss.item())
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    of_plain = dict(plain.named_parameters())
    alike = [
        cosine(parameter.grad, of_plain[name].grad)
        for name, parameter in fast.named_parameters()
        if name.startswith(("backbone", "alignment")) and parameter.ndim > 1
    ]
    assert sorted(alike)[len(alike) // 2] > 0.97
    assert min(alike) > 0.8
    averages = dict(plain.named_buffers())
    for name, value in fast.named_buffers():
        if name.endswith("running_mean"):
            wanted = averages[name]
            assert torch.allclose(value, wanted, atol=0.02 * wanted.abs().max().item()), name


@fused_only
def test_without_gradients_nothing_changes():
    torch.manual_seed(0)
    plain = Atpn().eval()
    fast = copy.deepcopy(plain)
    accelerate(fast)
    image = 255.0 * torch.rand(2, 3, 112, 112)
    with torch.no_grad():
        for one, other in zip(plain(image), fast(image), strict=True):
            assert torch.equal(one, other)


@fused_only
def test_a_copy_computes_with_its_own_weights():
    network = nn.Sequential(ConvBnRelu6(3, 16, 3, 2))
    accelerate(network)
    copied = copy.deepcopy(network)
    torch.nn.init.zeros_(copied[0].norm.weight)
    torch.nn.init.zeros_(copied[0].norm.bias)
    x = torch.rand(2, 3, 8, 8)
    assert copied(x).abs().sum() == 0
    assert network(x).abs().sum() > 0


def test_a_machine_without_the_instructions_says_so(monkeypatch, tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("flags : sse2 avx2\n")
    monkeypatch.setattr(library, "CPU_INFO", info)
    with pytest.raises(KernelError, match="avx512_bf16"):
        library.load_kernels.__wrapped__()


def test_a_machine_without_a_compiler_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(library, "COMPILER", "no-such-compiler")
    with pytest.raises(KernelError, match="expected no-such-compiler to compile"):
        library.build(tmp_path)
    assert list(tmp_path.iterdir()) == []


@fused_only
def test_a_source_that_does_not_compile_leaves_nothing(monkeypatch, tmp_path):
    broken = tmp_path / "broken.cpp"
    broken.write_text("int main( {")
    monkeypatch.setattr(library, "SOURCE", broken)
    with pytest.raises(KernelError, match=r"expected g\+\+ to compile broken.cpp"):
        library.build(tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
