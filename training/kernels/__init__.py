"""Training on CPUs in bfloat16: fused kernels, compiled where they run."""

from training.kernels.accelerate import accelerate
from training.kernels.library import KernelError

__all__ = ["KernelError", "accelerate"]
