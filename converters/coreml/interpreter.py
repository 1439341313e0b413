"""Executes the program of an .mlpackage where Core ML does not exist.

It proves the graph and the weights of the file; not the arithmetic of Apple's hardware. Operations
of float16 values are computed in float32, and each result is rounded to half once.
"""

import platform
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from torch import Tensor

from atpn_mobile.backends.base import Backend, check_inputs, check_outputs
from atpn_mobile.backends.coreml import PLATFORM, CoremlBackend, to_picture
from atpn_mobile.errors import AtpnError, ModelMismatchError
from atpn_mobile.manifest import Contents, ModelSpec
from atpn_mobile.types import FloatArray
from converters.coreml.kernels import KERNELS
from converters.coreml.program import Constant, Operation, Program, TensorType, load_program
from converters.errors import ConversionError

DESCRIPTION: Final = (
    "read back and executed by the project's interpreter, every float16 operation rounded to "
    "half; not on Apple hardware"
)

Argument: TypeAlias = Any  # Tensor, list of tensors, int, bool, str, or list of ints
Observer: TypeAlias = Callable[[Operation, Mapping[str, Argument]], None]

_LIST: Final = "values"  # the parameter of concat, the only one with several values
_HALF: Final = "FLOAT16"
_FLOATS: Final = (_HALF, "FLOAT32")


class Interpreter:
    """Executes a program."""

    def __init__(self, program: Program) -> None:
        """Prepare.

        Args:
            program: as read from a package.
        """
        self._program = program
        self._constants = {name: _argument(value) for name, value in program.constants.items()}

    @torch.inference_mode()
    def run(
        self, image: FloatArray, observe: Observer = lambda operation, arguments: None
    ) -> dict[str, FloatArray]:
        """Execute it once.

        Args:
            image: (1, 3, H, W), the channels in the program's order, 0..255.
            observe: called before each operation with its arguments by name.

        Returns:
            float32 arrays by output name.

        Raises:
            ConversionError: an operation is unknown, is used in an unknown way, or gives another
                shape than the program declares.
        """
        program = self._program
        values = dict(self._constants)
        values[program.image] = _declared(
            torch.from_numpy(image), program.image_type, repr(program.image)
        )
        for operation in program.operations:
            arguments = _arguments(operation, values)
            observe(operation, arguments)
            values[operation.output] = _declared(
                _execute(operation, arguments), operation.type, _named(operation)
            )
        return {name: np.array(values[name].numpy()) for name in program.outputs}


class InterpretedCoreml:
    """A network of an .mlpackage that the interpreter runs, used like a backend of the runtime."""

    def __init__(self, model: Contents, spec: ModelSpec, *, num_threads: int = 1) -> None:
        """Load a network.

        Args:
            model: the files of the .mlpackage, by path in it.
            spec: what the manifest says about it.
            num_threads: has no effect; torch's own setting counts.

        Raises:
            ConversionError: the package cannot be read.
            ModelMismatchError: its picture or its outputs are not those of ``spec``.
            MissingToolError: coremltools is not installed.
        """
        program = load_program(model)
        side = spec.input.resolution
        outputs = {output.name: output.shape for output in spec.outputs}
        expected = {spec.input.name: (1, 3, side, side), **outputs}
        declared = {program.image: program.image_type, **program.outputs}
        found = {name: one.shape for name, one in declared.items()}
        if found != expected:
            raise ModelMismatchError(
                f"expected a picture and outputs {expected} of model {spec.name!r}, got {found}"
            )
        self._interpreter: Interpreter | None = Interpreter(program)
        self._color = program.color
        self._spec = spec

    @property
    def name(self) -> str:
        """The engine that the model is for: "coreml"."""
        return "coreml"

    @property
    def spec(self) -> ModelSpec:
        """The network's input and outputs."""
        return self._spec

    def run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Run the network once, on the picture that the runtime's backend would hand to Core ML.

        Args:
            inputs: float32 arrays by input name, of the shapes in ``spec``.

        Returns:
            float32 arrays by output name, of the shapes in ``spec``.

        Raises:
            ModelMismatchError: names or shapes are not those of ``spec``.
            ConversionError: the program cannot be executed.
            AtpnError: the backend is closed.
        """
        if self._interpreter is None:
            raise AtpnError(f"expected an open backend, model {self._spec.name!r} was closed")
        check_inputs(self._spec, inputs)
        picture = to_picture(inputs[self._spec.input.name], self._spec.input.layout)
        if self._color == "BGR":
            picture = picture[:, :, ::-1]
        planes = picture.transpose(2, 0, 1)[np.newaxis]
        outputs = self._interpreter.run(np.ascontiguousarray(planes, dtype=np.float32))
        check_outputs(self._spec, outputs)
        return outputs

    def close(self) -> None:
        """Free the network; a second call does nothing."""
        self._interpreter = None


def parity_backends(model: Contents, spec: ModelSpec) -> list[tuple[Backend, str]]:
    """Everything that can run a package here, with what it is, for reports.

    The interpreter is always the first; on macOS, Core ML itself follows.

    Raises:
        ConversionError: the package cannot be read.
        ModelMismatchError: it is not the network of ``spec``.
        MissingToolError: coremltools is not installed.
    """
    backends: list[tuple[Backend, str]] = [(InterpretedCoreml(model, spec), DESCRIPTION)]
    if sys.platform == PLATFORM:
        system = f"Core ML on macOS {platform.mac_ver()[0]} {platform.machine()}"
        backends.append((CoremlBackend(model, spec), system))
    return backends


def _argument(constant: Constant) -> Argument:
    """Numbers as tensors; parameters (integers, flags, texts) as Python has them."""
    if isinstance(constant, str):
        return constant
    if constant.dtype.kind == "f":
        return torch.from_numpy(constant.astype(np.float32))
    return constant.tolist()


def _arguments(operation: Operation, values: Mapping[str, Argument]) -> dict[str, Argument]:
    return {
        key: [values[name] for name in names] if key == _LIST else values[names[0]]
        for key, names in operation.inputs.items()
    }


def _execute(operation: Operation, arguments: Mapping[str, Argument]) -> Tensor:
    function = KERNELS.get(operation.kind)
    if function is None:
        raise ConversionError(
            f"expected operations out of {sorted(KERNELS)}, got {_named(operation)}"
        )
    try:
        return function(**arguments)  # fails on a parameter that the function does not know
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConversionError(f"expected to execute {_named(operation)}: {error}") from error


def _named(operation: Operation) -> str:
    return f"{operation.kind} {operation.output!r}"


def _declared(value: Tensor, declared: TensorType, where: str) -> Tensor:
    """A result in the precision that the program declares."""
    if tuple(value.shape) != declared.shape or declared.dtype not in _FLOATS:
        raise ConversionError(
            f"expected {declared} from {where}, got the shape {tuple(value.shape)}"
        )
    return value.half().float() if declared.dtype == _HALF else value
