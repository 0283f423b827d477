"""Commands for OAuth2 clients: they work on the Rows of the settings, whether or not the platform is running."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tieline.base.time import RatedClock, iso
from tieline.cli.printing import one, show

if TYPE_CHECKING:
    from tieline.ports import Rows, Transaction

T = TypeVar("T")

_as_json = click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")


@click.group()
def client() -> None:
    """OAuth2 clients of the OpenADR doors.

    Each is business logic (BL) or a VEN, and exchanges its id and secret for tokens at /auth/token. Only for the
    embedded issuer: with oidc_issuer set, clients are that issuer's.
    """


@client.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(["bl", "ven"], case_sensitive=False), required=True, help="What it is.")
@click.option("--id", "client_id", help="Its client_id; a new one is made where none is given.")
@click.option("--scope", help="Fewer scopes than its role has, space between.")
@_as_json
def add(name: str, role: str, client_id: str | None, scope: str | None, as_json: bool) -> None:
    """Add a client, and show its secret: this once, it is not kept."""
    import secrets

    from tieline.identity import actions, scopes
    from tieline.identity.model import NewClient

    chosen = scopes.parsed(scope) if scope else frozenset[str]()
    new = NewClient(client_id or f"{role}-{secrets.token_hex(8)}", name, scopes.Role(role.upper()), chosen)
    secret = _transaction(lambda tx, now: actions.add_client(tx, new, now))
    told = {"client_id": new.client_id, "client_secret": secret, "name": name, "role": new.role.value}
    _tell_secret({**told, "scope": scopes.told(new.held)}, as_json)


@client.command("renew")
@click.argument("client_id")
@_as_json
def renew(client_id: str, as_json: bool) -> None:
    """Give a client a new secret, and show it: this once. The old one and its tokens end; a revoked client is back."""
    from tieline.identity import actions

    secret = _transaction(lambda tx, now: actions.renew_client(tx, client_id, now))
    _tell_secret({"client_id": client_id, "client_secret": secret}, as_json)


@client.command("revoke")
@click.argument("client_id")
def revoke(client_id: str) -> None:
    """End a client's secret and, within a second, its tokens."""
    from tieline.identity import actions

    _transaction(lambda tx, now: actions.revoke_client(tx, client_id, now))
    click.echo(f"client {client_id} is revoked")


@client.command("list")
@_as_json
def list_(as_json: bool) -> None:
    """List all clients, revoked ones too."""
    from tieline.identity import reads, scopes

    found = _with_rows(reads.clients)
    rows = [
        {
            "client_id": each.client_id,
            "name": each.name,
            "role": each.role.value,
            "scope": scopes.told(each.scopes),
            "created_at": iso(each.created_at),
            "renewed_at": each.renewed_at and iso(each.renewed_at),
            "revoked_at": each.revoked_at and iso(each.revoked_at),
        }
        for each in found
    ]
    show(rows, as_json, "clients")


@client.command("rotate-keys")
@_as_json
def rotate_keys(as_json: bool) -> None:
    """Sign tokens with a new key from now on; those signed before stay valid until they expire."""
    from tieline import settings
    from tieline.identity import actions
    from tieline.identity.keys import new_key
    from tieline.identity.part import token_policy

    policy = token_policy(settings.load())
    fresh = new_key(policy.algorithm, RatedClock().now())
    until = _transaction(lambda tx, now: actions.rotate_keys(tx, fresh, policy, now))
    one({"kid": fresh.kid, "algorithm": fresh.algorithm, "older_keys_verify_until": iso(until)}, as_json)


def _tell_secret(told: dict[str, Any], as_json: bool) -> None:
    one(told, as_json)
    click.echo("keep the secret: it is not shown again", err=True)


def _transaction(work: Callable[["Transaction", datetime], T]) -> T:
    """On the wall's clock, as tokens are, be the platform's a simulated one."""
    now = RatedClock().now()
    return _with_rows(lambda rows: rows.transaction(lambda tx: work(tx, now)))


def _with_rows(ask: Callable[["Rows"], Awaitable[T]]) -> T:
    from tieline import app, settings
    from tieline.base.errors import Refused

    chosen = settings.load()
    if chosen.oidc_issuer:
        raise Refused(f"clients and keys are those of {chosen.oidc_issuer}: manage them there, or unset oidc_issuer")

    async def work() -> T:
        async with app.opened_store(chosen) as store:
            return await ask(store.rows)

    return asyncio.run(work())


def add_to(group: click.Group) -> None:
    group.add_command(client)
