"""Enrolling and renewing, through the doors."""

import asyncio
import base64
import contextlib
import errno
import stat
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from tests.contract.mqtt_world import CERTIFIED, Authorities, hears
from tests.integration.enrolment_world import LASTS, Office, kept, loaded, p256, request, running
from tieline.base.errors import Conflict, Refused, Unauthenticated, Unready
from tieline.identity import model
from tieline.identity.enrolment import requested
from tieline.ven import certificates
from tieline.ven.client import Client
from tieline.ven.door import EnrolledDoor
from tieline.ven.durable import write_durably
from tieline.wires.enrolment import Enrolment, NewEnrolment, Renewal, renewal_text
from tieline.wires.mqtt.messages import FROM_VEN, TO_VEN


@pytest.fixture
async def office(tmp_path: Path, authorities: Authorities) -> AsyncIterator[Office]:
    async with running(tmp_path, authorities, **CERTIFIED) as office:
        yield office


# --- enrolling --------------------------------------------------------------------------------------------------------


async def test_a_device_enrols_by_a_claim_and_connects_by_its_own_key(office: Office, tmp_path: Path) -> None:
    device = await office.enrolled()
    told = device.enrolment
    now = office.world.clock.now()
    assert told.secret == ""
    for stamp, life in ((told.expires_at, LASTS), (told.renew_at, LASTS * 2 / 3)):
        assert stamp is not None
        assert abs(stamp - now - life) < timedelta(minutes=1)
    session = EnrolledDoor(device).session(lambda _: None)
    running = asyncio.create_task(session.run())
    async with asyncio.timeout(90):
        await session.connected.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    async with office.broker.client(await device.context(), mqtt_id="home-1") as client:
        for kind in TO_VEN:
            assert await hears(client, f"{kind}/home-1")
            assert not await hears(client, f"{kind}/home-2")
        for kind in FROM_VEN:
            assert not await hears(client, f"{kind}/home-1")
    assert not await office.takes(device, "home-2")
    assert (await office.operator("GET", "/v1/credentials"))["items"][0]["enrolled_at"]


async def test_its_key_stays_in_files_of_its_owner(office: Office, tmp_path: Path) -> None:
    device = await office.enrolled()
    folder = tmp_path / "device"
    assert [file.name for file in folder.iterdir()] == ["device.json"]
    assert stat.S_IMODE((folder / "device.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "PRIVATE" not in repr(device.enrolment)
    assert await office.takes(office.device())  # as after a start
    (folder / "device.json").chmod(0o640)
    with pytest.raises(Refused, match="chmod 600"):
        office.device()
    (folder / "device.json").chmod(0o600)
    (folder / "device.json").write_text("{")
    with pytest.raises(Refused, match="enrol again"):
        office.device()


def losing(office: Office) -> httpx.MockTransport:
    """Whoever asks by it gets no answer, though it was given."""

    async def lost(request: httpx.Request) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(office.app)) as http:
            answer = await http.send(request)
        assert answer.status_code == 201
        raise httpx.ReadTimeout("")

    return httpx.MockTransport(lost)


async def test_an_answer_that_was_lost_is_asked_for_again(office: Office) -> None:
    shown, device = await office.claim(), office.device()
    async with Client("http://tieline.example", transport=losing(office)) as client:
        with pytest.raises(Unready):
            await device.enrol(client, "home-1", shown)
    async with office.caller() as client:
        await office.device().enrol(client, "home-1", shown)
        with pytest.raises(Conflict, match="another device"):
            await office.device("thief").enrol(client, "home-1", shown)
    assert await office.takes(office.device())


def der(pem: str) -> bytes:
    return base64.b64decode("".join(pem.splitlines()[1:-1]))


def mangled(pem: str, place: int, byte: int) -> str:
    """With one byte of its DER changed."""
    label, changed = pem.splitlines()[0], bytearray(der(pem))
    changed[place] = byte
    return f"{label}\n{base64.encodebytes(changed).decode()}{label.replace('BEGIN', 'END')}\n"


@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # the library's, about what is refused
async def test_whatever_is_sent_for_a_request_or_a_certificate_is_refused_and_counted(office: Office) -> None:
    """Each byte changed, as it comes from who knows nothing: no answer of ours is an error of ours."""
    csr, taken = request(p256(), "home-1"), set[tuple[str, int]]()
    for place in range(len(der(csr))):
        for byte in (0, 1, 2, 5, 0x30, 0x7F, 0xFF):
            with contextlib.suppress(Refused):
                requested(mangled(csr, place, byte), "home-1")
    device = await office.enrolled()
    shown = device.enrolment.certificate
    for place in range(len(der(shown))):
        for byte in (0, 1, 2, 5, 0x30, 0x7F, 0xFF):
            with contextlib.suppress(Unauthenticated):
                opened = office.broker.ca.opened(mangled(shown, place, byte))
                taken.add((opened.ven_id, opened.generation))
    assert taken == {("home-1", 2)}  # where the byte was the same already, or is not signed and says nothing
    async with office.caller("192.0.2.40") as guessing:
        of_version_9 = NewEnrolment("x.y", "home-1", mangled(csr, 5, 9))
        for _ in range(20):
            with pytest.raises(Refused):
                await guessing.ask("POST", "/v1/enrolments", Enrolment, of_version_9)
        with pytest.raises(Unready, match="try again"):
            await guessing.ask("POST", "/v1/enrolments", Enrolment, of_version_9)


@pytest.mark.parametrize("how", ["nothing", "text", "rsa", "p521", "ed25519", "forged", "another's"])
async def test_only_a_good_request_for_a_good_key_is_certified(office: Office, how: str) -> None:
    keys: dict[str, Any] = {
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
    }
    key = keys.get(how, p256)()
    asked = {"nothing": "", "text": "-----BEGIN CERTIFICATE REQUEST-----\nx\n-----END CERTIFICATE REQUEST-----\n"}
    csr = asked.get(how) if how in asked else request(key, "home-2" if how == "another's" else "home-1")
    if how == "forged":
        signed = der(csr or "")
        csr = mangled(csr or "", len(signed) - 1, signed[-1] ^ 1)
    shown = await office.claim()
    async with office.caller() as client:
        with pytest.raises(Refused, match="csr"):
            await client.ask("POST", "/v1/enrolments", Enrolment, NewEnrolment(shown, "home-1", csr or ""))
        good = NewEnrolment(shown, "home-1", request(ec.generate_private_key(ec.SECP384R1()), None))
        assert (await client.ask("POST", "/v1/enrolments", Enrolment, good)).certificate  # the claim was not spent


async def test_what_a_request_asks_for_beyond_a_key_is_not_granted(office: Office) -> None:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "home-1"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, model.CLIENT),
        ]
    )
    greedy = x509.CertificateSigningRequestBuilder().subject_name(name)
    greedy = greedy.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    csr = greedy.sign(p256(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    async with office.caller() as client:
        told = await client.ask("POST", "/v1/enrolments", Enrolment, NewEnrolment(await office.claim(), "home-1", csr))
    issued = x509.load_pem_x509_certificate(told.certificate.encode())
    assert not issued.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert [part.value for part in issued.subject] == ["home-1", model.device_purpose(2)]


async def test_who_shows_what_opens_nothing_too_often_waits_and_others_do_not(office: Office) -> None:
    wrong, shown = NewEnrolment("x.y", "home-1", request(p256(), None)), await office.claim()
    right = NewEnrolment(shown, "home-1", request(p256(), None))
    async with office.caller("192.0.2.9") as guessing, office.caller("192.0.2.1") as other:
        for _ in range(20):
            with pytest.raises(Unauthenticated):
                await guessing.ask("POST", "/v1/enrolments", Enrolment, wrong)
        with pytest.raises(Unready, match="try again"):
            await guessing.ask("POST", "/v1/enrolments", Enrolment, right)
        assert (await other.ask("POST", "/v1/enrolments", Enrolment, right)).certificate
        await office.world.clock.advance(60)
        with pytest.raises(Unauthenticated):
            await guessing.ask("POST", "/v1/enrolments", Enrolment, wrong)


async def test_only_devices_need_no_operator_s_token(office: Office) -> None:
    async with office.caller() as stranger:
        for method, path in (("POST", "/v1/claims"), ("GET", "/v1/claims"), ("GET", "/v1/credentials")):
            with pytest.raises(Unauthenticated, match="TIELINE_API_TOKEN"):
                await stranger.ask(method, path, Any, {"ven_ids": ["home-1"]} if method == "POST" else None)
        with pytest.raises(Unauthenticated):
            await stranger.ask("POST", "/v1/vens/home-1/revoke", Any)
    with pytest.raises(Refused, match="ghost"):
        await office.operator("POST", "/v1/claims", {"ven_ids": ["home-1", "ghost"]})
    assert (await office.operator("GET", "/v1/claims"))["items"] == []


async def test_where_devices_show_a_secret_a_claim_gives_that(tmp_path: Path, authorities: Authorities) -> None:
    async with running(tmp_path, authorities, mqtt_tls=True) as office:
        device = await office.enrolled()
        told = device.enrolment
        assert (told.certificate, told.renew_at, bool(told.ca)) == ("", None, True)
        assert await office.broker.takes(await device.context(), "home-1", told.secret, "home-1")
        assert not await office.broker.takes(
            office.broker.trusting(), "home-1", office.broker.secrets["device home-1"], "home-1"
        )
        with pytest.raises(Refused, match="TIELINE_MQTT_AUTH"):
            async with office.caller() as client:
                await device.renew(client)


async def test_where_devices_show_a_secret_an_answer_that_was_lost_is_asked_for_again(
    tmp_path: Path, authorities: Authorities
) -> None:
    async with running(tmp_path, authorities, mqtt_tls=True) as office:
        shown, device = await office.claim(), office.device()
        async with Client("http://tieline.example", transport=losing(office)) as client:
            with pytest.raises(Unready):
                await device.enrol(client, "home-1", shown)
        async with office.caller() as client:
            told = await office.device().enrol(client, "home-1", shown)
            with pytest.raises(Conflict, match="has already enrolled"):
                await office.device().enrol(client, "home-1", shown)
            with pytest.raises(Conflict, match="used by another device"):
                await office.device("thief").enrol(client, "home-1", shown)
        assert await office.broker.takes(await office.device().context(), "home-1", told.secret, "home-1")


# --- renewing ---------------------------------------------------------------------------------------------------------


async def test_a_device_renews_by_its_key_and_the_one_before_stays_good(office: Office) -> None:
    device = await office.enrolled()
    before = await device.context()
    first = device.enrolment
    await office.world.clock.advance(86400)
    async with office.caller() as client:
        second = await device.renew(client)
    assert second.certificate != first.certificate
    keys = [x509.load_pem_x509_certificate(one.certificate.encode()).public_key() for one in (first, second)]
    assert keys[0] != keys[1]
    assert await office.takes(device)
    assert await office.broker.takes(before, mqtt_id="home-1")


async def test_it_is_kept_renewed_when_two_thirds_of_its_life_are_over(office: Office) -> None:
    device, clock = await office.enrolled(), office.world.clock
    first, failures = device.enrolment, 2

    async def fitful(asked: httpx.Request) -> httpx.Response:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise httpx.ConnectError("away")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(office.app)) as http:
            answer = await http.send(asked)
        return httpx.Response(answer.status_code, content=answer.content, headers={"content-type": "application/json"})

    async with Client("http://tieline.example", transport=httpx.MockTransport(fitful)) as client:
        keeping = asyncio.create_task(device.keep_renewed(client))
        await clock.advance(29 * 86400)
        assert device.enrolment == first
        async with asyncio.timeout(90):
            while device.enrolment == first:
                await clock.advance(6 * 3600)
                await asyncio.sleep(0.01)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    assert failures < 0
    assert device.enrolment.certificate != first.certificate


async def test_a_disk_that_is_full_for_a_while_is_waited_for(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    device, clock = await office.enrolled(), office.world.clock
    first, write, failures = device.enrolment, write_durably, 2

    def full(path: Path, data: bytes) -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, data)

    monkeypatch.setattr(certificates, "write_durably", full)
    async with office.caller() as client:
        keeping = asyncio.create_task(device.keep_renewed(client))
        async with asyncio.timeout(90):
            while device.enrolment == first:
                await clock.advance(3600)
                await asyncio.sleep(0.01)
                assert not keeping.done()
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    assert caplog.text.count("No space left") == 2
    assert office.device().enrolment == device.enrolment  # as after a start


def renewal(certificate: str, key: Any, office: Office, **wrong: Any) -> Renewal:
    at = office.world.clock.now() + wrong.get("off", timedelta(0))
    csr = request(p256(), None)
    signed = renewal_text(wrong.get("signed", csr), at)
    return Renewal(certificate, csr, at, base64.b64encode(key.sign(signed, ec.ECDSA(hashes.SHA256()))).decode())


async def test_nobody_renews_what_is_not_its_own(office: Office, authorities: Authorities) -> None:
    device, other = await office.enrolled(), await office.enrolled("home-2", "other")
    mine, theirs = device.enrolment.certificate, other.enrolment.certificate
    key, other_key = kept(device), kept(other)
    foreign = authorities.other.for_client("home-1", model.device_purpose(2))
    client_s = authorities.own.for_client("ven-a", model.CLIENT)
    bad = {
        "another's key": renewal(mine, other_key, office),
        "another request": renewal(mine, key, office, signed="x"),
        "long ago": renewal(mine, key, office, off=timedelta(minutes=-6)),
        "not yet": renewal(mine, key, office, off=timedelta(minutes=6)),
        "another's authority": renewal(foreign.certificate, loaded(foreign.key), office),
        "no device": renewal(client_s.certificate, loaded(client_s.key), office),
        "no certificate": renewal("x", key, office),
        "no signature": msgspec.structs.replace(renewal(mine, key, office), signature="!"),
    }
    for what, asked in bad.items():
        async with office.caller(f"192.0.2.{len(what)}") as caller:
            with pytest.raises(Unauthenticated):
                await caller.ask("POST", "/v1/enrolments/renew", Enrolment, asked)
    async with office.caller("192.0.2.77") as caller:
        good = await caller.ask("POST", "/v1/enrolments/renew", Enrolment, renewal(theirs, other_key, office))
        assert good.ven_id == "home-2"
        expired = office.broker.ca.for_device("home-1", 2, key.public_key(), timedelta(seconds=-1)).certificate
        with pytest.raises(Unauthenticated, match="expired"):
            await caller.ask("POST", "/v1/enrolments/renew", Enrolment, renewal(expired, key, office))


async def test_who_was_revoked_renews_nothing(office: Office) -> None:
    device = await office.enrolled()
    await office.operator("POST", "/v1/vens/home-1/revoke")
    async with office.caller() as client:
        with pytest.raises(Unauthenticated, match="new claim"):
            await device.renew(client)
