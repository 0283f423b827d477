"""An environment with nothing but `pip install tieline`: the wheel of this tree and what it asks for, no extra.

What it asks for is copied from this environment, so that no network is needed: what pip would have put there.
"""

import importlib.metadata
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
BUILD_S = 120


class Bare:
    """`python` runs in it; `packages` is where all of it is."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder / "environment", with_pip=False)
        self.python = str(folder / "environment/bin/python")
        self.packages = next((folder / "environment/lib").glob("python*/site-packages"))
        with zipfile.ZipFile(_wheel(folder)) as wheel:
            wheel.extractall(self.packages)
        metadata = next(self.packages.glob("tieline-*.dist-info"))
        self.distributions = needed(importlib.metadata.Distribution.at(metadata).requires or [])
        for name in self.distributions:
            _copy(name, self.packages)

    def bytes(self) -> int:
        """All that is installed, as it lies there before anything has run."""
        return sum(file.stat().st_size for file in self.packages.rglob("*") if file.is_file())


def needed(requirements: list[str]) -> set[str]:
    """What is asked for, and all that it asks for in turn, as installed here, without extras."""
    found: set[str] = set()
    todo = list(requirements)
    while todo:
        asked = Requirement(todo.pop())
        name = re.sub(r"[-_.]+", "-", asked.name).lower()
        if name not in found and (not asked.marker or asked.marker.evaluate({"extra": ""})):
            found.add(name)
            todo += importlib.metadata.requires(name) or []
    return found


def _wheel(folder: Path) -> Path:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=BUILD_S)
    return next(folder.glob("tieline-*.whl"))


def _copy(name: str, packages: Path) -> None:
    """Its files, but for scripts and what was compiled when they ran."""
    distribution = importlib.metadata.distribution(name)
    for file in distribution.files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            target = packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file.locate(), target)
