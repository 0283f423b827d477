"""A floor for tests of dispatch: loads that draw what they draw for ever unless held, VENs that answer as told."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np

from tests.loads import LoadNow, columns
from tieline.base.errors import Unready
from tieline.base.time import VirtualClock
from tieline.dispatch import actions, publishing, reads
from tieline.dispatch.counterfactual import Counterfactual, Running
from tieline.dispatch.dispatcher import Dispatcher
from tieline.dispatch.metered import HeldSpan, Load, Metered
from tieline.dispatch.model import (
    EventChange,
    EventView,
    LedgerRow,
    NewEvent,
    NewProgram,
    Policy,
    Program,
    RowState,
    parse_command_id,
)
from tieline.ports import Rows
from tieline.registry.model import Kind
from tieline.ven.control import Control
from tieline.wires.mqtt.messages import Ack, Answer, Command

NOW = datetime(2026, 7, 15, 17, tzinfo=UTC)
POLICY = Policy()

RUN_MIN = 30


def metered_now(
    draws: Mapping[Load, float], now: datetime, *, down: Collection[Load] = (), silent: Collection[str] = ()
) -> Metered:
    """Loads by what they draw in kW when nobody holds them, and those that are down. Of `silent` VENs nothing was heard
    for an hour."""
    rows = [
        LoadNow(
            ven_id=ven_id,
            resource_id=resource_id,
            kind=Kind.EV,
            sheddable=True,
            power_kw=0.0 if (ven_id, resource_id) in down else kw,
            sheddable_kw=0.0 if (ven_id, resource_id) in down else kw,
            heard_at=now - timedelta(hours=1) if ven_id in silent else now,
        )
        for (ven_id, resource_id), kw in draws.items()
    ]
    shed = np.array([load in down for load in draws], dtype=np.bool_)
    running = Running(np.array(list(draws.values())), np.full(len(draws), RUN_MIN))
    return Metered(now, columns(rows), shed, running, Counterfactual.unknown(len(rows), now))


class Floor:
    """The dispatcher and the VENs it speaks to. `behave` says what a VEN answers, and after how many seconds."""

    def __init__(self, rows: Rows, clock: VirtualClock, homes: int = 10, loads: Sequence[str] = ("ev",)) -> None:
        self.rows, self.clock = rows, clock
        self.draws = {(f"home-{n:02}", load): 2.0 + n / 100 for n in range(homes) for load in loads}
        self.silent: set[str] = set()
        self.behave: Callable[[str, Command], tuple[float, Answer] | None] = lambda *_: (3.0, Answer.ACCEPTED)
        self.retained: dict[str, Command] = {}
        self.spoken: list[tuple[str, Command]] = []
        self.deaf = False
        self._answers: list[tuple[datetime, str, Ack]] = []
        self.controls = {ven_id: Control(loads) for ven_id, _ in self.draws}
        self.dispatcher = Dispatcher(rows, clock, self._speak, self._measure, POLICY)

    async def _speak(self, messages: Sequence[tuple[str, bytes]]) -> None:
        if self.deaf:
            raise Unready("the broker is away")
        for topic, payload in messages:
            self._hear(topic, payload)

    def _hear(self, topic: str, payload: bytes) -> None:
        ven_id, command = topic.rpartition("/")[2], msgspec.json.decode(payload, type=Command)
        self.retained[ven_id] = command
        self.spoken.append((ven_id, command))
        if (answer := self.behave(ven_id, command)) is not None:
            due = self.clock.now() + timedelta(seconds=answer[0])
            if answer[1] is Answer.ACCEPTED:
                self.controls[ven_id].take(command, due)
            self._answers.append((due, ven_id, Ack(command.command_id, answer[1], due)))

    async def _measure(self, now: datetime, _: Sequence[HeldSpan]) -> Metered:
        return metered_now(self.draws, now, down=self.down(), silent=self.silent)

    def down(self) -> set[Load]:
        """What the VENs' own controls hold now."""
        now = self.clock.now()
        return {(ven_id, load) for ven_id, control in self.controls.items() for load in control.limits(now)}

    async def add_program(self, new: NewProgram) -> Program:
        now = self.clock.now()
        return await self.rows.transaction(lambda tx: publishing.add_program(tx, new, now))

    async def publish(self, new: NewEvent) -> EventView:
        now = self.clock.now()
        return await self.rows.transaction(lambda tx: publishing.publish(tx, new, now))

    async def cancel(self, event_id: str) -> EventView:
        now = self.clock.now()
        return await self.rows.transaction(lambda tx: publishing.cancel(tx, event_id, now))

    async def pass_time(self, seconds: float, step: float = 5) -> None:
        for _ in range(round(seconds / step)):
            await self.clock.advance(step)
            await self.take_answers()
            await self.dispatcher.step()

    async def take_answers(self) -> None:
        due = [one for one in self._answers if one[0] <= self.clock.now()]
        self._answers = [one for one in self._answers if one[0] > self.clock.now()]
        for _, ven_id, ack in due:
            await self.answer(ven_id, ack)

    async def answer(self, ven_id: str, ack: Ack) -> None:
        event_id, _, op = parse_command_id(ack.command_id)
        now = self.clock.now()
        await self.rows.transaction(lambda tx: actions.hear(tx, event_id, ven_id, op, ack, now, POLICY))

    async def change(self, event_id: str, change: EventChange) -> EventView:
        now = self.clock.now()
        return await self.rows.transaction(lambda tx: publishing.change(tx, event_id, change, now))

    async def call(self, kw: float, *, ahead: float = 300, minutes: float = 15, **more: Any) -> str:
        start = self.clock.now() + timedelta(seconds=ahead)
        new = NewEvent("peak", start, start + timedelta(minutes=minutes), kw, **more)
        return (await self.publish(new)).event_id

    async def ledger(self, event_id: str) -> list[LedgerRow]:
        return await self.rows.read(lambda reader: reads.ledger_of(reader, event_id))

    async def view(self, event_id: str) -> EventView:
        return await self.rows.read(lambda reader: reads.the_view(reader, event_id))

    def held_kw(self) -> float:
        """What the homes really give up now."""
        return sum(self.draws[load] for load in self.down())

    async def states(self, event_id: str) -> dict[RowState, int]:
        return await self.rows.read(lambda reader: reads.counts(reader, event_id))
