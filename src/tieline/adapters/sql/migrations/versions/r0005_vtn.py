"""The OpenADR gateway: its objects, what its notifier remembers, which reports were due and came, what they read."""

import sqlalchemy as sa
from alembic import op

from tieline.columns import Counter, Instant

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    _objects()
    _notifier()
    _expectations()
    _reported_readings()


def _objects() -> None:
    op.create_table(
        "report",
        sa.Column("report_id", sa.String(64), primary_key=True),
        sa.Column("event_id", sa.String(128), nullable=False),
        sa.Column("program_id", sa.String(128), nullable=False),
        sa.Column("client_id", sa.String(128), nullable=False),
        sa.Column("client_name", sa.String(128), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("modified_at", Instant, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("taken_at", Instant),
    )
    op.create_index("report_by_creation", "report", ["created_at", "report_id"])
    op.create_index("report_by_event", "report", ["event_id", "client_id"])
    op.create_index("report_by_client", "report", ["client_id", "created_at"])
    op.create_table(
        "subscription",
        sa.Column("subscription_id", sa.String(64), primary_key=True),
        sa.Column("client_id", sa.String(128), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("modified_at", Instant, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("business", sa.Boolean, nullable=False),
        sa.Column("dialect", sa.String(16), nullable=False),
    )
    op.create_index("subscription_by_creation", "subscription", ["created_at", "subscription_id"])


def _notifier() -> None:
    op.create_table(
        "notifier",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("position", Counter, nullable=False),
        sa.Column("said_at", Instant),
        sa.Column("worker", sa.String(32)),
        sa.Column("claimed_until_at", Instant),
    )
    op.create_table(
        "topic_reader",
        sa.Column("kind", sa.String(8), primary_key=True),
        sa.Column("reader_id", sa.String(128), primary_key=True),
    )


def _expectations() -> None:
    op.create_table(
        "expectation",
        sa.Column("event_id", sa.String(128), primary_key=True),
        sa.Column("ven_id", sa.String(64), primary_key=True),
        sa.Column("descriptor", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("turn", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("payload_type", sa.String(128)),
        sa.Column("due_at", Instant),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("report_id", sa.String(64)),
        sa.Column("received_at", Instant),
    )
    op.create_index("expectation_by_turn", "expectation", ["event_id", "descriptor", "turn"])
    op.create_table(
        "judged",
        sa.Column("event_id", sa.String(128), primary_key=True),
        sa.Column("until_at", Instant, nullable=False),
    )


def _reported_readings() -> None:
    op.create_table(
        "reported_reading",
        sa.Column("series_id", sa.String(400), primary_key=True),
        sa.Column("at", Instant, primary_key=True),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("flags", sa.Integer, nullable=False),
        sa.Column("stated_at", Instant, nullable=False),
    )
    op.create_index("reported_reading_by_age", "reported_reading", ["at"])
