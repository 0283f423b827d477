"""A plug, a relay or a charger that answers HTTP on the home's network, such as Shelly's or Tasmota's.

read ─▶ GET read ─▶ JSON ─▶ the number at a path          limit ─▶ the request `hold`, or `free`
"""

from typing import Annotated, Literal

import httpx
import msgspec
from msgspec import Meta

from tieline.base.errors import Unready
from tieline.ven.agent.drivers.driver import DriverSettings, Place, Reading, number_at, worded

TIMEOUT_S = 4.0
MOST_BYTES = 65_536


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to send; `${limit_kw}`, `${limit_w}` and `${limit_percent}` in `url` and `body` become the limit."""

    url: str
    method: Literal["GET", "POST", "PUT", "PATCH"] = "GET"
    body: str = ""
    content_type: str = "application/json"


class Http(DriverSettings, frozen=True, tag="http"):
    """`power` and `temperature` are dotted paths into what `read` answers, such as `meters.0.power`.

    Devices mostly tell watts: then `scale` is 0.001. `password_file` stands beside the configuration.
    """

    read: str = ""
    power: str | None = None
    scale: Annotated[float, Meta(gt=0)] = 1.0
    temperature: str | None = None
    hold: Request | None = None
    free: Request | None = None
    user: str = ""
    password_file: str = ""

    @property
    def can_hold(self) -> bool:
        return self.hold is not None and self.free is not None

    @property
    def is_stepless(self) -> bool:
        return self.hold is not None and "${limit_" in self.hold.url + self.hold.body

    def open(self, place: Place) -> "HttpDevice":
        return HttpDevice(self, place.wiring.secret(self.password_file), place.rated_kw)


class HttpDevice:
    def __init__(self, settings: Http, password: str, rated_kw: float) -> None:
        self._settings = settings
        self._rated_kw = rated_kw
        auth = (settings.user, password) if settings.user else None
        self._http = httpx.AsyncClient(timeout=TIMEOUT_S, auth=auth, trust_env=False)

    async def read(self) -> Reading:
        settings = self._settings
        if not settings.read:
            return Reading()
        data = await self._ask(Request(settings.read))
        power, temperature = (
            None if path is None else number_at(data, path, settings.read)
            for path in (settings.power, settings.temperature)
        )
        return Reading(None if power is None else power * settings.scale, temperature)

    async def limit(self, limit_kw: float | None) -> None:
        chosen = self._settings.free if limit_kw is None else self._settings.hold
        if chosen is None:
            return
        kw = self._rated_kw if limit_kw is None else limit_kw
        url, body = (worded(text, kw, self._rated_kw) for text in (chosen.url, chosen.body))
        await self._ask(msgspec.structs.replace(chosen, url=url, body=body))

    async def close(self) -> None:
        await self._http.aclose()

    async def _ask(self, request: Request) -> bytes:
        """At most so many bytes of the answer. Raises `Unready` when there is none, or an error."""
        headers = {"Content-Type": request.content_type} if request.body else {}
        try:
            sent = self._http.stream(request.method, request.url, content=request.body or None, headers=headers)
            async with sent as reply:
                data = b""
                async for part in reply.aiter_bytes():
                    data += part
                    if len(data) > MOST_BYTES:
                        raise Unready(f"{request.url} answers with more than {MOST_BYTES} bytes")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unready(f"{request.url}: {str(error) or type(error).__name__}") from None
        if not reply.is_success:
            raise Unready(f"{request.url} answers {reply.status_code} {reply.reason_phrase}")
        return data
