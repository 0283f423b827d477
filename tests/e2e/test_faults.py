"""Kills in the middle of an event: what was acknowledged is there once, every load comes back."""

import asyncio
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.e2e.home import HEATER_KW, Home, assert_nothing_lost_nothing_twice
from tests.e2e.platform import Platform
from tests.e2e.scene import (
    HOMES,
    QUICK,
    assert_kept_and_settled,
    call,
    ended,
    finished,
    given,
    living,
    shortened,
    until,
)
from tieline.wires.mqtt.messages import Op


@pytest.mark.lasts(30)
@pytest.mark.parametrize("victim", ["platform", "nats-server", "both"])
async def test_a_kill_in_the_middle_of_an_event_costs_nothing(platforms: Callable[..., Platform], victim: str) -> None:
    platform = platforms(**QUICK).start()
    async with living(platform) as homes:
        event_id = call(platform, HOMES * HEATER_KW)
        await given(platform, event_id, homes)
        if victim != "platform":
            os.kill(platform.nats_pid(), signal.SIGKILL)
        if victim != "nats-server":
            platform.kill()
            await asyncio.to_thread(platform.start)
        event = await ended(platform, event_id)
        assert event["rows"]["restored"] == HOMES
        assert not any(home.held for home in homes)
        await assert_kept_and_settled(platform, event_id, homes)


async def test_killed_until_after_the_end_the_event_ends_by_its_clock(platforms: Callable[..., Platform]) -> None:
    platform = platforms(**QUICK).start()
    async with living(platform) as homes:
        event_id = call(platform, HOMES * HEATER_KW)
        await given(platform, event_id, homes)
        end_at = await shortened(platform, event_id)
        await until(lambda: all(knows(home, end_at) for home in homes), "every home was told the end")
        platform.kill()
        await until(lambda: not any(home.held for home in homes), "the loads are free, by the homes' own clocks")
        await asyncio.to_thread(platform.start)
        event = await finished(platform, event_id)
        assert event["rows"]["restored"] == HOMES
        assert {home.commands[-1].op for home in homes} == {"restore"}


def knows(home: Home, end_at: datetime) -> bool:
    return home.commands[-1].end_at == end_at or home.commands[-1].op is Op.RESTORE


async def test_a_stop_is_graceful_and_a_start_goes_on_where_it_was(platforms: Callable[..., Platform]) -> None:
    platform = platforms(**QUICK).start()
    async with living(platform, 2) as homes:
        assert await asyncio.to_thread(platform.stop) == 0
        stopped_at = datetime.now(UTC)
        await asyncio.to_thread(platform.start)
        await until(lambda: all(max(home.confirmed) > stopped_at for home in homes), "the homes are heard again")
        await assert_nothing_lost_nothing_twice(platform, homes)
