"""The registry's HTTP door."""

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.datastructures import UploadFile
from litestar.params import FromPath, FromQuery, JSONBody, Parameter

from tieline.base.errors import Refused
from tieline.base.series import Declaration
from tieline.doors import Cursor, Limit, Page, Search, WithClock, WithRows, after, page
from tieline.registry import actions, reads
from tieline.registry.importing import Report, import_sheet
from tieline.registry.model import Credential, NewResource, NewSite, NewVen, Registered, Resource, Site
from tieline.registry.sheet import MOST_BYTES

FORM_BYTES = 100_000
"""What a form may say around its file."""


@post("/v1/sites")
async def add_site(data: JSONBody[NewSite], rows: WithRows, clock: WithClock) -> Site:
    return await actions.add_site(rows, clock, data)


@get("/v1/sites")
async def list_sites(rows: WithRows, limit: Limit = 100, cursor: Cursor = None, q: Search = None) -> Page[Site]:
    found = await reads.sites(rows, q=q, after=after(cursor), limit=limit + 1)
    return page(found, limit, lambda site: site.site_id)


@get("/v1/sites/{site_id:str}")
async def show_site(site_id: FromPath[str], rows: WithRows) -> Site:
    return await rows.read(lambda reader: reads.the_site(reader, site_id))


@post("/v1/vens")
async def register_ven(data: JSONBody[NewVen], rows: WithRows, clock: WithClock) -> Registered:
    """Register a VEN with its resources. The secret in the answer is shown this once."""
    return await actions.register_ven(rows, clock, data)


@post("/v1/vens/import", status_code=200, request_max_body_size=MOST_BYTES + FORM_BYTES)
async def import_vens(
    request: Request[Any, Any, Any], rows: WithRows, clock: WithClock, dry_run: FromQuery[bool] = False
) -> Report:
    """Register the VENs of a CSV file (text/csv, or a form with a file), and tell what became of each row. `dry_run`:
    only tell. They are given no secret."""
    return await import_sheet(rows, clock, await _file(request), dry_run=dry_run)


async def _file(request: Request[Any, Any, Any]) -> bytes:
    if request.content_type[0] != "multipart/form-data":
        return await request.body()
    files = [one for one in (await request.form()).values() if isinstance(one, UploadFile)]
    if len(files) != 1:
        raise Refused(f"the form has {len(files)} files: send one")
    return await files[0].read()


@post("/v1/vens/{ven_id:str}/credential")
async def renew_credential(ven_id: FromPath[str], rows: WithRows, clock: WithClock) -> Credential:
    """A new secret for the VEN; the old one stops working, and whoever is connected by it is disconnected."""
    return await actions.renew_credential(rows, clock, ven_id)


@post("/v1/vens/{ven_id:str}/resources")
async def add_resource(
    ven_id: FromPath[str], data: JSONBody[NewResource], rows: WithRows, clock: WithClock
) -> Resource:
    return await actions.add_resource(rows, clock, ven_id, data)


@get("/v1/resources")
async def list_resources(
    rows: WithRows, ven_id: FromQuery[str | None] = None, limit: Limit = 100, cursor: Cursor = None
) -> Page[Resource]:
    ven, _, resource = after(cursor).partition("/")
    found = await reads.resources(rows, ven_id, after=(ven, resource), limit=limit + 1)
    return page(found, limit, lambda one: f"{one.ven_id}/{one.resource_id}")


@post("/v1/series")
async def declare_series(data: JSONBody[Declaration], rows: WithRows, clock: WithClock) -> Declaration:
    return await actions.declare(rows, clock, data)


@get("/v1/series")
async def list_series(
    rows: WithRows,
    limit: Limit = 100,
    cursor: Cursor = None,
    q: Search = None,
    source: Annotated[str | None, Parameter(description="Only series of this source, such as mqtt, ons or nem")] = None,
) -> Page[Declaration]:
    found = await reads.declarations(rows, q=q, source=source, after=after(cursor), limit=limit + 1)
    return page(found, limit, lambda series: series.series_id)


@get("/v1/series/{series_id:str}")
async def show_series(series_id: FromPath[str], rows: WithRows) -> Declaration:
    return await rows.read(lambda reader: reads.the_series(reader, series_id))


ROUTES = [
    add_site,
    list_sites,
    show_site,
    register_ven,
    import_vens,
    renew_credential,
    add_resource,
    list_resources,
    declare_series,
    list_series,
    show_series,
]
