"""The doors of 3.1.0 that tell how to be notified otherwise than by webhook: /notifiers, and the names of MQTT topics.

    GET {prefix}/notifiers                                                which ways there are
    GET {prefix}/notifiers/mqtt/topics/{programs,events,…}                of all objects: BL's, but for programs
    GET {prefix}/notifiers/mqtt/topics/programs/{programID}[/events]      the caller's own, as far as it sees them
    GET {prefix}/notifiers/mqtt/topics/vens/{venID}[/events,…]            of one VEN, for who speaks for it and for BL

Whose topics are named is noted first: the notifier publishes only where somebody may listen. Each client has topics of
its own, which the broker opens to nobody else. ("Notifications over other protocols", 8 and 9.)
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec
from litestar import Request, Response, get
from sqlalchemy.dialects.postgresql import insert

from tieline.base.errors import NotFound, Refused
from tieline.ports import Rows
from tieline.vtn import privacy
from tieline.vtn.access import READ_ANY, READ_BUSINESS, READ_OWN, READ_TARGETED, Doorkeeper
from tieline.vtn.answers import Answer
from tieline.vtn.audience import ANYONE, BUSINESS, CLIENT, VEN
from tieline.vtn.dialect import is_id
from tieline.vtn.privacy import Viewer
from tieline.vtn.routes import answered
from tieline.vtn.store import topic_reader
from tieline.vtn.view import View
from tieline.wires.openadr31 import topics
from tieline.wires.openadr31.messages import ObjectType, encode
from tieline.wires.openadr31.notifiers import (
    MqttAnonymous,
    MqttAuthentication,
    MqttBearerToken,
    MqttNotifier,
    NotifiersResponse,
    NotifierTopics,
    NotifierTopicsResponse,
)

Http = Request[Any, Any, Any]
Authentication: TypeAlias = Callable[[Viewer], MqttAuthentication]
"""How a client shows the broker who it is."""


def by_token(_: Viewer) -> MqttAuthentication:
    """With the token that it has for the doors."""
    return MqttBearerToken("{clientID}")


class Broker(msgspec.Struct, frozen=True):
    """Where clients find it, as mqtt://host:port or mqtts://…"""

    uris: Sequence[str]
    authentication: Authentication = by_token

    def opens(self, viewer: Viewer) -> MqttAuthentication | None:
        """How the viewer comes in; None where there is no way, for who shows no token or has an odd id."""
        try:
            how = self.authentication(viewer)
        except Refused:
            return None
        return how if viewer.client_id or isinstance(how, MqttAnonymous) else None


class TopicReaders:
    """Notes whose topics were named, in Rows, once."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._noted: set[tuple[str, str]] = set()

    async def note(self, kind: str, reader_id: str) -> None:
        """`kind` is one of audience's, such as VEN."""
        if (kind, reader_id) in self._noted:
            return
        values = {"kind": kind, "reader_id": reader_id}
        await self._rows.transaction(
            lambda tx: tx.execute(insert(topic_reader).values(**values).on_conflict_do_nothing())
        )
        self._noted.add((kind, reader_id))


class NotifierDoors(msgspec.Struct, frozen=True):
    """What the handlers work with; no broker, no MQTT."""

    keeper: Doorkeeper
    view: View
    readers: TopicReaders
    broker: Broker | None


class Asked(msgspec.Struct, frozen=True):
    """A viewer who wants topics, of the object that the path names, if it names one. `anyone`: it will connect without
    saying who it is, and so hear what has no targets, no more."""

    view: View
    viewer: Viewer
    anyone: bool
    object_id: str

    @property
    def reader(self) -> tuple[str, str]:
        if self.anyone:
            return ANYONE, ""
        return (BUSINESS, "") if self.viewer.business else (CLIENT, self.viewer.client_id)

    @property
    def place(self) -> str:
        if self.anyone:
            return topics.ANYONE
        return topics.ALL if self.viewer.business else topics.of_client(self.viewer.client_id)


Named: TypeAlias = tuple[tuple[str, str], NotifierTopics]
"""Whose topics, as `TopicReaders.note` takes it, and their names."""
Name: TypeAlias = Callable[[Asked], Named]
"""Raises `NotFound`."""


def routes(prefix: str, doors: NotifierDoors) -> list[Any]:
    path = f"{prefix}/notifiers/mqtt/topics"
    one = "{object_id:str}"
    every = [kind for kind in ObjectType if kind is not ObjectType.PROGRAM]
    of_ven = (ObjectType.EVENT, ObjectType.PROGRAM, ObjectType.RESOURCE)
    return [
        _notifiers(f"{prefix}/notifiers", doors),
        *[_door(f"{path}/{kind.lower()}s", doors, READ_BUSINESS, _every(kind)) for kind in every],
        _door(f"{path}/programs", doors, READ_TARGETED, _programs),
        _door(f"{path}/programs/{one}", doors, READ_TARGETED, _program),
        _door(f"{path}/programs/{one}/events", doors, READ_TARGETED, _program_events),
        _door(f"{path}/vens/{one}", doors, READ_OWN, _ven),
        *[_door(f"{path}/vens/{one}/{kind.lower()}s", doors, READ_OWN, _ven_s(kind)) for kind in of_ven],
    ]


def _notifiers(path: str, doors: NotifierDoors) -> Any:
    @get(path, include_in_schema=False)
    async def list_notifiers(request: Http) -> Response[bytes]:
        viewer = await doors.keeper.viewer(request, *READ_ANY)
        how = doors.broker.opens(viewer) if doors.broker else None
        if doors.broker is None or how is None:
            return answered(request, Answer(encode(NotifiersResponse())))
        mqtt = MqttNotifier(uris=tuple(doors.broker.uris), authentication=how)
        return answered(request, Answer(encode(NotifiersResponse(mqtt=mqtt))))

    return list_notifiers


def _door(path: str, doors: NotifierDoors, scopes: Sequence[str], name: Name) -> Any:
    @get(path, include_in_schema=False)
    async def list_topics(request: Http) -> Response[bytes]:
        viewer = await doors.keeper.viewer(request, *scopes)
        how = doors.broker.opens(viewer) if doors.broker else None
        if how is None:
            raise NotFound("there is no MQTT for you: GET /notifiers tells what there is")
        object_id = request.path_params.get("object_id", "")
        if "object_id" in request.path_params and not is_id(object_id):
            raise Refused(f"{object_id[:140]!r} is not an object id: 1 to 128 of A-Z a-z 0-9 _ -")
        reader, names = name(Asked(doors.view, viewer, isinstance(how, MqttAnonymous), object_id))
        await doors.readers.note(*reader)
        return answered(request, Answer(encode(NotifierTopicsResponse(names))))

    return list_topics


# --- whose topics -----------------------------------------------------------------------------------------------------


def _every(kind: ObjectType) -> Name:
    def every(asked: Asked) -> Named:
        if asked.anyone and kind is ObjectType.EVENT:
            return asked.reader, topics.names(topics.objects(topics.ANYONE, kind))
        return (BUSINESS, ""), topics.names(topics.objects(topics.ALL, kind))

    return every


def _programs(asked: Asked) -> Named:
    return asked.reader, topics.names(topics.objects(asked.place, ObjectType.PROGRAM))


def _program(asked: Asked) -> Named:
    _seen(asked, ObjectType.PROGRAM)
    return asked.reader, topics.names(topics.program(asked.place, asked.object_id), created=False)


def _program_events(asked: Asked) -> Named:
    _seen(asked, ObjectType.PROGRAM)
    place = topics.program(asked.place, asked.object_id)
    return asked.reader, topics.names(topics.objects(place, ObjectType.EVENT))


def _ven(asked: Asked) -> Named:
    return (VEN, asked.object_id), topics.names(_of_ven(asked), created=False)


def _ven_s(kind: ObjectType) -> Name:
    def of_ven(asked: Asked) -> Named:
        return (VEN, asked.object_id), topics.names(topics.objects(_of_ven(asked), kind))

    return of_ven


def _of_ven(asked: Asked) -> str:
    """The VEN's place, which moves with it when business logic gives it to another client."""
    ven = _seen(asked, ObjectType.VEN)
    return topics.of_ven(ven.client_id, ven.id)


def _seen(asked: Asked, kind: ObjectType) -> Any:
    """The object of that kind that the path names."""
    thing = asked.view.shelf(kind).get(asked.object_id)
    if thing is None or privacy.shown(asked.viewer, thing) is None:
        raise NotFound(f"there is no {kind.lower()} {asked.object_id!r}")
    return thing
