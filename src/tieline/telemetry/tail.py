"""The tail: the newest readings in memory, followed from the Log, sealed into Series in large commits.

    Log      ──────────────┬───────────────────────────▶ readings said
    Series   committed ────┘position
    tail                    └── in memory, from the Log after that position: rebuilt so at every start

Every process that reads keeps a tail. One that writes also seals: by rows or by time, with the Log position of the
last batch inside the commit, so that whatever a crash repeats is a no-op. What cannot be sealed stays in the Log: of a
tail that is full no more is read.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import structlog

from tieline import metrics
from tieline.base.errors import Unready
from tieline.base.time import micros
from tieline.ports import Entry, Log, Series
from tieline.telemetry.batch import Columns, Whole, opened
from tieline.telemetry.newest import Latest, Newest
from tieline.telemetry.ordering import ranked

__all__ = ["Latest", "Tail"]
WRITER = "telemetry"
SUBJECT = "readings.>"
OF_DEVICES = "readings.mqtt"
SEAL_ROWS = 250_000
MOST_ROWS = 4 * SEAL_ROWS
FULL_S = 1.0
"""How long one that is full waits before it looks whether another has sealed."""
ALL = (1 << 63) - 1
LOOK_BACK = timedelta(days=1)
log = structlog.get_logger(__name__)


class Tail:
    """One a process. `latest` is a view of the Log, not a truth: it is rebuilt at every start. All that the Log says up
    to `position` is seen by reads of this process."""

    def __init__(self, log: Log, series: Series, *, seals: bool, seal_seconds: float) -> None:
        self._log = log
        self._series = series
        self._seals = seals
        self._seal_seconds = seal_seconds
        self._held: list[tuple[int, pa.Table]] = []
        self._sealing = asyncio.Lock()
        self._since: datetime | None = None
        self.latest = Newest()
        self.position = 0
        self.arrived = asyncio.Event()

    async def run(self) -> None:
        self._held.clear()  # after a failure: the Log tells it again, and nothing of it is known yet
        await self._series.release(writer=WRITER, position=ALL)
        self.position = position = await self._series.position(WRITER)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(position, group))
            group.create_task(self._seal_by_time())

    async def remember(self, series_ids: Sequence[str], since: datetime) -> None:
        """Take the newest committed readings into `latest`: what the Log has no more, Series has."""
        self._since = min(since, self._since or since)
        found = await self._series.last(series_ids, since=self._since)
        self.latest.know(series_ids, micros(self._since) - 1)
        at, flags = (found[name].cast(pa.int64()).to_numpy() for name in ("at", "flags"))
        names: list[Any] = found["series_id"].to_pylist()
        self.latest.take(self.latest.codes(names), at, found["value"].to_numpy(), flags)

    async def _follow(self, position: int, group: asyncio.TaskGroup) -> None:
        async for entries in self._log.follow(SUBJECT, after=position):
            for entry in entries:
                await self._take(entry)
                self.position = entry.position
                await self._make_room(group)
            self.arrived.set()

    async def _make_room(self, group: asyncio.TaskGroup) -> None:
        held = self._count()
        if held >= SEAL_ROWS and not self._sealing.locked():
            group.create_task(self.seal())
            await asyncio.sleep(0)
        while held >= MOST_ROWS:
            await self.seal()
            if (held := self._count()) >= MOST_ROWS:
                await asyncio.sleep(FULL_S)

    async def _take(self, entry: Entry) -> None:
        try:
            columns = opened(entry.data)
        except msgspec.DecodeError as error:  # not ours: it stays in the Log, and does not stop what is
            log.error("a batch cannot be read", position=entry.position, subject=entry.subject, reason=str(error))
            metrics.DEAD_LETTERS.labels("unreadable batch").inc()
            return
        codes = await self._codes(columns)
        unsure = np.flatnonzero(columns.at <= self.latest.after[codes])
        if entry.subject != OF_DEVICES:  # of reports it was settled which counts before they were said
            unsure = unsure[:0]
        known_us, entered, counts = await ranked(self._series, columns, unsure)
        rows = columns.table(known_us) if len(entered) == len(columns) else columns.table(known_us).take(entered)
        await self._series.hold(rows, writer=WRITER, position=entry.position)
        self._held.append((entry.position, rows))
        counts = counts[np.argsort(columns.seq[counts], kind="stable")]
        self.latest.take(codes[counts], columns.at[counts], columns.value[counts], columns.flags[counts])

    async def _codes(self, columns: Columns) -> Whole:
        """Of each reading's series in `latest`; what Series has of those not met before is learnt."""
        codes = self.latest.codes(columns.names)
        if (codes < 0).any():
            new = [name for name, code in zip(columns.names, codes.tolist(), strict=True) if code < 0]
            await self.remember(new, self._since or columns.known_at - LOOK_BACK)
            codes = self.latest.codes(columns.names)
        return codes[columns.series] if len(columns) else codes[:0]

    async def _seal_by_time(self) -> None:
        while True:
            await asyncio.sleep(self._seal_seconds)
            try:
                await self.seal()
            except Unready as error:  # the Log keeps it: what is live stays live
                log.warning("the tail is not sealed", reason=str(error))

    async def seal(self) -> None:
        """Commit what is held, or, in a process that only reads, let go of what another has committed."""
        async with self._sealing:
            committed = await self._series.position(WRITER)
            if self._seals and (new := [(at, rows) for at, rows in self._held if at > committed]):
                rows = pa.concat_tables([rows for _, rows in new])
                if await self._series.append(rows, writer=WRITER, position=new[-1][0], after=committed):
                    committed = new[-1][0]
                    metrics.SEALS.inc()
                else:  # another was faster, with some of it or all
                    committed = await self._series.position(WRITER)
            await self._series.release(writer=WRITER, position=committed)
            self._held = [(at, rows) for at, rows in self._held if at > committed]
            metrics.TAIL_ROWS.set(self._count())

    def _count(self) -> int:
        return sum(len(rows) for _, rows in self._held)
