"""The platform's own MQTT client: what it tells devices, at QoS 1, retained so that one that comes back finds it."""

import asyncio
import contextlib
import logging
import secrets
import ssl
from collections.abc import Callable

from aiomqtt import Client, MqttError

from tieline.base.cancellation import heed_cancellation
from tieline.base.errors import Unready

_log = logging.getLogger(__name__)
_quiet = logging.getLogger(f"{__name__}.paho")  # aiomqtt warns of more than ten calls at once, which is what we want
_quiet.setLevel(logging.ERROR)

_BACK_OFF_S = (0.1, 5.0)
_IN_FLIGHT = 1000
_TRY_S = 3.0  # an answer that was lost with its connection is not waited for much longer than it takes to reconnect


class MqttPublisher:
    """One connection, kept open: `async with MqttPublisher(…) as publisher`, or `start` and `stop`.

    `tls` is asked before each connection: by then the certificate that it shows may be another.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        user: str,
        password: str,
        tls: Callable[[], ssl.SSLContext] | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self._host = host
        self._port = port
        self._user = user
        self._password = password
        self._tls = tls
        self._timeout_s = timeout_s
        self._client: asyncio.Future[Client] | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns once connected. Raises `Unready` when that takes longer than `timeout_s`."""
        self._client = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.create_task(self._keep(), name="mqtt-publisher")
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.shield(self._client)
        except TimeoutError:
            await self.stop()
            raise Unready(f"no MQTT broker takes {self._user!r} at {self._host}:{self._port}") from None

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None

    async def __aenter__(self) -> "MqttPublisher":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def publish(self, topic: str, payload: bytes, *, retain: bool = True) -> None:
        """Returns once the broker has it. Raises `Unready` after `timeout_s`; it may then have been sent all the same,
        and while the connection is lost it is sent again: what it says must bear repeating."""
        try:
            async with asyncio.timeout(self._timeout_s):
                while not await self._published(topic, payload, retain):
                    await asyncio.sleep(_BACK_OFF_S[0])
        except TimeoutError:
            raise Unready(f"the MQTT broker did not take {topic} within {self._timeout_s:g} s") from None

    async def _published(self, topic: str, payload: bytes, retain: bool) -> bool:
        if self._client is None:
            raise Unready("the MQTT publisher has not been started")
        client = await asyncio.shield(self._client)
        try:
            await client.publish(topic, payload, qos=1, retain=retain, timeout=_TRY_S)
        except MqttError:
            return False
        finally:
            heed_cancellation()
        return True

    async def _keep(self) -> None:
        pause = _BACK_OFF_S[0]
        while True:
            try:
                async with self._new_client() as client:
                    pause = _BACK_OFF_S[0]
                    await self._serve(client)
            except MqttError as error:
                _log.warning("MQTT connection to %s:%d: %s; trying again", self._host, self._port, error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _BACK_OFF_S[1])

    async def _serve(self, client: Client) -> None:
        assert self._client is not None
        self._client.set_result(client)
        try:
            async for _ in client.messages:  # none come, but it raises when the connection is lost
                pass
        finally:
            self._client = asyncio.get_running_loop().create_future()

    def _new_client(self) -> Client:
        return Client(
            self._host,
            self._port,
            username=self._user,
            password=self._password,
            tls_context=self._tls() if self._tls else None,
            identifier=f"tieline-{secrets.token_hex(8)}",
            max_inflight_messages=_IN_FLIGHT,
            timeout=self._timeout_s,
            keepalive=20,
            logger=_quiet,
        )
