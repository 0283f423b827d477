"""The tables of the registry and their writes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from tieline.base.series import Declaration
from tieline.columns import Instant, Json
from tieline.ports import Transaction
from tieline.registry.model import NewResource, NewSite
from tieline.wires.openadr31.messages import ValuesMap

metadata = sa.MetaData()

site = sa.Table(
    "site",
    metadata,
    sa.Column("site_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("zone", sa.String(64), nullable=False),
    sa.Column("latitude", sa.Double, nullable=False),
    sa.Column("longitude", sa.Double, nullable=False),
    sa.Column("panel_a", sa.Double, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)

ven = sa.Table(
    "ven",
    metadata,
    sa.Column("ven_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("site_id", sa.String(64), sa.ForeignKey("site.site_id"), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("modified_at", Instant, nullable=False),
    sa.Column("retired_at", Instant),  # what it did stays on record; nobody calls it any more
    sa.Column("client_id", sa.String(128)),  # the OAuth client that speaks for it
    sa.Column("named", sa.Boolean, nullable=False),  # business logic, not the client, gave it its name
    sa.Column("targets", Json(tuple[str, ...])),  # what it is granted to see
    sa.Column("attributes", Json(tuple[ValuesMap, ...])),
    sa.Index("ven_by_client", "client_id"),
    sa.Index("ven_by_creation", "created_at", "ven_id"),
    sa.Index(
        "ven_by_name",
        "name",
        unique=True,
        sqlite_where=sa.text("retired_at IS NULL"),
        postgresql_where=sa.text("retired_at IS NULL"),
    ),
)

resource = sa.Table(
    "resource",
    metadata,
    sa.Column("ven_id", sa.String(64), sa.ForeignKey("ven.ven_id"), primary_key=True),
    sa.Column("resource_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("rated_kw", sa.Double, nullable=False),
    sa.Column("sheddable", sa.Boolean, nullable=False),
    sa.Column("object_id", sa.String(64), nullable=False),  # its id in OpenADR, where ids are unique in the platform
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("modified_at", Instant, nullable=False),
    sa.Column("client_id", sa.String(128)),
    sa.Column("named", sa.Boolean, nullable=False),
    sa.Column("targets", Json(tuple[str, ...])),
    sa.Column("attributes", Json(tuple[ValuesMap, ...])),
    sa.Index("resource_by_object_id", "object_id", unique=True),
    sa.Index("resource_by_client", "client_id"),
    sa.Index("resource_by_creation", "created_at", "object_id"),
)

series = sa.Table(
    "series",
    metadata,
    sa.Column("series_id", sa.String(400), primary_key=True),
    sa.Column("unit", sa.String(32), nullable=False),
    sa.Column("step_s", sa.Integer, nullable=False),
    sa.Column("zone", sa.String(64), nullable=False),
    sa.Column("stamp", sa.String(8), nullable=False),
    sa.Column("hold_s", sa.Integer, nullable=False),
    sa.Column("source", sa.String(64), nullable=False),
    sa.Column("ven_id", sa.String(64)),
    sa.Column("resource_id", sa.String(64)),
    sa.Column("declared_at", Instant, nullable=False),
    sa.Index("series_by_source", "source", "series_id"),
)


def add_site(tx: Transaction, new: NewSite, now: datetime) -> None:
    tx.execute(sa.insert(site).values(**msgspec.structs.asdict(new), created_at=now))


def add_ven(tx: Transaction, ven_id: str, name: str, site_id: str, now: datetime, **openadr: Any) -> None:
    tx.execute(
        sa.insert(ven).values(
            ven_id=ven_id, name=name, site_id=site_id, created_at=now, modified_at=now, **({"named": True} | openadr)
        )
    )


def set_ven(tx: Transaction, ven_id: str, **values: Any) -> None:
    tx.execute(sa.update(ven).where(ven.c.ven_id == ven_id).values(**values))


def add_resources(tx: Transaction, ven_id: str, new: Sequence[tuple[str, NewResource]], now: datetime) -> None:
    """Resources with their object ids."""
    if new:
        stamps = {"ven_id": ven_id, "created_at": now, "modified_at": now, "named": True}
        tx.execute(
            sa.insert(resource),
            [{**stamps, "object_id": object_id, **msgspec.to_builtins(one)} for object_id, one in new],
        )


def set_resource(tx: Transaction, object_id: str, **values: Any) -> None:
    tx.execute(sa.update(resource).where(resource.c.object_id == object_id).values(**values))


def delete_resource(tx: Transaction, object_id: str) -> None:
    tx.execute(sa.delete(resource).where(resource.c.object_id == object_id))


def put_series(tx: Transaction, declarations: Sequence[Declaration], now: datetime) -> None:
    """Declare series that are not declared yet; what is declared stays as it was."""
    ids = [one.series_id for one in declarations]
    known = set(tx.execute(sa.select(series.c.series_id).where(series.c.series_id.in_(ids))).scalars())
    new = [{**msgspec.to_builtins(one), "declared_at": now} for one in declarations if one.series_id not in known]
    if new:
        tx.execute(sa.insert(series), new)
