"""What somebody says of a run or of an account in it: approved, disputed, resolved; added, never changed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec

from tieline.base.errors import Conflict
from tieline.ports import Reader, Transaction
from tieline.settlement.runs import reads, store
from tieline.settlement.runs.model import Review, Run, Verdict


class NewReview(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `by` says of a run, or of one VEN's account in it."""

    verdict: Verdict
    by: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    note: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    ven_id: Annotated[str, msgspec.Meta(max_length=64)] = ""


def review(tx: Transaction, run_id: str, new: NewReview, now: datetime) -> Review:
    """Raises `NotFound`, and `Conflict` for what cannot be said of the run as it stands."""
    run = reads.the_head(tx, run_id)
    if new.ven_id:
        reads.the_account(tx, run_id, new.ven_id)
    disputed = open_disputes(reads.reviews(tx, run_id))
    newest = [one for one in reads.runs_of(tx, run.program_id, run.from_day) if one.period == run.period][-1]
    against = [one for one in disputed if not new.ven_id or one in ("", new.ven_id)]
    if new.verdict is Verdict.APPROVED and newest.run_id != run_id:
        raise Conflict(f"{run_id} is restated by {newest.run_id}: approve that one")
    if new.verdict is Verdict.APPROVED and against:
        raise Conflict(f"{_name(against[0])} of {run_id} is disputed: resolve that first")
    if new.verdict is Verdict.APPROVED:
        no_rival(tx, run)
    if new.verdict is Verdict.RESOLVED and new.ven_id not in disputed:
        raise Conflict(f"{_name(new.ven_id)} of {run_id} is not disputed: there is nothing to resolve")
    made = Review(run_id, new.ven_id, new.verdict, new.by, now, new.note)
    store.add_review(tx, made)
    tx.say(f"news.settlement.{new.verdict}", msgspec.json.encode(made))
    return made


def no_rival(reader: Reader, run: Run) -> None:
    """Raises `Conflict` where some of its days are approved in another period."""
    if (rival := reads.rival(reader, run)) is not None:
        raise Conflict(f"run {rival.run_id}, until {rival.until_day}, has some of the same days and is approved")


def open_disputes(reviews: Sequence[Review]) -> list[str]:
    """The accounts (empty: the whole run) that somebody disputed and nobody resolved since, in order."""
    last = {one.ven_id: one.verdict for one in reviews if one.verdict is not Verdict.APPROVED}
    return sorted(ven_id for ven_id, verdict in last.items() if verdict is Verdict.DISPUTED)


def _name(ven_id: str) -> str:
    return f"the account of {ven_id}" if ven_id else "the whole"
