"""Head pose by protocol: AFLW2000-3D, 300W-LP and Pointing'04, with known errors."""

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from atpn_mobile.geometry import euler_from_rotation, roi_from_landmarks
from atpn_mobile.testing import FakeDetector, fake_face
from atpn_mobile.types import Detection
from training.data.sample import DatasetError
from training.data.w300lp import rotation_from_pose_para
from training.network.detector import Detector
from training.protocols import pointing04
from training.protocols.head_pose import evaluate_300w_lp, evaluate_aflw2000, pose_para_deg
from training.protocols.pointing04 import evaluate_pointing04, read_pointing04, roi_from_face_box
from training.protocols.predictor import Prediction
from training.protocols.results import NotRunError
from training.weights import save_weights

GREY_STEP = 20  # picture number i is grey, 20 * i


class ByGrey:
    """Gives the angles that belong to the grey of the crop's middle."""

    name = "grey"
    input_size = 24
    has_presence = True

    def __init__(self, angles, *, has_pose=True, presence=1.0):
        self.angles = np.array(angles, np.float32)
        self.has_pose = has_pose
        self.presence = presence

    def predict(self, images):
        numbers = [round(float(image[12, 12].mean()) / GREY_STEP) for image in images]
        landmarks = np.repeat(fake_face()["landmarks"], len(images), axis=0)
        return Prediction(
            landmarks,
            self.angles[numbers] if self.has_pose else None,
            np.full(len(images), self.presence, np.float32),
        )


def rows_of(result, subset):
    return {row.measure: row for row in result.rows if row.subset == subset}


def subsets(result):
    return list(dict.fromkeys(row.subset for row in result.rows))


# ---- AFLW2000-3D and 300W-LP -------------------------------------------------------------------


def write_face(path, number, angles_deg, key):
    """Pitch, yaw, roll, degrees, as in Pose_Para."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((48, 48, 3), GREY_STEP * number, np.uint8))
    points = np.random.default_rng(0).uniform(8, 40, (3, 68))
    points[:, 0], points[:, 1] = 8.0, 40.0
    angles = np.radians(angles_deg)
    content = {"Pose_Para": np.array([[*angles, 0, 0, 0, 1]], np.float32)}
    savemat(path.with_suffix(".mat"), content | {key: points[:2] if key == "pt2d" else points})


def network_angles(pitch, yaw, roll):
    """Yaw, pitch, roll of ours, radians, of a Pose_Para in degrees."""
    return euler_from_rotation(rotation_from_pose_para(*np.radians([pitch, yaw, roll])))


AFLW = [  # pitch, yaw, roll of the truth, and how far the network is off
    ((0, 10, 0), (1, 2, -3)),
    ((5, -40, 10), (0, -4, 0)),
    ((-10, 58, 20), (20, 10, 6)),
    ((0, -95, 0), (1, 1, 1)),
    ((0, 99.5, 0), (50, 50, 50)),  # beyond 99: left out
]


@pytest.fixture
def aflw(tmp_path):
    for number, (angles, _) in enumerate(AFLW):
        write_face(tmp_path / f"image{number:05d}.jpg", number, angles, "pt3d_68")
    return tmp_path, ByGrey([network_angles(*np.add(*pair)) for pair in AFLW])


def test_aflw2000(aflw):
    data, predictor = aflw

    result = evaluate_aflw2000(predictor, data)

    full = rows_of(result, "full")
    assert full["yaw"].count == 4
    assert full["pitch"].value == pytest.approx((1 + 0 + 20 + 1) / 4, abs=0.01)
    assert full["yaw"].value == pytest.approx((2 + 4 + 10 + 1) / 4, abs=0.01)
    assert full["roll"].value == pytest.approx((3 + 0 + 6 + 1) / 4, abs=0.01)
    assert full["mean"].value == pytest.approx((2 + 4 / 3 + 12 + 1) / 4, abs=0.01)
    assert full["FR 10 deg"].value == 25.0
    assert rows_of(result, "common")["yaw"].value == pytest.approx(3.0, abs=0.01)
    assert rows_of(result, "challenging")["mean"].value == pytest.approx(6.5, abs=0.01)
    counts = {name: rows_of(result, name)["mean"].count for name in subsets(result)[3:]}
    assert counts == {"yaw 0 to 30": 1, "yaw 30 to 60": 2, "yaw 60 to 99": 1}


@pytest.mark.parametrize(
    "angles", [(0, 0, 0), (30, 80, -20), (10, 95, -15), (-12, -98, 7), (-40, 10, 90), (80, -3, 60)]
)
def test_pose_para_is_found_again_beyond_a_right_angle(angles):
    rotation = rotation_from_pose_para(*np.radians(angles))
    np.testing.assert_allclose(pose_para_deg(rotation), angles, atol=1e-6)


def test_300w_lp_knows_its_test_pictures_by_name(tmp_path):
    faces = {
        "IBUG/IBUG_image_003_1_0": (1, 2, 3),
        "IBUG/IBUG_image_003_1_9": (1, 97, 3),
        "IBUG/IBUG_image_004_1_9": (1, 99.4, 3),  # left out
        "IBUG_Flip/IBUG_image_003_1_0": (1, -2, -3),  # a twin
        "LFPW/LFPW_image_test_0001_0": (0, 0, 0),
        "LFPW/LFPW_image_train_0001_0": (0, 0, 0),
        "HELEN/HELEN_100032540_1_0": (0, 0, 0),
    }
    for number, (name, angles) in enumerate(faces.items()):
        write_face(tmp_path / f"{name}.jpg", number, angles, "pt2d")
    off = [
        np.add(angles, (0, 0, 6 * (number == 4))) for number, angles in enumerate(faces.values())
    ]

    result = evaluate_300w_lp(ByGrey([network_angles(*angles) for angles in off]), tmp_path)

    assert {name: rows_of(result, name)["mean"].count for name in subsets(result)} == {
        "full": 3,
        "common": 1,
        "challenging": 2,
    }
    assert rows_of(result, "common")["roll"].value == pytest.approx(6.0, abs=0.01)
    assert rows_of(result, "challenging")["mean"].value == pytest.approx(0.0, abs=0.01)


def test_300w_lp_without_test_pictures(tmp_path):
    write_face(tmp_path / "HELEN/HELEN_1_0.jpg", 0, (0, 0, 0), "pt2d")
    with pytest.raises(DatasetError, match="IBUG or LFPW test"):
        evaluate_300w_lp(ByGrey([(0, 0, 0)]), tmp_path)


def test_a_part_without_samples_is_not_measured(tmp_path):
    write_face(tmp_path / "image00000.jpg", 0, (0, 0, 0), "pt3d_68")
    row = rows_of(evaluate_aflw2000(ByGrey([(0, 0, 0)]), tmp_path), "challenging")["mean"]
    assert row.value is None
    assert row.reason


def test_a_network_without_pose(aflw):
    with pytest.raises(NotRunError, match="grey gives none"):
        evaluate_aflw2000(ByGrey([], has_pose=False), aflw[0])


# ---- Pointing'04 -------------------------------------------------------------------------------

POINTING = [  # person, tilt, pan
    (1, 0, 30),
    (1, 15, -30),
    (2, -60, 60),
    (2, 0, 0),
    (2, 90, 0),  # beyond 60
    (2, 0, -75),
]
BIAS = {1: (5.0, -10.0), 2: (-3.0, 0.0)}  # yaw, pitch of each person


def write_pointing(folder, entries=POINTING, **changes):
    encoded, offset = [], [0]
    for number in range(len(entries)):
        picture = np.full((96, 128, 3), GREY_STEP * number, np.uint8)
        encoded.append(cv2.imencode(".jpg", picture)[1].ravel())
        offset.append(offset[-1] + encoded[-1].size)
    arrays = {
        "jpeg": np.concatenate(encoded),
        "offset": np.array(offset),
        "name": np.array([f"person{e[0]:02d}_{i}" for i, e in enumerate(entries)]),
        "person": np.array([entry[0] for entry in entries]),
        "tilt_pan_deg": np.array([entry[1:] for entry in entries], np.float32),
        "face_center_size": np.tile(np.array([60, 40, 20, 24], np.float32), (len(entries), 1)),
    } | changes
    arrays = {key: value for key, value in arrays.items() if value is not None}
    np.savez(folder / "pose_pointing04_val.npz", **arrays)
    return folder


def pointing_predictor(noise=0.0, **options):
    angles = []
    for number, (person, tilt, pan) in enumerate(POINTING):
        yaw, pitch = BIAS[person]
        off = noise * (-1) ** number
        angles.append(np.radians((pan + yaw + off, tilt + pitch + off, 0.0)))
    return ByGrey(angles, **options)


def test_pan_is_yaw_and_tilt_is_pitch(tmp_path):
    samples = read_pointing04(write_pointing(tmp_path))
    assert samples[1].yaw_pitch_deg == (-30.0, 15.0)
    assert samples[1].sample.subject == "1"
    assert read_pointing04(tmp_path / "pose_pointing04_val.npz")[2].yaw_pitch_deg == (60.0, -60.0)


def test_pointing04_errors_bias_and_what_is_left_of_each_person(tmp_path):
    result = evaluate_pointing04(pointing_predictor(), write_pointing(tmp_path))

    rows = rows_of(result, "within 60 deg")
    assert rows["yaw"].count == 4
    assert rows["yaw"].value == pytest.approx(4.0, abs=0.01)
    assert rows["pitch"].value == pytest.approx(5.0, abs=0.01)
    assert rows["yaw bias"].value == pytest.approx(1.0, abs=0.01)
    assert rows["pitch bias"].value == pytest.approx(-5.0, abs=0.01)
    assert rows["yaw per person"].value == pytest.approx(0.0, abs=0.01)
    assert rows["detected"].value == 0.0  # there was no detector
    person = rows_of(result, "person 1")
    assert person["yaw"].count == 2
    assert person["pitch bias"].value == pytest.approx(-10.0, abs=0.01)


def test_a_persons_offset_hides_no_noise(tmp_path):
    result = evaluate_pointing04(pointing_predictor(noise=2.0), write_pointing(tmp_path))
    assert rows_of(result, "within 60 deg")["yaw per person"].value == pytest.approx(2.0, abs=0.01)


def test_region_of_an_annotated_box():
    roi = roi_from_face_box(np.array([60, 40, 20, 24], np.float32))
    assert roi.center_x == pytest.approx(60.0)
    assert roi.center_y == pytest.approx(40 + 0.11 * 24)
    assert roi.size == pytest.approx(1.12 * 24 * 1.5)


class Recording(ByGrey):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.crops = 0

    def predict(self, images):
        self.crops += len(images)
        return super().predict(images)


@pytest.mark.parametrize(
    ("presence", "detections", "detected", "looks"),
    [
        (1.0, [Detection((50.0, 30.0, 70.0, 50.0), 0.9)], 100.0, 2),
        # refused by the gate: the annotated box, two looks of its own
        (0.1, [Detection((50.0, 30.0, 70.0, 50.0), 0.9)], 0.0, 4),
        (1.0, [], 0.0, 2),
    ],
)
def test_the_face_is_found_as_an_app_finds_it(
    tmp_path, monkeypatch, presence, detections, detected, looks
):
    monkeypatch.setattr(pointing04, "open_detector", lambda weights: FakeDetector([detections]))
    plain = pointing_predictor()
    predictor = Recording(plain.angles, presence=presence)

    result = evaluate_pointing04(predictor, write_pointing(tmp_path), tmp_path / "weights")

    rows = rows_of(result, "within 60 deg")
    assert rows["detected"].value == detected
    assert rows["yaw"].value == pytest.approx(4.0, abs=0.01)
    assert predictor.crops == 4 * looks


def test_the_detectors_own_weights_are_used(tmp_path):
    detector = Detector()
    weights = tmp_path / "detector.safetensors"
    save_weights(detector, weights, {"network": "detector", "config": detector.config.to_json()})
    result = evaluate_pointing04(pointing_predictor(), write_pointing(tmp_path), weights)
    assert rows_of(result, "within 60 deg")["detected"].value == 0.0  # untrained: finds nothing


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tilt_pan_deg": None}, "expected tilt_pan_deg and face_center_size"),
        ({"face_center_size": np.zeros((6, 2))}, r"got \(6, 2\) and \(6, 2\)"),
        ({"tilt_pan_deg": np.full((6, 2), 90.0)}, "within 60 degrees"),
    ],
)
def test_malformed_pointing04(tmp_path, changes, message):
    with pytest.raises(DatasetError, match=message):
        evaluate_pointing04(pointing_predictor(), write_pointing(tmp_path, **changes))


def test_missing_pointing04_and_no_pose(tmp_path):
    with pytest.raises(DatasetError, match="found no file"):
        evaluate_pointing04(pointing_predictor(), tmp_path)
    with pytest.raises(NotRunError, match="grey gives none"):
        evaluate_pointing04(ByGrey([], has_pose=False), write_pointing(tmp_path))


def test_roi_of_the_fallback_is_that_of_the_landmarks_it_stands_for():
    # the box it draws up is what roi_from_landmarks would extend
    roi = roi_from_face_box(np.array([0, 0, 10, 10], np.float32))
    half = 10 * 1.12 / 2
    corners = np.array([[-half, 1.1 - half], [half, 1.1 + half]], np.float32)
    assert roi.size == pytest.approx(roi_from_landmarks(corners).size, rel=1e-6)
