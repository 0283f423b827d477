"""A site for the agent's tests: its configuration, its page, and a platform that is little more than a broker."""

import asyncio
import contextlib
import itertools
import re
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import httpx
import msgspec
import pytest
from aiohttp import web

from tests.servers.devices import device_door, secret
from tests.servers.nats import free_port
from tieline.adapters.nats.server import NatsServer
from tieline.base.time import Clock, RatedClock, iso
from tieline.ven.agent.agent import run
from tieline.ven.agent.configuration import read
from tieline.wires.mqtt.codec import encode
from tieline.wires.mqtt.messages import (
    ACK,
    COMMAND,
    DESIRED,
    FROM_VEN,
    LOADS,
    METER,
    PRESENCE,
    TWIN,
    Ack,
    Command,
    Limit,
    Load,
    Loads,
    Meter,
    Op,
    Presence,
    Sample,
    TwinReport,
    topic,
)

NOW = RatedClock().now
KINDS: dict[str, Any] = {METER: Meter, LOADS: Loads, ACK: Ack, TWIN: TwinReport, PRESENCE: Presence}

SITE = """
read_s = 0.1
report_s = 1

[platform]
url = "http://127.0.0.1:{port}"
ven_id = "cabin"
secret_file = "secret"

[panel]
limit_kw = {limit_kw}

[page]
port = {page_port}

[[load]]
id = "boiler"
kind = "water_heater"
rated_kw = 3
priority = 1
driver = {boiler}

[[load]]
id = "car"
kind = "ev"
rated_kw = 7
floor_kw = 1.4
priority = 2
driver = {{ type = "simulated", power_kw = 4 }}
"""
AN_HOUR_S = 3600.0
SIMULATED = '{ type = "simulated" }'


class Wall:
    """A wall clock that is `ahead_s` of the real one, and may be set further ahead."""

    def __init__(self, ahead_s: float = 0.0) -> None:
        self.ahead_s = ahead_s

    @property
    def clock(self) -> RatedClock:
        return RatedClock(wall=lambda: time.time() + self.ahead_s)


class SmallPlatform:
    """Answers `GET /v1` on a port of its own while it is `open`, and hears all that a VEN says to its broker."""

    def __init__(self, server: NatsServer) -> None:
        self.server = server
        self.port = free_port()
        self.heard: dict[str, list[Any]] = {kind: [] for kind in FROM_VEN}
        self.other: dict[str, list[bytes]] = {}
        self._client: aiomqtt.Client | None = None
        self.wall = Wall()
        self._numbers = itertools.count(1)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["SmallPlatform"]:
        async with device_door(self.server) as client, self._served():
            self._client = client
            for kind in FROM_VEN:
                await client.subscribe(topic(kind, "cabin"), qos=1)
            listening = asyncio.create_task(self._listen(client))
            try:
                async with asyncio.timeout(240):
                    yield self
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def _served(self) -> AsyncIterator[None]:
        async def answer(_: web.BaseRequest) -> web.Response:
            where = {"mqtt_host": self.server.mqtt_host, "mqtt_port": self.server.mqtt_port}
            about = {
                "name": "T",
                "version": "0",
                "now_at": iso(self.wall.clock.now()),
                "speed": 1.0,
                "site_zone": "UTC",
                **where,
            }
            return web.json_response(about)

        runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        try:
            yield
        finally:
            await runner.cleanup()

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            kind, payload = message.topic.value.removesuffix("/cabin"), bytes(message.payload)
            if kind not in self.heard:
                self.other.setdefault(message.topic.value, []).append(payload)
                continue
            decoded = msgspec.json.decode(payload, type=KINDS.get(kind, Any))
            self.heard[kind].append(decoded)

    # --- what it says -------------------------------------------------------------------------------------------------

    async def ask(self, op: Op = Op.EVENT, *, seconds: float = AN_HOUR_S, command_id: str = "", **more: Any) -> Command:
        """Send a command; an event holds the boiler at 0.5 kW for so many seconds from now on."""
        now, number = self.wall.clock.now(), next(self._numbers)
        if op is Op.EVENT:
            event = {"event_id": f"event-{number}", "start_at": now, "limits": [Limit("boiler", 0.5)]}
            more = {**event, "end_at": now + timedelta(seconds=seconds), **more}
        command = Command(command_id or f"command-{number}", op, now, now + timedelta(seconds=60), **more)
        await self.send(command)
        return command

    async def send(self, command: Command) -> None:
        assert self._client is not None
        await self._client.publish(topic(COMMAND, "cabin"), encode(command), qos=1, retain=True)

    async def desire(self, delta: msgspec.Struct) -> None:
        assert self._client is not None
        await self._client.publish(topic(DESIRED, "cabin"), encode(delta), qos=1)

    async def overhear(self, *patterns: str) -> None:
        """Keep in `other` what is said on topics that are no VEN's."""
        assert self._client is not None
        for pattern in patterns:
            await self._client.subscribe(pattern, qos=1)

    # --- what it heard ------------------------------------------------------------------------------------------------

    @property
    def samples(self) -> list[Sample]:
        return [sample for meter in self.heard[METER] for sample in meter.samples]

    @property
    def acks(self) -> list[tuple[str, str]]:
        return [(ack.command_id, str(ack.answer)) for ack in self.heard[ACK]]

    def load(self, load_id: str) -> Load | None:
        """As told last."""
        last: Loads | None = self.heard[LOADS][-1] if self.heard[LOADS] else None
        return next((load for load in last.loads if load.resource_id == load_id), None) if last else None

    def twin(self) -> dict[str, Any]:
        """What was reported, put together one level deep, loads two."""
        told: dict[str, Any] = {"loads": {}}
        for report in self.heard[TWIN]:
            reported = dict(report.reported or {})
            for name, load in reported.pop("loads", {}).items():
                told["loads"].setdefault(name, {}).update(load)
            told |= reported
        return told


class Site:
    """A folder with a configuration; `agent` runs there as long as the block lasts, and unless it is `alone` hears the
    platform: what is sent while it subscribes may never reach it, and only the platform's dispatch says it again."""

    def __init__(self, folder: Path, platform_port: int, *, boiler: str = SIMULATED, limit_kw: float = 20.0) -> None:
        self.folder = folder
        self.page_port = free_port()
        self.file = folder / "site.toml"
        text = SITE.format(port=platform_port, page_port=self.page_port, boiler=boiler, limit_kw=limit_kw)
        self.file.write_text(text, encoding="utf-8")
        (folder / "secret").write_text(secret("cabin"), encoding="utf-8")

    def add(self, text: str) -> None:
        """More tables."""
        self.file.write_text(self.file.read_text(encoding="utf-8") + text, encoding="utf-8")

    @contextlib.asynccontextmanager
    async def agent(self, clock: Clock | None = None, *, alone: bool = False) -> AsyncIterator["Site"]:
        task = asyncio.create_task(run(read(self.file), self.folder, clock))
        try:
            await until(self.is_up if alone else self.is_online, task)
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def is_up(self) -> bool:
        try:
            return all(load["power_kw"] is not None or load["trouble"] for load in (await self.state())["loads"])
        except httpx.TransportError:
            return False

    async def is_online(self) -> bool:
        return await self.is_up() and not (await self.state())["trouble"]

    async def state(self) -> dict[str, Any]:
        """As the page tells programs."""
        async with httpx.AsyncClient(trust_env=False) as client:
            state: dict[str, Any] = (await client.get(f"{self.url}/state")).json()
            return state

    async def draws(self, boiler_kw: float, car_kw: float | None = None) -> None:
        """Until it does: a limit is told at once, and read from the devices some turns later."""

        async def does() -> bool:
            powers = await self.powers()
            return powers["boiler"] == pytest.approx(boiler_kw) and car_kw in (None, pytest.approx(powers["car"]))

        await until(does)

    async def powers(self) -> dict[str, float | None]:
        return {load["load_id"]: load["power_kw"] for load in (await self.state())["loads"]}

    async def press(self, action: str, **fields: str) -> int:
        """A button of the page; the status of the answer."""
        async with httpx.AsyncClient(trust_env=False) as client:
            found = re.search(r"name=token value='([^']+)'", (await client.get(self.url)).text)
            assert found
            reply = await client.post(f"{self.url}{action}", data={"token": found[1], **fields})
            return reply.status_code

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.page_port}"


async def until(true: Callable[[], Any], task: asyncio.Task[Any] | None = None) -> None:
    """Fails by a time limit, or as the task does."""
    async with asyncio.timeout(90):
        while True:
            found = true()
            if await found if asyncio.iscoroutine(found) else found:
                return
            if task and task.done():
                await task
            await asyncio.sleep(0.02)
