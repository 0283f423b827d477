"""Where things are: the sources, the slices, the pages, as the tests of the house walk them."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "tieline"
SLICES = sorted(file.parent.name for file in PACKAGE.glob("*/store.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SOURCES = sorted(
    file
    for folder in ("src", "tests", "docs", "web")
    for file in (ROOT / folder).rglob("*.py")
    if "node_modules" not in file.parts
)
HOUSE = [file for file in SOURCES if file.is_relative_to(PACKAGE)]


def named(file: Path) -> str:
    """A file as people name it: from the root of the repository."""
    return file.relative_to(ROOT).as_posix()


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def dotted(node: ast.AST) -> str:
    """`time.time` of the expression `time.time`; empty for what is no plain name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""
