"""An event and its delivery ledger: the nouns and what may follow what.

    event    scheduled ──▶ active ──▶ ended            by the clock
                 └───────────┴──────▶ cancelled        by an operator

    ledger   planned ──▶ sent ──▶ acked ──▶ acting ──▶ restoring ──▶ restored
    row                    ├────▶ refused, opted_out, expired ──▶ restoring ──▶ restored
                           └── (no answer: sent again) ──▶ restoring ──▶ escalated  no answer to the restore either

         a report of the VEN may say opted_out of any row until then; one that was never sent ends restored at once

Every row ends restored or escalated.
"""

import enum
from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from tieline.base.errors import Refused
from tieline.base.names import Id, is_id
from tieline.base.time import Span, iso
from tieline.wires.mqtt.messages import Op
from tieline.wires.openadr31.messages import EventRequest, ProgramRequest

LONGEST = timedelta(hours=24)
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
    RESTORING = "restoring"
    RESTORED = "restored"
    ESCALATED = "escalated"


DECLINED = (RowState.REFUSED, RowState.OPTED_OUT, RowState.EXPIRED)
FINAL = (RowState.RESTORED, RowState.ESCALATED)
UNFINISHED = tuple(state for state in RowState if state not in FINAL)


class NewProgram(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`targets`: only VENs that were granted one of them see the program; empty: all do."""

    program_id: Id
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    targets: Targets = []


class Program(msgspec.Struct, frozen=True):
    """A program as it stands; `request` is what OpenADR says of it."""

    program_id: str
    name: str
    created_at: datetime
    modified_at: datetime
    request: ProgramRequest
    deleted_at: datetime | None = None


class ProgramView(msgspec.Struct, frozen=True):
    """A program as /v1 shows it."""

    program_id: str
    name: str
    created_at: datetime
    targets: list[str] = []


class NewEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call for `target_kw` less than the fleet would have drawn, over [start_at, end_at).

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

    def check(self, now: datetime) -> None:
        """Raises `Refused` for a window that cannot be called."""
        span = Span(self.start_at, self.end_at)
        if span.end - span.start > LONGEST:
            raise Refused(f"an event lasts at most 24 h, not {span.hours:g} h: call several")
        if self.start_at < now and not self.allow_past:
            raise Refused(
                f"start_at {iso(self.start_at)} is in the past (now {iso(now)}): say allow_past if it is meant"
            )
        if self.start_at < now - FURTHEST_BACK:
            raise Refused(f"start_at {iso(self.start_at)} is more than {FURTHEST_BACK.days} days ago")


class Event(msgspec.Struct, frozen=True):
    """An event as it stands; `request` is what OpenADR says of it. `target_kw` is what the fleet is called for: 0 for
    an event that only signals. `planned_at` is when VENs were chosen, `replanned_at` when the shortfall was."""

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
    replanned_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


class LedgerRow(msgspec.Struct, frozen=True):
    """What became of one load in one event."""

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
    restoring_at: datetime | None = None
    restored_at: datetime | None = None


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


def view(event: Event, ledger: list[LedgerRow]) -> EventView:
    counts = {state.value: 0 for state in RowState}
    for row in ledger:
        counts[row.state] += 1
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
        planned_kw=round(sum(row.planned_kw for row in ledger), 3),
        acked_kw=round(sum(row.planned_kw for row in ledger if row.answer == "accepted"), 3),
        rows=counts,
        name=event.request.event_name,
        signals=sorted({payload.type for one in event.request.intervals or () for payload in one.payloads}),
        targets=list(event.request.targets or ()),
    )


class Policy(msgspec.Struct, frozen=True):
    """How patient dispatch is, in seconds of the platform's clock, and how careful."""

    lead_s: float = 60  # VENs are chosen and told so long before the start
    ack_s: float = 60  # an answer later than this is late: the shortfall is planned again, once
    resend_s: float = 30  # without an answer the command is said again
    escalate_s: float = 900  # without an answer to the restore somebody must look
    online_s: float = 300  # a VEN not heard of for so long is not called
    reserve: float = 0.25  # so much more than the target is called: some loads would have ended by themselves


def command_id(event_id: str, ven_id: str, op: str) -> str:
    """Derived, not drawn: after a crash the same command has the same identity, so that no VEN acts twice."""
    return f"{event_id}:{ven_id}:{op}"


def parse_command_id(text: str) -> tuple[str, str, Op]:
    """(event, VEN, op). Raises `Refused` for an id that no command of ours can have."""
    parts = text.split(":")
    if len(parts) != 3 or not all(is_id(part) for part in parts) or parts[2] not in set(Op):
        raise Refused(f"command_id {text[:80]!r} is none that we sent: repeat the command's own")
    return parts[0], parts[1], Op(parts[2])
