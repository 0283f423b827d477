"""The promises of `ports.Documents`, on one supervised server and on a cluster of three."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from nats.errors import TimeoutError as NatsTimeoutError

from tests.servers.standing import Standing, on_server
from tieline.adapters.nats import documents as adapter
from tieline.adapters.nats.documents import HISTORY, MAX_DOCUMENT, NatsDocuments
from tieline.base.errors import Conflict, Refused, Unready
from tieline.ports import Document, Documents


@pytest.fixture
async def documents(standing: Standing) -> NatsDocuments:
    return await NatsDocuments.open(standing.connection, replicas=standing.replicas, timeout_s=standing.timeout_s)


async def followed(documents: Documents, prefix: str, until: Callable[[Document], bool]) -> list[Document]:
    """What `follow` yields up to the first that is so."""
    seen: list[Document] = []
    async with aclosing(documents.follow(prefix)) as changes:  # type: ignore[type-var]
        async for one in changes:
            seen.append(one)
            if until(one):
                break
    return seen


async def test_what_is_put_is_got_with_its_revision(documents: Documents, area: str) -> None:
    assert await documents.get(f"{area}.a") is None
    first = await documents.put(f"{area}.a", b"\x00one\r\n", expected=0)
    second = await documents.put(f"{area}.a", b"", expected=first)
    assert second > first > 0
    assert await documents.get(f"{area}.a") == Document(f"{area}.a", second, b"")


async def test_a_put_that_expects_another_revision_is_a_conflict_and_changes_nothing(
    documents: Documents, area: str
) -> None:
    first = await documents.put(f"{area}.a", b"1", expected=0)
    second = await documents.put(f"{area}.a", b"2", expected=first)
    await documents.put(f"{area}.b", b"another key", expected=0)
    for expected in (0, first, second + 1, second + 1000):
        with pytest.raises(Conflict, match=f"no longer at revision {expected}"):
            await documents.put(f"{area}.a", b"3", expected=expected)
    assert await documents.get(f"{area}.a") == Document(f"{area}.a", second, b"2")
    assert [one.data for one in await documents.history(f"{area}.a")] == [b"1", b"2"]


async def test_of_many_that_put_at_once_one_comes_first(documents: Documents, area: str) -> None:
    first = await documents.put(f"{area}.a", b"0", expected=0)
    done = await asyncio.gather(
        *(documents.put(f"{area}.a", str(n).encode(), expected=first) for n in range(20)), return_exceptions=True
    )
    won = [n for n, one in enumerate(done) if isinstance(one, int)]
    assert len(won) == 1
    assert all(isinstance(one, Conflict) for n, one in enumerate(done) if n not in won)
    newest = await documents.get(f"{area}.a")
    assert newest is not None
    assert newest.data == str(won[0]).encode()


async def test_history_is_the_last_revisions_the_oldest_first(documents: Documents, area: str) -> None:
    assert await documents.history(f"{area}.a") == []
    revisions = [0]
    for number in range(HISTORY + 6):
        revisions.append(await documents.put(f"{area}.a", str(number).encode(), expected=revisions[-1]))
        if number == 2:
            assert [one.data for one in await documents.history(f"{area}.a")] == [b"0", b"1", b"2"]
    kept = await documents.history(f"{area}.a")
    assert [int(one.data) for one in kept] == list(range(6, HISTORY + 6))
    assert [one.revision for one in kept] == revisions[-HISTORY:]
    assert {one.key for one in kept} == {f"{area}.a"}


async def test_a_document_that_is_put_alone_has_no_history(documents: Documents, area: str) -> None:
    key, other = f"{area}.a", f"{area}.b"
    await documents.put(other, b"another key", expected=0)
    first = await documents.put(key, b"1", expected=0)
    second = await documents.put(key, b"2", expected=first)
    with pytest.raises(Conflict):
        await documents.put(key, b"3", expected=first, alone=True)
    third = await documents.put(key, b"3", expected=second, alone=True)
    assert await documents.history(key) == [Document(key, third, b"3")]
    assert await documents.get(other) is not None


async def test_a_full_bucket_says_so_at_once_and_keeps_what_it_has(tmp_path: Path) -> None:
    with patch.object(adapter, "_MAX_BYTES", 200_000):
        async with on_server(tmp_path / "nats") as standing:
            documents = await NatsDocuments.open(standing.connection, timeout_s=10_000)  # for so long it would try
            for key in ("a.1", "a.2", "a.3"):
                await documents.put(key, b"x" * 50_000, expected=0)
            with pytest.raises(Unready, match="maximum bytes exceeded"):
                await documents.put("a.4", b"x" * 50_000, expected=0)
            assert await documents.keys("a") == ["a.1", "a.2", "a.3"]


async def test_keys_are_those_that_go_on_after_the_prefix_and_its_dot(documents: Documents, area: str) -> None:
    assert await documents.keys(area) == []
    for key in (f"{area}.home-2.b", f"{area}.home-2.a", f"{area}.home-21.a", f"{area}.home-2"):
        await documents.put(key, b"", expected=0)
    assert await documents.keys(f"{area}.home-2") == [f"{area}.home-2.a", f"{area}.home-2.b"]
    assert len(await documents.keys(area)) == 4


async def test_follow_begins_with_the_newest_of_each_and_goes_on_with_every_change(
    documents: Documents, area: str
) -> None:
    old = await documents.put(f"{area}.a", b"old", expected=0)
    b = await documents.put(f"{area}.b", b"b", expected=0)
    a = await documents.put(f"{area}.a", b"new", expected=old)
    await documents.put(f"{area}x.a", b"another prefix", expected=0)

    async with aclosing(documents.follow(area)) as changes:  # type: ignore[type-var]
        assert [await anext(changes), await anext(changes)] == [
            Document(f"{area}.b", b, b"b"),
            Document(f"{area}.a", a, b"new"),
        ]
        last = b
        for number in range(5):
            last = await documents.put(f"{area}.b", str(number).encode(), expected=last)
        assert [(await anext(changes)).data for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]


async def test_keys_that_are_none_and_documents_that_are_large_are_refused(documents: Documents, area: str) -> None:
    for key in ("", ".", f"{area}.", f".{area}", f"{area}.*", f"{area}.>", f"{area}..a", f"{area}.a b", "x" * 65):
        with pytest.raises(Refused, match="is no key"):
            await documents.put(key, b"", expected=0)
        with pytest.raises(Refused):
            await documents.get(key)
        with pytest.raises(Refused):
            await documents.keys(key)
    with pytest.raises(Refused, match=f"at most {MAX_DOCUMENT}"):
        await documents.put(f"{area}.a", bytes(MAX_DOCUMENT + 1), expected=0)
    await documents.put(f"{area}.a", bytes(MAX_DOCUMENT), expected=0)


@pytest.mark.parametrize("then", [False, True], ids=["the newest", "no longer the newest"])
async def test_a_put_whose_answer_was_lost_is_done_once_and_not_in_conflict_with_itself(
    documents: NatsDocuments, standing: Standing, area: str, then: bool
) -> None:
    key = f"{area}.a"
    publish, asked = documents._stream.js.publish, 0

    async def deaf(*arguments: Any, **options: Any) -> Any:
        nonlocal asked
        asked += 1
        answer = await publish(*arguments, **options)
        if asked == 1:
            if then:
                await NatsDocuments(standing.connection).put(key, b"another's", expected=answer.seq)
            raise NatsTimeoutError
        return answer

    with patch.object(documents._stream.js, "publish", deaf):
        revision = await documents.put(key, b"mine", expected=0)

    kept = await documents.history(key)
    assert kept[0] == Document(key, revision, b"mine")
    assert [one.data for one in kept[1:]] == [b"another's"] * then
    with pytest.raises(Conflict):
        await documents.put(key, b"late", expected=0)


async def test_ready_says_so_or_why_not(documents: Documents, standing: Standing, area: str) -> None:
    await documents.ready()
    await standing.connection.close()
    with pytest.raises(Unready):
        await documents.ready()
    with pytest.raises(Unready):
        await documents.put(f"{area}.a", b"", expected=0)
    with pytest.raises(Unready):
        await anext(documents.follow(area))


async def test_across_kills_every_confirmed_change_stands_once_and_a_follower_misses_none(
    documents: Documents, standing: Standing, area: str
) -> None:
    """Three count up one document by compare-and-set while a server is killed, twice."""
    key, total = f"{area}.count", HISTORY - 4  # a follower that is slow finds all
    await documents.put(key, b"0", expected=0)
    follower = asyncio.create_task(followed(documents, area, lambda one: int(one.data) >= total))
    confirmed: set[int] = set()

    async def count() -> None:
        while True:
            newest = await documents.get(key)
            assert newest is not None
            number = int(newest.data) + 1
            if number > total:
                return
            try:
                await documents.put(key, str(number).encode(), expected=newest.revision)
            except Conflict:
                continue
            assert number not in confirmed
            confirmed.add(number)
            if number in (15, 45):
                standing.kill()  # the second time, in the cluster, another node than the first
            if number == 30:
                standing.mend()

    await asyncio.gather(*(count() for _ in range(3)))
    seen = await follower

    assert confirmed == set(range(1, total + 1))
    revisions = [one.revision for one in seen]
    assert revisions == sorted(set(revisions))
    assert [int(one.data) for one in seen] == list(range(int(seen[0].data), total + 1))
    assert [int(one.data) for one in await documents.history(key)] == list(range(total + 1))


async def test_documents_are_there_when_opened_again(documents: Documents, standing: Standing, area: str) -> None:
    revision = await documents.put(f"{area}.a", b"1", expected=0)
    config = (await standing.connection.jetstream().stream_info("KV_tieline")).config
    again = await NatsDocuments.open(standing.connection, replicas=config.num_replicas or 1)
    assert await again.get(f"{area}.a") == Document(f"{area}.a", revision, b"1")


async def test_the_bucket_is_one_that_other_clients_of_nats_can_read(
    documents: Documents, standing: Standing, area: str
) -> None:
    revision = await documents.put(f"{area}.a", b"1", expected=0)
    bucket = await standing.connection.jetstream().key_value("tieline")
    found = await bucket.get(f"{area}.a")
    assert (found.value, found.revision) == (b"1", revision)
