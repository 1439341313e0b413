"""Stand-ins for the networks, and the golden vectors: to test apps and ports with.

Nothing here needs an engine or a model file.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from atpn_mobile.backends.base import check_inputs, check_outputs
from atpn_mobile.config import TrackerConfig
from atpn_mobile.errors import AtpnError
from atpn_mobile.landmarks import NUM_LANDMARKS
from atpn_mobile.manifest import InputSpec, ModelSpec, OutputSpec
from atpn_mobile.tracker import FaceTracker
from atpn_mobile.types import Detection, FloatArray, Frame, Roi, TrackResult

Tensors = Mapping[str, FloatArray]

FAKE_SPEC: Final = ModelSpec(
    name="fake",
    input=InputSpec("image", (1, 3, 112, 112), "NCHW"),
    outputs=(
        OutputSpec("landmarks", (1, NUM_LANDMARKS, 2)),
        OutputSpec("pose", (1, 3)),
        OutputSpec("presence", (1, 1)),
    ),
)

STAGES: Final = (
    "association_sequence",
    "crop_pixels",
    "crop_transform",
    "decode",
    "detections",
    "end_to_end",
    "euler",
    "gate_sequence",
    "letterbox",
    "one_euro_sequence",
    "roi_from_landmarks",
    "rotation_filter_sequence",
    "steady_roi",
    "tiles",
    "tracker_sequence",
    "upright_rotation",
    "views",
)


class GoldenError(AtpnError):
    """Golden vectors are missing, of an unknown stage, or not in their format."""


class FakeBackend:
    """A backend with a script instead of a network.

    Attributes:
        calls: the inputs of every run so far.
        closed: whether it was closed.
    """

    def __init__(
        self, script: Sequence[Tensors] | Callable[[Tensors], Tensors], spec: ModelSpec = FAKE_SPEC
    ) -> None:
        """Prepare the outputs.

        Args:
            script: the outputs of one run after the other, the last one for ever after; or a
                function of the inputs.
            spec: what it claims to take and give; runs are checked against it.
        """
        self._script = script
        self._spec = spec
        self.calls: list[Tensors] = []
        self.closed = False

    @property
    def name(self) -> str:
        """The engine: "fake"."""
        return "fake"

    @property
    def spec(self) -> ModelSpec:
        """What it claims to take and give."""
        return self._spec

    def run(self, inputs: Tensors) -> dict[str, FloatArray]:
        """The next outputs of the script.

        Raises:
            ModelMismatchError: inputs or outputs are not those of ``spec``.
            AtpnError: it is closed.
        """
        if self.closed:
            raise AtpnError("expected an open backend, this one was closed")
        check_inputs(self._spec, inputs)
        script, index = self._script, len(self.calls)
        self.calls.append(dict(inputs))
        outputs = script(inputs) if callable(script) else script[min(index, len(script) - 1)]
        check_outputs(self._spec, outputs)
        return {name: array.copy() for name, array in outputs.items()}

    def close(self) -> None:
        """Refuse further runs; a second call does nothing."""
        self.closed = True


class FakeDetector:
    """A detector with a script: the detections of one call after the other, the last for ever.

    Attributes:
        calls: number of calls so far.
    """

    def __init__(self, script: Sequence[Sequence[Detection]]) -> None:
        """Prepare the detections."""
        self._script = script
        self.calls = 0

    def detect(self, frame: Frame) -> tuple[Detection, ...]:
        """The next detections of the script; the frame is not looked at."""
        detections = self._script[min(self.calls, len(self._script) - 1)]
        self.calls += 1
        return tuple(detections)


def fake_face(
    *,
    center: tuple[float, float] = (0.5, 0.5),
    size: float = 2.0 / 3.0,
    pose: tuple[float, float, float] = (0.0, 0.0, 0.0),
    presence: float = 1.0,
) -> dict[str, FloatArray]:
    """Outputs of the alignment network for a face whose landmarks stand on a circle.

    Args:
        center: of the face, crop units.
        size: of the face, crop units; the default is that of a well-centred face: the region of its
            landmarks is the region it was seen in.
        pose: yaw, pitch, roll, radians.
        presence: 0..1.
    """
    # Four points at the extremes, so that the box of the landmarks is exactly ``size`` wide.
    corners = np.array([0.0, 0.25, 0.5, 0.75])
    turns = np.concatenate([corners, np.linspace(0.0, 1.0, NUM_LANDMARKS - len(corners))])
    circle = np.stack([np.cos(2.0 * math.pi * turns), np.sin(2.0 * math.pi * turns)], axis=1)
    return {
        "landmarks": (np.array(center) + circle * size / 2.0)[np.newaxis].astype(np.float32),
        "pose": np.array([pose], dtype=np.float32),
        "presence": np.array([[presence]], dtype=np.float32),
    }


@dataclass(frozen=True, slots=True)
class WorldFace:
    """A face of a world without pictures: a circle.

    Attributes:
        x: centre, frame pixels.
        y: centre, frame pixels.
        size: diameter, frame pixels.
        presence: what the network says of it, 0..1.
    """

    x: float
    y: float
    size: float
    presence: float = 1.0


class _WorldDetector:
    """Finds every face of a world, the largest first."""

    def __init__(self) -> None:
        self.faces: Sequence[WorldFace] = ()

    def detect(self, frame: Frame) -> tuple[Detection, ...]:
        boxes = [
            (one.x - one.size / 2, one.y - one.size / 2, one.x + one.size / 2, one.y + one.size / 2)
            for one in sorted(self.faces, key=lambda face: -face.size)
        ]
        return tuple(Detection(box, 0.9) for box in boxes)


class WorldTracker(FaceTracker):
    """The tracker in a world of circles instead of pictures: its logic alone.

    The network sees the face whose centre is in the region, edges included, and of several the one
    nearest to the region's middle, of equally near ones the first; its landmarks are those of
    ``fake_face``. Where there is none, it gives ``fake_face(presence=0.0)``. The detector finds
    every face, the largest first. Regions that are turned, and mirrored crops, are not part of
    this world.
    """

    WIDTH: Final = 640  # of the frames
    HEIGHT: Final = 480

    def __init__(self, config: TrackerConfig | None = None) -> None:
        """Start without a face."""
        self._world = _WorldDetector()
        super().__init__(FakeBackend([fake_face()]), config, detector=self._world)

    def track_world(
        self, faces: Sequence[WorldFace], timestamp_s: float | None = None
    ) -> TrackResult:
        """Follow the faces into the next frame, see ``FaceTracker.track``."""
        self._world.faces = faces
        return self.track(np.zeros((self.HEIGHT, self.WIDTH, 3), np.uint8), timestamp_s)

    def _run(self, picture: Frame, roi: Roi, mirrored: bool, clock: object) -> Tensors:
        reach = roi.size / 2.0
        near = [
            (math.hypot(one.x - roi.center_x, one.y - roi.center_y), index)
            for index, one in enumerate(self._world.faces)
            if abs(one.x - roi.center_x) <= reach and abs(one.y - roi.center_y) <= reach
        ]
        if not near:
            return fake_face(presence=0.0)
        face = self._world.faces[min(near)[1]]
        return fake_face(
            center=(
                (face.x - roi.center_x) / roi.size + 0.5,
                (face.y - roi.center_y) / roi.size + 0.5,
            ),
            size=face.size / roi.size,
            presence=face.presence,
        )


@dataclass(frozen=True, slots=True)
class GoldenCase:
    """One golden vector.

    Attributes:
        stage: one of ``STAGES``.
        name: of the case.
        inputs: what the stage is given.
        expected: what it must give.
        tolerance: largest absolute difference, by field of ``expected``.
    """

    stage: str
    name: str
    inputs: Mapping[str, object]
    expected: Mapping[str, object]
    tolerance: Mapping[str, float]


def load_golden(path: Path | str) -> tuple[GoldenCase, ...]:
    """Read golden vectors: ``<stage>/<case>.json`` with ``inputs``, ``expected``, ``tolerance``.

    Args:
        path: the folder of the stages, or the folder of one stage.

    Returns:
        The cases, sorted by stage and name.

    Raises:
        GoldenError: no case, a stage that is not known, or a file that is not in the format.
    """
    root = Path(path)
    folders = [root] if root.name in STAGES else sorted(p for p in root.glob("*") if p.is_dir())
    unknown = [folder.name for folder in folders if folder.name not in STAGES]
    if unknown:
        raise GoldenError(f"expected stages out of {list(STAGES)} in {root}, got {unknown}")
    cases = []
    for folder in folders:
        files = sorted(folder.glob("*.json"))
        if not files:
            raise GoldenError(f"expected golden cases in {folder}, found none")
        cases += [_read_case(file) for file in files]
    if not cases:
        raise GoldenError(f"expected golden cases in {root}, found none")
    return tuple(cases)


def _read_case(file: Path) -> GoldenCase:
    wanted = ("inputs", "expected", "tolerance")
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GoldenError(f"expected JSON in {file}, it cannot be read: {error}") from error
    if not isinstance(document, dict) or sorted(document) != sorted(wanted):
        raise GoldenError(f"expected the fields {wanted} in {file}, got {document!r:.80}")
    if not all(isinstance(document[field], dict) for field in wanted):
        raise GoldenError(f"expected an object in each of the fields {wanted} of {file}")
    return GoldenCase(file.parent.name, file.stem, **document)
