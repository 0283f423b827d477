"""Columns: an instant stands in one as what it is, however its zone writes it."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from tieline.base.errors import Refused
from tieline.base.time import micros
from tieline.columns import Instant

BERLIN = ZoneInfo("Europe/Berlin")


def test_the_two_instants_of_an_hour_that_a_clock_repeats_are_two() -> None:
    first = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)
    second = first.replace(fold=1)
    assert first == second  # as Python compares them
    kept = [Instant().process_bind_param(at, sqlite.dialect()) for at in (first, second)]
    assert kept[1] - kept[0] == 3600 * 1_000_000
    told = [Instant().process_bind_param(at, postgresql.dialect()) for at in (first, second)]  # type: ignore[no-untyped-call]
    assert [micros(at) for at in told] == kept


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(Refused):
        Instant().process_bind_param(datetime(2026, 7, 15), sqlite.dialect())  # noqa: DTZ001  that is what is refused
