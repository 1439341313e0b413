"""The networks that one training loop trains, by name, and variants of ATPN by configuration."""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, get_args

from torch import Tensor

from training.network.asmnet import AsmNet
from training.network.atpn import Atpn
from training.network.config import AtpnConfig
from training.network.mobilenetv2 import MobileNetV2

NetworkName = Literal["atpn", "asmnet", "mobilenetv2"]
FaceNetwork: TypeAlias = Atpn | AsmNet | MobileNetV2  # all give ``landmarks`` and ``pose``

NETWORK_NAMES: Final[tuple[NetworkName, ...]] = get_args(NetworkName)


def build_network(name: NetworkName, config: AtpnConfig | None = None) -> FaceNetwork:
    """A network with random weights.

    Args:
        name: which one.
        config: of ATPN, None for the usual one; the others have none.

    Raises:
        ValueError: a configuration for a network that has none.
    """
    if name == "atpn":
        return Atpn(config)
    if config is not None:
        raise ValueError(f"expected a configuration of atpn alone, got one for {name}")
    return AsmNet() if name == "asmnet" else MobileNetV2()


def describe_network(name: NetworkName, config: AtpnConfig | None = None) -> dict[str, object]:
    """What a weights file has to say for ``network_from_description``."""
    return {"network": name} if config is None else {"network": name, "config": config.to_json()}


def network_from_description(description: Mapping[str, object]) -> FaceNetwork:
    """The network, with random weights, that a weights file belongs to.

    Args:
        description: of the file, see ``training.weights``; one without "network" is of ATPN.

    Raises:
        ValueError: a network that is not one of these, or a configuration of another class.
    """
    wanted = description.get("network", "atpn")
    name = next((one for one in NETWORK_NAMES if one == wanted), None)
    if name is None:
        raise ValueError(f"expected a network out of {NETWORK_NAMES}, got {wanted!r}")
    config = description.get("config")
    return build_network(name, None if config is None else AtpnConfig.from_json(str(config)))


def start_from_shape(network: FaceNetwork, shape: Tensor) -> None:
    """Let the landmarks of a new network start from a mean shape, (1, 98, 2) crop units."""
    if isinstance(network, Atpn):
        network.alignment.mean_shape.copy_(shape)
    else:
        network.heads.start_from(shape)
