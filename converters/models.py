"""The project's networks as data, and as references that converted models are compared with."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
from torch import nn

from atpn_mobile.manifest import InputSpec, ModelSpec, OutputSpec, Task
from atpn_mobile.types import FloatArray
from converters.errors import RequestError
from training.network.macs import Counts, count_modules
from training.weights import WeightsError, load_weights, read_weights

LICENSE: Final = (
    "Code: Apache-2.0. Weights: research and non-commercial use only, because of the terms of the "
    "training data."
)
_TRAINING_DATA: Final = (
    "HELEN training photographs with 300-W annotations (iBUG: research, non-commercial); frames of "
    "YouTube Faces (research); photographs of faces from the press and the web with machine labels "
    "(collections under Apache-2.0 and MIT); heads rendered for this project from CC0 assets"
    "{negatives}; backgrounds from Urban100, CamVid, BSDS500 and a day/night collection"
)
TRAINING_DATA: Final = _TRAINING_DATA.format(negatives=", from behind as negatives")
FACE_TRAINING_DATA: Final = _TRAINING_DATA.format(negatives="")  # of networks without presence


@dataclass(frozen=True, slots=True)
class ReferenceModel:
    """What is known of a network before its weights are.

    Attributes:
        name: of the model; its weights are ``<name>.safetensors``, its files ``<name>_*``.
        task: what it is for.
        version: of the weights.
        input: what goes in.
        outputs: what comes out, in the order of the graph.
        landmark_scheme: "wflw98", or None for a model without landmarks.
        license: of the weights.
        training_data: what they were trained on.
        build: makes the network from the description that its weights file carries.
        is_baseline: whether it is there to be compared with and no part of the product: it is
            exported when it is asked for.
    """

    name: str
    task: Task
    version: str
    input: InputSpec
    outputs: tuple[OutputSpec, ...]
    landmark_scheme: str | None
    license: str
    training_data: str
    build: Callable[[Mapping[str, object]], nn.Module]
    is_baseline: bool = False

    @property
    def spec(self) -> ModelSpec:
        """What a backend has to know of it."""
        return ModelSpec(self.name, self.input, self.outputs)

    @property
    def weights_name(self) -> str:
        """File name of the weights."""
        return f"{self.name}.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A network with its weights; called like a backend of the runtime.

    Attributes:
        model: what it is.
        network: in evaluation mode; called with one tensor, gives a tuple of tensors.
        weights_sha256: of the weights file, hexadecimal.
    """

    model: ReferenceModel
    network: nn.Module
    weights_sha256: str

    @torch.inference_mode()
    def run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Run the network once.

        Args:
            inputs: float32 array by the name of the input; any batch.

        Returns:
            float32 arrays by output name.
        """
        values = self.network(torch.from_numpy(inputs[self.model.input.name]))
        names = [output.name for output in self.model.outputs]
        return {
            name: np.asarray(value.numpy(), dtype=np.float32)
            for name, value in zip(names, values, strict=True)
        }

    def counts(self) -> Counts:
        """Parameters and multiply-accumulates of one run."""
        return count_modules(self.network, torch.zeros(self.model.input.shape))["total"]


def _builder(name: str) -> Callable[[Mapping[str, object]], nn.Module]:
    """What makes a network that gives landmarks; a state dict, which says nothing, is its own."""

    def build(description: Mapping[str, object]) -> nn.Module:
        from training.network.variants import network_from_description

        found = description.get("network", name)
        if found != name:
            raise ValueError(f"expected the weights of {name!r}, the file says {found!r}")
        return network_from_description({**description, "network": name})

    return build


def _build_detector(description: Mapping[str, object]) -> nn.Module:
    from training.network.detector import Detector, DetectorConfig

    config = description.get("config")
    return Detector(None if config is None else DetectorConfig.from_json(str(config)))


ATPN: Final = ReferenceModel(
    name="atpn",
    task="alignment",
    version="0.1.0",
    input=InputSpec("image", (1, 3, 112, 112), "NCHW"),
    outputs=(
        OutputSpec("landmarks", (1, 98, 2), "x and y of each landmark, 0..1 of the crop"),
        OutputSpec(
            "pose",
            (1, 3),
            "yaw, pitch, roll in radians: yaw > 0 turns to the left edge of the image, pitch > 0 "
            "looks up, roll > 0 tilts clockwise",
        ),
        OutputSpec("presence", (1, 1), "probability that the crop shows a face"),
    ),
    landmark_scheme="wflw98",
    license=LICENSE,
    training_data=TRAINING_DATA,
    build=_builder("atpn"),
)

DETECTOR: Final = ReferenceModel(
    name="detector",
    task="detection",
    version="0.1.0",
    input=InputSpec("image", (1, 3, 256, 256), "NCHW"),
    outputs=(
        OutputSpec(
            "boxes",
            (1, 1024, 4),
            "left, top, right, bottom of a face's landmarks, 0..1 of the letterboxed input; one "
            "box per cell of a 32 x 32 grid, row by row",
        ),
        OutputSpec("scores", (1, 1024), "probability that a face is centred in the cell"),
    ),
    landmark_scheme=None,
    license=LICENSE,
    training_data=TRAINING_DATA,
    build=_build_detector,
)


def _baseline(name: str) -> ReferenceModel:
    """A network of ASMNet's paper: landmarks and pose from a crop of 224 x 224, no presence."""
    return replace(
        ATPN,
        name=name,
        input=InputSpec("image", (1, 3, 224, 224), "NCHW"),
        outputs=tuple(output for output in ATPN.outputs if output.name != "presence"),
        training_data=FACE_TRAINING_DATA,
        build=_builder(name),
        is_baseline=True,
    )


ASMNET: Final = _baseline("asmnet")
MOBILENETV2: Final = _baseline("mobilenetv2")

MODELS: Final = MappingProxyType(
    {model.name: model for model in (ATPN, DETECTOR, ASMNET, MOBILENETV2)}
)


def find_model(name: str) -> ReferenceModel:
    """The model of that name.

    Raises:
        RequestError: there is none.
    """
    if name not in MODELS:
        raise RequestError(f"expected a model out of {list(MODELS)}, got {name!r}")
    return MODELS[name]


def load_reference(model: ReferenceModel, path: Path) -> Reference:
    """Build a network and fill it with its weights.

    Args:
        model: which one.
        path: the weights, .safetensors or a PyTorch state dict.

    Raises:
        WeightsError: the weights are missing, damaged, or another network's.
    """
    _, description = read_weights(path)
    try:
        network = model.build(description)
    except ValueError as error:
        raise WeightsError(f"expected the weights of {model.name} in {path}: {error}") from error
    load_weights(network, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Reference(model, network.eval(), digest)
