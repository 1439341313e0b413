"""Network weights as safetensors: tensors and a description, never code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from training.files import replacing

STATE_DICT_SUFFIXES: Final = (".pt", ".pth", ".bin")


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
    metadata = {"description": json.dumps(description, sort_keys=True)}
    with replacing(path) as partial:
        save_file(tensors, partial, metadata=metadata)


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Tensors and description of a weights file.

    Args:
        path: .safetensors, or a state dict that ``torch.save`` wrote (.pt, .pth, .bin): alone, or
            under "state_dict" or "model". It is read without running code of the file.

    Returns:
        The tensors by name, and the description; a state dict has none.

    Raises:
        WeightsError: no such file, or neither of the two.
    """
    if not path.is_file():
        raise WeightsError(f"expected weights (.safetensors), found no file at {path}")
    if path.suffix in STATE_DICT_SUFFIXES:
        return _read_state_dict(path), {}
    try:
        with safe_open(path, framework="pt") as archive:
            description = json.loads((archive.metadata() or {}).get("description", "{}"))
            keys = archive.keys()
            return {key: archive.get_tensor(key) for key in keys}, description
    except (SafetensorError, ValueError) as error:
        raise WeightsError(
            f"expected weights (.safetensors), {path} is damaged: {error}"
        ) from error


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    try:
        found: object = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and pickle raise errors of many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"expected a PyTorch state dict of tensors in {path}, it cannot be read: {reason}"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in found.items()
    ):
        raise WeightsError(
            f"expected a PyTorch state dict of tensors in {path}, got {type(found).__name__}"
        )
    # torch.nn.DataParallel puts the whole network under this name
    return {key.removeprefix("module."): value for key, value in found.items()}


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
