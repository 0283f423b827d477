"""Blobs as objects under their digest, in a folder or in a bucket of an S3 API.

The digest 9f86d0… is the object 9f/86/9f86d0…; an object is written whole or not at all, and never changed.
"""

import asyncio
import contextlib
import hashlib
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from tieline.base.errors import Broken, NotFound, Refused, Unready

if TYPE_CHECKING:
    from obstore.store import S3Config

_LARGEST = 1 << 30
_TIMEOUT_S = 300.0


class ObjectBlobs:
    """Made by `folder` or `s3`. Raises `Refused` for more than `largest` bytes, `Unready` when the store cannot be
    used or takes longer than `timeout_s`."""

    def __init__(
        self,
        store: ObjectStore,
        where: str,
        *,
        root: Path | None = None,
        largest: int = _LARGEST,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        self._store = store
        self._where = where
        self._root = root  # of a folder, whose files have to be synced
        self._largest = largest
        self._timeout_s = timeout_s

    @classmethod
    def folder(cls, path: Path, *, largest: int = _LARGEST) -> Self:
        """Blobs in a folder, made when it is missing. Raises `Unready` when it cannot be."""
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            store = LocalStore(path)
        except (BaseError, OSError) as error:
            raise _unready(f"the folder {path}", error) from error
        return cls(store, f"the folder {path}", root=path, largest=largest)

    @classmethod
    def s3(
        cls,
        bucket: str,
        *,
        region: str,
        prefix: str = "",
        endpoint: str | None = None,
        key_id: str | None = None,
        secret: str | None = None,
        largest: int = _LARGEST,
        timeout_s: float = _TIMEOUT_S,
    ) -> Self:
        """Blobs under a prefix of a bucket. Without an endpoint it is AWS; without a key, the machine's role.

        An endpoint in http:// is taken at its word. What fails in passing is tried again for a fifth of `timeout_s`.
        """
        config: S3Config = {"region": region}
        if endpoint:
            config["endpoint"] = endpoint
        if key_id and secret:
            config |= {"access_key_id": key_id, "secret_access_key": secret}
        store = S3Store(
            bucket,
            prefix=prefix or None,
            config=config,
            client_options={
                "allow_http": (endpoint or "").startswith("http://"),
                "connect_timeout": timedelta(seconds=5),
                "timeout": timedelta(seconds=timeout_s),
            },
            retry_config={"max_retries": 10, "retry_timeout": timedelta(seconds=timeout_s / 5)},
        )
        return cls(store, f"the bucket {bucket}/{prefix} at {endpoint or 'AWS'}", largest=largest, timeout_s=timeout_s)

    async def put(self, data: bytes) -> str:
        if len(data) > self._largest:
            raise Refused(f"{len(data)} bytes are too large for a blob: at most {self._largest}")
        digest = await asyncio.to_thread(_digest, data)
        async with self._asked():
            await self._put(_key(digest), data)
        return digest

    async def get(self, digest: str) -> bytes:
        async with self._asked():
            data = await self._got(_key(digest))
        if data is None:
            raise NotFound(f"there is no blob {digest}")
        if await asyncio.to_thread(_digest, data) != digest:
            raise Broken(f"blob {digest} in {self._where} is damaged: put the same bytes again, or restore a backup")
        return data

    async def has(self, digest: str) -> bool:
        async with self._asked():
            try:
                await obstore.head_async(self._store, _key(digest))
            except FileNotFoundError:
                return False
            return True

    async def forget(self, digest: str) -> None:
        async with self._asked():
            with contextlib.suppress(FileNotFoundError):
                await obstore.delete_async(self._store, _key(digest))

    async def ready(self) -> None:
        """Raises `Unready` when the store cannot be reached or, for a folder, not be written."""
        async with self._asked():
            await obstore.list_with_delimiter_async(self._store, prefix="ready")
        if self._root and not os.access(self._root, os.W_OK | os.X_OK):
            raise Unready(f"{self._where} cannot be written: make it again, or let this user write it")

    async def _put(self, key: str, data: bytes) -> None:
        try:
            await obstore.put_async(self._store, key, data, mode="create")
        except AlreadyExistsError:
            if await self._got(key) != data:  # a power cut tore it before it was synced, or the disk rotted
                await obstore.put_async(self._store, key, data, mode="overwrite", use_multipart=False)
        if self._root:
            await asyncio.to_thread(_sync, self._root, key)

    async def _got(self, key: str) -> bytes | None:
        try:
            return bytes(await (await obstore.get_async(self._store, key)).bytes_async())
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise
            return None

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except (BaseError, OSError) as error:
            raise _unready(self._where, error) from error


def _unready(where: str, error: Exception) -> Unready:
    reason = (str(error) or "no answer in time").splitlines()[0][:300]
    return Unready(f"{where} cannot be used: see that it exists, has room and lets us read and write ({reason})")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _key(digest: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise Refused(f"{digest[:80]!r} is not the lower-case hexadecimal SHA-256 of a blob")
    return f"{digest[:2]}/{digest[2:4]}/{digest}"


def _sync(root: Path, key: str) -> None:
    """Onto the disk with the file and with its name: obstore leaves both to the page cache."""
    file = root / key
    for path in (file, file.parent, file.parent.parent, root):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
