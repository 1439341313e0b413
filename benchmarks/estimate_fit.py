"""A model of the time of a network on a core, fitted to published times.

A network is four numbers: multiply-accumulates of dense layers and of depthwise ones, elements that
its layers read and write, and how many layers work on feature maps. What is written while the layer
before computes (activations) or not at all (views) is no work, so that formats that write a network
down differently agree.

Five networks per core cannot tell the cost of moving elements from that of starting layers. So two
models stand side by side, each with one of the two, and the estimate is their geometric mean,
weighted by how well each foretells networks that it has not seen. In each, the cores of one
arithmetic share the ratios of the costs and have one speed of their own: for nine cores with five
numbers each, these are 13 free numbers per model. The range of an estimate spans both models and at
least what published numbers differ by among themselves.

How far to trust the errors: about twenty choices of features (first layers apart, all layers
counted, layers with weights counted, ...) were compared on the same 45 numbers before these two
were kept, so the errors on left-out numbers are those of a chosen model and flatter it. The floor
of the range was set after ranges from those errors alone had held only 55 % (float32) and 68 %
(float16) of the numbers of unseen networks; that the ranges hold most of them now is by that
choice, and no independent test. Other choices, with errors like those of the two, gave for the
project's own network on a Cortex-A76 times from 22 % below the lower end of its range to 4 % above
the upper one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.layers import Layer, Network, Tensor

Array: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]

FEATURES: Final = ("dense_mmacs", "depthwise_mmacs", "melements", "map_layers")
MODELS: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {"elements": (0, 1, 2), "layers": (0, 1, 3)}  # columns of FEATURES
)
COVERAGE: Final = 0.9  # share of the errors on unseen networks inside the range
# Entries of the table are taken to be known to +-30 %: chosen after the errors were seen.
PUBLISHED_SPREAD: Final = 1.3
_MILLION: Final = 1e6
_ROUNDS: Final = 50  # of alternation; the costs change in the seventh digit after 20
_SMALLEST_ERROR: Final = 0.01  # a model that foretells better than this was lucky


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """The model of some cores of one arithmetic.

    Attributes:
        costs: per model the cost of each feature on each core, ms, (cores, features).
        weights: of the models, sum 1.
        unseen: log(estimate / published) of each number, where its network was left out on all
            cores, (cores, networks).
        half_range: log of the factor between the estimate and either end of its range.
    """

    costs: Mapping[str, Array]
    weights: Mapping[str, float]
    unseen: Array
    half_range: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A time, estimated.

    Attributes:
        ms: milliseconds.
        low_ms: lower end of its range.
        high_ms: upper end.
    """

    ms: float
    low_ms: float
    high_ms: float

    def scaled(self, factor: float, log_error: float = 0.0) -> "Estimate":
        """Times a factor that is itself known to ``exp(+-log_error)``; the errors add in squares.

        Args:
            factor: of the time.
            log_error: of the factor.
        """
        down = np.hypot(np.log(self.ms / self.low_ms), log_error)
        up = np.hypot(np.log(self.high_ms / self.ms), log_error)
        ms = self.ms * factor
        return Estimate(ms, float(ms * np.exp(-down)), float(ms * np.exp(up)))


def layer_work(network: Network, layer: Layer) -> Array:
    """The features of a layer, (features,)."""
    inputs = [network.tensors[name] for name in layer.inputs]
    outputs = [network.tensors[name] for name in layer.outputs]
    if not layer.macs and _is_free(layer, inputs, outputs):
        return np.zeros(len(FEATURES))
    depthwise = layer.kind == "depthwise"
    macs = layer.macs / _MILLION
    return np.array(
        [
            0.0 if depthwise else macs,
            macs if depthwise else 0.0,
            sum(tensor.elements for tensor in (*inputs, *outputs)) / _MILLION,
            float(any(_is_map(tensor) for tensor in (*inputs, *outputs))),
        ]
    )


def network_work(network: Network) -> Array:
    """The features of a network, (features,)."""
    works: Array = np.sum([layer_work(network, layer) for layer in network.layers], axis=0)
    return works


def _is_free(layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> bool:
    """Whether it is done on the way: one tensor in, as many elements out, each from one."""
    if layer.op == "ChannelShuffle":
        return False
    return not inputs or (
        len(inputs) == len(outputs) == 1 and inputs[0].elements == outputs[0].elements
    )


def _is_map(tensor: Tensor) -> bool:
    """Whether its elements lie along more than one axis."""
    return tensor.elements > max(tensor.shape, default=1)


def fit_times(works: Array, times_ms: Array) -> Fit:
    """Fit both models.

    Args:
        works: features of the networks, (networks, features).
        times_ms: published, (cores, networks).
    """
    errors = {name: _unseen_errors(works, times_ms, columns) for name, columns in MODELS.items()}
    trust = {
        name: 1.0 / (float(np.mean(error**2)) + _SMALLEST_ERROR**2)
        for name, error in errors.items()
    }
    weights = {name: one / sum(trust.values()) for name, one in trust.items()}
    unseen: Array = np.sum([weights[name] * error for name, error in errors.items()], axis=0)
    everything = np.ones_like(times_ms, dtype=bool)
    costs = {
        name: fit_model(works, times_ms, everything, columns) for name, columns in MODELS.items()
    }
    seen = float(np.quantile(np.abs(unseen), COVERAGE))
    return Fit(costs, weights, unseen, max(seen, float(np.log(PUBLISHED_SPREAD))))


def left_out_errors(works: Array, times_ms: Array, weights: Mapping[str, float]) -> Array:
    """log(estimate / published) of each number, where that number alone was left out.

    Args:
        works: features of the networks, (networks, features).
        times_ms: published, (cores, networks).
        weights: of the models.

    Returns:
        (cores, networks).
    """
    errors = np.zeros_like(times_ms)
    for core, network in np.ndindex(times_ms.shape):
        known = np.ones_like(times_ms, dtype=bool)
        known[core, network] = False
        for name, columns in MODELS.items():
            costs = fit_model(works, times_ms, known, columns)
            error = np.log(costs[core] @ works[network] / times_ms[core, network])
            errors[core, network] += weights[name] * error
    return errors


def estimate(fit: Fit, core: int, work: Array) -> Estimate:
    """Time of a network on a core.

    Args:
        fit: of cores.
        core: place of the core among them.
        work: features of the network, (features,).
    """
    logs = {name: float(np.log(costs[core] @ work)) for name, costs in fit.costs.items()}
    middle = sum(fit.weights[name] * log for name, log in logs.items())
    low = min(middle - fit.half_range, *logs.values())
    high = max(middle + fit.half_range, *logs.values())
    return Estimate(float(np.exp(middle)), float(np.exp(low)), float(np.exp(high)))


def share_of_layers(fit: Fit, core: int, works: Array) -> Array:
    """Which part of the time each layer takes.

    Args:
        fit: of cores.
        core: place of the core among them.
        works: features of the layers, (layers, features).

    Returns:
        (layers,), sum 1.
    """
    shares = np.zeros(len(works))
    for name, costs in fit.costs.items():
        times = works @ costs[core]
        shares += fit.weights[name] * times / times.sum()
    return shares


def fit_model(works: Array, times_ms: Array, known: Mask, columns: Sequence[int]) -> Array:
    """Costs that are the same on all cores but for one factor each, by least squared ratios.

    Given the factors, the shared costs are a linear problem; given those, so is each factor.

    Args:
        works: features of the networks, (networks, features).
        times_ms: published, (cores, networks).
        known: which of them are used, (cores, networks).
        columns: features that cost something.

    Returns:
        cost of each feature on each core, ms, (cores, features).
    """
    work = works[:, list(columns)]
    speeds = np.exp(np.log(times_ms).mean(axis=1, where=known))
    shared = np.zeros(len(columns))
    for _ in range(_ROUNDS):
        scaled = speeds[:, None, None] * work / times_ms[:, :, None]
        shared = non_negative_least_squares(scaled[known], np.ones(int(known.sum())))
        ratios = np.where(known, (work @ shared) / times_ms, 0.0)
        speeds = ratios.sum(axis=1) / (ratios**2).sum(axis=1)
    costs = np.zeros((len(times_ms), works.shape[1]))
    costs[:, list(columns)] = speeds[:, None] * shared
    return costs


def non_negative_least_squares(matrix: Array, target: Array) -> Array:
    """The x >= 0 with the least ``|matrix @ x - target|``, for few columns: every subset is tried.

    Args:
        matrix: (rows, columns).
        target: (rows,).
    """
    count = matrix.shape[1]
    best, least = np.zeros(count), float(target @ target)
    for size in range(1, count + 1):
        for subset in combinations(range(count), size):
            chosen = list(subset)
            x = np.linalg.lstsq(matrix[:, chosen], target, rcond=None)[0]
            if (x < 0.0).any():
                continue
            error = float(((matrix[:, chosen] @ x - target) ** 2).sum())
            if error < least:
                best, least = np.zeros(count), error
                best[chosen] = x
    return best


def _unseen_errors(works: Array, times_ms: Array, columns: Sequence[int]) -> Array:
    errors = np.zeros_like(times_ms)
    for network in range(len(works)):
        known = np.ones_like(times_ms, dtype=bool)
        known[:, network] = False
        costs = fit_model(works, times_ms, known, columns)
        errors[:, network] = np.log(costs @ works[network] / times_ms[:, network])
    return errors
