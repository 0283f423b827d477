"""Messages of known VENs to columns: many at once, with care where one is odd; and said on the Log."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import msgspec

from tieline import metrics
from tieline.base.series import Flag
from tieline.base.time import Clock
from tieline.ports import MQTT, Entry, Log, Rows
from tieline.registry import reads as registry
from tieline.telemetry.batch import Columns, columns_of, joined, packed
from tieline.telemetry.gathering import Gathering
from tieline.telemetry.model import KINDS, UNKNOWN_LOAD, Batch, Dead, Known, Limits, take
from tieline.wires.mqtt.messages import METER

SUBJECT = "readings.mqtt"
IN_ONE_GO = 1000  # messages, before others in this process have their turn
MOST_READINGS = 50_000  # of a batch: well within what the Log takes in one piece
Refusal = tuple[Entry, str, Dead]
_OURS = {f"{MQTT}.{kind.replace('/', '.')}": kind for kind in KINDS}


class Taking:
    """What the registry says of VENs is remembered."""

    def __init__(self, log: Log, rows: Rows, clock: Clock, limits: Limits) -> None:
        self._log = log
        self._rows = rows
        self._clock = clock
        self._limits = limits
        self.known: dict[str, Known] = {}
        self._routes: dict[str, tuple[str, str]] = {}  # by subject: what kind of message, of which VEN

    def is_ours(self, entry: Entry) -> bool:
        """Whether it is a message with readings."""
        if entry.subject in self._routes:
            return True
        under, _, ven_id = entry.subject.rpartition(".")
        if (kind := _OURS.get(under)) is not None:
            self._routes[entry.subject] = kind, ven_id
        return kind is not None

    async def take(self, entries: Sequence[Entry]) -> tuple[Columns, list[Refusal]]:
        """What is believed of some messages of ours, and what is refused."""
        now, single = self._clock.now(), list[Entry]()
        gathering = Gathering(now, self._limits)
        await self._learn({self._routes[one.subject][1] for one in entries})
        for first in range(0, len(entries), IN_ONE_GO):
            single += self._gathered(gathering, entries[first : first + IN_ONE_GO])
            await asyncio.sleep(0)
        columns, unusual = gathering.columns()
        if unusual:
            odd = set(unusual)
            single += [entry for entry in entries if entry.position in odd]
        batch, refused = Batch(now), list[Refusal]()
        for entry in single:
            refused += await self._take_one(batch, entry)
        return joined(columns, columns_of(batch)) if single else columns, refused

    def _gathered(self, gathering: Gathering, entries: Sequence[Entry]) -> list[Entry]:
        """Those that could not be."""
        left = list[Entry]()
        for entry in entries:
            kind, ven_id = self._routes[entry.subject]
            ven = self.known.get(ven_id) if kind == METER else None
            if ven is None or not gathering.offer(ven, entry.data, entry.position):
                left.append(entry)
        return left

    async def _take_one(self, batch: Batch, entry: Entry) -> list[Refusal]:
        """With all the care that one message needs in which something is odd."""
        kind, ven_id = self._routes[entry.subject]
        dead = await self._believed(batch, kind, entry, ven_id)
        if not dead:
            return []
        more = f" (and {len(dead) - 1} more in this message)" if len(dead) > 1 else ""
        return [(entry, ven_id, Dead(dead[0].reason, dead[0].detail + more))]

    async def _believed(self, batch: Batch, kind: str, entry: Entry, ven_id: str) -> list[Dead]:
        """Take what can be believed; what the registry did not know is asked of it once more before it is refused."""
        for _ in range(2):
            await self._learn([ven_id])
            if (ven := self.known.get(ven_id)) is None:
                return [Dead("unknown VEN", f"no VEN {ven_id!r} is registered: register it, then let it send")]
            dead = take(batch, kind, ven, entry.data, entry.position, self._limits)
            if not any(one.reason == UNKNOWN_LOAD for one in dead):
                break
            self.known.pop(ven_id, None)
        return dead

    async def _learn(self, ven_ids: Collection[str]) -> None:
        """What the registry says of those that are not known: all of a batch at once, as after a start nobody is."""
        new = [ven_id for ven_id in ven_ids if ven_id not in self.known]
        found = await self._rows.read(lambda reader: registry.registered(reader, new)) if new else {}
        for ven, loads in found.values():
            rated_kw = {one.resource_id: one.rated_kw for one in loads}
            fixed = frozenset(one.resource_id for one in loads if not one.sheddable)
            self.known[ven.ven_id] = Known(ven.ven_id, ven.limit_kw, rated_kw, fixed)

    async def forget_changed(self) -> None:
        """For ever: what the registry says is read again when it changes."""
        self.known.clear()  # what changed while nobody listened
        async for entries in self._log.follow("news.ven.changed", after=None):
            for entry in entries:
                self.known.pop(msgspec.json.decode(entry.data)["ven_id"], None)

    async def say(self, columns: Columns, key: str) -> None:
        """Known from the moment it is said: a statement as of an instant must find all that was known by then. `key`
        is of the messages, so that what is said again within two minutes is said once."""
        for first in range(0, len(columns), MOST_READINGS):
            part = columns.part(slice(first, first + MOST_READINGS))
            part.known_at = whole_milliseconds(self._clock.now())
            await self._log.say(SUBJECT, packed(part), key=f"{key}:{first}:{len(columns)}")
            _count(part)


def whole_milliseconds(at: datetime) -> datetime:
    """Up to the next one: Series keeps these in a quarter less than microseconds, and nothing is known too early."""
    return at + timedelta(microseconds=-at.microsecond % 1000)


def _count(columns: Columns) -> None:
    metrics.READINGS.inc(len(columns))
    if columns.flags.any():
        for flag in Flag:
            if flag and (flagged := int(((columns.flags & int(flag)) > 0).sum())):
                metrics.FLAGGED.labels(str(flag.name).lower()).inc(flagged)
