"""The MQTT door of dispatch: the answers of VENs come in and are entered in the ledger."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from tieline import metrics
from tieline.base.errors import Refused
from tieline.base.time import Clock
from tieline.dispatch import actions
from tieline.dispatch.model import Policy, parse_command_id
from tieline.ports import Blobs, Delivery, Entry, Log, Rows, Transaction
from tieline.telemetry.actions import refuse
from tieline.telemetry.model import Dead
from tieline.wires.mqtt.messages import MAX_BYTES, Ack, Op

SUBJECT = "mqtt.ven.ack.*"
GROUP = "dispatch"
_DECODER: msgspec.json.Decoder[Ack] = msgspec.json.Decoder(Ack)


class Heard(msgspec.Struct, frozen=True):
    """An answer that could be read: who gave it, to which command."""

    entry: Entry
    event_id: str
    ven_id: str
    op: Op
    ack: Ack


class Answers:
    """Enters answers; several processes may, and an answer delivered twice changes nothing twice."""

    def __init__(self, log: Log, rows: Rows, blobs: Blobs, clock: Clock, policy: Policy) -> None:
        self._log = log
        self._rows = rows
        self._blobs = blobs
        self._clock = clock
        self._timing = policy

    async def run(self) -> None:
        async for delivery in self._log.work(SUBJECT, group=GROUP):
            await self._enter(delivery)

    async def _enter(self, delivery: Delivery) -> None:
        heard: list[Heard] = []
        for entry in delivery.entries:
            try:
                heard.append(_read(entry))
            except Refused as error:
                await self._refuse(entry, Dead("malformed", str(error)))
        now = self._clock.now()
        refused = await self._rows.transaction(lambda tx: _enter_all(tx, heard, now, self._timing))
        for one, reason in refused:
            await self._refuse(one.entry, Dead("answer to nothing", reason))
        await delivery.done()

    async def _refuse(self, entry: Entry, dead: Dead) -> None:
        await refuse(self._log, self._blobs, self._clock, entry, entry.subject.rpartition(".")[2], dead)


def _read(entry: Entry) -> Heard:
    """Raises `Refused` for what is no answer, or not the answer of the VEN on whose topic it came."""
    ven_id = entry.subject.rpartition(".")[2]
    if len(entry.data) > MAX_BYTES:
        raise Refused(f"an answer of {len(entry.data)} bytes; at most {MAX_BYTES}")
    try:
        ack = _DECODER.decode(entry.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # the last: nested too deeply
        raise Refused(f"not an ack message: {error}") from None
    event_id, ven, op = parse_command_id(ack.command_id)
    if ven != ven_id:
        raise Refused(f"VEN {ven_id} answered a command to {ven}")
    metrics.ACKS.labels(ack.answer).inc()
    return Heard(entry, event_id, ven_id, op, ack)


def _enter_all(tx: Transaction, heard: Sequence[Heard], now: datetime, policy: Policy) -> list[tuple[Heard, str]]:
    refused: list[tuple[Heard, str]] = []
    told: set[str] = set()
    for one in heard:
        try:
            actions.hear(tx, one.event_id, one.ven_id, one.op, one.ack, now, policy)
            told.add(one.event_id)
        except Refused as error:
            refused.append((one, str(error)))
    for event_id in sorted(told):
        actions.tell(tx, event_id, "progress")
    return refused
