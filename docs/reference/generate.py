"""Writes the reference pages from the code: `make docs`. Nothing is asked of any server, and nothing else is read, so
that the same code gives the same pages; `tests/house` checks that they are what is committed. In `baselines.md` only
the rules are written."""

import functools
import importlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import click
import msgspec
import prometheus_client.metrics
import sqlalchemy as sa
from docs.reference import conformance
from msgspec import inspect
from sqlalchemy.dialects import postgresql

import tieline
from tieline import app, metrics, settings
from tieline.adapters.sql import clock, outbox
from tieline.base import errors
from tieline.cli import main as command_line
from tieline.settlement.baseline import markets, wording
from tieline.wires.mqtt import messages

HERE = Path(__file__).parent
MADE = "<!-- Made by docs/reference/generate.py from {source}: change it there, then run `make docs`. -->"
Lines = Iterator[str]


def pages() -> dict[str, str]:
    """The text of every page, and of every schema, by its file's name."""
    made = {
        "settings.md": ("src/tieline/settings.py", settings_page()),
        "metrics.md": ("src/tieline/metrics.py", metrics_page()),
        "cli.md": ("src/tieline/cli", cli_page()),
        "api.md": ("the routes of every slice", api_page()),
        "topics.md": ("src/tieline/wires/mqtt/messages.py", topics_page()),
        "errors.md": ("src/tieline/base/errors.py", errors_page()),
        "tables.md": ("the store of every slice", tables_page()),
        "conformance.md": ("`tests/conformance`, recorded by `make conformance`", conformance.page()),
    }
    whole = {name: "\n".join([MADE.format(source=source), "", *lines, ""]) for name, (source, lines) in made.items()}
    return {**whole, **schema_files(), "baselines.md": baselines_page()}


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Lines:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(str(cell).replace('|', chr(92) + '|').replace(chr(10), ' ') for cell in row)} |"


def code(text: object) -> str:
    return f"`{text}`" if text not in ("", None) else ""


def fenced(text: str, language: str = "") -> Lines:
    yield from (f"```{language}", text, "```")


def said(thing: object) -> str:
    """A docstring as running text."""
    return " ".join((getattr(thing, "__doc__", "") or "").split())


# --- settings ---------------------------------------------------------------------------------------------------------


def settings_page() -> Lines:
    yield from ("# Settings", "")
    yield "Each comes from the environment, else from the file, else it has its default; the command line comes before"
    yield "all. The file is the TOML file that `TIELINE_CONFIG` names, or `tieline.toml` in the current folder; in it"
    yield "a setting has its name without the prefix, in small letters: `TIELINE_HTTP_PORT` is `http_port = 8400`."
    yield "A name that is no setting is refused. `tieline config` shows what is set and where it comes from; of secrets"
    yield "it says only whether they are set. `TIELINE_URL` is not a setting of the platform: it tells the commands"
    yield "which platform to talk to."
    yield ""
    found: Any = inspect.type_info(settings.Settings)
    header = ("name", "is", "default", "meaning")
    yield from table(header, (setting(field) for field in found.fields))


def setting(field: inspect.Field) -> tuple[str, str, str, str]:
    annotated = {one.name: one.type for one in msgspec.structs.fields(settings.Settings)}[field.name]
    kind = "secret" if settings.is_secret(annotated) else type_name(field.type)
    default = "" if field.default in ("", None) else json.dumps(field.default)
    return code(f"{settings.PREFIX}{field.name.upper()}"), kind, code(default), settings.describe(annotated)


def type_name(kind: Any) -> str:
    if isinstance(kind, inspect.Metadata):
        return type_name(kind.type)
    if isinstance(kind, inspect.UnionType):
        return " or ".join(type_name(one) for one in kind.types if not isinstance(one, inspect.NoneType))
    if isinstance(kind, inspect.LiteralType):
        return ", ".join(map(str, kind.values))
    names: dict[type, str] = {inspect.IntType: "integer", inspect.FloatType: "number", inspect.DateTimeType: "instant"}
    bounds = [f"{word} {limit:g}" for word, limit in limits(kind) if limit is not None]
    return " ".join([names.get(type(kind), "text"), *bounds])


def limits(kind: Any) -> Iterator[tuple[str, float | None]]:
    for word, name in (("above", "gt"), ("from", "ge"), ("to", "le"), ("below", "lt")):
        yield word, getattr(kind, name, None)


# --- metrics ----------------------------------------------------------------------------------------------------------


def metrics_page() -> Lines:
    yield from ("# Metrics", "", "Prometheus text at `GET /metrics`. Each process counts for itself.", "")
    found = [one for one in vars(metrics).values() if isinstance(one, prometheus_client.metrics.MetricWrapperBase)]
    yield from table(("name", "type", "labels", "meaning"), (metric(one) for one in found))


def metric(one: prometheus_client.metrics.MetricWrapperBase) -> tuple[str, str, str, str]:
    described = next(iter(one.describe()))
    name = f"{described.name}_total" if described.type == "counter" else described.name
    return code(name), described.type, ", ".join(map(code, one._labelnames)), described.documentation


# --- the command line -------------------------------------------------------------------------------------------------


def cli_page() -> Lines:
    yield from ("# Command line", "", said(importlib.import_module("tieline.cli")), "")
    for path, command in commands("tieline", command_line):
        arguments = [one.make_metavar(click.Context(command)) for one in command.params if _is_argument(one)]
        yield from (f"## `{' '.join([path, *arguments])}`", "", said(command.callback), "")
        options = [option(one) for one in command.params if isinstance(one, click.Option)]
        if options:
            yield from table(("option", "default", "variable", "meaning"), options)
            yield ""


def commands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with its path."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name, below in sorted(command.commands.items()):
        yield from commands(f"{path} {name}", below)


def _is_argument(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Argument)


def option(one: click.Option) -> tuple[str, str, str, str]:
    told = one.to_info_dict()
    names = ", ".join(map(code, told["opts"]))
    default = "" if one.is_flag or told["default"] is None or "UNSET" in repr(told["default"]) else told["default"]
    needed = "required; " if one.required else ""
    if callable(default):
        default = one.show_default
    return names, code(default), code(one.envvar), f"{needed}{one.help or ''}".removesuffix("; ")


# --- HTTP -------------------------------------------------------------------------------------------------------------


@functools.cache
def schema() -> dict[str, Any]:
    """The OpenAPI schema of the application, made without any port behind it."""
    absent = app.Ports(**dict.fromkeys(app.Ports.__struct_fields__, Mock()))
    assembled = app.assemble(settings.Settings(), absent, app.PARTS)
    found: dict[str, Any] = assembled.http.rest.openapi_schema.to_schema()
    return found


def api_page() -> Lines:
    yield from ("# HTTP API", "")
    yield "JSON over HTTP; `GET /openapi.json` is the same for programs. Instants are RFC 3339 with a zone and are"
    yield "answered in UTC. Spans are `[start, end)`. Lists have `items` and `next_cursor`, null on the last page. What"
    yield "is refused is answered with problem+json (RFC 9457): see [errors](errors.md). A series' values, an event's"
    yield "ledger and a statement's lines come as CSV for `Accept: text/csv`. Beyond loopback every call under `/v1`"
    yield "needs `Authorization: Bearer …`. `/health/live`, `/health/ready` and `/metrics` need nothing."
    yield ""
    found = schema()
    for path, methods in sorted(found["paths"].items()):
        for method, operation in methods.items():
            yield from endpoint(f"{method.upper()} {path}", operation)
    yield from ("## Types", "")
    for name, body in sorted(found["components"]["schemas"].items()):
        if not name.startswith("Page_"):
            yield from component(name, body)


def endpoint(title: str, operation: dict[str, Any]) -> Lines:
    yield from (f"## `{title}`", "")
    if text := operation.get("description"):
        yield from (" ".join(text.split()), "")
    content = operation.get("requestBody", {}).get("content", {})
    if sent := " or ".join(shape(one["schema"]) for one in content.values()):
        yield from (f"Takes {sent}.", "")
    status, answer = next((s, a) for s, a in operation["responses"].items() if s.startswith("2"))
    kinds = [f"{shape(body['schema'])}" for body in answer.get("content", {}).values() if body.get("schema")]
    yield from (f"Answers {status}{': ' if kinds else ''}{' or '.join(kinds)}.", "")
    if parameters := operation.get("parameters"):
        yield from table(("parameter", "in", "is", "meaning"), (parameter(one) for one in parameters))
        yield ""


def parameter(one: dict[str, Any]) -> tuple[str, str, str, str]:
    default = one["schema"].get("default")
    is_ = shape(one["schema"]) + (f", {default} by default" if default is not None else "")
    needed = "" if one.get("required") else "optional, "
    return code(one["name"]), one["in"], needed + is_, one.get("description", "")


def component(name: str, body: dict[str, Any]) -> Lines:
    yield from (f"### {name}", "")
    if text := body.get("description"):
        yield from (" ".join(text.split()), "")
    if "enum" in body:
        yield from (", ".join(map(code, body["enum"])), "")
        return
    needed = body.get("required", [])
    rows = [
        (code(field), ("" if field in needed else "optional, ") + shape(one), one.get("description", ""))
        for field, one in body.get("properties", {}).items()
    ]
    yield from table(("field", "is", "meaning"), rows)
    yield ""


def shape(one: dict[str, Any]) -> str:
    """What a schema asks for, in words."""
    if "$ref" in one:
        return reference(one["$ref"].rpartition("/")[2])
    if choices := one.get("oneOf") or one.get("anyOf"):
        return " or ".join(shape(choice) for choice in choices if choice) or "anything"
    if one.get("type") == "array":
        return f"list of {shape(one.get('items', {}))}"
    if one.get("type") == "object" and isinstance(one.get("additionalProperties"), dict):
        return f"object of {shape(one['additionalProperties'])}"
    kind = "instant" if one.get("format") == "date-time" else str(one.get("type", "anything"))
    bounds = ("exclusiveMinimum", "above"), ("minimum", "from"), ("maximum", "to")
    words = [f"{word} {one[name]:.10g}" for name, word in bounds if name in one]
    return " ".join([kind, *words])


def reference(name: str) -> str:
    """A link to a type; a page of a list is named by what is on it."""
    if name.startswith("Page_"):
        parts = name.removesuffix("_").split(".")
        in_full = "_".join(parts[-3:])  # as the schema names a type of whose name there are two
        return f"page of {reference(in_full if in_full in schema()['components']['schemas'] else parts[-1])}"
    return f"[{name}](#{name.lower()})"


# --- MQTT -------------------------------------------------------------------------------------------------------------

AT = datetime(2026, 7, 14, 23, 30, tzinfo=UTC)
COMMANDED = messages.Command(
    command_id="20260714-2330-5f2c1a:home-7:event",
    op=messages.Op.EVENT,
    event_id="20260714-2330-5f2c1a",
    issued_at=AT.replace(minute=29),
    expires_at=AT.replace(minute=45),
    start_at=AT,
    end_at=AT.replace(minute=45),
    limits=[messages.Limit("hvac", 0.0)],
)
TOPICS: dict[str, msgspec.Struct] = {
    messages.METER: messages.Meter([messages.Sample(AT, 2.31)]),
    messages.LOADS: messages.Loads(AT, [messages.Load("hvac", 0.2, 0.2, messages.LoadState.SHED, 2400, 1.6)]),
    messages.PRESENCE: messages.Presence(online=True, beat_s=60.0, agent="cabin/1.4"),
    messages.TWIN: messages.TwinReport(reported={"comfort_c": 21}, token="7"),  # noqa: S106  no secret: an echo
    messages.ACK: messages.Ack(COMMANDED.command_id, messages.Answer.ACCEPTED, AT.replace(minute=29, second=2)),
    messages.COMMAND: COMMANDED,
    messages.DESIRED: messages.TwinDelta(messages.CLASSIC, 12, AT, {"comfort_c": 22}),
}
SCHEMAS = "schemas/mqtt/v1"


def topics_page() -> Lines:
    yield from ("# MQTT topics", "")
    yield from fenced((messages.__doc__ or "").partition("\n\n")[2].rstrip())
    yield from ("", f"A message holds at most {messages.MAX_BYTES} bytes, a meter's at most {messages.MAX_SAMPLES}")
    yield "samples. [Connect a device](../howto/device.md) says how it all goes together. The schemas are also files,"
    yield f"in [{SCHEMAS}]({SCHEMAS}); MessagePack has the same fields, with instants as text or as its timestamps."
    for kind, example in TOPICS.items():
        yield from ("", f"## `{messages.topic(kind, '{venId}')}`", "")
        if text := said(type(example)):
            yield from (text, "")
        yield from ("For example:", "")
        yield from fenced(msgspec.json.format(msgspec.json.encode(example), indent=2).decode(), "json")
        yield from ("", f"JSON Schema, [as a file]({schema_file(kind)}):", "")
        yield from fenced(json.dumps(msgspec.json.schema(type(example)), indent=2), "json")


def schema_file(kind: str) -> str:
    return f"{SCHEMAS}/{kind.replace('/', '-')}.json"


def schema_files() -> dict[str, str]:
    """The JSON Schema of each topic's messages by its file's name."""
    return {schema_file(kind): mqtt_schema(kind, type(example)) for kind, example in TOPICS.items()}


def mqtt_schema(kind: str, message: type[msgspec.Struct]) -> str:
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:tieline:mqtt:v1:{kind}"}
    return json.dumps(about | msgspec.json.schema(message), indent=2) + "\n"


# --- errors -----------------------------------------------------------------------------------------------------------


def errors_page() -> Lines:
    yield from ("# Errors", "", said(errors), "")
    raised = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.TielineError)]
    rows = [
        (code(one.__name__), code(one.__mro__[1].__name__), one.status, code(one.title), one.exit_code, said(one))
        for one in raised
        if one is not errors.TielineError
    ]
    yield from table(("error", "is a", "HTTP", "title", "exit code", "meaning"), rows)
    yield ""
    yield "Over HTTP an error is `application/problem+json` with `type`, `title`, `status`, `detail` and `instance`;"
    yield "`detail` says what was wrong, where, and what would be right. A 503 carries `Retry-After`. Before a slice is"
    yield "reached, the HTTP server itself answers 400 for a body or parameter that does not fit its type (`errors`"
    yield "lists what), 404 for an unknown path and 405 for a wrong method, in the same form."


# --- tables -----------------------------------------------------------------------------------------------------------


def metadatas() -> dict[str, sa.MetaData]:
    """What every slice, and the SQL adapter itself, declares as its tables."""
    root = Path(tieline.__file__).parent
    found = {"adapters/sql": sa.MetaData()}
    for one in (outbox.OUTBOX, clock.CLOCK):
        one.to_metadata(found["adapters/sql"])
    for file in sorted([*root.glob("*/store.py"), *root.glob("*/*/store.py")]):
        room = file.parent.relative_to(root)
        if room.parts[0] == "ven":
            continue  # what an agent keeps on its own disk is no table of the platform
        found[str(room)] = importlib.import_module(".".join(("tieline", *room.parts, "store"))).metadata
    return found


def tables_page() -> Lines:
    yield from ("# Tables", "")
    yield "What Rows holds, by the slice that writes it; no other slice does. Types are PostgreSQL's; in SQLite an"
    yield "instant is microseconds since 1970 UTC. `alembic_version` beside them says which migration was last."
    for owner, metadata in metadatas().items():
        yield from ("", f"## {owner}")
        for one in metadata.sorted_tables:
            yield from ("", f"### {one.name}", "")
            yield from table(("column", "type", "", "refers to"), (column(each) for each in one.columns))
            if indexes := sorted(one.indexes, key=lambda index: str(index.name)):
                told = "; ".join(f"`{index.name}` on {', '.join(index.columns.keys())}" for index in indexes)
                yield from ("", f"Indexes: {told}.")


def column(one: sa.Column[Any]) -> tuple[str, str, str, str]:
    kind = one.type.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
    role = "primary key" if one.primary_key else "may be null" if one.nullable else ""
    refers = ", ".join(sorted(code(key.target_fullname) for key in one.foreign_keys))
    return code(one.name), re.sub(r"\s+", " ", kind), role, refers


# --- baselines --------------------------------------------------------------------------------------------------------


def baselines_page() -> str:
    """Written by hand, but for the rules between two marks (and the tournament, which `tournament.py` writes)."""
    begin, end = "<!-- rules: made by docs/reference/generate.py -->", "<!-- /rules -->"
    header = ("rule", "is", "days", "average", "adjustment", "bounds")
    rules = [(code(r.name), r.title, *wording.columns(r)) for r in markets.RULES.values()]
    sources = [(code(r.name), r.source, r.read) for r in markets.RULES.values()]
    lines = (*table(header, rules), "", *table(("rule", "source", "how we know"), sources))
    page = (HERE / "baselines.md").read_text(encoding="utf-8")
    before, _, rest = page.partition(begin)
    return "\n".join([before + begin, "", *lines, "", end + rest.partition(end)[2]])


if __name__ == "__main__":
    for file_name, text in pages().items():
        (HERE / file_name).parent.mkdir(parents=True, exist_ok=True)
        (HERE / file_name).write_text(text, encoding="utf-8")
        print(f"docs/reference/{file_name}")
