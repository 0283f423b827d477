"""What a VTN answers in 3.1, as a client of 3.0.1 reads it.

3.0.1 has no word for an event's duration, a descriptor's reportIntervals, an object's clientID and attributes of a
program other than its own fields: they stay behind, and so does a subscription to no program.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import UNSET, UnsetType

from tieline.wires.openadr31 import messages as m31
from tieline.wires.openadr31.scalars import DURATION, NOW
from tieline.wires.openadr301 import messages as m301
from tieline.wires.openadr301.targets import pairs
from tieline.wires.openadr301.to31 import ATTRIBUTES, each

BEGINNING = "0000-00-00"


def program(told: m31.Program) -> m301.Program:
    return m301.Program(
        **_stamps(told),
        **_fields(told.attributes or ()),
        program_name=told.program_name,
        interval_period=_period(told.interval_period),
        program_descriptions=told.program_descriptions,
        payload_descriptors=each(_descriptor, told.payload_descriptors),
        targets=pairs(told.targets),
    )


def event(told: m31.Event) -> m301.Event:
    return m301.Event(
        **_stamps(told),
        program_id=told.program_id,
        event_name=told.event_name,
        priority=told.priority,
        targets=pairs(told.targets),
        report_descriptors=each(_report_descriptor, told.report_descriptors),
        payload_descriptors=each(_descriptor, told.payload_descriptors),
        interval_period=_period(told.interval_period),
        intervals=_intervals(told.intervals or ()),
    )


def report(told: m31.Report, program_id: str) -> m301.Report:
    """The program is that of the report's event."""
    return m301.Report(
        **_stamps(told),
        program_id=program_id,
        event_id=told.event_id,
        client_name=told.client_name,
        report_name=told.report_name,
        payload_descriptors=each(_descriptor, told.payload_descriptors),
        resources=tuple(
            m301.ReportResource(
                resource_name=one.resource_name,
                interval_period=_period(one.interval_period),
                intervals=_intervals(one.intervals),
            )
            for one in told.resources
        ),
    )


def subscription(told: m31.Subscription) -> m301.Subscription | None:
    """None for one to no program: 3.0.1 cannot say it."""
    if told.program_id is UNSET:
        return None
    return m301.Subscription(
        **_stamps(told),
        client_name=told.client_name,
        program_id=told.program_id,
        object_operations=told.object_operations,
        targets=pairs(told.targets),
    )


def ven(told: m31.Ven, resources: Iterable[m31.Resource]) -> m301.Ven:
    return m301.Ven(
        **_stamps(told),
        ven_name=told.ven_name,
        attributes=told.attributes,
        targets=pairs(told.targets),
        resources=tuple(map(resource, resources)),
    )


def resource(told: m31.Resource) -> m301.Resource:
    return m301.Resource(
        **_stamps(told),
        resource_name=told.resource_name,
        ven_id=told.ven_id,
        attributes=told.attributes,
        targets=pairs(told.targets),
    )


def notification(told: m31.Notification, thing: m301.Object) -> m301.Notification:
    """The object is given as 3.0.1 has it: some of them need more than themselves."""
    verb = m301.Verb[told.operation.name]
    return m301.Notification(object_type=told.object_type, operation=verb, object=thing, targets=pairs(told.targets))


def _stamps(told: m31.Object) -> dict[str, Any]:
    names = ("id", "created_date_time", "modification_date_time")
    return {name: getattr(told, name) for name in names}


def _fields(attributes: Iterable[m31.ValuesMap]) -> Mapping[str, Any]:
    """The program's own fields, as far as the attributes hold what such a field may."""
    told = {one.type: one.values[0] for one in attributes if len(one.values) == 1}
    found = {field: told[name] for field, name in ATTRIBUTES.items() if name in told}
    return {field: value for field, value in found.items() if _fits(field, value)}


def _fits(field: str, value: m31.Value) -> bool:
    if field in ("binding_events", "local_price"):
        return isinstance(value, bool)
    return isinstance(value, str) and (field != "time_zone_offset" or DURATION.match(value) is not None)


def _intervals(told: Iterable[m31.Interval]) -> tuple[m301.Interval, ...]:
    return tuple(
        m301.Interval(id=one.id, interval_period=_period(one.interval_period), payloads=one.payloads) for one in told
    )


def _period(told: m31.IntervalPeriod | UnsetType) -> m301.IntervalPeriod | UnsetType:
    """Without a start of its own it begins like its event, or after the interval before: that is what now means."""
    if told is UNSET:
        return UNSET
    start = BEGINNING if told.start is UNSET else BEGINNING + told.start[10:] if NOW.match(told.start) else told.start
    return m301.IntervalPeriod(start=start, duration=told.duration, randomize_start=told.randomize_start)


def _descriptor(told: m31.EventPayloadDescriptor | m31.ReportPayloadDescriptor) -> m301.PayloadDescriptor:
    if isinstance(told, m31.EventPayloadDescriptor):
        return m301.PayloadDescriptor(
            object_type=m301.DescriptorType.EVENT,
            payload_type=told.payload_type,
            units=told.units,
            currency=told.currency,
        )
    return m301.PayloadDescriptor(
        object_type=m301.DescriptorType.REPORT,
        payload_type=told.payload_type,
        reading_type=told.reading_type,
        units=told.units,
        accuracy=told.accuracy,
        confidence=told.confidence,
    )


def _report_descriptor(told: m31.ReportDescriptor) -> m301.ReportDescriptor:
    return m301.ReportDescriptor(
        payload_type=told.payload_type,
        reading_type=told.reading_type,
        units=told.units,
        targets=pairs(told.targets),
        aggregate=told.aggregate,
        start_interval=told.start_interval,
        num_intervals=told.num_intervals,
        historical=told.historical,
        frequency=told.frequency,
        repeat=told.repeat,
    )
