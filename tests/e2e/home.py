"""A real device for tests: the agent's own session and control, one heater, a report each fraction of a second."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from tests.e2e.platform import Platform
from tieline.base.time import iso, parse_instant
from tieline.ven.control import Control
from tieline.ven.session import Session
from tieline.wires.mqtt.messages import ACK, LOADS, METER, Ack, Command, Load, Loads, LoadState, Meter, Sample

BASE_KW, HEATER_KW = 0.5, 3.0
HEATER = "heater"
SERVED_S = 90


class Home:
    """Draws 0.5 kW, and 3 kW more while its heater is not held. One that is `quiet` reads nothing more."""

    def __init__(self, platform: Platform, ven_id: str, secret: str) -> None:
        self.ven_id = ven_id
        self.commands: list[Command] = []
        self.quiet = False
        self.control = Control([HEATER])
        self.session = Session(
            ven_id, secret, host="127.0.0.1", port=platform.mqtt_port, on_command=self._obey, store=100_000
        )
        self._said: list[tuple[datetime, float] | None] = []

    def _obey(self, command: Command) -> None:
        self.commands.append(command)
        self._say(ACK, self.control.take(command, datetime.now(UTC)))

    def _say(self, kind: str, message: Meter | Loads | Ack, read: tuple[datetime, float] | None = None) -> None:
        self.session.send(kind, message)
        self._said.append(read)

    @property
    def confirmed(self) -> dict[datetime, float]:
        """Readings that the broker took: all that was said, but for what still waits to be."""
        return dict(read for read in self._said[: len(self._said) - self.session.waiting] if read)

    @property
    def held(self) -> bool:
        return HEATER in self.control.limits(datetime.now(UTC))

    @property
    def gave(self) -> bool:
        """Whether it ever said that its heater was held, and was heard."""
        return BASE_KW in self.confirmed.values()

    def used_kwh(self, start: datetime, end: datetime) -> float:
        """By what was confirmed: each reading is the mean since the one before it."""
        readings = sorted(self.confirmed.items())
        spans = [(max(before, start), min(at, end), kw) for (before, _), (at, kw) in pairwise(readings)]
        return sum(kw * (until - since).total_seconds() for since, until, kw in spans if until > since) / 3600

    def remember(self, days: int) -> datetime:
        """Deliver a past of whole quarter hours at 3.5 kW, as a device that was cut off does; its last instant."""
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        last = now - timedelta(minutes=now.minute % 15)
        samples = [Sample(last - timedelta(minutes=15 * n), BASE_KW + HEATER_KW) for n in range(96 * days)]
        self._say(METER, Meter(samples[::-1]))
        return last

    async def live(self, every_s: float = 0.25) -> None:
        """Report until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.session.run())
            group.create_task(self._report(every_s))

    async def _report(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            if self.quiet:
                continue
            at, heater = datetime.now(UTC), 0.0 if self.held else HEATER_KW
            state = LoadState.SHED if self.held else LoadState.ON
            self._say(METER, Meter([Sample(at, BASE_KW + heater)]), (at, BASE_KW + heater))
            self._say(LOADS, Loads(at, [Load(HEATER, heater, heater, state)]))


async def assert_nothing_lost_nothing_twice(platform: Platform, homes: list[Home]) -> None:
    """What the broker confirmed to the homes is what /v1 serves: each reading once, with its value. They are quiet."""
    for home in homes:
        home.quiet = True
    for home in homes:
        await asyncio.wait_for(home.session.drained(), 90)
    deadline = asyncio.get_running_loop().time() + SERVED_S
    for home in homes:
        confirmed, found = home.confirmed, await _stored(platform, home)
        while len(found) < len(confirmed) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.2)
            found = await _stored(platform, home)
        assert len(found) == len(confirmed), f"{home.ven_id}: {len(confirmed)} confirmed, {len(found)} there"
        assert dict(found) == confirmed


async def _stored(platform: Platform, home: Home) -> list[tuple[datetime, float]]:
    confirmed = home.confirmed
    start = min(confirmed, default=datetime.now(UTC)) - timedelta(seconds=1)
    window = {"start": iso(start), "end": iso(datetime.now(UTC) + timedelta(minutes=1)), "limit": 50_000}
    answer = await asyncio.to_thread(platform.get, f"/v1/series/{home.ven_id}.power_kw/values", **window)
    read = [(parse_instant(one["at"]), one["value"]) for one in answer["items"]]
    return [one for one in read if one[0] in confirmed]
