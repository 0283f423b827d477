"""Where a VTN calls back: a small HTTP receiver that answers the challenge and takes notifications as hints.

    GET  ?echo=word    200 word                              (Definition, "Webhooks")
    POST notification  204, and who waits is told; 401 without the token, or with a signature that is not ours

A notification is not believed, only followed up: what holds is asked of the VTN. Put TLS before it, or give it a
certificate: a VTN calls nothing but https, except in development.
"""

import base64
import contextlib
import hashlib
import hmac
import logging
import ssl
from collections.abc import Callable
from datetime import timedelta

import msgspec

from tieline.base.time import EPOCH, Clock, RatedClock
from tieline.ven.serving import Request, Response, Server

log = logging.getLogger(__name__)

LARGEST_BODY = 4 << 20
MOST_CALLS = 32
HEADERS = (("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff"))
TOLERANCE = timedelta(minutes=5)
"""Between a signature's stamp and our clock (standardwebhooks.com)."""


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """`url` is how the VTN reaches us; we listen at `host` and `port`, with TLS where a context is given."""

    url: str
    host: str = "127.0.0.1"
    port: int = 8443
    tls: ssl.SSLContext | None = None


class _Notice(msgspec.Struct):
    """As much of a Notification as a hint needs."""

    object_type: str = msgspec.field(name="objectType")
    operation: str


class Callbacks:
    """`bearer` is the token that we gave the VTN; `on_notice` runs in the event loop and must not block."""

    def __init__(
        self, webhook: Webhook, bearer: str, on_notice: Callable[[], None], clock: Clock | None = None
    ) -> None:
        self._webhook = webhook
        self._bearer = bearer
        self._on_notice = on_notice
        self._clock = clock or RatedClock()
        self._server = Server(
            self._answer, "the receiver of callbacks", largest_body=LARGEST_BODY, most_calls=MOST_CALLS, tls=webhook.tls
        )

    def listening(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Raises `Unready` when the address is taken."""
        return self._server.listening(self._webhook.host, self._webhook.port)

    async def _answer(self, call: Request) -> Response:
        status, body = self._judged(call)
        return Response(status, body, HEADERS)

    def _judged(self, call: Request) -> tuple[int, str]:
        if call.method == "GET":
            return (200, echo) if (echo := call.query.get("echo")) else (404, "only a challenge is answered here\n")
        if call.method != "POST":
            return 405, ""
        if not (self._knows_token(call) and self._is_signed(call)):
            return 401, "neither the subscription's bearer token nor a signature by it\n"
        try:
            notice = msgspec.json.decode(call.body, type=_Notice)
        except (msgspec.DecodeError, RecursionError):
            return 400, "not a notification of OpenADR 3\n"
        log.info("told of %s %s", notice.operation[:20], notice.object_type[:20])
        self._on_notice()
        return 204, ""

    def _knows_token(self, call: Request) -> bool:
        given = call.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self._bearer}".encode())

    def _is_signed(self, call: Request) -> bool:
        """Where a signature came, it must be by the token and of these minutes; a VTN need not sign."""
        signatures = call.headers.get("webhook-signature")
        if signatures is None:
            return True
        stamp = call.headers.get("webhook-timestamp", "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 12):
            return False
        if abs(EPOCH + timedelta(seconds=int(stamp)) - self._clock.now()) > TOLERANCE:
            return False
        signed = b".".join((call.headers.get("webhook-id", "").encode(), stamp.encode(), call.body))
        digest = hmac.digest(self._bearer.encode(), signed, hashlib.sha256)
        ours = b"v1," + base64.b64encode(digest)
        return any(hmac.compare_digest(one.encode(), ours) for one in signatures.split())
