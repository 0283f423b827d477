"""Pulling: one inbox through which a JetStream consumer's entries are asked for, batch by batch."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import TracebackType

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error

from tieline.adapters.nats.connection import asking

WAIT_S = 2.0  # how long one request may wait for a first entry; also how soon a lost request is noticed
_GRACE_S = 2.0
_SECOND_NS = 1_000_000_000
_EMPTY = {"404", "408"}  # no messages, request timed out: ask again


class Pull:
    """`batches` yields what there is, at most `at_once` together, and waits where there is nothing. It ends when the
    consumer is lost (deleted, its server gone): make it again, or another, and pull anew."""

    def __init__(self, connection: Client, stream: str, consumer: str) -> None:
        self._connection = connection
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = connection.new_inbox()
        self._reply = self._inbox
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

    async def batches(self, at_once: int) -> AsyncIterator[list[Msg]]:
        asked = 0
        while True:
            asked += 1
            answered = await self._ask(asked, at_once) and await self._answer()
            batch, self._arrived = self._arrived[:at_once], self._arrived[at_once:]
            status = self._status
            if batch:
                yield batch
            if not answered or (status and status not in _EMPTY):
                return

    async def _ask(self, number: int, at_once: int) -> bool:
        # Each request has its own reply subject, so that a late status of an earlier one is not taken for this one's.
        self._reply, self._wanted, self._status = f"{self._inbox}.{number}", at_once, ""
        self._complete.clear()
        # no_wait together with expires: what is there at once, or else the first that comes within `expires`.
        request = {"batch": at_once, "no_wait": True, "expires": int(WAIT_S * _SECOND_NS)}
        try:
            await self._connection.publish(self._next, msgspec.json.encode(request), reply=self._reply)
        except Error:
            return False
        return True

    async def _answer(self) -> bool:
        try:
            await asyncio.wait_for(self._complete.wait(), WAIT_S + _GRACE_S)
        except TimeoutError:
            return False
        return True

    async def _arrive(self, message: Msg) -> None:
        if message.subject.startswith(self._inbox):
            if message.subject == self._reply:
                self._status = (message.headers or {}).get("Status", "")
                self._complete.set()
            return
        self._arrived.append(message)
        if len(self._arrived) >= self._wanted:
            self._complete.set()
