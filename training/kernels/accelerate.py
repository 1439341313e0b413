"""Swap the forward passes of a network's layers for those in bfloat16.

Weights, statistics and optimiser stay in float32; maps between layers are bfloat16. Passes without
gradients, validation among them, are left as they are: in float32.
"""

from collections.abc import Callable
from types import MethodType
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.kernels.functions import (
    Depthwise,
    NormaliseActivate,
    batch_statistics,
    channels_last,
)
from training.kernels.library import load_kernels
from training.network.blocks import AddCoordinates, ConvBnAct, SqueezeExcite
from training.network.mobilenetv2 import AlignmentOutput, Heads

LANES: Final = 16  # channels of a vector
GATHERED: Final = (7, 7)  # window of the depthwise convolutions that end a branch
ACTIVATIONS: Final = {nn.Identity: 0, nn.ReLU: 1, nn.Hardswish: 2, nn.ReLU6: 3}

Forward = Callable[..., Any]


def accelerate(network: nn.Module) -> None:
    """Let a network train in bfloat16 on the CPU.

    Args:
        network: built of the project's blocks; it is changed.

    Raises:
        KernelError: this machine cannot run the kernels.
    """
    load_kernels()
    for module in network.modules():
        found = _forward_of(module)
        if found is not None:
            plain = type(module).forward
            module.forward = MethodType(_while_training(plain, found), module)


def _forward_of(module: nn.Module) -> Forward | None:
    """The fast forward pass of a layer, if it has one."""
    forwards: dict[type[nn.Module], Forward] = {
        SqueezeExcite: _squeeze_excite,
        AddCoordinates: _add_coordinates,
        nn.ConvTranspose2d: _transposed,
        Heads: _average_heads,
    }
    if isinstance(module, ConvBnAct):
        return _conv_bn_act
    if isinstance(module, nn.Conv2d):
        return _gather if module.kernel_size == GATHERED else None
    return forwards.get(type(module))


def _while_training(plain: Forward, fast: Forward) -> Forward:
    def forward(self: nn.Module, *inputs: Any) -> Any:  # noqa: ANN401 - layers differ
        return (fast if torch.is_grad_enabled() else plain)(self, *inputs)

    return forward


def _conv_bn_act(self: ConvBnAct, x: Tensor) -> Tensor:
    conv, norm = self.conv, self.norm
    y = _convolve(self, channels_last(x))
    activation = ACTIVATIONS.get(type(self.act))
    channels = conv.out_channels
    if channels % LANES or activation is None:
        z: Tensor = self.act(norm(y.float()))
        return z.to(torch.bfloat16)
    statistics = (norm.running_mean, norm.running_var)
    if norm.training:
        statistics = batch_statistics(y)
        _update_averages(norm, *statistics, y.numel() // channels)
    fixed = not norm.training
    fused: Tensor = NormaliseActivate.apply(  # type: ignore[no-untyped-call]
        y, norm.weight, norm.bias, *statistics, norm.eps, activation, fixed
    )
    return fused


def _convolve(self: ConvBnAct, x: Tensor) -> Tensor:
    conv = self.conv
    window, stride = conv.kernel_size[0], conv.stride[0]
    is_depthwise = conv.groups == conv.in_channels > 1
    if is_depthwise and window in (3, 5) and stride in (1, 2) and conv.groups % LANES == 0:
        y: Tensor = Depthwise.apply(x, conv.weight, self.pad[0], stride)  # type: ignore[no-untyped-call]
        return y
    if self.needs_pad:
        x = functional.pad(x, self.pad)
    return functional.conv2d(
        x, conv.weight.to(x.dtype), None, conv.stride, conv.padding, conv.dilation, conv.groups
    )


@torch.no_grad()
def _update_averages(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int) -> None:
    """What ``BatchNorm2d`` remembers of a batch; its variance is the unbiased one."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    assert norm.momentum is not None
    norm.num_batches_tracked += 1
    norm.running_mean.lerp_(mean, norm.momentum)
    norm.running_var.lerp_(variance * (count / (count - 1)), norm.momentum)


def _squeeze_excite(self: SqueezeExcite, x: Tensor) -> Tensor:
    pooled = x.mean((2, 3), dtype=torch.float32)
    reduce, expand = self.reduce, self.expand
    hidden = functional.relu(functional.linear(pooled, reduce.weight.flatten(1), reduce.bias))
    scale = functional.linear(hidden, expand.weight.flatten(1), expand.bias)
    return x * functional.hardsigmoid(scale)[:, :, None, None].to(x.dtype)


def _add_coordinates(self: AddCoordinates, x: Tensor) -> Tensor:
    planes = self.planes.to(x.dtype).expand(x.shape[0], -1, -1, -1)
    return torch.cat([x, planes], dim=1)


def _transposed(self: nn.ConvTranspose2d, x: Tensor) -> Tensor:
    assert self.bias is not None
    return functional.conv_transpose2d(
        x, self.weight.to(x.dtype), self.bias.to(x.dtype), self.stride
    )


def _gather(self: nn.Conv2d, x: Tensor) -> Tensor:
    """A depthwise convolution over the whole map, in float32 from here on."""
    assert self.bias is not None
    y = (x.float() * self.weight[:, 0]).sum((2, 3)) + self.bias
    return y[:, :, None, None]


def _average_heads(self: Heads, features: list[Tensor]) -> AlignmentOutput:
    averages = [x.mean((2, 3), keepdim=True, dtype=torch.float32) for x in features]
    output: AlignmentOutput = Heads.forward(self, averages)
    return output
