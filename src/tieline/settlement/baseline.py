"""Day matching: what a VEN would have drawn, from its own earlier days and its own load before the event.

    look-back (45 days)                                            event day
    ┊ Mo Tu We Th Fr Sa Su Mo …                                ┊   start − 4 h    start − 1 h    start        end
    ┊ the newest whole days of the event day's kind, on which  ┊   |== adjustment ==|            |==== event ====|
    ┊ the VEN was not called: the mean of each step over them  ┊   its load here ÷ theirs here → factor

Rule `caiso-10-in-10`: California ISO, Fifth Replacement Electronic Tariff, section 4.13.4, ten-in-ten baseline:
ten business days (at least five) or four other days (at least four) out of the 45 calendar days before the event
day, without event days; multiplied by the load point adjustment, the ratio over the second, third and fourth hours
before the event, no less than 0.8 and no more than 1.2. `docs/reference/baselines.md` says what it leaves open.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Texts = NDArray[np.object_]

NO_LOAD_KW = 0.001
"""At or below a watt, or where a home feeds in, a ratio of loads says nothing: no adjustment then."""

CAPPED = "adjustment at its cap"
NO_LOAD = "no adjustment: the usual load is nothing, or feeds in"
TOUCHED = "no adjustment: an earlier event reached into the hours before this one"
UNKNOWN = "no adjustment: no readings in the hours before the event"


class Pick(msgspec.Struct, frozen=True):
    """How many days to average: `most` of the newest, and none at all when there are fewer than `least`."""

    most: int
    least: int


class Rule(msgspec.Struct, frozen=True):
    """A day-matching rule as data."""

    name: str
    look_back_days: int
    business: Pick
    other: Pick
    adjust_from_s: int  # before the event's start
    adjust_until_s: int
    least_factor: float
    most_factor: float


CAISO_10_IN_10 = Rule(
    name="caiso-10-in-10",
    look_back_days=45,
    business=Pick(most=10, least=5),
    other=Pick(most=4, least=4),
    adjust_from_s=4 * 3600,
    adjust_until_s=1 * 3600,
    least_factor=0.8,
    most_factor=1.2,
)


def is_business(day: date, holidays: Collection[date] = ()) -> bool:
    """Monday to Friday, unless a holiday."""
    return day.weekday() < 5 and day not in holidays


def candidates(rule: Rule, event_day: date, holidays: Collection[date] = ()) -> list[date]:
    """The days of the event day's kind within the look-back, newest first."""
    kind = is_business(event_day, holidays)
    before = [event_day - timedelta(days=n) for n in range(1, rule.look_back_days + 1)]
    return [day for day in before if is_business(day, holidays) == kind]


@dataclass(frozen=True)
class Baselines:
    """Per VEN: power of each step [vens, steps], adjustment factor, the days averaged, and what is to be said of it.

    A VEN without enough days has no baseline: its row is NaN and `reasons` says why.
    """

    kw: Floats
    factor: Floats
    notes: Texts
    reasons: dict[int, str]
    _offered: list[date]
    _taken: list[Mask]

    def days(self, ven: int) -> list[date]:
        """The days that were averaged for a VEN, newest first."""
        return [day for day, taken in zip(self._offered, self._taken, strict=True) if taken[ven]]


class DayMatch:
    """Averages days for many VENs at once; days are offered newest first, while any VEN is `wanting`."""

    def __init__(self, rule: Rule, event_day: date, n_vens: int, holidays: Collection[date] = ()) -> None:
        self._rule = rule
        self._event_day = event_day
        self._kind = "business" if is_business(event_day, holidays) else "other"
        self._pick = rule.business if self._kind == "business" else rule.other
        self._count = np.zeros(n_vens, np.int64)
        self._offered: list[date] = []
        self._taken: list[Mask] = []
        self._before_kw: Floats = np.zeros((n_vens, 1))
        self._event_kw: Floats = np.zeros((n_vens, 1))

    @property
    def wanting(self) -> Mask:
        """The VENs that could do with one more day."""
        return self._count < self._pick.most

    def offer(self, day: date, before_kw: Floats, event_kw: Floats, excluded: Mask) -> None:
        """A day's power in the steps of the adjustment window and of the event [vens, steps]; NaN where unknown.

        Counts for each VEN that still wants days, is not excluded, and has a reading in every step.
        """
        # A sum is NaN where any of its terms is, and cheaper than looking at each.
        whole = ~np.isnan(_sum(before_kw) + _sum(event_kw))
        taken = whole & ~excluded & self.wanting
        self._before_kw = self._before_kw + _only(taken, before_kw)
        self._event_kw = self._event_kw + _only(taken, event_kw)
        self._count += taken
        self._offered.append(day)
        self._taken.append(taken)

    def result(self, before_kw: Floats, touched: Mask) -> Baselines:
        """The adjusted averages. `before_kw` is the event day's own adjustment window [vens, steps], NaN where
        unknown; a VEN that is `touched` was under an earlier event in it, so that it says nothing of its usual load."""
        enough = self._count >= self._pick.least
        days = np.where(enough, self._count, np.nan)[:, None]
        event_mean, usual_kw = self._event_kw / days, self._before_kw / days
        factor, notes = _adjustment(self._rule, event_mean, usual_kw, before_kw, touched)
        reasons = {int(ven): self._reason(int(self._count[ven])) for ven in np.flatnonzero(~enough)}
        return Baselines(event_mean * factor[:, None], factor, notes, reasons, self._offered, self._taken)

    def _reason(self, found: int) -> str:
        return (
            f"{found} {self._kind} days with whole readings and no event in the {self._rule.look_back_days} days "
            f"before {self._event_day}; {self._rule.name} needs {self._pick.least}"
        )


def _adjustment(
    rule: Rule, event_kw: Floats, usual_kw: Floats, before_kw: Floats, touched: Mask
) -> tuple[Floats, Texts]:
    """Each VEN's factor, and why it is what it is where that is not the plain ratio.

    The ratio is taken over those steps of the window in which the event day has readings.
    """
    known = ~np.isnan(before_kw)
    today = _sum(np.where(known, before_kw, 0.0))
    usual = _sum(np.where(known, usual_kw, 0.0))
    no_load = (usual <= NO_LOAD_KW * known.sum(axis=1)) | (_sum(event_kw) <= NO_LOAD_KW * event_kw.shape[1])
    ratio = np.divide(today, usual, out=np.ones_like(today), where=~no_load)
    factor = np.clip(ratio, rule.least_factor, rule.most_factor)
    notes: Texts = np.where(factor == ratio, "", CAPPED).astype(object)
    for when, why in ((no_load, NO_LOAD), (touched, TOUCHED), (~known.any(axis=1), UNKNOWN)):
        factor[when] = 1.0
        notes[when] = why
    return factor, notes


def _only(taken: Mask, kw: Floats) -> Floats:
    """The power of those VENs, nothing of the others."""
    return kw if taken.all() else np.where(taken[:, None], kw, 0.0)


def _sum(kw: Floats) -> Floats:
    """Over the steps, per VEN; four times as fast as `sum` where there are few steps."""
    total: Floats = np.einsum("ij->i", kw)
    return total
