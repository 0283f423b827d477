"""What a client of 3.0.1 sends, as 3.1 has it. An answer of 3.0.1 is read like the request it repeats."""

from collections.abc import Callable, Iterable
from typing import TypeAlias, TypeVar

from msgspec import UNSET, UnsetType

from tieline.wires.openadr31 import messages as m31
from tieline.wires.openadr31.messages import ValuesMap
from tieline.wires.openadr31.vocabulary import ProgramAttribute
from tieline.wires.openadr301 import messages as m301
from tieline.wires.openadr301.targets import strings

TIME_ZONE_OFFSET = "TIME_ZONE_OFFSET"
"""A private attribute: 3.1 has no word for what 3.0.1 calls timeZoneOffset."""

ATTRIBUTES = {
    "program_long_name": ProgramAttribute.PROGRAM_LONG_NAME,
    "retailer_name": ProgramAttribute.RETAILER_NAME,
    "retailer_long_name": ProgramAttribute.RETAILER_LONG_NAME,
    "program_type": ProgramAttribute.PROGRAM_TYPE,
    "country": ProgramAttribute.COUNTRY,
    "principal_subdivision": ProgramAttribute.PRINCIPAL_SUBDIVISION,
    "binding_events": ProgramAttribute.BINDING_EVENTS,
    "local_price": ProgramAttribute.LOCAL,
    "time_zone_offset": TIME_ZONE_OFFSET,
}
"""The attribute of a 3.1 program that a field of a 3.0.1 program has become."""

S = TypeVar("S")
T = TypeVar("T")
_Descriptor: TypeAlias = m31.EventPayloadDescriptor | m31.ReportPayloadDescriptor


def program(said: m301.ProgramRequest) -> m31.ProgramRequest:
    """Raises `Refused` for targets that are too long."""
    fields = ((str(name), getattr(said, field)) for field, name in ATTRIBUTES.items())
    attributes = tuple(ValuesMap(type=name, values=(value,)) for name, value in fields if value not in (None, UNSET))
    return m31.ProgramRequest(
        program_name=said.program_name,
        interval_period=_period(said.interval_period),
        program_descriptions=said.program_descriptions,
        payload_descriptors=each(_descriptor, said.payload_descriptors),
        attributes=attributes or None,
        targets=strings(said.targets),
    )


def event(said: m301.EventRequest) -> m31.EventRequest:
    """Raises `Refused` for targets that are too long."""
    return m31.EventRequest(
        program_id=said.program_id,
        event_name=said.event_name,
        priority=said.priority,
        targets=strings(said.targets),
        report_descriptors=each(_report_descriptor, said.report_descriptors),
        payload_descriptors=each(_of_event, said.payload_descriptors),
        interval_period=_period(said.interval_period),
        intervals=_intervals(said.intervals),
    )


def report(said: m301.ReportRequest) -> m31.ReportRequest:
    """Without its program, which is the event's."""
    return m31.ReportRequest(
        event_id=said.event_id,
        client_name=said.client_name,
        report_name=said.report_name,
        payload_descriptors=each(_of_report, said.payload_descriptors),
        resources=tuple(
            m31.ReportResource(
                resource_name=one.resource_name,
                interval_period=_period(one.interval_period),
                intervals=_intervals(one.intervals),
            )
            for one in said.resources
        ),
    )


def subscription(said: m301.SubscriptionRequest) -> m31.SubscriptionRequest:
    """Raises `Refused` for targets that are too long."""
    return m31.SubscriptionRequest(
        client_name=said.client_name,
        program_id=said.program_id,
        object_operations=said.object_operations,
        targets=strings(said.targets),
    )


def ven(said: m301.VenRequest, client_id: str | None) -> m31.VenRequest:
    """Business logic names the client and grants targets; a VEN (`client_id` None) cannot grant itself any.

    Raises `Refused` for targets that are too long.
    """
    if client_id is None:
        return m31.VenVenRequest(ven_name=said.ven_name, attributes=said.attributes)
    return m31.BlVenRequest(
        client_id=client_id, ven_name=said.ven_name, attributes=said.attributes, targets=strings(said.targets)
    )


def resource(said: m301.ResourceRequest, ven_id: str, client_id: str | None) -> m31.ResourceRequest:
    """As with `ven`."""
    if client_id is None:
        return m31.VenResourceRequest(resource_name=said.resource_name, ven_id=ven_id, attributes=said.attributes)
    return m31.BlResourceRequest(
        client_id=client_id,
        resource_name=said.resource_name,
        ven_id=ven_id,
        attributes=said.attributes,
        targets=strings(said.targets),
    )


def _intervals(said: Iterable[m301.Interval]) -> tuple[m31.Interval, ...]:
    return tuple(
        m31.Interval(id=one.id, interval_period=_period(one.interval_period), payloads=one.payloads) for one in said
    )


def _period(said: m301.IntervalPeriod | UnsetType) -> m31.IntervalPeriod | UnsetType:
    if said is UNSET:
        return UNSET
    start = "0001-01-01" + said.start[10:] if m301.NOW.match(said.start) else said.start
    return m31.IntervalPeriod(start=start, duration=said.duration, randomize_start=said.randomize_start)


def _descriptor(said: m301.PayloadDescriptor) -> _Descriptor:
    told = (said.reading_type, said.accuracy, said.confidence) != (None, None, None)
    unnamed_report = said.object_type is UNSET and told
    return _of_report(said) if unnamed_report or said.object_type is m301.DescriptorType.REPORT else _of_event(said)


def _of_event(said: m301.PayloadDescriptor) -> m31.EventPayloadDescriptor:
    return m31.EventPayloadDescriptor(payload_type=said.payload_type, units=said.units or None, currency=said.currency)


def _of_report(said: m301.PayloadDescriptor) -> m31.ReportPayloadDescriptor:
    return m31.ReportPayloadDescriptor(
        payload_type=said.payload_type,
        reading_type=said.reading_type or None,
        units=said.units or None,
        accuracy=said.accuracy,
        confidence=said.confidence,
    )


def _report_descriptor(said: m301.ReportDescriptor) -> m31.ReportDescriptor:
    return m31.ReportDescriptor(
        payload_type=said.payload_type,
        reading_type=said.reading_type or None,
        units=said.units or None,
        targets=strings(said.targets),
        aggregate=said.aggregate,
        start_interval=said.start_interval,
        num_intervals=said.num_intervals,
        historical=said.historical,
        frequency=said.frequency,
        repeat=said.repeat,
    )


def each(turn: Callable[[S], T], said: Iterable[S] | None) -> tuple[T, ...] | None:
    return None if said is None else tuple(map(turn, said))
