"""Kills in the middle of an event: what was acknowledged is there once, every load comes back."""

import asyncio
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.e2e.home import BASE_KW, HEATER_KW, assert_nothing_lost_nothing_twice
from tests.e2e.platform import Platform
from tests.e2e.scene import EVENT_S, HOMES, QUICK, call, finished, living, until


@pytest.mark.parametrize("victim", ["platform", "nats-server", "both"])
async def test_a_kill_in_the_middle_of_an_event_costs_nothing(platforms: Callable[..., Platform], victim: str) -> None:
    platform = platforms(**QUICK).start()
    async with living(platform) as homes:
        event_id = call(platform, HOMES * HEATER_KW)
        await until(lambda: platform.get(f"/v1/events/{event_id}")["rows"]["acting"] == HOMES, "all are acting")
        await until(lambda: all(home.held for home in homes), "the loads are held")
        await asyncio.sleep(2)
        if victim != "platform":
            os.kill(platform.nats_pid(), signal.SIGKILL)
        if victim != "nats-server":
            platform.kill()
            await asyncio.to_thread(platform.start)
        event = await finished(platform, event_id)
        assert event["rows"]["restored"] == HOMES
        assert not any(home.held for home in homes)
        await assert_nothing_lost_nothing_twice(platform, homes)
        statements = await until(lambda: platform.get("/v1/statements", event_id=event_id)["items"], "the statement")
    assert len(statements) == 1
    hours = EVENT_S / 3600
    assert statements[0]["baseline_kwh"] == pytest.approx(HOMES * (BASE_KW + HEATER_KW) * hours, rel=0.02)
    assert statements[0]["delivered_kwh"] == pytest.approx(HOMES * HEATER_KW * hours, rel=0.35)


async def test_killed_until_after_the_end_the_event_ends_by_its_clock(platforms: Callable[..., Platform]) -> None:
    platform = platforms(**QUICK).start()
    async with living(platform) as homes:
        event_id = call(platform, HOMES * HEATER_KW, seconds=6)
        await until(lambda: all(home.held for home in homes), "the loads are held")
        platform.kill()
        await asyncio.sleep(8)
        assert not any(home.held for home in homes)  # by their own clocks
        await asyncio.to_thread(platform.start)
        event = await finished(platform, event_id)
        assert event["rows"]["restored"] == HOMES
        assert {home.commands[-1].op for home in homes} == {"restore"}


async def test_a_stop_is_graceful_and_a_start_goes_on_where_it_was(platforms: Callable[..., Platform]) -> None:
    platform = platforms(**QUICK).start()
    async with living(platform, 2) as homes:
        began = datetime.now(UTC)
        assert await asyncio.to_thread(platform.stop) == 0
        assert (datetime.now(UTC) - began).total_seconds() < 10
        await asyncio.sleep(1)
        await asyncio.to_thread(platform.start)
        await asyncio.wait_for(asyncio.gather(*(home.session.connected.wait() for home in homes)), 90)
        await asyncio.sleep(1)
        await assert_nothing_lost_nothing_twice(platform, homes)
