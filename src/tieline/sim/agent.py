"""The VEN of one simulated home: the real agent's session and control, and the whims of its owner."""

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np

from tieline.base.time import RatedClock
from tieline.sim.enrol import Home
from tieline.sim.options import Options
from tieline.sim.routine import Array
from tieline.sim.twins import Snapshot
from tieline.ven.control import Control
from tieline.ven.door import MqttDoor
from tieline.wires.mqtt.messages import ACK, LOADS, METER, Command, Load, Loads, LoadState, Meter, Op, Sample

ABSENCE_S = (120.0, 600.0)  # of the platform's clock: how long a home that drops out is gone
DELAY_S = (1.0, 8.0)
SAMPLES_AT_ONCE = 1400
DRAWING_KW = 0.02  # a load that draws less is called off


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
        self.control = Control(controllable)
        self.session = door.session(ven_id, known.secret, self._on_command)
        self.commands = 0
        self._known = known
        self._samples: list[Sample] = []
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
        if self._known.reported_until is None or at > self._known.reported_until:
            self._samples.append(Sample(at=at, power_kw=round(power_kw, 4)))

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
        power, sheddable = snapshot.power_kw[self.home].tolist(), snapshot.sheddable_kw[self.home].tolist()
        shed = snapshot.shed[self.home].tolist()
        loads = [
            Load(
                resource_id=resource_id,
                power_kw=round(power[row], 4),
                sheddable_kw=round(sheddable[row], 4),
                state=LoadState.SHED if shed[row] else LoadState.ON if abs(power[row]) > DRAWING_KW else LoadState.OFF,
            )
            for resource_id, row in self.rows.items()
        ]
        return Loads(at=snapshot.at, loads=loads)

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
        asyncio.get_running_loop().call_later(delay_s, self._answer, command, whim.willing)

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


def limits(agents: Sequence[Agent], shape: tuple[int, ...], at: datetime) -> Array | None:
    """What the homes hold their loads to, (homes, loads), infinite where nothing is held; None when nothing is."""
    held = [(agent, agent.control.limits(at)) for agent in agents]
    if not any(limit_kw for _, limit_kw in held):
        return None
    matrix = np.full(shape, np.inf)
    for agent, limit_kw in held:
        for resource_id, value in limit_kw.items():
            matrix[agent.home, agent.rows[resource_id]] = value
    return matrix


def next_change(agents: Sequence[Agent], at: datetime) -> datetime | None:
    """The next instant at which a limit begins or ends by itself."""
    changes = (agent.control.next_change(at) for agent in agents)
    return min((change for change in changes if change), default=None)
