"""The four topics of a VEN and what they carry, version 1.

    oadr/meter/{venId}   VEN → Tieline   Meter     what the premises drew, several samples a message allowed
    ven/loads/{venId}    VEN → Tieline   Loads     a snapshot of each load and how much of it could be shed
    ven/cmd/{venId}      Tieline → VEN   Command   retained: a VEN that comes back finds the last one
    ven/ack/{venId}      VEN → Tieline   Ack       the answer; a repeated command gets the same answer and acts once

VENs publish at QoS 1 and subscribe at QoS 0. Unknown fields are tolerated: a newer VEN may say more. Instants are
RFC 3339 with a zone. Power is in kW, positive when drawn from the grid, negative when fed into it.
"""

import enum
from datetime import datetime
from typing import Annotated

import msgspec

from tieline.base.names import Id

METER = "oadr/meter"
LOADS = "ven/loads"
COMMAND = "ven/cmd"
ACK = "ven/ack"

MAX_BYTES = 512 * 1024
"""A larger message is refused whole: a fortnight of quarter hours fits in a quarter of it."""
MAX_SAMPLES = 4096

ZonedInstant = Annotated[datetime, msgspec.Meta(tz=True)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]


def topic(kind: str, ven_id: str) -> str:
    return f"{kind}/{ven_id}"


class Sample(msgspec.Struct, frozen=True):
    """The mean power over the interval that ended at `at` and began at the sample before it."""

    at: ZonedInstant
    power_kw: float


class Meter(msgspec.Struct, frozen=True):
    """What the premises drew, net of what it made. Samples may come in any order and more than once."""

    samples: Annotated[list[Sample], msgspec.Meta(min_length=1, max_length=MAX_SAMPLES)]
    v: int = 1


class LoadState(enum.StrEnum):
    ON = "on"
    OFF = "off"
    SHED = "shed"  # held down by a command of ours


class Load(msgspec.Struct, frozen=True):
    """One load now: mean power since the last snapshot, and how much of what it draws now it could give up."""

    resource_id: Id
    power_kw: float
    sheddable_kw: NotNegative
    state: LoadState


class Loads(msgspec.Struct, frozen=True):
    at: ZonedInstant
    loads: Annotated[list[Load], msgspec.Meta(max_length=256)]
    v: int = 1


class Op(enum.StrEnum):
    EVENT = "event"  # hold these loads at their limits from start_at to end_at, then restore by the VEN's own clock
    RESTORE = "restore"  # give back at once what an event held


class Limit(msgspec.Struct, frozen=True):
    """Hold a load at or below `limit_kw`."""

    resource_id: Id
    limit_kw: NotNegative


class Command(msgspec.Struct, frozen=True):
    """One command. After `expires_at` it must not be begun. `command_id` is its identity: acted on once."""

    command_id: str
    op: Op
    event_id: str
    issued_at: ZonedInstant
    expires_at: ZonedInstant
    start_at: ZonedInstant | None = None
    end_at: ZonedInstant | None = None
    limits: list[Limit] = []
    v: int = 1


class Answer(enum.StrEnum):
    ACCEPTED = "accepted"
    OPTED_OUT = "opted_out"
    REFUSED = "refused"
    EXPIRED = "expired"


class Ack(msgspec.Struct, frozen=True):
    """The answer to one command, for the whole of it."""

    command_id: str
    answer: Answer
    at: ZonedInstant
    reason: str = ""
    v: int = 1
