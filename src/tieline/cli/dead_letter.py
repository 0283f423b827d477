"""Commands about dead letters: messages that were refused, why, and once more after what was wrong is mended."""

import sys
from typing import Any

import click

from tieline.base.errors import Conflict, NotFound
from tieline.cli.asking import ask, asking, listed, paged
from tieline.cli.printing import one, print_json, show

TAKEN = "taken"


@click.group("dead-letter")
def dead_letter() -> None:
    """Dead letters: what devices sent and could not be taken."""


@dead_letter.command("list")
@click.option("--ven", "ven_id", help="Only of this VEN.")
@click.option("--reason", help="Only those refused for this.")
@click.option("--open", "open_only", is_flag=True, help="Only those not taken since.")
@paged
@asking
def dead_letter_list(url: str, token: str | None, as_json: bool, open_only: bool, **params: Any) -> None:
    """What was refused and why, the newest first. They are kept 30 days."""
    columns = ["position", "said_at", "ven_id", "reason", "outcome", "size", "detail"]
    opened = "true" if open_only else None
    listed("/v1/dead-letters", url, token, as_json, columns, "dead letters", open=opened, **params)


@dead_letter.command("show")
@click.argument("position", type=int)
@asking
def dead_letter_show(url: str, token: str | None, as_json: bool, position: int) -> None:
    """One, with what it said."""
    found = ask(url, token, "GET", f"/v1/dead-letters/{position}")
    if as_json:
        print_json(found)
        return
    text, _ = found.pop("text"), found.pop("excerpt")
    data = found.pop("data_base64")
    one(found, False)
    click.echo(text if text is not None else f"not text; in Base64: {data[:400]}{'…' if len(data) > 400 else ''}")


@dead_letter.command("replay")
@click.argument("positions", type=int, nargs=-1, required=True)
@asking
def dead_letter_replay(url: str, token: str | None, as_json: bool, positions: tuple[int, ...]) -> None:
    """Take messages once more, after what was wrong is mended: what has been taken is not taken twice.

    Exits 1 when one of them was not taken: its outcome says why.
    """
    outcomes = [_replayed(url, token, position) for position in positions]
    columns = ["position", "ven_id", "outcome", "reason", "detail", "replayed_at"]
    told = [each | ({"reason": None, "detail": None} if each["outcome"] == TAKEN else {}) for each in outcomes]
    show(outcomes if as_json else [{name: each.get(name) for name in columns} for each in told], as_json, "outcomes")
    sys.exit(any(each["outcome"] != TAKEN for each in outcomes))


def _replayed(url: str, token: str | None, position: int) -> dict[str, Any]:
    """One that cannot be replayed does not keep the others from it."""
    try:
        answer: dict[str, Any] = ask(url, token, "POST", f"/v1/dead-letters/{position}/replay")
    except (NotFound, Conflict) as error:
        return {"position": position, "outcome": "not replayed", "detail": str(error)}
    return answer


def add_to(group: click.Group) -> None:
    group.add_command(dead_letter)
