"""The transitions of an event and its ledger, each within a transaction; its news is told when it commits."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from tieline import metrics
from tieline.base.errors import NotFound
from tieline.base.units import Kilowatts
from tieline.dispatch import reads, store
from tieline.dispatch.model import (
    CLOSED,
    DECLINED,
    OPEN,
    Event,
    EventState,
    EventView,
    LedgerRow,
    Policy,
    RowState,
)
from tieline.dispatch.planning import Headroom, plan
from tieline.ports import Transaction
from tieline.wires.mqtt.messages import Ack, Answer, Op

UNDECIDED = (RowState.PLANNED, RowState.SENT)
LONGEST_CAUSE = 400
ANSWERED = {
    Answer.ACCEPTED: RowState.ACKED,
    Answer.OPTED_OUT: RowState.OPTED_OUT,
    Answer.REFUSED: RowState.REFUSED,
    Answer.EXPIRED: RowState.EXPIRED,
}


# --- the transitions of an event --------------------------------------------------------------------------------------


def tell(tx: Transaction, event_id: str, what: str) -> EventView:
    """Say on the Log how the event now stands."""
    view = reads.the_view(tx, event_id)
    tx.say(f"news.event.{what}", msgspec.json.encode(view))
    return view


def _was_changed(current: Event, event: Event) -> bool:
    """Since somebody looked at it: the next look decides by what it is now."""
    return current.modified_at != event.modified_at


def choose(tx: Transaction, event: Event, headroom: Sequence[Headroom], now: datetime, reserve: float = 0.0) -> None:
    """Plan the event over the headroom, once, with a reserve; loads held by another event are not called, nor those
    that opted out of this one already."""
    current = reads.the_event(tx, event.event_id)
    if current.planned_at is not None or current.state not in OPEN or _was_changed(current, event):
        return
    gone = reads.held_loads(tx) | {(row.ven_id, row.resource_id) for row in reads.ledger_of(tx, event.event_id)}
    chosen = plan(
        Kilowatts(event.target_kw * (1 + reserve)), [h for h in headroom if (h.ven_id, h.resource_id) not in gone]
    )
    _add(tx, event, chosen, "", now)
    store.set_event(tx, event.event_id, planned_at=now)
    tell(tx, event.event_id, "planned")


def choose_again(tx: Transaction, event: Event, headroom: Sequence[Headroom], now: datetime) -> None:
    """After the time to answer, once, and again when loads opt out later: what is not accepted of the target, and not
    asked of others since, from VENs that were not asked yet."""
    current = reads.the_event(tx, event.event_id)
    if current.replanned_at is not None or current.state not in OPEN:
        return
    ledger, held = reads.ledger_of(tx, event.event_id), reads.held_loads(tx)
    missing = event.target_kw - sum(row.planned_kw for row in ledger if _promised(row, current))
    asked = {row.ven_id for row in ledger}
    free = [h for h in headroom if h.ven_id not in asked and (h.ven_id, h.resource_id) not in held]
    chosen = plan(Kilowatts(missing), free) if missing > 0 else []
    _add(tx, event, chosen, f"planned again: {missing:.1f} kW of the target were not accepted", now)
    store.set_event(tx, event.event_id, replanned_at=now)
    if chosen:
        tell(tx, event.event_id, "replanned")


def _promised(row: LedgerRow, event: Event) -> bool:
    """Accepted, or asked of a VEN that was called for others' sake and has not answered yet."""
    later = event.planned_at is not None and row.planned_at > event.planned_at
    return row.answer == Answer.ACCEPTED or (later and row.state in UNDECIDED)


def _add(tx: Transaction, event: Event, chosen: Iterable[Headroom], cause: str, now: datetime) -> None:
    rows = [
        LedgerRow(event.event_id, h.ven_id, h.resource_id, RowState.PLANNED, round(h.kw, 4), cause, planned_at=now)
        for h in chosen
    ]
    store.add_rows(tx, rows)
    metrics.LEDGER.labels(RowState.PLANNED).inc(len(rows))


def begin(tx: Transaction, event: Event, now: datetime) -> None:
    """The event's start has come."""
    current = reads.the_event(tx, event.event_id)
    if current.state is EventState.SCHEDULED and not _was_changed(current, event):
        store.set_event(tx, event.event_id, state=EventState.ACTIVE, started_at=now)
        tell(tx, event.event_id, "started")


def act(tx: Transaction, event: Event, vens: Iterable[str], now: datetime) -> None:
    """What was accepted is acted on from the event's start."""
    _move(tx, event.event_id, vens, [RowState.ACKED], RowState.ACTING, acting_at=now)
    tell(tx, event.event_id, "progress")


def close(tx: Transaction, event: Event, state: EventState, now: datetime) -> None:
    """End or cancel: what was sent to a VEN must be given back, whatever it answered; the rest never was."""
    current = reads.the_event(tx, event.event_id)
    if current.state in CLOSED or (state is EventState.ENDED and _was_changed(current, event)):
        return
    ledger = reads.ledger_of(tx, event.event_id)
    store.set_event(tx, event.event_id, state=state, ended_at=now)
    unsent = {row.ven_id for row in ledger if row.state is RowState.PLANNED}
    sent = {row.ven_id for row in ledger if row.sent_at is not None}
    silent = {row.ven_id for row in ledger if row.state is RowState.SENT}
    out = {row.ven_id for row in ledger if row.state is RowState.OPTED_OUT}
    _move(tx, event.event_id, unsent, [RowState.PLANNED], RowState.RESTORED, restored_at=now, cause="never sent")
    never = store.NEVER_SENT
    _move(tx, event.event_id, out, [RowState.OPTED_OUT], RowState.RESTORED, where=never, restored_at=now)
    store.set_rows(tx, event.event_id, silent, [RowState.SENT], cause="no answer before the event ended")
    waiting = [RowState.SENT, RowState.ACKED, RowState.ACTING, *DECLINED]
    _move(tx, event.event_id, sent, waiting, RowState.RESTORING, restoring_at=now, last_send_at=None)
    tell(tx, event.event_id, str(state))


def due(ledger: Iterable[LedgerRow], again: datetime) -> list[LedgerRow]:
    """The rows to say something about: never said, or said before `again` and still without an answer."""
    unanswered = [row for row in ledger if row.state in UNDECIDED or row.state is RowState.RESTORING]
    return [row for row in unanswered if row.last_send_at is None or row.last_send_at <= again]


def send(tx: Transaction, event: Event, now: datetime, again: datetime) -> list[LedgerRow]:
    """Enter what is about to be said, and give it back: every row of each VEN to speak to, as this transaction leaves
    it, so that an event stopped a moment ago is not called. Written before it is spoken: after a crash in between it
    is said again."""
    vens = {row.ven_id for row in due(reads.ledger_of(tx, event.event_id), again)}
    store.set_rows(tx, event.event_id, vens, [RowState.SENT, RowState.RESTORING], last_send_at=now)
    _move(tx, event.event_id, vens, [RowState.PLANNED], RowState.SENT, sent_at=now, last_send_at=now)
    return [row for row in reads.ledger_of(tx, event.event_id) if row.ven_id in vens]


def give_up(tx: Transaction, event: Event, vens: Iterable[str], declined: Iterable[str], now: datetime) -> None:
    """No answer to the restore for too long: somebody must look, unless nothing was held."""
    held_nothing = "gave no answer to the restore, but had declined: nothing was held"
    _move(tx, event.event_id, declined, [RowState.RESTORING], RowState.RESTORED, restored_at=now, cause=held_nothing)
    cause = "no answer to the restore: look at this VEN"
    _move(tx, event.event_id, vens, [RowState.RESTORING], RowState.ESCALATED, cause=cause)
    tell(tx, event.event_id, "escalated")


def hear(tx: Transaction, event_id: str, ven_id: str, op: Op, ack: Ack, now: datetime, policy: Policy) -> None:
    """Enter one answer. Raises `NotFound` for an answer to what was never sent."""
    rows = [row for row in reads.rows_of(tx, event_id, ven_id) if row.sent_at]
    if not rows:
        raise NotFound(f"VEN {ven_id} was sent no command {ack.command_id}")
    reason = ack.reason[:300].replace("\x00", "\ufffd")  # PostgreSQL takes no NUL in text
    if op is Op.RESTORE:
        returned = [RowState.RESTORING, RowState.ESCALATED]
        if ack.answer is Answer.ACCEPTED:
            _move(tx, event_id, [ven_id], returned, RowState.RESTORED, restored_at=now)
        else:  # it may still hold: the restore is said again, and escalated when nothing helps
            store.set_rows(tx, event_id, [ven_id], returned, cause=f"did not restore: {ack.answer} {reason}".strip())
        return
    sent_at = rows[0].sent_at or now
    metrics.ACK_SECONDS.observe((now - sent_at).total_seconds())
    late = now - sent_at > timedelta(seconds=policy.ack_s)
    cause = reason or ("answered late" if late else next((row.cause for row in rows if row.state in UNDECIDED), ""))
    values: dict[str, Any] = {"answer": ack.answer, "acked_at": now, "cause": cause}
    _move(tx, event_id, [ven_id], UNDECIDED, ANSWERED[ack.answer], **values)
    store.set_rows(tx, event_id, [ven_id], [RowState.RESTORING], answer=ack.answer, acked_at=now)


def opt_out(tx: Transaction, event_id: str, ven_id: str, loads: Collection[str], cause: str, now: datetime) -> bool:
    """These loads of a VEN take no part, whether they were called or not; what they had promised is planned again.
    Whether that changed anything: it does once, and not in an event that is over. Raises `NotFound`."""
    event = reads.the_event(tx, event_id)
    if event.state not in OPEN:
        return False
    known = {row.resource_id for row in reads.rows_of(tx, event_id, ven_id)}
    gone: Any = {"where": store.of_loads(loads), "answer": Answer.OPTED_OUT, "cause": cause[:LONGEST_CAUSE]}
    lost = _move(tx, event_id, [ven_id], UNDECIDED, RowState.OPTED_OUT, acked_at=now, **gone)
    lost += _move(tx, event_id, [ven_id], [RowState.ACKED, RowState.ACTING], RowState.OPTED_OUT, **gone)
    if lost:
        store.set_event(tx, event_id, replanned_at=None)
    uncalled = [_uncalled(event_id, ven_id, one, cause, now) for one in sorted(set(loads) - known)]
    store.add_rows(tx, uncalled)
    metrics.LEDGER.labels(RowState.OPTED_OUT).inc(len(uncalled))
    if changed := lost > 0 or len(uncalled) > 0:
        tell(tx, event_id, "progress")
    return changed


def _uncalled(event_id: str, ven_id: str, load: str, cause: str, now: datetime) -> LedgerRow:
    """Of a load that opted out of an event for which it was not called: nothing is held, nothing to be given back."""
    return LedgerRow(
        event_id, ven_id, load, RowState.OPTED_OUT, 0.0, cause[:LONGEST_CAUSE], now, Answer.OPTED_OUT, acked_at=now
    )


def _move(
    tx: Transaction,
    event_id: str,
    vens: Iterable[str],
    states: Iterable[RowState],
    to: RowState,
    *,
    where: sa.ColumnElement[bool] | None = None,
    **values: object,
) -> int:
    """How many rows were moved."""
    moved = store.set_rows(tx, event_id, vens, states, where=where, state=to, **values)
    metrics.LEDGER.labels(to).inc(moved)
    return moved
