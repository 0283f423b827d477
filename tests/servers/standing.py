"""What an adapter of NATS stands on in tests, and the means to break it: the only server, or one node of three."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.nats import NatsCluster, free_port
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.line import NatsConnection
from tieline.adapters.nats.mqtt import MqttPublisher
from tieline.adapters.nats.server import LOOPBACK, NatsServer

PATIENCE_S = 60.0


@dataclass
class Standing:
    """A connection, and what an adapter on it is opened with. `mend` brings back what was killed."""

    connection: NatsConnection
    publisher: MqttPublisher
    replicas: int
    timeout_s: float
    _kill: Callable[[str], None]
    mend: Callable[[], None]

    def kill(self) -> None:
        """kill -9 of the server that it is connected to."""
        self._kill(str(self.connection.connected_url and self.connection.connected_url.netloc).rpartition("@")[2])


@asynccontextmanager
async def on_server(folder: Path) -> AsyncIterator[Standing]:
    server = NatsServer(folder, mqtt_port=free_port())
    await server.start()
    connection = await connect([server.url], user=server.user, password=server.password)
    publisher = MqttPublisher(server.mqtt_host, server.mqtt_port, user=server.user, password=server.password)
    try:
        yield Standing(connection, publisher, 1, PATIENCE_S, lambda _: server.kill(), lambda: None)
    finally:
        await connection.close()
        await server.stop()


@asynccontextmanager
async def on_cluster(cluster: NatsCluster) -> AsyncIterator[Standing]:
    connection = await connect(cluster.urls, user=cluster.user, password=cluster.password)
    mqtt_port = cluster.nodes[-1].mqtt_port
    publisher = MqttPublisher(LOOPBACK, mqtt_port, user=cluster.user, password=cluster.password, timeout_s=PATIENCE_S)

    def kill(netloc: str) -> None:
        next(node for node in cluster.nodes if node.url.endswith(netloc)).kill()

    try:
        yield Standing(connection, publisher, 3, PATIENCE_S, kill, cluster.start)
    finally:
        await connection.close()
        cluster.start()


@pytest.fixture(params=["server", "cluster"])
async def standing(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Standing]:
    on: AbstractAsyncContextManager[Standing] = (
        on_server(tmp_path / "nats")
        if request.param == "server"
        else on_cluster(request.getfixturevalue("nats_cluster"))
    )
    async with on as standing:
        yield standing


@pytest.fixture
def area() -> str:
    """A token of the test's own: the cluster is shared."""
    return secrets.token_hex(4)
