"""Control: what a VEN's commands hold, by the VEN's own clock. Pure.

    command   EVENT comes                                    (nothing more needs to come)
    time   ---|---------|==============================|--------------------->
              take      start_at                       end_at
    limits    {}        {"hvac": 0.5}                  {}: restored by itself, whoever is cut off
                                     RESTORE: {} at once, if it comes before end_at

    two events   e1        |====== hvac <= 2.0 ======|
                 e2             |====== hvac <= 0.5 ======|
    hvac         free      2.0  0.5                  0.5  free     the lowest limit holds

Of one event's commands the one issued last rules, in whichever order they come; the same one may come many times.
"""

from collections import OrderedDict
from collections.abc import Collection
from datetime import datetime

import msgspec

from tieline.base.time import iso
from tieline.wires.mqtt.messages import Ack, Answer, Command, Op

MAX_ACKS = 1024
MAX_EVENTS = 256


class Ruling(msgspec.Struct, frozen=True):
    """What the last command of an event says; of one that gives back, the span and the limits are empty."""

    issue: tuple[datetime, str]  # (issued_at, command_id): the greatest rules
    start_at: datetime
    end_at: datetime
    limits: dict[str, float] = {}


class Control:
    """Answers commands and tells what they hold of `resources`, the ids of the loads it may hold down."""

    def __init__(self, resources: Collection[str]) -> None:
        self.resources = frozenset(resources)
        self._acks: OrderedDict[str, Ack] = OrderedDict()
        self._rulings: OrderedDict[str, Ruling] = OrderedDict()

    def take(self, command: Command, now: datetime, *, willing: bool = True) -> Ack:
        """The answer; a command seen before gets the very answer it got. An unwilling owner opts out of an event."""
        if ack := self._acks.get(command.command_id):
            return ack
        answer, reason = self._judged(command, now, willing)
        if answer in (Answer.ACCEPTED, Answer.OPTED_OUT):
            self._rule(command, acting=answer == Answer.ACCEPTED and command.op == Op.EVENT, now=now)
        ack = Ack(command_id=command.command_id, answer=answer, at=now, reason=reason)
        self._acks[command.command_id] = ack
        while len(self._acks) > MAX_ACKS:
            self._acks.popitem(last=False)
        return ack

    def limits(self, now: datetime) -> dict[str, float]:
        """The limit in kW of each load that is held down at `now`."""
        held: dict[str, float] = {}
        for ruling in self._rulings.values():
            if ruling.start_at <= now < ruling.end_at:
                for resource_id, limit_kw in ruling.limits.items():
                    held[resource_id] = min(limit_kw, held.get(resource_id, limit_kw))
        return held

    def next_change(self, now: datetime) -> datetime | None:
        """The next instant after `now` at which an event starts or ends; None while nothing is planned."""
        edges = (at for ruling in self._rulings.values() if ruling.limits for at in (ruling.start_at, ruling.end_at))
        return min((at for at in edges if at > now), default=None)

    def _judged(self, command: Command, now: datetime, willing: bool) -> tuple[Answer, str]:
        if command.expires_at <= now:
            return Answer.EXPIRED, f"it expired at {iso(command.expires_at)}"
        ruling = self._rulings.get(command.event_id)
        if ruling and ruling.issue > _issue(command):
            return Answer.REFUSED, f"command {ruling.issue[1]} of the same event was issued later"
        return (Answer.ACCEPTED, "") if command.op == Op.RESTORE else self._judged_event(command, now, willing)

    def _judged_event(self, command: Command, now: datetime, willing: bool) -> tuple[Answer, str]:
        if wrong := self._wrong(command):
            return Answer.REFUSED, wrong
        if command.end_at is not None and command.end_at <= now:
            return Answer.EXPIRED, f"its event ended at {iso(command.end_at)}"
        if not willing:
            return Answer.OPTED_OUT, ""
        if not self._has_room(command.event_id, now):
            return Answer.REFUSED, f"{MAX_EVENTS} events are held already"
        return Answer.ACCEPTED, ""

    def _wrong(self, command: Command) -> str:
        if command.start_at is None or command.end_at is None:
            return "an event needs start_at and end_at"
        if command.end_at <= command.start_at:
            return f"end_at {iso(command.end_at)} is not after start_at {iso(command.start_at)}"
        if not command.limits:
            return "an event needs a limit for at least one load"
        if unknown := sorted({limit.resource_id for limit in command.limits} - self.resources):
            return f"{', '.join(unknown)}: not a load that can be held down here ({', '.join(sorted(self.resources))})"
        return ""

    def _rule(self, command: Command, *, acting: bool, now: datetime) -> None:
        if command.event_id not in self._rulings and not self._has_room(command.event_id, now):
            return  # it held nothing before and holds nothing now
        limits: dict[str, float] = {}
        for limit in command.limits if acting else ():
            limits[limit.resource_id] = min(limit.limit_kw, limits.get(limit.resource_id, limit.limit_kw))
        self._rulings[command.event_id] = Ruling(
            _issue(command), command.start_at or command.issued_at, command.end_at or command.issued_at, limits
        )

    def _has_room(self, event_id: str, now: datetime) -> bool:
        """Whether another event may be remembered; forgets the oldest that is over, never one that still holds."""
        if event_id in self._rulings or len(self._rulings) < MAX_EVENTS:
            return True
        over = next((key for key, ruling in self._rulings.items() if not ruling.limits or ruling.end_at <= now), None)
        if over is not None:
            del self._rulings[over]
        return over is not None


def _issue(command: Command) -> tuple[datetime, str]:
    return command.issued_at, command.command_id
