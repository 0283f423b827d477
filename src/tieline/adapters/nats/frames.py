"""The frames of NATS's client protocol, cut out of whole buffers; as few words of it as pulling needs. Pure.

server: INFO {…} · PING · PONG · -ERR '…' · MSG subject sid [reply] size · HMSG subject sid [reply] head size
client: CONNECT {…} · PING · PONG · SUB subject sid · UNSUB sid · PUB subject [reply] size
"""

from collections.abc import Callable

import msgspec

PING, PONG = b"PING\r\n", b"PONG\r\n"
_LONGEST_LINE = 1 << 20
_WITH_REPLY = {b"HMSG": 6, b"MSG": 5}
"""Tokens of a message's line; one fewer where nobody waits for an answer."""


class Message(msgspec.Struct, gc=False):
    """One message; `head` are the header lines as they came. A status of the server's has no `reply`."""

    subject: bytes
    reply: bytes
    data: bytes
    head: bytes

    @property
    def status(self) -> str:
        """Of a message that is none: 404, 408, 409 …; empty for a message."""
        first = self.head[: self.head.find(b"\r\n")].split(b" ", 2) if self.head else []
        return first[1].decode() if len(first) > 1 else ""

    @property
    def said(self) -> str:
        """What a status says in words."""
        first = self.head.split(b"\r\n", 1)[0].split(b" ", 2)
        return first[2].decode("utf-8", "replace") if len(first) > 2 else ""

    def header(self, name: str) -> str | None:
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key == name.encode():
                return value.strip().decode("utf-8", "replace")
        return None


class Cutter:
    """Bytes as they come in, cut anywhere, to messages by subscription; `told` gets every other line."""

    def __init__(self, told: Callable[[bytes, bytes], None]) -> None:
        self._told = told
        self._held: list[bytes] = []
        self._size = 0
        self._wanted = 0  # nothing more is whole before so many bytes are there

    def fed(self, data: bytes) -> dict[bytes, list[Message]]:
        """What is whole now. Raises `ValueError` for what is no frame."""
        self._held.append(data)
        self._size += len(data)
        if self._size < self._wanted:
            return {}
        whole = b"".join(self._held)
        found: dict[bytes, list[Message]] = {}
        end = self._cut(whole, found)
        self._held, self._size = [whole[end:]], len(whole) - end
        return found

    def _cut(self, data: bytes, found: dict[bytes, list[Message]]) -> int:
        """Up to where; every turn of this loop is paid for by each message there is."""
        at, size, find = 0, len(data), data.find
        while (end := find(b"\r\n", at)) >= 0:
            tokens = data[at:end].split(b" ")
            kind, begin = tokens[0], end + 2
            if kind not in _WITH_REPLY:
                self._told(kind, data[at:end])
                at = begin
                continue
            stop = begin + int(tokens[-1])
            if stop + 2 > size:
                self._wanted = stop + 2 - at
                return at
            body = begin + int(tokens[-2]) if kind == b"HMSG" else begin
            reply = tokens[3] if len(tokens) == _WITH_REPLY[kind] else b""
            message = Message(tokens[1], reply, data[body:stop], data[begin:body])
            if (those := found.get(tokens[2])) is None:
                those = found[tokens[2]] = []
            those.append(message)
            at = stop + 2
        self._wanted = 0
        if size - at > _LONGEST_LINE:
            raise ValueError(f"a line of more than {_LONGEST_LINE} bytes")
        return at


def connect(user: str, password: str, name: str, *, tls: bool) -> bytes:
    """`no_responders`: who asks what nobody answers is told so at once."""
    said = {
        "verbose": False, "pedantic": False, "tls_required": tls, "lang": "python", "version": "1", "protocol": 1,
        "headers": True, "no_responders": True, "name": name, "user": user, "pass": password,
    }  # fmt: skip
    return b"CONNECT %s\r\n" % msgspec.json.encode(said)


def subscribe(subject: str, number: int) -> bytes:
    return b"SUB %s %d\r\n" % (subject.encode(), number)


def unsubscribe(number: int) -> bytes:
    return b"UNSUB %d\r\n" % number


def publish(subject: bytes, data: bytes, reply: bytes = b"") -> bytes:
    return b"PUB %s %s %d\r\n%s\r\n" % (subject, reply, len(data), data)
