"""How long a duration lasts: years and months by the calendar, the rest exactly; P9999Y for ever (User Guide 7.3)."""

import calendar
from datetime import datetime, timedelta
from typing import NamedTuple

from tieline.base.errors import Refused
from tieline.wires.openadr31.scalars import DURATION, FIRST, LAST

NO_TIME = timedelta(0)
_DAYS = {"D": 1, "W": 7, None: 0}
_MANY = 12  # digits; more of any unit is for ever, and of years long before that


class Length(NamedTuple):
    """A span of time that only an instant to begin at makes definite: a month from 31 January ends in February."""

    months: int
    exact: timedelta

    def after(self, at: datetime) -> datetime | None:
        """The end, in UTC; none when that is past the year 9999, which is for ever. A day no month has is its last."""
        try:
            return (self._months_after(at) if self.months else at) + self.exact
        except (ValueError, OverflowError):
            return None

    def _months_after(self, at: datetime) -> datetime:
        year, month = divmod(at.year * 12 + at.month - 1 + self.months, 12)
        return at.replace(year=year, month=month + 1, day=min(at.day, calendar.monthrange(year, month + 1)[1]))


FOR_EVER = Length(0, timedelta.max)


def length(text: str) -> Length:
    """Of an ISO 8601 duration. Time does not run backwards: a negative one lasts no time. Raises `Refused` for none."""
    if (match := DURATION.match(text)) is None:
        raise Refused(f"{text!r} is not an ISO 8601 duration such as PT1H")
    sign, years, months, days, unit, hours, minutes, seconds = match.groups()
    if sign:
        return Length(0, NO_TIME)
    try:
        exact = timedelta(
            days=_number(days) * _DAYS[unit],
            hours=_number(hours),
            minutes=_number(minutes),
            seconds=float(seconds or 0),
        )
    except OverflowError:
        return FOR_EVER
    return Length(_number(years) * 12 + _number(months), exact)


def width(text: str, at: datetime) -> timedelta:
    """Of a duration from `at` on, whichever its sign; none for ever: nobody can shift by that."""
    end = length(text.removeprefix("-")).after(at)
    return end - at if end else NO_TIME


def moved(at: datetime, by: timedelta) -> datetime:
    """Not past the years that a calendar has."""
    try:
        return at + by
    except OverflowError:
        return LAST if by > NO_TIME else FIRST


def _number(digits: str | None) -> int:
    if digits is None:
        return 0
    significant = digits.lstrip("0")
    return int(significant or 0) if len(significant) <= _MANY else 10**_MANY
