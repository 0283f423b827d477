"""The MQTT door as devices meet it: a broker whose callout knows every VEN by a secret made from its id."""

import contextlib
from collections.abc import AsyncIterator

import aiomqtt

from tieline.adapters.nats.callout import AuthCallout
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.server import NatsServer
from tieline.base.access import Caller, Grant
from tieline.wires.mqtt.messages import FROM_VEN, TO_VEN, topic


def secret(ven_id: str) -> str:
    return f"secret of {ven_id}"


async def _decide(caller: Caller) -> Grant | None:
    user = caller.user
    if caller.password != secret(user) or caller.mqtt_client_id != user:
        return None
    publish, subscribe = ([topic(kind, user) for kind in kinds] for kinds in (FROM_VEN, TO_VEN))
    return Grant(publish=tuple(publish), subscribe=tuple(subscribe))


@contextlib.asynccontextmanager
async def device_door(server: NatsServer) -> AsyncIterator[aiomqtt.Client]:
    """The platform's own MQTT client, while devices may connect."""
    connection = await connect([server.url], user=server.user, password=server.password)
    callout = AuthCallout(connection, _decide, issuer_seed=server.issuer_seed)
    await callout.start()
    try:
        async with _platform(server) as client:
            yield client
    finally:
        await callout.stop()
        await connection.close()


def _platform(server: NatsServer) -> aiomqtt.Client:
    return aiomqtt.Client(server.mqtt_host, server.mqtt_port, username=server.user, password=server.password)
