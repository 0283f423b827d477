"""What participants of a program committed to give: kilowatts, from a day on. Pure.

    valid from    kept at        kW
    2026-06-01    2026-05-20     5       from June on five,
    2026-07-01    2026-06-25     3       from July on three;
    2026-07-01    2026-07-03     4       no, four: what was kept later of the same day counts, from then on

Nothing is overwritten, so that what was known at an instant can be told at any other. 0 kW ends a commitment.
"""

import csv
import io
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

import msgspec

from tieline.base.errors import Refused
from tieline.base.names import Id, is_id
from tieline.settlement.terms.model import NONE, bounded

COLUMNS = ["ven_id", "kw", "valid_from"]
MOST_ROWS = 100_000


class NewCommitment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many kilowatts from a day on, in the zone of the program's terms."""

    ven_id: Id
    kw: Decimal
    valid_from: date

    def __post_init__(self) -> None:
        bounded(f"kw of {self.ven_id}", self.kw, NONE)


class Commitment(msgspec.Struct, frozen=True):
    program_id: str
    ven_id: str
    kw: Decimal
    valid_from: date
    known_at: datetime


class Committed(msgspec.Struct, frozen=True):
    """Kilowatts of one participant over days [from, until)."""

    ven_id: str
    kw: Decimal
    from_day: date
    until_day: date


def over(kept: Iterable[Commitment], from_day: date, until_day: date) -> list[Committed]:
    """What was committed in a period, in order of VEN and day; `kept` in any order."""
    newest: dict[tuple[str, date], Commitment] = {}
    for one in sorted(kept, key=lambda one: (one.ven_id, one.valid_from, one.known_at)):
        newest[one.ven_id, one.valid_from] = one
    turns = list(newest.values())
    found = []
    for one, then in zip(turns, [*turns[1:], None], strict=False):
        end = then.valid_from if then is not None and then.ven_id == one.ven_id else until_day
        start, end = max(one.valid_from, from_day), min(end, until_day)
        if start < end and one.kw:
            found.append(Committed(one.ven_id, one.kw, start, end))
    return found


def parsed(text: bytes) -> list[NewCommitment]:
    """A CSV file with the columns ven_id, kw, valid_from. Raises `Refused`, and names the line."""
    try:
        rows = csv.DictReader(io.StringIO(text.decode("utf-8-sig")), strict=True)
        missing = set(COLUMNS) - set(rows.fieldnames or ())
        if missing:
            raise Refused(f"the file has no column {min(missing)}: {', '.join(COLUMNS)} were expected")
        return [_row(row, rows.line_num) for row in rows]
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"the file is no CSV in UTF-8: {error}") from None


def _row(row: dict[str, str | None], line: int) -> NewCommitment:
    ven_id, kw, valid_from = ((row[name] or "").strip() for name in COLUMNS)
    if not is_id(ven_id):
        raise Refused(f"line {line}: ven_id {ven_id[:80]!r} is not 1 to 64 of A-Z a-z 0-9 _ -")
    try:
        return NewCommitment(ven_id, Decimal(kw), date.fromisoformat(valid_from))
    except (InvalidOperation, ValueError):
        raise Refused(
            f"line {line}: kw as 4.5 and valid_from as 2026-06-01 were expected, not {kw!r}, {valid_from!r}"
        ) from None
    except Refused as error:
        raise Refused(f"line {line}: {error}") from None
