"""How sure a baseline is: an interval around it, as wide as the rule's own errors on days without an event were.

    low  = the (n + 1)(1 − level)/2-th smallest of n earlier errors        what would have been drawn lies within
    high = the (n + 1)(1 + level)/2-th; between two places, in proportion  [baseline + low, baseline + high]

Nothing is assumed of the errors but that the next one is as likely as any to be the smallest, the second smallest, …:
then the interval covers `level` of the days (split conformal prediction; Vovk, Gammerman, Shafer, Algorithmic Learning
in a Random World, 2005; from memory). Habits change with the seasons, so only the latest days count, of the same kind.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Self

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


# --- of those that were called because they draw ----------------------------------------------------------------------

EDGES = (0.5, 0.8, 0.9, 0.94, 0.97, 0.985, 0.993)
"""Between the groups: half of all meter-days stand below their usual load; those that are called, far above."""


@dataclass(frozen=True)
class Alike:
    """Errors on other days, of any meter, in groups by how far above its usual load a meter stood just before.

    Who is called because it draws is not like itself on any day: it is like those meter-days that stood as high. Each
    group has its own interval (Mondrian conformal prediction; Vovk, Gammerman, Shafer, 2005, chapter 4; from memory).
    `errors` [days, meters] are relative to `scale_kw` [meters], `group` is of them, −1 where one is unknown; `now` is
    the group of each meter today.
    """

    errors: Floats
    group: Ints
    now: Ints
    scale_kw: Floats

    @classmethod
    def of(cls, errors_kw: Floats, lift_kw: Floats, now_kw: Floats, scale_kw: Floats) -> Self:
        """From errors on other days (drawn less baseline) and how far above its usual load each meter stood before
        them [days, meters], how far it stands now, and its highest load [meters]; NaN where unknown."""
        scale_kw = np.where(scale_kw > 0, scale_kw, np.nan)
        known = ~np.isnan(errors_kw / scale_kw + lift_kw)
        edges = np.quantile(lift_kw[known], EDGES) if known.any() else np.zeros(0)
        group = np.where(known, np.searchsorted(edges, np.nan_to_num(lift_kw)), -1)
        return cls(errors_kw / scale_kw, group, np.searchsorted(edges, np.nan_to_num(now_kw)), scale_kw)

    def each(self, level: float = LEVEL) -> tuple[Floats, Floats]:
        """What to add to the baseline of each meter for the low and the high end [meters]."""
        found = [interval(self.errors[self.group == one][:, None], level) for one in range(len(EDGES) + 1)]
        low, high = (np.concatenate(ends) for ends in zip(*found, strict=True))
        return low[self.now] * self.scale_kw, high[self.now] * self.scale_kw

    def together(self, meters: Mask, level: float = LEVEL) -> tuple[float, float]:
        """The same for the sum of some meters, as far below as above: what their groups erred by on each day together,
        and each by chance beside it."""
        groups, scale_kw = len(EDGES) + 1, np.nan_to_num(self.scale_kw[meters])
        weight = np.bincount(self.now[meters], scale_kw, minlength=groups)
        squares = np.bincount(self.now[meters], scale_kw**2, minlength=groups)
        means, variance = self._by_day(groups)
        common_kw = (np.where(weight > 0, means, 0.0) * weight).sum(axis=1)
        by_chance_kw = float(np.sqrt((squares * variance).sum()))
        chances = np.array([NormalDist().inv_cdf((i + 0.5) / 99) for i in range(99)])
        sizes = np.sort(np.abs(common_kw[:, None] + by_chance_kw * chances), axis=None)[:, None]
        high = float(_placed(sizes, np.array([len(sizes)]), level)[0])
        return -high, high

    def _by_day(self, groups: int) -> tuple[Floats, Floats]:
        """The mean error of each group on each day [days, groups] (of all days, where it had none that day), and how
        much its meters vary about it [groups]."""
        means, variance = np.zeros((len(self.errors), groups)), np.zeros(groups)
        for one in range(groups):
            within = self.group == one
            errors = np.where(within, self.errors, 0.0)
            count = within.sum(axis=1)
            overall = errors.sum() / max(1, count.sum())
            means[:, one] = np.where(count > 0, errors.sum(axis=1) / np.maximum(count, 1), overall)
            apart = np.where(within, errors - means[:, one, None], 0.0)
            variance[one] = (apart**2).sum() / max(1, count.sum() - (count > 0).sum())
        return means, variance
