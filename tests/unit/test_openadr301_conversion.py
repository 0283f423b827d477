"""3.0.1 said in 3.1 and back: nothing is lost that both can say, and what only 3.1 can say stays behind."""

import itertools
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.openadr_schemas import EXAMPLES, validator
from tieline.base.errors import Refused
from tieline.wires.openadr31 import messages as m31
from tieline.wires.openadr31.messages import ValuesMap, decode, encode
from tieline.wires.openadr31.timeline import lifespan, timeline
from tieline.wires.openadr301 import messages as m301
from tieline.wires.openadr301 import to31, to301
from tieline.wires.openadr301.targets import MOST, Target, asked, implied_grants, pair, pairs, string, strings

AT = datetime(2026, 2, 10, tzinfo=UTC)
STAMPS = {"id": "a1", "created_date_time": AT, "modification_date_time": AT}
law = settings(deadline=None, max_examples=150)


def read31(schema: str, kind: Any, **changes: object) -> Any:
    return decode(kind, json.dumps(EXAMPLES["31"][schema] | changes).encode())


def read301(schema: str, kind: Any, **changes: object) -> Any:
    return decode(kind, json.dumps(EXAMPLES["301"][schema] | changes).encode())


def stamped(kind: Any, request: msgspec.Struct, **more: object) -> Any:
    return kind(**msgspec.structs.asdict(request), **STAMPS, **more)


def spoken(message: Any) -> Any:
    return json.loads(encode(message))


def same_request(answer: msgspec.Struct, request: msgspec.Struct) -> bool:
    return bool(spoken(answer).items() >= spoken(request).items())


# ---------------------------------------------------------------- targets

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
awkward = st.text(st.sampled_from("TARGET:%=3A25a "), max_size=20)
kinds = st.just("TARGET") | st.sampled_from(["GROUP", "VEN_NAME", "%3A", "a:b"]) | (texts | awkward).filter(bool)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values: st.SearchStrategy[Any] = texts | awkward | numbers | st.booleans() | st.builds(m31.Point, numbers, numbers)
own = (texts | awkward | st.builds("{}:{}".format, kinds, texts)).filter(bool)


@law
@given(own)
def test_every_string_of_3_1_has_its_pair(text: str) -> None:
    assert string(*pair(text)) == text


@law
@given(kinds, values)
def test_every_pair_of_3_0_1_has_its_string(kind: str, value: Any) -> None:
    value = m31.Point(float(value.x), float(value.y)) if isinstance(value, m31.Point) else value
    found = pair(string(kind, value))
    assert found == (kind, value)
    assert type(found[1]) is type(value)


@law
@given(st.lists(own, unique=True, max_size=6) | st.none())
def test_lists_of_strings_come_back_in_their_order(told: list[str] | None) -> None:
    assert strings(pairs(told)) == (None if told is None else tuple(told))


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("TARGET", "group-1", "group-1"),
        ("GROUP", "north", "GROUP:north"),
        ("GROUP", "a:b", "GROUP:a:b"),
        ("TARGET", "a:b", "TARGET:a:b"),
        ("TARGET", "TARGET:x", "TARGET:x"),
        ("TARGET", "", "TARGET:"),
        ("TARGET", ":x", ":x"),
        ("a:b", "c", "a%3Ab:c"),
        ("SERVICE_AREA", 7, "SERVICE_AREA:=7"),
        ("SERVICE_AREA", "=7", 'SERVICE_AREA:="=7"'),
        ("LOCATION", True, "LOCATION:=true"),
    ],
)
def test_pairs_and_strings(kind: str, value: Any, text: str) -> None:
    assert string(kind, value) == text
    assert pair(text) == (kind, value)


@pytest.mark.parametrize(
    "target",
    [
        {"type": "GROUP", "values": ["x" * 96]},
        {"type": "T" * 33, "values": ["x"]},
        {"type": "TARGET", "values": ["x" * 129]},
        {"type": "", "values": ["x"]},
        {"type": "GROUP", "values": "x"},
    ],
)
def test_targets_3_1_has_no_room_for_are_refused(target: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"targets"):
        read301("eventRequest", m301.EventRequest, targets=[target])


def test_a_target_that_colons_make_too_long_is_refused() -> None:
    target = Target(type=":" * 32, values=("x" * 95,))
    with pytest.raises(Refused, match=str(MOST)):
        strings([target])


@pytest.mark.parametrize("text", ["x" * 128, "T" * 40 + ":x", "GROUP:" + "x" * 122])
def test_the_longest_strings_of_3_1_are_targets_of_3_0_1(text: str) -> None:
    told = pairs([text])
    assert told == (Target(type="TARGET", values=(text,)),)
    assert strings(told) == (text,)
    assert validator("301", "target").is_valid(spoken(told)[0])


def test_names_are_grants() -> None:
    assert set(implied_grants("VEN-999", ["heater"])) == {"VEN_NAME:VEN-999", "RESOURCE_NAME:heater"}
    assert list(implied_grants(resource_names=["a:b"])) == ["RESOURCE_NAME:a:b"]


def test_a_query_asks_for_the_same_strings() -> None:
    assert asked("GROUP", ["north", "south"]) == ("GROUP:north", "GROUP:south")
    assert asked(None, ["group-1"]) == ("group-1",)
    assert asked("TARGET", ["TARGET:" * 10_000]) == ("TARGET:" * 10_000,)


# ---------------------------------------------------------------- objects

ATTRIBUTES = {
    "PROGRAM_LONG_NAME": "Residential time of use",
    "RETAILER_NAME": "ACME",
    "RETAILER_LONG_NAME": "ACME Electric",
    "PROGRAM_TYPE": "PRICING_TARIFF",
    "COUNTRY": "US",
    "PRINCIPAL_SUBDIVISION": "CO",
    "BINDING_EVENTS": False,
    "LOCAL": True,
    "TIME_ZONE_OFFSET": "PT1H",
}


def test_the_fields_of_a_program_are_its_attributes() -> None:
    program = to31.program(read301("programRequest", m301.ProgramRequest))
    assert {one.type: one.values[0] for one in program.attributes or ()} == ATTRIBUTES
    assert program.interval_period == m31.IntervalPeriod(start="0001-01-01", duration="P1Y")
    assert program.targets == ("GROUP:north", "GROUP:=7", "group-1")


def test_a_program_without_such_fields_has_no_attributes() -> None:
    assert to31.program(m301.ProgramRequest(program_name="a")).attributes is None


def test_attributes_that_fit_no_field_stay_behind() -> None:
    strange = ("COUNTRY", ("BR", "US")), ("LOCAL", ("yes",)), ("TIME_ZONE_OFFSET", ("an hour",)), ("COLOUR", ("red",))
    attributes = tuple(ValuesMap(type=kind, values=values) for kind, values in strange)
    told = to301.program(m31.Program(program_name="a", attributes=attributes, **STAMPS))  # type: ignore[arg-type]
    assert told == m301.Program(program_name="a", **STAMPS)  # type: ignore[arg-type]


@pytest.mark.parametrize("schema", ["programRequest", "eventRequest", "reportRequest", "subscriptionRequest"])
def test_a_request_of_3_0_1_comes_back_from_3_1(schema: str) -> None:
    name = schema.removesuffix("Request")
    request = read301(schema, getattr(m301, name.capitalize() + "Request"))
    kept = getattr(to31, name)(request)
    owner = {"client_id": "c"} if name in ("report", "subscription") else {}
    program = ("program-1",) if name == "report" else ()
    told = getattr(to301, name)(stamped(getattr(m31, name.capitalize()), kept, **owner), *program)
    assert same_request(told, request)
    assert getattr(to31, name)(told) == kept


def test_a_ven_comes_back_with_its_resources() -> None:
    request = read301("venRequest", m301.VenRequest)
    kept = to31.ven(request, "client 1")
    ven = stamped(m31.Ven, kept)
    resources = [stamped(m31.Resource, to31.resource(one, "a1", "client 1")) for one in request.resources or ()]
    told = spoken(to301.ven(ven, resources))
    (resource,), asked_for = told.pop("resources"), dict(EXAMPLES["301"]["venRequest"])
    assert resource.items() >= {"venID": "a1", **EXAMPLES["301"]["resourceRequest"]}.items()
    del asked_for["resources"]
    assert told.items() >= asked_for.items()


def test_a_ven_cannot_grant_itself_targets() -> None:
    request = read301("venRequest", m301.VenRequest)
    assert to31.ven(request, None) == m31.VenVenRequest(ven_name="VEN-999", attributes=request.attributes)
    resource = read301("resourceRequest", m301.ResourceRequest)
    assert isinstance(to31.resource(resource, "v1", None), m31.VenResourceRequest)


@pytest.mark.parametrize(
    ("descriptor", "kind"),
    [
        ({"payloadType": "PRICE", "currency": "USD"}, m31.EventPayloadDescriptor),
        ({"payloadType": "PRICE", "units": ""}, m31.EventPayloadDescriptor),
        ({"payloadType": "USAGE", "readingType": "MEAN"}, m31.ReportPayloadDescriptor),
        ({"payloadType": "USAGE", "confidence": 0}, m31.ReportPayloadDescriptor),
        ({"payloadType": "USAGE", "objectType": "REPORT_PAYLOAD_DESCRIPTOR"}, m31.ReportPayloadDescriptor),
    ],
)
def test_a_descriptor_without_a_type_is_known_by_its_fields(descriptor: dict[str, Any], kind: type) -> None:
    request = read301("programRequest", m301.ProgramRequest, payloadDescriptors=[descriptor])
    (told,) = to31.program(request).payload_descriptors or ()
    assert isinstance(told, kind)
    assert told.units is None


def test_a_descriptor_without_a_type_is_known_by_its_place() -> None:
    bare = [{"payloadType": "USAGE"}]
    report = to31.report(read301("reportRequest", m301.ReportRequest, payloadDescriptors=bare))
    assert report.payload_descriptors == (m31.ReportPayloadDescriptor(payload_type="USAGE"),)
    with pytest.raises(Refused, match="EVENT_PAYLOAD_DESCRIPTOR"):
        read301("eventRequest", m301.EventRequest, payloadDescriptors=[EXAMPLES["31"]["reportPayloadDescriptor"]])


def test_a_subscription_to_no_program_stays_behind() -> None:
    subscription = read31("subscription", m31.Subscription)
    assert to301.subscription(subscription) is not None
    assert to301.subscription(msgspec.structs.replace(subscription, program_id=msgspec.UNSET)) is None


@pytest.mark.parametrize(
    ("operation", "verb"), [("CREATE", "POST"), ("READ", "GET"), ("UPDATE", "PUT"), ("DELETE", "DELETE")]
)
def test_a_notification_names_its_operation_as_a_verb(operation: str, verb: str) -> None:
    notification = read31("notification", m31.Notification, operation=operation)
    told = spoken(to301.notification(notification, to301.event(notification.object)))
    assert told["operation"] == verb
    validator("301", "notification").validate(told)


@pytest.mark.parametrize("name", ["program", "event", "report", "subscription", "ven", "resource"])
def test_what_is_said_in_3_0_1_is_valid_there(name: str) -> None:
    thing = read31(name, getattr(m31, name.capitalize()))
    more: dict[str, tuple[Any, ...]] = {"report": ("program-1",), "ven": ([read31("resource", m31.Resource)],)}
    validator("301", name).validate(spoken(getattr(to301, name)(thing, *more.get(name, ()))))


# ---------------------------------------------------------------- laws

periods = st.builds(
    m31.IntervalPeriod,
    start=st.sampled_from(["2026-02-10T00:00:00Z", "0001-01-01", "0001-01-01T00:00:00"]) | st.just(msgspec.UNSET),
    duration=st.sampled_from(["PT1H", "PT0S", "P1M", "P9999Y"]) | st.just(msgspec.UNSET),
    randomize_start=st.sampled_from(["PT5M"]) | st.just(msgspec.UNSET),
)
payloads = st.builds(ValuesMap, type=st.just("PRICE"), values=st.lists(numbers, max_size=3).map(tuple))
intervals = st.builds(
    m31.Interval,
    id=st.integers(0, 9),
    interval_period=periods | st.just(msgspec.UNSET),
    payloads=st.lists(payloads, max_size=2).map(tuple),
)
events = st.builds(
    m31.Event,
    program_id=st.just("p"),
    event_name=texts | st.none(),
    duration=st.just(msgspec.UNSET),
    priority=st.integers(0, 9) | st.none(),
    targets=st.lists(own, unique=True, max_size=4).map(tuple) | st.none(),
    report_descriptors=st.none(),
    payload_descriptors=st.lists(
        st.builds(m31.EventPayloadDescriptor, payload_type=kinds, units=texts.filter(bool), currency=texts), max_size=2
    ).map(tuple),
    interval_period=periods | st.just(msgspec.UNSET),
    intervals=st.lists(intervals, max_size=4).map(tuple),
    **{name: st.just(value) for name, value in STAMPS.items()},
)


@law
@given(events)
def test_an_event_means_the_same_in_time_when_3_0_1_has_told_it(event: m31.Event) -> None:
    told = to31.event(to301.event(event))
    assert lifespan(told, None, AT) == lifespan(event, None, AT)
    both = zip(timeline(told, None, AT), timeline(event, None, AT), strict=True)
    assert all(one == other for one, other in itertools.islice(both, 50))


@law
@given(events)
def test_an_event_comes_back_but_for_the_starts_it_did_not_say(event: m31.Event) -> None:
    told = to31.event(to301.event(event))
    assert same_request(_with_starts(event), told)


def _with_starts(event: m31.Event) -> m31.Event:
    """With 0001-01-01 for the starts that 3.1 may leave out and 3.0.1 may not."""

    def started(period: m31.IntervalPeriod | msgspec.UnsetType) -> m31.IntervalPeriod | msgspec.UnsetType:
        return msgspec.structs.replace(period, start=period.start or "0001-01-01") if period else msgspec.UNSET

    inner = tuple(
        msgspec.structs.replace(one, interval_period=started(one.interval_period)) for one in event.intervals or ()
    )
    return msgspec.structs.replace(event, interval_period=started(event.interval_period), intervals=inner)
