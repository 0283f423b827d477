"""The fleet as it is now, out of the tail, the registry and presence: who is there, what it draws, could give up."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from tieline import metrics
from tieline.base.names import power_series, sheddable_series, withheld_series
from tieline.base.series import Flag
from tieline.base.time import Clock
from tieline.ports import Rows
from tieline.registry import reads as registry
from tieline.registry.model import Resource, Ven
from tieline.telemetry.presence import reads as presence
from tieline.telemetry.presence.model import USUAL, Policy, Standing, State, flapping
from tieline.telemetry.sums import By, Group, LeftOut, LoadNow, Sums, VenNow, grouped, kw, summed, why_left_out
from tieline.telemetry.tail import Latest, Tail

REGISTRY_SECONDS = 3.0
"""How old (on the wall) what is remembered of the registry and of presence may be; they change seldom."""
NOW_SECONDS = 0.9
GONE = (State.NEVER, State.OFFLINE)


class FleetNow(msgspec.Struct, frozen=True):
    """Power is the sum over VENs with fresh values that are not offline. Of `online` VENs some are `late`; `stale` are
    those heard of, but not in the sum."""

    now_at: datetime
    power_kw: float
    controllable_kw: float
    shed_kw: float
    vens: int
    online: int
    late: int
    stale: int
    shedding: int


class Statistics(msgspec.Struct, frozen=True):
    """The network now: in total, and by group."""

    now_at: datetime
    by: By | None
    total: Sums
    groups: list[Group]
    next_cursor: str | None = None


class Fleet:
    """A view for the doors; nothing of it is kept that could not be made again. A VEN that does not say when it is
    there is online while its meter was heard of within `online_s`."""

    def __init__(self, rows: Rows, tail: Tail, clock: Clock, online_s: float, policy: Policy = USUAL) -> None:
        self._rows = rows
        self._clock = clock
        self._online = timedelta(seconds=online_s)
        self._policy = policy
        self._read_at = -REGISTRY_SECONDS
        self._now: tuple[float, FleetNow] | None = None
        self._vens: list[Ven] = []
        self._loads: dict[str, list[Resource]] = {}
        self._standings: Mapping[str, Standing] = {}
        self.tail = tail

    async def remember(self) -> None:
        """At start: the newest values out of Series."""
        await self._registry()
        ids = [power_series(ven.ven_id) for ven in self._vens]
        for loads in self._loads.values():
            ids += [power_series(one.ven_id, one.resource_id) for one in loads]
            ids += [name(one.ven_id, one.resource_id) for one in loads if one.sheddable for name in _OF_SHEDDABLE]
        if ids:
            await self.tail.remember(ids, self._clock.now() - timedelta(days=1))

    async def now(self) -> FleetNow:
        """At most a second old on the wall: however many look on, the sums are made once."""
        wall = asyncio.get_running_loop().time()
        if self._now is None or wall - self._now[0] >= NOW_SECONDS:
            self._now = wall, self._summed(await self._all())
        return self._now[1]

    def _summed(self, vens: Sequence[VenNow]) -> FleetNow:
        sums, states = summed(vens), [ven.presence for ven in vens]
        return FleetNow(
            now_at=self._clock.now(),
            power_kw=sums.used_kw,
            controllable_kw=sums.controllable_kw,
            shed_kw=sums.shed_kw,
            vens=sums.vens,
            online=sum(1 for ven in vens if ven.online),
            late=states.count(State.LATE),
            stale=sums.vens - sums.counted - sums.excluded.never,
            shedding=sums.shedding,
        )

    async def statistics(self, by: By | None) -> Statistics:
        vens = await self._all()
        return Statistics(self._clock.now(), by, summed(vens), [] if by is None else grouped(vens, by))

    async def measure(self) -> None:
        """Tell the metrics."""
        vens = await self._all()
        states, sums = Counter(ven.presence for ven in vens), summed(vens)
        for state in State:
            metrics.VENS.labels(state.value).set(states[state])
        for reason in LeftOut:
            metrics.FLEET_LEFT_OUT.labels(reason.value).set(getattr(sums.excluded, reason.value))
        metrics.FLEET_USED_KW.set(sums.used_kw)
        metrics.FLEET_CONTROLLABLE_KW.set(sums.controllable_kw)
        metrics.FLEET_SHED_KW.set(sums.shed_kw)

    async def vens(self) -> list[VenNow]:
        """All, in order of id, without their loads."""
        return [_briefly(ven) for ven in await self._all()]

    async def listed(self, *, q: str | None, after: str, limit: int, states: Sequence[State] | None) -> list[VenNow]:
        """Up to `limit` after an id, in order of id, without their loads; as registered this moment."""
        await self._registry()
        most = limit if states is None else None
        found, now = await registry.vens(self._rows, q=q, after=after, limit=most), self._clock.now()
        listed = (_briefly(self._ven(ven, now)) for ven in found)
        return [ven for ven in listed if states is None or ven.presence in states][:limit]

    async def ven(self, ven_id: str) -> VenNow:
        """One, with its loads. Raises `NotFound`."""
        found = await self._rows.read(lambda reader: registry.the_ven(reader, ven_id))
        standing = await self._rows.read(lambda reader: presence.standings(reader, [ven_id]))
        self._standings = {**self._standings, **standing}
        self._loads[ven_id] = await registry.resources(self._rows, ven_id)
        return self._ven(found, self._clock.now())

    async def _all(self) -> list[VenNow]:
        await self._registry()
        now = self._clock.now()
        return [self._ven(ven, now) for ven in self._vens]

    async def _registry(self) -> None:
        wall = asyncio.get_running_loop().time()
        if wall - self._read_at < REGISTRY_SECONDS:
            return
        self._read_at = wall
        vens, loads = await registry.vens(self._rows), dict[str, list[Resource]]()
        for load in await registry.resources(self._rows):
            loads.setdefault(load.ven_id, []).append(load)
        self._standings = await self._rows.read(presence.standings)
        self._vens, self._loads = vens, loads

    def _ven(self, ven: Ven, now: datetime) -> VenNow:
        meter = self.tail.latest.get(power_series(ven.ven_id))
        standing, fresh = self._standings.get(ven.ven_id), self._fresh(meter, now)
        state = standing.state if standing else _by_meter(meter, fresh)
        loads = [self._load(load, state, now) for load in self._loads.get(ven.ven_id, [])]
        return VenNow(
            ven_id=ven.ven_id,
            name=ven.name,
            site_id=ven.site_id,
            site_name=ven.site_name,
            zone=ven.zone,
            created_at=ven.created_at,
            online=state not in GONE,
            presence=state,
            since_at=standing.since_at if standing else None,
            clock_off_s=standing.clock_off_s if standing else None,
            flapping=standing is not None and flapping(standing, now, self._policy),
            last_seen_at=max((at for at in (meter and meter.at, standing and standing.heard_at) if at), default=None),
            left_out=why_left_out(state, fresh),
            power_kw=round(meter.value, 3) if meter else None,
            sheddable_kw=kw(load.sheddable_kw for load in loads),
            withheld_kw=kw(load.withheld_kw for load in loads),
            shed=any(load.shed for load in loads),
            targets=ven.targets or (),
            resources=loads,
        )

    def _load(self, load: Resource, state: State, now: datetime) -> LoadNow:
        power = self.tail.latest.get(power_series(load.ven_id, load.resource_id))
        shed = bool(power and power.flags & Flag.SHED and self._fresh(power, now) and state not in GONE)
        spare, withheld = (
            self.tail.latest.get(name(load.ven_id, load.resource_id)) if load.sheddable else None
            for name in _OF_SHEDDABLE
        )
        could = spare is not None and self._fresh(spare, now) and state not in GONE
        told = withheld is not None and power is not None and withheld.at == power.at
        return LoadNow(
            resource_id=load.resource_id,
            name=load.name,
            kind=load.kind,
            rated_kw=load.rated_kw,
            sheddable=load.sheddable,
            power_kw=round(power.value, 3) if power else None,
            sheddable_kw=(0.0 if shed else round(spare.value, 3)) if spare and could else None,
            withheld_kw=round(withheld.value, 3) if withheld and shed and told else None,
            shed=shed,
            fresh=self._fresh(power, now),
        )

    def _fresh(self, reading: Latest | None, now: datetime) -> bool:
        return reading is not None and now - reading.at <= self._online


_OF_SHEDDABLE = (sheddable_series, withheld_series)


def _by_meter(meter: Latest | None, fresh: bool) -> State:
    """Of a VEN that does not say when it is there."""
    if meter is None:
        return State.NEVER
    return State.ONLINE if fresh else State.OFFLINE


def _briefly(ven: VenNow) -> VenNow:
    return msgspec.structs.replace(ven, resources=[])
