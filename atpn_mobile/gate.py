"""The presence gate: the network's own confidence decides whether a face is still there."""

import numpy as np


def passes_gate(presence: float, threshold: float) -> bool:
    """Whether a face is kept: presence at or above the threshold; never for NaN.

    Compared in float32, the network's precision: a presence of 0.7 passes a threshold of 0.7,
    although ``float(np.float32(0.7)) < 0.7``.
    """
    return bool(np.float32(presence) >= np.float32(threshold))
