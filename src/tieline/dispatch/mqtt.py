"""The MQTT door of dispatch: the answers of VENs come in and are entered, by the id of the command: those to an event's
in its ledger, those to a direct one with it."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import msgspec

from tieline import metrics
from tieline.base.errors import Refused
from tieline.base.time import Clock
from tieline.dispatch import actions
from tieline.dispatch.commands import actions as direct
from tieline.dispatch.commands.model import addressee
from tieline.dispatch.model import Policy, parse_command_id
from tieline.ports import Delivery, Entry, Log, Rows, Transaction
from tieline.telemetry.flooding import Flooding
from tieline.telemetry.model import Dead
from tieline.wires.mqtt.codec import decode
from tieline.wires.mqtt.messages import Ack, Op

SUBJECT = "mqtt.ven.ack.*"
GROUP = "dispatch"
GATHER_S = 0.05
"""A fleet answers within a second: entered in portions of a thousand, its answers cost a third of what they do by the
hundred."""
PATIENCE_S = 2.0
"""The commands of a call go before the answers to its first ones, which wait for so long at most: there is one writer,
and whoever is told last is who the call waits for."""


class Heard(msgspec.Struct, frozen=True):
    """An answer that could be read: who gave it, to which command; `event` is (event, op) of one that is not direct."""

    entry: Entry
    ven_id: str
    ack: Ack
    event: tuple[str, Op] | None


class Answers:
    """Enters answers; several processes may, and an answer delivered twice changes nothing twice."""

    def __init__(
        self,
        log: Log,
        rows: Rows,
        clock: Clock,
        policy: Policy,
        flooding: Flooding,
        quiet: asyncio.Event | None = None,
    ) -> None:
        """`quiet`: unless this process is telling a fleet."""
        self._log = log
        self._rows = rows
        self._clock = clock
        self._timing = policy
        self._flooding = flooding
        self._quiet = quiet

    async def run(self) -> None:
        async for delivery in self._log.work(SUBJECT, group=GROUP):
            await self._turn()
            await self._enter(delivery)
            await asyncio.sleep(GATHER_S)

    async def _turn(self) -> None:
        if self._quiet is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    await self._quiet.wait()

    async def _enter(self, delivery: Delivery) -> None:
        heard: list[Heard] = []
        for entry in delivery.entries:
            if self._flooding.drops(entry):
                continue
            try:
                heard.append(_read(entry))
            except Refused as error:
                await self._refuse(entry, Dead("malformed", str(error)))
        now = self._clock.now()
        refused = await self._rows.transaction(lambda tx: _enter_all(tx, heard, now, self._timing))
        for one, reason in refused:
            await self._refuse(one.entry, Dead("answer to nothing", reason))
        await self._flooding.telling()
        await delivery.done()

    async def _refuse(self, entry: Entry, dead: Dead) -> None:
        await self._flooding.refuse(entry, entry.subject.rpartition(".")[2], dead)


def _read(entry: Entry) -> Heard:
    """Raises `Refused` for what is no answer, or not the answer of the VEN on whose topic it came."""
    ven_id = entry.subject.rpartition(".")[2]
    ack, event = decode(entry.data, Ack), None
    if (ven := addressee(ack.command_id)) is None:
        event_id, ven, op = parse_command_id(ack.command_id)
        event = event_id, op
    if ven != ven_id:
        raise Refused(f"VEN {ven_id} answered a command to {ven}")
    metrics.ACKS.labels(ack.answer).inc()
    return Heard(entry, ven_id, ack, event)


def _enter_all(tx: Transaction, heard: Sequence[Heard], now: datetime, policy: Policy) -> list[tuple[Heard, str]]:
    """Gives back those to what was never sent, with the reason."""
    refused, of_events = list[tuple[Heard, str]](), defaultdict[str, list[Heard]](list)
    for one in heard:
        if one.event is not None:
            of_events[one.event[0]].append(one)
            continue
        try:
            direct.hear(tx, one.ack, now)
        except Refused as error:
            refused.append((one, str(error)))
    for event_id, answers in sorted(of_events.items()):
        refused += _enter_event(tx, event_id, answers, now, policy)
    return refused


def _enter_event(
    tx: Transaction, event_id: str, heard: Sequence[Heard], now: datetime, policy: Policy
) -> list[tuple[Heard, str]]:
    answers = [(one.ven_id, one.event[1], one.ack) for one in heard if one.event]
    unknown = {id(ack): str(error) for ack, error in actions.hear_many(tx, event_id, answers, now, policy)}
    if len(unknown) < len(heard):
        actions.tell(tx, event_id, "progress")
    return [(one, unknown[id(one.ack)]) for one in heard if id(one.ack) in unknown]
