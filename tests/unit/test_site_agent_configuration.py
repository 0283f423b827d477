"""The configuration: the example is right, and what is wrong is told with its line and what would be right."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from tests.house.tree import ROOT
from tieline.base.errors import Refused
from tieline.ven.agent.configuration import read
from tieline.ven.agent.drivers.fitting import AnyDriver
from tieline.ven.agent.drivers.gpio import Gpio
from tieline.ven.agent.drivers.http import Http
from tieline.ven.agent.drivers.modbus import Modbus

EXAMPLE = ROOT / "examples/site.toml"
HOWTO = ROOT / "docs/howto/agent.md"
SMALL = """\
[platform]
url = "http://127.0.0.1:8400"
ven_id = "cabin"
secret_file = "secret"

[panel]
limit_kw = 10

[[load]]
id = "boiler"
kind = "water_heater"
rated_kw = 3
driver = { type = "simulated" }

[[load]]
id = "car"
kind = "ev"
rated_kw = 7
driver = { type = "gpio", pin = 17 }
"""


def refusal(folder: Path, text: str) -> str:
    file = folder / "site.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(Refused) as caught:
        read(file)
    return str(caught.value).removeprefix(str(file)).lstrip(", ")


def test_the_example_is_right() -> None:
    site = read(EXAMPLE)
    assert [load.id for load in site.load] == ["boiler", "car", "heat-pump", "kitchen"]
    assert not site.load[3].sheddable


def test_what_the_example_leaves_out_is_right_too() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    inline = [tomllib.loads(line) for line in re.findall(r"^# ((?:driver|meter) = \{.*)$", text, re.MULTILINE)]
    tables = re.findall(r"^# \[load\.driver\]\n((?:# \w+ = .*\n)+)", text, re.MULTILINE)
    drivers: list[object] = [one for table in inline for one in table.values()]
    drivers += [tomllib.loads(table.replace("# ", "")) for table in tables]
    assert [type(msgspec.convert(one, AnyDriver)) for one in drivers] == [Modbus, Gpio, Modbus, Modbus, Http]


def test_what_the_page_of_the_docs_shows_is_right(tmp_path: Path) -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", HOWTO.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        file = tmp_path / "site.toml"
        file.write_text(f"{SMALL.partition('[[load]]')[0]}\n{block}", encoding="utf-8")
        assert read(file).load[0].sheddable


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("limit_kw = 10", "limit_kw = -1", "line 7: panel.limit_kw: Expected `float` > 0.0"),
        ("rated_kw = 7", 'rated_kw = "7"', "line 18: load[1].rated_kw: Expected `float`, got `str`"),
        ("kind = \"ev\"", "kind = 1", "line 17: load[1].kind: Expected `str`, got `int`"),
        ("rated_kw = 3", "rated_kw = 3\nratd_kw = 3", "line 13: load[0].ratd_kw: Object contains unknown field"),
        ("limit_kw = 10", "", "line 6: panel: Object missing required field `limit_kw`"),
        ("pin = 17", "pin = 99", "line 19: load[1].driver.pin: Expected `int` <= 63"),
        ('"gpio"', '"gipo"', "line 19: load[1].driver.type: Invalid value 'gipo'"),
        ('ven_id = "cabin"', 'ven_id = "ca bin"', "line 3: platform.ven_id: Expected `str` matching regex"),
        ('id = "car"', 'id = "boiler"', "line 16: load[1].id: 'boiler' is another load's already"),
        ("rated_kw = 7", "rated_kw = 7\nfloor_kw = 8", "line 19: load[1].floor_kw: 8 leaves nothing to shed"),
        ("rated_kw = 7", "rated_kw = 7\nfloor_kw = 1", "line 19: load[1].floor_kw: its driver only knows on and off"),
        ("rated_kw = 7", "rated_kw = 7\ncomfort = {}", "line 19: load[1].comfort: give min_c"),
        ('secret_file = "secret"', "", "line 1: platform: name either secret_file or claim_file"),
        ('url = "http://', 'url = "mqtt://', "line 2: platform.url: 'mqtt://127.0.0.1:8400' is no URL"),
        ("[platform]", 'zone = "Lisbon"\n[platform]', "line 1: zone: 'Lisbon' is no time zone"),
        ('{ type = "simulated" }', '{ type = "http" }', "line 13: load[0].driver: it only measures"),
        ("rated_kw = 3", "rated_kw = ", "no TOML: Invalid value (at line 12, column 12)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, right: str, wrong: str, told: str) -> None:
    assert right in SMALL
    assert told in refusal(tmp_path, SMALL.replace(right, wrong))


def test_all_that_can_be_seen_at_once_is_told_at_once(tmp_path: Path) -> None:
    told = refusal(tmp_path, SMALL.replace('secret_file = "secret"', "").replace('id = "car"', 'id = "boiler"'))
    assert len(told.splitlines()) == 2


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="No such file"):
        read(tmp_path / "site.toml")
