"""Which days are alike (business days and others, weekdays and weekends, holidays), and in which order they count."""

from collections.abc import Collection, Sequence
from datetime import date, timedelta

import holidays

from tieline.base.errors import Refused
from tieline.settlement.baseline.rules import Kind, Kinds, Rule

NERC = ("New Year's Day", "Memorial Day", "Independence Day", "Labor Day", "Thanksgiving Day", "Christmas Day")
"""The six holidays of North American electricity (NERC; off-peak all day). On a Sunday, the Monday after stands in."""


def holidays_of(calendar: str, years: Sequence[int]) -> frozenset[date]:
    """The holidays of a calendar: `NERC`, a country (`TW`), or a part of one (`US-CA`, `AU-NSW`).

    Raises `Refused` for a calendar that is not known.
    """
    if calendar == "NERC":
        named = holidays.country_holidays("US", years=years, observed=False)
        return frozenset(_observed(day) for day, name in named.items() if name in NERC)
    country, _, part = calendar.partition("-")
    try:
        return frozenset(holidays.country_holidays(country, subdiv=part or None, years=years))
    except NotImplementedError:
        raise Refused(
            f"there is no calendar {calendar!r}: name NERC, a country (TW), or a part of one (US-CA)"
        ) from None


def _observed(day: date) -> date:
    return day + timedelta(days=1) if day.weekday() == 6 else day


def kind_of(day: date, kinds: Kinds, holidays: Collection[date] = ()) -> Kind:
    """What a day is, in those terms."""
    free = day in holidays
    if kinds is Kinds.EVERY:
        return Kind.ANY
    if kinds is Kinds.BUSINESS:
        return Kind.BUSINESS if day.weekday() < 5 and not free else Kind.OTHER
    if free or day.weekday() == 6:
        return Kind.SUNDAY
    return Kind.SATURDAY if day.weekday() == 5 else Kind.WEEKDAY


def candidates(rule: Rule, event_day: date, holidays: Collection[date] = ()) -> list[date]:
    """The days of the event day's kind within the look-back (and the look-ahead, where there is one), nearest first;
    of two as near, the earlier first."""
    kind = kind_of(event_day, rule.kinds, holidays)
    reach = range(1, max(rule.look_back_days, rule.look_ahead_days) + 1)
    steps = [n for far in reach for n in (-far, far) if -rule.look_back_days <= n <= rule.look_ahead_days]
    near = [event_day + timedelta(days=n) for n in steps]
    return [day for day in near if kind_of(day, rule.kinds, holidays) == kind]
