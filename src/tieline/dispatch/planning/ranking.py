"""Loads ranked by what a kilowatt of each costs, and what no choice of them can cost less than.

    cheapest per kW                                                       dearest per kW
    |── every one of these ──|── last ──|── none of these ────────────────────────────|
                                 ▲ here the target is reached: a part of the last one would do

Taking just that part would be the best of all, if loads could be called in part (Dantzig, Discrete-variable extremum
problems, Operations Research 5, 1957): no plan of whole loads costs less. What a load costs beyond the last one's
price is what a plan loses, at least, that decides otherwise about it.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from tieline.dispatch.planning.arrays import Floats, Ints, Mask
from tieline.dispatch.planning.columns import Candidates

SIZES = 128
"""So many classes of size, of equal width."""


@dataclass(frozen=True)
class Ranking:
    """`index` are indices into the candidates, the cheapest per kW first, of equally cheap ones the larger. A load
    gives no more than the target (`useful_kw`): the rest of it would be of no use. `reach_kw` is what each gives
    together with all before it, `last` the position at which that reaches the target."""

    target_kw: float
    index: Ints
    useful_kw: Floats
    cost: Floats
    per_kw: Floats
    reach_kw: Floats
    last: int

    @classmethod
    def of(cls, target_kw: float, candidates: Candidates, least_kw: float) -> Self:
        """Of the candidates that give at least `least_kw`."""
        index = np.flatnonzero(candidates.kw >= least_kw)
        useful_kw = np.minimum(candidates.kw[index], target_kw)
        cost = candidates.cost[index]
        per_kw = cost / useful_kw
        order = np.lexsort((-useful_kw, per_kw))
        reach_kw = np.cumsum(useful_kw[order])
        last = int(np.searchsorted(reach_kw, target_kw))
        return cls(target_kw, index[order], useful_kw[order], cost[order], per_kw[order], reach_kw, last)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def falls_short(self) -> bool:
        return self.last == len(self)

    @property
    def price(self) -> float:
        """What a kilowatt costs where the target is reached; of the dearest, where it is not."""
        return float(self.per_kw[: self.last + 1][-1]) if len(self) else 0.0

    @property
    def bound(self) -> float:
        """No choice that reaches the target costs less."""
        before = float(self.reach_kw[self.last - 1]) if self.last else 0.0
        return float(self.cost[: self.last].sum()) + (self.target_kw - before) * self.price

    def regret(self) -> Floats:
        """What a choice loses, at least, that decides otherwise about a load than its rank does."""
        return np.asarray(np.abs(self.cost - self.price * self.useful_kw))

    def least_regretted(self, count: int) -> Ints:
        """The positions of the last and of up to so many in all about which deciding otherwise loses least, of each
        size only some: sums of loads of one size would leave nothing to choose."""
        if len(self) <= count:
            return np.arange(len(self))
        regret = self.regret()
        regret[self.last] = -1.0
        order = np.argsort(regret, kind="stable")
        size = (self.useful_kw[order] * (SIZES / self.useful_kw.max())).astype(np.int16)
        by_size = np.argsort(size, kind="stable")
        starts = np.searchsorted(size[by_size], np.arange(SIZES + 1))
        within = np.arange(len(self)) - starts[size[by_size]]
        some = order[np.sort(by_size[within <= count // SIZES + 1])]
        return np.sort(some[:count])

    def in_question(self, above: float) -> Ints:
        """The positions of loads about which a choice may decide otherwise that costs at most `above` the bound."""
        return np.flatnonzero(self.regret() <= above)

    def certain(self, others: Ints) -> Mask:
        """Those that are called by rank, the others left open."""
        called = np.arange(len(self)) < self.last
        called[others] = False
        return called

    def runs(self) -> Ints:
        """Where each run of loads begins that give and cost the same, and where the last one ends."""
        differs = (np.diff(self.useful_kw) != 0) | (np.diff(self.per_kw) != 0)
        return np.concatenate([[0], np.flatnonzero(differs) + 1, [len(self)]])
