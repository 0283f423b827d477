"""A fleet as an operator keeps it: imported from a file, seen coming and going, its history made and made again."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.platform import Platform

HEADER = "site_id;zone;ven_id;resource_id;kind;rated_kw;sheddable\r\n"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    one = Platform(tmp_path_factory.mktemp("fleet")).start()
    yield one
    one.close()


def sheet(folder: Path, homes: int, kind: str = "ev") -> Path:
    """As Excel writes it: a mark, semicolons, decimal commas, CRLF."""
    file = folder / f"{kind}-{homes}.csv"
    rows = [
        f"site-{n};Europe/Lisbon;home-{n};{load};{of};{kw};yes\r\n"
        for n in range(homes)
        for load, of, kw in (("boiler", "water_heater", "3,5"), ("car", kind, "7,4"))
    ]
    file.write_bytes((HEADER + "".join(rows)).encode("utf-8-sig"))
    return file


def test_a_file_is_tried_imported_and_imported_again(platform: Platform, tmp_path: Path) -> None:
    file = str(sheet(tmp_path, 300))
    tried = platform.run("fleet", "import", file, "--dry-run", "--json")
    assert tried.returncode == 0, tried.stderr
    assert json.loads(tried.stdout)["added"] == 600
    assert platform.get("/v1/fleet/statistics")["total"]["vens"] == 0
    done = json.loads(platform.run("fleet", "import", file, "--json", timeout=120).stdout)
    assert (done["rows"], done["added"], done["refused"]) == (600, 600, 0)
    assert [line["row"] for line in done["items"]] == list(range(2, 602))
    again = json.loads(platform.run("fleet", "import", file, "--json", timeout=120).stdout)
    assert (again["unchanged"], again["added"]) == (600, 0)
    vens = platform.run("fleet", "vens", "--state", "never", "--limit", "1000", "--json")
    assert len(json.loads(vens.stdout)["items"]) == 300


def test_refused_rows_are_shown_and_the_exit_code_says_so(platform: Platform, tmp_path: Path) -> None:
    told = platform.run("fleet", "import", str(sheet(tmp_path, 2, kind="toaster")))
    assert told.returncode == 2
    assert "toaster" in told.stdout
    assert "4 of 4 rows were refused" in told.stderr
    long = tmp_path / "long.csv"
    long.write_text("site_id,ven_id\ns,v,1,5\n")
    told = platform.run("fleet", "import", str(long), "--json")
    assert (told.returncode, "beyond the last column (2)" in told.stdout) == (2, True)
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("name,power\nx,1\n")
    told = platform.run("fleet", "import", str(wrong))
    assert (told.returncode, "names no column site_id and ven_id" in told.stderr) == (2, True)


def test_the_template_can_be_imported(platform: Platform, tmp_path: Path) -> None:
    file = tmp_path / "template.csv"
    template = platform.run("fleet", "import", "--template").stdout
    file.write_text(template.replace("site-1", "lodge").replace("home-1", "lodge"))  # there is another site-1
    assert platform.run("fleet", "import", str(file)).returncode == 0


def test_imported_vens_are_given_claims(platform: Platform, tmp_path: Path) -> None:
    file = tmp_path / "claims.csv"
    told = platform.run("claim", "add", "--all-new", "--out", str(file), "--json")
    assert told.returncode == 0, told.stderr
    vens = json.loads(platform.run("fleet", "vens", "--limit", "1000", "--json").stdout)["items"]
    assert json.loads(told.stdout)["claims"] == len(vens) >= 300
    assert len(file.read_text(encoding="utf-8").splitlines()) == 1 + len(vens)
    assert json.loads(platform.run("claim", "add", "--all-new", "--out", f"{file}2", "--json").stdout)["claims"] == 0
    assert not (tmp_path / "claims.csv2").exists()


def test_a_history_that_is_young_is_right_without_being_made_again(platform: Platform) -> None:
    told = platform.run("fleet", "rollup", "--verify", "--json")
    assert (told.returncode, json.loads(told.stdout)["differing"]) == (0, []), told.stderr


def test_statistics_are_shown_and_their_history_is_right(platform: Platform) -> None:
    shown = platform.run("fleet", "show", "--by", "kind", "--json")
    assert shown.returncode == 0, shown.stderr
    assert {group["key"] for group in json.loads(shown.stdout)["groups"]} >= {"ev", "water_heater"}
    assert "never" in platform.run("fleet", "show").stdout
    for command in (["fleet", "history"], ["fleet", "presence", "home-1"]):
        told = platform.run(*command)
        assert told.returncode == 0, told.stderr
    assert platform.run("fleet", "rollup").returncode == 0
    told = platform.run("fleet", "rollup", "--verify", "--json")
    assert (told.returncode, json.loads(told.stdout)["differing"]) == (0, [])
