"""The objects of OpenADR 3.1.0 as they travel, a struct per schema of openadr3.yaml; what no body may say is refused.

    …Request   what a client sends; the fields that a VTN stamps (id, createdDateTime, …) are ignored there
    Program, Event, Report, Subscription, Ven, Resource   what a VTN answers: the request and its stamps

Fields that may be null are None when absent; those that may not (intervalPeriod, duration, …) are UNSET, so that an
explicit null is refused. Fields this version does not know are ignored. Attributes are snake_case (program_id), the
wire has the specification's names (programID). `objectType` is the tag of answers, of payload descriptors and of the
requests for VENs and resources, and is written first.
"""

import enum
import functools
from collections.abc import Sequence
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from tieline.base.errors import Refused
from tieline.wires.openadr31.scalars import (
    EXPECTED,
    Duration,
    HttpStatus,
    Int32,
    Name,
    NotNegative,
    ObjectID,
    Percent,
    Uri,
    ZonedInstant,
    check_start,
    wire_name,
)


class ObjectType(enum.StrEnum):
    PROGRAM = "PROGRAM"
    EVENT = "EVENT"
    REPORT = "REPORT"
    SUBSCRIPTION = "SUBSCRIPTION"
    VEN = "VEN"
    RESOURCE = "RESOURCE"


class Operation(enum.StrEnum):
    CREATE = "CREATE"
    READ = "READ"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


class _Message(Struct, frozen=True, kw_only=True, rename=wire_name):
    """Named as the specification names it."""


# ---------------------------------------------------------------- values and time


class Point(_Message, frozen=True):
    x: float
    y: float


Value: TypeAlias = int | float | str | bool | Point


class ValuesMap(_Message, frozen=True, kw_only=True):
    """One or more values of a type, such as PRICE; any other word is a private type."""

    type: Name
    values: tuple[Value, ...]


class IntervalPeriod(_Message, frozen=True, kw_only=True):
    """When an interval, or a run of them, takes place; the rules are in `timeline`."""

    start: str | UnsetType = UNSET
    duration: Duration | UnsetType = UNSET
    randomize_start: Duration | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.start is not UNSET:
            check_start(self.start)


class Interval(_Message, frozen=True, kw_only=True):
    """`id` is the client's number, not a sequence."""

    id: Int32
    interval_period: IntervalPeriod | UnsetType = UNSET
    payloads: tuple[ValuesMap, ...]


# ---------------------------------------------------------------- descriptors


class EventPayloadDescriptor(
    _Message, frozen=True, kw_only=True, tag_field="objectType", tag="EVENT_PAYLOAD_DESCRIPTOR"
):
    payload_type: Name
    units: Name | None = None
    currency: str | None = None


class ReportPayloadDescriptor(
    _Message, frozen=True, kw_only=True, tag_field="objectType", tag="REPORT_PAYLOAD_DESCRIPTOR"
):
    payload_type: Name
    reading_type: Name | None = None
    units: Name | None = None
    accuracy: float | None = None
    confidence: Percent | None = None


if TYPE_CHECKING:
    _OfEvent: TypeAlias = EventPayloadDescriptor
    _OfReport: TypeAlias = ReportPayloadDescriptor
else:  # msgspec demands the tag only where it must choose by it; `_only` then refuses the other kind
    _OfEvent = _OfReport = EventPayloadDescriptor | ReportPayloadDescriptor


def _only(kind: type[Struct], descriptors: tuple[Struct, ...] | None) -> None:
    if not all(isinstance(descriptor, kind) for descriptor in descriptors or ()):
        raise ValueError(f"payloadDescriptors here have the objectType {kind.__struct_config__.tag}")


class ReportIntervals(enum.StrEnum):
    INTERVALS = "INTERVALS"
    SUB_INTERVALS = "SUB_INTERVALS"
    OPEN_INTERVALS = "OPEN_INTERVALS"


class ReportDescriptor(_Message, frozen=True, kw_only=True):
    """A report that the VEN is asked for; the meaning of -1 is the specification's."""

    payload_type: Name
    reading_type: Name | None = None
    units: Name | None = None
    targets: tuple[Name, ...] | None = None
    aggregate: bool = False
    start_interval: Int32 = -1
    num_intervals: Int32 = -1
    historical: bool = True
    frequency: Int32 = -1
    repeat: Int32 = 1
    report_intervals: ReportIntervals = ReportIntervals.INTERVALS


# ---------------------------------------------------------------- programs and events


class ProgramDescription(_Message, frozen=True, kw_only=True):
    url: Uri = field(name="URL")


class ProgramRequest(_Message, frozen=True, kw_only=True):
    program_name: Name
    interval_period: IntervalPeriod | UnsetType = UNSET
    program_descriptions: tuple[ProgramDescription, ...] | None = None
    payload_descriptors: tuple[EventPayloadDescriptor | ReportPayloadDescriptor, ...] | None = None
    attributes: tuple[ValuesMap, ...] | None = None
    targets: tuple[Name, ...] | None = None


class Program(ProgramRequest, frozen=True, kw_only=True, tag_field="objectType", tag=ObjectType.PROGRAM.value):
    id: ObjectID
    created_date_time: ZonedInstant
    modification_date_time: ZonedInstant


class EventRequest(_Message, frozen=True, kw_only=True):
    """`priority`: the lower number goes first, none goes last."""

    program_id: ObjectID
    event_name: str | None = None
    duration: Duration | UnsetType = UNSET
    priority: NotNegative | None = None
    targets: tuple[Name, ...] | None = None
    report_descriptors: tuple[ReportDescriptor, ...] | None = None
    payload_descriptors: tuple[_OfEvent, ...] | None = None
    interval_period: IntervalPeriod | UnsetType = UNSET
    intervals: tuple[Interval, ...] | UnsetType = UNSET

    def __post_init__(self) -> None:
        _only(EventPayloadDescriptor, self.payload_descriptors)


class Event(EventRequest, frozen=True, kw_only=True, tag_field="objectType", tag=ObjectType.EVENT.value):
    id: ObjectID
    created_date_time: ZonedInstant
    modification_date_time: ZonedInstant


# ---------------------------------------------------------------- reports and subscriptions


class ReportResource(_Message, frozen=True, kw_only=True):
    """What one resource reports; AGGREGATED_REPORT names the sum of several."""

    resource_name: Name
    interval_period: IntervalPeriod | UnsetType = UNSET
    intervals: tuple[Interval, ...]


class ReportRequest(_Message, frozen=True, kw_only=True):
    event_id: ObjectID
    client_name: Name
    report_name: str | None = None
    payload_descriptors: tuple[_OfReport, ...] | None = None
    resources: tuple[ReportResource, ...]

    def __post_init__(self) -> None:
        _only(ReportPayloadDescriptor, self.payload_descriptors)


class Report(ReportRequest, frozen=True, kw_only=True, tag_field="objectType", tag=ObjectType.REPORT.value):
    id: ObjectID
    created_date_time: ZonedInstant
    modification_date_time: ZonedInstant
    client_id: Name


class ObjectOperation(_Message, frozen=True, kw_only=True):
    objects: tuple[ObjectType, ...]
    operations: tuple[Operation, ...]
    callback_url: Uri = field(name="callbackUrl")
    bearer_token: str | None = None


class SubscriptionRequest(_Message, frozen=True, kw_only=True):
    client_name: Name
    program_id: ObjectID | UnsetType = UNSET
    object_operations: tuple[ObjectOperation, ...]
    targets: tuple[Name, ...] | None = None


class Subscription(
    SubscriptionRequest, frozen=True, kw_only=True, tag_field="objectType", tag=ObjectType.SUBSCRIPTION.value
):
    id: ObjectID
    created_date_time: ZonedInstant
    modification_date_time: ZonedInstant
    client_id: Name


# ---------------------------------------------------------------- VENs and their resources


class BlVenRequest(_Message, frozen=True, kw_only=True, tag_field="objectType", tag="BL_VEN_REQUEST"):
    """A VEN as business logic declares it: whose it is, and the targets it is granted."""

    client_id: Name
    ven_name: Name
    attributes: tuple[ValuesMap, ...] | None = None
    targets: tuple[Name, ...] | None = None


class VenVenRequest(_Message, frozen=True, kw_only=True, tag_field="objectType", tag="VEN_VEN_REQUEST"):
    """A VEN as it declares itself: it cannot grant itself targets."""

    ven_name: Name
    attributes: tuple[ValuesMap, ...] | None = None


VenRequest: TypeAlias = BlVenRequest | VenVenRequest


class Ven(_Message, frozen=True, kw_only=True, tag_field="objectType", tag=ObjectType.VEN.value):
    id: ObjectID
    created_date_time: ZonedInstant
    modification_date_time: ZonedInstant
    client_id: Name
    ven_name: Name
    attributes: tuple[ValuesMap, ...] | None = None
    targets: tuple[Name, ...] | None = None


class BlResourceRequest(_Message, frozen=True, kw_only=True, tag_field="objectType", tag="BL_RESOURCE_REQUEST"):
    """A VEN's resource as business logic declares it."""

    client_id: Name
    resource_name: Name
    ven_id: ObjectID
    attributes: tuple[ValuesMap, ...] | None = None
    targets: tuple[Name, ...] | None = None


class VenResourceRequest(_Message, frozen=True, kw_only=True, tag_field="objectType", tag="VEN_RESOURCE_REQUEST"):
    """A VEN's resource as the VEN declares it."""

    resource_name: Name
    ven_id: ObjectID
    attributes: tuple[ValuesMap, ...] | None = None


ResourceRequest: TypeAlias = BlResourceRequest | VenResourceRequest


class Resource(_Message, frozen=True, kw_only=True, tag_field="objectType", tag=ObjectType.RESOURCE.value):
    id: ObjectID
    created_date_time: ZonedInstant
    modification_date_time: ZonedInstant
    client_id: Name
    resource_name: Name
    ven_id: ObjectID
    attributes: tuple[ValuesMap, ...] | None = None
    targets: tuple[Name, ...] | None = None


# ---------------------------------------------------------------- notifications

Object: TypeAlias = Program | Event | Report | Subscription | Ven | Resource
"""Anything a VTN keeps; its `objectType` says which."""


class Notification(_Message, frozen=True, kw_only=True):
    """What a VTN tells a subscriber; `targets` are those that the object and the subscriber share."""

    object_type: ObjectType
    operation: Operation
    object: Object
    targets: tuple[Name, ...] | None = None


def object_type(thing: Object) -> ObjectType:
    """PROGRAM, EVENT, …: how the wire tells objects apart."""
    return ObjectType(str(thing.__struct_config__.tag))


class Problem(_Message, frozen=True, kw_only=True):
    """Why a request failed (RFC 9457, as the specification words it)."""

    type: Uri = "about:blank"
    title: str | UnsetType = UNSET
    status: HttpStatus | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    instance: Uri | UnsetType = UNSET


# ---------------------------------------------------------------- bytes

T = TypeVar("T")
_NUL = r"\u0000"


def encode(message: Struct | Sequence[Struct]) -> bytes:
    """The JSON of a message: UNSET left out, nulls and defaults written."""
    return msgspec.json.encode(message)


@overload
def decode(kind: type[T], body: bytes) -> T: ...
@overload
def decode(kind: UnionType, body: bytes) -> Any: ...
def decode(kind: Any, body: bytes) -> Any:
    """A message from the JSON of a body. Raises `Refused`, naming the field and what it should be.

    No text that is kept may hold U+0000: databases cannot.
    """
    try:
        message = _decoder(kind).decode(text := body.decode())
        if _NUL in text and _NUL in encode(message).decode().replace(r"\\", ""):
            raise Refused("body: the character U+0000 has no place in a text")
    except UnicodeDecodeError as error:
        raise Refused(f"body: not UTF-8 from byte {error.start} on") from None
    except RecursionError:
        raise Refused("body: JSON nested too deep") from None
    except msgspec.ValidationError as error:
        raise Refused(_named(str(error))) from None
    except msgspec.DecodeError as error:
        raise Refused(f"body: not JSON: {error}") from None
    return message


@functools.cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _named(reason: str) -> str:
    reason, _, path = reason.partition(" - at `$")
    for pattern, words in EXPECTED.items():
        reason = reason.replace(f"matching regex {pattern!r}", words)
    return f"{path.strip('.`') or 'body'}: {reason}"
