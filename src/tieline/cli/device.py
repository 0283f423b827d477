"""Commands for claims and devices: the operator gives and takes, a device enrols."""

import asyncio
import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import click

from tieline.base.errors import Refused
from tieline.base.time import RatedClock, iso
from tieline.cli.asking import ask, asking, listed, paged
from tieline.cli.printing import one, print_json

CLAIM = "TIELINE_CLAIM"
_AT_ONCE = 1000
_ADDED = ["ven_id", "claim_id", "claim", "uses", "expires_at"]


@click.group()
def claim() -> None:
    """Claims: each lets a device enrol for one VEN. Nobody has to tell it a secret."""


@claim.command("add")
@click.argument("ven_ids", nargs=-1, metavar="[VEN_ID]…")
@click.option("--all-new", is_flag=True, help="For each VEN that no device enrolled for and that has no open claim.")
@click.option("--uses", default=1, show_default=True, help="How many devices may enrol, each in place of the last.")
@click.option("--valid-h", default=168.0, show_default=True, help="Hours until it expires.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write them to this CSV file, for you only."
)
@asking
def claim_add(
    url: str,
    token: str | None,
    as_json: bool,
    ven_ids: tuple[str, ...],
    all_new: bool,
    out: Path | None,
    **terms: Any,
) -> None:
    """Make claims; they are shown this once."""
    if bool(ven_ids) == all_new:
        raise Refused("name the VENs, or give --all-new")
    named = _new(url, token) if all_new else list(ven_ids)
    added = _added(url, token, named, terms)
    if out is not None:
        count = _write(out, added)
        one({"file": str(out) if count else None, "claims": count}, as_json)
        return
    shown: list[dict[str, Any]] = []
    try:
        for some in added:
            shown += some
            if not as_json:
                _print(some)
    finally:  # what was made is shown, even if the rest was not made
        if as_json:
            print_json(shown)


def _added(url: str, token: str | None, ven_ids: list[str], terms: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    for begin in range(0, len(ven_ids), _AT_ONCE):
        some = ven_ids[begin : begin + _AT_ONCE]
        made = ask(url, token, "POST", "/v1/claims", {"ven_ids": some, **terms})["items"]
        yield [{name: row[name] for name in _ADDED} for row in made]


def _print(added: list[dict[str, Any]]) -> None:
    """A line each and not a table, which would break them where the terminal ends."""
    for row in added:
        click.echo(f"{row['ven_id']}  {row['claim']}  until {row['expires_at']}")


def _write(path: Path, added: Iterator[list[dict[str, Any]]]) -> int:
    """How many there are; on the disk before more are made. A file without any is not left behind."""
    count = 0
    with _private(path) as file:
        writer = csv.DictWriter(file, _ADDED)
        writer.writeheader()
        try:
            for some in added:
                writer.writerows(some)
                file.flush()
                os.fsync(file.fileno())
                count += len(some)
        except BaseException:
            if count:
                click.echo(f"{count} claims are in {path}; write the others to another file", err=True)
            raise
        finally:
            if not count:
                path.unlink()
    return count


def _new(url: str, token: str | None) -> list[str]:
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = ask(url, token, "GET", "/v1/credentials", new="true", limit=_AT_ONCE, cursor=cursor or None)
        found += [row["ven_id"] for row in page["items"]]
        cursor = page["next_cursor"]
    return found


def _private(path: Path) -> TextIO:
    """Before any claim is made: what cannot be written must not be shown once."""
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8", newline="")
    except OSError as error:
        raise Refused(f"--out {path}: {error.strerror}") from None


@claim.command("list")
@click.option("--ven", "ven_id", help="Only claims for this VEN.")
@paged
@asking
def claim_list(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """List claims, spent and revoked ones too; never their tokens."""
    columns = ["claim_id", "ven_id", "uses", "used", "expires_at", "used_at", "revoked_at"]
    listed("/v1/claims", url, token, as_json, columns, **params)


@claim.command("revoke")
@click.argument("claim_id")
@asking
def claim_revoke(url: str, token: str | None, as_json: bool, claim_id: str) -> None:
    """A claim can no longer be used; a device that enrolled by it stays."""
    one(ask(url, token, "POST", f"/v1/claims/{claim_id}/revoke"), as_json)


@click.group()
def device() -> None:
    """Devices: what connects for a VEN."""


@device.command("list")
@click.option("--new", is_flag=True, default=None, help="Only VENs without device and without an open claim.")
@paged
@asking
def device_list(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """List what each VEN's device connects by: since when, whether it enrolled, whether it was revoked."""
    columns = ["ven_id", "generation", "issued_at", "enrolled_at", "paused_until_at", "revoked_at"]
    listed("/v1/credentials", url, token, as_json, columns, "devices", **params)


@device.command("revoke")
@click.argument("ven_id")
@asking
def device_revoke(url: str, token: str | None, as_json: bool, ven_id: str) -> None:
    """Shut a VEN's device out: its secret, certificates and claims end, and it is disconnected within seconds."""
    one(ask(url, token, "POST", f"/v1/vens/{ven_id}/revoke"), as_json)


@device.command("enrol")
@click.argument("ven_id")
@click.option("--url", envvar="TIELINE_URL", required=True, help="The platform.")
@click.option(
    "--claim-file",
    type=click.File(encoding="utf-8"),
    help=f"File with the claim, or - to read it; else {CLAIM} has it.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".tieline/device"),
    show_default=True,
    help="Folder of its key and certificate.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def device_enrol(ven_id: str, url: str, claim_file: TextIO | None, data: Path, as_json: bool) -> None:
    """On the device: make a key, and have it certified by a claim. Run again, it asks for the same once more."""
    from tieline.ven.certificates import Certificates
    from tieline.ven.client import Client

    shown = (claim_file.read() if claim_file else os.environ.get(CLAIM, "")).strip()
    if not shown:
        raise Refused(f"a device enrols by a claim: set {CLAIM}, or name a file with --claim-file")

    async def work() -> Any:
        async with Client(url) as client:
            return await Certificates(data, RatedClock()).enrol(client, ven_id, shown)

    told = asyncio.run(work())
    one(
        {
            "ven_id": told.ven_id,
            "folder": str(data),
            "mqtt_host": told.mqtt_host,
            "mqtt_port": told.mqtt_port,
            "by": "certificate" if told.certificate else "secret",
            "expires_at": iso(told.expires_at) if told.expires_at else None,
        },
        as_json,
    )


def add_to(group: click.Group) -> None:
    for command in (claim, device):
        group.add_command(command)
