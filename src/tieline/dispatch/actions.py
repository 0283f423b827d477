"""The transitions of an event and its ledger, each within a transaction; its news is told when it commits."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from tieline import metrics
from tieline.dispatch import reads, store
from tieline.dispatch.calling import next_call
from tieline.dispatch.entering import move, tell
from tieline.dispatch.hearing import hear, hear_many
from tieline.dispatch.holding import Decision, Look
from tieline.dispatch.metered import Load
from tieline.dispatch.model import (
    CLOSED,
    DECLINED,
    HELD,
    OPEN,
    Event,
    EventState,
    LedgerRow,
    RowState,
    VenCall,
)
from tieline.dispatch.opting import leave, opt_out
from tieline.dispatch.store import Vens
from tieline.dispatch.told import Ahead, PlanTold, packed
from tieline.ports import Transaction

__all__ = [
    "act", "begin", "close", "give_back", "give_up", "hear", "hear_many", "hold", "leave", "look_ahead", "opt_out",
    "put_off", "send", "tell",
]  # fmt: skip
PLANS_KEPT = 10
"""So many of the newest plans of an event keep the reason of every load."""
AHEAD = "ahead"
"""The method of a plan that calls nobody yet."""
NOTICED_KW = 0.05
"""A smaller change of what a load is seen to give up is not written down."""


def _was_changed(current: Event, event: Event) -> bool:
    """Since somebody looked at it: the next look decides by what it is now."""
    return current.modified_at != event.modified_at


# --- holding the target -----------------------------------------------------------------------------------------------


def hold(tx: Transaction, event: Event, look: Look) -> bool:
    """Enter what a look found and decided. Whether it still counted: not where the event was changed, or somebody else
    looked, in between."""
    current = reads.the_event(tx, event.event_id)
    if current.state not in OPEN or _was_changed(current, event) or current.looked_at != event.looked_at:
        return False
    _see(tx, event, look)
    decided = look.decision
    if decided.released:
        _release(tx, event.event_id, decided.released, look.seen.at)
    if decided.called:
        _call(tx, event, decided, look.seen.at)
    first = current.planned_at is None
    store.set_event(tx, event.event_id, looked_at=look.seen.at, **({"planned_at": look.seen.at} if first else {}))
    if first or decided.called or decided.released:
        _tell_plan(tx, event, look)
    if look.seen.at >= event.start_at:
        store.put_delivery(tx, event.event_id, look.seen)
    tell(tx, event.event_id, "planned" if first else "replanned" if decided.called else "progress")
    return True


def _see(tx: Transaction, event: Event, look: Look) -> None:
    """What the readings show of the rows."""
    shown = [one.row for one in look.given if one.shown and one.row.state is RowState.ACTING]
    for resource_id, vens in _by_resource((row.ven_id, row.resource_id) for row in shown).items():
        where = store.of_loads([resource_id])
        move(
            tx,
            event.event_id,
            vens,
            [RowState.ACTING],
            RowState.METERED,
            look.seen.at,
            where=where,
            metered_at=look.seen.at,
        )
    seen = {(one.row.ven_id, one.row.resource_id): round(one.kw, 3) for one in look.given if _is_news(one.row, one.kw)}
    store.set_delivered(tx, event.event_id, seen)


def _is_news(row: LedgerRow, kw: float) -> bool:
    return row.delivered_kw is None or abs(row.delivered_kw - kw) >= NOTICED_KW


def _release(tx: Transaction, event_id: str, loads: Iterable[Load], now: datetime) -> None:
    for resource_id, vens in _by_resource(loads).items():
        gone: Any = {"where": store.of_loads([resource_id]), "restoring_at": now, "restored_at": None}
        cause = "released: more was held than asked"
        move(tx, event_id, vens, HELD, RowState.RESTORING, now, cause=cause, **gone)


def _by_resource(loads: Iterable[Load]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for ven_id, resource_id in loads:
        found[resource_id].append(ven_id)
    return found


def _call(tx: Transaction, event: Event, decided: Decision, now: datetime) -> None:
    """Those that another transaction took in between, or whose owner opted out, are left to the next look."""
    taken = reads.held_loads(tx) | reads.opted_out_loads(tx, event.event_id)
    free = (one for one in decided.called if (one.ven_id, one.resource_id) not in taken)
    planned = store.plan_rows(tx, event.event_id, map(msgspec.structs.asdict, free), now)
    metrics.LEDGER.labels(RowState.PLANNED).inc(planned)


def _tell_plan(tx: Transaction, event: Event, look: Look) -> None:
    made, decided = look.decision.plan, look.decision
    told = PlanTold(
        at=look.seen.at,
        target_kw=look.seen.target_kw,
        expected_kw=look.seen.expected_kw,
        headroom_kw=look.seen.headroom_kw,
        called_kw=made.kw if made else 0.0,
        called=len(decided.called),
        released=len(decided.released),
        cost=made.cost if made else 0.0,
        gap=made.gap if made else 0.0,
        method=str(made.method) if made else "release",
        ahead=list(look.ahead),
    )
    store.add_plan(tx, event.event_id, told, packed(decided.explained), keep=PLANS_KEPT)


def look_ahead(tx: Transaction, event: Event, coming: Sequence[Ahead], now: datetime) -> None:
    """Tell what an event can count on that lies ahead; nobody is called yet. Not where it was changed, or planned, in
    between, or this was told since it was last changed."""
    current, told = reads.the_event(tx, event.event_id), reads.plans_of(tx, event.event_id, 1)
    if _was_changed(current, event) or current.planned_at is not None or (told and told[0].at >= event.modified_at):
        return
    headroom_kw = min(one.headroom_kw for one in coming)
    made = PlanTold(now, event.target_kw, 0.0, headroom_kw, 0.0, 0, 0, 0.0, 0.0, AHEAD, ahead=list(coming))
    store.add_plan(tx, event.event_id, made, packed(()), keep=PLANS_KEPT)


# --- the transitions of an event --------------------------------------------------------------------------------------


def begin(tx: Transaction, event: Event, now: datetime) -> None:
    """The event's start has come."""
    current = reads.the_event(tx, event.event_id)
    if current.state is EventState.SCHEDULED and not _was_changed(current, event):
        store.set_event(tx, event.event_id, state=EventState.ACTIVE, started_at=now)
        tell(tx, event.event_id, "started")


def act(tx: Transaction, event: Event, now: datetime) -> None:
    """What was accepted is acted on from the event's start."""
    if move(tx, event.event_id, None, [RowState.ACKED], RowState.ACTING, now, acting_at=now):
        tell(tx, event.event_id, "progress")


def close(tx: Transaction, event: Event, state: EventState, now: datetime) -> None:
    """End or cancel: what was sent to a VEN must be given back, whatever it answered; the rest never was. Of an event
    that ended by its clock, those whose return was put off go on until then."""
    current, event_id = reads.the_event(tx, event.event_id), event.event_id
    if current.state in CLOSED or (state is EventState.ENDED and _was_changed(current, event)):
        return
    store.set_event(tx, event_id, state=state, ended_at=now)
    never: Any = {"where": store.NEVER_SENT, "restored_at": now}
    move(tx, event_id, None, [RowState.PLANNED], RowState.RESTORED, now, restored_at=now, cause="never sent")
    move(tx, event_id, None, [RowState.OPTED_OUT], RowState.RESTORED, now, **never)
    store.set_rows(tx, event_id, None, [RowState.SENT], cause="no answer before the event ended")
    over = [RowState.SENT, *DECLINED, *(HELD if state is EventState.CANCELLED else ())]
    move(tx, event_id, None, over, RowState.RESTORING, now, restoring_at=now)
    _give_back(tx, event_id, now)
    tell(tx, event_id, str(state))


def give_back(tx: Transaction, event: Event, now: datetime) -> None:
    """Of an event that is over, whose return was put off until now."""
    current = reads.the_event(tx, event.event_id)
    if current.state in CLOSED and _give_back(tx, event.event_id, now):
        tell(tx, event.event_id, "progress")


def _give_back(tx: Transaction, event_id: str, now: datetime) -> int:
    back = store.returning_by(event_id, now)
    return move(tx, event_id, None, HELD, RowState.RESTORING, now, where=back, restoring_at=now)


def put_off(tx: Transaction, event: Event, return_at: Mapping[str, datetime], now: datetime) -> None:
    """When the VENs come back, of those that do so later than the event ends; the others when it does."""
    current = reads.the_event(tx, event.event_id)
    if current.state in OPEN and not _was_changed(current, event) and current.returning_at is None:
        store.set_event(tx, event.event_id, returning_at=now)
        store.set_returns(tx, event.event_id, return_at)


# --- commands ---------------------------------------------------------------------------------------------------------


def send(tx: Transaction, event: Event, vens: Vens, now: datetime, again: datetime) -> list[VenCall]:
    """Enter what is about to be said to these VENs, and give it back, as this transaction leaves it, so that an event
    stopped a moment ago is not called. Written before it is spoken: after a crash in between it is said again."""
    asked = reads.asked(tx, event.event_id, vens, again)
    last = reads.last_calls(tx, event.event_id, vens, again)
    current = reads.the_event(tx, event.event_id)  # changed since, those told before were told anew
    found = [next_call(current, ven_id, last.get(ven_id), rows, now, again) for ven_id, rows in asked.items()]
    said = [call for call in found if call is not None]
    store.put_calls(tx, said)
    if last:
        told: Any = {"where": store.told_at(event.event_id, vens, now), "last_send_at": now}
        store.set_rows(tx, event.event_id, None, [RowState.SENT, RowState.RESTORING], **told)
    # Of who is planned each was told: a plan is always news.
    new: Any = {"where": store.among(vens), "sent_at": now, "last_send_at": now}
    move(tx, event.event_id, None, [RowState.PLANNED], RowState.SENT, now, **new)
    return said


def give_up(tx: Transaction, event: Event, since: datetime, now: datetime) -> int:
    """No answer to the restore since then: somebody must look, unless nothing was held. How many are escalated."""
    old = store.restoring_by(since)
    held_nothing = "gave no answer to the restore, but had declined: nothing was held"
    done: Any = {"where": sa.and_(old, store.HELD_NOTHING), "restored_at": now, "cause": held_nothing}
    moved = move(tx, event.event_id, None, [RowState.RESTORING], RowState.RESTORED, now, **done)
    look: Any = {"where": old, "escalated_at": now, "cause": "no answer to the restore: look at this VEN"}
    escalated = move(tx, event.event_id, None, [RowState.RESTORING], RowState.ESCALATED, now, **look)
    if moved or escalated:
        tell(tx, event.event_id, "escalated")
    return escalated
