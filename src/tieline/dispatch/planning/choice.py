"""Whom to call for a target: the cheapest loads that together reach it, and how far that can be from the best.

ranked by cost per kW ─▶ all before the point at which the target is reached, the few that matter decided exactly
    ─▶ within GAP of the bound: done        ─▶ else all that are in question, by the solver
"""

import enum
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tieline.dispatch.planning.arrays import ROUNDING, Ints, Mask
from tieline.dispatch.planning.columns import LEAST_KW, Candidates
from tieline.dispatch.planning.exact import FEW, decided
from tieline.dispatch.planning.ranking import Ranking

GAP = 1e-4
"""A plan this near to the best is good enough: what loads really give is not known so well."""


class Method(enum.StrEnum):
    GREEDY = "greedy"  # by cost per kW, the last few exchanged for the best
    EXACT = "exact"  # proven to be the cheapest, to a hundred-thousandth
    ALL = "all"  # all together fall short


@dataclass(frozen=True)
class Plan:
    """`chosen` are indices into the candidates, ascending. No plan that reaches the target costs less than `bound`.
    `threshold` is the cost per kW at which the target is reached: but for a few, those below it were called."""

    target_kw: float
    chosen: Ints
    kw: float
    cost: float
    bound: float
    threshold: float
    method: Method

    @property
    def gap(self) -> float:
        """How much dearer it can be than the cheapest there is, at most, as a share."""
        return max(0.0, self.cost / self.bound - 1) if self.bound > 0 else 0.0

    @property
    def missing_kw(self) -> float:
        """What all together fall short of the target."""
        return self.target_kw - self.kw if self.method is Method.ALL else 0.0


class _Choice(NamedTuple):
    """Which positions of a ranking are called."""

    taken: Mask
    cost: float
    bound: float
    method: Method


def plan(target_kw: float, candidates: Candidates, *, exact_below: int = 2000, time_limit_s: float = 0.4) -> Plan:
    """The loads to call so that together they give `target_kw`, to a billionth of it.

    Where the choice by rank may be dearer than the best by more than `GAP`, all loads in question are decided at once,
    or `exact_below` of them. Of loads that are alike the smallest ids are called: the same candidates, in any order
    and any process, make the same plan, unless `time_limit_s` cut the solver short.
    """
    if target_kw <= 0:
        return Plan(target_kw, np.empty(0, np.int64), 0.0, 0.0, 0.0, 0.0, Method.EXACT)
    ranking = Ranking.of(target_kw * (1 - ROUNDING), candidates, LEAST_KW)
    choice = _everything(ranking) if ranking.falls_short else _cheapest(ranking, exact_below, time_limit_s)
    chosen = np.sort(_smallest_ids(ranking, choice.taken, candidates))
    kw, cost = float(candidates.kw[chosen].sum()), float(candidates.cost[chosen].sum())
    return Plan(target_kw, chosen, kw, cost, min(choice.bound, cost), ranking.price, choice.method)


def _everything(ranking: Ranking) -> _Choice:
    cost = float(ranking.cost.sum())
    return _Choice(np.ones(len(ranking), np.bool_), cost, cost, Method.ALL)


def _cheapest(ranking: Ranking, most: int, time_limit_s: float) -> _Choice:
    few = ranking.least_regretted(FEW)
    choice = _decided(ranking, few, time_limit_s, proof=len(few) == len(ranking))
    above = choice.cost - choice.bound
    if above <= GAP * choice.bound or not most:
        return choice
    proof = len(in_question := ranking.in_question(above)) <= most
    some = in_question if proof else ranking.least_regretted(most)
    again = _decided(ranking, some, time_limit_s, proof=proof)
    return min(choice, again, key=lambda one: one.cost)._replace(bound=again.bound, method=again.method)


def _decided(ranking: Ranking, some: Ints, time_limit_s: float, *, proof: bool) -> _Choice:
    """These decided exactly, the others by their rank; a `proof` where no better choice decides otherwise on those."""
    taken = ranking.certain(some)
    missing_kw, others_cost = ranking.target_kw - ranking.useful_kw[taken].sum(), ranking.cost[taken].sum()
    found = decided(missing_kw, ranking.useful_kw[some], ranking.cost[some], time_limit_s)
    taken[some] = found.chosen
    bound = max(ranking.bound, float(others_cost) + found.bound) if proof else ranking.bound
    method = Method.EXACT if proof and found.proven else Method.GREEDY
    return _Choice(taken, float(ranking.cost[taken].sum()), bound, method)


def _smallest_ids(ranking: Ranking, taken: Mask, candidates: Candidates) -> Ints:
    """The indices that are called: of loads that give and cost the same, those of the smallest ids."""
    if taken.all():
        return ranking.index
    index, edges = ranking.index.copy(), ranking.runs()
    counts = np.add.reduceat(taken, edges[:-1], dtype=np.int64)
    for run in np.flatnonzero((counts > 0) & (counts < np.diff(edges))):
        within = slice(edges[run], edges[run + 1])
        alike = index[within].tolist()
        alike.sort(key=candidates.resource_ids.__getitem__)
        alike.sort(key=candidates.ven_ids.__getitem__)
        index[within][taken[within]] = alike[: counts[run]]
    return index[taken]
