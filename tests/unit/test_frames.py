"""Frames of NATS, cut out of buffers that end anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.adapters.nats.frames import Cutter, Message

PAYLOADS = st.one_of(st.binary(max_size=60), st.just(b"\r\nMSG a 1 3\r\nabc\r\n"), st.just(b"PING\r\n"))
HEAD = b"NATS/1.0\r\nNats-Msg-Id: x\r\n\r\n"


def frame(number: int, reply: bytes, headed: bool, payload: bytes) -> bytes:
    back = reply + b" " if reply else b""
    if headed:
        return b"HMSG a.b %d %s%d %d\r\n%s%s\r\n" % (number, back, len(HEAD), len(HEAD) + len(payload), HEAD, payload)
    return b"MSG a.b %d %s%d\r\n%s\r\n" % (number, back, len(payload), payload)


@given(
    st.lists(st.tuples(st.integers(1, 2), st.sampled_from([b"", b"$JS.ACK.x"]), st.booleans(), PAYLOADS), max_size=12),
    st.lists(st.integers(1, 40), min_size=1),
)
def test_wherever_buffers_end_each_message_is_whole(
    said: list[tuple[int, bytes, bool, bytes]], sizes: list[int]
) -> None:
    told: list[bytes] = []
    cutter = Cutter(lambda kind, _: told.append(kind))
    data = b"INFO {}\r\n" + b"".join(frame(*one) + b"PING\r\n" for one in said)
    found: dict[bytes, list[Message]] = {}
    at, turn = 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        for number, messages in cutter.fed(data[at : at + size]).items():
            found.setdefault(number, []).extend(messages)
        at, turn = at + size, turn + 1
    assert told == [b"INFO", *[b"PING"] * len(said)]
    for wanted in (1, 2):
        sent = [(reply, payload, HEAD if headed else b"") for n, reply, headed, payload in said if n == wanted]
        assert [(one.reply, one.data, one.head) for one in found.get(b"%d" % wanted, [])] == sent


def test_a_status_says_what_is_over() -> None:
    head = b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 20\r\n\r\n"
    status = Message(b"a", b"", b"", head)
    assert (status.status, status.said, status.header("Nats-Pending-Messages")) == ("408", "Request Timeout", "20")
    assert Message(b"a", b"r", b"", HEAD).status == ""
    assert Message(b"a", b"r", b"", b"").header("x") is None


def test_what_is_no_frame_is_not_gathered_for_ever() -> None:
    with pytest.raises(ValueError, match="more than"):
        Cutter(lambda *_: None).fed(b"x" * (2 << 20))
    with pytest.raises(ValueError, match="invalid literal"):
        Cutter(lambda *_: None).fed(b"MSG a 1 many\r\n")
