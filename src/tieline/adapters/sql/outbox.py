"""The outbox: what transactions said, committed with them, then carried to the Log in order.

    work ──tx.say──▶ outbox row ──commit──▶ relay: say it to the Log, keyed by its id ──▶ delete the row

A relay that dies between saying and deleting says it again under the same key; the Log keeps keys for two minutes, so
consumers must take a repeat after that. Several relays may run at once: each speaks in order of id, so the first time
each message is heard is in order too.
"""

import asyncio
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import sqlalchemy as sa
import structlog

from tieline.base.errors import Refused, Unready
from tieline.columns import Counter, Instant
from tieline.ports import Log, Reader, Rows, Transaction

LARGEST_MESSAGE = 1_000_000
"""Bytes: what a NATS server takes by default (1 MiB), less room for headers."""

OUTBOX = sa.Table(
    "outbox",
    sa.MetaData(),
    sa.Column("id", Counter, primary_key=True),
    sa.Column("message_id", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("said_at", Instant, nullable=False),
)

_AT_ONCE = 500
_POLL_S = 1.0
_LONGEST_PAUSE_S = 5.0

log = structlog.get_logger(__name__)


class SpeakingRows(Rows, Protocol):
    """Rows that tell, once a transaction that said something has committed in this process."""

    said: asyncio.Event


class Outbox:
    """Carries what was said in transactions to the Log, in whichever process it was said.

    A message the Log refuses stays in the table and is tried again each round; those after it go on.
    """

    def __init__(self, rows: SpeakingRows, log: Log, *, poll_s: float = _POLL_S) -> None:
        self._rows = rows
        self._log = log
        self._poll_s = poll_s
        self._refused: set[int] = set()

    async def run(self) -> None:
        """Relay for ever, waiting out a Log or Rows that are away."""
        failures = 0
        while True:
            self._rows.said.clear()
            try:
                await self.relay()
            except Unready as error:
                failures = min(failures + 1, 6)
                log.warning("outbox waits", reason=str(error))
                await asyncio.sleep(min(0.1 * 2**failures, _LONGEST_PAUSE_S))
            else:
                failures = 0
                await self._nudge()

    async def relay(self) -> None:
        """Say all that waits, once. Always from the first that is left: an id may come to light after greater ones, if
        it was given out before them, or is given out again since the table was empty."""
        refused: set[int] = set()
        while messages := await self._rows.read(partial(_waiting, but=refused)):
            refused |= await self._carry(messages)

    async def _carry(self, messages: list[Any]) -> set[int]:
        """The ids of those that the Log refused."""
        spoken: list[int] = []
        try:
            for message in messages:
                if await self._say(message):
                    spoken.append(message.id)
        finally:  # forget what was said even when the Log has gone: after two minutes it would be said twice
            if spoken:
                await self._rows.transaction(partial(_forget, ids=spoken))
        return {message.id for message in messages} - set(spoken)

    async def _say(self, message: Any) -> bool:
        try:
            await self._log.say(message.subject, message.data, key=message.message_id)
        except Refused as error:
            if message.id not in self._refused:
                self._refused.add(message.id)
                log.error("outbox message refused", id=message.id, subject=message.subject, reason=str(error))
            return False
        return True

    async def _nudge(self) -> None:
        """Until this process says something, or it is time to see what others left."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll_s):
                await self._rows.said.wait()


def _waiting(reader: Reader, but: set[int]) -> list[Any]:
    waits = sa.select(OUTBOX).where(OUTBOX.c.id.not_in(but))
    return list(reader.execute(waits.order_by(OUTBOX.c.id).limit(_AT_ONCE)))


def _forget(transaction: Transaction, ids: list[int]) -> None:
    transaction.execute(sa.delete(OUTBOX).where(OUTBOX.c.id.in_(ids)))
