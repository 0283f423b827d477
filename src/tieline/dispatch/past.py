"""What the loads drew minute by minute, kept from look to look, and what it teaches.

It keeps no truth: another process, or this one after a crash, reads the same again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from tieline.base.time import Span
from tieline.dispatch.counterfactual import Counterfactual, Running, learnt, running
from tieline.dispatch.habits import Floats, Habits, Ints, apart, lived
from tieline.dispatch.metered import HeldSpan, Load
from tieline.dispatch.roster import Roster
from tieline.ports import Series
from tieline.telemetry import reads as telemetry

REMEMBERED = timedelta(hours=3)
EARLIER = timedelta(days=4)
"""So far back the habits of loads are learnt from; each time at most as much is read as is remembered."""
PORTION = timedelta(hours=1)
LATE = timedelta(minutes=5)
"""What came in late is still taken in for so long."""
PAYBACK = timedelta(hours=1)
"""For so long after it was given back a load draws more than it usually would: nothing is learnt from it."""
MINUTE = timedelta(minutes=1)
MINUTE_S = 60.0
FILLED_MIN = 3
"""The newest readings may be on their way: for so many minutes a load is taken to go on as it was."""
AT_ONCE = 2000
"""Series whose readings are in memory together."""


@dataclass(frozen=True, eq=False)
class Past:
    """What is known of the loads of a roster up to a whole minute, and of what it was learnt: `held` are rows of (load,
    first minute, minute after the last) that taught nothing, `habits` those of the time before."""

    roster: Roster
    until: datetime
    held: Ints
    habits: Habits
    running: Running
    counterfactual: Counterfactual

    def is_of(self, other: "Minutes", held: Ints) -> bool:
        same = self.roster is other.roster and self.until == other.until and self.habits is other.habits
        return same and np.array_equal(self.held, held)


@dataclass(frozen=True, eq=False)
class Minutes:
    """Mean power by minute, [loads, minutes], NaN where nothing is known; and what the time before taught."""

    roster: Roster
    until: datetime
    kw: Floats
    habits: Habits

    def of(self, roster: Roster) -> "Minutes":
        """Of another roster: nothing is known of those that this one does not have."""
        places = roster.places_in(self.roster)
        kw = np.concatenate([self.kw, np.full((1, self.kw.shape[1]), np.nan)])[places]
        return Minutes(roster, self.until, kw, self.habits.of(places))


class Memory:
    """One a process; whoever finds it behind brings it up, one after the other. `newest` is for all to see."""

    def __init__(self, series: Series) -> None:
        self._series = series
        self._alone = asyncio.Lock()
        self._minutes: Minutes | None = None
        self._learnt_until: datetime | None = None
        self.newest: Past | None = None

    async def brought_up(self, roster: Roster, now: datetime, held: Sequence[HeldSpan]) -> Past:
        """To the last whole minute."""
        async with self._alone:
            minutes = self._minutes = await self._read_on(roster, minute(now))
            spans = held_minutes(roster.index, held, minutes.until, minutes.kw.shape[1])
            if self.newest is None or not self.newest.is_of(minutes, spans):
                self.newest = await asyncio.to_thread(taught, minutes, spans)
            return self.newest

    async def learn_on(self, roster: Roster, now: datetime, held: Sequence[HeldSpan]) -> None:
        """The habits of earlier days, a portion each time while nobody is held, the oldest first.
        Whom events held longer ago than is told here is not known: their pauses then count as their own."""
        async with self._alone:
            before = minute(now - REMEMBERED)
            start = self._learnt_until = min(self._learnt_until or before - EARLIER, before)
            if before - start < PORTION or is_any_held(held):
                return
            span = Span(start, min(before, start + REMEMBERED))
            minutes = await self._read_on(roster, minute(now))
            kw = await self._means(roster.power, span)
            free = _free(kw, held_minutes(roster.index, held, span.end, kw.shape[1]))
            habits, _ = await asyncio.to_thread(lived, minutes.habits, free)
            self._minutes = Minutes(roster, minutes.until, minutes.kw, habits)
            self._learnt_until = span.end

    async def _read_on(self, roster: Roster, until: datetime) -> Minutes:
        """What came in late since it was read is taken in with the next minute."""
        since, known = until - REMEMBERED, self._minutes
        if known is None or not since < known.until <= until:
            habits = known.of(roster).habits if known else Habits.none(len(roster))
            known = Minutes(roster, since, np.zeros((len(roster), 0)), habits)
        elif known.roster is not roster:
            known = await self._joined(known, roster)
        if known.until == until:
            return known
        fresh = max(since, known.until - LATE)
        new = await self._means(roster.power, Span(fresh, until))
        kept = known.kw[:, : known.kw.shape[1] - (known.until - fresh) // MINUTE]
        kw = np.concatenate([kept, new], axis=1)[:, -(REMEMBERED // MINUTE) :]
        return Minutes(roster, until, kw, known.habits)

    async def _joined(self, known: Minutes, roster: Roster) -> Minutes:
        """The hours of those that are new are read."""
        joined = known.of(roster)
        new = [at for at, load in enumerate(roster.loads) if load not in known.roster.index]
        if new and joined.kw.shape[1]:
            span = Span(known.until - joined.kw.shape[1] * MINUTE, known.until)
            joined.kw[new] = await self._means([roster.power[at] for at in new], span)
        return joined

    async def _means(self, ids: Sequence[str], span: Span) -> Floats:
        """[loads, minutes]; NaN where less than half of a minute is known."""
        parts = []
        for first in range(0, len(ids), AT_ONCE):
            found = await telemetry.integrated(self._series, ids[first : first + AT_ONCE], span, MINUTE_S)
            parts.append(np.where(found.covered_s >= MINUTE_S / 2, found.mean_kw, np.nan))
        return np.concatenate(parts) if parts else np.zeros((0, int(span.seconds // MINUTE_S)))


def taught(minutes: Minutes, held: Ints) -> Past:
    filled = _filled(minutes.kw)
    return Past(
        roster=minutes.roster,
        until=minutes.until,
        held=held,
        habits=minutes.habits,
        running=running(filled),
        counterfactual=learnt(_free(filled, held), minutes.roster.kinds, apart(minutes.habits), minutes.until),
    )


def minute(at: datetime) -> datetime:
    """The end of the last whole one."""
    return datetime.fromtimestamp(at.timestamp() // MINUTE_S * MINUTE_S, UTC)


def is_any_held(held: Sequence[HeldSpan]) -> bool:
    return any(span.until is None for span in held)


def _filled(minute_kw: Floats) -> Floats:
    filled = minute_kw.copy()
    for at in range(-FILLED_MIN, 0):
        if filled.shape[1] > -at:
            filled[:, at] = np.where(np.isnan(filled[:, at]), filled[:, at - 1], filled[:, at])
    return filled


def held_minutes(index: Mapping[Load, int], held: Sequence[HeldSpan], until: datetime, last: int) -> Ints:
    """Of `last` minutes up to an instant those in which somebody held a load, or had lately: rows of (load, first
    minute, minute after the last)."""
    known = [
        (index[load], start.timestamp(), np.inf if back is None else back.timestamp())
        for load, start, back in held
        if load in index
    ]
    load, start_s, back_s = np.array(known, dtype=np.float64).reshape(-1, 3).T
    until_s = until.timestamp()
    first = np.clip(last - np.ceil((until_s - start_s) / MINUTE_S), 0, last)
    over = np.minimum(last, last - np.floor((until_s - back_s - PAYBACK.total_seconds()) / MINUTE_S))
    return np.asarray(np.stack([load, first, over], axis=1)[over > first], dtype=np.int64)


def _free(minute_kw: Floats, held: Ints) -> Floats:
    """What the loads drew when nobody held them, nor had lately."""
    free = minute_kw.copy()
    for load, first, over in held.tolist():
        free[load, first:over] = np.nan
    return free
