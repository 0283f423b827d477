"""Messages in both encodings: what was written is read, what is unknown is passed over, what is hostile is refused."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.base.errors import Refused
from tieline.wires.mqtt import messages
from tieline.wires.mqtt.codec import MAX_DEPTH, decode, encode
from tieline.wires.mqtt.messages import Ack, Command, Loads, Meter, Presence, TwinDelta, TwinReport

KINDS: list[type[msgspec.Struct]] = [Meter, Loads, Presence, Command, Ack, TwinReport, TwinDelta]
NOW = datetime(2026, 7, 14, 23, 30, tzinfo=UTC)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBER = st.floats(-1e6, 1e6)
NOT_NEGATIVE = st.floats(0, 1e6)
INSTANT = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  UTC is put on
IDS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
SCALAR = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | NUMBER | TEXT
SCALARS = st.dictionaries(TEXT, SCALAR, max_size=5)
DOCUMENT = st.dictionaries(
    TEXT, st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))
)
SAMPLE = st.builds(messages.Sample, INSTANT, NUMBER)
LOAD = st.builds(
    messages.Load, IDS, NUMBER, NOT_NEGATIVE, st.sampled_from(messages.LoadState), st.none() | NOT_NEGATIVE,
    st.none() | NOT_NEGATIVE,
)  # fmt: skip
COMMAND = st.builds(
    Command, command_id=TEXT, op=st.sampled_from(messages.Op), issued_at=INSTANT, expires_at=INSTANT, event_id=TEXT,
    start_at=st.none() | INSTANT, end_at=st.none() | INSTANT,
    limits=st.lists(st.builds(messages.Limit, IDS, NOT_NEGATIVE), max_size=4), resource_id=st.none() | IDS,
    limit_kw=st.none() | NOT_NEGATIVE, values=SCALARS, names=st.lists(TEXT, max_size=3),
)  # fmt: skip
MESSAGE = st.one_of(
    st.builds(Meter, st.lists(SAMPLE, min_size=1, max_size=5)),
    st.builds(Loads, INSTANT, st.lists(LOAD, max_size=5)),
    st.builds(Presence, st.booleans(), st.floats(1, 3600), TEXT),
    COMMAND,
    st.builds(Ack, TEXT, st.sampled_from(messages.Answer), INSTANT, TEXT, SCALARS),
    st.builds(TwinReport, IDS, st.none() | DOCUMENT, st.none() | st.integers(0, 9), TEXT),
    st.builds(TwinDelta, TEXT, st.integers(0, 2**40), INSTANT, DOCUMENT, TEXT, TEXT),
)
each_way = pytest.mark.parametrize("packed", [False, True], ids=["json", "packed"])


@given(MESSAGE, st.booleans())
def test_what_was_written_is_read(message: msgspec.Struct, packed: bool) -> None:
    assert decode(encode(message, packed=packed), type(message)) == message


@given(MESSAGE, SCALARS, st.booleans())
def test_a_newer_message_is_read_by_what_is_known_of_it(
    message: msgspec.Struct, more: dict[str, Any], packed: bool
) -> None:
    said = {f"new {name}": value for name, value in more.items()} | msgspec.to_builtins(message)
    said["deep"] = [{"unknown": [1, {"x": None}]}]
    assert decode((msgspec.msgpack if packed else msgspec.json).encode(said), type(message)) == message


@given(st.binary(max_size=200), st.sampled_from(KINDS))
def test_any_bytes_are_a_message_or_refused(data: bytes, kind: type[msgspec.Struct]) -> None:
    with contextlib.suppress(Refused):
        assert isinstance(decode(data, kind), kind)


@given(MESSAGE, st.data())
def test_a_damaged_message_is_another_or_refused(message: msgspec.Struct, chance: st.DataObject) -> None:
    data = bytearray(encode(message, packed=chance.draw(st.booleans())))
    for _ in range(chance.draw(st.integers(1, 4))):
        data[chance.draw(st.integers(0, len(data) - 1))] = chance.draw(st.integers(0, 255))
    cut = bytes(data[: chance.draw(st.integers(0, len(data)))])
    with contextlib.suppress(Refused):
        assert isinstance(decode(cut, type(message)), type(message))


def test_white_space_before_json_is_passed_over() -> None:
    assert decode(b' \r\n\t{"online": true}', Presence) == Presence(online=True)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "MessagePack"),
        (b"{", "JSON"),
        (b"[]", "MessagePack"),
        (b'{"samples": []}', "length >= 1"),
        (b'{"samples": [{"at": "2026-07-14T23:30:00", "power_kw": 1}]}', "timezone"),
        (b"\x81\xa7samples\xdd\xff\xff\xff\xff", "length <= 4096"),
        (b"\x81\xa1x\xdd\xff\xff\xff\xff", "truncated"),
        (b'{"x":' + b"[" * 100_000, "deeply"),
        (b"\x81\xa1x" + b"\x91" * 100_000, "deeply"),
        (b"\x00" * (messages.MAX_BYTES + 1), "at most 524288"),
    ],
)
def test_hostile_bytes_are_refused_with_what_is_wrong(data: bytes, said: str) -> None:
    with pytest.raises(Refused, match=said):
        decode(data, Meter)


@pytest.mark.parametrize("data", [b'{"online": true, "agent": "\xff"}', b"\x82\xa6online\xc3\xa5agent\xa2\xff\xfe"])
def test_a_text_that_is_no_utf_8_is_refused(data: bytes) -> None:
    with pytest.raises(Refused, match="UTF-8"):
        decode(data, Presence)


def nested(levels: int) -> dict[str, Any]:
    return {"x": nested(levels - 1)} if levels > 1 else {"x": 1}


@each_way
def test_a_document_has_a_depth_that_is_bounded(packed: bool) -> None:
    decode(encode(TwinReport(reported=nested(MAX_DEPTH - 1)), packed=packed), TwinReport)
    with pytest.raises(Refused, match="at most 32 levels"):
        decode(encode(TwinReport(reported=nested(MAX_DEPTH + 1)), packed=packed), TwinReport)


@pytest.mark.parametrize("value", [b"bytes", NOW, msgspec.msgpack.Ext(5, b"x"), float("nan"), float("inf")])
def test_what_json_cannot_say_is_refused_in_a_document(value: Any) -> None:
    with pytest.raises(Refused, match=r"reported\.place"):
        decode(encode(TwinReport(reported={"place": [value]}), packed=True), TwinReport)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_a_time_to_hold_or_a_limit_is_finite_and_not_negative(value: float) -> None:
    load = messages.Load("hvac", 1.0, 1.0, messages.LoadState.ON, hold_s=value)
    with pytest.raises(Refused, match="hold_s"):
        decode(encode(Loads(NOW, [load]), packed=True), Loads)


def test_a_number_beyond_all_numbers_is_refused() -> None:
    with pytest.raises(Refused, match="out of range"):
        decode(b'{"command_id":"c","answer":"accepted","at":"2026-07-14T23:30:00Z","values":{"x":1e999}}', Ack)


@each_way
def test_instants_come_back_the_same(packed: bool) -> None:
    at = NOW + timedelta(microseconds=1)
    ack = Ack("c", messages.Answer.ACCEPTED, at)
    assert decode(encode(ack, packed=packed), Ack).at == at
