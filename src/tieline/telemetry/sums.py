"""VENs as they are now, and their sums: who is counted, who is left out and why, what could still be shed. Pure."""

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

import msgspec

from tieline.registry.model import Kind
from tieline.telemetry.presence.model import State


class LeftOut(enum.StrEnum):
    """Why a VEN's power is in no sum."""

    NEVER = "never"  # heard of
    LATE = "late"  # a beat is missing, and its meter is silent
    OFFLINE = "offline"
    STALE = "stale"  # it is there, but its meter is silent


class LoadNow(msgspec.Struct, frozen=True):
    """`sheddable_kw` is what it could still give up: nothing while it is held down. `withheld_kw` is what it would draw
    beyond its power were it not; None where it is not held down, or cannot tell. Power that is not `fresh` is no longer
    in any sum."""

    resource_id: str
    name: str
    kind: Kind
    rated_kw: float
    sheddable: bool
    power_kw: float | None
    sheddable_kw: float | None
    withheld_kw: float | None
    shed: bool
    fresh: bool


class VenNow(msgspec.Struct, frozen=True):
    """A VEN and its newest values; None where it has sent none. It is `online` unless it is offline or was never heard
    of: one lost beat is no absence. `since_at` is when its state began, where it says when it is there. `clock_off_s`:
    its clock is so far ahead of ours, or behind where negative; None: near enough, or it does not tell."""

    ven_id: str
    name: str
    site_id: str
    site_name: str
    zone: str
    created_at: datetime
    online: bool
    presence: State
    since_at: datetime | None
    flapping: bool
    last_seen_at: datetime | None
    left_out: LeftOut | None
    power_kw: float | None
    sheddable_kw: float | None
    withheld_kw: float | None
    shed: bool
    targets: tuple[str, ...] = ()
    clock_off_s: float | None = None
    resources: list[LoadNow] = []


class Excluded(msgspec.Struct, frozen=True):
    """How many VENs are left out, by why."""

    never: int = 0
    late: int = 0
    offline: int = 0
    stale: int = 0


class Sums(msgspec.Struct, frozen=True):
    """`used_kw` sums the meters of the VENs counted, `controllable_kw` what could still be shed at those not offline,
    `shed_kw` what loads held down say they would draw more; of `shedding` VENs, loads that cannot tell are `untold`."""

    vens: int
    counted: int
    excluded: Excluded
    used_kw: float
    controllable_kw: float
    shed_kw: float
    shedding: int
    untold: int


class By(enum.StrEnum):
    KIND = "kind"
    TARGET = "target"
    SITE = "site"


class Group(msgspec.Struct, frozen=True):
    """By kind of load, target or site. VENs of several targets are in each of their groups, those of none in none; by
    kind the power used is that of the loads, not of the meters."""

    key: str
    name: str
    sums: Sums


def why_left_out(state: State, fresh: bool) -> LeftOut | None:
    if state is State.NEVER or state is State.OFFLINE:
        return LeftOut(state)
    if fresh:
        return None
    return LeftOut.LATE if state is State.LATE else LeftOut.STALE


def kw(values: Iterable[float | None]) -> float | None:
    """Their sum; None where none of them is known."""
    known = [one for one in values if one is not None]
    return round(sum(known), 3) if known else None


def summed(vens: Sequence[VenNow]) -> Sums:
    counted = [one for one in vens if one.left_out is None]
    why = [one.left_out for one in vens if one.left_out is not None]
    shed = [load for one in vens for load in one.resources if load.shed]
    return Sums(
        vens=len(vens),
        counted=len(counted),
        excluded=Excluded(**{reason.value: why.count(reason) for reason in LeftOut}),
        used_kw=kw(one.power_kw for one in counted) or 0.0,
        controllable_kw=kw(one.sheddable_kw for one in vens) or 0.0,
        shed_kw=kw(one.withheld_kw for one in vens) or 0.0,
        shedding=sum(1 for one in vens if one.shed),
        untold=sum(1 for load in shed if load.withheld_kw is None),
    )


def grouped(vens: Sequence[VenNow], by: By) -> list[Group]:
    """In order of key."""
    members: dict[tuple[str, str], list[VenNow]] = {}
    for ven in vens:
        for key, name, member in _GROUPS[by](ven):
            members.setdefault((key, name), []).append(member)
    return [Group(key, name, summed(found)) for (key, name), found in sorted(members.items(), key=lambda one: one[0])]


_Member = tuple[str, str, VenNow]


def _by_site(ven: VenNow) -> Iterator[_Member]:
    yield ven.site_id, ven.site_name, ven


def _by_target(ven: VenNow) -> Iterator[_Member]:
    for target in sorted(set(ven.targets)):
        yield target, target, ven


def _by_kind(ven: VenNow) -> Iterator[_Member]:
    """Of each kind the VEN as if it had no other loads."""
    for kind in sorted({load.kind for load in ven.resources}):
        loads = [load for load in ven.resources if load.kind is kind]
        power_kw = kw(load.power_kw for load in loads if load.fresh)
        silent = LeftOut.STALE if power_kw is None else None
        yield kind, kind, msgspec.structs.replace(ven, power_kw=power_kw, left_out=ven.left_out or silent, **_of(loads))


def _of(loads: Sequence[LoadNow]) -> dict[str, object]:
    return {
        "sheddable_kw": kw(load.sheddable_kw for load in loads),
        "withheld_kw": kw(load.withheld_kw for load in loads),
        "shed": any(load.shed for load in loads),
        "resources": list(loads),
    }


_GROUPS: dict[By, Callable[[VenNow], Iterator[_Member]]] = {
    By.KIND: _by_kind,
    By.TARGET: _by_target,
    By.SITE: _by_site,
}
