"""A real device for tests: the agent's own session and control, one heater, a report each fraction of a second."""

import asyncio
from datetime import UTC, datetime, timedelta

from tests.e2e.platform import Platform
from tieline.base.time import iso, parse_instant
from tieline.ven.control import Control
from tieline.ven.session import Session
from tieline.wires.mqtt.messages import ACK, LOADS, METER, Command, Load, Loads, LoadState, Meter, Sample

BASE_KW, HEATER_KW = 0.5, 3.0
HEATER = "heater"


class Home:
    """Draws 0.5 kW, and 3 kW more while its heater is not held. What the broker confirmed is in `confirmed`."""

    def __init__(self, platform: Platform, ven_id: str, secret: str) -> None:
        self.ven_id = ven_id
        self.commands: list[Command] = []
        self.confirmed: dict[datetime, float] = {}
        self.control = Control([HEATER])
        self.session = Session(
            ven_id, secret, host="127.0.0.1", port=platform.mqtt_port, on_command=self._obey, store=100_000
        )
        self._sent: dict[datetime, float] = {}

    def _obey(self, command: Command) -> None:
        self.commands.append(command)
        self.session.send(ACK, self.control.take(command, datetime.now(UTC)))

    @property
    def held(self) -> bool:
        return HEATER in self.control.limits(datetime.now(UTC))

    def remember(self, days: int) -> None:
        """Deliver a past of whole quarter hours at 3.5 kW, as a device that was cut off does."""
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        last = now - timedelta(minutes=now.minute % 15)
        samples = [Sample(last - timedelta(minutes=15 * n), BASE_KW + HEATER_KW) for n in range(96 * days)]
        self.session.send(METER, Meter(samples[::-1]))

    async def live(self, every_s: float = 0.25) -> None:
        """Report until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.session.run())
            group.create_task(self._report(every_s))

    async def _report(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            at, heater = datetime.now(UTC), 0.0 if self.held else HEATER_KW
            state = LoadState.SHED if self.held else LoadState.ON
            self.session.send(METER, Meter([Sample(at, BASE_KW + heater)]))
            self.session.send(LOADS, Loads(at, [Load(HEATER, heater, heater, state)]))
            self._sent[at] = BASE_KW + heater
            if not self.session.waiting:
                self.confirmed |= self._sent
                self._sent = {}

    async def drained(self) -> None:
        await self.session.drained()
        self.confirmed |= self._sent
        self._sent = {}


async def assert_nothing_lost_nothing_twice(platform: Platform, homes: list[Home]) -> None:
    """What the broker confirmed to the homes is what /v1 serves: each reading, once, with its value."""
    for home in homes:
        await asyncio.wait_for(home.drained(), 90)
    for home in homes:
        confirmed, found = dict(home.confirmed), list[tuple[datetime, float]]()
        for _ in range(150):
            found = [one for one in await _stored(platform, home) if one[0] in confirmed]
            if len(found) >= len(confirmed):
                break
            await asyncio.sleep(0.2)
        assert len(found) == len(confirmed), f"{home.ven_id}: {len(confirmed)} confirmed, {len(found)} there"
        assert dict(found) == confirmed


async def _stored(platform: Platform, home: Home) -> list[tuple[datetime, float]]:
    start = min(home.confirmed, default=datetime.now(UTC)) - timedelta(seconds=1)
    window = {"start": iso(start), "end": iso(datetime.now(UTC) + timedelta(minutes=1)), "limit": 50_000}
    answer = await asyncio.to_thread(platform.get, f"/v1/series/{home.ven_id}.power_kw/values", **window)
    return [(parse_instant(one["at"]), one["value"]) for one in answer["items"]]
