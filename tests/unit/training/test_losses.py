import math

import numpy as np
import pytest
import torch

from atpn_mobile.geometry import euler_from_rotation, rotation_from_euler
from training.losses import (
    MIN_INTEROCULAR,
    alignment_loss,
    euler_angles,
    pose_loss,
    presence_loss,
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
