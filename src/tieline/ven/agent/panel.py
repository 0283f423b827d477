"""The panel guard: which loads are held, and to what, so that all together stay at or below a limit. Pure.

    limit  ────────────────────────────────────────  what the main fuse lets through, or a command asks
           base ▒▒▒▒▒▒▒▒▒ what cannot be shed
                         ▓▓▓▓▓▓▓▓ heat pump, priority 3: runs
                                 ░░░░░░░░ car, 2: as much as is left, down to its floor
                                         · boiler, 1: nothing is left

Loads are served in order of priority; each keeps its floor. One that is held gets more only where a margin is left
beside, so that it does not come and go.
"""

from collections.abc import Mapping, Sequence

import msgspec


class Demand(msgspec.Struct, frozen=True):
    """A load as the guard sees it: `wanted_kw` is what it would draw were it not for the guard.

    One that `rests` stays down: it must not come back yet. `is_stepless`: it can be held anywhere above its floor.
    """

    load_id: str
    wanted_kw: float
    floor_kw: float = 0.0
    priority: int = 0
    is_stepless: bool = False
    rests: bool = False


def guarded(
    limit_kw: float, base_kw: float, demands: Sequence[Demand], held: Mapping[str, float], margin_kw: float = 0.0
) -> dict[str, float]:
    """The limit of each load that must be held, given which `held` already; the others are free.

    With `base_kw`, which the guard has no hold of, all stay at or below `limit_kw` if that can be. A load gives way
    only where there is no room for it beside those of higher priority.
    """
    left_kw = limit_kw - base_kw - sum(map(_least, demands))
    limits: dict[str, float] = {}
    for one in sorted(demands, key=lambda demand: (-demand.priority, demand.load_id)):
        more_kw = one.wanted_kw - _least(one)
        before_kw = held.get(one.load_id)
        room_kw = left_kw if before_kw is None else left_kw - margin_kw
        if more_kw <= max(room_kw, 0.0) and not (one.rests and before_kw is not None):
            left_kw -= more_kw
            continue
        limits[one.load_id] = _least(one) + _part(one, left_kw, room_kw, before_kw)
        left_kw -= limits[one.load_id] - _least(one)
    return limits


def _least(one: Demand) -> float:
    return min(one.floor_kw, one.wanted_kw)


def _part(one: Demand, left_kw: float, room_kw: float, before_kw: float | None) -> float:
    """What of its wish above its floor a load gets that cannot have all: what it had, and more only with the margin."""
    if not one.is_stepless or one.rests:
        return 0.0
    kept_kw = 0.0 if before_kw is None else max(before_kw - _least(one), 0.0)
    return min(max(0.0, room_kw, min(kept_kw, left_kw)), one.wanted_kw - _least(one))
