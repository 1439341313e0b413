"""Counts of a network: parameters and multiply-accumulates (MACs), per module.

A MAC is one multiplication with its addition; papers that write FLOPs often count MACs. Counted
are convolutions, transposed convolutions and linear layers, as the literature does; pointwise
operations are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Counts:
    """Parameters and MACs of a module."""

    parameters: int
    macs: int

    def __add__(self, other: "Counts") -> "Counts":
        """Sum of both."""
        return Counts(self.parameters + other.parameters, self.macs + other.macs)


def _layer_macs(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    if isinstance(layer, nn.ConvTranspose2d):
        kernel = layer.kernel_size[0] * layer.kernel_size[1]
        return inputs[0].numel() * layer.out_channels // layer.groups * kernel
    if isinstance(layer, nn.Conv2d):
        kernel = layer.kernel_size[0] * layer.kernel_size[1]
        return output.numel() * layer.in_channels // layer.groups * kernel
    if isinstance(layer, nn.Linear):
        return output.numel() * layer.in_features
    return 0


def count_modules(network: nn.Module, image: Tensor) -> Mapping[str, Counts]:
    """Counts of each direct child of a network and their sum.

    Args:
        network: called once with ``image``, in evaluation mode.
        image: an input with a batch of 1.

    Returns:
        child name -> counts; the key "total" holds the sum.
    """
    macs = dict.fromkeys((name for name, _ in network.named_children()), 0)
    handles = []
    for child_name, child in network.named_children():
        for layer in child.modules():

            def hook(
                module: nn.Module,
                inputs: tuple[Tensor, ...],
                output: Tensor,
                name: str = child_name,
            ) -> None:
                macs[name] += _layer_macs(module, inputs, output)

            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                handles.append(layer.register_forward_hook(hook))
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            network(image)
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    counts = {
        name: Counts(sum(p.numel() for p in child.parameters()), macs[name])
        for name, child in network.named_children()
    }
    counts["total"] = sum(counts.values(), Counts(0, 0))
    return counts
