"""Identity as the settings choose it, and `tieline client` on the rows of these settings, as a user gives it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tieline import settings
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.errors import Refused
from tieline.base.time import RatedClock
from tieline.cli import main
from tieline.identity import part
from tieline.identity.scopes import SCOPES, Role
from tieline.settings import Settings
from tieline.wires.openadr31.auth import TokenResponse

OIDC: dict[str, Any] = {"oidc_issuer": "https://i.example", "oidc_audience": "vtn"}


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"http_host": "0.0.0.0", "api_token": "t", "issuer_public": True},
        {"http_host": "0.0.0.0", "api_token": "t", **OIDC},
        {"development": True, "anonymous_reads": True},
        {**OIDC, "oidc_issuer": "http://127.0.0.1:1/realm", "development": True},
        {**OIDC, "oidc_audience": "", "oidc_token_use": "access", "oidc_scope_prefix": "vtn/"},
        {**OIDC, "oidc_algorithms": "PS256, ES384"},
    ],
)
def test_what_is_safe_is_accepted(chosen: dict[str, Any]) -> None:
    part.check(Settings(**chosen))


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"http_host": "0.0.0.0", "api_token": "t"}, "TIELINE_ISSUER_PUBLIC=true"),
        ({"anonymous_reads": True}, "TIELINE_DEVELOPMENT"),
        ({**OIDC, "oidc_issuer": "http://i.example"}, "https://"),
        ({**OIDC, "oidc_audience": ""}, "TIELINE_OIDC_AUDIENCE"),
        ({**OIDC, "oidc_audience": " , "}, "TIELINE_OIDC_AUDIENCE"),
        ({**OIDC, "oidc_audience": "", "oidc_token_use": "access"}, "TIELINE_OIDC_SCOPE_PREFIX"),
        ({**OIDC, "oidc_algorithms": ""}, "ES256"),
        ({**OIDC, "oidc_algorithms": "ES256,HS256"}, "ES256"),
        ({**OIDC, "oidc_algorithms": "none"}, "ES256"),
    ],
)
def test_what_would_open_more_than_was_meant_is_refused(chosen: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        part.check(Settings(**chosen))


def test_with_an_outside_issuer_there_is_no_embedded_one(tmp_path: Path) -> None:
    clock = RatedClock()
    rows = SqliteRows(tmp_path / "rows.sqlite", clock)
    embedded, outside = (part.identity(rows, clock, Settings(**chosen)) for chosen in ({}, OIDC))
    assert embedded.issuer is not None
    assert embedded.outside is None
    assert outside.issuer is None
    assert outside.outside is not None


@pytest.mark.parametrize("wrong", [{"TIELINE_TOKEN_ALGORITHM": "HS256"}, {"TIELINE_TOKEN_MINUTES": "0"}])
def test_a_token_that_nobody_should_make_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(Refused, match="token_"):
        settings.load(wrong)


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIELINE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def tieline(*words: str) -> Result:
    return CliRunner().invoke(main, ["client", *words])


def told(*words: str) -> Any:
    done = tieline(*words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


async def fetched(folder: Path, client_id: str, secret: str) -> TokenResponse | None:
    clock = RatedClock()
    async with SqliteRows(folder / "rows.sqlite", clock) as rows:
        issuer = part.identity(rows, clock, Settings()).issuer
        assert issuer is not None
        form = f"grant_type=client_credentials&client_id={client_id}&client_secret={secret}"
        answer = await issuer.fetch_token(form.encode(), None)
        return answer.body if isinstance(answer.body, TokenResponse) else None


def works(folder: Path, client: Any) -> bool:
    return asyncio.run(fetched(folder, client["client_id"], client["client_secret"])) is not None


def test_a_client_is_added_used_renewed_revoked_and_listed(folder: Path) -> None:
    first = told("add", "Grid co", "--role", "bl")
    assert (first["name"], first["role"]) == ("Grid co", "BL")
    assert set(first["scope"].split()) == SCOPES[Role.BL]
    assert works(folder, first)

    second = told("renew", first["client_id"])
    assert not works(folder, first)
    assert works(folder, second)

    assert tieline("revoke", first["client_id"]).exit_code == 0
    assert not works(folder, second)
    (listed,) = told("list")
    assert listed["client_id"] == first["client_id"]
    assert listed["revoked_at"] > listed["renewed_at"] > listed["created_at"]
    assert first["client_secret"] not in tieline("list").output


def test_a_person_is_told_to_keep_the_secret(folder: Path) -> None:
    done = tieline("add", "Home", "--role", "VEN", "--id", "ven-1", "--scope", "read_targets write_reports")
    assert done.exit_code == 0
    assert "ven-1" in done.stdout
    assert "read_targets write_reports" in done.stdout
    assert "not shown again" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "n", "--role", "ven", "--id", "taken"), "already"),
        (("add", "n", "--role", "ven", "--scope", "write_events"), "choose of"),
        (("add", "n", "--role", "ven", "--scope", "a  b"), "one space"),
        (("add", "n", "--role", "ven", "--id", "a b"), "client id"),
        (("add", "", "--role", "ven"), "name"),
        (("add", "n"), "--role"),
        (("renew", "nobody"), "client list"),
        (("revoke", "nobody"), "client list"),
    ],
)
def test_what_is_wrong_is_said_and_exits_2(folder: Path, words: tuple[str, ...], said: str) -> None:
    tieline("add", "n", "--role", "ven", "--id", "taken")
    done = tieline(*words)
    assert done.exit_code == 2
    assert said in done.stderr


def test_an_outside_issuer_s_clients_are_not_ours(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIELINE_OIDC_ISSUER", "https://i.example")
    done = tieline("add", "n", "--role", "ven")
    assert done.exit_code == 2
    assert "https://i.example" in done.stderr


def test_keys_are_rotated(folder: Path) -> None:
    first, second = told("rotate-keys"), told("rotate-keys")
    assert first["kid"] != second["kid"]
    assert second["algorithm"] == "ES256"
    assert second["older_keys_verify_until"] > first["older_keys_verify_until"]
