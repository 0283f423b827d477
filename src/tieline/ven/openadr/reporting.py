"""What a VEN writes into its reports. Pure, but for the values, which a source is asked for."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeAlias

from msgspec import UNSET

from tieline.base.time import iso
from tieline.wires.openadr31.duties import Duty, Step
from tieline.wires.openadr31.messages import (
    Event,
    Interval,
    IntervalPeriod,
    ReportDescriptor,
    ReportPayloadDescriptor,
    ReportRequest,
    ReportResource,
    Resource,
    Value,
    ValuesMap,
    Ven,
)
from tieline.wires.openadr31.vocabulary import AGGREGATED_REPORT, OperatingState, ReportPayload


class Asked(NamedTuple):
    """What a VTN wants to know of a resource over [start, end); an end of None is open."""

    event: Event
    descriptor: ReportDescriptor
    resource_name: str
    start: datetime
    end: datetime | None


Source: TypeAlias = Callable[[Asked], Awaitable[Sequence[Value] | None]]
"""The values for that; None where there are none, which is left out."""


def single(
    event: Event,
    client_name: str,
    payloads: Sequence[ValuesMap],
    *,
    resource_name: str = AGGREGATED_REPORT,
    start: datetime,
    end: datetime | None = None,
    report_name: str | None = None,
) -> ReportRequest:
    """Of one interval. Open-ended without an `end`."""
    step = Interval(id=0, interval_period=_period(start, end), payloads=tuple(payloads))
    resource = ReportResource(resource_name=resource_name, intervals=(step,))
    return ReportRequest(event_id=event.id, client_name=client_name, report_name=report_name, resources=(resource,))


def opt_out(
    event: Event, client_name: str, resource_names: Sequence[str], reason: str, now: datetime, *, running: bool
) -> ReportRequest:
    """That these resources take no part; `running` while they draw power all the same. The name tells the reason."""
    state = OperatingState.RUNNING_OPTED_OUT if running else OperatingState.IDLE_OPTED_OUT
    payload = ValuesMap(type=ReportPayload.OPERATING_STATE, values=(state.value,))
    step = Interval(id=0, interval_period=_period(now, None), payloads=(payload,))
    return ReportRequest(
        event_id=event.id,
        client_name=client_name,
        report_name=f"opt-out: {reason}"[:200],
        payload_descriptors=(ReportPayloadDescriptor(payload_type=ReportPayload.OPERATING_STATE),),
        resources=tuple(ReportResource(resource_name=name, intervals=(step,)) for name in resource_names),
    )


async def answer(
    source: Source, event: Event, descriptor: ReportDescriptor, duty: Duty, names: Sequence[str], client_name: str
) -> ReportRequest | None:
    """The report that is due of these resources; None when the source has nothing for it."""
    resources = [await _resource(source, event, descriptor, duty, name) for name in names]
    if not any(one.intervals for one in resources):
        return None
    told = ReportPayloadDescriptor(
        payload_type=descriptor.payload_type, reading_type=descriptor.reading_type, units=descriptor.units
    )
    return ReportRequest(
        event_id=event.id,
        client_name=client_name,
        report_name=f"{descriptor.payload_type} {duty.number}",
        payload_descriptors=(told,),
        resources=tuple(one for one in resources if one.intervals),
    )


def wanted(descriptor: ReportDescriptor, ven: Ven | None, resources: Iterable[Resource]) -> list[str]:
    """The resource names to report of: all, or those with one of the descriptor's targets; or their sum."""
    targets = set(descriptor.targets or ())
    every = list(resources)
    mine = bool(targets & set(ven.targets or ())) if ven else False
    chosen = [one for one in every if not targets or mine or targets & set(one.targets or ())]
    if descriptor.aggregate or not every:
        return [AGGREGATED_REPORT] if chosen or mine or not targets else []
    return [one.resource_name for one in chosen]


async def _resource(
    source: Source, event: Event, descriptor: ReportDescriptor, duty: Duty, name: str
) -> ReportResource:
    steps = []
    for step in duty.steps:
        values = await source(Asked(event, descriptor, name, step.start, step.end))
        if values is not None:
            steps.append(_interval(step, ValuesMap(type=descriptor.payload_type, values=tuple(values))))
    return ReportResource(resource_name=name, intervals=tuple(steps))


def _interval(step: Step, payload: ValuesMap) -> Interval:
    return Interval(id=step.id, interval_period=_period(step.start, step.end), payloads=(payload,))


def _period(start: datetime, end: datetime | None) -> IntervalPeriod:
    return IntervalPeriod(start=iso(start), duration=_seconds(start, end) if end else UNSET)


def _seconds(start: datetime, end: datetime) -> str:
    return f"PT{(end - start).total_seconds():.6f}".rstrip("0").rstrip(".") + "S"
