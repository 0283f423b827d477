"""Commands for the certificate authority of the MQTT door: they work on the Rows of the settings."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from tieline.base.errors import Conflict, NotFound, Refused
from tieline.base.time import RatedClock, iso
from tieline.cli.printing import one

if TYPE_CHECKING:
    from tieline.identity.authority import Issued
    from tieline.identity.model import Root
    from tieline.ports import Reader, Rows
    from tieline.settings import Settings

T = TypeVar("T")

_as_json = click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")


@click.group()
def ca() -> None:
    """The certificate authority of the MQTT door. For mqtt_tls, and for clients with mqtt_auth certificate."""


@ca.command("init")
@click.option("--replace", is_flag=True, help="Make another in place of the one there is: all it issued is void.")
@_as_json
def init(replace: bool, as_json: bool) -> None:
    """Make the authority now; otherwise the first start that needs it does. A running platform must start again."""
    from tieline.app.door import passphrase
    from tieline.identity import actions, reads
    from tieline.identity.authority import new_root

    async def work(settings: "Settings", rows: "Rows") -> "Root":
        if not replace and await rows.read(reads.root) is not None:
            raise Conflict(
                "there is an authority: `tieline ca show` shows it, `tieline ca init --replace` makes another"
            )
        root = await asyncio.to_thread(new_root, RatedClock().now(), passphrase(settings))
        await rows.transaction(lambda tx: actions.put_root(tx, root))
        return root

    one(_told(_on_rows(work)), as_json)


@ca.command("show")
@click.option("--pem", is_flag=True, help="Only its certificate, for those who are to trust it.")
@_as_json
def show(pem: bool, as_json: bool) -> None:
    """Show the authority's certificate."""
    from tieline.identity import reads

    root = _on_rows(lambda _, rows: rows.read(reads.root))
    if root is None:
        raise NotFound("there is no authority yet: `tieline ca init` makes it, or the first start that needs it")
    if pem:
        click.echo(root.certificate_pem, nl=False)
        return
    one(_told(root), as_json)


@ca.command("issue")
@click.argument("name")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Folder to write to; default: here."
)
@_as_json
def issue(name: str, out: Path, as_json: bool) -> None:
    """Write a short-lived client certificate for a VEN or OAuth2 client: NAME.pem, NAME.key and ca.pem."""
    from tieline.app.door import opened_door
    from tieline.identity import model, reads

    def purpose(reader: "Reader") -> str:
        if (generation := reads.generation(reader, name)) is not None:
            return model.device_purpose(generation)
        if reads.find_client(reader, name) is None:
            raise NotFound(f"there is no VEN and no client {name!r} that a certificate could be for")
        return model.CLIENT

    async def work(settings: "Settings", rows: "Rows") -> tuple["Issued", str]:
        door = await opened_door(settings, rows, RatedClock())
        if door.certifier is None:
            raise Refused("nobody shows a certificate here: set TIELINE_MQTT_AUTH=certificate")
        return door.certifier.for_client(name, await rows.read(purpose)), door.trusted

    issued, trusted = _on_rows(work)
    out.mkdir(parents=True, exist_ok=True)
    _write(out / f"{name}.key", issued.key, 0o600)
    _write(out / f"{name}.pem", issued.certificate, 0o644)
    _write(out / "ca.pem", trusted, 0o644)
    one({"name": name, "folder": str(out), "expires_at": iso(issued.until)}, as_json)


def _write(path: Path, text: str, mode: int) -> None:
    """Replaces the file whole."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="ascii") as file:
        file.write(text)
    fresh.replace(path)


def _told(root: "Root") -> dict[str, str]:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    certificate = x509.load_pem_x509_certificate(root.certificate_pem.encode())
    return {
        "sha256": certificate.fingerprint(SHA256()).hex(),
        "expires_at": iso(certificate.not_valid_after_utc),
        "certificate_pem": root.certificate_pem,
    }


def _on_rows(work: Callable[["Settings", "Rows"], Awaitable[T]]) -> T:
    from tieline import app, settings

    chosen = settings.load()

    async def opened() -> T:
        async with app.opened_store(chosen) as store:
            return await work(chosen, store.rows)

    return asyncio.run(opened())


def add_to(group: click.Group) -> None:
    group.add_command(ca)
