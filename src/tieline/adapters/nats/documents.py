"""Documents in a key-value bucket of NATS, that is a JetStream stream: the newest message of a subject is its value."""

import itertools
import re
import secrets
from collections.abc import AsyncIterator

from nats.js.api import DiscardPolicy, Header, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError

from tieline.adapters.nats.line import NatsConnection
from tieline.adapters.nats.stream import NatsStream, stamps
from tieline.base.errors import Conflict, Refused, Unready
from tieline.ports import Document

BUCKET = "tieline"
HISTORY = 16
MAX_DOCUMENT = 256 << 10
MAX_KEYS = 100_000  # the server names no more of a stream's subjects in one answer
_STREAM = f"KV_{BUCKET}"
_SUBJECTS = f"$KV.{BUCKET}."
_MAX_BYTES = 8 << 30
_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,7}")
_WRONG_LAST = {10071, 10164}  # another revision is the newest; the same, said without naming it


class NatsDocuments:
    """`ports.Documents`. A `put` that ends with `Unready` may yet have been done."""

    def __init__(self, connection: NatsConnection, *, timeout_s: float = 10.0) -> None:
        self._connection = connection
        self._stream = NatsStream(connection, _STREAM, timeout_s=timeout_s)
        self._name, self._count = secrets.token_hex(12), itertools.count()  # of what it puts

    @classmethod
    async def open(cls, connection: NatsConnection, *, replicas: int = 1, timeout_s: float = 10.0) -> "NatsDocuments":
        """The bucket made or brought up to date. `replicas` is 1 or, in a cluster, 3."""
        documents = cls(connection, timeout_s=timeout_s)
        await documents._stream.make(_config(replicas))
        return documents

    async def get(self, key: str) -> Document | None:
        found = await self._stream.last(_subject(key))
        return None if found is None else Document(key, found.seq or 0, found.data or b"")

    async def put(self, key: str, data: bytes, *, expected: int, alone: bool = False) -> int:
        if len(data) > MAX_DOCUMENT:
            raise Refused(f"document {key} would have {len(data)} bytes; at most {MAX_DOCUMENT}")
        subject, name, tries = _subject(key), f"{self._name}.{next(self._count)}", 0
        headers = {Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(expected), Header.MSG_ID.value: name}
        if alone:
            headers[Header.ROLLUP.value] = "sub"

        async def published() -> int:
            nonlocal tries
            tries += 1
            try:
                return (await self._stream.js.publish(subject, data, headers=headers)).seq
            except APIError as error:
                if error.err_code not in _WRONG_LAST:
                    raise
            # Sent again because its answer was lost, it must not be taken for another's that came first.
            if tries > 1 and (mine := await self._named(subject, name)):
                return mine
            raise Conflict(f"document {key} is no longer at revision {expected}: get it and try again")

        return await self._stream.answer(f"put {key}", published)

    async def _named(self, subject: str, name: str) -> int | None:
        kept = await self._stream.kept(subject)
        return next((stamps(one)[0] for one in kept if one.header(Header.MSG_ID.value) == name), None)

    async def history(self, key: str) -> list[Document]:
        return [Document(key, stamps(one)[0], one.data) for one in await self._stream.kept(_subject(key))]

    async def keys(self, prefix: str) -> list[str]:
        """Raises `Refused` when there are more than the server tells at once."""
        under = f"{_subject(prefix)}.>"
        info = await self._stream.answer(
            f"list {prefix}", lambda: self._stream.js.stream_info(_STREAM, subjects_filter=under)
        )
        subjects = info.state.subjects or {}
        if len(subjects) >= MAX_KEYS:
            raise Refused(f"more than {MAX_KEYS} keys are under {prefix}: list them by a longer prefix")
        return sorted(subject.removeprefix(_SUBJECTS) for subject in subjects)

    async def follow(self, prefix: str) -> AsyncIterator[Document]:
        async for message in self._stream.follow(f"{_subject(prefix)}.>"):
            yield Document(message.subject.decode().removeprefix(_SUBJECTS), stamps(message)[0], message.data)

    async def ready(self) -> None:
        if not self._connection.is_connected:
            raise Unready("Documents have no connection to NATS; it is reconnecting")
        await self._stream.reach()


def _config(replicas: int) -> StreamConfig:
    """As NATS lays out a bucket, so that its own tools can read it."""
    return StreamConfig(
        name=_STREAM,
        subjects=[f"{_SUBJECTS}>"],
        retention=RetentionPolicy.LIMITS,
        discard=DiscardPolicy.NEW,  # when it is full, nothing that is kept is lost
        storage=StorageType.FILE,
        max_msgs_per_subject=HISTORY,
        max_bytes=_MAX_BYTES,
        max_msg_size=MAX_DOCUMENT + 1024,
        duplicate_window=120,
        num_replicas=replicas,
        deny_delete=True,
        allow_rollup_hdrs=True,
    )


def _subject(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise Refused(f"{key[:80]!r} is no key of a document: 1 to 8 tokens of A-Z a-z 0-9 _ - with dots between")
    return _SUBJECTS + key
