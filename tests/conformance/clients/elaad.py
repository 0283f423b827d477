"""openadr3-client 2 (ElaadNL): business logic and a VEN against a VTN, in either dialect. Run in its own environment.

Arguments: the VTN's base URL, the dialect. Environment: BL_ID, BL_SECRET, VEN_ID, VEN_SECRET.
"""

import os
import sys
import uuid
from datetime import UTC, datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from openadr3_client.bl.http_factory import BusinessLogicHttpClientFactory  # type: ignore[import-not-found]
from openadr3_client.ven.http_factory import VirtualEndNodeHttpClientFactory  # type: ignore[import-not-found]
from openadr3_client.version import OADRVersion  # type: ignore[import-not-found]

START = datetime.now(tz=UTC).replace(microsecond=0) + timedelta(hours=1)


def unique() -> str:
    return uuid.uuid4().hex[:12]


class Models:
    """The classes of one dialect: their names are the same in both."""

    def __init__(self, dialect: str) -> None:
        self._root = f"openadr3_client.oadr{dialect.replace('.', '')}.models"

    def _module(self, name: str) -> Any:
        return import_module(f"{self._root}.{name}")

    def __getattr__(self, name: str) -> Any:
        for module in ("program.program", "event.event", "event.event_payload", "report.report",
                       "report.report_payload", "ven.ven", "ven.resource", "resource.resource"):  # fmt: skip
            if find_spec(f"{self._root}.{module}") and (found := getattr(self._module(module), name, None)):
                return found
        raise AttributeError(name)


def clients(url: str, dialect: str) -> tuple[Any, Any]:
    """Business logic's and a VEN's. 3.1.0 discovers the token endpoint; 3.0.1 is told."""
    version = {"3.1.0": OADRVersion.OADR_310, "3.0.1": OADRVersion.OADR_301}[dialect]
    told = {"token_url": None if dialect == "3.1.0" else f"{url}/auth/token", "version": version}
    if dialect == "3.1.0":
        told["allow_insecure_http"] = True
    bl = BusinessLogicHttpClientFactory.create_http_bl_client(
        vtn_base_url=url, client_id=os.environ["BL_ID"], client_secret=os.environ["BL_SECRET"], **told
    )
    ven = VirtualEndNodeHttpClientFactory.create_http_ven_client(
        vtn_base_url=url,
        client_id=os.environ["VEN_ID"],
        client_secret=os.environ["VEN_SECRET"],
        scopes=["read_all", "write_reports", "write_vens"],
        **told,
    )
    return bl, ven


def interval(models: Models, number: int, price: float) -> Any:
    common = import_module("openadr3_client._models.common.interval")
    payload = models.EventPayload(type=models.EventPayloadType.PRICE, values=(price,))
    return common.Interval(id=number, interval_period=None, payloads=(payload,))


def period() -> Any:
    common = import_module("openadr3_client._models.common.interval_period")
    return common.IntervalPeriod(start=START, duration=timedelta(hours=1))


def publish(models: Models, bl: Any) -> tuple[Any, Any]:
    """A program and an event of two prices, changed once."""
    priced = models.EventPayloadDescriptor(payload_type=models.EventPayloadType.PRICE, units="KWH", currency="EUR")
    program = bl.programs.create_program(models.NewProgram(program_name=unique(), payload_descriptors=(priced,)))
    event = bl.events.create_event(
        models.NewEvent(
            programID=program.id,
            event_name="prices",
            priority=1,
            interval_period=period(),
            intervals=(interval(models, 0, 0.17), interval(models, 1, 0.31)),
        )
    )
    assert bl.programs.get_program_by_id(program.id).program_name == program.program_name
    assert event.interval_period.start == START
    return program, event


def change(models: Models, bl: Any, event: Any, dialect: str) -> None:
    if dialect == "3.0.1":
        changed = bl.events.update_event_by_id(event.id, event.update(models.EventUpdate(priority=0)))
    else:
        changed = bl.events.update_event_by_id(
            event.id, models.EventUpdate(programID=event.program_id, priority=0, intervals=event.intervals)
        )
    assert changed.priority == 0
    assert changed.modification_date_time > event.modification_date_time


def poll(ven: Any, program: Any, event: Any) -> None:
    found = ven.events.get_events(target=None, pagination=None, program_id=program.id)
    assert [one.id for one in found] == [event.id]
    assert [one.payloads[0].values for one in found[0].intervals] == [(0.17,), (0.31,)]
    assert program.id in {one.id for one in pages(ven.programs.get_programs)}
    assert ven.events.get_event_by_id(event.id).event_name == "prices"


def pages(get: Any) -> list[Any]:
    """All of a list, ten at a time."""
    filters = import_module(f"{sys.modules[type(get.__self__).__module__].PaginationFilter.__module__}")
    found: list[Any] = []
    while page := get(target=None, pagination=filters.PaginationFilter(skip=len(found), limit=10)):
        found.extend(page)
    return found


def enrol_31(models: Models, bl: Any, ven: Any) -> str:
    """By the VEN itself, and beside it by business logic; the name of its resource."""
    own = ven.vens.create_ven(models.NewVenVenRequest(ven_name=unique()))
    resource = ven.resources.create_resource(models.NewResourceVenRequest(resource_name="heater", venID=own.id))
    granted = models.NewVenBlRequest(ven_name=unique(), clientID=os.environ["VEN_ID"], targets=("north",))
    second = bl.vens.create_ven(granted)
    assert second.targets == ("north",)
    found = ven.vens.get_vens(ven_name=own.ven_name, target=None, pagination=None)
    assert [one.id for one in found] == [own.id]
    assert found[0].client_id == os.environ["VEN_ID"]
    assert ven.resources.get_resource_by_id(resource.id).ven_id == own.id
    assert bl.vens.delete_ven_by_id(second.id).id == second.id
    return str(resource.resource_name)


def enrol_301(models: Models, ven: Any) -> str:
    own = ven.vens.create_ven(models.NewVen(ven_name=unique()))
    resource = ven.vens.create_ven_resource(own.id, models.NewResource(resource_name="heater", venID=own.id))
    assert [one.resource_name for one in ven.vens.get_ven_by_id(own.id).resources] == ["heater"]
    assert ven.vens.get_ven_resource_by_id(own.id, resource.id).resource_name == "heater"
    return str(resource.resource_name)


def report(models: Models, bl: Any, ven: Any, event: Any, resource_name: str, dialect: str) -> None:
    common = import_module("openadr3_client._models.common.interval")
    usage = models.ReportPayload(type=models.ReportPayloadType.USAGE, values=(1.5,))
    said = models.ReportResource(
        resource_name=resource_name, interval_period=period(), intervals=(common.Interval(id=0, payloads=(usage,)),)
    )
    program = {"programID": event.program_id} if dialect == "3.0.1" else {}
    made = ven.reports.create_report(
        models.NewReport(eventID=event.id, client_name="elaad", resources=(said,), **program)
    )
    assert bl.reports.get_report_by_id(made.id).resources[0].intervals[0].payloads[0].values == (1.5,)
    found = bl.reports.get_reports(program_id=event.program_id, event_id=event.id, client_name="elaad", pagination=None)
    assert [one.id for one in found] == [made.id]


def main(url: str, dialect: str) -> None:
    models = Models(dialect)
    bl, ven = clients(url, dialect)
    program, event = publish(models, bl)
    poll(ven, program, event)
    name = enrol_301(models, ven) if dialect == "3.0.1" else enrol_31(models, bl, ven)
    report(models, bl, ven, event, name, dialect)
    change(models, bl, event, dialect)
    if dialect == "3.1.0":
        assert ven.notifiers.get_notifiers().webhook
        assert ven.notifiers.get_event_topics_for_program(program.id).topics.all
    assert bl.events.delete_event_by_id(event.id).id == event.id
    assert ven.events.get_events(target=None, pagination=None, program_id=program.id) == ()
    assert bl.programs.delete_program_by_id(program.id).id == program.id


if __name__ == "__main__":
    main(*sys.argv[1:])
