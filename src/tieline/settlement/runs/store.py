"""The tables of runs, of the accounts in them and of what was said of both: rows are added, never changed."""

import zlib
from datetime import datetime

import msgspec
import sqlalchemy as sa

from tieline.columns import Counter, Instant, Money
from tieline.ports import Transaction
from tieline.settlement.model import canonical
from tieline.settlement.runs.model import Account, Review, Run

metadata = sa.MetaData()

settlement_run = sa.Table(
    "settlement_run",
    metadata,
    sa.Column("run_id", sa.String(96), primary_key=True),
    sa.Column("program_id", sa.String(64), nullable=False),
    sa.Column("from_day", sa.Date, nullable=False),
    sa.Column("until_day", sa.Date, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("known_at", Instant, nullable=False),
    sa.Column("made_at", Instant, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),  # canonical JSON of a Run without its accounts
    sa.Index("settlement_run_by_period", "program_id", "from_day", "number", unique=True),
    sa.Index("settlement_run_by_known_at", "known_at", "run_id"),
)

account = sa.Table(
    "account",
    metadata,
    sa.Column("run_id", sa.String(96), sa.ForeignKey("settlement_run.run_id"), primary_key=True),
    sa.Column("ven_id", sa.String(64), primary_key=True),
    sa.Column("total", Money, nullable=False),
    sa.Column("packed", sa.LargeBinary, nullable=False),  # canonical JSON of an Account, deflated
)

review = sa.Table(
    "review",
    metadata,
    sa.Column("seq", Counter, primary_key=True),
    sa.Column("run_id", sa.String(96), sa.ForeignKey("settlement_run.run_id"), nullable=False),
    sa.Column("ven_id", sa.String(64), nullable=False),  # empty: of the whole run
    sa.Column("verdict", sa.String(16), nullable=False),
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("note", sa.String(2000), nullable=False),
    sa.Index("review_by_run", "run_id", "seq"),
)

QUICKLY = 1
"""How hard zlib tries: entries are much alike, and the least effort makes a tenth of them."""


def packed(one: Account) -> bytes:
    return zlib.compress(canonical(one), QUICKLY)


def unpacked(data: bytes) -> Account:
    return msgspec.json.decode(zlib.decompress(data), type=Account)


def add_run(tx: Transaction, new: Run, accounts: list[dict[str, object]], now: datetime) -> None:
    """With its accounts as rows, packed beforehand since that takes a while."""
    tx.execute(
        sa.insert(settlement_run).values(
            run_id=new.run_id,
            program_id=new.program_id,
            from_day=new.from_day,
            until_day=new.until_day,
            number=new.number,
            known_at=new.known_at,
            made_at=now,
            digest=new.digest,
            body=canonical(msgspec.structs.replace(new, accounts=[])),
        )
    )
    if accounts:
        tx.execute(sa.insert(account), accounts)


def add_review(tx: Transaction, new: Review) -> None:
    tx.execute(sa.insert(review).values(**msgspec.structs.asdict(new)))
