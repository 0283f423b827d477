"""The MQTT door of telemetry: device messages, thousands at once, into the readings stream of the Log.

A PUBACK told the device that the broker keeps its message. It stays there until this room has said its readings on
the Log (durable, replayable) and its refusals among the dead letters; only then is it done. A crash in between
delivers it again: its readings come twice, with the same position, and count once (`telemetry.ordering`).

    broker ─▶ delivery n+1: decoded, gathered in columns (`telemetry.taking`)
              delivery n:   said ─▶ refused ─▶ done        meanwhile
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from tieline import metrics
from tieline.base.time import Clock
from tieline.ports import MQTT, Delivery, Entry, Log, Rows
from tieline.telemetry.batch import Columns
from tieline.telemetry.flooding import Flooding
from tieline.telemetry.model import Limits
from tieline.telemetry.taking import SUBJECT, Refusal, Taking

__all__ = ["DEVICES", "GROUP", "SUBJECT", "Intake"]
GROUP = "telemetry"
DEVICES = f"{MQTT}.>"
"""All that devices publish, what is not ours passed over: a group on a part of it costs the broker three times this."""
AT_ONCE = 5000
REFUSE_AT_ONCE = 16
WATCH_S = 5.0
log = structlog.get_logger(__name__)


class Intake:
    """Takes device messages from the broker; several processes may, each message goes to one of them. `heard` is told
    of each VEN's last: it is there. What `flooding` drops is not taken."""

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
        self._told = heard
        self._flooding = flooding
        self.taking = Taking(log, rows, clock, limits)
        self.forget_changed = self.taking.forget_changed
        self._before: dict[str, int] = {}  # by subject: the last message

    async def run(self) -> None:
        finishing: asyncio.Task[None] | None = None
        try:
            async for delivery in self._log.work(DEVICES, group=GROUP, at_once=AT_ONCE):
                mine = self._flooding.kept([one for one in delivery.entries if self.taking.is_ours(one)])
                columns, refused = await self.taking.take(mine)
                self._count(mine, len(refused))
                if finishing is not None:
                    await finishing
                finishing = asyncio.create_task(self._finish(delivery, columns, refused))
        finally:
            if finishing is not None:
                finishing.cancel()
                await asyncio.gather(finishing, return_exceptions=True)

    async def _finish(self, delivery: Delivery, columns: Columns, refused: Sequence[Refusal]) -> None:
        first, last = delivery.entries[0].position, delivery.entries[-1].position
        await self.taking.say(columns, f"{first}:{last}:{len(delivery.entries)}")
        await self._refuse(refused)
        await self._flooding.telling()
        await delivery.done()

    async def _refuse(self, refused: Sequence[Refusal]) -> None:
        """After the readings are said, and several at once: one VEN's nonsense must not keep the others waiting."""
        gate = asyncio.Semaphore(REFUSE_AT_ONCE)

        async def one(refusal: Refusal) -> None:
            async with gate:
                await self._flooding.refuse(*refusal)

        await asyncio.gather(*[one(refusal) for refusal in refused])

    def _count(self, entries: Sequence[Entry], refused: int) -> None:
        """Their VENs are there. A message that says what the one before it said is counted apart, but not left out: the
        VEN may have sent it again since it had not heard us, or mean that what was said in between was wrong."""
        repeated, before = 0, self._before
        for entry in entries:
            content = hash(entry.data)
            if before.get(entry.subject) == content:
                repeated += 1
            before[entry.subject] = content
        for entry in {entry.subject: entry for entry in entries}.values():
            self._told(entry)
        metrics.MESSAGES.labels("duplicate").inc(repeated)
        metrics.MESSAGES.labels("refused").inc(refused)
        metrics.MESSAGES.labels("taken").inc(max(0, len(entries) - refused - repeated))

    async def watch_waiting(self) -> None:
        """For ever: how far behind the intake is."""
        while True:
            metrics.INTAKE_WAITING.set(await self._log.waiting(DEVICES, group=GROUP))
            oldest = await self._log.oldest(DEVICES, group=GROUP)
            metrics.INTAKE_LAG.set((self._flooding.wall.now() - oldest).total_seconds() if oldest else 0.0)
            await asyncio.sleep(WATCH_S)
