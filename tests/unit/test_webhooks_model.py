"""What an answer means, when to try again, when an endpoint is broken: the rules of webhooks, without a network."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.base.errors import Refused
from tieline.vtn.webhooks import signing
from tieline.vtn.webhooks.holding import Held
from tieline.vtn.webhooks.model import (
    Answer,
    Due,
    Health,
    Leased,
    Loaded,
    NewDelivery,
    Policy,
    Verdict,
    judge,
    pause_s,
    retry_after_s,
)

NOW = datetime(2026, 7, 15, 17, tzinfo=UTC)
POLICY = Policy()
chances = st.floats(0, 1)


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        ([200, 201, 202, 204, 299], Verdict.DELIVERED),
        ([408, 429, 500, 502, 503, 504, 599], Verdict.AGAIN),
        ([301, 302, 307, 308, 400, 401, 403, 404, 409, 410, 413, 422], Verdict.DEAD),
    ],
)
def test_what_a_status_means(statuses: list[int], verdict: Verdict) -> None:
    assert {judge(Answer(status))[0] for status in statuses} == {verdict}


@given(st.integers(100, 999))
def test_every_status_that_delivers_nothing_has_its_reason(status: int) -> None:
    verdict, reason = judge(Answer(status))
    assert (verdict is Verdict.DELIVERED) == (not reason)
    assert not reason or str(status) in reason


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 0),
        ("120", 120),
        (" 7 ", 7),
        ("-1", 0),
        ("soon", 0),
        ("1.5", 0),
        ("٣", 0),
        ("Wed, 15 Jul 2026 17:00:30 GMT", 30),
        ("Wed, 15 Jul 2026 16:00:00 GMT", 0),
    ],
)
def test_how_long_a_receiver_asks_to_be_left_in_peace(header: str, seconds: float) -> None:
    assert retry_after_s(Answer(503, header), NOW) == seconds


@given(st.text())
def test_any_retry_after_is_some_seconds_or_none(header: str) -> None:
    assert 0 <= retry_after_s(Answer(503, header), NOW) < 400_000 * 365 * 86_400


@given(st.integers(1, 10_000), chances)
def test_a_pause_doubles_up_to_the_longest_and_is_never_less_than_half_of_it(failures: int, chance: float) -> None:
    longest, shortest = pause_s(failures, 0.0, POLICY), pause_s(failures, 1.0, POLICY)
    assert shortest <= pause_s(failures, chance, POLICY) <= longest <= POLICY.longest_retry_s
    assert shortest == longest / 2
    assert longest == min(2 * pause_s(failures - 1, 0.0, POLICY), POLICY.longest_retry_s) or failures == 1


@given(st.lists(chances, min_size=1, max_size=50))
def test_an_endpoint_breaks_after_so_many_failures_in_a_row_and_is_probed(rolls: list[float]) -> None:
    health, at = Health(), NOW
    for count, chance in enumerate(rolls, 1):
        health, before = health.failed("it answered 500", 0.0, at, chance, POLICY), health
        assert health.failures == count
        assert (health.broken_at is not None) == (count >= POLICY.break_after)
        assert before.broken_at in (None, health.broken_at)  # since when does not move
        assert health.rest_until_at is not None
        assert timedelta() <= health.rest_until_at - at <= timedelta(seconds=POLICY.probe_s)
        assert health.resting(at) == (count > 1)  # the first may be one object's own
        at += timedelta(seconds=61)
    assert health.answered(0.0, at) == Health()


def test_a_rest_that_was_asked_for_is_not_cut_short_by_an_answer_in_flight() -> None:
    asked = Health().answered(30.0, NOW)
    assert asked.answered(0.0, NOW).resting(NOW + timedelta(seconds=29))
    assert not asked.answered(0.0, NOW).resting(NOW + timedelta(seconds=30))


def test_a_reason_is_cut_to_its_column() -> None:
    assert len(Health().failed("x" * 5000, 0.0, NOW, 0.0, POLICY).reason or "") == 300


# --- what a courier has in hand ---------------------------------------------------------------------------------------


def due(number: int) -> Due:
    return Due(number, f"d{number}", f"l{number}", "e", "https://ven.example/", 0, NOW, "digest", b"{}", True, None)


def held(health: Health | None = None) -> Held:
    return Held(Leased("e", "https://ven.example/?key=secret", health or Health()), NOW + timedelta(seconds=15))


def loaded(one: Held, endpoints: int = 1) -> int:
    """What it wants, given."""
    want = one.want(NOW, POLICY, endpoints)
    count = want.lanes if want else 0
    if want:
        one.take(Loaded("e", [due(number) for number in range(count)], more=True))
    return count


@given(st.integers(1, POLICY.held))
def test_what_is_in_memory_is_bounded_however_many_endpoints_there_are(endpoints: int) -> None:
    one = held()
    assert 0 < loaded(one, endpoints) * endpoints <= 4 * POLICY.in_flight
    assert one.want(NOW, POLICY, endpoints) is None
    assert one.bytes == 2 * len(one.in_hand)


def test_an_endpoint_that_fails_is_given_one_request_at_a_time() -> None:
    one = held(Health(failures=1))
    assert loaded(one) == 1
    well = held()
    loaded(well)
    assert [well.may_begin(NOW, POLICY, runners) for runners in (0, 127, 128)] == [True, True, True]
    well.runners = 1
    assert [well.may_begin(NOW, POLICY, runners) for runners in (0, 127, 128)] == [True, True, False]
    well.runners = POLICY.per_endpoint
    assert not well.may_begin(NOW, POLICY, 0)
    well.health = Health(failures=1)
    assert well.next(NOW) is None


def test_nothing_begins_that_the_lease_would_not_outlast() -> None:
    one, late = held(), NOW + timedelta(seconds=15)
    loaded(one)
    assert one.next(NOW) is not None
    assert not one.may_begin(late, POLICY, 0)
    assert one.next(late) is None
    assert len(one.in_hand) == 1  # what is in flight; the others are put back


def test_news_of_an_endpoint_do_not_tell_its_query() -> None:
    one = held()
    one.health = Health(failures=6, broken_at=NOW)
    assert (one.change().news, one.change().address) == ("broken", "https://ven.example/")


# --- identity and signature -------------------------------------------------------------------------------------------


parts = st.tuples(*[st.text("ab/", max_size=3)] * 3)


@given(parts, parts)
def test_a_delivery_is_one_change_for_one_subscription_at_one_url(
    first: tuple[str, str, str], second: tuple[str, str, str]
) -> None:
    ids = [NewDelivery(change, who, url, "o", b"").delivery_id for change, who, url in (first, second)]
    assert (ids[0] == ids[1]) == (first == second)


@given(st.binary(), st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1))
def test_a_signature_is_what_a_receiver_computes(body: bytes, token: str) -> None:
    told = signing.headers("d1", body, token, NOW)
    key = base64.b64decode(base64.b64encode(token.encode()))  # as libraries want it: whsec_ + base64 of the token
    signed = f"{told['webhook-id']}.{told['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert told["webhook-signature"] == f"v1,{expected}"
    assert told["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert told["Authorization"] == f"Bearer {token}"


def test_without_a_token_nothing_is_signed() -> None:
    told = signing.headers("d1", b"{}", None, NOW)
    assert set(told) == {"Content-Type", "webhook-id", "webhook-timestamp"}


@pytest.mark.parametrize("token", ["", "two words", "line\r\nHost: x", "x" * 5000, "schlüssel", "\x00"])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    with pytest.raises(Refused):
        signing.check_token(token)
