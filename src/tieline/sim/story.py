"""The first thing a newcomer sees happen: a programme, and an event two minutes ahead."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec

from tieline.base.errors import Conflict, Unready
from tieline.base.time import Clock
from tieline.sim.beside import ZONE
from tieline.sim.twins import after
from tieline.ven.client import Client, Event, FleetNow

PROGRAM = "summer-peak"
AHEAD = timedelta(minutes=2)
LENGTH = timedelta(minutes=15)
SHARE = 0.35  # of what the fleet could shed
PATIENCE_S = 180.0
LOOK_S = 0.5
SETTLING_S = 2.0
GROWS = 1.05
TERMS = {
    "valid_from": "2000-01-01",
    "zone": ZONE,
    "currency": "USD",
    "baseline": "lasting-20",
    "energy": {"type": "fixed", "price_per_kwh": "0.50"},
}
"""Half a dollar for each kilowatt-hour, by a baseline for loads that are called because they run."""


class Settled(msgspec.Struct, frozen=True):
    delivered_kwh: float
    target_kwh: float


class Run(msgspec.Struct, frozen=True):
    run_id: str
    participants: int
    total: Decimal
    currency: str


class Statements(msgspec.Struct, frozen=True):
    items: list[Settled]


async def first_event(client: Client, clock: Clock) -> Event:
    """Publish it: 15 minutes from the first whole minute that is two minutes ahead, for 35 % of the controllable load
    in steps of 5 kW. Raises `Unready` when the fleet reports no load to shed within three minutes."""
    fleet = await reporting(client)
    await program(client, PROGRAM, "Summer peak")
    start_at = after(clock.now() + AHEAD, 60, 0)
    target_kw = max(5.0, 5.0 * round(SHARE * fleet.controllable_kw / 5))
    return await client.create_event(PROGRAM, start_at, start_at + LENGTH, target_kw)


async def program(client: Client, program_id: str, name: str) -> None:
    """With its terms; nothing where it is there already."""
    with contextlib.suppress(Conflict):
        await client.create_program(program_id, name)
        await client.ask("PUT", f"/v1/programs/{program_id}/terms", dict[str, object], TERMS)


async def told(client: Client, event: Event) -> AsyncIterator[str]:
    """A line for each thing that happens to it, until its statement is there."""
    state = event.state
    while state not in ("ended", "cancelled"):
        await asyncio.sleep(LOOK_S)
        now = await client.event(event.event_id)
        if now.state != state:
            state, fleet = now.state, await client.fleet()
            accepted = f"{now.acked_kw:g} kW accepted, the fleet draws {fleet.power_kw:.0f} kW"
            yield f"event {event.event_id} is {state}: {accepted}"
    while not (
        made := await client.ask("GET", "/v1/statements", Statements, params={"event_id": event.event_id})
    ).items:
        await asyncio.sleep(LOOK_S)
    delivered = f"{made.items[0].delivered_kwh:.1f} of {made.items[0].target_kwh:.1f} kWh delivered"
    yield f"event {event.event_id} is settled: {delivered}"
    day = event.start_at.astimezone(ZoneInfo(ZONE)).date()
    period = {"from_day": day.isoformat(), "until_day": (day + timedelta(days=1)).isoformat()}
    midnight = datetime.combine(day + timedelta(days=1), time(0, 5), ZoneInfo(ZONE))
    while (await client.index()).now_at < midnight:
        await asyncio.sleep(LOOK_S)
    run = await client.ask("POST", f"/v1/programs/{PROGRAM}/settlements", Run, period)
    yield f"settlement {run.run_id}: {run.total} {run.currency} are due to {run.participants} homes"


async def reporting(client: Client) -> FleetNow:
    """The fleet once nine homes in ten are there and metered, and what their loads could shed no longer grows from look
    to look. On a busy machine the past that they deliver first keeps their meters waiting."""
    before_kw = 0.0
    for _ in range(round(PATIENCE_S / SETTLING_S)):
        fleet = await client.fleet()
        heard = min(fleet.online, fleet.vens - fleet.stale) >= 0.9 * fleet.vens
        if heard and 0 < fleet.controllable_kw <= GROWS * before_kw:
            return fleet
        before_kw = fleet.controllable_kw
        await asyncio.sleep(SETTLING_S)
    raise Unready(f"the fleet still reports no load to shed after {PATIENCE_S:g} s: GET /v1/fleet tells what it sees")
