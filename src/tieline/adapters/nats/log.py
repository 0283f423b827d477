"""The Log on JetStream: streams of our own, and the broker's stream of what devices published."""

import asyncio
import functools
import secrets
from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    ConsumerInfo,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import NotFoundError

from tieline.adapters.nats.connection import asking
from tieline.adapters.nats.frames import Message
from tieline.adapters.nats.line import Lines, NatsConnection
from tieline.adapters.nats.pull import Pull
from tieline.adapters.nats.stream import Patience, columns_of_stamps, unbroken
from tieline.base.errors import Broken, Refused, TielineError, Unready
from tieline.ports import MQTT, STREAMS, Entry, Stream

T = TypeVar("T")

_PREFIX = "tieline-"
_MQTT_STREAM = "$MQTT_msgs"
_MQTT_SUBJECTS = "$MQTT.msgs."
_KEY_WINDOW = timedelta(minutes=2)
_PAUSE_S = 0.2
_FOLLOW_AT_ONCE = 1000
_MAX_LENT = 100_000
_IDLE_S = 30.0


class NatsDelivery:
    """Entries lent to one worker; `done` acknowledges each, since several workers share the group."""

    def __init__(self, messages: Sequence[Message], lines: Lines) -> None:
        self.entries: Sequence[Entry] = _entries(messages)
        self._messages = messages
        self._lines = lines

    async def done(self, *, but: Sequence[Entry] = ()) -> None:
        """When the server is gone and does not hear it, the entries are delivered again."""
        left = {entry.position for entry in but}
        mine = zip(self._messages, self.entries, strict=True)
        if replies := [one.reply for one, entry in mine if entry.position not in left]:
            await self._lines.acknowledge(replies)


class NatsLog:
    """`ports.Log`. Every wait ends after `timeout_s` with `Unready`; a `say` that ends so may yet have been said."""

    def __init__(self, connection: NatsConnection, *, timeout_s: float = 10.0, ack_wait_s: float = 30.0) -> None:
        self._connection = connection
        self._patience = Patience(connection, timeout_s)
        self._js, self._answer = self._patience.js, self._patience.answer
        self._ack_wait_s = ack_wait_s

    @classmethod
    async def open(
        cls, connection: NatsConnection, *, replicas: int = 1, timeout_s: float = 10.0, ack_wait_s: float = 30.0
    ) -> "NatsLog":
        """The Log, its streams made or brought up to date. `replicas` is 1 or, in a cluster, 3."""
        log = cls(connection, timeout_s=timeout_s, ack_wait_s=ack_wait_s)
        for stream in STREAMS:
            await log._ensure(stream, replicas)
        return log

    async def _ensure(self, stream: Stream, replicas: int) -> None:
        config = StreamConfig(
            name=_PREFIX + stream.name,
            subjects=[f"{stream.name}.>"],
            retention=RetentionPolicy.LIMITS,
            discard=DiscardPolicy.OLD,
            storage=StorageType.FILE,
            max_age=stream.keep.total_seconds(),
            max_bytes=stream.max_bytes,
            duplicate_window=_KEY_WINDOW.total_seconds(),
            num_replicas=replicas,
        )
        await self._patience.make(config)

    # --- saying ---

    async def say(self, subject: str, data: bytes, *, key: str | None = None) -> int:
        if subject.startswith(f"{MQTT}.") or "*" in subject or ">" in subject:
            raise Refused(f"{subject!r} is not a subject to say something on: one of {_names()}, dotted, no wildcards")
        _place(subject)
        if key is not None and not (key and key.isprintable()):
            raise Refused(f"the key {key[:80]!r} is not printable text")
        # A message that was sent but not answered is sent again under the same id, and so is said once.
        headers = {"Nats-Msg-Id": key or secrets.token_hex(12)}
        ack = await self._answer(f"say {subject}", lambda: self._js.publish(subject, data, headers=headers))
        return ack.seq

    # --- reading ---

    async def last(self, subject: str) -> Entry | None:
        stream, filtered = _place(subject)
        found = await self._answer(
            f"read the last of {subject}", lambda: _or_none(self._js.get_last_msg(stream, filtered))
        )
        if found is None:
            return None
        assert found.seq is not None
        assert found.subject is not None
        assert found.time is not None
        return Entry(found.seq, _named(found.subject.encode()), found.data or b"", found.time)

    async def follow(self, subject: str, *, after: int | None) -> AsyncIterator[list[Entry]]:
        stream, filtered = _place(subject)
        last = (await self._answer(f"follow {subject}", lambda: self._js.stream_info(stream))).state.last_seq
        if after is None:
            after = last
        elif after > last:
            raise Broken(
                f"{stream} ends at position {last}, but {after} was read of it before: the Log has lost its store; "
                "restore it, or start with a new data folder"
            )
        while True:
            consumer = await self._reader(stream, filtered, after + 1)
            async with Pull(self._connection, stream, consumer) as pull:
                count = 0
                while not pull.lost:
                    batch = await pull.batch(_FOLLOW_AT_ONCE)
                    entries = _entries(unbroken(batch, count))
                    if entries:
                        after = entries[-1].position
                        count += len(entries)
                        yield entries
                    if len(entries) < len(batch):
                        break  # something was lost on the way: read again from where the order broke

    async def _reader(self, stream: str, filtered: str, start: int) -> str:
        """The name of a new consumer that reads from `start`, kept in memory while it is used. Tries for ever."""
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=start,
            ack_policy=AckPolicy.NONE,
            filter_subject=filtered,
            inactive_threshold=_IDLE_S,
            num_replicas=1,
            mem_storage=True,
        )
        while True:
            try:
                with asking(f"read {filtered}"):
                    return (await self._js.add_consumer(stream, config)).name
            except Unready:
                self._still_open()
                await asyncio.sleep(_PAUSE_S)

    # --- working ---

    async def prepare(self, subject: str, *, group: str) -> ConsumerInfo:
        """Makes the group, so that nothing said from now on escapes it; it begins with what is still kept.

        What devices publish is kept only for groups that exist: prepare them before devices may connect, and after
        the first MQTT client of the platform has, since only that makes the broker's stream.
        """
        stream, filtered = _place(subject)
        config = ConsumerConfig(
            durable_name=_durable(subject, group),
            filter_subject=filtered,
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self._ack_wait_s,
            max_ack_pending=_MAX_LENT,
            max_deliver=-1,
        )
        info = await self._answer(
            f"make the group {group} on {subject}", lambda: _or_none(self._js.add_consumer(stream, config))
        )
        if info is None:
            raise Unready(f"{stream} does not exist yet: the platform's own MQTT client must connect first")
        return info

    async def work(self, subject: str, *, group: str, at_once: int = 1000) -> AsyncIterator[NatsDelivery]:
        stream, _ = _place(subject)
        await self.prepare(subject, group=group)
        while True:
            async with Pull(self._connection, stream, _durable(subject, group), lent=True) as pull:
                while not pull.lost:
                    batch = await pull.batch(at_once)
                    if batch:
                        yield NatsDelivery(batch, self._connection.lines)
            await self._prepare_again(subject, group)

    async def _prepare_again(self, subject: str, group: str) -> None:
        while True:
            try:
                await self.prepare(subject, group=group)
                return
            except TielineError:
                self._still_open()
                await asyncio.sleep(_PAUSE_S)

    async def waiting(self, subject: str, *, group: str) -> int:
        info = await self._group(subject, group)
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def oldest(self, subject: str, *, group: str) -> datetime | None:
        stream, filtered = _place(subject)
        info = await self._group(subject, group)
        if not (info.num_pending or info.num_ack_pending) or info.ack_floor is None:
            return None
        after = info.ack_floor.stream_seq + 1
        found = await self._answer(
            f"find what waits longest for {group}",
            lambda: _or_none(self._js.get_msg(stream, seq=after, subject=filtered, next=True)),
        )
        return None if found is None else found.time

    async def _group(self, subject: str, group: str) -> ConsumerInfo:
        stream, _ = _place(subject)
        info = await self._answer(
            f"count what waits for {group}",
            lambda: _or_none(self._js.consumer_info(stream, _durable(subject, group))),
        )
        return info or await self.prepare(subject, group=group)

    async def retire(self, subject: str, *, group: str) -> None:
        """A group that nobody works in any more: for it the broker would keep what devices publish for ever. Whoever
        takes its place is prepared before, and is given what it had still to do."""
        stream, _ = _place(subject)
        await self._answer(
            f"retire the group {group} on {subject}",
            lambda: _or_none(self._js.delete_consumer(stream, _durable(subject, group))),
        )

    async def ready(self) -> None:
        if not self._connection.is_connected:
            raise Unready("the Log has no connection to NATS; it is reconnecting")
        for stream in STREAMS:
            with asking(f"reach stream {_PREFIX}{stream.name}"):
                await self._js.stream_info(_PREFIX + stream.name)

    def _still_open(self) -> None:
        if self._connection.is_closed:
            raise Unready("the connection to NATS has been closed")


async def _or_none(answer: Awaitable[T]) -> T | None:
    try:
        return await answer
    except NotFoundError:
        return None


def _names() -> str:
    return ", ".join(f"{stream.name}.…" for stream in STREAMS)


def _place(subject: str) -> tuple[str, str]:
    """The JetStream stream a subject is in, and its name there. Raises `Refused` when it is in none."""
    head, _, rest = subject.partition(".")
    if rest and head == MQTT:
        return _MQTT_STREAM, _MQTT_SUBJECTS + rest
    if rest and any(stream.name == head for stream in STREAMS):
        return _PREFIX + head, subject
    raise Refused(f"{subject!r} is in no stream of the Log: it must begin with one of {_names()}, {MQTT}.…")


@functools.lru_cache(200_000)
def _named(subject: bytes) -> str:
    """The Log's name of a JetStream subject."""
    name = subject.decode()
    return f"{MQTT}.{name.removeprefix(_MQTT_SUBJECTS)}" if name.startswith(_MQTT_SUBJECTS) else name


def _durable(subject: str, group: str) -> str:
    # A consumer's name may hold neither dots nor wildcards.
    return f"{group}@{subject}".replace(".", "=").replace("*", "+").replace(">", "++")


def _entries(messages: Sequence[Message]) -> list[Entry]:
    if not messages:
        return []
    positions, _, said_ns = columns_of_stamps(messages)
    subjects = [_named(one.subject) for one in messages]
    said_at = [datetime.fromtimestamp(us / 1e6, UTC) for us in (said_ns // 1000).tolist()]
    return list(map(Entry, positions.tolist(), subjects, [one.data for one in messages], said_at))
