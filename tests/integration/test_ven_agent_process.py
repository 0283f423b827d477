"""`tieline ven run` as a process: what it prints, how it ends, and that a kill -9 forgets nothing."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.ven_world import SECRET, SmallVtn, until
from tests.servers.nats import free_port
from tieline.base.time import RatedClock, iso

NOW = RatedClock().now
GONE = f"http://127.0.0.1:{free_port()}/openadr3/3.1.0"


class Process:
    """One run of the command line; `lines` are what it has printed so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[dict[str, Any]] = []
        self.process: asyncio.subprocess.Process | None = None

    @contextlib.asynccontextmanager
    async def running(self, url: str, *options: str, secret: str | None = SECRET) -> AsyncIterator["Process"]:
        await self._start(url, *options, "--json", secret=secret)
        reading = asyncio.create_task(self._read())
        try:
            yield self
        finally:
            await self.end(signal.SIGTERM)
            await reading

    async def ended(self, url: str, *options: str, secret: str | None = SECRET) -> tuple[int | None, str]:
        """The exit code of one that ends by itself, and what it said."""
        process = await self._start(url, *options, secret=secret)
        async with asyncio.timeout(90):
            _, said = await process.communicate()
        return process.returncode, said.decode()

    async def end(self, number: signal.Signals) -> int | None:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(90):
            return await self.process.wait()

    async def _start(self, url: str, *options: str, secret: str | None) -> asyncio.subprocess.Process:
        self.lines = []
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TIELINE_")}
        environment |= {"TIELINE_VEN_SECRET": secret} if secret else {}
        command = [sys.executable, "-m", "tieline.cli", "ven", "run", "--vtn", url, "--name", "home"]
        command += ["--client-id", "ven-client", "--data", str(self.folder), "--poll", "1", *options]
        self.process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        return self.process

    async def _read(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        async for line in self.process.stdout:
            self.lines.append(json.loads(line))
        await self.process.stderr.read()

    def holds(self) -> Any:
        """The values that hold now and next, as printed last; None before anything was."""
        if not self.lines:
            return None
        one = self.lines[-1]["holds"].get("SIMPLE", {"now": None, "next": None})
        return tuple(held and held["values"][0] for held in (one["now"], one["next"]))


@pytest.fixture
def ven(tmp_path: Path) -> Process:
    return Process(tmp_path / "ven")


@pytest.fixture
def world() -> SmallVtn:
    return SmallVtn(NOW)


def hours(count: float) -> str:
    return iso(NOW() + timedelta(hours=count))


def port_of(url: str) -> int:
    return int(url.split(":")[2].split("/", maxsplit=1)[0])


async def test_it_prints_what_holds_and_survives_a_kill_without_its_vtn(ven: Process, world: SmallVtn) -> None:
    program = world.program("evening")
    event = world.event(program, start=hours(-1), duration="PT3H", value=1)
    world.event(program, start=hours(2), value=2)
    async with world.served() as url:
        async with ven.running(url, "--program", "evening", "--resource", "boiler"):
            await until(lambda: ven.holds() == (1, 2))
            world.change("events", event, intervals=[{"id": 0, "payloads": [{"type": "SIMPLE", "values": [3]}]}])
            await until(lambda: ven.holds() == (3, 2))
            assert await ven.end(signal.SIGKILL) == -signal.SIGKILL
        [held] = [line["holds"]["SIMPLE"]["now"] for line in ven.lines[-1:]]
        assert (held["event_id"], held["interval_id"]) == (event, 0)
    async with ven.running(url, "--program", "evening"):  # nobody is there any more
        await until(lambda: ven.holds() == (3, 2))
    async with world.served(port_of(url)), ven.running(url, "--program", "evening"):
        del world.kept["events"][event]
        await until(lambda: ven.holds() == (None, 2))
        assert await ven.end(signal.SIGTERM) == 0
    assert [one["resourceName"] for one in world.kept["resources"].values()] == ["boiler"]


async def test_killed_at_any_moment_it_starts_again(ven: Process, world: SmallVtn) -> None:
    program = world.program("evening")
    event = world.event(program, start=hours(-1), duration="PT9H", value=0)
    async with world.served() as url:
        for turn in range(4):
            async with ven.running(url):
                await until(lambda: ven.lines)
                for value in range(3):
                    payload = {"type": "SIMPLE", "values": [10 * turn + value]}
                    world.change("events", event, intervals=[{"id": 0, "payloads": [payload]}])
                    await asyncio.sleep(0.1 * turn)
                await ven.end(signal.SIGKILL)
    async with ven.running(url):
        await until(lambda: ven.lines)
        assert ven.holds()[0] in range(33)
    assert not list(ven.folder.glob("*.unreadable"))


async def test_people_read_a_line_for_each_kind(ven: Process, world: SmallVtn) -> None:
    world.event(world.program("evening"), start="2020-01-01T00:00:00Z", duration="P9999Y", value=1, eventName="peak")
    async with world.served() as url:
        process = await ven._start(url, secret=SECRET)
        assert process.stdout is not None
        async with asyncio.timeout(90):
            line = (await process.stdout.readline()).decode()
        await ven.end(signal.SIGINT)
        await process.communicate()
    assert line.endswith("  SIMPLE: now 1 until further notice (peak); next nothing\n")
    assert process.returncode == 0


async def test_it_ends_by_what_was_wrong(ven: Process, world: SmallVtn, tmp_path: Path) -> None:
    code, said = await ven.ended(GONE)
    assert (code, "cannot be reached" in said) == (75, True)
    code, said = await ven.ended("http://vtn.example.com/openadr3/3.1.0")
    assert (code, "must be https" in said) == (2, True)
    code, said = await ven.ended(GONE, secret=None)
    assert (code, "TIELINE_VEN_SECRET" in said) == (2, True)
    async with world.served() as url:
        code, said = await ven.ended(url, secret="wrong")
        assert (code, "no token for client 'ven-client'" in said) == (2, True)
        assert "wrong" not in said
        (tmp_path / "secret").write_text(f"{SECRET}\n")
        async with ven.running(url, "--secret-file", str(tmp_path / "secret"), secret=None):
            await until(lambda: ven.lines)
            other = Process(ven.folder)
            code, said = await other.ended(url)
            assert (code, "in use by another agent" in said) == (75, True)
        code, said = await ven.ended(GONE)
        assert (code, "choose another folder" in said) == (2, True)


async def test_its_webhook_is_challenged_and_followed(ven: Process, world: SmallVtn) -> None:
    import aiohttp

    hook = f"http://127.0.0.1:{free_port()}/hook"
    address = hook.removeprefix("http://").removesuffix("/hook")
    async with world.served() as url, ven.running(url, "--poll", "3600", "--webhook", hook, "--listen", address):
        await until(lambda: world.kept["subscriptions"])
        await until(lambda: ven.lines)
        [subscription] = world.kept["subscriptions"].values()
        [operation] = subscription["objectOperations"]
        assert (operation["callbackUrl"], operation["objects"]) == (hook, ["PROGRAM", "EVENT"])
        world.event(world.program("evening"), start=hours(-1), duration="PT9H", value=4)
        bearer = {"Authorization": f"Bearer {operation['bearerToken']}"}
        async with aiohttp.ClientSession() as http:
            async with http.get(f"{hook}?echo=word", headers=bearer) as answer:
                assert await answer.text() == "word"
            async with http.post(hook, json={"objectType": "EVENT", "operation": "CREATE"}, headers=bearer) as answer:
                assert answer.status == 204
        await until(lambda: ven.holds() == (4, None))
        world.kept["subscriptions"].clear()
    async with world.served(port_of(url)), ven.running(url, "--webhook", hook, "--listen", address):
        await until(lambda: ven.lines)
        await until(lambda: world.kept["subscriptions"])
        first = list(world.kept["subscriptions"])
        await until(lambda: world.asked["GET /events"] > 4)
        assert list(world.kept["subscriptions"]) == first
        world.kept["subscriptions"].clear()
        await until(lambda: world.kept["subscriptions"])
