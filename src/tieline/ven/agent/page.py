"""The page of who lives here: the loads, what is held and until when, and a way out.

    GET  /          the page                  GET  /state             the same for programs, as JSON
    POST /opt-out   of one thing that is asked  POST /opt-out-of-all    until tomorrow
    POST /opt-in    take part again

It asks nobody who he is: whoever reaches it may. So it is reached on loopback, or on the home's network where that was
set; by an address or a name of its own, since other names are how a strange page would get here (DNS rebinding); and a
form counts with the token that the page itself gave, since a strange page cannot read it.
"""

import hmac
import ipaddress
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta, tzinfo
from html import escape
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from tieline.ven.agent.decision import Why
from tieline.ven.agent.markup import CONTENT_SECURITY, document
from tieline.ven.agent.serving import Request, Response

HEADERS = (
    ("Content-Security-Policy", CONTENT_SECURITY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)
WHY = {
    Why.ASKED: "held for the grid",
    Why.PANEL: "held for the grid: the panel",
    Why.FUSE: "held to protect the main fuse",
    Why.REST: "resting before it comes on again",
}


class LoadView(msgspec.Struct, frozen=True):
    load_id: str
    kind: str
    power_kw: float | None
    limit_kw: float | None
    why: Why | None
    trouble: str


class AskedView(msgspec.Struct, frozen=True):
    """One thing that is asked; `what` for people."""

    subject: str
    what: str
    is_on: bool
    start_at: datetime | None
    end_at: datetime | None


class View(msgspec.Struct, frozen=True):
    """All that the page shows; `trouble` says why the platform is not heard, "" while it is."""

    ven_id: str
    now_at: datetime
    power_kw: float | None
    limit_kw: float
    loads: Sequence[LoadView]
    asked: Sequence[AskedView]
    out_until: datetime | None
    waiting: int
    trouble: str


class Owner(NamedTuple):
    """What the page may do: each is durable, and told to the platform, when it returns."""

    opt_out: Callable[[str], Awaitable[None]]
    opt_out_of_all: Callable[[datetime], Awaitable[None]]
    opt_in: Callable[[], Awaitable[None]]


class Page:
    """Answers requests of the page's server. `names` are those it is called by beside addresses and localhost."""

    def __init__(self, view: Callable[[], Awaitable[View]], owner: Owner, zone: tzinfo, names: Sequence[str]) -> None:
        self._view, self._owner, self._zone = view, owner, zone
        self._names = {"localhost", *(name.lower() for name in names)}
        self._token = secrets.token_urlsafe(32)

    async def answer(self, request: Request) -> Response:
        if not self._is_called_right(request.headers.get("host", "")):
            return Response(421, "this page is not called so: add the name to [page] names\n", HEADERS)
        if request.method == "POST":
            return await self._do(request)
        if request.method not in ("GET", "HEAD"):
            return Response(405, "", (*HEADERS, ("Allow", "GET, POST")))
        return await self._show(request.path.partition("?")[0])

    async def _show(self, path: str) -> Response:
        if path == "/":
            text = render(await self._view(), self._token, self._zone)
            return Response(200, text, (*HEADERS, ("Content-Type", "text/html; charset=utf-8")))
        if path == "/state":
            text = msgspec.json.encode(await self._view()).decode()
            return Response(200, text, (*HEADERS, ("Content-Type", "application/json")))
        return Response(404, "there is only /\n", HEADERS)

    async def _do(self, request: Request) -> Response:
        given = request.form.get("token", "")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return Response(403, "the page was opened too long ago: go back, load it anew, try again\n", HEADERS)
        if request.path == "/opt-out":
            await self._owner.opt_out(request.form.get("subject", ""))
        elif request.path == "/opt-out-of-all":
            await self._owner.opt_out_of_all(_tomorrow((await self._view()).now_at, self._zone))
        elif request.path == "/opt-in":
            await self._owner.opt_in()
        else:
            return Response(404, "there is no such form\n", HEADERS)
        return Response(303, "", (*HEADERS, ("Location", "/")))

    def _is_called_right(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            return name in self._names or bool(ipaddress.ip_address(name))
        except ValueError:
            return False


def _tomorrow(now: datetime, zone: tzinfo) -> datetime:
    """The midnight that comes."""
    return datetime.combine(now.astimezone(zone).date() + timedelta(days=1), datetime.min.time(), zone)


# --- what it looks like -----------------------------------------------------------------------------------------------


def render(view: View, token: str, zone: tzinfo) -> str:
    """The page, as HTML."""
    parts = [
        _headline(view),
        _asked(view, token, zone),
        _loads(view.loads),
        _all(view, token, zone),
        _foot(view, zone),
    ]
    return document(f"{view.ven_id}: loads and the grid", "\n".join(parts))


def _headline(view: View) -> str:
    power = "unknown" if view.power_kw is None else f"{view.power_kw:.2f} kW"
    return f"<h1>{escape(view.ven_id)}</h1><p class=big>{power} <small>of {view.limit_kw:g} kW</small></p>"


def _asked(view: View, token: str, zone: tzinfo) -> str:
    if not view.asked:
        return "<h2>The grid asks</h2><p>Nothing now, nothing planned.</p>"
    rows = "".join(
        f"<li><div><strong>{escape(one.what)}</strong><br>{_span(one, view.now_at, zone)}</div>"
        f"{_button('/opt-out', 'Opt out of this', token, subject=one.subject, about=one.what)}</li>"
        for one in view.asked
    )
    return f"<h2>The grid asks</h2><ul>{rows}</ul>"


def _span(one: AskedView, now: datetime, zone: tzinfo) -> str:
    until = f"until {_at(one.end_at, now, zone)}" if one.end_at else "until it is given back"
    if one.is_on or one.start_at is None:
        return f"now, {until}"
    return f"from {_at(one.start_at, now, zone)} {until}"


def _at(at: datetime, now: datetime, zone: tzinfo) -> str:
    local, today = at.astimezone(zone), now.astimezone(zone).date()
    return f"{local:%H:%M}" if local.date() == today else f"{local:%a %d %b, %H:%M}"


def _loads(loads: Sequence[LoadView]) -> str:
    rows = "".join(
        f"<tr><th scope=row>{escape(one.load_id)}<br><small>{escape(one.kind.replace('_', ' '))}</small></th>"
        f"<td>{'unknown' if one.power_kw is None else f'{one.power_kw:.2f} kW'}</td><td>{_state(one)}</td></tr>"
        for one in loads
    )
    head = "<tr><th scope=col>Load</th><th scope=col>Draws</th><th scope=col>State</th></tr>"
    return (
        f"<h2>Loads</h2><table><caption>What each draws now</caption><thead>{head}</thead><tbody>{rows}</tbody></table>"
    )


def _state(one: LoadView) -> str:
    if one.trouble:
        return f"<span class=bad>off-line</span><br><small>{escape(one.trouble)}</small>"
    if one.why is None or one.limit_kw is None:
        return "free"
    return f"<span class=held>{WHY[one.why]}</span><br><small>at most {one.limit_kw:.2f} kW</small>"


def _all(view: View, token: str, zone: tzinfo) -> str:
    if view.out_until:
        return (
            f"<h2>You opted out</h2><p>Of everything, until {_at(view.out_until, view.now_at, zone)}.</p>"
            f"{_button('/opt-in', 'Take part again', token)}"
        )
    return (
        "<h2>Not today?</h2><p>Nothing is held for the grid until tomorrow. The main fuse stays protected.</p>"
        f"{_button('/opt-out-of-all', 'Opt out of everything until tomorrow', token)}"
    )


def _foot(view: View, zone: tzinfo) -> str:
    link = f"not connected: {escape(view.trouble)}" if view.trouble else "connected"
    stored = f"; {view.waiting} readings wait to be sent" if view.waiting else ""
    clock = f"{view.now_at.astimezone(zone):%H:%M:%S}"
    return f"<footer>At {clock}. {link}{stored}. <a href='/'>Look again</a></footer>"


def _button(action: str, text: str, token: str, subject: str = "", about: str = "") -> str:
    fields = f"<input type=hidden name=token value='{token}'>"
    if subject:
        fields += f"<input type=hidden name=subject value='{escape(subject)}'>"
    label = f" aria-label='{escape(f'{text}: {about}')}'" if about else ""
    return f"<form method=post action='{action}'>{fields}<button{label}>{text}</button></form>"
