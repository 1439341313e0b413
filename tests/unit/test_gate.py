import math

import numpy as np
import pytest

from atpn_mobile.gate import passes_gate


@pytest.mark.parametrize(
    ("presence", "threshold", "kept"),
    [
        (0.71, 0.7, True),
        (0.7, 0.7, True),  # the threshold itself is kept
        (float(np.float32(0.7)), 0.7, True),  # below 0.7 in float64
        (0.69, 0.7, False),
        (0.0, 0.0, True),  # a threshold of 0 keeps everything
        (1.0, 1.0, True),
        (math.nan, 0.0, False),
    ],
)
def test_gate(presence, threshold, kept):
    assert passes_gate(presence, threshold) is kept
