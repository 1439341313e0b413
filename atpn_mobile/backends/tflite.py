"""LiteRT on the CPU: the engine of .tflite files, formerly TensorFlow Lite."""

import importlib
import importlib.util
import math
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from atpn_mobile.backends.base import check_inputs, check_outputs, require_file
from atpn_mobile.errors import AtpnError, BackendUnavailableError, ModelMismatchError
from atpn_mobile.manifest import Contents, ModelSpec
from atpn_mobile.types import FloatArray

# Top-level modules that have the engine, the preferred one first, and where in them it is.
_INTERPRETERS = {
    "ai_edge_litert": "ai_edge_litert.interpreter",
    "tflite_runtime": "tflite_runtime.interpreter",  # the last release is of 2023
    "tensorflow": "tensorflow.lite",
}
ENGINE_MODULES = tuple(_INTERPRETERS)
INSTALL_HINT = "pip install ai-edge-litert"

# No network for phones comes near. In a damaged file any number can stand: the engine would fill as
# much memory before it looks further, and a scale that XNNPACK refuses ends the whole process (a
# double free; seen with LiteRT 2.3).
MAX_TENSOR_BYTES = 1 << 28
MAX_SCALE = 256.0  # of a quantized number's step; an input of 0..255 has 1


class TfliteBackend:
    """A network that LiteRT runs."""

    def __init__(self, model: Contents, spec: ModelSpec, *, num_threads: int = 1) -> None:
        """Load a network.

        Args:
            model: the .tflite file, already verified. Bytes and not a path: what was hashed is what
                runs.
            spec: what the manifest says about it.
            num_threads: threads of one run; the calling thread is one of them.

        Raises:
            BackendUnavailableError: LiteRT is not installed.
            ModelMismatchError: the bytes are no model, its inputs or outputs are not ``spec``'s, or
                a tensor's size or scale is absurd.
        """
        model = require_file(model, spec, "a TFLite model")
        interpreter_class = _import_interpreter()
        try:
            interpreter = interpreter_class(model_content=model, num_threads=num_threads)
            _check_plausible(interpreter)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelMismatchError(
                f"expected a TFLite model {spec.name!r}, got {len(model)} bytes that "
                f"{interpreter_class.__module__} cannot load: {error}"
            ) from error
        inputs, outputs = _tensors(interpreter)
        _check_tensors(
            f"inputs of model {spec.name!r}", {spec.input.name: spec.input.shape}, inputs
        )
        declared = {output.name: output.shape for output in spec.outputs}
        _check_tensors(f"outputs of model {spec.name!r}", declared, outputs)
        self._interpreter: Any = interpreter
        self._spec = spec
        self._input: int = inputs[spec.input.name]["index"]
        self._outputs: dict[str, int] = {name: outputs[name]["index"] for name in declared}
        # The engine keeps inputs and outputs between calls and lets other threads in while it
        # runs: without a lock they would get each other's results.
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The engine: "tflite"."""
        return "tflite"

    @property
    def spec(self) -> ModelSpec:
        """The network's input and outputs."""
        return self._spec

    def run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Run the network once; calls from several threads wait for one another.

        Args:
            inputs: float32 arrays by input name, of the shapes in ``spec``.

        Returns:
            float32 arrays by output name, of the shapes in ``spec``; copies, the caller's to keep.

        Raises:
            ModelMismatchError: names or shapes are not those of ``spec``, or the engine fails.
            AtpnError: the backend is closed.
        """
        with self._lock:
            if self._interpreter is None:
                raise AtpnError(f"expected an open backend, model {self._spec.name!r} was closed")
            check_inputs(self._spec, inputs)
            self._interpreter.set_tensor(self._input, inputs[self._spec.input.name])
            try:
                self._interpreter.invoke()
            except RuntimeError as error:  # a damaged file may load all the same
                raise ModelMismatchError(
                    f"expected model {self._spec.name!r} to run, LiteRT failed: {error}"
                ) from error
            outputs: dict[str, FloatArray] = {
                name: self._interpreter.get_tensor(index) for name, index in self._outputs.items()
            }
        check_outputs(self._spec, outputs)
        return outputs

    def close(self) -> None:
        """Free the engine; a second call does nothing."""
        with self._lock:
            self._interpreter = None


def _import_interpreter() -> Any:  # noqa: ANN401 - not every release of the engine has types
    """The class Interpreter of the first module that has it and works here."""
    problems = []
    for module, place in _INTERPRETERS.items():
        if importlib.util.find_spec(module) is None:
            continue
        if module == "tflite_runtime" and int(np.__version__.split(".")[0]) >= 2:
            # It can be imported then, and fails at the first model with a message about arrays.
            problems.append(f"tflite-runtime is built for NumPy 1, this is NumPy {np.__version__}")
            continue
        try:
            return importlib.import_module(place).Interpreter
        except (ImportError, AttributeError) as error:
            problems.append(f"{place} cannot be imported: {error}")
    reason = "; ".join(problems) or f"none of {', '.join(ENGINE_MODULES)} is installed"
    raise BackendUnavailableError(f"expected LiteRT ({reason}): {INSTALL_HINT}")


def _check_plausible(interpreter: Any) -> None:  # noqa: ANN401
    """Refuse what the engine may not survive, before it takes memory.

    Raises:
        ValueError: a tensor is absurdly large, or has an absurd scale.
    """
    for tensor in interpreter.get_tensor_details():
        count = math.prod(int(length) for length in tensor["shape"])
        size = count * np.dtype(tensor["dtype"]).itemsize
        if size > MAX_TENSOR_BYTES:
            raise ValueError(
                f"expected tensors of at most {MAX_TENSOR_BYTES} bytes, {tensor['name']!r} has "
                f"{size}"
            )
        scales = tensor["quantization_parameters"]["scales"]
        if not ((scales >= 0.0) & (scales <= MAX_SCALE)).all():  # NaN compares false
            raise ValueError(
                f"expected scales from 0 to {MAX_SCALE:g}, {tensor['name']!r} has others"
            )


def _tensors(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:  # noqa: ANN401
    """Inputs and outputs by name: those of the file's signature, else those of the tensors."""
    if len(interpreter.get_signature_list()) == 1:
        signature = interpreter.get_signature_runner()
        return signature.get_input_details(), signature.get_output_details()
    return (
        {tensor["name"]: tensor for tensor in interpreter.get_input_details()},
        {tensor["name"]: tensor for tensor in interpreter.get_output_details()},
    )


def _check_tensors(
    what: str, declared: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Any]
) -> None:
    wanted = {name: (shape, "float32") for name, shape in declared.items()}
    got = {
        name: (tuple(int(size) for size in tensor["shape"]), np.dtype(tensor["dtype"]).name)
        for name, tensor in tensors.items()
    }
    if got != wanted:
        raise ModelMismatchError(f"expected {what} {wanted}, got {got}")
