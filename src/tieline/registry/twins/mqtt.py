"""The MQTT door of twins: what devices report of themselves, and what they are told when they show themselves.

ven/twin/{venId}  ─▶ entered ─▶ what is still desired, or why it was refused ─▶ ven/desired/{venId}
ven/presence/{venId}, each beat and so each return: what is still desired    ─▶ ven/desired/{venId}

What cannot be entered now, a bucket that is full or a twin that too many change, is delivered again; other VENs go on.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec
import structlog

from tieline import metrics
from tieline.base.errors import Conflict, Refused, Unready
from tieline.ports import Delivery, Entry, Log, Rows
from tieline.registry import reads as registry
from tieline.registry.twins.actions import Twins
from tieline.registry.twins.outstanding import Outstanding
from tieline.wires.mqtt import codec
from tieline.wires.mqtt.messages import PRESENCE, TWIN, Presence, TwinReport

log = structlog.get_logger(__name__)
GROUP = "twins"
REPORTS, BEATS = (f"mqtt.{kind.replace('/', '.')}.*" for kind in (TWIN, PRESENCE))
SUBJECTS = (REPORTS, BEATS)
REVOKED = "news.device.revoked"
AT_ONCE = 200
VENS_AT_ONCE = 32

Refuse = Callable[[Entry, str, str, str], Awaitable[None]]
"""Keep a refused entry: of which VEN, the reason in a few words to count by, and what was wrong."""
SaidAt = Callable[[Entry], datetime]
"""What the platform's clock showed when an entry was said."""


class Flooded(Protocol):
    """Who sends too much: what of theirs is dropped. `telling` is called before a delivery is done with."""

    def drops(self, entry: Entry) -> bool: ...
    async def telling(self) -> None: ...


class Reports:
    """Enters reports, those of one VEN in order; several processes may, and one delivered again changes nothing."""

    def __init__(
        self,
        log: Log,
        rows: Rows,
        twins: Twins,
        outstanding: Outstanding,
        refuse: Refuse,
        said_at: SaidAt,
        flooded: Flooded,
    ) -> None:
        self._log = log
        self._rows = rows
        self._twins = twins
        self._outstanding = outstanding
        self._refuse = refuse
        self._said_at = said_at
        self._flooded = flooded

    async def run(self) -> None:
        async for delivery in self._log.work(REPORTS, group=GROUP, at_once=AT_ONCE):
            left = await self._take(delivery)
            await self._flooded.telling()
            await delivery.done(but=left)

    async def _take(self, delivery: Delivery) -> Sequence[Entry]:
        """What could not be taken now."""
        by_ven = _by_ven([entry for entry in delivery.entries if not self._flooded.drops(entry)])
        known = await self._rows.read(lambda reader: {one for one in by_ven if registry.find_ven(reader, one)})
        gate, left = asyncio.Semaphore(VENS_AT_ONCE), list[Entry]()

        async def each(ven_id: str, entries: Sequence[Entry]) -> None:
            async with gate:
                left.extend(await self._take_all(ven_id, entries, is_known=ven_id in known))

        async with asyncio.TaskGroup() as group:
            for ven_id, entries in by_ven.items():
                group.create_task(each(ven_id, entries))
        return left

    async def _take_all(self, ven_id: str, entries: Sequence[Entry], *, is_known: bool) -> Sequence[Entry]:
        """Of one VEN, in order, as far as can be; gives back those from where that ended."""
        for number, entry in enumerate(entries):
            try:
                await (self._enter(ven_id, entry) if is_known else self._turn_away(ven_id, entry))
            except Unready as error:
                log.warning("reports of a device wait", ven_id=ven_id, reason=str(error))
                return entries[number:]
        return []

    async def _turn_away(self, ven_id: str, entry: Entry) -> None:
        metrics.TWIN_REPORTS.labels("refused").inc()
        await self._refuse(entry, ven_id, "unknown VEN", f"no VEN {ven_id!r} is registered: register it first")

    async def _enter(self, ven_id: str, entry: Entry) -> None:
        report = TwinReport()  # until it can be read, it is taken to be of the twin that has no name
        try:
            report = codec.decode(entry.data, TwinReport)
            await self._twins.report(ven_id, report, entry.position, self._said_at(entry))
        except Conflict as error:  # nothing is wrong with it: the device reads where its twin stands, and says it anew
            metrics.TWIN_REPORTS.labels("conflict").inc()
            await self._twins.refuse(ven_id, report, str(error))
        except Refused as error:
            metrics.TWIN_REPORTS.labels("refused").inc()
            await self._refuse(entry, ven_id, "no twin", str(error))
            await self._twins.refuse(ven_id, report, str(error))
        else:
            metrics.TWIN_REPORTS.labels("asked" if report.reported is None else "taken").inc()
            if report.reported is None:
                await self._tell_others(ven_id, report.name)

    async def _tell_others(self, ven_id: str, answered: str) -> None:
        for name in self._outstanding.of(ven_id):
            if name != answered:
                await self._twins.tell_again(ven_id, name)


class Beats:
    """Tells devices that show themselves what is still desired of them: they may not have heard it before."""

    def __init__(self, log: Log, twins: Twins, outstanding: Outstanding, flooded: Flooded) -> None:
        self._log = log
        self._twins = twins
        self._outstanding = outstanding
        self._flooded = flooded

    async def run(self) -> None:
        async for delivery in self._log.work(BEATS, group=GROUP):
            await self._answer([entry for entry in delivery.entries if not self._flooded.drops(entry)])
            await self._flooded.telling()
            await delivery.done()

    async def _answer(self, entries: Sequence[Entry]) -> None:
        gate = asyncio.Semaphore(VENS_AT_ONCE)

        async def each(ven_id: str, names: Sequence[str]) -> None:
            async with gate:
                for name in names:
                    await self._twins.tell_again(ven_id, name)

        newest = {ven_id: heard[-1] for ven_id, heard in _by_ven(entries).items()}
        waiting = {ven_id: self._outstanding.of(ven_id) for ven_id, entry in newest.items() if _is_there(entry)}
        async with asyncio.TaskGroup() as group:
            for ven_id, names in waiting.items():
                group.create_task(each(ven_id, names))


class Leavers:
    """Deletes the twins of VENs that are retired."""

    def __init__(self, log: Log, rows: Rows, twins: Twins) -> None:
        self._log = log
        self._rows = rows
        self._twins = twins

    async def run(self) -> None:
        async for delivery in self._log.work(REVOKED, group=GROUP):
            for ven_id in await self._gone(delivery.entries):
                await self._twins.forget(ven_id)
            await delivery.done()

    async def _gone(self, news: Sequence[Entry]) -> list[str]:
        """The same is said of those whose credential is renewed."""
        named = sorted({msgspec.json.decode(entry.data)["ven_id"] for entry in news})
        return await self._rows.read(lambda reader: [one for one in named if registry.is_retired(reader, one)])


def _is_there(entry: Entry) -> bool:
    try:
        return codec.decode(entry.data, Presence).online
    except Refused:
        return False  # the room that keeps presence says so


def _by_ven(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    found: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        found[entry.subject.rpartition(".")[2]].append(entry)
    return found
