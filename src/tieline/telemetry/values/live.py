"""Readings of chosen series as they arrive, from the Log to whoever listens; resumed where it was left.

    Log   ──1──2──3──4──5──6──▶       one follower a process, while anyone listens
                   │  └──────────▶    a listener: what the follower hears goes into its mailbox
                   └─ 3, 4 ───────▶    one that was away reads on by itself up to where the follower is

A mailbox is bounded: who does not empty it is told so and let go, and comes back with its last id.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from tieline.base.errors import TielineError
from tieline.base.series import READINGS
from tieline.ports import Entry, Log
from tieline.telemetry.batch import opened
from tieline.telemetry.live import LiveEvent
from tieline.telemetry.tail import SUBJECT
from tieline.telemetry.values.formats import records

BEHIND = 1000
"""Batches that a listener may be behind."""
HEARTBEAT_S = 15.0
COLUMNS = ("series_id", "at", "value", "flags", "known_at")


class _Mailbox:
    """What a listener has still to be told. `ended` says why there will be no more."""

    def __init__(self, series_ids: Collection[str], behind: int) -> None:
        self.wanted = pa.array(sorted(series_ids), pa.string())
        self.queue: asyncio.Queue[LiveEvent] = asyncio.Queue(behind + 1)
        self.told = 0  # up to this position it was told otherwise
        self.ended = False

    def put(self, position: int, rows: pa.Table) -> None:
        if self.ended or position <= self.told or (event := _event(position, rows, self.wanted)) is None:
            return
        if self.queue.qsize() >= self.queue.maxsize - 1:
            self.end(f"{self.queue.qsize()} batches were not taken: come back with the last id")
        else:
            self.queue.put_nowait(event)

    def end(self, reason: str) -> None:
        if not self.ended:
            self.ended = True
            self.queue.put_nowait(LiveEvent("dropped", msgspec.json.encode({"reason": reason}).decode()))


class Live:
    """One a process. Nothing is followed while nobody listens."""

    def __init__(self, log: Log, *, behind: int = BEHIND, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._log = log
        self._behind, self._heartbeat_s = behind, heartbeat_s
        self._mailboxes: set[_Mailbox] = set()
        self._beginning = asyncio.Lock()
        self._follower: asyncio.Task[None] | None = None
        self._listeners = 0
        self._position = 0

    @property
    def following(self) -> bool:
        return self._follower is not None and not self._follower.done()

    async def listen(self, series_ids: Collection[str], after: int | None) -> AsyncGenerator[LiveEvent, None]:
        """First `open`; then `readings`, each with its place in the Log as id; `heartbeat` when nothing comes for long;
        last, if the listener is let go, `dropped` with the reason."""
        mailbox = _Mailbox(series_ids, self._behind)
        self._listeners += 1
        try:
            await self._begin()
            if after is None or after >= self._position:
                self._join(mailbox, self._position)
            yield LiveEvent("open", "{}", str(self._position if after is None else after))
            if mailbox not in self._mailboxes:
                async with aclosing(self._missed(mailbox, after or 0)) as missed:
                    async for event in missed:
                        yield event
            async for event in self._heard(mailbox):
                yield event
        finally:
            self._mailboxes.discard(mailbox)
            self._listeners -= 1
            if not self._listeners and self._follower is not None:
                self._follower.cancel()
                self._follower = None  # who comes now begins another

    async def _heard(self, mailbox: _Mailbox) -> AsyncGenerator[LiveEvent, None]:
        while True:
            try:
                event = await asyncio.wait_for(mailbox.queue.get(), self._heartbeat_s)
            except TimeoutError:
                event = LiveEvent("heartbeat", "{}")
            yield event
            if event.event == "dropped":
                return

    async def _missed(self, mailbox: _Mailbox, after: int) -> AsyncGenerator[LiveEvent, None]:
        """From after a position up to where the follower is, from where on the mailbox has it."""
        async with aclosing(_entries(self._log, after)) as read:
            async for entries in read:
                for entry in entries:
                    if event := _event(entry.position, _rows(entry), mailbox.wanted):
                        yield event
                if entries[-1].position >= self._position:
                    self._join(mailbox, entries[-1].position)
                    return

    def _join(self, mailbox: _Mailbox, position: int) -> None:
        """At once: between the look at where the follower is and this nothing may be awaited."""
        mailbox.told = position
        self._mailboxes.add(mailbox)
        if not self.following:
            mailbox.end("the Log is not followed for now: come back with the last id")

    # --- the follower ---

    async def _begin(self) -> None:
        async with self._beginning:
            if not self.following:
                last = await self._log.last(SUBJECT)
                self._position = last.position if last else 0
                self._follower = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        reason = "the platform stops"
        try:
            async for entries in self._log.follow(SUBJECT, after=self._position):
                for entry in entries:
                    self._deliver(entry)
        except TielineError as error:
            reason = str(error)
        finally:
            if self._follower is asyncio.current_task():  # else who listens is another follower's
                for mailbox in self._mailboxes:
                    mailbox.end(reason)

    def _deliver(self, entry: Entry) -> None:
        rows = _rows(entry)
        for mailbox in self._mailboxes:
            mailbox.put(entry.position, rows)
        self._position = entry.position


async def _entries(log: Log, after: int) -> AsyncGenerator[Sequence[Entry], None]:
    async for entries in log.follow(SUBJECT, after=after):
        yield entries


def _rows(entry: Entry) -> pa.Table:
    """Nothing where it is no batch: the tail says so."""
    try:
        return opened(entry.data).table()
    except msgspec.DecodeError:
        return READINGS.empty_table()


def _event(position: int, rows: pa.Table, wanted: pa.Array[Any]) -> LiveEvent | None:
    some = rows.filter(pc.is_in(rows["series_id"], value_set=wanted)).select(list(COLUMNS))
    return LiveEvent("readings", f"[{records(some).decode()}]", str(position)) if some.num_rows else None
