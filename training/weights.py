"""Network weights as safetensors: tensors and a description, never code."""

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn


class WeightsError(Exception):
    """A weights file is missing, damaged, or belongs to another network."""


def save_weights(network: nn.Module, path: Path, description: Mapping[str, object]) -> None:
    """Write a network's weights; the file appears whole or not at all.

    Args:
        network: parameters and persistent buffers are written.
        path: the .safetensors file.
        description: what the weights are; kept as JSON inside the file.
    """
    tensors = {
        key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    try:
        save_file(
            tensors, partial, metadata={"description": json.dumps(description, sort_keys=True)}
        )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Tensors and description of a weights file.

    Raises:
        WeightsError: no such file, or not a safetensors file.
    """
    if not path.is_file():
        raise WeightsError(f"expected weights (.safetensors), found no file at {path}")
    try:
        with safe_open(path, framework="pt") as archive:
            description = json.loads((archive.metadata() or {}).get("description", "{}"))
            keys = archive.keys()
            return {key: archive.get_tensor(key) for key in keys}, description
    except (SafetensorError, ValueError) as error:
        raise WeightsError(
            f"expected weights (.safetensors), {path} is damaged: {error}"
        ) from error


def load_weights(network: nn.Module, path: Path) -> dict[str, object]:
    """Fill a network with the weights of a file.

    Returns:
        the description that was saved with them.

    Raises:
        WeightsError: no such file, a damaged one, or one of another network.
    """
    tensors, description = read_weights(path)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        message = f"expected the weights of {type(network).__name__}, got others in {path}: {error}"
        raise WeightsError(message) from error
    return description
