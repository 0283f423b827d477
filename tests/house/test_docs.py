"""The pages against the code: links resolve, files that are named exist, examples and commands are what they say."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
import pytest
from docs.reference.generate import schema

from tests.house.tree import PACKAGE, PAGES, ROOT, SLICES, named
from tieline.cli import main as command_line
from tieline.settings import ELSEWHERE, Settings
from tieline.telemetry.model import KINDS, Batch, Known, Limits, take
from tieline.ven.agent.configuration import Site
from tieline.wires.mqtt import messages
from tieline.wires.sources.mapped import Mapping

WAYS = sorted((ROOT / "docs/ways").glob("*.md"))
DEVICE = ROOT / "docs/howto/device.md"
TYPES = {messages.METER: messages.Meter, messages.LOADS: messages.Loads}
TYPES |= {messages.PRESENCE: messages.Presence, messages.COMMAND: messages.Command, messages.ACK: messages.Ack}

each_page = pytest.mark.parametrize("page", PAGES, ids=named)


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text(page), re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", text(page), flags=re.MULTILINE | re.DOTALL)


# --- links ------------------------------------------------------------------------------------------------------------


def links(page: Path) -> Iterator[str]:
    yield from re.findall(r"\]\(([^)\s]+)\)", prose(page))
    yield from re.findall(r"(?:src|srcset)=\"([^\"]+)\"", prose(page))


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        if "://" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} is not there"
        assert not anchor or anchor in anchors(target), f"{named(target)} has no heading for #{anchor}"


def test_every_page_is_reached_from_the_index() -> None:
    reached, todo = set(), [ROOT / "README.md", ROOT / "docs/index.md"]
    while todo:
        page = todo.pop()
        reached.add(page)
        found = {(page.parent / link.partition("#")[0]).resolve() for link in links(page) if "://" not in link}
        todo += [one for one in found if one.suffix == ".md" and one not in reached]
    assert set(PAGES) <= reached


# --- what is named ----------------------------------------------------------------------------------------------------


@each_page
def test_every_file_that_is_named_is_there(page: Path) -> None:
    paths = re.findall(r"`((?:src|web|tests|docs)/[\w./-]+)`", text(page))
    built = {path for path in paths if path.startswith("src/tieline/web/built")}
    assert not [path for path in paths if not (ROOT / path).exists() and path not in built]


@pytest.mark.parametrize("name", SLICES)
def test_every_room_of_a_slice_stands_in_a_way(name: str) -> None:
    ways = "".join(map(text, WAYS))
    rooms = [file for file in (PACKAGE / name).glob("*.py") if file.stem not in ("__init__", "part")]
    assert not [named(file) for file in rooms if f"`{named(file)}`" not in ways]


def test_the_house_names_every_room_at_its_top() -> None:
    rooms = [path for path in PACKAGE.iterdir() if not path.name.startswith("_") and path.name != "py.typed"]
    house = text(ROOT / "docs/house.md")
    assert not [path.name for path in rooms if f"`{named(path)}{'/' if path.is_dir() else ''}`" not in house]


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads(text(ROOT / "pyproject.toml"))
    groups = [*project["project"]["optional-dependencies"].values(), *project["dependency-groups"].values()]
    asked = [*project["project"]["dependencies"], *(one for group in groups for one in group)]
    reasons = text(ROOT / "docs/decisions/0005-dependencies.md")
    told = {
        name.strip() for row in re.findall(r"^\| ([a-z][^|]*) \|", reasons, re.MULTILINE) for name in row.split(",")
    }
    told |= set(re.findall(r"[a-z-]+", re.findall(r"^The page has .*$", reasons, re.MULTILINE)[0]))
    packages = json.loads(text(ROOT / "web/package.json"))["dependencies"]
    assert not ({re.split(r"[\[<>=]", one)[0] for one in asked} | set(packages)) - told


@each_page
def test_every_variable_is_a_setting(page: Path) -> None:
    settings = {f"TIELINE_{name.upper()}" for name in Settings.__struct_fields__} | ELSEWHERE
    assert set(re.findall(r"TIELINE_[A-Z0-9]+(?:_[A-Z0-9]+)*", text(page))) <= settings


@each_page
def test_every_path_of_the_api_exists(page: Path) -> None:
    known = [re.compile(re.sub(r"\{\w+\}", r"[^/]+", path) + "$") for path in [*schema()["paths"], "/v1/…"]]
    for path in re.findall(r"(?<!\w)(/v1(?:/[\w{}$.~-]+)+)", text(page)):
        assert any(one.match(path.rstrip(".")) for one in known), f"there is no {path}"


# --- what is shown ----------------------------------------------------------------------------------------------------


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every `tieline …` in a shell block."""
    for block in blocks(page, "sh") + re.findall(r"^    (tieline .*)$", text(page), re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            words = re.sub(r"\s#.*$|&\s*$", "", line).split()
            if words and words[0].rpartition("/")[2] == "tieline":
                yield words[1:]


@each_page
def test_every_command_can_be_given(page: Path) -> None:
    for words in commands(page):
        command: click.Command = command_line
        while isinstance(command, click.Group):
            assert words[0] in command.commands, f"tieline {words[0]}"
            command = command.commands[words.pop(0)]
        options = {name for one in command.params for name in one.opts if isinstance(one, click.Option)}
        assert {word for word in words if re.match(r"--?[a-z]", word)} <= options


@each_page
def test_every_target_of_make_is_one(page: Path) -> None:
    targets = re.findall(r"^([a-z][a-z-]*):(?!=)", text(ROOT / "Makefile"), re.MULTILINE)
    shown = re.findall(r"^make ([a-z]+)|`make ([a-z ]+)`", text(page), re.MULTILINE)
    assert {word for pair in shown for part in pair for word in part.split()} <= set(targets)


@each_page
def test_every_example_can_be_read(page: Path) -> None:
    for block in blocks(page, "json"):
        json.loads(block)
    for block in blocks(page, "toml"):
        known = {*Settings.__struct_fields__, *Site.__struct_fields__, *Mapping.__struct_fields__}
        assert set(tomllib.loads(block)) <= known
    for block in blocks(page, "python"):
        ast.parse(block)


def examples() -> Iterator[tuple[str, bytes]]:
    """Each JSON block of the device's page, with the kind of message its heading names."""
    for section in re.split(r"^### ", text(DEVICE), flags=re.MULTILINE)[1:]:
        kind = section.partition("/{venId}")[0].strip("`")
        for block in re.findall(r"^```json\n(.*?)^```", section, re.MULTILINE | re.DOTALL):
            yield kind, block.encode()


def test_the_devices_messages_are_valid() -> None:
    found = dict(examples())
    assert set(found) == set(TYPES)
    for kind, data in found.items():
        decoded = msgspec.json.decode(data, type=TYPES[kind])
        assert set(json.loads(data)) <= set(decoded.__struct_fields__)


def test_the_devices_readings_are_taken_without_a_flag() -> None:
    batch = Batch(known_at=datetime(2026, 7, 14, 23, 30, 5, tzinfo=UTC))
    for kind, data in examples():
        if kind in KINDS:
            assert take(batch, kind, Known("cabin", 24.0, {"boiler": 3.0}), data, 1, Limits()) == []
    assert len(batch) == 4
    assert not any(batch.flags)


def test_every_reason_to_refuse_a_message_is_told() -> None:
    rooms = [*(PACKAGE / "telemetry").glob("*.py"), *(PACKAGE / "dispatch").glob("*.py")]
    reasons = {reason for room in rooms for reason in re.findall(r"Dead\(\"([^\"]+)\"", text(room))}
    assert len(reasons) > 5
    assert not [reason for reason in reasons if f"| {reason} |" not in text(DEVICE)]
