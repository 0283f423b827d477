"""Putting a program's terms and keeping its commitments: checked where they come in, never changed once a run cites
them."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from tieline.base.errors import Conflict, NotFound, Refused
from tieline.base.names import is_series_id
from tieline.dispatch import reads as dispatch
from tieline.ports import Reader, Transaction
from tieline.registry import reads as registry
from tieline.settlement.baseline.days import holidays_of
from tieline.settlement.baseline.markets import RULES
from tieline.settlement.terms import currencies, reads, store
from tieline.settlement.terms.commitments import MOST_ROWS, NewCommitment
from tieline.settlement.terms.model import Market, NewTerms, Terms

DEGREES = ("degC", "CELSIUS")
"""The unit of temperatures, and OpenADR's word for it."""


def put(tx: Transaction, program_id: str, new: NewTerms, now: datetime) -> Terms:
    """The program's terms from a day on: they end where the next begin, those before end where these begin, and those
    of the same day make way. The same terms again change nothing.

    Raises `NotFound`, `Refused` for what names nothing that is known, `Conflict` for a day that is settled.
    """
    dispatch.the_program(tx, program_id)
    _check(tx, new)
    before = reads.of_program(tx, program_id)
    of_day = next((one for one in before if one.valid_from == new.valid_from), None)
    others = [one for one in before if one is not of_day]
    named: dict[str, Any] = {
        "program_id": program_id,
        "number": of_day.number if of_day else len(before) + 1,
        "valid_until": next((one.valid_from for one in others if one.valid_from > new.valid_from), None),
    }
    made = Terms(**{**msgspec.structs.asdict(new), **named})
    if made != of_day:
        _check_day(reads.cited_until(tx, program_id), new.valid_from)
        _check_zone(others, new.zone)
        store.put_terms(tx, msgspec.structs.replace(made, valid_until=None), now)
    return made


def _check_day(cited_until: date | None, valid_from: date) -> None:
    if cited_until is not None and valid_from < cited_until:
        raise Conflict(
            f"the days before {cited_until} are settled by the terms in force: begin on that day or after it"
        )


def _check_zone(others: Sequence[Terms], zone: str) -> None:
    """Periods of one zone alone follow each other without any hour between, or twice."""
    if others and others[-1].zone != zone:
        raise Conflict(f"the days of this program are of {others[-1].zone}: terms that follow keep its zone")


def _check(reader: Reader, new: NewTerms) -> None:
    """Raises `Refused` for a name that nothing bears, and says which there are."""
    if new.baseline not in RULES:
        raise Refused(f"baseline: there is no rule {new.baseline!r}: there are {', '.join(RULES)}")
    try:
        ZoneInfo(new.zone)
    except (KeyError, ValueError, OSError):
        raise Refused(f"zone: {new.zone!r} is none of the IANA time zones, such as Australia/Sydney") from None
    if new.currency not in currencies.ISO_4217:
        raise Refused(f"currency: {new.currency!r} is none of ISO 4217, such as AUD, BRL, EUR, TWD, USD")
    if new.holidays.subdivision and not new.holidays.country:
        raise Refused("holidays: a subdivision needs its country, such as country AU with subdivision NSW")
    if new.calendar:
        holidays_of(new.calendar, [new.valid_from.year])
    if isinstance(new.energy, Market):
        _check_market(reader, new.energy, new.currency)
    if isinstance(new.temperature, str) or RULES[new.baseline].wants_temperature:
        _check_temperature(reader, new.temperature or "", new.baseline)


def _check_temperature(reader: Reader, series_id: str, baseline: str) -> None:
    if not series_id:
        raise Refused(f"temperature: {baseline} looks at the weather: name a series in {DEGREES[0]}")
    if (unit := _unit(reader, series_id, "temperature")) not in DEGREES:
        raise Refused(f"temperature: {series_id} is in {unit}: a series in {DEGREES[0]} was expected")


def _unit(reader: Reader, series_id: str, what: str) -> str:
    try:
        if is_series_id(series_id):
            return registry.the_series(reader, series_id).unit
    except NotFound:
        pass
    raise Refused(f"{what}: there is no series {series_id!r}: GET /v1/series lists them") from None


def _check_market(reader: Reader, market: Market, currency: str) -> None:
    unit = _unit(reader, market.series_id, "energy")
    if unit != f"{currency}/MWh":
        raise Refused(f"energy: {market.series_id} is in {unit}: a price in {currency}/MWh was expected")


def cite(tx: Transaction, terms: Terms, until_day: date) -> None:
    """A run was made by them, of days until this one: from now on they stay as they are for those."""
    store.cite(tx, terms.program_id, terms.number, until_day)


def commit(tx: Transaction, program_id: str, new: Sequence[NewCommitment], now: datetime) -> int:
    """Kept beside all that was kept before; how many. Raises `Refused`, `NotFound`."""
    dispatch.the_program(tx, program_id)
    if len(new) > MOST_ROWS:
        raise Refused(f"{len(new)} commitments are too many at once: send at most {MOST_ROWS}")
    if len({(one.ven_id, one.valid_from) for one in new}) < len(new):
        raise Refused("a VEN has two commitments from the same day: send one of them")
    ids = {one.ven_id for one in new}
    if unknown := ids - set(registry.lifetimes_of(tx, ids)):
        raise Refused(f"there is no VEN {min(unknown)!r}, and {len(unknown) - 1} more of these are not registered")
    store.add_commitments(tx, program_id, new, now)
    return len(new)
