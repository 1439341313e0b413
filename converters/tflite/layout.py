"""In which order the axes of a tensor lie in memory: what turns NCHW into NHWC without copies.

ONNX numbers the axes of a feature map as batch, channel, height, width; a phone stores them
channels last. So every tensor carries the order in which its axes are stored. A Transpose of ONNX
only renames axes and costs nothing, and a Reshape is free where the stored order allows it. What
neither renaming nor reshaping can express is an error, never a silently wrong result.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from converters.errors import ConversionError

Shape = tuple[int, ...]
Order = tuple[int, ...]

CHANNELS_LAST: Final[Order] = (0, 2, 3, 1)  # NCHW, stored as NHWC


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A tensor of the ONNX graph as TensorFlow holds it.

    Attributes:
        value: the TensorFlow tensor.
        shape: in the order of ONNX.
        order: stored axis i is axis ``order[i]`` of ONNX.
        shuffle: of a flattened feature map, the position in ONNX of each stored element; None
            where the elements lie as the order says. Only a matrix product takes it, by sorting
            its weights.
    """

    value: Any
    shape: Shape
    order: Order
    shuffle: NDArray[np.int64] | None = None


def identity(rank: int) -> Order:
    """Axes stored as ONNX numbers them."""
    return tuple(range(rank))


def preferred(rank: int) -> Order:
    """How a tensor of a rank is stored unless it comes otherwise: feature maps channels last."""
    return CHANNELS_LAST if rank == len(CHANNELS_LAST) else identity(rank)


def stored_shape(shape: Shape, order: Order) -> Shape:
    """Sizes in the order in which they are stored."""
    return tuple(shape[axis] for axis in order)


def same_memory(shape: Shape, first: Order, second: Order) -> bool:
    """Whether two orders store the elements alike: they differ in axes of size 1 alone."""
    return [axis for axis in first if shape[axis] > 1] == [a for a in second if shape[a] > 1]


def transposed(shape: Shape, order: Order, perm: Sequence[int]) -> tuple[Shape, Order]:
    """Shape and order after a Transpose of ONNX that moves nothing in memory."""
    return tuple(shape[axis] for axis in perm), tuple(list(perm).index(axis) for axis in order)


def reshaped(shape: Shape, order: Order, target: Shape) -> Order | None:
    """Order of the axes after a Reshape of ONNX that moves nothing in memory.

    Both shapes are cut into the smallest blocks of axes that hold the same elements. Each block has
    to be stored in one piece and in the order of ONNX; the pieces may lie in any order.

    Args:
        shape: before, in the order of ONNX.
        order: before.
        target: shape after, in the order of ONNX.

    Returns:
        The order after, the preferred one among those that store the same; None if elements would
        have to move.
    """
    blocks = _blocks(shape, target)
    starts = {before[0]: (before, after) for before, after in blocks}
    left = [axis for axis in order if shape[axis] > 1]
    found: list[int] = []
    while left:
        before, after = starts.get(left[0], ((), ()))
        if not before or tuple(left[: len(before)]) != before:
            return None
        found += after
        del left[: len(before)]
    ones = [axis for axis, size in enumerate(target) if size == 1]
    wanted = preferred(len(target))
    if same_memory(target, (*ones, *found), wanted):
        return wanted
    return (*ones, *found)


def _blocks(shape: Shape, target: Shape) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Smallest groups of axes, before and after, that hold the same elements; no axes of size 1."""
    before = [axis for axis, size in enumerate(shape) if size > 1]
    after = [axis for axis, size in enumerate(target) if size > 1]
    blocks = []
    while before:
        left, right = [before.pop(0)], [after.pop(0)]
        first, second = shape[left[0]], target[right[0]]
        while first != second:
            if first < second:
                left.append(before.pop(0))
                first *= shape[left[-1]]
            else:
                right.append(after.pop(0))
                second *= target[right[-1]]
        blocks.append((tuple(left), tuple(right)))
    return blocks


def flat_positions(shape: Shape, order: Order) -> NDArray[np.int64]:
    """For each stored element, its position when ONNX flattens the tensor."""
    count = math.prod(shape)
    return np.arange(count, dtype=np.int64).reshape(shape).transpose(order).ravel()


def common_order(tensors: Sequence[tuple[Shape, Order]], what: str) -> Order:
    """The order in which several tensors of one rank can be combined without moving anything.

    Args:
        tensors: shape and order of each.
        what: is combined, for the message.

    Raises:
        ConversionError: there is none.
    """
    rank = len(tensors[0][0])
    for wanted in (preferred(rank), *(order for _, order in tensors)):
        if all(same_memory(shape, order, wanted) for shape, order in tensors):
            return wanted
    raise ConversionError(
        f"expected tensors that are stored alike for {what}, got orders "
        f"{[order for _, order in tensors]} of shapes {[shape for shape, _ in tensors]}"
    )
