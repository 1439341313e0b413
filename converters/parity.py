"""How far a converted model is from its reference, in the units of the task.

Face size is the crop's side divided by 1.5: the longer side of the landmarks' box, by the
definition of the region that is cropped.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from atpn_mobile.backends.base import Backend
from atpn_mobile.config import DetectorConfig, TrackerConfig
from atpn_mobile.geometry import ROI_EXTENSION
from atpn_mobile.manifest import InputSpec, Layout, ModelSpec, Task
from atpn_mobile.preprocess import letterbox_tensor, to_tensor
from atpn_mobile.types import FloatArray, Frame
from converters.errors import ParityError
from training.data.packs import read_pack

DATA: Final = Path(__file__).parent / "data"
CROPS: Final = DATA / "parity_crops.npz"  # faces, cut out
FRAMES: Final = DATA / "parity_frames.npz"  # whole pictures
RANDOM_INPUTS: Final = 16
SEED: Final = 98  # of the random inputs
FACE_SIZE: Final = 1.0 / (1.0 + 2.0 * ROI_EXTENSION)  # crop units
GATE: Final = TrackerConfig().presence_threshold
SCORE_THRESHOLD: Final = DetectorConfig().score_threshold
MAX_SQNR_DB: Final = 200.0  # stands for "equal": float32 itself ends at about 150


class Network(Protocol):
    """Anything that runs like a backend of the runtime."""

    def run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Outputs by name for inputs by name, a batch of 1."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ParityInput:
    """One picture that both networks are given.

    Attributes:
        name: what it shows.
        tensor: float32, of the shape the reference takes.
        is_random: noise and no picture.
        scaled_from: pixels on a side of the crop that was scaled to the network's input; None
            where nothing was scaled.
    """

    name: str
    tensor: FloatArray
    is_random: bool = False
    scaled_from: int | None = None


@dataclass(frozen=True, slots=True)
class AlignmentParity:
    """Difference of two alignment networks.

    Attributes:
        compared: what was compared with what.
        crops: number of pictures of faces; all numbers are theirs but those named "random".
        random_inputs: number of random inputs besides.
        worst: the picture with the largest difference of a landmark.
        landmarks_max_percent: largest distance of two landmarks, % of the face size.
        landmarks_mean_percent: mean distance, % of the face size.
        landmarks_max_px: largest distance, pixels of the crop.
        landmarks_mean_px: mean distance, pixels of the crop.
        pose_max_deg: largest difference of an angle, degrees.
        pose_mean_deg: mean difference of an angle, degrees.
        presence_max: largest difference of the probability of a face; this and what else is said
            of the presence is None where the network gives none.
        presence_changed: share of the pictures whose decision at the tracker's gate is another.
        sqnr_db: signal to noise of the output that has the least of it, decibels.
        random_landmarks_max_percent: as landmarks_max_percent, on random inputs.
        random_pose_max_deg: as pose_max_deg, on random inputs.
        random_presence_max: as presence_max, on random inputs.
    """

    compared: str
    crops: int
    random_inputs: int
    worst: str
    landmarks_max_percent: float
    landmarks_mean_percent: float
    landmarks_max_px: float
    landmarks_mean_px: float
    pose_max_deg: float
    pose_mean_deg: float
    presence_max: float | None
    presence_changed: float | None
    sqnr_db: float
    random_landmarks_max_percent: float
    random_pose_max_deg: float
    random_presence_max: float | None


@dataclass(frozen=True, slots=True)
class DetectionParity:
    """Difference of two detectors.

    Attributes:
        compared: what was compared with what.
        frames: number of pictures; all numbers are theirs but those named "random".
        random_inputs: number of random inputs besides.
        worst: the picture with the largest difference of a box.
        boxes_max_percent: largest difference of a box's side, % of the input's side.
        boxes_mean_percent: mean difference of a box's side, % of the input's side.
        found_boxes_max_percent: as boxes_max_percent, of the boxes that the detector reports.
        found_changed: share of those boxes that only one of the two reports.
        scores_max: largest difference of a score.
        sqnr_db: signal to noise of the output that has the least of it, decibels.
        random_boxes_max_percent: as boxes_max_percent, on random inputs.
        random_scores_max: as scores_max, on random inputs.
    """

    compared: str
    frames: int
    random_inputs: int
    worst: str
    boxes_max_percent: float
    boxes_mean_percent: float
    found_boxes_max_percent: float
    found_changed: float
    scores_max: float
    sqnr_db: float
    random_boxes_max_percent: float
    random_scores_max: float


ParityReport: TypeAlias = AlignmentParity | DetectionParity
Outputs: TypeAlias = Mapping[str, NDArray[np.float64]]


def _alignment_limits(
    landmarks_mean_percent: float, landmarks_max_percent: float, pose_max_deg: float
) -> Mapping[str, float]:
    return MappingProxyType(
        {
            "landmarks_mean_percent": landmarks_mean_percent,
            "landmarks_max_percent": landmarks_max_percent,
            "pose_max_deg": pose_max_deg,
            "presence_changed": 0.005,
        }
    )


def _detection_limits(found_boxes_max_percent: float, scores_max: float) -> Mapping[str, float]:
    return MappingProxyType(
        {"found_boxes_max_percent": found_boxes_max_percent, "scores_max": scores_max}
    )


# By precision of the file and task: the most that a field of the report may be. Where weights or
# arithmetic have few bits, noise as input tells nothing of faces, and is measured without a limit.
LIMITS: Final[Mapping[tuple[str, Task], Mapping[str, float]]] = MappingProxyType(
    {
        ("float32", "alignment"): MappingProxyType(
            # 0.015 % of the face size is 0.01 % of the crop, a hundredth of a pixel.
            {
                "landmarks_max_percent": 0.015,
                "pose_max_deg": 0.1,
                "presence_max": 1e-3,
                "random_landmarks_max_percent": 0.015,
                "random_pose_max_deg": 0.1,
                "random_presence_max": 1e-3,
            }
        ),
        ("float16", "alignment"): MappingProxyType(
            {
                "landmarks_max_percent": 0.3,
                "pose_max_deg": 0.5,
                "presence_max": 0.01,
                "random_landmarks_max_percent": 1.0,
                "random_pose_max_deg": 2.0,
                "random_presence_max": 0.01,
            }
        ),
        ("int8_weights", "alignment"): _alignment_limits(0.2, 1.0, 2.0),
        ("palettized6", "alignment"): _alignment_limits(0.2, 1.0, 2.0),
        ("int8", "alignment"): _alignment_limits(0.5, 4.0, 8.0),
        ("palettized4", "alignment"): _alignment_limits(0.6, 4.0, 6.0),
        ("float32", "detection"): MappingProxyType(
            {
                "boxes_max_percent": 0.01,
                "scores_max": 1e-3,
                "random_boxes_max_percent": 0.01,
                "random_scores_max": 1e-3,
            }
        ),
        ("float16", "detection"): _detection_limits(0.3, 0.01),
        ("int8_weights", "detection"): _detection_limits(1.0, 0.05),
        ("palettized6", "detection"): _detection_limits(1.5, 0.05),
        ("int8", "detection"): _detection_limits(3.0, 0.2),
        ("palettized4", "detection"): _detection_limits(3.0, 0.2),
    }
)

# Baselines are exported to show what few bits cost them: only what is broken is refused. Rounding
# moves ASMNet's landmarks two to three times as far as ATPN's (measured after 17,000 crops of
# training), through half a hundred layers in a row.
BASELINE_FACTOR: Final = 4.0
_EXACT: Final = frozenset({"float32", "float16"})


def find_limits(precision: str, task: Task, *, is_baseline: bool = False) -> Mapping[str, float]:
    """The most that the fields of a report may be.

    Args:
        precision: of the file.
        task: of the network.
        is_baseline: of a network that is no part of the product: in few bits it may differ by
            ``BASELINE_FACTOR`` as much.

    Raises:
        ParityError: there are none.
    """
    limits = LIMITS.get((precision, task))
    if limits is None:
        raise ParityError(f"expected limits for {task} in {precision}, there are none")
    if not is_baseline or precision in _EXACT:
        return limits
    return {name: BASELINE_FACTOR * limit for name, limit in limits.items()}


def parity_inputs(task: Task, spec: InputSpec) -> tuple[ParityInput, ...]:
    """The pictures a model is compared on, then random inputs; the same ones every time.

    Args:
        task: decides between cut out faces, scaled to the network's input, and whole pictures.
        spec: what the reference takes.

    Raises:
        DatasetError: the pictures are missing or damaged.
    """
    samples = read_pack(CROPS if task == "alignment" else FRAMES)
    pictures = [(sample.name, sample.image.read()) for sample in samples]
    if task == "alignment":
        real = [_crop_input(name, image, spec) for name, image in pictures]
    else:
        real = [
            ParityInput(name, letterbox_tensor(image, spec, "rgb")[0]) for name, image in pictures
        ]
    rng = np.random.default_rng(SEED)
    noise = [  # whole numbers, as pixels are
        ParityInput(f"random {i}", rng.integers(0, 256, spec.shape).astype(np.float32), True)
        for i in range(RANDOM_INPUTS)
    ]
    return (*real, *noise)


def _crop_input(name: str, image: Frame, spec: InputSpec) -> ParityInput:
    tensor = to_tensor(scaled_crop(image, spec.resolution), spec, "rgb")
    side = len(image)
    return ParityInput(name, tensor, scaled_from=None if side == spec.resolution else side)


def scaled_crop(crop: Frame, resolution: int) -> Frame:
    """A square crop at another resolution, (resolution, resolution, 3); itself where it has it."""
    if len(crop) == resolution:
        return crop
    # as in the runtime's letterbox
    method = cv2.INTER_AREA if len(crop) > resolution else cv2.INTER_LINEAR
    scaled = cv2.resize(crop, (resolution, resolution), interpolation=method)
    return scaled.astype(np.uint8, copy=False)


def describe_scaling(inputs: Sequence[ParityInput], spec: InputSpec) -> str:
    """What was done to pictures that were not of the network's size; "" where nothing was."""
    sides = sorted({one.scaled_from for one in inputs if one.scaled_from is not None})
    if not sides:
        return ""
    before = " and ".join(f"{side}x{side}" for side in sides)
    return f"crops of {before} scaled to {spec.resolution}x{spec.resolution}"


def compare(
    reference: Network,
    converted: Backend,
    task: Task,
    spec: ModelSpec,
    inputs: tuple[ParityInput, ...],
    compared: str,
) -> ParityReport:
    """Run two networks on the same inputs and measure how far apart their outputs are.

    Args:
        reference: what the other one is held against.
        converted: the other one; may take another layout.
        task: decides which outputs there are and how they are measured.
        spec: input and outputs of the reference.
        inputs: of the reference's layout, NCHW.
        compared: for the report: what is compared with what.

    Raises:
        ParityError: there is nothing to compare, an output has another shape, or is not finite.
    """
    if not inputs:
        raise ParityError(f"expected pictures to compare {spec.name!r} on, got none")
    names = [output.name for output in spec.outputs]
    runs = [
        (
            reference.run({spec.input.name: one.tensor}),
            converted.run({spec.input.name: to_layout(one.tensor, converted.spec.input.layout)}),
        )
        for one in inputs
    ]
    expected = _stack([run[0] for run in runs], names)
    got = _stack([run[1] for run in runs], names)
    for name in names:
        _require_comparable(name, expected[name], got[name])
    measure = _measure_alignment if task == "alignment" else _measure_detection
    return measure(expected, got, spec.input, inputs, compared)


def require_parity(report: ParityReport, limits: Mapping[str, float]) -> None:
    """Check a report against limits.

    Args:
        report: what was measured.
        limits: field of the report -> the most it may be; nothing is asked of an output that the
            network does not have.

    Raises:
        ParityError: a limit is exceeded.
    """
    values = dataclasses.asdict(report)
    broken = [
        f"{name} {values[name]:.3g} (at most {limit:g})"
        for name, limit in limits.items()
        if values[name] is not None and not values[name] <= limit  # so that NaN is broken too
    ]
    if broken:
        raise ParityError(
            f"expected agreement of {report.compared}, got {', '.join(broken)}; worst input: "
            f"{report.worst}"
        )


def to_layout(tensor: FloatArray, layout: Layout) -> FloatArray:
    """An input of the reference, NCHW, in the layout of a converted model."""
    if layout == "NCHW":
        return tensor
    return np.ascontiguousarray(tensor.transpose(0, 2, 3, 1))


def _stack(runs: list[dict[str, FloatArray]], names: list[str]) -> Outputs:
    try:
        return {name: np.concatenate([run[name] for run in runs]).astype(float) for name in names}
    except (KeyError, ValueError) as error:
        raise ParityError(f"expected outputs {names} of one shape each: {error}") from error


def _require_comparable(name: str, expected: NDArray[np.float64], got: NDArray[np.float64]) -> None:
    if expected.shape != got.shape:
        raise ParityError(f"expected {name} of shape {expected.shape}, got {got.shape}")
    for who, values in (("the reference", expected), ("the converted model", got)):
        wrong = int((~np.isfinite(values)).sum())
        if wrong:
            raise ParityError(f"expected finite numbers as {name} of {who}, {wrong} are not")


def _measure_alignment(
    expected: Outputs,
    got: Outputs,
    spec: InputSpec,
    inputs: tuple[ParityInput, ...],
    compared: str,
) -> AlignmentParity:
    distances = np.linalg.norm(got["landmarks"] - expected["landmarks"], axis=2)  # crop units
    turn = np.abs(got["pose"] - expected["pose"]) % math.tau
    angles = np.degrees(np.minimum(turn, math.tau - turn))  # -179 and 179 are 2 apart
    noise = np.array([one.is_random for one in inputs])
    real = ~noise
    return AlignmentParity(
        compared=compared,
        crops=int(real.sum()),
        random_inputs=int(noise.sum()),
        worst=_worst(inputs, distances.max(axis=1), real),
        landmarks_max_percent=100.0 * _largest(distances[real]) / FACE_SIZE,
        landmarks_mean_percent=100.0 * _mean(distances[real]) / FACE_SIZE,
        landmarks_max_px=_largest(distances[real]) * spec.resolution,
        landmarks_mean_px=_mean(distances[real]) * spec.resolution,
        pose_max_deg=_largest(angles[real]),
        pose_mean_deg=_mean(angles[real]),
        sqnr_db=_lowest_sqnr(expected, got, real),
        random_landmarks_max_percent=100.0 * _largest(distances[noise]) / FACE_SIZE,
        random_pose_max_deg=_largest(angles[noise]),
        **_measure_presence(expected, got, noise),
    )


def _measure_presence(
    expected: Outputs, got: Outputs, noise: NDArray[np.bool_]
) -> dict[str, float | None]:
    if "presence" not in expected:
        return dict.fromkeys(("presence_max", "presence_changed", "random_presence_max"))
    difference = np.abs(got["presence"] - expected["presence"])
    decisions = [values["presence"] >= GATE for values in (expected, got)]
    return {
        "presence_max": _largest(difference[~noise]),
        "presence_changed": _mean((decisions[0] != decisions[1])[~noise]),
        "random_presence_max": _largest(difference[noise]),
    }


def _measure_detection(
    expected: Outputs,
    got: Outputs,
    spec: InputSpec,
    inputs: tuple[ParityInput, ...],
    compared: str,
) -> DetectionParity:
    sides = np.abs(got["boxes"] - expected["boxes"])  # 0..1 of the input
    scores = np.abs(got["scores"] - expected["scores"])
    noise = np.array([one.is_random for one in inputs])
    real = ~noise
    found = [values["scores"][real] >= SCORE_THRESHOLD for values in (expected, got)]
    either = found[0] | found[1]
    return DetectionParity(
        compared=compared,
        frames=int(real.sum()),
        random_inputs=int(noise.sum()),
        worst=_worst(inputs, sides.max(axis=(1, 2)), real),
        boxes_max_percent=100.0 * _largest(sides[real]),
        boxes_mean_percent=100.0 * _mean(sides[real]),
        found_boxes_max_percent=100.0 * _largest(sides[real][either]),
        found_changed=_mean((found[0] != found[1])[either]),
        scores_max=_largest(scores[real]),
        sqnr_db=_lowest_sqnr(expected, got, real),
        random_boxes_max_percent=100.0 * _largest(sides[noise]),
        random_scores_max=_largest(scores[noise]),
    )


def _largest(values: NDArray[Any]) -> float:
    return float(values.max(initial=0.0))


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if values.size else 0.0


def _worst(inputs: tuple[ParityInput, ...], difference: NDArray[Any], real: NDArray[Any]) -> str:
    chosen = real if real.any() else ~real
    return inputs[int(np.where(chosen, difference, -1.0).argmax())].name


def _lowest_sqnr(expected: Outputs, got: Outputs, real: NDArray[Any]) -> float:
    """10 log10 of signal power over noise power on pictures, of the output where it is lowest."""
    ratios = []
    for name, values in expected.items():
        signal = np.square(values[real]).sum()
        noise = np.square(got[name] - values)[real].sum()
        ratios.append(10.0 * math.log10(signal / noise) if signal > 0.0 < noise else MAX_SQNR_DB)
    return min(*ratios, MAX_SQNR_DB)
