"""Whom to call for a target."""

from hypothesis import given
from hypothesis import strategies as st

from tieline.base.units import Kilowatts
from tieline.dispatch.planning import LEAST_KW, Headroom, plan

candidates = st.lists(
    st.builds(
        Headroom,
        ven_id=st.integers(0, 50).map(lambda n: f"home-{n}"),
        resource_id=st.sampled_from(["ev", "hvac", "water_heater"]),
        kw=st.floats(0, 12).map(Kilowatts),
    ),
    max_size=60,
    unique_by=lambda h: (h.ven_id, h.resource_id),
)
targets = st.floats(0.1, 300).map(Kilowatts)


@given(targets, candidates)
def test_the_target_is_reached_or_everything_is_called(target: Kilowatts, offered: list[Headroom]) -> None:
    chosen = plan(target, offered)
    worth_it = [h for h in offered if h.kw >= LEAST_KW]
    assert sum(h.kw for h in chosen) >= target - 1e-9 or len(chosen) == len(worth_it)
    assert len({(h.ven_id, h.resource_id) for h in chosen}) == len(chosen)
    assert all(h.kw >= LEAST_KW for h in chosen)


@given(targets, candidates, st.randoms())
def test_the_order_of_the_offer_never_matters(target: Kilowatts, offered: list[Headroom], random: object) -> None:
    shuffled = list(offered)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan(target, offered) == plan(target, shuffled)


@given(targets, candidates)
def test_none_of_those_chosen_could_be_spared(target: Kilowatts, offered: list[Headroom]) -> None:
    chosen = plan(target, offered)
    if sum(h.kw for h in chosen) >= target:
        assert sum(h.kw for h in chosen) - min(h.kw for h in chosen) < target + 1e-9


def test_the_last_one_is_no_larger_than_it_must_be() -> None:
    offered = [
        Headroom("a", "ev", Kilowatts(7.0)),
        Headroom("b", "ev", Kilowatts(6.0)),
        Headroom("c", "hvac", Kilowatts(2.0)),
        Headroom("d", "hvac", Kilowatts(1.5)),
    ]
    assert [h.ven_id for h in plan(Kilowatts(8.0), offered)] == ["a", "d"]
