"""How code is written: small, introduced by its first line, named in the field's terms, on the clock it is given."""

import ast
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from tests.house.tree import HOUSE, ROOT, SOURCES, dotted, named, parsed
from tieline.base import errors

Node = TypeVar("Node", bound=ast.AST)
MOST_LINES, MOST_OF_A_FUNCTION = 400, 40
VAGUE = re.compile(r"(^|_)(utils?|commons?|managers?|helpers?)(_|$)")
WALL = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns"}
WALL_MEANT = {
    "src/tieline/base/time.py": "the clock itself",
    "src/tieline/adapters/series/files.py": "a vacuum compares it with the file system's stamps",
    "src/tieline/adapters/series/table.py": "which merged files a vacuum may have taken",
    "src/tieline/sim/beside.py": "which day a simulated clock starts on, before there is one",
    "src/tieline/sim/fleet.py": "what it anchors the platform's clock to, passed in by tests",
    "src/tieline/ven/agent/timekeeping.py": "a machine's clock that is turned back must not stand, passed in by tests",
}
FAMILIES = {name for name, one in vars(errors).items() if isinstance(one, type)} | {"Collision"}
OTHERS = {
    "src/tieline/cli/__init__.py": {"SystemExit"},  # the shell's exit code
    "src/tieline/cli/platform.py": {"SystemExit"},
    "src/tieline/cli/customer.py": {"click.BadParameter"},
    "src/tieline/vtn/webhooks/sender.py": {"OSError"},  # only that makes the HTTP client try the host's next address
    # msgspec makes a refusal of it that names the field
    "src/tieline/wires/openadr31/messages.py": {"ValueError"},
    "src/tieline/wires/openadr31/scalars.py": {"ValueError"},
    "src/tieline/wires/openadr301/messages.py": {"ValueError"},
    "src/tieline/wires/openadr301/targets.py": {"ValueError"},
    "src/tieline/adapters/nats/mqtt.py": {"ConnectionAbortedError"},  # caught as every lost connection is
    "src/tieline/adapters/nats/packets.py": {"ValueError"},  # pure: who reads the stream makes a lost connection of it
    "src/tieline/adapters/nats/frames.py": {"ValueError"},  # the same
    "src/tieline/telemetry/batch.py": {"msgspec.ValidationError"},  # as of all else that is no batch
    "src/tieline/adapters/sql/transaction.py": {"RuntimeError"},  # what Python itself makes of a stray StopIteration
}


def found(files: Iterable[Path], look: Callable[[Path], object]) -> dict[str, object]:
    """What a look at each file finds, by the file's name, where it finds anything."""
    return {named(file): what for file in files if (what := look(file))}


def nodes(file: Path, kind: type[Node]) -> list[Node]:
    return [node for node in ast.walk(parsed(file)) if isinstance(node, kind)]


def test_the_first_line_says_what_the_room_is() -> None:
    def silent(file: Path) -> bool:
        told = (ast.get_docstring(parsed(file)) or "").split()
        return len(told) < 3 or not file.read_text(encoding="utf-8").startswith('"""')

    assert not found(SOURCES, silent)


def test_files_are_short() -> None:
    def lines(file: Path) -> int:
        count = len(file.read_text(encoding="utf-8").splitlines())
        return count if count > MOST_LINES else 0

    assert not found(SOURCES, lines)


def test_functions_are_short() -> None:
    def long(file: Path) -> dict[str, int]:
        defined: list[ast.FunctionDef | ast.AsyncFunctionDef] = [
            *nodes(file, ast.FunctionDef),
            *nodes(file, ast.AsyncFunctionDef),
        ]
        sizes = {one.name: (one.end_lineno or 0) - one.lineno + 1 for one in defined}
        return {name: size for name, size in sizes.items() if size > MOST_OF_A_FUNCTION}

    assert not found(SOURCES, long)


def test_no_name_says_nothing() -> None:
    names = [path for path in ROOT.glob("[!.]*/**/*") if "node_modules" not in path.parts]
    assert not [named(path) for path in names if VAGUE.search(path.stem)]


def test_nobody_looks_at_the_wall() -> None:
    """The clock is passed in."""

    def looks(file: Path) -> set[str]:
        return {dotted(node) for node in nodes(file, ast.Attribute)} & WALL

    assert set(found(HOUSE, looks)) == set(WALL_MEANT)


def test_sql_is_never_put_together_from_text() -> None:
    """Bind parameters, or write a .sql file."""

    def composed(file: Path) -> list[int]:
        return [
            call.lineno
            for call in nodes(file, ast.Call)
            if getattr(call.func, "attr", "") in ("execute", "executemany", "executescript", "text", "sql")
            and any(isinstance(one, ast.JoinedStr | ast.BinOp) for one in call.args)
        ]

    assert not found(HOUSE, composed)


def test_only_the_three_families_are_raised() -> None:
    def strange(file: Path) -> set[str]:
        calls = [node.exc for node in nodes(file, ast.Raise)]
        raised = {dotted(one.func) for one in calls if isinstance(one, ast.Call)}
        return {name for name in raised if name.rpartition(".")[2][:1].isupper()} - FAMILIES

    assert found(HOUSE, strange) == OTHERS
