"""The rollup: steps are closed as time passes, and made again where readings come late.

    Log readings ─follow─▶ which steps does a reading touch? ─▶ marked ─┐
    clock ───────────────▶ steps that ended a while ago ────────────────┴─▶ made of Series ─▶ Rows

A step is never added to: it is made whole of what Series knows, so that whatever a crash repeats comes to the same.
How far the Log is in the steps is written once nothing older is marked; what was marked is found again from there. What
is not closed yet is found among the steps themselves, since the first VEN was registered: in whichever order they are
made, and whoever dies over it, none is left out.
Several processes may roll up: each comes to the same, and one that knows less never writes over one that knows more.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import msgspec

from tieline.base.time import Clock, Span
from tieline.ports import Log, Rows, Series, Transaction
from tieline.telemetry.batch import opened
from tieline.telemetry.statistics import reads, store
from tieline.telemetry.statistics.model import Step, runs, start_of, step_of, touched
from tieline.telemetry.statistics.reads import CLOSED, READINGS
from tieline.telemetry.tail import SUBJECT, Tail

SETTLE_S = 120.0
"""A step is closed so long after its end: who sends each minute has sent by then. What comes later makes it again."""
EVERY_S = 15.0
LONGEST = 12
"""Steps made at once: an hour."""
MOST_RUNS = 4
"""Made before looking at the clock again: what is new comes before what is long late."""
_POLL_S = 0.05


class Rollup:
    """One a process that takes readings in; `tail` is that process's own."""

    def __init__(self, log: Log, rows: Rows, series: Series, clock: Clock, tail: Tail) -> None:
        self._log = log
        self._rows = rows
        self._series = series
        self._clock = clock
        self._tail = tail
        self._newest: dict[str, int] = {}
        self._marked: set[int] = set()
        self._followed = 0

    async def run(self) -> None:
        await self.begin()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.follow())
            group.create_task(self._close_in_time())

    async def begin(self) -> None:
        """Where the steps know the Log: what an earlier run had marked beyond that is forgotten, and marked again."""
        self._newest, self._marked = {}, set()
        self._followed = await reads.position(self._rows, READINGS)

    async def follow(self) -> None:
        """Mark what readings touch."""
        async for entries in self._log.follow(SUBJECT, after=self._followed):
            for entry in entries:
                self._mark(entry.data)
                self._followed = entry.position

    def _mark(self, data: bytes) -> None:
        try:
            batch = opened(data)
        except msgspec.DecodeError:  # the tail has told
            return
        of_power = [name.endswith(".power_kw") for name in batch.names]  # the rest of a snapshot is of the same instant
        for index, at in zip(batch.series.tolist(), batch.at.tolist(), strict=True):
            if of_power[index]:
                name = batch.names[index]
                before = self._newest.get(name)
                self._marked.update(touched(at, before))
                self._newest[name] = at if before is None else max(before, at)

    async def _close_in_time(self) -> None:
        while True:
            await self.close()
            await self._clock.sleep(EVERY_S)

    async def close(self) -> None:
        """Make some of the steps that are due, the newest first."""
        position, marked, self._marked = self._followed, self._marked, set()
        while self._tail.position < position:  # what marked them must be seen by what makes them
            await asyncio.sleep(_POLL_S)
        over = step_of(self._clock.now() - timedelta(seconds=SETTLE_S))
        due = {step for step in marked if step < over}
        missing = await reads.missing(self._rows, over)
        made = set[int]()
        for run in runs(due | missing, LONGEST)[:MOST_RUNS]:
            some = await reads.from_raw(self._rows, self._series, Span(start_of(run.start), start_of(run.stop)))
            await self._keep(some, position)
            made.update(run)
        self._marked |= marked - made
        await self._advance(position if made and due <= made else 0, min(missing - made, default=over))

    async def _keep(self, made: Sequence[Step], position: int) -> None:
        await self._rows.transaction(lambda tx: store.put(tx, made, position))

    async def _advance(self, position: int, closed: int) -> None:
        """The marks, where they have moved."""
        marks = {READINGS: position, CLOSED: closed}
        moved = {name: to for name, to in marks.items() if to > await reads.position(self._rows, name)}

        def work(tx: Transaction) -> None:
            for name, to in moved.items():
                store.advance(tx, name, to)

        if moved:
            await self._rows.transaction(work)


async def rebuilt(rows: Rows, series: Series, span: Span, position: int, *, write: bool) -> tuple[int, list[Step]]:
    """How many steps of a span were made again from raw readings, and which came to something else than what is kept;
    written unless told otherwise. None is from before the first VEN was registered. `position` is how much of the Log
    is in Series, as this process reads it."""
    first = await reads.first(rows)
    begin = span.end if first is None else max(span.start, start_of(first))
    if begin >= span.end:
        return 0, []
    span = Span(begin, span.end)
    made = await reads.from_raw(rows, series, span)
    kept = {one.start_at: one for one in await reads.kept(rows, span)}
    differing = [one for one in made if kept.get(one.start_at) != one]
    if write:
        await rows.transaction(lambda tx: store.put(tx, differing, position))
    return len(made), differing
