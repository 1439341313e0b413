"""The command ``python -m converters``: export networks, and verify what was exported."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from atpn_mobile.errors import ManifestError
from atpn_mobile.manifest import MANIFEST_NAME
from converters.errors import ConversionError, RequestError
from converters.models import MODELS, find_model, load_reference
from converters.parity import AlignmentParity, ParityReport
from converters.publish import (
    METRICS_NAME,
    TARGETS,
    convert,
    find_target,
    publish,
    read_metrics,
    verify,
)
from training.data.sample import DatasetError
from training.weights import WeightsError

EXIT_OK: Final = 0
EXIT_BROKEN: Final = 1  # a conversion failed, or a published file is not what it should be
EXIT_BAD_REQUEST: Final = 2  # also what argparse exits with
EXIT_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells report it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: of the command; those of the process when None.

    Returns:
        Exit status: 0 all well; 1 a conversion failed or a file is broken; 2 the request cannot be
        met, for example because weights are missing.
    """
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except (ConversionError, ManifestError) as error:
        return _fail(error, EXIT_BROKEN)
    except (RequestError, WeightsError, DatasetError, OSError) as error:
        return _fail(error, EXIT_BAD_REQUEST)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m converters",
        description="Convert the reference networks and prove that the results agree with them.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    export = commands.add_parser("export", help="convert, compare, write files and manifest")
    which = export.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="every model to every format")
    which.add_argument("--model", choices=list(MODELS), help="one model")
    runtimes = sorted({target.runtime for target in TARGETS})
    precisions = sorted({target.precision for target in TARGETS})
    export.add_argument("--to", choices=runtimes, help="one format; default: all")
    export.add_argument("--precision", choices=precisions, help="one precision; default: all")
    export.add_argument("--out", type=Path, required=True, help="folder to write to")
    export.add_argument(
        "--weights-dir", type=Path, default=Path("models"), help="default: %(default)s"
    )
    export.add_argument(
        "--metrics",
        type=Path,
        help=f"JSON of measured numbers; default: {METRICS_NAME} beside the weights, if there",
    )
    export.add_argument("--dynamic-batch", action="store_true", help="leave the batch open")
    export.set_defaults(run=_export)

    check = commands.add_parser("verify", help="check hashes and agreement of published models")
    check.add_argument("--models", type=Path, default=Path("models"), help="default: %(default)s")
    check.add_argument("--weights-dir", type=Path, help="default: the folder of the models")
    check.set_defaults(run=_verify)

    for command in (export, check):
        command.add_argument("--json", action="store_true", help="JSON instead of a table")
    return parser


def _export(options: argparse.Namespace) -> int:
    models = list(MODELS.values()) if options.all else [find_model(options.model)]
    targets = _targets(options.to, options.precision)
    metrics_path: Path = options.metrics or options.weights_dir / METRICS_NAME
    metrics = read_metrics(metrics_path) if options.metrics or metrics_path.exists() else {}
    references = [load_reference(model, options.weights_dir) for model in models]
    conversions = [
        convert(reference, target, _report_step, dynamic_batch=options.dynamic_batch)
        for reference in references
        for target in targets
    ]
    manifest = publish(conversions, options.out, metrics)
    rows: list[dict[str, Any]] = []
    for one in conversions:
        artifact = manifest.artifact(
            one.reference.model.name, one.target.runtime, one.target.precision
        )
        rows.append(
            {
                "model": one.reference.model.name,
                "file": str(options.out / artifact.path),
                "bytes": artifact.size_bytes,
                "sha256": artifact.sha256,
                "parity": one.parity,
            }
        )
    _show(rows, as_json=options.json)
    return EXIT_OK


def _targets(runtime: str | None, precision: str | None) -> list[Any]:
    if runtime and precision:
        return [find_target(runtime, precision)]
    return [
        target
        for target in TARGETS
        if runtime in (None, target.runtime) and precision in (None, target.precision)
    ]


def _verify(options: argparse.Namespace) -> int:
    if not (options.models / MANIFEST_NAME).exists():
        raise RequestError(f"expected {MANIFEST_NAME} in {options.models}, found none")
    results = verify(options.models, options.weights_dir or options.models, _report_step)
    rows = [
        {
            "model": one.model,
            "file": str(options.models / one.path),
            "status": "broken" if one.error else "ok",
            "parity": one.parity,
            "error": one.error,
        }
        for one in results
    ]
    _show(rows, as_json=options.json)
    for one in results:
        if one.error:
            sys.stderr.write(f"{one.path}: {one.error}\n")
    return EXIT_BROKEN if any(one.error for one in results) else EXIT_OK


def _report_step(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _fail(error: Exception, status: int) -> int:
    sys.stderr.write(f"error: {error}\n")
    return status


def _show(rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        plain = [{**row, "parity": row["parity"] and asdict(row["parity"])} for row in rows]
        sys.stdout.write(json.dumps(plain, indent=2) + "\n")
        return
    shown = [
        {key: _cell(key, value) for key, value in row.items() if key not in ("sha256", "error")}
        for row in rows
    ]
    sys.stdout.write(format_table(shown))


def _cell(key: str, value: object) -> str:
    if key == "parity":
        return format_parity(value) if value is not None else "-"  # type: ignore[arg-type]
    return f"{value:,}" if isinstance(value, int) else str(value)


def format_parity(report: ParityReport) -> str:
    """A report in one line: the largest differences."""
    if isinstance(report, AlignmentParity):
        return (
            f"landmarks {report.landmarks_max_percent:.2g} % of the face, pose "
            f"{report.pose_max_deg:.2g} deg, presence {report.presence_max:.2g}"
        )
    return f"boxes {report.boxes_max_percent:.2g} % of the input, scores {report.scores_max:.2g}"


def format_table(rows: Sequence[dict[str, str]]) -> str:
    """Rows of equal keys as aligned columns under a heading; nothing for no rows."""
    if not rows:
        return ""
    columns = list(rows[0])
    lines = [columns, *([row[column] for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        + "\n"
        for line in lines
    )
