"""What others may ask of the registry. Functions on a Reader join a caller's transaction; those on Rows are whole."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from tieline.base.errors import NotFound
from tieline.base.series import Declaration
from tieline.columns import structs
from tieline.ports import Reader, Rows
from tieline.registry.model import Lifetime, Resource, Site, Ven
from tieline.registry.store import resource, series, site, ven

T = TypeVar("T")

_VENS = (
    sa.select(ven, site.c.name.label("site_name"), site.c.zone, site.c.panel_a)
    .join(site)
    .where(ven.c.retired_at.is_(None))
)
_LIFETIMES = sa.select(ven.c.ven_id, ven.c.created_at, ven.c.retired_at)
_AT_ONCE = 500  # names of a query
_SERIES = sa.select(*[series.c[name] for name in Declaration.__struct_fields__])


def _one(reader: Reader, kind: type[T], query: sa.Select[Any]) -> T | None:
    return next(iter(structs(kind, reader.execute(query))), None)


def _found(thing: T | None, what: str) -> T:
    if thing is None:
        raise NotFound(f"there is no {what}")
    return thing


def find_site(reader: Reader, site_id: str) -> Site | None:
    return _one(reader, Site, sa.select(site).where(site.c.site_id == site_id))


def the_site(reader: Reader, site_id: str) -> Site:
    """Raises `NotFound`."""
    return _found(find_site(reader, site_id), f"site {site_id!r}")


def find_ven(reader: Reader, ven_id: str) -> Ven | None:
    return _one(reader, Ven, _VENS.where(ven.c.ven_id == ven_id))


def the_ven(reader: Reader, ven_id: str) -> Ven:
    """Raises `NotFound`."""
    return _found(find_ven(reader, ven_id), f"VEN {ven_id!r}")


def is_retired(reader: Reader, ven_id: str) -> bool:
    query = sa.select(ven.c.ven_id).where(ven.c.ven_id == ven_id, ven.c.retired_at.is_not(None))
    return reader.execute(query).first() is not None


def ven_named(reader: Reader, name: str) -> str | None:
    """The id of the VEN of that name."""
    found: str | None = reader.execute(
        sa.select(ven.c.ven_id).where(ven.c.name == name, ven.c.retired_at.is_(None))
    ).scalar()
    return found


def vens_at(reader: Reader, site_id: str) -> list[str]:
    """The ids, in order, of the VENs of a site; also of those that were retired."""
    query = sa.select(ven.c.ven_id).where(ven.c.site_id == site_id).order_by(ven.c.ven_id)
    return list(reader.execute(query).scalars())


def resources_of(reader: Reader, ven_id: str) -> list[Resource]:
    return structs(
        Resource,
        reader.execute(sa.select(resource).where(resource.c.ven_id == ven_id).order_by(resource.c.resource_id)),
    )


def lifetimes_of(reader: Reader, ven_ids: Collection[str]) -> dict[str, Lifetime]:
    """By VEN; also of those that were retired."""
    found = [structs(Lifetime, reader.execute(_LIFETIMES.where(ven.c.ven_id.in_(some)))) for some in _some(ven_ids)]
    return {one.ven_id: one for each in found for one in each}


def sheddable_of(reader: Reader, ven_ids: Collection[str]) -> dict[str, list[str]]:
    """The ids, in order, of the loads that may be shed, by VEN that has any."""
    query = sa.select(resource.c.ven_id, resource.c.resource_id).where(resource.c.sheddable)
    ordered, found = query.order_by(resource.c.ven_id, resource.c.resource_id), dict[str, list[str]]()
    for some in _some(ven_ids):
        for row in reader.execute(ordered.where(resource.c.ven_id.in_(some))):
            found.setdefault(row.ven_id, []).append(row.resource_id)
    return found


def _some(ven_ids: Collection[str]) -> Iterator[Sequence[str]]:
    """As many as one query may name."""
    ordered = sorted(ven_ids)
    return (ordered[first : first + _AT_ONCE] for first in range(0, len(ordered), _AT_ONCE))


def registered(reader: Reader, ven_ids: Collection[str]) -> dict[str, tuple[Ven, list[Resource]]]:
    """Those of these VENs that there are, each with its loads: a thousand at most."""
    vens = structs(Ven, reader.execute(_VENS.where(ven.c.ven_id.in_(sorted(ven_ids)))))
    found: dict[str, tuple[Ven, list[Resource]]] = {one.ven_id: (one, []) for one in vens}
    query = sa.select(resource).where(resource.c.ven_id.in_(sorted(found))).order_by(resource.c.resource_id)
    for load in structs(Resource, reader.execute(query)):
        found[load.ven_id][1].append(load)
    return found


def the_series(reader: Reader, series_id: str) -> Declaration:
    """Raises `NotFound`."""
    return _found(_one(reader, Declaration, _SERIES.where(series.c.series_id == series_id)), f"series {series_id!r}")


def declared(reader: Reader, series_ids: Collection[str]) -> dict[str, Declaration]:
    """Those of these series that there are, by id."""
    found = [
        structs(Declaration, reader.execute(_SERIES.where(series.c.series_id.in_(some)))) for some in _some(series_ids)
    ]
    return {one.series_id: one for each in found for one in each}


def units(reader: Reader) -> dict[str, str]:
    """The unit of every series by id, in order of id."""
    query = sa.select(series.c.series_id, series.c.unit).order_by(series.c.series_id)
    return {row.series_id: row.unit for row in reader.execute(query)}


async def sites(rows: Rows, *, q: str | None = None, after: str = "", limit: int = 100) -> list[Site]:
    """In order of id, after an id; `q` is text in id or name."""
    query = sa.select(site).where(site.c.site_id > after).order_by(site.c.site_id).limit(limit)
    return await rows.read(
        lambda reader: structs(Site, reader.execute(_matching(query, q, site.c.site_id, site.c.name)))
    )


async def vens(rows: Rows, *, q: str | None = None, after: str = "", limit: int | None = None) -> list[Ven]:
    """In order of id, after an id; `q` is text in the id, its name or its site's name."""
    query = _VENS.where(ven.c.ven_id > after).order_by(ven.c.ven_id).limit(limit)
    return await rows.read(
        lambda reader: structs(Ven, reader.execute(_matching(query, q, ven.c.ven_id, ven.c.name, site.c.name)))
    )


async def lifetimes(rows: Rows) -> list[Lifetime]:
    """Of all VENs that ever were, in order of id."""
    return await rows.read(lambda reader: structs(Lifetime, reader.execute(_LIFETIMES.order_by(ven.c.ven_id))))


def first_created_at(reader: Reader) -> datetime | None:
    """When the first VEN of all that ever were was registered."""
    found: datetime | None = reader.execute(sa.select(sa.func.min(ven.c.created_at))).scalar()
    return found


async def sheddable_ever(rows: Rows) -> list[tuple[str, str]]:
    """Every load, by (VEN, id), that could be shed when it was declared; in order, also those that are gone since."""
    named = series.c.series_id.like("%.sheddable/_kw", escape="/")
    query = sa.select(series.c.ven_id, series.c.resource_id).where(named, series.c.resource_id.is_not(None))
    ordered = query.order_by(series.c.ven_id, series.c.resource_id)
    return await rows.read(lambda reader: [(one.ven_id, one.resource_id) for one in reader.execute(ordered)])


async def resources(
    rows: Rows, ven_id: str | None = None, *, after: tuple[str, str] = ("", ""), limit: int | None = None
) -> list[Resource]:
    """Of one VEN, or of all, in order of VEN and id, after a (VEN, id)."""
    key = sa.tuple_(resource.c.ven_id, resource.c.resource_id)
    query = sa.select(resource).where(key > sa.tuple_(*after)).order_by(*key).limit(limit)
    chosen = query if ven_id is None else query.where(resource.c.ven_id == ven_id)
    return await rows.read(lambda reader: structs(Resource, reader.execute(chosen)))


async def sheddable(rows: Rows) -> list[tuple[str, str, str, float]]:
    """(VEN, id, kind, rated kW) of every load that may be shed, in order of VEN and id; bare, for who asks often."""
    columns = (resource.c.ven_id, resource.c.resource_id, resource.c.kind, resource.c.rated_kw)
    query = sa.select(*columns).where(resource.c.sheddable).order_by(*columns[:2])
    return await rows.read(lambda reader: [tuple(row) for row in reader.execute(query)])


async def declarations(
    rows: Rows, *, q: str | None = None, source: str | None = None, after: str = "", limit: int = 100
) -> list[Declaration]:
    """Series in order of id, after an id; `q` is text in the id."""
    query = _SERIES.where(series.c.series_id > after).order_by(series.c.series_id).limit(limit)
    chosen = query if source is None else query.where(series.c.source == source)
    return await rows.read(
        lambda reader: structs(Declaration, reader.execute(_matching(chosen, q, series.c.series_id)))
    )


def _matching(query: sa.Select[Any], q: str | None, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    return query if not q else query.where(sa.or_(*[column.icontains(q, autoescape=True) for column in columns]))
