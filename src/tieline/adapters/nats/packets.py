"""MQTT 3.1.1 packets, those that a client needs that only publishes (OASIS standard, sections 2.2 and 3). Pure."""

from collections.abc import Iterator

CONNACK, PUBACK = 2, 4
PING, DISCONNECT = b"\xc0\x00", b"\xe0\x00"
_CONNECT, _PUBLISH, _RETAINED, _CONFIRMED = 0x10, 0x30, 0x01, 0x02  # confirmed: at QoS 1
_LEVEL = b"\x00\x04MQTT\x04"
_CLEAN, _PASSWORD, _USER = 0x02, 0x40, 0x80
_LONGEST = 4
"""Bytes that say how long a packet is: so many at most."""


def connect(client_id: str, user: str, password: str, *, keep_alive_s: int) -> bytes:
    flags = bytes([_CLEAN | _PASSWORD | _USER])
    said = b"".join(_text(one) for one in (client_id, user, password))
    return _packet(_CONNECT, _LEVEL + flags + keep_alive_s.to_bytes(2, "big") + said)


def publish(number: int, topic: str, payload: bytes, *, retain: bool) -> bytes:
    """At QoS 1; `number` is what its PUBACK will say: 1 to 65,535, of no other that is on its way. 0: at QoS 0, and
    nothing will."""
    head = _PUBLISH | (_RETAINED if retain else 0) | (_CONFIRMED if number else 0)
    return _packet(head, _text(topic) + (number.to_bytes(2, "big") if number else b"") + payload)


def numbered(puback: bytes) -> int:
    return int.from_bytes(puback[:2], "big")


class Stream:
    """Bytes as they come in, cut anywhere, to packets."""

    def __init__(self) -> None:
        self._held = bytearray()

    def fed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """(type, what follows the length) of each that is whole now. Raises `ValueError` for what is no packet."""
        held = self._held
        held += data
        while (found := _measured(held)) is not None:
            start, end = found
            if len(held) < end:
                return
            kind, body = held[0] >> 4, bytes(held[start:end])
            del held[:end]
            yield kind, body


def _measured(held: bytearray) -> tuple[int, int] | None:
    """Where the first packet's body starts and ends; None while its length is not all there."""
    size = 0
    for at, byte in enumerate(held[1 : 1 + _LONGEST]):
        size |= (byte & 0x7F) << (7 * at)
        if byte < 0x80:
            return at + 2, at + 2 + size
    if len(held) > _LONGEST:
        raise ValueError("the length of an MQTT packet has no end")
    return None


def _packet(head: int, body: bytes) -> bytes:
    length, size = bytearray([head]), len(body)
    while size >= 0x80:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return bytes(length) + body


def _text(value: str) -> bytes:
    data = value.encode()
    return len(data).to_bytes(2, "big") + data
