"""The view: whatever order and however often changes come, it shows what was committed, in one order."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tieline.vtn.privacy import Viewer
from tieline.vtn.selection import Query, select
from tieline.vtn.view import View
from tieline.wires.openadr31.change import Change
from tieline.wires.openadr31.messages import Event, IntervalPeriod, ObjectType, Operation, Program, Resource, Ven

T0 = datetime(2026, 7, 15, tzinfo=UTC)
BL = Viewer("bl", business=True)


def at(n: int) -> datetime:
    return T0 + timedelta(microseconds=n)


def event(name: str, created: int, modified: int, targets: tuple[str, ...] = ()) -> Event:
    return Event(
        id=name,
        created_date_time=at(created),
        modification_date_time=at(modified),
        program_id="p",
        targets=targets or None,
    )


def told(thing: Event | Ven | Resource | Program, operation: Operation, *, named: bool = False) -> Change:
    return Change.of(operation, thing, T0, named=named)


def view() -> View:
    return View(log=None, rows=None)  # type: ignore[arg-type]  # neither is asked here


def ids(seen: View, viewer: Viewer = BL, **query: object) -> list[str]:
    found = select(seen, ObjectType.EVENT, viewer, Query(**query), T0)  # type: ignore[arg-type]
    return [one.id for one in found.things]


@st.composite
def histories(draw: st.DrawFn) -> list[Change]:
    """What became of a few events, each state later than the one before."""
    changes, clock = [], 0
    for name in draw(st.lists(st.sampled_from("abcdefgh"), unique=True)):
        created = draw(st.integers(0, 3))
        for step in range(draw(st.integers(1, 4))):
            clock += 1
            targets = tuple(draw(st.sets(st.sampled_from(["g1", "g2"]))))
            operation = Operation.UPDATE if step else Operation.CREATE
            changes.append(told(event(name, created, created + step, targets), operation))
        if draw(st.booleans()):
            changes.append(told(changes[-1].object, Operation.DELETE))  # type: ignore[arg-type]
    return changes


@given(history=histories(), seed=st.integers())
def test_order_and_repetition_of_changes_do_not_matter(history: list[Change], seed: int) -> None:
    straight, shuffled = view(), view()
    straight.apply(history)
    mixed = history * 2
    random.Random(seed).shuffle(mixed)
    shuffled.apply(mixed)
    for viewer in (BL, Viewer("v", business=False, grants=frozenset({"g1"}))):
        assert ids(straight, viewer) == ids(shuffled, viewer)
    assert ids(straight) == [one.id for one in sorted(straight.events, key=lambda e: (e.created_date_time, e.id))]


def test_pages_follow_the_order_of_creation() -> None:
    seen = view()
    seen.apply([told(event(f"e{n}", 100 - n, 100 - n), Operation.CREATE) for n in range(60)])
    assert ids(seen) == [f"e{n}" for n in range(59, 9, -1)]
    assert ids(seen, skip=50, limit=5) == [f"e{n}" for n in range(9, 4, -1)]
    assert ids(seen, limit=0) == []


def ven(name: str, client: str, targets: tuple[str, ...] = ()) -> Ven:
    stamps = {"created_date_time": T0, "modification_date_time": T0}
    return Ven(id=name, **stamps, client_id=client, ven_name=name, targets=targets or None)  # type: ignore[arg-type]


def test_grants_are_those_of_the_client_s_vens_and_their_resources() -> None:
    seen, stamps = view(), {"created_date_time": T0, "modification_date_time": T0}
    pump = Resource(id="r", **stamps, client_id="c", resource_name="pump", ven_id="v", targets=("g2",))  # type: ignore[arg-type]
    seen.apply([told(ven("v", "c", ("g1",)), Operation.CREATE), told(pump, Operation.CREATE)])
    assert seen.viewer("c", business=False).grants == {"g1", "g2"}
    assert seen.viewer("other", business=False).grants == frozenset()
    seen.apply([told(pump, Operation.DELETE)])
    assert seen.viewer("c", business=False).grants == {"g1"}


def test_a_name_is_a_grant_only_where_business_logic_gave_it() -> None:
    seen = view()
    seen.apply([told(ven("hospital", "mallory"), Operation.CREATE)])
    assert seen.viewer("mallory", business=False).grants == frozenset()
    seen.apply([told(ven("hospital", "mallory"), Operation.UPDATE, named=True)])
    assert seen.viewer("mallory", business=False).grants == {"VEN_NAME:hospital"}
    seen.apply([told(ven("me", "me"), Operation.CREATE)])
    assert seen.viewer("me", business=False).grants == {"VEN_NAME:me"}


def program(name: str, modified: int, start: str | None = None) -> Program:
    period = {"interval_period": IntervalPeriod(start=start, duration="PT1H")} if start else {}
    stamps = {"created_date_time": T0, "modification_date_time": at(modified)}
    return Program(id=name, program_name=name, **stamps, **period)  # type: ignore[arg-type]


def test_an_event_without_a_time_of_its_own_moves_with_its_program() -> None:
    seen = view()
    seen.apply(
        [told(program("p", 0, "2026-07-15T10:00:00Z"), Operation.CREATE), told(event("e", 0, 0), Operation.CREATE)]
    )
    assert ids(seen, active=True) == ["e"]
    seen.apply([told(program("p", 1, "2026-07-14T10:00:00Z"), Operation.UPDATE)])
    assert ids(seen, active=True) == []


class Slow:
    """Rows whose read is as old as when it began, and waits to be let on."""

    def __init__(self) -> None:
        self.held, self.go, self.asked = [], asyncio.Event(), 0  # type: ignore[var-annotated]

    async def read(self, _: object) -> tuple[list[object], set[str]]:
        self.asked += 1
        then = list(self.held)
        await self.go.wait()
        return then, set()


async def test_what_changes_while_it_loads_is_not_lost_and_nothing_kept_is_taken_for_it() -> None:
    rows = Slow()
    seen = View(log=None, rows=rows)  # type: ignore[arg-type]
    rows.held = [event("old", 0, 0)]
    loads = [asyncio.create_task(seen.load()) for _ in range(3)]
    await asyncio.sleep(0)
    seen.apply([told(event("new", 1, 1), Operation.CREATE), told(event("old", 0, 0), Operation.DELETE)])
    rows.go.set()
    await asyncio.gather(*loads)
    assert (ids(seen), rows.asked) == (["new"], 1)
    before = seen.events.version
    rows.held = [event("new", 1, 2, ("secret",))]
    await seen.load(fresh=True)
    assert seen.events.version > before


def test_an_older_change_gives_no_name_back() -> None:
    seen = view()
    later = msgspec.structs.replace(ven("hospital", "mallory"), modification_date_time=at(5))
    seen.apply([told(later, Operation.UPDATE)])
    seen.apply([told(ven("hospital", "mallory"), Operation.CREATE, named=True)])
    assert seen.viewer("mallory", business=False).grants == frozenset()
