"""The floors know every room: a slice has its own store, a pure room is held to it, a setting and a metric are used."""

import configparser
import re

import msgspec
import prometheus_client.metrics
import pytest

from tests.house.tree import HOUSE, PACKAGE, ROOT, SLICES, named
from tieline import metrics
from tieline.settings import Settings

ROOMS = {"__init__", "model", "actions", "store", "reads", "routes", "mqtt", "part"}
"""The rooms every slice may have; a slice names others after what they do."""


def contracts() -> configparser.ConfigParser:
    found = configparser.ConfigParser()
    found.read(ROOT / ".importlinter", encoding="utf-8")
    return found


@pytest.mark.parametrize("name", SLICES)
def test_a_slice_has_the_rooms_that_others_have(name: str) -> None:
    rooms = {file.stem for file in (PACKAGE / name).glob("*.py")}
    assert {"__init__", "store"} <= rooms
    assert len(rooms & ROOMS) >= 4, f"{name} has {sorted(rooms)}: the rooms have the same names in every slice"


@pytest.mark.parametrize("name", SLICES)
def test_a_store_is_its_slices_own(name: str) -> None:
    section = contracts()[f"importlinter:contract:{name}-store"]
    assert section["type"] == "protected"
    stores = [
        f"tieline.{name}.store",
        *[f"tieline.{name}.{file.parent.name}.store" for file in sorted((PACKAGE / name).glob("*/store.py"))],
    ]
    assert section["protected_modules"].split() == stores
    assert section["allowed_importers"].split() == [f"tieline.{name}"]


@pytest.mark.parametrize("name", SLICES)
def test_a_model_is_held_to_be_pure(name: str) -> None:
    if (PACKAGE / name / "model.py").exists():
        assert f"tieline.{name}.model" in contracts()["importlinter:contract:pure"]["source_modules"].split()


def _elsewhere(room: str) -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in HOUSE if named(file) != f"src/tieline/{room}")


def test_every_setting_is_used() -> None:
    code = _elsewhere("settings.py")
    unused = [name for name in Settings.__struct_fields__ if not re.search(rf"\.{name}\b", code)]
    assert not unused


def test_every_setting_has_its_meaning_in_the_reference() -> None:
    page = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
    for field in msgspec.structs.fields(Settings):
        assert f"| `TIELINE_{field.name.upper()}` |" in page


def test_every_metric_is_counted_somewhere() -> None:
    code = _elsewhere("metrics.py")
    names = [n for n, one in vars(metrics).items() if isinstance(one, prometheus_client.metrics.MetricWrapperBase)]
    assert names
    assert not [name for name in names if f"metrics.{name}." not in code]
