"""What the platform tells itself on the Log of every change that an OpenADR client may see.

    news.openadr.{program|event|report|subscription|ven|resource}.{created|read|updated|deleted}   Change

A change is said in the transaction that makes it, and read back with `messages.decode(Change, data)`. `object` is the
whole 3.1 representation, that of a deleted object as it last stood; whoever passes it on shows each client only what
that client may see.
"""

from msgspec import Struct

from tieline.wires.openadr31.messages import Event, Object, ObjectType, Operation, Program, encode
from tieline.wires.openadr31.scalars import ZonedInstant

SUBJECTS = "news.openadr.>"
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

    @property
    def subject(self) -> str:
        return f"news.openadr.{self.object_type.lower()}.{_DONE[self.operation]}"

    def encoded(self) -> bytes:
        return encode(self)
