"""The detector network: its grid, its counts, its gradients, its configuration."""

import dataclasses

import pytest
import torch

from training.network.config import BlockConfig
from training.network.detector import STRIDE, Detector, DetectorConfig
from training.network.macs import count_modules

TINY = DetectorConfig(input_size=64)


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    return Detector().eval()


def test_shapes_and_ranges(detector):
    with torch.inference_mode():
        output = detector(torch.full((2, 3, 256, 256), 128.0))

    assert output.boxes.shape == (2, 1024, 4)
    assert output.scores.shape == (2, 1024)
    assert ((output.scores > 0.0) & (output.scores < 1.0)).all()
    assert (output.boxes[..., 2:] > output.boxes[..., :2]).all()


def test_it_stays_within_the_budget(detector):
    counts = count_modules(detector, torch.zeros(1, 3, 256, 256))["total"]

    assert counts.macs <= 60_000_000
    assert counts.parameters <= 200_000


def test_an_untrained_network_sees_faces_nowhere(detector):
    with torch.inference_mode():
        scores = detector(torch.rand(1, 3, 256, 256) * 255.0).scores

    assert scores.max() < 0.1


def test_cells_are_ordered_row_by_row(detector):
    # distances of one cell to every side: the box is centred on its cell
    boxes = detector.decode_boxes(torch.zeros(1, 4, 32, 32)).flatten(2).transpose(1, 2)[0]

    column, row = 5, 3
    left, top, right, bottom = (boxes[row * 32 + column] * 256.0).tolist()
    assert (left + right) / 2.0 == pytest.approx((column + 0.5) * STRIDE)
    assert (top + bottom) / 2.0 == pytest.approx((row + 0.5) * STRIDE)
    assert right - left == pytest.approx(2.0 * STRIDE, rel=1e-5)


def test_each_distance_moves_its_own_side(detector):
    base = torch.zeros(1, 4, 32, 32)
    still = detector.decode_boxes(base)
    for side, sign in enumerate((-1.0, -1.0, 1.0, 1.0)):
        longer = base.clone()
        longer[:, side] = 1.0
        moved = detector.decode_boxes(longer) - still
        assert (moved[:, side] * sign > 0.0).all()
        assert moved.abs().sum(dim=(0, 2, 3)).count_nonzero() == 1


def test_a_wild_distance_stays_finite(detector):
    assert torch.isfinite(detector.decode_boxes(torch.full((1, 4, 32, 32), 1e4))).all()


def test_every_parameter_learns():
    detector = Detector(TINY).train()
    raw = detector.forward_raw(torch.rand(2, 3, 64, 64) * 255.0)
    (raw.logits.square().sum() + detector.decode_boxes(raw.log_distances).square().sum()).backward()

    silent = [name for name, p in detector.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_the_picture_shift_by_one_stride_shifts_the_answer_by_one_cell(detector):
    # what is far from the border must not depend on where it is
    torch.manual_seed(1)
    image = torch.full((1, 3, 256, 256), 90.0)
    image[:, :, 112:144, 112:144] = torch.rand(1, 3, 32, 32) * 255.0
    with torch.inference_mode():
        here = detector.forward_raw(image).logits
        there = detector.forward_raw(image.roll(32, dims=3)).logits  # the deepest stride

    torch.testing.assert_close(there[..., 16, 20], here[..., 16, 16], atol=1e-3, rtol=1e-3)


def test_configuration_survives_json():
    config = dataclasses.replace(TINY, head=(BlockConfig(5, 48, 48),))

    assert DetectorConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize("text", ["", "[]", '{"depth": 3}', '{"head": [{"kernel": 3}]}'])
def test_other_json_is_refused(text):
    with pytest.raises(ValueError, match="expected a detector configuration"):
        DetectorConfig.from_json(text)
