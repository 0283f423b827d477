"""The queue of webhooks: endpoints, their lanes, deliveries and what they say."""

import sqlalchemy as sa
from alembic import op

from tieline.columns import Counter, Instant

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    _endpoints()
    _deliveries()


def _endpoints() -> None:
    op.create_table(
        "webhook_endpoint",
        sa.Column("endpoint_id", sa.String(32), primary_key=True),
        sa.Column("callback_url", sa.Text, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("broken_at", Instant),
        sa.Column("rest_until_at", Instant),
        sa.Column("reason", sa.String(300)),
        sa.Column("worker", sa.String(32)),
        sa.Column("lease_until_at", Instant),
        sa.Column("served_at", Instant, nullable=False),
    )
    op.create_index("webhook_endpoint_by_service", "webhook_endpoint", ["served_at"])
    op.create_table(
        "webhook_lane",
        sa.Column("lane_id", sa.String(32), primary_key=True),
        sa.Column("endpoint_id", sa.String(32), sa.ForeignKey("webhook_endpoint.endpoint_id"), nullable=False),
        sa.Column("due_at", Instant, nullable=False),
    )
    op.create_index("webhook_lane_by_due", "webhook_lane", ["endpoint_id", "due_at"])


def _deliveries() -> None:
    op.create_table(
        "webhook_body",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("stored_at", Instant, nullable=False),
    )
    op.create_table(
        "webhook_delivery",
        sa.Column("seq", Counter, primary_key=True),
        sa.Column("delivery_id", sa.String(32), nullable=False, unique=True),
        sa.Column("lane_id", sa.String(32), sa.ForeignKey("webhook_lane.lane_id")),
        sa.Column("subscription_id", sa.String(64), nullable=False),
        sa.Column("object_id", sa.String(128), nullable=False),
        sa.Column("callback_url", sa.Text, nullable=False),
        sa.Column("digest", sa.String(64), sa.ForeignKey("webhook_body.digest"), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("reason", sa.String(300)),
        sa.Column("enqueued_at", Instant, nullable=False),
        sa.Column("dead_at", Instant),
    )
    op.create_index("webhook_delivery_by_lane", "webhook_delivery", ["lane_id", "seq"])
    op.create_index("webhook_delivery_by_death", "webhook_delivery", ["dead_at", "seq"])
    op.create_index("webhook_delivery_by_subscription", "webhook_delivery", ["subscription_id"])
    op.create_index("webhook_delivery_by_body", "webhook_delivery", ["digest"])
