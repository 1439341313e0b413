"""Write the golden vectors, tests/golden: what every port of the runtime has to give.

    python scripts/make_golden.py [--check]

Each file is one case: ``inputs``, ``expected``, and by field of ``expected`` the ``tolerance``, the
largest absolute difference. tests/golden/README.md describes the stages. With ``--check`` nothing
is written; the exit status tells whether the files are what the runtime gives now.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from atpn_mobile import (  # noqa: E402
    DetectorConfig,
    FaceTracker,
    Roi,
    SmoothingConfig,
    TrackerConfig,
    association,
    decode,
    geometry,
    preprocess,
    smoothing,
)
from atpn_mobile.detector import tiles_of  # noqa: E402
from atpn_mobile.gate import passes_gate  # noqa: E402
from atpn_mobile.manifest import load_manifest  # noqa: E402
from atpn_mobile.testing import WorldFace, WorldTracker  # noqa: E402

GOLDEN = ROOT / "tests" / "golden"
CLIP = "assets/clips/synthetic_solo.mp4"
CLIP_FRAMES = 40
SIGNIFICANT_DIGITS = 9
SHOWN_POINTS = (0, 33, 54, 60, 72, 96)  # of the landmarks of a sequence

Case = tuple[str, str, Mapping[str, Any], Mapping[str, Any], Mapping[str, float]]
Box = association.Box


def as_box(values: Any) -> Box:  # noqa: ANN401 - four numbers
    """A box of plain numbers."""
    left, top, right, bottom = (float(value) for value in values)
    return left, top, right, bottom


def roi_fields(roi: Roi) -> dict[str, float]:
    """A region as JSON holds it."""
    return {
        "center_x": roi.center_x,
        "center_y": roi.center_y,
        "size": roi.size,
        "rotation_rad": roi.rotation_rad,
    }


ROIS = {
    "plain": Roi(320.25, 211.5, 180.0),
    "turned": Roi(50.0, 61.5, 97.3, 0.4),
    "beyond_the_frame": Roi(-12.0, 470.75, 260.0, -1.2),
    "quarter_turn": Roi(100.0, 80.0, 64.0, geometry.upright_rotation(90)),
}


def regions() -> Iterator[Case]:
    """roi_from_landmarks, steady_roi, crop_transform, upright_rotation, tiles."""
    rng = np.random.default_rng(1)
    for name, shape in (("wide", (300.0, 90.0)), ("tall", (40.0, 55.0)), ("tiny", (1.5, 2.0))):
        points = (rng.random((98, 2)) * shape + (20.0, -15.0)).astype(np.float32)
        for extension in (0.25, 0.6):
            roi = geometry.roi_from_landmarks(points, extension)
            inputs = {"landmarks": points, "extension": extension}
            yield (
                "roi_from_landmarks",
                f"{name}_{extension}",
                inputs,
                roi_fields(roi),
                {"center_x": 1e-4, "center_y": 1e-4, "size": 1e-4, "rotation_rad": 0.0},
            )
    for name, step in (("rest", 0.004), ("drift", 0.02), ("run", 0.2)):
        current = Roi(200.0, 150.0, 120.0)
        targets, expected = [], []
        for index in range(25):
            moved = rng.normal(0.0, step, 3) + (step * 0.5 * index if name != "rest" else 0.0)
            target = Roi(
                200.0 + 120.0 * float(moved[0]),
                150.0 + 120.0 * float(moved[1]),
                120.0 * float(np.exp(moved[2])),
            )
            current = geometry.steady_roi(current, target)
            targets.append(roi_fields(target))
            expected.append(roi_fields(current))
        yield (
            "steady_roi",
            name,
            {"start": roi_fields(Roi(200.0, 150.0, 120.0)), "targets": targets},
            {"rois": expected},
            {"rois": 1e-6},
        )
    for name, roi in ROIS.items():
        yield (
            "steady_roi",
            f"on_grid_{name}",
            {"roi": roi_fields(roi)},
            {"on_grid": roi_fields(geometry.on_grid(roi))},
            {"on_grid": 1e-6},
        )
        crop = np.array([[0.0, 0.0], [1.0, 1.0], [0.5, 0.5], [0.2, 0.9], [-0.3, 1.4]], np.float32)
        frame = geometry.landmarks_to_frame(crop, roi)
        yield (
            "crop_transform",
            name,
            {"roi": roi_fields(roi), "resolution": 112, "crop_points": crop, "frame_points": frame},
            {
                "crop_to_frame": geometry.crop_to_frame_matrix(roi, 112),
                "to_frame": frame,
                "to_crop": geometry.landmarks_to_crop(frame, roi),
            },
            {"crop_to_frame": 1e-6, "to_frame": 1e-3, "to_crop": 1e-5},
        )
    for rotation_deg in (0, 90, 180, 270):
        yield (
            "upright_rotation",
            str(rotation_deg),
            {"rotation_deg": rotation_deg},
            {"rotation_rad": geometry.upright_rotation(rotation_deg)},
            {"rotation_rad": 1e-9},
        )
    sizes = ((640, 480, 2), (1920, 1080, 3), (100, 700, 2), (1, 1, 1), (70, 50, 2))  # 1: too small
    for width, height, count in sizes:
        yield (
            "tiles",
            f"{width}x{height}_{count}",
            {"width": width, "height": height, "count": count},
            {"tiles": [list(tile) for tile in tiles_of(width, height, count)]},
            {"tiles": 0.0},
        )


def pixels() -> Iterator[Case]:
    """crop_pixels, letterbox."""
    rng = np.random.default_rng(2)
    noise = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    picture = cv2.GaussianBlur(noise, (0, 0), 1.5).astype(np.uint8, copy=False)
    for name, roi in {
        "enlarged": Roi(15.0, 12.0, 9.0),
        "turned": Roi(14.5, 11.0, 16.0, 0.5),
        "beyond_the_frame": Roi(2.0, 20.0, 18.0, -0.3),
        "quarter_turn": Roi(15.5, 11.5, 20.0, geometry.upright_rotation(270)),
    }.items():
        for mirrored in (False, True):
            crop = geometry.crop_frame(picture, roi, 16)
            expected = crop[:, ::-1] if mirrored else crop
            yield (
                "crop_pixels",
                f"{name}{'_mirrored' * mirrored}",
                {
                    "frame": picture,
                    "roi": roi_fields(roi),
                    "resolution": 16,
                    "mirrored": mirrored,
                },
                {"crop": expected},
                {"crop": 3.0},  # OpenCV interpolates with 32 steps between two pixels
            )
    # 512x254 and 512x250: halves are rounded to even
    sizes = ((640, 480), (480, 640), (100, 100), (4000, 17), (33, 34), (512, 254), (512, 250))
    for width, height in sizes:
        square, roi = preprocess.letterbox(np.full((height, width), 255, np.uint8), 256)
        rows, columns = np.flatnonzero(square.any(axis=1)), np.flatnonzero(square.any(axis=0))
        yield (
            "letterbox",
            f"{width}x{height}",
            {"width": width, "height": height, "resolution": 256},
            {
                "box": [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1],
                "roi": roi_fields(roi),
            },
            {"box": 0.0, "roi": 1e-9},
        )


def outputs() -> Iterator[Case]:
    """decode, views, detections, euler."""
    rng = np.random.default_rng(3)

    def random_outputs() -> dict[str, Any]:
        return {
            "landmarks": rng.random((1, 98, 2)).astype(np.float32),
            "pose": rng.uniform(-1.0, 1.0, (1, 3)).astype(np.float32),
            "presence": rng.random((1, 1)).astype(np.float32),
        }

    for name, roi in ROIS.items():
        for mirrored in (False, True):
            given = random_outputs()
            found = decode.decode_alignment(given, roi, mirrored=mirrored)
            assert found is not None
            yield (
                "decode",
                f"{name}{'_mirrored' * mirrored}",
                {"outputs": given, "roi": roi_fields(roi), "mirrored": mirrored},
                {
                    "landmarks": found.landmarks,
                    "rotation": found.pose.rotation,
                    "presence": found.presence,
                },
                {"landmarks": 1e-3, "rotation": 1e-5, "presence": 1e-6},
            )
    plain, mirrored_view = random_outputs(), random_outputs()
    yield (
        "views",
        "average",
        {"plain": plain, "mirrored": mirrored_view},
        dict(decode.average_views(plain, mirrored_view)),
        {"landmarks": 1e-5, "pose": 1e-5, "presence": 1e-6},
    )
    corners = rng.random((60, 2)) * 0.7
    boxes = np.concatenate([corners, corners + rng.uniform(0.1, 0.3, (60, 2))], axis=1)
    given = {
        "boxes": boxes[np.newaxis].astype(np.float32),
        "scores": rng.random((1, 60)).astype(np.float32),
    }
    for name, config in {
        "usual": DetectorConfig(),
        "strict": DetectorConfig(score_threshold=0.8, iou_threshold=0.1, max_detections=4),
    }.items():
        for place, roi in (("plain", ROIS["plain"]), ("quarter_turn", ROIS["quarter_turn"])):
            detections = decode.decode_detections(given, roi, config)
            yield (
                "detections",
                f"{name}_{place}",
                {
                    "outputs": given,
                    "roi": roi_fields(roi),
                    "score_threshold": config.score_threshold,
                    "iou_threshold": config.iou_threshold,
                    "max_detections": config.max_detections,
                },
                {
                    "boxes_xyxy": [one.box_xyxy for one in detections],
                    "scores": [one.score for one in detections],
                },
                {"boxes_xyxy": 1e-3, "scores": 1e-6},
            )
    for index, angles in enumerate([(0.0, 0.0, 0.0), *rng.uniform(-1.2, 1.2, (8, 3))]):
        yaw, pitch, roll = (float(angle) for angle in angles)
        rotation = geometry.rotation_from_euler(yaw, pitch, roll)
        yield (
            "euler",
            f"angles_{index}",
            {"yaw": yaw, "pitch": pitch, "roll": roll, "turn_rad": 0.3},
            {
                "rotation": rotation,
                "angles": list(geometry.euler_from_rotation(rotation)),
                "mirrored": geometry.mirror_rotation(rotation),
                "turned": geometry.rotate_in_image(rotation, 0.3),
            },
            {"rotation": 1e-6, "angles": 1e-6, "mirrored": 1e-6, "turned": 1e-6},
        )


def filters() -> Iterator[Case]:
    """gate_sequence, one_euro_sequence, rotation_filter_sequence."""
    rng = np.random.default_rng(4)
    presences = [0.0, 0.65, 0.6499999, 0.7, 0.69999999, 0.75, 0.7499999, 1.0]
    for threshold in (0.65, 0.7, 0.75):
        yield (
            "gate_sequence",
            f"threshold_{threshold}",
            {"presences": presences, "threshold": threshold},
            {"passes": [passes_gate(presence, threshold) for presence in presences]},
            {"passes": 0.0},
        )
    configs = {
        "calm": SmoothingConfig(1.0, 5.0, 1.0, 0.5, 1.0),
        "quick": SmoothingConfig(2.5, 60.0),
    }
    stamps = np.cumsum([0.0, *rng.uniform(0.01, 0.08, 18)]).tolist()
    stamps[9] = stamps[8]  # a clock that stands still starts the filter anew
    for name, config in configs.items():
        options = {
            "min_cutoff_hz": config.min_cutoff_hz,
            "beta": config.beta,
            "derivative_cutoff_hz": config.derivative_cutoff_hz,
        }
        points_filter = smoothing.OneEuroFilter(config)
        path = np.cumsum(rng.normal(0.0, 2.0, (len(stamps), 3, 2)), axis=0).astype(np.float32)
        sizes = rng.uniform(80.0, 120.0, len(stamps)).tolist()
        smooth = [
            points_filter.smooth(points, stamp, size)
            for points, stamp, size in zip(path, stamps, sizes, strict=True)
        ]
        yield (
            "one_euro_sequence",
            name,
            {**options, "points": path, "timestamps_s": stamps, "face_sizes": sizes},
            {"points": smooth},
            {"points": 1e-3},
        )
        angles = np.cumsum(rng.normal(0.0, 0.05, (len(stamps), 3)), axis=0)
        turns = {name: [geometry.rotation_from_euler(*map(float, row)) for row in angles]}
        if name == "calm":
            # Half a turn about an axis across x: the signs of zeros must not decide where it goes.
            for sign in (1.0, -1.0):
                axis = np.array([0.0, 0.6, sign * 0.8])
                half = 2.0 * np.outer(axis, axis) - np.eye(3)
                half[0, 2] = -1e-17
                turns[f"half_turn_{'down' if sign > 0 else 'up'}"] = [np.eye(3), half]
        yield from _turned(turns, config, stamps)


def _turned(
    turns: dict[str, list[NDArray[np.float64]]], config: SmoothingConfig, stamps: list[float]
) -> Iterator[Case]:
    for name, rotations in turns.items():
        turn_filter = smoothing.RotationFilter(config)
        yield (
            "rotation_filter_sequence",
            name,
            {
                "min_cutoff_hz": config.pose_min_cutoff_hz,
                "beta": config.pose_beta,
                "derivative_cutoff_hz": config.derivative_cutoff_hz,
                "rotations": rotations,
                "timestamps_s": stamps[: len(rotations)],
            },
            {
                "rotations": [
                    turn_filter.smooth(rotation, stamp)
                    for rotation, stamp in zip(rotations, stamps, strict=False)
                ]
            },
            {"rotations": 1e-6},
        )


def distinct_case(name: str, boxes: Sequence[Box], presences: list[float]) -> Case:
    """Which of some tracks are kept."""
    inputs = {
        "function": "distinct_faces",
        "boxes_xyxy": boxes,
        "presences": presences,
        "iou_threshold": 0.3,
    }
    kept = list(association.distinct_faces(boxes, presences, 0.3))
    return "association_sequence", name, inputs, {"kept": kept}, {"kept": 0.0}


def match_case(name: str, found: Sequence[Box], lost: Sequence[Box]) -> Case:
    """Which of some faces are lost ones."""
    inputs = {
        "function": "match_lost",
        "boxes_xyxy": found,
        "lost_xyxy": lost,
        "max_distance": 0.8,
    }
    matches = list(association.match_lost(found, lost, 0.8))
    return "association_sequence", name, inputs, {"matches": matches}, {"matches": 0.0}


def associations() -> Iterator[Case]:
    """association_sequence: distinct_faces, match_lost."""
    rng = np.random.default_rng(5)
    for index in range(6):
        corners = rng.random((5, 2)) * 60.0
        boxes = np.concatenate([corners, corners + rng.uniform(40.0, 70.0, (5, 2))], axis=1)
        found = [as_box(box) for box in boxes]
        presences = rng.uniform(0.7, 1.0, 5).round(2).tolist()
        yield distinct_case(f"distinct_faces_{index}", found, presences)
        lost = [as_box(box + np.tile(rng.normal(0.0, 30.0, 2), 2)) for box in boxes[:3]]
        yield match_case(f"match_lost_{index}", found, lost)
    square = np.array([-1.0, -1.0, 1.0, 1.0])
    boxes_of = {side: as_box(100.0 + square * side / 2.0) for side in (50, 100, 190, 250)}
    for name, presences in (("like", [0.951, 0.954]), ("unlike", [0.94, 0.96])):
        yield distinct_case(f"presences_{name}", [boxes_of[50]] * 2, presences)
    for side in (50, 190, 250):  # up to twice the size, and down to half of it
        yield match_case(f"size_{side}", [boxes_of[side]], [boxes_of[100]])


def sequences() -> Iterator[Case]:
    """tracker_sequence: the whole tracker in a world of circles."""
    for name, (config, frames) in scenes().items():
        tracker = WorldTracker(TrackerConfig(**config))
        expected = []
        for frame in frames:
            faces = [WorldFace(**face) for face in frame["faces"]]
            result = tracker.track_world(faces, frame["timestamp_s"])
            expected.append(
                {
                    "detector_ran": result.detector_ran,
                    "lost_ids": list(result.lost_ids),
                    "faces": [
                        {
                            "track_id": face.track_id,
                            "source": face.source,
                            "presence": face.presence,
                            "roi": roi_fields(face.roi),
                            "landmarks": face.landmarks[list(SHOWN_POINTS)],
                        }
                        for face in result.faces
                    ],
                }
            )
        plain = {key: value for key, value in config.items() if key != "smoothing"}
        smoother = config.get("smoothing")
        fields = (
            None
            if smoother is None
            else {
                "min_cutoff_hz": smoother.min_cutoff_hz,
                "beta": smoother.beta,
                "derivative_cutoff_hz": smoother.derivative_cutoff_hz,
                "pose_min_cutoff_hz": smoother.pose_min_cutoff_hz,
                "pose_beta": smoother.pose_beta,
            }
        )
        yield (
            "tracker_sequence",
            name,
            {
                "config": {**plain, "smoothing": fields},
                "width": WorldTracker.WIDTH,
                "height": WorldTracker.HEIGHT,
                "points": list(SHOWN_POINTS),
                "frames": frames,
            },
            {"frames": expected},
            {"frames": 1e-2},
        )


def scenes() -> dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Configuration and frames by name."""
    rng = np.random.default_rng(6)

    def face(x: float, y: float, size: float, presence: float = 0.95) -> dict[str, float]:
        return {"x": x, "y": y, "size": size, "presence": presence}

    def film(*frames: list[dict[str, float]], rate_hz: float = 30.0) -> list[dict[str, Any]]:
        return [
            {"timestamp_s": round(index / rate_hz, 6), "faces": list(faces)}
            for index, faces in enumerate(frames)
        ]

    walk = [
        [face(200.0 + 4.0 * i + float(rng.normal(0, 0.5)), 200.0 + i, 120.0 + i)] for i in range(30)
    ]
    fading = [[face(300.0, 200.0, 100.0, p)] for p in (0.74, 0.76, 0.7, 0.66, 0.64, 0.7, 0.74, 0.8)]
    painted = [[face(300.0, 200.0, 100.0)]] * 3 + [[]] * 20 + [[face(310.0, 205.0, 100.0)]] * 3
    late = [[face(300.0, 200.0, 100.0)]] * 2 + [[]] * 70 + [[face(300.0, 200.0, 100.0)]] * 2
    jump = [[face(150.0, 200.0, 100.0)]] * 3 + [[face(350.0, 200.0, 100.0)]] * 3
    hop = [[face(150.0, 200.0, 100.0)]] * 3 + [[face(228.0, 200.0, 100.0)]] * 3
    crossing = [
        [face(100.0 + 12.0 * i, 200.0, 100.0), face(520.0 - 12.0 * i, 230.0, 110.0, 0.9)]
        for i in range(36)
    ]
    # One of two hides: its region slides over to the other, whose track stays.
    hidden = [[face(300.0, 200.0, 100.0), face(340.0, 200.0, 100.0)]] * 4 + [
        [face(340.0, 200.0, 100.0)]
    ] * 4
    arrival = [[face(150.0, 200.0, 100.0)]] * 12 + [
        [face(150.0, 200.0, 100.0), face(450.0, 220.0, 90.0)]
    ] * 12
    plain: dict[str, Any] = {"smoothing": None}
    return {
        "walk": (plain, film(*walk)),
        "walk_smoothed": ({"smoothing": SmoothingConfig(1.0, 10.0, 1.0, 1.0, 1.0)}, film(*walk)),
        "gate_with_hysteresis": (plain, film(*fading)),
        "painted_out": (plain, film(*painted)),
        "back_after_the_window": (plain, film(*late)),
        "idle": (
            {"smoothing": None, "idle_after_frames": 5, "idle_interval_frames": 4},
            film(*([[]] * 16), *([[face(300.0, 200.0, 100.0)]] * 6)),
        ),
        "jump": (plain, film(*jump)),
        "hop_found_by_the_retry": (plain, film(*hop)),
        "hop_without_retry": ({"smoothing": None, "retry_scale": 1.0}, film(*hop)),
        "crossing": ({"smoothing": None, "max_faces": 2}, film(*crossing)),
        "one_of_two_hides": ({"smoothing": None, "max_faces": 2}, film(*hidden)),
        "arrival": (
            {"smoothing": None, "max_faces": 3, "detect_interval_frames": 5},
            film(*arrival),
        ),
        "out_of_the_frame": (
            plain,
            film(*[[face(560.0 + 12.0 * i, 200.0, 90.0)] for i in range(16)]),
        ),
    }


def end_to_end() -> Iterator[Case]:
    """The shipped network on the bundled clip."""
    artifact = load_manifest(ROOT / "models").artifact("atpn", "onnx", "float32")
    detector = load_manifest(ROOT / "models").artifact("detector", "onnx", "float32")
    config = TrackerConfig(color="bgr", smoothing=None)
    video = cv2.VideoCapture(str(ROOT / CLIP))
    frames = []
    with FaceTracker("onnx", config, models_dir=ROOT / "models") as tracker:
        for index in range(CLIP_FRAMES):
            _, frame = video.read()
            result = tracker.track(frame.astype(np.uint8, copy=False), index / 25.0)
            frames.append(
                [
                    {
                        "track_id": face.track_id,
                        "source": face.source,
                        "presence": round(face.presence, 5),
                        "rotation": face.pose.rotation.round(5),
                        "landmarks": face.landmarks.round(2),
                    }
                    for face in result.faces
                ]
            )
    yield (
        "end_to_end",
        "synthetic_solo",
        {
            "clip": CLIP,
            "frames_per_second": 25.0,
            "atpn": {"path": artifact.path, "sha256": artifact.sha256},
            "detector": {"path": detector.path, "sha256": detector.sha256},
            "smoothing": None,
        },
        {"frames": frames},
        {"frames": 1.0},
    )


def plain(value: Any) -> Any:  # noqa: ANN401 - anything that a case holds
    """A value as JSON has it; numbers with ``SIGNIFICANT_DIGITS``."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float | np.floating):
        short = float(f"{float(value):.{SIGNIFICANT_DIGITS}g}")
        return 0.0 if short == 0.0 else short
    return value


def cases() -> Iterator[Case]:
    """All cases."""
    for stage in (regions, pixels, outputs, filters, associations, sequences, end_to_end):
        yield from stage()


def write(folder: Path) -> int:
    """Write all cases; returns their number."""
    count = 0
    for stage, name, inputs, expected, tolerance in cases():
        path = folder / stage / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        if set(tolerance) != set(expected):
            raise SystemExit(f"expected a tolerance for each of {set(expected)} in {path}")
        document = {"inputs": plain(inputs), "expected": plain(expected), "tolerance": tolerance}
        path.write_text(json.dumps(document) + "\n", encoding="utf-8")
        count += 1
    return count


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        count = write(Path(made))
        files = {path.relative_to(made): path.read_bytes() for path in Path(made).rglob("*.json")}
        there = {path.relative_to(GOLDEN): path.read_bytes() for path in GOLDEN.rglob("*.json")}
        if args.check:
            changed = sorted(str(p) for p in {*files, *there} if files.get(p) != there.get(p))
            sys.stdout.write("\n".join([*changed, f"{len(changed)} of {count} differ"]) + "\n")
            return 1 if changed else 0
        for stage in {path.parent for path in there}:
            shutil.rmtree(GOLDEN / stage)
        shutil.copytree(made, GOLDEN, dirs_exist_ok=True)
    sys.stdout.write(f"{count} cases in {GOLDEN}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
