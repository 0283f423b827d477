"""The answers of VENs, entered in the ledger: many at once, each counted once, none of an older command over a newer.

answer to             accepted              opted out               refused, expired        an older command
event n               sent ▶ acked          all of it ▶ opted out   sent ▶ refused, …       noted where it matters
(given back by it)    restoring ▶ restored  restoring ▶ restored    said again, anew        —
restore n             restoring ▶ restored  said again, anew        said again, anew        —

What an accepting answer opts out of in part, or from an instant on, is entered by `opting`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from tieline import metrics
from tieline.base.errors import NotFound
from tieline.dispatch import reads, store
from tieline.dispatch.entering import move, stir
from tieline.dispatch.model import CLOSED, HELD, Policy, RowState, VenCall, number_of
from tieline.dispatch.opting import opt_out_of_called
from tieline.ports import Transaction
from tieline.wires.mqtt.messages import Ack, Answer, Op, OptOut

ANSWERED = {
    Answer.ACCEPTED: RowState.ACKED,
    Answer.OPTED_OUT: RowState.OPTED_OUT,
    Answer.REFUSED: RowState.REFUSED,
    Answer.EXPIRED: RowState.EXPIRED,
}
RETURNING = (RowState.RESTORING, RowState.ESCALATED)
GAVE_BACK = (Answer.ACCEPTED, Answer.OPTED_OUT)
LATE = "answered late"


class _Effect(NamedTuple):
    """What VENs that said the same have in common."""

    op: Op
    answer: Answer
    cause: str


def hear(tx: Transaction, event_id: str, ven_id: str, op: Op, ack: Ack, now: datetime, policy: Policy) -> None:
    """Enter one answer. Raises `NotFound` for an answer to what was never sent."""
    for refused in hear_many(tx, event_id, [(ven_id, op, ack)], now, policy):
        raise refused[1]


def hear_many(
    tx: Transaction, event_id: str, answers: Sequence[tuple[str, Op, Ack]], now: datetime, policy: Policy
) -> list[tuple[Ack, NotFound]]:
    """Enter answers to one event's commands, (VEN, operation, answer), in their order; gives back those to what was
    never sent, with the reason."""
    calls = reads.calls_to(tx, event_id, {ven_id for ven_id, _, _ in answers})
    effects: dict[_Effect, list[str]] = defaultdict(list)
    old: dict[Answer, list[str]] = defaultdict(list)
    parts: dict[str, list[OptOut]] = defaultdict(list)
    unknown: list[tuple[Ack, NotFound]] = []
    for ven_id, op, ack in answers:
        call, n = calls.get(ven_id), number_of(ack.command_id)
        if call is None or n > call.n or (n == call.n and op is not call.op):
            unknown.append((ack, NotFound(f"VEN {ven_id} was sent no command {ack.command_id}")))
            continue
        if ack.opt_outs and op is Op.EVENT and ack.answer is Answer.ACCEPTED:
            parts[ven_id] += ack.opt_outs
        if n < call.n:
            old[ack.answer].append(ven_id)
        elif _counts(call, ack):
            calls[ven_id] = _answered(call, ack, now)
            effects[_Effect(op, ack.answer, _cause(call, ack, now, policy))].append(ven_id)
    for effect, vens in effects.items():
        _enter(tx, event_id, effect, {ven_id: calls[ven_id] for ven_id in vens}, now)
    for answer, vens in old.items():
        _note(tx, event_id, answer, vens, now)
    for ven_id, opt_outs in parts.items():
        opt_out_of_called(tx, event_id, ven_id, opt_outs, now)
    return unknown


def _counts(call: VenCall, ack: Ack) -> bool:
    """The first answer does; of an accepted event a later opt-out, which stands: the owner changed his mind. What was
    refused, or was too late, may still be done."""
    if call.answer is None or call.answer is ack.answer:
        return call.answer is None
    if call.op is Op.EVENT and Answer.OPTED_OUT in (call.answer, ack.answer):
        return ack.answer is Answer.OPTED_OUT
    return call.answer is not Answer.ACCEPTED


def _answered(call: VenCall, ack: Ack, now: datetime) -> VenCall:
    metrics.ACK_SECONDS.observe(max(0.0, (now - call.issued_at).total_seconds()))
    return msgspec.structs.replace(call, answer=ack.answer, answered_at=now)


def _cause(call: VenCall, ack: Ack, now: datetime, policy: Policy) -> str:
    reason = ack.reason[:300].replace("\x00", "\ufffd")  # PostgreSQL takes no NUL in text
    if call.op is Op.RESTORE and ack.answer is not Answer.ACCEPTED:
        return f"did not restore: {ack.answer} {reason}".strip()
    late = call.op is Op.EVENT and now - call.issued_at > timedelta(seconds=policy.ack_s)
    return reason or (LATE if late else "")


def _enter(tx: Transaction, event_id: str, effect: _Effect, calls: Mapping[str, VenCall], now: datetime) -> None:
    op, answer, cause = effect
    store.set_calls(tx, event_id, calls, answer=answer, answered_at=now)
    why: Any = {"cause": cause} if cause else {}
    if op is Op.RESTORE:
        if answer is Answer.ACCEPTED:
            move(tx, event_id, calls, RETURNING, RowState.RESTORED, now, restored_at=now, **why)
        else:  # it may still hold: the restore is said again, and escalated when nothing helps
            store.set_rows(tx, event_id, calls, RETURNING, **why)
        return
    lost = [RowState.SENT]
    if answer is Answer.OPTED_OUT:
        lost, why = [*lost, *HELD], why | {"opted_out_from_at": now}
    move(tx, event_id, calls, lost, ANSWERED[answer], now, answer=answer, acked_at=now, **why)
    if answer in GAVE_BACK:
        _give_back(tx, event_id, calls, now)
    if answer is not Answer.ACCEPTED:
        stir(tx, event_id, now)
        _give_back_late(tx, event_id, calls, answer, now)


def _give_back(tx: Transaction, event_id: str, calls: Mapping[str, VenCall], now: datetime) -> None:
    """What such a command no longer asks for is given back by it."""
    for ven_id in reads.returning_vens(tx, event_id, calls):
        left_out = store.not_of_loads(calls[ven_id].loads)
        move(tx, event_id, [ven_id], RETURNING, RowState.RESTORED, now, where=left_out, restored_at=now)


def _give_back_late(
    tx: Transaction, event_id: str, calls: Mapping[str, VenCall], answer: Answer, now: datetime
) -> None:
    """Who goes on beyond the end of the event, since his return was put off, and then opts out, is given back too."""
    if reads.the_event(tx, event_id).state in CLOSED:
        move(tx, event_id, calls, [ANSWERED[answer]], RowState.RESTORING, now, restoring_at=now)


def _note(tx: Transaction, event_id: str, answer: Answer, vens: Iterable[str], now: datetime) -> None:
    """An answer to an older command: something newer was said since, and counts. Only where nothing was known it says
    whether the load was ever held."""
    unknown: Any = {"where": store.UNANSWERED, "answer": answer, "acked_at": now}
    store.set_rows(tx, event_id, vens, [RowState.RESTORING], **unknown)
