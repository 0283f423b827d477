"""The VEN of one simulated home: the real agent's session and control, and the whims of its owner."""

import asyncio
import math
import random
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np

from tieline.base.time import RatedClock
from tieline.sim.enrol import Home
from tieline.sim.homes import Held
from tieline.sim.options import Options
from tieline.sim.stock import SHEDDABLE
from tieline.sim.twins import Snapshot
from tieline.ven.control import Control
from tieline.ven.door import MqttDoor
from tieline.ven.session import Beat
from tieline.wires.mqtt.messages import ACK, LOADS, METER, Command, Load, Loads, LoadState, Meter, Op, Sample, Scalar

ABSENCE_S = (120.0, 600.0)  # of the platform's clock: how long a home that drops out is gone
DELAY_S = (1.0, 8.0)
SAMPLES_AT_ONCE = 1400
DRAWING_KW = 0.02  # a load that draws less is called off
BEAT_S = 300.0  # of the platform's clock: a home is heard of each minute anyway


class Whim(NamedTuple):
    """What an owner makes of one event."""

    deaf: bool  # never answers
    absent: bool  # loses its connection for a while, then finds the retained command
    willing: bool
    delay_s: float
    absence_s: float


class Agent:
    """`run` it in a task. `rows` are the home's loads in the fleet's arrays, by resource id."""

    def __init__(
        self, home: int, ven_id: str, known: Home, rows: dict[str, int], controllable: Sequence[str],
        door: MqttDoor, clock: RatedClock, options: Options,
    ) -> None:  # fmt: skip
        self.home, self.ven_id, self.rows = home, ven_id, rows
        self.control = Control(controllable, state=self._state)
        self.session = door.session(ven_id, known.secret, self._on_command, Beat(BEAT_S, sleep=self._sleep))
        self.commands = 0
        self._known = known
        self._samples: list[Sample] = []
        self._power_kw: float | None = None
        self._sent_loads: datetime | None = None
        self._clock, self._options = clock, options
        self._cut = asyncio.Event()
        self._absence_s = 0.0
        self._left: set[str] = set()  # the events it was absent for

    async def run(self) -> None:
        """Stay connected, apart from absences, until cancelled."""
        while True:
            online, cut = asyncio.create_task(self.session.run()), asyncio.create_task(self._cut.wait())
            try:
                await asyncio.wait((online, cut), return_when=asyncio.FIRST_COMPLETED)
                if online.done():
                    online.result()
            finally:
                online.cancel()
                cut.cancel()
                await asyncio.gather(online, cut, return_exceptions=True)
            self._cut.clear()
            await self._clock.sleep(self._absence_s)

    def meter(self, at: datetime, power_kw: float) -> None:
        """A sample for the next message, unless an earlier run has told it."""
        self._power_kw = round(power_kw, 4)
        if self._known.reported_until is None or at > self._known.reported_until:
            self._samples.append(Sample(at=at, power_kw=self._power_kw))

    def note(self, at: datetime) -> None:
        """Remember that all was told up to `at`, once the broker has confirmed it."""
        if not self._samples and self.session.waiting == 0:
            self._known.reported_until = max(at, self._known.reported_until or at)

    def send(self, snapshot: Snapshot | None) -> None:
        """Send what has come up since the last time."""
        for first in range(0, len(self._samples), SAMPLES_AT_ONCE):
            self.session.send(METER, Meter(samples=self._samples[first : first + SAMPLES_AT_ONCE]))
        self._samples.clear()
        if snapshot and snapshot.at != self._sent_loads:
            self._sent_loads = snapshot.at
            self.session.send(LOADS, self._loads(snapshot))

    def _loads(self, snapshot: Snapshot) -> Loads:
        return Loads(at=snapshot.at, loads=[self._load(snapshot, name, row) for name, row in self.rows.items()])

    def _load(self, snapshot: Snapshot, resource_id: str, row: int) -> Load:
        where = self.home, row
        power_kw, hold_s = round(float(snapshot.power_kw[where]), 4), float(snapshot.hold_s[where])
        on = LoadState.ON if abs(power_kw) > DRAWING_KW else LoadState.OFF
        return Load(
            resource_id=resource_id,
            power_kw=power_kw,
            sheddable_kw=round(float(snapshot.sheddable_kw[where]), 4),
            state=LoadState.SHED if snapshot.shed[where] else on,
            hold_s=round(hold_s) if math.isfinite(hold_s) else None,
            withheld_kw=round(float(snapshot.withheld_kw[where]), 4) if row in SHEDDABLE else None,
        )

    def _state(self) -> dict[str, Scalar]:
        return {"meter_kw": self._power_kw}

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._clock.anchor.speed)

    def _on_command(self, command: Command) -> None:
        self.commands += 1
        whim = self._whim(command.event_id)
        if command.op == Op.EVENT and whim.deaf:
            return
        if command.op == Op.EVENT and whim.absent and command.event_id not in self._left:
            self._left.add(command.event_id)
            self._absence_s = whim.absence_s
            self._cut.set()
            return
        delay_s = whim.delay_s / self._clock.anchor.speed
        willing = whim.willing or command.op != Op.EVENT
        asyncio.get_running_loop().call_later(delay_s, self._answer, command, willing)

    def _answer(self, command: Command, willing: bool) -> None:
        self.session.send(ACK, self.control.take(command, self._clock.now(), willing=willing))

    def _whim(self, event_id: str) -> Whim:
        """The same for the same seed, home and event, so that a repeated command meets the same mood."""
        draw = random.Random(f"{self._options.seed}/{self.ven_id}/{event_id}")  # noqa: S311  a simulation, no secret
        mood, no_shows = draw.random(), self._options.no_shows
        return Whim(
            deaf=mood < no_shows / 2,
            absent=no_shows / 2 <= mood < no_shows,
            willing=not no_shows <= mood < no_shows + self._options.opt_outs,
            delay_s=draw.uniform(*DELAY_S),
            absence_s=draw.uniform(*ABSENCE_S),
        )


def held(agents: Sequence[Agent], shape: tuple[int, int], at: datetime) -> Held | None:
    """What the homes are held to; None when nothing is. `shape` is (homes, loads)."""
    known = [(agent, agent.control.limits(at), agent.control.panel_limit(at)) for agent in agents]
    if not any(limit_kw or panel_kw is not None for _, limit_kw, panel_kw in known):
        return None
    loads, panels = np.full(shape, np.inf), np.full(shape[0], np.inf)
    for agent, limit_kw, panel_kw in known:
        panels[agent.home] = np.inf if panel_kw is None else panel_kw
        for resource_id, value in limit_kw.items():
            loads[agent.home, agent.rows[resource_id]] = value
    return Held(loads, panels)


def next_change(agents: Sequence[Agent], at: datetime) -> datetime | None:
    """The next instant at which a limit begins or ends by itself."""
    changes = (agent.control.next_change(at) for agent in agents)
    return min((change for change in changes if change), default=None)
