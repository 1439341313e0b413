"""Convert a network and compare the result with it."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from atpn_mobile.errors import AtpnError
from atpn_mobile.manifest import Contents, contents_size
from converters.errors import ConversionError
from converters.models import Reference
from converters.parity import (
    ParityReport,
    compare,
    describe_scaling,
    find_limits,
    parity_inputs,
    require_parity,
)
from converters.targets import Source, Target, version_of

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Conversion:
    """A converted model that was compared with its reference, not yet written.

    Attributes:
        reference: what it was made of.
        target: what it was made into.
        contents: the file, or the files of a folder.
        parity: how far it is from the reference, within the limits.
        calibration_sha256: of the pictures that ranges were measured on; None where none were.
    """

    reference: Reference
    target: Target
    contents: Contents
    parity: ParityReport
    calibration_sha256: str | None = None

    @property
    def file_name(self) -> str:
        """Name of the file or folder, beside the manifest."""
        return self.target.file_name(self.reference.model.name)

    @property
    def size_bytes(self) -> int:
        """Of the file, or of all files of the folder."""
        return contents_size(self.contents)


def convert(source: Source, target: Target, progress: Progress) -> Conversion:
    """Convert a network and compare the result with it.

    Args:
        source: the network.
        target: what to make of it.
        progress: told what is being done.

    Raises:
        ConversionError: it cannot be converted.
        ParityError: the result does not agree with the reference.
        MissingToolError: a tool is not installed.
        DatasetError: the pictures to compare on are missing.
    """
    model = source.reference.model
    target.require_tools()
    progress(f"{model.name}: {target.name}: convert")
    contents = target.convert(source)
    progress(f"{model.name}: {target.name}: compare with the reference")
    try:
        report = measure(source.reference, target, contents)
    except AtpnError as error:
        raise ConversionError(
            f"expected {target.runtime} to run the converted {model.name!r}: {error}"
        ) from error
    pictures = source.calibration.sha256 if target.calibrated else None
    return Conversion(source.reference, target, contents, report, pictures)


def measure(reference: Reference, target: Target, contents: Contents) -> ParityReport:
    """Compare a converted model with its reference, on everything that can run it here.

    Returns:
        The report of the first of them.

    Raises:
        ParityError: one of them does not agree with the reference.
        AtpnError: one of them cannot run the model.
    """
    model = reference.model
    limits = find_limits(target.precision, model.task, is_baseline=model.is_baseline)
    inputs = parity_inputs(model.task, model.input)
    scaling = describe_scaling(inputs, model.input)
    torch = f"float32 (torch {version_of('torch')})"
    reports = []
    with ExitStack() as stack:
        for runner in target.run(contents, target.spec(model.spec)):
            stack.callback(runner.backend.close)
            parts = [f"{target.name} ({runner.description}) with {torch}", scaling]
            compared = ", ".join(part for part in parts if part)
            report = compare(reference, runner.backend, model.task, model.spec, inputs, compared)
            require_parity(report, limits)
            reports.append(report)
    return reports[0]
