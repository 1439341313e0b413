"""Orders of axes against NumPy, which moves the elements for real."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.errors import ConversionError
from converters.tflite.layout import (
    CHANNELS_LAST,
    common_order,
    flat_positions,
    identity,
    preferred,
    reshaped,
    same_memory,
    stored_shape,
    transposed,
)

shapes = st.lists(st.sampled_from([1, 1, 2, 3, 4]), min_size=1, max_size=4).map(tuple)


@st.composite
def stored(draw):
    shape = draw(shapes)
    return shape, tuple(draw(st.permutations(range(len(shape)))))


@st.composite
def reshapes(draw):
    """A shape, how it is stored, and another shape of as many elements."""
    shape, order = draw(stored())
    factors = [size for size in shape if size > 1]
    target = []
    while factors:
        count = draw(st.integers(1, len(factors)))
        target.append(int(np.prod(factors[:count])))
        factors = factors[count:]
        if draw(st.booleans()):
            target.append(1)
    if target and target[0] % 2 == 0 and draw(st.booleans()):
        target[0:1] = [2, target[0] // 2]
    return shape, order, tuple(target) or (1,)


def in_memory(array, order):
    return array.transpose(order).ravel()


@given(reshapes())
def test_a_reshape_is_free_exactly_where_the_elements_stay(case):
    shape, order, target = case
    before = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    after = before.reshape(target)
    memory = in_memory(before, order).tolist()
    fitting = [
        other
        for other in permutations(range(len(target)))
        if in_memory(after, other).tolist() == memory
    ]
    found = reshaped(shape, order, target)
    assert (found in fitting) if fitting else (found is None)
    if preferred(len(target)) in fitting:
        assert found == preferred(len(target))


@given(stored(), st.data())
def test_a_transpose_moves_nothing(case, data):
    shape, order = case
    perm = data.draw(st.permutations(range(len(shape))))
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    new_shape, new_order = transposed(shape, order, perm)
    assert new_shape == array.transpose(perm).shape
    assert in_memory(array.transpose(perm), new_order).tolist() == in_memory(array, order).tolist()


@given(stored(), st.data())
def test_orders_that_store_the_same(case, data):
    shape, order = case
    other = tuple(data.draw(st.permutations(range(len(shape)))))
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    equal = in_memory(array, order).tolist() == in_memory(array, other).tolist()
    assert same_memory(shape, order, other) == equal


@given(stored())
def test_positions_of_flattened_elements(case):
    shape, order = case
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    assert flat_positions(shape, order).tolist() == in_memory(array, order).tolist()


@pytest.mark.parametrize(
    ("shape", "order", "target", "expected"),
    [
        ((1, 4, 32, 32), CHANNELS_LAST, (1, 4, 1024), (0, 2, 1)),  # boxes, before a Transpose
        ((1, 1, 32, 32), CHANNELS_LAST, (1, 1024), (0, 1)),  # one channel
        ((1, 480, 1, 1), CHANNELS_LAST, (1, 480), (0, 1)),  # one pixel
        ((1, 98, 1), (0, 1, 2), (1, 98, 1, 1), CHANNELS_LAST),  # points become channels
        ((1, 8, 7, 7), CHANNELS_LAST, (1, 392), None),  # channels and pixels would have to mix
        ((1, 4, 32, 32), CHANNELS_LAST, (1, 2, 2, 32, 32), (0, 3, 4, 1, 2)),
    ],
)
def test_reshapes_of_our_networks(shape, order, target, expected):
    assert reshaped(shape, order, target) == expected


def test_a_common_order():
    points, plane = (1, 98, 1, 1), (1, 1, 28, 28)
    assert common_order([(points, identity(4)), (plane, identity(4))], "Sub") == CHANNELS_LAST
    volume = (1, 98, 28, 28)
    assert common_order([(volume, identity(4)), (plane, CHANNELS_LAST)], "Sub") == identity(4)
    with pytest.raises(ConversionError, match=r"for Sub, got orders .*\(0, 2, 3, 1\)"):
        common_order([(volume, identity(4)), (volume, CHANNELS_LAST)], "Sub")


def test_the_stored_shape():
    assert stored_shape((1, 3, 112, 96), CHANNELS_LAST) == (1, 112, 96, 3)
