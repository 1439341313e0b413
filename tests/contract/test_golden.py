"""The runtime against its golden vectors, as each port reads them.

The files are the contract: whoever changes the runtime on purpose writes them anew
(``python scripts/make_golden.py``), and every port goes red until it follows.
"""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from atpn_mobile import (
    DetectorConfig,
    FaceTracker,
    Roi,
    SmoothingConfig,
    TrackerConfig,
    association,
    decode,
    geometry,
    smoothing,
)
from atpn_mobile.detector import tiles_of
from atpn_mobile.gate import passes_gate
from atpn_mobile.preprocess import letterbox
from atpn_mobile.testing import STAGES, WorldFace, WorldTracker, load_golden

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
CASES = load_golden(GOLDEN)


def roi_of(fields):
    return Roi(**fields)


def fields_of(roi):
    names = ("center_x", "center_y", "size", "rotation_rad")
    return {name: getattr(roi, name) for name in names}


def arrays(outputs):
    return {name: np.array(value, np.float32) for name, value in outputs.items()}


def points(values):
    return np.array(values, np.float32)


def run_roi_from_landmarks(given):
    return fields_of(geometry.roi_from_landmarks(points(given["landmarks"]), given["extension"]))


def run_steady_roi(given):
    if "roi" in given:
        return {"on_grid": fields_of(geometry.on_grid(roi_of(given["roi"])))}
    roi, rois = roi_of(given["start"]), []
    for target in given["targets"]:
        roi = geometry.steady_roi(roi, roi_of(target))
        rois.append(fields_of(roi))
    return {"rois": rois}


def run_crop_transform(given):
    roi = roi_of(given["roi"])
    return {
        "crop_to_frame": geometry.crop_to_frame_matrix(roi, given["resolution"]),
        "to_frame": geometry.landmarks_to_frame(points(given["crop_points"]), roi),
        "to_crop": geometry.landmarks_to_crop(points(given["frame_points"]), roi),
    }


def run_crop_pixels(given):
    frame = np.array(given["frame"], np.uint8)
    crop = geometry.crop_frame(frame, roi_of(given["roi"]), given["resolution"])
    return {"crop": crop[:, ::-1] if given["mirrored"] else crop}


def run_letterbox(given):
    frame = np.full((given["height"], given["width"]), 255, np.uint8)
    square, roi = letterbox(frame, given["resolution"])
    rows, columns = np.nonzero(square)
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return {"box": box, "roi": fields_of(roi)}


def run_decode(given):
    found = decode.decode_alignment(
        arrays(given["outputs"]), roi_of(given["roi"]), mirrored=given["mirrored"]
    )
    return {
        "landmarks": found.landmarks,
        "rotation": found.pose.rotation,
        "presence": found.presence,
    }


def run_views(given):
    return decode.average_views(arrays(given["plain"]), arrays(given["mirrored"]))


def run_detections(given):
    names = ("score_threshold", "iou_threshold", "max_detections")
    config = DetectorConfig(**{name: given[name] for name in names})
    found = decode.decode_detections(arrays(given["outputs"]), roi_of(given["roi"]), config)
    return {
        "boxes_xyxy": [one.box_xyxy for one in found],
        "scores": [one.score for one in found],
    }


def run_euler(given):
    rotation = geometry.rotation_from_euler(given["yaw"], given["pitch"], given["roll"])
    return {
        "rotation": rotation,
        "angles": geometry.euler_from_rotation(rotation),
        "mirrored": geometry.mirror_rotation(rotation),
        "turned": geometry.rotate_in_image(rotation, given["turn_rad"]),
    }


def run_one_euro(given):
    names = ("min_cutoff_hz", "beta", "derivative_cutoff_hz")
    one_euro = smoothing.OneEuroFilter(SmoothingConfig(**{name: given[name] for name in names}))
    steps = zip(given["points"], given["timestamps_s"], given["face_sizes"], strict=True)
    return {"points": [one_euro.smooth(points(p), stamp, size) for p, stamp, size in steps]}


def run_rotation_filter(given):
    config = SmoothingConfig(
        pose_min_cutoff_hz=given["min_cutoff_hz"],
        pose_beta=given["beta"],
        derivative_cutoff_hz=given["derivative_cutoff_hz"],
    )
    turns = smoothing.RotationFilter(config)
    steps = zip(given["rotations"], given["timestamps_s"], strict=True)
    return {"rotations": [turns.smooth(np.array(rotation), stamp) for rotation, stamp in steps]}


def run_association(given):
    boxes = [tuple(box) for box in given["boxes_xyxy"]]
    if given["function"] == "distinct_faces":
        kept = association.distinct_faces(boxes, given["presences"], given["iou_threshold"])
        return {"kept": kept}
    lost = [tuple(box) for box in given["lost_xyxy"]]
    return {"matches": association.match_lost(boxes, lost, given["max_distance"])}


def run_tracker(given):
    options = dict(given["config"])
    if options["smoothing"] is not None:
        options["smoothing"] = SmoothingConfig(**options["smoothing"])
    tracker = WorldTracker(TrackerConfig(**options))
    frames = []
    for frame in given["frames"]:
        faces = [WorldFace(**face) for face in frame["faces"]]
        result = tracker.track_world(faces, frame["timestamp_s"])
        found = [
            {
                "track_id": face.track_id,
                "source": face.source,
                "presence": face.presence,
                "roi": fields_of(face.roi),
                "landmarks": face.landmarks[given["points"]],
            }
            for face in result.faces
        ]
        frames.append(
            {"detector_ran": result.detector_ran, "lost_ids": result.lost_ids, "faces": found}
        )
    return {"frames": frames}


def run_end_to_end(given):
    video = cv2.VideoCapture(str(ROOT / given["clip"]))
    config = TrackerConfig(color="bgr", smoothing=None, precision="float32")
    frames = []
    with FaceTracker("onnx", config, models_dir=ROOT / "models") as tracker:
        for index in range(40):
            result = tracker.track(video.read()[1], index / given["frames_per_second"])
            frames.append(
                [
                    {
                        "track_id": face.track_id,
                        "source": face.source,
                        "presence": face.presence,
                        "rotation": face.pose.rotation,
                        "landmarks": face.landmarks,
                    }
                    for face in result.faces
                ]
            )
    return {"frames": frames}


READERS = {
    "association_sequence": run_association,
    "crop_pixels": run_crop_pixels,
    "crop_transform": run_crop_transform,
    "decode": run_decode,
    "detections": run_detections,
    "end_to_end": run_end_to_end,
    "euler": run_euler,
    "gate_sequence": lambda given: {
        "passes": [passes_gate(presence, given["threshold"]) for presence in given["presences"]]
    },
    "letterbox": run_letterbox,
    "one_euro_sequence": run_one_euro,
    "roi_from_landmarks": run_roi_from_landmarks,
    "rotation_filter_sequence": run_rotation_filter,
    "steady_roi": run_steady_roi,
    "tiles": lambda given: {
        "tiles": [list(one) for one in tiles_of(given["width"], given["height"], given["count"])]
    },
    "tracker_sequence": run_tracker,
    "upright_rotation": lambda given: {
        "rotation_rad": geometry.upright_rotation(given["rotation_deg"])
    },
    "views": run_views,
}


def assert_close(got, expected, tolerance, where):
    """Numbers within the tolerance, everything else equal; the same structure."""
    if isinstance(got, np.ndarray):
        got = got.tolist()
    if isinstance(expected, dict):
        assert set(got) == set(expected), where
        for key, value in expected.items():
            assert_close(got[key], value, tolerance, f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(got) == len(expected), where
        for index, value in enumerate(expected):
            assert_close(got[index], value, tolerance, f"{where}[{index}]")
    elif isinstance(expected, bool | str) or expected is None:
        assert got == expected, where
    else:
        assert got == pytest.approx(expected, abs=tolerance, rel=1e-7), where


def test_every_stage_has_cases_and_a_reader():
    assert {case.stage for case in CASES} == set(STAGES) == set(READERS)


@pytest.mark.parametrize("case", CASES, ids=[f"{case.stage}-{case.name}" for case in CASES])
def test_golden(case):
    got = READERS[case.stage](case.inputs)
    assert set(case.tolerance) == set(case.expected)
    for name, expected in case.expected.items():
        assert_close(got[name], expected, case.tolerance[name], name)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        ([1.0], [1.2]),
        ([1.0, 2.0], [1.0]),
        ({"a": 1.0}, {"b": 1.0}),
        (True, False),
        ("tracked", "detected"),
        (None, 1.0),
        (float("nan"), 1.0),
    ],
)
def test_the_reader_can_fail(got, expected):
    with pytest.raises((AssertionError, TypeError)):
        assert_close(got, expected, 0.1, "value")


def test_the_files_are_those_of_the_runtime_as_it_is():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "make_golden.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    # The engine's arithmetic is the processor's: the clip alone may differ in its last digits.
    changed = set(done.stdout.splitlines()[:-1]) - {"end_to_end/synthetic_solo.json"}
    assert not changed, done.stdout + done.stderr
