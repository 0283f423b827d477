"""What a VEN has at its VTN: itself, its resources and subscription, found or made; programs and events, confirmed."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from msgspec.structs import replace

from tieline.base.errors import Conflict, NotFound
from tieline.ven.openadr.client import Collection, VtnClient
from tieline.wires.openadr31.messages import (
    Event,
    ObjectOperation,
    ObjectType,
    Operation,
    Program,
    Resource,
    SubscriptionRequest,
    Ven,
    VenResourceRequest,
    VenVenRequest,
)
from tieline.wires.openadr31.timeline import lifespan

Targeted = TypeVar("Targeted", bound=Program | Event)
CHANGES = (Operation.CREATE, Operation.UPDATE, Operation.DELETE)


async def ven(vtn: VtnClient, name: str) -> Ven:
    """Raises `Conflict` when the name is another client's."""
    if found := await _ven_named(vtn, name):
        return found
    try:
        return await vtn.vens.create(VenVenRequest(ven_name=name))
    except Conflict:
        if found := await _ven_named(vtn, name):  # made meanwhile
            return found
        raise


async def resources(vtn: VtnClient, ven_id: str, names: Sequence[str]) -> dict[str, Resource]:
    """All that the VEN has, by id, those of these names among them."""
    found = {one.id: one async for one in vtn.resources.search(ven_id=ven_id)}
    there = {one.resource_name for one in found.values()}
    for name in names:
        if name not in there:
            made = await vtn.resources.create(VenResourceRequest(resource_name=name, ven_id=ven_id))
            found[made.id] = made
    return found


async def subscription(vtn: VtnClient, client_name: str, url: str, bearer: str) -> str:
    """The id of the subscription that calls this URL when a program or an event changes."""
    operation = ObjectOperation(
        objects=(ObjectType.PROGRAM, ObjectType.EVENT), operations=CHANGES, callback_url=url, bearer_token=bearer
    )
    wanted = SubscriptionRequest(client_name=client_name, object_operations=(operation,))
    async for one in vtn.subscriptions.search(client_name=client_name):
        if any(asked.callback_url == url for asked in one.object_operations):
            return (await vtn.subscriptions.update(one.id, wanted)).id
    return (await vtn.subscriptions.create(wanted)).id


async def programs(
    vtn: VtnClient, names: Sequence[str], targets: Sequence[str], known: dict[str, Program]
) -> dict[str, Program]:
    """Those of these names that the VEN may see, by id; all when there are no names."""
    found: dict[str, Program] = {}
    for asked in _asked(targets):
        _add(found, [one async for one in vtn.programs.search(targets=asked)])
    found |= await _missed(vtn.programs, known.keys() - found.keys())
    return {id_: one for id_, one in found.items() if not names or one.program_name in names}


async def events(
    vtn: VtnClient,
    followed: dict[str, Program],
    targets: Sequence[str],
    known: dict[str, Event],
    now: datetime,
    *,
    every: bool,
) -> dict[str, Event]:
    """Those of the followed programs that are not over, by id; `every` when these are all the VEN may see."""
    found: dict[str, Event] = {}
    for program_id in (None,) if every else followed:
        for asked in _asked(targets):
            search = vtn.events.search(program_id=program_id, targets=asked, active=True)
            _add(found, [one async for one in search])
    going_on = {one.id for one in known.values() if not is_over(one, followed.get(one.program_id), now)}
    found |= await _missed(vtn.events, going_on - found.keys())
    return {id_: one for id_, one in found.items() if one.program_id in followed}


def is_over(event: Event, program: Program | None, now: datetime) -> bool:
    _, end = lifespan(event, program, event.created_date_time)
    return end is not None and end <= now


def _asked(targets: Sequence[str]) -> list[tuple[str, ...]]:
    """Nothing in particular, and each target alone: some VTNs show what has targets only to who asks for them."""
    return [(), *((one,) for one in targets)]


def _add(found: dict[str, Targeted], things: Iterable[Targeted]) -> None:
    """With all the targets that it was shown with."""
    for thing in things:
        known = found.get(thing.id)
        shown = dict.fromkeys((*((known.targets if known else None) or ()), *(thing.targets or ())))
        found[thing.id] = replace(thing, targets=tuple(shown) or None)


async def _missed(collection: Collection[Any, Targeted], ids: Iterable[str]) -> dict[str, Targeted]:
    """Of what a list no longer has, what is there all the same: a list that changes while it is read may skip some."""
    found: dict[str, Targeted] = {}
    for id_ in sorted(ids):
        try:
            found[id_] = await collection.get(id_)
        except NotFound:
            continue
    return found


async def _ven_named(vtn: VtnClient, name: str) -> Ven | None:
    async for one in vtn.vens.search(ven_name=name):
        if one.ven_name == name:
            return one
    return None
