"""Rollups: their laws, and against a count second by second."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.base.errors import Refused
from tieline.base.series import ROLLUPS, Stamp, readings
from tieline.base.time import EPOCH, Span
from tieline.telemetry.rollups import model
from tieline.telemetry.rollups.model import Resolution, Rule, differing, edges, instants, merge, overlaid, roll
from tieline.telemetry.rollups.portions import STEPS, boxes, reached

S = 1_000_000
STEP_S, HOUR_S = 10, 40
RULES = {
    "a": Rule(Stamp.END, 12 * S),
    "b": Rule(Stamp.START, 12 * S),
    "c": Rule(Stamp.END, 45 * S),
    "d": Rule(Stamp.START, 0),
}
Reading = tuple[str, int, int, int]  # series, at in s, value, flags


def _unique(found: list[Reading]) -> list[Reading]:
    return list({(one[0], one[1]): one for one in found}.values())


some = st.lists(
    st.tuples(st.sampled_from(sorted(RULES)), st.integers(0, 130), st.integers(-8, 8), st.sampled_from([0, 1, 4])),
    max_size=40,
).map(_unique)


def _table(found: list[Reading]) -> pa.Table:
    names, at, value, flags = zip(*found, strict=True) if found else ((), (), (), ())
    return readings(names, [one * S for one in at], [float(one) for one in value], known_at=EPOCH, flags=flags)


def _rows(table: pa.Table) -> dict[tuple[str, int], dict[str, Any]]:
    assert table.schema.equals(ROLLUPS)
    rows = [row | {"at": int((row["at"] - EPOCH).total_seconds())} for row in table.to_pylist()]
    assert [(row["series_id"], row["at"]) for row in rows] == sorted((row["series_id"], row["at"]) for row in rows)
    return {(row["series_id"], row["at"]): row for row in rows}


def _brute(found: list[Reading], width_s: int) -> dict[tuple[str, int], dict[str, Any]]:
    """Second by second: which reading, if any, says what it was."""
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for name, rule in RULES.items():
        mine = {at: (value, flags) for series, at, value, flags in found if series == name}
        hold_s = rule.hold_us // S
        for second in range(-60, 200):
            if rule.stamp is Stamp.END:
                at = min((t for t in mine if second < t <= second + hold_s), default=None)
            else:
                at = max((t for t in mine if second - hold_s < t <= second), default=None)
            if at is None:
                continue
            key = (name, second // width_s * width_s)
            row = rows.setdefault(key, {"integral": 0.0, "covered_s": 0.0, "held": [], "flags": 0, "count": 0})
            row["integral"] += mine[at][0] / 3600
            row["covered_s"] += 1
            row["held"].append(float(mine[at][0]))
            row["flags"] |= mine[at][1]
        for at in mine:
            stamped = (name, (at - 1 if rule.stamp is Stamp.END else at) // width_s * width_s)
            if stamped in rows:
                rows[stamped]["count"] += 1
    return rows


@given(some)
def test_equal_a_count_second_by_second(found: list[Reading]) -> None:
    got, expected = _rows(roll(_table(found), RULES, STEP_S * S)), _brute(found, STEP_S)
    assert set(got) == set(expected)
    for key, row in got.items():
        held = expected[key]["held"]
        assert row["integral"] == pytest.approx(expected[key]["integral"], abs=1e-12)
        assert (row["low"], row["high"], row["first"], row["last"]) == (min(held), max(held), held[0], held[-1])
        assert all(row[name] == expected[key][name] for name in ("covered_s", "count", "flags"))


@given(some)
def test_every_reading_is_counted_once(found: list[Reading]) -> None:
    held = [one for one in found if RULES[one[0]].hold_us]
    assert sum(row["count"] for row in _rows(roll(_table(found), RULES, STEP_S * S)).values()) == len(held)


@given(some)
def test_merged_is_what_raw_makes_at_once_and_energy_is_conserved(found: list[Reading]) -> None:
    fine = roll(_table(found), RULES, STEP_S * S)
    merged = _rows(merge(fine, np.arange(-2, 10) * HOUR_S * S))
    straight = _rows(roll(_table(found), RULES, HOUR_S * S))
    assert set(merged) == set(straight)
    for key, row in merged.items():
        assert row.pop("integral") == pytest.approx(straight[key].pop("integral"), abs=1e-12)
        assert row == straight[key]
    everything = merge(fine, np.array([-1, 1]) * 400 * S)["integral"]
    assert sum(fine["integral"].to_numpy()) == pytest.approx(sum(everything.to_numpy()), abs=1e-12)


@given(some, st.randoms(use_true_random=False))
def test_order_and_duplication_never_matter(found: list[Reading], random: Any) -> None:
    again = [*found, *random.choices(found, k=len(found))] if found else []
    random.shuffle(again)
    there, back = (roll(_table(each), RULES, STEP_S * S) for each in (found, again))
    assert there.equals(back)
    shuffled = there.take(np.array(random.sample(range(len(there)), len(there)), np.int64))
    cuts = np.arange(-2, 10) * HOUR_S * S
    assert merge(there, cuts).equals(merge(shuffled, cuts))


@given(some, some)
def test_what_comes_changes_only_the_steps_that_are_said_to_be_reached(
    before: list[Reading], more: list[Reading]
) -> None:
    known = {(one[0], one[1]) for one in before}
    new = [one for one in more if (one[0], one[1]) not in known]
    old, now = (roll(_table(each), RULES, STEP_S * S) for each in (before, [*before, *new]))
    changed, gone = differing(now, old)
    touched = pa.table({"series_id": [one[0] for one in new], "at": [one[1] // STEP_S * STEP_S * S for one in new]})
    said = reached(touched.cast(STEPS), RULES, STEP_S * S)
    assert gone.num_rows == 0
    assert set(_rows(changed)) <= {(one["series_id"], (one["at"] - EPOCH).total_seconds()) for one in said.to_pylist()}
    assert overlaid(old, changed).equals(now)


def test_a_correction_of_one_instant_counts_once() -> None:
    first = readings(["a"], [5 * S], [1.0], known_at=EPOCH)
    then = readings(["a"], [5 * S], [2.0], known_at=EPOCH + timedelta(seconds=1))
    (row,) = roll(pa.concat_tables([then, first]), RULES, 60 * S).slice(1).to_pylist()
    assert (row["low"], row["high"], row["count"]) == (2.0, 2.0, 1)


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(-50, 900)), unique=True, max_size=60),
    st.integers(1, 40),
    st.sampled_from([1, 6]),
)
def test_boxes_hold_all_that_was_touched_and_no_more_than_they_may(
    pairs: list[tuple[str, int]], most: int, each: int
) -> None:
    width = 300 * S
    names, steps = zip(*pairs, strict=True) if pairs else ((), ())
    touched = pa.table({"series_id": pa.array(names, pa.string()), "at": np.array(steps, np.int64) * width})
    found = boxes(touched.cast(STEPS), width, each=each, most=most)
    for name, step in pairs:
        at = EPOCH + timedelta(microseconds=step * width)
        assert any(name in box.series_ids and at in box.span for box in found)
    for box in found:
        cells = len(box.series_ids) * int(box.span.seconds // 300) * each
        assert cells <= most or len(box.series_ids) == 1


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", (2026, 3, 29), 23),
        ("Europe/Berlin", (2026, 10, 25), 25),
        ("America/Sao_Paulo", (2018, 11, 4), 23),  # clocks skip midnight itself
        ("America/Sao_Paulo", (2018, 2, 17), 25),
        ("Australia/Lord_Howe", (2026, 4, 5), 24.5),
        ("Australia/Brisbane", (2026, 3, 29), 24),
    ],
)
def test_market_days_are_as_long_as_they_are(zone: str, day: tuple[int, int, int], hours: float) -> None:
    noon = datetime(*day, 12, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    cuts = edges(Span(noon, noon + timedelta(seconds=1)), Resolution.DAY, zone)
    assert len(cuts) == 2
    assert (cuts[1] - cuts[0]) / 3600 / S == hours
    at = np.arange(cuts[0] - 3600 * S, cuts[1] + 3600 * S, 300 * S).tolist()
    fine = roll(readings(["a"] * len(at), at, [1.0] * len(at), known_at=EPOCH), _held(), 300 * S)
    (whole,) = merge(fine, cuts).to_pylist()
    assert (whole["covered_s"], whole["count"]) == (hours * 3600, hours * 12)
    assert whole["integral"] == pytest.approx(hours)


def _held() -> dict[str, Rule]:
    return {"a": Rule(Stamp.END, 300 * S)}


def test_months_are_those_of_the_zone() -> None:
    span = Span(datetime(2026, 1, 31, 12, tzinfo=UTC), datetime(2026, 2, 28, 14, tzinfo=UTC))
    cuts = edges(span, Resolution.MONTH, "Australia/Brisbane")
    starts = [EPOCH + timedelta(microseconds=int(at)) for at in cuts]
    assert starts == [datetime(2025, 12, 31, 14, tzinfo=UTC), datetime(2026, 1, 31, 14, tzinfo=UTC),
                      datetime(2026, 2, 28, 14, tzinfo=UTC)]  # fmt: skip


@given(st.integers(0, 10**10), st.integers(1, 10**6), st.sampled_from(list(model.WIDTH_US)))
def test_a_span_made_whole_ends_where_its_steps_do(start: int, length: int, resolution: Resolution) -> None:
    span = Span(EPOCH + timedelta(microseconds=start), EPOCH + timedelta(microseconds=start + length))
    cuts = edges(span, resolution, "UTC")
    assert model.whole(span, resolution, "UTC") == Span(
        *(EPOCH + timedelta(microseconds=int(cuts[n])) for n in (0, -1))
    )


@pytest.mark.parametrize("years", [(1, 1970), (1970, 9999)])
@pytest.mark.parametrize("resolution", list(Resolution))
def test_steps_of_ages_are_refused(years: tuple[int, int], resolution: Resolution) -> None:
    first, last = (datetime(year, 1, 1, tzinfo=UTC) for year in years)
    with pytest.raises(Refused, match="1900 to 2199"):
        model.whole(Span(first, last), resolution, "Australia/Sydney")


@given(st.integers(0, 10_000), st.integers(1, 10_000), st.sampled_from(list(model.WIDTH_US)))
def test_steps_are_whole_and_hold_the_span(start: int, length: int, resolution: Resolution) -> None:
    span = Span(EPOCH + timedelta(seconds=start), EPOCH + timedelta(seconds=start + length))
    cuts, width = edges(span, resolution, "UTC"), model.WIDTH_US[resolution]
    assert set(np.diff(cuts)) == {width}
    assert cuts[0] % width == 0
    assert cuts[0] <= start * S < cuts[1]
    assert cuts[-2] < (start + length) * S <= cuts[-1]


def test_totals_take_each_as_going_on_as_the_group_did() -> None:
    at = [300 * S, 600 * S]
    rows = [readings([name] * 2, at, [value] * 2, known_at=EPOCH) for name, value in (("a", 3.0), ("b", 1.0))]
    rolled = roll(pa.concat_tables(rows), {**_held(), "b": Rule(Stamp.END, 150 * S)}, 300 * S)
    found = model.totals(rolled)
    assert instants(found).tolist() == [0, 300 * S]
    assert found["count"].to_pylist() == [2, 2]
    assert found["integral"].to_pylist() == pytest.approx([(3 * 300 + 150) / 3600] * 2)
    assert found["mean"].to_pylist() == pytest.approx([(3 * 300 + 150) / 450 * 2] * 2)
    coarse = model.merged_totals(found, np.array([0, 600 * S]))
    assert coarse["integral"].to_pylist() == pytest.approx([(3 * 600 + 300) / 3600])
    assert coarse["mean"].to_pylist() == found["mean"].to_pylist()[:1]
