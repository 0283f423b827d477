"""The tables of forecasts and their writes: what was made and how well it did, and whose turn it is to make what."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from tieline.columns import Counter, Instant
from tieline.forecasts.model import Run, Score
from tieline.ports import Transaction

metadata = sa.MetaData()

KINDS = ("tried", "tried_naive", "scored", "scored_naive")
"""The scores of a run, each in a row of its own."""

run = sa.Table(
    "forecast_run",
    metadata,
    sa.Column("run_id", Counter, primary_key=True),
    sa.Column("forecast_id", sa.String(200), nullable=False),
    sa.Column("horizon", sa.String(16), nullable=False),
    sa.Column("made_at", Instant, nullable=False),
    sa.Column("start_at", Instant, nullable=False),
    sa.Column("end_at", Instant, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("method", sa.String(32)),
    sa.Column("reason", sa.String(400), nullable=False),
    sa.Column("devices", sa.Integer, nullable=False),
    sa.Column("took_s", sa.Double, nullable=False),
    sa.Column("scored_at", Instant),
    sa.Index("forecast_run_by_subject", "forecast_id", "horizon", "made_at"),
    sa.Index("forecast_run_by_end", "scored_at", "end_at"),
)

score = sa.Table(
    "forecast_score",
    metadata,
    sa.Column("run_id", sa.BigInteger, sa.ForeignKey("forecast_run.run_id"), primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("n", sa.Integer, nullable=False),
    *(
        sa.Column(name, sa.Double, nullable=False)
        for name in ("actual_kw", "pinball_kw", "squared_kw2", "error_kw", "coverage")
    ),
)

turn = sa.Table(
    "forecast_turn",
    metadata,
    sa.Column("name", sa.String(16), primary_key=True),
    sa.Column("done_at", Instant),  # of the platform's clock: all that was due up to it is done
    sa.Column("asked", sa.Boolean, nullable=False),  # somebody wants it again
    sa.Column("taken_until_at", Instant),  # of the wall: who took the turn has lost it then
    sa.Column("position", sa.BigInteger, nullable=False),  # of the Log: readings up to it are in the sums
)


def add_run(tx: Transaction, new: Run) -> None:
    columns = {name: getattr(new, name) for name in run.c.keys() if name != "run_id"}  # noqa: SIM118  of columns
    run_id = tx.execute(sa.insert(run).values(**columns).returning(run.c.run_id)).scalar_one()
    put_scores(tx, run_id, {kind: getattr(new, kind) for kind in KINDS})


def set_scored(tx: Transaction, run_id: int, scored: Score | None, naive: Score | None, now: datetime) -> None:
    """Once: of what another process has scored meanwhile nothing changes."""
    fresh = sa.update(run).where(run.c.run_id == run_id, run.c.scored_at.is_(None))
    if tx.execute(fresh.values(scored_at=now)).rowcount:
        put_scores(tx, run_id, {"scored": scored, "scored_naive": naive})


def put_scores(tx: Transaction, run_id: int, scores: dict[str, Score | None]) -> None:
    rows = [{"run_id": run_id, "kind": kind, **msgspec.structs.asdict(one)} for kind, one in scores.items() if one]
    if rows:
        tx.execute(sa.insert(score), rows)


def forget_runs(tx: Transaction, before: datetime) -> None:
    old = sa.select(run.c.run_id).where(run.c.made_at < before)
    tx.execute(sa.delete(score).where(score.c.run_id.in_(old)))
    tx.execute(sa.delete(run).where(run.c.made_at < before))


def take_turn(tx: Transaction, name: str, wall_now: datetime, until_at: datetime) -> bool:
    """Whether the turn was free; then it is taken until an instant of the wall."""
    new = insert(turn).values(name=name, asked=False, position=0)
    tx.execute(new.on_conflict_do_nothing())
    free = sa.or_(turn.c.taken_until_at.is_(None), turn.c.taken_until_at <= wall_now)
    taken = sa.update(turn).where(turn.c.name == name, free).values(taken_until_at=until_at)
    return bool(tx.execute(taken).rowcount)


def end_turn(tx: Transaction, name: str, done_at: datetime | None, position: int = 0) -> None:
    """Done up to an instant; None: not at all, and it is anybody's again."""
    values = {"taken_until_at": None} | ({} if done_at is None else {"done_at": done_at, "asked": False})
    if position:
        values["position"] = position
    tx.execute(sa.update(turn).where(turn.c.name == name).values(**values))


def restart(tx: Transaction, name: str, since: datetime) -> None:
    """Only up to an instant is it done after all."""
    tx.execute(sa.update(turn).where(turn.c.name == name).values(done_at=since))


def ask(tx: Transaction, names: Sequence[str]) -> None:
    """What is asked for is due at once."""
    rows = [{"name": name, "asked": True, "position": 0} for name in names]
    tx.execute(insert(turn).on_conflict_do_update(index_elements=["name"], set_={"asked": True}), rows)
