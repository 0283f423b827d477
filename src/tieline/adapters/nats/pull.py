"""Pulling: one inbox through which a JetStream consumer's entries are asked for, batch by batch."""

import asyncio
import contextlib
from types import TracebackType

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error

from tieline.adapters.nats.connection import asking
from tieline.base.cancellation import heed_cancellation

_WAIT_S = 2.0  # how long one request may wait for a first entry; also how soon a lost request is noticed
_GRACE_S = 2.0
_SECOND_NS = 1_000_000_000
_IN_ORDER = {"", "404", "408"}  # all that was asked for, no more messages, nothing in time


class Pull:
    """Ask again and again with `batch`, until the consumer is `lost` (deleted, or its server gone): then make it again,
    or another, and pull anew."""

    def __init__(self, connection: Client, stream: str, consumer: str) -> None:
        self._connection = connection
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self.lost = False
        self._inbox = connection.new_inbox()
        self._asked = 0
        self._reply = ""
        self._arrived: list[Msg] = []
        self._wanted = 0
        self._complete = asyncio.Event()
        self._status = ""

    async def __aenter__(self) -> "Pull":
        with asking("open an inbox"):
            self._subscription: Subscription = await self._connection.subscribe(f"{self._inbox}.*", cb=self._arrive)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(Error):  # without a connection there is nothing to unsubscribe from
            await self._subscription.unsubscribe()

    async def batch(self, at_once: int) -> list[Msg]:
        """What there is, at most `at_once` together; nothing when nothing came within two seconds."""
        heed_cancellation()
        answered = await self._ask(at_once) and await self._answer()
        self.lost = not answered or (self._status not in _IN_ORDER)
        batch, self._arrived = self._arrived[:at_once], self._arrived[at_once:]
        return batch

    async def _ask(self, at_once: int) -> bool:
        # Each request has its own reply subject, so that a late status of an earlier one is not taken for this one's.
        self._asked += 1
        self._reply, self._wanted, self._status = f"{self._inbox}.{self._asked}", at_once, ""
        self._complete.clear()
        # no_wait together with expires: what is there at once, or else the first that comes within `expires`.
        request = {"batch": at_once, "no_wait": True, "expires": int(_WAIT_S * _SECOND_NS)}
        try:
            await self._connection.publish(self._next, msgspec.json.encode(request), reply=self._reply)
        except Error:
            return False
        return True

    async def _answer(self) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_S + _GRACE_S):
                await self._complete.wait()
        return self._complete.is_set()

    async def _arrive(self, message: Msg) -> None:
        if message.subject.startswith(self._inbox):
            if message.subject == self._reply:
                self._status = (message.headers or {}).get("Status", "")
                self._complete.set()
            return
        self._arrived.append(message)
        if len(self._arrived) >= self._wanted:
            self._complete.set()
