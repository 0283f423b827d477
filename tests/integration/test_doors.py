"""What every HTTP door shares: safe headers on every answer, the methods of a path, and the time that answers take."""

import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from litestar import Litestar, Response, get, post, put

from tieline import doors, metrics
from tieline.app.parts import Mounted
from tieline.base.errors import Refused

SAFE = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-cache"}


@get("/things")
async def list_things() -> list[str]:
    return ["one"]


@post("/things")
async def add_thing() -> Response[None]:
    return Response(None, headers={"cache-control": "no-store"})


@put("/things/{name:str}")
async def set_thing() -> None:
    raise Refused("never")


@get("/things/{name:str}")
async def show_thing() -> str:
    raise RuntimeError("ours")


@get("/where")
async def where() -> str:
    return threading.current_thread().name


def application(finish: Callable[..., Any] = doors.finish) -> Litestar:
    return Litestar(
        [list_things, add_thing, set_thing, show_thing, where],
        before_request=doors.tell_methods,
        after_request=finish,
        exception_handlers={**doors.PROBLEMS},
        middleware=[doors.Conditional],
        openapi_config=None,
    )


def caller(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tieline")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/things", 200),
        ("OPTIONS", "/things", 204),
        ("PUT", "/things/one", 422),
        ("GET", "/things/one", 500),
        ("DELETE", "/things", 405),
        ("GET", "/nowhere", 404),
    ],
)
async def test_every_answer_has_safe_headers(method: str, path: str, status: int) -> None:
    async with caller(application()) as client:
        answer = await client.request(method, path)
    assert answer.status_code == status
    assert SAFE.items() <= dict(answer.headers).items()


async def test_an_answer_may_be_stricter() -> None:
    async with caller(application()) as client:
        assert (await client.post("/things")).headers["cache-control"] == "no-store"


async def test_what_the_caller_has_is_not_sent_again_and_is_as_safe() -> None:
    async with caller(application()) as client:
        first = await client.get("/things")
        again = await client.get("/things", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert SAFE.items() <= dict(again.headers).items()


@pytest.mark.parametrize(
    ("path", "methods"), [("/things", {"GET", "OPTIONS", "POST"}), ("/things/one", {"GET", "OPTIONS", "PUT"})]
)
async def test_options_and_a_refused_method_name_all_that_a_path_takes(path: str, methods: set[str]) -> None:
    async with caller(application()) as client:
        asked, refused = await client.options(path), await client.delete(path)
    for answer, status in ((asked, 204), (refused, 405)):
        assert answer.status_code == status
        assert set(answer.headers["allow"].split(", ")) == methods


async def test_no_answer_waits_for_a_thread() -> None:
    """Litestar runs plain functions that it is given as hooks in threads."""
    ran: list[str] = []

    async def finish(response: Response[Any]) -> Response[Any]:
        ran.append(threading.current_thread().name)
        return await doors.finish(response)

    async with caller(application(finish)) as client:
        assert [(await client.get("/where")).text] == ran


async def test_each_answer_of_each_application_is_timed_once() -> None:
    def counted(method: str, status: int) -> float:
        labels = {"method": method, "status": str(status)}
        return metrics.REGISTRY.get_sample_value("tieline_http_seconds_count", labels) or 0.0

    async with caller(Mounted(application(), {"/other/": Litestar([get("/other/a")(where.fn)])})) as client:
        for method, path, status in (("GET", "/things", 200), ("DELETE", "/things", 405), ("GET", "/other/a", 200)):
            before = counted(method, status)
            assert (await client.request(method, path)).status_code == status
            assert counted(method, status) == before + 1
        tag = (await client.get("/things")).headers["etag"]
        before = counted("GET", 304)
        await client.get("/things", headers={"if-none-match": tag})
        assert counted("GET", 304) == before + 1
