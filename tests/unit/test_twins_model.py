"""The laws of twins, and that they are those of AWS IoT Core's device shadows as moto's tests found them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.iotdata.models import FakeShadow

from tieline.base.errors import Conflict, Refused
from tieline.base.time import iso
from tieline.registry.twins.model import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_HEARD_BYTES,
    State,
    Twin,
    TwinChange,
    changed,
    delta,
    document_bytes,
    entered,
    merged,
    removed,
    same,
    stamped,
)

AT = datetime(2026, 7, 15, 17, tzinfo=UTC)
SECOND = timedelta(seconds=1)

plain = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0]) | st.text(max_size=2)
arrays = st.lists(plain.filter(lambda one: one is not None), max_size=3)
names = st.sampled_from("abcd")
changes = st.recursive(
    st.dictionaries(names, plain | arrays, max_size=3),
    lambda inner: st.dictionaries(names, plain | arrays | inner, max_size=3),
    max_leaves=8,
)
states = changes.map(lambda change: merged({}, change))


def desire(twin: Twin | None, desired: State | None, *, version: int | None = None, at: datetime = AT) -> Twin:
    return changed(twin, TwinChange(desired=desired, version=version), at)


def report(twin: Twin | None, reported: State | None, *, at: datetime = AT) -> Twin:
    return changed(twin, TwinChange(reported=reported), at)


def within(desired: Any, reported: Any) -> bool:
    """Whether all that is desired is so reported."""
    if isinstance(desired, dict) and isinstance(reported, dict):
        return all(name in reported and within(value, reported[name]) for name, value in desired.items())
    return same(desired, reported)


def _valued(state: State) -> State:
    """Without the objects that have no value in them."""
    inner = {name: _valued(value) if isinstance(value, dict) else value for name, value in state.items()}
    return {name: value for name, value in inner.items() if value != {}}


def shape(state: Any) -> Any:
    return {name: shape(value) for name, value in state.items()} if isinstance(state, dict) else ...


# --- laws -------------------------------------------------------------------------------------------------------------


@given(states, states)
def test_the_delta_is_empty_exactly_when_all_that_is_desired_is_so_reported(desired: State, reported: State) -> None:
    assert (delta(desired, reported) == {}) == within(desired, reported)


@given(states, states)
def test_who_reports_the_delta_leaves_none(desired: State, reported: State) -> None:
    assert delta(desired, merged(reported, delta(desired, reported))) == {}


@given(states, states)
def test_the_delta_has_only_what_is_desired(desired: State, reported: State) -> None:
    assert within(delta(desired, reported), desired)


@given(states, changes)
def test_a_change_made_again_changes_nothing(state: State, change: State) -> None:
    once = merged(state, change)
    assert merged(once, change) == once


@given(states, changes, changes)
def test_the_order_of_changes_to_different_fields_does_not_matter(state: State, one: State, other: State) -> None:
    other = {name + "'": value for name, value in other.items()}
    assert merged(merged(state, one), other) == merged(merged(state, other), one)


@given(states, changes)
def test_a_merge_alters_neither_state_nor_change(state: State, change: State) -> None:
    before = msgspec.json.encode([state, change])
    merged(state, change)
    assert msgspec.json.encode([state, change]) == before


@given(st.lists(st.tuples(st.sampled_from(["desired", "reported"]), changes | st.none()), max_size=6))
def test_versions_grow_by_one_and_metadata_has_the_shape_of_its_state(steps: list[tuple[str, State | None]]) -> None:
    twin: Twin | None = None
    for number, (section, change) in enumerate(steps):
        twin = changed(twin, TwinChange(**{section: change}), AT + number * SECOND)  # type: ignore[arg-type]
        assert twin.version == number + 1
        assert twin.at == AT + number * SECOND
        assert shape(twin.metadata.desired) == shape(twin.desired)
        assert shape(twin.metadata.reported) == shape(twin.reported)
        assert msgspec.json.decode(msgspec.json.encode(twin), type=Twin) == twin


@given(states, changes)
def test_only_what_a_change_names_is_stamped_anew(state: State, change: State) -> None:
    twin = desire(desire(None, state), change, at=AT + SECOND)
    assert twin.metadata.desired == merged(stamped(state, iso(AT)), stamped(change, iso(AT + SECOND)))


@given(states, st.integers(0, MAX_BYTES))
def test_what_would_be_too_large_is_refused_and_leaves_the_twin_as_it_was(state: State, more: int) -> None:
    twin = report(None, state)
    left = MAX_BYTES - document_bytes({"x": ""}, twin.reported)
    assert desire(twin, {"x": "x" * left}).version == 2
    before = msgspec.json.encode(twin)
    with pytest.raises(Refused, match=f"at most {MAX_BYTES}"):
        desire(twin, {"x": "x" * (left + 1 + more)})
    assert msgspec.json.encode(twin) == before


@given(st.lists(changes, min_size=1, max_size=4), st.data())
def test_reports_that_are_delivered_again_change_nothing(reports: list[State], data: st.DataObject) -> None:
    """Not what they wrote, not what they deleted, not the version."""
    twin: Twin | None = None
    for position, one in enumerate(reports, 1):
        twin = entered(twin, one, position, AT)
        for again in data.draw(st.lists(st.integers(1, position), max_size=3)):
            assert entered(twin, reports[again - 1], again, AT + SECOND) == twin


@given(st.lists(changes, min_size=1, max_size=4), st.data())
def test_reports_in_any_order_and_any_number_leave_what_they_leave_in_theirs(
    reports: list[State], data: st.DataObject
) -> None:
    twin: Twin | None = None
    in_order: Twin | None = None
    for position, one in enumerate(reports, 1):
        in_order = entered(in_order, one, position, AT)
    order = data.draw(st.permutations([*range(1, len(reports) + 1)] * 2))
    for position in order:
        twin = entered(twin, reports[position - 1], position, AT)
    assert twin
    assert in_order
    assert _valued(twin.reported) == _valued(in_order.reported)


def test_a_field_that_was_deleted_does_not_come_back_with_the_report_that_wrote_it() -> None:
    told: State = {"fan": "low", "mode": {"eco": True}}
    twin = entered(entered(None, told, 1, AT), {"fan": None, "mode": None}, 2, AT)
    assert entered(twin, told, 1, AT) == twin
    assert twin.reported == {}
    assert entered(removed(twin, AT), told, 1, AT) == removed(twin, AT)


def test_what_is_kept_of_a_device_that_invents_fields_is_bounded() -> None:
    twin: Twin | None = None
    for position in range(1, 60):
        twin = entered(twin, {f"f{position}-{n}": 1 for n in range(100)}, 2 * position, AT)
        twin = entered(twin, {f"f{position}-{n}": None for n in range(100)}, 2 * position + 1, AT)
        twin = entered(twin, {f"{position}" * 2000: None}, 2 * position + 1, AT)
        assert len(msgspec.json.encode(twin.heard)) <= MAX_HEARD_BYTES
    assert entered(twin, {"f1-1": 1}, 2, AT) == twin
    assert entered(twin, {"f1-1": 1}, 500, AT) != twin


def test_nothing_reported_is_a_version_once() -> None:
    twin = entered(None, {}, 1, AT)
    assert twin.version == 1
    assert entered(twin, {}, 1, AT) == twin


@given(st.lists(st.tuples(st.sampled_from(["desired", "reported", "delete"]), changes), max_size=6))
def test_states_deltas_and_versions_are_those_of_a_shadow(steps: list[tuple[str, State]]) -> None:
    shadow: Any = None
    twin: Twin | None = None
    for section, change in steps:
        if section == "delete":
            if twin is None or twin.deleted:
                continue
            twin, payload = removed(twin, AT), None
        else:
            twin = changed(twin, TwinChange(**{section: change}), AT)  # type: ignore[arg-type]
            payload = {"state": {section: msgspec.json.decode(msgspec.json.encode(change))}}
        shadow = FakeShadow.create_from_previous_version(shadow, payload)
        told = shadow.to_dict().get("state", {})
        assert twin.version == shadow.version
        assert twin.deleted == shadow.deleted
        assert (twin.desired, twin.reported) == (told.get("desired", {}), told.get("reported", {}))
        # moto takes true for 1, as Python does, and tells objects that do not differ as empty ones
        if not {True, False} & _leaves(twin.desired):
            assert _valued(delta(twin.desired, twin.reported)) == _valued(told.get("delta", {}))


def _leaves(value: Any) -> set[Any]:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return set().union(*map(_leaves, inner)) if value else set()
    return {value}


# --- examples of the documentation ------------------------------------------------------------------------------------


def test_the_delta_of_nested_objects_has_the_path_to_what_differs() -> None:
    lights = {"lights": {"color": {"r": 255, "g": 255, "b": 255}}}
    assert delta(lights, {"lights": {"color": {"r": 255, "g": 0, "b": 255}}}) == {"lights": {"color": {"g": 255}}}


def test_an_array_is_one_value() -> None:
    colors = {"colors": ["RED", "GREEN", "BLUE"]}
    assert desire(desire(None, colors), {"colors": ["RED"]}).desired == {"colors": ["RED"]}
    assert delta(colors, {"colors": ["RED", "GREEN"]}) == colors
    assert delta(colors, {"colors": ["RED", "GREEN", "BLUE"]}) == {}


def test_true_is_not_1_and_1_is_1_0() -> None:
    assert delta({"on": True, "all": [True], "deep": [{"on": 0}]}, {"on": 1, "all": [1], "deep": [{"on": False}]}) == {
        "on": True, "all": [True], "deep": [{"on": 0}],
    }  # fmt: skip
    assert delta({"kw": 1, "deep": [{"kw": 2.0}]}, {"kw": 1.0, "deep": [{"kw": 2}]}) == {}


def test_a_section_that_is_null_is_removed_with_its_stamps() -> None:
    twin = desire(report(None, {"fan": "low"}), {"fan": "high"})
    twin = desire(twin, None)
    assert (twin.desired, twin.metadata.desired, twin.reported) == ({}, {}, {"fan": "low"})
    assert msgspec.json.decode(msgspec.json.encode(twin)).keys() == {"version", "at", "reported", "metadata"}


def test_a_change_from_another_version_is_a_conflict() -> None:
    twin = desire(desire(None, {"a": 1}, version=0), {"a": 2}, version=1)
    for version in (0, 1, 3):
        with pytest.raises(Conflict, match=f"at version 2, not {version}"):
            desire(twin, {"a": 3}, version=version)
    assert desire(twin, {"a": 3}).version == 3


def test_what_is_deleted_goes_on_with_its_version() -> None:
    gone = removed(desire(None, {"a": 1}), AT + SECOND)
    assert (gone.version, gone.desired, gone.deleted) == (2, {}, True)
    assert report(gone, {"b": 1}, at=AT + SECOND) == Twin(
        3, AT + SECOND, {}, {"b": 1}, report(None, {"b": 1}, at=AT + SECOND).metadata
    )


def _nested(depth: int, innermost: Any) -> Any:
    return {"a": _nested(depth - 1, innermost)} if depth else innermost


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({"a": [1, None]}, "has a null"),
        ({"a": [{"b": [[None]]}]}, "has a null"),
        (_nested(MAX_DEPTH + 1, 1), "goes deeper than 8"),
        (_nested(MAX_DEPTH, [1]), "goes deeper than 8"),
        ({"a": float("nan")}, "must be finite"),
        ({"a": {"b": 1 << 64}}, r"desired\.a\.b is a number of more than 64 bits"),
        ({"a": b"bytes"}, "is a bytes"),
        ({"a": AT}, "is a datetime"),
        ({"a": {1: 2}}, "named by no text"),
    ],
)
def test_what_cannot_stand_in_a_twin_is_refused(state: State, why: str) -> None:
    with pytest.raises(Refused, match=why):
        desire(None, state)


def test_what_just_can_is_taken() -> None:
    for state in (_nested(MAX_DEPTH, 1), _nested(MAX_DEPTH - 1, [1]), {"a": (1 << 64) - 1}, {"a": None}, {}):
        desire(None, state)


def test_a_change_of_nothing_is_refused() -> None:
    with pytest.raises(Refused, match="names desired or reported"):
        changed(None, TwinChange(), AT)
