"""The promises of Blobs, held against a folder and an S3 API."""

import asyncio
import hashlib
import os
import secrets
from pathlib import Path

import httpx
import obstore
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.store import LocalStore, ObjectStore, S3Store

from tests.servers.s3 import Bucket
from tieline.adapters.blobs import ObjectBlobs
from tieline.base.errors import Broken, NotFound, Refused, Unready

LARGEST = 20_000_000
ABSENT = hashlib.sha256(b"nowhere").hexdigest()


class Store:
    """Blobs with a way behind their back."""

    def __init__(self, blobs: ObjectBlobs, behind: ObjectStore) -> None:
        self.blobs = blobs
        self._behind = behind

    async def damage(self, digest: str, data: bytes) -> None:
        await obstore.put_async(self._behind, f"{digest[:2]}/{digest[2:4]}/{digest}", data)

    def count(self) -> int:
        return sum(len(page) for page in obstore.list(self._behind))


def in_bucket(bucket: Bucket, *, timeout_s: float = 60.0) -> ObjectBlobs:
    return ObjectBlobs.s3(
        bucket.bucket,
        prefix="data/blobs",
        region=bucket.region,
        endpoint=bucket.endpoint,
        key_id=bucket.key_id,
        secret=bucket.secret,
        largest=LARGEST,
        timeout_s=timeout_s,
    )


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return Store(ObjectBlobs.folder(tmp_path / "blobs", largest=LARGEST), LocalStore(tmp_path / "blobs"))
    bucket: Bucket = request.getfixturevalue("s3_bucket")
    behind = S3Store(
        bucket.bucket,
        prefix="data/blobs",
        region=bucket.region,
        endpoint=bucket.endpoint,
        access_key_id=bucket.key_id,
        secret_access_key=bucket.secret,
        client_options={"allow_http": True},
    )
    return Store(in_bucket(bucket), behind)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary())
async def test_bytes_come_back_by_their_digest(store: Store, data: bytes) -> None:
    digest = await store.blobs.put(data)
    assert digest == hashlib.sha256(data).hexdigest()
    assert await store.blobs.get(digest) == data
    assert await store.blobs.has(digest)


async def test_large_bytes_come_back_too(store: Store) -> None:
    data = secrets.token_bytes(LARGEST)
    assert await store.blobs.get(await store.blobs.put(data)) == data


async def test_the_same_bytes_are_stored_once(store: Store) -> None:
    digests = await asyncio.gather(*(store.blobs.put(b"twice") for _ in range(20)))
    assert len(set(digests)) == 1
    assert await asyncio.to_thread(store.count) == 1


async def test_what_is_not_there_is_not_found(store: Store) -> None:
    assert not await store.blobs.has(ABSENT)
    with pytest.raises(NotFound, match=ABSENT):
        await store.blobs.get(ABSENT)


@pytest.mark.parametrize("damage", [b"", b"other bytes"])
async def test_damage_is_found_and_mended_by_putting_again(store: Store, damage: bytes) -> None:
    digest = await store.blobs.put(b"whole")
    await store.damage(digest, damage)
    with pytest.raises(Broken, match=digest):
        await store.blobs.get(digest)
    await store.blobs.put(b"whole")
    assert await store.blobs.get(digest) == b"whole"


async def test_too_many_bytes_are_refused(store: Store) -> None:
    with pytest.raises(Refused, match=f"at most {LARGEST}"):
        await store.blobs.put(bytes(LARGEST + 1))
    assert await asyncio.to_thread(store.count) == 0


@pytest.mark.parametrize("name", ["", "../../etc/passwd", ABSENT.upper(), ABSENT + "\n", "é" * 64])
async def test_what_is_no_digest_is_refused(store: Store, name: str) -> None:
    for ask in (store.blobs.get, store.blobs.has):
        with pytest.raises(Refused, match="SHA-256"):
            await ask(name)


async def test_a_store_that_is_there_is_ready(store: Store) -> None:
    await store.blobs.ready()


async def test_a_missing_bucket_is_unready(s3_bucket: Bucket) -> None:
    await asyncio.to_thread(httpx.delete, f"{s3_bucket.endpoint}/{s3_bucket.bucket}")
    blobs = in_bucket(s3_bucket)
    for asked in (blobs.put(b"x"), blobs.get(ABSENT), blobs.ready()):
        with pytest.raises(Unready, match=s3_bucket.bucket):
            await asked


async def test_a_server_that_is_away_is_unready_and_the_secret_is_kept() -> None:
    bucket = Bucket("http://127.0.0.1:1", "bucket", "us-east-1", "key", "kept-out-of-messages")
    blobs = in_bucket(bucket, timeout_s=2.0)
    for asked in (blobs.put(b"x"), blobs.get(ABSENT), blobs.has(ABSENT), blobs.ready()):
        with pytest.raises(Unready, match="bucket") as caught:
            await asked
        assert bucket.secret not in str(caught.value)


async def test_a_folder_that_cannot_be_made_is_unready(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unready, match="file/blobs"):
        ObjectBlobs.folder(tmp_path / "file" / "blobs")


async def test_a_folder_that_was_taken_away_is_unready(tmp_path: Path) -> None:
    blobs = ObjectBlobs.folder(tmp_path / "blobs")
    (tmp_path / "blobs").rmdir()
    (tmp_path / "blobs").write_text("in the way")
    for asked in (blobs.put(b"x"), blobs.get(ABSENT), blobs.ready()):
        with pytest.raises(Unready, match="blobs"):
            await asked


async def test_a_folders_blobs_are_on_the_disk_when_put_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file and every name on the way to it, in that order."""
    synced: list[str] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    digest = await ObjectBlobs.folder(tmp_path).put(b"durable")
    parents = [tmp_path / digest[:2] / digest[2:4], tmp_path / digest[:2], tmp_path]
    assert synced == [str(path) for path in (parents[0] / digest, *parents)]


async def test_what_is_forgotten_is_gone_and_can_be_put_again(store: Store) -> None:
    digest = await store.blobs.put(b"refused")
    await store.blobs.forget(digest)
    await store.blobs.forget(digest)
    assert not await store.blobs.has(digest)
    assert await store.blobs.put(b"refused") == digest
    assert await store.blobs.get(digest) == b"refused"
