"""The verbs of dispatch: an operator's, and the transitions of an event; each tells its news when it commits."""

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from tieline import metrics
from tieline.base.errors import Conflict, NotFound
from tieline.base.time import Clock
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
    NewEvent,
    NewProgram,
    Policy,
    Program,
    RowState,
)
from tieline.dispatch.planning import Headroom, plan
from tieline.ports import Rows, Transaction
from tieline.wires.mqtt.messages import Ack, Answer, Op

UNDECIDED = (RowState.PLANNED, RowState.SENT)
ANSWERED = {
    Answer.ACCEPTED: RowState.ACKED,
    Answer.OPTED_OUT: RowState.OPTED_OUT,
    Answer.REFUSED: RowState.REFUSED,
    Answer.EXPIRED: RowState.EXPIRED,
}


# --- an operator's verbs ----------------------------------------------------------------------------------------------


async def add_program(rows: Rows, clock: Clock, new: NewProgram) -> Program:
    """Raises `Conflict` when there is a program of that id."""
    now = clock.now()

    def work(tx: Transaction) -> Program:
        if reads.find_program(tx, new.program_id) is not None:
            raise Conflict(f"program {new.program_id} exists already")
        store.add_program(tx, new, now)
        return Program(new.program_id, new.name, now)

    return await rows.transaction(work)


async def publish(rows: Rows, clock: Clock, new: NewEvent) -> EventView:
    """Call an event. Raises `Refused` for its window, `NotFound` for its program, `Conflict` for its id."""
    now = clock.now()
    new.check(now)
    event_id = new.event_id or f"{new.start_at:%Y%m%d-%H%M}-{secrets.token_hex(3)}"

    def work(tx: Transaction) -> EventView:
        if reads.find_program(tx, new.program_id) is None:
            raise NotFound(f"there is no program {new.program_id!r}: create it first (POST /v1/programs)")
        if reads.find_event(tx, event_id) is not None:
            raise Conflict(f"event {event_id} exists already")
        state = EventState.SCHEDULED
        store.add_event(
            tx, Event(event_id, new.program_id, new.start_at, new.end_at, new.target_kw, state, created_at=now)
        )
        return tell(tx, event_id, "published")

    return await rows.transaction(work)


async def cancel(rows: Rows, clock: Clock, event_id: str) -> EventView:
    """Stop an event; whatever it holds is given back. Cancelling twice is the same. Raises `Conflict` once it ended."""
    now = clock.now()

    def work(tx: Transaction) -> EventView:
        event = reads.the_event(tx, event_id)
        if event.state is EventState.ENDED:
            raise Conflict(f"event {event_id} has ended already; there is nothing to stop")
        if event.state in OPEN:
            close(tx, event, EventState.CANCELLED, now)
        return reads.the_view(tx, event_id)

    return await rows.transaction(work)


# --- the transitions of an event --------------------------------------------------------------------------------------


def tell(tx: Transaction, event_id: str, what: str) -> EventView:
    """Say on the Log how the event now stands."""
    view = reads.the_view(tx, event_id)
    tx.say(f"news.event.{what}", msgspec.json.encode(view))
    return view


def choose(tx: Transaction, event: Event, headroom: Sequence[Headroom], now: datetime, reserve: float = 0.0) -> None:
    """Plan the event over the headroom, once, with a reserve; loads held by another event are not called."""
    current = reads.the_event(tx, event.event_id)
    if current.planned_at is not None or current.state not in OPEN:
        return
    held = reads.held_loads(tx)
    chosen = plan(
        Kilowatts(event.target_kw * (1 + reserve)), [h for h in headroom if (h.ven_id, h.resource_id) not in held]
    )
    _add(tx, event, chosen, "", now)
    store.set_event(tx, event.event_id, planned_at=now)
    tell(tx, event.event_id, "planned")


def choose_again(tx: Transaction, event: Event, headroom: Sequence[Headroom], now: datetime) -> None:
    """Once, after the time to answer: what is not accepted of the target, from VENs that were not asked yet."""
    current = reads.the_event(tx, event.event_id)
    if current.replanned_at is not None or current.state not in OPEN:
        return
    ledger, held = reads.ledger_of(tx, event.event_id), reads.held_loads(tx)
    missing = event.target_kw - sum(row.planned_kw for row in ledger if row.answer == Answer.ACCEPTED)
    asked = {row.ven_id for row in ledger}
    free = [h for h in headroom if h.ven_id not in asked and (h.ven_id, h.resource_id) not in held]
    chosen = plan(Kilowatts(missing), free) if missing > 0 else []
    _add(tx, event, chosen, f"planned again: {missing:.1f} kW of the target were not accepted", now)
    store.set_event(tx, event.event_id, replanned_at=now)
    if chosen:
        tell(tx, event.event_id, "replanned")


def _add(tx: Transaction, event: Event, chosen: Iterable[Headroom], cause: str, now: datetime) -> None:
    rows = [
        LedgerRow(event.event_id, h.ven_id, h.resource_id, RowState.PLANNED, round(h.kw, 4), cause, planned_at=now)
        for h in chosen
    ]
    store.add_rows(tx, rows)
    metrics.LEDGER.labels(RowState.PLANNED).inc(len(rows))


def begin(tx: Transaction, event: Event, now: datetime) -> None:
    """The event's start has come."""
    if reads.the_event(tx, event.event_id).state is EventState.SCHEDULED:
        store.set_event(tx, event.event_id, state=EventState.ACTIVE, started_at=now)
        tell(tx, event.event_id, "started")


def act(tx: Transaction, event: Event, vens: Iterable[str], now: datetime) -> None:
    """What was accepted is acted on from the event's start."""
    _move(tx, event.event_id, vens, [RowState.ACKED], RowState.ACTING, acting_at=now)
    tell(tx, event.event_id, "progress")


def close(tx: Transaction, event: Event, state: EventState, now: datetime) -> None:
    """End or cancel: what was sent to a VEN must be given back, whatever it answered; the rest never was."""
    if reads.the_event(tx, event.event_id).state in CLOSED:
        return
    ledger = reads.ledger_of(tx, event.event_id)
    store.set_event(tx, event.event_id, state=state, ended_at=now)
    unsent = {row.ven_id for row in ledger if row.state is RowState.PLANNED}
    sent = {row.ven_id for row in ledger if row.sent_at is not None}
    silent = {row.ven_id for row in ledger if row.state is RowState.SENT}
    _move(tx, event.event_id, unsent, [RowState.PLANNED], RowState.RESTORED, restored_at=now, cause="never sent")
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
    rows = reads.rows_of(tx, event_id, ven_id)
    if not any(row.sent_at for row in rows):
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
    cause = reason or ("answered late" if late else rows[0].cause)
    values = {"answer": ack.answer, "acked_at": now, "cause": cause}
    _move(tx, event_id, [ven_id], UNDECIDED, ANSWERED[ack.answer], **values)
    store.set_rows(tx, event_id, [ven_id], [RowState.RESTORING], answer=ack.answer, acked_at=now)


def _move(
    tx: Transaction, event_id: str, vens: Iterable[str], states: Iterable[RowState], to: RowState, **values: object
) -> None:
    moved = store.set_rows(tx, event_id, vens, states, state=to, **values)
    metrics.LEDGER.labels(to).inc(moved)
