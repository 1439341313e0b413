"""``python -m training evaluate --protocol NAME --data DIR``."""

import argparse
import json
import sys
from pathlib import Path
from typing import Final

import torch

from training.data.sample import DatasetError
from training.files import replacing
from training.options import at_least
from training.protocols.curves import draw_curves
from training.protocols.predictor import load_predictor
from training.protocols.registry import ALL, PROTOCOLS, ProtocolReport, run_protocol
from training.protocols.report import format_report, report_as_json

MODELS: Final = Path(__file__).resolve().parents[2] / "models"
DEFAULT_WEIGHTS: Final = MODELS / "atpn.safetensors"
DEFAULT_DETECTOR: Final = MODELS / "detector.safetensors"
UNUSABLE: Final = 2  # exit status: the one protocol that was asked for could not be run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of an evaluation by protocol."""
    parser.add_argument(
        "--protocol",
        required=True,
        choices=[*PROTOCOLS, ALL],
        help="; ".join(f"{name}: {each.summary}" for name, each in PROTOCOLS.items()),
    )
    folders = sorted({each.folder for each in PROTOCOLS.values()} - {"."})
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help=f"folder of the data set; with {ALL}, of the packs, with {', '.join(folders)} in it",
    )
    parser.add_argument(
        "--weights", type=Path, default=DEFAULT_WEIGHTS, help="a .safetensors file; the shipped one"
    )
    parser.add_argument(
        "--detector",
        type=Path,
        default=DEFAULT_DETECTOR if DEFAULT_DETECTOR.is_file() else None,
        help="weights of the detector, for 300vw and pointing04; the shipped ones",
    )
    parser.add_argument("--json", metavar="FILE", help="write the rows as JSON, - for stdout")
    parser.add_argument("--curves", type=Path, metavar="DIR", help="draw the curves as .png")
    parser.add_argument("--threads", type=at_least(1), default=2, help="threads of the network")


def run(args: argparse.Namespace) -> int:
    """Evaluate as the command line says.

    Returns:
        0; 2 where a single protocol was asked for and its data is missing.

    Raises:
        DatasetError: all protocols were asked for in a folder that is not there.
        WeightsError: weights cannot be read.
    """
    if args.protocol == ALL and not args.data.is_dir():
        raise DatasetError(f"expected a folder of data sets, found none at {args.data}")
    torch.set_num_threads(args.threads)
    predictor = load_predictor(args.weights)
    chosen = list(PROTOCOLS.values()) if args.protocol == ALL else [PROTOCOLS[args.protocol]]
    reports: list[ProtocolReport] = []
    for protocol in chosen:
        data = args.data / protocol.folder if args.protocol == ALL else args.data
        report = run_protocol(protocol, predictor, data, args.detector)
        reports.append(report)
        if args.json != "-":
            sys.stdout.write(format_report(report) + "\n")
            sys.stdout.flush()
        if args.curves:
            for curves in report.result.curves:
                draw_curves(curves, args.curves)
    _write_json(reports, args.json)
    if args.protocol != ALL and reports[0].not_run:
        sys.stderr.write(f"error: {reports[0].not_run}\n")
        return UNUSABLE
    return 0


def _write_json(reports: list[ProtocolReport], target: str | None) -> None:
    if target is None:
        return
    text = json.dumps(report_as_json(reports), indent=2) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    with replacing(Path(target)) as partial:
        partial.write_text(text, encoding="utf-8")
