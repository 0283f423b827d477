"""A call of the fleet as an OpenADR event, and back: one model, whichever door an event came in by.

    /v1    target_kw over [start_at, end_at), and the levels of its profile
            │ as_request, amended            ▲ levels, window
            ▼                                │
    3.1    an interval for each level: SIMPLE 1, FLEET_REDUCTION target_kw (units KW)

OpenADR has no word for what a whole fleet is asked to give: its setpoints speak to one resource, and every VEN that
reads them would give as much. So a call carries SIMPLE, which every VEN understands, and a private payload (Definition
"Private Strings") that only this platform acts on, by commanding just enough loads.
"""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import UNSET

from tieline.base.errors import Refused
from tieline.base.time import iso
from tieline.dispatch.model import LONGEST, MOST_LEVELS, Event, EventChange, Level, NewEvent
from tieline.wires.openadr31.messages import (
    EventPayloadDescriptor,
    EventRequest,
    Interval,
    IntervalPeriod,
    ProgramRequest,
    ValuesMap,
)
from tieline.wires.openadr31.timeline import lifespan, timeline
from tieline.wires.openadr31.vocabulary import EventPayload, Unit

FLEET_REDUCTION = "FLEET_REDUCTION"
MOST_KW = 1e9
FOR_EVER = datetime(9999, 12, 31, tzinfo=UTC)
"""Where an event that does not end, ends: as an instant that columns can hold."""


def as_request(new: NewEvent) -> EventRequest:
    asked = EventRequest(program_id=new.program_id, event_name=new.name, targets=tuple(new.targets) or None)
    return _asking(asked, new.levels, new.end_at)


def amended(event: Event, change: EventChange) -> EventRequest:
    """The event as it is to be. Raises `Refused` for one that says more than a call, or for a change that cannot be."""
    periods = [one.interval_period for one in event.request.intervals or () if one.interval_period]
    said = {payload.type for one in event.request.intervals or () for payload in one.payloads}
    shifted = any(one and one.randomize_start for one in [event.request.interval_period, *periods])
    if said - {EventPayload.SIMPLE, FLEET_REDUCTION} or shifted or event.request.duration:
        raise Refused(
            f"event {event.event_id} says more than a call does: change it where it was published, by OpenADR"
        )
    first, *later = event.levels
    profile = change.profile if change.profile is not None else [] if change.target_kw else later
    first = Level(first.from_at, change.target_kw or first.target_kw)
    end_at = change.end_at or event.end_at
    NewEvent(event.program_id, first.from_at, end_at, first.target_kw, allow_past=True, profile=profile).check(
        first.from_at
    )
    return _asking(event.request, [first, *profile], end_at)


def _asking(request: EventRequest, levels: Sequence[Level], end_at: datetime) -> EventRequest:
    simple, ends = ValuesMap(type=EventPayload.SIMPLE, values=(1,)), [*(one.from_at for one in levels[1:]), end_at]
    spans = list(zip(levels, ends, strict=True))
    whole, parts = _period(levels[0].from_at, end_at), [_period(one.from_at, end) for one, end in spans]
    return msgspec.structs.replace(
        request,
        payload_descriptors=(EventPayloadDescriptor(payload_type=FLEET_REDUCTION, units=Unit.KW),),
        interval_period=whole,
        intervals=tuple(
            Interval(
                id=n,
                interval_period=parts[n] if len(levels) > 1 else UNSET,
                payloads=(simple, ValuesMap(type=FLEET_REDUCTION, values=(level.target_kw,))),
            )
            for n, level in enumerate(levels)
        ),
    )


def _period(start: datetime, end: datetime) -> IntervalPeriod:
    seconds = f"{(end - start).total_seconds():.6f}".rstrip("0").rstrip(".")
    return IntervalPeriod(start=iso(start), duration=f"PT{seconds}S")


def window(request: EventRequest, program: ProgramRequest | None, heard_at: datetime) -> tuple[datetime, datetime]:
    """[start, end) of the event's lifespan; one that names no time goes on from when it was heard."""
    start, end = lifespan(request, program, heard_at)
    return min(start, FOR_EVER), min(end or FOR_EVER, FOR_EVER)


def levels(request: EventRequest, program: ProgramRequest | None, heard_at: datetime) -> list[Level]:
    """What the fleet is called for from when on, between start and end; none where the event only signals, or has no
    duration (cancelled: User Guide 7.9). Raises `Refused` for what cannot be called."""
    start_at, end_at = window(request, program, heard_at)
    asked = [_asked(interval) for interval in request.intervals or ()]
    if not any(asked) or start_at >= end_at:
        return []
    for descriptor in request.payload_descriptors or ():
        if descriptor.payload_type == FLEET_REDUCTION and descriptor.units not in (None, Unit.KW):
            raise Refused(f"{FLEET_REDUCTION} is in {Unit.KW}, not {descriptor.units}")
    if end_at - start_at > LONGEST:
        raise Refused(f"a call of the fleet lasts at most {LONGEST}, not {end_at - start_at}: publish several events")
    return [Level(start_at, asked[0])] if len(set(asked)) == 1 else _turns(request, program, heard_at, end_at)


def _turns(request: EventRequest, program: ProgramRequest | None, heard_at: datetime, end_at: datetime) -> list[Level]:
    """Between intervals nothing is asked; where they meet the one that begins later counts."""
    asked = {interval.id: _asked(interval) for interval in request.intervals or ()}
    found: list[Level] = []
    until = None
    for slot in itertools.islice(timeline(request, program, heard_at), 4 * MOST_LEVELS):
        if until is not None and slot.start > until:
            found.append(Level(until, 0.0))
        if not found or found[-1].target_kw != asked[slot.interval_id]:
            found.append(Level(slot.start, asked[slot.interval_id]))
        until = max(until or slot.start, slot.end or end_at)
    if len(found) > MOST_LEVELS:
        raise Refused(f"{FLEET_REDUCTION} changes more than {MOST_LEVELS} times: publish several events")
    return found


def _asked(interval: Interval) -> float:
    values = [value for payload in interval.payloads if payload.type == FLEET_REDUCTION for value in payload.values]
    if not values:
        return 0.0
    match values:
        case [int() | float() as kw] if not isinstance(kw, bool) and 0 <= kw <= MOST_KW:
            return float(kw)
    raise Refused(
        f"{FLEET_REDUCTION} of interval {interval.id} is {values}: give one number of kW, from 0 to {MOST_KW:g}"
    )
