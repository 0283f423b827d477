"""History: sums of groups kept in Series as time passes, and made again where readings come late.

    Log readings ─follow─▶ which steps that are over does a reading touch? ─▶ marked ─┐
    clock ───────────────▶ steps that are over ──────────────────────────────────────┴─▶ summed of Series ─▶ Series

A sum that turns out otherwise is a later vintage, so that what was known when a forecast was made stays known.
"""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tieline.base.series import readings
from tieline.base.time import Clock, Span, from_micros, micros
from tieline.forecasts import actions, reads
from tieline.forecasts.days import STEP_US, LocalDays
from tieline.forecasts.model import SOURCE, STEP, STEP_S, Floats, Ints, Subject, step_start
from tieline.forecasts.sums import Devices, Readings, Sums, none, per_device, summed, together
from tieline.ports import Log, Rows, Series
from tieline.registry.model import METER_HOLD_S
from tieline.telemetry.batch import opened
from tieline.telemetry.statistics.model import runs
from tieline.telemetry.tail import SUBJECT, Tail

KEPT = timedelta(days=56)
"""So far back forecasts look."""
SETTLE = timedelta(seconds=120)
"""A step is summed so long after its end: who sends each minute has sent by then."""
A_DAY = timedelta(days=1)
SERIES_AT_ONCE, MOST_DAYS = 500, 14
"""What is read together: a day of so many series, or more days of fewer."""
BUDGET_S = 5.0
"""Of the wall: then others have their turn."""
TURN = "actual"
_DIGITS = 6
_POLL_S = 0.05


class History:
    """Sums kept up with the clock; `follow` runs beside `keep`. Several processes may have one."""

    def __init__(self, log: Log, rows: Rows, series: Series, clock: Clock, turns: actions.Turns, tail: Tail) -> None:
        self._log, self._rows, self._series = log, rows, series
        self._clock, self._turns, self._tail = clock, turns, tail
        self._marked: set[int] = set()
        self._followed = 0
        self._declared: set[Subject] = set()

    async def follow(self) -> None:
        """For ever: mark the steps that late readings touch."""
        self._marked, self._followed = set(), (await reads.turn_of(self._rows, TURN)).position
        async for entries in self._log.follow(SUBJECT, after=self._followed):
            over = micros(self._over()) // STEP_US
            for entry in entries:
                self._mark(entry.data, over)
                self._followed = entry.position

    def _mark(self, data: bytes, over: int) -> None:
        try:
            at = opened(data).at
        except msgspec.DecodeError:  # the tail has told
            return
        for touched in ((at - 1) // STEP_US, (at - METER_HOLD_S * 1_000_000) // STEP_US):
            self._marked.update(np.unique(touched[touched < over]).tolist())

    def _over(self) -> datetime:
        """The end of the last step that is over."""
        return step_start(self._clock.now() - SETTLE)

    async def keep(self, members: Mapping[Subject, Sequence[str]], zone: str) -> bool:
        """Sum what is due, a while long; whether all of it is summed now."""
        over, new = self._over(), [one for one in members if one not in self._declared]
        done = (await reads.turn_of(self._rows, TURN)).done_at
        if not new and not self._marked and done is not None and done >= over:
            return True
        async with self._turns.taken(TURN) as turn:
            if not turn.taken:
                return False
            await self._declare(new, zone, over - KEPT)
            done = (await reads.turn_of(self._rows, TURN)).done_at or over - KEPT
            turn.done_at = await self._catch_up(members, max(done, over - KEPT), over)
            turn.position = self._followed if not self._marked else 0
        return turn.done_at >= over

    async def _declare(self, new: Sequence[Subject], zone: str, since: datetime) -> None:
        """What is new has no history yet: then all is summed again."""
        if new:
            known = await reads.declared(self._rows)
            wanted = [one for subject in new for one in subject.declarations(zone) if one.series_id not in known]
            if wanted:
                await actions.declare(self._rows, TURN, wanted, since, self._clock.now())
            self._declared.update(new)

    async def _catch_up(self, members: Mapping[Subject, Sequence[str]], done: datetime, over: datetime) -> datetime:
        """The oldest first, then what came late; until when all is summed."""
        while self._tail.position < self._followed:  # what marked a step must be seen by what sums it
            await asyncio.sleep(_POLL_S)
        until, devices = asyncio.get_running_loop().time() + BUDGET_S, Devices.of(members)
        number = sum(len(one.series_ids) for one in devices)
        stretch = A_DAY * max(1, min(MOST_DAYS, SERIES_AT_ONCE // max(1, number)))
        while done < over and asyncio.get_running_loop().time() < until:
            end = min(over, done + stretch)
            await self._sum(list(members), devices, Span(done, end))
            done = end
        late = {step for step in self._marked if micros(over - KEPT) // STEP_US <= step < micros(done) // STEP_US}
        self._marked &= late  # what is left is too old, or will be summed in its time
        for run in runs(late, stretch // STEP):
            if asyncio.get_running_loop().time() >= until:
                break
            await self._sum_again(list(members), devices, run)
        return done

    async def _sum_again(self, subjects: Sequence[Subject], devices: Sequence[Devices], run: range) -> None:
        """What comes meanwhile marks its step anew."""
        self._marked -= set(run)
        try:
            await self._sum(subjects, devices, Span(_start(run.start), _start(run.stop)))
        except BaseException:
            self._marked |= set(run)
            raise

    async def _sum(self, subjects: Sequence[Subject], devices: Sequence[Devices], span: Span) -> None:
        cuts = np.arange(micros(span.start), micros(span.end) + 1, STEP_US, dtype=np.int64)
        total = none(len(subjects), len(cuts) - 1)
        for some in _portions(devices):
            total += await self._sum_of(together(some), len(subjects), cuts, span)
        await self._append(subjects, total, cuts, span)

    async def _sum_of(self, devices: Devices, subjects: int, cuts: Ints, span: Span) -> Sums:
        ids, hold = list(devices.series_ids), timedelta(seconds=METER_HOLD_S)
        found = await self._series.scan(ids, span.start, span.end + hold)
        index = pc.index_in(found["series_id"], pa.array(ids, pa.string())).to_numpy().astype(np.int64)
        at, flags = found["at"].cast(pa.int64()).to_numpy(), found["flags"].to_numpy().astype(np.int64)
        told = Readings(index, at, found["value"].to_numpy(), flags)
        return await asyncio.to_thread(summed, devices, told, subjects, cuts)

    async def _append(self, subjects: Sequence[Subject], total: Sums, cuts: Ints, span: Span) -> None:
        """Only what is not known so already."""
        names = [subject.actual_series() for subject in subjects]
        kept = await self._series.scan([one for both in names for one in both], span.start, span.end)
        keys = zip(kept["series_id"].to_pylist(), micros_of(kept).tolist(), strict=True)
        known = dict(zip(keys, kept["value"].to_pylist(), strict=True))
        new: list[tuple[str, int, float]] = []
        for (kw, devices), power, number in zip(names, total.kw, total.devices, strict=True):
            for at in np.flatnonzero(number):
                start = int(cuts[at])
                new += [(kw, start, round(float(power[at]), _DIGITS)), (devices, start, float(number[at]))]
        fresh = [(name, at, value) for name, at, value in new if known.get((name, at)) != value]
        if fresh:
            ids, at_us, values = zip(*fresh, strict=True)
            rows = readings(ids, at_us, values, known_at=self._clock.now())
            await append(self._series, rows, f"{SOURCE}.{TURN}")


async def append(series: Series, rows: pa.Table, writer: str) -> None:
    """After what the writer wrote before; it is one at a time who has the turn."""
    await series.append(rows, writer=writer, position=await series.position(writer) + 1)


async def per_device_of(
    series: Series, subjects: Sequence[Subject], days: LocalDays, span: Span, as_of: datetime
) -> dict[Subject, Floats]:
    """What one device of each drew, [days, slots], as known at an instant."""
    names = {one: one.actual_series() for one in subjects}
    every = [name for both in names.values() for name in both]
    found = await series.scan(every, span.start, span.end, as_of=as_of)
    at, value = micros_of(found), found["value"].to_numpy()
    index = pc.index_in(found["series_id"], pa.array(every, pa.string())).to_numpy()
    order = np.argsort(index, kind="stable")
    edges = np.searchsorted(index[order], np.arange(len(every) + 1))
    laid = [days.laid(at[order[a:b]], value[order[a:b]]) for a, b in itertools.pairwise(edges)]
    return {one: per_device(laid[2 * n], laid[2 * n + 1]) for n, one in enumerate(subjects)}


def micros_of(rows: pa.Table) -> Ints:
    return np.asarray(rows["at"].cast(pa.int64()).to_numpy(), np.int64)


def _start(step: int) -> datetime:
    return from_micros(step * STEP_S * 1_000_000)


def _portions(devices: Sequence[Devices]) -> list[list[Devices]]:
    """So that about so many series are read together; a VEN's stay together."""
    found: list[list[Devices]] = []
    size = SERIES_AT_ONCE
    for one in devices:
        if size + len(one.series_ids) > SERIES_AT_ONCE:
            found.append([])
            size = 0
        found[-1].append(one)
        size += len(one.series_ids)
    return found
