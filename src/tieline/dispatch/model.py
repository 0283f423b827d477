"""An event and its delivery ledger: the nouns and what may follow what.

    event    scheduled ──▶ active ──▶ ended            by the clock
                 └───────────┴──────▶ cancelled        by an operator

    ledger   planned ──▶ sent ──▶ acked ──▶ acting ──▶ metered ──▶ restoring ──▶ restored
    row                    ├────▶ refused, opted_out, expired ───────┘   └─────▶ escalated   no answer to the restore
                           └── (no answer: sent again) ──────────────┘

         acting     the event is on, and it said it would hold          metered    its readings show that it does
         released   while the event is on, where more is held than asked: restored, and it may be planned again
         an answer or a report of the VEN may say opted_out of any row until then; one that was never sent ends
         restored at once, one that opts out from an instant on is held until then, and then restored

Every row ends restored or escalated. Whatever a row goes through is a step in its history, with its time and cause.
"""

import enum
import re
from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from tieline.base.errors import Refused
from tieline.base.names import Id, is_id
from tieline.base.time import Span, iso
from tieline.base.units import KilowattHours, Kilowatts, energy
from tieline.dispatch.planning.limits import CallLimits
from tieline.wires.mqtt.messages import Answer, Limit, Op
from tieline.wires.openadr31.messages import EventRequest, ProgramRequest

LONGEST = timedelta(hours=24)
MOST_LEVELS = 288
FURTHEST_BACK = timedelta(days=45)
"""As far as readings are taken and baselines look back."""
ZonedInstant = Annotated[datetime, msgspec.Meta(tz=True)]
Targets = Annotated[list[Annotated[str, msgspec.Meta(min_length=1, max_length=128)]], msgspec.Meta(max_length=1000)]


class EventState(enum.StrEnum):
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    ENDED = "ended"
    CANCELLED = "cancelled"


OPEN = (EventState.SCHEDULED, EventState.ACTIVE)
CLOSED = (EventState.ENDED, EventState.CANCELLED)


class RowState(enum.StrEnum):
    PLANNED = "planned"
    SENT = "sent"
    ACKED = "acked"
    REFUSED = "refused"
    OPTED_OUT = "opted_out"
    EXPIRED = "expired"
    ACTING = "acting"
    METERED = "metered"
    RESTORING = "restoring"
    RESTORED = "restored"
    ESCALATED = "escalated"


DECLINED = (RowState.REFUSED, RowState.OPTED_OUT, RowState.EXPIRED)
UNDECIDED = (RowState.PLANNED, RowState.SENT)
HELD = (RowState.ACKED, RowState.ACTING, RowState.METERED)
"""Accepted, and not taken back."""
WANTED = (*UNDECIDED, *HELD)
"""What an event asks of its VENs."""
FINAL = (RowState.RESTORED, RowState.ESCALATED)
UNFINISHED = tuple(state for state in RowState if state not in FINAL)


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a program treats its VENs: how often they may be called, and how they come back.

    `fair`: who was called often is called later. `return_s`: after an event they come back one after the other, over
    at most so many seconds, where all at once would make a new peak; 0: all at once.
    """

    events_a_day: Annotated[int, msgspec.Meta(ge=0, le=1000)] | None = None
    hours_a_month: Annotated[float, msgspec.Meta(ge=0, le=744)] | None = None
    rest_h: Annotated[float, msgspec.Meta(ge=0, le=8760)] | None = None
    fair: bool = True
    return_s: Annotated[float, msgspec.Meta(ge=0, le=14_400)] = 3600.0

    @property
    def limits(self) -> CallLimits:
        return CallLimits(self.events_a_day, self.hours_a_month, self.rest_h)


class NewProgram(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`targets`: only VENs that were granted one of them see the program; empty: all do."""

    program_id: Id
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    targets: Targets = []
    rules: Rules = Rules()


class ProgramChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What of a program is to change: its rules, as a whole."""

    rules: Rules


class Program(msgspec.Struct, frozen=True):
    """A program as it stands; `request` is what OpenADR says of it."""

    program_id: str
    name: str
    created_at: datetime
    modified_at: datetime
    request: ProgramRequest
    deleted_at: datetime | None = None
    rules: Rules = Rules()


class ProgramView(msgspec.Struct, frozen=True):
    """A program as /v1 shows it."""

    program_id: str
    name: str
    created_at: datetime
    targets: list[str] = []
    rules: Rules = Rules()


class Level(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked from an instant on."""

    from_at: ZonedInstant
    target_kw: Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class NewEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call for `target_kw` less than the fleet would have drawn, over [start_at, end_at), or, from an instant of the
    `profile` on, for another number of kilowatts.

    `targets`: only VENs that were granted one of them are called and see the event; empty: all are.
    """

    program_id: Id
    start_at: ZonedInstant
    end_at: ZonedInstant
    target_kw: Annotated[float, msgspec.Meta(gt=0, le=1e9)]
    event_id: Id | None = None
    allow_past: bool = False
    targets: Targets = []
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    profile: Annotated[list[Level], msgspec.Meta(max_length=MOST_LEVELS)] = []

    @property
    def levels(self) -> list[Level]:
        """From its start to its end."""
        return [Level(self.start_at, self.target_kw), *self.profile]

    def check(self, now: datetime) -> None:
        """Raises `Refused` for a window that cannot be called."""
        span = Span(self.start_at, self.end_at)
        turns = [level.from_at for level in self.levels]
        if sorted(set(turns)) != turns or turns[-1] >= self.end_at:
            raise Refused("profile: give instants after start_at and before end_at, each later than the one before")
        if span.end - span.start > LONGEST:
            raise Refused(f"an event lasts at most 24 h, not {span.hours:g} h: call several")
        if self.start_at < now and not self.allow_past:
            raise Refused(
                f"start_at {iso(self.start_at)} is in the past (now {iso(now)}): say allow_past if it is meant"
            )
        if self.start_at < now - FURTHEST_BACK:
            raise Refused(f"start_at {iso(self.start_at)} is more than {FURTHEST_BACK.days} days ago")


class EventChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What of a call is to change, at once; `target_kw` goes with a `profile` from then on, and without one for all
    of it."""

    target_kw: Annotated[float, msgspec.Meta(gt=0, le=1e9)] | None = None
    end_at: ZonedInstant | None = None
    profile: Annotated[list[Level], msgspec.Meta(max_length=MOST_LEVELS)] | None = None


class Event(msgspec.Struct, frozen=True):
    """An event as it stands; `request` is what OpenADR says of it. `target_kw` is the most that the fleet is called
    for, 0 for an event that only signals; `profile` what it is called for when, None: always that.

    `planned_at` is when VENs were first chosen, `looked_at` when what they give was last compared with the target,
    `stirred_at` when something last happened that asks for a look, `returning_at` when their return was planned.
    """

    event_id: str
    program_id: str
    start_at: datetime
    end_at: datetime
    target_kw: float
    state: EventState
    created_at: datetime
    modified_at: datetime
    request: EventRequest
    deleted_at: datetime | None = None
    planned_at: datetime | None = None
    looked_at: datetime | None = None
    stirred_at: datetime | None = None
    returning_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    profile: list[Level] | None = None

    @property
    def levels(self) -> list[Level]:
        return self.profile or [Level(self.start_at, self.target_kw)]

    def target_at(self, at: datetime) -> float:
        """What is asked at an instant; before the start what will be."""
        return next((one.target_kw for one in reversed(self.levels) if one.from_at <= at), self.levels[0].target_kw)

    def energy_kwh(self, until: datetime) -> KilowattHours:
        """What is asked for from the start until an instant."""
        edges = [*(min(one.from_at, until) for one in self.levels), until]
        spans = zip(self.levels, edges, edges[1:], strict=False)
        parts = (energy(Kilowatts(one.target_kw), (end - start).total_seconds()) for one, start, end in spans)
        return KilowattHours(sum(parts))


class LedgerRow(msgspec.Struct, frozen=True):
    """What became of one load in one event. `limit_kw` is what it is held to; `reference_kw` is what it drew when it
    was first called, at `reference_at`, and had drawn for `run_min` minutes; `delivered_kw` what it was last seen to
    give up; `opted_out_from_at` from when on its owner gives nothing, with the reason as its cause: until then it is
    held."""

    event_id: str
    ven_id: str
    resource_id: str
    state: RowState
    planned_kw: float
    cause: str
    planned_at: datetime
    answer: str | None = None
    sent_at: datetime | None = None
    last_send_at: datetime | None = None
    acked_at: datetime | None = None
    acting_at: datetime | None = None
    metered_at: datetime | None = None
    restoring_at: datetime | None = None
    restored_at: datetime | None = None
    escalated_at: datetime | None = None
    delivered_kw: float | None = None
    limit_kw: float = 0.0
    reference_kw: float = 0.0
    run_min: int = 0
    reference_at: datetime | None = None
    opted_out_from_at: datetime | None = None


class VenCall(msgspec.Struct, frozen=True):
    """The last command of an event to a VEN, and its answer. `n` numbers them; what is said again is the same, word for
    word. `anew`: what the event asks of this VEN has changed since."""

    event_id: str
    ven_id: str
    n: int
    op: Op
    issued_at: datetime
    start_at: datetime
    end_at: datetime
    limits: list[Limit]
    said_at: datetime
    answer: Answer | None = None
    answered_at: datetime | None = None
    anew: bool = False

    @property
    def command_id(self) -> str:
        return command_id(self.event_id, self.ven_id, self.op, self.n)

    @property
    def loads(self) -> frozenset[str]:
        return frozenset(limit.resource_id for limit in self.limits)


class Step(msgspec.Struct, frozen=True):
    """A state that a load of an event entered, and why."""

    event_id: str
    ven_id: str
    resource_id: str
    state: RowState
    at: datetime
    cause: str


class EventView(msgspec.Struct, frozen=True):
    """An event with the sums of its ledger, as /v1 shows it; `signals` are the payload types it carries."""

    event_id: str
    program_id: str
    start_at: datetime
    end_at: datetime
    target_kw: float
    state: EventState
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    planned_kw: float
    acked_kw: float
    rows: dict[str, int]
    name: str | None = None
    signals: list[str] = []
    targets: list[str] = []
    delivered_kw: float | None = None
    profile: list[Level] = []


class Sums(msgspec.Struct, frozen=True):
    """Of the rows of an event in one state, with one answer."""

    state: RowState
    answer: str | None
    rows: int
    planned_kw: float
    delivered_kw: float | None


def view(event: Event, ledger: list[Sums]) -> EventView:
    counts = {state.value: 0 for state in RowState}
    for one in ledger:
        counts[one.state] += one.rows
    seen = [one.delivered_kw for one in ledger if one.state in HELD and one.delivered_kw is not None]
    return EventView(
        event_id=event.event_id,
        program_id=event.program_id,
        start_at=event.start_at,
        end_at=event.end_at,
        target_kw=event.target_kw,
        state=event.state,
        created_at=event.created_at,
        started_at=event.started_at,
        ended_at=event.ended_at,
        planned_kw=round(sum(one.planned_kw for one in ledger), 3),
        acked_kw=round(sum(one.planned_kw for one in ledger if one.answer == Answer.ACCEPTED), 3),
        rows=counts,
        name=event.request.event_name,
        signals=sorted({payload.type for one in event.request.intervals or () for payload in one.payloads}),
        targets=list(event.request.targets or ()),
        delivered_kw=round(sum(seen), 3) if seen else None,
        profile=event.levels[1:],
    )


class Policy(msgspec.Struct, frozen=True):
    """How patient dispatch is, in seconds of the platform's clock, and how exact."""

    lead_s: float = 60  # VENs are chosen and told so long before the start
    ack_s: float = 60  # an answer later than this is called late; who gave none is not called for more
    resend_s: float = 30  # without an answer the command is said again, and does not count: others are called
    escalate_s: float = 900  # without an answer to the restore somebody must look
    online_s: float = 300  # a VEN not heard of for so long is not called, and does not count
    look_s: float = 60  # what is delivered is compared with the target each so often
    meter_s: float = 120  # an accepted load counts as promised for so long, until readings show what it does
    tolerance: float = 0.01  # of the target: a smaller difference is left alone


def command_id(event_id: str, ven_id: str, op: str, n: int = 0) -> str:
    """Derived, not drawn: after a crash the same command has the same identity, so that no VEN acts twice. The first
    commands had no number (0)."""
    return f"{event_id}:{ven_id}:{op}:{n}" if n else f"{event_id}:{ven_id}:{op}"


def parse_command_id(text: str) -> tuple[str, str, Op]:
    """(event, VEN, op). Raises `Refused` for an id that no command of ours can have."""
    event_id, ven_id, op, _ = _parsed(text)
    return event_id, ven_id, op


def number_of(text: str) -> int:
    """Which of the event's commands to the VEN it was. Raises `Refused`."""
    return _parsed(text)[3]


_COMMAND_ID = re.compile(r"([^:]{1,64}):([^:]{1,64}):([a-zA-Z]{1,16})(?::([1-9][0-9]{0,8}))?", re.ASCII)


def _parsed(text: str) -> tuple[str, str, Op, int]:
    found = _COMMAND_ID.fullmatch(text)
    if not found or not is_id(found[1]) or not is_id(found[2]) or found[3] not in set(Op):
        raise Refused(f"command_id {text[:80]!r} is none that we sent: repeat the command's own")
    return found[1], found[2], Op(found[3]), int(found[4] or 0)
