"""Who is to be told: the clients that subscribed, those that asked for MQTT topics, and what each VEN is granted.

    Rows ── all at start ──▶ audience ◀── each change of the Log, before it is told itself

It knows the world as of the change that is being told, or later: the notifier puts each change in, then tells it. That
is why it does not share the view of the doors, which may lag behind what the notifier has read.
"""

from collections.abc import Collection, Iterable

import msgspec
import sqlalchemy as sa

from tieline.ports import Reader
from tieline.registry import openadr as registry
from tieline.vtn import subscriptions
from tieline.vtn.privacy import Viewer
from tieline.vtn.store import topic_reader
from tieline.vtn.subscriptions import Listener
from tieline.vtn.view import Shelf, at_ven, client, target
from tieline.wires.openadr31.change import Change
from tieline.wires.openadr31.messages import Operation, Resource, Ven


class Readers(msgspec.Struct, frozen=True):
    """Whose topics were ever asked for, and so may be subscribed to: business logic's, those of clients, of VENs, and
    those that anyone may hear."""

    business: bool = False
    anyone: bool = False
    clients: frozenset[str] = frozenset()
    vens: frozenset[str] = frozenset()


BUSINESS, ANYONE, CLIENT, VEN = "business", "anyone", "client", "ven"


class Audience:
    """In memory. Every change may be put in again, and late."""

    def __init__(self) -> None:
        self.readers = Readers()
        self.revoked: set[str] = set()
        self._listeners: dict[str, Listener] = {}
        self._of_client: dict[str, set[str]] = {}
        self._of_business: set[str] = set()
        self._clients: dict[str, Viewer] = {}
        # Here the targets of a VEN or resource are all that it is granted, by its name too.
        self._vens = Shelf[Ven](lambda ven: [client(ven.client_id), *map(target, ven.targets or ())])
        self._resources = Shelf[Resource](lambda one: [at_ven(one.ven_id), *map(target, one.targets or ())])

    # --- what happens -------------------------------------------------------------------------------------------------

    def load(self, reader: Reader) -> None:
        """All that there is, into an audience that knows nothing yet."""
        named = registry.named_ones(reader)
        for ven in registry.vens(reader):
            self._put(ven, named)
        for resource in registry.resources(reader):
            self._put(resource, named)
        self.readers = topic_readers(reader)
        for listener in subscriptions.listeners(reader):
            self.listen(listener)

    def apply(self, change: Change) -> None:
        """What VENs are granted; of subscriptions the Log does not say all, whoever does says `listen` and `leave`."""
        if change.operation is Operation.READ or not isinstance(change.object, Ven | Resource):
            return
        self._clients.clear()
        if change.operation is not Operation.DELETE:
            self._put(change.object, {change.object_id} if change.named else ())
        elif isinstance(change.object, Ven):
            self._vens.drop(change.object_id)
        else:
            self._resources.drop(change.object_id)

    def listen(self, listener: Listener) -> None:
        self.leave(listener.subscription.id)
        id_, client_id = listener.subscription.id, listener.subscription.client_id
        self._listeners[id_] = listener
        self._of_client.setdefault(client_id, set()).add(id_)
        if listener.business:
            self._of_business.add(id_)

    def leave(self, subscription_id: str) -> None:
        old = self._listeners.pop(subscription_id, None)
        if old is None:
            return
        self._of_business.discard(subscription_id)
        client_id = old.subscription.client_id
        self._of_client[client_id].discard(subscription_id)
        if not self._of_client[client_id]:
            del self._of_client[client_id]

    def revoke(self, client_id: str, *, revoked: bool) -> None:
        """A client whose secret and tokens do not work any more is told nothing."""
        (self.revoked.add if revoked else self.revoked.discard)(client_id)

    def _put(self, thing: Ven | Resource, named: Collection[str]) -> None:
        if isinstance(thing, Ven):
            granted = tuple(registry.ven_grants(thing, named))
            self._vens.put(msgspec.structs.replace(thing, targets=granted, attributes=None))
        else:
            granted = tuple(registry.resource_grants(thing, named))
            self._resources.put(msgspec.structs.replace(thing, targets=granted, attributes=None))

    # --- what is asked ------------------------------------------------------------------------------------------------

    def listeners(self, clients: Iterable[str] | None) -> list[Listener]:
        """Subscriptions of business logic and of these clients; all for None."""
        if clients is None:
            ids = set(self._listeners)
        else:
            ids = self._of_business.union(*(self._of_client.get(one, ()) for one in clients))
        found = (self._listeners[id_] for id_ in sorted(ids))
        return [one for one in found if one.subscription.client_id not in self.revoked]

    def client(self, client_id: str) -> Viewer:
        """A VEN client, with what all its VENs are granted."""
        if (known := self._clients.get(client_id)) is None:
            granted = map(self._granted, self._vens.found([client(client_id)]))
            known = Viewer(client_id, business=False, grants=frozenset[str]().union(*granted))
            self._clients[client_id] = known
        return known

    def ven(self, ven_id: str) -> Viewer | None:
        """Who speaks for a VEN, with what that one alone is granted; None where there is no such VEN."""
        ven = self._vens.get(ven_id)
        return None if ven is None else Viewer(ven.client_id, business=False, grants=self._granted(ven))

    def granted(self, targets: Iterable[str]) -> list[Ven]:
        """The VENs that are granted any of these."""
        asked = [target(one) for one in targets]
        ids = {ven.id for ven in self._vens.found(asked)} | {one.ven_id for one in self._resources.found(asked)}
        return [ven for id_ in sorted(ids) if (ven := self._vens.get(id_)) is not None]

    def _granted(self, ven: Ven) -> frozenset[str]:
        resources = self._resources.found([at_ven(ven.id)])
        return frozenset(ven.targets or ()).union(*(one.targets or () for one in resources))


def topic_readers(reader: Reader) -> Readers:
    found: dict[str, set[str]] = {BUSINESS: set(), ANYONE: set(), CLIENT: set(), VEN: set()}
    for row in reader.execute(sa.select(topic_reader)):
        found[row.kind].add(row.reader_id)
    return Readers(bool(found[BUSINESS]), bool(found[ANYONE]), frozenset(found[CLIENT]), frozenset(found[VEN]))


def count_readers(reader: Reader) -> int:
    """None ever goes, so that another number is other readers."""
    found: int = reader.execute(sa.select(sa.func.count()).select_from(topic_reader)).scalar_one()
    return found
