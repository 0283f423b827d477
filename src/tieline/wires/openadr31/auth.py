"""How a client comes to a token: the answers of /auth/server and /auth/token (RFC 6749, snake case as there)."""

import enum
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from tieline.wires.openadr31.scalars import Uri

Credential = Annotated[str, Meta(min_length=1, max_length=4096)]
Scope = Annotated[str, Meta(max_length=4096)]


class AuthServerInfo(Struct, frozen=True):
    token_url: Uri = field(name="tokenURL")


class ClientCredentialRequest(Struct, frozen=True, kw_only=True):
    """A form, not JSON; by RFC 6749 2.3.1 id and secret may come as HTTP Basic instead."""

    grant_type: Literal["client_credentials"]
    client_id: Credential
    client_secret: Credential
    scope: Scope | UnsetType = UNSET


class TokenResponse(Struct, frozen=True, kw_only=True):
    """`expires_in` is in seconds."""

    access_token: Credential
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  the kind of token, not one
    expires_in: int | UnsetType = UNSET
    refresh_token: Credential | UnsetType = UNSET
    scope: Scope | UnsetType = UNSET


class AuthFault(enum.StrEnum):
    INVALID_REQUEST = "invalid_request"
    INVALID_CLIENT = "invalid_client"
    INVALID_GRANT = "invalid_grant"
    INVALID_SCOPE = "invalid_scope"
    UNAUTHORIZED_CLIENT = "unauthorized_client"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"


class AuthError(Struct, frozen=True, kw_only=True):
    """Why no token was given (RFC 6749 5.2)."""

    error: AuthFault
    error_description: str | UnsetType = UNSET
    error_uri: Uri | UnsetType = UNSET
