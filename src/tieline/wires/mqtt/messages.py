"""The topics of a VEN and what they carry, version 1.

    oadr/meter/{venId}     VEN → Tieline   Meter      what the premises drew, several samples a message allowed
    ven/loads/{venId}      VEN → Tieline   Loads      a snapshot of each load and how much of it could be shed
    ven/presence/{venId}   VEN → Tieline   Presence   each beat; as last will, that it is gone
    ven/twin/{venId}       VEN → Tieline   TwinReport what it reports of a twin, or asks for
    ven/ack/{venId}        VEN → Tieline   Ack        the answer; a repeated command gets the same answer and acts once
    ven/cmd/{venId}        Tieline → VEN   Command    retained: a VEN that comes back finds the last one
    ven/desired/{venId}    Tieline → VEN   TwinDelta  what is desired and not yet reported

VENs publish at QoS 1 and subscribe at QoS 0. Messages are JSON or MessagePack, told apart by their first byte. Unknown
fields are tolerated: a newer VEN may say more. Instants are RFC 3339 with a zone. Power is in kW, positive when drawn
from the grid, negative when fed into it.
"""

import enum
from datetime import datetime
from typing import Annotated, Any

import msgspec

from tieline.base.names import Id

METER = "oadr/meter"
LOADS = "ven/loads"
PRESENCE = "ven/presence"
TWIN = "ven/twin"
ACK = "ven/ack"
COMMAND = "ven/cmd"
DESIRED = "ven/desired"
FROM_VEN = (METER, LOADS, PRESENCE, TWIN, ACK)
TO_VEN = (COMMAND, DESIRED)

MAX_BYTES = 512 * 1024
"""A larger message is refused whole: a fortnight of quarter hours fits in a quarter of it."""
MAX_SAMPLES = 4096

ZonedInstant = Annotated[datetime, msgspec.Meta(tz=True)]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=1e9)]  # finite: MessagePack can say infinity
Scalar = bool | int | float | str | None


def topic(kind: str, ven_id: str) -> str:
    return f"{kind}/{ven_id}"


class Sample(msgspec.Struct, frozen=True, gc=False):
    """The mean power over the interval that ended at `at` and began at the sample before it."""

    at: ZonedInstant
    power_kw: float


class Meter(msgspec.Struct, frozen=True, gc=False):
    """What the premises drew, net of what it made. Samples may come in any order and more than once."""

    samples: Annotated[list[Sample], msgspec.Meta(min_length=1, max_length=MAX_SAMPLES)]
    v: int = 1


class LoadState(enum.StrEnum):
    ON = "on"
    OFF = "off"
    SHED = "shed"  # held down by a command of ours


class Load(msgspec.Struct, frozen=True, gc=False):
    """One load now: mean power since the last snapshot, and how much of what it draws now it could give up.

    `sheddable_kw` is the load's own word: 0 while its comfort band, its ready-by or its shortest run forbids it.
    `hold_s` is how long it could stay down before one of them would; None: as long as it is asked to. `withheld_kw` is
    what it would draw beyond `power_kw` were it not held down; None: it cannot tell.
    """

    resource_id: Id
    power_kw: float
    sheddable_kw: NotNegative
    state: LoadState
    hold_s: NotNegative | None = None
    withheld_kw: NotNegative | None = None


class Loads(msgspec.Struct, frozen=True, gc=False):
    at: ZonedInstant
    loads: Annotated[list[Load], msgspec.Meta(max_length=256)]
    v: int = 1


class Presence(msgspec.Struct, frozen=True):
    """That a VEN is there, said each `beat_s`; as its last will, that it is not. Its time is when it was heard.

    `at` is what the VEN's clock shows as it says so, by which the platform sees how far that is off; a last will, which
    was written long before it is said, has none.
    """

    online: bool
    beat_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 60.0
    agent: Annotated[str, msgspec.Meta(max_length=64)] = ""  # which program and version speaks
    at: ZonedInstant | None = None
    v: int = 1


class Op(enum.StrEnum):
    EVENT = "event"  # hold these loads at their limits from start_at to end_at, then restore by the VEN's own clock
    RESTORE = "restore"  # give back at once what an event held, or what was set on a load, or with neither everything
    SHED_LOAD = "shedLoad"  # hold one load as low as it goes, until end_at
    SET_LOAD = "setLoad"  # hold one load at or below limit_kw, until end_at or until it is restored
    SHED_PANEL = "shedPanel"  # hold the whole premises at or below limit_kw, until end_at
    SET = "set"  # change settings of the VEN
    GET = "get"  # answer with settings and state of the VEN
    PING = "ping"  # answer


class Limit(msgspec.Struct, frozen=True):
    """Hold a load at or below `limit_kw`."""

    resource_id: Id
    limit_kw: NotNegative


class Command(msgspec.Struct, frozen=True, omit_defaults=True):
    """One command. After `expires_at` it must not be begun. `command_id` is its identity: acted on once.

    Of an event, `limits` is all that the event now asks of this VEN: the command issued last replaces those before.
    """

    command_id: str
    op: Op
    issued_at: ZonedInstant
    expires_at: ZonedInstant
    event_id: str = ""  # empty: an operator's own command, of no event
    start_at: ZonedInstant | None = None
    end_at: ZonedInstant | None = None
    limits: Annotated[list[Limit], msgspec.Meta(max_length=256)] = []
    resource_id: Id | None = None
    limit_kw: NotNegative | None = None
    values: dict[str, Scalar] = {}  # of set
    names: list[str] = []  # of get; empty: all
    v: int = 1


class Answer(enum.StrEnum):
    ACCEPTED = "accepted"
    OPTED_OUT = "opted_out"
    REFUSED = "refused"
    EXPIRED = "expired"


class OptOut(msgspec.Struct, frozen=True, omit_defaults=True):
    """The owner's word against a part of what is asked. It stands: also against later commands of the same event.

    `resource_id`: that load; None: all that is asked. From `from_at` on, until then it is held; None: at once. With
    `limit_kw` it still gives something: it is held, but no lower than that.
    """

    resource_id: Id | None = None
    from_at: ZonedInstant | None = None
    limit_kw: NotNegative | None = None
    reason: Annotated[str, msgspec.Meta(max_length=300)] = ""

    def has_begun(self, at: datetime) -> bool:
        return self.from_at is None or self.from_at <= at


class Ack(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to one command, for the whole of it but for what `opt_outs` say of an accepted one; `values` are what
    a get asked for. Who changes his mind answers the same command again: an opt-out counts whenever it comes."""

    command_id: str
    answer: Answer
    at: ZonedInstant
    reason: str = ""
    values: dict[str, Scalar] = {}
    opt_outs: Annotated[list[OptOut], msgspec.Meta(max_length=256)] = []
    v: int = 1


# --- twins: the words of AWS IoT Core's device shadows, in fewer topics -----------------------------------------------

CLASSIC = "classic"
"""The name of the twin that has none."""


class TwinReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a device reports of its twin; without `reported` it asks for the delta. With `version` it is refused unless
    the twin is at that version. A null deletes its field; an array replaces the one before."""

    name: Id = CLASSIC
    reported: dict[str, Any] | None = None
    version: int | None = None
    token: Annotated[str, msgspec.Meta(max_length=64)] = ""  # comes back with the answer
    v: int = 1


class TwinDelta(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is desired and differs from what was reported, at a version of the twin; `refused` says why a report was
    not taken. `state` is empty when all that is desired has been reported."""

    name: str
    version: int
    at: ZonedInstant
    state: dict[str, Any] = {}
    token: str = ""
    refused: str = ""
    v: int = 1
