"""Check published models: hashes, and agreement with the reference."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from atpn_mobile.errors import AtpnError, BackendUnavailableError
from atpn_mobile.manifest import Artifact, Contents, Manifest, Model, load_manifest
from converters.convert import Progress, measure
from converters.errors import ConversionError, MissingToolError, ParityError, RequestError
from converters.held_out import HeldOutData, Loss
from converters.models import MODELS, Reference, load_reference
from converters.parity import ParityReport
from converters.targets import Runner, Target, find_target

Status = Literal["ok", "broken", "not run"]


@dataclass(frozen=True, slots=True)
class Verification:
    """What the check of one published file gave.

    Attributes:
        model: its model.
        runtime: its engine.
        precision: of its arithmetic.
        path: relative to the manifest.
        status: "ok", "broken", or "not run" where its engine is not installed.
        error: what is wrong with it, or what is missing; None when it is as described and agrees
            with its reference.
        parity: how far it is from the reference; None when that could not be measured.
        loss: what it lost on held-out data; None when that was not measured.
    """

    model: str
    runtime: str
    precision: str
    path: str
    status: Status
    error: str | None
    parity: ParityReport | None
    loss: Loss | None = None


def verify(
    models_dir: Path,
    weights_dir: Path,
    progress: Progress,
    targets: Sequence[Target] | None = None,
    weights: Mapping[str, Path] | None = None,
    held_out: HeldOutData | None = None,
) -> list[Verification]:
    """Check published models: the hash of each file, and that it agrees with its reference.

    Args:
        models_dir: folder of the manifest.
        weights_dir: folder of the reference weights.
        progress: told what is being done.
        targets: only these kinds of files; None for all.
        weights: only these models, and where the weights of each are; None for all, with the
            weights in ``weights_dir``.
        held_out: where to measure too what each file lost; None for nowhere.

    Returns:
        One entry per file.

    Raises:
        ManifestError: the manifest is missing or broken.
        WeightsError: the reference weights are missing or damaged.
        DatasetError: the pictures to compare on are missing.
    """
    manifest = load_manifest(models_dir)
    kinds = None if targets is None else {(one.runtime, one.precision) for one in targets}
    results = []
    for model in manifest.models:
        if weights is not None and model.name not in weights:
            continue
        reference = _load_reference(model, weights_dir, weights or {})
        for artifact in model.artifacts:
            if kinds is None or (artifact.runtime, artifact.precision) in kinds:
                progress(f"{model.name}: {artifact.runtime} {artifact.precision}: verify")
                results.append(_verify(manifest, model, artifact, reference, held_out))
    return results


def _load_reference(
    model: Model, weights_dir: Path, weights: Mapping[str, Path]
) -> Reference | None:
    known = MODELS.get(model.name)
    if known is None:
        return None
    return load_reference(known, weights.get(known.name, weights_dir / known.weights_name))


def _verify(
    manifest: Manifest,
    model: Model,
    artifact: Artifact,
    reference: Reference | None,
    held_out: HeldOutData | None,
) -> Verification:
    status: Status = "ok"
    error, parity, loss = None, None, None
    try:
        reference = _require_reference(model, reference)
        target = find_target(artifact.runtime, artifact.precision)
        contents = _require_described(manifest, model, artifact, reference, target)
        target.require_tools()
        parity = measure(reference, target, contents)
        if held_out is not None:
            with closing(_runner(target, contents, reference).backend) as backend:
                loss = held_out.measure(reference, backend)
    except (MissingToolError, BackendUnavailableError) as missing:
        status, error = "not run", str(missing)
    except (AtpnError, ConversionError, RequestError) as broken:
        status, error = "broken", str(broken)
    kind = artifact.runtime, artifact.precision
    return Verification(model.name, *kind, artifact.path, status, error, parity, loss)


def _runner(target: Target, contents: Contents, reference: Reference) -> Runner:
    first, *others = target.run(contents, target.spec(reference.model.spec))
    for other in others:
        other.backend.close()
    return first


def _require_reference(model: Model, reference: Reference | None) -> Reference:
    if reference is None:
        raise RequestError(f"expected a model out of {list(MODELS)}, got {model.name!r}")
    return reference


def _require_described(
    manifest: Manifest, model: Model, artifact: Artifact, reference: Reference, target: Target
) -> Contents:
    """The file, which is what the manifest says; its hash is checked whatever is installed."""
    _require_same_description(model, artifact, reference, target)
    made_of = artifact.parity.get("reference_sha256")
    if made_of != reference.weights_sha256:
        raise ParityError(
            f"expected {artifact.path} to be made of the weights {reference.weights_sha256}, it "
            f"was made of {made_of}: export it again"
        )
    return manifest.read_artifact(artifact)


def _require_same_description(
    model: Model, artifact: Artifact, reference: Reference, target: Target
) -> None:
    counts = reference.counts()
    declared = (
        model.input,
        artifact.input or model.input,
        model.outputs,
        model.parameters,
        model.macs,
    )
    actual = (
        reference.model.input,
        target.input(reference.model.input),
        reference.model.outputs,
        counts.parameters,
        counts.macs,
    )
    if declared != actual:
        raise ConversionError(
            f"expected the manifest to describe {model.name!r} as {actual}, got {declared}"
        )
