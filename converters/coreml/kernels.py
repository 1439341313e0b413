"""What each MIL operation computes, in float32.

A function takes the operation's parameters by name, tensors as such and everything else as Python
has it; a parameter that it does not take is an error, so that none is overlooked.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor


def _sides(pad_type: str, pad: Sequence[int]) -> tuple[int, int, int, int]:
    """Top, bottom, left, right."""
    if pad_type == "valid":
        return 0, 0, 0, 0
    if pad_type != "custom":
        raise ValueError(f"expected pad_type 'valid' or 'custom', got {pad_type!r}")
    top, bottom, left, right = pad
    return top, bottom, left, right


def _conv(
    x: Tensor,
    weight: Tensor,
    strides: list[int],
    pad_type: str,
    pad: list[int],
    dilations: list[int],
    groups: int,
    bias: Tensor | None = None,
) -> Tensor:
    top, bottom, left, right = _sides(pad_type, pad)
    padded = F.pad(x, (left, right, top, bottom))
    return F.conv2d(padded, weight, bias, strides, 0, dilations, groups)


def _conv_transpose(
    x: Tensor,
    weight: Tensor,
    strides: list[int],
    pad_type: str,
    pad: list[int],
    dilations: list[int],
    groups: int,
    bias: Tensor | None = None,
    output_shape: list[int] | None = None,
) -> Tensor:
    top, bottom, left, right = _sides(pad_type, pad)
    y = F.conv_transpose2d(x, weight, bias, strides, 0, 0, groups, dilations)
    y = y[:, :, top : y.shape[2] - bottom, left : y.shape[3] - right]
    if output_shape is not None and list(y.shape) != output_shape:
        raise ValueError(f"expected the shape {output_shape}, got {list(y.shape)}")
    return y


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.linear(x, weight, bias)


def _sigmoid_hard(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return (alpha * x + beta).clamp(0.0, 1.0)


def _clip(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return x.clamp(alpha.item(), beta.item())


def _mean(x: Tensor, axes: list[int], keep_dims: bool) -> Tensor:
    return x.mean(axes, keepdim=keep_dims)


def _smallest(x: Tensor, axes: list[int], keep_dims: bool) -> Tensor:
    return x.amin(axes, keepdim=keep_dims)


def _concat(values: list[Tensor], axis: int, interleave: bool = False) -> Tensor:
    if interleave:
        raise ValueError("expected no interleaving")
    return torch.cat(values, axis)


def _expand_dims(x: Tensor, axes: list[int]) -> Tensor:
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _slice_by_index(
    x: Tensor,
    begin: list[int],
    end: list[int],
    stride: list[int] | None = None,
    begin_mask: list[bool] | None = None,
    end_mask: list[bool] | None = None,
    squeeze_mask: list[bool] | None = None,
) -> Tensor:
    none = [False] * x.ndim
    if any(squeeze_mask or none):
        raise ValueError("expected slices that keep their axis")
    slices = zip(
        begin,
        end,
        stride or [1] * x.ndim,
        begin_mask or none,
        end_mask or none,
        strict=True,
    )
    return x[
        tuple(
            slice(None if from_start else first, None if to_end else last, step)
            for first, last, step, from_start, to_end in slices
        )
    ]


def _upsample_nearest(
    x: Tensor, scale_factor_height: int | Tensor, scale_factor_width: int | Tensor
) -> Tensor:
    height, width = int(scale_factor_height), int(scale_factor_width)
    return x.repeat_interleave(height, 2).repeat_interleave(width, 3)


def _cast(x: Tensor, dtype: str) -> Tensor:
    if dtype not in ("fp16", "fp32"):
        raise ValueError(f"expected fp16 or fp32, got {dtype!r}")
    return x  # rounded to the type that the program declares, as every result


KERNELS: Final[Mapping[str, Callable[..., Tensor]]] = MappingProxyType(
    {
        "add": lambda x, y: x + y,
        "cast": _cast,
        "clip": _clip,
        "concat": _concat,
        "conv": _conv,
        "conv_transpose": _conv_transpose,
        "exp": lambda x: x.exp(),
        "expand_dims": _expand_dims,
        "linear": _linear,
        "maximum": lambda x, y: torch.maximum(x, y),
        "minimum": lambda x, y: torch.minimum(x, y),
        "mul": lambda x, y: x * y,
        "real_div": lambda x, y: x / y,
        "reduce_mean": _mean,
        "reduce_min": _smallest,
        "relu": lambda x: x.relu(),
        "reshape": lambda x, shape: x.reshape(shape),
        "sigmoid": lambda x: x.sigmoid(),
        "sigmoid_hard": _sigmoid_hard,
        "slice_by_index": _slice_by_index,
        "softmax": lambda x, axis: x.softmax(axis),
        "sqrt": lambda x: x.sqrt(),
        "sub": lambda x, y: x - y,
        "tanh": lambda x: x.tanh(),
        "transpose": lambda x, perm: x.permute(perm),
        "upsample_nearest_neighbor": _upsample_nearest,
    }
)
