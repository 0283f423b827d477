"""The tables of the slices: identity, registry, telemetry, dispatch, settlement, feeds."""

import sqlalchemy as sa
from alembic import op

from tieline.columns import Instant

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    _identity()
    _registry()
    _series()
    _telemetry()
    _dispatch()
    _ledger()
    _settlement()
    _feeds()


def _identity() -> None:
    op.create_table(
        "credential",
        sa.Column("subject", sa.String(64), primary_key=True),
        sa.Column("secret_digest", sa.String(64), nullable=False),
        sa.Column("issued_at", Instant, nullable=False),
        sa.Column("revoked_at", Instant),
    )


def _registry() -> None:
    op.create_table(
        "site",
        sa.Column("site_id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("zone", sa.String(64), nullable=False),
        sa.Column("latitude", sa.Double, nullable=False),
        sa.Column("longitude", sa.Double, nullable=False),
        sa.Column("panel_a", sa.Double, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
    )
    op.create_table(
        "ven",
        sa.Column("ven_id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("site_id", sa.String(64), sa.ForeignKey("site.site_id"), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
    )
    op.create_table(
        "resource",
        sa.Column("ven_id", sa.String(64), sa.ForeignKey("ven.ven_id"), primary_key=True),
        sa.Column("resource_id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("rated_kw", sa.Double, nullable=False),
        sa.Column("sheddable", sa.Boolean, nullable=False),
    )


def _series() -> None:
    op.create_table(
        "series",
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
    )
    op.create_index("series_by_source", "series", ["source", "series_id"])


def _telemetry() -> None:
    op.create_table(
        "dead_letter",
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("detail", sa.String(1000), nullable=False),
        sa.Column("said_at", Instant, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("excerpt", sa.String(400), nullable=False),
        sa.Column("ven_id", sa.String(64)),
    )


def _dispatch() -> None:
    op.create_table(
        "program",
        sa.Column("program_id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
    )
    op.create_table(
        "event",
        sa.Column("event_id", sa.String(64), primary_key=True),
        sa.Column("program_id", sa.String(64), sa.ForeignKey("program.program_id"), nullable=False),
        sa.Column("start_at", Instant, nullable=False),
        sa.Column("end_at", Instant, nullable=False),
        sa.Column("target_kw", sa.Double, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("planned_at", Instant),
        sa.Column("replanned_at", Instant),
        sa.Column("started_at", Instant),
        sa.Column("ended_at", Instant),
    )
    op.create_index("event_by_start", "event", ["start_at", "event_id"])


def _ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("event_id", sa.String(64), sa.ForeignKey("event.event_id"), primary_key=True),
        sa.Column("ven_id", sa.String(64), primary_key=True),
        sa.Column("resource_id", sa.String(64), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("planned_kw", sa.Double, nullable=False),
        sa.Column("cause", sa.String(400), nullable=False),
        sa.Column("planned_at", Instant, nullable=False),
        sa.Column("answer", sa.String(16)),
        sa.Column("sent_at", Instant),
        sa.Column("last_send_at", Instant),
        sa.Column("acked_at", Instant),
        sa.Column("acting_at", Instant),
        sa.Column("restoring_at", Instant),
        sa.Column("restored_at", Instant),
    )
    op.create_index("ledger_by_state", "ledger", ["state", "event_id"])


def _settlement() -> None:
    op.create_table(
        "frozen_baseline",
        sa.Column("event_id", sa.String(64), primary_key=True),
        sa.Column("known_at", Instant, nullable=False),
        sa.Column("rule", sa.String(64), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "statement",
        sa.Column("statement_id", sa.String(80), primary_key=True),
        sa.Column("event_id", sa.String(64), nullable=False),
        sa.Column("known_at", Instant, nullable=False),
        sa.Column("made_at", Instant, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("statement_by_event", "statement", ["event_id", "known_at"])
    op.create_index("statement_by_known_at", "statement", ["known_at", "statement_id"])


def _feeds() -> None:
    op.create_table(
        "loaded_file",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("dataset", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("series", sa.Integer, nullable=False),
        sa.Column("quarantined", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("loaded_at", Instant, nullable=False),
        sa.Column("quarantined_rows", sa.Text, nullable=False),
        sa.Column("findings", sa.Text, nullable=False),
    )
    op.create_index("loaded_file_by_time", "loaded_file", ["loaded_at", "digest"])
