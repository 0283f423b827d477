"""The memory of answers: the same bytes as long as nothing changed, never another's, and no more than fits."""

import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.base.errors import Refused
from tieline.base.time import VirtualClock
from tieline.vtn import answers
from tieline.vtn.answers import SMALL, Answer, Answers
from tieline.vtn.openadr31 import OPENADR_31
from tieline.vtn.openadr301 import OPENADR_301
from tieline.vtn.privacy import Viewer
from tieline.vtn.view import View
from tieline.wires.openadr31.change import Change
from tieline.wires.openadr31.messages import (
    Event,
    IntervalPeriod,
    Object,
    ObjectType,
    Operation,
    Program,
    Resource,
    Ven,
)

T0 = datetime(2026, 7, 15, tzinfo=UTC)
BL = Viewer("bl", business=True)
HOME, OTHER = Viewer("home", business=False), Viewer("other", business=False)
NORTH = Viewer("home", business=False, grants=frozenset({"north"}))
EVENT, PROGRAM, VEN, RESOURCE = ObjectType.EVENT, ObjectType.PROGRAM, ObjectType.VEN, ObjectType.RESOURCE
ACTIVE = b"active=true"


class Shop:
    """Answers over a view, as one process has them."""

    def __init__(self) -> None:
        self.clock = VirtualClock(T0)
        self.view = View(log=None, rows=None)  # type: ignore[arg-type]  # neither is asked here
        self.answers = Answers(self.view, self.clock)
        self.put(Program(**stamps("p"), program_name="tariff"))

    def put(self, *things: Object, operation: Operation = Operation.CREATE) -> None:
        self.view.apply(Change.of(operation, one, T0) for one in things)

    def ask(self, kind: ObjectType = EVENT, viewer: Viewer = BL, query: bytes = b"", **more: str) -> Answer:
        return self.answers.list(OPENADR_31, kind, viewer, query, **more)

    def ids(self, kind: ObjectType = EVENT, viewer: Viewer = BL, query: bytes = b"") -> list[str]:
        return [one["id"] for one in json.loads(self.ask(kind, viewer, query).body)]


def stamps(id_: str) -> dict[str, Any]:
    return {"id": id_, "created_date_time": T0, "modification_date_time": T0}


def event(id_: str, *targets: str, hours: int = 1) -> Event:
    period = IntervalPeriod(start="2026-07-15T00:00:00Z", duration=f"PT{hours}H")
    return Event(**stamps(id_), program_id="p", targets=targets or None, interval_period=period)


def ven(id_: str, client_id: str) -> Ven:
    return Ven(**stamps(id_), client_id=client_id, ven_name=id_)


def resource(id_: str, ven_id: str, client_id: str) -> Resource:
    return Resource(**stamps(id_), client_id=client_id, resource_name=id_, ven_id=ven_id)


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_a_list_is_made_once_as_long_as_nothing_changes() -> None:
    shop = Shop()
    shop.put(event("e1"))
    first = shop.ask()
    assert shop.ask() is first
    assert [one["id"] for one in json.loads(first.body)] == ["e1"]


def test_a_change_of_what_it_shows_makes_it_anew_and_of_others_does_not() -> None:
    shop = Shop()
    shop.put(event("e1"))
    first = shop.ask()
    shop.put(ven("v1", "home"))
    assert shop.ask() is first
    shop.put(event("e2"))
    assert shop.ids() == ["e1", "e2"]
    assert shop.ask().etag != first.etag
    shop.put(event("e2"), operation=Operation.DELETE)
    assert (shop.ask().body, shop.ask().etag) == (first.body, first.etag)


def test_an_event_without_a_time_of_its_own_changes_with_its_program() -> None:
    shop = Shop()
    shop.put(Event(**stamps("e"), program_id="p"))
    assert shop.ids(query=ACTIVE) == ["e"]
    over = IntervalPeriod(start="2026-07-14T00:00:00Z", duration="PT1H")
    shop.put(Program(**stamps("p"), program_name="tariff", interval_period=over))
    assert shop.ids(query=ACTIVE) == []


def test_a_ven_of_3_0_1_changes_with_its_resources() -> None:
    shop = Shop()
    shop.put(ven("v1", "home"))

    def resources() -> list[str]:
        (shown,) = json.loads(shop.answers.list(OPENADR_301, VEN, BL, b"").body)
        return [one["id"] for one in shown["resources"] or ()]

    assert resources() == []
    shop.put(resource("r1", "v1", "home"))
    assert resources() == ["r1"]


async def test_what_is_active_is_so_until_its_end() -> None:
    shop = Shop()
    shop.put(event("short"), event("long", hours=2))
    first = shop.ask(query=ACTIVE)
    await shop.clock.advance(3599.999)
    assert shop.ask(query=ACTIVE) is first
    await shop.clock.advance(0.001)
    assert shop.ids(query=ACTIVE) == ["long"]
    await shop.clock.advance(3600)
    assert shop.ids(query=ACTIVE) == []


async def test_time_alone_changes_nothing_else() -> None:
    shop = Shop()
    shop.put(event("e1"))
    first = shop.ask()
    await shop.clock.advance(86_400)
    assert shop.ask() is first


# --- for whom ---------------------------------------------------------------------------------------------------------


def test_who_sees_the_same_events_shares_an_answer_and_who_does_not_has_another() -> None:
    shop = Shop()
    shop.put(event("open"), event("north", "north"), event("south", "south"))
    assert shop.ask(viewer=HOME) is shop.ask(viewer=OTHER)
    assert shop.ids(viewer=HOME) == ["open"]
    assert shop.ids(viewer=NORTH) == ["north", "open"]
    assert shop.ids(viewer=BL) == ["north", "open", "south"]


@pytest.mark.parametrize("kind", [VEN, RESOURCE])
def test_what_has_an_owner_is_kept_for_its_owner(kind: ObjectType) -> None:
    shop = Shop()
    for name in ("home", "other"):
        shop.put(ven(f"v-{name}", name), resource(f"r-{name}", f"v-{name}", name))
    letter = kind[0].lower()
    assert shop.ids(kind, HOME) == [f"{letter}-home"]
    assert shop.ids(kind, OTHER) == [f"{letter}-other"]
    assert shop.ids(kind, BL) == [f"{letter}-home", f"{letter}-other"]


def test_each_query_dialect_kind_and_ven_has_its_own() -> None:
    shop = Shop()
    shop.put(event("e1"), event("e2"), ven("v1", "home"), ven("v2", "home"), resource("r1", "v1", "home"))
    shown = [
        shop.ask(),
        shop.ask(query=b"limit=1"),
        shop.ask(query=b"skip=1"),
        shop.answers.list(OPENADR_301, EVENT, BL, b""),
        shop.ask(PROGRAM),
        shop.ask(RESOURCE, HOME, ven_id="v1"),
        shop.ask(RESOURCE, HOME, ven_id="v2"),
    ]
    assert len({one.body for one in shown}) == len(shown)


def test_a_query_that_is_none_is_refused_each_time() -> None:
    shop = Shop()
    for _ in range(2):
        with pytest.raises(Refused, match="limit"):
            shop.ask(query=b"limit=51")


# --- how much ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bound", "fits"), [("MOST_KEPT", 3), ("MOST_BYTES", 3 * 600)])
def test_what_was_unused_for_longest_is_forgotten_first(monkeypatch: pytest.MonkeyPatch, bound: str, fits: int) -> None:
    monkeypatch.setattr(answers, bound, fits)
    shop = Shop()
    kept = [shop.ask(query=b"skip=%d" % n) for n in range(3)]
    assert shop.ask(query=b"skip=0") is kept[0]
    shop.ask(query=b"skip=3")
    assert shop.ask(query=b"skip=0") is kept[0]
    assert shop.ask(query=b"skip=2") is kept[2]
    assert shop.ask(query=b"skip=1") is not kept[1]


def test_what_is_larger_than_all_there_is_room_for_is_answered_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST_BYTES", 1000)
    shop = Shop()
    shop.put(*[event(f"e{n}") for n in range(10)])
    assert len(shop.ids()) == 10
    assert shop.ask() is not shop.ask()
    empty = shop.ask(query=b"skip=10")
    assert shop.ask(query=b"skip=10") is empty


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=60))
def test_however_it_is_asked_the_answer_is_what_would_be_made_now(steps: list[tuple[int, bool]]) -> None:
    shop = Shop()
    for n, (skip, changes) in enumerate(steps):
        if changes:
            shop.put(event(f"e{n:02}"))
        assert shop.ids(query=b"skip=%d" % skip) == [one.id for one in shop.view.events][skip : skip + 50]


# --- an answer --------------------------------------------------------------------------------------------------------


def test_only_what_is_worth_it_is_compressed_and_once() -> None:
    small, large = Answer(b"x" * (SMALL - 1)), Answer(b"x" * SMALL)
    assert small.zipped() is None
    zipped = large.zipped()
    assert zipped is not None
    assert gzip.decompress(zipped) == large.body
    assert large.zipped() is zipped


@pytest.mark.parametrize(
    ("given_", "known"),
    [
        (b"%s", True),
        (b"W/%s", True),
        (b'"other", %s', True),
        (b"*", True),
        (b"", False),
        (b'"other"', False),
        (b"%s-", False),
    ],
)
def test_who_has_it_is_known_by_its_tag(given_: bytes, known: bool) -> None:
    answer = Answer(b"[]")
    assert answer.known(given_ % answer.etag if b"%s" in given_ else given_) == known
