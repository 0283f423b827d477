"""The nouns: a site has a panel, a VEN stands at a site, resources are the loads (and sources) it controls."""

import enum
import zoneinfo
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec

from tieline.base.errors import Refused
from tieline.base.names import Id, hold_series, power_series, sheddable_series, withheld_series
from tieline.base.series import Declaration, Stamp

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
PANEL_VOLTS = 240


class Kind(enum.StrEnum):
    HVAC = "hvac"
    WATER_HEATER = "water_heater"
    EV = "ev"
    DRYER = "dryer"
    RANGE = "range"
    REFRIGERATOR = "refrigerator"
    OUTLETS = "outlets"
    LIGHTS = "lights"
    PV = "pv"
    BATTERY = "battery"
    OTHER = "other"


class NewSite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where premises are; `zone` is an IANA time zone: local days decide which days are alike."""

    site_id: Id
    name: Name
    zone: str
    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)] = 0.0
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)] = 0.0
    panel_a: Annotated[float, msgspec.Meta(gt=0, le=10_000)] = 200.0

    def __post_init__(self) -> None:
        try:
            zoneinfo.ZoneInfo(self.zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # a zone is looked for as a file of that name
            raise Refused(
                f"zone {self.zone!r} of site {self.site_id} is not an IANA time zone, such as Europe/Lisbon"
            ) from None


class NewResource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A load at a VEN. `rated_kw` is its nameplate; only what is `sheddable` is ever commanded."""

    resource_id: Id
    name: Name
    kind: Kind
    rated_kw: Annotated[float, msgspec.Meta(ge=0, le=100_000)]
    sheddable: bool = False


class NewVen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A VEN to register, at a site that exists (`site_id`) or together with its site (`site`). `client_id` is the
    OAuth client that speaks for it by OpenADR, `targets` are what it is granted to see there."""

    ven_id: Id
    name: Name
    site_id: Id | None = None
    site: NewSite | None = None
    resources: Annotated[list[NewResource], msgspec.Meta(max_length=200)] = []
    client_id: Name | None = None
    targets: Annotated[list[Name], msgspec.Meta(max_length=1000)] = []

    def __post_init__(self) -> None:
        if (self.site_id is None) == (self.site is None):
            raise Refused(f"VEN {self.ven_id}: give either site_id, of a site that exists, or site, a new one")
        ids = [resource.resource_id for resource in self.resources]
        if len(set(ids)) < len(ids):
            raise Refused(f"VEN {self.ven_id}: two resources have the same resource_id; each must have its own")
        if len({resource.name for resource in self.resources}) < len(ids):
            raise Refused(f"VEN {self.ven_id}: two resources have the same name; each must have its own")


class Site(msgspec.Struct, frozen=True):
    site_id: str
    name: str
    zone: str
    latitude: float
    longitude: float
    panel_a: float
    created_at: datetime


class Ven(msgspec.Struct, frozen=True):
    ven_id: str
    name: str
    site_id: str
    site_name: str
    zone: str
    panel_a: float
    created_at: datetime
    targets: tuple[str, ...] | None = None

    @property
    def limit_kw(self) -> float:
        """The most that the panel of its site lets through, in kW."""
        return self.panel_a * PANEL_VOLTS / 1000


class Lifetime(msgspec.Struct, frozen=True):
    """When a VEN was registered; also of one that was retired since."""

    ven_id: str
    created_at: datetime
    retired_at: datetime | None


class Resource(msgspec.Struct, frozen=True):
    ven_id: str
    resource_id: str
    name: str
    kind: Kind
    rated_kw: float
    sheddable: bool


class Registered(msgspec.Struct, frozen=True):
    """A new VEN, and its secret: shown this once."""

    ven: Ven
    resources: list[Resource]
    secret: str


class Credential(msgspec.Struct, frozen=True):
    ven_id: str
    secret: str


METER_STEP_S = 60
METER_HOLD_S = 900
"""A meter's value may stand for a quarter hour, the usual interval of smart meters; beyond it is a gap."""


def power_declarations(ven_id: str, zone: str, resources: Sequence[NewResource]) -> list[Declaration]:
    """The series of a VEN: its meter, each load's power, what each sheddable load could give up, for how long, and
    does."""
    ids: list[tuple[str, str, str | None]] = [(power_series(ven_id), "kW", None)]
    for resource in resources:
        load = resource.resource_id
        ids.append((power_series(ven_id, load), "kW", load))
        if resource.sheddable:
            ids.append((sheddable_series(ven_id, load), "kW", load))
            ids.append((withheld_series(ven_id, load), "kW", load))
            ids.append((hold_series(ven_id, load), "s", load))
    return [
        Declaration(series_id, unit, METER_STEP_S, zone, Stamp.END, METER_HOLD_S, "mqtt", ven_id, load)
        for series_id, unit, load in ids
    ]
