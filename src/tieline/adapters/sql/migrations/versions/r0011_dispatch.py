"""What dispatch holds: rules of programs, profiles of events, the longer ledger, numbered commands, plans.

What was in flight goes on: its commands become those without a number.
"""

import sqlalchemy as sa
from alembic import op

from tieline.columns import Counter, Instant

revision = "0011"
down_revision = "0010"

INSTANTS = ("looked_at", "stirred_at", "returning_at")


def upgrade() -> None:
    op.add_column("program", sa.Column("rules", sa.Text, nullable=False, server_default="{}"))
    for name in INSTANTS:
        op.add_column("event", sa.Column(name, Instant))
    op.add_column("event", sa.Column("profile", sa.Text))
    op.drop_column("event", "replanned_at")
    _ledger()
    _steps()
    _calls()
    _in_flight()
    _plans()


def _ledger() -> None:
    for name in ("metered_at", "escalated_at", "reference_at"):
        op.add_column("ledger", sa.Column(name, Instant))
    op.add_column("ledger", sa.Column("delivered_kw", sa.Double))
    for name, kind in (("limit_kw", sa.Double), ("reference_kw", sa.Double), ("run_min", sa.Integer)):
        op.add_column("ledger", sa.Column(name, kind, nullable=False, server_default="0"))
    op.execute("UPDATE ledger SET reference_kw = planned_kw")


def _steps() -> None:
    op.create_table(
        "ledger_step",
        sa.Column("seq", Counter, primary_key=True),
        sa.Column("event_id", sa.String(64), nullable=False),
        sa.Column("ven_id", sa.String(64), nullable=False),
        sa.Column("resource_id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("cause", sa.String(400), nullable=False),
    )
    op.create_index("ledger_step_by_ven", "ledger_step", ["event_id", "ven_id", "seq"])


def _calls() -> None:
    op.create_table(
        "ven_call",
        sa.Column("event_id", sa.String(64), sa.ForeignKey("event.event_id"), primary_key=True),
        sa.Column("ven_id", sa.String(64), primary_key=True),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("op", sa.String(16), nullable=False),
        sa.Column("issued_at", Instant, nullable=False),
        sa.Column("start_at", Instant, nullable=False),
        sa.Column("end_at", Instant, nullable=False),
        sa.Column("limits", sa.Text, nullable=False),
        sa.Column("said_at", Instant, nullable=False),
        sa.Column("answer", sa.String(16)),
        sa.Column("answered_at", Instant),
        sa.Column("anew", sa.Boolean, nullable=False),
    )


def _in_flight() -> None:
    """Each VEN's loads of one event were in one command, for which it restores by its own clock."""
    bind = op.get_bind()
    names = ("event_id", "ven_id", "n", "op", "issued_at", "start_at", "end_at", "limits", "said_at")
    call = sa.table("ven_call", *(sa.column(name) for name in (*names, "answer", "answered_at", "anew")))
    sent = bind.execute(
        sa.text(
            "SELECT ledger.event_id, ven_id, min(sent_at) AS issued_at, start_at, end_at, max(last_send_at) AS said_at,"
            " max(answer) AS answer, max(acked_at) AS answered_at FROM ledger JOIN event ON event.event_id ="
            " ledger.event_id WHERE sent_at IS NOT NULL AND ledger.state NOT IN ('restored', 'escalated')"
            " GROUP BY ledger.event_id, ven_id, start_at, end_at"
        )
    ).mappings()
    for row in sent.all():
        loads = sa.text("SELECT resource_id FROM ledger WHERE event_id = :e AND ven_id = :v AND sent_at IS NOT NULL")
        found = bind.execute(loads, {"e": row["event_id"], "v": row["ven_id"]}).scalars()
        limits = "[" + ",".join(f'{{"resource_id":"{one}","limit_kw":0.0}}' for one in sorted(found)) + "]"
        said_at = row["said_at"] or row["issued_at"]
        values = {**row, "n": 0, "op": "event", "limits": limits, "said_at": said_at, "anew": False}
        bind.execute(sa.insert(call).values(**values))


def _plans() -> None:
    op.create_table(
        "plan",
        sa.Column("plan_id", Counter, primary_key=True),
        sa.Column("event_id", sa.String(64), sa.ForeignKey("event.event_id"), nullable=False),
        sa.Column("at", Instant, nullable=False),
        *(sa.Column(f"{name}_kw", sa.Double, nullable=False) for name in ("target", "expected", "headroom", "called")),
        sa.Column("called", sa.Integer, nullable=False),
        sa.Column("released", sa.Integer, nullable=False),
        sa.Column("cost", sa.Double, nullable=False),
        sa.Column("gap", sa.Double, nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("why", sa.LargeBinary),
    )
    op.create_index("plan_by_event", "plan", ["event_id", "plan_id"])
    op.create_table(
        "delivery",
        sa.Column("event_id", sa.String(64), sa.ForeignKey("event.event_id"), primary_key=True),
        sa.Column("at", Instant, primary_key=True),
        *(
            sa.Column(f"{name}_kw", sa.Double, nullable=False)
            for name in ("target", "delivered", "expected", "headroom")
        ),
        sa.Column("held", sa.Integer, nullable=False),
    )
