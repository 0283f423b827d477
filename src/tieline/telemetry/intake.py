"""The MQTT door of telemetry: device messages, in batches, into the readings stream of the Log.

A PUBACK told the device that the broker keeps its message. It stays there until this room has said its readings on
the Log (durable, replayable) and its refusals among the dead letters; only then is it done. A crash in between
delivers it again: its readings come twice, at the same instants with the same values, and count once.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence

import msgspec
import structlog

from tieline import metrics
from tieline.base.series import Flag
from tieline.base.time import Clock
from tieline.ports import Entry, Log, Rows
from tieline.registry import reads as registry
from tieline.telemetry.flooding import Flooding
from tieline.telemetry.model import KINDS, UNKNOWN_LOAD, Batch, Dead, Known, Limits, take

GROUP = "telemetry"
SUBJECT = "readings.mqtt"
SUBJECTS = {kind: f"mqtt.{kind.replace('/', '.')}.*" for kind in KINDS}
AT_ONCE = 500
REFUSE_AT_ONCE = 16
MOST_READINGS = 20_000  # of a batch: well within what the Log takes in one piece
RECENT = 16  # messages a VEN may have sent again without having heard our answer
log = structlog.get_logger(__name__)
Refusal = tuple[Entry, str, Dead]
_ENCODER = msgspec.msgpack.Encoder()


class Intake:
    """Takes device messages from the broker; several processes may, each message goes to one of them. `heard` is told
    of each, whatever it says: its VEN is there. What `flooding` drops is not taken."""

    def __init__(
        self,
        log: Log,
        rows: Rows,
        clock: Clock,
        limits: Limits,
        heard: Callable[[Entry], None],
        flooding: Flooding,
    ) -> None:
        self._log = log
        self._rows = rows
        self._clock = clock
        self._limits = limits
        self._told = heard
        self._flooding = flooding
        self._known: dict[str, Known] = {}
        self._recent: dict[str, OrderedDict[bytes, int]] = {}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for kind in KINDS:
                group.create_task(self._take(kind))

    async def _take(self, kind: str) -> None:
        async for delivery in self._log.work(SUBJECTS[kind], group=GROUP, at_once=AT_ONCE):
            await self._learn({entry.subject.rpartition(".")[2] for entry in delivery.entries})
            batch, refused = Batch(self._clock.now()), list[Refusal]()
            for entry in delivery.entries:
                if self._flooding.drops(entry):
                    continue
                refused += await self._take_one(batch, kind, entry)
                if len(batch) >= MOST_READINGS:
                    await self._say(batch, kind, entry)
                    batch = Batch(self._clock.now())
            await self._say(batch, kind, delivery.entries[-1])
            await self._refuse(refused)
            await self._flooding.telling()
            await delivery.done()

    async def _say(self, batch: Batch, kind: str, last: Entry) -> None:
        """Known from the moment it is said: a statement as of an instant must find all that was known by then."""
        if len(batch):
            batch.known_at = self._clock.now()
            await self._log.say(SUBJECT, _ENCODER.encode(batch), key=f"{kind}:{last.position}:{len(batch)}")
            _count(batch)

    async def _refuse(self, refused: Sequence[Refusal]) -> None:
        """After the readings are said, and several at once: one VEN's nonsense must not keep the others waiting."""
        gate = asyncio.Semaphore(REFUSE_AT_ONCE)

        async def one(entry: Entry, ven_id: str, dead: Dead) -> None:
            async with gate:
                await self._flooding.refuse(entry, ven_id, dead)

        await asyncio.gather(*[one(*refusal) for refusal in refused])

    async def _take_one(self, batch: Batch, kind: str, entry: Entry) -> list[Refusal]:
        ven_id = entry.subject.rpartition(".")[2]
        self._told(entry)
        if self._heard(ven_id, kind, entry):
            metrics.MESSAGES.labels("duplicate").inc()
            return []
        dead = await self._believed(batch, kind, entry, ven_id)
        metrics.MESSAGES.labels("refused" if dead else "taken").inc()
        if not dead:
            return []
        more = f" (and {len(dead) - 1} more in this message)" if len(dead) > 1 else ""
        return [(entry, ven_id, Dead(dead[0].reason, dead[0].detail + more))]

    async def _believed(self, batch: Batch, kind: str, entry: Entry, ven_id: str) -> list[Dead]:
        """Take what can be believed; what the registry did not know is asked of it once more before it is refused."""
        for _ in range(2):
            if (ven := await self._ven(ven_id)) is None:
                return [Dead("unknown VEN", f"no VEN {ven_id!r} is registered: register it, then let it send")]
            dead = take(batch, kind, ven, entry.data, entry.position, self._limits)
            if not any(one.reason == UNKNOWN_LOAD for one in dead):
                break
            self._known.pop(ven_id, None)
        return dead

    def _heard(self, ven_id: str, kind: str, entry: Entry) -> bool:
        """Whether the VEN sent just these bytes a moment ago: it had not heard that we have them.

        The same entry delivered to us again is not that: it was not done the first time.
        """
        recent = self._recent.setdefault(ven_id, OrderedDict())
        content = hashlib.blake2b(entry.data, digest_size=8, person=kind.encode()).digest()
        if recent.setdefault(content, entry.position) != entry.position:
            return True
        if len(recent) > RECENT:
            recent.popitem(last=False)
        return False

    async def _ven(self, ven_id: str) -> Known | None:
        await self._learn([ven_id])
        return self._known.get(ven_id)

    async def _learn(self, ven_ids: Collection[str]) -> None:
        """What the registry says of those that are not known: all of a batch at once, as after a start nobody is."""
        new = [ven_id for ven_id in ven_ids if ven_id not in self._known]
        found = await self._rows.read(lambda reader: registry.registered(reader, new)) if new else {}
        for ven, loads in found.values():
            self._known[ven.ven_id] = Known(ven.ven_id, ven.limit_kw, {one.resource_id: one.rated_kw for one in loads})

    async def forget_changed(self) -> None:
        """For ever: what the registry says is read again when it changes."""
        self._known.clear()  # what changed while nobody listened
        async for entries in self._log.follow("news.ven.changed", after=None):
            for entry in entries:
                self._known.pop(msgspec.json.decode(entry.data)["ven_id"], None)

    async def watch_waiting(self) -> None:
        """For ever: how far behind the intake is."""
        while True:
            waiting = [await self._log.waiting(subject, group=GROUP) for subject in SUBJECTS.values()]
            metrics.INTAKE_WAITING.set(sum(waiting))
            await asyncio.sleep(5)


def _count(batch: Batch) -> None:
    metrics.READINGS.inc(len(batch))
    for flag in Flag:
        if flag and (flagged := sum(1 for flags in batch.flags if flags & flag)):
            metrics.FLAGGED.labels(str(flag.name).lower()).inc(flagged)
