"""The page of who lives here: the loads, what is held and until when, and a way out.

    GET  /          the page                  GET  /state             the same for programs, as JSON
    POST /opt-out   of one thing that is asked  POST /opt-out-of-all    until midnight
    POST /opt-in    take part again

An opt-out may be of one load, from a time on, of a part of the power, and say why. The page has no script: it is links,
forms and buttons, for a keyboard as for a mouse.

It asks nobody who he is: whoever reaches it may. So it is reached on loopback, or on the home's network where that was
set; by an address or a name of its own, since other names are how a strange page would get here (DNS rebinding); and a
form counts with the token that the page itself gave, here or with /state, since a strange page can read neither.
"""

import hmac
import ipaddress
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, tzinfo
from html import escape
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from tieline.base.errors import Refused
from tieline.ven.agent.decision import Why
from tieline.ven.agent.markup import CONTENT_SECURITY, document
from tieline.ven.agent.schedule import Standing
from tieline.ven.agent.wish import LONGEST_REASON, Wish, wish
from tieline.ven.serving import Request, Response
from tieline.wires.mqtt.messages import OptOut

LARGEST_FORM = 4096
MOST_CALLS = 16

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
    """One thing that is asked; `what` for people; what its owner opted out of from later on is `coming`."""

    subject: str
    what: str
    is_on: bool
    start_at: datetime | None
    end_at: datetime | None
    loads: Sequence[str] = ()
    coming: Sequence[OptOut] = ()


class View(msgspec.Struct, frozen=True):
    """All that the page shows; `trouble` says why the platform is not heard, "" while it is. `clock_off_s`: this
    machine's clock is so far ahead of the one that is used, the platform's."""

    ven_id: str
    now_at: datetime
    power_kw: float | None
    limit_kw: float
    loads: Sequence[LoadView]
    asked: Sequence[AskedView]
    standing: Sequence[Standing]
    waiting: int
    trouble: str
    clock_off_s: float = 0.0


class Owner(NamedTuple):
    """What the page may do: each is durable, and told to the platform, when it returns."""

    opt_out: Callable[[Wish], Awaitable[None]]
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
            state = msgspec.structs.asdict(await self._view())
            text = msgspec.json.encode({**state, "token": self._token}).decode()
            return Response(200, text, (*HEADERS, ("Content-Type", "application/json")))
        return Response(404, "there is only /\n", HEADERS)

    async def _do(self, request: Request) -> Response:
        given = request.form.get("token", "")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return Response(403, "the page was opened too long ago: go back, load it anew, try again\n", HEADERS)
        try:
            return await self._obey(request)
        except Refused as error:
            return Response(422, f"{error}\n", HEADERS)

    async def _obey(self, request: Request) -> Response:
        """Raises `Refused`."""
        form = request.form
        if request.path == "/opt-out" and not form.get("subject"):
            raise Refused("subject: say which of the things asked is meant, as /state names them")
        if request.path in ("/opt-out", "/opt-out-of-all"):
            fields = form if request.path == "/opt-out" else {**form, "subject": ""}
            await self._owner.opt_out(wish(fields, (await self._view()).now_at, self._zone))
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
        f"<li><div><strong>{escape(one.what)}</strong><br>{_span(one, view.now_at, zone)}"
        f"{_coming(one.coming, view.now_at, zone)}</div>"
        f"{_button('/opt-out', 'Opt out of this', token, subject=one.subject, about=one.what)}"
        f"{_partly('/opt-out', one.loads, token, one.subject, about=one.what)}</li>"
        for one in view.asked
    )
    return f"<h2>The grid asks</h2><ul>{rows}</ul>"


def _span(one: AskedView, now: datetime, zone: tzinfo) -> str:
    until = f"until {_at(one.end_at, now, zone)}" if one.end_at else "until it is given back"
    if one.is_on or one.start_at is None:
        return f"now, {until}"
    return f"from {_at(one.start_at, now, zone)} {until}"


def _coming(coming: Sequence[OptOut], now: datetime, zone: tzinfo) -> str:
    return "".join(
        f"<br><small>{escape(one.resource_id or 'all')} free from {_at(one.from_at, now, zone)} on: "
        f"{escape(one.reason)}</small>"
        for one in coming
        if one.from_at
    )


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
    loads = [one.load_id for one in view.loads]
    asking = (
        "<h2>Not today?</h2><p>Nothing is held for the grid until midnight. The main fuse stays protected.</p>"
        f"{_button('/opt-out-of-all', 'Opt out of everything until tomorrow', token)}"
        f"{_partly('/opt-out-of-all', loads, token, about='everything until tomorrow')}"
    )
    if not view.standing:
        return asking
    rows = "".join(f"<li>{_stands(one, view.now_at, zone)}</li>" for one in view.standing)
    return f"<h2>You opted out</h2><ul>{rows}</ul>{_button('/opt-in', 'Take part again', token)}{asking}"


def _stands(one: Standing, now: datetime, zone: tzinfo) -> str:
    of = f"With {one.resource_id}" if one.resource_id else "Of everything"
    since = "" if one.from_at <= now else f" from {_at(one.from_at, now, zone)}"
    return f"{escape(of)}{since} until {_at(one.until_at, now, zone)}: {escape(one.reason)}"


def _partly(action: str, loads: Sequence[str], token: str, subject: str = "", *, about: str) -> str:
    """A form that is folded until it is wanted."""
    names = "".join(f"<option>{escape(load_id)}</option>" for load_id in loads)
    keep = "<label>Hold it no lower than, in kW <input type=number name=keep_kw min=0 step=0.1></label>"
    fields = (
        f"<label>Load <select name=load><option value=''>all of them</option>{names}</select></label>"
        f"<label>From <input type=time name=from> <small>empty: now</small></label>"
        f"{keep if subject and loads else ''}"
        f"<label>Why <input name=reason maxlength={LONGEST_REASON} autocomplete=off></label>"
    )
    button = _button(action, "Opt out in part", token, subject, about, fields)
    return f"<details><summary>One load, from a time on, why…</summary>{button}</details>"


def _foot(view: View, zone: tzinfo) -> str:
    link = f"not connected: {escape(view.trouble)}" if view.trouble else "connected"
    stored = f"; {view.waiting} readings wait to be sent" if view.waiting else ""
    clock = f"{view.now_at.astimezone(zone):%H:%M:%S}"
    if off_s := abs(round(view.clock_off_s)):
        way = "ahead" if view.clock_off_s > 0 else "behind"
        clock += f" by the platform's clock: this machine's is {off_s} s {way}"
    return f"<footer>At {clock}. {link}{stored}. <a href='/'>Look again</a></footer>"


def _button(action: str, text: str, token: str, subject: str = "", about: str = "", more: str = "") -> str:
    fields = f"{more}<input type=hidden name=token value='{token}'>"
    if subject:
        fields += f"<input type=hidden name=subject value='{escape(subject)}'>"
    label = f" aria-label='{escape(f'{text}: {about}')}'" if about else ""
    return f"<form method=post action='{action}'>{fields}<button{label}>{text}</button></form>"
