"""Who is told what of a change: worlds of programs, events, VENs, resources and subscriptions, and two judges of them.

One judge is `privacy.shown`, by which every door answers. The other is written here anew from the Definition's words,
by looking at everything. What the notices say must be what both say: nothing that leaks, nothing that is left out.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, Struct

from tieline.vtn import notices, privacy
from tieline.vtn.audience import Audience, Readers
from tieline.vtn.privacy import Viewer
from tieline.vtn.subscriptions import Listener
from tieline.wires.openadr31 import messages as m
from tieline.wires.openadr31.change import Change
from tieline.wires.openadr31.messages import ObjectType, Operation

E = TypeVar("E", ObjectType, Operation)
AT = datetime(2026, 7, 15, 17, tzinfo=UTC)
VENS = ["v0", "v1", "v2", "v3"]
"""Clients; the last has no ven object."""
TARGETS = ["a", "b", "VEN_NAME:home-0", "RESOURCE_NAME:ev"]
PROGRAMS = ["p0", "p1"]
URLS = ["https://one.example/", "https://two.example/"]
CHANGED = {Operation.CREATE: "create", Operation.UPDATE: "update", Operation.DELETE: "delete"}

some_targets = st.lists(st.sampled_from(TARGETS), max_size=3, unique=True).map(lambda found: tuple(found) or None)


class World(Struct):
    vens: list[m.Ven]
    resources: list[m.Resource]
    named: set[str]
    subscriptions: list[Listener]
    readers: Readers
    revoked: set[str]
    change: Change

    @property
    def things(self) -> list[m.Ven | m.Resource]:
        return [*self.vens, *self.resources]

    def audience(self) -> Audience:
        audience = Audience()
        for thing in self.things:
            audience.apply(_change(thing, Operation.CREATE, named=thing.id in self.named))
        for one in self.subscriptions:
            audience.listen(one)
        audience.readers = self.readers
        for client_id in self.revoked:
            audience.revoke(client_id, revoked=True)
        return audience


# --- worlds -----------------------------------------------------------------------------------------------------------


def _stamps(id_: str) -> dict[str, Any]:
    return {"id": id_, "created_date_time": AT, "modification_date_time": AT}


def _ven(n: int, targets: tuple[str, ...] | None) -> m.Ven:
    return m.Ven(**_stamps(f"ven-{n}"), client_id=VENS[n % 3], ven_name=f"home-{n}", targets=targets)


@st.composite
def _resource(draw: st.DrawFn, n: int) -> m.Resource:
    ven = draw(st.integers(0, 3))
    owner = draw(st.sampled_from([VENS[ven % 3]] * 3 + VENS))  # business logic may give it to another's client
    name = draw(st.sampled_from(["ev", "heater"]))
    targets = draw(some_targets)
    return m.Resource(**_stamps(f"res-{n}"), client_id=owner, resource_name=name, ven_id=f"ven-{ven}", targets=targets)


def _some_of(kind: type[E]) -> st.SearchStrategy[tuple[E, ...]]:
    """Often all."""
    return st.just(tuple(kind)) | st.sets(st.sampled_from(list(kind)), min_size=1).map(tuple)


@st.composite
def _listener(draw: st.DrawFn, n: int) -> Listener:
    client_id = draw(st.sampled_from([*VENS, "bl"]))
    wish = st.builds(
        m.ObjectOperation,
        objects=_some_of(ObjectType),
        operations=_some_of(Operation),
        callback_url=st.sampled_from(URLS),
    )
    subscription = m.Subscription(
        **_stamps(f"sub-{n}"),
        client_id=client_id,
        client_name="any",
        program_id=draw(st.just(UNSET) | st.sampled_from(PROGRAMS)),
        object_operations=tuple(draw(st.lists(wish, min_size=1, max_size=3))),
        targets=draw(st.none() | st.none() | some_targets),
    )
    return Listener(subscription, client_id == "bl", "3.1.0")


@st.composite
def _object(draw: st.DrawFn, world: World, kind: ObjectType) -> m.Object:
    match kind:
        case ObjectType.PROGRAM:
            return m.Program(**_stamps("p0"), program_name="any", targets=draw(some_targets))
        case ObjectType.EVENT:
            return m.Event(**_stamps("e0"), program_id=draw(st.sampled_from(PROGRAMS)), targets=draw(some_targets))
        case ObjectType.REPORT:
            owner = draw(st.sampled_from(VENS))
            return m.Report(**_stamps("rep"), client_id=owner, event_id="e0", client_name="any", resources=())
        case ObjectType.SUBSCRIPTION:
            return draw(_listener(99)).subscription
        case ObjectType.VEN:
            return draw(st.sampled_from(world.vens))
    return draw(st.sampled_from(world.resources) if world.resources else _resource(0))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    vens = [_ven(n, draw(some_targets)) for n in range(draw(st.integers(1, 4)))]
    there = {ven.id for ven in vens}
    resources = [one for n in range(3) if (one := draw(_resource(n))).ven_id in there]
    named = draw(st.sets(st.sampled_from([*sorted(there), *(one.id for one in resources)])))
    readers = Readers(
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.frozensets(st.sampled_from(VENS))),
        draw(st.frozensets(st.sampled_from(sorted({*there, "ven-gone"})))),
    )
    listeners = [draw(_listener(n)) for n in range(draw(st.integers(2, 8)))]
    revoked = draw(st.just(set[str]()) | st.sets(st.sampled_from(VENS)))
    world = World(vens, resources, named, listeners, readers, revoked, None)  # type: ignore[arg-type]  # drawn next
    kind = draw(st.sampled_from([*ObjectType, *[ObjectType.EVENT] * 5, *[ObjectType.PROGRAM] * 3]))
    operation = draw(st.sampled_from([*Operation, *[Operation.UPDATE] * 4]))
    thing = draw(_object(world, kind))
    before = None
    if isinstance(thing, m.Program | m.Event) and operation is Operation.UPDATE:
        before = draw(st.none() | _object(world, kind) | _object(world, kind))
    world.change = _change(thing, operation, before=before, named=thing.id in named)
    return world


def _change(thing: m.Object, operation: Operation, *, before: m.Object | None = None, named: bool = False) -> Change:
    program = "p1" if isinstance(thing, m.Report) else _program(thing)
    return Change(
        object_type=m.object_type(thing),
        operation=operation,
        object_id=thing.id,
        object=thing,
        before=before,  # type: ignore[arg-type]
        client_id=getattr(thing, "client_id", None),
        program_id=program,
        named=named,
        at=AT,
    )


def _program(thing: m.Object) -> str | None:
    return thing.id if isinstance(thing, m.Program) else getattr(thing, "program_id", None) or None


# --- the judge from the Definition ------------------------------------------------------------------------------------


def granted(world: World, ven: m.Ven) -> set[str]:
    """The targets of a ven object and of its resources; a name that business logic gave is one too."""
    found = set(ven.targets or ())
    if ven.id in world.named or ven.ven_name == ven.client_id:
        found.add(f"VEN_NAME:{ven.ven_name}")
    for one in world.resources:
        if one.ven_id == ven.id:
            found |= set(one.targets or ())
            if one.id in world.named:
                found.add(f"RESOURCE_NAME:{one.resource_name}")
    return found


def granted_to(world: World, client_id: str) -> set[str]:
    return {target for ven in world.vens if ven.client_id == client_id for target in granted(world, ven)}


def sees(thing: m.Object, client_id: str | None, grants: set[str], asked: tuple[str, ...]) -> m.Object | None:
    """What a client sees of an object by these grants; BL, which sees all, is no client here.

    "perform a logical AND of the targets in the request and of the ven object and associated resource objects, and use
    the resulting set to perform target matching on the object. […] if the intersection […] is empty, or if the request
    targets do not match with the objects targets, an empty set is returned." "Target hiding: […] only […] requested."
    """
    targets = getattr(thing, "targets", None) or ()
    if client_id is None or not isinstance(thing, m.Program | m.Event):
        owner = getattr(thing, "client_id", None)
        if client_id not in (None, owner):
            return None
        return thing if isinstance(thing, m.Report) or all(one in targets for one in asked) else None
    if not targets:
        return None if asked else thing
    matching = set(asked) & grants if asked else grants
    if not matching & set(targets) or (asked and not matching <= set(targets)):
        return None
    return msgspec.structs.replace(thing, targets=tuple(one for one in targets if one in matching))


def tells(
    change: Change, client_id: str | None, grants: set[str], asked: tuple[str, ...] = (), program: str | None = None
) -> tuple[Operation, m.Object] | None:
    if program in (None, change.program_id) and (now := sees(change.object, client_id, grants, asked)):
        return change.operation, now
    if change.before and program in (None, _program(change.before)):
        was = sees(change.before, client_id, grants, asked)
        return (Operation.DELETE, was) if was else None
    return None


def called(world: World) -> Iterator[tuple[str, str, Operation, m.Object]]:
    for one in world.subscriptions:
        asked, sub = one.subscription.targets or (), one.subscription
        if sub.client_id in world.revoked:
            continue
        client_id = None if one.business else sub.client_id
        told = tells(world.change, client_id, granted_to(world, sub.client_id), asked, sub.program_id or None)
        if told is not None:
            wishes = [w for w in sub.object_operations if world.change.object_type in w.objects]
            for url in {wish.callback_url for wish in wishes if told[0] in wish.operations}:
                yield sub.id, url, *told


def published(world: World) -> Iterator[tuple[str, m.Object]]:
    """Every place in turn that a topics door names."""
    change, kind = world.change, world.change.object_type
    shared = [("all", None)] * world.readers.business + [("anyone", "")] * world.readers.anyone
    for place, client_id in shared + [(f"clients/{one}", one) for one in sorted(world.readers.clients - world.revoked)]:
        grants = granted_to(world, client_id) if client_id else set()
        if client_id is None or kind is ObjectType.PROGRAM or (place == "anyone" and kind is ObjectType.EVENT):
            yield from _published(f"{place}/{kind.lower()}s", tells(change, client_id, grants))
        for program in PROGRAMS:
            if kind is ObjectType.EVENT:
                told = tells(change, client_id, grants, program=program)
                yield from _published(f"{place}/programs/{program}/events", told)
            elif kind is ObjectType.PROGRAM and change.object_id == program and change.operation != "CREATE":
                yield from _published(f"{place}/programs/{program}", tells(change, client_id, grants))
    for ven in world.vens:
        heard = ven.id in world.readers.vens and ven.client_id not in world.revoked
        if heard and kind in (ObjectType.EVENT, ObjectType.PROGRAM):
            told = tells(change, ven.client_id, granted(world, ven))
            yield from _published(f"clients/{ven.client_id}/vens/{ven.id}/{kind.lower()}s", told)
    yield from _of_owner(world, change.object)


def _of_owner(world: World, thing: m.Object) -> Iterator[tuple[str, m.Object]]:
    """The VEN and its resources are told to whom they belong."""
    if not isinstance(thing, m.Ven | m.Resource) or thing.client_id in world.revoked:
        return
    ven_id = thing.id if isinstance(thing, m.Ven) else thing.ven_id
    place = f"clients/{thing.client_id}/vens/{ven_id}"
    if ven_id in world.readers.vens and isinstance(thing, m.Resource):
        yield from _published(f"{place}/resources", (world.change.operation, thing))
    elif ven_id in world.readers.vens and world.change.operation != "CREATE":
        yield from _published(place, (world.change.operation, thing))


def _published(place: str, told: tuple[Operation, m.Object] | None) -> Iterator[tuple[str, m.Object]]:
    if told is not None and told[0] in CHANGED:
        yield f"openadr3/{place}/{CHANGED[told[0]]}", told[1]


# --- the laws ---------------------------------------------------------------------------------------------------------


def _counted(told: Any) -> Counter[bytes]:
    return Counter(msgspec.json.encode(one) for one in told)


@settings(max_examples=80, deadline=None)
@given(worlds())
def test_webhooks_are_called_for_exactly_those_who_may_know(world: World) -> None:
    calls = notices.calls(world.change, world.audience())
    told = [
        (one.listener.subscription.id, one.callback_url, one.notification.operation, one.notification.object)
        for one in calls
    ]
    assert _counted(told) == _counted(called(world))
    for one in calls:
        _check_own(world, one.notification, None if one.listener.business else one.listener.subscription.client_id)


@settings(max_examples=80, deadline=None)
@given(worlds())
def test_topics_tell_exactly_those_who_may_know(world: World) -> None:
    messages = list(notices.messages(world.change, world.audience()))
    assert _counted((one.topic, one.notification.object) for one in messages) == _counted(published(world))
    for one in messages:
        _, whose, reader, *_ = one.topic.split("/")
        clients = {"all": None, "anyone": "", "clients": reader}
        _check_own(world, one.notification, clients[whose])


def _check_own(world: World, told: m.Notification, client_id: str | None) -> None:
    """What is told is what a door would show at that moment, or would have: the first judge."""
    if client_id is None:
        return
    viewer = Viewer(client_id, False, frozenset(granted_to(world, client_id)))
    states = [one for one in (world.change.object, world.change.before) if one is not None]
    assert any(privacy.shown(viewer, one) is not None for one in states)
    if isinstance(told.object, m.Program | m.Event):
        assert set(told.targets or ()) <= viewer.grants
        assert told.targets == told.object.targets
        written = msgspec.json.encode(told).decode()
        assert not [one for one in TARGETS if f'"{one}"' in written and one not in viewer.grants]


@settings(max_examples=50, deadline=None)
@given(worlds(), st.data())
def test_an_audience_hears_of_changes_late_and_again(world: World, data: st.DataObject) -> None:
    """Each VEN's and resource's last state counts, whatever comes in between and however often."""
    audience = world.audience()
    old = [_change(one, Operation.CREATE, named=True) for one in world.things]
    later = AT + timedelta(seconds=1)
    world.vens = [msgspec.structs.replace(one, modification_date_time=later, targets=("b",)) for one in world.vens]
    new = [_change(one, Operation.UPDATE, named=one.id in world.named) for one in world.vens]
    gone = [_change(one, Operation.DELETE) for one in world.resources]
    first = data.draw(st.permutations(new + gone))
    for change in [*first, *data.draw(st.permutations(old + new))]:
        audience.apply(change)
    world.resources = []
    for client_id in VENS:
        assert audience.client(client_id).grants == granted_to(world, client_id)
    assert {ven.id for ven in audience.granted(["b"])} == {ven.id for ven in world.vens}


def test_a_revoked_client_is_told_nothing_until_it_is_back() -> None:
    audience = Audience()
    wish = m.ObjectOperation(objects=(ObjectType.EVENT,), operations=(Operation.CREATE,), callback_url=URLS[0])
    subscription = m.Subscription(**_stamps("sub"), client_id="v0", client_name="any", object_operations=(wish,))
    audience.listen(Listener(subscription, False, "3.1.0"))
    change = _change(m.Event(**_stamps("e0"), program_id="p0"), Operation.CREATE)
    assert len(list(notices.calls(change, audience))) == 1
    audience.revoke("v0", revoked=True)
    assert list(notices.calls(change, audience)) == []
    audience.revoke("v0", revoked=False)
    assert len(list(notices.calls(change, audience))) == 1


def test_at_a_url_of_two_subscriptions_of_which_one_loses_sight_the_last_word_is_that_the_object_is_there() -> None:
    audience = Audience()
    audience.apply(_change(_ven(0, ("a", "b")), Operation.CREATE))
    wish = m.ObjectOperation(objects=(ObjectType.EVENT,), operations=tuple(Operation), callback_url=URLS[0])
    for n, target in enumerate("ab"):
        subscription = m.Subscription(
            **_stamps(f"sub-{n}"), client_id="v0", client_name="any", object_operations=(wish,), targets=(target,)
        )
        audience.listen(Listener(subscription, False, "3.1.0"))
    before = m.Event(**_stamps("e0"), program_id="p0", targets=("b",))
    after = msgspec.structs.replace(before, targets=("a",))
    calls = notices.calls(_change(after, Operation.UPDATE, before=before), audience)
    assert [(one.notification.operation, one.notification.targets) for one in calls] == [
        (Operation.DELETE, ("b",)),
        (Operation.UPDATE, ("a",)),
    ]
