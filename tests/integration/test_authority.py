"""The certificate authority over real rows, `tieline ca`, and a whole platform whose devices come by certificate."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import UNSET

from tests.e2e.platform import Platform
from tests.servers.rows import AnyRows, rows_at, with_tables
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.errors import NotFound, Refused
from tieline.base.time import VirtualClock
from tieline.cli import main
from tieline.identity import authority, reads
from tieline.identity.sealing import kept_passphrase, sealed, unsealed
from tieline.identity.store import authority as table
from tieline.ven import Credentials, VtnClient, tls
from tieline.ven.client import Client
from tieline.ven.door import MqttDoor
from tieline.ven.openadr.watch import MqttWatch
from tieline.wires.mqtt.messages import METER, Meter, Sample
from tieline.wires.openadr31.messages import ProgramRequest

NOW = datetime(2026, 7, 15, 17, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
async def rows(tables: str) -> AsyncIterator[AnyRows]:
    async with rows_at(tables, VirtualClock(NOW)) as rows:
        yield rows


def certificate(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


# --- the root ---------------------------------------------------------------------------------------------------------


async def test_processes_that_need_it_at_once_have_the_same_authority(rows: AnyRows) -> None:
    clock = VirtualClock(NOW)
    found = await asyncio.gather(*[authority.opened(rows, clock, "a passphrase", DAY) for _ in range(4)])
    assert len({one.certificate for one in found}) == 1
    assert (await authority.opened(rows, clock, "a passphrase", DAY)).certificate == found[0].certificate


async def test_its_key_is_kept_sealed_and_opens_by_its_passphrase_only(rows: AnyRows) -> None:
    clock = VirtualClock(NOW)
    own = await authority.opened(rows, clock, "a passphrase", DAY)
    kept = await rows.read(lambda reader: reader.execute(table.select()).one())
    assert kept.certificate_pem == own.certificate
    assert b"PRIVATE" not in kept.sealed_key
    with pytest.raises(Refused, match="TIELINE_CA_KEY"):
        await authority.opened(rows, clock, "another", DAY)
    root = await rows.read(reads.root)
    assert root is not None
    assert "sealed" not in repr(root)


def test_what_is_sealed_opens_nowhere_else() -> None:
    kept = sealed(b"secret", "p", b"a certificate")
    assert unsealed(kept, "p", b"a certificate") == b"secret"
    assert b"secret" not in kept
    assert kept != sealed(b"secret", "p", b"a certificate")
    damaged = [kept[:20] + bytes([kept[20] ^ 1]) + kept[21:], kept[:-1]]
    for one, passphrase, bound_to in [
        *((d, "p", b"a certificate") for d in damaged),
        (kept, "p", b"b"),
        (kept, "", b"b"),
    ]:
        with pytest.raises(Refused):
            unsealed(one, passphrase, bound_to)


async def test_a_passphrase_is_made_once_and_kept_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "ca.key"
    found = await asyncio.gather(*[asyncio.to_thread(kept_passphrase, path) for _ in range(8)])
    assert len(set(found)) == 1
    assert len(found[0]) == 43
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["ca.key"]
    path.chmod(0o640)
    with pytest.raises(Refused, match="chmod 600"):
        kept_passphrase(path)


# --- what it issues ---------------------------------------------------------------------------------------------------


async def test_certificates_say_what_they_are_for_and_until_when(tmp_path: Path) -> None:
    clock = VirtualClock(NOW)
    async with SqliteRows(with_tables(tmp_path / "rows.sqlite"), clock) as rows:
        own = await authority.opened(rows, clock, "p", DAY)
    root, client, server = map(
        certificate,
        (
            own.certificate,
            own.for_client("ven-a", "client").certificate,
            own.for_server(["a.example", "::1"]).certificate,
        ),
    )
    for one in (client, server):
        one.verify_directly_issued_by(root)
        assert one.not_valid_before_utc < NOW
        assert not one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        key = one.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert isinstance(key.curve, ec.SECP256R1)
    assert client.not_valid_after_utc == NOW + DAY
    assert [part.value for part in client.subject] == ["ven-a", "client"]
    assert uses(client) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert uses(server) == [ExtendedKeyUsageOID.SERVER_AUTH]
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.example"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["::1"]
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert root.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    for name in ("", "x" * 65):
        with pytest.raises(Refused):
            own.for_client(name)
    for name in ("", "a b", "http://x", "é.example", "a.example\n"):
        with pytest.raises(Refused):
            own.for_server([name])


def uses(one: x509.Certificate) -> list[x509.ObjectIdentifier]:
    return list(one.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


# --- tieline ca -------------------------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TIELINE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TIELINE_MQTT_TLS", "true")
    monkeypatch.setenv("TIELINE_MQTT_AUTH", "certificate")
    return tmp_path / "data"


def given(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["ca", *arguments])


def told(*arguments: str) -> Any:
    done = given(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_an_authority_is_made_shown_and_replaced(data: Path) -> None:
    assert given("show").exit_code == 2
    made = told("init")
    assert (data / "ca.key").exists()
    assert told("show") == made
    assert given("show", "--pem").stdout == made["certificate_pem"]
    again = given("init")
    assert (again.exit_code, "--replace" in again.stderr) == (2, True)
    assert told("init", "--replace")["sha256"] != made["sha256"]
    assert "PRIVATE" not in made["certificate_pem"]


def test_a_certificate_is_written_for_who_is_known(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert given("issue", "ven-a", "--out", str(out)).exit_code == 2
    assert not out.exists()
    assert CliRunner().invoke(main, ["client", "add", "A", "--role", "ven", "--id", "ven-a"]).exit_code == 0
    for _ in range(2):
        done = given("issue", "ven-a", "--out", str(out))
        assert done.exit_code == 0, done.output
        assert "PRIVATE" not in done.output
    assert sorted(file.name for file in out.iterdir()) == ["ca.pem", "ven-a.key", "ven-a.pem"]
    assert stat.S_IMODE((out / "ven-a.key").stat().st_mode) == 0o600
    issued = certificate((out / "ven-a.pem").read_text())
    issued.verify_directly_issued_by(certificate((out / "ca.pem").read_text()))
    assert (out / "ca.pem").read_text() == told("show")["certificate_pem"]


def test_where_nobody_shows_one_none_is_issued(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIELINE_MQTT_AUTH", "token")
    done = given("issue", "ven-a")
    assert (done.exit_code, "TIELINE_MQTT_AUTH" in done.stderr) == (2, True)


def test_another_passphrase_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told("init")
    CliRunner().invoke(main, ["client", "add", "A", "--role", "ven", "--id", "ven-a"])
    monkeypatch.setenv("TIELINE_CA_KEY", "another")
    assert "TIELINE_CA_KEY" in given("issue", "ven-a").stderr


# --- a whole platform -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["certificate", "token"])
def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    running = Platform(tmp_path_factory.mktemp("platform"), mqtt_tls="true", mqtt_auth=request.param)
    yield running.start()
    running.close()


async def test_a_device_comes_over_tls_and_is_heard(platform: Platform) -> None:
    secret = platform.register("cabin")
    async with Client(platform.url) as client:
        index = await client.index()
        assert index.mqtt_tls
        session = MqttDoor(client, index).session("cabin", secret, print)
        session.send(METER, Meter([Sample(at=index.now_at, power_kw=1.5)]))
        running = asyncio.create_task(session.run())
        await asyncio.wait_for(session.drained(), 90)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert await client.ca() == platform.answer("GET", "/v1/ca.pem").text
        if index.mqtt_auth == "certificate":
            with pytest.raises(NotFound):
                await client.certificate("nobody")
        else:
            with pytest.raises(Refused, match="secret"):
                await client.certificate("cabin")
    platform.eventually(lambda: platform.get("/v1/vens/cabin")["online"], "its reading arrives")
    assert "PRIVATE" not in platform.log()


def test_a_simulated_fleet_comes_over_tls(platform: Platform) -> None:
    platform.also("sim", "--homes", "3", "--history-days", "0", "--state", str(platform.folder / "sim.json"))
    platform.eventually(lambda: sum(one["online"] for one in vens(platform, "home-")) == 3, "all homes are heard")


def vens(platform: Platform, named: str) -> list[Any]:
    return [one for one in platform.get("/v1/vens")["items"] if one["ven_id"].startswith(named)]


async def test_a_ven_is_notified_over_tls(platform: Platform) -> None:
    """In `certificate` it is given one where the broker is named, in `token` it must trust the authority already."""
    url = f"{platform.url}/openadr3/3.1.0"
    trusting = tls.context(platform.answer("GET", "/v1/ca.pem").text)
    ven, business = [credentials(platform, role) for role in ("ven", "bl")]
    noticed = asyncio.Event()
    async with VtnClient(url, ven, verify=trusting) as vtn, VtnClient(url, business) as bl:
        watch = MqttWatch(vtn, noticed.set, ven_id=lambda: None, program_ids=list)
        watching = asyncio.create_task(watch.run())
        await asyncio.wait_for(watch.connected.wait(), 90)
        uris = (await vtn.notifiers()).mqtt
        assert uris is not UNSET
        assert uris.uris == (f"mqtts://127.0.0.1:{platform.mqtt_port}",)
        noticed.clear()
        await bl.programs.create(ProgramRequest(program_name="evening"))
        await asyncio.wait_for(noticed.wait(), 90)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def credentials(platform: Platform, role: str) -> Credentials:
    added = platform.told("client", "add", role, "--role", role)
    return Credentials(client_id=added["client_id"], secret=added["client_secret"])
