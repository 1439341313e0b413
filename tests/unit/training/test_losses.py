import math

import numpy as np
import pytest
import torch

from atpn_mobile.geometry import euler_from_rotation, rotation_from_euler
from training.losses import (
    MIN_INTEROCULAR,
    SMOOTH_L1_BETA,
    WING_CURVATURE,
    WING_WIDTH,
    alignment_loss,
    euler_angles,
    pose_loss,
    presence_loss,
    smooth_l1_loss,
    squared_loss,
    squared_pose_loss,
    wing_loss,
)


def face(interocular):
    points = torch.full((1, 98, 2), 0.5)
    points[0, 60] = torch.tensor([0.5 - interocular / 2, 0.4])
    points[0, 72] = torch.tensor([0.5 + interocular / 2, 0.4])
    return points


def test_alignment_loss_is_the_distance_over_the_interocular_distance():
    target = face(0.4)
    predicted = target + torch.tensor([0.03, 0.04])  # 0.05 away
    loss = alignment_loss(predicted, target, torch.ones(1, 98))
    assert loss.item() == pytest.approx(0.05 / 0.4, rel=1e-3)


def test_profiles_do_not_weigh_infinitely():
    target = face(0.0)
    loss = alignment_loss(target + 0.1, target, torch.ones(1, 98))
    assert loss.item() == pytest.approx(0.1 * math.sqrt(2) / MIN_INTEROCULAR, rel=1e-3)


def test_unsure_labels_count_less():
    target = face(0.4)
    predicted = target.clone()
    predicted[0, 0] += 0.1
    weight = torch.ones(1, 98)
    full = alignment_loss(predicted, target, weight)
    weight[0, 0] = 0.25
    assert alignment_loss(predicted, target, weight) < 0.5 * full


def test_a_perfect_alignment_has_a_finite_gradient():
    target = face(0.4)
    predicted = target.clone().requires_grad_()
    alignment_loss(predicted, target, torch.ones(1, 98)).backward()
    assert torch.isfinite(predicted.grad).all()


def test_euler_angles_agree_with_the_runtime():
    angles = np.random.default_rng(0).uniform(-1.4, 1.4, (20, 3))
    rotations = np.stack([rotation_from_euler(*row) for row in angles])
    np.testing.assert_allclose(euler_angles(torch.from_numpy(rotations)).numpy(), angles, atol=1e-6)
    assert euler_from_rotation(rotations[0]) == pytest.approx(tuple(angles[0]))


def test_pose_loss_leaves_unknown_rotations_out():
    rotations = torch.from_numpy(np.stack([rotation_from_euler(0.3, 0.0, 0.0), np.eye(3)]))
    angles = torch.tensor([[0.0, 0.0, 0.0], [9.0, 9.0, 9.0]], dtype=torch.float64)
    known = pose_loss(angles, rotations, torch.tensor([1.0, 0.0]))
    assert known.item() == pytest.approx(0.1)  # 0.3 over three angles
    assert pose_loss(angles, rotations, torch.zeros(2)).item() == 0.0


def test_presence_loss_prefers_the_right_class():
    logits = torch.tensor([[0.0, 3.0]])
    assert presence_loss(logits, torch.tensor([1])) < presence_loss(logits, torch.tensor([0]))


def off_in_x(error):
    """A face whose landmarks are all off by an error in inter-ocular distances, and its target."""
    target = face(0.4)
    return target + torch.tensor([error * 0.4, 0.0]), target


@pytest.mark.parametrize(
    ("loss", "border"), [(smooth_l1_loss, SMOOTH_L1_BETA), (wing_loss, WING_WIDTH)]
)
def test_robust_losses_are_continuous_and_then_linear(loss, border):
    def value(error):
        return loss(*off_in_x(error), torch.ones(1, 98)).item()

    assert value(0.0) == pytest.approx(0.0, abs=1e-6)
    assert value(border * 0.999) == pytest.approx(value(border * 1.001), rel=0.01)
    assert value(border + 0.2) - value(border + 0.1) == pytest.approx(0.1, rel=1e-3)


def test_smooth_l1_is_flat_and_wing_is_steep_near_zero():
    def slope(loss):
        predicted, target = off_in_x(0.002)
        predicted.requires_grad_()
        loss(predicted, target, torch.ones(1, 98)).backward()
        return predicted.grad[..., 0].sum().item() * 0.4  # per inter-ocular distance

    assert slope(smooth_l1_loss) == pytest.approx(0.002 / SMOOTH_L1_BETA, rel=1e-2)
    assert slope(wing_loss) == pytest.approx(WING_WIDTH / (WING_CURVATURE + 0.002), rel=1e-2)


def test_squared_loss_is_the_mean_squared_distance_in_crop_units():
    target = face(0.4)
    predicted = target + torch.tensor([0.03, 0.04])
    assert squared_loss(predicted, target, torch.ones(1, 98)).item() == pytest.approx(0.0025)


@pytest.mark.parametrize("loss", [smooth_l1_loss, wing_loss, squared_loss])
def test_labels_of_no_weight_do_not_count(loss):
    predicted, target = off_in_x(0.1)
    weight = torch.ones(1, 98)
    weight[:, :49] = 0.0
    full = loss(predicted, target, torch.ones(1, 98))
    assert loss(predicted, target, weight).item() == pytest.approx(full.item() / 2, rel=1e-5)


def test_squared_pose_loss_is_in_units_of_pi_and_leaves_unknown_rotations_out():
    rotations = torch.from_numpy(np.stack([rotation_from_euler(0.3, 0.0, 0.0), np.eye(3)]))
    angles = torch.tensor([[0.0, 0.0, 0.0], [9.0, 9.0, 9.0]], dtype=torch.float64)
    known = squared_pose_loss(angles, rotations, torch.tensor([1.0, 0.0]))
    assert known.item() == pytest.approx((0.3 / math.pi) ** 2 / 3)
