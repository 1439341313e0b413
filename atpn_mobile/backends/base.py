"""What an inference engine has to offer, and the checks that all engines share."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from atpn_mobile.errors import ModelMismatchError
from atpn_mobile.manifest import Contents, ModelSpec
from atpn_mobile.types import FloatArray


class Backend(Protocol):
    """One network on one engine."""

    @property
    def name(self) -> str:
        """The engine: "onnx", ..."""
        ...

    @property
    def spec(self) -> ModelSpec:
        """The network's input and outputs."""
        ...

    def run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Run the network once.

        Args:
            inputs: float32 arrays by input name, of the shapes in ``spec``.

        Returns:
            float32 arrays by output name, of the shapes in ``spec``; the caller's to keep.

        Raises:
            ModelMismatchError: names or shapes are not those of ``spec``.
            AtpnError: the backend is closed.
        """
        ...

    def close(self) -> None:
        """Free the engine; a second call does nothing."""
        ...


def require_file(model: Contents, spec: ModelSpec, kind: str) -> bytes:
    """Check that a model is a single file.

    Args:
        model: what was read.
        spec: for the message.
        kind: what is expected, for the message: "an ONNX model".

    Raises:
        ModelMismatchError: it is a folder.
    """
    if not isinstance(model, bytes):
        raise ModelMismatchError(
            f"expected {kind} {spec.name!r} in one file, got a folder of {len(model)} files"
        )
    return model


def require_outputs(spec: ModelSpec, names: Sequence[str]) -> None:
    """Check that a network has the outputs a stage reads.

    Raises:
        ModelMismatchError: one is missing.
    """
    found = [output.name for output in spec.outputs]
    missing = [name for name in names if name not in found]
    if missing:
        raise ModelMismatchError(
            f"expected outputs {list(names)} of model {spec.name!r}, got {found}: missing {missing}"
        )


def check_inputs(spec: ModelSpec, inputs: Mapping[str, FloatArray]) -> None:
    """Check the arrays handed to a network.

    Raises:
        ModelMismatchError: a name, shape or dtype is not the one declared.
    """
    _check_arrays("inputs", spec, {spec.input.name: spec.input.shape}, inputs)


def check_outputs(spec: ModelSpec, outputs: Mapping[str, FloatArray]) -> None:
    """Check the arrays a network gave.

    Raises:
        ModelMismatchError: a name, shape or dtype is not the one declared.
    """
    declared = {output.name: output.shape for output in spec.outputs}
    _check_arrays("outputs", spec, declared, outputs)


def _check_arrays(
    what: str,
    spec: ModelSpec,
    declared: Mapping[str, tuple[int, ...]],
    arrays: Mapping[str, FloatArray],
) -> None:
    # In every frame, so no text is made as long as all is well: dtypes spell their names slowly.
    agree = declared.keys() == arrays.keys() and all(
        array.shape == declared[name] and array.dtype == np.float32
        for name, array in arrays.items()
    )
    if agree:
        return
    wanted = {name: (shape, "float32") for name, shape in declared.items()}
    got = {name: (array.shape, str(array.dtype)) for name, array in arrays.items()}
    raise ModelMismatchError(f"expected {what} of model {spec.name!r} {wanted}, got {got}")
