"""The protocols by name, and how one is run when its data may be missing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from training.data.sample import DatasetError
from training.protocols.conditions import evaluate_conditions
from training.protocols.head_pose import evaluate_300w_lp, evaluate_aflw2000
from training.protocols.packs import evaluate_pack_rows
from training.protocols.pointing04 import evaluate_pointing04
from training.protocols.predictor import Predictor
from training.protocols.presence import evaluate_presence
from training.protocols.published import published
from training.protocols.results import ProtocolResult, Row
from training.protocols.vw300 import evaluate_300vw
from training.protocols.w300 import evaluate_300w
from training.protocols.wflw import evaluate_wflw
from training.protocols.wider import evaluate_wider

Run = Callable[[Predictor, Path, Path | None], ProtocolResult]

ALL: Final = "all"
PACKS_FOLDER: Final = "."


@dataclass(frozen=True, slots=True)
class EvaluationProtocol:
    """A way to measure a network.

    Attributes:
        name: as on the command line.
        summary: what it is.
        folder: where its data lie in the folder that "all" is given.
        run: measures: network, data, weights of the detector or None.
    """

    name: str
    summary: str
    folder: str
    run: Run


@dataclass(frozen=True, slots=True, eq=False)
class ProtocolReport:
    """What became of a protocol.

    Attributes:
        protocol: its name.
        summary: what it is.
        network: the name of the network.
        result: rows, curves and notes; where it was not run, rows without a value.
        not_run: why it was not run, "" if it was.
    """

    protocol: str
    summary: str
    network: str
    result: ProtocolResult
    not_run: str = ""


def _alone(run: Callable[[Predictor, Path], ProtocolResult]) -> Run:
    """A protocol that has no use for a detector."""
    return lambda predictor, data, _: run(predictor, data)


_ALL_PROTOCOLS: Final = (
    EvaluationProtocol(
        "wflw", "WFLW test and its six subsets, 98 points", "WFLW", _alone(evaluate_wflw)
    ),
    EvaluationProtocol(
        "300w", "300W common, challenging and full, 68 points", "300W", _alone(evaluate_300w)
    ),
    EvaluationProtocol(
        "300vw", "300VW categories A, B, C: detection and tracking", "300VW", evaluate_300vw
    ),
    EvaluationProtocol(
        "wider", "WIDER FACE val, presence as a classifier", "WIDER", _alone(evaluate_wider)
    ),
    EvaluationProtocol("aflw2000", "AFLW2000-3D, head pose", "AFLW2000", _alone(evaluate_aflw2000)),
    EvaluationProtocol(
        "300w-lp", "300W-LP test parts, head pose", "300W-LP", _alone(evaluate_300w_lp)
    ),
    EvaluationProtocol("pointing04", "Pointing'04, head pose", PACKS_FOLDER, evaluate_pointing04),
    EvaluationProtocol("packs", "the packs' val parts", PACKS_FOLDER, _alone(evaluate_pack_rows)),
    EvaluationProtocol(
        "presence",
        "presence on the packs: gate, calibration",
        PACKS_FOLDER,
        _alone(evaluate_presence),
    ),
    EvaluationProtocol(
        "conditions",
        "errors on the packs by source, pose and light",
        PACKS_FOLDER,
        _alone(evaluate_conditions),
    ),
)
PROTOCOLS: Final[Mapping[str, EvaluationProtocol]] = MappingProxyType(
    {protocol.name: protocol for protocol in _ALL_PROTOCOLS}
)


def run_protocol(
    protocol: EvaluationProtocol, predictor: Predictor, data: Path, detector: Path | None
) -> ProtocolReport:
    """Measure, or say why not.

    Args:
        protocol: what to run.
        predictor: the network.
        data: of this protocol.
        detector: weights of the detector, None for none.

    Returns:
        the report; with ``not_run`` where data, or an output of the network, is missing.
    """
    try:
        result = protocol.run(predictor, data, detector)
    except DatasetError as error:
        rows = _empty_rows(protocol.name)
        return ProtocolReport(
            protocol.name, protocol.summary, predictor.name, ProtocolResult(rows), str(error)
        )
    return ProtocolReport(protocol.name, protocol.summary, predictor.name, result)


def _empty_rows(protocol: str) -> tuple[Row, ...]:
    """A row for each published number, so that it is seen what ours would stand beside."""
    keys = dict.fromkeys((entry.subset, entry.measure) for entry in published(protocol))
    if not keys:
        return (Row(ALL, "result", "", None),)
    return tuple(Row(subset, measure, "", None) for subset, measure in keys)
