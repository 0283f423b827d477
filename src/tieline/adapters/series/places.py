"""Where a table lies: a folder of this machine, made to survive a power cut, or a bucket behind an S3 API."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import msgspec
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
from obstore.store import S3Store

from tieline.adapters.series.cache import Cache
from tieline.adapters.series.files import File
from tieline.base.errors import NotFound

_LOG = "_delta_log"


class Place(Protocol):
    """A draft is a local file that becomes the table's `path` when it is settled; then it is durable."""

    url: str
    options: dict[str, str] | None

    def draft(self, path: str) -> Path: ...
    def settle(self, path: str) -> None: ...
    def discard(self, path: str) -> None: ...
    def at_hand(self, files: Sequence[File]) -> AbstractContextManager[list[str]]: ...
    def has_entry(self, version: int) -> bool: ...
    def entry(self, version: int) -> bytes: ...
    def settle_log(self, first: int, last: int) -> None: ...
    def mend(self) -> None: ...
    def close(self) -> None: ...


class Folder:
    """Data is synced before the log speaks of it, the log before `append` returns. Delta itself syncs nothing."""

    def __init__(self, folder: Path) -> None:
        self.url = str(folder.absolute())
        self.options: dict[str, str] | None = None
        self._folder = folder.absolute()

    def draft(self, path: str) -> Path:
        target = self._folder / path
        if not target.parent.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            _sync(target.parent.parent)
        return target

    def settle(self, path: str) -> None:
        _sync(self._folder / path)
        _sync((self._folder / path).parent)

    def discard(self, path: str) -> None:
        with suppress(OSError):
            (self._folder / path).unlink(missing_ok=True)

    @contextmanager
    def at_hand(self, files: Sequence[File]) -> Iterator[list[str]]:
        yield [str(self._folder / file.path) for file in files]

    def has_entry(self, version: int) -> bool:
        return (self._folder / _LOG / _entry(version)).exists()

    def entry(self, version: int) -> bytes:
        """Raises `NotFound` when the log no longer has it."""
        try:
            return (self._folder / _LOG / _entry(version)).read_bytes()
        except FileNotFoundError:
            raise _forgotten(version, self.url) from None

    def settle_log(self, first: int, last: int) -> None:
        """Entries of others too: ours must not outlive one before it."""
        for name in (*map(_entry, range(first, last + 1)), _checkpoint(last), "_last_checkpoint"):
            with suppress(FileNotFoundError):
                _sync(self._folder / _LOG / name)
        _sync(self._folder / _LOG)
        _sync(self._folder)

    def mend(self) -> None:
        """Set aside what a power cut tore: the newest entries nobody was told of, and a checkpoint half there.

        An entry appears whole by a hard link, so that what is torn is no running writer's.
        """
        log = self._folder / _LOG
        for checkpoint in sorted(log.glob("*.checkpoint.parquet"), reverse=True)[:1]:
            if not _is_parquet(checkpoint):
                (log / "_last_checkpoint").unlink(missing_ok=True)
                checkpoint.rename(checkpoint.with_suffix(".torn"))
        for entry in sorted(log.glob("[0-9]*.json"), reverse=True):
            if _is_whole(entry):
                break
            with suppress(FileNotFoundError):
                entry.rename(entry.with_suffix(".torn"))

    def close(self) -> None:
        pass


class Bucket:
    """An S3 API, where a PUT is durable; what is read is fetched whole into a cache, for the files never change.

    Without key id and secret the machine's own role is used.
    """

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str,
        region: str,
        endpoint: str | None,
        key_id: str | None,
        secret: str | None,
        cache: Cache,
    ) -> None:
        self.url = f"s3://{bucket}/{prefix.strip('/')}"
        plain = endpoint is not None and endpoint.startswith("http://")
        given = {"endpoint": endpoint, "region": region, "access_key_id": key_id, "secret_access_key": secret}
        known = {name: value for name, value in given.items() if value is not None}
        # Short, so that an unreachable store is told in seconds; the caller retries.
        limits = {"timeout": "30s", "connect_timeout": "3s", "max_retries": "3", "retry_timeout": "20s"}
        self.options: dict[str, str] | None = {
            **{f"aws_{k}": v for k, v in known.items()},
            **limits,
            "aws_allow_http": str(plain).lower(),
        }
        self._store = S3Store(
            bucket,
            prefix=prefix.strip("/"),
            **known,  # type: ignore[arg-type]
            client_options={
                "allow_http": plain,
                "timeout": timedelta(seconds=30),
                "connect_timeout": timedelta(seconds=3),
            },
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
        )
        self._cache = cache
        self._drafts: dict[str, Path] = {}

    def draft(self, path: str) -> Path:
        self._drafts[path] = self._cache.draft(path)
        return self._drafts[path]

    def settle(self, path: str) -> None:
        draft = self._drafts.pop(path)
        try:
            obstore.put(self._store, path, draft)
            self._cache.adopt(path, draft)
        finally:
            draft.unlink(missing_ok=True)

    def discard(self, path: str) -> None:
        """The object itself, if it was put, is left to the vacuum: whether it was is not always known."""
        if draft := self._drafts.pop(path, None):
            draft.unlink(missing_ok=True)

    def at_hand(self, files: Sequence[File]) -> AbstractContextManager[list[str]]:
        return self._cache.holding({file.path: file.size for file in files}, self._fetch)

    def _fetch(self, path: str, target: Path) -> None:
        with target.open("wb") as out:
            for chunk in obstore.get(self._store, path).stream(min_chunk_size=4 << 20):
                out.write(chunk)

    def has_entry(self, version: int) -> bool:
        try:
            obstore.head(self._store, f"{_LOG}/{_entry(version)}")
        except FileNotFoundError:
            return False
        return True

    def entry(self, version: int) -> bytes:
        """Raises `NotFound` when the log no longer has it."""
        try:
            return bytes(obstore.get(self._store, f"{_LOG}/{_entry(version)}").bytes())
        except FileNotFoundError:
            raise _forgotten(version, self.url) from None

    def settle_log(self, first: int, last: int) -> None:
        pass

    def mend(self) -> None:
        pass

    def close(self) -> None:
        self._cache.close()


def _forgotten(version: int, url: str) -> NotFound:
    return NotFound(f"the log of {url} has no entry {version} any more")


def _entry(version: int) -> str:
    return f"{version:020}.json"


def _checkpoint(version: int) -> str:
    return f"{version:020}.checkpoint.parquet"


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_whole(entry: Path) -> bool:
    try:
        lines = entry.read_bytes().splitlines()
        return bool(lines) and all(isinstance(msgspec.json.decode(line), dict) for line in lines)
    except msgspec.DecodeError:
        return False


def _is_parquet(path: Path) -> bool:
    try:
        pq.read_metadata(path)
    except (pa.ArrowException, OSError):
        return False
    return True
