"""Events and command ids: what is legal, and what no command of ours can have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.base.errors import Refused
from tieline.dispatch.model import command_id, number_of, parse_command_id

ids = st.from_regex(r"\A[A-Za-z0-9_-]{1,64}\Z")


@given(ids, ids, st.sampled_from(["event", "restore"]), st.integers(0, 10**9 - 1))
def test_a_command_id_is_read_back(event_id: str, ven_id: str, op: str, n: int) -> None:
    said = command_id(event_id, ven_id, op, n)
    assert parse_command_id(said) == (event_id, ven_id, op)
    assert number_of(said) == n


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a:b",
        "a:b:c:d",
        "a:b:event:0",
        "a:b:event:01",
        "a:b:event:x",
        "a:b:event:1:2",
        "a\x00:b:event",
        "a:b:",
        "a:b:dance",
        ":b:event",
        "a b:c:event",
        "a:b:é",
    ],
)
def test_what_is_no_command_id_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="none that we sent"):
        parse_command_id(text)


@given(st.text(max_size=200).filter(lambda text: text.count(":") not in (2, 3)))
def test_other_text_is_refused_without_repeating_what_no_log_should_hold(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse_command_id(text)
    assert "\x00" not in str(refusal.value)
