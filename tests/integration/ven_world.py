"""A small VTN for the VEN's tests, written from the specification: in memory, with faults on demand.

It knows one client, keeps what it is sent, filters and pages, answers with ETags, and counts what it was asked.
"""

import asyncio
import contextlib
import hashlib
import itertools
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import msgspec
from aiohttp import web

from tieline.base.time import VirtualClock, iso
from tieline.ven import Credentials, Memory, Plan, VenAgent, VtnClient
from tieline.ven.openadr.enrolment import is_over
from tieline.ven.openadr.reporting import Source
from tieline.wires.openadr31.messages import Event, Program
from tieline.wires.openadr31.timeline import Outlook

START = datetime(2026, 7, 14, 17, tzinfo=UTC)
BASE = "http://localhost/openadr3/3.1.0"
SECRET = "of ven-client, 50% +/= strange"
CREDENTIALS = Credentials(client_id="ven-client", secret=SECRET)
KINDS = {"programs": "PROGRAM", "events": "EVENT", "reports": "REPORT", "subscriptions": "SUBSCRIPTION"}
KINDS |= {"vens": "VEN", "resources": "RESOURCE"}
FILTERS = {"programID", "eventID", "venID", "clientName", "venName", "resourceName"}


class SmallVtn:
    """`reach` is what happens to each request before it is answered: raise to lose it, return a reply to answer so."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.kept: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        self.asked: Counter[str] = Counter()
        self.unchanged = 0
        self.tokens: set[str] = set()
        self.reach: Callable[[str], httpx.Response | None] = lambda _: None
        self.after: Callable[[str], None] = lambda _: None
        self.mqtt: dict[str, Any] | None = None
        self.knows_active = True
        self._ids = (f"{number:024x}" for number in itertools.count(1))

    # --- as business logic --------------------------------------------------------------------------------------------

    def program(self, name: str, **more: Any) -> str:
        return self.add("programs", {"programName": name, **more})

    def event(self, program_id: str, *, start: str, duration: str = "PT1H", value: object = 1.0, **more: Any) -> str:
        interval = {"id": 0, "payloads": [{"type": "SIMPLE", "values": [value]}]}
        period = {"start": start, "duration": duration}
        return self.add("events", {"programID": program_id, "intervalPeriod": period, "intervals": [interval], **more})

    def add(self, kind: str, body: dict[str, Any]) -> str:
        id_ = next(self._ids)
        stamp = iso(self.now())
        client = {} if kind in ("programs", "events") else {"clientID": "ven-client"}
        stamps = {"id": id_, "createdDateTime": stamp, "modificationDateTime": stamp, "objectType": KINDS[kind]}
        self.kept[kind][id_] = client | body | stamps
        return id_

    def change(self, kind: str, id_: str, **more: Any) -> None:
        old = self.kept[kind][id_]
        stamp = iso(datetime.fromisoformat(old["modificationDateTime"]) + timedelta(seconds=1))
        self.kept[kind][id_] = old | more | {"modificationDateTime": stamp}

    # --- as a server --------------------------------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/openadr3/3.1.0")
        what = f"{request.method} {path}"
        self.asked[what] += 1
        if (reply := self.reach(what)) is not None:
            return reply
        reply = self._answer(request, path)
        self.after(what)
        return reply

    def _answer(self, request: httpx.Request, path: str) -> httpx.Response:
        if path == "/auth/server":
            return httpx.Response(200, json={"tokenURL": f"{request.url.copy_with(path='/openadr3/3.1.0')}/auth/token"})
        if path == "/auth/token":
            return self._token(request)
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return httpx.Response(401, json={"title": "Unauthorized", "status": 401})
        if path.startswith("/notifiers"):
            return self._notifiers(path)
        _, kind, *rest = path.split("/")
        return self._one(request, kind, rest[0]) if rest else self._all(request, kind)

    def _token(self, request: httpx.Request) -> httpx.Response:
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        if (form.get("client_id"), form.get("client_secret")) != ("ven-client", SECRET):
            return httpx.Response(401, json={"error": "invalid_client", "error_description": "no such client"})
        token = f"token-{next(self._ids)}"
        self.tokens.add(token)
        return httpx.Response(200, json={"access_token": token, "token_type": "Bearer", "expires_in": 3600})

    def _notifiers(self, path: str) -> httpx.Response:
        if path == "/notifiers":
            return httpx.Response(200, json={"WEBHOOK": True} | ({"MQTT": self.mqtt} if self.mqtt else {}))
        place = path.removeprefix("/notifiers/mqtt/topics/")
        names = {name: f"openadr3/{place}/{name.lower()}" for name in ("CREATE", "UPDATE", "DELETE")}
        return httpx.Response(200, json={"topics": names})

    def _all(self, request: httpx.Request, kind: str) -> httpx.Response:
        if request.method == "POST":
            return self._created(kind, msgspec.json.decode(request.content))
        params = request.url.params
        wanted = {name: value for name, value in params.items() if name in FILTERS}
        found = [one for one in self.kept[kind].values() if wanted.items() <= one.items()]
        if params.get("active") == "true" and self.knows_active:
            found = [one for one in found if not isinstance(one["intervals"], list) or not self._is_over(one)]
        skip, limit = int(params.get("skip", 0)), int(params.get("limit", 50))
        return self._tagged(request, found[skip : skip + limit])

    def _created(self, kind: str, body: dict[str, Any]) -> httpx.Response:
        names = {"vens": "venName", "programs": "programName"}
        if kind in names and body[names[kind]] in [one[names[kind]] for one in self.kept[kind].values()]:
            return httpx.Response(409, json={"title": "Conflict", "status": 409, "detail": "the name is taken"})
        if kind == "reports" and body["eventID"] not in self.kept["events"]:
            return httpx.Response(409, json={"title": "Conflict", "status": 409, "detail": "no such event"})
        return httpx.Response(201, json=self.kept[kind][self.add(kind, body)])

    def _one(self, request: httpx.Request, kind: str, id_: str) -> httpx.Response:
        if id_ not in self.kept[kind]:
            return httpx.Response(404, json={"title": "Not found", "status": 404})
        if request.method == "DELETE":
            return httpx.Response(200, json=self.kept[kind].pop(id_))
        if request.method == "PUT":
            self.change(kind, id_, **msgspec.json.decode(request.content) | {"objectType": KINDS[kind]})
        return self._tagged(request, self.kept[kind][id_])

    def _tagged(self, request: httpx.Request, found: object) -> httpx.Response:
        body = msgspec.json.encode(found)
        etag = f'"{hashlib.sha256(body).hexdigest()}"'
        if request.headers.get("If-None-Match") == etag:
            self.unchanged += 1
            return httpx.Response(304, headers={"ETag": etag})
        return httpx.Response(200, content=body, headers={"ETag": etag, "Content-Type": "application/json"})

    def _is_over(self, event: dict[str, Any]) -> bool:
        program = msgspec.convert(self.kept["programs"][event["programID"]], Program)
        return is_over(msgspec.convert(event, Event), program, self.now())

    # --- at hand ------------------------------------------------------------------------------------------------------

    def client(
        self, credentials: Credentials | None = CREDENTIALS, unreadable: Callable[[str], None] | None = None
    ) -> VtnClient:
        """Without a network between."""
        transport = httpx.MockTransport(self.answer)
        return VtnClient(BASE, credentials, unreadable=unreadable, transport=transport)

    @contextlib.asynccontextmanager
    async def served(self, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        """Its URL on a port of loopback."""

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            url = f"{request.scheme}://{request.host}{request.path_qs}"
            asked = httpx.Request(request.method, url, headers=dict(request.headers), content=await request.read())
            answer = self.answer(asked)
            headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
            return web.Response(status=answer.status_code, body=answer.content, headers=headers)

        runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
        await site.start()
        try:
            yield "{}://{}:{}/openadr3/3.1.0".format("https" if tls else "http", *runner.addresses[0][:2])
        finally:
            await runner.cleanup()


class Home:
    """A VEN's folder, and the agents that live there one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = VirtualClock(START)
        self.vtn = SmallVtn(self.clock.now)
        self.told: list[tuple[datetime, object, object]] = []
        self.unread: list[str] = []

    def hear(self, outlooks: Mapping[str, Outlook]) -> None:
        found = outlooks.get("SIMPLE", Outlook(None, None))
        now, after = (held.payload.values[0] if held else None for held in found)
        self.told.append((self.clock.now(), now, after))

    @property
    def last(self) -> Any:
        """What holds now and next, as told last."""
        return self.told[-1][1:] if self.told else ("not", "told")

    @contextlib.asynccontextmanager
    async def agent(
        self, credentials: Credentials | None = CREDENTIALS, source: Source | None = None, **plan: Any
    ) -> AsyncIterator[VenAgent]:
        """One that runs."""
        async with self.vtn.client(credentials, self.unread.append) as vtn:
            with Memory(self.folder, vtn.connection.url, "home") as memory:
                agent = VenAgent(vtn, memory, Plan(**plan), self.hear, source=source, clock=self.clock)
                task = asyncio.create_task(agent.run())
                try:
                    await until(lambda: self.told or task.done())
                    if task.done():
                        await task
                    yield agent
                finally:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task

    async def pass_(self, *, hours: float = 0, minutes: float = 0) -> None:
        """Time, in steps that leave it room to ask and to write."""
        left = hours * 3600 + minutes * 60
        while left > 0:
            await self.clock.advance(min(left, 30))
            await asyncio.sleep(0.002)
            left -= 30
        await asyncio.sleep(0.01)

    async def polled(self) -> None:
        """Until all that there is has been asked for."""
        before = self.vtn.asked["GET /events"]
        while self.vtn.asked["GET /events"] < before + 2:
            await self.pass_(minutes=1)


def away(_: str) -> httpx.Response | None:
    """A VTN that cannot be reached."""
    raise httpx.ConnectError("no route")


async def until(true: Callable[[], object]) -> None:
    """Fails by the test's own time limit."""
    async with asyncio.timeout(90):
        while not true():
            await asyncio.sleep(0.01)


def answering(reply: Callable[[httpx.Request], httpx.Response], **more: Any) -> VtnClient:
    """A client without credentials of whatever answers."""
    return VtnClient(BASE, transport=httpx.MockTransport(reply), **more)


async def listed(found: AsyncIterator[Any]) -> list[Any]:
    return [one async for one in found]
