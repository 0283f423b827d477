"""How far baselines are from what was drawn, on days without an event: the measures that markets and auditors use.

All take what was drawn and what the baseline said, of the same shape, whole; a share is 1, not 100.
"""

from collections.abc import Iterable

import msgspec
import numpy as np

from tieline.settlement.baseline.frame import Floats


def rrmse(actual_kw: Floats, baseline_kw: Floats) -> float:
    """Relative root mean squared error; PJM and AEMO ask for at most 0.2 of it, over the hours of one site."""
    return float(np.sqrt(np.mean((baseline_kw - actual_kw) ** 2)) / np.mean(actual_kw))


def bias(actual_kw: Floats, baseline_kw: Floats) -> float:
    """Relative error of the sum: above 0, more is said to have been saved than was."""
    return float((baseline_kw.sum() - actual_kw.sum()) / actual_kw.sum())


def cv_rmse(actual_kw: Floats, baseline_kw: Floats) -> float:
    """Coefficient of variation of the RMSE, ASHRAE Guideline 14-2014, with one parameter: n − 1."""
    error = actual_kw - baseline_kw
    return float(np.sqrt((error**2).sum() / (error.size - 1)) / actual_kw.mean())


def nmbe(actual_kw: Floats, baseline_kw: Floats) -> float:
    """Normalised mean bias error, ASHRAE Guideline 14-2014: measured less predicted, the reverse of `bias`."""
    error = actual_kw - baseline_kw
    return float(error.sum() / ((error.size - 1) * actual_kw.mean()))


class Score(msgspec.Struct, frozen=True):
    """A rule on days of one kind. `refused` is the share of meter-days for which the rule has no baseline; the rest is
    over the `days` (meter-days) for which every rule has one.

    `home_rrmse` is the median over the meters, `fleet_rrmse` is of their sum, the other measures are over all hours of
    all meters. `coverage` is how often what was drawn in the event's hours lay within the interval of `LEVEL` around
    the baseline, and `width` the interval's mean width, relative to the mean load; NaN where there was none.
    `called_rrmse` and `called_bias` are of the sum of the tenth of the meters that drew most just before: those that
    are called. NaN with fewer than ten meters.
    """

    rule: str
    kind: str
    days: int
    refused: float
    home_rrmse: float
    fleet_rrmse: float
    bias: float
    cv_rmse: float
    nmbe: float
    coverage: float
    width: float
    called_rrmse: float = float("nan")
    called_bias: float = float("nan")


def covered(scores: Iterable[Score], rule: str) -> float:
    """How often the intervals of a rule hold, over all the days of these scores; NaN without any."""
    of_it = [one for one in scores if one.rule == rule]
    days = sum(one.days for one in of_it)
    return sum(one.coverage * one.days for one in of_it) / days if days else float("nan")


def winner(scores: Iterable[Score], kind: str, most_bias: float = 0.05) -> Score | None:
    """The rule to propose for days of a kind: of those that are nearly without bias, for all and for those that are
    called, the least error of the sum of those that are called; where none is so for the called, or too few meters
    tell, the least error of the sum of all."""
    fair = [one for one in scores if one.kind == kind and abs(one.bias) <= most_bias]
    fair_to_called = [one for one in fair if abs(one.called_bias) <= most_bias]
    if fair_to_called:
        return min(fair_to_called, key=lambda one: one.called_rrmse)
    return min(fair, key=lambda one: one.fleet_rrmse, default=None)
