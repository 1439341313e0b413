"""The command ``python -m converters``: export networks, and verify what was exported."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from atpn_mobile.errors import BackendUnavailableError, ManifestError
from atpn_mobile.manifest import MANIFEST_NAME
from converters.convert import Conversion, convert
from converters.errors import ConversionError, MissingToolError, RequestError
from converters.held_out import HeldOutData
from converters.metrics import METRICS_NAME, read_metrics
from converters.models import MODELS, Reference, ReferenceModel, find_model, load_reference
from converters.publish import publish
from converters.report import format_rows
from converters.targets import TARGETS, Source, Target, select_targets, to_dynamic_onnx
from converters.verify import verify
from training.data.sample import DatasetError
from training.weights import WeightsError

EXIT_OK: Final = 0
EXIT_BROKEN: Final = 1  # a conversion failed, or a published file is not what it should be
EXIT_BAD_REQUEST: Final = 2  # also what argparse exits with
EXIT_MISSING: Final = 3  # a converter or an engine is not installed
EXIT_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells report it

_EPILOG: Final = (
    "exit status: 0 all well; 1 a conversion failed, or a file does not agree with its reference; "
    "2 the request cannot be met; 3 a converter or an engine is not installed"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: of the command; those of the process when None.

    Returns:
        Exit status: 0 all well; 1 a conversion failed or a file is broken; 2 the request cannot be
        met, for example because weights are missing; 3 a converter or an engine is not installed.
    """
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except (ConversionError, ManifestError) as error:
        return _fail(error, EXIT_BROKEN)
    except (MissingToolError, BackendUnavailableError) as error:
        return _fail(error, EXIT_MISSING)
    except (RequestError, WeightsError, DatasetError, OSError) as error:
        return _fail(error, EXIT_BAD_REQUEST)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m converters",
        description="Convert the reference networks and prove that the results agree with them.",
        epilog=_EPILOG,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    runtimes = list(dict.fromkeys(target.runtime for target in TARGETS))
    precisions = list(dict.fromkeys(target.precision for target in TARGETS))

    export = commands.add_parser(
        "export", help="convert, compare, write files and manifest", epilog=_EPILOG
    )
    which = export.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="every model of the product")
    which.add_argument("--model", choices=list(MODELS), help="one model")
    export.add_argument(
        "--baselines", action="store_true", help="with --all: also the networks it is compared with"
    )
    export.add_argument(
        "--shipped", action="store_true", help="only the files that the repository carries"
    )
    export.add_argument("--out", type=Path, required=True, help="folder to write to")
    export.add_argument(
        "--weights-dir", type=Path, default=Path("models"), help="default: %(default)s"
    )
    export.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="pack (.npz) of pictures to measure int8 ranges on; default: the project's",
    )
    export.add_argument(
        "--metrics",
        type=Path,
        help=f"JSON of measured numbers; default: {METRICS_NAME} beside the weights, if there",
    )
    export.add_argument(
        "--dynamic-batch", action="store_true", help="leave the batch open: onnx float32 only"
    )
    export.set_defaults(run=_export)

    check = commands.add_parser(
        "verify", help="check hashes and agreement of published models", epilog=_EPILOG
    )
    check.add_argument("--models", type=Path, default=Path("models"), help="default: %(default)s")
    check.add_argument("--model", choices=list(MODELS), help="one model; default: all")
    check.add_argument("--weights-dir", type=Path, help="default: the folder of the models")
    check.add_argument(
        "--data", type=Path, help="folder of packs: measure what each file lost on the val splits"
    )
    check.set_defaults(run=_verify)

    for command in (export, check):
        command.add_argument(
            "--weights",
            type=Path,
            metavar="FILE",
            help="weights of the one --model: .safetensors or a PyTorch state dict (.pt, .pth)",
        )
        command.add_argument("--to", choices=runtimes, help="one format; default: all")
        command.add_argument("--precision", choices=precisions, help="one precision; default: all")
        command.add_argument("--json", action="store_true", help="JSON instead of a table")
    return parser


def _export(options: argparse.Namespace) -> int:
    targets = _export_targets(options)
    for target in targets:
        target.require_tools()
    references = _references(options)
    metrics = _metrics(options)
    conversions = [
        convert(source, target, _report_step)
        for source in (Source(reference, options.calibration) for reference in references)
        for target in targets
    ]
    manifest = publish(conversions, options.out, metrics)
    rows = [
        _row(conversion, options.out, manifest.artifact(*_key(conversion)).sha256)
        for conversion in conversions
    ]
    sys.stdout.write(format_rows(rows, as_json=options.json))
    return EXIT_OK


def _export_targets(options: argparse.Namespace) -> list[Target]:
    targets = select_targets(options.to, options.precision, shipped=options.shipped)
    if not options.dynamic_batch:
        return targets
    if [target.name for target in targets] != ["onnx float32"]:
        raise RequestError(
            "expected --to onnx --precision float32 with --dynamic-batch: the other formats have "
            "a fixed batch"
        )
    return [to_dynamic_onnx(targets[0])]


def _references(options: argparse.Namespace) -> list[Reference]:
    models = _export_models(options)
    if options.weights is not None:
        return [load_reference(find_model(_the_model(options)), options.weights)]
    return [load_reference(model, options.weights_dir / model.weights_name) for model in models]


def _export_models(options: argparse.Namespace) -> list[ReferenceModel]:
    if options.baselines and not options.all:
        raise RequestError("expected --all with --baselines: --model NAME names any one network")
    if not options.all:
        return [find_model(options.model)]
    return [one for one in MODELS.values() if options.baselines or not one.is_baseline]


def _the_model(options: argparse.Namespace) -> str:
    if options.model is None:
        raise RequestError("expected --model NAME with --weights: they are of one network")
    name: str = options.model
    return name


def _metrics(options: argparse.Namespace) -> dict[str, Any]:
    if options.metrics is not None:
        return dict(read_metrics(options.metrics))
    # What lies beside the project's weights was not measured on other weights.
    default: Path = options.weights_dir / METRICS_NAME
    return dict(read_metrics(default)) if options.weights is None and default.exists() else {}


def _key(conversion: Conversion) -> tuple[str, str, str]:
    target = conversion.target
    return conversion.reference.model.name, target.runtime, target.precision


def _row(conversion: Conversion, out: Path, sha256: str) -> dict[str, Any]:
    return {
        "model": conversion.reference.model.name,
        "file": str(out / conversion.file_name),
        "bytes": conversion.size_bytes,
        "sha256": sha256,
        "parity": conversion.parity,
    }


def _verify(options: argparse.Namespace) -> int:
    if not (options.models / MANIFEST_NAME).exists():
        raise RequestError(f"expected {MANIFEST_NAME} in {options.models}, found none")
    targets = None
    if options.to or options.precision:
        targets = select_targets(options.to, options.precision)
    weights_dir = options.weights_dir or options.models
    weights = None
    if options.weights is not None:
        weights = {_the_model(options): options.weights}
    elif options.model is not None:
        weights = {options.model: weights_dir / MODELS[options.model].weights_name}
    held_out = HeldOutData(options.data) if options.data is not None else None
    results = verify(options.models, weights_dir, _report_step, targets, weights, held_out)
    rows = [
        {
            "model": one.model,
            "file": str(options.models / one.path),
            "status": one.status,
            "parity": one.parity,
            **({"loss": one.loss} if held_out else {}),
            "error": one.error,
        }
        for one in results
    ]
    sys.stdout.write(format_rows(rows, as_json=options.json))
    for one in results:
        if one.error:
            sys.stderr.write(f"{one.path}: {one.error}\n")
    found = {one.status for one in results}
    if "broken" in found:
        return EXIT_BROKEN
    return EXIT_MISSING if "not run" in found else EXIT_OK


def _report_step(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _fail(error: Exception, status: int) -> int:
    sys.stderr.write(f"error: {error}\n")
    return status
