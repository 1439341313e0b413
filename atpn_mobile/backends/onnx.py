"""ONNX Runtime on the CPU."""

import importlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from atpn_mobile.backends.base import check_inputs, check_outputs, require_file
from atpn_mobile.errors import AtpnError, BackendUnavailableError, ModelMismatchError
from atpn_mobile.manifest import Contents, ModelSpec
from atpn_mobile.types import FloatArray

ENGINE_MODULE = "onnxruntime"
NO_REPORTS = ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")  # the names of two releases
INSTALL_HINT = "pip install onnxruntime"


class OnnxBackend:
    """A network that ONNX Runtime runs."""

    def __init__(self, model: Contents, spec: ModelSpec, *, num_threads: int = 1) -> None:
        """Load a network.

        Args:
            model: the .onnx file, already verified. Bytes and not a path: what was hashed is what
                runs.
            spec: what the manifest says about it.
            num_threads: threads of one run; the calling thread is one of them.

        Raises:
            BackendUnavailableError: ONNX Runtime is not installed.
            ModelMismatchError: the bytes are no model, or its inputs or outputs are not ``spec``'s.
        """
        model = require_file(model, spec, "an ONNX model")
        engine = _import_engine()
        options = engine.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.inter_op_num_threads = 1
        # Idle threads that spin take the core from the app and drain a battery.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = engine.InferenceSession(
                model,
                sess_options=options,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,  # to the same provider, with a banner on stdout
            )
        except Exception as error:  # the engine's exceptions share no base of their own
            raise ModelMismatchError(
                f"expected an ONNX model {spec.name!r}, got {len(model)} bytes that ONNX Runtime "
                f"{engine.__version__} cannot load: {error}"
            ) from error
        _check_session(session, spec)
        self._session: Any = session
        self._spec = spec
        self._output_names = [output.name for output in spec.outputs]

    @property
    def name(self) -> str:
        """The engine: "onnx"."""
        return "onnx"

    @property
    def spec(self) -> ModelSpec:
        """The network's input and outputs."""
        return self._spec

    def run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Run the network once.

        Args:
            inputs: float32 arrays by input name, of the shapes in ``spec``.

        Returns:
            float32 arrays by output name, of the shapes in ``spec``.

        Raises:
            ModelMismatchError: names or shapes are not those of ``spec``, or the engine fails.
            AtpnError: the backend is closed.
        """
        if self._session is None:
            raise AtpnError(f"expected an open backend, model {self._spec.name!r} was closed")
        check_inputs(self._spec, inputs)
        try:
            values = self._session.run(self._output_names, dict(inputs))
        except Exception as error:  # as above; a damaged file may load all the same
            raise ModelMismatchError(
                f"expected model {self._spec.name!r} to run, ONNX Runtime failed: {error}"
            ) from error
        outputs: dict[str, FloatArray] = dict(zip(self._output_names, values, strict=True))
        check_outputs(self._spec, outputs)
        return outputs

    def close(self) -> None:
        """Free the engine; a second call does nothing."""
        self._session = None


def _import_engine() -> Any:  # noqa: ANN401 - not every release of the engine has types
    """The engine, its usage reports off.

    From 1.29 on ONNX Runtime reports to Microsoft from every system, and keeps an identifier in
    the home folder for it, unless one of these variables is set before it starts
    (microsoft/onnxruntime, pull requests 27379 and 29843). Whoever wants the reports sets them to
    "0", or imports the engine first.
    """
    for name in NO_REPORTS:
        os.environ.setdefault(name, "1")
    try:
        return importlib.import_module(ENGINE_MODULE)
    except ImportError as error:
        raise BackendUnavailableError(
            f"expected ONNX Runtime, it cannot be imported ({error}): {INSTALL_HINT}"
        ) from error


def _check_session(session: Any, spec: ModelSpec) -> None:  # noqa: ANN401
    inputs = {spec.input.name: spec.input.shape}
    outputs = {output.name: output.shape for output in spec.outputs}
    _check_tensors(f"inputs of model {spec.name!r}", inputs, session.get_inputs())
    _check_tensors(f"outputs of model {spec.name!r}", outputs, session.get_outputs())


def _check_tensors(
    what: str, declared: Mapping[str, tuple[int, ...]], tensors: Sequence[Any]
) -> None:
    wanted = {name: (list(shape), "tensor(float)") for name, shape in declared.items()}
    got = {tensor.name: (list(tensor.shape), tensor.type) for tensor in tensors}
    agree = wanted.keys() == got.keys() and all(
        got[name][1] == kind and _shapes_agree(got[name][0], shape)
        for name, (shape, kind) in wanted.items()
    )
    if not agree:
        raise ModelMismatchError(f"expected {what} {wanted}, got {got}")


def _shapes_agree(found: Sequence[int | str | None], declared: Sequence[int]) -> bool:
    """A dimension without a number in the file is decided at run time and checked there."""
    return len(found) == len(declared) and all(
        not isinstance(size, int) or size == wanted
        for size, wanted in zip(found, declared, strict=True)
    )
