"""Measured differences, worked out by hand, and the limits they are held to."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import pytest

from atpn_mobile.manifest import ModelSpec
from atpn_mobile.types import FloatArray
from converters.errors import ParityError
from converters.models import ASMNET, ATPN, DETECTOR
from converters.parity import (
    LIMITS,
    MAX_SQNR_DB,
    RANDOM_INPUTS,
    AlignmentParity,
    DetectionParity,
    ParityInput,
    compare,
    describe_scaling,
    find_limits,
    parity_inputs,
    require_parity,
    scaled_crop,
)

FLOATS = (float, float | None)

# what an AlignmentParity measures, but the signal to noise
NUMBERS = [
    field.name
    for field in dataclasses.fields(AlignmentParity)
    if field.type in FLOATS and field.name != "sqnr_db"
]
INPUTS = (
    ParityInput("first", np.zeros((1, 3, 112, 112), np.float32)),
    ParityInput("second", np.zeros((1, 3, 112, 112), np.float32)),
    ParityInput("noise", np.zeros((1, 3, 112, 112), np.float32), is_random=True),
)


class Recorded:
    """A network that gives one prepared answer after the other."""

    name = "recorded"

    def __init__(self, answers: list[dict[str, FloatArray]], spec: ModelSpec = ATPN.spec) -> None:
        self.spec = spec
        self.seen: list[FloatArray] = []
        self._answers = iter(answers)

    def run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        self.seen.append(inputs["image"])
        return next(self._answers)

    def close(self) -> None:
        pass


def answers() -> list[dict[str, FloatArray]]:
    return [
        {
            "landmarks": np.full((1, 98, 2), 0.5, np.float32),
            "pose": np.full((1, 3), 0.25, np.float32),
            "presence": np.full((1, 1), 0.5, np.float32),
        }
        for _ in INPUTS
    ]


def compare_alignment(expected, got) -> AlignmentParity:
    report = compare(Recorded(expected), Recorded(got), "alignment", ATPN.spec, INPUTS, "a with b")
    assert isinstance(report, AlignmentParity)
    return report


def detections() -> list[dict[str, FloatArray]]:
    return [
        {
            "boxes": np.full((1, 1024, 4), 0.5, np.float32),
            "scores": np.full((1, 1024), 0.5, np.float32),
        }
        for _ in INPUTS
    ]


def compare_detection(expected, got) -> DetectionParity:
    report = compare(
        Recorded(expected),
        Recorded(got, DETECTOR.spec),
        "detection",
        DETECTOR.spec,
        INPUTS,
        "a with b",
    )
    assert isinstance(report, DetectionParity)
    return report


def test_equal_networks_do_not_differ() -> None:
    report = compare_alignment(answers(), answers())
    differences = dict.fromkeys(NUMBERS, 0.0)
    assert report == AlignmentParity("a with b", 2, 1, "first", **differences, sqnr_db=MAX_SQNR_DB)


def test_landmarks_in_pixels_and_percent_of_the_face() -> None:
    got = answers()
    got[1]["landmarks"][0, 17] += np.array([3.0, 4.0], np.float32) / 112.0
    report = compare_alignment(answers(), got)
    assert report.landmarks_max_px == pytest.approx(5.0, rel=1e-5)
    assert report.landmarks_mean_px == pytest.approx(5.0 / (2 * 98), rel=1e-5)
    # the crop is 1.5 times the face: a face of 74.67 pixels
    assert report.landmarks_max_percent == pytest.approx(100.0 * 5.0 / (112.0 / 1.5), rel=1e-5)
    assert report.landmarks_mean_percent == pytest.approx(
        report.landmarks_max_percent / (2 * 98), rel=1e-5
    )
    assert report.worst == "second"
    assert report.random_landmarks_max_percent == 0.0


@pytest.mark.parametrize(
    ("expected_deg", "got_deg", "difference_deg"),
    [(10.0, 11.5, 1.5), (11.5, 10.0, 1.5), (179.0, -179.0, 2.0), (-180.0, 180.0, 0.0)],
)
def test_angles_differ_the_short_way_round(
    expected_deg: float, got_deg: float, difference_deg: float
) -> None:
    expected, got = answers(), answers()
    expected[0]["pose"][0, 2] = math.radians(expected_deg)
    got[0]["pose"][0, 2] = math.radians(got_deg)
    report = compare_alignment(expected, got)
    assert report.pose_max_deg == pytest.approx(difference_deg, abs=1e-4)
    assert report.pose_mean_deg == pytest.approx(difference_deg / 6, abs=1e-4)


def test_presence() -> None:
    got = answers()
    got[1]["presence"][0, 0] = 0.25
    report = compare_alignment(answers(), got)
    assert (report.presence_max, report.presence_changed) == (0.25, 0.0)
    got[1]["presence"][0, 0] = 0.75  # a face by the tracker's gate, where the reference saw none
    report = compare_alignment(answers(), got)
    assert (report.presence_max, report.presence_changed) == (0.25, 0.5)


def without_presence() -> list[dict[str, FloatArray]]:
    return [{name: one[name] for name in ("landmarks", "pose")} for one in answers()]


def test_nothing_is_said_or_asked_of_a_presence_that_a_network_does_not_have() -> None:
    got = without_presence()
    got[1]["landmarks"][0, 17, 0] += 0.0001 / 1.5
    spec = ASMNET.spec
    made = compare(Recorded(without_presence()), Recorded(got), "alignment", spec, INPUTS, "a")
    assert isinstance(made, AlignmentParity)
    assert (made.presence_max, made.presence_changed, made.random_presence_max) == (None,) * 3
    assert made.landmarks_max_percent == pytest.approx(0.01, rel=1e-3)
    for precision in ("float32", "float16", "int8"):
        require_parity(made, LIMITS[precision, "alignment"])
    with pytest.raises(ParityError, match=r"landmarks_max_percent 0\.01 .*; worst"):
        require_parity(made, {"landmarks_max_percent": 0.005, "presence_max": 0.0})


def test_a_presence_that_is_missing_is_not_taken_for_none() -> None:
    with pytest.raises(ParityError, match="presence"):
        compare_alignment(answers(), without_presence())


def test_random_inputs_are_measured_apart() -> None:
    got = answers()
    got[2]["landmarks"][0, 3, 0] += 1.0 / 1.5
    got[2]["pose"] += np.float32(math.radians(2.0))
    got[2]["presence"] += np.float32(0.125)
    report = compare_alignment(answers(), got)
    assert report.random_landmarks_max_percent == pytest.approx(100.0, rel=1e-5)
    assert report.random_pose_max_deg == pytest.approx(2.0, rel=1e-5)
    assert report.random_presence_max == pytest.approx(0.125)
    assert report.worst == "first"
    assert (report.landmarks_max_percent, report.pose_max_deg, report.presence_max) == (0, 0, 0)


def test_a_file_is_given_its_own_layout() -> None:
    nhwc = dataclasses.replace(ATPN.input, shape=(1, 112, 112, 3), layout="NHWC")
    pictures = [np.arange(3 * 112 * 112, dtype=np.float32).reshape(1, 3, 112, 112)]
    converted = Recorded(answers()[:1], dataclasses.replace(ATPN.spec, input=nhwc))
    inputs = (ParityInput("first", pictures[0]),)
    compare(Recorded(answers()[:1]), converted, "alignment", ATPN.spec, inputs, "a with b")
    (seen,) = converted.seen
    assert seen.shape == (1, 112, 112, 3)
    assert seen.flags.c_contiguous
    np.testing.assert_array_equal(seen[0, 5, 7], pictures[0][0, :, 5, 7])


def test_signal_to_noise_of_the_worst_output() -> None:
    got = answers()
    for answer in got:
        answer["presence"] *= np.float32(1.1)  # noise a tenth of the signal: 20 dB
        answer["pose"] *= np.float32(1.001)  # 60 dB
    assert compare_alignment(answers(), got).sqnr_db == pytest.approx(20.0, abs=1e-3)


def test_boxes_in_percent_of_the_input() -> None:
    got = detections()
    got[1]["boxes"][0, 5, 2] += 0.125
    got[0]["scores"][0, 7] -= 0.25
    report = compare_detection(detections(), got)
    assert report.boxes_max_percent == pytest.approx(12.5)
    assert report.boxes_mean_percent == pytest.approx(12.5 / (2 * 1024 * 4))
    assert report.scores_max == pytest.approx(0.25)
    assert (report.frames, report.random_inputs, report.worst) == (2, 1, "second")
    assert (report.random_boxes_max_percent, report.random_scores_max) == (0.0, 0.0)
    assert report.found_boxes_max_percent == pytest.approx(12.5)
    assert report.found_changed == pytest.approx(1 / (2 * 1024))
    got[2]["boxes"][0, 5, 2] += 0.25
    got[2]["scores"][0, 7] -= 0.5
    report = compare_detection(detections(), got)
    assert report.random_boxes_max_percent == pytest.approx(25.0)
    assert report.random_scores_max == pytest.approx(0.5)


def test_boxes_that_nobody_reports_are_told_apart() -> None:
    expected, got = detections(), detections()
    for answers_of in (expected, got):
        for answer in answers_of:
            answer["scores"][:] = 0.25
    expected[0]["scores"][0, 7] = got[0]["scores"][0, 7] = 0.75
    got[0]["boxes"][0, 5, 1] += 0.125
    got[0]["boxes"][0, 7, 1] += 0.03125
    report = compare_detection(expected, got)
    assert report.boxes_max_percent == pytest.approx(12.5)
    assert report.found_boxes_max_percent == pytest.approx(3.125)
    assert report.found_changed == 0.0


@pytest.mark.parametrize("name", ["landmarks", "pose", "presence"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_numbers_that_are_not_finite(name: str, value: float) -> None:
    got = answers()
    got[1][name].reshape(-1)[0] = value
    with pytest.raises(ParityError, match=f"finite numbers as {name} of the converted"):
        compare_alignment(answers(), got)
    with pytest.raises(ParityError, match=f"finite numbers as {name} of the reference"):
        compare_alignment(got, answers())


def test_refuses_other_shapes() -> None:
    got = answers()
    for answer in got:
        answer["landmarks"] = answer["landmarks"][:, :68]
    with pytest.raises(ParityError, match=r"landmarks of shape \(3, 98, 2\), got \(3, 68, 2\)"):
        compare_alignment(answers(), got)


def test_refuses_a_missing_output() -> None:
    got = answers()
    del got[0]["pose"]
    with pytest.raises(ParityError, match="pose"):
        compare_alignment(answers(), got)


def test_refuses_to_compare_on_nothing() -> None:
    with pytest.raises(ParityError, match="got none"):
        compare(Recorded([]), Recorded([]), "alignment", ATPN.spec, (), "a with b")


def report(**values: float) -> AlignmentParity:
    zero = compare_alignment(answers(), answers())
    return dataclasses.replace(zero, **values)


def test_limits_are_inclusive() -> None:
    require_parity(report(landmarks_max_percent=0.015), {"landmarks_max_percent": 0.015})


@pytest.mark.parametrize(
    "values",
    [
        {"landmarks_max_percent": 0.0151},
        {"pose_max_deg": 0.11},
        {"presence_max": 0.0011},
        {"presence_max": math.nan},
        {"random_pose_max_deg": 0.11},
    ],
)
def test_a_broken_limit_is_named(values: dict[str, float]) -> None:
    (name,) = values
    with pytest.raises(ParityError, match=f"a with b, got {name}.*worst input: first"):
        require_parity(report(**values), LIMITS["float32", "alignment"])


def test_every_limit_is_one_of_a_reported_number() -> None:
    reports = {"alignment": AlignmentParity, "detection": DetectionParity}
    for (_, task), limits in LIMITS.items():
        numbers = {f.name for f in dataclasses.fields(reports[task]) if f.type in FLOATS}
        assert limits
        assert set(limits) <= numbers


def test_few_bits_may_cost_a_baseline_more() -> None:
    assert find_limits("int8", "alignment") is LIMITS["int8", "alignment"]
    wider = find_limits("int8", "alignment", is_baseline=True)
    assert wider["landmarks_mean_percent"] == pytest.approx(2.0)  # 4 x 0.5
    for precision in ("float32", "float16"):  # what is exact is exact for all
        limits = find_limits(precision, "alignment", is_baseline=True)
        assert limits is LIMITS[precision, "alignment"]
    with pytest.raises(ParityError, match="limits for detection in float8"):
        find_limits("float8", "detection")


@pytest.mark.parametrize(("model", "pictures"), [(ATPN, 64), (DETECTOR, 16), (ASMNET, 64)])
def test_inputs_are_pictures_and_noise(model, pictures: int) -> None:
    inputs = parity_inputs(model.task, model.input)
    real = [one for one in inputs if not one.is_random]
    assert (len(real), len(inputs)) == (pictures, pictures + RANDOM_INPUTS)
    assert len({one.name for one in inputs}) == len(inputs)
    assert {one.tensor.shape for one in inputs} == {model.input.shape}
    assert {one.tensor.dtype for one in inputs} == {np.dtype(np.float32)}
    values = np.concatenate([one.tensor for one in inputs])
    assert values.min() >= 0.0
    assert 200.0 < values.max() <= 255.0  # the networks normalise, their callers do not
    scaled = model is ASMNET
    assert {one.scaled_from for one in real} == {112 if scaled else None}
    text = "crops of 112x112 scaled to 224x224" if scaled else ""
    assert describe_scaling(inputs, model.input) == text
    # a picture has neighbours that look alike, noise has not
    steps = [float(np.abs(np.diff(one.tensor, axis=3)).mean()) for one in inputs]
    assert max(steps[:pictures]) < 30.0 < min(steps[pictures:])


def test_crops_are_scaled_about_their_middle() -> None:
    ramp = np.repeat(np.arange(0, 224, 2, np.uint8)[None, :, None], 112, axis=0).repeat(3, axis=2)
    assert scaled_crop(ramp, 112) is ramp
    larger = scaled_crop(ramp, 224)
    assert (larger.shape, larger.dtype) == ((224, 224, 3), np.uint8)
    # pixel i of the larger one lies at (i + 0.5) / 2 - 0.5 of the smaller one
    np.testing.assert_allclose(larger[7, 1:-1, 0], np.arange(1, 223) - 0.5, atol=0.51)
    smaller = scaled_crop(ramp, 56)
    assert smaller.shape == (56, 56, 3)
    np.testing.assert_allclose(smaller[3, :, 1], 4.0 * np.arange(56) + 1.0, atol=0.51)


def test_inputs_are_the_same_every_time() -> None:
    first, second = (parity_inputs("alignment", ATPN.input) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.tensor, other.tensor)
