"""Whole days of many meters as one array, and the frames of an event cut out of it, a portion of meters at a time."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from tieline.base.errors import Refused
from tieline.settlement.baseline.frame import Floats, Frame, Mask, Outlook, Weather, span_s
from tieline.settlement.baseline.rules import Rule, Window

DAY_S = 86400
AT_ONCE = 16384
"""So many meters at a time: what is done to a step of theirs stays within the processor's cache."""


@dataclass(frozen=True)
class Event:
    """An event on a fleet's clock: its day, when it starts (seconds after midnight), how long it is."""

    day: date
    start_s: int
    event_s: int


@dataclass(frozen=True)
class Fleet:
    """Mean power [meters, days, intervals] of consecutive days, in intervals of the same length; NaN where unknown.

    It is quickest where the meters lie next to each other in memory (an array [days, intervals, meters], transposed).
    `called` and `out` are [meters, days], `contract_kw` is [meters], `temperature_c` is [days, intervals]. `group_kw`
    and `forecast_kw` [days, intervals] are the mean load of one meter, as it came and as it was forecast.

    `controls` are meters that were not called; with `each_other` nobody was, and every meter has all the others.
    """

    kw: Floats
    first_day: date
    holidays: Collection[date] = ()
    called: Mask | None = None
    out: Mask | None = None
    contract_kw: Floats | None = None
    temperature_c: Floats | None = None
    group_kw: Floats | None = None
    forecast_kw: Floats | None = None
    controls: "Fleet | None" = None
    each_other: bool = False

    @property
    def days(self) -> list[date]:
        return [self.first_day + timedelta(days=n) for n in range(self.kw.shape[1])]

    @property
    def step_s(self) -> int:
        return DAY_S // int(self.kw.shape[2])

    @property
    def mean_kw(self) -> Floats:
        """Of one meter, [days, intervals]; NaN where none is known."""
        known = (~np.isnan(self.kw)).sum(axis=0)
        mean: Floats = np.nan_to_num(self.kw).sum(axis=0) / np.where(known > 0, known, np.nan)
        return mean

    @property
    def portions(self) -> list[slice]:
        """The meters of each frame."""
        at_once = len(self.kw) if self.each_other else AT_ONCE
        return [slice(first, first + at_once) for first in range(0, len(self.kw), at_once)]

    def frame(
        self, meters: slice, event: Event, rules: Collection[Rule], beside: Collection[Window] = (), back: int = 0
    ) -> Frame:
        """The frame of an event for some meters, with the hours and the days that these rules look at; with the hours
        `beside` too, and so many days back.

        Raises `Refused` for an event that does not fit the intervals, or the days.
        """
        if event.start_s % self.step_s or event.event_s % self.step_s or not event.event_s:
            raise Refused(f"an event of whole intervals of {self.step_s} s was expected, not {event}")
        if not 0 <= (event.day - self.first_day).days < self.kw.shape[1]:
            raise Refused(f"{event.day} is none of the {self.kw.shape[1]} days from {self.first_day} on")
        return self._frame(meters, event, rules, beside, back)

    def _frame(
        self, meters: slice, event: Event, rules: Collection[Rule], beside: Collection[Window], back: int
    ) -> Frame:
        windows = {*beside, *(window for rule in rules for window in rule.windows)}
        spans = [(0, event.event_s), *(span_s(window, event.start_s, event.event_s) for window in windows)]
        opens = min(first for first, _ in spans) // self.step_s
        closes = -(-max(last for _, last in spans) // self.step_s)
        hours = (event.start_s // self.step_s + opens, closes - opens)
        day = (event.day - self.first_day).days
        back = max([back, *(rule.look_back_days for rule in rules)])
        ahead = max((rule.look_ahead_days for rule in rules), default=0)
        days = slice(max(0, day - back - 1), day + ahead + 2)  # one more on either side, for hours beyond midnight
        kw = _meters_last(_around(self.kw[meters, days].transpose(1, 2, 0), *hours))
        today = day - days.start
        return Frame(
            event_day=event.day,
            event_s=event.event_s,
            start_s=event.start_s,
            days=[self.first_day + timedelta(days=days.start + n) for n in range(len(kw))],
            kw=kw,
            today_kw=kw[today],
            offset_s=np.arange(opens, closes) * self.step_s,
            length_s=np.full(closes - opens, self.step_s),
            holidays=self.holidays,
            called=None if self.called is None else self.called[meters, days].T,
            out=None if self.out is None else self.out[meters, days].T,
            contract_kw=None if self.contract_kw is None else self.contract_kw[meters],
            weather=None if self.temperature_c is None else _weather(self.temperature_c[days], today, *hours),
            outlook=self._outlook(days, today, *hours),
            controls=None if self.controls is None else self.controls._frame(slice(None), event, rules, beside, back),
            each_other=self.each_other,
        )

    def _outlook(self, days: slice, today: int, first: int, count: int) -> Outlook | None:
        if self.group_kw is None or self.forecast_kw is None:
            return None
        came, foretold = (_around(kw[days, :, None], first, count)[:, :, 0] for kw in (self.group_kw, self.forecast_kw))
        return Outlook(came, foretold[today], foretold)


def _weather(temperature_c: Floats, today: int, first: int, count: int) -> Weather:
    around_c = _around(temperature_c[:, :, None], first, count)[:, :, 0]
    return Weather(around_c, around_c[today])


def _around(by_day: Floats, first: int, count: int) -> Floats:
    """`count` intervals of every day from its `first` on, [days, count, meters]: a view, unless they reach into the
    neighbouring days."""
    days, intervals, meters = by_day.shape
    if first >= 0 and first + count <= intervals:
        return by_day[:, first : first + count]
    before, after = max(0, -first), max(0, first + count - intervals)
    unknown = [np.full((n, meters), np.nan) for n in (before, after)]
    through = np.concatenate([unknown[0], by_day.reshape(days * intervals, meters), unknown[1]])
    starts = np.arange(days) * intervals + first + before
    around: Floats = through[starts[:, None] + np.arange(count)]
    return around


def _meters_last(kw: Floats, block: int = 512) -> Floats:
    """The same with meters next to each other in memory; copied in blocks that stay in the cache, if at all."""
    if kw.strides[2] == kw.itemsize or kw.shape[2] <= 1:
        return kw
    copied = np.empty(kw.shape)
    for first in range(0, kw.shape[2], block):
        copied[:, :, first : first + block] = kw[:, :, first : first + block]
    return copied
