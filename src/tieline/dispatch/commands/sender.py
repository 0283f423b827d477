"""The sender: says what was asked until it is answered, and gives up what has expired. It keeps nothing in memory."""

import asyncio
from datetime import timedelta
from typing import Protocol

import structlog

from tieline import metrics
from tieline.base.errors import TielineError
from tieline.base.time import EPOCH, Clock
from tieline.dispatch.commands import actions, reads
from tieline.dispatch.commands.model import DirectCommand, as_said
from tieline.ports import Rows
from tieline.wires.mqtt.codec import encode
from tieline.wires.mqtt.messages import COMMAND, topic

SWEEP = timedelta(days=1)
log = structlog.get_logger(__name__)


class Publish(Protocol):
    """Say a message on an MQTT topic; returns when the broker has it, raises `Unready` when it has not."""

    async def __call__(self, topic: str, payload: bytes, *, retain: bool = True) -> None: ...


class Sender:
    """`step` is safe to run in several processes at once: whoever enters a command as said says it."""

    def __init__(self, rows: Rows, clock: Clock, publish: Publish, resend_s: float) -> None:
        self._rows = rows
        self._clock = clock
        self._publish = publish
        self._resend = timedelta(seconds=resend_s)
        self._swept_at = EPOCH

    async def run(self) -> None:
        """A look about five times a wall second, whatever the clock's rate: commands must go out within the second."""
        while True:
            try:
                await self.step()
                await self.sweep()
            except TielineError as error:
                log.warning("direct commands wait", reason=str(error))
            await asyncio.sleep(0.2)

    async def step(self) -> None:
        now = self._clock.now()
        again = now - self._resend
        if await self._rows.read(lambda reader: reads.overdue(reader, now, 1)):
            metrics.UNANSWERED.inc(await self._rows.transaction(lambda tx: actions.give_up(tx, now)))
        if await self._rows.read(lambda reader: reads.due(reader, now, again, 1)):
            await self._say(*await self._rows.transaction(lambda tx: actions.send(tx, now, again)))

    async def sweep(self) -> None:
        """Once a day: forget what is too old to be asked for."""
        now = self._clock.now()
        if now - self._swept_at < SWEEP:
            return
        while await self._rows.transaction(lambda tx: actions.forget(tx, now)) == actions.AT_ONCE:
            pass
        self._swept_at = now

    async def _say(self, *commands: DirectCommand) -> None:
        """Not retained: the one message that the topic keeps is an event's, and must stay so."""
        for command in commands:
            metrics.COMMANDS.labels(command.op).inc()
        spoken = [self._publish(topic(COMMAND, one.ven_id), encode(as_said(one)), retain=False) for one in commands]
        failed = [one for one in await asyncio.gather(*spoken, return_exceptions=True) if one is not None]
        if failed:
            raise failed[0]
