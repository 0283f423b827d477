"""The OpenADR doors: the same handlers for every dialect, one set of five for each kind of object.

GET, POST   {prefix}/{collection}          PUT, DELETE, GET   {prefix}/{collection}/{id}
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from litestar import Request, Response, delete, get, post, put

from tieline.base.errors import NotFound, Refused
from tieline.ports import Rows
from tieline.vtn import bodies, privacy, reports, subscriptions
from tieline.vtn.access import READS, WRITES, Doorkeeper
from tieline.vtn.actions import Desk
from tieline.vtn.answers import Answer, Answers
from tieline.vtn.dialect import Dialect, is_id, parameters
from tieline.vtn.privacy import Viewer
from tieline.vtn.view import View
from tieline.wires.openadr31 import messages
from tieline.wires.openadr31.messages import Object, ObjectType

Http = Request[Any, Any, Any]
Notice = Callable[[Object], Awaitable[None]]
"""Tells who wants to know that an object was read."""
_NO_GZIP = re.compile(rb"gzip\s*;\s*q=0(\.0*)?\s*(,|$)")


class Doors(msgspec.Struct, frozen=True):
    """What the handlers work with."""

    keeper: Doorkeeper
    view: View
    answers: Answers
    desk: Desk
    rows: Rows
    notice: Notice


def routes(dialect: Dialect, doors: Doors) -> list[Any]:
    """The handlers of every collection of a dialect."""
    return [handler for kind in dialect.collections for handler in _collection(dialect, kind, doors)]


def _collection(dialect: Dialect, kind: ObjectType, doors: Doors) -> list[Any]:
    return [*_reading(dialect, kind, doors), *_writing(dialect, kind, doors)]


def _paths(dialect: Dialect, kind: ObjectType) -> tuple[str, str]:
    """Of the collection, and of one object in it."""
    path = dialect.prefix + dialect.collections[kind]
    return path, f"{path}/{{object_id:str}}"


def _reading(dialect: Dialect, kind: ObjectType, doors: Doors) -> list[Any]:
    path, one = _paths(dialect, kind)

    @get(path, include_in_schema=False)
    async def list_objects(request: Http) -> Response[bytes]:
        viewer = await doors.keeper.viewer(request, *READS[kind])
        return answered(request, await _listed(dialect, kind, doors, viewer, request))

    @get(one, include_in_schema=False)
    async def show_object(request: Http) -> Response[bytes]:
        viewer = await doors.keeper.viewer(request, *READS[kind])
        thing = await _one(kind, doors, viewer, request)
        await doors.notice(thing)
        return answered(request, Answer(await _told(dialect, doors, thing)))

    return [list_objects, show_object]


def _writing(dialect: Dialect, kind: ObjectType, doors: Doors) -> list[Any]:
    path, one = _paths(dialect, kind)

    @post(path, include_in_schema=False)
    async def create_object(request: Http) -> Response[bytes]:
        body = await bodies.whole(request)
        viewer = await doors.keeper.viewer(request, WRITES[kind])
        bodies.check_media(request)
        asked = dialect.read(kind, body, viewer, _ven(request))
        return await _whole(dialect, doors, await doors.desk.create(viewer, asked, dialect.version), 201)

    @put(one, include_in_schema=False)
    async def update_object(request: Http) -> Response[bytes]:
        body = await bodies.whole(request)
        viewer = await doors.keeper.viewer(request, WRITES[kind])
        id_ = await _id(kind, doors, request)
        bodies.check_media(request)
        asked = dialect.read(kind, body, viewer, _ven(request))
        return await _whole(dialect, doors, await doors.desk.update(viewer, id_, asked, dialect.version), 200)

    @delete(one, include_in_schema=False, status_code=200)
    async def delete_object(request: Http) -> Response[bytes]:
        viewer = await doors.keeper.viewer(request, WRITES[kind])
        id_ = await _id(kind, doors, request)
        await _check_told(dialect, doors, viewer, kind, id_)
        program_id = await _program(doors, kind, id_)
        return await _whole(dialect, doors, await doors.desk.delete(viewer, kind, id_), 200, program_id)

    return [create_object, update_object, delete_object]


async def _listed(dialect: Dialect, kind: ObjectType, doors: Doors, viewer: Viewer, request: Http) -> Answer:
    query, ven_id = request.scope["query_string"], _ven(request)
    if ven_id is not None:
        _seen(doors, viewer, ObjectType.VEN, ven_id)
    if kind is not ObjectType.REPORT:
        return doors.answers.list(dialect, kind, viewer, query, ven_id)
    asked = dialect.query(kind, parameters(query))
    found = await doors.rows.read(lambda reader: reports.found(reader, viewer, asked))
    return Answer(msgspec.json.encode([dialect.show(one, doors.view, program_id) for one, program_id in found]))


async def _one(kind: ObjectType, doors: Doors, viewer: Viewer, request: Http) -> Object:
    """Raises `NotFound` for what is not there, or not for this viewer's eyes."""
    id_ = await _id(kind, doors, request)
    if kind is ObjectType.REPORT:
        found = await doors.rows.read(lambda reader: reports.the(reader, id_))
        if privacy.shown(viewer, found) is None:
            raise _absent(kind, id_)
        return found
    return _seen(doors, viewer, kind, id_)


def _seen(doors: Doors, viewer: Viewer, kind: ObjectType, id_: str) -> Object:
    thing = doors.view.shelf(kind).get(id_)
    shown = None if thing is None else privacy.shown(viewer, thing)
    if shown is None:
        raise _absent(kind, id_)
    return shown


def _absent(kind: ObjectType, id_: str) -> NotFound:
    """In the words of `Desk` too: to tell what is another's, or elsewhere, from what is not there would tell of it."""
    return NotFound(f"there is no {kind.lower()} {id_!r}")


async def _id(kind: ObjectType, doors: Doors, request: Http) -> str:
    """The id in the path, which must be at the VEN in the path where there is one. Raises `Refused`, `NotFound`."""
    id_: str = request.path_params["object_id"]
    if not is_id(id_):
        raise Refused(f"{id_[:140]!r} is not an object id: 1 to 128 of A-Z a-z 0-9 _ -")
    ven_id = _ven(request)
    if ven_id is not None and getattr(doors.view.shelf(kind).get(id_), "ven_id", None) != ven_id:
        raise _absent(kind, id_)
    return id_


def _ven(request: Http) -> str | None:
    ven_id: str | None = request.path_params.get("ven_id")
    if ven_id is not None and not is_id(ven_id):
        raise Refused(f"{ven_id[:140]!r} is not an object id: 1 to 128 of A-Z a-z 0-9 _ -")
    return ven_id


def answered(request: Http, answer: Answer) -> Response[bytes]:
    """200 with its ETag, or 304 where the caller has it already; compressed where the caller takes that."""
    headers = dict(request.scope["headers"])
    tag = {"etag": answer.etag.decode(), "vary": "Authorization, Accept-Encoding"}
    if answer.known(headers.get(b"if-none-match", b"")):
        return Response(b"", status_code=304, headers=tag)
    zipped = answer.zipped() if _takes_gzip(headers.get(b"accept-encoding", b"")) else None
    if zipped is None:
        return Response(answer.body, media_type="application/json", headers=tag)
    return Response(zipped, media_type="application/json", headers={**tag, "content-encoding": "gzip"})


def _takes_gzip(accepted: bytes) -> bool:
    """`gzip;q=0` refuses it (RFC 9110 12.5.3)."""
    return b"gzip" in accepted and not _NO_GZIP.search(accepted)


async def _whole(
    dialect: Dialect, doors: Doors, thing: Object, status: int, program_id: str | None = None
) -> Response[bytes]:
    body = await _told(dialect, doors, thing, program_id)
    return Response(body, status_code=status, media_type="application/json")


async def _told(dialect: Dialect, doors: Doors, thing: Object, program_id: str | None = None) -> bytes:
    """Raises `NotFound` for what the dialect has no word for."""
    program_id = program_id or await _program(doors, messages.object_type(thing), thing.id)
    told = dialect.show(thing, doors.view, program_id)
    if told is None:
        raise NotFound(f"{dialect.prefix} cannot say what {thing.id!r} is: read it by a later version")
    return msgspec.json.encode(told)


async def _check_told(dialect: Dialect, doors: Doors, viewer: Viewer, kind: ObjectType, id_: str) -> None:
    """Raises `NotFound` for what the dialect has no word for, which only a subscription can be: it is not there to be
    deleted."""
    if kind is ObjectType.SUBSCRIPTION:
        found = await doors.rows.read(lambda reader: subscriptions.the(reader, id_))
        if privacy.shown(viewer, found) is not None:
            await _told(dialect, doors, found)


async def _program(doors: Doors, kind: ObjectType, id_: str) -> str | None:
    """The program that a report belongs to by its event."""
    if kind is not ObjectType.REPORT:
        return None
    return await doors.rows.read(lambda reader: reports.program_of(reader, id_))
