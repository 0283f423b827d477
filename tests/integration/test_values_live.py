"""Live readings over a real Log: told as they arrive, resumed where they were left, and no reader holds up another."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.integration.values_world import POWER, opened
from tests.servers.nats import free_port
from tieline import process
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.log import NatsLog
from tieline.adapters.nats.server import NatsServer
from tieline.base.series import Flag
from tieline.telemetry.batch import columns_of, packed
from tieline.telemetry.live import LiveEvent
from tieline.telemetry.model import Batch
from tieline.telemetry.values.live import Live

NOW = datetime(2026, 7, 15, 12, tzinfo=UTC)
MINE, OTHER = "mine.power_kw", "other.power_kw"
PATIENCE_S = 60


@pytest.fixture
async def log(nats_server: NatsServer) -> AsyncIterator[NatsLog]:
    connection = await connect([nats_server.url], user=nats_server.user, password=nats_server.password)
    yield await NatsLog.open(connection)
    await connection.close()


async def say(log: NatsLog, value: float, *names: str) -> int:
    """A batch with one reading of each."""
    batch = Batch(NOW)
    for name in names or (MINE,):
        batch.add(batch.named(name), NOW + timedelta(seconds=value), value, Flag.GOOD, 1)
    return await log.say("readings.mqtt", packed(columns_of(batch)))


async def ended(live: Live) -> None:
    """Once nobody listens, nothing is followed."""
    async with asyncio.timeout(PATIENCE_S):
        while live.following:
            await asyncio.sleep(0.05)


class Listener:
    def __init__(self, live: Live, after: int | None = None) -> None:
        self.events = live.listen([MINE], after)

    async def event(self) -> LiveEvent:
        return await asyncio.wait_for(anext(self.events), PATIENCE_S)

    async def values(self, count: int) -> list[float]:
        """Of the next so many events of readings."""
        found: list[float] = []
        for _ in range(count):
            event = await self.event()
            assert event.event == "readings"
            found += [one["value"] for one in json.loads(event.data)]
        return found


async def test_readings_are_told_as_they_arrive_and_resumed_where_they_were_left(log: NatsLog) -> None:
    live = Live(log)
    await say(log, 0)
    first = Listener(live)
    async with aclosing(first.events):
        assert (await first.event()).event == "open"
        await say(log, 1, MINE, OTHER)
        await say(log, 2, OTHER)
        await say(log, 3)
        told = await first.event()
        (one,) = json.loads(told.data)
        assert (one["series_id"], one["at"], one["value"]) == (MINE, "2026-07-15T12:00:01Z", 1)
        assert await first.values(1) == [3]
        await say(log, 4)
        again = Listener(live, int(told.id or 0))
        async with aclosing(again.events):
            assert (await again.event()).event == "open"
            assert await again.values(2) == [3, 4]
            await say(log, 5)
            assert await again.values(1) == [5]
        assert await first.values(2) == [4, 5]


async def test_nobody_follows_for_nobody_and_who_comes_later_is_told_from_then_on(log: NatsLog) -> None:
    live = Live(log)
    for value in (1, 2):
        await say(log, -value)
        one = Listener(live)
        async with aclosing(one.events):
            assert (await one.event()).event == "open"
            await say(log, value)
            assert await one.values(1) == [value]
        await ended(live)


async def test_who_comes_as_the_last_one_goes_is_told_all_the_same(log: NatsLog) -> None:
    live = Live(log)
    first, second = Listener(live), Listener(live)
    assert (await first.event()).event == "open"
    await first.events.aclose()  # nothing was awaited since: what it followed by has yet to end
    async with aclosing(second.events):
        assert (await second.event()).event == "open"
        await say(log, 1)
        assert await second.values(1) == [1]


async def test_who_is_too_slow_is_told_so_and_let_go(log: NatsLog) -> None:
    live = Live(log, behind=3)
    slow, quick = Listener(live), Listener(live)
    async with aclosing(slow.events), aclosing(quick.events):
        assert (await slow.event()).event == (await quick.event()).event == "open"
        for value in range(6):
            await say(log, value)
            assert await quick.values(1) == [value]
        assert await slow.values(3) == [0, 1, 2]
        dropped = await slow.event()
        assert (dropped.event, "last id" in dropped.data) == ("dropped", True)
        with pytest.raises(StopAsyncIteration):
            await slow.event()


async def test_a_heart_beats_while_nothing_comes(log: NatsLog) -> None:
    one = Listener(Live(log, heartbeat_s=0.01))
    async with aclosing(one.events):
        assert [(await one.event()).event for _ in range(3)] == ["open", "heartbeat", "heartbeat"]


async def test_a_browser_is_told_over_http_comes_back_with_its_last_id_and_goes(log: NatsLog, tmp_path: Path) -> None:
    live, port = Live(log), free_port()
    url = f"http://127.0.0.1:{port}/v1/series/live?series_id={POWER}&series_id=home-2.power_kw"
    async with opened(tmp_path, live) as world, process.serving(world.app, "127.0.0.1", port):
        async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
            async with http.stream("GET", url) as reply:
                assert "content-encoding" not in reply.headers
                lines = reply.aiter_lines()
                assert (await one_of(lines, "open"))["event"] == "open"
                await say(log, 1, POWER)
                told = await one_of(lines, "readings")
                assert json.loads(told["data"])[0]["value"] == 1
            await say(log, 2, "home-2.power_kw")
            async with http.stream("GET", url, headers={"last-event-id": told["id"]}) as reply:
                assert json.loads((await one_of(reply.aiter_lines(), "readings"))["data"])[0]["value"] == 2
            assert (await http.get(url + "&series_id=nobody.power_kw")).status_code == 404
        await ended(live)


async def one_of(lines: AsyncIterator[str], kind: str) -> dict[str, str]:
    """The next event of a kind."""
    event: dict[str, str] = {}
    async for line in lines:
        name, _, said = line.partition(": ")
        event[name] = said
        if not line and event.get("event") == kind:
            break
        if not line:
            event = {}
    return event
