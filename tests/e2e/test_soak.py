"""Minutes of kills at random moments, event upon event: nothing lost or doubled, nothing stays shed. `make soak`."""

import asyncio
import os
import random
import signal
from collections.abc import Callable

import pytest

from tests.e2e.home import HEATER_KW, Home, assert_nothing_lost_nothing_twice
from tests.e2e.platform import Platform
from tests.e2e.scene import HOMES, QUICK, call, finished, living

EVENTS = 12


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_kills_at_random_moments_of_a_dozen_events(platforms: Callable[..., Platform], seed: int) -> None:
    chance = random.Random(seed)
    platform = platforms(**QUICK).start()
    async with living(platform) as homes:
        for n in range(EVENTS):
            event_id = await asyncio.to_thread(call, platform, HOMES * HEATER_KW, 8, f"event-{n}")
            await asyncio.sleep(chance.uniform(0, 11))
            if chance.random() < 0.7:
                os.kill(platform.nats_pid(), signal.SIGKILL)
            if chance.random() < 0.7:
                platform.kill()
                await asyncio.sleep(chance.uniform(0, 3))
                await asyncio.to_thread(platform.start)
            rows = (await finished(platform, event_id))["rows"]
            assert sum(rows.values()) == rows["restored"]
            assert not any(home.held for home in homes)
            _acted_once(homes, event_id)
        await assert_nothing_lost_nothing_twice(platform, homes)


def _acted_once(homes: list[Home], event_id: str) -> None:
    """However often it was said, one event is one command to a VEN, and one restore."""
    for home in homes:
        said = {command.command_id for command in home.commands if command.event_id == event_id}
        assert len(said) <= 2
