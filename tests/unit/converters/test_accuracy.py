"""What a converted model loses on held-out data."""

import cv2
import numpy as np
import pytest

from atpn_mobile.manifest import InputSpec, ModelSpec
from converters import accuracy
from converters.accuracy import (
    AlignmentAccuracy,
    AlignmentLoss,
    compare_alignment,
    measure_alignment,
    measure_detection,
    require_accuracy,
)
from converters.errors import ParityError
from converters.make_parity_crops import encode, save_pack
from converters.models import ASMNET, ATPN
from training.data.sample import DatasetError
from training.detection.evaluate import EvaluationFrame
from training.detection.pictures import BACK_OF_HEAD_PACK, BACKGROUND_PACK
from training.evaluate import FACE_PACKS

NCHW = ATPN.spec
NHWC = ModelSpec("atpn", InputSpec("image", (1, 112, 112, 3), "NHWC"), ATPN.outputs)
WIDE = InputSpec("image", (1, 3, 64, 64), "NCHW")
FACES = 6


LANDMARKS = np.random.default_rng(7).uniform(0.2, 0.8, (1, 98, 2)).astype(np.float32)


class FakeNetwork:
    """The same landmarks and angles for every crop; a face is what is bright."""

    def __init__(self, *, shift=0.0, yaw=0.0, threshold=127.0, spec=NCHW):
        self.shift, self.yaw, self.threshold = shift, yaw, threshold
        self.names = [output.name for output in spec.outputs]
        self.shapes = set()

    def run(self, inputs):
        image = inputs["image"]
        self.shapes.add(image.shape)
        presence = 0.9 if image.mean() > self.threshold else 0.1
        outputs = {
            "landmarks": LANDMARKS + np.float32(self.shift),
            "pose": np.array([[np.radians(self.yaw), 0.0, 0.0]], np.float32),
            "presence": np.full((1, 1), presence, np.float32),
        }
        return {name: outputs[name] for name in self.names}


def write(path, count, *, faces):
    rng = np.random.default_rng(len(path.name))
    images = [
        cv2.resize(rng.integers(0, 256, (5, 5, 3)).astype(np.uint8), (96, 96)) for _ in range(count)
    ]
    arrays = {"name": np.array([str(i) for i in range(count)]), "split": np.array(["val"] * count)}
    if faces:
        arrays["points98"] = rng.uniform(30, 66, (count, 98, 2)).astype(np.float32)
        arrays["rotation"] = np.repeat(np.eye(3, dtype=np.float32)[None], count, axis=0)
    save_pack(path, {**encode(images), **arrays})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packs")
    for name in FACE_PACKS:
        write(folder / name, FACES, faces=True)
    for name in (BACKGROUND_PACK, BACK_OF_HEAD_PACK):
        write(folder / f"{name}.npz", 3, faces=False)
    return folder


@pytest.fixture(autouse=True)
def _fresh():
    yield
    accuracy._alignment_data.cache_clear()
    accuracy._detection_frames.cache_clear()


def test_every_crop_is_run_alone_in_the_layout_of_the_model(data):
    planes, pixels = FakeNetwork(), FakeNetwork()
    first = measure_alignment(planes, NCHW, data)
    second = measure_alignment(pixels, NHWC, data)
    assert (planes.shapes, pixels.shapes) == ({NCHW.input.shape}, {NHWC.input.shape})
    assert first.nme_percent == second.nme_percent
    np.testing.assert_array_equal(first.presence, second.presence)


def test_measures_are_by_pack_and_of_all_crops(data):
    measured = measure_alignment(FakeNetwork(yaw=6.0), NCHW, data)
    assert list(measured.nme_percent) == ["faces_helen", "faces_ytf", "faces_synthetic"]
    assert measured.pose_mae_deg == pytest.approx(2.0, abs=1e-4)  # of three angles one is off by 6
    # each face once, four crops of each picture without one, as many beside a face as faces
    assert measured.presence.shape == (2 * 3 * FACES + 4 * 6,)
    assert 0.0 < measured.true_accept < 1.0
    assert 0.0 < measured.false_accept < 1.0


def test_what_is_worse_is_seen(data):
    reference = measure_alignment(FakeNetwork(), NCHW, data)
    same = compare_alignment(reference, reference)
    assert set(same.nme_increase_percent.values()) == {0.0}
    assert (same.pose_increase_deg, same.presence_agreement) == (0.0, 1.0)
    worse = FakeNetwork(shift=0.5, yaw=-9.0, threshold=1_000.0)
    loss = compare_alignment(reference, measure_alignment(worse, NCHW, data))
    assert min(loss.nme_increase_percent.values()) > 20.0
    assert loss.pose_increase_deg == pytest.approx(3.0, abs=1e-4)
    assert loss.presence_agreement == pytest.approx((reference.presence < 0.7).mean())


def test_a_network_without_presence_is_measured_on_crops_of_its_size(data):
    first = FakeNetwork(spec=ASMNET.spec)
    reference = measure_alignment(first, ASMNET.spec, data)
    assert first.shapes == {(1, 3, 224, 224)}
    # the landmarks are in crop units, and so are the same as those of a smaller crop
    smaller = measure_alignment(FakeNetwork(), NCHW, data)
    assert reference.nme_percent == pytest.approx(smaller.nme_percent, rel=1e-5)
    assert reference.pose_mae_deg == smaller.pose_mae_deg
    assert (reference.true_accept, reference.false_accept, reference.presence) == (None,) * 3
    worse = measure_alignment(FakeNetwork(yaw=3.0, spec=ASMNET.spec), ASMNET.spec, data)
    loss = compare_alignment(reference, worse)
    assert loss.presence_agreement is None
    assert loss.pose_increase_deg == pytest.approx(1.0, abs=1e-4)
    require_accuracy(loss)
    with pytest.raises(ParityError, match=r"NME on a \+5\.1 % \(at most \+5 %\)$"):
        require_accuracy(AlignmentLoss({"a": 5.1}, 0.0, None))


def test_relative_increase_and_decisions():
    def measured(nme, *presence):
        return AlignmentAccuracy({"a": nme}, 1.0, 1.0, 0.0, np.array(presence, np.float32))

    loss = compare_alignment(measured(4.0, 0.69, 0.71, 0.2, 0.9), measured(5.0, 0.71, 0.9, 0.1, 1))
    assert loss.nme_increase_percent == {"a": pytest.approx(25.0)}
    assert loss.presence_agreement == 0.75


@pytest.mark.parametrize(
    ("increase", "agreement", "message"),
    [
        (5.1, 1.0, r"NME on a \+5\.1 %"),
        (float("nan"), 1.0, "NME on a"),
        (0.0, 0.994, r"alike on 99\.40 %"),
    ],
)
def test_a_loss_beyond_the_limits_is_refused(increase, agreement, message):
    with pytest.raises(ParityError, match=message):
        require_accuracy(AlignmentLoss({"a": increase, "b": 0.0}, 0.0, agreement))


def test_a_loss_within_the_limits_is_not():
    require_accuracy(AlignmentLoss({"a": 4.9, "b": -3.0}, 0.5, 0.995))


def test_data_is_decoded_once(data, monkeypatch):
    measure_alignment(FakeNetwork(), NCHW, data)
    monkeypatch.setattr(accuracy, "load_val_faces", None)
    measure_alignment(FakeNetwork(), NCHW, data)


def test_missing_data_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="expected a pack"):
        measure_alignment(FakeNetwork(), NCHW, tmp_path)


class FakeDetector:
    """One box, the middle quarter of the input, wherever the picture is bright."""

    def run(self, inputs):
        assert inputs["image"].shape == WIDE.shape
        bright = float(inputs["image"].max() > 100.0)
        return {
            "boxes": np.array([[[0.375, 0.375, 0.625, 0.625]]], np.float32),
            "scores": np.full((1, 1), 0.1 + 0.8 * bright, np.float32),
        }


def test_a_detector_is_measured_as_the_runtime_runs_it(monkeypatch, tmp_path):
    def frame(part, brightness, *box):
        image = np.full((240, 320, 3), brightness, np.uint8)
        return EvaluationFrame(image, np.array(box, np.float32).reshape(-1, 4), part, part)

    face = (119.5, 79.5, 199.5, 159.5)
    frames = [
        frame("large", 200, *face),
        frame("large", 0, *face),  # too dark for it
        frame("small", 200, *face),
        frame("background", 200),
        frame("background", 0),
        frame("back_of_head", 0),
    ]
    monkeypatch.setattr(accuracy, "build_frames", lambda library: frames)
    monkeypatch.setattr(accuracy, "load_library", lambda data, split: None)
    point = measure_detection(FakeDetector(), WIDE, tmp_path)
    assert (point.threshold, point.recall_small, point.recall_large) == (0.5, 1.0, 0.5)
    assert (point.false_boxes, point.false_heads) == (1, 0)
