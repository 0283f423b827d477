"""Enrolment: a device's own key becomes a certificate, by a claim at first and by the key before from then on.

device: makes a key ── claim, CSR ──► the claim is used ── certificate ──► device
                    ── CSR, certificate before, signature by its key ──► renewed

The private key never leaves the device. The clock is the wall's: certificates are read by machines that know no other.
"""

import base64
import hashlib
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from tieline.base.errors import Refused, Unauthenticated
from tieline.base.time import Clock, instant, iso
from tieline.identity import claims, reads
from tieline.identity.authority import Authority, Issued, Shown
from tieline.identity.claims import Enrolled
from tieline.ports import Rows
from tieline.wires.enrolment import NewEnrolment, Renewal, renewal_text

_CURVES = (ec.SECP256R1, ec.SECP384R1)
_FRESH = timedelta(minutes=5)  # between the device's clock and ours


class Enroller:
    """`authority` is None where devices show a secret: then they are given that, and no certificate."""

    def __init__(self, rows: Rows, clock: Clock, authority: Authority | None, lasts: timedelta) -> None:
        self._rows = rows
        self._clock = clock
        self._authority = authority
        self._lasts = lasts

    async def enrol(self, new: NewEnrolment) -> tuple[Enrolled, Issued | None]:
        """Raises `Unauthenticated` for a claim that opens nothing, `Conflict` for one that another device used."""
        now = self._clock.now()
        by_secret = self._authority is None
        key = None if by_secret and not new.csr else requested(new.csr, new.ven_id)
        digest = _digest(key) if key else ""
        done = await self._rows.transaction(
            lambda tx: claims.use(tx, new.claim, new.ven_id, digest, now, by_secret=by_secret)
        )
        return done, None if by_secret or key is None else self._certified(done.ven_id, done.generation, key)

    async def renew(self, asked: Renewal) -> tuple[str, Issued]:
        """The VEN's id and its next certificate; the one before stays valid until it expires. Raises `Unauthenticated`
        for a certificate that is not its sender's, not ours, not valid or on a credential that was revoked."""
        if self._authority is None:
            raise Refused("devices show their secret here: certificates need TIELINE_MQTT_AUTH=certificate")
        shown = self._authority.opened(asked.certificate)
        _check_signature(asked, shown, self._clock.now())
        key = requested(asked.csr, shown.ven_id)
        if await self._rows.read(lambda reader: reads.generation(reader, shown.ven_id)) != shown.generation:
            raise Unauthenticated(f"the credential of VEN {shown.ven_id} was revoked or renewed: enrol by a new claim")
        return shown.ven_id, self._certified(shown.ven_id, shown.generation, key)

    def _certified(self, ven_id: str, generation: int, key: ec.EllipticCurvePublicKey) -> Issued:
        assert self._authority is not None
        return self._authority.for_device(ven_id, generation, key, self._lasts)


def requested(csr: str, ven_id: str) -> ec.EllipticCurvePublicKey:
    """The key that a PKCS #10 request is for, which it proves to have. Raises `Refused`.

    One kind of key is taken: what every device's TLS knows, that signs a hundred times quicker than RSA of that
    strength does, on the broker as well as on a small device. Of what else it asks for nothing is granted.
    """
    try:
        request = x509.load_pem_x509_csr(csr.encode())
        key, valid = request.public_key(), request.is_signature_valid
        named = [str(one.value) for one in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise Refused(f"csr is no PKCS #10 request as PEM: {str(error)[:200]}") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, _CURVES):
        raise Refused("csr must be for an ECDSA key on P-256 or P-384")
    if not valid:
        raise Refused("csr is not signed by the key that it is for")
    if named not in ([], [ven_id]):
        raise Refused(f"csr names {named[0][:80]!r} and not the VEN {ven_id!r}: name that, or none")
    return key


def _digest(key: ec.EllipticCurvePublicKey) -> str:
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _check_signature(asked: Renewal, shown: Shown, now: datetime) -> None:
    if abs(instant(asked.at) - now) > _FRESH:
        raise Unauthenticated(f"signed at {iso(asked.at)}, and it is {iso(now)} here: set the device's clock")
    try:
        signature = base64.b64decode(asked.signature, validate=True)
        shown.key.verify(signature, renewal_text(asked.csr, asked.at), ec.ECDSA(hashes.SHA256()))
    except (ValueError, InvalidSignature):
        raise Unauthenticated("signature is not by the key of this certificate") from None
