"""How long a load may be held down: its shortest run, its comfort band, when it must be ready. Pure.

    held for a call      │ 0 s: not now        │ so many seconds       │ None: as long as it is asked
    shortest run         │ it just came on     │                       │ off, or on for long enough
    comfort band         │ outside, or unknown │ until it drifts there │ within; no drift given
    ready by             │ it must run now     │ until it must run     │ it has its energy

This is what the load itself allows. A main fuse is not asked: the panel guard may hold what comfort would let go.
"""

from datetime import datetime, timedelta, tzinfo

import msgspec

from tieline.ven.agent.configuration import Comfort, Load, ReadyBy

BACK_C = 1.0
"""A load that left its band is not held again before it is so far inside."""


class Condition(msgspec.Struct, frozen=True):
    """How a load is now. `changed_at`: when it last came on or went off; `energy_kwh`: since it was last to be ready;
    None: it was not seen yet.

    `strained`: it left its comfort band, and is not well inside again.
    """

    is_on: bool | None = None
    changed_at: datetime | None = None
    temperature_c: float | None = None
    energy_kwh: float = 0.0
    strained: bool = False


def holdable_s(load: Load, condition: Condition, now: datetime, zone: tzinfo, *, is_held: bool) -> float | None:
    """For how many seconds more a call may hold it down; 0: not now; None: as long as it likes."""
    spans = [
        0.0 if _run_left_s(load, condition, now) > 0 and not is_held else None,
        _comfort_s(load.comfort, condition) if load.comfort else None,
        _slack_s(load, load.ready_by, condition, now, zone) if load.ready_by else None,
    ]
    return min((span for span in spans if span is not None), default=None)


def rests(load: Load, condition: Condition, now: datetime) -> bool:
    """Whether it went off so lately that it must not come on again."""
    return condition.is_on is False and _since_s(condition, now) < load.min_off_s


def strained(comfort: Comfort, temperature_c: float, before: bool) -> bool:
    """Whether it is outside its band, or was and is not well inside again."""
    return _inside_c(comfort, temperature_c) <= (BACK_C if before else 0.0)


def due_at(ready_by: ReadyBy, now: datetime, zone: tzinfo) -> datetime:
    """The next instant at which it must be ready."""
    local = now.astimezone(zone)
    due = datetime.combine(local.date(), ready_by.time, zone)
    return due if due > local else datetime.combine(local.date() + timedelta(days=1), ready_by.time, zone)


def _run_left_s(load: Load, condition: Condition, now: datetime) -> float:
    return load.min_on_s - _since_s(condition, now) if condition.is_on else 0.0


def _since_s(condition: Condition, now: datetime) -> float:
    """Since it came on or went off; endless for what was never seen to."""
    return (now - condition.changed_at).total_seconds() if condition.changed_at else float("inf")


def _comfort_s(comfort: Comfort, condition: Condition) -> float | None:
    """How long until it leaves its band at the nearer end that drift may lead to."""
    if condition.temperature_c is None or condition.strained:
        return 0.0
    inside_c = _inside_c(comfort, condition.temperature_c)
    return inside_c / comfort.drift_c_per_h * 3600 if comfort.drift_c_per_h else None


def _inside_c(comfort: Comfort, at_c: float) -> float:
    """How far it is from the nearer end of its band; negative outside."""
    ends = [at_c - comfort.min_c] if comfort.min_c is not None else []
    ends += [comfort.max_c - at_c] if comfort.max_c is not None else []
    return min(ends)


def _slack_s(load: Load, ready_by: ReadyBy, condition: Condition, now: datetime, zone: tzinfo) -> float | None:
    left_kwh = ready_by.energy_kwh - condition.energy_kwh
    if left_kwh <= 0:
        return None
    run_s = left_kwh / load.rated_kw * 3600
    return max(0.0, (due_at(ready_by, now, zone) - now).total_seconds() - run_s)
