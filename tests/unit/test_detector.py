import numpy as np
import pytest

from atpn_mobile.config import DetectorConfig
from atpn_mobile.detector import NetworkDetector
from atpn_mobile.errors import ModelMismatchError
from atpn_mobile.manifest import InputSpec, ModelSpec, OutputSpec
from atpn_mobile.testing import FakeBackend

SPEC = ModelSpec(
    "detector",
    InputSpec("picture", (1, 64, 64, 3), "NHWC"),
    (OutputSpec("boxes", (1, 2, 4)), OutputSpec("scores", (1, 2))),
)
OUTPUTS = {
    "boxes": np.array([[[0.25, 0.25, 0.5, 0.5], [0.5, 0.5, 0.75, 0.75]]], np.float32),
    "scores": np.array([[0.6, 0.9]], np.float32),
}


def test_finds_boxes_in_frame_pixels_best_first():
    backend = FakeBackend([OUTPUTS], SPEC)
    frame = np.zeros((480, 640, 3), np.uint8)
    best, other = NetworkDetector(backend).detect(frame)
    # The square is 640 wide and starts 80 above the frame; pixel centres at integers.
    assert best.box_xyxy == pytest.approx((319.5, 239.5, 479.5, 399.5))
    assert other.box_xyxy == pytest.approx((159.5, 79.5, 319.5, 239.5))
    assert (best.score, other.score) == pytest.approx((0.9, 0.6))
    assert backend.calls[0]["picture"].shape == (1, 64, 64, 3)


def test_config_is_used():
    detector = NetworkDetector(FakeBackend([OUTPUTS], SPEC), DetectorConfig(score_threshold=0.8))
    assert len(detector.detect(np.zeros((64, 64, 3), np.uint8))) == 1


def test_color_is_used():
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[:, :, 0] = 255
    for color, channel in (("rgb", 0), ("bgr", 2)):
        backend = FakeBackend([OUTPUTS], SPEC)
        NetworkDetector(backend, color=color).detect(frame)
        means = backend.calls[0]["picture"].mean(axis=(0, 1, 2))
        assert means.tolist() == [255.0 if index == channel else 0.0 for index in range(3)]


def test_a_network_without_boxes_is_refused():
    with pytest.raises(ModelMismatchError, match="boxes"):
        NetworkDetector(FakeBackend([]))
