"""The MQTT door of presence: beats and last wills in, the silent found out.

    beat, last will ─▶ news?  first beat, back again, last will, another beat  ─▶ Rows at once, then done
                       none:  there as before     ─▶ memory ─┐
    reading ─────────▶ of a VEN that beats        ─▶ memory ─┴─▶ Rows once a beat, many in one transaction
    each tick ───────▶ Rows: whose silence is due ─▶ late, offline

Of a thousand beats that say nothing new a crash may lose the last of each VEN; how long VENs were silent is counted
anew after it. Several processes may listen, each message comes to one of them: what each keeps in memory it writes
before that VEN's silence counts, so whichever finds the silent sees what all have heard.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from tieline.base.errors import Refused
from tieline.base.time import Clock
from tieline.ports import Delivery, Entry, Log, Rows
from tieline.telemetry.flooding import Flooding
from tieline.telemetry.model import Dead
from tieline.telemetry.presence.actions import enter, settle
from tieline.telemetry.presence.model import NOTICED_OFF_S, Heard, Policy, Standing, State, off_s
from tieline.telemetry.presence.reads import standings
from tieline.wires.mqtt.codec import decode
from tieline.wires.mqtt.messages import Presence

SUBJECT = "mqtt.ven.presence.*"
GROUP = "telemetry.presence"
TICK_S = 5.0
CAUGHT_UP = timedelta(seconds=30)
"""What is read sooner after we began to listen may have waited for us."""
BEHIND = 2000
"""With more messages waiting we are behind: who seems silent may have been heard by the broker."""


class There(msgspec.Struct, frozen=True):
    """Of a VEN that was online when this process last wrote or read its row."""

    heard_at: datetime
    beat_s: float
    agent: str
    clock_off_s: float | None


class Listener:
    """One a process. `heard` is told of every other message of a VEN."""

    def __init__(self, log: Log, rows: Rows, clock: Clock, policy: Policy, flooding: Flooding) -> None:
        self._log = log
        self._rows = rows
        self._clock = clock
        self._policy = policy
        self._flooding = flooding
        self._known: dict[str, There | None] = {}
        self._unwritten: dict[str, Heard] = {}
        self._listening_at = clock.now()

    async def run(self) -> None:
        self._listening_at = self._clock.now()
        self._learn((await self._rows.read(standings)).values())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self._watch())

    def heard(self, entry: Entry) -> None:
        """Of a message that is no presence: its VEN is there."""
        message = Heard(entry.subject.rpartition(".")[2], entry.said_at, self._clock.now())
        if message.ven_id in self._known:
            self._remember(message)

    async def _listen(self) -> None:
        async for delivery in self._log.work(SUBJECT, group=GROUP):
            await self.take(delivery)

    async def take(self, delivery: Delivery) -> None:
        news = list[tuple[Entry, Heard]]()
        for entry in delivery.entries:
            if self._flooding.drops(entry):
                continue
            try:
                message = self._read(entry)
            except Refused as error:
                await self._refuse(entry, Dead("malformed", str(error)))
                continue
            self._remember(message) if self._is_no_news(message) else news.append((entry, message))
        try:
            await self._enter(news)
        except Refused:
            await self._enter_singly(news)
        await self._flooding.telling()
        await delivery.done()

    async def _enter(self, news: Sequence[tuple[Entry, Heard]]) -> None:
        """Raises `Refused` where a value of any fits no column."""
        if news:
            messages = [message for _, message in news]
            after, unknown = await self._rows.transaction(lambda tx: enter(tx, messages, self._policy))
            self._learn(after)
            await self._refuse_unknown([entry for entry, _ in news], unknown)

    async def _enter_singly(self, news: Sequence[tuple[Entry, Heard]]) -> None:
        """One message that cannot be kept must not stop the others, nor come back for ever."""
        for one in news:
            try:
                await self._enter([one])
            except Refused as error:
                await self._refuse(one[0], Dead("malformed", str(error)))

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(TICK_S)
            if await self._log.waiting(SUBJECT, group=GROUP) > BEHIND:
                self._listening_at = self._clock.now()
            await self.tick()

    async def tick(self) -> None:
        """Write what is due of memory, and find the silent."""
        now, messages = self._clock.now(), dict(self._unwritten)
        due = [ven_id for ven_id in messages if self._is_due(ven_id, now)]
        since = self._listening_at
        after = await self._rows.transaction(lambda tx: settle(tx, messages, due, now, since, self._policy))
        for ven_id in {*due, *(one.ven_id for one in after)} & messages.keys():
            if self._unwritten.get(ven_id) is messages[ven_id]:  # else a newer one came meanwhile
                del self._unwritten[ven_id]
        self._learn(after)

    def _read(self, entry: Entry) -> Heard:
        """Raises `Refused`."""
        said, ven_id = decode(entry.data, Presence), entry.subject.rpartition(".")[2]
        agent = said.agent.replace("\x00", "\ufffd")  # PostgreSQL takes no NUL in text
        now = self._clock.now()
        return Heard(ven_id, entry.said_at, now, said.online, said.beat_s, agent, self._off_s(ven_id, said, now))

    def _off_s(self, ven_id: str, said: Presence, now: datetime) -> float | None:
        """What waited for us, since we were away, tells nothing of its clock: then what was known."""
        there = self._known.get(ven_id)
        if said.at is None or now - self._listening_at < CAUGHT_UP:
            return there.clock_off_s if there else None
        return off_s(said.at, now)

    def _is_no_news(self, message: Heard) -> bool:
        there = self._known.get(message.ven_id)
        if not message.online or there is None:
            return False
        same = (there.beat_s, there.agent) == (message.beat_s, message.agent)
        return same and _near(there.clock_off_s, message.clock_off_s)

    def _is_due(self, ven_id: str, now: datetime) -> bool:
        """A tick before a beat has passed: silence counts only later."""
        there = self._known.get(ven_id)
        if there is None:
            return True
        beat_s = max(there.beat_s, self._policy.least_beat_s)
        return now - there.heard_at >= timedelta(seconds=beat_s - TICK_S)

    def _remember(self, message: Heard) -> None:
        known = self._unwritten.get(message.ven_id)
        if known is None or known.said_at < message.said_at:
            self._unwritten[message.ven_id] = message

    def _learn(self, found: Iterable[Standing]) -> None:
        for one in found:
            plainly = one.state is State.ONLINE and one.gone_at is None
            self._known[one.ven_id] = There(one.heard_at, one.beat_s, one.agent, one.clock_off_s) if plainly else None

    async def _refuse_unknown(self, entries: Sequence[Entry], unknown: Sequence[str]) -> None:
        for entry in entries:
            ven_id = entry.subject.rpartition(".")[2]
            if ven_id in unknown:
                dead = Dead("unknown VEN", f"no VEN {ven_id!r} is registered: register it, then let it send")
                await self._refuse(entry, dead)

    async def _refuse(self, entry: Entry, dead: Dead) -> None:
        await self._flooding.refuse(entry, entry.subject.rpartition(".")[2], dead)


def _near(one_s: float | None, other_s: float | None) -> bool:
    """Whether a clock is as far off as it was."""
    return abs((one_s or 0.0) - (other_s or 0.0)) < NOTICED_OFF_S
