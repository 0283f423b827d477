"""The OpenADR gateway: polls a second with privacy on, writes with many subscribed, deliveries by webhook and MQTT.

Everything of the gateway has one core, whoever calls it the other. `python -m tests.bench.bench_vtn [polls]`: with a
number also so many polls in a row, to see that memory stays flat.
"""

import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import httpx
import psutil

from tests.bench import bench_webhooks
from tests.bench.bench_webhooks import Load, Taking
from tests.e2e.platform import Platform
from tests.servers.nats import free_port
from tieline import app, settings
from tieline.base.time import RatedClock
from tieline.identity import actions
from tieline.identity.model import NewClient
from tieline.identity.scopes import Role

VENS, EVENTS, GROUPS = 1000, 100, 50
SECONDS, CONNECTIONS = 6, 200
BASE = "/openadr3/3.1.0"
BARE = """
import asyncio, sys
from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Litestar, Request, Response, get, post

@get("/")
async def bare() -> Response[bytes]:
    return Response(b"[]", media_type="application/json")

@post("/")
async def echo(request: Request) -> Response[bytes]:
    return Response(await request.body(), media_type="application/json")

app = Litestar([bare, echo], openapi_config=None)
server = Server(app, "127.0.0.1", int(sys.argv[1]), interface=Interfaces.ASGINL, log_enabled=False, websockets=False)
asyncio.run(server.serve())
"""


def figure(name: str, value: float, unit: str, goal: float, *, least: bool = False) -> None:
    word = "at least" if least else "at most"
    print(f"{name:<66} {value:10.1f} {unit:<5} goal {word} {goal:g}: {value / goal:6.2f} of it", flush=True)


class World:
    """A platform with clients: one of business logic, many VENs with a group and a target of their own."""

    def __init__(self, folder: Path) -> None:
        os.sched_setaffinity(0, {0})
        self.platform = Platform(folder, development="true", token_minutes=1440)
        self.http = httpx.Client(timeout=60)
        self.tokens: dict[str, str] = {}

    def start(self) -> None:
        secrets = asyncio.run(self.clients())
        self.platform.start("run", "vtn")
        self.base = f"{self.platform.url}{BASE}"
        self.port = int(self.platform.url.rpartition(":")[2])
        for client, secret in secrets.items():
            form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
            self.tokens[client] = self.http.post(f"{self.base}/auth/token", data=form).json()["access_token"]
        self.program = self.post("programs", {"programName": "Prices"})["id"]

    async def clients(self) -> dict[str, str]:
        """The secrets of one client of business logic, and of one for each VEN."""
        new = [NewClient("desk", "Desk", Role.BL), *[NewClient(f"ven-{n}", f"VEN {n}", Role.VEN) for n in range(VENS)]]
        now = RatedClock().now()
        async with app.opened_store(settings.load(self.platform.environment)) as store:
            return await store.rows.transaction(
                lambda tx: {one.client_id: actions.add_client(tx, one, now) for one in new}
            )

    def post(self, path: str, body: object, client: str = "desk") -> Any:
        answer = self.http.post(f"{self.base}/{path}", json=body, headers=self.bearer(client))
        assert answer.status_code == 201, answer.text
        return answer.json()

    def bearer(self, client: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[client]}"}

    def event(self, name: str, *targets: str) -> Any:
        return self.post("events", self.event_of(name) | ({"targets": list(targets)} if targets else {}))

    def event_of(self, name: str) -> dict[str, Any]:
        price = {"id": 0, "payloads": [{"type": "PRICE", "values": [0.17]}]}
        period = {"start": "2030-01-01T00:00:00Z", "duration": "PT1H"}
        return {"programID": self.program, "eventName": name, "intervalPeriod": period, "intervals": [price]}

    def resident_mb(self) -> float:
        assert self.platform.process is not None
        return float(psutil.Process(self.platform.process.pid).memory_info().rss / 2**20)


def asked(port: int, requests: list[str], seconds: float = SECONDS, total: int = 0) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.polling", str(port), str(seconds), str(CONNECTIONS), str(total)]
    ran = subprocess.run(
        ["taskset", "-c", "1", *command] if (os.cpu_count() or 1) > 1 else command,
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@contextmanager
def bare() -> Iterator[int]:
    """The port of granian and Litestar on the same core with handlers that do nothing."""
    port = free_port()
    server = subprocess.Popen(["taskset", "-c", "0", sys.executable, "-c", BARE, str(port)])
    try:
        time.sleep(3)
        yield port
    finally:
        server.kill()
        server.wait()


def bare_rate() -> float:
    with bare() as port:
        return float(asked(port, [f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"])["per_s"])


def bare_post_ms(world: "World") -> float:
    """A POST of the same event by the same client, given back as it came; the first, which connects, does not count."""
    waits = []
    with bare() as port:
        for _ in range(6):
            began = time.perf_counter()
            world.http.post(f"http://127.0.0.1:{port}/", json=world.event_of("bare")).raise_for_status()
            waits.append(time.perf_counter() - began)
    return statistics.median(waits[1:]) * 1000


def polls(world: World, at_length: int) -> None:
    for n in range(VENS):
        body = {"objectType": "BL_VEN_REQUEST", "clientID": f"ven-{n}", "venName": f"v{n}"}
        world.post("vens", body | {"targets": [f"g{n % GROUPS}", f"own{n}"]})
    for n in range(EVENTS):
        world.event(f"e{n}", f"g{n % GROUPS}", f"own{n}")
    requests = []
    for n in range(VENS):
        bearer = world.bearer(f"ven-{n}")
        tag = world.http.get(f"{world.base}/events", headers=bearer).headers["etag"]
        head = f"GET {BASE}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {bearer['Authorization']}\r\n"
        requests.append(head + (f"If-None-Match: {tag}\r\n" if n % 10 else "") + "\r\n")
    bare = bare_rate()
    found = asked(world.port, requests)
    figure(f"polls by {VENS} VENs, privacy on, 304 in nine of ten", found["per_s"], "/s", 5000, least=True)
    figure("  the slowest of a hundred", found["p99_ms"], "ms", 50)
    print(f"  {found['statuses']}; a bare Litestar handler {bare:.0f}/s: {found['per_s'] / bare:.2f} of it", flush=True)
    if at_length:
        before = world.resident_mb()
        asked(world.port, requests, 3600, at_length)
        print(f"{f'memory before and after {at_length} polls':<66} {before:.0f} → {world.resident_mb():.0f} MB")


# --- writes and deliveries --------------------------------------------------------------------------------------------


class Counting(Taking):
    """Counts what it took, and answers the challenge."""

    taken = multiprocessing.Value("i", 0)

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET "):
            echo = data.partition(b"echo=")[2].partition(b" ")[0]
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(echo), echo))
            return
        with self.taken.get_lock():
            self.taken.value += data.count(b"POST /")
        super().data_received(data)


def receive(told: Any) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Counting, "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})
    asyncio.run(serve())


def writes(world: World) -> None:
    ours, theirs = multiprocessing.Pipe()
    receiver = multiprocessing.get_context("fork").Process(target=receive, args=(theirs,), daemon=True)
    receiver.start()
    port = ours.recv()
    made, bare_ms = 0, bare_post_ms(world)
    for many, goal in ((1000, 10.0), (10_000, 10.0)):
        for n in range(made, many):
            wish = {"objects": ["EVENT"], "operations": ["CREATE"], "callbackUrl": f"http://127.0.0.1:{port}/{n}"}
            world.post("subscriptions", {"clientName": f"s{n}", "objectOperations": [wish]})
        made = many
        waits, rates = [], []
        for n in range(5):
            before, at = Counting.taken.value, time.perf_counter()
            world.event(f"told-{many}-{n}")
            waits.append(time.perf_counter() - at)
            while Counting.taken.value < before + many and time.perf_counter() < at + 60:
                time.sleep(0.01)
            rates.append((Counting.taken.value - before) / (time.perf_counter() - at))
        waited, rate = statistics.median(waits) * 1000, statistics.median(rates)
        figure(f"POST /events with {many} subscriptions, median of 5", waited, "ms", goal)
        print(
            f"  a bare Litestar handler that gives it back {bare_ms:.1f} ms: {waited / bare_ms:.1f} times it",
            flush=True,
        )
        figure(f"  webhooks delivered, to {many} endpoints", rate, "/s", 2000, least=True)
        alone = asyncio.run(bench_webhooks.bare(Load(port, many, many))).wall
        print(f"  the HTTP client alone, to as many {alone:.0f}/s: {rate / alone:.2f} of it", flush=True)
    receiver.kill()


async def over_mqtt(world: World, events: int = 20) -> None:
    """Fifty VENs, each with topics of its own; every event is for all of them."""
    notifiers = world.http.get(f"{world.base}/notifiers", headers=world.bearer("desk")).json()
    host, port = notifiers["MQTT"]["URIS"][0].removeprefix("mqtt://").split(":")
    vens = world.http.get(f"{world.base}/vens?limit=50", headers=world.bearer("desk")).json()
    heard = 0

    async def listen(ven: dict[str, Any], ready: asyncio.Event) -> None:
        nonlocal heard
        client = ven["clientID"]
        path = f"{world.base}/notifiers/mqtt/topics/vens/{ven['id']}/events"
        topics = world.http.get(path, headers=world.bearer(client)).json()["topics"]
        async with aiomqtt.Client(host, int(port), username=client, password=world.tokens[client]) as mqtt:
            await mqtt.subscribe(topics["CREATE"], qos=1)
            ready.set()
            async for _ in mqtt.messages:
                heard += 1

    ready = [asyncio.Event() for _ in vens]
    tasks = [asyncio.create_task(listen(*one)) for one in zip(vens, ready, strict=True)]
    await asyncio.gather(*[one.wait() for one in ready])
    began = time.perf_counter()
    for n in range(events):
        await asyncio.to_thread(world.event, f"mqtt-{n}")
    while heard < events * len(vens) and time.perf_counter() < began + 60:
        await asyncio.sleep(0.02)
    took = time.perf_counter() - began
    name, everyone = f"MQTT notifications heard by {len(vens)} VENs", events * len(vens)
    print(f"{name:<66} {heard / took:10.1f} /s ({heard} of {everyone})")
    for task in tasks:
        task.cancel()


def main(at_length: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        try:
            world.start()
            polls(world, at_length)
            asyncio.run(over_mqtt(world))
            writes(world)
        finally:
            world.platform.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
