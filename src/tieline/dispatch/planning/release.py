"""Which held loads to give back when more is held than the target asks for."""

import numpy as np

from tieline.dispatch.planning.arrays import Ints
from tieline.dispatch.planning.choice import Method, plan
from tieline.dispatch.planning.columns import Candidates


def release(excess_kw: float, held: Candidates) -> Ints:
    """The indices, ascending, of held loads that give back at most `excess_kw` together, so that what remains never
    falls below the target: the cheapest stay, the dearest go. Leave out loads that must stay down (`may_return`)."""
    remaining = plan(float(held.kw.sum()) - excess_kw, held)
    if excess_kw <= 0 or remaining.method is Method.ALL:
        return np.empty(0, np.int64)
    return np.setdiff1d(np.arange(len(held)), remaining.chosen)
