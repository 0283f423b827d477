"""Pulling: one inbox through which a JetStream consumer's entries are asked for, batch by batch."""

import asyncio
import contextlib
import secrets
from types import TracebackType

import msgspec

from tieline.adapters.nats import frames
from tieline.adapters.nats.frames import Message
from tieline.adapters.nats.line import NatsConnection
from tieline.base.cancellation import heed_cancellation

MOST_BYTES = 8 << 20
"""Of a batch: so much of it is held in memory, twice; the server takes no message as large as this."""
_WAIT_S = 2.0  # how long one request may wait for a first entry; also how soon a lost request is noticed
_GRACE_S = 2.0
_SECOND_NS = 1_000_000_000
_NOTHING = {"404", "408"}  # no more messages, nothing in time
_CUT = {"Batch Completed", "Message Size Exceeds MaxBytes"}  # said with 409: there may be more


class Pull:
    """Ask again and again with `batch`, until the consumer is `lost` (deleted, or its server gone): then make it again,
    or another, and pull anew. While there is more, it is asked for one batch ahead of who takes it.

    `lent`: entries are to be acknowledged; those that nobody took are given back.
    """

    def __init__(self, connection: NatsConnection, stream: str, consumer: str, *, lent: bool = False) -> None:
        self._connection = connection
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}".encode()
        self._lent = lent
        self.lost = False
        self._inbox = f"_INBOX.{secrets.token_hex(11)}"
        self._asked = 0
        self._reply = b""
        self._wanted = 0  # of the request that is under way; 0: none is
        self._expected = 0  # fewer, once the server says so
        self._arrived: list[Message] = []
        self._status: Message | None = None
        self._news = asyncio.Event()

    async def __aenter__(self) -> "Pull":
        """Raises `Unready` when the connection has been closed."""
        self._line = await self._connection.lines.line()
        self._line.lost.add_done_callback(self._wake)
        self._number = self._line.subscribe(self._inbox, self._take)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.lost.remove_done_callback(self._wake)
        self._line.unsubscribe(self._number)
        if self._lent and self._arrived:
            self._line.write(b"".join([frames.publish(one.reply, b"-NAK") for one in self._arrived]))

    async def batch(self, at_once: int) -> list[Message]:
        """What there is, at most `at_once` together; nothing when nothing came within two seconds."""
        heed_cancellation()
        if not self._wanted:
            self._ask(at_once, MOST_BYTES)
        whole = await self._answer()
        full, status = len(self._arrived) >= self._wanted, self._status
        cut = status is not None and status.said in _CUT
        self.lost = not whole or not (full or cut or (status is not None and status.status in _NOTHING))
        batch, self._arrived, self._wanted = self._arrived, [], 0
        if not self.lost and (full or cut):
            self._ask(at_once, MOST_BYTES if batch else 0)
        return batch

    def _ask(self, at_once: int, most_bytes: int) -> None:
        # Each request has its own reply subject, so that a late status of an earlier one is not taken for this one's.
        self._asked += 1
        self._reply, self._status = f"{self._inbox}.{self._asked}".encode(), None
        self._wanted = self._expected = at_once
        # no_wait together with expires: what is there at once, or else the first that comes within `expires`.
        request = {"batch": at_once, "max_bytes": most_bytes, "no_wait": True, "expires": int(_WAIT_S * _SECOND_NS)}
        self._line.write(frames.publish(self._next, msgspec.json.encode(request), self._reply))

    async def _answer(self) -> bool:
        """Whether the request was answered whole: by as many as were asked for, or by a last word."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_S + _GRACE_S):
                while not (self._is_whole() or self._line.lost.done()):
                    self._news.clear()
                    await self._news.wait()
        return self._is_whole()

    def _is_whole(self) -> bool:
        return len(self._arrived) >= self._expected

    def _take(self, messages: list[Message]) -> None:
        entries = [one for one in messages if one.reply]
        self._arrived += entries
        if len(entries) < len(messages):
            for one in messages:
                if one.subject == self._reply and not one.reply:
                    self._end(one)
        if self._is_whole():
            self._news.set()

    def _end(self, status: Message) -> None:
        """The server's last word may come before the last entries, in a cluster: it says how many there are."""
        unsent = status.header("Nats-Pending-Messages")
        self._status, self._expected = status, self._wanted - int(unsent) if unsent else 0

    def _wake(self, _: object) -> None:
        self._news.set()
