"""The tail: the newest readings in memory, followed from the Log, sealed into Series in large commits.

    Log      ──────────────┬───────────────────────────▶ readings said
    Series   committed ────┘position
    tail                    └── in memory, from the Log after that position: rebuilt so at every start

Every process that reads keeps a tail. One that writes also seals: by rows or by time, with the Log position of the
last batch inside the commit, so that whatever a crash repeats is a no-op.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime

import msgspec
import pyarrow as pa
import structlog

from tieline import metrics
from tieline.base.errors import Unready
from tieline.base.series import Flag, readings
from tieline.base.time import from_micros
from tieline.ports import Entry, Log, Series
from tieline.telemetry.model import Batch

WRITER = "telemetry"
SUBJECT = "readings.>"
SEAL_ROWS = 100_000
log = structlog.get_logger(__name__)
_DECODER: msgspec.msgpack.Decoder[Batch] = msgspec.msgpack.Decoder(Batch)


class Latest(msgspec.Struct, frozen=True):
    """The newest reading of a series."""

    at: datetime
    value: float
    flags: Flag


class Tail:
    """One a process. `latest` is a view of the Log, not a truth: it is rebuilt at every start. All that the Log says up
    to `position` is seen by reads of this process."""

    def __init__(self, log: Log, series: Series, *, seals: bool, seal_seconds: float) -> None:
        self._log = log
        self._series = series
        self._seals = seals
        self._seal_seconds = seal_seconds
        self._held: list[tuple[int, pa.Table]] = []
        self._began = 0.0
        self.latest: dict[str, Latest] = {}
        self.position = 0
        self.arrived = asyncio.Event()

    async def run(self) -> None:
        self._held.clear()  # after a failure: the Log tells it again
        self.position = position = await self._series.position(WRITER)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(position))
            group.create_task(self._seal_by_time())

    async def remember(self, series_ids: Sequence[str], since: datetime) -> None:
        """Take the newest committed readings into `latest`: what the Log has no more, Series has."""
        for row in (await self._series.last(series_ids, since=since)).to_pylist():
            self._update(row["series_id"], Latest(row["at"], row["value"], Flag(row["flags"])))

    async def _follow(self, position: int) -> None:
        async for entries in self._log.follow(SUBJECT, after=position):
            for entry in entries:
                await self._take(entry)
                self.position = entry.position
            self.arrived.set()

    async def _take(self, entry: Entry) -> None:
        try:
            batch = _DECODER.decode(entry.data)
        except msgspec.DecodeError as error:  # not ours: it stays in the Log, and does not stop what is
            log.error("a batch cannot be read", position=entry.position, subject=entry.subject, reason=str(error))
            metrics.DEAD_LETTERS.labels("unreadable batch").inc()
            return
        series_id = [batch.names[index] for index in batch.series]
        rows = readings(series_id, batch.at, batch.value, known_at=batch.known_at, seq=batch.seq, flags=batch.flags)
        await self._series.hold(rows, writer=WRITER, position=entry.position)
        self._held.append((entry.position, rows))
        for name, at, value, flags in zip(series_id, batch.at, batch.value, batch.flags, strict=True):
            self._update(name, Latest(from_micros(at), value, Flag(flags)))
        held = sum(len(rows) for _, rows in self._held)
        metrics.TAIL_ROWS.set(held)
        if held >= SEAL_ROWS:
            await self.seal()

    def _update(self, series_id: str, reading: Latest) -> None:
        known = self.latest.get(series_id)
        if known is None or known.at <= reading.at:
            self.latest[series_id] = reading

    async def _seal_by_time(self) -> None:
        while True:
            await asyncio.sleep(self._seal_seconds)
            try:
                await self.seal()
            except Unready as error:  # the Log keeps it: what is live stays live
                log.warning("the tail is not sealed", reason=str(error))

    async def seal(self) -> None:
        """Commit what is held, or, in a process that only reads, let go of what another has committed."""
        held, committed = self._held, await self._series.position(WRITER)
        if self._seals and (new := [(at, rows) for at, rows in held if at > committed]):
            committed = new[-1][0]
            await self._series.append(pa.concat_tables([rows for _, rows in new]), writer=WRITER, position=committed)
            metrics.SEALS.inc()
        await self._series.release(writer=WRITER, position=committed)
        self._held = [(at, rows) for at, rows in self._held if at > committed]
        metrics.TAIL_ROWS.set(sum(len(rows) for _, rows in self._held))
