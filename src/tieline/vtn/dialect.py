"""What a version of OpenADR 3 says differently: its paths, its bodies, its queries. The objects behind are the same."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from tieline.base.errors import Refused
from tieline.vtn.actions import Request
from tieline.vtn.privacy import Viewer
from tieline.vtn.selection import MOST, Query
from tieline.vtn.view import View
from tieline.wires.openadr31.messages import Object, ObjectType
from tieline.wires.openadr31.scalars import read_instant

Params = Mapping[str, Sequence[str]]
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_MOST_FIELDS = 1000


class Dialect(msgspec.Struct, frozen=True):
    """`collections` are the path of each kind below `prefix`; `{ven_id}` in one stands for the VEN it belongs to."""

    version: str
    prefix: str
    collections: Mapping[ObjectType, str]
    read: Callable[[ObjectType, bytes, Viewer, str | None], Request]
    """A request from a body, of a viewer, at a VEN's path. Raises `Refused` for what is no such body."""
    show: Callable[[Object, View, str | None], Any]
    """The object as this version writes it, a report with its event's program; None where it has no word for it."""
    query: Callable[[ObjectType, Params], Query]
    """Raises `Refused` for a parameter that cannot be what it is for."""


def parameters(query: bytes) -> dict[str, list[str]]:
    """Every value of every name, in their order. Raises `Refused` for what is no query."""
    found: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise Refused(f"query: {error}") from None
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def paged(params: Params, **filters: Any) -> Query:
    """A query of these filters and the parameters that every version has."""
    return Query(
        skip=whole(params, "skip", 0, 2**31 - 1) or 0,
        limit=MOST if (limit := whole(params, "limit", 0, MOST)) is None else limit,
        active=truth(params, "active"),
        start_at=_instant(params, "dateStart"),
        end_at=_instant(params, "dateEnd"),
        **filters,
    )


def whole(params: Params, name: str, least: int, most: int) -> int | None:
    text = _one(params, name)
    if text is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,20}", text) or not least <= int(text) <= most:
        raise Refused(f"{name} {text[:40]!r} is not a whole number from {least} to {most}")
    return int(text)


def truth(params: Params, name: str) -> bool:
    text = _one(params, name)
    if text not in (None, "true", "false", "True", "False"):
        raise Refused(f"{name} {text[:40]!r} is neither true nor false")
    return text in ("true", "True")


def an_id(params: Params, name: str) -> str | None:
    text = _one(params, name)
    if text is not None and not is_id(text):
        raise Refused(f"{name} {text[:140]!r} is not an object id: 1 to 128 of A-Z a-z 0-9 _ -")
    return text


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def a_name(params: Params, name: str) -> str | None:
    found = names(params, name)
    return found[0] if found else None


def names(params: Params, name: str) -> tuple[str, ...]:
    """All values: repeated, as OpenAPI writes an array in a query."""
    found = texts(params, name)
    for one in found:
        if not 1 <= len(one) <= 128:
            raise Refused(f"{name} {one[:140]!r} is not 1 to 128 characters")
    return found


def a_text(params: Params, name: str) -> str | None:
    found = texts(params, name)
    return found[0] if found else None


def texts(params: Params, name: str) -> tuple[str, ...]:
    """All values, of any length."""
    found = tuple(params.get(name, ()))
    if any("\x00" in one for one in found):
        raise Refused(f"{name}: the character U+0000 has no place in a text")
    return found


def kinds(params: Params, name: str) -> tuple[ObjectType, ...]:
    try:
        return tuple(ObjectType(one) for one in params.get(name, ()))
    except ValueError as error:
        raise Refused(f"{name}: {error}: choose of {', '.join(ObjectType)}") from None


def _instant(params: Params, name: str) -> Any:
    text = _one(params, name)
    try:
        return None if text is None else read_instant(text)
    except ValueError as error:
        raise Refused(f"{name}: {error}") from None


def _one(params: Params, name: str) -> str | None:
    found = params.get(name)
    return found[0] if found else None
