"""The kernels as functions that torch differentiates.

Maps are (N, C, H, W) tensors of bfloat16 that lie channels last, C a multiple of 16.
"""

from typing import Any

import torch
from torch import Tensor

from training.kernels.library import load_kernels


def channels_last(x: Tensor) -> Tensor:
    """A map as the kernels take it."""
    return x.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)


def _empty_map(shape: tuple[int, ...]) -> Tensor:
    count, channels, height, width = shape
    return torch.empty((count, height, width, channels), dtype=torch.bfloat16).permute(0, 3, 1, 2)


def _pixels(x: Tensor) -> int:
    return x.shape[0] * x.shape[2] * x.shape[3]


def batch_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (C,) of the channels of a map."""
    x = channels_last(x.detach())
    channels = x.shape[1]
    mean, variance = torch.empty(channels), torch.empty(channels)
    load_kernels().statistics(
        x.data_ptr(), _pixels(x), channels, mean.data_ptr(), variance.data_ptr()
    )
    return mean, variance


class NormaliseActivate(torch.autograd.Function):
    """Batch normalisation and activation."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch gives it no type
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        epsilon: float,
        activation: int,
        fixed: bool,
    ) -> Tensor:
        """Of a map, with the statistics (C,); fixed: they are not those of the map."""
        x = channels_last(x)
        inverse_deviation = torch.rsqrt(variance + epsilon)
        scale = weight * inverse_deviation
        shift = bias - mean * scale
        out = _empty_map(x.shape)
        load_kernels().normalise_forwards(
            *(x.data_ptr(), out.data_ptr(), _pixels(x), x.shape[1]),
            *(scale.data_ptr(), shift.data_ptr(), activation),
        )
        ctx.save_for_backward(x, scale, shift, mean, inverse_deviation)
        ctx.activation, ctx.fixed = activation, fixed
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Gradients of map, weight and bias."""
        x, scale, shift, mean, inverse_deviation = ctx.saved_tensors
        gradient = channels_last(gradients[0])
        out = _empty_map(x.shape)
        of_weight, of_bias = torch.empty_like(scale), torch.empty_like(scale)
        load_kernels().normalise_backwards(
            *(x.data_ptr(), gradient.data_ptr(), out.data_ptr(), _pixels(x), x.shape[1]),
            *(scale.data_ptr(), shift.data_ptr(), mean.data_ptr(), inverse_deviation.data_ptr()),
            *(ctx.activation, int(ctx.fixed), of_weight.data_ptr(), of_bias.data_ptr()),
        )
        return out, of_weight, of_bias, None, None, None, None, None


class Depthwise(torch.autograd.Function):
    """Depthwise convolution with a window of 3 or 5 and a stride of 1 or 2."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, before: int, stride: int) -> Tensor:  # noqa: ANN401
        """Of a map, with the kernel (C, 1, K, K) and zeros before the first row and column."""
        x = channels_last(x)
        count, channels, height, width = x.shape
        window = kernel.shape[-1]
        size = -(-height // stride), -(-width // stride)
        taps = kernel.detach().reshape(channels, window, window).permute(1, 2, 0).contiguous()
        out = _empty_map((count, channels, *size))
        ctx.geometry = (count, height, width, channels, *size, before, window, stride)
        load_kernels().depthwise_forwards(
            x.data_ptr(), taps.data_ptr(), out.data_ptr(), *ctx.geometry
        )
        ctx.save_for_backward(x, taps)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Gradients of map and kernel."""
        x, taps = ctx.saved_tensors
        gradient = channels_last(gradients[0])
        out, of_taps = _empty_map(x.shape), torch.zeros_like(taps)
        load_kernels().depthwise_backwards(
            *(x.data_ptr(), taps.data_ptr(), gradient.data_ptr()),
            *(out.data_ptr(), of_taps.data_ptr(), *ctx.geometry),
        )
        channels, window = x.shape[1], taps.shape[0]
        of_kernel = of_taps.permute(2, 0, 1).reshape(channels, 1, window, window)
        return out, of_kernel, None, None
