"""The HTTP client of webhooks against real servers: TLS, challenges, and all that a hostile receiver may try."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
from aiohttp import TCPConnector, web
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.servers.authority import Authority
from tests.servers.nats import free_port
from tests.servers.receiver import Heard, Receiver, answering, receiving, speaking
from tieline.base.errors import Refused, Unready
from tieline.vtn.webhooks import addresses
from tieline.vtn.webhooks import sender as sender_room
from tieline.vtn.webhooks.sender import LARGEST_ANSWER, Sender

HEADERS = {"Content-Type": "application/json"}


class Names(AbstractResolver):
    """A resolver that a test has in its hands: names to the addresses they have now."""

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        self.names = dict(names)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        if host not in self.names:
            raise OSError(f"no such name: {host}")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self.names[host]
        ]

    async def close(self) -> None:
        """There is nothing to close."""


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    async with Sender(development=True) as one:
        yield one


# --- posting ----------------------------------------------------------------------------------------------------------


async def test_a_body_arrives_as_it_is_with_its_headers(receiver: Receiver, sender: Sender) -> None:
    body = b'{"objectType":"EVENT"}\x00\xff'
    answer = await sender.post(receiver.url("/hook?site=%2F1&site=2"), body, {**HEADERS, "webhook-id": "d1"})
    (heard,) = receiver.heard
    assert (answer.status, heard.method, heard.path, heard.query) == (204, "POST", "/hook", "site=%2F1&site=2")
    assert heard.body == body
    assert heard.headers["webhook-id"] == "d1"
    assert heard.headers["Host"] == f"127.0.0.1:{receiver.port}"
    assert heard.headers["User-Agent"].startswith("Tieline/")
    assert "Cookie" not in heard.headers


async def test_names_are_asked_of_the_system(receiver: Receiver, sender: Sender) -> None:
    assert (await sender.post(receiver.url("/", host="localhost"), b"{}", HEADERS)).status == 204


async def test_a_connection_is_used_again(receiver: Receiver, sender: Sender) -> None:
    for _ in range(20):
        await sender.post(receiver.url("/"), b"{}", HEADERS)
    assert len(receiver.peers) == 1


async def test_connections_that_are_kept_are_bounded(receiver: Receiver) -> None:
    names = Names({f"ven-{n}": ["127.0.0.1"] for n in range(20)})
    async with Sender(development=True, connections=3, resolver=names) as sender:
        for name in names.names:
            await sender.post(receiver.url("/", host=name), b"{}", HEADERS)
        assert len(receiver.peers) == 20
        while sum(not peer.is_closing() for peer in receiver.peers) > 3:
            await asyncio.sleep(0.01)
        for name in list(names.names)[:3]:
            await sender.post(receiver.url("/", host=name), b"{}", HEADERS)


async def test_cookies_are_not_kept(receiver: Receiver, sender: Sender) -> None:
    receiver.behave = answering(200, Set_Cookie="who=you")
    for _ in range(2):
        await sender.post(receiver.url("/"), b"{}", HEADERS)
    assert all("Cookie" not in one.headers for one in receiver.heard)


async def test_no_proxy_of_the_environment_is_used(
    receiver: Receiver, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await sender.post(receiver.url("/"), b"{}", HEADERS)).status == 204


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(receiver: Receiver, sender: Sender, status: int) -> None:
    receiver.behave = answering(status, Location=receiver.url("/internal"))
    assert (await sender.post(receiver.url("/hook"), b"{}", HEADERS)).status == status
    with pytest.raises(Refused, match=str(status)):
        await sender.challenge(receiver.url("/hook"), None)
    assert {one.path for one in receiver.heard} == {"/hook"}


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.fixture
def loopback_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 stands for the Internet; every other address stays what it is."""
    real = addresses.is_public
    monkeypatch.setattr(sender_room, "is_public", lambda address: address == "127.0.0.1" or real(address))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def outside(authority: Authority, names: Mapping[str, Sequence[str]]) -> tuple[Names, Sender]:
    resolver = Names(names)
    return resolver, Sender(tls=authority.trusted(), resolver=resolver, timeout_s=5.0)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "0.0.0.0"])
async def test_a_name_that_leads_inside_is_never_connected_to(authority: Authority, address: str) -> None:
    async with receiving(authority.serving(["ven.example"])) as receiver:
        _, sender = outside(authority, {"ven.example": [address]})
        url = receiver.url("/hook?key=secret", scheme="https", host="ven.example")
        async with sender:
            with pytest.raises(Unready, match="does not resolve to a public address") as failure:
                await sender.post(url, b"{}", HEADERS)
            with pytest.raises(Refused, match="does not resolve to a public address"):
                await sender.challenge(url, "token")
        assert address not in str(failure.value)
        assert "secret" not in str(failure.value)
        assert not receiver.heard
        assert not receiver.peers


@pytest.mark.usefixtures("loopback_is_public")
async def test_the_name_is_what_tls_and_host_speak_of(authority: Authority) -> None:
    async with receiving(authority.serving(["ven.example"])) as receiver:
        _, sender = outside(authority, {"ven.example": ["127.0.0.1"], "other.example": ["127.0.0.1"]})
        async with sender:
            await sender.post(receiver.url("/", scheme="https", host="ven.example"), b"{}", HEADERS)
            assert receiver.heard[0].headers["Host"] == f"ven.example:{receiver.port}"
            with pytest.raises(Unready, match="certificate is not trusted"):
                await sender.post(receiver.url("/", scheme="https", host="other.example"), b"{}", HEADERS)
        async with Sender(resolver=Names({"ven.example": ["127.0.0.1"]})) as stranger:
            with pytest.raises(Unready, match="certificate is not trusted"):
                await stranger.post(receiver.url("/", scheme="https", host="ven.example"), b"{}", HEADERS)
        assert len(receiver.heard) == 1


@pytest.mark.usefixtures("loopback_is_public")
async def test_of_several_addresses_only_public_ones_are_tried(authority: Authority) -> None:
    async with receiving(authority.serving(["ven.example"])) as receiver:
        _, sender = outside(authority, {"ven.example": ["10.0.0.1", "::1", "127.0.0.1"]})
        async with sender:
            await sender.post(receiver.url("/", scheme="https", host="ven.example"), b"{}", HEADERS)
        assert len(receiver.heard) == 1


@pytest.mark.usefixtures("loopback_is_public")
async def test_a_name_that_turns_inside_after_its_challenge_gains_nothing(authority: Authority) -> None:
    async with receiving(authority.serving(["ven.example"])) as receiver:

        async def closes(heard: Heard) -> web.Response:
            answer = web.Response(text=heard.query.partition("=")[2])
            answer.force_close()
            return answer

        receiver.behave = closes
        resolver, sender = outside(authority, {"ven.example": ["127.0.0.1"]})
        url = receiver.url("/", scheme="https", host="ven.example")
        async with sender:
            await sender.challenge(url, None)
            resolver.names["ven.example"] = ["127.0.0.2"]
            forget_names(sender)
            with pytest.raises(Unready, match="public address"):
                await sender.post(url, b"{}", HEADERS)
        assert [one.method for one in receiver.heard] == ["GET"]


def forget_names(sender: Sender) -> None:
    """As some seconds later."""
    connector = sender._client().connector
    assert isinstance(connector, TCPConnector)
    connector.clear_dns_cache()


async def test_only_https_beyond_development(receiver: Receiver) -> None:
    async with Sender() as sender:
        with pytest.raises(Refused, match="https"):
            await sender.post(receiver.url("/"), b"{}", HEADERS)
        with pytest.raises(Refused, match="public address"):
            await sender.post(receiver.url("/", scheme="https"), b"{}", HEADERS)
    assert not receiver.peers


# --- receivers that misbehave -----------------------------------------------------------------------------------------


async def test_one_that_does_not_answer_is_given_up_in_time(receiver: Receiver) -> None:
    async def hangs(_: Heard) -> None:
        await asyncio.sleep(60)

    receiver.behave = hangs
    async with Sender(development=True, timeout_s=0.1) as sender:
        with pytest.raises(Unready, match=r"no answer within 0\.1 s"):
            await sender.post(receiver.url("/?key=secret"), b"{}", HEADERS)


async def test_an_endless_answer_is_cut_off(sender: Sender) -> None:
    """Whether it comes at once or drop by drop."""
    sent: list[int] = []
    cut = asyncio.Event()

    async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        try:
            while True:
                writer.write(chunk)
                sent.append(len(chunk))
                await writer.drain()
        finally:
            cut.set()

    async with speaking(floods) as port:
        answer = await sender.post(f"http://127.0.0.1:{port}/", b"{}", HEADERS)
        assert answer.status == 200
        await cut.wait()
        assert sum(sent) < 1000 * LARGEST_ANSWER
        with pytest.raises(Refused, match="echo"):
            await sender.challenge(f"http://127.0.0.1:{port}/", None)


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 banana\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"",
        b"\x16\x03\x01",
    ],
)
async def test_what_is_no_answer_is_said_so(sender: Sender, said: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()

    async with speaking(talk) as port:
        with pytest.raises(Unready, match=r"not HTTP|lost"):
            await sender.post(f"http://127.0.0.1:{port}/", b"{}", HEADERS)


async def test_nobody_there(sender: Sender) -> None:
    with pytest.raises(Unready, match="connection refused"):
        await sender.post(f"http://127.0.0.1:{free_port()}/", b"{}", HEADERS)
    with pytest.raises(Unready, match="cannot be resolved"):
        await sender.post("http://nobody.invalid/", b"{}", HEADERS)


# --- the challenge ----------------------------------------------------------------------------------------------------


async def test_a_challenge_keeps_the_query_and_shows_the_token(receiver: Receiver, sender: Sender) -> None:
    await sender.challenge(receiver.url("/hook?site=%2F1"), "t0ken")
    await sender.challenge(receiver.url("/hook"), None)
    first, second = receiver.heard
    assert first.method == "GET"
    assert first.query.startswith("site=%2F1&echo=")
    assert first.headers["Authorization"] == "Bearer t0ken"
    assert second.query.startswith("echo=")
    assert "Authorization" not in second.headers
    words = {one.query.rpartition("=")[2] for one in receiver.heard}
    assert all(len(word) == 32 for word in words)
    assert len(words) == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (answering(204), "204"),
        (answering(201), "201"),
        (answering(404), "404"),
        (answering(500), "500"),
        (answering(200), "echo"),
    ],
)
async def test_a_challenge_that_is_not_met_is_refused(
    receiver: Receiver, sender: Sender, answer: object, reason: str
) -> None:
    receiver.behave = answer  # type: ignore[assignment]
    with pytest.raises(Refused, match=reason):
        await sender.challenge(receiver.url("/"), None)


@pytest.mark.parametrize("status", [200, 404, 405, 501])
async def test_who_tries_things_out_may_let_a_receiver_pass_that_knows_no_challenge(
    receiver: Receiver, status: int
) -> None:
    receiver.behave = answering(status)
    async with Sender(development=True, lenient=True) as lenient:
        await lenient.challenge(receiver.url("/"), None)
        receiver.behave = answering(500)
        with pytest.raises(Refused, match="500"):
            await lenient.challenge(receiver.url("/"), None)


async def test_a_challenge_needs_an_answer(receiver: Receiver, sender: Sender) -> None:
    with pytest.raises(Refused, match="connection refused"):
        await sender.challenge(f"http://127.0.0.1:{free_port()}/", None)
    with pytest.raises(Refused, match="ASCII"):
        await sender.challenge(receiver.url("/"), "two\r\nlines")
    assert not receiver.heard
