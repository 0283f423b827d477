"""MQTT packets of the platform's publisher, as laws: what is cut anywhere comes out whole, in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.adapters.nats import packets
from tieline.adapters.nats.packets import Stream

MESSAGES = st.lists(st.tuples(st.integers(1, 65_535), st.binary(max_size=300)), max_size=8)


@given(MESSAGES, st.lists(st.integers(1, 40), min_size=1))
def test_what_comes_in_pieces_comes_out_whole(messages: list[tuple[int, bytes]], cuts: list[int]) -> None:
    sent = b"".join(packets.publish(number, "ven/cmd/home-1", payload, retain=True) for number, payload in messages)
    stream, found, at = Stream(), list[tuple[int, bytes]](), 0
    while at < len(sent):
        size = cuts[at % len(cuts)]
        found += stream.fed(sent[at : at + size])
        at += size
    head = b"\x00\x0even/cmd/home-1"
    assert found == [(3, head + number.to_bytes(2, "big") + payload) for number, payload in messages]


@pytest.mark.parametrize(
    ("size", "length"), [(0, b"\x05"), (122, b"\x7f"), (123, b"\x80\x01"), (16_379, b"\x80\x80\x01")]
)
def test_the_length_is_said_as_the_standard_says(size: int, length: bytes) -> None:
    """MQTT 3.1.1, 2.2.3: seven bits a byte, the lowest first. Before the payload stand 5 bytes."""
    packet = packets.publish(1, "a", b"." * size, retain=False)
    assert packet[0] == 0x32
    assert packet[1 : 1 + len(length)] == length
    assert len(packet) == 1 + len(length) + 5 + size


def test_a_connect_as_the_standard_says() -> None:
    """3.1: protocol MQTT level 4, clean session, user and password, keep alive, then the three texts."""
    said = b"\x00\x04MQTT\x04\xc2\x00\x14" + b"\x00\x02id" + b"\x00\x01u" + b"\x00\x02pw"
    assert packets.connect("id", "u", "pw", keep_alive_s=20) == b"\x10" + bytes([len(said)]) + said


def test_a_length_without_end_is_no_packet() -> None:
    with pytest.raises(ValueError, match="no end"):
        list(Stream().fed(b"\x40\xff\xff\xff\xff\x01"))
