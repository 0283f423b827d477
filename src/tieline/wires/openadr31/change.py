"""What the platform tells itself on the Log of every change that an OpenADR client may see.

    news.openadr.{program|event|report|subscription|ven|resource}.{created|read|updated|deleted}   Change

A change is said in the transaction that makes it, and read back with `messages.decode(Change, data)`. `object` is the
whole 3.1 representation, that of a deleted object as it last stood; whoever passes it on shows each client only what
that client may see.
"""

from datetime import datetime

from msgspec import Struct

from tieline.wires.openadr31.messages import Event, Object, ObjectType, Operation, Program, encode, object_type
from tieline.wires.openadr31.scalars import ZonedInstant

_PLACE = "news.openadr."
SUBJECTS = f"{_PLACE}>"
_DONE = {
    Operation.CREATE: "created",
    Operation.READ: "read",
    Operation.UPDATE: "updated",
    Operation.DELETE: "deleted",
}


class Change(Struct, frozen=True, kw_only=True):
    """`client_id` owns the object; `program_id` is the program it belongs to, for a program its own. `named`: business
    logic, not the client, gave a VEN or resource its name. `before` is a program or event as it stood before an update
    that changed who sees it, by its targets or its program: who no longer does has to hear that it is gone."""

    object_type: ObjectType
    operation: Operation
    object_id: str
    object: Object
    client_id: str | None = None
    program_id: str | None = None
    named: bool = False
    before: Program | Event | None = None
    at: ZonedInstant

    @classmethod
    def of(
        cls,
        operation: Operation,
        thing: Object,
        at: datetime,
        *,
        before: Program | Event | None = None,
        program_id: str | None = None,
        named: bool = False,
    ) -> "Change":
        """What was done to an object. `before` is told only where others saw it; `program_id` is for what does not name
        its program: a report."""
        return cls(
            object_type=object_type(thing),
            operation=operation,
            object_id=thing.id,
            object=thing,
            client_id=getattr(thing, "client_id", None),
            program_id=program_id or program(thing),
            named=named,
            before=before if before and _seen_by(before) != _seen_by(thing) else None,
            at=at,
        )

    @property
    def subject(self) -> str:
        return f"{_PLACE}{self.object_type.lower()}.{_DONE[self.operation]}"

    def encoded(self) -> bytes:
        return encode(self)


def is_change(subject: str) -> bool:
    return subject.startswith(_PLACE)


def subjects(kind: ObjectType) -> str:
    """Of every change of objects of a kind."""
    return f"{_PLACE}{kind.lower()}.*"


def program(thing: Object) -> str | None:
    """The program that an object names, or is."""
    return thing.id if isinstance(thing, Program) else getattr(thing, "program_id", None) or None


def _seen_by(thing: Object) -> tuple[object, ...]:
    """What decides who sees a program or event."""
    return getattr(thing, "targets", None), program(thing)
