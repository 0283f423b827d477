"""Requests for tokens as clients send them, whole and broken (RFC 6749)."""

import base64
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.identity import requests
from tieline.identity.requests import TokenRequest, read
from tieline.wires.openadr31.auth import AuthError, AuthFault

GRANT = {"grant_type": "client_credentials"}
BOTH = {"client_id": "v", "client_secret": "s"}
TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=50)


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()


@given(TEXT, TEXT)
def test_id_and_secret_come_in_the_form_or_by_basic(client_id: str, secret: str) -> None:
    in_form = urlencode({**GRANT, "client_id": client_id, "client_secret": secret}).encode()
    expected = TokenRequest(client_id, secret, None)
    assert read(in_form, None) == expected
    assert read(urlencode(GRANT).encode(), basic(client_id, secret)) == expected


@pytest.mark.parametrize(
    ("form", "authorization"),
    [
        ({**GRANT, **BOTH, "scope": ""}, None),
        ({**GRANT, **BOTH, "scope": "", "extra": "x"}, None),
        ({**GRANT, **BOTH}, "Bearer an-old-token"),
        ({**GRANT, "client_id": "v"}, basic("v", "s")),
        (GRANT, basic("v", "s").replace("Basic", "bAsIc")),
    ],
)
def test_what_honest_clients_send_is_taken(form: dict[str, str], authorization: str | None) -> None:
    assert read(urlencode(form).encode(), authorization) == TokenRequest("v", "s", None)


def test_a_scope_is_read() -> None:
    found = read(urlencode({**GRANT, **BOTH, "scope": "read_all write_vens"}).encode(), None)
    assert isinstance(found, TokenRequest)
    assert found.scope == frozenset({"read_all", "write_vens"})


@pytest.mark.parametrize(
    ("body", "authorization", "fault"),
    [
        (b"", None, AuthFault.INVALID_REQUEST),
        (b"client_id=v&client_secret=s", None, AuthFault.INVALID_REQUEST),
        (b"grant_type=&client_id=v&client_secret=s", None, AuthFault.INVALID_REQUEST),
        (b"grant_type=password&client_id=v&client_secret=s", None, AuthFault.UNSUPPORTED_GRANT_TYPE),
        (b"grant_type=client_credentials&grant_type=client_credentials", basic("v", "s"), AuthFault.INVALID_REQUEST),
        (b"grant_type=client_credentials&client_secret=s", basic("v", "s"), AuthFault.INVALID_REQUEST),
        (b"grant_type=client_credentials&client_id=w", basic("v", "s"), AuthFault.INVALID_REQUEST),
        (b"grant_type=client_credentials", None, AuthFault.INVALID_CLIENT),
        (b"grant_type=client_credentials&client_id=v", None, AuthFault.INVALID_CLIENT),
        (b"grant_type=client_credentials&client_id=v&client_secret=", None, AuthFault.INVALID_CLIENT),
        (b"grant_type=client_credentials", "Basic", AuthFault.INVALID_CLIENT),
        (b"grant_type=client_credentials", "Basic !!!", AuthFault.INVALID_CLIENT),
        (b"grant_type=client_credentials", "Basic dg==", AuthFault.INVALID_CLIENT),
        (b"grant_type=client_credentials", "Basic /w==", AuthFault.INVALID_CLIENT),
        (b"grant_type=client_credentials", "Basic é", AuthFault.INVALID_CLIENT),
        (b"grant_type=client_credentials&client_id=v&client_secret=s&scope=a%20%20b", None, AuthFault.INVALID_SCOPE),
        (b'{"grant_type":"client_credentials"}', None, AuthFault.INVALID_REQUEST),
        (b"\xff\xfe", None, AuthFault.INVALID_REQUEST),
        (b"grant_type=%ff", None, AuthFault.INVALID_REQUEST),
        (b"&".join(b"a%d=1" % n for n in range(100)), None, AuthFault.INVALID_REQUEST),
        (b"a=" + b"x" * requests.LARGEST, None, AuthFault.INVALID_REQUEST),
    ],
)
def test_what_is_wrong_is_named_as_the_standard_names_it(
    body: bytes, authorization: str | None, fault: AuthFault
) -> None:
    found = read(body, authorization)
    assert isinstance(found, AuthError)
    assert found.error is fault
    description = str(found.error_description)
    assert all(" " <= c <= "~" and c not in '"\\' for c in description)  # RFC 6749 5.2


@given(st.binary(max_size=300), st.none() | st.text(max_size=100))
def test_anything_is_answered(body: bytes, authorization: str | None) -> None:
    assert isinstance(read(body, authorization), AuthError | TokenRequest)


def test_a_secret_is_never_printed() -> None:
    assert "hush" not in repr(TokenRequest("v", "hush", None))
