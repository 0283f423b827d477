"""The MQTT door: how clients are told to show who they are, and what each that connects may do.

token        a device by its secret, an OAuth2 client by its token
certificate  both by a certificate, which the broker itself asks for and verifies
anonymous    as by token; and whoever shows nothing may hear what has no targets
"""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

from tieline.base.access import Caller, Decide, Grant
from tieline.base.time import Clock
from tieline.identity import admission, model
from tieline.identity.admission import Verifier
from tieline.identity.authority import Authority
from tieline.identity.model import Denied
from tieline.ports import Rows
from tieline.wires.openadr31.notifiers import MqttAnonymous, MqttAuthentication, MqttBearerToken, MqttCertificate

Method: TypeAlias = Literal["token", "certificate", "anonymous"]
_MOST = 10_000


def decide(
    method: Method,
    rows: Rows,
    clock: Clock,
    verifier: Verifier,
    denied: Callable[[Caller, Denied], None] = lambda *_: None,
) -> Decide:
    """Of whoever connects; `denied` is told of each that may not. The clock is the wall's."""

    async def by_token(caller: Caller) -> Grant | Denied:
        if caller.password.count(".") == 2:  # a token, which no device's secret looks like
            return await admission.bearer_device(rows, caller, verifier)
        return await admission.device(rows, clock, caller)

    async def decided(caller: Caller) -> Grant | Denied:
        if method == "certificate":
            return await admission.certified(rows, clock, caller)
        if method == "anonymous" and not caller.user and not caller.password:
            return await admission.anyone(rows, caller)
        return await by_token(caller)

    async def told(caller: Caller) -> Grant | None:
        decision = await decided(caller)
        if isinstance(decision, Grant):
            return decision
        denied(caller, decision)
        return None

    return told


class Asker(Protocol):
    """Who asks how to connect."""

    @property
    def client_id(self) -> str: ...


Authentication: TypeAlias = Callable[[Asker], MqttAuthentication]


def authentication(method: Method, certificates: "Certificates | None") -> Authentication:
    """How a client of the OpenADR doors shows the broker who it is."""
    if method == "anonymous":
        return lambda _: MqttAnonymous()
    if certificates is not None and method == "certificate":
        return certificates.of
    return lambda _: MqttBearerToken("{clientID}")


class Certificates:
    """Certificates for those that ask, the same one until half of its life has passed; of those that asked last.

    `trusted` is the authority that they know the broker by, as PEM.
    """

    def __init__(self, authority: Authority, clock: Clock, trusted: str) -> None:
        self._authority = authority
        self._clock = clock
        self._trusted = trusted
        self._given: OrderedDict[str, tuple[datetime, MqttCertificate]] = OrderedDict()

    def of(self, asker: Asker) -> MqttCertificate:
        """Raises `Refused` for a client whose id no certificate can hold."""
        now = self._clock.now()
        again_at, given = self._given.get(asker.client_id, (now, None))
        if given is None or now >= again_at:
            issued = self._authority.for_client(asker.client_id, model.CLIENT)
            given = MqttCertificate(self._trusted, issued.certificate, issued.key)
            self._given[asker.client_id] = now + (issued.until - now) / 2, given
        self._given.move_to_end(asker.client_id)
        if len(self._given) > _MOST:
            self._given.popitem(last=False)
        return given
