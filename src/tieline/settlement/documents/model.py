"""A run, or one account of it, as a document that is handed over: what it says, its name and its forms. Pure.

    the run              whoever runs the program: every account, every input
    one account of it    a participant: its own amounts, what they follow from, and the digest of the whole run

The canonical JSON is the document; CSV and PDF show the same and name its digest.
"""

import enum
import hashlib
from datetime import date, datetime

import msgspec

from tieline.base.errors import Refused
from tieline.settlement.model import canonical
from tieline.settlement.runs.model import Account, Input, Measured, Run

WHOLE = "all"
"""Stands for a participant's id in the name of the whole run's document."""


class Form(enum.StrEnum):
    JSON = "json"
    CSV = "csv"
    PDF = "pdf"

    @property
    def media_type(self) -> str:
        return {"json": "application/json", "csv": "text/csv; charset=utf-8", "pdf": "application/pdf"}[self]


class AccountDocument(msgspec.Struct, frozen=True):
    """One participant's account; `run_digest` is of the whole run, `restates` of the run before it."""

    run_id: str
    program_id: str
    from_day: date
    until_day: date
    zone: str
    currency: str
    known_at: datetime
    number: int
    run_digest: str
    restates: str
    inputs: list[Input]
    account: Account
    measured: list[Measured] | msgspec.UnsetType = msgspec.UNSET


class Wanted(msgspec.Struct, frozen=True):
    """Which document is asked for, or its signature: `home-7.pdf`, `all.json.jws`."""

    ven_id: str  # empty: the whole run
    form: Form
    signature: bool = False

    @classmethod
    def parsed(cls, name: str) -> "Wanted":
        """Raises `Refused`."""
        of, _, form = name.removesuffix(".jws").rpartition(".")
        if not of or form not in list(Form):
            raise Refused(
                f"{name!r} is no document: ask for `{WHOLE}` or a VEN, .json, .csv or .pdf, then perhaps .jws"
            )
        return cls("" if of == WHOLE else of, Form(form), name.endswith(".jws"))

    def filename(self, run_id: str) -> str:
        parts = [run_id, *([self.ven_id] if self.ven_id else [])]
        return f"{'-'.join(parts)}.{self.form}{'.jws' if self.signature else ''}"


def of_account(run: Run, account: Account) -> AccountDocument:
    """`run` may come without its accounts."""
    return AccountDocument(
        run_id=run.run_id,
        program_id=run.program_id,
        from_day=run.from_day,
        until_day=run.until_day,
        zone=run.zone,
        currency=run.currency,
        known_at=run.known_at,
        number=run.number,
        run_digest=run.digest,
        restates=run.restates,
        inputs=run.inputs,
        account=account,
        measured=_measured(run, account) or msgspec.UNSET,
    )


def _measured(run: Run, account: Account) -> list[Measured]:
    """How its own events were measured: what all others delivered is not its business."""
    own = {one.event_id for one in account.deliveries}
    return [Measured(one.event_id, one.rule, one.calibration) for one in run.measured or [] if one.event_id in own]


def json_digest(shown: Run | AccountDocument) -> str:
    """SHA-256 of the document's canonical JSON, which is what all its forms and signatures name."""
    return hashlib.sha256(canonical(shown)).hexdigest()


def accounts(shown: Run | AccountDocument) -> list[Account]:
    return shown.accounts if isinstance(shown, Run) else [shown.account]
