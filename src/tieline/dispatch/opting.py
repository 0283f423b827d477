"""Opt-outs, entered in the ledger: of all, of a load, of a part of its power; at once, or from an instant on.

    at once               planned, sent, held ▶ opted out     what it had promised is planned again
    from an instant on    held, until then ▶ restoring        what it would give afterwards is not counted on
    of a part             held, to no less than it keeps      and counted for so much less, at once
    of what was not       ▶ opted out: it is not called
    called

An opt-out stands, and the one that says more counts: in whatever order they come, however often.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from tieline import metrics
from tieline.base.time import iso
from tieline.dispatch import reads, store
from tieline.dispatch.entering import move, stir, tell
from tieline.dispatch.metered import RETURNED
from tieline.dispatch.model import HELD, OPEN, UNDECIDED, WANTED, Event, LedgerRow, RowState
from tieline.ports import Transaction
from tieline.wires.mqtt.messages import Answer, OptOut

LONGEST_CAUSE = 400
UNSAID = "opted out by its owner"


def opt_out(tx: Transaction, event_id: str, ven_id: str, opt_outs: Sequence[OptOut], now: datetime) -> bool:
    """Also of loads that were not called. Whether that changed anything: it does once, and not in an event that is
    over. Raises `NotFound`."""
    event = reads.the_event(tx, event_id)
    if event.state not in OPEN:
        return False
    known = {row.resource_id for row in reads.rows_of(tx, event_id, ven_id)}
    changed = _enter(tx, event, ven_id, opt_outs, now)
    uncalled = {out.resource_id: out for out in opt_outs if out.resource_id and out.limit_kw is None}
    rows = [_uncalled(event, ven_id, load, uncalled[load], now) for load in sorted(uncalled.keys() - known)]
    for row in rows:
        store.add_row(tx, row)
    metrics.LEDGER.labels(RowState.OPTED_OUT).inc(len(rows))
    if changed or rows:
        tell(tx, event_id, "progress")
    return changed or bool(rows)


def opt_out_of_called(tx: Transaction, event_id: str, ven_id: str, opt_outs: Sequence[OptOut], now: datetime) -> bool:
    """The same of loads that were called; any other is none of ours. Nothing is told yet."""
    event = reads.the_event(tx, event_id)
    return event.state in OPEN and _enter(tx, event, ven_id, opt_outs, now)


def leave(tx: Transaction, event: Event, now: datetime) -> None:
    """Those whose instant has come are given back; others are called for them."""
    gone: Any = {"where": store.opted_out_by(now), "restoring_at": now, "restored_at": None}
    if move(tx, event.event_id, None, [RowState.SENT, *HELD], RowState.RESTORING, now, **gone):
        stir(tx, event.event_id, now)
        tell(tx, event.event_id, "progress")


def _enter(tx: Transaction, event: Event, ven_id: str, opt_outs: Sequence[OptOut], now: datetime) -> bool:
    """Of each load what they come to, once: a device may say as much as a message takes."""
    changed = False
    for row in reads.rows_of(tx, event.event_id, ven_id):
        concerned = [out for out in opt_outs if out.resource_id in (None, row.resource_id)]
        most = max(((out.limit_kw, out) for out in concerned if out.limit_kw is not None), key=_first, default=None)
        if most is not None:
            changed |= _give_less(tx, row, *most, now)
        soonest = min(
            ((out.from_at or now, out) for out in concerned if out.limit_kw is None), key=_first, default=None
        )
        if soonest is not None:
            changed |= _leave_from(tx, event, row, *soonest, now)
    if changed:
        stir(tx, event.event_id, now)
    return changed


_first = itemgetter(0)


def _leave_from(tx: Transaction, event: Event, row: LedgerRow, from_at: datetime, out: OptOut, now: datetime) -> bool:
    """Whether that changed the row."""
    if from_at <= max(now, event.start_at):
        return _opt_out_at_once(tx, row, out, now)
    if row.opted_out_from_at is not None and row.opted_out_from_at <= from_at:
        return False
    cause = f"opted out from {iso(from_at)} on: {_said(out)}"
    return _set(tx, row, (*WANTED, *RETURNED), now, cause=cause, opted_out_from_at=from_at)


def _opt_out_at_once(tx: Transaction, row: LedgerRow, out: OptOut, now: datetime) -> bool:
    where = store.of_loads([row.resource_id])
    said: Any = {"answer": Answer.OPTED_OUT, "opted_out_from_at": now}
    gone: Any = {"where": where, "cause": _said(out)[:LONGEST_CAUSE], **said}
    lost = move(tx, row.event_id, [row.ven_id], UNDECIDED, RowState.OPTED_OUT, now, acked_at=now, **gone)
    lost += move(tx, row.event_id, [row.ven_id], HELD, RowState.OPTED_OUT, now, **gone)
    if row.opted_out_from_at is None:
        store.set_rows(tx, row.event_id, [row.ven_id], [*RETURNED], where=where, **said)
    return lost > 0


def _give_less(tx: Transaction, row: LedgerRow, limit_kw: float, out: OptOut, now: datetime) -> bool:
    """From now on, whenever it begins: less is never missed."""
    if limit_kw <= row.limit_kw:
        return False
    planned_kw = round(max(0.0, min(row.planned_kw, row.reference_kw - limit_kw)), 4)
    cause = f"gives less, held to {limit_kw:g} kW: {_said(out)}"
    return _set(tx, row, WANTED, now, cause=cause, limit_kw=limit_kw, planned_kw=planned_kw)


def _set(
    tx: Transaction, row: LedgerRow, states: Iterable[RowState], now: datetime, *, cause: str, **values: Any
) -> bool:
    """It stays in its state; its history tells why it is no longer as it was."""
    if row.state not in states:
        return False
    where, said = store.of_loads([row.resource_id]), {"cause": cause[:LONGEST_CAUSE], **values}
    store.move_rows(tx, row.event_id, [row.ven_id], [row.state], row.state, now, where=where, **said)
    return True


def _uncalled(event: Event, ven_id: str, load: str, out: OptOut, now: datetime) -> LedgerRow:
    """Of a load that was not called, and is not to be, from whenever it opts out: nothing is held, nothing to be given
    back."""
    return LedgerRow(
        event_id=event.event_id,
        ven_id=ven_id,
        resource_id=load,
        state=RowState.OPTED_OUT,
        planned_kw=0.0,
        cause=_said(out)[:LONGEST_CAUSE],
        planned_at=now,
        answer=Answer.OPTED_OUT,
        acked_at=now,
        opted_out_from_at=out.from_at or now,
    )


def _said(out: OptOut) -> str:
    return out.reason.replace("\x00", "\ufffd") or UNSAID  # PostgreSQL takes no NUL in text
