"""`tieline ven agent` as a process: killed in mid-flight it loses nothing; told to end, it leaves the loads free."""

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import datetime
from itertools import groupby
from pathlib import Path

import pytest
from aiohttp import web

from tests.integration.site_world import NOW, Site, SmallPlatform, until
from tieline.adapters.nats.server import NatsServer
from tieline.base.time import from_micros
from tieline.wires.mqtt.messages import METER

COMMAND = [sys.executable, "-m", "tieline.cli", "ven", "agent"]


class Process:
    """The agent of a site as a process of its own."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.process: asyncio.subprocess.Process | None = None

    @contextlib.asynccontextmanager
    async def running(self, *, alone: bool = False) -> AsyncIterator["Process"]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TIELINE_")}
        self.process = await asyncio.create_subprocess_exec(
            *COMMAND, str(self.site.file), env=environment, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            await until(self.site.is_up if alone else self.site.is_online)
            yield self
        finally:
            await self.end(signal.SIGKILL)

    async def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(90):
            return await self.process.wait()


def measured(folder: Path) -> tuple[set[datetime], datetime]:
    """The instants of the samples that wait, and the newest instant that anything was read at."""
    with contextlib.closing(sqlite3.connect(folder / "data/readings.db")) as rows:
        samples = {from_micros(at) for (at,) in rows.execute("SELECT at FROM sample")}
        (newest,) = rows.execute(
            "SELECT max(at) FROM (SELECT at FROM sample UNION ALL SELECT at FROM reading)"
        ).fetchone()
    return samples, from_micros(newest)


async def test_a_kill_loses_nothing_that_was_measured_and_tells_nothing_in_two_ways(
    tmp_path: Path, nats_server: NatsServer
) -> None:
    """First without the platform, so that all is stored; then in the midst of telling it."""
    platform, chance = SmallPlatform(nats_server), random.Random(7)
    site = Site(tmp_path, platform.port)
    process, due = Process(site), set[datetime]()
    for _ in range(3):
        async with process.running(alone=True):
            begun = NOW()
            await until(lambda begun=begun: measured(tmp_path)[1] > begun)  # type: ignore[misc]
            await asyncio.sleep(chance.uniform(0.5, 2))
            stored, newest = measured(tmp_path)
            await process.end(signal.SIGKILL)
        samples, last = measured(tmp_path)
        assert stored <= samples
        assert newest <= last
        due |= samples
    async with platform.open():
        for _ in range(3):
            async with process.running():
                await until(lambda: platform.heard[METER])
                await asyncio.sleep(chance.uniform(0, 1))
                await process.end(signal.SIGKILL)
            due |= measured(tmp_path)[0]
        async with process.running():
            await until(lambda: due <= {sample.at for sample in platform.samples})
    told = defaultdict(set)
    for sample in platform.samples:
        told[sample.at].add(sample.power_kw)
    assert all(len(powers) == 1 for powers in told.values())


async def test_an_accepted_event_survives_a_kill(tmp_path: Path, nats_server: NatsServer) -> None:
    platform = SmallPlatform(nats_server)
    site = Site(tmp_path, platform.port)
    process = Process(site)
    async with platform.open(), process.running():
        await platform.ask()
        await until(lambda: platform.acks)
        await process.end(signal.SIGKILL)  # at the very moment that the platform has its answer
    async with process.running(alone=True):
        await site.draws(0.5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_told_to_end_it_leaves_the_loads_free(
    tmp_path: Path, nats_server: NatsServer, number: signal.Signals
) -> None:
    platform, asked = SmallPlatform(nats_server), list[str]()

    async def answer(request: web.BaseRequest) -> web.Response:
        asked.append(request.path)
        return web.Response()

    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = "http://{}:{}".format(*runner.addresses[0][:2])
    plug = f'{{ type = "http", hold = {{ url = "{url}/off" }}, free = {{ url = "{url}/on" }} }}'
    process = Process(Site(tmp_path, platform.port, boiler=plug))
    async with platform.open(), process.running():
        await platform.ask()
        await until(lambda: asked[-1:] == ["/off"])
        assert await process.end(number) == 0
    await runner.cleanup()
    assert [one for one, _ in groupby(asked)] == ["/on", "/off", "/on"]  # each said once, or again in a while


async def test_a_wrong_configuration_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text("[panel]\nlimit_kw = 0\n")
    process = await asyncio.create_subprocess_exec(
        *COMMAND, str(tmp_path / "site.toml"), stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    assert b"site.toml, line 2: panel.limit_kw: Expected `float` > 0.0" in said
