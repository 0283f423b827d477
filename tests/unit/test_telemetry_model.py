"""What a device's message becomes: readings with flags, or a refusal with its reason."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.base.series import Flag
from tieline.base.time import iso, micros
from tieline.telemetry.model import Batch, Dead, Known, Limits, take
from tieline.wires.mqtt.messages import LOADS, MAX_BYTES, METER

NOW = datetime(2026, 7, 15, 12, tzinfo=UTC)
VEN = Known("home-1", limit_kw=24.0, rated_kw={"hvac": 5.0})
MINUTE = timedelta(minutes=1)


def meter(*samples: tuple[datetime, Any], **more: Any) -> bytes:
    return msgspec.json.encode({"samples": [{"at": iso(at), "power_kw": kw} for at, kw in samples], **more})


def loads(at: datetime, **load: Any) -> bytes:
    one = {"resource_id": "hvac", "power_kw": 2.0, "sheddable_kw": 2.0, "state": "on"} | load
    return msgspec.json.encode({"at": iso(at), "loads": [one]})


def taken(kind: str, data: bytes) -> tuple[Batch, list[Dead]]:
    batch = Batch(NOW)
    return batch, take(batch, kind, VEN, data, 7, Limits())


def test_samples_become_readings_of_the_meter() -> None:
    batch, dead = taken(METER, meter((NOW - MINUTE, 1.5), (NOW, -0.5)))
    assert dead == []
    assert [batch.names[i] for i in batch.series] == ["home-1.power_kw"] * 2
    assert batch.at == [micros(NOW - MINUTE), micros(NOW)]
    assert (batch.value, batch.flags, batch.seq) == ([1.5, -0.5], [0, 0], [7, 7])


def test_a_snapshot_becomes_power_and_what_could_be_shed() -> None:
    batch, dead = taken(LOADS, loads(NOW, state="shed", power_kw=0.0, sheddable_kw=0.0))
    assert dead == []
    assert [batch.names[i] for i in batch.series] == ["home-1.hvac.power_kw", "home-1.hvac.sheddable_kw"]
    assert Flag(batch.flags[0]) == Flag.SHED


def test_of_a_load_that_cannot_be_shed_only_the_power_is_a_series() -> None:
    batch = Batch(NOW)
    ven = Known("home-1", 24.0, {"hvac": 5.0}, fixed=frozenset({"hvac"}))
    assert take(batch, LOADS, ven, loads(NOW, withheld_kw=1.0, hold_s=60), 7, Limits()) == []
    assert [batch.names[i] for i in batch.series] == ["home-1.hvac.power_kw"]


@pytest.mark.parametrize(
    ("at", "kw", "flag"),
    [
        (NOW + timedelta(seconds=11), 1.0, Flag.AHEAD),
        (NOW - timedelta(minutes=16), 1.0, Flag.LATE),
        (NOW, 24.1, Flag.BEYOND_RATING),
        (NOW, -24.1, Flag.BEYOND_RATING),
    ],
)
def test_what_is_odd_is_flagged_and_kept_as_it_is(at: datetime, kw: float, flag: Flag) -> None:
    batch, dead = taken(METER, meter((at, kw)))
    assert dead == []
    assert (batch.value, batch.flags) == ([kw], [int(flag)])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"[]", "malformed"),
        (b'{"samples": []}', "malformed"),
        (b'{"samples": [{"at": "2026-07-15T12:00:00", "power_kw": 1}]}', "malformed"),  # no zone
        (b'{"samples": [{"at": "2026-07-15T12:00:00Z", "power_kw": "1"}]}', "malformed"),
        (b'{"samples": [{"at": "2026-07-15T12:00:00Z"}]}', "malformed"),
        (b'{"samples": [{"at": "2026-07-15T12:00:00Z", "power_kw": 1e30}]}', "not a power"),
        (b"[" * 100_000, "malformed"),
        (b'{"mood": ' + b"[" * 100_000, "malformed"),
        (b"x" * (MAX_BYTES + 1), "too large"),
        (meter((NOW + timedelta(minutes=3), 1.0)), "future stamp"),
        (meter((NOW - timedelta(days=46), 1.0)), "stale stamp"),
        (b'{"samples": [{"at": "0001-01-01T00:00:00+05:00", "power_kw": 1}]}', "stale stamp"),  # year 0 in UTC
        (b'{"samples": [{"at": "9999-12-31T23:00:00-05:00", "power_kw": 1}]}', "future stamp"),
    ],
)
def test_what_cannot_be_believed_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    batch, dead = taken(METER, data)
    assert len(batch) == 0
    assert [one.reason for one in dead] == [reason]
    assert dead[0].detail


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (loads(NOW, sheddable_kw=-1.0), "malformed"),  # a negative capacity
        (loads(NOW, resource_id="sauna"), "unknown load"),
        (loads(NOW, state="asleep"), "malformed"),
        (loads(NOW + timedelta(hours=1)), "future stamp"),
    ],
)
def test_a_snapshot_is_taken_whole_or_not_at_all(data: bytes, reason: str) -> None:
    batch, dead = taken(LOADS, data)
    assert len(batch) == 0
    assert [one.reason for one in dead] == [reason]


def test_one_bad_sample_does_not_cost_the_good_ones() -> None:
    batch, dead = taken(METER, meter((NOW, 1.0), (NOW + timedelta(days=1), 2.0)))
    assert batch.value == [1.0]
    assert [one.reason for one in dead] == ["future stamp"]


def test_fields_of_a_newer_ven_are_tolerated() -> None:
    batch, dead = taken(METER, meter((NOW, 1.0), v=2, mood="good"))
    assert (dead, batch.value) == ([], [1.0])


@given(st.binary(max_size=300), st.sampled_from([METER, LOADS]))
def test_no_bytes_break_the_intake(data: bytes, kind: str) -> None:
    batch, dead = taken(kind, data)
    assert len(batch) == 0
    assert dead
