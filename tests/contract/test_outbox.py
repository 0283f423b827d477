"""What a transaction said is spoken if and only if it commits: both databases, a real NATS, children killed between.

As a program: the child that is killed, at the point it is told.
"""

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import sqlalchemy as sa

from tests.contract.test_rows import AnyRows, opened, place
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.log import NatsLog
from tieline.adapters.nats.server import NatsServer
from tieline.adapters.sql.outbox import LARGEST_MESSAGE, OUTBOX, Outbox
from tieline.adapters.sql.transaction import transact
from tieline.base.errors import Refused
from tieline.ports import Log, Reader, Transaction

__all__ = ["place"]

SUBJECT = "news.outbox"


@asynccontextmanager
async def connected(server: NatsServer) -> AsyncIterator[NatsLog]:
    connection = await connect([server.url], user=server.user, password=server.password)
    try:
        yield await NatsLog.open(connection)
    finally:
        await connection.close()


@pytest.fixture
async def log(nats_server: NatsServer) -> AsyncIterator[NatsLog]:
    async with connected(nats_server) as log:
        yield log


@pytest.fixture
async def rows(place: str) -> AsyncIterator[AnyRows]:
    async with opened(place) as rows:
        await rows.migrate()
        yield rows


@asynccontextmanager
async def relaying(rows: AnyRows, log: Log, *, poll_s: float = 0.1) -> AsyncIterator[None]:
    task = asyncio.create_task(Outbox(rows, log, poll_s=poll_s).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def say(*messages: str, subject: str = SUBJECT) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        for message in messages:
            tx.say(subject, message.encode())

    return work


def waiting(reader: Reader) -> int:
    count: int = reader.execute(sa.select(sa.func.count()).select_from(OUTBOX)).scalar_one()
    return count


async def heard(rows: AnyRows, log: Log) -> list[str]:
    """All that was spoken so far: the outbox speaks in order, so what is said now comes after it."""
    end = f"end {uuid.uuid4()}"
    await rows.transaction(say(end))
    messages: list[str] = []
    async with aclosing(log.follow(SUBJECT, after=0)) as batches:  # type: ignore[type-var]
        async for batch in batches:
            messages += [entry.data.decode() for entry in batch]
            if end in messages:
                break
    return [message for message in messages if not message.startswith("end ")]


async def test_what_commits_is_spoken_and_nothing_else(rows: AnyRows, log: NatsLog) -> None:
    def fail(tx: Transaction) -> None:
        say("never")(tx)
        raise Refused("no")

    async with relaying(rows, log):
        await rows.transaction(say("one", "two"))
        with pytest.raises(Refused):
            await rows.transaction(fail)
        for n in range(20):
            await rows.transaction(say(f"more {n}"))
        assert await heard(rows, log) == ["one", "two", *(f"more {n}" for n in range(20))]


async def test_what_this_process_says_is_spoken_at_once(rows: AnyRows, log: NatsLog) -> None:
    async with relaying(rows, log, poll_s=3600):
        await asyncio.sleep(0.5)  # the relay is waiting now
        await rows.transaction(say("now"))
        assert await heard(rows, log) == ["now"]


async def test_what_another_process_left_is_found(place: str, rows: AnyRows, log: NatsLog) -> None:
    async with relaying(rows, log), opened(place) as other:
        await other.transaction(say("from afar"))
        assert await heard(other, log) == ["from afar"]


async def test_a_log_that_is_away_is_waited_for(rows: AnyRows, log: NatsLog, nats_server: NatsServer) -> None:
    async with relaying(rows, log):
        for n in range(20):
            if n == 10:
                nats_server.kill()  # it comes back by itself
            await rows.transaction(say(str(n)))
        assert await heard(rows, log) == [str(n) for n in range(20)]
    await Outbox(rows, log).relay()
    assert await rows.read(waiting) == 0


async def test_two_relays_speak_each_message_once_and_in_order(
    place: str, rows: AnyRows, log: NatsLog, nats_server: NatsServer
) -> None:
    async with opened(place) as others, connected(nats_server) as other_log:
        expected = [f"{n} {part}" for n in range(30) for part in "ab"]
        async with relaying(rows, log), relaying(others, other_log):
            for n in range(30):
                await rows.transaction(say(f"{n} a", f"{n} b"))
            assert await heard(others, other_log) == expected


class Interrupted(Outbox):
    """One during whose relay others go on: after the first message is carried, two more are said."""

    more: tuple[str, ...] = ("two", "three")

    async def _carry(self, messages: list[Any]) -> set[int]:
        refused = await super()._carry(messages)
        more, self.more = self.more, ()
        for message in more:
            await self._rows.transaction(say(message))
        return refused


async def test_what_is_said_during_a_relay_is_spoken_in_order(rows: AnyRows, log: NatsLog) -> None:
    """An empty table gives out its ids again: the second message may have that of the first."""
    await rows.transaction(say("one"))
    await Interrupted(rows, log).relay()
    async with relaying(rows, log):
        assert await heard(rows, log) == ["one", "two", "three"]


async def test_a_message_the_log_refuses_stays_and_stops_nobody(rows: AnyRows, log: NatsLog) -> None:
    await rows.transaction(say("nobody hears this", subject="news.*"))
    await rows.transaction(say("but this"))
    async with relaying(rows, log):
        assert await heard(rows, log) == ["but this"]
    left = await rows.read(lambda r: r.execute(sa.select(OUTBOX.c.data).order_by(OUTBOX.c.id)).scalars().first())
    assert left == b"nobody hears this"


async def test_a_message_too_large_for_the_log_is_refused_at_once(rows: AnyRows, log: NatsLog) -> None:
    with pytest.raises(Refused, match="say a digest"):
        await rows.transaction(say("x" * (LARGEST_MESSAGE + 1)))
    async with relaying(rows, log):
        await rows.transaction(say("x" * LARGEST_MESSAGE))
        assert [len(message) for message in await heard(rows, log)] == [LARGEST_MESSAGE]


@pytest.mark.parametrize(
    ("dies", "expected"),
    [
        ("before the commit", ["before"]),
        ("before speaking", ["before", "a", "b", "c"]),
        ("before forgetting", ["before", "a", "b", "c"]),
    ],
)
async def test_a_kill_between_changes_nothing(
    place: str, rows: AnyRows, log: NatsLog, nats_server: NatsServer, dies: str, expected: list[str]
) -> None:
    async with relaying(rows, log):
        await rows.transaction(say("before"))
        await heard(rows, log)
    environment = {"PLACE": place, "NATS": nats_server.url, "NATS_USER": nats_server.user}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.contract.test_outbox", dies),
        env={**os.environ, **environment, "NATS_PASSWORD": nats_server.password},
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
    )
    _, errors = await child.communicate()
    assert child.returncode == 9, errors.decode()
    async with relaying(rows, log):
        assert await heard(rows, log) == expected


# --- the child --------------------------------------------------------------------------------------------------------


class DyingLog:
    """A Log whose speaker dies once it has said so many: before it says the next, or before it can forget the last."""

    def __init__(self, log: Log, *, before_saying: int | None = None, after_saying: int | None = None) -> None:
        self._log = log
        self._before, self._after = before_saying, after_saying
        self._said = 0

    async def say(self, subject: str, data: bytes, *, key: str | None = None) -> int:
        if self._said == self._before:
            os._exit(9)
        position = await self._log.say(subject, data, key=key)
        self._said += 1
        if self._said == self._after:
            os._exit(9)
        return position


def die_before_commit(*arguments: Any) -> Any:
    transact(*arguments)  # the messages are in the table now
    os._exit(9)


async def _die(dies: str) -> None:
    connection = await connect([os.environ["NATS"]], user=os.environ["NATS_USER"], password=os.environ["NATS_PASSWORD"])
    log = await NatsLog.open(connection)
    async with opened(os.environ["PLACE"]) as rows:
        module = sys.modules[type(rows).__module__]
        with patch.multiple(module, transact=die_before_commit) if dies == "before the commit" else nullcontext():
            await rows.transaction(say("a", "b", "c"))
        dying = DyingLog(log, before_saying=0) if dies == "before speaking" else DyingLog(log, after_saying=2)
        await Outbox(rows, dying).run()  # type: ignore[arg-type]


if __name__ == "__main__":
    asyncio.run(_die(sys.argv[1]))
