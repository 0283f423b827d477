"""A request for a token as it comes: who asks, by which secret, for what (RFC 6749 2.3.1, 3.3, 4.4.2)."""

import base64
import binascii
import urllib.parse

from msgspec import Struct

from tieline.base.errors import Refused
from tieline.identity import scopes
from tieline.wires.openadr31.auth import AuthError, AuthFault

LARGEST = 65_536
"""Bytes of a form: three values of 4,096 characters, each three bytes at most where it is escaped."""
_FIELDS = 64


class TokenRequest(Struct, frozen=True):
    """A well-formed request; whether the secret is the client's is not known yet."""

    client_id: str
    client_secret: str
    scope: frozenset[str] | None

    def __repr__(self) -> str:
        return f"TokenRequest({self.client_id!r})"


def error(fault: AuthFault, description: str) -> AuthError:
    return AuthError(error=fault, error_description=description)


def read(body: bytes, authorization: str | None) -> TokenRequest | AuthError:
    """The request in a form, and in the Authorization header where the client uses HTTP Basic."""
    form = _form(body)
    if isinstance(form, AuthError):
        return form
    if "grant_type" not in form:
        return error(AuthFault.INVALID_REQUEST, "the form has no grant_type: send grant_type=client_credentials")
    if form["grant_type"] != "client_credentials":
        return error(AuthFault.UNSUPPORTED_GRANT_TYPE, "the only grant_type here is client_credentials")
    found = _credentials(form, authorization)
    if isinstance(found, AuthError):
        return found
    try:
        return TokenRequest(*found, scopes.parsed(form["scope"]) if "scope" in form else None)
    except Refused as wrong:
        return error(AuthFault.INVALID_SCOPE, str(wrong).replace("`", "'"))


def _form(body: bytes) -> dict[str, str] | AuthError:
    """A field without a value counts as left out, one that comes twice spoils the request (RFC 6749 3.2)."""
    try:
        if len(body) > LARGEST:
            raise ValueError
        text = body.decode("ascii")
        pairs = urllib.parse.parse_qsl(text, keep_blank_values=True, max_num_fields=_FIELDS, errors="strict")
    except ValueError:
        return error(AuthFault.INVALID_REQUEST, "the body is no form of a legal size: see RFC 6749 4.4.2")
    form = dict(pairs)
    if len(form) < len(pairs):
        return error(AuthFault.INVALID_REQUEST, "a field comes more than once")
    return {name: value for name, value in form.items() if value}


def _credentials(form: dict[str, str], authorization: str | None) -> tuple[str, str] | AuthError:
    scheme, _, given = (authorization or "").partition(" ")
    if scheme.lower() != "basic":  # another scheme, such as the old token of a client that sends it always, is no try
        if "client_id" in form and "client_secret" in form:
            return form["client_id"], form["client_secret"]
        return error(AuthFault.INVALID_CLIENT, "send client_id and client_secret, in the form or by HTTP Basic")
    if "client_secret" in form:
        return error(AuthFault.INVALID_REQUEST, "send the secret in the form or by HTTP Basic, not both")
    if (basic := _basic(given)) is None:
        return error(AuthFault.INVALID_CLIENT, "the Authorization header is no HTTP Basic: see RFC 6749 2.3.1")
    if form.get("client_id", basic[0]) != basic[0]:
        return error(AuthFault.INVALID_REQUEST, "client_id is not the one of the Authorization header")
    return basic


def _basic(given: str) -> tuple[str, str] | None:
    try:
        text = base64.b64decode(given.strip(), validate=True).decode()
        client_id, colon, secret = text.partition(":")
        return (_decoded(client_id), _decoded(secret)) if colon and client_id else None
    except (binascii.Error, ValueError):
        return None


def _decoded(text: str) -> str:
    return urllib.parse.unquote_plus(text, errors="strict")
