"""The MQTT topics of notifications: a place for each object and reader, an operation below it.

    openadr3/all/{collection}/{operation}                              every object: for BL
    openadr3/all/programs/{program}[/{collection}]/{operation}         one program, or what belongs to it
    openadr3/clients/{client}/programs/…                               the same, as far as that client may see it
    openadr3/clients/{client}/vens/{ven}[/{collection}]/{operation}    one of its VENs, or what is meant for that one
    openadr3/anyone/…                                                  what has no targets, where anyone may listen

    collection   programs, events, reports, subscriptions, vens, resources
    operation    create, update, delete; + for all of them

A reader's places lie below one prefix, so that the broker can hold it to them: no prefix is the beginning of another.
A VEN that is given to another client moves, out of the hearing of whom it was taken from.
(Definition, "Notifications via Additional Protocols"; "Notifications over other protocols", 8 and 9. No topic tells of
READ: 6.)
"""

import hashlib
import re

from msgspec import UNSET

from tieline.wires.openadr31.messages import ObjectType, Operation
from tieline.wires.openadr31.notifiers import NotifierTopics

ROOT = "openadr3"
ALL = f"{ROOT}/all"
ANYONE = f"{ROOT}/anyone"

_PLAIN = re.compile(r"(?!x-)[A-Za-z0-9_-]{1,64}")
_OPERATIONS = {Operation.CREATE: "create", Operation.UPDATE: "update", Operation.DELETE: "delete"}


def level(name: str) -> str:
    """Any id as one level of a topic: itself where it is plain, else x- and a digest of it.

    Brokers read / + # $ as syntax; NATS, whose subjects the topics become, also . * > and spaces. What is plain begins
    with no x-, so that two ids never share a level.
    """
    if _PLAIN.fullmatch(name):
        return name
    return f"x-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:60]}"


# --- places -----------------------------------------------------------------------------------------------------------


def of_client(client_id: str) -> str:
    return f"{ROOT}/clients/{level(client_id)}"


def of_ven(client_id: str, ven_id: str) -> str:
    """A VEN's, below that of the client that speaks for it."""
    return f"{objects(of_client(client_id), ObjectType.VEN)}/{level(ven_id)}"


def objects(place: str, kind: ObjectType) -> str:
    """All objects of a kind at a place: `ALL`, `ANYONE`, a client's, a program's or a VEN's."""
    return f"{place}/{kind.lower()}s"


def program(place: str, program_id: str) -> str:
    """One program, seen by whom the place belongs to."""
    return f"{objects(place, ObjectType.PROGRAM)}/{level(program_id)}"


# --- operations -------------------------------------------------------------------------------------------------------


def topic(place: str, operation: Operation) -> str:
    return f"{place}/{_OPERATIONS[operation]}"


def names(place: str, *, created: bool = True) -> NotifierTopics:
    """The topics to subscribe to at a place; `created` is false for one object, which has an id already."""
    return NotifierTopics(
        create=topic(place, Operation.CREATE) if created else UNSET,
        update=topic(place, Operation.UPDATE),
        delete=topic(place, Operation.DELETE),
        all=f"{place}/+",
    )
