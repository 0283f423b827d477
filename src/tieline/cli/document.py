"""Commands for documents of settlement: checking one without us, and signing with another key."""

import asyncio
from pathlib import Path
from typing import Any

import click

from tieline.base.errors import Refused
from tieline.base.time import RatedClock
from tieline.cli.asking import asking
from tieline.cli.printing import one

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=_file)
@click.option("--signature", "jws", type=_file, help="Its signature; else the file of the same name and .jws.")
@click.option("--keys", help="A file, or the URL, of the public keys; else those of the platform.")
@asking
def verify(file: Path, jws: Path | None, keys: str | None, url: str, token: str | None, as_json: bool) -> None:  # noqa: ARG001
    """Say what of a settlement is signed in FILE, by which key, and whether it holds.

    With FILE, its .jws and the keys in a file it asks nobody anything. Exit code 2: it does not hold.
    """
    import msgspec

    from tieline.settlement.documents.verification import MOST_DOCUMENT, MOST_JWS, keys_of, verified

    beside = jws or file.with_name(f"{file.name}.jws")
    if not beside.exists():
        raise Refused(f"{beside} is not there: fetch it from where {file.name} came from, or name it with --signature")
    known = keys_of(_keys(keys or f"{url}/v1/settlements/keys"))
    signature = _read(beside, MOST_JWS).decode("ascii", errors="replace")
    header = verified(_read(file, MOST_DOCUMENT), signature, known)
    told: dict[str, Any] = {"file": file.name, "holds": True} | msgspec.to_builtins(header)
    one(told | {"ven_id": header.ven_id or "all"}, as_json)


@click.command("rotate-key")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def rotate_key(as_json: bool) -> None:
    """Sign documents with a new key from now on; what older ones signed can still be checked.

    It works on the Rows of the settings, whether or not the platform is running.
    """
    from tieline import app, settings
    from tieline.app.door import passphrase
    from tieline.settlement.documents.keys import Keys

    chosen = settings.load()

    async def work() -> str:
        async with app.opened_store(chosen) as store:
            return await Keys(store.rows, RatedClock(), lambda: passphrase(chosen)).rotate()

    one({"kid": asyncio.run(work())}, as_json)


def _keys(place: str) -> bytes:
    """Raises `Refused`, and `Unready` where nobody answers."""
    import httpx

    from tieline.base.errors import Unready
    from tieline.settlement.documents.verification import MOST_KEYS

    if not place.startswith(("http://", "https://")):
        return _read(Path(place), MOST_KEYS)
    try:
        with httpx.stream("GET", place, timeout=10) as answer:
            if answer.status_code != httpx.codes.OK:
                raise Refused(f"{place} answers {answer.status_code}, not keys: name their URL or file with --keys")
            return _bounded(answer)
    except httpx.HTTPError as error:
        raise Unready(f"no keys from {place} ({error}): name a file of them with --keys") from None


def _bounded(answer: Any) -> bytes:
    from tieline.settlement.documents.verification import MOST_KEYS

    content = bytearray()
    for some in answer.iter_bytes():
        content += some
        if len(content) > MOST_KEYS:
            break  # what reads them says so
    return bytes(content)


def _read(path: Path, most: int) -> bytes:
    """One byte more than is allowed tells of more."""
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None


def add_to(group: click.Group) -> None:
    for command in (verify, rotate_key):
        group.add_command(command)
