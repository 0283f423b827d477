"""A direct command: what may be asked, and what becomes of it.

    sent ──▶ accepted, refused, opted_out, expired      what the VEN answered; said again until it does
      └────▶ unanswered ──▶ the same, "answered late"   nothing came before it expired

It holds one VEN, for one purpose, and nothing in an event's ledger: events are called by `publishing`.
"""

import enum
import re
from datetime import datetime
from typing import Annotated

import msgspec

from tieline.base.errors import Refused
from tieline.base.names import Id
from tieline.base.time import iso
from tieline.wires.mqtt.messages import Command, NotNegative, Op, Scalar, ZonedInstant

MOST_AT_ONCE = 1000
DIRECT = "direct:"
_COMMAND_ID = re.compile(rf"{DIRECT}(?P<ven>[A-Za-z0-9_-]{{1,64}}):[0-9a-f]{{24}}")


class CommandState(enum.StrEnum):
    SENT = "sent"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    OPTED_OUT = "opted_out"
    EXPIRED = "expired"  # the VEN's word: it had the command too late to begin
    UNANSWERED = "unanswered"


OPEN = (CommandState.SENT, CommandState.UNANSWERED)
"""An answer still counts."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Value = Annotated[str, msgspec.Meta(max_length=1024)] | bool | int | float | None

TAKES: dict[Op, frozenset[str]] = {
    Op.RESTORE: frozenset({"event_id", "resource_id"}),
    Op.SHED_LOAD: frozenset({"resource_id", "start_at", "end_at"}),
    Op.SET_LOAD: frozenset({"resource_id", "limit_kw", "start_at", "end_at"}),
    Op.SHED_PANEL: frozenset({"limit_kw", "start_at", "end_at"}),
    Op.SET: frozenset({"values"}),
    Op.GET: frozenset({"names"}),
    Op.PING: frozenset(),
}
NEEDS: dict[Op, tuple[str, ...]] = {
    Op.SHED_LOAD: ("resource_id", "end_at"),
    Op.SET_LOAD: ("resource_id", "limit_kw"),
    Op.SHED_PANEL: ("limit_kw", "end_at"),
    Op.SET: ("values",),
}


class NewCommand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked of a VEN. It counts for `valid_s` seconds: an answer later than that is late, and a VEN that has it
    later does not begin it. `restore` gives back what an event held or what was set on a load; with neither everything.
    """

    op: Op
    valid_s: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 60.0
    resource_id: Id | None = None
    limit_kw: NotNegative | None = None
    event_id: Id | None = None
    start_at: ZonedInstant | None = None
    end_at: ZonedInstant | None = None
    values: Annotated[dict[Name, Value], msgspec.Meta(max_length=64)] = {}
    names: Annotated[list[Name], msgspec.Meta(max_length=64)] = []

    def check(self, now: datetime) -> None:
        """Raises `Refused` for what its op does not take, lacks, or cannot begin any more."""
        if self.op is Op.EVENT:
            raise Refused("an event is called with POST /v1/events, which keeps its ledger")
        given = {name for name in ("resource_id", "limit_kw", "event_id", "start_at", "end_at") if _is(self, name)}
        given |= {name for name in ("values", "names") if getattr(self, name)}
        if more := sorted(given - TAKES[self.op]):
            raise Refused(f"{self.op} takes no {', '.join(more)}")
        if missing := [name for name in NEEDS.get(self.op, ()) if name not in given]:
            raise Refused(f"{self.op} needs {' and '.join(missing)}")
        if {"event_id", "resource_id"} <= given:
            raise Refused("restore gives back an event or a load: name one of them, or neither for everything")
        if self.end_at is not None and self.end_at <= max(now, self.start_at or now):
            raise Refused(f"end_at {iso(self.end_at)} must be after now ({iso(now)}) and after start_at")


def _is(new: NewCommand, name: str) -> bool:
    return getattr(new, name) is not None


class NewCommands(NewCommand, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same, asked of many VENs."""

    ven_ids: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=MOST_AT_ONCE)]

    def of_one(self) -> NewCommand:
        return NewCommand(**{name: getattr(self, name) for name in NewCommand.__struct_fields__})


class DirectCommand(msgspec.Struct, frozen=True):
    """A command as it stands; `request` is what was asked, `values` what a get was told."""

    command_id: str
    ven_id: str
    op: Op
    request: NewCommand
    state: CommandState
    issued_at: datetime
    expires_at: datetime
    last_send_at: datetime | None = None
    answered_at: datetime | None = None
    reason: str = ""
    values: dict[str, Scalar] | None = None


class Outcome(msgspec.Struct, frozen=True):
    """Of one VEN of many: its command, or why there is none."""

    ven_id: str
    command_id: str | None = None
    refused: str | None = None


class Outcomes(msgspec.Struct, frozen=True):
    sent: int
    refused: int
    items: list[Outcome]


def direct_id(ven_id: str, token: str) -> str:
    """`token` is of `base.names.new_id`."""
    return f"{DIRECT}{ven_id}:{token}"


def addressee(command_id: str) -> str | None:
    """The VEN that a direct command is for; None for the id of another command."""
    found = _COMMAND_ID.fullmatch(command_id)
    return found["ven"] if found else None


def as_said(command: DirectCommand) -> Command:
    """On the wire: the same however often it is said."""
    asked = command.request
    return Command(
        command_id=command.command_id,
        op=command.op,
        issued_at=command.issued_at,
        expires_at=command.expires_at,
        event_id=asked.event_id or "",
        start_at=asked.start_at,
        end_at=asked.end_at,
        resource_id=asked.resource_id,
        limit_kw=asked.limit_kw,
        values=dict(asked.values),
        names=asked.names,
    )
