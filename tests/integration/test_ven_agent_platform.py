"""The VEN agent at the platform's own VTN, as processes: news by MQTT and webhook, targets, reports, a crash."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.e2e.platform import Platform
from tests.integration.ven_world import until
from tests.servers.nats import free_port
from tieline.ven import Credentials, Memory, Plan, VenAgent, VtnClient, Webhook
from tieline.wires.openadr31.messages import (
    BlVenRequest,
    Event,
    EventRequest,
    Interval,
    IntervalPeriod,
    ProgramRequest,
    Report,
    ValuesMap,
)
from tieline.wires.openadr31.timeline import Outlook

ALWAYS = IntervalPeriod(start="2026-01-01T00:00:00Z", duration="P9999Y")


class Site:
    """A running platform, its business logic, and one home."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.url = f"{platform.url}/openadr3/3.1.0"
        self.held: object = "not told"
        self.bl = self._client("bl")
        self.ven = self._client("ven")

    def _client(self, role: str) -> Credentials:
        told = self.platform.told("client", "add", role, "--role", role)
        return Credentials(client_id=told["client_id"], secret=told["client_secret"])

    def hear(self, outlooks: Mapping[str, Outlook]) -> None:
        now = outlooks["SIMPLE"].now if "SIMPLE" in outlooks else None
        self.held = now.payload.values[0] if now else None

    @contextlib.asynccontextmanager
    async def agent(self, **plan: Any) -> AsyncIterator[VenAgent]:
        async with VtnClient(self.url, self.ven) as vtn:
            with Memory(self.platform.folder / "ven", vtn.connection.url, "home") as memory:
                agent = VenAgent(vtn, memory, Plan(resources=("boiler",), spread_s=0.01, **plan), self.hear)
                task = asyncio.create_task(agent.run())
                try:
                    await until(lambda: self.held != "not told" or task.done())
                    yield agent
                finally:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
                    self.held = "not told"

    async def holds(self, value: object) -> None:
        await until(lambda: self.held == value)

    async def program(self, name: str) -> str:
        async with VtnClient(self.url, self.bl) as vtn:
            return (await vtn.programs.create(ProgramRequest(program_name=name))).id

    async def call(self, program_id: str, value: int, *targets: str) -> Event:
        payload = ValuesMap(type="SIMPLE", values=(value,))
        event = EventRequest(
            program_id=program_id,
            targets=targets or None,
            interval_period=ALWAYS,
            intervals=(Interval(id=0, payloads=(payload,)),),
        )
        async with VtnClient(self.url, self.bl) as vtn:
            return await vtn.events.create(event)

    async def change(self, event: Event, **fields: Any) -> None:
        request = EventRequest(**{name: getattr(event, name) for name in EventRequest.__struct_fields__})
        async with VtnClient(self.url, self.bl) as vtn:
            await vtn.events.update(event.id, replace(request, **fields))

    async def delete(self, event: Event) -> None:
        async with VtnClient(self.url, self.bl) as vtn:
            await vtn.events.delete(event.id)

    async def reports(self) -> list[Report]:
        async with VtnClient(self.url, self.bl) as vtn:
            return [one async for one in vtn.reports.search()]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    platform = Platform(tmp_path_factory.mktemp("platform"), development=True)
    try:
        platform.start()
        yield Site(platform)
    finally:
        platform.close()


@pytest.fixture(autouse=True)
async def _empty(site: Site) -> AsyncIterator[None]:
    yield
    async with VtnClient(site.url, site.bl) as vtn:
        for one in [one async for one in vtn.programs.search()]:
            await vtn.programs.delete(one.id)


def ways() -> list[dict[str, Any]]:
    port = free_port()
    return [{"mqtt": True}, {"webhook": Webhook(url=f"http://127.0.0.1:{port}/hook", port=port)}]


@pytest.mark.parametrize("way", ways(), ids=["mqtt", "webhook"])
async def test_news_come_without_a_poll(site: Site, way: dict[str, Any]) -> None:
    program = await site.program("evening")
    async with site.agent(poll_s=3600, **way) as agent:
        await until(lambda: agent._watch.connected.is_set() or agent._subscription_id)
        await site.holds(None)
        event = await site.call(program, 1)
        await site.holds(1)
        await site.change(event, intervals=(Interval(id=0, payloads=(ValuesMap(type="SIMPLE", values=(2,)),)),))
        await site.holds(2)
        await site.delete(event)
        await site.holds(None)


async def test_targets_decide_what_is_heard(site: Site) -> None:
    program = await site.program("evening")
    async with site.agent(poll_s=3600, mqtt=True) as agent:
        await until(agent._watch.connected.is_set)
        async with VtnClient(site.url, site.bl) as vtn:
            [ven] = [one async for one in vtn.vens.search(ven_name="home")]
            granted = BlVenRequest(client_id=ven.client_id, ven_name="home", targets=("north",))
            await vtn.vens.update(ven.id, granted)
        await site.call(program, 9, "south")
        event = await site.call(program, 3, "north", "south")
        await site.holds(3)
        assert [one.targets for one in agent.events] == [("north",)]
        await site.change(event, targets=("south",))
        await site.holds(None)
        await site.change(event, targets=("north",))
        await site.holds(3)


async def test_a_crash_of_the_platform_loses_neither_the_event_nor_the_report(site: Site) -> None:
    program = await site.program("evening")
    event = await site.call(program, 4)
    async with site.agent(poll_s=1, programs=("evening",)) as agent:
        await site.holds(4)
        site.platform.kill()
        await agent.report(event, ValuesMap(type="USAGE", values=(1.5,)), report_name="told in the dark")
        await agent.opt_out(event, "guests", running=False)
        await site.holds(None)
        assert agent.unsent == 2
        await asyncio.to_thread(site.platform.start)
        await until(lambda: not agent.unsent)
        await until(lambda: agent.trouble == "")
    names = {report.report_name: report for report in await site.reports()}
    assert set(names) == {"told in the dark", "opt-out: guests"}
    told = names["opt-out: guests"].resources[0]
    assert (told.resource_name, told.intervals[0].payloads[0].values) == ("boiler", ("IDLE_OPTED_OUT",))
    await site.delete(event)


async def test_the_command_line_follows_it(site: Site, tmp_path: Path) -> None:
    program = await site.program("evening")
    await site.call(program, 5)
    secret = tmp_path / "secret"
    secret.write_text(site.ven.secret)
    command = [
        sys.executable,
        "-m",
        "tieline.cli",
        "ven",
        "run",
        "--vtn",
        site.url,
        "--name",
        "home",
        "--mqtt",
        "--json",
    ]
    command += ["--client-id", site.ven.client_id, "--secret-file", str(secret), "--data", str(tmp_path / "ven")]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(90):
        line = json.loads(await process.stdout.readline())
        process.terminate()
        assert await process.wait() == 0
    assert line["holds"]["SIMPLE"]["now"]["values"] == [5]
