"""NATS for tests: one supervised server, and a cluster of three whose nodes can be killed and brought back."""

import contextlib
import itertools
import os
import random
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tieline.adapters.nats import system
from tieline.adapters.nats.configuration import (
    USER,
    Secrets,
    configuration,
    new_issuer_seed,
    new_password,
    write_private,
)
from tieline.adapters.nats.server import _CLIENT_PORTS, LOOPBACK, NatsServer

HEALTHY_S = 120


def _own_ports() -> Iterator[int]:
    """Below those the system gives to outgoing connections, none of those that a server of our own chooses from, and
    none of those of another worker of this run: from a random one on, since another run may be at work."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports = [port for port in range(15000, 31999) if port not in _CLIENT_PORTS][worker::workers]
    start = random.randrange(len(ports))
    return itertools.cycle(ports[start:] + ports[:start])


_PORTS = _own_ports()


def free_port() -> int:
    """A port nobody listens on, and that nobody else is given: who asked may take a while to listen there, or cease to
    for a while."""
    return next(port for port in _PORTS if system.free(LOOPBACK, port))


@pytest.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """A server of the test's own, empty."""
    server = NatsServer(tmp_path / "nats", mqtt_port=free_port())
    await server.start()
    yield server
    await server.stop()


class NatsNode:
    """One node of a cluster; its store outlives it."""

    def __init__(self, name: str, folder: Path, config: dict[str, Any]) -> None:
        self.name = name
        self.url = f"nats://{LOOPBACK}:{config['port']}"
        self.mqtt_port: int = config["mqtt"]["port"]
        self._folder = folder
        self._health = f"http://{LOOPBACK}:{config['http_port']}/healthz"
        self._process: subprocess.Popen[bytes] | None = None
        write_private(folder / "nats-server.conf", msgspec.json.encode(config).decode())

    def start(self) -> None:
        if self._process is None:
            command = [system.binary(None), "-c", str(self._folder / "nats-server.conf")]
            self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wait_until_healthy(self) -> None:
        """Until it has caught up with the others: only then may another be killed without losing the majority."""
        deadline = time.monotonic() + HEALTHY_S
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(self._health, timeout=60).status_code == 200:
                    return
            time.sleep(0.05)
        raise TimeoutError(f"{self.name} is not healthy after {HEALTHY_S} s")


class NatsCluster:
    """Three nodes with JetStream and MQTT, one account, the user and issuer that `NatsServer` would have."""

    def __init__(self, folder: Path) -> None:
        self.user = USER
        self.password, self.system_password = new_password(), new_password()
        self.issuer_seed = new_issuer_seed()
        ports = [free_port() for _ in range(3)]
        routes = [f"nats://{LOOPBACK}:{port}" for port in ports]
        self.nodes = [self._node(f"n{i}", folder / f"n{i}", port, routes) for i, port in enumerate(ports, 1)]

    def _node(self, name: str, folder: Path, cluster_port: int, routes: list[str]) -> NatsNode:
        folder.mkdir(parents=True)
        config = configuration(
            folder,
            port=free_port(),
            mqtt_host=LOOPBACK,
            mqtt_port=free_port(),
            known=Secrets(self.password, self.system_password, self.issuer_seed),
            name=name,
        )
        config["http_port"] = free_port()
        config["cluster"] = {"name": "tieline", "host": LOOPBACK, "port": cluster_port, "routes": routes}
        return NatsNode(name, folder, config)

    @property
    def urls(self) -> list[str]:
        return [node.url for node in self.nodes]

    def start(self) -> None:
        """Starts whichever nodes are down, and waits until all are well."""
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait_until_healthy()

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()


@pytest.fixture
def fresh_cluster(tmp_path: Path) -> Iterator[NatsCluster]:
    """A cluster of the test's own, empty."""
    cluster = NatsCluster(tmp_path / "cluster")
    cluster.start()
    yield cluster
    cluster.kill()


@pytest.fixture(scope="session")
def nats_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """One cluster for the session, shared: use subjects of your own, and bring back the nodes you kill."""
    cluster = NatsCluster(tmp_path_factory.mktemp("nats-cluster"))
    cluster.start()
    yield cluster
    cluster.kill()
