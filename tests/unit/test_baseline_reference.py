"""The engine against the same rules written out plainly: one meter, one day, one hour at a time."""

import math
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings

from tests.unit.baseline_homes import HOURS, START_H, baselines
from tests.unit.test_baseline_laws import METERS, fleets
from tieline.settlement.baseline.adjusting import NO_LOAD_KW
from tieline.settlement.baseline.days import candidates, kind_of
from tieline.settlement.baseline.fleet import Event, Fleet
from tieline.settlement.baseline.lasting import LEAST
from tieline.settlement.baseline.markets import RULES
from tieline.settlement.baseline.rules import Anchor, Exponential, How, Lasting, Mean, Order, Pick, Rule, Window

Load = dict[tuple[date, int], float]
"""What a meter drew, by day and hour, where it is known."""


def hours_of(window: Window) -> range:
    """Whole hours: of a shorter window, the one that it lies in."""
    start = {Anchor.START: START_H, Anchor.END: START_H + HOURS, Anchor.CLOCK: 0}[window.anchor]
    return range(start + math.floor(window.from_h), start + math.ceil(window.until_h))


def plainly(rule: Rule, load: Load, event_day: date, called: set[date], out: set[date]) -> list[float] | None:
    """The baseline of each hour of the event; None where the rule has none."""
    pick = rule.picks.get(kind_of(event_day, rule.kinds))
    if pick is None:
        return None
    during = list(range(START_H, START_H + HOURS))
    beside = [hour for window in rule.windows for hour in hours_of(window)]
    whole = [
        day
        for day in candidates(rule, event_day)
        if day not in out and all((day, hour) in load for hour in during + beside)
    ]
    use = {day: sum(load[day, hour] for hour in during) for day in whole}
    eligible = [day for day in whole if day not in called]
    while True:
        days = eligible[: pick.most]
        low = [day for day in days if use[day] < rule.low_use * sum(use[one] for one in days) / len(days)]
        if not low:
            break
        eligible = [day for day in eligible if day not in low]
    if rule.make_up:
        spare = sorted((day for day in whole if day in called), key=lambda day: -use[day])
        days += spare[: max(0, pick.least - len(days))]
    if len(days) < pick.least:
        return None
    usual = {hour: usual_of(rule, pick, load, days, use, hour) for hour in during + beside}
    if rule.lasting is not None:
        return lasted(rule.lasting, load, event_day, days, during)
    return bounded(rule, [adjusted(rule, load, event_day, usual, hour) for hour in during])


def lasted(rule: Lasting, load: Load, event_day: date, days: list[date], during: list[int]) -> list[float]:
    """Ridge regression towards the shares, as numpy's least squares with a row more for each window."""
    known = [[h for h in hours_of(window) if (event_day, h) in load] for window in rule.windows]
    past = np.array([[np.mean([load[day, h] for h in hours]) if hours else 0.0 for hours in known] for day in days])
    today = np.array([np.mean([load[event_day, h] for h in hours]) if hours else np.nan for hours in known])
    apart = np.nan_to_num(today - past.mean(axis=0))
    drawn = np.array([[load[day, hour] for hour in during] for day in days])
    x = past - past.mean(axis=0)
    variance = np.maximum(x.var(axis=0), LEAST * (past**2).mean(axis=0))
    weight = np.diag(np.sqrt(np.where(variance > 0, rule.weighs * variance, 1.0)))
    believed = weight @ np.array(rule.shares)
    fit = [np.linalg.lstsq(np.vstack([x, weight]), np.append(y - y.mean(), believed), rcond=None)[0] for y in drawn.T]
    seen = [*drawn.ravel(), *today[~np.isnan(today)]]
    return [float(np.clip(y.mean() + apart @ b, min(seen), max(seen))) for y, b in zip(drawn.T, fit, strict=True)]


def usual_of(rule: Rule, pick: Pick, load: Load, days: list[date], use: dict[date, float], hour: int) -> float:
    if isinstance(rule.average, Exponential):
        oldest_first = sorted(days)
        level = sum(load[day, hour] for day in oldest_first[: rule.average.seed]) / rule.average.seed
        for day in oldest_first[rule.average.seed :]:
            level = rule.average.keep * level + (1 - rule.average.keep) * load[day, hour]
        return level
    ranked = sorted(days, key=lambda day: -use[day]) if pick.keep else days
    if pick.order is Order.MIDDLE:
        ranked = ranked[max(0, len(days) - pick.keep) // 2 :]
    kept = ranked[: pick.keep or len(days)]
    shares = pick.shares[: len(kept)] or (1.0,) * len(kept)
    return sum(share * load[day, hour] for share, day in zip(shares, kept, strict=True)) / sum(shares)


def adjusted(rule: Rule, load: Load, event_day: date, usual: dict[int, float], hour: int) -> float:
    if rule.adjust is None:
        return usual[hour]
    known = [h for window in rule.adjust.windows for h in hours_of(window) if (event_day, h) in load]
    if not known:
        return usual[hour]
    today, then = sum(load[event_day, h] for h in known), sum(usual[h] for h in known)
    least = -np.inf if rule.adjust.least is None else rule.adjust.least
    most = np.inf if rule.adjust.most is None else rule.adjust.most
    if rule.adjust.how is How.DIFFERENCE:
        return usual[hour] + float(np.clip((today - then) / len(known), least, most))
    assert then > NO_LOAD_KW * len(known)  # the homes of these tests always draw something
    return usual[hour] * float(np.clip(today / then, least, most))


def bounded(rule: Rule, kw: list[float]) -> list[float]:
    return kw if rule.floor_kw is None else [max(rule.floor_kw, power) for power in kw]


def known(fleet: Fleet, meter: int) -> Load:
    return {
        (day, hour): float(kw)
        for day, of_day in zip(fleet.days, fleet.kw[meter], strict=True)
        for hour, kw in enumerate(of_day)
        if not np.isnan(kw)
    }


PLAIN = {name: rule for name, rule in RULES.items() if isinstance(rule.average, Mean | Exponential)}


@pytest.mark.parametrize("rule", PLAIN.values(), ids=PLAIN)
@settings(max_examples=20, deadline=None)
@given(fleets())
def test_the_engine_does_what_the_rule_says(rule: Rule, given_: tuple[Fleet, Event]) -> None:
    fleet, at = given_
    fleet = replace(fleet, contract_kw=None)
    assert fleet.called is not None
    assert fleet.out is not None
    got = baselines(rule, fleet, at)
    for meter in range(METERS):
        called = {day for day, was in zip(fleet.days, fleet.called[meter], strict=True) if was}
        out = {day for day, was in zip(fleet.days, fleet.out[meter], strict=True) if was}
        expected = plainly(rule, known(fleet, meter), at.day, called, out)
        assert (expected is None) == (meter in got.reasons)
        if expected is not None:
            np.testing.assert_allclose(got.kw[meter], expected, rtol=1e-7)
