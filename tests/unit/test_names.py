"""Names that travel: legal ones pass, others are refused or escaped without a collision."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.base.names import SERIES_PATTERN, escaped, is_id, new_id


@pytest.mark.parametrize("name", ["home-1", "a", "A_b-9", "x" * 64])
def test_a_legal_id_passes(name: str) -> None:
    assert is_id(name)


@pytest.mark.parametrize("name", ["", "x" * 65, "a.b", "a/b", "a b", "a*", ">", "+", "#", "é", "a\n"])
def test_an_id_that_a_topic_could_misread_is_refused(name: str) -> None:
    assert not is_id(name)


def test_a_new_id_is_legal_and_nobody_s() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch("[0-9a-f]{24}", one) and is_id(one) for one in ids)


def test_a_unit_of_the_market_is_escaped() -> None:
    assert escaped("W/HOE#2") == "W~2FHOE~232"


@given(st.text(min_size=1, max_size=12), st.text(min_size=1, max_size=12))
def test_escaping_keeps_names_apart_and_makes_them_legal(one: str, other: str) -> None:
    assert (escaped(one) == escaped(other)) == (one == other)
    assert re.match(r"^[A-Za-z0-9_~-]+$", escaped(one))
    assert re.match(SERIES_PATTERN, escaped("W/HOE#2"))
