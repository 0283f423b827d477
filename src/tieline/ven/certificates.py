"""What a VEN has from enrolling: its key, which never leaves its folder, and its certificate, renewed in good time.

next.key      a key for which a certificate was asked: asked for again, should the answer be lost
device.json   the key and the certificate in use, the authority, where the broker is: replaced whole

Both are their owner's only.
"""

import asyncio
import base64
import logging
import random
import ssl
from datetime import timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tieline.base.errors import Conflict, Refused, TielineError
from tieline.base.time import Clock, iso
from tieline.ven import tls
from tieline.ven.client import Client
from tieline.ven.durable import write_durably
from tieline.wires.enrolment import Enrolment, NewEnrolment, Renewal, renewal_text

log = logging.getLogger(__name__)
_LOOK_S = 3600.0
_AGAIN = timedelta(minutes=5)


class Device(msgspec.Struct, frozen=True):
    """What stands in `device.json`."""

    enrolment: Enrolment
    key: str

    def __repr__(self) -> str:
        return f"Device({self.enrolment!r})"


class Certificates:
    """Of one VEN, in a folder of its own. The clock is the wall's. Raises `Refused` for files that others may read."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._device = self._read()

    @property
    def enrolment(self) -> Enrolment:
        """Raises `Refused` before the VEN has enrolled."""
        return self._known.enrolment

    async def enrol(self, client: Client, ven_id: str, claim: str) -> Enrolment:
        """By a claim: the VEN's credential is this device's from then on. Raises what the platform answers."""
        pem, key = self._next_key()
        asked = NewEnrolment(claim, ven_id, _request(key, ven_id))
        try:
            return self._keep(await client.ask("POST", "/v1/enrolments", Enrolment, asked), pem)
        except Conflict as error:
            if self._device is None or self._device.enrolment.ven_id != ven_id:
                raise
            raise Conflict(f"VEN {ven_id} has already enrolled in {self._folder}; to enrol anew: {error}") from None

    async def renew(self, client: Client) -> Enrolment:
        """By the key in use, for a new one. Raises what the platform answers."""
        pem, key = self._next_key()
        now, known = self._clock.now(), self._known
        csr = _request(key, known.enrolment.ven_id)
        signature = _loaded(known.key).sign(renewal_text(csr, now), ec.ECDSA(hashes.SHA256()))
        asked = Renewal(known.enrolment.certificate, csr, now, base64.b64encode(signature).decode())
        return self._keep(await client.ask("POST", "/v1/enrolments/renew", Enrolment, asked), pem)

    async def keep_renewed(self, client: Client) -> None:
        """For ever: renew when two thirds of a certificate's life are over, and again until that is done."""
        while True:
            pause_s = _LOOK_S
            if (due := self.enrolment.renew_at) is not None:
                pause_s = min(pause_s, max(0.0, (due - self._clock.now()).total_seconds()))
            await self._clock.sleep(pause_s)
            if due is None or self._clock.now() < due:
                continue
            try:
                renewed = await self.renew(client)
                log.info("the certificate was renewed until %s", iso(renewed.expires_at or due))
            except (TielineError, OSError) as error:  # the disk may be full
                log.warning("the certificate could not be renewed, and is tried again: %s", error)
                await self._clock.sleep(_AGAIN.total_seconds() * random.uniform(0.5, 1.5))  # noqa: S311  no secret

    async def context(self) -> ssl.SSLContext:
        """How to connect to the broker. Raises `Refused` where it speaks in clear."""
        known = self._known
        if not known.enrolment.ca:
            raise Refused("the MQTT door speaks in clear there: connect without TLS")
        pair = (known.enrolment.certificate, known.key) if known.enrolment.certificate else ()
        return await asyncio.to_thread(tls.context, known.enrolment.ca, *pair)

    @property
    def _known(self) -> Device:
        if self._device is None:
            raise Refused(f"no device has enrolled in {self._folder}: `tieline device enrol` does it, by a claim")
        return self._device

    def _next_key(self) -> tuple[str, ec.EllipticCurvePrivateKey]:
        path = self._folder / "next.key"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_durably(path, _pem(ec.generate_private_key(ec.SECP256R1())).encode())
        pem = path.read_text(encoding="ascii")
        return pem, _loaded(pem)

    def _keep(self, enrolment: Enrolment, key: str) -> Enrolment:
        device = Device(enrolment, key)
        write_durably(self._folder / "device.json", msgspec.json.encode(device))
        self._device = device
        (self._folder / "next.key").unlink(missing_ok=True)
        return enrolment

    def _read(self) -> Device | None:
        path = self._folder / "device.json"
        if not path.exists():
            return None
        if path.stat().st_mode & 0o077:
            raise Refused(f"others than its owner may use {path}: chmod 600 it")
        try:
            return msgspec.json.decode(path.read_bytes(), type=Device)
        except msgspec.DecodeError as error:
            raise Refused(f"{path} is not what an enrolment left: {error}; enrol again, by a new claim") from None


def _request(key: ec.EllipticCurvePrivateKey, ven_id: str) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ven_id)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()


def _loaded(pem: str) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key
