"""A twin and its rules. Pure. They are those that AWS IoT Core documents of device shadows, section by section.

desired    {"setpoint_c": 21, "mode": {"eco": true}}     written by operators
reported   {"setpoint_c": 19, "fan": "low"}              written by the device
delta      {"setpoint_c": 21, "mode": {"eco": true}}     what is desired and not so reported; worked out, not kept
"""

import math
from datetime import datetime
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from tieline.base.errors import Conflict, Refused
from tieline.base.names import Id
from tieline.base.time import iso

State: TypeAlias = dict[str, Any]
"""Fields of JSON. Objects are looked into field by field, all else is a value; an array is one value."""
Stamps: TypeAlias = dict[str, Any]
"""Of the shape of a state, with an RFC 3339 instant in the place of each value."""
Version = Annotated[int, msgspec.Meta(ge=0)]

MAX_BYTES = 8 << 10
MAX_DEPTH = 8
MAX_TWINS = 32
"""Of one VEN: what a device may report is bounded."""
MAX_HEARD_BYTES = 4 * MAX_BYTES
"""Enough for whatever the reported section has room for."""
_LEAST, _MOST = -(1 << 63), (1 << 64) - 1


class Metadata(msgspec.Struct, frozen=True, omit_defaults=True):
    """When each field was last written, be it with the value that it had."""

    desired: Stamps = {}
    reported: Stamps = {}


class Heard(msgspec.Struct, frozen=True, array_like=True):
    """Of a field, and of those in it: where the broker has the report that wrote or deleted it last."""

    position: int = 0
    fields: dict[str, "Heard"] = {}


class Twin(msgspec.Struct, frozen=True, omit_defaults=True):
    """As it is kept. One that is deleted keeps its version, so that none comes twice ("Deleting shadow data"), and what
    was heard of its device, so that no report is entered twice."""

    version: int
    at: datetime
    desired: State = {}
    reported: State = {}
    metadata: Metadata = Metadata()
    deleted: bool = False
    heard: Heard = Heard()


class TwinChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to write: only the fields that it names are touched; a null deletes its field, or a whole section. With
    `version` only if the twin is at that version, 0 where there is none yet."""

    desired: State | UnsetType | None = UNSET
    reported: State | UnsetType | None = UNSET
    version: Version | None = None


class TwinView(msgspec.Struct, frozen=True):
    """A twin as it is shown; `metadata` is of the shape of both states, with instants for values."""

    ven_id: str
    name: str
    version: int
    at: datetime
    desired: State
    reported: State
    delta: State
    metadata: Metadata
    deleted: bool = False


class TwinLine(msgspec.Struct, frozen=True):
    """A twin in a list; `differs`: not all that is desired is so reported."""

    ven_id: str
    name: Id
    version: int
    at: datetime
    differs: bool


def changed(twin: Twin | None, change: TwinChange, at: datetime) -> Twin:
    """The twin after a change that was made at `at`: its version is one more ("Versioning shadow documents").

    Raises `Conflict` for another version than the twin is at, `Refused` for what is no state of a twin or would make it
    too large.
    """
    before = twin or Twin(0, at)
    if change.version is not None and change.version != before.version:
        raise Conflict(f"the twin is at version {before.version}, not {change.version}: read it again, then change it")
    if change.desired is UNSET and change.reported is UNSET:
        raise Refused("a change of a twin names desired or reported, or both")
    desired, desired_at = _section("desired", before.desired, before.metadata.desired, change.desired, at)
    reported, reported_at = _section("reported", before.reported, before.metadata.reported, change.reported, at)
    if (size := document_bytes(desired, reported)) > MAX_BYTES:
        raise Refused(f"desired and reported would have {size} bytes of JSON; at most {MAX_BYTES}: use another twin")
    return Twin(
        before.version + 1,
        max(at, before.at),
        desired,
        reported,
        Metadata(desired_at, reported_at),
        heard=before.heard,
    )


def entered(twin: Twin | None, report: State, position: int, at: datetime, version: int | None = None) -> Twin:
    """The twin after what a device reported; itself where nothing of that is new. Raises as `changed` does.

    `position` is where the broker has the report: of two that write a field, the later one there stands. The broker's
    clock would not do, since another of its servers may go by another.
    """
    _check(report, "reported", depth=1)
    before = twin or Twin(0, at)
    news = fresh(report, before.heard, position)
    if twin is not None and not news:
        return twin
    after = changed(twin, TwinChange(reported=news, version=version), at)
    return msgspec.structs.replace(after, heard=_bounded(marked(before.heard, news, position)))


def removed(twin: Twin, at: datetime) -> Twin:
    """The twin once it is deleted: that is a version too."""
    return Twin(twin.version + 1, max(at, twin.at), deleted=True, heard=twin.heard)


def _section(
    name: str, state: State, stamps: Stamps, change: State | UnsetType | None, at: datetime
) -> tuple[State, Stamps]:
    if change is UNSET:
        return state, stamps
    if change is None:  # "Empty shadow document properties"
        return {}, {}
    _check(change, name, depth=1)
    return merged(state, change), merged(stamps, stamped(change, iso(at)))


def merged(state: State, change: State) -> State:
    """The state with the fields of a change; a null deletes its field ("Updating a shadow"), an array replaces the
    whole of the one before ("Array values in shadow documents")."""
    after = dict(state)
    for name, value in change.items():
        if value is None:
            after.pop(name, None)
        elif isinstance(value, dict):
            before = after.get(name)
            after[name] = merged(before if isinstance(before, dict) else {}, value)
        else:
            after[name] = value
    return after


def stamped(change: State, at: str) -> Stamps:
    """The stamps of a change, nulls left as they are ("Document properties", metadata)."""
    return {
        name: stamped(value, at) if isinstance(value, dict) else None if value is None else at
        for name, value in change.items()
    }


def fresh(report: State, heard: Heard, position: int) -> State:
    """What of a report no later one has written or deleted: one that is delivered late, or again, takes nothing back
    and brings nothing back."""
    kept: State = {}
    for name, value in report.items() if position > heard.position else ():
        known = heard.fields.get(name, Heard())
        if isinstance(value, dict) and (value or known.fields):
            if deeper := fresh(value, known, position):
                kept[name] = deeper
        elif position > _newest(known):
            kept[name] = value
    return kept


def marked(heard: Heard, report: State, position: int) -> Heard:
    """What was heard once a report is entered, all of which is fresh."""
    fields = dict(heard.fields)
    for name, value in report.items():
        whole = not isinstance(value, dict) or not value
        fields[name] = Heard(position) if whole else marked(fields.get(name, Heard()), value, position)
    return Heard(heard.position, fields)


def _bounded(heard: Heard) -> Heard:
    """Of a device that goes on inventing fields and deleting them: what is heard late is then left wholly."""
    return heard if len(msgspec.json.encode(heard)) <= MAX_HEARD_BYTES else Heard(_newest(heard))


def _newest(heard: Heard) -> int:
    return max(heard.position, *map(_newest, heard.fields.values())) if heard.fields else heard.position


def delta(desired: State, reported: State) -> State:
    """What is desired and not so reported, with the path to it; what is only reported is not in it ("Delta state")."""
    found: State = {}
    for name, value in desired.items():
        if name not in reported:
            found[name] = value
        elif isinstance(value, dict) and isinstance(reported[name], dict):
            if deeper := delta(value, reported[name]):
                found[name] = deeper
        elif not same(value, reported[name]):
            found[name] = value
    return found


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same in JSON: there true is not 1; but 1.0 is."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    return bool(one == other)


def document_bytes(desired: State, reported: State) -> int:
    """The size that counts: of both sections as JSON; metadata does not ("Document properties")."""
    sections = {"desired": desired, "reported": reported}
    return len(msgspec.json.encode({name: state for name, state in sections.items() if state}))


def _check(value: Any, where: str, depth: int) -> None:
    """Raises `Refused` for what cannot stand in a twin. `depth` is how many objects and arrays deep its fields are."""
    if isinstance(value, dict | list) and value and depth > MAX_DEPTH:
        raise Refused(f"{where[:200]} goes deeper than {MAX_DEPTH} objects and arrays in one another")
    match value:
        case dict():
            for name, one in value.items():
                if not isinstance(name, str):
                    raise Refused(f"{where[:200]} has a field that is named by no text: {name!r:.40}")
                if one is not None:
                    _check(one, f"{where}.{name}", depth + 1)
        case list():
            for one in value:
                _check(one, f"{where}[]", depth + 1)
        case _:
            _check_plain(value, where[:200])


def _check_plain(value: Any, where: str) -> None:
    match value:
        case None:
            raise Refused(f"{where} has a null: no array of a twin can")
        case float() if not math.isfinite(value):
            raise Refused(f"{where} is {value}: a number must be finite")
        case int() if not _LEAST <= value <= _MOST:
            raise Refused(f"{where} is a number of more than 64 bits")
        case bool() | int() | float() | str():
            pass
        case _:
            raise Refused(f"{where} is a {type(value).__name__}: a twin has what JSON can say")
