"""A call of the fleet as an OpenADR event, and back: one model, whichever door an event came in by.

    /v1    target_kw over [start_at, end_at)
            │ as_request                     ▲ target_kw, window
            ▼                                │
    3.1    one interval: SIMPLE 1, FLEET_REDUCTION target_kw (units KW)

OpenADR has no word for what a whole fleet is asked to give: its setpoints speak to one resource, and every VEN that
reads them would give as much. So a call carries SIMPLE, which every VEN understands, and a private payload (Definition
"Private Strings") that only this platform acts on, by commanding just enough loads.
"""

from datetime import UTC, datetime

from tieline.base.errors import Refused
from tieline.base.time import iso
from tieline.dispatch.model import LONGEST, NewEvent
from tieline.wires.openadr31.messages import (
    EventPayloadDescriptor,
    EventRequest,
    Interval,
    IntervalPeriod,
    ProgramRequest,
    ValuesMap,
)
from tieline.wires.openadr31.timeline import lifespan

FLEET_REDUCTION = "FLEET_REDUCTION"
UNITS = "KW"
MOST_KW = 1e9
FOR_EVER = datetime(9999, 12, 31, tzinfo=UTC)
"""Where an event that does not end, ends: as an instant that columns can hold."""


def as_request(new: NewEvent) -> EventRequest:
    seconds = f"{(new.end_at - new.start_at).total_seconds():.6f}".rstrip("0").rstrip(".")
    simple = ValuesMap(type="SIMPLE", values=(1,))
    asked = ValuesMap(type=FLEET_REDUCTION, values=(new.target_kw,))
    return EventRequest(
        program_id=new.program_id,
        event_name=new.name,
        targets=tuple(new.targets) or None,
        payload_descriptors=(EventPayloadDescriptor(payload_type=FLEET_REDUCTION, units=UNITS),),
        interval_period=IntervalPeriod(start=iso(new.start_at), duration=f"PT{seconds}S"),
        intervals=(Interval(id=0, payloads=(simple, asked)),),
    )


def window(request: EventRequest, program: ProgramRequest, heard_at: datetime) -> tuple[datetime, datetime]:
    """[start, end) of the event's lifespan; one that names no time goes on from when it was heard."""
    start, end = lifespan(request, program, heard_at)
    return min(start, FOR_EVER), min(end or FOR_EVER, FOR_EVER)


def target_kw(request: EventRequest, start_at: datetime, end_at: datetime) -> float:
    """What the fleet is called for, in kW; 0 where the event only signals, or has no duration (cancelled: User Guide
    7.9). Raises `Refused` for a call that asks different things in different intervals, or for too long."""
    asked = [_asked(interval) for interval in request.intervals or ()]
    if not any(asked) or start_at >= end_at:
        return 0.0
    if len(set(asked)) > 1:
        raise Refused(
            f"{FLEET_REDUCTION} must be the same in every interval, not {asked}: publish one event for each level"
        )
    for descriptor in request.payload_descriptors or ():
        if descriptor.payload_type == FLEET_REDUCTION and descriptor.units not in (None, UNITS):
            raise Refused(f"{FLEET_REDUCTION} is in {UNITS}, not {descriptor.units}")
    if end_at - start_at > LONGEST:
        raise Refused(f"a call of the fleet lasts at most {LONGEST}, not {end_at - start_at}: publish several events")
    return asked[0]


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
