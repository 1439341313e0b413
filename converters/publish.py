"""Write converted models, and the manifest that describes them."""

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from atpn_mobile.manifest import (
    MANIFEST_NAME,
    SCHEMA_VERSION,
    Artifact,
    Contents,
    InputSpec,
    Manifest,
    Metric,
    Model,
    contents_sha256,
    contents_size,
    load_manifest,
)
from converters.convert import Conversion

SIGNIFICANT_DIGITS: Final = 3  # of measured differences in the manifest


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
            write_contents(conversion.contents, staged / conversion.file_name)
        (staged / MANIFEST_NAME).write_text(document, encoding="utf-8")
        load_manifest(staged)  # the reader is strict: what it refuses is not published
        for name in [*(conversion.file_name for conversion in conversions), MANIFEST_NAME]:
            _move(staged / name, out / name, staged / f"{name}.before")
    return load_manifest(out)


def manifest_document(models: Iterable[Model]) -> dict[str, Any]:
    """A manifest as plain values for JSON; ``load_manifest`` reads the same models from it."""
    return {"schema_version": SCHEMA_VERSION, "models": [_model_document(one) for one in models]}


def write_contents(contents: Contents, path: Path) -> None:
    """Write a file, or a folder with its files.

    Raises:
        OSError: it cannot be written.
    """
    if isinstance(contents, bytes):
        path.write_bytes(contents)
        return
    for name, file in contents.items():
        place = path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file)


def _move(new: Path, place: Path, before: Path) -> None:
    """Rename a file or folder to its place; a folder cannot replace another one in one step."""
    if place.is_dir():
        place.rename(before)
    try:
        new.replace(place)
    except OSError:
        if before.exists():
            before.rename(place)
        raise
    shutil.rmtree(before, ignore_errors=True)


def _read_models(folder: Path) -> tuple[Model, ...]:
    return load_manifest(folder).models if (folder / MANIFEST_NAME).exists() else ()


def _describe(
    conversion: Conversion, before: Model | None, metrics: Sequence[Metric] | None
) -> Model:
    reference, target = conversion.reference, conversion.target
    model = reference.model
    artifact = Artifact(
        runtime=target.runtime,
        precision=target.precision,
        path=conversion.file_name,
        sha256=contents_sha256(conversion.contents),
        size_bytes=contents_size(conversion.contents),
        input=target.input(model.input) if target.layout != model.input.layout else None,
        parity={
            **{
                key: _rounded(value)
                for key, value in asdict(conversion.parity).items()
                if value is not None  # of an output that the network does not have
            },
            "reference_sha256": reference.weights_sha256,
            **(
                {"calibration_sha256": conversion.calibration_sha256}
                if conversion.calibration_sha256
                else {}
            ),
        },
        tools=target.tool_versions(),
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
