"""Homes become VENs of the platform; their secrets are kept in a file that only its owner can read."""

import asyncio
import os
from datetime import datetime
from pathlib import Path

import msgspec

from tieline.base.errors import Conflict, Refused
from tieline.sim.options import Options
from tieline.sim.stock import LOADS, SHEDDABLE, Stock
from tieline.ven.client import Client, Registration, Resource, Site

AT_ONCE = 16
NAMES = {"hvac": "Air conditioning", "ev": "Car charger", "pv": "Solar"}


class Home(msgspec.Struct):
    """The platform has its samples up to `reported_until`, none yet when that is None."""

    secret: str
    reported_until: datetime | None = None


class Kept(msgspec.Struct):
    """What outlives the process: the homes by VEN id, as the platform at `url` knows them."""

    url: str
    homes: dict[str, Home] = {}


def ven_id(home: int) -> str:
    return f"home-{home + 1:04d}"


def load(path: Path, url: str) -> Kept:
    """What was kept for that platform; nothing when the file is absent or another platform's."""
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=Kept)
    except FileNotFoundError:
        return Kept(url)
    except msgspec.DecodeError as error:
        raise Refused(f"{path} is no state file of a simulated fleet: {error}") from error
    return kept if kept.url == url else Kept(url)


def save(path: Path, kept: Kept) -> None:
    """Replaces the file whole, with mode 0600."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(kept))
    draft.replace(path)


async def enrol(
    client: Client, built: Stock, options: Options, kept: Kept, *, until: datetime
) -> list[tuple[str, Home]]:
    """Every home, in order, registered now or known already; also in `kept`.

    One that the platform knows and we do not gets a new secret, and counts as reported `until` then.
    """
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(home: int) -> tuple[str, Home]:
        wanted = registration(built, home, options.zone)
        async with gate:
            return wanted.ven_id, await _enrol(client, wanted, kept.homes.get(wanted.ven_id), until)

    homes = await asyncio.gather(*(one(home) for home in range(options.homes)))
    kept.homes.update(homes)
    return homes


async def _enrol(client: Client, wanted: Registration, known: Home | None, until: datetime) -> Home:
    try:
        return Home(await client.register(wanted))
    except Conflict:
        return known or Home(await client.renew_credential(wanted.ven_id), until)


def registration(built: Stock, home: int, zone: str) -> Registration:
    """A home as the platform is told of it."""
    site = Site(
        site_id=f"site-{home + 1:04d}",
        name=f"Home {home + 1:04d}",
        latitude=round(float(built.latitude[home]), 5),
        longitude=round(float(built.longitude[home]), 5),
        zone=zone,
        panel_a=int(built.panel_a[home]),
    )
    resources = [
        Resource(
            resource_id=LOADS[row],
            name=NAMES.get(LOADS[row], LOADS[row].replace("_", " ").capitalize()),
            kind=LOADS[row],
            rated_kw=round(float(built.rated_kw[row, home]), 3),
            sheddable=row in SHEDDABLE,
        )
        for row in built.rows(home)
    ]
    return Registration(ven_id=ven_id(home), name=site.name, site=site, resources=resources)
