"""Which reports were due, came, and did not: kept per VEN, each verb within a transaction.

    report comes ──▶ enter ──▶ received, late, not wanted     a missing one becomes late
    time passes  ──▶ judge ──▶ missing                        told once for each report that was due

Only what became of a report is kept; what is still expected follows from the event.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import msgspec
import sqlalchemy as sa

from tieline.base.time import EPOCH
from tieline.dispatch import publishing
from tieline.dispatch import reads as dispatch
from tieline.dispatch.model import Event as Dispatched
from tieline.ports import Reader, Transaction
from tieline.registry import openadr as registry
from tieline.vtn import expectations, store
from tieline.vtn.expectations import UNWANTED, Answered, Due, State
from tieline.vtn.store import expectation as table
from tieline.wires.openadr31.messages import Event, Program, Report

AHEAD = timedelta(days=1)
"""As far ahead as what is expected is listed."""
MOST_NAMED = 1000
_VENS_AT_ONCE = 20
Key: TypeAlias = tuple[str, int, int]
"""(VEN, descriptor, turn): the order in which they are listed."""
Asked: TypeAlias = Sequence[Mapping[str, datetime]]
"""For each descriptor of an event the VENs that are asked, with the instant since when each is there."""


class Tracked(msgspec.Struct, frozen=True):
    """What became of a report that the `descriptor`-th of an event asked of a VEN; none where nothing asked for it.
    Without a due time it could come whenever the VEN liked. `turn` sets the reports of one descriptor apart."""

    ven_id: str
    descriptor: int | None
    turn: int
    payload_type: str | None
    due_at: datetime | None
    state: State
    report_id: str | None
    received_at: datetime | None

    @property
    def key(self) -> Key:
        return self.ven_id, UNWANTED if self.descriptor is None else self.descriptor, self.turn


class Missing(msgspec.Struct, frozen=True):
    """News of a report that did not come; `ven_ids` names the first thousand of those that owed it."""

    event_id: str
    program_id: str
    descriptor: int
    payload_type: str
    due_at: datetime
    missing: int
    ven_ids: list[str]


def context(reader: Reader, event_id: str) -> tuple[Event, Program | None] | None:
    """An event, deleted or not, and its program, as OpenADR says them."""
    event = dispatch.find_event(reader, event_id)
    return None if event is None else _shown(reader, event)


def _shown(reader: Reader, event: Dispatched) -> tuple[Event, Program | None]:
    program = dispatch.find_program(reader, event.program_id, deleted=True)
    return publishing.shown_event(event), None if program is None else publishing.shown_program(program)


# --- a report comes ---------------------------------------------------------------------------------------------------


def enter(
    tx: Transaction,
    event: Event,
    program: Program | None,
    report: Report,
    told: Mapping[str, Answered],
    grace: timedelta,
) -> list[State]:
    """What the report is to what each VEN owed. The same report again changes nothing, unless it tells of more."""
    return [one for ven_id in sorted(told) for one in _enter(tx, event, program, report, ven_id, told[ven_id], grace)]


def _enter(
    tx: Transaction,
    event: Event,
    program: Program | None,
    report: Report,
    ven_id: str,
    told: Answered,
    grace: timedelta,
) -> list[State]:
    came: dict[str, Any] = {"report_id": report.id, "received_at": report.modification_date_time}
    before = {row.descriptor for row in _rows(tx, event.id, table.c.ven_id == ven_id, table.c.report_id == report.id)}
    grants = registry.grants_of(tx, ven_id) if _is_targeted(event) else set[str]()
    entered: list[State] = []
    for index, descriptor in enumerate(event.report_descriptors or ()):
        if not expectations.asks(descriptor, event, grants) or not expectations.answers(descriptor, told):
            continue
        met = expectations.met(event, program, index, told, report.modification_date_time)
        named = {"payload_type": descriptor.payload_type, **came}
        if met is not None:
            entered += _pay(tx, event.id, ven_id, met, named, grace)
        elif index not in before:
            entered += _add(tx, event.id, ven_id, index, State.RECEIVED, named)
    if not entered and not before:
        entered += _add(tx, event.id, ven_id, UNWANTED, State.NOT_WANTED, came)
    return entered


def _is_targeted(event: Event) -> bool:
    return bool(event.targets) or any(one.targets for one in event.report_descriptors or ())


def _pay(
    tx: Transaction, event_id: str, ven_id: str, met: Sequence[Due], came: Mapping[str, Any], grace: timedelta
) -> list[State]:
    """Those that are not paid yet."""
    turns = [one.turn for one in met]
    of_ven = table.c.ven_id == ven_id
    found = _rows(tx, event_id, of_ven, table.c.descriptor == met[0].descriptor, table.c.turn.in_(turns)) if met else []
    known = {row.turn: row.state for row in found}
    entered: list[State] = []
    new: list[dict[str, Any]] = []
    for one in met:
        state = expectations.state(one.due_at, came["received_at"], grace)
        row = {"event_id": event_id, "ven_id": ven_id, "descriptor": one.descriptor, "turn": one.turn, **came}
        if one.turn not in known:
            new.append(row | {"due_at": one.due_at, "state": state})
            entered.append(state)
        elif known[one.turn] == State.MISSING:
            store.meet(tx, row | {"state": State.LATE})
            entered.append(State.LATE)
    store.expect(tx, new)
    return entered


def _add(
    tx: Transaction, event_id: str, ven_id: str, descriptor: int, state: State, came: Mapping[str, Any]
) -> list[State]:
    """One that was never due."""
    same = sa.and_(table.c.event_id == event_id, table.c.ven_id == ven_id, table.c.descriptor == descriptor)
    last = tx.execute(sa.select(sa.func.max(table.c.turn)).where(same)).scalar()
    turn = 0 if last is None else last + 1
    store.expect(
        tx,
        [{"event_id": event_id, "ven_id": ven_id, "descriptor": descriptor, "turn": turn, "state": state, **came}],
    )
    return [state]


# --- time passes ------------------------------------------------------------------------------------------------------


def judged_until(reader: Reader, event_id: str) -> datetime:
    """Whatever was due by then is judged."""
    found = reader.execute(sa.select(store.judged.c.until_at).where(store.judged.c.event_id == event_id)).scalar()
    return found or EPOCH


def asked(reader: Reader, event: Event) -> Asked:
    """Whom the event asks: VENs with a client, that see it and that its descriptors are meant for."""
    since = {one.id: one.created_date_time for one in registry.vens(reader) if one.client_id != registry.UNCLAIMED}

    def meant(targets: Sequence[str] | None) -> set[str]:
        return set(since) & registry.granted(reader, targets) if targets else set(since)

    seen = meant(event.targets)
    return [
        {ven_id: since[ven_id] for ven_id in sorted(seen & meant(one.targets))}
        for one in event.report_descriptors or ()
    ]


def judge(tx: Transaction, event: Event, dues: Sequence[Due], asked: Asked) -> int:
    """Enter who owes these reports, which were all due at one instant, as missing, once; how many."""
    current = dispatch.find_event(tx, event.id)
    if current is None or current.deleted_at is not None or judged_until(tx, event.id) >= dues[0].due_at:
        return 0
    missing = sum(_miss(tx, event, one, asked[one.descriptor]) for one in dues)
    store.judge(tx, event.id, dues[0].due_at)
    return missing


def _miss(tx: Transaction, event: Event, due: Due, asked: Mapping[str, datetime]) -> int:
    came = {row.ven_id for row in _rows(tx, event.id, table.c.descriptor == due.descriptor, table.c.turn == due.turn)}
    owing = [ven_id for ven_id, since in asked.items() if ven_id not in came and since <= due.due_at]
    kind = (event.report_descriptors or ())[due.descriptor].payload_type
    same = {"event_id": event.id, "descriptor": due.descriptor, "turn": due.turn, "payload_type": kind}
    store.expect(tx, [same | {"ven_id": one, "due_at": due.due_at, "state": State.MISSING} for one in owing])
    if owing:
        news = Missing(event.id, event.program_id, due.descriptor, kind, due.due_at, len(owing), owing[:MOST_NAMED])
        tx.say("news.report.missing", msgspec.json.encode(news))
    return len(owing)


# --- what others may ask ----------------------------------------------------------------------------------------------


def tracked(reader: Reader, event_id: str, now: datetime, *, after: Key | None, limit: int | None) -> list[Tracked]:
    """In order of VEN, descriptor and turn, up to `limit` after a key, with what is expected within a day.
    Raises `NotFound`."""
    found: list[Tracked] = []
    for some in _by_ven(reader, dispatch.the_event(reader, event_id), now, after[0] if after else ""):
        found += [one for one in some if after is None or one.key > after]
        if limit is not None and len(found) >= limit:
            break
    return found[:limit]


def _by_ven(reader: Reader, event: Dispatched, now: datetime, first: str) -> Iterator[list[Tracked]]:
    shown, program = _shown(reader, event)
    coming, vens = _coming(reader, shown, program, now) if event.deleted_at is None else ([], [])
    known = reader.execute(sa.select(table.c.ven_id).where(table.c.event_id == event.event_id).distinct()).scalars()
    ids = sorted(one for one in {*known, *itertools.chain(*vens)} if one >= first)
    for start in range(0, len(ids), _VENS_AT_ONCE):
        some = ids[start : start + _VENS_AT_ONCE]
        rows = [_tracked(row) for row in _rows(reader, event.event_id, table.c.ven_id.in_(some))]
        keys = {one.key for one in rows}
        rows += [
            _expected(shown, ven_id, due)
            for ven_id in some
            for due in coming
            if vens[due.descriptor].get(ven_id, now + AHEAD * 2) <= due.due_at
            if (ven_id, due.descriptor, due.turn) not in keys
        ]
        yield sorted(rows, key=lambda one: one.key)


def _coming(reader: Reader, event: Event, program: Program | None, now: datetime) -> tuple[list[Due], Asked]:
    dues = expectations.due(event, program, after=judged_until(reader, event.id), until=now + AHEAD)
    return dues, asked(reader, event) if dues else []


def _expected(event: Event, ven_id: str, due: Due) -> Tracked:
    kind = (event.report_descriptors or ())[due.descriptor].payload_type
    return Tracked(ven_id, due.descriptor, due.turn, kind, due.due_at, State.EXPECTED, None, None)


def _tracked(row: Any) -> Tracked:
    return Tracked(
        ven_id=row.ven_id,
        descriptor=None if row.descriptor == UNWANTED else row.descriptor,
        turn=row.turn,
        payload_type=row.payload_type,
        due_at=row.due_at,
        state=State(row.state),
        report_id=row.report_id,
        received_at=row.received_at,
    )


def _rows(reader: Reader, event_id: str, *where: sa.ColumnElement[bool]) -> list[sa.Row[Any]]:
    return list(reader.execute(sa.select(table).where(table.c.event_id == event_id, *where)))
