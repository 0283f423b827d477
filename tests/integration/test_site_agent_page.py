"""The page of who lives here, as browsers and as strangers ask for it."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.servers.nats import free_port
from tieline.ven.agent.decision import Why
from tieline.ven.agent.page import LARGEST_FORM, MOST_CALLS, AskedView, LoadView, Owner, Page, View
from tieline.ven.agent.schedule import Standing
from tieline.ven.agent.wish import Wish
from tieline.ven.serving import Server
from tieline.wires.mqtt.messages import OptOut

NOW = datetime(2026, 7, 14, 18, 30, tzinfo=UTC)  # 19:30 in Lisbon
LISBON = ZoneInfo("Europe/Lisbon")
EVIL = "<script>alert(1)</script>'\""


class House:
    """What the page is told, and what it does."""

    def __init__(self) -> None:
        self.done: list[tuple[str, object]] = []
        self.broken = False
        self.standing: list[Standing] = []
        self.page = Page(self.view, Owner(self.opt_out, self.opt_in), LISBON, ["Cabin.local"])
        self.port = free_port()

    async def view(self) -> View:
        if self.broken:
            raise ZeroDivisionError
        return View(
            ven_id="cabin",
            now_at=NOW,
            power_kw=4.5,
            limit_kw=10.35,
            loads=[
                LoadView("boiler", "water_heater", 0.5, 0.5, Why.ASKED, ""),
                LoadView("car", "ev", None, None, None, f"no answer from {EVIL}"),
            ],
            asked=[
                AskedView(
                    "event:peak",
                    f"boiler {EVIL}",
                    True,
                    NOW,
                    NOW + timedelta(minutes=15),
                    ["boiler", EVIL],
                    [OptOut("boiler", NOW + timedelta(minutes=5), reason=EVIL)],
                ),
                AskedView("event:later", "car", False, NOW + timedelta(days=1), NOW + timedelta(days=1, hours=1)),
                AskedView("load:car", "car", True, None, None),
            ],
            standing=self.standing,
            waiting=7,
            trouble="no route",
        )

    async def opt_out(self, wish: Wish) -> None:
        self.done.append(("opt_out", wish))

    async def opt_in(self) -> None:
        self.done.append(("opt_in", None))


@pytest.fixture
async def house() -> AsyncIterator[House]:
    made = House()
    server = Server(made.page.answer, "the page", largest_body=LARGEST_FORM, most_calls=MOST_CALLS)
    async with server.listening("127.0.0.1", made.port):
        yield made


@pytest.fixture
async def browser(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{house.port}", trust_env=False) as client:
        yield client


async def token(browser: httpx.AsyncClient) -> str:
    found = re.search(r"name=token value='([^']+)'", (await browser.get("/")).text)
    assert found
    return found[1]


async def test_it_shows_what_is_held_until_when_and_what_is_the_matter(browser: httpx.AsyncClient) -> None:
    reply = await browser.get("/")
    assert reply.status_code == 200
    for words in (
        "4.50 kW", "now, until 19:45", "from Wed 15 Jul, 19:30 until Wed 15 Jul, 20:30", "now, until it is given back",
        "held for the grid", "off-line", "7 readings wait", "not connected: no route",
    ):  # fmt: skip
        assert words in reply.text


async def test_whatever_it_is_told_it_shows_as_text(browser: httpx.AsyncClient) -> None:
    reply = await browser.get("/")
    assert "<script" not in reply.text
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy
    assert "frame-ancestors 'none'" in policy
    assert reply.headers["cache-control"] == "no-store"


async def test_programs_have_it_as_json(browser: httpx.AsyncClient) -> None:
    state = (await browser.get("/state")).json()
    assert [load["load_id"] for load in state["loads"]] == ["boiler", "car"]
    assert state["loads"][0]["why"] == "asked"


async def test_its_buttons_do_what_they_say(browser: httpx.AsyncClient, house: House) -> None:
    given = await token(browser)
    for path, more in (("/opt-out", {"subject": "event:peak"}), ("/opt-out-of-all", {}), ("/opt-in", {})):
        reply = await browser.post(path, data={"token": given, **more})
        assert (reply.status_code, reply.headers["location"]) == (303, "/")
    assert house.done == [("opt_out", Wish("event:peak")), ("opt_out", Wish()), ("opt_in", None)]


async def test_an_opt_out_may_be_in_part_from_a_time_on_and_say_why(browser: httpx.AsyncClient, house: House) -> None:
    part = {"load": "boiler", "from": "19:40", "keep_kw": "1.5", "reason": " guests "}
    await browser.post("/opt-out", data={"token": await token(browser), "subject": "event:peak", **part})
    at = datetime(2026, 7, 14, 19, 40, tzinfo=LISBON)
    assert house.done == [("opt_out", Wish("event:peak", "boiler", at, 1.5, "guests"))]
    await browser.post("/opt-out-of-all", data={"token": await token(browser), "from": "07:00"})
    assert house.done[-1] == ("opt_out", Wish(from_at=datetime(2026, 7, 15, 7, tzinfo=LISBON)))


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [("from", "25:00", "no time of the day"), ("from", "soon", "RFC 3339"), ("keep_kw", "-1", "no power"),
     ("keep_kw", "nan", "no power")],
)  # fmt: skip
async def test_what_cannot_be_meant_is_told(
    browser: httpx.AsyncClient, house: House, field: str, text: str, said: str
) -> None:
    reply = await browser.post("/opt-out-of-all", data={"token": await token(browser), field: text})
    assert (reply.status_code, house.done) == (422, [])
    assert said in reply.text


async def test_who_opted_out_may_take_part_again(browser: httpx.AsyncClient, house: House) -> None:
    assert "Take part again" not in (await browser.get("/")).text
    house.standing = [Standing(NOW + timedelta(hours=1), NOW + timedelta(hours=4), "car", EVIL)]
    shown = (await browser.get("/")).text
    assert "Take part again" in shown
    assert "With car from 20:30 until 23:30" in shown
    assert "<script" not in shown


@pytest.mark.parametrize("given", ["", "wrong", "ö"])
async def test_without_the_pages_own_token_nothing_is_done(
    browser: httpx.AsyncClient, house: House, given: str
) -> None:
    reply = await browser.post("/opt-out-of-all", data={"token": given})
    assert reply.status_code == 403
    assert house.done == []


async def test_looking_does_nothing(browser: httpx.AsyncClient, house: House) -> None:
    for method, path in (("GET", "/opt-out-of-all"), ("GET", "/opt-in"), ("HEAD", "/"), ("PUT", "/"), ("DELETE", "/")):
        await browser.request(method, f"{path}?token={await token(browser)}")
    assert house.done == []


@pytest.mark.parametrize(
    ("host", "status"),
    [("evil.example", 421), ("127.0.0.1.evil.example", 421), ("", 421), ("[", 421), ("localhost:8480", 200),
     ("cabin.local", 200), ("192.168.1.7:8480", 200), ("[::1]:8480", 200)],
)  # fmt: skip
async def test_it_answers_to_its_own_names_only(browser: httpx.AsyncClient, host: str, status: int) -> None:
    """A strange page may make its own name mean this machine (DNS rebinding), and then read what is here."""
    assert (await browser.get("/", headers={"Host": host})).status_code == status


async def test_what_is_not_there_is_404(browser: httpx.AsyncClient) -> None:
    assert (await browser.get("/etc/passwd")).status_code == 404
    assert (await browser.post("/other", data={"token": await token(browser)})).status_code == 404


# --- strangers --------------------------------------------------------------------------------------------------------


async def said(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    await writer.drain()
    answer = await reader.read(65_536)
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", b"431"),
        (b"POST /opt-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n" + b"x" * 9999, b"413"),
        (b"POST /opt-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\n\r\n" + b"&a=1" * 10, b"403"),
    ],
)
async def test_what_is_not_proper_http_is_refused(house: House, data: bytes, status: bytes) -> None:
    assert (await said(house.port, data)).startswith(b"HTTP/1.1 " + status)
    assert house.done == []


async def test_a_page_that_breaks_is_a_500_and_the_next_is_served(browser: httpx.AsyncClient, house: House) -> None:
    house.broken = True
    assert (await browser.get("/")).status_code == 500
    house.broken = False
    assert (await browser.get("/")).status_code == 200


async def test_many_who_say_nothing_do_not_keep_it_for_ever(browser: httpx.AsyncClient, house: House) -> None:
    silent = [await asyncio.open_connection("127.0.0.1", house.port) for _ in range(MOST_CALLS)]
    with pytest.raises(httpx.TransportError):
        await browser.get("/")
    for _, writer in silent:
        writer.close()
        await writer.wait_closed()
    async with asyncio.timeout(90):
        while True:
            try:
                assert (await browser.get("/")).status_code == 200
                return
            except httpx.TransportError:
                await asyncio.sleep(0.02)
