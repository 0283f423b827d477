"""The configuration of a site: one TOML file, checked whole before anything is switched.

What is wrong is told with its line, its field and what would be right. An unknown field is wrong: it is mostly a slip.
"""

import re
import tomllib
from collections.abc import Iterator
from datetime import time
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from tieline.base.errors import Refused
from tieline.base.names import Id
from tieline.ven.agent.drivers.fitting import AnyDriver
from tieline.ven.agent.home import Home

Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Port = Annotated[int, Meta(ge=1, le=65535)]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file; what it does not say keeps its default, what it does not know is refused."""


class Platform(_Table, frozen=True):
    """Whose VEN this is. Files are named relative to the configuration's folder.

    `secret_file` has the secret that the platform showed; `claim_file` a claim token, exchanged once for a certificate.
    `data` is this agent's own folder; `ca_file` an authority to trust besides the known, as PEM.
    """

    url: str
    ven_id: Id
    secret_file: str = ""
    claim_file: str = ""
    data: str = "data"
    ca_file: str = ""


class Panel(_Table, frozen=True):
    """`limit_kw` is what the main fuse lets through. Without a meter the premises are the sum of the loads."""

    limit_kw: Positive
    meter: AnyDriver | None = None
    margin: Annotated[float, Meta(ge=0, le=0.5)] = 0.05


class Comfort(_Table, frozen=True):
    """The band in °C outside of which a load is not held down, and how fast it drifts while it is."""

    min_c: float | None = None
    max_c: float | None = None
    drift_c_per_h: Positive | None = None
    sensor: AnyDriver | None = None


class ReadyBy(_Table, frozen=True):
    """So much energy each day by that time of the site's zone, whatever is asked: a car's charge, a boiler's heat."""

    time: time
    energy_kwh: Positive


class Load(_Table, frozen=True):
    """One load. Of two, the one with the lower `priority` is shed first when the panel is full.

    It runs at least `min_on_s` once it runs and rests at least `min_off_s` once it is off; `floor_kw` is left to it
    whatever is asked. A limit is said again each `refresh_s`, so that a device may fall free by itself after a while.
    """

    id: Id
    kind: str
    rated_kw: Positive
    driver: AnyDriver
    meter: AnyDriver | None = None
    floor_kw: NotNegative = 0.0
    sheddable: bool = True
    priority: int = 0
    min_on_s: NotNegative = 0.0
    min_off_s: NotNegative = 0.0
    refresh_s: Positive = 60.0
    comfort: Comfort | None = None
    ready_by: ReadyBy | None = None


class Store(_Table, frozen=True):
    """How much of what the platform does not have yet is kept; beyond either bound the oldest goes."""

    days: Positive = 14.0
    mib: Positive = 64.0


class Page(_Table, frozen=True):
    """Where who lives here sees the loads and opts out. Beyond loopback anybody on that network may.

    `names` are those that browsers may call it by, besides its addresses and localhost.
    """

    host: str = "127.0.0.1"
    port: Port = 8480
    names: list[str] = []


class Site(_Table, frozen=True):
    """The whole file. `zone` is an IANA time zone. Readings are taken each `read_s`."""

    platform: Platform
    panel: Panel
    load: Annotated[list[Load], Meta(min_length=1, max_length=256)]
    zone: str = "UTC"
    read_s: Annotated[float, Meta(ge=0.1, le=60)] = 5.0
    report_s: Annotated[float, Meta(ge=1, le=3600)] = 60.0
    home: Home | None = None
    page: Page | None = None
    store: Store = Store()

    @property
    def sheddable(self) -> list[Load]:
        return [load for load in self.load if load.sheddable]


def read(path: Path) -> Site:
    """Raises `Refused`, with all that is wrong as far as it can be seen at once."""
    try:
        text = path.read_text(encoding="utf-8")
        site = msgspec.convert(tomllib.loads(text), Site)
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"{path}: no TOML: {error}") from None
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        raise Refused(_told(path, text, where.strip("`").removeprefix("$").removeprefix("."), what)) from None
    if wrong := [_told(path, text, where, what) for where, what in _wrong(site)]:
        raise Refused("\n".join(wrong))
    return site


def _wrong(site: Site) -> Iterator[tuple[str, str]]:
    """What types cannot say: where it stands, what is wrong and what would be right."""
    if bool(site.platform.secret_file) == bool(site.platform.claim_file):
        yield "platform", "name either secret_file or claim_file: by one of them the platform knows this agent"
    if not site.platform.url.startswith(("http://", "https://")):
        yield "platform.url", f"{site.platform.url!r} is no URL: write https://tieline.example.com"
    try:
        ZoneInfo(site.zone)
    except (ZoneInfoNotFoundError, ValueError):
        yield "zone", f"{site.zone!r} is no time zone: write an IANA name such as Europe/Lisbon"
    ids = [load.id for load in site.load]
    for number, load in enumerate(site.load):
        if load.id in ids[:number]:
            yield f"load[{number}].id", f"{load.id!r} is another load's already: each has an id of its own"
        yield from ((f"load[{number}].{field}", what) for field, what in _wrong_of(load))


def _wrong_of(load: Load) -> Iterator[tuple[str, str]]:
    if load.sheddable and not load.driver.can_hold:
        yield "driver", "it only measures: tell how it limits the load, or write sheddable = false"
    if load.floor_kw >= load.rated_kw:
        yield "floor_kw", f"{load.floor_kw:g} leaves nothing to shed: it must be below rated_kw, {load.rated_kw:g}"
    if load.floor_kw and not load.driver.is_stepless:
        yield "floor_kw", "its driver only knows on and off, so nothing can be left to it: write 0, or leave it out"
    comfort = load.comfort
    if comfort and comfort.min_c is None and comfort.max_c is None:
        yield "comfort", "give min_c for what must not get colder, max_c for what must not get warmer, or both"
    if comfort and None not in (comfort.min_c, comfort.max_c) and not (comfort.min_c or 0) < (comfort.max_c or 0):
        yield "comfort.min_c", f"{comfort.min_c:g} is not below max_c, {comfort.max_c:g}"


def _told(path: Path, text: str, where: str, what: str) -> str:
    unknown = re.fullmatch(r"Object contains unknown field `(.+)`", what)
    where = f"{where}.{unknown[1]}".lstrip(".") if unknown else where
    line = _line(text, where)
    return f"{path}{f', line {line}' if line else ''}: {where or 'the file'}: {what}"


def _line(text: str, where: str) -> int | None:
    """The line of a field such as `load[1].comfort.min_c`: its own, or that of the table it is missing from."""
    best, header, tables, wanted = None, "", 0, re.sub(r"\[\d+\]", "", where)
    number = re.search(r"^load\[(\d+)\]", where)
    for line, words in enumerate(text.splitlines(), 1):
        if table := re.match(r"\s*\[+\s*([\w.-]+)\s*\]+", words):
            header = table[1]
            tables += header == "load" and words.lstrip().startswith("[[")
        key = re.match(r"\s*([\w-]+)\s*=", words)
        field = header if table else f"{header}.{key[1]}".lstrip(".") if key else None
        is_there = not number or not header.startswith("load") or tables == int(number[1]) + 1
        if field and is_there and f"{wanted}.".startswith(f"{field}."):
            best = line
    return best
