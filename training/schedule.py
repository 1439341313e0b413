"""Learning rate as a pure function of progress, so that a resumed run needs no extra state."""

import math

from training.recipes import Schedule

WARM_UP = 0.04  # share of the run
FINAL = 0.002  # of the highest rate, at the end of a cosine


def learning_rate_factor(schedule: Schedule, progress: float) -> float:
    """Learning rate over the highest one.

    Args:
        schedule: "cosine" (linear warm-up, then half a cosine), "steps" (a tenth after 60 % and
            again after 85 %) or "constant" (linear warm-up, then the highest: for a stage that
            another one follows).
        progress: share of the run, 0..1.
    """
    if schedule == "steps":
        return 1.0 if progress < 0.6 else 0.1 if progress < 0.85 else 0.01
    if progress < WARM_UP:
        return max(progress / WARM_UP, 0.01)
    if schedule == "constant":
        return 1.0
    falling = (progress - WARM_UP) / (1.0 - WARM_UP)
    return FINAL + (1.0 - FINAL) * 0.5 * (1.0 + math.cos(math.pi * falling))
