"""The verbs on programs and events, whichever door they come in by: each within a transaction, told when it commits.

create ──▶ update* ──▶ delete     each says its Change (what OpenADR clients are notified of) on the Log,
                                  and an event that is called says how it stands (news.event.…)
"""

import secrets
from datetime import datetime
from typing import Any

import msgspec

from tieline.base.errors import Conflict, NotFound
from tieline.base.names import new_id
from tieline.base.time import later
from tieline.dispatch import actions, calls, reads, store
from tieline.dispatch.model import (
    CLOSED,
    OPEN,
    Event,
    EventChange,
    EventState,
    EventView,
    NewEvent,
    NewProgram,
    Program,
    ProgramChange,
    Rules,
)
from tieline.ports import Transaction
from tieline.wires.openadr31 import messages
from tieline.wires.openadr31.change import Change
from tieline.wires.openadr31.messages import EventRequest, Operation, ProgramRequest

# --- programs ---------------------------------------------------------------------------------------------------------


def create_program(
    tx: Transaction, request: ProgramRequest, now: datetime, program_id: str | None = None, rules: Rules | None = None
) -> Program:
    """Raises `Conflict` when there is a program of that name, or was one of that id."""
    program = Program(program_id or new_id(), request.program_name, now, now, request, rules=rules or Rules())
    if reads.find_program(tx, program.program_id, deleted=True) is not None:
        raise Conflict(f"program {program.program_id} exists already, or did: give the new one another id")
    _check_name(tx, program)
    store.add_program(tx, program)
    return _told_program(tx, program, Operation.CREATE, now)


def update_program(tx: Transaction, program_id: str, request: ProgramRequest, now: datetime) -> Program:
    """Raises `NotFound`, and `Conflict` when another program has that name."""
    old = reads.the_program(tx, program_id)
    modified_at = later(now, than=old.modified_at)
    program = msgspec.structs.replace(old, name=request.program_name, request=request, modified_at=modified_at)
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
    asked = _asked(event.request, program, event.created_at)
    state = {"state": EventState.SCHEDULED, "started_at": None, "ended_at": None}
    store.set_event(tx, event.event_id, start_at=start_at, end_at=end_at, **asked, **state)


def _check_name(tx: Transaction, program: Program) -> None:
    same = reads.program_named(tx, program.name)
    if same is not None and same.program_id != program.program_id:
        raise Conflict(f"program {same.program_id} is named {program.name!r} already: names are unique")


def _told_program(
    tx: Transaction, program: Program, operation: Operation, now: datetime, old: Program | None = None
) -> Program:
    change = Change.of(operation, shown_program(program), now, before=shown_program(old) if old else None)
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
    """What is called may be asked for more or less, or for longer or shorter, at once; a window without duration, or
    nothing asked, calls it off (User Guide 7.9). Raises `NotFound`, `Refused` for a call that cannot be, and `Conflict`
    for a change of what is over, or of when what has begun began."""
    old = reads.the_shown_event(tx, event_id)
    new = _as_event(tx, event_id, request, now, old)
    called = old.planned_at is not None and old.target_kw > 0
    off = called and old.state in OPEN and (new.start_at >= new.end_at or new.target_kw == 0)
    if called:
        new = _still_called(old, new, off=off)
    values = {name: getattr(new, name) for name in (*_CALL, "state", "request", "modified_at", *_PLANNING)}
    store.set_event(tx, event_id, **values)
    _told_event(tx, new, Operation.UPDATE, now, old)
    if off:
        actions.close(tx, old, EventState.CANCELLED, now)
        return new
    if called and (old.start_at, old.end_at) != (new.start_at, new.end_at):
        store.move_calls(tx, event_id, new.start_at, new.end_at)
    actions.tell(tx, event_id, "updated")
    return new


_CALL = ("start_at", "end_at", "target_kw", "profile", "program_id")
_PLANNING = ("planned_at", "looked_at", "stirred_at", "returning_at", "started_at", "ended_at")


def _still_called(old: Event, new: Event, *, off: bool) -> Event:
    """As it goes on: what was planned and begun stands."""
    if old.state is EventState.CANCELLED and new.start_at < new.end_at:
        raise Conflict(f"event {old.event_id} was called off, and its loads given back: publish another")
    told = msgspec.structs.replace(old, request=new.request, modified_at=new.modified_at)
    if off or all(getattr(old, name) == getattr(new, name) for name in _CALL):
        return told
    if old.state is EventState.ENDED:
        raise Conflict(f"event {old.event_id} is over: its window and target stand; publish another")
    if old.program_id != new.program_id:
        raise Conflict(f"event {old.event_id} was called already: its program stands; delete it and call another")
    if old.state is EventState.ACTIVE and old.start_at != new.start_at:
        raise Conflict(f"event {old.event_id} has begun: its start stands; its end and target may change")
    asked = {name: getattr(new, name) for name in ("start_at", "end_at", "target_kw", "profile")}
    return msgspec.structs.replace(told, **asked, stirred_at=new.modified_at, returning_at=None)


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
        state=EventState.SCHEDULED,
        created_at=created_at,
        modified_at=later(now, than=old.modified_at) if old else now,
        request=request,
        **_asked(request, program, created_at),
    )


def _asked(request: EventRequest, program: Program, heard_at: datetime) -> dict[str, Any]:
    """What an event says of its target, at most and from when on."""
    levels = calls.levels(request, program.request, heard_at)
    return {
        "target_kw": max((one.target_kw for one in levels), default=0.0),
        "profile": levels if len(levels) > 1 else None,
    }


def _told_event(tx: Transaction, event: Event, operation: Operation, now: datetime, old: Event | None = None) -> Event:
    change = Change.of(operation, shown_event(event), now, before=shown_event(old) if old else None)
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
    request = ProgramRequest(program_name=new.name, targets=tuple(new.targets) or None)
    return create_program(tx, request, now, new.program_id, new.rules)


def change_program(tx: Transaction, program_id: str, change: ProgramChange) -> Program:
    """Its rules count from the next look on; OpenADR does not know of them. Raises `NotFound`."""
    program = reads.the_program(tx, program_id)
    store.set_program(tx, program_id, rules=change.rules)
    return msgspec.structs.replace(program, rules=change.rules)


def publish(tx: Transaction, new: NewEvent, now: datetime) -> EventView:
    """Call an event. Raises `Refused` for its window, `NotFound` for its program, `Conflict` for its id."""
    new.check(now)
    if reads.find_program(tx, new.program_id) is None:
        raise NotFound(f"there is no program {new.program_id!r}: create it first (POST /v1/programs)")
    event_id = new.event_id or f"{new.start_at:%Y%m%d-%H%M}-{secrets.token_hex(3)}"
    return reads.the_view(tx, create_event(tx, calls.as_request(new), now, event_id).event_id)


def change(tx: Transaction, event_id: str, asked: EventChange, now: datetime) -> EventView:
    """Ask a call for more or less, or for longer or shorter. Raises as `update_event` does."""
    event = reads.the_shown_event(tx, event_id)
    if event.target_kw == 0:
        raise Conflict(f"event {event_id} only signals: change it where it was published, by OpenADR")
    update_event(tx, event_id, calls.amended(event, asked), now)
    return reads.the_view(tx, event_id)


def cancel(tx: Transaction, event_id: str, now: datetime) -> EventView:
    """Stop an event; whatever it holds is given back. Cancelling twice is the same. Raises `Conflict` once it ended."""
    event = reads.the_event(tx, event_id)
    if event.state is EventState.ENDED:
        raise Conflict(f"event {event_id} has ended already; there is nothing to stop")
    if event.state not in CLOSED:
        delete_event(tx, event_id, now)
    return reads.the_view(tx, event_id)
