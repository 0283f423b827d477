"""Answers to polls, kept until what they show changes: a VEN asks every few seconds for what has changed once a day.

(dialect, kind, viewer's eyes, query) ──▶ body, ETag        while the shelf's version and the time allow
"""

import gzip
import hashlib
from collections import OrderedDict
from datetime import datetime
from typing import TypeAlias

import msgspec

from tieline.base.time import Clock
from tieline.vtn.dialect import Dialect, parameters
from tieline.vtn.privacy import Viewer
from tieline.vtn.selection import Query, select
from tieline.vtn.view import View
from tieline.wires.openadr31.messages import ObjectType

MOST_KEPT = 20_000
MOST_BYTES = 64 << 20
SMALL = 1024
_Key: TypeAlias = tuple[str, ObjectType, bool, str, frozenset[str], bytes, str | None]


class Answer:
    """A body with its ETag (RFC 9110 8.8.3, strong), compressed once where that is worth it."""

    __slots__ = ("_zipped", "body", "etag")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'.encode()
        self._zipped: bytes | None = None

    def zipped(self) -> bytes | None:
        """None where it would hardly be smaller."""
        if self._zipped is None and len(self.body) >= SMALL:
            self._zipped = gzip.compress(self.body, 6, mtime=0)
        return self._zipped

    def known(self, if_none_match: bytes) -> bool:
        """Whether the caller has it already."""
        known = [one.strip().removeprefix(b"W/") for one in if_none_match.split(b",")]
        return self.etag in known or known == [b"*"]


class _Kept(msgspec.Struct):
    answer: Answer
    version: int
    until: datetime | None


class Answers:
    """Lists as bytes; at most so many and so large are kept, the longest unused go first."""

    def __init__(self, view: View, clock: Clock) -> None:
        self._view = view
        self._clock = clock
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._bytes = 0

    def list(
        self, dialect: Dialect, kind: ObjectType, viewer: Viewer, query: bytes, ven_id: str | None = None
    ) -> Answer:
        """Raises `Refused` for a query that is none."""
        targeted = kind in (ObjectType.PROGRAM, ObjectType.EVENT)
        eyes = "" if viewer.business or targeted else viewer.client_id
        key = (dialect.prefix, kind, viewer.business, eyes, viewer.grants, query, ven_id)
        version = self._version(kind)
        kept = self._kept.get(key)
        if kept is not None and kept.version == version and (kept.until is None or self._clock.now() < kept.until):
            self._kept.move_to_end(key)
            return kept.answer
        asked = dialect.query(kind, parameters(query))
        if ven_id is not None:
            asked = msgspec.structs.replace(asked, ven_id=ven_id)
        return self._keep(key, version, self._made(dialect, kind, viewer, asked))

    def _made(self, dialect: Dialect, kind: ObjectType, viewer: Viewer, query: Query) -> tuple[Answer, datetime | None]:
        found = select(self._view, kind, viewer, query, self._clock.now())
        told = [dialect.show(one, self._view, None) for one in found.things]
        return Answer(msgspec.json.encode([one for one in told if one is not None])), found.until

    def _keep(self, key: _Key, version: int, made: tuple[Answer, datetime | None]) -> Answer:
        answer, until = made
        if (old := self._kept.pop(key, None)) is not None:
            self._bytes -= _size(key, old.answer)
        self._kept[key] = _Kept(answer, version, until)
        self._bytes += _size(key, answer)
        while len(self._kept) > MOST_KEPT or self._bytes > MOST_BYTES:
            forgotten, gone = self._kept.popitem(last=False)
            self._bytes -= _size(forgotten, gone.answer)
        return answer

    def _version(self, kind: ObjectType) -> int:
        """Of what a list of that kind shows: an event's window depends on its program, a VEN of 3.0.1 has resources."""
        version = self._view.shelf(kind).version
        if kind is ObjectType.EVENT:
            return version + self._view.programs.version
        return version + self._view.resources.version if kind is ObjectType.VEN else version


def _size(key: _Key, answer: Answer) -> int:
    """Bytes of memory, about: a query may be long, and what is large is there compressed too."""
    return len(key[5]) + len(answer.body) * 3 // 2 + 500
