"""Targets and loss of the detector."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.detection.loss import TargetBatch, detector_loss, focal_loss, giou_loss
from training.detection.targets import make_targets

GRID = 32
NOTHING = np.zeros((0, 4), np.float32)


def boxes(*values):
    return np.array(values, np.float32).reshape(-1, 4)


def batch_of(*targets):
    return TargetBatch(
        *(
            torch.from_numpy(np.stack([getattr(t, name) for t in targets]))
            for name in ("scores", "score_weights", "boxes", "box_weights")
        ),
        torch.tensor([t.count for t in targets]),
    )


def perfect_answer(targets, sure=12.0):
    """Logits and boxes that say exactly what the targets say."""
    scores = torch.from_numpy(targets.scores)
    logits = torch.where(scores > 0.999, sure, -sure)[None, None]
    answer = torch.from_numpy(targets.boxes.copy())[None]
    empty = torch.from_numpy(targets.box_weights)[None, None] == 0.0
    return logits, torch.where(
        empty, torch.tensor([0.0, 0.0, 1.0, 1.0])[None, :, None, None], answer
    )


# --- targets -----------------------------------------------------------------------------------


def test_no_face_no_target():
    targets = make_targets(NOTHING, NOTHING, GRID)

    assert targets.count == 0
    assert not targets.scores.any()
    assert not targets.box_weights.any()
    assert (targets.score_weights == 1.0).all()


@given(
    x=st.floats(0.05, 0.95),
    y=st.floats(0.05, 0.95),
    width=st.floats(0.04, 0.9),
    height=st.floats(0.04, 0.9),
)
def test_the_peak_is_the_cell_of_the_centre(x, y, width, height):
    face = boxes([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
    targets = make_targets(face, NOTHING, GRID)

    center = (face[0, :2] + face[0, 2:]) / 2.0
    column, row = (int(v) for v in center * GRID)
    assert targets.scores[row, column] == 1.0
    assert targets.scores.max() == 1.0
    assert targets.box_weights.sum() == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_array_equal(targets.boxes[:, row, column], face[0])


def test_a_centre_on_a_border_belongs_to_both_cells():
    middle = 16 / GRID
    targets = make_targets(boxes([middle - 0.05, 0.45, middle + 0.05, 0.55]), NOTHING, GRID)

    row = int(0.5 * GRID)
    assert targets.scores[row, 15] == pytest.approx(1.0, abs=1e-5)
    assert targets.scores[row, 16] == pytest.approx(1.0, abs=1e-5)


def test_a_larger_face_has_a_wider_target():
    small = make_targets(boxes([0.45, 0.45, 0.55, 0.55]), NOTHING, GRID)
    large = make_targets(boxes([0.1, 0.1, 0.9, 0.9]), NOTHING, GRID)

    assert (large.scores > 0.5).sum() > (small.scores > 0.5).sum()


def test_two_faces_keep_their_own_boxes():
    faces = boxes([0.1, 0.1, 0.3, 0.3], [0.6, 0.6, 0.9, 0.95])
    targets = make_targets(faces, NOTHING, GRID)

    assert targets.count == 2
    assert targets.box_weights.sum() == pytest.approx(2.0, abs=1e-5)
    for face in faces:
        column, row = (int(v) for v in (face[:2] + face[2:]) / 2.0 * GRID)
        np.testing.assert_array_equal(targets.boxes[:, row, column], face)


def test_ignored_regions_are_not_judged_but_faces_in_them_are():
    face = boxes([0.40, 0.40, 0.60, 0.60])
    targets = make_targets(face, boxes([0.0, 0.0, 1.0, 0.6]), GRID)

    assert targets.score_weights[2, 2] == 0.0
    assert targets.score_weights[30, 2] == 1.0
    assert targets.score_weights[16, 16] == 1.0


def test_a_face_centred_outside_is_ignored():
    targets = make_targets(boxes([-0.3, 0.4, 0.1, 0.6]), NOTHING, GRID)

    assert targets.count == 0
    assert not targets.scores.any()
    assert targets.score_weights[16, 0] == 0.0


# --- loss --------------------------------------------------------------------------------------


def test_a_perfect_answer_costs_almost_nothing_and_a_wrong_one_much():
    targets = make_targets(boxes([0.2, 0.3, 0.5, 0.7]), NOTHING, GRID)
    logits, answer = perfect_answer(targets)

    right = detector_loss(logits, answer, batch_of(targets))
    unsure = detector_loss(torch.zeros_like(logits), answer, batch_of(targets))
    shifted = detector_loss(logits, answer + 0.1, batch_of(targets))

    assert right.total < 0.02
    assert unsure.score > 1.0
    assert unsure.box == pytest.approx(right.box)
    assert shifted.box > 0.3
    assert right.total == pytest.approx(float(right.score + 2.0 * right.box))


def test_loss_is_per_face():
    targets = make_targets(boxes([0.2, 0.3, 0.5, 0.7]), NOTHING, GRID)
    logits = torch.zeros(1, 1, GRID, GRID)
    _, answer = perfect_answer(targets)
    one = detector_loss(logits, answer, batch_of(targets))
    two = detector_loss(
        logits.repeat(2, 1, 1, 1), answer.repeat(2, 1, 1, 1), batch_of(targets, targets)
    )

    torch.testing.assert_close(one.total, two.total)


def test_no_faces_still_punish_false_alarms():
    targets = make_targets(NOTHING, NOTHING, GRID)
    _, answer = perfect_answer(targets)
    logits = torch.full((1, 1, GRID, GRID), -12.0)
    quiet = detector_loss(logits, answer, batch_of(targets))
    logits[0, 0, 3, 3] = 5.0
    alarm = detector_loss(logits, answer, batch_of(targets))

    assert quiet.total < 1e-3
    assert alarm.total > 4.0
    assert alarm.box == 0.0


def test_ignored_cells_cost_nothing():
    logits = torch.full((1, 4, 4), 5.0)
    cost = focal_loss(logits, torch.zeros(1, 4, 4), torch.zeros(1, 4, 4))

    assert cost == 0.0


def test_near_a_centre_a_score_costs_less_than_far_away():
    logits, weights = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)

    near = focal_loss(logits, torch.full((1, 1, 1), 0.8), weights)
    far = focal_loss(logits, torch.zeros(1, 1, 1), weights)

    assert near < 0.01 * far


@pytest.mark.parametrize(
    ("predicted", "target", "expected"),
    [
        ((0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, 1.0), 0.0),  # the same
        ((0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 2.0, 1.0), 0.5),  # half of it
        ((0.0, 0.0, 1.0, 1.0), (1.0, 0.0, 2.0, 1.0), 1.0),  # side by side
        ((0.0, 0.0, 1.0, 1.0), (2.0, 0.0, 3.0, 1.0), 1.0 + 1.0 / 3.0),  # a gap between
    ],
)
def test_giou(predicted, target, expected):
    loss = giou_loss(torch.tensor([predicted]), torch.tensor([target]))

    assert float(loss) == pytest.approx(expected, abs=1e-6)


def test_giou_pulls_boxes_that_do_not_touch():
    predicted = torch.tensor([[0.0, 0.0, 0.1, 0.1]], requires_grad=True)
    giou_loss(predicted, torch.tensor([[0.5, 0.5, 0.9, 0.9]])).sum().backward()

    assert (predicted.grad[0, 2:] < 0.0).all()
