"""The objects of OpenADR 3.0.1 as they travel, where they are not those of 3.1.0; read with openadr31's `decode`.

Here a request and the answer to it are one schema; the fields that a VTN stamps are ignored in a request all the same.
Against 3.1.0: targets are pairs of type and value, an intervalPeriod has a start, what 3.1.0 calls attributes of a
program are fields, a report names its program, a VEN contains its resources, and descriptors may leave out their
objectType. A start of 0000-00-00 means now.
"""

import enum
import re
from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from tieline.wires.openadr31.messages import ObjectOperation, ObjectType, ProgramDescription, ValuesMap
from tieline.wires.openadr31.scalars import (
    Duration,
    Int32,
    Name,
    NotNegative,
    ObjectID,
    Percent,
    ZonedInstant,
    read_instant,
    wire_name,
)
from tieline.wires.openadr301.targets import Target

NOW = re.compile(r"^0000-00-00(T00:00:00(\.0+)?(Z|[+-]00:00)?)?\Z")
"""A start that means now, or after the interval before."""

Text = Annotated[str, Meta(max_length=128)]
"""Unbounded in 3.0.1; the same store speaks 3.1, which is not."""


class _Message(Struct, frozen=True, kw_only=True, rename=wire_name):
    """Named as the specification names it."""


class IntervalPeriod(_Message, frozen=True, kw_only=True):
    start: str
    duration: Duration | UnsetType = UNSET
    randomize_start: Duration | UnsetType = UNSET

    def __post_init__(self) -> None:
        if not NOW.match(self.start):
            read_instant(self.start)


class Interval(_Message, frozen=True, kw_only=True):
    id: Int32
    interval_period: IntervalPeriod | UnsetType = UNSET
    payloads: tuple[ValuesMap, ...]


class DescriptorType(enum.StrEnum):
    EVENT = "EVENT_PAYLOAD_DESCRIPTOR"
    REPORT = "REPORT_PAYLOAD_DESCRIPTOR"


class PayloadDescriptor(_Message, frozen=True, kw_only=True, omit_defaults=True):
    """Of an event or of a report: without an objectType only its place and its fields tell which."""

    object_type: DescriptorType | UnsetType = UNSET
    payload_type: Name
    units: Text | None = None
    currency: str | None = None
    reading_type: Text | None = None
    accuracy: float | None = None
    confidence: Percent | None = None


def _only(kind: DescriptorType, descriptors: tuple[PayloadDescriptor, ...] | None) -> None:
    if any(one.object_type not in (UNSET, kind) for one in descriptors or ()):
        raise ValueError(f"payloadDescriptors here have the objectType {kind}")


class ReportDescriptor(_Message, frozen=True, kw_only=True):
    payload_type: Name
    reading_type: Text | None = None
    units: Text | None = None
    targets: tuple[Target, ...] | None = None
    aggregate: bool = False
    start_interval: Int32 = -1
    num_intervals: Int32 = -1
    historical: bool = True
    frequency: Int32 = -1
    repeat: Int32 = 1


class ProgramRequest(_Message, frozen=True, kw_only=True):
    program_name: Name
    program_long_name: str | None = None
    retailer_name: str | None = None
    retailer_long_name: str | None = None
    program_type: str | None = None
    country: str | None = None
    principal_subdivision: str | None = None
    time_zone_offset: Duration | UnsetType = UNSET
    interval_period: IntervalPeriod | UnsetType = UNSET
    program_descriptions: tuple[ProgramDescription, ...] | None = None
    binding_events: bool | None = None
    local_price: bool | None = None
    payload_descriptors: tuple[PayloadDescriptor, ...] | None = None
    targets: tuple[Target, ...] | None = None


class Program(ProgramRequest, frozen=True, kw_only=True, tag_field="objectType", tag=ObjectType.PROGRAM.value):
    id: ObjectID
    created_date_time: ZonedInstant
    modification_date_time: ZonedInstant


class EventRequest(_Message, frozen=True, kw_only=True):
    program_id: ObjectID
    event_name: str | None = None
    priority: NotNegative | None = None
    targets: tuple[Target, ...] | None = None
    report_descriptors: tuple[ReportDescriptor, ...] | None = None
    payload_descriptors: tuple[PayloadDescriptor, ...] | None = None
    interval_period: IntervalPeriod | UnsetType = UNSET
    intervals: tuple[Interval, ...]

    def __post_init__(self) -> None:
        _only(DescriptorType.EVENT, self.payload_descriptors)


class Event(EventRequest, frozen=True, kw_only=True, tag_field="objectType", tag=ObjectType.EVENT.value):
    id: ObjectID
    created_date_time: ZonedInstant
    modification_date_time: ZonedInstant


class ReportResource(_Message, frozen=True, kw_only=True):
    resource_name: Name
    interval_period: IntervalPeriod | UnsetType = UNSET
    intervals: tuple[Interval, ...]


class ReportRequest(_Message, frozen=True, kw_only=True):
    program_id: ObjectID
    event_id: ObjectID
    client_name: Name
    report_name: str | None = None
    payload_descriptors: tuple[PayloadDescriptor, ...] | None = None
    resources: tuple[ReportResource, ...]

    def __post_init__(self) -> None:
        _only(DescriptorType.REPORT, self.payload_descriptors)


class Report(ReportRequest, frozen=True, kw_only=True, tag_field="objectType", tag=ObjectType.REPORT.value):
    id: ObjectID
    created_date_time: ZonedInstant
    modification_date_time: ZonedInstant


class SubscriptionRequest(_Message, frozen=True, kw_only=True):
    client_name: Name
    program_id: ObjectID
    object_operations: tuple[ObjectOperation, ...]
    targets: tuple[Target, ...] | None = None


class Subscription(
    SubscriptionRequest, frozen=True, kw_only=True, tag_field="objectType", tag=ObjectType.SUBSCRIPTION.value
):
    id: ObjectID
    created_date_time: ZonedInstant
    modification_date_time: ZonedInstant


class ResourceRequest(_Message, frozen=True, kw_only=True):
    resource_name: Name
    attributes: tuple[ValuesMap, ...] | None = None
    targets: tuple[Target, ...] | None = None


class Resource(ResourceRequest, frozen=True, kw_only=True, tag_field="objectType", tag=ObjectType.RESOURCE.value):
    id: ObjectID
    created_date_time: ZonedInstant
    modification_date_time: ZonedInstant
    ven_id: ObjectID


class VenRequest(_Message, frozen=True, kw_only=True):
    ven_name: Name
    attributes: tuple[ValuesMap, ...] | None = None
    targets: tuple[Target, ...] | None = None
    resources: tuple[ResourceRequest, ...] | None = None


class Ven(_Message, frozen=True, kw_only=True, tag_field="objectType", tag=ObjectType.VEN.value):
    id: ObjectID
    created_date_time: ZonedInstant
    modification_date_time: ZonedInstant
    ven_name: Name
    attributes: tuple[ValuesMap, ...] | None = None
    targets: tuple[Target, ...] | None = None
    resources: tuple[Resource, ...] | None = None


Object: TypeAlias = Program | Event | Report | Subscription | Ven | Resource


class Verb(enum.StrEnum):
    """How 3.0.1 names operations in a notification, though a subscription names them as 3.1 does."""

    CREATE = "POST"
    READ = "GET"
    UPDATE = "PUT"
    DELETE = "DELETE"


class Notification(_Message, frozen=True, kw_only=True):
    object_type: ObjectType
    operation: Verb
    object: Object
    targets: tuple[Target, ...] | None = None
