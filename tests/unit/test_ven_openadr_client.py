"""The client of a VTN: every operation, its patience, and what a VTN's refusals become."""

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from importlib.resources import files
from typing import Any

import httpx
import pytest
import yaml

from tests.integration.ven_world import BASE, CREDENTIALS, START, SmallVtn, answering, away, listed
from tieline.base.errors import Conflict, Forbidden, NotFound, Refused, TielineError, Unauthenticated, Unready
from tieline.ven import VtnClient
from tieline.ven.openadr import exchange
from tieline.wires.openadr31.messages import (
    EventRequest,
    ObjectOperation,
    ObjectType,
    Operation,
    ProgramRequest,
    ReportRequest,
    SubscriptionRequest,
    VenResourceRequest,
    VenVenRequest,
)

OPERATION = ObjectOperation(
    objects=(ObjectType.EVENT,), operations=(Operation.CREATE,), callback_url="https://ven.example/hook"
)
BODIES: dict[str, Any] = {
    "programs": ProgramRequest(program_name="prices"),
    "reports": ReportRequest(event_id="1", client_name="ven", resources=()),
    "events": EventRequest(program_id="1"),
    "subscriptions": SubscriptionRequest(client_name="ven", object_operations=(OPERATION,)),
    "vens": VenVenRequest(ven_name="ven"),
    "resources": VenResourceRequest(resource_name="boiler", ven_id="1"),
}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "FIRST_PAUSE_S", 0.0)


@pytest.fixture
def world() -> SmallVtn:
    return SmallVtn(lambda: START)


# --- operations -------------------------------------------------------------------------------------------------------


def operations() -> set[tuple[str, str]]:
    """Of the specification."""
    paths = yaml.safe_load((files("tieline.wires.openadr31") / "openadr3.yaml").read_text())["paths"]
    verbs = {"get", "post", "put", "delete"}
    return {(verb.upper(), path) for path, item in paths.items() for verb in verbs & item.keys()}


async def test_every_operation_of_the_specification_can_be_asked(world: SmallVtn) -> None:
    world.mqtt = {"URIS": ["mqtts://broker"], "serialization": "JSON", "authentication": {"method": "ANONYMOUS"}}
    async with world.client() as vtn:
        collections: dict[str, Any] = {name: getattr(vtn, name) for name in BODIES}
        for name, collection in collections.items():
            world.program("evening") if name != "programs" else None
            world.kept["events"]["1"] = {}  # only referred to
            made = await collection.create(BODIES[name])
            world.kept["events"].pop("1")
            assert await collection.get(made.id) == made
            assert (await collection.update(made.id, BODIES[name])).id == made.id
            assert made.id in [one.id for one in await listed(collection.search())]
            assert (await collection.delete(made.id)).id == made.id
            for kept in world.kept.values():
                kept.clear()
        await vtn.notifiers()
        topics = vtn.topics
        for ask in (
            topics.programs,
            topics.events,
            topics.reports,
            topics.subscriptions,
            topics.vens,
            topics.resources,
        ):
            assert (await ask()).create
        for of in (topics.program, topics.ven, topics.program_events):
            assert (await of("p-1")).update
        for of in (topics.ven_events, topics.ven_programs, topics.ven_resources):
            assert (await of("v-1")).update
    patterns = [f"{verb} " + re.sub(r"{\w+}", "[^/]+", path) for verb, path in operations()]
    assert len(patterns) == 45
    assert not [one for one in patterns if not any(re.fullmatch(one, asked) for asked in world.asked)]


async def test_filters_go_out_as_the_specification_writes_them() -> None:
    seen: list[httpx.URL] = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(request.url)
        return httpx.Response(200, json=[])

    async with answering(note) as vtn:
        await listed(vtn.programs.search(targets=["a", "b c"]))
        await listed(vtn.events.search(program_id="p", targets=["a"], active=True))
        await listed(vtn.reports.search(program_id="p", event_id="e", client_name="n"))
        await listed(vtn.subscriptions.search(program_id="p", client_name="n", objects=[ObjectType.EVENT]))
        await listed(vtn.vens.search(ven_name="v"))
        await listed(vtn.resources.search(resource_name="r", ven_id="v", targets=["a"]))
    assert [sorted(url.params.multi_items()) for url in seen] == [
        [("limit", "50"), ("skip", "0"), ("targets", "a"), ("targets", "b c")],
        [("active", "true"), ("limit", "50"), ("programID", "p"), ("skip", "0"), ("targets", "a")],
        [("clientName", "n"), ("eventID", "e"), ("limit", "50"), ("programID", "p"), ("skip", "0")],
        [("clientName", "n"), ("limit", "50"), ("objects", "EVENT"), ("programID", "p"), ("skip", "0")],
        [("limit", "50"), ("skip", "0"), ("venName", "v")],
        [("limit", "50"), ("resourceName", "r"), ("skip", "0"), ("targets", "a"), ("venID", "v")],
    ]


async def test_a_list_is_read_page_by_page_to_its_end(world: SmallVtn) -> None:
    names = [f"program {number}" for number in range(120)]
    for name in names:
        world.program(name)
    async with world.client() as vtn:
        assert [one.program_name for one in await listed(vtn.programs.search())] == names
    assert world.asked["GET /programs"] == 3


async def test_a_vtn_that_knows_no_skip_does_not_hold_us_for_ever(world: SmallVtn) -> None:
    for number in range(60):
        world.program(f"program {number}")
    first = {"page": list(world.kept["programs"].values())[:50]}
    async with answering(lambda _: httpx.Response(200, json=first["page"])) as vtn:
        assert len(await listed(vtn.programs.search())) == 50


async def test_what_has_not_changed_is_not_sent_again(world: SmallVtn) -> None:
    program = world.program("prices")
    async with world.client() as vtn:
        first = await listed(vtn.programs.search())
        assert await listed(vtn.programs.search()) == first
        assert (await vtn.programs.get(program), world.unchanged) == (first[0], 1)
        world.change("programs", program, programName="tariff")
        assert [one.program_name for one in await listed(vtn.programs.search())] == ["tariff"]
        assert world.unchanged == 1


async def test_an_object_that_is_none_is_left_out_where_somebody_is_told(world: SmallVtn) -> None:
    world.program("prices")
    world.kept["programs"]["bad"] = {"id": "bad", "programName": 7}
    told: list[str] = []
    transport = httpx.MockTransport(world.answer)
    async with VtnClient(BASE, CREDENTIALS, transport=transport, unreadable=told.append) as vtn:
        assert [one.program_name for one in await listed(vtn.programs.search())] == ["prices"]
        assert "programName" in told[0]
    async with world.client() as vtn:
        with pytest.raises(Unready, match="not OpenADR"):
            await listed(vtn.programs.search())


# --- refusals and patience --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "family"),
    [
        (400, Refused), (401, Unauthenticated), (403, Forbidden), (404, NotFound), (409, Conflict), (422, Refused),
        (501, Refused), (302, Refused), (429, Unready), (500, Unready), (503, Unready),
    ],
)  # fmt: skip
async def test_a_problem_comes_back_as_its_family(status: int, family: type[TielineError]) -> None:
    problem = {"type": "about:blank", "title": "No", "status": status, "detail": "because\x1b[31m"}
    async with answering(lambda _: httpx.Response(status, json=problem)) as vtn:
        with pytest.raises(family) as caught:
            await vtn.events.get("e-1")
    assert type(caught.value) is family
    told = str(caught.value)
    assert told.startswith(f"GET {BASE}/events/e-1: {status} ")
    assert ("redirects are not followed" if status == 302 else "because") in told
    assert "\x1b" not in told


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000, b"{}", b"null"])
async def test_an_answer_that_is_not_openadr_is_unready(body: bytes) -> None:
    async with answering(lambda _: httpx.Response(200, content=body)) as vtn:
        with pytest.raises(Unready, match=r"/events/e-1: the VTN's answer is not OpenADR 3\.1"):
            await vtn.events.get("e-1")


async def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "LARGEST_ANSWER", 1 << 20)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65_536

    async with answering(lambda _: httpx.Response(200, content=endless())) as vtn:
        with pytest.raises(Unready, match="more than 1 MiB"):
            await vtn.events.get("e-1")


async def test_a_vtn_that_says_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "TIMEOUT_S", 0.01)

    async def silent(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError

    async with VtnClient(BASE, transport=httpx.MockTransport(silent)) as vtn:
        with pytest.raises(Unready, match="cannot be reached: TimeoutError"):
            await vtn.events.get("e-1")


def in_turn(*replies: httpx.Response | Exception) -> tuple[Callable[[httpx.Request], httpx.Response], list[str]]:
    left, seen = list(replies), list[str]()

    def reply(request: httpx.Request) -> httpx.Response:
        seen.append(request.method)
        if isinstance(one := left.pop(0), Exception):
            raise one
        return one

    return reply, seen


def busy(**headers: str) -> httpx.Response:
    return httpx.Response(503, headers=headers)


LOST = httpx.ReadError("reset")
NEVER_LEFT = httpx.ConnectError("refused")


@pytest.mark.parametrize("faults", [[LOST, busy()], [busy(), NEVER_LEFT], [LOST, LOST], [busy(**{"Retry-After": "0"})]])
async def test_what_may_be_repeated_is_tried_again(faults: Iterable[httpx.Response | Exception]) -> None:
    reply, seen = in_turn(*faults, httpx.Response(200, json=[]))
    async with answering(reply) as vtn:
        assert await listed(vtn.events.search()) == []
    assert len(seen) == len(list(faults)) + 1


@pytest.mark.parametrize("fault", [LOST, busy(), httpx.ReadTimeout("slow")])
async def test_what_may_have_been_done_is_not_done_twice(fault: httpx.Response | Exception) -> None:
    reply, seen = in_turn(fault)
    async with answering(reply) as vtn:
        with pytest.raises(Unready):
            await vtn.vens.create(VenVenRequest(ven_name="v"))
    assert seen == ["POST"]


async def test_what_never_left_is_sent_again(world: SmallVtn) -> None:
    faults = [NEVER_LEFT, httpx.ConnectTimeout("slow")]

    def reply(request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and request.url.path.endswith("/vens") and faults:
            raise faults.pop()
        return world.answer(request)

    async with VtnClient(BASE, CREDENTIALS, transport=httpx.MockTransport(reply)) as vtn:
        await vtn.vens.create(VenVenRequest(ven_name="v"))
    assert len(world.kept["vens"]) == 1


async def test_patience_ends(world: SmallVtn) -> None:
    reply, seen = in_turn(*[LOST] * 9)
    async with answering(reply) as vtn:
        with pytest.raises(Unready, match="cannot be reached: reset"):
            await vtn.events.get("e-1")
    assert len(seen) == exchange.TRIES
    reply, seen = in_turn(busy(**{"Retry-After": "3600"}))
    async with answering(reply) as vtn:
        with pytest.raises(Unready, match="503"):
            await vtn.events.get("e-1")


# --- where it may speak -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://vtn.example/3.1.0", "ftp://localhost", "localhost:8400", "", "https://", "https://[::",
        "https://u:p@vtn.example", "https://v?x=1",
    ],
)  # fmt: skip
def test_a_url_that_would_tell_secrets_is_refused(url: str) -> None:
    with pytest.raises(Refused, match="https"):
        VtnClient(url)


@pytest.mark.parametrize(
    "url", ["https://vtn.example/x/", "http://127.0.0.1:8400/x", "http://[::1]/x", "http://localhost"]
)
def test_clear_text_stays_on_this_machine(url: str) -> None:
    assert VtnClient(url).connection.verified


def test_unverified_is_a_choice() -> None:
    assert not VtnClient("http://vtn.example/3.1.0", verify=False).connection.verified


async def test_a_vtn_out_of_reach_is_unready(world: SmallVtn) -> None:
    world.reach = away
    async with world.client() as vtn:
        with pytest.raises(Unready, match="cannot be reached: no route"):
            await vtn.notifiers()


def test_the_agent_needs_no_library_of_the_platform() -> None:
    heavy = "litestar sqlalchemy duckdb pyarrow nats numpy structlog aiohttp granian deltalake prometheus_client"
    names = "VtnClient, VenAgent, Credentials, Memory, Plan, Webhook, FoundVtn, Asked, discover"
    check = f"import sys; from tieline.ven import {names}; import tieline.cli; "
    check += f"sys.exit(str(sorted(set('{heavy}'.split()) & set(sys.modules)) or ''))"
    ended = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60, check=False)
    assert ended.stderr.strip() == ""
