"""The cheapest of some loads that together give what is missing: a few by every subset, more by HiGHS."""

from dataclasses import dataclass

import highspy
import numpy as np

from tieline.dispatch.planning.arrays import ROUNDING, Floats, Mask

FEW = 32
"""So many loads have 2^32 subsets, but two halves only 2^16 each: ten milliseconds."""
PROVEN = 1e-5
"""A choice this near to the solver's bound is the best."""


@dataclass(frozen=True)
class Decided:
    """What was found in the time there was. No choice costs less than `bound`; `proven`: none less than this one."""

    chosen: Mask
    bound: float
    proven: bool


def decided(missing_kw: float, kw: Floats, cost: Floats, time_limit_s: float) -> Decided:
    """Of loads that reach it together, those that do so at the least cost."""
    if missing_kw <= 0:
        return Decided(np.zeros(len(kw), np.bool_), 0.0, proven=True)
    if len(kw) > FEW:
        return _solved(missing_kw, kw, cost, time_limit_s)
    chosen = _met(missing_kw, kw, cost)
    return Decided(chosen, float(cost[chosen].sum()), proven=True)


def _met(missing_kw: float, kw: Floats, cost: Floats) -> Mask:
    """Every subset of one half met with the cheapest of the other that gives the rest.

    Horowitz and Sahni, Computing partitions with applications to the knapsack problem, J. ACM 21 (1974).
    """
    half = len(kw) // 2
    left_kw, left_cost = _sums(kw[:half]), _sums(cost[:half])
    right_kw, right_cost = _sums(kw[half:]), _sums(cost[half:])
    order = np.argsort(right_kw, kind="stable")
    right_kw, right_cost = right_kw[order], right_cost[order]
    cheapest = np.append(np.minimum.accumulate(right_cost[::-1])[::-1], np.inf)  # of all that give as much or more
    first = np.searchsorted(right_kw, missing_kw - left_kw)
    left = int(np.argmin(left_cost + cheapest[first]))
    right = int(order[first[left] + np.argmin(right_cost[first[left] :])])
    return np.asarray((left | right << half) >> np.arange(len(kw)) & 1, dtype=np.bool_)


def _sums(values: Floats) -> Floats:
    """Of every subset; bit i of a position says whether value i is in it."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums, sums + value])
    return sums


def _solved(missing_kw: float, kw: Floats, cost: Floats, time_limit_s: float) -> Decided:
    """Everything, unproven, where the solver found nothing in time."""
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    for option, value in _options(time_limit_s).items():
        solver.setOptionValue(option, value)
    solver.passModel(_covering(np.minimum(kw / missing_kw, 1.0), cost))
    solver.run()
    found, info = solver.getSolution(), solver.getInfo()
    chosen = np.asarray(found.col_value) > 0.5
    if not found.value_valid or kw[chosen].sum() < missing_kw * (1 - ROUNDING):
        return Decided(np.ones(len(kw), np.bool_), 0.0, proven=False)
    return Decided(chosen, info.mip_dual_bound, solver.getModelStatus() == highspy.HighsModelStatus.kOptimal)


def _options(time_limit_s: float) -> dict[str, bool | int | float]:
    """One thread and one seed: the same loads make the same choice."""
    return {
        "output_flag": False,
        "threads": 1,
        "random_seed": 0,
        "time_limit": time_limit_s,
        "mip_rel_gap": PROVEN,
        "mip_feasibility_tolerance": ROUNDING,
        "primal_feasibility_tolerance": ROUNDING,
    }


def _covering(share: Floats, cost: Floats) -> highspy.HighsLp:
    """Binary columns of the least cost whose shares make a whole."""
    loads = len(share)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = loads, 1
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = cost, np.zeros(loads), np.ones(loads)
    lp.row_lower_, lp.row_upper_ = np.ones(1), np.full(1, highspy.kHighsInf)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_ = np.array([0, loads]), np.arange(loads)
    lp.a_matrix_.value_ = share
    lp.integrality_ = [highspy.HighsVarType.kInteger] * loads
    return lp
