"""The certificate authority of this platform: small, built in, for its MQTT door and for whoever comes to it.

root        ECDSA P-256, made once; its key is kept sealed in Rows
 ├─ server  the MQTT door's: made anew at each start, and so never renewed
 ├─ client  with a key of ours, for an OAuth2 client or a device: short-lived, renewed by asking for another
 └─ device  for a key that never left the device: renewed by who has that key

There is no list of revoked ones: a certificate only says who comes, and on which credential it was issued. What that
one may do is looked up when it connects, and the broker disconnects when the certificate expires.
"""

import asyncio
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from tieline.base.errors import Refused, Unauthenticated
from tieline.base.time import Clock
from tieline.identity import actions, model, reads
from tieline.identity.model import Root
from tieline.identity.sealing import sealed, unsealed
from tieline.ports import Rows

_ROOT_LASTS = timedelta(days=20 * 365)
_SERVER_LASTS = timedelta(days=825)  # the longest that TLS stacks of phones take
_BACKDATED = timedelta(minutes=5)  # for clocks that are behind ours
_LONGEST_NAME = 64  # of a common name (X.520)
DEVICE_LASTS = timedelta(days=45)


class Issued(msgspec.Struct, frozen=True):
    """A certificate and its key, both PEM, and when it expires."""

    certificate: str
    key: str
    until: datetime

    def __repr__(self) -> str:
        return f"Issued(until={self.until})"


class Shown(msgspec.Struct, frozen=True):
    """A device's certificate of ours that is still valid, and what it says."""

    ven_id: str
    generation: int
    key: ec.EllipticCurvePublicKey


class Authority:
    """Issues certificates; its key is in memory. The clock is the wall's: others measure by it. `lasts`: a client's."""

    def __init__(self, root: x509.Certificate, key: ec.EllipticCurvePrivateKey, clock: Clock, lasts: timedelta) -> None:
        self._root = root
        self._key = key
        self._clock = clock
        self._lasts = lasts

    @property
    def certificate(self) -> str:
        """The root's, as PEM: what others trust."""
        return _pem(self._root)

    def for_server(self, names: Sequence[str]) -> Issued:
        """For a server of these names or addresses. Raises `Refused` for what is neither."""
        alternatives, key = x509.SubjectAlternativeName([_named(one) for one in dict.fromkeys(names)]), _new_key()
        subject, use = _subject("Tieline MQTT"), ExtendedKeyUsageOID.SERVER_AUTH
        signed = self._signed(subject, key.public_key(), use, _SERVER_LASTS, alternatives)
        return Issued(_pem(signed), _key_pem(key), signed.not_valid_after_utc)

    def for_client(self, name: str, purpose: str = "") -> Issued:
        """For the VEN or OAuth2 client of that id, as `base.access.Proof` tells it. Raises `Refused`."""
        if not 1 <= len(name) <= _LONGEST_NAME:
            raise Refused(f"{name[:140]!r} can have no certificate: a name in one has 1 to {_LONGEST_NAME} characters")
        subject, key = _subject(name, purpose), _new_key()
        signed = self._signed(subject, key.public_key(), ExtendedKeyUsageOID.CLIENT_AUTH, self._lasts)
        return Issued(_pem(signed), _key_pem(key), signed.not_valid_after_utc)

    def for_device(self, ven_id: str, generation: int, key: ec.EllipticCurvePublicKey, lasts: timedelta) -> Issued:
        """For a key of the device's own, which we do not have."""
        subject = _subject(ven_id, model.device_purpose(generation))
        signed = self._signed(subject, key, ExtendedKeyUsageOID.CLIENT_AUTH, lasts)
        return Issued(_pem(signed), "", signed.not_valid_after_utc)

    def opened(self, pem: str) -> Shown:
        """A device's certificate that it shows us itself. Raises `Unauthenticated` unless it is ours and valid."""
        now = self._clock.now()
        try:
            shown = x509.load_pem_x509_certificate(pem.encode())
            shown.verify_directly_issued_by(self._root)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.InvalidVersion):
            raise Unauthenticated("this is no certificate of the built-in authority: enrol by a claim") from None
        key, names = shown.public_key(), [str(one.value) for one in shown.subject]
        generation = model.generation_of(names[-1])
        if generation is None or not isinstance(key, ec.EllipticCurvePublicKey):
            raise Unauthenticated("this certificate was not issued to a device that enrolled")
        if not shown.not_valid_before_utc <= now < shown.not_valid_after_utc:
            raise Unauthenticated("this certificate has expired: enrol again, by a new claim")
        return Shown(names[0], generation, key)

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        use: ObjectIdentifier,
        lasts: timedelta,
        *more: x509.ExtensionType,
    ) -> x509.Certificate:
        builder = _builder(subject, self._root.subject, key, self._clock.now(), lasts)
        extensions = [
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
            x509.ExtendedKeyUsage([use]),
            *more,
        ]
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        return builder.add_extension(_usage(signs=False), critical=True).sign(self._key, hashes.SHA256())


# --- the root ---------------------------------------------------------------------------------------------------------


async def opened(rows: Rows, clock: Clock, passphrase: str, lasts: timedelta) -> Authority:
    """The platform's authority, made at first need. Raises `Refused` for a passphrase that does not open it."""
    known = await rows.read(reads.root)
    if known is None:
        candidate = await asyncio.to_thread(new_root, clock.now(), passphrase)
        known = await rows.transaction(lambda tx: actions.settle_root(tx, candidate))
    return await asyncio.to_thread(_authority, known, passphrase, clock, lasts)


def new_root(now: datetime, passphrase: str) -> Root:
    """Takes a while: call it in a thread."""
    key, name = _new_key(), _subject(f"Tieline authority {secrets.token_hex(4)}")
    builder = _builder(name, name, key.public_key(), now, _ROOT_LASTS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    certificate = builder.add_extension(_usage(signs=True), critical=True).sign(key, hashes.SHA256())
    return Root(_pem(certificate), sealed(_key_pem(key).encode(), passphrase, _der(certificate)), now)


def _authority(root: Root, passphrase: str, clock: Clock, lasts: timedelta) -> Authority:
    certificate = x509.load_pem_x509_certificate(root.certificate_pem.encode())
    key = serialization.load_pem_private_key(unsealed(root.sealed_key, passphrase, _der(certificate)), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Authority(certificate, key, clock, lasts)


# --- X.509 ------------------------------------------------------------------------------------------------------------


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, lasts: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + lasts)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _subject(name: str, purpose: str = "") -> x509.Name:
    said = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    return x509.Name([*said, *([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, purpose)] if purpose else [])])


def _usage(*, signs: bool) -> x509.KeyUsage:
    """Of a root, which signs certificates, or of a leaf, which only shows that it has its key."""
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        if not name.isascii() or not name.replace("-", "").replace(".", "").isalnum():
            raise Refused(f"{name[:140]!r} is neither a host's name nor an address") from None
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()
