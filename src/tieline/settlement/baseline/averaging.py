"""The usual load of the picked days, step by step: their mean, faded, fitted to the weather or to what was forecast, or
of other meters."""

import numpy as np

from tieline.settlement.baseline.adjusting import NO_LOAD_KW
from tieline.settlement.baseline.frame import Floats, Frame, Ints, Mask, Weather
from tieline.settlement.baseline.rules import Exponential, Regression

AT_ONCE = 256
"""So many meters are matched with all controls at a time: their distances stay within the processor's cache."""
LEVEL_SHRINKS = 1.0
"""A weekday's own level counts as if one more day of it had been like all others: seldom seen, it is like them."""


def mean(frame: Frame, days: list[int], weight: Floats, steps: Ints) -> Floats:
    """The weighted mean of days [steps, meters]; NaN for a meter without any. `weight` is [days, meters]."""
    total = np.zeros((len(steps), frame.meters))
    for day, of_it in zip(days, weight, strict=True):
        if (of_it == 1).all():
            total += frame.kw[day, steps]
        elif of_it.any():
            total += np.where(of_it, frame.kw[day, steps] * of_it, 0.0)
    whole = weight.sum(axis=0)
    return total / np.where(whole > 0, whole, np.nan)


def faded(rule: Exponential, frame: Frame, days: list[int], taken: Mask, steps: Ints) -> Floats:
    """The mean of each meter's oldest days brought forward, day by day [steps, meters]; `taken` is [days, meters].

    b = mean of the `seed` oldest; then with each newer day b = keep · b + (1 − keep) · load.
    """
    level = np.zeros((len(steps), frame.meters))
    if (taken == taken[:, :1]).all():
        taken = taken[:, :1]  # one meter's days stand for all
    count = np.zeros(taken.shape[1], np.int64)
    for day, took in zip(reversed(days), taken[::-1], strict=True):
        seeding = count < rule.seed
        new = frame.kw[day, steps] * np.where(seeding, 1 / rule.seed, 1 - rule.keep)
        level *= np.where(took & ~seeding, rule.keep, 1.0)
        level += new if took.all() else np.where(took, new, 0.0)
        count += took
    return level


def fitted(rule: Regression, frame: Frame, days: list[int], taken: Mask, steps: Ints) -> Floats:
    """The event day as a least-squares fit over the picked days tells it, [steps, meters].

    A fit is a weighted sum of the days' loads, and the weights depend on which days there are and on the weather, not
    on the loads: they are found once for all meters that have the same days.
    """
    alike, which = _alike(taken)
    fit = np.empty((len(steps), frame.meters))
    for i, step in enumerate(steps):
        known, today = _regressors(rule, frame, days, int(step))
        weight = _solved(known, today, alike)
        if alike.shape[1] == 1:
            those = np.flatnonzero(alike[:, 0])
            fit[i] = np.einsum("d,dm->m", weight[those, 0], frame.kw[np.array(days, np.int64)[those], step])
        else:
            fit[i] = np.where(taken, weight[:, which] * frame.kw[days, step], 0.0).sum(axis=0)
    return fit


def foretold(frame: Frame, days: list[int], weight: Floats, steps: Ints) -> Floats:
    """The mean of days, times how far the forecast of the group is from what it drew on them [steps, meters]; NaN where
    nothing was forecast, or the group usually draws nothing."""
    if frame.outlook is None:
        return np.full((len(steps), frame.meters), np.nan)
    came = np.nan_to_num(frame.outlook.days_kw[days][:, steps])  # a day on which it is not known weighs nothing
    whole = weight.sum(axis=0)
    usual = came.T @ weight / np.where(whole > 0, whole, np.nan)
    share = frame.outlook.today_kw[steps, None] / np.where(usual > NO_LOAD_KW, usual, np.nan)
    return mean(frame, days, weight, steps) * share


def _alike(taken: Mask) -> tuple[Mask, Ints]:
    """The different sets of days there are [days, sets], and which of them each meter has."""
    if (taken == taken[:, :1]).all():
        return taken[:, :1], np.zeros(taken.shape[1], np.int64)
    _, first, which = np.unique(np.packbits(taken, axis=0), axis=1, return_index=True, return_inverse=True)
    return taken[:, first], which.ravel()


def _regressors(rule: Regression, frame: Frame, days: list[int], step: int) -> tuple[Floats, Floats]:
    """One, seven weekdays, and degrees of heating and of cooling: of the days [days, columns], and of the event day."""
    dates = [*(frame.days[day] for day in days), frame.event_day]
    weekday = [6 if day in frame.holidays else day.weekday() for day in dates]
    columns = [np.ones(len(dates)), *np.eye(7)[:, weekday]]
    if rule.temperature and frame.weather is not None:
        celsius = _temperature(frame.weather, days, step)
        columns += [np.maximum(rule.heating_c - celsius, 0.0), np.maximum(celsius - rule.cooling_c, 0.0)]
    whole = np.stack(columns, axis=1)
    return whole[:-1], whole[-1]


def _temperature(weather: Weather, days: list[int], step: int) -> Floats:
    """Of the days and of the event day. A day without it is not taken: what stands here then is for nobody."""
    celsius = np.append(weather.days_c[days, step], weather.today_c[step])
    return np.where(np.isnan(celsius), 0.0, celsius)


def _solved(known: Floats, today: Floats, alike: Mask) -> Floats:
    """The weight of each day's load in the fit of the event day, for each set of days there is: [days, sets]."""
    products = known[:, :, None] * known[:, None, :]
    normal = np.tensordot(alike.T.astype(float), products, axes=1)
    shrink = np.full(known.shape[1], 1e-6)  # a column that never varies has no coefficient
    shrink[1:8] = LEVEL_SHRINKS
    normal += np.diag(shrink)
    direction = np.linalg.solve(normal, np.broadcast_to(today[:, None], (*normal.shape[:2], 1)))[..., 0]
    weight: Floats = (known @ direction.T) * alike
    return weight


def matched(nearest: int, usual_kw: Floats, controls_usual_kw: Floats, *, but_itself: bool = False) -> Ints:
    """For each meter the controls whose usual load is nearest, [nearest, meters]; −1 where there are too few.

    `usual_kw` is [steps, meters] and [steps, controls]; the distance is Euclidean, in kW. `but_itself`: the controls
    are the meters, and none is its own.
    """
    able = np.flatnonzero(~np.isnan(controls_usual_kw).any(axis=0))
    chosen = np.full((nearest, usual_kw.shape[1]), -1)
    if len(able) < nearest + but_itself:
        return chosen
    pool = controls_usual_kw[:, able].astype(np.float32)
    squares = (pool * pool).sum(axis=0)
    for first in range(0, usual_kw.shape[1], AT_ONCE):
        own = np.nan_to_num(usual_kw[:, first : first + AT_ONCE]).T.astype(np.float32)
        distance = squares - 2 * (own @ pool)
        meters = np.arange(len(own))
        if but_itself:
            distance[able == (first + meters)[:, None]] = np.inf
        for place in range(nearest):
            best = np.argmin(distance, axis=1)
            chosen[place, first : first + len(own)] = able[best]
            distance[meters, best] = np.inf
    return chosen
