"""Control: what a VEN's commands hold, by the VEN's own clock. Pure.

    command   EVENT comes                                    (nothing more needs to come)
    time   ---|---------|==============================|--------------------->
              take      start_at                       end_at
    limits    {}        {"hvac": 0.5}                  {}: restored by itself, whoever is cut off
                                     RESTORE: {} at once, if it comes before end_at

    an event and a load  e1        |====== hvac <= 2.0 ======|
                         shedLoad     |====== hvac <= 0 ======|
    hvac                 free      2.0  0                     free     the lowest limit holds

    an opt-out           e1        |====== hvac <= 2.0 ==|             of a load, from an instant on, or of some of
    of the owner                             from_at ────▲             its power: told with the answer, and it stands

A command is about an event, a load or the panel. Of those about the same the one issued last rules, in whichever order
they come; the same one may come many times.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Self

import msgspec

from tieline.base.time import iso
from tieline.ven.ruling import Issue, Ruling
from tieline.wires.mqtt.messages import Ack, Answer, Command, Op, OptOut, Scalar

MAX_ACKS = 1024
MAX_RULINGS = 256
PANEL = "panel"
EVENT = "event:"
HOLDING = (Op.EVENT, Op.SHED_LOAD, Op.SET_LOAD, Op.SHED_PANEL)
NEEDS = {
    Op.EVENT: ("start_at", "end_at"),
    Op.SHED_LOAD: ("resource_id", "end_at"),
    Op.SET_LOAD: ("resource_id", "limit_kw"),
    Op.SHED_PANEL: ("limit_kw", "end_at"),
}


class Snapshot(msgspec.Struct, frozen=True):
    """All that a control knows, to be kept over a restart."""

    rulings: dict[str, Ruling] = {}
    acks: list[Ack] = []
    given_back: Issue | None = None
    settings: dict[str, Scalar] = {}
    set_by: dict[str, Issue] = {}


class Control:
    """Answers commands and tells what they hold of `resources`, the ids of the loads it may hold down.

    `settings` are all that may be set, with their values; the owner reads them there. `objection` says why a setting
    may not have a value, "" if it may. `state` is what a get tells besides settings and limits. `rulings` are by
    subject: `event:…`, `load:…` or `panel`.
    """

    def __init__(
        self,
        resources: Collection[str],
        settings: Mapping[str, Scalar] | None = None,
        *,
        state: Callable[[], Mapping[str, Scalar]] = dict,
        objection: Callable[[str, Scalar], str] = lambda _name, _value: "",
    ) -> None:
        self.resources = frozenset(resources)
        self.settings = dict(settings or {})
        self.rulings: OrderedDict[str, Ruling] = OrderedDict()
        self._state, self._objection = state, objection
        self._acks: OrderedDict[str, Ack] = OrderedDict()
        self._given_back: Issue | None = None  # everything that was issued before
        self._set_by: dict[str, Issue] = {}

    def snapshot(self) -> Snapshot:
        acks = list(self._acks.values())
        return Snapshot(dict(self.rulings), acks, self._given_back, dict(self.settings), dict(self._set_by))

    def restored(self, known: Snapshot) -> Self:
        """This control, going on from what another knew. Settings that are no more are forgotten."""
        self.rulings = OrderedDict(known.rulings)
        self._acks = OrderedDict((ack.command_id, ack) for ack in known.acks)
        self._given_back = known.given_back
        self.settings |= {name: value for name, value in known.settings.items() if name in self.settings}
        self._set_by = dict(known.set_by)
        return self

    # --- what holds ---------------------------------------------------------------------------------------------------

    def limits(self, now: datetime) -> dict[str, float]:
        """The limit in kW of each load that is held down at `now`."""
        held: dict[str, float] = {}
        for ruling in self._holding(now):
            for resource_id, limit_kw in ruling.limits_at(now).items():
                if resource_id in self.resources:
                    held[resource_id] = min(limit_kw, held.get(resource_id, limit_kw))
        return held

    def panel_limit(self, now: datetime) -> float | None:
        """What the whole premises may draw at `now`, in kW; None: as much as they like."""
        return min((kw for one in self._holding(now) if (kw := one.panel_at(now)) is not None), default=None)

    def next_change(self, now: datetime) -> datetime | None:
        """The next instant after `now` at which something starts or ends by itself; None while nothing is planned."""
        coming = [ruling for ruling in self.rulings.values() if not ruling.is_over(now)]
        return min((at for one in coming for at in one.turns() if at > now), default=None)

    def _holding(self, now: datetime) -> Iterable[Ruling]:
        return (ruling for ruling in self.rulings.values() if ruling.holds(now))

    # --- commands -----------------------------------------------------------------------------------------------------

    def take(self, command: Command, now: datetime, *, willing: bool = True, opt_outs: Collection[OptOut] = ()) -> Ack:
        """The answer; a command seen before gets the very answer it got. An unwilling owner opts out of being held;
        `opt_outs` are what else he says against this command."""
        if ack := self._acks.get(command.command_id):
            return ack
        ruling = self._ruling(command, [*opt_outs, *([] if willing else [OptOut()])])
        answer, reason = self._judged(command, ruling, now)
        values = self._obeyed(command, ruling, answer, now)
        parts = ruling.parts() if answer is Answer.ACCEPTED and command.op in HOLDING else []
        return self._told(Ack(command.command_id, answer, now, reason, values, parts))

    def opt_out(self, subject: str, out: OptOut, now: datetime) -> Ack | None:
        """Be free of what that ruling asks, as far as the opt-out goes; what to tell. None: it holds no more."""
        before = self.rulings.get(subject)
        if before is None or before.is_over(now):
            return None
        self.rulings[subject] = ruling = before.but(out)
        if not ruling.asks(max(now, ruling.start_at or now)):
            return self._told(Ack(ruling.issue[1], Answer.OPTED_OUT, now, out.reason))
        return self._told(Ack(ruling.issue[1], Answer.ACCEPTED, now, opt_outs=ruling.parts()))

    def _told(self, ack: Ack) -> Ack:
        self._acks[ack.command_id] = ack
        while len(self._acks) > MAX_ACKS:
            self._acks.popitem(last=False)
        return ack

    def _ruling(self, command: Command, opt_outs: Iterable[OptOut]) -> Ruling:
        """What was opted out of in an event stands for its later commands."""
        ruling, subject = _ruling(command), _subject(command)
        before = self.rulings.get(subject) if subject.startswith(EVENT) else None
        for out in (*(before.opt_outs if before else ()), *opt_outs):
            ruling = ruling.but(out)
        return ruling

    def _judged(self, command: Command, ruling: Ruling, now: datetime) -> tuple[Answer, str]:
        if command.expires_at <= now:
            return Answer.EXPIRED, f"it expired at {iso(command.expires_at)}; here it is {iso(now)}"
        if wrong := self._wrong(command):
            return Answer.REFUSED, wrong
        if later := self._later(command, now):
            return Answer.REFUSED, f"command {later} about the same was issued later"
        return self._judged_holding(command, ruling, now) if command.op in HOLDING else (Answer.ACCEPTED, "")

    def _judged_holding(self, command: Command, ruling: Ruling, now: datetime) -> tuple[Answer, str]:
        if command.end_at is not None and command.end_at <= now:
            return Answer.EXPIRED, f"it ended at {iso(command.end_at)}; here it is {iso(now)}"
        if not ruling.asks(max(now, command.start_at or now)):
            return Answer.OPTED_OUT, next((out.reason for out in ruling.opt_outs if out.reason), "")
        if not self._has_room(_subject(command), now):
            return Answer.REFUSED, f"{MAX_RULINGS} are held already"
        return Answer.ACCEPTED, ""

    def _wrong(self, command: Command) -> str:
        if missing := [name for name in NEEDS.get(command.op, ()) if getattr(command, name) is None]:
            return f"{command.op} needs {' and '.join(missing)}"
        if command.start_at is not None and command.end_at is not None and command.end_at <= command.start_at:
            return f"end_at {iso(command.end_at)} is not after start_at {iso(command.start_at)}"
        if command.op is Op.EVENT and not command.limits:
            return "an event needs a limit for at least one load"
        if command.op is Op.RESTORE and command.event_id and command.resource_id:
            return "restore gives back an event or a load: name one of them, or neither for everything"
        asked = {limit.resource_id for limit in command.limits} | ({command.resource_id} - {None})
        if unknown := sorted(name for name in asked - self.resources if name):
            return f"{', '.join(unknown)}: not a load that can be held down here ({', '.join(sorted(self.resources))})"
        return self._wrong_names(command)

    def _wrong_names(self, command: Command) -> str:
        """Of a set or a get."""
        values = command.values if command.op is Op.SET else {}
        names = command.names if command.op is Op.GET else values
        known = self.settings if command.op is Op.SET else self._known()
        if unknown := sorted(set(names) - set(known)):
            return f"{', '.join(unknown)[:200]}: not known here ({', '.join(sorted(known))})"
        return next(filter(None, (self._wrong_value(name, value) for name, value in values.items())), "")

    def _wrong_value(self, name: str, value: Scalar) -> str:
        if not _fits(value, self.settings[name]):
            return f"{name} is {self.settings[name]!r}: it cannot become {value!r}"[:300]
        return self._objection(name, value)

    def _later(self, command: Command, now: datetime) -> str:
        """The id of a command about the same that was issued later; of a restore, only of one that still holds. What
        a restore of everything is about is all that holds."""
        issues = [self._set_by[name] for name in command.values if command.op is Op.SET and name in self._set_by]
        if command.op in HOLDING or command.op is Op.RESTORE:
            subject, holding = _subject(command), command.op in HOLDING
            about = [self.rulings[subject]] if subject in self.rulings else []
            about = about if subject else list(self.rulings.values())
            issues += [ruling.issue for ruling in about if holding or not ruling.is_over(now)]
            issues += [self._given_back] if self._given_back and holding else []
        return max([issue for issue in issues if issue > _issue(command)], default=(now, ""))[1]

    def _obeyed(self, command: Command, ruling: Ruling, answer: Answer, now: datetime) -> dict[str, Scalar]:
        """What a get asked for; of every other command nothing."""
        accepted = answer is Answer.ACCEPTED
        if command.op in HOLDING and (accepted or answer is Answer.OPTED_OUT):
            self._rule(_subject(command), ruling, now)
        elif command.op is Op.RESTORE and (accepted or (answer is Answer.REFUSED and not self._wrong(command))):
            self._give_back(command, ruling, now)  # what was issued before it, even if something issued later holds
        elif accepted and command.op is Op.SET:
            self.settings |= command.values
            self._set_by |= dict.fromkeys(command.values, _issue(command))
        elif accepted and command.op is Op.GET:
            held = {f"{load}.limit_kw": kw for load, kw in self.limits(now).items()}
            known = {**self._known(), **held, f"{PANEL}.limit_kw": self.panel_limit(now)}
            return {name: known[name] for name in command.names or known}
        return {}

    def _give_back(self, command: Command, ruling: Ruling, now: datetime) -> None:
        if subject := _subject(command):
            self._rule(subject, ruling, now)
            return
        self._given_back = last = max(_issue(command), self._given_back or _issue(command))
        for key, one in list(self.rulings.items()):
            if one.issue <= last:
                del self.rulings[key]
                if key.startswith(EVENT) and one.opt_outs:
                    self.rulings[key] = Ruling(one.issue, opt_outs=one.opt_outs)

    def _rule(self, subject: str, ruling: Ruling, now: datetime) -> None:
        before = self.rulings.get(subject)
        if before is None and not self._has_room(subject, now):
            return  # it held nothing before and holds nothing now
        if before is None or before.issue < ruling.issue:
            self.rulings[subject] = ruling

    def _has_room(self, subject: str, now: datetime) -> bool:
        """Whether one more may be remembered; forgets the oldest that is over, never one that still holds."""
        if subject in self.rulings or len(self.rulings) < MAX_RULINGS:
            return True
        over = next((key for key, ruling in self.rulings.items() if ruling.is_over(now)), None)
        if over is not None:
            del self.rulings[over]
        return over is not None

    def _known(self) -> dict[str, Scalar]:
        """All that a get may ask for; nothing held down."""
        free = dict.fromkeys(f"{name}.limit_kw" for name in (*sorted(self.resources), PANEL))
        return {**self.settings, **self._state(), **free}


def _issue(command: Command) -> Issue:
    return command.issued_at, command.command_id


def _subject(command: Command) -> str:
    """What it is about; "" is everything."""
    if command.op is Op.SHED_PANEL:
        return PANEL
    if command.op is Op.EVENT or (command.op is Op.RESTORE and command.event_id):
        return f"{EVENT}{command.event_id}"
    return f"load:{command.resource_id}" if command.resource_id else ""


def _ruling(command: Command) -> Ruling:
    """Of a command that gives back: nothing."""
    limits: dict[str, float] = {}
    if command.op is Op.EVENT:
        for limit in command.limits:
            limits[limit.resource_id] = min(limit.limit_kw, limits.get(limit.resource_id, limit.limit_kw))
    elif command.resource_id and command.op in HOLDING:
        limits = {command.resource_id: (command.limit_kw or 0.0) if command.op is Op.SET_LOAD else 0.0}
    panel_kw = command.limit_kw if command.op is Op.SHED_PANEL else None
    return Ruling(_issue(command), limits, panel_kw, command.start_at, command.end_at)


def _fits(value: Scalar, present: Scalar) -> bool:
    """Whether a setting that has one value may have the other: of the same kind; a whole number is a number too."""
    return present is None or type(value) is type(present) or (type(present) is float and type(value) is int)
