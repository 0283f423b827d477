"""Detached signatures of documents (JWS, RFC 7515 F; Ed25519, RFC 8037, RFC 9864): made here, checked by anyone. Pure.

    file      home-7.pdf          the payload, byte for byte
    file.jws  header..signature   the header is signed too: run, participant, SHA-256 of the canonical JSON, key
    keys      JWKS (RFC 7517)     public keys; a key's id is its thumbprint (RFC 7638)

Nothing here asks us or anyone for anything: file, signature and keys are enough, to this or any JOSE library.
"""

import base64
import hashlib
from collections.abc import Sequence

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tieline.base.errors import Refused

TYPE = "tieline-settlement+jose"
MOST_DOCUMENT = 256 * 2**20
MOST_JWS = 4096
MOST_KEYS = 2**20


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The protected header, with nothing beside it that might want to be understood (`crit`, `b64`). `json_sha256` is
    of the canonical JSON, which a CSV or PDF shows."""

    alg: str
    kid: str
    typ: str
    cty: str
    run_id: str
    ven_id: str  # empty: the whole run
    json_sha256: str


class PublicKey(msgspec.Struct, frozen=True):
    kid: str
    x: str
    kty: str = "OKP"
    crv: str = "Ed25519"
    alg: str = "Ed25519"
    use: str = "sig"


class KeySet(msgspec.Struct, frozen=True):
    keys: list[PublicKey]


def public_key(private: Ed25519PrivateKey) -> PublicKey:
    x = _encoded(private.public_key().public_bytes_raw())
    return PublicKey(kid=_thumbprint(x), x=x)


def signature(document: bytes, header: Header, private: Ed25519PrivateKey) -> str:
    """The compact JWS without its payload."""
    head = _encoded(msgspec.json.encode(header, order="deterministic"))
    return f"{head}..{_encoded(private.sign(_signed(head, document)))}"


def verified(document: bytes, jws: str, keys: KeySet) -> Header:
    """What was signed, and by which key. Raises `Refused`, saying what does not hold."""
    head, header = _opened(document, jws)
    key = next((one for one in keys.keys if one.kid == header.kid), None)
    if key is None:
        raise Refused(f"it is signed by key {header.kid}, which is not among the {len(keys.keys)} keys given")
    if key.kid != _thumbprint(key.x):
        raise Refused(f"key {key.kid} does not have the thumbprint that its id says")
    try:
        _public(key).verify(_decoded(jws.rpartition(".")[2], "the signature"), _signed(head, document))
    except InvalidSignature:
        raise Refused(
            f"the signature does not hold: file or signature was changed since key {header.kid} signed it"
        ) from None
    if header.cty == "application/json":
        _check_json(document, header)
    return header


def keys_of(text: bytes) -> KeySet:
    """A JWKS; keys of other kinds are passed over. Raises `Refused`."""
    if len(text) > MOST_KEYS:
        raise Refused(f"the keys are larger than {MOST_KEYS} bytes")
    try:
        found = msgspec.json.decode(text, type=dict[str, list[dict[str, str]]])["keys"]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError) as error:
        raise Refused(f"the keys are no JWKS: {error}") from None
    ours: Sequence[dict[str, str]] = [one for one in found if one.get("crv") == "Ed25519" and {"kid", "x"} <= set(one)]
    return KeySet([PublicKey(kid=one["kid"], x=one["x"]) for one in ours])


def _opened(document: bytes, jws: str) -> tuple[str, Header]:
    if len(document) > MOST_DOCUMENT or len(jws) > MOST_JWS:
        raise Refused(f"a document has at most {MOST_DOCUMENT} bytes, its signature {MOST_JWS}")
    head, _, rest = jws.strip().partition(".")
    if not rest.startswith(".") or "." in rest[1:]:
        raise Refused("the signature is no detached JWS: header, two dots, signature")
    try:
        header = msgspec.json.decode(_decoded(head, "the header"), type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"the signature's header is none of ours: {error}") from None
    if (header.alg, header.typ) != ("Ed25519", TYPE):
        raise Refused(f"expected a signature Ed25519 of type {TYPE}, this is {header.alg} of type {header.typ}")
    return head, header


def _check_json(document: bytes, header: Header) -> None:
    """What the JSON says of itself: its own digest, and of a whole run that of all it holds."""
    if hashlib.sha256(document).hexdigest() != header.json_sha256:
        raise Refused("the signed SHA-256 is not that of this JSON")
    content = msgspec.json.decode(document)
    if "accounts" not in content:
        return
    bare = msgspec.json.encode(content | {"digest": ""})  # its members stay in the order in which they stand
    if hashlib.sha256(bare).hexdigest() != content.get("digest"):
        raise Refused("the run's own digest is not that of what it holds")


def _signed(head: str, document: bytes) -> bytes:
    return f"{head}.".encode() + base64.urlsafe_b64encode(document).rstrip(b"=")


def _thumbprint(x: str) -> str:
    members = msgspec.json.encode({"crv": "Ed25519", "kty": "OKP", "x": x})
    return _encoded(hashlib.sha256(members).digest())


def _public(key: PublicKey) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(_decoded(key.x, f"key {key.kid}"))
    except ValueError:
        raise Refused(f"key {key.kid} is no Ed25519 key: 32 bytes") from None


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise Refused(f"{what} is no base64url") from None
