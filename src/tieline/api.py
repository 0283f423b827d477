"""The HTTP application: the parts' routes behind the gate, the page, what this platform is, its health and metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec
from litestar import Litestar, Request, Response, Router, get, put
from litestar.config.compression import CompressionConfig
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.params import JSONBody
from prometheus_client import generate_latest

from tieline import __version__, doors, metrics
from tieline.base.errors import Forbidden, Refused, TielineError

LARGEST_BODY = 4_000_000
CHECK_S = 3.0


class Index(msgspec.Struct, frozen=True):
    """What this platform is and where its doors are; `speed` is clock seconds per second, `site_zone` for people.

    With `mqtt_tls` devices trust `/v1/ca.pem`; `mqtt_auth` is how they show who they are: by their secret, but for
    `certificate`."""

    name: str
    version: str
    now_at: datetime
    speed: float
    mqtt_host: str
    mqtt_port: int
    mqtt_tls: bool
    mqtt_auth: str
    site_zone: str


class NewSpeed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    speed: float


class Checked(Protocol):
    """What can say whether it is ready, by raising `Unready` when it is not."""

    async def ready(self) -> None: ...


def application(
    routes: Sequence[object],
    page: Sequence[object],
    *,
    gate: doors.Gate,
    index: Callable[[str], Index],
    rate: Callable[[float], Awaitable[None]] | None,
    checked: Mapping[str, Checked],
    provided: Mapping[str, object],
) -> Litestar:
    """`index` is told the name by which we were called; `rate` sets the clock's speed, None where time is real;
    `provided` is what handlers may ask for by name."""
    behind_the_gate: list[Any] = [*_platform_routes(index, rate), *_described_routes(), *routes]
    return Litestar(
        route_handlers=[Router("/", route_handlers=behind_the_gate, guards=[gate]), *_health_routes(checked), *page],  # type: ignore[list-item]
        dependencies={name: _given(thing) for name, thing in provided.items()},
        exception_handlers={**doors.PROBLEMS},
        middleware=[doors.Conditional],
        before_request=doors.tell_methods,
        after_request=doors.finish,
        compression_config=CompressionConfig(
            backend="gzip",
            minimum_size=1024,
            gzip_compress_level=5,
            exclude=["/v1/live"],
            exclude_opt_key="uncompressed",
        ),
        openapi_config=OpenAPIConfig(
            "Tieline",
            __version__,
            use_handler_docstrings=True,
            render_plugins=[JsonRenderPlugin()],
            openapi_router=Router("/schema", route_handlers=[], guards=[gate]),
        ),
        request_max_body_size=LARGEST_BODY,
    )


def _given(thing: object) -> Provide:
    def give() -> Any:
        return thing

    return Provide(give, sync_to_thread=False)


def _platform_routes(index: Callable[[str], Index], rate: Callable[[float], Awaitable[None]] | None) -> list[object]:
    @get("/v1")
    async def show_index(request: Request[Any, Any, Any]) -> Index:
        """What this platform is, what time it keeps and where devices connect."""
        return index(request.url.hostname or "")

    @put("/v1/clock")
    async def rate_clock(data: JSONBody[NewSpeed], request: Request[Any, Any, Any]) -> Index:
        """Let a local platform's time run faster, to watch a fleet; others keep real time."""
        if rate is None:
            raise Forbidden("only a platform that listens on loopback may keep simulated time")
        if not 0.01 <= data.speed <= 3600:
            raise Refused(f"speed {data.speed:g}: from 0.01 to 3600 clock seconds a second")
        await rate(data.speed)
        return index(request.url.hostname or "")

    return [show_index, rate_clock]


def _health_routes(checked: Mapping[str, Checked]) -> list[Any]:
    @get("/health/live", include_in_schema=False)
    async def live() -> dict[str, bool]:
        return {"live": True}

    @get("/health/ready", include_in_schema=False)
    async def ready() -> Response[dict[str, Any]]:
        reasons = await unready(checked)
        body = {"ready": not reasons, "ports": {name: reasons.get(name, "ready") for name in checked}}
        return Response(body, status_code=503 if reasons else 200)

    return [live, ready]


def _described_routes() -> list[Any]:
    @get("/openapi.json", include_in_schema=False, sync_to_thread=False)
    def openapi(request: Request[Any, Any, Any]) -> dict[str, Any]:
        return request.app.openapi_schema.to_schema()

    @get("/metrics", include_in_schema=False, media_type="text/plain; version=0.0.4")
    async def show_metrics() -> bytes:
        return generate_latest(metrics.REGISTRY)

    return [openapi, show_metrics]


async def unready(checked: Mapping[str, Checked]) -> dict[str, str]:
    """Which of them cannot be used now, and why."""

    async def reason(name: str) -> tuple[str, str | None]:
        try:
            await asyncio.wait_for(checked[name].ready(), CHECK_S)
        except TielineError as error:
            return name, str(error)
        except TimeoutError:
            return name, f"no answer within {CHECK_S:g} s"
        return name, None

    found = await asyncio.gather(*[reason(name) for name in checked])
    return {name: why for name, why in found if why is not None}
