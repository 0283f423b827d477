"""The fleet as it is now, out of the tail and the registry: who is online, what it draws, what it could give up."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from tieline.base.names import power_series, sheddable_series
from tieline.base.series import Flag
from tieline.base.time import Clock
from tieline.ports import Rows
from tieline.registry import reads as registry
from tieline.registry.model import Kind, Resource, Ven
from tieline.telemetry.tail import Latest, Tail

REGISTRY_SECONDS = 3.0
"""How old (on the wall) what is remembered of the registry may be; it changes seldom."""


class LoadNow(msgspec.Struct, frozen=True):
    resource_id: str
    name: str
    kind: Kind
    rated_kw: float
    sheddable: bool
    power_kw: float | None
    sheddable_kw: float | None
    shed: bool


class VenNow(msgspec.Struct, frozen=True):
    """A VEN and its newest values; None where it has sent none. `online` when heard of lately."""

    ven_id: str
    name: str
    site_id: str
    site_name: str
    zone: str
    created_at: datetime
    online: bool
    last_seen_at: datetime | None
    power_kw: float | None
    sheddable_kw: float | None
    shed: bool
    resources: list[LoadNow] = []


class FleetNow(msgspec.Struct, frozen=True):
    """Power is the sum over VENs online; those heard of but not lately are stale, and not in it."""

    now_at: datetime
    power_kw: float
    controllable_kw: float
    vens: int
    online: int
    stale: int
    shedding: int


class Fleet:
    """A view for the doors; nothing of it is kept that could not be made again."""

    def __init__(self, rows: Rows, tail: Tail, clock: Clock, online_s: float) -> None:
        self._rows = rows
        self._tail = tail
        self._clock = clock
        self._online = timedelta(seconds=online_s)
        self._read_at = -REGISTRY_SECONDS
        self._vens: list[Ven] = []
        self._loads: dict[str, list[Resource]] = {}

    async def remember(self) -> None:
        """At start: the newest values out of Series."""
        await self._registry()
        ids = [power_series(ven.ven_id) for ven in self._vens]
        for loads in self._loads.values():
            ids += [power_series(one.ven_id, one.resource_id) for one in loads]
            ids += [sheddable_series(one.ven_id, one.resource_id) for one in loads if one.sheddable]
        if ids:
            await self._tail.remember(ids, self._clock.now() - timedelta(days=1))

    async def now(self) -> FleetNow:
        vens = await self.vens()
        online = [ven for ven in vens if ven.online]
        return FleetNow(
            now_at=self._clock.now(),
            power_kw=round(sum(ven.power_kw or 0.0 for ven in online), 3),
            controllable_kw=round(sum(ven.sheddable_kw or 0.0 for ven in online), 3),
            vens=len(vens),
            online=len(online),
            stale=sum(1 for ven in vens if ven.last_seen_at is not None and not ven.online),
            shedding=sum(1 for ven in online if ven.shed),
        )

    async def vens(self) -> list[VenNow]:
        """All, in order of id, without their loads."""
        await self._registry()
        return self._listed(self._vens)

    async def listed(self, *, q: str | None, after: str, limit: int, online: bool | None) -> list[VenNow]:
        """Up to `limit` after an id, in order of id, without their loads; as registered this moment."""
        await self._registry()
        if online is None:
            return self._listed(await registry.vens(self._rows, q=q, after=after, limit=limit))
        found = self._listed(await registry.vens(self._rows, q=q, after=after))
        return [ven for ven in found if ven.online == online][:limit]

    def _listed(self, vens: Sequence[Ven]) -> list[VenNow]:
        now = self._clock.now()
        return [msgspec.structs.replace(self._ven(ven, now), resources=[]) for ven in vens]

    async def ven(self, ven_id: str) -> VenNow:
        """One, with its loads. Raises `NotFound`."""
        found = await self._rows.read(lambda reader: registry.the_ven(reader, ven_id))
        self._loads[ven_id] = await registry.resources(self._rows, ven_id)
        return self._ven(found, self._clock.now())

    async def _registry(self) -> None:
        wall = asyncio.get_running_loop().time()
        if wall - self._read_at < REGISTRY_SECONDS:
            return
        self._read_at = wall
        vens, loads = await registry.vens(self._rows), dict[str, list[Resource]]()
        for load in await registry.resources(self._rows):
            loads.setdefault(load.ven_id, []).append(load)
        self._vens, self._loads = vens, loads

    def _ven(self, ven: Ven, now: datetime) -> VenNow:
        meter = self._tail.latest.get(power_series(ven.ven_id))
        loads = [self._load(load, now) for load in self._loads.get(ven.ven_id, [])]
        sheddable = [load.sheddable_kw for load in loads if load.sheddable_kw is not None]
        return VenNow(
            ven_id=ven.ven_id,
            name=ven.name,
            site_id=ven.site_id,
            site_name=ven.site_name,
            zone=ven.zone,
            created_at=ven.created_at,
            online=self._fresh(meter, now),
            last_seen_at=meter.at if meter else None,
            power_kw=round(meter.value, 3) if meter else None,
            sheddable_kw=round(sum(sheddable), 3) if sheddable else None,
            shed=any(load.shed for load in loads),
            resources=loads,
        )

    def _load(self, load: Resource, now: datetime) -> LoadNow:
        power = self._tail.latest.get(power_series(load.ven_id, load.resource_id))
        spare = self._tail.latest.get(sheddable_series(load.ven_id, load.resource_id)) if load.sheddable else None
        return LoadNow(
            resource_id=load.resource_id,
            name=load.name,
            kind=load.kind,
            rated_kw=load.rated_kw,
            sheddable=load.sheddable,
            power_kw=round(power.value, 3) if power else None,
            sheddable_kw=round(spare.value, 3) if spare and self._fresh(spare, now) else None,
            shed=bool(power and power.flags & Flag.SHED and self._fresh(power, now)),
        )

    def _fresh(self, reading: Latest | None, now: datetime) -> bool:
        return reading is not None and now - reading.at <= self._online
