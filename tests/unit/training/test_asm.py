import numpy as np
import pytest
import torch

from atpn_mobile.geometry import roi_from_landmarks
from training.asm import (
    ASM_WEIGHTS,
    asm_assisted_loss,
    asm_weight,
    fit_shape_space,
    training_space,
)
from training.augment import NO_AUGMENT, AugmentConfig
from training.data.crops import FaceSource, LabelledFace
from training.losses import squared_loss


def make_shapes(variances, count=400, seed=0):
    """Shapes that vary in known directions; the first explains most."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(0.2, 0.8, 196)
    directions = np.linalg.qr(rng.normal(size=(196, len(variances))))[0].T
    coefficients = rng.normal(size=(count, len(variances)))
    # exactly uncorrelated and of these variances
    coefficients = np.linalg.qr(coefficients - coefficients.mean(axis=0))[0] * np.sqrt(count)
    offsets = (coefficients * np.sqrt(variances)) @ directions
    return (mean + offsets).reshape(count, 98, 2), mean, directions


@pytest.mark.parametrize(("kept", "count"), [(0.5, 1), (0.8, 2), (0.9, 2), (0.91, 3), (1.0, 4)])
def test_the_fewest_components_that_keep_the_variance(kept, count):
    shapes, _, directions = make_shapes([0.06, 0.03, 0.007, 0.003])
    space = fit_shape_space(shapes, kept_variance=kept)
    assert len(space.basis) == count
    overlap = np.abs(np.sum(space.basis.numpy() * directions[:count], axis=1))
    np.testing.assert_allclose(overlap, 1.0, atol=1e-5)


def test_shapes_inside_the_space_stay_and_others_lose_what_is_outside():
    shapes, mean, directions = make_shapes([0.06, 0.03, 0.007, 0.003])
    space = fit_shape_space(shapes, kept_variance=0.9)
    inside = mean + 0.2 * directions[0] - 0.1 * directions[1]
    both = np.stack([inside, inside + 0.05 * directions[3]]).reshape(2, 98, 2)
    projected = space.project(torch.from_numpy(both).float()).reshape(2, -1).numpy()
    np.testing.assert_allclose(projected, [inside, inside], atol=1e-5)


def test_coefficients_end_at_three_standard_deviations():
    shapes, mean, directions = make_shapes([0.06, 0.03])
    space = fit_shape_space(shapes, kept_variance=1.0)
    deviation = np.sqrt(0.06)
    for factor, expected in ((2.9, 2.9), (10.0, 3.0), (-10.0, -3.0)):
        shape = (mean + factor * deviation * directions[0]).reshape(1, 98, 2)
        projected = space.project(torch.from_numpy(shape).float()).numpy().reshape(-1)
        along = (projected - mean) @ directions[0] / deviation
        assert along == pytest.approx(expected, abs=1e-3)


def test_weighted_shapes_count_as_if_repeated():
    shapes, _, _ = make_shapes([0.06, 0.03], count=20)
    weighted = fit_shape_space(shapes, np.array([3.0] + [1.0] * 19))
    repeated = fit_shape_space(np.concatenate([shapes, shapes[:1], shapes[:1]]))
    torch.testing.assert_close(weighted.mean, repeated.mean)
    torch.testing.assert_close(weighted.limits, repeated.limits)


@pytest.mark.parametrize(
    ("shapes", "arguments", "message"),
    [
        (np.zeros((3, 68, 2)), {}, "98"),
        (np.zeros((1, 98, 2)), {}, "N > 1"),
        (np.zeros((3, 98, 2)), {}, "differ"),
        (np.zeros((3, 98, 2)), {"kept_variance": 1.5}, "kept_variance"),
        (np.zeros((3, 98, 2)), {"weights": np.ones(2)}, "weights"),
    ],
)
def test_impossible_spaces_are_refused(shapes, arguments, message):
    with pytest.raises(ValueError, match=message):
        fit_shape_space(shapes, **arguments)


@pytest.mark.parametrize(
    ("progress", "weight"), [(0.0, 2.0), (0.3, 2.0), (0.34, 1.0), (0.6, 1.0), (0.67, 0.5), (1, 0.5)]
)
def test_the_smooth_target_weighs_less_third_by_third(progress, weight):
    assert asm_weight(progress) == weight
    assert ASM_WEIGHTS == (2.0, 1.0, 0.5)


def test_the_loss_is_that_of_the_paper():
    shapes, mean, directions = make_shapes([0.06, 0.03, 0.007, 0.003])
    space = fit_shape_space(shapes)
    target = torch.from_numpy((mean + 0.1 * directions[3]).reshape(1, 98, 2)).float()
    predicted = torch.rand(1, 98, 2, requires_grad=True)
    weight = torch.ones(1, 98)
    loss = asm_assisted_loss(predicted, target, weight, space, 0.5)
    smooth = torch.from_numpy(mean.reshape(1, 98, 2)).float()  # what is left of the target
    expected = squared_loss(predicted, target, weight) + squared_loss(predicted, smooth, weight)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert predicted.grad.abs().min() > 0


def make_source(count=30, weight=1.0, seed=0):
    rng = np.random.default_rng(seed)
    image = np.zeros((8, 8, 3), np.uint8)
    faces = [
        LabelledFace(image, rng.uniform(20, 90, (98, 2)).astype(np.float32), np.ones(98), None)
        for _ in range(count)
    ]
    return FaceSource(faces, weight)


def test_the_training_space_repeats_and_follows_the_augmentation():
    source = make_source()
    one, two = (training_space([source], AugmentConfig(), seed=1) for _ in range(2))
    assert torch.equal(one.mean, two.mean)
    assert torch.equal(one.basis, two.basis)
    moved = AugmentConfig(shift=0.1, log_scale=0.0, rotation_deg=0.0, flip=0.0)
    still, shifted = (training_space([source], c, seed=1) for c in (NO_AUGMENT, moved))
    assert shifted.limits[0] > 1.5 * still.limits[0]  # all landmarks move together


def test_the_training_space_is_centred_on_the_faces_in_their_regions():
    source = make_source()
    space = training_space([source], NO_AUGMENT, seed=1)
    rois = [roi_from_landmarks(face.points98) for face in source.faces]
    inside = [
        (face.points98 - (roi.center_x, roi.center_y)) / roi.size + 0.5
        for face, roi in zip(source.faces, rois, strict=True)
    ]
    np.testing.assert_allclose(space.mean.numpy(), np.mean(inside, axis=0).reshape(-1), atol=1e-5)
