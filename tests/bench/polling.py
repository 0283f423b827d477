"""A load generator of its own process: many connections, each repeating its requests; prints what it saw as JSON.

`python -m tests.bench.polling PORT SECONDS CONNECTIONS TOTAL < requests.json` with a JSON list of raw requests; the
connections share them out, and stop after the seconds, or after TOTAL answers where it is not 0.
"""

import asyncio
import json
import sys
import time
from collections import Counter


class Poller(asyncio.Protocol):
    """One connection: asks, waits for the whole answer, asks the next."""

    def __init__(self, load: "Load", first: int) -> None:
        self.load, self.next, self.held = load, first, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        requests = self.load.requests
        self.asked_at = time.perf_counter()
        self.transport.write(requests[self.next % len(requests)])
        self.next += self.load.connections

    def data_received(self, data: bytes) -> None:
        self.held += data
        end = self.held.find(b"\r\n\r\n") + 4
        if end < 4:
            return
        head = self.held[:end].lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or b"0")
        if len(self.held) < end + length:
            return
        self.held = self.held[end + length :]
        self.load.answered(head[9:12].decode(), time.perf_counter() - self.asked_at)
        if self.load.over():
            self.transport.close()
        else:
            self.ask()


class Load:
    def __init__(self, requests: list[bytes], connections: int, seconds: float, total: int) -> None:
        self.requests, self.connections, self.total = requests, connections, total
        self.ends_at = time.perf_counter() + seconds
        self.statuses: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.began_at = time.perf_counter()

    def answered(self, status: str, seconds: float) -> None:
        self.statuses[status] += 1
        if not self.total or len(self.seconds) < 1_000_000:
            self.seconds.append(seconds)
        self.last_at = time.perf_counter()

    def over(self) -> bool:
        done = self.total and self.statuses.total() >= self.total
        return bool(done) or time.perf_counter() >= self.ends_at

    def told(self) -> str:
        self.seconds.sort()
        of = len(self.seconds)
        return json.dumps(
            {
                "per_s": self.statuses.total() / (self.last_at - self.began_at),
                "p50_ms": self.seconds[of // 2] * 1000,
                "p99_ms": self.seconds[int(of * 0.99)] * 1000,
                "statuses": self.statuses,
            }
        )


async def main(port: int, seconds: float, connections: int, total: int) -> None:
    load = Load([one.encode() for one in json.load(sys.stdin)], connections, seconds, total)
    loop = asyncio.get_running_loop()
    for n in range(connections):
        await loop.create_connection(lambda n=n: Poller(load, n), "127.0.0.1", port)  # type: ignore[misc]
    while not load.over():
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    print(load.told())


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
