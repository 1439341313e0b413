"""Anything may be handed in: the answer is a valid result or an error of the package."""

import copy
import decimal
import fractions
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from atpn_mobile.config import TrackerConfig
from atpn_mobile.errors import AtpnError, InvalidFrameError, ManifestError
from atpn_mobile.manifest import load_manifest
from atpn_mobile.testing import FakeBackend, FakeDetector, fake_face
from atpn_mobile.tracker import FaceTracker
from atpn_mobile.types import Detection, TrackResult

ROOT = Path(__file__).parents[2]
COLORS = st.sampled_from(["rgb", "bgr", "grey"])


def check(result):
    """A result that holds what its documentation says."""
    assert isinstance(result, TrackResult)
    assert math.isfinite(result.timestamp_s)
    assert len({face.track_id for face in result.faces}) == len(result.faces)
    for face in result.faces:
        assert face.landmarks.shape == face.raw_landmarks.shape == (98, 2)
        assert face.landmarks.dtype == face.raw_landmarks.dtype == np.float32
        assert np.isfinite(face.landmarks).all()
        assert np.isfinite(face.pose.rotation).all()
        assert 0.0 <= face.presence <= 1.0


def make(box=(2.0, 2.0, 12.0, 12.0), script=None, **options):
    detector = FakeDetector([[Detection(box, 0.9)]])
    return FaceTracker(
        FakeBackend(script or [fake_face()]), TrackerConfig(**options), detector=detector
    )


# --- frames --------------------------------------------------------------------------------------

dtypes = st.one_of(
    hnp.integer_dtypes(),
    hnp.unsigned_integer_dtypes(),
    hnp.floating_dtypes(),
    hnp.boolean_dtypes(),
    hnp.complex_number_dtypes(),
    st.sampled_from([np.dtype(object), np.dtype("U3"), np.dtype("V3")]),
)
shapes = st.one_of(
    hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=6),
    st.tuples(st.integers(1, 64), st.integers(1, 64), st.sampled_from([1, 2, 3, 4])),
    st.tuples(st.integers(1, 64), st.integers(1, 64)),
)


@given(shapes, dtypes, COLORS)
def test_arrays_of_any_shape_and_type(shape, dtype, color):
    frame = np.zeros(shape, dtype)
    fits = shape[2:] in ((), (1,)) if color == "grey" else shape[2:] == (3,)
    good = len(shape) >= 2 and fits and dtype == np.uint8 and frame.size > 0
    tracker = make(color=color)
    for call in (tracker.track, tracker.detect):
        if good:
            check(call(frame))
        else:
            with pytest.raises(InvalidFrameError):
                call(frame)


@given(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.text(), st.binary(), st.lists(st.integers()),
        st.dictionaries(st.text(), st.integers()), st.just(np.uint8(3)), st.just(object()),
    )
)  # fmt: skip
def test_what_is_no_array(frame):
    with pytest.raises(InvalidFrameError):
        make().track(frame)


def layouts(frame, folder):
    """The same pixels, lying in memory in many ways."""
    mapped = np.memmap(folder / "frame.raw", np.uint8, "w+", shape=frame.shape)
    mapped[:] = frame
    mapped.flush()
    padded = np.zeros((frame.shape[0], frame.shape[1] + 5, 4), np.uint8)
    padded[:, 2:-3, :3] = frame
    unaligned = np.frombuffer(b"\0" + frame.tobytes(), np.uint8, offset=1).reshape(frame.shape)
    read_only = frame.copy()
    read_only.flags.writeable = False

    class Subclass(np.ndarray):
        pass

    return {
        "plain": frame,
        "fortran": np.asfortranarray(frame),
        "mapped": mapped,
        "mapped, read-only": np.memmap(folder / "frame.raw", np.uint8, "r", shape=frame.shape),
        "inside a padded picture of four channels": padded[:, 2:-3, :3],
        "unaligned": unaligned,
        "read-only": read_only,
        "upside down and back": np.flipud(np.flipud(frame).copy()),
        "channels turned twice": frame[:, :, ::-1].copy()[:, :, ::-1],
        "planes": np.ascontiguousarray(frame.transpose(2, 0, 1)).transpose(1, 2, 0),
        "every second pixel of a larger one": np.repeat(np.repeat(frame, 2, 0), 2, 1)[::2, ::2],
        "a subclass": frame.view(Subclass),
        "masked": np.ma.masked_array(frame),
    }


def test_how_a_frame_lies_in_memory_does_not_matter(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    seen = {}
    for name, frame in layouts(noise, tmp_path).items():
        backend = FakeBackend([fake_face()])
        detector = FakeDetector([[Detection((10.0, 10.0, 40.0, 40.0), 0.9)]])
        tracker = FaceTracker(backend, detector=detector)
        before = np.array(frame)
        for _ in range(2):
            check(tracker.track(frame))
        np.testing.assert_array_equal(frame, before)
        seen[name] = np.stack([call["image"] for call in backend.calls])
    for name, inputs in seen.items():
        np.testing.assert_array_equal(inputs, seen["plain"], err_msg=name)


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (16, 16), (1, 5000), (5000, 1), (3, 17), (4320, 7680)]
)
def test_sizes_from_a_pixel_to_8k(height, width):
    frame = np.zeros((height, width, 3), np.uint8)
    low = (width / 2 - min(width, height) / 4, height / 2 - min(width, height) / 4)
    box = (
        *low,
        low[0] + max(2.0, min(width, height) / 2),
        low[1] + max(2.0, min(width, height) / 2),
    )
    tracker = make(box)
    for _ in range(2):
        check(tracker.track(frame))


WILD = st.sampled_from([math.nan, math.inf, -math.inf, 5e-324])


@given(
    st.tuples(*[st.floats(-1e6, 1e6) | st.floats(-1e30, 1e30) | WILD] * 4),
    st.integers(1, 64),
    st.integers(1, 64),
)
def test_a_detector_of_your_own_may_find_anything(box, height, width):
    try:
        result = make(box).track(np.zeros((height, width, 3), np.uint8))
    except AtpnError:
        return
    check(result)


def scribble(seed, scale, shift):
    """Outputs of a network that has gone astray."""
    rng = np.random.default_rng(seed)
    with np.errstate(over="ignore"):  # too large for float32: infinite
        wild = {
            name: (rng.standard_normal(array.shape) * scale + shift).astype(np.float32)
            for name, array in fake_face().items()
        }
    return {**wild, "presence": np.clip(wild["presence"], 0.0, 1.0)}


outputs = st.builds(
    scribble,
    st.integers(0, 1000),
    st.sampled_from([0.0, 1e-30, 0.1, 1.0, 50.0, 1e20, 1e38]),
    st.sampled_from([0.0, 0.5, 1.0, np.nan, np.inf, 99.0]),
)


@given(st.lists(outputs, min_size=1, max_size=6))
def test_a_network_may_say_anything(script):
    tracker = make(script=script, presence_threshold=0.1)
    frame = np.zeros((32, 32, 3), np.uint8)
    for _ in range(4):
        check(tracker.track(frame))


# --- timestamps ----------------------------------------------------------------------------------

stamps = st.one_of(
    st.none(),
    st.floats(),
    st.integers(),
    st.integers(10**300, 10**320),
    st.booleans(),
    st.text(max_size=4),
    st.sampled_from(["1.5", " 2 ", "nan", "infinity", "1e999", b"3"]),
    st.decimals(),
    st.fractions(),
    st.complex_numbers(),
    st.floats(width=32).map(np.float32),
    st.integers(0, 2**63 - 1).map(np.int64),
    st.floats().map(np.float64),
    st.floats().map(np.array),
    st.sampled_from([np.array([1.0, 2.0]), np.datetime64("2020-01-01"), np.timedelta64(5, "s")]),
    st.sampled_from([decimal.Decimal("sNaN"), decimal.Decimal("1E+999"), fractions.Fraction(1, 3)]),
    st.sampled_from([np.bool_(True), [1], {}, object()]),
)


@given(st.lists(stamps, min_size=1, max_size=8))
def test_any_timestamps(times):
    tracker = make()
    frame = np.zeros((16, 16, 3), np.uint8)
    tracked = 0
    for time_s in times:
        try:
            result = tracker.track(frame, time_s)
        except InvalidFrameError as error:
            assert "timestamp_s" in str(error)  # noqa: PT017 - both outcomes are allowed
            continue
        tracked += 1
        check(result)
        assert [face.track_id for face in result.faces] == [0]
        if time_s is None:
            assert result.timestamp_s == pytest.approx((tracked - 1) / 30)


@pytest.mark.parametrize(
    "time_s",
    [decimal.Decimal("0.25"), fractions.Fraction(1, 4), np.float16(0.25), np.array(0.25), "0.25"],
)
def test_numbers_of_other_kinds_are_numbers(time_s):
    assert make().track(np.zeros((16, 16, 3), np.uint8), time_s).timestamp_s == 0.25


# --- manifests -----------------------------------------------------------------------------------

DOCUMENT = json.loads((ROOT / "models" / "manifest.json").read_text(encoding="utf-8"))


def places(value, path=()):
    """Every key and index of a JSON document."""
    if path:
        yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, (dict, list)):
            yield from places(item, (*path, key))
        else:
            yield (*path, key)


PLACES = tuple(places(DOCUMENT))
json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=6),
        st.sampled_from(["../up", "/abs", "a\x00b", "\ud800", "onnx", 10**400, -1, 2**63]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=60)
@given(data=st.data())
def test_manifests_with_a_place_changed(tmp_path_factory, data):
    document = copy.deepcopy(DOCUMENT)
    for _ in range(data.draw(st.integers(1, 2))):
        *path, last = data.draw(st.sampled_from(PLACES))
        place = document
        try:
            for step in path:
                place = place[step]
            if data.draw(st.booleans()):
                place[last] = data.draw(json_values)
            else:
                del place[last]
        except (LookupError, TypeError):  # the first change took the place away
            continue
    folder = tmp_path_factory.mktemp("mutated")
    (folder / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    try:
        manifest = load_manifest(folder)
        for model in manifest.models:
            for artifact in model.artifacts:
                model.spec(artifact)
                with pytest.raises(AtpnError):  # no file lies there
                    manifest.read_artifact(artifact)
    except ManifestError:
        pass


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.sampled_from(["flip", "cut", "drop", "insert"]))
def test_manifests_with_damaged_bytes(tmp_path_factory, seed, kind):
    rng = np.random.default_rng(seed)
    text = bytearray((ROOT / "models" / "manifest.json").read_bytes())
    at = int(rng.integers(len(text)))
    if kind == "flip":
        text[at] ^= 1 << int(rng.integers(8))
    elif kind == "cut":
        text = text[:at]
    elif kind == "drop":
        del text[at : at + int(rng.integers(1, 40))]
    else:
        text[at:at] = rng.bytes(3)
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "manifest.json").write_bytes(bytes(text))
    try:
        assert load_manifest(folder).models
    except ManifestError as error:
        assert str(folder) in str(error)  # noqa: PT017 - both outcomes are allowed


def test_the_fuzzed_pictures_are_drawn_on_too():
    from atpn_mobile.draw import draw_result

    frame = np.zeros((16, 16, 3), np.uint8)
    assert draw_result(frame, make().track(frame), color="rgb").shape == frame.shape
    assert cv2.countNonZero(frame.reshape(16, 48)) == 0
