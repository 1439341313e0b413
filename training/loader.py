"""How batches are prepared beside the network: worker processes and their devices."""

import multiprocessing
from collections.abc import Iterator
from typing import TypeVar

import torch
from torch.utils.data import DataLoader, Dataset, Subset

from training.data.crops import limit_worker_threads
from training.data.sample import DatasetError

Example = TypeVar("Example")


def require_device(name: str) -> None:
    """Check that tensors can be put on a device.

    Args:
        name: as torch names it, "cpu" or "cuda".

    Raises:
        DatasetError: this machine has no such device.
    """
    try:
        torch.empty(1, device=name)
    # torch raises AssertionError where it was built without CUDA
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise DatasetError(
            f"expected a device of this machine, such as cpu, got {name!r}: {reason}"
        ) from error


def iterate_batches(
    dataset: Dataset[Example], steps: range, *, batch: int, workers: int, device: str
) -> Iterator[Example]:
    """Batches of consecutive examples: the same ones with any number of workers.

    Args:
        dataset: example ``i`` depends on ``i`` alone.
        steps: numbers of the batches; batch ``n`` begins with example ``n * batch``.
        batch: examples in each.
        workers: processes that prepare them; 0 for none but this one.
        device: where the batches will go.

    Returns:
        batches as the dataset's examples, with tensors that have a leading dimension.
    """
    # Forked workers share the decoded pictures; spawned ones would each get a copy.
    can_fork = workers > 0 and "fork" in multiprocessing.get_all_start_methods()
    loader: DataLoader[Example] = DataLoader(
        Subset(dataset, range(steps.start * batch, steps.stop * batch)),
        batch_size=batch,
        num_workers=workers,
        worker_init_fn=limit_worker_threads,
        prefetch_factor=4 if workers else None,
        multiprocessing_context="fork" if can_fork else None,
        pin_memory=torch.device(device).type == "cuda",
    )
    return iter(loader)
