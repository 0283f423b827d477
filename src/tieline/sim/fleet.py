"""The runner: a simulated fleet as the platform meets it, over HTTP to enrol and real MQTT for everything else.

reach the platform ─▶ enrol ─▶ connect ─▶ deliver history ─▶ live: step, report, obey, until stopped ─▶ drain, leave
"""

import asyncio
import contextlib
import resource
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from tieline.base.errors import TielineError, Unready
from tieline.base.time import RatedClock, iso
from tieline.sim import enrol
from tieline.sim.agent import Agent, held, next_change
from tieline.sim.homes import Fleet, warmed_up
from tieline.sim.options import Options
from tieline.sim.progress import Progress
from tieline.sim.reach import follow, reach
from tieline.sim.routine import Array
from tieline.sim.station import Station
from tieline.sim.stock import LOADS, SHEDDABLE
from tieline.sim.story import first_event, told
from tieline.sim.truth import Truth
from tieline.sim.twins import BEAT_S, Report, Snapshot, Twins, after
from tieline.ven.client import Client
from tieline.ven.door import MqttDoor

CONNECT_S = 60.0
CONNECT_PACE_S = 0.003
HISTORY_S = 120.0  # for one home
HISTORY_AT_ONCE = 16
HISTORY_SUBSTEP_S = 120.0
QUARTER_S = 900
DRAIN_S = 5.0
KEEP_S = 10.0
SLICES = 50
CYCLE_S = (1.0, 15.0)  # wall seconds over which the homes' messages are spread: the shortest and the longest
DESCRIPTORS_BESIDE = 128


class History(msgspec.Struct, frozen=True):
    """Mean power by quarter hour, stamped at its end: `ends` (T,), `power_kw` (T, homes)."""

    ends: list[datetime]
    power_kw: Array


class Summary(msgspec.Struct, frozen=True):
    """What a run came to; energies are of the live time. `dropped` messages were lost to a full store."""

    homes: int
    reports: int
    commands: int
    used_kwh: float
    without_events_kwh: float
    dropped: int

    def told(self) -> str:
        given = self.without_events_kwh - self.used_kwh
        return (
            f"{self.homes} homes made {self.reports} reports and got {self.commands} commands; they used "
            f"{self.used_kwh:.1f} kWh, {given:.1f} kWh less than without events; {self.dropped} messages lost"
        )


async def run(
    options: Options,
    *,
    stop: asyncio.Event | None = None,
    client: Client | None = None,
    wall: Callable[[], float] = time.time,
) -> Summary:
    """Simulate until `stop`, SIGINT or SIGTERM. Raises `Unready` when the platform or its broker cannot be reached."""
    halt = stop or asyncio.Event()
    _allow_descriptors(options.homes + DESCRIPTORS_BESIDE)
    with Progress() as progress, _signals(halt), Truth(options.truth) as truth:
        async with client or Client(options.url, token=options.token) as platform:
            simulation = Simulation(options, platform, progress, truth, wall)
            await _until(halt, simulation.work())
        progress.say(simulation.summary().told())
        return simulation.summary()


class Simulation:
    """One run, from reaching the platform to leaving it."""

    def __init__(
        self, options: Options, client: Client, progress: Progress, truth: Truth, wall: Callable[[], float]
    ) -> None:
        self._options, self._client, self._progress, self._truth = options, client, progress, truth
        self._wall, self._clock = wall, RatedClock(wall=wall)
        self._kept = enrol.load(options.state, options.url)
        self._agents: list[Agent] = []
        self._station: Station | None = None
        self._snapshot: Snapshot | None = None
        self._last: Report | None = None
        self._reports = 0
        self._used_kwh = self._without_kwh = 0.0

    async def work(self) -> None:
        """Goes on until it is cancelled; what was measured is delivered before it leaves."""
        self._progress.live("reaching the platform")
        platform = await reach(self._client, self._clock, self._options.speed, self._wall)
        self._progress.live("living through the days before")
        fleet, history = await asyncio.to_thread(_past, self._options, self._clock.now())
        since = history.ends[0] if history.ends else fleet.at
        self._station = Station(self._options.weather, since - timedelta(seconds=QUARTER_S), fleet.outdoor_c)
        self._station.tell(fleet.at)
        self._progress.live("enrolling")
        homes = await enrol.enrol(self._client, fleet.stock, self._options, self._kept, until=fleet.at)
        enrol.save(self._options.state, self._kept)
        self._progress.say(f"{len(homes)} homes enrolled")
        door = MqttDoor(self._client, platform)
        self._agents = [self._agent(fleet, door, i, ven_id, home) for i, (ven_id, home) in enumerate(homes)]
        try:
            async with asyncio.TaskGroup() as group:
                await self._connect(group)
                await self._deliver(history)
                await self._live(fleet)
        except ExceptionGroup as failures:
            raise _first(failures) from failures

    def summary(self) -> Summary:
        return Summary(
            homes=len(self._agents),
            reports=self._reports,
            commands=sum(agent.commands for agent in self._agents),
            used_kwh=round(self._used_kwh, 3),
            without_events_kwh=round(self._without_kwh, 3),
            dropped=sum(agent.session.dropped for agent in self._agents),
        )

    def _agent(self, fleet: Fleet, door: MqttDoor, index: int, ven_id: str, home: enrol.Home) -> Agent:
        rows = {LOADS[row]: row for row in fleet.stock.rows(index)}
        controllable = [resource_id for resource_id, row in rows.items() if row in SHEDDABLE]
        return Agent(index, ven_id, home, rows, controllable, door, self._clock, self._options)

    async def _connect(self, group: asyncio.TaskGroup) -> None:
        for agent in self._agents:
            group.create_task(agent.run())
            await asyncio.sleep(CONNECT_PACE_S)
        self._progress.live("connecting")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_S):
                await asyncio.gather(*(agent.session.connected.wait() for agent in self._agents))
        if out := [agent for agent in self._agents if not agent.session.connected.is_set()]:
            raise Unready(
                f"{len(out)} of {len(self._agents)} homes could not connect over MQTT in {CONNECT_S:g} s "
                f"({out[0].ven_id}: {out[0].session.trouble}); if their secrets were renewed elsewhere, "
                f"remove {self._options.state}"
            )
        self._progress.say(f"{len(self._agents)} homes connected")

    async def _deliver(self, history: History) -> None:
        """Each home's past, as a device delivers what it stored while it was cut off."""
        gate = asyncio.Semaphore(HISTORY_AT_ONCE)
        power_kw = history.power_kw.T.tolist() if history.ends else [[]] * len(self._agents)

        async def one(agent: Agent) -> None:
            async with gate, asyncio.timeout(HISTORY_S):
                for at, value in zip(history.ends, power_kw[agent.home], strict=True):
                    agent.meter(at, value)
                agent.send(None)
                await agent.session.drained()

        self._progress.live("delivering history")
        try:
            await asyncio.gather(*(one(agent) for agent in self._agents))
        except TimeoutError:
            raise Unready(f"the broker did not take a home's history within {HISTORY_S:g} s") from None
        self._keep(history.ends[-1] if history.ends else None)
        self._progress.say(f"{len(history.ends)} quarter hours of history delivered by {len(self._agents)} homes")

    async def _live(self, fleet: Fleet) -> None:
        self._progress.say("the fleet is live")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._step(fleet))
                group.create_task(self._publish())
                group.create_task(self._keep_up())
                group.create_task(follow(self._client, self._clock, self._wall))
                if self._options.story:
                    group.create_task(self._tell_story())
        finally:
            await self._drain()

    async def _step(self, fleet: Fleet) -> None:
        """Lead the homes along the clock."""
        shape = fleet.stock.rated_kw.T.shape
        twins = Twins(
            fleet,
            report_every=self._options.report_every,
            loads_every=self._options.loads_every,
            held=lambda at: held(self._agents, shape, at),
            change=lambda at: next_change(self._agents, at),
        )
        while True:
            for due in twins.advance(self._clock.now()):
                if isinstance(due, Report):
                    self._report(due)
                else:
                    self._snapshot = due
                await asyncio.sleep(0)
            await asyncio.sleep(min(max(BEAT_S / self._clock.anchor.speed, 0.02), 0.25))

    def _report(self, report: Report) -> None:
        for agent, power_kw in zip(self._agents, report.meter_kw.tolist(), strict=True):
            agent.meter(report.at, power_kw)
        self._truth.write(report)
        if self._station:
            self._station.tell(report.at)
        hours = report.seconds / 3600
        self._used_kwh += report.power_kw * hours
        self._without_kwh += report.without_events_kw * hours
        self._reports += 1
        self._last = report
        online = sum(agent.session.connected.is_set() for agent in self._agents)
        local = report.at.astimezone(ZoneInfo(self._options.zone))
        self._progress.live(
            f"{local:%a %H:%M}  {report.power_kw:.0f} kW, {report.without_events_kw:.0f} kW without events, "
            f"{online} of {len(self._agents)} homes online"
        )

    async def _publish(self) -> None:
        """Send what the homes have to say, evenly over a cycle: fresh at any speed, never faster than once a second."""
        while True:
            every = min(self._options.report_every, self._options.loads_every)
            cycle_s = min(max(every / self._clock.anchor.speed, CYCLE_S[0]), CYCLE_S[1])
            for k in range(SLICES):
                for agent in self._agents[k::SLICES]:
                    agent.send(self._snapshot)
                await asyncio.sleep(cycle_s / SLICES)

    async def _keep_up(self) -> None:
        """Note now and then how far each home has come, so that a restart does not tell it twice."""
        while True:
            await asyncio.sleep(KEEP_S)
            self._keep(self._last.at if self._last else None)

    def _keep(self, at: datetime | None) -> None:
        if at is not None:
            for agent in self._agents:
                agent.note(at)
        enrol.save(self._options.state, self._kept)

    async def _tell_story(self) -> None:
        try:
            event = await first_event(self._client, self._clock)
            self._progress.say(f"event {event.event_id} is called: {event.target_kw:g} kW from {iso(event.start_at)}")
            async for line in told(self._client, event):
                self._progress.say(line)
        except TielineError as error:
            self._progress.say(f"the story ends here: {error}")

    async def _drain(self) -> None:
        """Give the broker a moment to confirm the last messages."""
        for agent in self._agents:
            agent.send(self._snapshot)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await asyncio.gather(*(agent.session.drained() for agent in self._agents))
        self._keep(self._last.at if self._last else None)


def _past(options: Options, now: datetime) -> tuple[Fleet, History]:
    """The fleet at the last full quarter hour, and its history up to there."""
    end = after(now, QUARTER_S) - timedelta(seconds=QUARTER_S)
    start = end - timedelta(days=options.history_days)
    fleet = warmed_up(
        options.homes, options.seed, start,
        zone=options.zone, latitude=options.latitude, longitude=options.longitude,
    )  # fmt: skip
    ends = [start + timedelta(seconds=QUARTER_S) * (i + 1) for i in range(options.history_days * 96)]
    power = [fleet.step(at, substep_s=HISTORY_SUBSTEP_S).meter_kw for at in ends]
    return fleet, History(ends, np.array(power))


async def _until(halt: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Work until it fails or `halt` is set; then let it finish what it does when cancelled."""
    working, halting = asyncio.create_task(work), asyncio.create_task(halt.wait())
    try:
        await asyncio.wait((working, halting), return_when=asyncio.FIRST_COMPLETED)
    finally:
        halting.cancel()
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working


def _first(failure: Exception) -> Exception:
    """The failure that the others follow from."""
    while isinstance(failure, ExceptionGroup):
        failure = failure.exceptions[0]
    return failure


@contextlib.contextmanager
def _signals(halt: asyncio.Event) -> Iterator[None]:
    loop, ours = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)
    for number in ours:
        loop.add_signal_handler(number, halt.set)
    try:
        yield
    finally:
        for number in ours:
            loop.remove_signal_handler(number)


def _allow_descriptors(wanted: int) -> None:
    """Each home has a socket of its own, and shells allow few by default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
