"""How a rule did on the days before an event that are like its own, each as if it had had the event: all that is known
of how sure its baselines are today."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from tieline.settlement.baseline.days import candidates, kind_of
from tieline.settlement.baseline.engine import apply
from tieline.settlement.baseline.frame import Floats, Frame, Weather
from tieline.settlement.baseline.intervals import MEMORY, REACH_DAYS, History
from tieline.settlement.baseline.rules import Anchor, Kinds, Rule, Window

USUAL_DAYS = 10
JUST_BEFORE = (Window(Anchor.START, -0.25, 0), Window(Anchor.START, -1, 0))
"""How a meter stands is told by the quarter of an hour before, and what it can draw also by the hour before."""


def like_days(day: date, holidays: Collection[date]) -> list[date]:
    """Business days for a business day, others for another: the nearest first."""
    kind = kind_of(day, Kinds.BUSINESS, holidays)
    near = (day - timedelta(days=n) for n in range(1, REACH_DAYS + 1))
    return [one for one in near if kind_of(one, Kinds.BUSINESS, holidays) is kind][:MEMORY]


def looked_at(rule: Rule, day: date, holidays: Collection[date]) -> list[date]:
    """The like days, and those that a rule may take for them: the nearest first."""
    like = like_days(day, holidays)
    taken = {each for one in like for each in candidates(rule, one, holidays)} if rule.picks else set()
    return sorted((one for one in {*like, *taken} if one < day), reverse=True)


@dataclass(frozen=True)
class Standing:
    """Of each meter: how far it stands above its usual load just before an event (NaN where nothing was read), the most
    it has drawn in those hours, and the least."""

    lift_kw: Floats
    highest_kw: Floats
    least_kw: Floats

    @classmethod
    def stacked(cls, found: Sequence["Standing"]) -> "Standing":
        """Of many days, [days, meters]."""
        return cls(*(np.stack([getattr(one, name) for one in found]) for name in cls.__dataclass_fields__))

    @classmethod
    def beside(cls, found: Sequence["Standing"]) -> "Standing":
        """Of portions of the meters."""
        return cls(*(np.concatenate([getattr(one, name) for one in found], -1) for name in cls.__dataclass_fields__))


def standing(rule: Rule, frame: Frame) -> Standing:
    """On the nearest days that the rule takes for alike, and just before; its frame has the steps `JUST_BEFORE`."""
    quarter, hour = frame.within(JUST_BEFORE)
    order = _usual_days(rule, frame)
    barred = frame.barred[order]
    today = frame.today_kw[hour]
    spans = [np.where(barred[:, None], np.nan, frame.kw[order, span]) for span in (hour, frame.during)]
    seen = np.concatenate([today, *(span.reshape(-1, frame.meters) for span in spans)])
    just = np.where(barred[:, None], np.nan, frame.kw[order, quarter])
    usual = _mean(just.reshape(-1, frame.meters)) if order else np.zeros(frame.meters)
    return Standing(
        _mean(frame.today_kw[quarter]) - usual,
        np.fmax.reduce(seen, axis=0, initial=np.nan),
        np.fmin.reduce(seen, axis=0, initial=np.nan),
    )


def _usual_days(rule: Rule, frame: Frame) -> list[int]:
    at = {day: i for i, day in enumerate(frame.days) if day < frame.event_day}
    near = candidates(rule, frame.event_day, frame.holidays) if rule.picks else []
    most = min([USUAL_DAYS, *(pick.most for pick in rule.picks.values())])
    return [at[day] for day in near if day in at][:most]


def _mean(kw: Floats) -> Floats:
    """Over the steps that are known; NaN where none is."""
    known = (~np.isnan(kw)).sum(axis=0)
    mean: Floats = np.nan_to_num(kw).sum(axis=0) / np.where(known > 0, known, np.nan)
    return mean


# --- as if it had had the event ---------------------------------------------------------------------------------------


def history(rule: Rule, frame: Frame) -> History:
    """The like days, the oldest first, and the event day itself as the last, whose errors are unknown. Of the frame's
    days, nearest first, all that `looked_at` names count; those on which a meter was called, or out, do not."""
    at = {day: i for i, day in enumerate(frame.days)}
    like = [at[day] for day in like_days(frame.event_day, frame.holidays) if day in at]
    before = [_as_of(frame, day) for day in reversed(like)]
    said = np.stack([apply(rule, one).kw for one in (*before, frame)])
    drawn = np.stack([*(one.today_kw[one.during].T for one in before), np.full(said.shape[1:], np.nan)])
    stood = Standing.stacked([standing(rule, one) for one in (*before, frame)])
    return History(drawn - said, said.mean(axis=2), stood.lift_kw, stood.highest_kw)


def _as_of(frame: Frame, day: int) -> Frame:
    """The frame as it was on one of its days: with those after it in the list alone, which are the ones before it. What
    a meter drew that was called then, or out, is unknown."""
    before = slice(day + 1, None)
    weather, outlook = frame.weather, frame.outlook
    return replace(
        frame,
        event_day=frame.days[day],
        days=frame.days[before],
        kw=frame.kw[before],
        today_kw=np.where(frame.barred[day], np.nan, frame.kw[day]),
        called=None if frame.called is None else frame.called[before],
        out=None if frame.out is None else frame.out[before],
        touched=None,
        weather=None if weather is None else Weather(weather.days_c[before], weather.days_c[day]),
        outlook=None if outlook is None else outlook.of(before, outlook.foretold_kw[day]),
        controls=None,
        each_other=True,
    )
