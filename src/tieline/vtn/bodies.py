"""Bodies as clients of other makers send them: whole, JSON, and with null where a field has no value."""

import re
from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException

from tieline.base.errors import Refused
from tieline.wires.openadr31.messages import decode

JSON = "application/json"
_CHARSET = re.compile(r"charset\s*=\s*\"?([^\s;\"]*)")


async def whole(request: Request[Any, Any, Any]) -> bytes:
    """The body, read before anything is refused: who is still sending would not hear why. Raises `Refused` where it
    broke off."""
    try:
        return await request.body()
    except InternalServerException:
        raise Refused("the body broke off before it was whole") from None


def check_media(request: Request[Any, Any, Any]) -> None:
    """Raises `Refused` where a body says that it is no JSON in UTF-8, or is packed: nothing is unpacked here."""
    media, _, parameters = request.headers.get("content-type", JSON).lower().partition(";")
    charset = _CHARSET.search(parameters)
    packed = request.headers.get("content-encoding", "identity").lower() != "identity"
    if media.strip() != JSON or packed or (charset and charset[1] not in ("utf-8", "utf8")):
        raise Refused("send the body as it is, as application/json in UTF-8")


def read(kind: Any, body: bytes) -> Any:
    """A message of a kind. A null counts as left out, whether or not the specification lets the field be null: clients
    write every field that they know (openadr3-client does). Raises `Refused` as `decode`."""
    return decode(kind, _without_nulls(body) if b"null" in body else body)


def _without_nulls(body: bytes) -> bytes:
    try:
        return msgspec.json.encode(_said(msgspec.json.decode(body)))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return body  # `decode` tells what is wrong


def _said(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _said(each) for name, each in value.items() if each is not None}
    return [_said(each) for each in value] if isinstance(value, list) else value
