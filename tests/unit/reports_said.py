"""Reports and VENs to say them, for the tests of what reports tell."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tieline.base.series import Flag
from tieline.base.time import iso
from tieline.registry.model import Kind, Resource, Ven
from tieline.vtn.readings import Home, Told, told
from tieline.wires.openadr31.messages import Event, Program, Report, decode

T0 = datetime(2026, 7, 15, tzinfo=UTC)
HOUR = timedelta(hours=1)
QUARTER_HOUR = {"start": iso(T0), "duration": "PT15M"}
STAMPS = {
    "id": "r-1",
    "createdDateTime": iso(T0 + HOUR),
    "modificationDateTime": iso(T0 + HOUR),
    "clientID": "client-1",
    "objectType": "REPORT",
}
USAGE = {"payloadType": "USAGE", "units": "KWH"}
AN_HOUR = {"start": iso(T0), "duration": "PT1H"}


def home(ven_id: str = "home-1", name: str = "Home 1") -> Home:
    ven = Ven(ven_id, name, "site", "Site", "Europe/Lisbon", 200.0, T0)
    loads = [("hvac", "HVAC", 5.0), ("ev", "Charger", 0.0)]
    resources = [Resource(ven_id, id_, name, Kind.OTHER, rated, sheddable=True) for id_, name, rated in loads]
    return Home(ven, resources)


def event(**more: Any) -> Event:
    return Event(id="e", program_id="p", created_date_time=T0, modification_date_time=T0, **more)


def report(resources: Sequence[dict[str, Any]], *, descriptors: Any = (USAGE,), client_name: str = "VEN 1") -> Report:
    said = {
        "eventID": "e",
        "clientName": client_name,
        "payloadDescriptors": [{"objectType": "REPORT_PAYLOAD_DESCRIPTOR", **one} for one in descriptors],
        "resources": resources,
    }
    read: Report = decode(Report, msgspec.json.encode({**said, **STAMPS}))
    return read


def resource(*intervals: Any, name: str = "HVAC", period: Any = AN_HOUR) -> dict[str, Any]:
    """`intervals`: lists of (type, values), or whole intervals."""
    whole = [
        one
        if isinstance(one, dict)
        else {"id": n, "payloads": [{"type": kind, "values": values} for kind, values in one]}
        for n, one in enumerate(intervals)
    ]
    return {"resourceName": name, "intervals": whole, **({"intervalPeriod": period} if period else {})}


def understood(
    said: Report, *, homes: Sequence[Home] | None = None, asked: Event | None = None, program: Program | None = None
) -> Told:
    return told(said, [home()] if homes is None else homes, asked or event(), program)


def points(found: Told) -> list[tuple[str, float, float, Flag]]:
    """Series, minute of the stamp, value, flags."""
    return [
        (one.series.series_id, (one.at - T0) / timedelta(minutes=1), round(one.value, 9), one.flags)
        for one in found.readings
    ]


def reasons(found: Told) -> list[str]:
    return [one.reason for one in found.refused]
