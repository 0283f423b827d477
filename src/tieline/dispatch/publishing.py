"""The verbs on programs and events, whichever door they come in by: each within a transaction, told when it commits.

create ──▶ update* ──▶ delete     each says its Change (what OpenADR clients are notified of) on the Log,
                                  and an event that is called says how it stands (news.event.…)
"""

import secrets
from datetime import datetime

import msgspec

from tieline.base.errors import Conflict, NotFound
from tieline.base.time import MICROSECOND
from tieline.dispatch import actions, calls, reads, store
from tieline.dispatch.model import CLOSED, OPEN, Event, EventState, EventView, NewEvent, NewProgram, Program
from tieline.ports import Transaction
from tieline.wires.openadr31 import messages
from tieline.wires.openadr31.change import Change
from tieline.wires.openadr31.messages import EventRequest, ObjectType, Operation, ProgramRequest


def new_id() -> str:
    return secrets.token_hex(12)


# --- programs ---------------------------------------------------------------------------------------------------------


def create_program(tx: Transaction, request: ProgramRequest, now: datetime, program_id: str | None = None) -> Program:
    """Raises `Conflict` when there is a program of that name, or was one of that id."""
    program = Program(program_id or new_id(), request.program_name, now, now, request)
    if reads.find_program(tx, program.program_id, deleted=True) is not None:
        raise Conflict(f"program {program.program_id} exists already, or did: give the new one another id")
    _check_name(tx, program)
    store.add_program(tx, program)
    return _told_program(tx, program, Operation.CREATE, now)


def update_program(tx: Transaction, program_id: str, request: ProgramRequest, now: datetime) -> Program:
    """Raises `NotFound`, and `Conflict` when another program has that name."""
    old = reads.the_program(tx, program_id)
    program = msgspec.structs.replace(old, name=request.program_name, request=request, modified_at=_later(old, now))
    _check_name(tx, program)
    store.set_program(tx, program_id, name=program.name, request=request, modified_at=program.modified_at)
    for event in reads.events_of(tx, program_id):  # one without a time of its own moves with its program
        _move(tx, event, program)
    return _told_program(tx, program, Operation.UPDATE, now, old)


def delete_program(tx: Transaction, program_id: str, now: datetime) -> Program:
    """With its events, which are called off. Raises `NotFound`."""
    program = reads.the_program(tx, program_id)
    for event in reads.events_of(tx, program_id):
        delete_event(tx, event.event_id, now)
    store.set_program(tx, program_id, deleted_at=now)
    return _told_program(tx, program, Operation.DELETE, now)


def _move(tx: Transaction, event: Event, program: Program) -> None:
    """Raises `Conflict` where that would move a call under the fleet."""
    start_at, end_at = calls.window(event.request, program.request, event.created_at)
    if (start_at, end_at) == (event.start_at, event.end_at):
        return
    if event.planned_at is not None:
        raise Conflict(f"event {event.event_id} was called already: its window, which is the program's, stands")
    target_kw = calls.target_kw(event.request, start_at, end_at)
    state = {"state": EventState.SCHEDULED, "started_at": None, "ended_at": None}
    store.set_event(tx, event.event_id, start_at=start_at, end_at=end_at, target_kw=target_kw, **state)


def _check_name(tx: Transaction, program: Program) -> None:
    same = reads.program_named(tx, program.name)
    if same is not None and same.program_id != program.program_id:
        raise Conflict(f"program {same.program_id} is named {program.name!r} already: names are unique")


def _told_program(
    tx: Transaction, program: Program, operation: Operation, now: datetime, old: Program | None = None
) -> Program:
    reaimed = old is not None and old.request.targets != program.request.targets
    change = Change(
        object_type=ObjectType.PROGRAM,
        operation=operation,
        object_id=program.program_id,
        object=shown_program(program),
        program_id=program.program_id,
        before=shown_program(old) if old and reaimed else None,
        at=now,
    )
    tx.say(change.subject, change.encoded())
    return program


def shown_program(program: Program) -> messages.Program:
    """As OpenADR 3.1 shows it, targets and all."""
    return messages.Program(
        **msgspec.structs.asdict(program.request),
        id=program.program_id,
        created_date_time=program.created_at,
        modification_date_time=program.modified_at,
    )


# --- events -----------------------------------------------------------------------------------------------------------


def create_event(tx: Transaction, request: EventRequest, now: datetime, event_id: str | None = None) -> Event:
    """Raises `Conflict` for a program that does not exist or an id that does, `Refused` for a call that cannot be."""
    event = _as_event(tx, event_id or new_id(), request, now)
    if reads.find_event(tx, event.event_id) is not None:
        raise Conflict(f"event {event.event_id} exists already")
    store.add_event(tx, event)
    _told_event(tx, event, Operation.CREATE, now)
    actions.tell(tx, event.event_id, "published")
    return event


def update_event(tx: Transaction, event_id: str, request: EventRequest, now: datetime) -> Event:
    """What only signals may change at any time. A call that the fleet was told of stands; a window without duration
    calls it off (User Guide 7.9). Raises `NotFound`, and `Conflict` for another change of such a call."""
    old = reads.the_shown_event(tx, event_id)
    new = _as_event(tx, event_id, request, now, old)
    called = old.planned_at is not None and old.target_kw > 0
    off = called and old.state in OPEN and new.start_at >= new.end_at
    if called and old.state is EventState.CANCELLED and new.start_at < new.end_at:
        raise Conflict(f"event {event_id} was called off, and its loads given back: publish another")
    if called:
        new = _still_called(old, new, off=off)
    values = {name: getattr(new, name) for name in (*_CALL, "state", "request", "modified_at", *_PLANNING)}
    store.set_event(tx, event_id, **values)
    _told_event(tx, new, Operation.UPDATE, now, old)
    if off:
        actions.close(tx, old, EventState.CANCELLED, now)
    else:
        actions.tell(tx, event_id, "updated")
    return new


_CALL = ("start_at", "end_at", "target_kw", "program_id")
_PLANNING = ("planned_at", "replanned_at", "started_at", "ended_at")


def _still_called(old: Event, new: Event, *, off: bool) -> Event:
    """What was called stays on record as it was."""
    if not off and any(getattr(old, name) != getattr(new, name) for name in _CALL):
        raise Conflict(
            f"event {old.event_id} was called already: its window and target stand; delete it and call another"
        )
    return msgspec.structs.replace(old, request=new.request, modified_at=new.modified_at)


def delete_event(tx: Transaction, event_id: str, now: datetime) -> Event:
    """Called off where it was still open: whatever it holds is given back. Raises `NotFound`."""
    event = reads.the_shown_event(tx, event_id)
    store.set_event(tx, event_id, deleted_at=now)
    if event.state in OPEN:
        actions.close(tx, event, EventState.CANCELLED, now)
    return _told_event(tx, event, Operation.DELETE, now)


def _as_event(tx: Transaction, event_id: str, request: EventRequest, now: datetime, old: Event | None = None) -> Event:
    program = reads.find_program(tx, request.program_id)
    if program is None:
        raise Conflict(f"there is no program {request.program_id!r}: create it first")
    created_at = old.created_at if old else now
    start_at, end_at = calls.window(request, program.request, created_at)
    return Event(
        event_id=event_id,
        program_id=request.program_id,
        start_at=start_at,
        end_at=end_at,
        target_kw=calls.target_kw(request, start_at, end_at),
        state=EventState.SCHEDULED,
        created_at=created_at,
        modified_at=_later(old, now) if old else now,
        request=request,
    )


def _later(old: Program | Event, now: datetime) -> datetime:
    return max(old.modified_at + MICROSECOND, now)


def _told_event(tx: Transaction, event: Event, operation: Operation, now: datetime, old: Event | None = None) -> Event:
    reaimed = old is not None and (old.request.targets, old.program_id) != (event.request.targets, event.program_id)
    change = Change(
        object_type=ObjectType.EVENT,
        operation=operation,
        object_id=event.event_id,
        object=shown_event(event),
        program_id=event.program_id,
        before=shown_event(old) if old and reaimed else None,
        at=now,
    )
    tx.say(change.subject, change.encoded())
    return event


def shown_event(event: Event) -> messages.Event:
    """As OpenADR 3.1 shows it, targets and all."""
    return messages.Event(
        **msgspec.structs.asdict(event.request),
        id=event.event_id,
        created_date_time=event.created_at,
        modification_date_time=event.modified_at,
    )


# --- an operator's verbs ----------------------------------------------------------------------------------------------


def add_program(tx: Transaction, new: NewProgram, now: datetime) -> Program:
    """Raises `Conflict` when there is a program of that id or name."""
    return create_program(
        tx, ProgramRequest(program_name=new.name, targets=tuple(new.targets) or None), now, new.program_id
    )


def publish(tx: Transaction, new: NewEvent, now: datetime) -> EventView:
    """Call an event. Raises `Refused` for its window, `NotFound` for its program, `Conflict` for its id."""
    new.check(now)
    if reads.find_program(tx, new.program_id) is None:
        raise NotFound(f"there is no program {new.program_id!r}: create it first (POST /v1/programs)")
    event_id = new.event_id or f"{new.start_at:%Y%m%d-%H%M}-{secrets.token_hex(3)}"
    return reads.the_view(tx, create_event(tx, calls.as_request(new), now, event_id).event_id)


def cancel(tx: Transaction, event_id: str, now: datetime) -> EventView:
    """Stop an event; whatever it holds is given back. Cancelling twice is the same. Raises `Conflict` once it ended."""
    event = reads.the_event(tx, event_id)
    if event.state is EventState.ENDED:
        raise Conflict(f"event {event_id} has ended already; there is nothing to stop")
    if event.state not in CLOSED:
        delete_event(tx, event_id, now)
    return reads.the_view(tx, event_id)
