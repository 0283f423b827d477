"""The scene of most tests here: homes with a fortnight behind them, an event that lasts until it is ended, its end.

How quick the machine is changes nothing: whatever happens next waits for what happened before.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.home import BASE_KW, HEATER_KW, Home, assert_nothing_lost_nothing_twice
from tests.e2e.platform import Platform
from tieline.base.time import iso, parse_instant

QUICK = {"lead_s": 1, "ack_s": 3, "resend_s": 1, "escalate_s": 120, "settle_delay_s": 3, "series_seal_seconds": 2}
HOMES = 4
LONG_S, SOON_S = 900, 3
PATIENCE_S = 120
MILLIWATT_HOUR = 1e-6


@contextlib.asynccontextmanager
async def living(platform: Platform, homes: int = HOMES) -> AsyncIterator[list[Home]]:
    """Homes with a fortnight behind them that the platform knows of, reporting four times a second."""
    made = [Home(platform, ven_id, platform.register(ven_id)) for ven_id in (f"home-{n}" for n in range(homes))]
    last = [home.remember(days=14) for home in made]
    tasks = [asyncio.create_task(home.live()) for home in made]
    try:
        for home, at in zip(made, last, strict=True):
            await until(lambda home=home, at=at: _read(platform, home, at), "its past is known")  # type: ignore[misc]
        await until(lambda: platform.get("/v1/fleet")["controllable_kw"] >= homes * HEATER_KW, "the fleet is live")
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _read(platform: Platform, home: Home, at: datetime) -> list[Any]:
    window = {"start": iso(at), "end": iso(at + timedelta(seconds=1))}
    found: list[Any] = platform.get(f"/v1/series/{home.ven_id}.power_kw/values", **window)["items"]
    return found


async def until(found: Callable[[], Any], what: str, within_s: float = PATIENCE_S) -> Any:
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        with contextlib.suppress(Exception):
            if value := await asyncio.to_thread(found):
                return value
        assert asyncio.get_running_loop().time() < deadline, f"not within {within_s:g} s: {what}"
        await asyncio.sleep(0.1)


def call(platform: Platform, kw: float, seconds: float = LONG_S, event_id: str | None = None) -> str:
    """An event from two seconds ahead; its id."""
    made = platform.answer("POST", "/v1/programs", json={"program_id": "peak", "name": "Peak"})
    assert made.status_code in (201, 409), made.text
    start = datetime.now(UTC) + timedelta(seconds=2)
    window = {"start_at": iso(start), "end_at": iso(start + timedelta(seconds=seconds))}
    new = {"program_id": "peak", "target_kw": kw, "event_id": event_id, "allow_past": True, **window}
    published: str = platform.post("/v1/events", new)["event_id"]
    return published


async def given(platform: Platform, event_id: str, homes: list[Home]) -> None:
    """Until every home gives what the event asks of it, and the platform knows."""
    await until(lambda: all(home.gave for home in homes), "the loads are held")
    await until(lambda: _held(platform, event_id) == len(homes), "and known to be")


def _held(platform: Platform, event_id: str) -> int:
    rows = platform.get(f"/v1/events/{event_id}")["rows"]
    return int(rows["acting"] + rows["metered"])


async def shortened(platform: Platform, event_id: str) -> datetime:
    """The event is to end soon; when."""
    end_at = datetime.now(UTC) + timedelta(seconds=SOON_S)
    change = {"end_at": iso(end_at)}
    await until(
        lambda: platform.answer("PATCH", f"/v1/events/{event_id}", json=change).status_code == 200, "it is shortened"
    )
    return end_at


async def ended(platform: Platform, event_id: str) -> dict[str, Any]:
    """The event, which is to end soon, once it has and every row of its ledger with it."""
    await shortened(platform, event_id)
    return await finished(platform, event_id)


async def finished(platform: Platform, event_id: str) -> dict[str, Any]:
    """The event once every row of its ledger has ended."""

    def over() -> dict[str, Any] | None:
        event: dict[str, Any] = platform.get(f"/v1/events/{event_id}")
        rows = event["rows"]
        return (
            event if event["state"] == "ended" and sum(rows.values()) == rows["restored"] + rows["escalated"] else None
        )

    found: dict[str, Any] = await until(over, "every load came back")
    return found


async def assert_kept_and_settled(platform: Platform, event_id: str, homes: list[Home]) -> None:
    """Nothing of what the homes said is lost or there twice, and it is what the event is settled by: each home's
    baseline, which is what it always drew, less what it used by its own readings."""
    end_at = parse_instant(platform.get(f"/v1/events/{event_id}")["end_at"])
    await until(lambda: all(max(home.confirmed) > end_at for home in homes), "the homes read past its end")
    await assert_nothing_lost_nothing_twice(platform, homes)
    made = await until(lambda: platform.get("/v1/statements", event_id=event_id)["items"], "the statement")
    assert len(made) == 1, "of all that settle one states it"
    of_all = platform.post(f"/v1/events/{event_id}/settle")
    statement = platform.get(f"/v1/statements/{of_all['statement_id']}")
    start, end = parse_instant(statement["start_at"]), parse_instant(statement["end_at"])
    lines = {line["ven_id"]: line for line in statement["lines"]}
    assert lines.keys() == {home.ven_id for home in homes}
    for home in homes:
        line, hours = lines[home.ven_id], (end - start).total_seconds() / 3600
        assert line["used_kwh"] == pytest.approx(home.used_kwh(start, end), abs=10 * MILLIWATT_HOUR)
        assert line["baseline_kwh"] == pytest.approx((BASE_KW + HEATER_KW) * hours, rel=0.02)
        assert line["delivered_kwh"] == pytest.approx(line["baseline_kwh"] - line["used_kwh"], abs=MILLIWATT_HOUR)
        assert line["delivered_kwh"] > 0
    assert statement["delivered_kwh"] == pytest.approx(sum(line["delivered_kwh"] for line in lines.values()))
