"""The shipped models on rendered clips whose landmarks and rotations are exactly known.

The bounds are far above what the networks reach: they tell a working tracker from a broken one.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from atpn_mobile import FaceTracker, TrackerConfig, TrackResult
from atpn_mobile.backends import available_backends
from atpn_mobile.geometry import euler_from_rotation
from atpn_mobile.landmarks import LEFT_EYE_OUTER_CORNER, RIGHT_EYE_OUTER_CORNER
from atpn_mobile.manifest import load_manifest

ROOT = Path(__file__).parents[2]
CLIPS = ROOT / "assets" / "clips"
FPS = 25.0

MAX_NME_PERCENT = 8.0  # mean, % of the outer-eye-corner distance
MAX_POSE_DEG = 6.0  # mean, each angle
FRAMES_TO_RECOVER = 2  # after a face has come fully back into the picture
MAX_ENGINE_DIFFERENCE_PX = 0.1  # of any landmark in any frame, between engines in float32
MIN_TRACKED = 0.97  # share of the frames in which a face is fully in view


@dataclass(frozen=True, eq=False)
class Run:
    """What the tracker gave for a clip, and what is true.

    Attributes:
        results: per frame.
        landmarks: (frames, people, 98, 2) frame pixels, NaN while a person is away.
        rotation: (frames, people, 3, 3).
        in_view: (frames, people) all landmarks are in the picture.
        gone: (frames, people) no landmark is in the picture. In between, a head is cut by the
            picture's edge: whether it still is a face is nobody's to say.
    """

    results: list[TrackResult]
    landmarks: NDArray[np.float32]
    rotation: NDArray[np.float32]
    in_view: NDArray[np.bool_]
    gone: NDArray[np.bool_]


def runnable() -> list[tuple[str, str]]:
    """Engine and precision of every shipped file that an installed engine can run."""
    installed = available_backends()
    models = load_manifest().models
    kinds = [{(file.runtime, file.precision) for file in model.artifacts} for model in models]
    return sorted(kind for kind in set.intersection(*kinds) if kind[0] in installed)


def run(clip: str, max_faces: int, kind: tuple[str, str], models_dir: Path | None = None) -> Run:
    """Track a clip on an engine, in a precision."""
    engine, precision = kind
    with np.load(CLIPS / f"{clip}.npz", allow_pickle=False) as labels:
        landmarks, rotation, fps = labels["landmarks"], labels["rotation"], labels["fps"]
    assert float(fps) == FPS
    capture = cv2.VideoCapture(str(CLIPS / f"{clip}.mp4"))
    results = []
    size = (0, 0)
    config = TrackerConfig(color="bgr", max_faces=max_faces, precision=precision)
    with FaceTracker(backend=engine, config=config, models_dir=models_dir) as tracker:
        assert tracker.backend_name == engine
        while True:
            read, frame = capture.read()
            if not read:
                break
            size = (frame.shape[1], frame.shape[0])
            results.append(tracker.track(frame, len(results) / FPS))
    capture.release()
    assert len(results) == len(landmarks)
    inside = ((landmarks >= 0) & (landmarks <= np.array(size) - 1)).all(axis=3)  # NaN is outside
    return Run(results, landmarks, rotation, inside.all(axis=2), ~inside.any(axis=2))


def nme_percent(landmarks: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """Mean distance in % of the distance between the outer corners of the eyes."""
    eyes = np.linalg.norm(truth[RIGHT_EYE_OUTER_CORNER] - truth[LEFT_EYE_OUTER_CORNER])
    return 100.0 * float(np.linalg.norm(landmarks - truth, axis=1).mean() / eyes)


def pose_errors_deg(face, rotation: NDArray[np.float32]) -> list[float]:
    """Absolute differences of yaw, pitch and roll."""
    truth = np.degrees(euler_from_rotation(rotation))
    return list(np.abs([face.pose.yaw_deg, face.pose.pitch_deg, face.pose.roll_deg] - truth))


@pytest.fixture(scope="module", params=runnable(), ids=" ".join)
def shipped(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Engine and precision."""
    found: tuple[str, str] = request.param
    return found


@pytest.fixture(scope="module")
def solo(shipped: tuple[str, str]) -> Run:
    """One head that turns, speaks, leaves the picture to the right and comes back."""
    return run("synthetic_solo", 1, shipped)


@pytest.fixture(scope="module")
def pair(shipped: tuple[str, str]) -> Run:
    """Two heads side by side, all the time."""
    return run("synthetic_pair", 2, shipped)


class TestSolo:
    def test_the_clip_is_as_described(self, solo: Run) -> None:
        seen = solo.in_view[:, 0]
        changes = np.flatnonzero(np.diff(seen.astype(int)))
        assert seen[0]
        assert seen[-1]
        assert len(changes) == 2  # it leaves once and comes back once
        assert solo.gone[:, 0].sum() > 30

    def test_is_tracked_while_it_is_in_view(self, solo: Run) -> None:
        found = np.array([len(result.faces) == 1 for result in solo.results])
        assert found[solo.in_view[:, 0]].mean() >= MIN_TRACKED

    def test_no_face_while_it_is_gone(self, solo: Run) -> None:
        gone = np.flatnonzero(solo.gone[:, 0])
        assert {int(i): len(solo.results[i].faces) for i in gone if solo.results[i].faces} == {}

    def test_is_tracked_soon_after_its_return(self, solo: Run) -> None:
        (back,) = np.flatnonzero(np.diff(solo.in_view[:, 0].astype(int)) == 1) + 1
        assert len(solo.results[back + FRAMES_TO_RECOVER].faces) == 1

    def test_one_detection_while_it_stays(self, solo: Run) -> None:
        leaves = int(np.flatnonzero(~solo.in_view[:, 0])[0])
        first = solo.results[:leaves]
        assert [index for index, result in enumerate(first) if result.detector_ran] == [0]
        assert {face.track_id for result in first for face in result.faces} == {0}
        sources = [face.source for result in first for face in result.faces]
        assert sources == ["detected"] + ["tracked"] * (leaves - 1)

    @pytest.mark.parametrize("kind", ["landmarks", "raw_landmarks"])
    def test_landmarks(self, solo: Run, kind: str) -> None:
        errors = [
            nme_percent(getattr(face, kind), truth)
            for result, (truth,), (seen,) in zip(
                solo.results, solo.landmarks, solo.in_view, strict=True
            )
            for face in result.faces
            if seen
        ]
        assert np.mean(errors) < MAX_NME_PERCENT

    def test_head_pose(self, solo: Run) -> None:
        errors = [
            pose_errors_deg(face, truth)
            for result, (truth,), (seen,) in zip(
                solo.results, solo.rotation, solo.in_view, strict=True
            )
            for face in result.faces
            if seen
        ]
        assert (np.mean(errors, axis=0) < MAX_POSE_DEG).all()


def nearest_person(face, landmarks: NDArray[np.float32]) -> int:
    """Which of (people, 98, 2) a face lies on."""
    centers = landmarks.mean(axis=1)
    return int(np.linalg.norm(centers - face.landmarks.mean(axis=0), axis=1).argmin())


class TestPair:
    def test_both_are_in_view_all_the_time(self, pair: Run) -> None:
        assert pair.in_view.shape[1] == 2
        assert pair.in_view.all()

    def test_both_are_tracked(self, pair: Run) -> None:
        counts = np.array([len(result.faces) for result in pair.results])
        assert (counts == 2).mean() >= MIN_TRACKED

    def test_each_keeps_its_number(self, pair: Run) -> None:
        seen = {
            (face.track_id, nearest_person(face, landmarks))
            for result, landmarks in zip(pair.results, pair.landmarks, strict=True)
            for face in result.faces
        }
        assert len(seen) == 2  # one number per person
        assert {track for track, _ in seen} == {0, 1}
        assert {person for _, person in seen} == {0, 1}

    def test_landmarks_of_both(self, pair: Run) -> None:
        errors: dict[int, list[float]] = {0: [], 1: []}
        for result, landmarks in zip(pair.results, pair.landmarks, strict=True):
            for face in result.faces:
                person = nearest_person(face, landmarks)
                errors[person].append(nme_percent(face.landmarks, landmarks[person]))
        assert {person: np.mean(each) < MAX_NME_PERCENT for person, each in errors.items()} == {
            0: True,
            1: True,
        }

    def test_head_pose_of_both(self, pair: Run) -> None:
        errors: dict[int, list[list[float]]] = {0: [], 1: []}
        for result, landmarks, rotation in zip(
            pair.results, pair.landmarks, pair.rotation, strict=True
        ):
            for face in result.faces:
                person = nearest_person(face, landmarks)
                errors[person].append(pose_errors_deg(face, rotation[person]))
        for each in errors.values():
            assert (np.mean(each, axis=0) < MAX_POSE_DEG).all()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both networks in float32 for both engines, as the converters make them."""
    pytest.importorskip("tensorflow", reason="expected tensorflow to convert to TFLite")
    pytest.importorskip("ai_edge_litert", reason="expected LiteRT to run TFLite files")
    from converters.cli import main

    folder = tmp_path_factory.mktemp("exported")
    command = ["export", "--all", "--precision", "float32", "--out", str(folder)]
    for engine in ("onnx", "tflite"):
        assert main([*command, "--to", engine, "--weights-dir", str(ROOT / "models")]) == 0
    return folder


@pytest.mark.parametrize(("clip", "max_faces"), [("synthetic_solo", 1), ("synthetic_pair", 2)])
def test_engines_agree_over_a_whole_clip(exported: Path, clip: str, max_faces: int) -> None:
    # A region is cut by the landmarks of the frame before: small differences could add up.
    first, second = (
        run(clip, max_faces, (engine, "float32"), exported).results for engine in ("onnx", "tflite")
    )
    furthest = 0.0
    for one, other in zip(first, second, strict=True):
        assert [face.track_id for face in one.faces] == [face.track_id for face in other.faces]
        for face, twin in zip(one.faces, other.faces, strict=True):
            distance = np.linalg.norm(face.raw_landmarks - twin.raw_landmarks, axis=1)
            furthest = max(furthest, float(distance.max()))
    assert 0.0 < furthest < MAX_ENGINE_DIFFERENCE_PX
