"""Changing twins: by compare-and-set, so that of many that change one at once no change is lost; what is then desired
and not so reported is told to the device."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeVar

import msgspec
import structlog

from tieline import metrics
from tieline.base.errors import Conflict, NotFound, Refused, Unready
from tieline.base.names import is_id
from tieline.base.time import Clock
from tieline.ports import Documents, Rows
from tieline.registry import reads as registry
from tieline.registry.twins import reads
from tieline.registry.twins.model import (
    MAX_TWINS,
    State,
    Twin,
    TwinChange,
    TwinView,
    changed,
    delta,
    entered,
    removed,
    same,
)
from tieline.wires.mqtt.messages import DESIRED, TwinDelta, TwinReport, topic

log = structlog.get_logger(__name__)
T = TypeVar("T", bound=Twin | None)
TRIES = 32
_encode = msgspec.json.Encoder().encode


class Publish(Protocol):
    """Says something at the MQTT door. Raises `Unready` while it is away."""

    async def __call__(self, topic: str, payload: bytes, *, retain: bool) -> None: ...


class Twins:
    """The twins of all VENs, as operators and devices change them."""

    def __init__(self, documents: Documents, rows: Rows, clock: Clock, publish: Publish) -> None:
        self._documents = documents
        self._rows = rows
        self._clock = clock
        self._publish = publish

    async def change(self, ven_id: str, name: str, change: TwinChange) -> TwinView:
        """Raises `NotFound` for an unknown or retired VEN, `Conflict` for another version, `Refused`."""
        await self._rows.read(lambda reader: registry.the_ven(reader, ven_id))
        at = self._clock.now()
        twin = await self._put(ven_id, name, lambda before: changed(before, change, at))
        if _left(twin):
            await self.tell(ven_id, name, twin)
        return reads.view(ven_id, name, twin)

    async def delete(self, ven_id: str, name: str) -> None:
        """Raises `NotFound`."""
        at = self._clock.now()

        def work(before: Twin | None) -> Twin:
            if before is None or before.deleted:
                raise NotFound(f"VEN {ven_id} has no twin {name!r}")
            return removed(before, at)

        await self._put(ven_id, name, work)

    async def report(self, ven_id: str, report: TwinReport, position: int, said_at: datetime) -> None:
        """Enter what a device reported at `said_at`, which the broker has at `position`, or answer what it asks.
        Delivered late or again, it changes nothing. Raises `Refused`; `Conflict` for another version."""
        left: State = {}

        def work(before: Twin | None) -> Twin | None:
            nonlocal left
            left = _left(before)
            if report.reported is None:
                return before
            return entered(before, report.reported, position, said_at, report.version)

        twin = await self._put(ven_id, report.name, work)
        asked = report.reported is None or bool(report.token)
        # Whoever cannot be as desired, and reports so each time that it is told, is not told each time that it reports.
        if asked or ((now_left := _left(twin)) and not same(left, now_left)):
            await self.tell(ven_id, report.name, twin, token=report.token)

    async def forget(self, ven_id: str) -> None:
        """Delete the twins of a VEN that is no more, with their histories."""
        at = self._clock.now()

        def work(before: Twin | None) -> Twin | None:
            return None if before is None else Twin(before.version + 1, max(at, before.at), deleted=True)

        for name in await reads.names(self._documents, ven_id):
            await self._put(ven_id, name, work, alone=True)

    async def refuse(self, ven_id: str, report: TwinReport, why: str) -> None:
        """Tell a device that its report was not taken, and where its twin stands."""
        twin = await reads.find_twin(self._documents, ven_id, report.name)
        await self.tell(ven_id, report.name, twin, token=report.token, refused=why)

    async def tell(
        self, ven_id: str, name: str, twin: Twin | None = None, *, token: str = "", refused: str = ""
    ) -> None:
        """Tell a device what is desired of it and not so reported. Who does not hear it is told again at its next beat,
        so it is not retained, and a broker that is away makes no change fail."""
        state = _left(twin)
        version, at = (twin.version, twin.at) if twin else (0, self._clock.now())
        message = TwinDelta(name, version, at, state, token, refused)
        metrics.TWIN_DELTAS.inc()
        try:
            await self._publish(topic(DESIRED, ven_id), _encode(message), retain=False)
        except Unready as error:
            log.warning("a twin's delta was not told", ven_id=ven_id, twin=name, reason=str(error))

    async def tell_again(self, ven_id: str, name: str) -> None:
        """Tell it if there is anything to tell."""
        twin = await reads.find_twin(self._documents, ven_id, name)
        if _left(twin):
            await self.tell(ven_id, name, twin)

    async def _put(self, ven_id: str, name: str, work: Callable[[Twin | None], T], *, alone: bool = False) -> T:
        """What the work makes of the twin, put; when another came first, of the twin as that left it."""
        key = reads.key(ven_id, name)
        for _ in range(TRIES):
            document = await self._documents.get(key)
            before = None if document is None else reads.decoded(document)
            after = work(before)
            if after is None or after is before:
                return after
            if document is None:
                await self._check_room(ven_id, name)
            try:
                expected = document.revision if document else 0
                await self._documents.put(key, _encode(after), expected=expected, alone=alone)
            except Conflict:
                continue
            return after
        raise Unready(f"twin {name} of VEN {ven_id} is changed by too many at once: try again")

    async def _check_room(self, ven_id: str, name: str) -> None:
        if not is_id(name):
            raise Refused(f"{name[:80]!r} is no name of a twin: 1 to 64 of A-Z a-z 0-9 _ -")
        if len(await reads.names(self._documents, ven_id)) >= MAX_TWINS:
            raise Refused(f"VEN {ven_id} has {MAX_TWINS} twins already, or had them: {name} would be one more")


def _left(twin: Twin | None) -> State:
    return delta(twin.desired, twin.reported) if twin else {}
