"""The verbs of direct commands, each within a transaction: ask, say, hear the answer, give up."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from tieline import metrics
from tieline.base.errors import NotFound, Refused
from tieline.base.time import EPOCH, later
from tieline.dispatch.commands import reads, store
from tieline.dispatch.commands.model import OPEN, CommandState, DirectCommand, NewCommand, Outcome, Outcomes, direct_id
from tieline.ports import Transaction
from tieline.registry import reads as registry
from tieline.registry.model import Lifetime
from tieline.wires.mqtt.messages import Ack

AT_ONCE = 1000
LONGEST_REASON = 300
KEEP = timedelta(days=90)
"""How long it is known what was commanded, and what was answered."""


def ask(tx: Transaction, ven_id: str, token: str, new: NewCommand, now: datetime) -> DirectCommand:
    """A command to one VEN, to be said from now on. Raises `NotFound` for a VEN that is not there, or no longer,
    `Refused` for what it cannot do."""
    new.check(now)
    asked = _asked(_known(tx, [ven_id]), ven_id, token, new, now)
    store.add(tx, [asked])
    return asked


def ask_all(tx: Transaction, tokens: Mapping[str, str], new: NewCommand, now: datetime) -> Outcomes:
    """The same command to many, `tokens` by VEN; those that cannot be asked are told beside those that are. Raises
    `Refused` for what no VEN can do."""
    new.check(now)
    known, asked, items = _known(tx, tokens), list[DirectCommand](), list[Outcome]()
    for ven_id, token in tokens.items():
        try:
            asked.append(_asked(known, ven_id, token, new, now))
            items.append(Outcome(ven_id, command_id=asked[-1].command_id))
        except Refused as error:
            items.append(Outcome(ven_id, refused=str(error)))
    store.add(tx, asked)
    return Outcomes(len(asked), len(items) - len(asked), items)


class _Known(msgspec.Struct, frozen=True):
    """What is asked of the registry and of earlier commands, for many VENs at once."""

    vens: dict[str, Lifetime]
    loads: dict[str, list[str]]
    issued: dict[str, datetime]


def _known(tx: Transaction, ven_ids: Collection[str]) -> _Known:
    return _Known(
        registry.lifetimes_of(tx, ven_ids), registry.sheddable_of(tx, ven_ids), reads.last_issued_at(tx, ven_ids)
    )


def _asked(known: _Known, ven_id: str, token: str, new: NewCommand, now: datetime) -> DirectCommand:
    if (ven := known.vens.get(ven_id)) is None:
        raise NotFound(f"there is no VEN {ven_id!r}")
    if ven.retired_at is not None:
        raise NotFound(f"VEN {ven_id!r} was retired: it takes no commands")
    if new.resource_id is not None:
        _check_load(ven_id, known.loads.get(ven_id, []), new.resource_id)
    issued_at = later(now, than=known.issued.get(ven_id, EPOCH))  # of two at once the VEN obeys the one said last
    expires_at = issued_at + timedelta(seconds=new.valid_s)
    return DirectCommand(direct_id(ven_id, token), ven_id, new.op, new, CommandState.SENT, issued_at, expires_at)


def _check_load(ven_id: str, sheddable: Sequence[str], resource_id: str) -> None:
    if resource_id not in sheddable:
        can = f"it has {', '.join(sheddable)}" if sheddable else "it has none"
        raise Refused(f"VEN {ven_id} has no load {resource_id} that may be commanded; {can}")


def send(tx: Transaction, now: datetime, again: datetime) -> Sequence[DirectCommand]:
    """Enter what is about to be said, and give it back. Written before it is spoken: after a crash in between it is
    said again."""
    found = reads.due(tx, now, again, AT_ONCE)
    store.set_(tx, [one.command_id for one in found], [CommandState.SENT], last_send_at=now)
    return found


def give_up(tx: Transaction, now: datetime) -> int:
    """Those that expired without an answer; how many there were."""
    found = reads.overdue(tx, now, AT_ONCE)
    return store.set_(
        tx, found, [CommandState.SENT], state=CommandState.UNANSWERED, reason="no answer before it expired"
    )


def forget(tx: Transaction, now: datetime) -> int:
    """Some of those that are too old to be asked for; how many there were."""
    return store.forget(tx, reads.outdated(tx, now - KEEP, AT_ONCE))


def hear(tx: Transaction, ack: Ack, now: datetime) -> None:
    """Enter one answer; of several to one command the first counts. Raises `NotFound` for an answer to what was never
    asked."""
    command = reads.find(tx, ack.command_id)
    if command is None:
        raise NotFound(f"no command {ack.command_id} was ever sent")
    said = ack.reason[:LONGEST_REASON].replace("\x00", "\ufffd")  # PostgreSQL takes no NUL in text
    late = "answered late" if now > command.expires_at else ""
    values = {
        "state": CommandState(ack.answer),
        "answered_at": now,
        "reason": ": ".join(filter(None, (late, said))),
        "values": ack.values or None,
    }
    if store.set_(tx, [ack.command_id], OPEN, **values):
        metrics.ACK_SECONDS.observe((now - command.issued_at).total_seconds())
