"""How sure a baseline is: an interval around it, as wide as the rule's own errors on days without an event were.

    low  = the (n + 1)(1 − level)/2-th smallest of n earlier errors        what would have been drawn lies within
    high = the (n + 1)(1 + level)/2-th; between two places, in proportion  [baseline + low, baseline + high]

Nothing is assumed of the errors but that the next one is as likely as any to be the smallest, the second smallest, …:
then the interval covers `level` of the days (split conformal prediction; Vovk, Gammerman, Shafer, Algorithmic Learning
in a Random World, 2005; from memory). Habits change with the seasons, so only the latest days count, of the same kind.
"""

import numpy as np

from tieline.settlement.baseline.frame import Floats, Ints, Mask

LEVEL = 0.9
MEMORY = 119
"""Earlier days of the same kind whose errors count: with so many, both ends are whole places of the order."""


def interval(errors_kw: Floats, level: float = LEVEL) -> tuple[Floats, Floats]:
    """What to add to the baseline of each meter for the low and the high end [meters], from its errors on other days
    [days, meters] (drawn less baseline; NaN where unknown). NaN with too few: there must be 19 for a level of 0.9."""
    ordered = np.sort(errors_kw, axis=0)  # NaN comes last
    known = (~np.isnan(errors_kw)).sum(axis=0)
    return _placed(ordered, known, (1 - level) / 2), _placed(ordered, known, (1 + level) / 2)


def _placed(ordered: Floats, known: Ints, share: float) -> Floats:
    """The value at that share of the places 1 … n of each meter's order, NaN where the share lies beyond them."""
    place = np.round((known + 1) * share, 9)
    within = (place >= 1) & (place <= known)
    below = np.where(within, np.floor(place), 1).astype(np.int64)
    above = np.where(within, np.ceil(place), 1).astype(np.int64)
    if not within.any():
        return np.full(known.shape, np.nan)
    lower, upper = (np.take_along_axis(ordered, rank[None] - 1, axis=0)[0] for rank in (below, above))
    return np.where(within, lower + (place - below) * (upper - lower), np.nan)


def followed(errors_kw: Floats, business: Mask, level: float = LEVEL, memory: int = MEMORY) -> tuple[Floats, Floats]:
    """The interval of every day from the days before it of the same kind, [days, meters] both."""
    low, high = np.full_like(errors_kw, np.nan), np.full_like(errors_kw, np.nan)
    for kind in (business, ~business):
        days = np.flatnonzero(kind)
        for i, day in enumerate(days):
            low[day], high[day] = interval(errors_kw[days[max(0, i - memory) : i]], level)
    return low, high
