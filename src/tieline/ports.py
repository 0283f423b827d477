"""The five ports: what the house asks of the world. Adapters make them real; `tests/contract` holds their promises."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import msgspec
import pyarrow as pa
import sqlalchemy as sa

T = TypeVar("T")


# --- Log: what happened: durable, ordered, replayable -----------------------------------------------------------------


class Stream(msgspec.Struct, frozen=True):
    """One ordered stream of the Log. The first token of a subject names its stream: `news.event.started` is in news."""

    name: str
    keep: timedelta
    max_bytes: int


NEWS = Stream("news", keep=timedelta(days=30), max_bytes=1 << 30)
READINGS = Stream("readings", keep=timedelta(hours=48), max_bytes=8 << 30)
DEAD = Stream("dead", keep=timedelta(days=30), max_bytes=1 << 30)
STREAMS = (NEWS, READINGS, DEAD)

MQTT = "mqtt"
"""What devices published at QoS 1, as the broker keeps it: subject `mqtt.` + the topic with dots for slashes."""


class Entry(msgspec.Struct, frozen=True):
    """One thing said. Positions grow within a stream; they need not be consecutive."""

    position: int
    subject: str
    data: bytes
    said_at: datetime


class Delivery(Protocol):
    """Entries lent to one worker of a group until `done`; lent again, to anyone of the group, if it dies first, as are
    those that it was done with all `but`."""

    entries: Sequence[Entry]

    async def done(self, *, but: Sequence[Entry] = ()) -> None: ...


class Log(Protocol):
    """Subjects are dotted tokens; in what is read, `*` stands for one token and a last `>` for all that follow.

    `say` returns once the entry is durable, with its position; the same `key` within two minutes is said once.
    `last` is the newest entry under a subject. `follow` yields, in order and exactly once, lists of the entries after
    a position (None: only what is said from now on), and goes on across lost connections. `work` yields deliveries to
    a named group of workers, whichever processes they are in; what is not `done` is delivered again.
    `waiting` counts what a group has still to do, `oldest` is when the first of that was said. `ready` raises `Unready`
    with a reason when the Log cannot be used.
    """

    async def say(self, subject: str, data: bytes, *, key: str | None = None) -> int: ...
    async def last(self, subject: str) -> Entry | None: ...
    def follow(self, subject: str, *, after: int | None) -> AsyncIterator[list[Entry]]: ...
    def work(self, subject: str, *, group: str, at_once: int = 1000) -> AsyncIterator[Delivery]: ...
    async def waiting(self, subject: str, *, group: str) -> int: ...
    async def oldest(self, subject: str, *, group: str) -> datetime | None: ...
    async def ready(self) -> None: ...


# --- Rows: what is true now: transactions -----------------------------------------------------------------------------


class Reader(Protocol):
    """A consistent view of the rows."""

    def execute(
        self, statement: sa.Executable, parameters: Sequence[Mapping[str, Any]] | None = None
    ) -> sa.CursorResult[Any]: ...


class Transaction(Reader, Protocol):
    """A reader that may also write, and `say`: what it says reaches the Log if and only if it commits (outbox)."""

    def say(self, subject: str, data: bytes) -> None: ...


class Rows(Protocol):
    """Serialisable transactions over SQLAlchemy Core statements.

    The work is a plain function, so that the adapter may run it in a writer's thread, commit many together and run it
    again after a conflict: it must touch nothing but its transaction. When it raises, nothing of it happened.
    """

    async def transaction(self, work: Callable[[Transaction], T]) -> T: ...
    async def read(self, work: Callable[[Reader], T]) -> T: ...
    async def ready(self) -> None: ...


# --- Series: what was measured or forecast ----------------------------------------------------------------------------


class Series(Protocol):
    """Bitemporal columns of one shape: `base.series.READINGS`, or `ROLLUPS`.

    `append` is durable when it returns, and tells whether it did anything: each `writer` counts its `position` up, and
    what is at or below its last committed position is a no-op, and so is all where that is not `after` (None:
    wherever). `hold` adds rows to the tail: seen by reads of this process at once, durable only when `append` carries
    them; `release` drops the tail's rows of a writer up to a position. Reads see, for every (series_id, at), the row
    with the greatest (known_at, seq) among those known at `as_of` (None: all), in order of (series_id, at), spans
    [start, end).
    `last` gives the newest row of each series that has one at or after `since`.
    `total` gives `at`, `count` of rows, and `sum_…` of each of some columns of numbers over some series; `at` is the
    start of the step, steps counted from `start`; a step without rows is left out.
    `touched` gives a version of the table and, distinct, every (series_id, at) whose rows were appended after version
    `after`, `at` the start of the step, steps counted from 1970 UTC. It may stop short of the newest version where
    there is much: ask again after the version it gave, until it gives the same again. 0 is before all. It may name more
    than was touched (all there is, where it is no longer known what came when), never less; that rows moved within the
    table is no news, and the tail is none until it is appended: `held` gives every (series_id, at) of the tail's rows.
    `version` is that of the table as reads of this process see it: while it stays so does what is in the table.
    """

    async def append(self, rows: pa.Table, *, writer: str, position: int, after: int | None = None) -> bool: ...
    async def position(self, writer: str) -> int: ...
    async def hold(self, rows: pa.Table, *, writer: str, position: int) -> None: ...
    async def release(self, *, writer: str, position: int) -> None: ...
    async def scan(
        self, series_ids: Sequence[str], start: datetime, end: datetime, *, as_of: datetime | None = None
    ) -> pa.Table: ...
    async def last(self, series_ids: Sequence[str], *, since: datetime) -> pa.Table: ...
    async def total(
        self, series_ids: Sequence[str], start: datetime, end: datetime, *, step: timedelta, columns: Sequence[str]
    ) -> pa.Table: ...
    async def touched(self, after: int, *, step: timedelta) -> tuple[int, pa.Table]: ...
    async def held(self, *, step: timedelta) -> pa.Table: ...
    async def version(self) -> int: ...
    async def compact(self) -> None: ...
    async def ready(self) -> None: ...


# --- Blobs: the bytes as they came, by digest -------------------------------------------------------------------------


class Blobs(Protocol):
    """Bytes by the lower-case hexadecimal SHA-256 of themselves. `get` raises `NotFound`, and `Broken` when what is
    stored no longer has its digest. Putting the same bytes twice stores them once, and `forget` then forgets them for
    all who put them."""

    async def put(self, data: bytes) -> str: ...
    async def get(self, digest: str) -> bytes: ...
    async def has(self, digest: str) -> bool: ...
    async def forget(self, digest: str) -> None: ...
    async def ready(self) -> None: ...


# --- Documents: small things that many change -------------------------------------------------------------------------


class Document(msgspec.Struct, frozen=True):
    """A document as one change left it. Revisions grow; they need not be consecutive."""

    key: str
    revision: int
    data: bytes


class Documents(Protocol):
    """Small documents by key, each changed by compare-and-set, the last 16 revisions of each kept.

    Keys are dotted tokens; a prefix stands for the keys that go on after its dot. `put` gives the new revision; it
    raises `Conflict` unless `expected` is the key's newest, 0 where there is none yet; `alone`, those before it are
    forgotten. `history` is the oldest first.
    `follow` yields the newest of each key in the order of their revisions, then every change, as far as history still
    has it, and goes on across lost connections. None is ever deleted: that a thing is gone is for its document to say.
    """

    async def get(self, key: str) -> Document | None: ...
    async def put(self, key: str, data: bytes, *, expected: int, alone: bool = False) -> int: ...
    async def history(self, key: str) -> list[Document]: ...
    async def keys(self, prefix: str) -> list[str]: ...
    def follow(self, prefix: str) -> AsyncIterator[Document]: ...
    async def ready(self) -> None: ...
