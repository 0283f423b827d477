"""Where a VTN calls back: the challenge, the token, the signature, and whoever else comes by; on a real port."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import pytest

from tests.servers.nats import free_port
from tieline.base.errors import Refused, Unready
from tieline.base.time import VirtualClock
from tieline.ven import Webhook, serving
from tieline.ven.openadr.callbacks import Callbacks
from tieline.vtn.webhooks import signing
from tieline.vtn.webhooks.sender import Sender

NOW = datetime(2026, 7, 14, 17, tzinfo=UTC)
BEARER = "a-token-of-ours"
CHALLENGE = b"GET /?echo=x HTTP/1.1\r\nHost: x\r\n\r\n"
NOTICE = msgspec.json.encode({"objectType": "EVENT", "operation": "CREATE", "object": {"id": "e-1"}})


class Receiver:
    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self.told = 0
        self.clock = VirtualClock(NOW)
        self.callbacks = Callbacks(Webhook(url=self.url, port=self.port), BEARER, self.notice, self.clock)

    def notice(self) -> None:
        self.told += 1

    @contextlib.asynccontextmanager
    async def line(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def raw(self, data: bytes) -> bytes:
        """What came back; nothing where the line was cut."""
        async with self.line() as (reader, writer):
            writer.write(data)
            try:
                return await reader.read()
            except ConnectionResetError:
                return b""


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with receiver.callbacks.listening():
        yield receiver


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=10) as client:
        yield client


async def test_the_platforms_own_sender_passes_the_challenge_and_delivers(receiver: Receiver) -> None:
    async with Sender(development=True) as sender:
        await sender.challenge(receiver.url, BEARER)
        await sender.challenge(f"{receiver.url}?who=me", None)
        for at, told in ((NOW, 1), (NOW + timedelta(minutes=4), 2)):
            answer = await sender.post(receiver.url, NOTICE, signing.headers("d-1", NOTICE, BEARER, at))
            assert (answer.status, receiver.told) == (204, told)
        answer = await sender.post(receiver.url, NOTICE, signing.headers("d-1", NOTICE, "another", NOW))
        assert (answer.status, receiver.told) == (401, 2)


async def test_the_challenge_is_answered_as_text(receiver: Receiver, http: httpx.AsyncClient) -> None:
    word = "<script>é&x=1"
    answer = await http.get(receiver.url, params={"echo": word})
    assert (answer.status_code, answer.text) == (200, word)
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await http.get(receiver.url)).status_code == 404
    assert (await http.put(receiver.url)).status_code == 405
    assert receiver.told == 0


async def test_a_vtn_that_does_not_sign_shows_its_token(receiver: Receiver, http: httpx.AsyncClient) -> None:
    for given, status in ((f"Bearer {BEARER}", 204), ("Bearer x", 401), (BEARER, 401), ("", 401), ("Bearer é", 401)):
        headers = [(b"Authorization", given.encode())] if given else []
        answer = await http.post(receiver.url, content=NOTICE, headers=headers)
        assert answer.status_code == status
    assert receiver.told == 1


@pytest.mark.parametrize(
    "bad",
    [
        {"webhook-signature": "v1,AAAA"},
        {"webhook-id": "d-2"},
        {"webhook-timestamp": str(int(NOW.timestamp()) + 1)},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "9" * 40},
        {"webhook-timestamp": ""},
        {"Authorization": "Bearer x"},
    ],
)
async def test_what_was_tampered_with_is_turned_away(
    receiver: Receiver, http: httpx.AsyncClient, bad: dict[str, str]
) -> None:
    headers = signing.headers("d-1", NOTICE, BEARER, NOW) | bad
    assert (await http.post(receiver.url, content=NOTICE, headers=headers)).status_code == 401
    good = signing.headers("d-1", NOTICE, BEARER, NOW)
    assert (await http.post(receiver.url, content=NOTICE + b" ", headers=good)).status_code == 401
    assert receiver.told == 0


async def test_an_old_signature_is_not_taken(receiver: Receiver, http: httpx.AsyncClient) -> None:
    headers = signing.headers("d-1", NOTICE, BEARER, NOW)
    await receiver.clock.advance(301)
    assert (await http.post(receiver.url, content=NOTICE, headers=headers)).status_code == 401


async def test_one_good_signature_of_several_is_enough(receiver: Receiver, http: httpx.AsyncClient) -> None:
    headers = signing.headers("d-1", NOTICE, BEARER, NOW)
    headers["webhook-signature"] = f"v1a,zzz v1,AAAA {headers['webhook-signature']}"
    assert (await http.post(receiver.url, content=NOTICE, headers=headers)).status_code == 204


async def test_what_is_no_notification_is_refused(receiver: Receiver, http: httpx.AsyncClient) -> None:
    for body in (b"", b"{}", b"[]", b"[" * 100_000, b"\xff", b'{"objectType": 7, "operation": "CREATE"}'):
        answer = await http.post(receiver.url, content=body, headers={"Authorization": f"Bearer {BEARER}"})
        assert answer.status_code == 400
    assert receiver.told == 0


async def test_chunks_and_expectations_are_understood(receiver: Receiver) -> None:
    head = f"POST /hook HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {BEARER}\r\n".encode()
    chunked = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(NOTICE), NOTICE)
    assert (await receiver.raw(head + chunked)).startswith(b"HTTP/1.1 204")
    expecting = b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(NOTICE)
    async with receiver.line() as (reader, writer):
        writer.write(head + expecting)
        assert (await reader.readline()).startswith(b"HTTP/1.1 100")
        writer.write(NOTICE)
        assert b"HTTP/1.1 204" in await reader.read()
    assert receiver.told == 2


async def test_what_is_not_http_is_let_go(receiver: Receiver) -> None:
    for data in (
        b"\x16\x03\x01 hello\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n\r\n",
    ):
        assert (await receiver.raw(data))[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 431")
    async with receiver.line() as (reader, writer):
        writer.write_eof()
        await reader.read()
    assert receiver.told == 0


async def test_too_much_is_cut_off(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver.callbacks._server, "_largest_body", 1000)
    head = f"POST /hook HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {BEARER}\r\nContent-Length: 5000\r\n\r\n"
    assert (await receiver.raw(head.encode() + b" " * 5000)).startswith(b"HTTP/1.1 413")
    assert receiver.told == 0


async def test_who_says_nothing_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    monkeypatch.setattr(receiver.callbacks._server, "_most_calls", 3)
    monkeypatch.setattr(serving, "TIMEOUT_S", 0.5)
    async with contextlib.AsyncExitStack() as silent:
        for _ in range(3):
            await silent.enter_async_context(receiver.line())
        assert await receiver.raw(CHALLENGE) == b""
        while b" 200 " not in await receiver.raw(CHALLENGE):  # when their time is over
            await asyncio.sleep(0.05)


async def test_an_address_that_is_taken_is_unready(receiver: Receiver) -> None:
    other = Callbacks(Webhook(url=receiver.url, port=receiver.port), BEARER, receiver.notice)
    with pytest.raises(Unready, match="cannot listen"):
        async with other.listening():
            pass


async def test_the_challenge_fails_where_another_answers() -> None:
    async with Sender(development=True) as sender:
        with pytest.raises(Refused):
            await sender.challenge(f"http://127.0.0.1:{free_port()}/hook", BEARER)
