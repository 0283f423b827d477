"""How a program's events are measured: what its terms of the event's day say, else what is done without terms."""

from collections.abc import Collection
from datetime import date, datetime
from decimal import Decimal

import msgspec

from tieline.ports import Reader
from tieline.settlement.baseline.days import holidays_of
from tieline.settlement.baseline.markets import CAISO_10_IN_10, RULES
from tieline.settlement.baseline.rules import Rule
from tieline.settlement.terms import reads
from tieline.settlement.terms.model import Export, Holidays, Terms


class Measuring(msgspec.Struct, frozen=True):
    """The rule of the baseline, the holidays it knows (`named` by the terms), what of export, and how much of an event
    may be a gap; the series of the temperature outdoors, where they name one."""

    rule: Rule = CAISO_10_IN_10
    holidays: Collection[date] = frozenset()
    export: Export = Export.NET
    most_gap: Decimal = Decimal(1)
    named: Holidays = Holidays()
    temperature: str = ""


def measuring(reader: Reader, program_id: str, start_at: datetime) -> Measuring:
    """Of an event that starts then."""
    terms = reads.in_force(reader, program_id, start_at)
    if terms is None:
        return Measuring()
    known = holidays(terms, start_at.year)
    rule = RULES[terms.baseline]
    temperature = terms.temperature if isinstance(terms.temperature, str) else ""
    return Measuring(rule, known, terms.export, terms.most_gap, terms.holidays, temperature)


def holidays(terms: Terms, year: int) -> frozenset[date]:
    """Of that year and those beside it, into which a look-back may reach."""
    public = holidays_of(terms.calendar, [year - 1, year, year + 1]) if terms.calendar else frozenset()
    return public | frozenset(terms.holidays.also)
