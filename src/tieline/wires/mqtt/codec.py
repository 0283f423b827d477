"""How the messages of the topics are written and read: JSON or MessagePack, told apart by the first byte. Pure.

    { …, after white space    JSON: every message is an object
    anything else             MessagePack of the same fields

Fields that nobody knows are passed over. Where anything may stand (the fields of a twin, the values of an answer), it
must be something that JSON can say, so that both ways mean the same.
"""

import functools
import math
from typing import Any, TypeVar

import msgspec

from tieline.base.errors import Refused
from tieline.wires.mqtt.messages import MAX_BYTES

T = TypeVar("T", bound=msgspec.Struct)

MAX_DEPTH = 32
_SPACE = b" \t\r\n"


def encode(message: msgspec.Struct, *, packed: bool = False) -> bytes:
    """JSON, or MessagePack where a device says that it reads it."""
    return msgspec.msgpack.encode(message) if packed else msgspec.json.encode(message)


def decode(data: bytes, kind: type[T]) -> T:
    """Raises `Refused` for what is no such message; the reason says what and where."""
    if len(data) > MAX_BYTES:
        raise Refused(f"a message of {len(data)} bytes; at most {MAX_BYTES}: send several")
    json = data.lstrip(_SPACE)[:1] == b"{"
    try:
        message: T = (_json if json else _packed)(kind).decode(data)
        _check(message)
    except msgspec.DecodeError as error:
        raise Refused(f"no {kind.__name__} in {'JSON' if json else 'MessagePack'}: {error}") from None
    except UnicodeDecodeError as error:
        raise Refused(f"a text in it is not UTF-8: {error.reason} at byte {error.start}") from None
    except RecursionError:
        raise Refused(_too_deep()) from None
    return message


@functools.cache
def _json(kind: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(kind)


@functools.cache
def _packed(kind: type[T]) -> msgspec.msgpack.Decoder[T]:
    return msgspec.msgpack.Decoder(kind)


def _check(message: msgspec.Struct) -> None:
    """Of typed fields the decoder has seen to it; a dict may hold anything."""
    for name in message.__struct_fields__:
        if isinstance(value := getattr(message, name), dict):
            _check_plain(value, name, 1)


def _check_plain(value: Any, where: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Refused(_too_deep())
    match value:
        case dict():
            for name, one in value.items():
                _check_plain(one, f"{where}.{name}"[:200], depth + 1)
        case list():
            for one in value:
                _check_plain(one, where, depth + 1)
        case float() if not math.isfinite(value):
            raise Refused(f"{where} is {value}: send a finite number")
        case None | bool() | int() | float() | str():
            pass
        case _:
            raise Refused(f"{where} is a {type(value).__name__}: send what JSON can say")


def _too_deep() -> str:
    return f"nested too deeply: at most {MAX_DEPTH} levels"
