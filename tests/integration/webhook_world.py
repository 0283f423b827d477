"""A receiver, rows, couriers and a virtual clock: what the tests of webhooks stand on."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
import pytest
import sqlalchemy as sa

from tests.servers.receiver import Receiver, receiving
from tests.servers.rows import AnyRows, rows_at
from tieline.adapters.sql.outbox import OUTBOX
from tieline.adapters.sql.postgres import PostgresRows
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.errors import Unready
from tieline.base.time import VirtualClock
from tieline.ports import Reader, Rows, Transaction
from tieline.vtn.webhooks import actions, reads, store
from tieline.vtn.webhooks.courier import Courier
from tieline.vtn.webhooks.model import Answer as Answered
from tieline.vtn.webhooks.model import NewDelivery, Policy
from tieline.vtn.webhooks.reads import Wish
from tieline.vtn.webhooks.sender import Sender

NOW = datetime(2026, 7, 15, 17, tzinfo=UTC)
POLICY = Policy()
T = TypeVar("T")


@pytest.fixture
async def rows(tables: str) -> AsyncIterator[AnyRows]:
    async with rows_at(tables, VirtualClock(NOW)) as rows:
        yield rows


class Severed:
    """Rows that a worker loses when it is killed: nothing more of it is written."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.killed = False

    async def transaction(self, work: Callable[[Transaction], T]) -> T:
        self._check()
        return await self._rows.transaction(work)

    async def read(self, work: Callable[[Reader], T]) -> T:
        self._check()
        return await self._rows.read(work)

    async def ready(self) -> None:
        self._check()

    def _check(self) -> None:
        if self.killed:
            raise Unready("killed")


class Counting(Sender):
    """A sender that knows what it posted, and how much of that is not answered yet."""

    def __init__(self) -> None:
        super().__init__(development=True)
        self.posted: list[str] = []
        self.flying = 0

    async def post(self, callback_url: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        self.posted.append(headers["webhook-id"])
        self.flying += 1
        try:
            return await super().post(callback_url, body, headers)
        finally:
            self.flying -= 1


class World:
    """A receiver, and what is enqueued for it. `tokens` are the subscriptions that there are."""

    def __init__(self, rows: Rows, clock: VirtualClock, receiver: Receiver) -> None:
        self.rows, self.clock, self.receiver = rows, clock, receiver
        self.tokens: dict[str, str | None] = {"sub": "t0ken"}
        self._changes = 0
        self._senders: list[Counting] = []

    def bearers(self, _: Reader, asked: Collection[Wish]) -> dict[Wish, str | None]:
        return {wish: self.tokens[wish[0]] for wish in asked if wish[0] in self.tokens}

    def new(self, object_id: str = "o", path: str = "/hook", subscription_id: str = "sub") -> NewDelivery:
        self._changes += 1
        body = json.dumps({"object": object_id, "n": self._changes}).encode()
        return NewDelivery(f"c{self._changes}", subscription_id, self.receiver.url(path), object_id, body)

    async def enqueue(self, *new: NewDelivery) -> list[bytes]:
        now = self.clock.now()
        await self.rows.transaction(lambda tx: actions.enqueue(tx, new, now))
        return [one.body for one in new]

    @asynccontextmanager
    async def working(
        self, policy: Policy = POLICY, *, rows: Rows | None = None, sender: Sender | None = None
    ) -> AsyncIterator[Courier]:
        """A courier at work."""
        async with sender or Counting() as using:
            self._senders += [using] if isinstance(using, Counting) else []
            courier = Courier(rows or self.rows, using, self.clock, self.bearers, policy)
            task = asyncio.create_task(courier.run())
            try:
                yield courier
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def until(self, holds: Callable[[], bool], *, step: float = 0.0) -> None:
        """Wait for a real server to have done something; each time `step` seconds of the clock pass."""
        while not holds():
            await self.passing(step)

    async def settled(self, waiting: int = 0, *, step: float = 0.0) -> None:
        while (await self.rows.read(reads.backlog)).waiting != waiting:
            await self.passing(step)

    async def passing(self, step: float) -> None:
        """So many seconds, unless a request is under way: on a slow machine too that takes no time of the clock."""
        await asyncio.sleep(0.005)
        if step and not any(sender.flying for sender in self._senders):
            await self.clock.advance(step)

    async def left(self) -> dict[str, int]:
        """Rows that there are, by table."""

        def count(reader: Reader) -> dict[str, int]:
            counted = {one.name: sa.select(sa.func.count()).select_from(one) for one in store.metadata.sorted_tables}
            found = {name.removeprefix("webhook_"): reader.execute(q).scalar_one() for name, q in counted.items()}
            return {name: rows for name, rows in found.items() if rows}

        return await self.rows.read(count)

    async def news(self) -> list[tuple[str, str]]:
        said = await self.rows.read(lambda reader: reader.execute(sa.select(OUTBOX).order_by(OUTBOX.c.id)).all())
        return [(one.subject, msgspec.json.decode(one.data)["address"]) for one in said]


@pytest.fixture
async def world(rows: SqliteRows | PostgresRows) -> AsyncIterator[World]:
    async with receiving() as receiver:
        yield World(rows, VirtualClock(NOW), receiver)
