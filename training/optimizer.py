"""What turns gradients into steps: AdamW, or Muon for the matrices and AdamW for the rest."""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from training.recipes import StageConfig

MIN_SIDE: Final = 16  # rows and columns that a matrix has at least: a smaller one has no spectrum
_CHANNELS_LAST: Final = (0, 2, 3, 1)


class MuonWithAdamW:
    """Muon (Jordan et al., 2024, kellerjordan.github.io/posts/muon) for a convolutional network.

    A step of Muon has the singular vectors of the momentum, and all singular values alike: rare
    directions of a layer learn as fast as frequent ones. It is defined for matrices: kernels count
    as matrices of output channels by everything else. First and last layers, depthwise kernels,
    biases and normalisation have AdamW, as its authors advise. Rates are those of AdamW: Muon's
    steps are scaled to the same size.
    """

    def __init__(
        self, network: nn.Module, parameters: Sequence[nn.Parameter], stage: StageConfig
    ) -> None:
        """Divide the parameters.

        Args:
            network: whose kernels lie in memory channels last.
            parameters: of it, those that are trained.
            stage: rate and weight decay.

        Raises:
            ValueError: a kernel lies in memory in another order: its matrix would be a copy.
        """
        trained = {id(one) for one in parameters}
        matrices = [
            kernel
            for name, kernel in network.named_parameters()
            if id(kernel) in trained and is_hidden_matrix(name, kernel)
        ]
        chosen = {id(one) for one in matrices}
        self._kernels = matrices
        self._views = [nn.Parameter(as_matrix(kernel.detach())) for kernel in matrices]
        for kernel, view in zip(matrices, self._views, strict=True):
            if view.data_ptr() != kernel.data_ptr():
                raise ValueError(f"expected kernels channels last, got strides {kernel.stride()}")
        rest = [one for one in parameters if id(one) not in chosen]
        rate, decay = stage.learning_rate, stage.weight_decay
        self._parts: dict[str, torch.optim.Optimizer] = {}  # neither takes an empty list
        if rest:
            self._parts["adamw"] = torch.optim.AdamW(rest, lr=rate, weight_decay=decay)
        if matrices:
            self._parts["muon"] = torch.optim.Muon(
                self._views, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"
            )

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Those of both, for schedules."""
        return [group for part in self._parts.values() for group in part.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for part in self._parts.values():
            part.zero_grad(set_to_none)
        for kernel in self._kernels:
            kernel.grad = None

    def step(self) -> None:
        """Move all parameters."""
        for kernel, view in zip(self._kernels, self._views, strict=True):
            view.grad = None if kernel.grad is None else as_matrix(kernel.grad)
        for part in self._parts.values():
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {name: part.state_dict() for name, part in self._parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        for name, part in self._parts.items():
            part.load_state_dict(state[name])


Optimizer = torch.optim.Optimizer | MuonWithAdamW


def is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    """Whether a parameter is the kernel of a dense convolution behind the first layer."""
    if parameter.ndim != 4 or "stem" in name.split("."):
        return False
    return parameter.shape[1] > 1 and min(as_matrix(parameter).shape) >= MIN_SIDE


def as_matrix(kernel: Tensor) -> Tensor:
    """(O, I, H, W) -> (O, H * W * I): no copy where the kernel lies channels last."""
    return kernel.permute(_CHANNELS_LAST).reshape(kernel.shape[0], -1)


def make_optimizer(
    network: nn.Module, parameters: Sequence[nn.Parameter], stage: StageConfig
) -> Optimizer:
    """The optimiser of a stage.

    Args:
        network: what is trained.
        parameters: of it, those that move.
        stage: which optimiser, rate, weight decay.
    """
    if stage.optimizer == "muon":
        return MuonWithAdamW(network, parameters, stage)
    return torch.optim.AdamW(parameters, lr=stage.learning_rate, weight_decay=stage.weight_decay)
