"""A receiver of webhooks for tests: a real HTTP or HTTPS server that answers as it is told, and keeps what it heard."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web


class Heard(msgspec.Struct, frozen=True):
    """One request as it came."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


Answer = web.StreamResponse | None
Behaviour = Callable[[Heard], Awaitable[Answer]]


class Receiver:
    """Answers 204 unless `behave` says otherwise, and the word of a challenge. `flying` counts requests under way."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.taken: list[Heard] = []
        self.peers: set[asyncio.BaseTransport] = set()
        self.flying: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.behave: Behaviour = _takes
        self.port = 0

    def url(self, path: str = "/", *, scheme: str = "http", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def bodies(self, path: str) -> list[bytes]:
        """What was taken at a path, in order."""
        return [one.body for one in self.taken if one.path == path]

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        self.peers.add(request.transport)
        heard = Heard(
            request.method, request.path, request.rel_url.raw_query_string, dict(request.headers), await request.read()
        )
        self.heard.append(heard)
        self.flying[heard.path] += 1
        self.most[heard.path] = max(self.most[heard.path], self.flying[heard.path])
        try:
            answer = await self.behave(heard)
        finally:
            self.flying[heard.path] -= 1
        if answer is None:
            self.taken.append(heard)
            return web.Response(text=request.query["echo"]) if "echo" in request.query else web.Response(status=204)
        return answer


async def _takes(_: Heard) -> Answer:
    return None


def answering(status: int, **headers: str) -> Behaviour:
    """Always with this status."""

    async def behave(_: Heard) -> Answer:
        return web.Response(status=status, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return behave


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """On a free port of 127.0.0.1, until the block ends."""
    receiver = Receiver()
    runner = web.ServerRunner(web.Server(receiver.answer), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()


@asynccontextmanager
async def speaking(talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[int]:
    """A server of bytes, for what no HTTP server would say; its port."""
    talks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(_talked(talk, reader, writer))
        talks.add(task)
        await task

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def _talked(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    try:
        await talk(reader, writer)
    except ConnectionError:
        pass
    finally:
        writer.close()
