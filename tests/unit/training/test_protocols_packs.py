"""The protocols on packs: rows of the old report, presence, conditions, contact sheets."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from atpn_mobile.geometry import rotation_from_euler
from atpn_mobile.testing import fake_face
from atpn_mobile.types import HeadPose, Roi
from tests.unit.training.fake_packs import write_pack
from training.data.crops import LabelledFace, load_faces
from training.data.packs import read_pack
from training.data.sample import DatasetError
from training.evaluate import FACE_PACKS, NEGATIVE_KINDS, evaluate_packs, presence_set
from training.protocols.conditions import (
    FaceConditions,
    condition_groups,
    evaluate_conditions,
    face_light,
)
from training.protocols.packs import evaluate_pack_rows
from training.protocols.predictor import Prediction
from training.protocols.presence import evaluate_presence
from training.protocols.results import NotRunError
from training.protocols.sheets import SheetFace, contact_sheet, worst_and_random


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packs")
    angles = np.radians([(20.0 * i, 5.0 * i, -8.0 * i) for i in range(6)])
    turned = np.stack([rotation_from_euler(*each) for each in angles])
    for name in FACE_PACKS:
        write_pack(folder / name, 6, faces=True, held_out=6, rotation=turned)
    write_pack(folder / "backgrounds.npz", 3, faces=False, held_out=3)
    write_pack(folder / "negatives_back_of_head.npz", 3, faces=False, held_out=3)
    return folder


class Mean:
    """The same face everywhere; presence is the brightness of the crop."""

    name = "mean"

    def __init__(self, *, has_pose=True, has_presence=True, input_size=112):
        self.has_pose, self.has_presence = has_pose, has_presence
        self.input_size = input_size

    def predict(self, images):
        assert all(image.shape[:2] == (self.input_size, self.input_size) for image in images)
        return Prediction(
            np.repeat(fake_face()["landmarks"], len(images), axis=0),
            np.zeros((len(images), 3), np.float32) if self.has_pose else None,
            self.presence(images) if self.has_presence else None,
        )

    @staticmethod
    def presence(images):
        return np.array([image.mean() / 255.0 for image in images], np.float32)


def rows_of(result, subset):
    return {row.measure: row for row in result.rows if row.subset == subset}


# ---- packs -------------------------------------------------------------------------------------


def test_rows_are_the_report(data):
    report = evaluate_packs(Mean(), data)

    result = evaluate_pack_rows(Mean(), data)

    helen = rows_of(result, "landmarks faces_helen")
    assert helen["NME 98"].value == report["landmarks faces_helen"]["nme_98_percent"]
    assert helen["NME 98"].count == 6
    assert helen["FR 10 %"].value == 100 * report["landmarks faces_helen"]["failure_rate_10"]
    pose = rows_of(result, "pose faces_synthetic")
    assert pose["yaw"].value == pytest.approx(50.0, abs=0.01)  # 0, 20, .. 100 of truth
    assert pose["yaw"].unit == "deg"
    presence = rows_of(result, "presence")
    assert presence["AP"].value == report["presence"]["average_precision"]
    assert presence["of backgrounds"].unit == "%"
    # nothing of the report is lost but the conditions
    numbers = sum(len(measures) for measures in report.values())
    assert len(result.rows) == numbers - len(FACE_PACKS) - 1


def test_a_network_without_presence_or_pose_has_the_other_rows(data):
    result = evaluate_pack_rows(Mean(has_pose=False, has_presence=False, input_size=64), data)
    assert {row.subset for row in result.rows} == {
        f"landmarks {name}" for name in ("faces_helen", "faces_ytf", "faces_synthetic")
    }


@pytest.mark.parametrize("protocol", [evaluate_pack_rows, evaluate_presence, evaluate_conditions])
def test_missing_pack(tmp_path, protocol):
    with pytest.raises(DatasetError, match="found no file"):
        protocol(Mean(), tmp_path)


# ---- presence ----------------------------------------------------------------------------------


def test_presence_agrees_with_the_packs_report(data):
    report = evaluate_packs(Mean(), data)["presence"]

    result = evaluate_presence(Mean(), data)

    assert rows_of(result, "ranking")["AP"].value == report["average_precision"]
    assert rows_of(result, "gate")["true accept"].value == 100 * report["true_accept_at_gate"]
    assert rows_of(result, "gate")["true accept"].count == 18
    backs = rows_of(result, "backs of heads")["false accept"]
    assert backs.value == 100 * report["false_accept_at_gate_backs_of_heads"]
    assert backs.count == 12
    assert rows_of(result, "calibration")["faces"].value == pytest.approx(100 * 18 / (18 + 42))


def test_presence_curves_and_what_is_said_of_hands(data):
    result = evaluate_presence(Mean(), data)
    reliability, ranking = result.curves
    crops = presence_set([f for n in FACE_PACKS for f in load_faces(read_pack(data / n))], data)
    scores = Mean.presence(crops.images)
    assert reliability.gate == 0.7
    assert reliability.bins.count.sum() == scores.size
    ece = rows_of(result, "calibration")["ECE"].value
    assert ece == pytest.approx(100 * reliability.bins.expected_error)
    assert list(ranking.curves) == ["all", *NEGATIVE_KINDS]
    assert "no hands" in " ".join(result.notes)


def test_presence_that_never_passes_the_gate(data):
    class Dark(Mean):
        @staticmethod
        def presence(images):
            return np.full(len(images), 0.1, np.float32)

    rows = rows_of(evaluate_presence(Dark(), data), "behind the gate")
    assert rows["promised"].value is None
    assert rows["promised"].reason


def test_presence_of_a_network_without(data):
    with pytest.raises(NotRunError, match="mean gives none"):
        evaluate_presence(Mean(has_presence=False), data)


# ---- conditions --------------------------------------------------------------------------------


def condition(source="a", angles=(0.0, 0.0, 0.0), light=(0.0, 0.0, 0.0), nme=1.0):
    return FaceConditions(source, nme, 0.9, angles, light)


def test_pose_groups_share_no_face_and_leave_out_unknown_ones():
    faces = [condition(angles=(float(yaw), 0.0, 0.0)) for yaw in range(-90, 91)]
    unknown = condition(angles=(float("nan"),) * 3)
    groups = condition_groups([*faces, unknown])
    sizes = {name: len(group) for name, group in groups.items() if name.startswith("|yaw|")}
    assert sizes == {
        "|yaw| 0 to 15": 29,
        "|yaw| 15 to 30": 30,
        "|yaw| 30 to 45": 30,
        "|yaw| 45 to 60": 30,
        "|yaw| 60+": 62,
    }
    assert len(groups[""]) == 182


def test_thirds_are_of_each_source():
    dark = [condition("night", light=(float(i), 0.0, 0.0)) for i in range(6)]
    bright = [condition("day", light=(100.0 + i, 0.0, 0.0)) for i in range(9)]

    groups = condition_groups(dark + bright)

    for name, night, day in (
        ("brightness dark", [0, 1], [100, 101, 102]),
        ("brightness medium", [2, 3], [103, 104, 105]),
        ("brightness bright", [4, 5], [106, 107, 108]),
    ):
        values = [face.light[0] for face in groups[name]]
        assert values == night + day


def test_every_face_is_in_one_third():
    rng = np.random.default_rng(0)
    faces = [condition(light=tuple(rng.uniform(0, 1, 3))) for _ in range(10)]
    groups = condition_groups(faces)
    for quality in ("brightness", "contrast", "sharpness"):
        members = [f for name, group in groups.items() if name.startswith(quality) for f in group]
        assert sorted(map(id, members)) == sorted(map(id, faces))


@pytest.fixture
def textured():
    rng = np.random.default_rng(0)
    picture = rng.integers(60, 140, (112, 112, 3)).astype(np.uint8)
    points = rng.uniform(30, 80, (98, 2)).astype(np.float32)
    return LabelledFace(picture, points, np.ones(98, np.float32), None)


def test_light_of_a_face(textured):
    brightness, contrast, sharpness = face_light(textured)

    darker = face_light(replace(textured, image=textured.image // 2))
    assert darker[0] == pytest.approx(brightness / 2, rel=0.02)
    assert darker[1] < 0.6 * contrast
    blurred = face_light(replace(textured, image=cv2.GaussianBlur(textured.image, (0, 0), 2.0)))
    assert blurred[0] == pytest.approx(brightness, rel=0.02)
    assert blurred[2] < 0.1 * sharpness


def test_light_is_of_the_face_and_not_of_what_surrounds_it(textured):
    surrounded = textured.image.copy()
    surrounded[:20] = 255
    surrounded[-20:] = 0
    assert face_light(replace(textured, image=surrounded)) == pytest.approx(face_light(textured))


def test_conditions_of_packs(data):
    result = evaluate_conditions(Mean(), data)

    everyone = rows_of(result, "all")
    assert everyone["NME"].count == 18
    sources = [rows_of(result, name)["NME"].value for name in ("faces_helen", "faces_ytf")]
    report = evaluate_packs(Mean(), data)
    assert sources == [
        pytest.approx(report[f"landmarks {name}"]["nme_98_percent"])
        for name in ("faces_helen", "faces_ytf")
    ]
    assert rows_of(result, "faces_helen: |yaw| 60+")["NME"].count == 3  # 60, 80, 100
    assert rows_of(result, "all: sharpness blurred")["NME"].count == 6
    assert "accepted at gate" in everyone
    (curves,) = result.curves
    assert list(curves.errors) == ["faces_helen", "faces_ytf", "faces_synthetic"]


def test_conditions_without_presence(data):
    result = evaluate_conditions(Mean(has_presence=False), data)
    assert set(rows_of(result, "all")) == {"NME", "FR 10 %"}


# ---- contact sheets ----------------------------------------------------------------------------


def sheet_face(grey, label="x", pose=None):
    roi = Roi(30.0, 30.0, 60.0)
    points = np.random.default_rng(0).uniform(20, 40, (98, 2)).astype(np.float32)
    return SheetFace(np.full((60, 60, 3), grey, np.uint8), roi, points, pose, label)


def test_sheet_is_filled_row_by_row():
    sheet = contact_sheet([sheet_face(g) for g in (50, 100, 150, 200, 250)], columns=2, tile=80)
    assert sheet.shape == (240, 160, 3)
    corners = [int(sheet[y + 4, x + 4, 0]) for y in (0, 80, 160) for x in (0, 80)]
    assert corners == [50, 100, 150, 200, 250, 0]


def test_sheet_shows_landmarks_and_axes():
    plain = contact_sheet([sheet_face(90)], tile=120)
    assert plain.shape == (120, 120, 3)
    assert (plain[40:80, 40:80] != 90).any()  # points 20 to 40 of 60 pixels
    turned = contact_sheet([sheet_face(90, pose=HeadPose(np.eye(3)))], tile=120)
    assert (turned != plain).any()


@pytest.mark.parametrize(("faces", "columns"), [([], 3), ([sheet_face(1)], 0)])
def test_impossible_sheet(faces, columns):
    with pytest.raises(ValueError, match="expected faces and columns"):
        contact_sheet(faces, columns=columns)


def test_worst_come_first(data, monkeypatch):
    labels = []

    def record(faces, **_):
        labels.append([face.label for face in faces])
        return np.zeros((1, 1, 3), np.uint8)

    monkeypatch.setattr("training.protocols.sheets.contact_sheet", record)
    worst_and_random(Mean(), data, ["faces_helen", "faces_ytf"], count=8)
    worst, drawn = ([float(label[4:-1]) for label in sheet] for sheet in labels)
    assert len(worst) == len(drawn) == 8
    assert worst == sorted(worst, reverse=True)
    assert max(drawn) <= worst[0]
    assert drawn != sorted(drawn, reverse=True)


def test_sheets_of_more_faces_than_there_are(data):
    worst, drawn = worst_and_random(Mean(has_pose=False), data, ["faces_ytf"], count=50)
    assert worst.shape == drawn.shape == (168, 6 * 168, 3)
