"""What no body of OpenADR may be, refused with field and reason; and what the platform tells itself of changes."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tests.unit.openadr_schemas import EXAMPLES, OF_EVENT
from tieline.base.errors import Refused
from tieline.wires.openadr31.change import Change, is_change, subjects
from tieline.wires.openadr31.messages import (
    Event,
    EventRequest,
    Object,
    ObjectType,
    Operation,
    ProgramRequest,
    Report,
    ReportRequest,
    SubscriptionRequest,
    VenRequest,
    decode,
    encode,
    object_type,
)

AT = datetime(2026, 2, 10, 12, tzinfo=UTC)
PROGRAM_OF = {"program": "a-1_Z", "event": "program-1", "subscription": "program-1", "report": None, "ven": None}


def changed(example: str, **fields: object) -> bytes:
    return json.dumps(EXAMPLES["31"][example] | fields).encode()


def program(text: str) -> bytes:
    """A program whose name is a piece of JSON."""
    return b'{"programName":' + text.encode() + b"}"


def values(text: str) -> bytes:
    """A program with an attribute of these values."""
    return b'{"programName":"a","attributes":[{"type":"A","values":[' + text.encode() + b"]}]}"


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        (ProgramRequest, b"{}", "body: Object missing required field `programName`"),
        (ProgramRequest, b"[]", "body: Expected `object`, got `array`"),
        (ProgramRequest, changed("programRequest", programName=5), "programName: Expected `str`, got `int`"),
        (ProgramRequest, changed("programRequest", programName=""), "programName: Expected `str` of length >= 1"),
        (ProgramRequest, changed("programRequest", targets=["a", "b" * 129]), "targets[1]: Expected `str` of length"),
        (ProgramRequest, changed("programRequest", intervalPeriod=None), "intervalPeriod: Expected `object`, got"),
        (EventRequest, changed("eventRequest", duration=None), "duration: Expected `str`, got `null`"),
        (EventRequest, changed("eventRequest", duration="1 h"), "duration: Expected `str` in ISO 8601 such as PT1H"),
        (EventRequest, changed("eventRequest", programID="a/b"), "programID: Expected `str` of A-Z a-z 0-9 _ -"),
        (EventRequest, changed("eventRequest", priority=-1), "priority: Expected `int` >= 0"),
        (EventRequest, changed("eventRequest", intervalPeriod={"start": "noon"}), "intervalPeriod: 'noon' is not"),
        (EventRequest, changed("eventRequest", intervals=[{"id": 2**31, "payloads": []}]), "intervals[0].id: "),
        (EventRequest, changed("eventRequest", intervals=[{"id": 1.5, "payloads": []}]), "intervals[0].id: "),
        (EventRequest, changed("eventRequest", payloadDescriptors=[{"payloadType": "A"}]), "payloadDescriptors[0]: "),
        (ReportRequest, changed("reportRequest", payloadDescriptors=[OF_EVENT]),
         "body: payloadDescriptors here have the objectType REPORT_PAYLOAD_DESCRIPTOR"),
        (SubscriptionRequest, changed("subscriptionRequest", objectOperations=[{"objects": ["CAR"]}]),
         "objectOperations[0].objects[0]: Invalid enum value 'CAR'"),
        (VenRequest, changed("venRequest", objectType="VEN"), "objectType: Invalid value 'VEN'"),
        (VenRequest, b'{"venName":"a"}', "body: Object missing required field `objectType`"),
        (VenRequest, b'{"venName":"a","objectType":"BL_VEN_REQUEST"}', "body: Object missing required field"),
        (list[VenRequest], b"[{}]", "[0]: Object missing required field `objectType`"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_field_and_what_it_should_be(kind: Any, body: bytes, reason: str) -> None:
    with pytest.raises(Refused) as refusal:
        decode(kind, body)
    assert str(refusal.value).startswith(reason)


HOSTILE = {
    "nothing": b"",
    "half": b"{",
    "more": b"{} {}",
    "byte order mark": b"\xef\xbb\xbf{}",
    "not a number": b"NaN",
    "NUL": program('"a\x00b"'),
    "NUL escaped": program('"a\\u0000b"'),
    "half a surrogate pair": program('"\\ud800"'),
    "surrogates in reverse": program('"\\udc00\\ud800"'),
    "single quotes": program("'a'"),
    "not UTF-8": b'{"programName":"\xff"}',
    "not UTF-8 in an unknown field": b'{"unknown":"\xff","programName":"a"}',
    "a surrogate as UTF-8": b'{"programName":"\xed\xa0\x80"}',
    "deep arrays": b'{"unknown":' + b"[" * 200_000,
    "deep objects": b'{"unknown":' + b'{"a":' * 200_000,
    "null for a value": values("null"),
    "a very long integer": values("9" * 5000),
    "a number past all": values("1e999"),
    "infinity": values("Infinity"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_bodies_are_refused(what: str) -> None:
    with pytest.raises(Refused, match=r"^[\w.\[\]]+: \w"):
        decode(ProgramRequest, HOSTILE[what])


def test_a_backslash_before_u0000_is_only_text() -> None:
    assert decode(ProgramRequest, program(r'"\\u0000"')).program_name == r"\u0000"
    with pytest.raises(Refused, match=r"U\+0000"):
        decode(ProgramRequest, program(r'"\\\u0000"'))


def test_what_is_not_kept_may_hold_anything() -> None:
    assert decode(ProgramRequest, b'{"unknown":"\\u0000","programName":"a"}').program_name == "a"


def test_long_numbers_come_back_as_they_were_sent() -> None:
    numbers = "9" * 300 + ",1.5e300,-0.0"
    assert f"[{numbers}]".encode() in encode(decode(ProgramRequest, values(numbers)))


def test_what_a_vtn_stamps_is_ignored_in_a_body() -> None:
    """Definition, "POST and PUT": objectID, createdDateTime, modificationDateTime and objectType."""
    stamps = {"id": 5, "createdDateTime": "x", "modificationDateTime": None, "objectType": ["EVENT"], "clientID": 7}
    plain = decode(ProgramRequest, changed("programRequest"))
    assert decode(ProgramRequest, changed("programRequest", **stamps)) == plain


@pytest.mark.parametrize("start", ["0001-01-01", "0001-01-01T00:00:00", "2026-02-10t00:00:00.123456789-03:00"])
def test_a_start_comes_back_as_the_text_it_was(start: str) -> None:
    event = decode(EventRequest, changed("eventRequest", intervalPeriod={"start": start}))
    assert json.loads(encode(event))["intervalPeriod"] == {"start": start}


@pytest.mark.parametrize("kind", list(ObjectType))
def test_a_change_is_said_under_its_object_and_operation(kind: ObjectType) -> None:
    thing: Object = decode(Object, changed(kind.lower()))
    assert object_type(thing) is kind
    said = Change.of(Operation.DELETE, thing, AT)
    assert said.subject == f"news.openadr.{kind.lower()}.deleted"
    assert is_change(said.subject)
    assert said.subject.startswith(subjects(kind).removesuffix("*"))
    assert (said.object_type, said.object_id, said.object) == (kind, thing.id, thing)
    assert said.client_id == getattr(thing, "client_id", None)
    assert decode(Change, said.encoded()) == said


def test_a_change_says_whose_and_when() -> None:
    thing = decode(Report, changed("report"))
    told = msgspec.json.decode(Change.of(Operation.CREATE, thing, AT, program_id="program 1").encoded())
    assert told["client_id"] == thing.client_id
    assert told["program_id"] == "program 1"
    assert told["object"] == EXAMPLES["31"]["report"]
    assert told["at"] == "2026-02-10T12:00:00Z"


def test_a_change_names_the_program_that_the_object_names_or_is() -> None:
    its = {kind: Change.of(Operation.CREATE, decode(Object, changed(kind)), AT).program_id for kind in PROGRAM_OF}
    assert its == PROGRAM_OF


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"eventName": "another"}, False),
        ({"targets": ["elsewhere"]}, True),
        ({"programID": "another"}, True),
    ],
)
def test_a_change_keeps_what_was_where_others_saw_it(fields: dict[str, object], kept: bool) -> None:
    was, now = decode(Event, changed("event", **fields)), decode(Event, changed("event"))
    assert Change.of(Operation.UPDATE, now, AT, before=was).before == (was if kept else None)
