"""The auth callout: nats-server asks for each device that connects, and is answered with exactly what it may do.

device ── CONNECT user, password, client id ──► nats-server ── request JWT on $SYS.REQ.USER.AUTH ──► decide
          over TLS: its certificate                            verified by the server, or not there
       ◄── CONNACK, or refused ───────────────             ◄── response JWT holding a user JWT ────
"""

import asyncio
import base64
import logging
from typing import Any

import msgspec
import nkeys  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from tieline.adapters.nats.configuration import ACCOUNT, issuer
from tieline.adapters.nats.connection import asking
from tieline.base.access import Caller, Decide, Grant, Proof

_log = logging.getLogger(__name__)

_SUBJECT = "$SYS.REQ.USER.AUTH"
_GROUP = "tieline"  # several processes may answer; each request goes to one of them
_DECIDE_S = 10.0
_AT_ONCE = 256
_HEAD = {"typ": "JWT", "alg": "ed25519-nkey"}


class _Server(msgspec.Struct):
    id: str


class _ClientInfo(msgspec.Struct):
    type: str = ""
    mqtt_id: str = ""


class _ConnectOptions(msgspec.Struct):
    user: str = ""
    password: str = msgspec.field(default="", name="pass")


class _Tls(msgspec.Struct):
    """Chains that the server has verified, the client's own certificate first, as PEM. What it was shown and has not
    verified stands elsewhere: that proves nothing."""

    verified_chains: list[list[str]] = []


class _Request(msgspec.Struct):
    user_nkey: str
    server_id: _Server
    client_info: _ClientInfo
    connect_opts: _ConnectOptions
    client_tls: _Tls = msgspec.field(default_factory=_Tls)

    @property
    def caller(self) -> Caller:
        chains = self.client_tls.verified_chains
        proof = _proof(chains[0][0]) if chains else None
        return Caller(self.connect_opts.user, self.connect_opts.password, self.client_info.mqtt_id, proof)


class _RequestClaims(msgspec.Struct):
    iat: int
    nats: _Request


class AuthCallout:
    """Answers for every MQTT connection but the platform's own. What is not granted is denied, and so is everything
    while `decide` fails or takes longer than 10 s. Start it when the Log's groups are prepared: from then on devices
    may connect."""

    def __init__(self, connection: Client, decide: Decide, *, issuer_seed: str) -> None:
        self._connection = connection
        self._decide = decide
        self._key = nkeys.from_seed(issuer_seed.encode())
        self._issuer = issuer(issuer_seed)
        self._limit = asyncio.Semaphore(_AT_ONCE)
        self._answering: set[asyncio.Task[None]] = set()
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        with asking("listen for devices that connect"):
            self._subscription = await self._connection.subscribe(_SUBJECT, queue=_GROUP, cb=self._asked)
            await self._connection.flush()

    async def stop(self) -> None:
        if self._subscription is not None and not self._connection.is_closed:
            with asking("stop listening for devices"):
                await self._subscription.unsubscribe()
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    async def _asked(self, message: Msg) -> None:
        # Not awaited: one slow decision must not hold up the others.
        task = asyncio.create_task(self._answer(message))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, message: Msg) -> None:
        try:
            # The claims are signed by the server, which we do not check: an answer is only of use to the server and
            # the one-time key that it names.
            claims = msgspec.json.decode(_unpadded(message.data.split(b".")[1]), type=_RequestClaims)
            grant = await self._decided(claims.nats)
            await message.respond(self._response(claims, grant))
        except Exception:
            _log.exception("an authentication request could not be answered; the server denies it after its timeout")

    async def _decided(self, request: _Request) -> Grant | None:
        if request.client_info.type != "mqtt":
            return None
        try:
            async with self._limit, asyncio.timeout(_DECIDE_S):
                return await self._decide(request.caller)
        except Exception:
            _log.exception("deciding on MQTT client %r failed; it is denied", request.client_info.mqtt_id[:80])
            return None

    def _response(self, claims: _RequestClaims, grant: Grant | None) -> bytes:
        request = claims.nats
        # In the second in which it expires the server would keep a client waiting for an answer that never comes.
        over = grant is not None and grant.until is not None and grant.until.timestamp() < claims.iat + 1
        granted = None if grant is None or over else {"jwt": self._user(claims, grant).decode()}
        says = granted or {"error": "not authorized"}
        return self._signed(
            {
                "aud": request.server_id.id,
                "sub": request.user_nkey,
                "iat": claims.iat,
                "nats": {**says, "type": "authorization_response", "version": 2},
            }
        )

    def _user(self, claims: _RequestClaims, grant: Grant) -> bytes:
        expiry = {"exp": int(grant.until.timestamp())} if grant.until else {}
        return self._signed(
            {
                **expiry,
                "aud": ACCOUNT,
                "sub": claims.nats.user_nkey,
                "name": grant.label or claims.nats.connect_opts.user,
                "iat": claims.iat,
                "nats": {
                    "pub": _only(grant.publish),
                    "sub": _only(grant.subscribe),
                    "subs": -1,
                    "data": -1,
                    "payload": -1,
                    "allowed_connection_types": ["MQTT"],
                    "type": "user",
                    "version": 2,
                },
            }
        )

    def _signed(self, claims: dict[str, Any]) -> bytes:
        claims["iss"] = self._issuer
        told = b".".join(_url(msgspec.json.encode(part)) for part in (_HEAD, claims))
        signature: bytes = self._key.sign(told)
        return told + b"." + _url(signature)


def _proof(pem: str) -> Proof | None:
    certificate = x509.load_pem_x509_certificate(pem.encode())
    name = _said(certificate, NameOID.COMMON_NAME)
    purpose = _said(certificate, NameOID.ORGANIZATIONAL_UNIT_NAME)
    return Proof(name, certificate.not_valid_after_utc, purpose) if name else None


def _said(certificate: x509.Certificate, what: ObjectIdentifier) -> str:
    """Of the subject; empty unless it is said exactly once."""
    said = [str(one.value) for one in certificate.subject.get_attributes_for_oid(what)]
    return said[0] if len(said) == 1 else ""


def _only(topics: tuple[str, ...]) -> dict[str, list[str]]:
    # An empty "allow" would allow everything. What the server's MQTT layer needs for itself it permits by itself.
    return {"allow": [subject for topic in topics for subject in _subjects(topic)]} if topics else {"deny": [">"]}


def _subjects(topic: str) -> list[str]:
    # `a/#` takes in `a` itself (MQTT 4.7.1.2): the server subscribes to both and asks leave for each.
    place = topic.removesuffix("/#").replace("/", ".")
    return [place, f"{place}.>"] if topic.endswith("/#") else [place]


def _url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _unpadded(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
