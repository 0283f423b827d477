"""The scene of most tests here: homes with a fortnight behind them, an event of some seconds, its end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.e2e.home import HEATER_KW, Home
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
        await asyncio.wait_for(asyncio.gather(*(home.session.connected.wait() for home in made)), 90)
        await until(lambda: platform.get("/v1/fleet")["controllable_kw"] >= homes * HEATER_KW, "the fleet is live")
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(found: Callable[[], Any], what: str, within_s: float = 45) -> Any:
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        with contextlib.suppress(Exception):
            if value := await asyncio.to_thread(found):
                return value
        assert asyncio.get_running_loop().time() < deadline, f"not within {within_s:g} s: {what}"
        await asyncio.sleep(0.1)


def call(platform: Platform, kw: float, seconds: float = EVENT_S, event_id: str | None = None) -> str:
    """An event from two seconds ahead; its id."""
    made = platform.answer("POST", "/v1/programs", json={"program_id": "peak", "name": "Peak"})
    assert made.status_code in (201, 409), made.text
    start = datetime.now(UTC) + timedelta(seconds=2)
    window = {"start_at": iso(start), "end_at": iso(start + timedelta(seconds=seconds))}
    new = {"program_id": "peak", "target_kw": kw, "event_id": event_id, **window}
    published: str = platform.post("/v1/events", new)["event_id"]
    return published


async def finished(platform: Platform, event_id: str) -> dict[str, Any]:
    """The event once every row of its ledger has ended."""

    def over() -> dict[str, Any] | None:
        event: dict[str, Any] = platform.get(f"/v1/events/{event_id}")
        rows = event["rows"]
        return (
            event if event["state"] == "ended" and sum(rows.values()) == rows["restored"] + rows["escalated"] else None
        )

    found: dict[str, Any] = await until(over, "every load came back", 90)
    return found
