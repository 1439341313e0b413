import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atpn_mobile.config import TrackerConfig
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


def states(presences, config):
    """Whether a face is held after each frame, as the tracker uses the gate."""
    held, seen = False, []
    for presence in presences:
        held = passes_gate(presence, config.keep_presence if held else config.accept_presence)
        seen.append(held)
    return seen


thresholds = st.floats(0.0, 1.0)
bands = st.floats(0.0, 0.5)


@given(thresholds, bands, st.booleans(), st.lists(st.floats(0.0, 1.0), max_size=30))
def test_nothing_flickers_inside_the_band(threshold, band, held, shares):
    config = TrackerConfig(presence_threshold=threshold, presence_hysteresis=band)
    low, high = np.float32(config.keep_presence), np.float32(config.accept_presence)
    inside = [
        min(max(np.float32(low + (high - low) * share), low), np.nextafter(high, np.float32(-1.0)))
        for share in shares
    ]
    if low == high or low == 0.0:  # no band, or everything is kept
        return
    start = 1.0 if held else 0.0
    assert set(states([start, *inside], config)[1:]) <= {held}


@given(thresholds, bands, st.lists(st.floats(0.0, 1.0), max_size=30))
def test_a_state_changes_beyond_the_band_only(threshold, band, presences):
    config = TrackerConfig(presence_threshold=threshold, presence_hysteresis=band)
    held = False
    for presence, now in zip(presences, states(presences, config), strict=True):
        if now and not held:
            assert np.float32(presence) >= np.float32(config.accept_presence)
        if held and not now:
            assert np.float32(presence) < np.float32(config.keep_presence)
        held = now
