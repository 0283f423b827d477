"""What one change is to whom: the webhooks that are called for it, and the MQTT messages that tell it.

    change ─▶ who may be concerned ─▶ each with its eyes: sees it      ─▶ told, as it sees it
                                                          saw it       ─▶ told DELETE, of what it saw
                                                          never saw it ─▶ nothing

Everyone looks through eyes: who it is, the targets it asks for, the program it asks about. `privacy` alone decides what
they see. An update that takes an object out of somebody's sight is its deletion for them, so that no VEN goes on acting
on an event that is no longer meant for it. (Definition, "Subscriptions", "Object Privacy".)
"""

from collections.abc import Iterable, Iterator, Set

import msgspec

from tieline.vtn import privacy
from tieline.vtn.audience import Audience
from tieline.vtn.privacy import Viewer
from tieline.vtn.subscriptions import Listener
from tieline.wires.openadr31 import topics
from tieline.wires.openadr31.change import Change, program
from tieline.wires.openadr31.messages import (
    Event,
    Notification,
    Object,
    ObjectType,
    Operation,
    Program,
    Resource,
    Subscription,
    Ven,
    object_type,
)

_BUSINESS = Viewer("", business=True)


class Eyes(msgspec.Struct, frozen=True):
    """`program_id`: only what belongs to that program."""

    viewer: Viewer
    asked: tuple[str, ...] = ()
    program_id: str | None = None


class Call(msgspec.Struct, frozen=True):
    """A callback URL to be called for one subscription."""

    listener: Listener
    callback_url: str
    notification: Notification


class Message(msgspec.Struct, frozen=True):
    """To be published on an MQTT topic."""

    topic: str
    notification: Notification


def notification(change: Change, eyes: Eyes) -> Notification | None:
    """What these eyes are told of a change, if anything."""
    if (now := _seen(change.object, change.program_id, eyes)) is not None:
        return _notification(change.operation, now)
    if change.before is not None and (was := _seen(change.before, program(change.before), eyes)) is not None:
        return _notification(Operation.DELETE, was)
    return None


def _seen(thing: Object, program_id: str | None, eyes: Eyes) -> Object | None:
    if eyes.program_id not in (None, program_id):
        return None
    return privacy.shown(eyes.viewer, thing, eyes.asked)


def _notification(operation: Operation, thing: Object) -> Notification:
    """What is shown holds no target that is not the receiver's own, nor does what is told beside it."""
    targets = getattr(thing, "targets", None)
    return Notification(object_type=object_type(thing), operation=operation, object=thing, targets=targets)


def _states(change: Change) -> list[Program | Event]:
    """The program or event as it is, and as it was where that matters; none for other kinds."""
    return [one for one in (change.object, change.before) if isinstance(one, Program | Event)]


def _targets(change: Change) -> set[str] | None:
    """By which VENs may see the program or event, or have seen it; None where all may."""
    states = _states(change)
    return {one for state in states for one in state.targets or ()} if all(one.targets for one in states) else None


# --- webhooks ---------------------------------------------------------------------------------------------------------


def calls(change: Change, audience: Audience) -> Iterable[Call]:
    """The calls for a change. Deletions come first: where one subscription loses sight of an object that another of
    the same URL still sees, the last word is that it is there."""
    found = (call for one in _concerned(change, audience) for call in _calls(change, one, audience))
    if change.before is None:
        return found
    return sorted(found, key=lambda call: call.notification.operation is not Operation.DELETE)


def _concerned(change: Change, audience: Audience) -> list[Listener]:
    if not _states(change):
        return audience.listeners([change.client_id] if change.client_id else [])
    targets = _targets(change)
    return audience.listeners(None if targets is None else {ven.client_id for ven in audience.granted(targets)})


def _calls(change: Change, listener: Listener, audience: Audience) -> Iterator[Call]:
    subscription = listener.subscription
    if not any(change.object_type in one.objects for one in subscription.object_operations):
        return
    viewer = _BUSINESS if listener.business else audience.client(subscription.client_id)
    told = notification(change, Eyes(viewer, subscription.targets or (), subscription.program_id or None))
    if told is not None:
        yield from (Call(listener, url, told) for url in _urls(subscription, told))


def _urls(subscription: Subscription, told: Notification) -> Iterable[str]:
    """Each once, though several of the subscription's wishes may be met."""
    met = (
        one.callback_url
        for one in subscription.object_operations
        if told.object_type in one.objects and told.operation in one.operations
    )
    return dict.fromkeys(met)


# --- MQTT -------------------------------------------------------------------------------------------------------------


def messages(change: Change, audience: Audience) -> Iterator[Message]:
    """The messages for a change, on every topic that `notifiers` has given to somebody; none tells of a READ."""
    if change.operation is Operation.READ:
        return
    for place, eyes in _places(change, audience):
        told = notification(change, eyes)
        if told is not None:
            yield Message(topics.topic(place, told.operation), told)


def _places(change: Change, audience: Audience) -> Iterator[tuple[str, Eyes]]:
    """Where it may have to be told, and through which eyes those see it who listen there."""
    if audience.readers.business:
        yield topics.objects(topics.ALL, change.object_type), Eyes(_BUSINESS)
        yield from _of_programs(topics.ALL, change, _BUSINESS)
    if audience.readers.anyone and _states(change):
        yield topics.objects(topics.ANYONE, change.object_type), Eyes(privacy.ANYONE)
        yield from _of_programs(topics.ANYONE, change, privacy.ANYONE)
    if _states(change):
        yield from _of_clients(change, audience)
    yield from _of_vens(change, audience)


def _of_programs(place: str, change: Change, viewer: Viewer) -> Iterator[tuple[str, Eyes]]:
    """A program's own topics, or those of its events; of two programs where an event went from one to the other."""
    states = reversed(_states(change))
    for program_id in dict.fromkeys(one.id if isinstance(one, Program) else one.program_id for one in states):
        one = topics.program(place, program_id)
        if change.object_type is ObjectType.EVENT:
            yield topics.objects(one, ObjectType.EVENT), Eyes(viewer, program_id=program_id)
        elif change.operation is not Operation.CREATE:
            yield one, Eyes(viewer)


def _of_clients(change: Change, audience: Audience) -> Iterator[tuple[str, Eyes]]:
    targets, readers = _targets(change), audience.readers.clients
    concerned = readers if targets is None else {ven.client_id for ven in audience.granted(targets)} & readers
    for client_id in sorted(concerned - audience.revoked):
        place, viewer = topics.of_client(client_id), audience.client(client_id)
        if change.object_type is ObjectType.PROGRAM:
            yield topics.objects(place, ObjectType.PROGRAM), Eyes(viewer)
        yield from _of_programs(place, change, viewer)


def _of_vens(change: Change, audience: Audience) -> Iterator[tuple[str, Eyes]]:
    """What a VEN's own topics tell: the VEN, its resources, and what is meant for it by what it alone is granted."""
    for ven_id in sorted(_vens(change, audience) & audience.readers.vens):
        viewer = _speaker(change.object, ven_id, audience)
        if viewer is None or viewer.client_id in audience.revoked:
            continue
        place = topics.of_ven(viewer.client_id, ven_id)
        if not isinstance(change.object, Ven):
            yield topics.objects(place, change.object_type), Eyes(viewer)
        elif change.operation is not Operation.CREATE:
            yield place, Eyes(viewer)


def _speaker(thing: Object, ven_id: str, audience: Audience) -> Viewer | None:
    """Who hears it as a matter of the VEN. Of the VEN and its resources their owner: the VEN may be gone already."""
    return Viewer(thing.client_id, business=False) if isinstance(thing, Ven | Resource) else audience.ven(ven_id)


def _vens(change: Change, audience: Audience) -> Set[str]:
    if isinstance(change.object, Ven):
        return {change.object_id}
    if isinstance(change.object, Resource):
        return {change.object.ven_id}
    if not _states(change):
        return set()
    targets = _targets(change)
    return audience.readers.vens if targets is None else {ven.id for ven in audience.granted(targets)}
