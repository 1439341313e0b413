import json

import numpy as np
import pytest

from atpn_mobile.errors import AtpnError, ModelMismatchError
from atpn_mobile.geometry import roi_from_landmarks
from atpn_mobile.testing import (
    FAKE_SPEC,
    STAGES,
    FakeBackend,
    FakeDetector,
    GoldenError,
    fake_face,
    load_golden,
)
from atpn_mobile.types import Detection

IMAGE = {"image": np.zeros(FAKE_SPEC.input.shape, np.float32)}


def presence_of(outputs):
    return float(outputs["presence"][0, 0])


def test_the_script_runs_and_the_last_outputs_stay():
    backend = FakeBackend([fake_face(presence=0.25), fake_face(presence=0.5)])
    assert [presence_of(backend.run(IMAGE)) for _ in range(3)] == [0.25, 0.5, 0.5]
    assert len(backend.calls) == 3


def test_a_function_can_be_the_script():
    backend = FakeBackend(lambda inputs: fake_face(presence=float(inputs["image"].max())))
    assert presence_of(backend.run(IMAGE)) == 0.0
    assert presence_of(backend.run({"image": IMAGE["image"] + 1})) == 1.0


def test_outputs_are_the_callers_to_keep():
    backend = FakeBackend([fake_face()])
    backend.run(IMAGE)["landmarks"][:] = 0.0
    assert backend.run(IMAGE)["landmarks"].max() > 0.5


def test_a_wrong_script_is_found():
    with pytest.raises(ModelMismatchError, match="outputs of model 'fake'"):
        FakeBackend([{"landmarks": np.zeros((1, 98, 2), np.float32)}]).run(IMAGE)
    with pytest.raises(ModelMismatchError, match="inputs of model 'fake'"):
        FakeBackend([fake_face()]).run({})


def test_a_closed_fake_behaves_like_an_engine():
    backend = FakeBackend([fake_face()])
    backend.close()
    assert backend.closed
    with pytest.raises(AtpnError, match="closed"):
        backend.run(IMAGE)


def test_the_default_face_stays_where_it_is():
    roi = roi_from_landmarks(fake_face()["landmarks"][0])
    assert (roi.center_x, roi.center_y, roi.size) == pytest.approx((0.5, 0.5, 1.0))


def test_fake_detector():
    detection = Detection((0.0, 0.0, 1.0, 1.0), 0.9)
    detector = FakeDetector([[], [detection]])
    frame = np.zeros((4, 4, 3), np.uint8)
    assert [detector.detect(frame) for _ in range(3)] == [(), (detection,), (detection,)]
    assert detector.calls == 3


CASE = {"inputs": {"yaw": 0.5}, "expected": {"rotation": [1, 2]}, "tolerance": {"rotation": 1e-6}}


def write_case(folder, stage="euler", name="one", case=CASE):
    (folder / stage).mkdir(exist_ok=True)
    (folder / stage / f"{name}.json").write_text(json.dumps(case), encoding="utf-8")


def test_golden_cases_are_read_in_order(tmp_path):
    write_case(tmp_path, name="two")
    write_case(tmp_path, name="one")
    write_case(tmp_path, stage="decode")
    cases = load_golden(tmp_path)
    assert [(case.stage, case.name) for case in cases] == [
        ("decode", "one"),
        ("euler", "one"),
        ("euler", "two"),
    ]
    assert cases[0].inputs == {"yaw": 0.5}
    assert cases[0].tolerance == {"rotation": 1e-6}
    assert [case.name for case in load_golden(tmp_path / "euler")] == ["one", "two"]


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_known(tmp_path, stage):
    write_case(tmp_path, stage=stage)
    assert load_golden(tmp_path)[0].stage == stage


def test_no_cases_is_an_error(tmp_path):
    with pytest.raises(GoldenError, match="found none"):
        load_golden(tmp_path)
    with pytest.raises(GoldenError, match="found none"):
        load_golden(tmp_path / "missing")
    (tmp_path / "euler").mkdir()
    with pytest.raises(GoldenError, match="found none"):
        load_golden(tmp_path)


def test_an_unknown_stage_is_an_error(tmp_path):
    write_case(tmp_path)
    write_case(tmp_path, stage="eulr")
    with pytest.raises(GoldenError, match=r"got \['eulr'\]"):
        load_golden(tmp_path)


@pytest.mark.parametrize(
    "case",
    [
        [],
        {},
        {"inputs": {}, "expected": {}},  # the tolerance is part of the file
        {**CASE, "comment": ""},
        {**CASE, "tolerance": 1e-6},
    ],
)
def test_a_file_in_another_format_is_an_error(tmp_path, case):
    write_case(tmp_path, case=case)
    with pytest.raises(GoldenError, match=r"one\.json"):
        load_golden(tmp_path)


def test_a_file_that_is_no_json_is_an_error(tmp_path):
    write_case(tmp_path)
    (tmp_path / "euler" / "one.json").write_text("{", encoding="utf-8")
    with pytest.raises(GoldenError, match="JSON"):
        load_golden(tmp_path)
