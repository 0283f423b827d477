"""A simulated hour of holding a target, and what the hours after it look like; and how fast answers are entered.

`python -m tests.bench dispatch`: the real dispatcher over real rows and a virtual clock, the real control of each home;
only the broker is left out. A fifth of the homes does not do as it is told: half of those never answer, a quarter is
away for some minutes when it is called, a quarter drops out for good in the middle of it, and draws what it wants.

Beside what the platform believes stands what the fleet gave against its twin that heard no commands, and how far such a
sum is from what anybody could know: the twin's own jumps from minute to minute, and the *chance*: by how much the sum
of what so many loads would draw is off by their luck alone, were the share of each that is likely to run known exactly.

`python -m tests.bench.bench_dispatch 21:17:0.2`: another fleet, at another hour, asked for another share of its spare.
"""

import asyncio
import logging
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.time import VirtualClock
from tieline.dispatch import actions, publishing, reads
from tieline.dispatch.dispatcher import Dispatcher
from tieline.dispatch.habits import Habits, lived
from tieline.dispatch.holding import Called, Decision, Look
from tieline.dispatch.metered import Giving, HeldSpan, Metered
from tieline.dispatch.model import HELD, NewEvent, NewProgram, Policy, parse_command_id
from tieline.dispatch.past import EARLIER, REMEMBERED, Minutes, held_minutes, minute, taught
from tieline.dispatch.planning import Loads
from tieline.dispatch.roster import Roster
from tieline.dispatch.told import Delivery
from tieline.ports import Transaction
from tieline.sim.homes import Held, warmed_up
from tieline.sim.stock import LOADS, SHEDDABLE
from tieline.ven.control import Control
from tieline.wires.mqtt.messages import Ack, Answer, Command, Op

HOMES = 2000
TICK_S = 5
MINUTES_BEFORE, MINUTES_AFTER = 180, 120
WITHIN = 0.03
FRESNO = ("America/Los_Angeles", 36.74, -119.79)
MIDNIGHT = datetime(2026, 7, 15, 7, tzinfo=UTC)  # there
POLICY = Policy()
Floats = NDArray[np.float64]


class Home:
    """A VEN at its loads: what it makes of commands."""

    def __init__(self, ven_id: str, loads: Sequence[str], mood: random.Random, at: datetime) -> None:
        self.ven_id = ven_id
        self.control = Control(loads)
        odd = mood.random()
        self.deaf = odd < 0.1
        self.away = mood.uniform(120, 600) if 0.1 <= odd < 0.15 else 0.0
        self.gone_at = at + timedelta(minutes=mood.uniform(0, 60)) if 0.15 <= odd < 0.2 else None
        self.delay_s = mood.uniform(1, 8)
        self.back_at: datetime | None = None

    def is_silent(self, now: datetime) -> bool:
        dropped_out = self.gone_at is not None and now >= self.gone_at
        return dropped_out or (self.back_at is not None and now < self.back_at)

    def hears(self, now: datetime) -> datetime | None:
        """When it answers a command said now."""
        if self.deaf or (self.gone_at is not None and now >= self.gone_at):
            return None
        if self.away and self.back_at is None:
            self.back_at = now + timedelta(seconds=self.away)
        return max(now, self.back_at or now) + timedelta(seconds=self.delay_s)


class World:
    """The fleet and its twin that hears nothing, in steps; `speak` is its broker, `measure` its telemetry."""

    def __init__(self, homes: int, seed: int, start: datetime, clock: VirtualClock) -> None:
        before = start - timedelta(minutes=MINUTES_BEFORE)
        self.fleet = warmed_up(homes, seed, before - EARLIER, zone=FRESNO[0], latitude=FRESNO[1], longitude=FRESNO[2])
        self.clock, mood = clock, random.Random(seed)
        rows = [self.fleet.stock.rows(i) for i in range(homes)]
        sheddable = [[LOADS[row] for row in one if row in SHEDDABLE] for one in rows]
        self.homes = [Home(f"home-{i:05}", sheddable[i], mood, start) for i in range(homes)]
        self.by_id = {home.ven_id: i for i, home in enumerate(self.homes)}
        loads = [(i, row) for i in range(homes) for row in rows[i] if row in SHEDDABLE]
        self.home, self.row = np.array([i for i, _ in loads]), np.array([row for _, row in loads])
        rated_kw = self.fleet.stock.rated_kw
        self.roster = Roster.of([(self.homes[i].ven_id, LOADS[row], LOADS[row], rated_kw[row, i]) for i, row in loads])
        self.minute_kw = np.zeros((len(loads), 0))
        self.habits = self._live_until(before)
        self.twin = self.fleet.twin()
        self.latest = (np.zeros(len(loads)), np.zeros(len(loads)), np.zeros(len(loads), dtype=bool))
        self.heard = [before] * homes
        self.waiting: list[tuple[datetime, int, Command]] = []
        self.held = np.full(self.fleet.stock.rated_kw.T.shape, np.inf)
        self.panels = np.full(homes, np.inf)
        self.measured_s: list[float] = []
        self.seen: Metered | None = None

    def _live_until(self, until: datetime) -> Habits:
        """The days before, and what they teach of the loads."""
        habits = Habits.none(len(self.home))
        while self.fleet.at < until:
            ends = min(self.fleet.at + REMEMBERED, until)
            drawn = []
            while self.fleet.at < ends:
                drawn.append(self.fleet.step(self.fleet.at + timedelta(minutes=1)).power_kw[self.home, self.row])
            habits, _ = lived(habits, np.array(drawn).T)
        return habits

    async def speak(self, messages: Sequence[tuple[str, bytes]]) -> None:
        for topic, payload in messages:
            index = self.by_id[topic.rpartition("/")[2]]
            if (due := self.homes[index].hears(self.clock.now())) is not None:
                self.waiting.append((due, index, msgspec.json.decode(payload, type=Command)))

    def answers(self) -> list[tuple[str, Ack]]:
        """What the homes make of the commands that have reached them by now."""
        now = self.clock.now()
        due = sorted((one for one in self.waiting if one[0] <= now), key=lambda one: one[2].issued_at)
        self.waiting = [one for one in self.waiting if one[0] > now]
        return [(self.homes[i].ven_id, self.homes[i].control.take(command, now)) for _, i, command in due]

    def tick(self) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """A step to where the clock stands: powers (homes, loads) with commands and without, and what is held down."""
        at, until = self.fleet.at, self.clock.now()
        for i, home in enumerate(self.homes):
            dropped_out = home.gone_at is not None and at >= home.gone_at
            self.held[i] = np.inf
            for load, kw in ({} if dropped_out else home.control.limits(at)).items():
                self.held[i, LOADS.index(load)] = kw
        step = self.fleet.step(until, Held(self.held, self.panels))
        self.sheddable_kw = step.sheddable_kw
        return step.power_kw, self.twin.step(until).power_kw, step.shed

    def report(self, power_kw: Floats, shed: NDArray[np.bool_]) -> None:
        """A minute's snapshots come in, of those who can send them."""
        now = self.clock.now()
        silent = np.array([home.is_silent(now) for home in self.homes])
        self.heard = [at if quiet else now for at, quiet in zip(self.heard, silent.tolist(), strict=True)]
        own = (power_kw, self.sheddable_kw, shed)
        quiet = silent[self.home]
        self.latest = tuple(  # type: ignore[assignment]
            np.where(quiet, old, new[self.home, self.row]) for old, new in zip(self.latest, own, strict=True)
        )
        column = np.where(quiet, np.nan, power_kw[self.home, self.row])[:, None]
        self.minute_kw = np.concatenate([self.minute_kw, column], axis=1)[:, -(REMEMBERED // timedelta(minutes=1)) :]

    async def measure(self, now: datetime, held: Sequence[HeldSpan]) -> Metered:
        began = time.perf_counter()
        until = minute(now)
        minutes = Minutes(self.roster, until, self.minute_kw, self.habits)
        past = taught(minutes, held_minutes(self.roster.index, held, until, self.minute_kw.shape[1]))
        power_kw, sheddable_kw, shed = self.latest
        restored_s = np.full(len(self.roster), -np.inf)
        for span in held:
            if span.until is not None:
                restored_s[self.roster.index[span.load]] = span.until.timestamp()
        loads = Loads(
            ven_ids=self.roster.ven_ids,
            resource_ids=self.roster.resource_ids,
            kinds=self.roster.kinds,
            sheddable=np.ones(len(self.roster), np.bool_),
            power_kw=np.maximum(power_kw, sheddable_kw),
            sheddable_kw=sheddable_kw,
            heard_s=np.array([at.timestamp() for at in self.heard])[self.home],
            hold_s=np.full(len(self.roster), np.inf),
            restored_s=restored_s,
            ceiling_kw=self.roster.ceiling_kw,
        )
        self.seen = found = Metered(now, loads, shed, past.running, past.counterfactual)
        self.measured_s.append(time.perf_counter() - began)
        return found


class Minute(msgspec.Struct):
    """What the whole fleet drew in a minute that ended then, in kW, with commands and without."""

    at: datetime
    with_kw: float
    without_kw: float


async def hour(homes: int, seed: int, hour_of_day: float, share: float, policy: Policy = POLICY) -> None:
    start = MIDNIGHT + timedelta(hours=hour_of_day)
    clock = VirtualClock(start - timedelta(minutes=MINUTES_BEFORE))
    world, minutes = World(homes, seed, start, clock), list[Minute]()
    with tempfile.TemporaryDirectory() as folder:
        async with SqliteRows(Path(folder) / "rows.sqlite", clock) as rows:
            await rows.migrate()
            dispatcher = Dispatcher(rows, clock, world.speak, world.measure, policy)
            looks, chances = list[float](), list[float]()
            while clock.now() < start + timedelta(minutes=60 + MINUTES_AFTER):
                if clock.now() == start - timedelta(minutes=2):
                    spare = (world.sheddable_kw[world.home, world.row]).sum()
                    target = round(share * float(spare), -1)
                    await _publish(rows, clock, start, target)
                minutes.append(await _minute(world, rows, dispatcher, policy, looks))
                if start <= clock.now() < start + timedelta(hours=1):
                    chances.append(await _chance_kw(rows, world, policy))
            await _told(rows, world, minutes, start, target, looks, chances, (homes, seed, hour_of_day))


async def _publish(rows: SqliteRows, clock: VirtualClock, start: datetime, target_kw: float) -> None:
    now = clock.now()
    await rows.transaction(lambda tx: publishing.add_program(tx, NewProgram("peak", "Peak"), now))
    new = NewEvent("peak", start, start + timedelta(hours=1), target_kw, event_id="hour")
    await rows.transaction(lambda tx: publishing.publish(tx, new, now))


async def _chance_kw(rows: SqliteRows, world: World, policy: Policy) -> float:
    """The spread of the sum of what is held would draw: each runs, or does not, by its own luck."""
    ledger = [row for row in await rows.read(lambda reader: reads.ledger_of(reader, "hour")) if row.state in HELD]
    if not ledger or world.seen is None:
        return 0.0
    would = Giving(ledger, world.seen, policy).would_kw(world.clock.now())
    full = np.maximum([row.reference_kw for row in ledger], would)
    return float(np.sqrt((would * (full - would)).sum()))


async def _minute(world: World, rows: SqliteRows, dispatcher: Dispatcher, policy: Policy, looks: list[float]) -> Minute:
    event = await rows.read(lambda reader: reads.unfinished(reader, world.clock.now()))
    tick_s = TICK_S if event else 60
    ticks = 60 // tick_s
    drawn, without, shed = np.zeros(world.held.shape), 0.0, np.zeros(world.held.shape, dtype=bool)
    for n in range(ticks):
        await world.clock.advance(tick_s)
        power, twin, down = world.tick()
        drawn, without, shed = drawn + power / ticks, without + float(twin.sum()) / ticks, shed | down
        if n == ticks - 1:
            world.report(drawn, shed)
        if heard := [(ven, parse_command_id(ack.command_id)[2], ack) for ven, ack in world.answers()]:
            now = world.clock.now()
            await rows.transaction(lambda tx: actions.hear_many(tx, "hour", heard, now, policy))  # noqa: B023
        began, measured = time.perf_counter(), len(world.measured_s)
        if event:
            await dispatcher.step()
        if len(world.measured_s) > measured:
            looks.append(time.perf_counter() - began)
    return Minute(world.clock.now(), float(drawn.sum()), without)


async def _told(
    rows: SqliteRows,
    world: World,
    minutes: Sequence[Minute],
    start: datetime,
    target: float,
    looks: Sequence[float],
    chances: Sequence[float],
    which: tuple[int, int, float],
) -> None:
    seen = await rows.read(lambda reader: reads.deliveries(reader, "hour"))
    plans = await rows.read(lambda reader: reads.plans_of(reader, "hour"))
    counts = await rows.read(lambda reader: reads.counts(reader, "hour"))
    end = start + timedelta(hours=1)
    during = [one for one in minutes if start + timedelta(minutes=1) < one.at <= end]
    headroom = [one for one in seen if one.headroom_kw > 0 and start + timedelta(minutes=1) <= one.at < end]
    believed = np.array([one.delivered_kw for one in headroom])
    true = np.array([one.without_kw - one.with_kw for one in during])
    before = np.array([one.without_kw for one in minutes if one.at <= start])[-60:]
    after = [one for one in minutes if one.at > end]
    peak = max(one.without_kw for one in minutes if one.at > start)
    print(
        f"{which[0]} homes, seed {which[1]}, from {which[2]:g} h, {target:g} kW; {len(plans)} plans, "
        f"{sum(one.called for one in plans)} called, {sum(one.released for one in plans)} released; "
        + ", ".join(f"{n} {state}" for state, n in counts.items())
    )
    for name, kw in (("as metered", believed), ("against the twin", true)):
        off = kw / target - 1
        print(
            f"   {name:<17} within ±3 % in {np.mean(np.abs(off) <= WITHIN):4.0%} of {len(kw)} minutes, "
            f"±10 % in {np.mean(np.abs(off) <= 0.1):4.0%}; mean {off.mean():+.1%}, spread {off.std():.1%}"
        )
    print(
        f"   the twin's own jumps from minute to minute: {np.std(np.diff(before)) / target:.1%} of the target, "
        f"chance: {np.mean(chances) / target:.1%}"
    )
    print(
        f"   peak of the two hours after: {max(one.with_kw for one in after) / peak:.1%} of the baseline's "
        f"({peak:.0f} kW); a look takes {np.mean(looks):.2f} s, at most {max(looks):.2f} s"
    )


async def answers(vens: int) -> None:
    """As many answers at once, as the broker delivers them: a thousand in a transaction."""
    clock = VirtualClock(MIDNIGHT)
    with tempfile.TemporaryDirectory(dir=".") as folder:  # on a disk: /tmp may be memory, where a sync costs nothing
        async with SqliteRows(Path(folder) / "rows.sqlite", clock) as rows:
            await rows.migrate()
            await _publish(rows, clock, MIDNIGHT + timedelta(minutes=1), 1e6)
            event = await reads.event(rows, "hour")
            called = [Called(f"home-{n:05}", "ev", 5.0, 0.0, 5.0, 30, MIDNIGHT) for n in range(vens)]
            seen = Look(Delivery(MIDNIGHT, 1e6, 0.0, 0.0, 5.0 * vens, 0), [], Decision(called))
            began = time.perf_counter()
            await rows.transaction(lambda tx: actions.hold(tx, event, seen))
            planned = time.perf_counter()
            everybody = called[0].ven_id, called[-1].ven_id
            calls = await rows.transaction(lambda tx: actions.send(tx, event, everybody, MIDNIGHT, MIDNIGHT))
            sent = time.perf_counter()
            said = [(one.ven_id, one.op, Ack(one.command_id, Answer.ACCEPTED, MIDNIGHT)) for one in calls]
            for first in range(0, len(said), 1000):
                some = said[first : first + 1000]
                await rows.transaction(lambda tx: _enter(tx, some))  # noqa: B023  awaited before it moves on
            heard = time.perf_counter()
    print(
        f"{vens} VENs: planned in {planned - began:.2f} s, their commands entered in {sent - planned:.2f} s, "
        f"their answers in {heard - sent:.2f} s (at most 5 s)"
    )


def _enter(tx: Transaction, some: Sequence[tuple[str, Op, Ack]]) -> None:
    actions.hear_many(tx, "hour", some, MIDNIGHT, POLICY)
    actions.tell(tx, "hour", "progress")


def main(chosen: Sequence[str]) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    if not chosen or "answers" in chosen:
        asyncio.run(answers(10_000))
    scenes = [("7", "17", "0.2"), ("8", "15", "0.2"), ("9", "19", "0.25")]
    wanted = [scene for scene in scenes if not chosen or scene[0] in chosen]
    for seed, hour_of_day, share in [*wanted, *(one.split(":") for one in chosen if ":" in one)]:
        asyncio.run(hour(HOMES, int(seed), float(hour_of_day), float(share)))


if __name__ == "__main__":
    main(sys.argv[1:])
