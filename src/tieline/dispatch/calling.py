"""What an event has to say to a VEN: nothing, the same again, or a new command. Pure.

    the ledger asks of the VEN          its last command said        so
    hvac, ev                            —                            event 1   hvac, ev
    hvac, ev                            event 1   hvac, ev           nothing; event 1 again while unanswered
    hvac             (ev is restoring)  event 1   hvac, ev           event 2   hvac
    hvac, dryer      (dryer is planned) event 2   hvac               event 3   hvac, dryer
    —                (all restoring)    event 3   hvac, dryer        restore 4

Each command says all that the event now asks of the VEN; what has the same number is the same, word for word.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from tieline.dispatch.model import WANTED, Event, RowState, VenCall
from tieline.wires.mqtt.messages import Command, Limit, Op

RESTORE_VALID = timedelta(days=7)
"""A restore is never refused for its age: a VEN that comes back days later must still give back."""
TICK = timedelta(milliseconds=1)


class Asked(NamedTuple):
    """What the ledger asks of a load."""

    resource_id: str
    state: RowState
    limit_kw: float


def next_call(
    event: Event, ven_id: str, last: VenCall | None, rows: Sequence[Asked], now: datetime, again: datetime
) -> VenCall | None:
    """What to say now; None: nothing. `again`: what was said before, and not answered, is repeated."""
    if last is None or _asks_anew(last, rows, again):
        return _new(event, ven_id, last, rows, now)
    if last.answer is None and last.said_at <= again:
        return msgspec.structs.replace(last, said_at=now)
    return None


def _asks_anew(last: VenCall, rows: Sequence[Asked], again: datetime) -> bool:
    if last.anew or any(row.state is RowState.PLANNED for row in rows):
        return True
    returning = {row.resource_id for row in rows if row.state is RowState.RESTORING}
    if last.op is Op.EVENT and returning & last.loads:
        return True
    ineffective = last.answer is not None and last.said_at <= again
    return bool(returning) and ineffective


def _new(event: Event, ven_id: str, last: VenCall | None, rows: Sequence[Asked], now: datetime) -> VenCall | None:
    """Always issued after the one before, even where a clock was turned back in between."""
    limits = [Limit(row.resource_id, row.limit_kw) for row in rows if row.state in WANTED]
    if last is None and not limits:
        return None
    return VenCall(
        event_id=event.event_id,
        ven_id=ven_id,
        n=last.n + 1 if last else 1,
        op=Op.EVENT if limits else Op.RESTORE,
        issued_at=max(now, last.issued_at + TICK) if last else now,
        start_at=last.start_at if last else event.start_at,
        end_at=last.end_at if last else event.end_at,
        limits=limits,
        said_at=now,
    )


def as_command(call: VenCall) -> Command:
    """The same, however often it is said."""
    gives_back = call.op is Op.RESTORE
    return Command(
        command_id=call.command_id,
        op=call.op,
        event_id=call.event_id,
        issued_at=call.issued_at,
        expires_at=call.issued_at + RESTORE_VALID if gives_back else call.end_at,
        start_at=None if gives_back else call.start_at,
        end_at=None if gives_back else call.end_at,
        limits=call.limits,
    )
