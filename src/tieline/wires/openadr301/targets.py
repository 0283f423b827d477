"""Targets of 3.0.1, pairs of a type and a value, as the strings that 3.1 has for them, and back without loss.

    3.0.1                                            3.1
    {"type": "GROUP", "values": ["north", "south"]}  "GROUP:north", "GROUP:south"
    {"type": "TARGET", "values": ["group-1"]}        "group-1"             a string of 3.1's own
    {"type": "SERVICE_AREA", "values": [7]}          "SERVICE_AREA:=7"     what is no string, as JSON

A colon ends the type, so that one within a type is written %3A, and % then %25. What cannot be read like that and be
written again just so is a string of 3.1's own, colons and all; where a TARGET of 3.0.1 looks like a typed one, TARGET
is written out. Every 3.1 string therefore has one pair and every pair one string.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby

import msgspec

from tieline.base.errors import Refused
from tieline.wires.openadr31.messages import Value
from tieline.wires.openadr31.scalars import Name

OWN = "TARGET"
MOST = 128
"""Characters of a 3.1 target; a type and a value share them with a colon:"""
MOST_OF_TYPE = 32
MOST_OF_VALUE = MOST - MOST_OF_TYPE - 1

_Pair = tuple[str, Value]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A valuesMap that names whom an object is meant for, as far as 3.1 has room for it."""

    type: Name
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not all(_fits(self.type, value) for value in self.values):
            raise ValueError(
                f"a target is {OWN} with texts of at most {MOST} characters, "
                f"or a type of at most {MOST_OF_TYPE} with texts of at most {MOST_OF_VALUE}"
            )


def _fits(kind: str, value: Value) -> bool:
    most = MOST if kind == OWN else MOST_OF_VALUE
    return len(kind) <= MOST_OF_TYPE and (not isinstance(value, str) or len(value) <= most)


def strings(targets: Iterable[Target] | None) -> tuple[str, ...] | None:
    """Raises `Refused` where colons, which are written out in a type, make a target longer than 3.1 has room for."""
    if targets is None:
        return None
    told = tuple(dict.fromkeys(string(target.type, value) for target in targets for value in target.values))
    if long := next((one for one in told if len(one) > MOST), None):
        raise Refused(f"targets: {long[:30]!r}… is longer than {MOST} characters with its type")
    return told


def pairs(targets: Iterable[str] | None) -> tuple[Target, ...] | None:
    """Neighbours of one type share a list of values."""
    if targets is None:
        return None
    told = groupby(map(pair, targets), key=lambda one: one[0])
    return tuple(Target(type=kind, values=tuple(value for _, value in group)) for kind, group in told)


def implied_grants(ven_name: str | None = None, resource_names: Iterable[str] = ()) -> Iterator[str]:
    """What a VEN and its resources are granted by their names alone, as 3.0.1 addresses them."""
    if ven_name is not None:
        yield string("VEN_NAME", ven_name)
    yield from (string("RESOURCE_NAME", name) for name in resource_names)


def asked(kind: str | None, values: Iterable[str]) -> tuple[str, ...]:
    """What a query for a targetType and targetValues looks for; values without a type are 3.1's own strings."""
    return tuple(string(kind or OWN, value) if len(value) <= MOST else value for value in values)


def string(kind: str, value: Value) -> str:
    """How 3.1 writes a type and a value; not yet checked for its length."""
    if kind == OWN and isinstance(value, str) and _is_own(value):
        return value
    plain = value if isinstance(value, str) and not value.startswith("=") else f"={_json(value)}"
    return f"{kind.replace('%', '%25').replace(':', '%3A')}:{plain}"


def pair(text: str) -> _Pair:
    """The type and the value that a 3.1 string stands for."""
    return _typed(text) or (OWN, text)


def _is_own(text: str) -> bool:
    return text != "" and _typed(text) is None


def _typed(text: str) -> _Pair | None:
    """Its reading as TYPE:value, if that is how it would be written."""
    kind, colon, rest = text.partition(":")
    kind = kind.replace("%3A", ":").replace("%25", "%")
    if not kind or not colon:
        return None
    try:
        value = msgspec.json.decode(rest[1:], type=Value) if rest.startswith("=") else rest
    except msgspec.DecodeError:
        return None
    return (kind, value) if _fits(kind, value) and string(kind, value) == text else None


def _json(value: Value) -> str:
    return msgspec.json.encode(value).decode()
