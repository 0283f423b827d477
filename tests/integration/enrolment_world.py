"""Enrolment as operators and devices meet it: the HTTP doors, a real broker that asks for certificates, the kicker."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from tests.contract.mqtt_world import Authorities, Broker, opened
from tieline import api, doors
from tieline.adapters.nats.log import NatsLog
from tieline.adapters.nats.sessions import Sessions
from tieline.adapters.sql.outbox import Outbox
from tieline.identity import part as identity
from tieline.identity.devices import Door
from tieline.ven.certificates import Certificates
from tieline.ven.client import Client

TOKEN = "operator"
LASTS = timedelta(days=45)


class Office:
    """The platform's doors over a broker, as the operator and as devices come to them."""

    def __init__(self, broker: Broker, folder: Path, sessions: Sessions | None, log: NatsLog) -> None:
        self.broker, self.world, self._folder = broker, broker.world, folder
        door = Door(broker.server.mqtt_host, broker.server.mqtt_port, broker.door.trusted)
        rows, clock = broker.world.rows, broker.world.clock
        self.part = identity.part(log, rows, clock, door, broker.door.certifier, sessions, LASTS)
        self.app: Any = api.application(
            self.part.routes,
            [],
            gate=doors.Gate(TOKEN, frozenset()),
            index=lambda _: None,  # type: ignore[arg-type, return-value]
            rate=None,
            checked={},
            provided={"rows": rows, "clock": clock},
        )

    def caller(self, address: str = "192.0.2.1", token: str | None = None) -> Client:
        transport = httpx.ASGITransport(self.app, client=(address, 1))
        return Client("http://tieline.example", token=token, transport=transport)

    async def operator(self, method: str, path: str, body: object = None, **params: Any) -> Any:
        async with self.caller(token=TOKEN) as client:
            return await client.ask(method, path, Any, body, params)

    async def claim(self, ven_id: str = "home-1") -> str:
        added = await self.operator("POST", "/v1/claims", {"ven_ids": [ven_id], "uses": 1})
        shown: str = added["items"][0]["claim"]
        return shown

    def device(self, name: str = "device") -> Certificates:
        return Certificates(self._folder / name, self.world.clock)

    async def enrolled(self, ven_id: str = "home-1", name: str = "device") -> Certificates:
        device = self.device(name)
        async with self.caller() as client:
            await device.enrol(client, ven_id, await self.claim(ven_id))
        return device

    async def takes(self, device: Certificates, mqtt_id: str = "home-1") -> bool:
        return await self.broker.takes(await device.context(), mqtt_id=mqtt_id)


@contextlib.asynccontextmanager
async def running(folder: Path, authorities: Authorities, **chosen: Any) -> AsyncIterator[Office]:
    """With its outbox and its kicker."""
    async with opened(folder, authorities, **chosen) as broker, broker.sessions() as sessions, broker.log() as log:
        office = Office(broker, folder, sessions, log)
        runs = Outbox(broker.world.rows, log).run, office.part.tasks[0].run
        tasks = [asyncio.ensure_future(run()) for run in runs]
        try:
            yield office
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def thrown_out() -> AsyncIterator[None]:
    """What is within is done by who is connected, and is."""
    with pytest.raises(aiomqtt.MqttError, match="Disconnected"):
        async with asyncio.timeout(90):
            yield


# --- keys and requests ------------------------------------------------------------------------------------------------


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def request(key: Any, name: str | None) -> str:
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    asked = x509.CertificateSigningRequestBuilder().subject_name(named).sign(key, algorithm)
    return asked.public_bytes(serialization.Encoding.PEM).decode()


def loaded(pem: str) -> Any:
    return serialization.load_pem_private_key(pem.encode(), None)


def kept(device: Certificates) -> Any:
    return loaded(device._known.key)
