"""JetStream asked with patience, and one stream of ours: made, read in order across lost connections."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from nats.errors import ConnectionReconnectingError, NoRespondersError, OutboundBufferLimitError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy, RawStreamMsg, StreamConfig
from nats.js.errors import NoStreamResponseError, NotFoundError, ServiceUnavailableError

from tieline.adapters.nats.connection import asking
from tieline.adapters.nats.frames import Message
from tieline.adapters.nats.line import NatsConnection
from tieline.adapters.nats.pull import Pull
from tieline.base.errors import Unready

T = TypeVar("T")
Column = np.ndarray[Any, np.dtype[np.int64]]

PASSING = (
    NatsTimeoutError,
    NoRespondersError,
    NoStreamResponseError,
    ServiceUnavailableError,
    ConnectionReconnectingError,
    OutboundBufferLimitError,
)
TRY_S = 2.0
_PAUSE_S = 0.2
_IDLE_S = 30.0
_AT_ONCE = 1000


class Patience:
    """Every wait for JetStream ends after `timeout_s` with `Unready`; what was asked may yet have been done."""

    def __init__(self, connection: NatsConnection, timeout_s: float) -> None:
        self.js: JetStreamContext = connection.jetstream(timeout=TRY_S)
        self._timeout_s = timeout_s

    async def answer(self, what: str, ask: Callable[[], Awaitable[T]]) -> T:
        """What NATS answers, asked again while a server restarts or a cluster elects a leader."""
        deadline = time.monotonic() + self._timeout_s
        with asking(what):
            while True:
                try:
                    return await ask()
                except PASSING as error:
                    if _is_full(error) or time.monotonic() + _PAUSE_S > deadline:
                        raise
                    await asyncio.sleep(_PAUSE_S)

    async def make(self, config: StreamConfig) -> None:
        """A stream made, or brought up to date."""

        async def made() -> None:
            try:
                await self.js.update_stream(config)
            except NotFoundError:
                await self.js.add_stream(config)

        await self.answer(f"make stream {config.name} with {config.num_replicas} replicas", made)


def _is_full(error: Exception) -> bool:
    """The server says of a full stream what it says of one that has no leader: it is unavailable."""
    return isinstance(error, ServiceUnavailableError) and "maximum bytes exceeded" in (error.description or "")


class NatsStream(Patience):
    """All but `follow` has an end."""

    def __init__(self, connection: NatsConnection, name: str, *, timeout_s: float) -> None:
        super().__init__(connection, timeout_s)
        self.name = name
        self._connection = connection

    async def reach(self) -> None:
        """Raises `Unready` at once when it cannot be reached."""
        with asking(f"reach stream {self.name}"):
            await self.js.stream_info(self.name)

    async def last(self, subject: str) -> RawStreamMsg | None:
        """The newest under a subject as the stream's leader has it: who has published sees it from then on."""

        async def found() -> RawStreamMsg | None:
            with contextlib.suppress(NotFoundError):
                return await self.js.get_last_msg(self.name, subject)
            return None

        return await self.answer(f"read the last of {subject}", found)

    async def kept(self, subject: str) -> list[Message]:
        """What the stream holds now under a subject, the oldest first."""
        return await self.answer(f"read {subject}", lambda: self._kept(subject))

    async def _kept(self, subject: str) -> list[Message]:
        consumer = await self._consumer(subject, DeliverPolicy.ALL)
        messages: list[Message] = []
        async with Pull(self._connection, self.name, consumer.name) as pull:
            while len(messages) < (consumer.num_pending or 0):
                batch = await pull.batch(_AT_ONCE)
                if not batch:  # it was there a moment ago
                    raise ServiceUnavailableError
                messages += batch
        await self.js.delete_consumer(self.name, consumer.name)
        return messages

    async def follow(self, subject: str) -> AsyncIterator[Message]:
        """The newest under each subject, then all that comes; in order, each once, for ever."""
        after = None
        while True:
            consumer = await self._found_consumer(subject, after)
            async with Pull(self._connection, self.name, consumer) as pull:
                count = 0
                while not pull.lost:
                    batch = await pull.batch(_AT_ONCE)
                    whole = unbroken(batch, count)
                    for message in whole:
                        after = stamps(message)[0]
                        yield message
                    count += len(whole)
                    if len(whole) < len(batch):
                        break  # something was lost on the way: read again from where the order broke

    async def _found_consumer(self, subject: str, after: int | None) -> str:
        while True:
            try:
                with asking(f"follow {subject}"):
                    if after is None:
                        return (await self._consumer(subject, DeliverPolicy.LAST_PER_SUBJECT)).name
                    return (await self._consumer(subject, DeliverPolicy.BY_START_SEQUENCE, after + 1)).name
            except Unready:
                if self._connection.is_closed:
                    raise Unready("the connection to NATS has been closed") from None
                await asyncio.sleep(_PAUSE_S)

    async def _consumer(self, subject: str, policy: DeliverPolicy, start: int | None = None) -> ConsumerInfo:
        """A new one that is kept in memory while it is used."""
        config = ConsumerConfig(
            deliver_policy=policy,
            opt_start_seq=start,
            ack_policy=AckPolicy.NONE,
            filter_subject=subject,
            inactive_threshold=_IDLE_S,
            num_replicas=1,
            mem_storage=True,
        )
        return await self.js.add_consumer(self.name, config)


def stamps(message: Message) -> tuple[int, int, int]:
    """Position in the stream, count within the consumer, nanoseconds since 1970, as the reply subject tells them."""
    position, count, said_ns = columns_of_stamps([message])
    return int(position[0]), int(count[0]), int(said_ns[0])


def columns_of_stamps(messages: Sequence[Message]) -> tuple[Column, Column, Column]:
    """The same of many that one consumer gave."""
    # $JS.ACK.[domain.account.]stream.consumer.tries.position.count.time.pending[.random]
    first = messages[0].reply.split(b".")
    before, numbers = (4, 5) if len(first) == 9 else (6, 5)
    start = len(b".".join(first[:before])) + 1
    replies = [one.reply[start:] for one in messages]
    if len(first) > before + numbers:
        replies = [one.rpartition(b".")[0] for one in replies]
    # 0.2 us a message, where splitting each costs twice that
    found = np.fromstring(b".".join(replies), np.int64, sep=".").reshape(len(messages), numbers)
    return found[:, 1], found[:, 2], found[:, 3]


def unbroken(batch: list[Message], before: int) -> list[Message]:
    """A batch as far as its messages follow one another, after `before` earlier ones of the same consumer."""
    if not batch:
        return batch
    broken = np.flatnonzero(columns_of_stamps(batch)[1] != np.arange(before + 1, before + len(batch) + 1))
    return batch[: broken[0]] if len(broken) else batch
