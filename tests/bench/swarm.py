"""Thin devices by the thousand in a process of their own: MQTT 3.1.1 over TLS, a socket and a little Python each. What
they take of the machine is not there for who is measured: whatever comes is read first, then answered.

`python -m tests.bench.swarm PORT CA DEVICES`, a file of JSON: [[VEN, secret], …]. It reads lines of JSON, what they
shall do, and answers each with one.

    {"do": "handshake", "devices": n}        n bare TLS handshakes and no more: {"seconds": …}
    {"do": "connect"}                        TLS, CONNECT with a last will, SUBSCRIBE to the commands: {"seconds": …}
    {"do": "report"}                         presence, meter and load of each, confirmed by the broker: {"seconds": …}
    {"do": "listen", "answers": true}        {"listening": true}, and once each has a command {"heard": [when, …]},
                                             seconds of the machine's monotonic clock; answered only if it says so
"""

import json
import select
import socket
import ssl
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from tieline.wires.mqtt.messages import (
    ACK,
    COMMAND,
    LOADS,
    METER,
    PRESENCE,
    Ack,
    Answer,
    Load,
    Loads,
    LoadState,
    Meter,
    Presence,
    Sample,
    topic,
)

AT_ONCE = 64  # connections being made together, as a gateway or two would
LOAD_KW = 3.0
KEEP_ALIVE_S = 600
MOST = 1000  # that are served together
CONNACK, PUBLISH, PUBACK, SUBACK = 2, 3, 4, 9


class Named(msgspec.Struct):
    """All that a thin device reads of a command."""

    command_id: str


_command = msgspec.json.Decoder(Named)


def packet(kind: int, body: bytes) -> bytes:
    length, size = bytearray(), len(body)
    while True:
        size, low = divmod(size, 128)
        length.append(low | (0x80 if size else 0))
        if not size:
            return bytes([kind]) + bytes(length) + body


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return len(data).to_bytes(2, "big") + data


def connect(ven_id: str, secret: str) -> bytes:
    """With a last will at QoS 1, as the agent's."""
    head = text("MQTT") + b"\x04" + bytes([0xC2 | 0x04 | 0x08]) + KEEP_ALIVE_S.to_bytes(2, "big")
    will = text(topic(PRESENCE, ven_id)) + text(msgspec.json.encode(Presence(online=False)))
    return packet(0x10, head + text(ven_id) + will + text(ven_id) + text(secret))


def publish(where: str, payload: bytes) -> bytes:
    """At QoS 1."""
    return packet(0x32, text(where) + b"\x00\x01" + payload)


def subscribe(where: str) -> bytes:
    """At QoS 0."""
    return packet(0x82, b"\x00\x01" + text(where) + b"\x00")


def packets(held: bytearray) -> Iterator[tuple[int, bytes]]:
    """(kind, body) of each whole packet, taken out of what is held."""
    while len(held) >= 2:
        size, shift, at = 0, 0, 1
        while at < len(held):
            size |= (held[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if held[at - 1] < 0x80:
                break
        else:
            return
        if len(held) < at + size:
            return
        kind, body = held[0] >> 4, bytes(held[at : at + size])
        del held[: at + size]
        yield kind, body


class Device:
    """One connection: `line`, once it was begun."""

    __slots__ = ("heard_at", "held", "line", "secret", "topic", "ven_id", "waiting")
    line: ssl.SSLSocket

    def __init__(self, ven_id: str, secret: str) -> None:
        self.ven_id, self.secret = ven_id, secret
        self.topic = topic(ACK, ven_id)
        self.held = bytearray()
        self.waiting = 0  # answers of the broker that are yet to come
        self.heard_at: float | None = None

    def say(self, data: bytes) -> None:
        # A device says little: what it says fits in the socket's buffer.
        self.line.send(data)


class Swarm:
    def __init__(self, port: int, authority: str, devices: list[Device]) -> None:
        self.port, self.devices = port, devices
        self.tls = ssl.create_default_context(cafile=authority)
        self.tls.check_hostname = False
        self.tls.maximum_version = ssl.TLSVersion.TLSv1_3
        self.epoll = select.epoll()
        self.by_file: dict[int, Device] = {}
        self.answers = False
        self.unheard = 0
        self.answering: list[tuple[Device, str]] = []

    # --- connecting ---

    def opened(self, devices: list[Device], then: Callable[[Device], None]) -> float:
        """Every device over TLS, so many at once; `then` it goes on. How many seconds until none has more to come."""
        began, left = time.monotonic(), deque(devices)
        busy: set[Device] = set()
        while left or busy:
            while left and len(busy) < AT_ONCE:
                busy.add(device := left.popleft())
                self._begin(device)
            for file, _ in self.epoll.poll(30, MOST) or self._silence(len(busy)):
                device = self.by_file[file]
                if device.waiting < 0:
                    self._shake_hands(device, then)
                else:
                    self._read(device)
                if not device.waiting:
                    busy.discard(device)
        return time.monotonic() - began

    def _silence(self, of: int) -> list[Any]:
        raise SystemExit(f"{of} devices hear nothing from the broker")

    def _begin(self, device: Device) -> None:
        plain = socket.create_connection(("127.0.0.1", self.port), 10)
        plain.setblocking(False)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        device.line = self.tls.wrap_socket(plain, do_handshake_on_connect=False)
        device.waiting = -1  # its hands are not shaken
        self.by_file[device.line.fileno()] = device
        self.epoll.register(device.line, select.EPOLLIN | select.EPOLLOUT)

    def _shake_hands(self, device: Device, then: Callable[[Device], None]) -> None:
        try:
            device.line.do_handshake()
        except ssl.SSLWantReadError:
            self.epoll.modify(device.line, select.EPOLLIN)
            return
        except ssl.SSLWantWriteError:
            return
        self.epoll.modify(device.line, select.EPOLLIN)
        device.waiting = 0
        then(device)

    def leave(self, device: Device) -> None:
        self.epoll.unregister(device.line)
        del self.by_file[device.line.fileno()]
        device.line.close()

    def introduce(self, device: Device) -> None:
        device.waiting = 2
        device.say(connect(device.ven_id, device.secret) + subscribe(topic(COMMAND, device.ven_id)))

    # --- talking ---

    def report(self) -> float:
        """A few devices at a time: that all do so within a second is no fleet's way."""
        began = time.monotonic()
        for first in range(0, len(self.devices), AT_ONCE):
            some = self.devices[first : first + AT_ONCE]
            for device in some:
                device.waiting = 3
                device.say(report(device.ven_id, datetime.now(UTC)))
            while any(device.waiting for device in some):
                self.turn(30) or self._silence(len(some))
        return time.monotonic() - began

    def listen(self, *, answers: bool) -> None:
        self.answers, self.unheard = answers, len(self.devices)
        for device in self.devices:
            device.heard_at = None

    def turn(self, within_s: float) -> bool:
        """Serve who has something to read, then answer what was heard; whether anything was."""
        found = self.epoll.poll(within_s, MOST)
        for file, _ in found:
            self._read(self.by_file[file]) if file in self.by_file else self._obey()
        if self.answering:
            self._answer()
        return bool(found)

    def _answer(self) -> None:
        now = datetime.now(UTC)
        for device, command_id in self.answering:
            ack = msgspec.json.encode(Ack(command_id, Answer.ACCEPTED, now))
            device.say(publish(device.topic, ack))
        self.answering.clear()

    def _read(self, device: Device) -> None:
        while True:
            try:
                data = device.line.recv(16384)
            except ssl.SSLWantReadError:
                return
            if not data:
                raise SystemExit(f"the broker closed the connection of {device.ven_id}")
            if not device.held and len(data) > 1 and len(data) == data[1] + 2 < 0x80:  # one short packet, as most are
                self._take(device, data[0] >> 4, data[2:])
            else:
                device.held += data
                for kind, body in packets(device.held):
                    self._take(device, kind, body)
            if not device.line.pending():
                return

    def _take(self, device: Device, kind: int, body: bytes) -> None:
        if kind == PUBLISH:
            self._hear(device, body)
        elif kind in (CONNACK, SUBACK, PUBACK):
            if kind == CONNACK and body[1]:
                raise SystemExit(f"the broker refused {device.ven_id}: {body[1]}")
            device.waiting = max(0, device.waiting - 1)

    def _hear(self, device: Device, body: bytes) -> None:
        now = time.monotonic()
        if self.answers:
            command = _command.decode(body[2 + int.from_bytes(body[:2], "big") :])
            self.answering.append((device, command.command_id))
        if device.heard_at is None and self.unheard:
            device.heard_at = now
            self.unheard -= 1
            if not self.unheard:
                tell({"heard": [one.heard_at for one in self.devices]})

    # --- being told ---

    def serve(self) -> None:
        self.epoll.register(sys.stdin, select.EPOLLIN)
        while True:
            self.turn(3600)

    def _obey(self) -> None:
        line = sys.stdin.readline()
        if not line:
            raise SystemExit(0)
        told = json.loads(line)
        self.epoll.unregister(sys.stdin)
        if told["do"] == "handshake":
            tell({"seconds": self.opened(self.devices[: told["devices"]], self.leave)})
        elif told["do"] == "connect":
            tell({"seconds": self.opened(self.devices, self.introduce)})
        elif told["do"] == "report":
            tell({"seconds": self.report()})
        else:
            self.listen(answers=told["answers"])
            tell({"listening": True})
        self.epoll.register(sys.stdin, select.EPOLLIN)


def report(ven_id: str, now: datetime) -> bytes:
    said = {
        PRESENCE: Presence(online=True, beat_s=KEEP_ALIVE_S),
        METER: Meter([Sample(now, LOAD_KW)]),
        LOADS: Loads(now, [Load("heater", LOAD_KW, LOAD_KW, LoadState.ON)]),
    }
    return b"".join(publish(topic(kind, ven_id), msgspec.json.encode(one)) for kind, one in said.items())


def tell(what: dict[str, object]) -> None:
    print(json.dumps(what), flush=True)


def main(port: int, authority: str, devices: Path) -> None:
    known = [Device(ven_id, secret) for ven_id, secret in json.loads(devices.read_bytes())]
    Swarm(port, authority, known).serve()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
