"""Green Button: what is read back has all the energy, in whole watt-hours, and a gap is no interval."""

from datetime import UTC, datetime
from xml.etree import ElementTree as Tree

from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.wires.greenbutton import ATOM, ESPI, Interval, feed

NOW = datetime(2026, 7, 1, tzinfo=UTC)
NAMES = {"a": ATOM, "e": ESPI}
slots = st.dictionaries(st.integers(0, 400), st.floats(-5000, 5000), max_size=200)


def intervals(told: dict[int, float], step_s: int = 900) -> list[Interval]:
    return [Interval(1_780_000_000 // 900 * 900 + n * step_s, step_s, told[n], whole=n % 3 > 0) for n in sorted(told)]


def number(of: Tree.Element, path: str) -> int:
    found = of.findtext(path, namespaces=NAMES)
    assert found is not None
    return int(found)


@settings(deadline=None)
@given(slots)
def test_reading_it_back_conserves_energy(told: dict[int, float]) -> None:
    given_ = intervals(told)
    read = Tree.fromstring(feed("home-1.power_kw", given_, NOW)).findall(".//e:IntervalReading", NAMES)
    values = [number(one, "e:value") for one in read]
    periods = [(number(one, "e:timePeriod/e:start"), number(one, "e:timePeriod/e:duration")) for one in read]
    assert periods == [(one.start_s, one.duration_s) for one in given_]
    assert abs(sum(values) - sum(one.energy_wh for one in given_)) <= 0.5 + 1e-6
    assert all(abs(value - one.energy_wh) <= 1 + 1e-6 for value, one in zip(values, given_, strict=True))
    doubted = [one.find("e:ReadingQuality", NAMES) is not None for one in read]
    assert doubted == [not one.whole for one in given_]


@settings(deadline=None)
@given(slots)
def test_a_block_has_no_gap_and_ends_with_its_last_interval(told: dict[int, float]) -> None:
    blocks = Tree.fromstring(feed("home-1.power_kw", intervals(told), NOW)).findall(".//e:IntervalBlock", NAMES)
    for block in blocks:
        starts = [number(one, "e:timePeriod/e:start") for one in block.findall("e:IntervalReading", NAMES)]
        assert starts == list(range(starts[0], starts[0] + 900 * len(starts), 900))
        assert number(block, "e:interval/e:start") == starts[0]
        assert number(block, "e:interval/e:duration") == 900 * len(starts)
        assert starts[0] // 86_400 == starts[-1] // 86_400


def test_the_feed_has_what_readers_look_for() -> None:
    tree = Tree.fromstring(feed('a"<&>.power_kw', intervals({0: 250.4, 1: -1.0}), NOW))
    assert tree.tag == f"{{{ATOM}}}feed"
    contents = tree.findall("a:entry/a:content", NAMES)
    kinds = [one.tag.removeprefix(f"{{{ESPI}}}") for content in contents for one in content]
    assert kinds == ["UsagePoint", "MeterReading", "ReadingType", "IntervalBlock"]
    reading_type = tree.find(".//e:ReadingType", NAMES)
    assert reading_type is not None
    assert [(number(reading_type, f"e:{name}")) for name in ("uom", "powerOfTenMultiplier", "intervalLength")] == [
        72,
        0,
        900,
    ]
    assert number(reading_type, "e:flowDirection") == 4  # net: some of it went out
    ids = [entry.findtext("a:id", namespaces=NAMES) for entry in tree.findall("a:entry", NAMES)]
    assert len(set(ids)) == len(ids)
