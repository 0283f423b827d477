"""What each load is held to, out of all that asks for it. Pure.

    what is asked of a load (an event, a command)   where the load allows it, and never below its floor
    what is asked of the panel                      by the loads that allow it, lowest priority first
    the main fuse                                   by any load that can be held, allowing it or not
    rest                                            what just went off stays off for its shortest pause

The lowest limit counts.
"""

import enum
from collections.abc import Mapping, Sequence

import msgspec

from tieline.ven.agent.configuration import Load
from tieline.ven.agent.panel import Demand, guarded


class Why(enum.StrEnum):
    ASKED = "asked"
    PANEL = "panel"
    FUSE = "fuse"
    REST = "rest"


class State(msgspec.Struct, frozen=True):
    """A load now; its power is None while it is unknown.

    `may_hold`: a call may hold it down. `rests`: it went off too lately to come on again. `is_bound`: as far as can be
    seen, what it is held to keeps it from more.
    """

    load: Load
    power_kw: float | None
    may_hold: bool = True
    rests: bool = False
    is_bound: bool = True


class Hold(msgspec.Struct, frozen=True):
    limit_kw: float
    why: Why


Holds = Mapping[str, Hold]
"""By load; who is not there is free."""


class Guarded(msgspec.Struct, frozen=True):
    """What each of the two guards holds."""

    panel: Mapping[str, float] = {}
    fuse: Mapping[str, float] = {}


class Decision(msgspec.Struct, frozen=True):
    """Kept for the next one, since what is held comes back with a margin only."""

    holds: Holds = {}
    guarded: Guarded = Guarded()


class Wanted(msgspec.Struct, frozen=True):
    """What is asked of loads and of the panel; `base_kw` is drawn beside the known, sheddable loads."""

    asked: Mapping[str, float]
    panel_kw: float | None
    base_kw: float
    fuse_kw: float
    margin: float


def decide(wanted: Wanted, states: Sequence[State], before: Decision) -> Decision:
    """Of the sheddable loads; the unknown ones are held where they are asked to be, and not reckoned with otherwise."""
    holds: dict[str, Hold] = {}
    for one in states:
        limit_kw = wanted.asked.get(one.load.id)
        if limit_kw is not None and one.may_hold:
            holds[one.load.id] = Hold(max(limit_kw, one.load.floor_kw), Why.ASKED)
    panel: dict[str, float] = {}
    if wanted.panel_kw is not None:
        panel = _guard(wanted, wanted.panel_kw, states, holds, before, before.guarded.panel, willing=True)
        _lower(holds, panel, Why.PANEL)
    fuse = _guard(wanted, wanted.fuse_kw, states, holds, before, before.guarded.fuse, willing=False)
    _lower(holds, fuse, Why.FUSE)
    for one in states:
        if one.rests and one.load.id not in holds and (held := before.holds.get(one.load.id)):
            holds[one.load.id] = Hold(held.limit_kw, Why.REST)
    return Decision(holds, Guarded(panel, fuse))


def _guard(
    wanted: Wanted, limit_kw: float, states: Sequence[State], holds: Holds, before: Decision,
    held: Mapping[str, float], *, willing: bool,
) -> dict[str, float]:  # fmt: skip
    """One guard's limits; with `willing`, loads that do not allow it are as if they could not be held."""
    known = [one for one in states if one.power_kw is not None]
    demands = [_demand(one, holds, before) for one in known if one.may_hold or not willing]
    fixed_kw = sum(_wanted_kw(one, holds, before) for one in known if willing and not one.may_hold)
    return guarded(limit_kw, wanted.base_kw + fixed_kw, demands, held, wanted.margin * limit_kw)


def _demand(one: State, holds: Holds, before: Decision) -> Demand:
    load = one.load
    return Demand(
        load.id, _wanted_kw(one, holds, before), load.floor_kw, load.priority, load.driver.is_stepless, one.rests
    )


def _wanted_kw(one: State, holds: Holds, before: Decision) -> float:
    """What it draws, or if it is held, what it might draw as soon as it is not; at most what it is held to anyway."""
    power_kw = one.power_kw or 0.0
    is_bound = one.is_bound and one.load.id in before.holds
    draws_kw = max(power_kw, one.load.rated_kw) if is_bound else power_kw
    hold = holds.get(one.load.id)
    return min(draws_kw, hold.limit_kw) if hold else draws_kw


def _lower(holds: dict[str, Hold], limits: Mapping[str, float], why: Why) -> None:
    for load_id, limit_kw in limits.items():
        if load_id not in holds or limit_kw < holds[load_id].limit_kw:
            holds[load_id] = Hold(limit_kw, why)
