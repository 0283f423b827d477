"""Kills in the middle of an event: what was acknowledged is there once, every load comes back."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.home import BASE_KW, HEATER_KW, Home, assert_nothing_lost_nothing_twice
from tests.e2e.platform import Platform
from tieline.base.time import iso

QUICK = {"lead_s": 1, "ack_s": 3, "resend_s": 1, "escalate_s": 30, "settle_delay_s": 3, "series_seal_seconds": 2}
HOMES = 4
EVENT_S = 14


@contextlib.asynccontextmanager
async def living(platform: Platform, homes: int = HOMES) -> AsyncIterator[list[Home]]:
    """Homes with a fortnight behind them, reporting four times a second."""
    made = [Home(platform, ven_id, platform.register(ven_id)) for ven_id in (f"home-{n}" for n in range(homes))]
    for home in made:
        home.remember(days=14)
    tasks = [asyncio.create_task(home.live()) for home in made]
    try:
        await asyncio.wait_for(asyncio.gather(*(home.session.connected.wait() for home in made)), 20)
        await _until(lambda: platform.get("/v1/fleet")["controllable_kw"] >= homes * HEATER_KW, "the fleet is live")
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until(found: Callable[[], Any], what: str, within_s: float = 45) -> Any:
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        with contextlib.suppress(Exception):
            if value := await asyncio.to_thread(found):
                return value
        assert asyncio.get_running_loop().time() < deadline, f"not within {within_s:g} s: {what}"
        await asyncio.sleep(0.1)


def call(platform: Platform, kw: float, seconds: float = EVENT_S) -> str:
    platform.post("/v1/programs", {"program_id": "peak", "name": "Peak"})
    start = datetime.now(UTC) + timedelta(seconds=2)
    window = {"start_at": iso(start), "end_at": iso(start + timedelta(seconds=seconds))}
    event_id: str = platform.post("/v1/events", {"program_id": "peak", "target_kw": kw, **window})["event_id"]
    return event_id


async def finished(platform: Platform, event_id: str) -> dict[str, Any]:
    """The event once every row of its ledger has ended."""

    def over() -> dict[str, Any] | None:
        event: dict[str, Any] = platform.get(f"/v1/events/{event_id}")
        rows = event["rows"]
        return (
            event if event["state"] == "ended" and sum(rows.values()) == rows["restored"] + rows["escalated"] else None
        )

    found: dict[str, Any] = await _until(over, "every load came back", 90)
    return found


@pytest.mark.parametrize("victim", ["platform", "nats-server", "both"])
async def test_a_kill_in_the_middle_of_an_event_costs_nothing(platforms: Callable[..., Platform], victim: str) -> None:
    platform = platforms(**QUICK).start()
    async with living(platform) as homes:
        event_id = call(platform, HOMES * HEATER_KW)
        await _until(lambda: platform.get(f"/v1/events/{event_id}")["rows"]["acting"] == HOMES, "all are acting")
        await _until(lambda: all(home.held for home in homes), "the loads are held")
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
        statements = await _until(lambda: platform.get("/v1/statements", event_id=event_id)["items"], "the statement")
    assert len(statements) == 1
    hours = EVENT_S / 3600
    assert statements[0]["baseline_kwh"] == pytest.approx(HOMES * (BASE_KW + HEATER_KW) * hours, rel=0.02)
    assert statements[0]["delivered_kwh"] == pytest.approx(HOMES * HEATER_KW * hours, rel=0.35)


async def test_killed_until_after_the_end_the_event_ends_by_its_clock(platforms: Callable[..., Platform]) -> None:
    platform = platforms(**QUICK).start()
    async with living(platform) as homes:
        event_id = call(platform, HOMES * HEATER_KW, seconds=6)
        await _until(lambda: all(home.held for home in homes), "the loads are held")
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
        await asyncio.wait_for(asyncio.gather(*(home.session.connected.wait() for home in homes)), 20)
        await asyncio.sleep(1)
        await assert_nothing_lost_nothing_twice(platform, homes)
