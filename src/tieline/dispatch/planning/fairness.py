"""What a call costs: the kilowatts, dearer for whom was called often, and something for each command.

    cost = kw · (1 + unfairness) + PER_COMMAND          unfairness = PER_CALL · (its calls − those of the least called)

The cost is in kilowatts: an unneeded one costs one, so that a cheap plan overshoots little, calls few and spreads.
"""

import numpy as np

from tieline.dispatch.planning.arrays import Floats

PER_COMMAND = 0.25
"""One more load called weighs as much as a quarter kilowatt more than was asked for."""
PER_CALL = 0.1
"""Each call in the last 30 days that others did not have makes a load's kilowatts so much dearer."""


def unfairness(calls_30d: Floats) -> Floats:
    """How much dearer each is made by how often it was called in the last 30 days: 0 for who was called least."""
    if not len(calls_30d):
        return np.zeros(0)
    return np.asarray(PER_CALL * (calls_30d - calls_30d.min()))


def costs(kw: Floats, uneven: Floats) -> Floats:
    """Of calling each load once, in kW."""
    return np.asarray(np.maximum(kw, 0.0) * (1 + uneven) + PER_COMMAND)
