"""The HTTP door of devices: they enrol by a claim and renew by their key, and need no operator's token for either."""

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import structlog
from litestar import Request, post
from litestar.params import JSONBody

from tieline import metrics
from tieline.base.errors import Refused, Unready
from tieline.base.time import Clock
from tieline.doors import OPEN
from tieline.identity.authority import Issued
from tieline.identity.enrolment import Enroller
from tieline.identity.rates import Rates
from tieline.wires.enrolment import Enrolment, NewEnrolment, Renewal

_WRONG_PER_S, _WRONG_AT_ONCE = 0.2, 20
log = structlog.get_logger(__name__)
_AnyRequest = Request[Any, Any, Any]


class Door(msgspec.Struct, frozen=True):
    """Where devices find the MQTT door and what they know it by; `host` empty: as they call this one."""

    host: str
    port: int
    trusted: str


def routes(enroller: Enroller, door: Door, clock: Clock, lasts: timedelta) -> list[Any]:
    """Whoever shows too much that opens nothing waits."""
    patience = _Patience(clock)

    def told(ven_id: str, secret: str, issued: Issued | None, request: _AnyRequest) -> Enrolment:
        where = Enrolment(ven_id, door.host or request.url.hostname or "", door.port, door.trusted)
        if issued is None:
            return msgspec.structs.replace(where, secret=secret)
        return msgspec.structs.replace(
            where, certificate=issued.certificate, expires_at=issued.until, renew_at=issued.until - lasts / 3
        )

    @post("/v1/enrolments", opt=OPEN)
    async def enrol(data: JSONBody[NewEnrolment], request: _AnyRequest) -> Enrolment:
        """A device shows its claim and a request for its own key, and is given what it connects with."""
        with patience.heeding(request, "enrolment"):
            done, issued = await enroller.enrol(data)
        return told(done.ven_id, done.secret, issued, request)

    @post("/v1/enrolments/renew", opt=OPEN)
    async def renew(data: JSONBody[Renewal], request: _AnyRequest) -> Enrolment:
        """A device that has a certificate is given the next one, for a new key."""
        with patience.heeding(request, "renewal"):
            ven_id, issued = await enroller.renew(data)
        return told(ven_id, "", issued, request)

    return [enrol, renew]


class _Patience:
    """With those that show what opens nothing, by the address that they come from."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rates = Rates(_WRONG_PER_S, _WRONG_AT_ONCE)

    @contextlib.contextmanager
    def heeding(self, request: _AnyRequest, asked: str) -> Iterator[None]:
        """Raises `Unready` for an address that had its tries."""
        host, now = request.client.host if request.client else "", self._clock.now()
        if not self._rates.allows(host, now):
            metrics.ENROLMENTS.labels(asked, "held off").inc()
            raise Unready("too much that opens nothing came from this address: try again in a few seconds")
        try:
            yield
        except Refused as error:
            self._rates.take(host, now)
            metrics.ENROLMENTS.labels(asked, "refused").inc()
            log.warning("a device was refused", asked=asked, address=host, reason=str(error))
            raise
        metrics.ENROLMENTS.labels(asked, "given").inc()
