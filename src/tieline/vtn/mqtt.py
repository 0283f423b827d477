"""The MQTT notifier: publishes what each change is to whom, many messages at once, at QoS 1, not retained.

Where it has published, Rows know; a process that dies after publishing publishes again. A client that was away reads
the objects by HTTP ("Notifications over other protocols", 16.2), so that nothing needs to be retained for it.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

import msgspec
import structlog

from tieline.base.cancellation import heed_cancellation
from tieline.base.errors import Unready
from tieline.base.time import EPOCH, Clock
from tieline.identity import reads as identity
from tieline.ports import Log, Rows
from tieline.vtn import audience as who
from tieline.vtn import notices, progress
from tieline.vtn.audience import Audience
from tieline.vtn.notices import Message
from tieline.vtn.progress import Said, begin, gently, said
from tieline.wires.openadr31.change import SUBJECTS
from tieline.wires.openadr31.messages import encode

MQTT = "mqtt"
MOST = 5000
"""Messages that are told together, but for those of a last change."""
AT_ONCE = 256
"""Messages on their way to the broker: a quarter of what its line takes, which commands to devices share."""
CLAIM_S = 10.0
RENEW_S = 3.0
PAUSE_S = 0.5

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Publish(Protocol):
    """Returns once the broker has the message. Raises `Unready` when it has not."""

    async def __call__(self, topic: str, payload: bytes, *, retain: bool) -> None: ...


class Told(msgspec.Struct, frozen=True):
    """A change, and the messages that tell it."""

    position: int
    said_at: datetime
    object_id: str
    messages: list[Message]


class Topics:
    """The clock is the wall's: it measures how long other processes wait for this one."""

    def __init__(self, entries: Log, rows: Rows, clock: Clock, publish: Publish) -> None:
        self._log = entries
        self._rows = rows
        self._clock = clock
        self._publish = publish
        self._worker = uuid.uuid4().hex
        self._until = EPOCH  # the turn of this process
        self._readers = 0
        self._revision = 0

    async def run(self, audience: Audience, after: int) -> None:
        self._readers = self._revision = 0
        start = await begin(self._log, self._rows, MQTT, after)
        async for entries in self._log.follow(SUBJECTS, after=start):
            heard = said(entries)
            while heard:
                await self._look(audience)
                telling = await _some(audience, heard)
                await self._tell(telling)
                heard = heard[len(telling) :]

    async def _look(self, audience: Audience) -> None:
        """What the Log does not say: whose topics were asked for, and which clients were shut out."""
        if self._readers != (count := await self._rows.read(who.count_readers)):
            audience.readers, self._readers = await self._rows.read(who.topic_readers), count
        for one in await identity.changed(self._rows, self._revision):
            audience.revoke(one.client_id, revoked=one.revoked_at is not None)
            self._revision = one.revision

    async def _tell(self, telling: Sequence[Told]) -> None:
        """Until they are published, by this process or by another."""
        last, said_at = telling[-1].position, telling[-1].said_at
        if not any(one.messages for one in telling):
            await self._rows.transaction(lambda tx: progress.advance(tx, MQTT, last, said_at=said_at))
            return
        while (told := await self._claimed()) is None or not await self._published(telling, told):
            await self._clock.sleep(PAUSE_S)
        await self._rows.transaction(lambda tx: progress.advance(tx, MQTT, last, self._worker, said_at=said_at))

    async def _claimed(self) -> int | None:
        now = self._clock.now()
        self._until = until = now + timedelta(seconds=CLAIM_S)
        return await self._rows.transaction(lambda tx: progress.claim(tx, MQTT, self._worker, now, until))

    async def _keep(self) -> None:
        """The turn, until another process has it."""
        kept = True
        while kept:
            await self._clock.sleep(RENEW_S)
            now = self._clock.now()
            until = now + timedelta(seconds=CLAIM_S)
            kept = await self._rows.transaction(partial(progress.renew, name=MQTT, worker=self._worker, until=until))
            self._until = until if kept else now

    async def _published(self, telling: Sequence[Told], told: int) -> bool:
        """Whether the broker took all after a position. No two changes of one object are on their way at once, and
        none once the turn is lost, for whoever has it now goes on from where Rows say."""
        keeping = asyncio.create_task(self._keep())
        try:
            for wave in _waves(one for one in telling if one.position > told):
                await each(_encoded(wave), self._send, min(AT_ONCE, sum(len(one.messages) for one in wave)))
        except Unready as error:
            log.warning("MQTT notifications wait", reason=str(error))
            return False
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        return True

    async def _send(self, message: tuple[str, bytes]) -> None:
        if self._clock.now() >= self._until:
            raise Unready("the turn of this process has ended")
        await self._publish(*message, retain=False)


async def _some(audience: Audience, heard: Sequence[Said]) -> list[Told]:
    """What the first of them are to whom: no more than can be told together."""
    found: list[Told] = []
    count = 0
    while len(found) < len(heard) and count < MOST:
        one = heard[len(found)]
        audience.apply(one.change)
        messages = await gently(notices.messages(one.change, audience))
        found.append(Told(one.position, one.said_at, one.change.object_id, messages))
        count += len(messages)
    return found


def _waves(telling: Iterable[Told]) -> Iterator[list[Told]]:
    """In order, cut where an object comes again."""
    wave: dict[str, Told] = {}
    for one in telling:
        if one.object_id in wave:
            yield list(wave.values())
            wave = {}
        wave[one.object_id] = one
    yield list(wave.values())


def _encoded(wave: Sequence[Told]) -> Iterator[tuple[str, bytes]]:
    """As they are asked for; what several readers are told alike is written once."""
    for one in wave:
        written: dict[object, bytes] = {}
        for message in one.messages:
            told = message.notification
            key = (told.operation, told.targets)
            if key not in written:
                written[key] = encode(told)
            yield message.topic, written[key]


async def each(items: Iterable[T], do: Callable[[T], Awaitable[None]], at_once: int) -> None:
    """Do all, so many at once. Raises what the first raises that fails; no other is begun after it."""
    waiting = iter(items)
    failures: list[BaseException] = []

    async def work() -> None:
        for item in waiting:
            try:
                await do(item)
            except Exception as error:
                failures.append(error)
            if failures:
                return

    await asyncio.gather(*(work() for _ in range(at_once)))
    heed_cancellation()
    if failures:
        raise failures[0]
