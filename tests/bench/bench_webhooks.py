"""Webhooks delivered a second, from enqueued rows to acknowledged and deleted, beside the bare client's posts.

The courier and the bare client run on one core, the receiver on another where there is one. Run:
`python -m tests.bench.bench_webhooks [deliveries] [backlog]`.
"""

import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp
import msgspec
import psutil
from yarl import URL

from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.time import RatedClock
from tieline.vtn.webhooks import actions, reads, signing
from tieline.vtn.webhooks.courier import Courier
from tieline.vtn.webhooks.model import NewDelivery, Policy
from tieline.vtn.webhooks.sender import Sender

TOKEN = "a-bearer-token-of-forty-characters-0000"
BODY = b'{"objectType":"EVENT","operation":"CREATE","object":{"id":"%024x","eventName":"' + b"x" * 800 + b'"}}'
AT_ONCE = 128
"""Requests of the bare client in flight: as many as the courier has to endpoints that do well."""
CHUNK = 5_000
GOAL = 2_000


class Taking(asyncio.Protocol):
    """Answers 204 to every request, as cheaply as can be: the receiver is not what is measured."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.held = transport, b""

    def data_received(self, data: bytes) -> None:
        self.held += data
        while (end := self.held.find(b"\r\n\r\n") + 4) > 3:
            head = self.held[:end].lower()
            end += int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or b"0")
            if len(self.held) < end:
                return
            self.held = self.held[end:]
            self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


def receive(told: Connection) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Taking, "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    on_core(-1)
    asyncio.run(serve())


def on_core(number: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[number]})


class Load(msgspec.Struct, frozen=True):
    """So many deliveries, in turn to so many callback URLs; one object's go to all of them."""

    port: int
    count: int
    endpoints: int

    def some(self, first: int) -> list[NewDelivery]:
        return [self._one(n) for n in range(first, min(first + CHUNK, self.count))]

    def _one(self, n: int) -> NewDelivery:
        object_id, endpoint = n // self.endpoints, n % self.endpoints
        url = f"http://127.0.0.1:{self.port}/hooks/{endpoint}"
        return NewDelivery(str(n), f"s{endpoint}", url, f"{object_id:024x}", BODY % object_id)


class Rate(msgspec.Struct, frozen=True):
    """A second of the wall, and a second of this process's own: other processes may want the core too."""

    wall: float
    core: float


class Watch:
    """Measures a rate from when it is made."""

    def __init__(self) -> None:
        self._wall, self._core = time.perf_counter(), time.process_time()

    def rate(self, count: int) -> Rate:
        return Rate(count / (time.perf_counter() - self._wall), count / (time.process_time() - self._core))


async def bare(load: Load) -> Rate:
    """The client alone: the same bodies to the same URLs with as many headers."""
    waiting = iter([(URL(one.callback_url), one.body) for n in range(0, load.count, CHUNK) for one in load.some(n)])
    headers = {"User-Agent": signing.AGENT, **signing.headers("0" * 32, b"", TOKEN, RatedClock().now())}
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def post() -> None:
            for url, body in waiting:
                async with session.post(url, data=body, headers=headers) as response:
                    assert response.status == 204

        watch = Watch()
        await asyncio.gather(*(post() for _ in range(AT_ONCE)))
        return watch.rate(load.count)


@asynccontextmanager
async def enqueued(load: Load) -> AsyncIterator[SqliteRows]:
    """Rows that hold them."""
    clock = RatedClock()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        async with SqliteRows(Path(folder) / "rows.sqlite", clock) as rows:
            await rows.migrate()
            for first in range(0, load.count, CHUNK):
                some, now = load.some(first), clock.now()
                await rows.transaction(lambda tx: actions.enqueue(tx, some, now))  # noqa: B023  awaited at once
            yield rows


@asynccontextmanager
async def working(rows: SqliteRows) -> AsyncIterator[None]:
    async with Sender(development=True) as sender:
        courier = Courier(rows, sender, RatedClock(), lambda _, ids: dict.fromkeys(ids, TOKEN), Policy())
        task = asyncio.create_task(courier.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def delivered(load: Load) -> Rate:
    """From rows that wait to none left."""
    async with enqueued(load) as rows:
        watch = Watch()
        async with working(rows):
            while (await rows.read(reads.backlog)).waiting:
                await asyncio.sleep(0.02)
        return watch.rate(load.count)


async def beginning(load: Load, seconds: float = 5.0) -> tuple[Rate, float]:
    """Of a long queue: deliveries, and MiB that a courier at work adds to the process with all that before it."""
    async with enqueued(load) as rows:
        before, watch = psutil.Process().memory_info().rss, Watch()
        async with working(rows):
            await asyncio.sleep(seconds)
            grown = (psutil.Process().memory_info().rss - before) / (1 << 20)
            waiting = (await rows.read(reads.backlog)).waiting
            return watch.rate(load.count - waiting), grown


def main(count: int, backlog: int) -> None:
    told, tell = multiprocessing.Pipe(duplex=False)
    receiver = multiprocessing.get_context("spawn").Process(target=receive, args=(tell,), daemon=True)
    receiver.start()
    port = told.recv()
    on_core(0)
    limit = asyncio.run(bare(Load(port, count, 100)))
    print(f"{'the client alone, the limit':<32}{limit.wall:>8,.0f} posts/s   {limit.core:>8,.0f} a core-second")
    for endpoints, named in ((1, "to one callback URL"), (100, "to 100 callback URLs"), (count, "to a URL each")):
        ours = asyncio.run(delivered(Load(port, count, endpoints)))
        rates = f"{ours.wall:>8,.0f} deliveries/s   {ours.wall / limit.wall:.2f} of the limit"
        cores = f"{ours.core:>8,.0f} a core-second, the goal is {GOAL:,}"
        print(f"{named:<32}{rates}   {cores}")
    first, grown = asyncio.run(beginning(Load(port, backlog, 1000)))
    print(
        f"{f'first of {backlog:,} to 1,000 URLs':<32}{first.wall:>8,.0f} deliveries/s   {grown:.0f} MiB of memory more"
    )
    receiver.terminate()
    receiver.join()


if __name__ == "__main__":
    given = [int(one) for one in sys.argv[1:]]
    main(*(given + [20_000, 100_000][len(given) :]))
