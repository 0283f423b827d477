"""Hourly homes for the tests of baselines: what they draw on a day, and an event in the early evening."""

from collections.abc import Callable, Collection, Mapping
from datetime import date, timedelta

import numpy as np

from tieline.settlement.baseline.engine import across
from tieline.settlement.baseline.fleet import Event, Fleet
from tieline.settlement.baseline.frame import Floats
from tieline.settlement.baseline.result import Baselines
from tieline.settlement.baseline.rules import Rule

WEDNESDAY = date(2026, 7, 15)
SUNDAY = date(2026, 7, 19)
START_H, HOURS = 17, 2
DURING = slice(START_H, START_H + HOURS)
BEFORE = slice(START_H - 4, START_H - 1)


def event(day: date = WEDNESDAY, start_h: int = START_H, hours: int = HOURS) -> Event:
    return Event(day, start_h * 3600, hours * 3600)


def day(usual: float = 1.0, **hours: float) -> Floats:
    """24 hours of the same power, but `h13=2.0` in the hour that begins at 13."""
    kw = np.full(24, usual)
    for name, power in hours.items():
        kw[int(name[1:])] = power
    return kw


def home(today: Floats, before: Callable[[int], Floats] | Mapping[date, Floats], until: date = WEDNESDAY) -> Fleet:
    """One home with the 60 days before `until`: the load `n` days ago, or of those days that are given."""
    days = [until - timedelta(days=n) for n in range(60, 0, -1)]
    if isinstance(before, Mapping):
        past = [before.get(one, np.full(24, np.nan)) for one in days]
    else:
        past = [before((until - one).days) for one in days]
    return Fleet(np.stack([*past, today])[None], days[0])


def baselines(rule: Rule, fleet: Fleet, at: Event | None = None) -> Baselines:
    return across(fleet, [rule], at or event())[rule.name]


def kwh(rule: Rule, fleet: Fleet, at: Event | None = None) -> float:
    """The energy of the one home's baseline over the event."""
    return float(baselines(rule, fleet, at).kw.sum())


def nth(rule_days: Collection[date], loads: Collection[float]) -> dict[date, Floats]:
    """The same power all day on each of those days."""
    return {one: np.full(24, load) for one, load in zip(rule_days, loads, strict=True)}
