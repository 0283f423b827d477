"""The dispatcher killed at random while events run: every row ends, no command counts twice, nothing stays shed.

The dispatcher is a process of its own beside the rest, killed without warning and started again, two of them at times.
"""

import asyncio
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.e2e.home import HEATER_KW, Home
from tests.e2e.platform import Platform
from tests.e2e.scene import QUICK, call, finished, living
from tests.e2e.scene import until as becomes

HOMES = 6
LASTS_S = 8


async def murdered(platform: Platform, chance: random.Random, enough: Callable[[], bool]) -> int:
    """A dispatcher that is killed again and again, at times before it is there; at times another works beside it. How
    often."""
    kills = 0
    while not enough():
        count = chance.choice([1, 1, 2])
        there = partial(has_started, platform, started(platform) + count)
        some = [platform.also("run", "dispatch") for _ in range(count)]
        if chance.random() < 0.8:  # a busy machine takes a while to start it
            await becomes(there, "the dispatcher is there", 120)
        await asyncio.sleep(chance.uniform(0, 4))
        for one in some:
            one.kill()
            await asyncio.to_thread(one.wait)
            kills += 1
    return kills


def started(platform: Platform) -> int:
    """How many processes beside the first ever got so far."""
    return (platform.folder / "platform.log").read_bytes().count(b"tieline: running")


def has_started(platform: Platform, count: int) -> bool:
    return started(platform) >= count


async def soaked(platforms: Callable[..., Platform], seed: int, seconds: float) -> None:
    chance = random.Random(seed)
    platform = platforms(**QUICK | {"look_s": 2}).start("run", "api", "telemetry")
    async with living(platform, HOMES) as homes:
        until = time.monotonic() + seconds
        killing = asyncio.create_task(
            murdered(platform, chance, lambda: time.monotonic() > until and all(home.commands for home in homes))
        )
        events, n = list[str](), 0
        while not killing.done():
            n += 1
            kw = chance.randint(1, HOMES) * HEATER_KW
            events.append(await asyncio.to_thread(call, platform, kw, LASTS_S, f"event-{n}"))
            await asyncio.sleep(chance.uniform(2, 5))
            await asyncio.to_thread(meddle, platform, events[-1], chance)
            await asyncio.sleep(chance.uniform(2, 6))
        assert killing.result() > 0
        platform.also("run", "dispatch")
        for event_id in events:
            await over(platform, event_id)
        assert not any(home.held for home in homes)
        acted_once(homes)


def meddle(platform: Platform, event_id: str, chance: random.Random) -> None:
    """What an operator does while it runs, if anything: stop it, or ask for something else."""
    odd = chance.random()
    if odd < 0.2:
        platform.answer("POST", f"/v1/events/{event_id}/cancel")
    elif odd < 0.6:
        platform.answer("PATCH", f"/v1/events/{event_id}", json={"target_kw": chance.randint(1, HOMES) * HEATER_KW})


async def over(platform: Platform, event_id: str) -> None:
    event: dict[str, Any] = platform.get(f"/v1/events/{event_id}")
    if event["state"] != "cancelled":
        await finished(platform, event_id)
    for _ in range(300):
        rows: dict[str, int] = (await asyncio.to_thread(platform.get, f"/v1/events/{event_id}"))["rows"]
        if sum(rows.values()) == rows["restored"]:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"{event_id}: {rows}\n{platform.log()}")


def acted_once(homes: list[Home]) -> None:
    """However often a command was said, it said the same, and was answered the same."""
    for home in homes:
        said: dict[str, object] = {}
        for command in home.commands:
            assert said.setdefault(command.command_id, command) == command
        numbers = {command_id.rpartition(":")[2] for command_id in said}
        assert "0" not in numbers


@pytest.mark.lasts(40)
async def test_a_dispatcher_killed_for_some_seconds(platforms: Callable[..., Platform]) -> None:
    await soaked(platforms, 1, 20)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [2, 3, 4])
async def test_a_dispatcher_killed_for_minutes(platforms: Callable[..., Platform], seed: int) -> None:
    await soaked(platforms, seed, 180)
