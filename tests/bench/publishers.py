"""Thin publishers in a process of their own: a socket and very little Python each, MQTT 3.1.1 at QoS 1.

`python -m tests.bench.publishers PORT PUBLISHERS MESSAGES READINGS`, user and password on the first line of its input.
Each publisher is a VEN (`home-0` …) that says MESSAGES meter messages of READINGS samples each, a second apart, with at
most WINDOW of them unconfirmed. It prints one line of JSON once every PUBACK is there: {"seconds": …, "confirmed": n}.
"""

import json
import select
import socket
import sys
import time
from datetime import UTC, datetime, timedelta

from tests.bench.swarm import CONNACK, PUBACK, packet, packets, text

WINDOW = 100
KEEP_ALIVE_S = 600


def meter(first: datetime, readings: int) -> bytes:
    samples = ",".join(
        f'{{"at":"{(first + timedelta(seconds=n)).isoformat()[:19]}Z","power_kw":{1 + n / 8}}}' for n in range(readings)
    )
    return f'{{"samples":[{samples}],"v":1}}'.encode()


def publish(where: bytes, number: int, payload: bytes) -> bytes:
    return packet(0x32, where + number.to_bytes(2, "big") + payload)


class Publisher:
    def __init__(self, port: int, name: str, user: str, password: str, payloads: list[bytes]) -> None:
        self.name, self.confirmed, self.sent = name, 0, 0
        where = text(f"oadr/meter/{name}")
        self.packets = [publish(where, 1 + n % 60_000, one) for n, one in enumerate(payloads)]
        self.held = bytearray()
        self.line = socket.create_connection(("127.0.0.1", port), 10)
        self.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = text("MQTT") + b"\x04" + bytes([0xC2]) + KEEP_ALIVE_S.to_bytes(2, "big")
        self.line.sendall(packet(0x10, head + text(name) + text(user) + text(password)))
        found: list[tuple[int, bytes]] = []
        while not found:
            self.held += self.line.recv(4096)
            found = list(packets(self.held))
        assert found[0][0] == CONNACK
        assert found[0][1][1] == 0, f"the broker refuses {name}: {found[0][1][1]}"

    def say(self) -> None:
        upto = min(len(self.packets), self.confirmed + WINDOW)
        if upto - self.sent >= WINDOW // 2 or (upto == len(self.packets) > self.sent):
            self.line.sendall(b"".join(self.packets[self.sent : upto]))
            self.sent = upto

    def hear(self) -> None:
        data = self.line.recv(65536)
        if not data:
            raise SystemExit(f"the broker closed the connection of {self.name}")
        self.held += data
        whole = len(self.held) // 4 * 4  # each PUBACK has four bytes, and nothing else comes
        assert all(kind >> 4 == PUBACK for kind in self.held[:whole:4])
        self.confirmed += whole // 4
        del self.held[:whole]
        self.say()


def main(port: int, publishers: int, messages: int, readings: int) -> None:
    user, password = sys.stdin.readline().split()
    first = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=60 + messages * readings)
    payloads = [meter(first + timedelta(seconds=n * readings), readings) for n in range(messages)]
    all_of_them = [Publisher(port, f"home-{n}", user, password, payloads) for n in range(publishers)]
    epoll, by_file = select.epoll(), {}
    for one in all_of_them:
        epoll.register(one.line, select.EPOLLIN)
        by_file[one.line.fileno()] = one
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    for one in all_of_them:
        one.say()
    left = publishers * messages
    while sum(one.confirmed for one in all_of_them) < left:
        for file, _ in epoll.poll(60) or _silence():
            by_file[file].hear()
    seconds = time.monotonic() - began
    print(json.dumps({"seconds": seconds, "confirmed": sum(one.confirmed for one in all_of_them)}), flush=True)


def _silence() -> list[tuple[int, int]]:
    raise SystemExit("nothing was confirmed for a minute")


if __name__ == "__main__":
    main(*(int(one) for one in sys.argv[1:5]))
