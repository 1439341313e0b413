"""Convert, compare, and only then write: model files and the manifest that describes them."""

import hashlib
import importlib.metadata
import json
import math
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, cast

from atpn_mobile.backends import Backend, create_backend
from atpn_mobile.backends.onnx import OnnxBackend
from atpn_mobile.errors import AtpnError
from atpn_mobile.manifest import (
    MANIFEST_NAME,
    SCHEMA_VERSION,
    Artifact,
    InputSpec,
    Manifest,
    Metric,
    Model,
    ModelSpec,
    load_manifest,
)
from converters.errors import ConversionError, ParityError, RequestError
from converters.models import MODELS, Reference, find_model, load_reference
from converters.parity import LIMITS, ParityReport, compare, parity_inputs, require_parity
from converters.to_onnx import to_onnx, tool_versions

METRICS_NAME: Final = "metrics.json"
SIGNIFICANT_DIGITS: Final = 3  # of measured differences in the manifest

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of file that networks are converted to.

    Attributes:
        runtime: the engine it is for.
        precision: of its arithmetic.
        suffix: of its files.
        convert: makes the file of a reference; the flag asks for a dynamic batch.
        load: runs the file as the runtime would.
        engine: distribution of the engine, for its version.
        tools: versions of what makes the file.
    """

    runtime: str
    precision: str
    suffix: str
    convert: Callable[[Reference, bool], bytes]
    load: Callable[[bytes, ModelSpec], Backend]
    engine: str
    tools: Callable[[], Mapping[str, str]]

    def file_name(self, model: str) -> str:
        """Name of a model's file."""
        return f"{model}_{self.precision}{self.suffix}"


@dataclass(frozen=True, slots=True, eq=False)
class Conversion:
    """A converted model that was compared with its reference, not yet written.

    Attributes:
        reference: what it was made of.
        target: what it was made into.
        contents: the file.
        parity: how far it is from the reference, within the limits.
    """

    reference: Reference
    target: Target
    contents: bytes
    parity: ParityReport

    @property
    def file_name(self) -> str:
        """Name of the file, beside the manifest."""
        return self.target.file_name(self.reference.model.name)


@dataclass(frozen=True, slots=True)
class Verification:
    """What the check of one published file gave.

    Attributes:
        model: its model.
        runtime: its engine.
        precision: of its arithmetic.
        path: relative to the manifest.
        error: what is wrong with it; None when it is as described and agrees with its reference.
        parity: how far it is from the reference; None when that could not be measured.
    """

    model: str
    runtime: str
    precision: str
    path: str
    error: str | None
    parity: ParityReport | None


TARGETS: Final = (
    Target(
        "onnx",
        "float32",
        ".onnx",
        lambda reference, dynamic_batch: to_onnx(
            reference.network, reference.model.spec, dynamic_batch=dynamic_batch
        ),
        OnnxBackend,
        "onnxruntime",
        tool_versions,
    ),
)


def find_target(runtime: str, precision: str) -> Target:
    """The target of that runtime and precision.

    Raises:
        RequestError: there is none.
    """
    for target in TARGETS:
        if (target.runtime, target.precision) == (runtime, precision):
            return target
    known = [(target.runtime, target.precision) for target in TARGETS]
    raise RequestError(f"expected a target out of {known}, got {(runtime, precision)}")


def convert(
    reference: Reference, target: Target, progress: Progress, *, dynamic_batch: bool = False
) -> Conversion:
    """Convert a network and compare the result with it.

    Args:
        reference: the network.
        target: what to make of it.
        progress: told what is being done.
        dynamic_batch: leave the batch open where the format can.

    Raises:
        ConversionError: it cannot be converted.
        ParityError: the result does not agree with the reference.
        DatasetError: the pictures to compare on are missing.
    """
    model = reference.model
    progress(f"{model.name}: {target.runtime} {target.precision}: convert")
    contents = target.convert(reference, dynamic_batch)
    progress(f"{model.name}: {target.runtime} {target.precision}: compare with the reference")
    try:
        with closing(target.load(contents, model.spec)) as backend:
            report = _measure(reference, backend, target.precision)
    except AtpnError as error:
        raise ConversionError(
            f"expected {target.runtime} to run the converted {model.name!r}: {error}"
        ) from error
    return Conversion(reference, target, contents, report)


def publish(
    conversions: Sequence[Conversion],
    out: Path,
    metrics: Mapping[str, Sequence[Metric]] = MappingProxyType({}),
) -> Manifest:
    """Write converted models and describe them in the folder's manifest.

    Other models of the manifest stay, and so do other files of the same weights. Files of other
    weights are no longer described, as the model's numbers are not theirs. All files are written
    aside first and renamed last, the manifest at the very end.

    Args:
        conversions: what to write.
        out: the folder; made where it is missing.
        metrics: by model name, what was measured on it. A model that is not named keeps what the
            manifest says of the same weights.

    Returns:
        The manifest as it now stands.

    Raises:
        ManifestError: the folder's manifest is broken, or would be.
        OSError: the folder cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    models = {model.name: model for model in _read_models(out)}
    for conversion in conversions:
        name = conversion.reference.model.name
        models[name] = _describe(conversion, models.get(name), metrics.get(name))
    document = json.dumps(manifest_document(models.values()), indent=2, ensure_ascii=False) + "\n"
    with tempfile.TemporaryDirectory(dir=out, prefix=".partial-") as partial:
        staged = Path(partial)
        for conversion in conversions:
            (staged / conversion.file_name).write_bytes(conversion.contents)
        (staged / MANIFEST_NAME).write_text(document, encoding="utf-8")
        load_manifest(staged)  # the reader is strict: what it refuses is not published
        for name in [*(conversion.file_name for conversion in conversions), MANIFEST_NAME]:
            (staged / name).replace(out / name)
    return load_manifest(out)


def verify(models_dir: Path, weights_dir: Path, progress: Progress) -> list[Verification]:
    """Check published models: the hash of each file, and that it agrees with its reference.

    Args:
        models_dir: folder of the manifest.
        weights_dir: folder of the reference weights.
        progress: told what is being done.

    Returns:
        One entry per file; a file that is wrong has an ``error``.

    Raises:
        ManifestError: the manifest is missing or broken.
        WeightsError: the reference weights are missing or damaged.
        DatasetError: the pictures to compare on are missing.
    """
    manifest = load_manifest(models_dir)
    results = []
    for model in manifest.models:
        known = MODELS.get(model.name)
        reference = load_reference(known, weights_dir) if known else None
        for artifact in model.artifacts:
            progress(f"{model.name}: {artifact.runtime} {artifact.precision}: verify")
            results.append(_verify(manifest, model, artifact, reference))
    return results


def read_metrics(path: Path) -> dict[str, tuple[Metric, ...]]:
    """Read what was measured: model name -> list of name, value, unit, data, command.

    Raises:
        RequestError: the file is missing, is no such JSON, or names an unknown model.
    """
    expected = (
        'expected JSON such as {"atpn": [{"name": "NME", "value": 1.5, "unit": "%", "data": "...", '
        f'"command": "..."}}]}} in {path}'
    )
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {
            find_model(model).name: tuple(_read_metric(entry) for entry in entries)
            for model, entries in document.items()
        }
    except OSError as error:
        raise RequestError(f"expected metrics at {path}, they cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(f"{expected}, got something else: {error}") from error


def manifest_document(models: Iterable[Model]) -> dict[str, Any]:
    """A manifest as plain values for JSON; ``load_manifest`` reads the same models from it."""
    return {"schema_version": SCHEMA_VERSION, "models": [_model_document(one) for one in models]}


def _measure(reference: Reference, backend: Backend, precision: str) -> ParityReport:
    model = reference.model
    limits = LIMITS.get((precision, model.task))
    if limits is None:
        raise ParityError(f"expected limits for {model.task} in {precision}, there are none")
    engine = importlib.metadata.version(_engine_of(backend.name)).split("+")[0]
    torch_version = importlib.metadata.version("torch").split("+")[0]
    report = compare(
        reference,
        backend,
        model.task,
        model.spec,
        parity_inputs(model.task, model.input),
        f"{backend.name} {precision} ({_engine_of(backend.name)} {engine}) with float32 "
        f"(torch {torch_version})",
    )
    require_parity(report, limits)
    return report


def _engine_of(runtime: str) -> str:
    return next(target.engine for target in TARGETS if target.runtime == runtime)


def _read_models(folder: Path) -> tuple[Model, ...]:
    return load_manifest(folder).models if (folder / MANIFEST_NAME).exists() else ()


def _describe(
    conversion: Conversion, before: Model | None, metrics: Sequence[Metric] | None
) -> Model:
    reference, target = conversion.reference, conversion.target
    artifact = Artifact(
        runtime=target.runtime,
        precision=target.precision,
        path=conversion.file_name,
        sha256=hashlib.sha256(conversion.contents).hexdigest(),
        size_bytes=len(conversion.contents),
        input=None,
        parity={
            **{key: _rounded(value) for key, value in asdict(conversion.parity).items()},
            "reference_sha256": reference.weights_sha256,
        },
        tools=dict(target.tools()),
    )
    siblings = [
        other
        for other in (before.artifacts if before else ())
        if other.parity.get("reference_sha256") == reference.weights_sha256
    ]
    others = [one for one in siblings if (one.runtime, one.precision) != _kind(artifact)]
    if metrics is None:
        metrics = before.metrics if before and siblings else ()
    counts = reference.counts()
    model = reference.model
    return Model(
        name=model.name,
        version=model.version,
        task=model.task,
        input=model.input,
        outputs=model.outputs,
        landmark_scheme=model.landmark_scheme,
        parameters=counts.parameters,
        macs=counts.macs,
        metrics=tuple(metrics),
        license=model.license,
        training_data=model.training_data,
        artifacts=tuple(sorted([*others, artifact], key=_kind)),
    )


def _kind(artifact: Artifact) -> tuple[str, str]:
    return artifact.runtime, artifact.precision


def _rounded(value: float | str) -> float | str:
    return value if isinstance(value, str | int) else float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def _verify(
    manifest: Manifest, model: Model, artifact: Artifact, reference: Reference | None
) -> Verification:
    error, parity = None, None
    try:
        parity = _check(manifest, model, artifact, reference)
    except (AtpnError, ConversionError, RequestError) as broken:
        error = str(broken)
    kind = artifact.runtime, artifact.precision
    return Verification(model.name, *kind, artifact.path, error, parity)


def _check(
    manifest: Manifest, model: Model, artifact: Artifact, reference: Reference | None
) -> ParityReport:
    if reference is None:
        raise RequestError(f"expected a model out of {list(MODELS)}, got {model.name!r}")
    _require_same_description(model, reference)
    made_of = artifact.parity.get("reference_sha256")
    if made_of != reference.weights_sha256:
        raise ParityError(
            f"expected {artifact.path} to be made of the weights {reference.weights_sha256}, it "
            f"was made of {made_of}: export it again"
        )
    backend = create_backend(artifact.runtime, manifest, model.name, artifact.precision)
    with closing(backend):
        return _measure(reference, backend, artifact.precision)


def _require_same_description(model: Model, reference: Reference) -> None:
    counts = reference.counts()
    declared = (model.input, model.outputs, model.parameters, model.macs)
    actual = (
        reference.model.input,
        reference.model.outputs,
        counts.parameters,
        counts.macs,
    )
    if declared != actual:
        raise ConversionError(
            f"expected the manifest to describe {model.name!r} as {actual}, got {declared}"
        )


def _read_metric(entry: Mapping[str, object]) -> Metric:
    value = entry["value"]
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    texts = {key: text for key, text in entry.items() if key != "value"}
    if not all(isinstance(text, str) and text for text in texts.values()):
        raise ValueError(f"expected texts, got {texts}")
    return Metric(value=value, **cast(dict[str, str], texts))


def _model_document(model: Model) -> dict[str, Any]:
    fields = asdict(model)
    fields["input"] = _input_document(model.input)
    fields["outputs"] = [asdict(output) for output in model.outputs]
    fields["artifacts"] = [_artifact_document(artifact) for artifact in model.artifacts]
    return fields


def _input_document(spec: InputSpec) -> dict[str, Any]:
    return {**asdict(spec), "color": "RGB", "range": [0, 255], "dtype": "float32"}


def _artifact_document(artifact: Artifact) -> dict[str, Any]:
    fields = asdict(artifact)
    fields["bytes"] = fields.pop("size_bytes")
    if artifact.input is None:
        del fields["input"]
    else:
        fields["input"] = _input_document(artifact.input)
    return fields
