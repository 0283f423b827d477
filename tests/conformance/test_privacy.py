"""Object privacy through the real doors: whatever there is, a VEN is shown what is its own or meant for it, and not
that anything else exists."""

from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.conformance.vtn import DIALECTS, Credentials, Dialect, Echo, Vtn, created, unique
from tests.conformance.worlds import CLIENTS, TARGETS, Plan, World, plans

NOBODY = "0123456789abcdef01234567"
asking = st.lists(st.lists(st.sampled_from([*TARGETS, "nowhere"]), min_size=1, max_size=2, unique=True), max_size=3)
through_doors = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # each try is a world made through the doors: none is made smaller for minutes
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def who(vtn: Vtn) -> list[Credentials]:
    return [vtn.enrol("ven") for _ in range(CLIENTS)]


@pytest.fixture(scope="module")
def views(vtn: Vtn, who: list[Credentials]) -> dict[tuple[str, Dialect], httpx.Client]:
    return {(one.client_id, dialect): vtn.client(one, dialect) for one in who for dialect in DIALECTS}


@pytest.fixture
def webhook(echo: Echo) -> str:
    return f"{echo.url}/privacy"


def all_of(client: httpx.Client, path: str, query: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """A whole list, by pages of three."""
    found: list[dict[str, Any]] = []
    while True:
        answer = client.get(path, params=[*query, ("skip", str(len(found))), ("limit", "3")])
        assert answer.status_code == 200, answer.text
        found += (page := answer.json())
        if len(page) < 3:
            return found


def asked_for(dialect: Dialect, asked: list[str]) -> list[tuple[str, str]] | None:
    """The query; None where 3.0.1 cannot ask that: targets of several types."""
    if dialect == "3.1.0":
        return [("targets", one) for one in asked]
    pairs = [as_pair(one) for one in asked]
    if len({kind for kind, _ in pairs}) > 1:
        return None
    return [("targetType", kind) for kind, _ in pairs[:1]] + [("targetValues", value) for _, value in pairs]


def as_pair(target: str) -> tuple[str, str]:
    kind, colon, value = target.partition(":")
    return (kind, value) if colon else ("TARGET", target)


def said(dialect: Dialect, thing: dict[str, Any]) -> set[str]:
    """The targets of an answer, as 3.1 writes them."""
    if dialect == "3.1.0":
        return set(thing["targets"] or ())
    pairs = [(one["type"], value) for one in thing["targets"] or () for value in one["values"]]
    return {value if kind == "TARGET" else f"{kind}:{value}" for kind, value in pairs}


@pytest.mark.clause("privacy: reading programs and events")
@pytest.mark.clause("privacy: targets hidden")
@through_doors
@given(plan=plans, asks=asking)
def test_programs_and_events_are_shown_to_whom_they_are_meant_for(
    vtn: Vtn,
    who: list[Credentials],
    views: dict[tuple[str, Dialect], httpx.Client],
    plan: Plan,
    asks: list[list[str]],
) -> None:
    world = World(plan, vtn.client("bl"), who)
    try:
        for (client_id, dialect), client in views.items():
            for kind in ("programs", "events"):
                for asked in [[], *asks]:
                    check_list(world, client_id, dialect, client, kind, asked)
                check_ones(world, client_id, dialect, client, kind)
    finally:
        world.end()


def check_list(
    world: World, client_id: str, dialect: Dialect, client: httpx.Client, kind: str, asked: list[str]
) -> None:
    if (query := asked_for(dialect, asked)) is None:
        return
    things = getattr(world, kind)
    meant = {one["id"]: world.meant_for(client_id, one, asked) for one in things}
    expected = [(id_, set(shown)) for id_, shown in meant.items() if shown is not None]
    ours = {one["id"] for one in things}
    found = [one for one in all_of(client, kind, query) if one["id"] in ours]
    assert [(one["id"], said(dialect, one)) for one in found] == expected, (dialect, kind, asked)
    for program in world.programs if kind == "events" else ():
        part = all_of(client, kind, [*query, ("programID", program["id"])])
        assert [one["id"] for one in part] == [one["id"] for one in found if one["programID"] == program["id"]]


def check_ones(world: World, client_id: str, dialect: Dialect, client: httpx.Client, kind: str) -> None:
    absent = client.get(f"{kind}/{NOBODY}")
    for thing in getattr(world, kind):
        shown = world.meant_for(client_id, thing, [])
        answer = client.get(f"{kind}/{thing['id']}")
        if shown is None:
            same_refusal(answer, absent, thing["id"])
        else:
            assert said(dialect, answer.json()) == set(shown)


def same_refusal(answer: httpx.Response, absent: httpx.Response, id_: str) -> None:
    """As for an id that nobody has: else the answer would tell that there is something."""
    assert (answer.status_code, answer.text) == (absent.status_code, absent.text.replace(NOBODY, id_))
    assert absent.status_code == 404


@pytest.mark.clause("privacy: own objects only")
@pytest.mark.clause("privacy: business logic reads all")
@through_doors
@given(plan=plans, asks=asking)
def test_vens_and_resources_are_shown_to_their_client(
    vtn: Vtn,
    who: list[Credentials],
    views: dict[tuple[str, Dialect], httpx.Client],
    plan: Plan,
    asks: list[list[str]],
) -> None:
    bl = vtn.client("bl")
    world = World(plan, bl, who)
    try:
        for kind in ("vens", "resources"):
            assert {one["id"] for one in getattr(world, kind)} <= {one["id"] for one in all_of(bl, kind, [])}
            for (client_id, dialect), client in views.items():
                if (kind, dialect) != ("resources", "3.0.1"):
                    check_owned(world, client_id, dialect, client, kind, [[], *asks])
        for (client_id, dialect), client in views.items():
            if dialect == "3.0.1":
                check_nested(world, client_id, client)
    finally:
        world.end()


def check_owned(
    world: World, client_id: str, dialect: Dialect, client: httpx.Client, kind: str, asks: list[list[str]]
) -> None:
    for asked in asks:
        if (query := asked_for(dialect, asked)) is not None:
            assert [one["id"] for one in all_of(client, kind, query)] == world.owned(client_id, kind, asked)
    absent = client.get(f"{kind}/{NOBODY}")
    own = world.owned(client_id, kind)
    for thing in getattr(world, kind):
        answer = client.get(f"{kind}/{thing['id']}")
        if thing["id"] in own:
            assert said(dialect, answer.json()) == set(thing["targets"] or ())
        else:
            same_refusal(answer, absent, thing["id"])
            for method in ("PUT", "DELETE"):
                body = request_for(kind, thing, dialect) if method == "PUT" else None
                missing = client.request(method, f"{kind}/{NOBODY}", json=body)
                same_refusal(client.request(method, f"{kind}/{thing['id']}", json=body), missing, thing["id"])


def request_for(kind: str, thing: dict[str, Any], dialect: Dialect) -> dict[str, Any]:
    """As the VEN itself would write it."""
    name = {"vens": "venName", "resources": "resourceName"}[kind]
    words = {name: unique()} | ({"venID": thing["venID"]} if kind == "resources" else {})
    return words if dialect == "3.0.1" else {"objectType": f"VEN_{kind.upper().removesuffix('S')}_REQUEST", **words}


def check_nested(world: World, client_id: str, client: httpx.Client) -> None:
    """3.0.1 has resources below their VEN, and in it."""
    own = world.owned(client_id, "vens")
    mine = world.owned(client_id, "resources")
    for ven in world.vens:
        path = f"vens/{ven['id']}/resources"
        if ven["id"] not in own:
            absent = client.get(f"vens/{NOBODY}/resources")
            same_refusal(client.get(path), absent, ven["id"])
            continue
        here = [one["id"] for one in world.resources if one["venID"] == ven["id"] and one["id"] in mine]
        assert [one["id"] for one in all_of(client, path, [])] == here
        assert [one["id"] for one in client.get(f"vens/{ven['id']}").json()["resources"] or ()] == here


@pytest.mark.clause("privacy: own objects only")
def test_a_resource_of_another_s_at_one_s_own_ven_is_as_one_that_is_not_there(vtn: Vtn, who: list[Credentials]) -> None:
    """3.0.1 asks for a resource at its VEN: neither where it is nor whose it is may be told."""
    bl, mine = vtn.client("bl"), vtn.client(who[0], "3.0.1")
    here, there = (
        created(bl, "vens", {"objectType": "BL_VEN_REQUEST", "clientID": one.client_id, "venName": unique()})["id"]
        for one in who[:2]
    )
    theirs = {"objectType": "BL_RESOURCE_REQUEST", "clientID": who[1].client_id}
    hidden = [
        created(bl, "resources", {**theirs, "venID": ven, "resourceName": unique()})["id"] for ven in (here, there)
    ]
    for method in ("GET", "PUT", "DELETE"):
        body = {"resourceName": unique()} if method == "PUT" else None
        for ven in (here, there):
            absent = mine.request(method, f"vens/{ven}/resources/{NOBODY}", json=body)
            for id_ in hidden:
                same_refusal(mine.request(method, f"vens/{ven}/resources/{id_}", json=body), absent, id_)
    assert [bl.get(f"resources/{id_}").status_code for id_ in hidden] == [200, 200]


@pytest.mark.clause("privacy: own objects only")
@pytest.mark.clause("privacy: client of an object")
def test_reports_and_subscriptions_are_their_client_s(vtn: Vtn, who: list[Credentials], webhook: str) -> None:
    bl, mine, other = vtn.client("bl"), vtn.client(who[0]), vtn.client(who[1])
    event = created(bl, "events", {"programID": created(bl, "programs", {"programName": unique()})["id"]})
    told = {"objects": ["EVENT"], "operations": ["UPDATE"], "callbackUrl": webhook}
    made = {
        "reports": created(mine, "reports", {"eventID": event["id"], "clientName": "me", "resources": []}),
        "subscriptions": created(mine, "subscriptions", {"clientName": "me", "objectOperations": [told]}),
    }
    for kind, thing in made.items():
        assert thing["clientID"] == who[0].client_id
        assert thing["id"] in {one["id"] for one in all_of(mine, kind, [])}
        assert thing["id"] in {one["id"] for one in all_of(bl, kind, [])}
        assert thing["id"] not in {one["id"] for one in all_of(other, kind, [])}
        body = {name: value for name, value in thing.items() if name not in ("id", "clientID")}
        for method in ("GET", "PUT", "DELETE"):
            sent = body if method == "PUT" else None
            absent = other.request(method, f"{kind}/{NOBODY}", json=sent)
            same_refusal(other.request(method, f"{kind}/{thing['id']}", json=sent), absent, thing["id"])


@pytest.mark.clause("privacy: client of an object")
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_ven_does_not_say_whose_it_is(vtn: Vtn, who: list[Credentials], dialect: Dialect) -> None:
    """By the attribute by which business logic says so in 3.0.1; what else it says of itself stays."""
    bl, mine, other = vtn.client("bl"), vtn.client(who[0], dialect), who[1].client_id
    place = {"type": "LOCATION", "values": [40.5, -73.9]}
    lies = {"attributes": [{"type": "CLIENT_ID", "values": [other]}, place]}
    ven = created(mine, "vens", request_for("vens", {}, dialect) | lies)["id"]
    devices = "resources" if dialect == "3.1.0" else f"vens/{ven}/resources"
    device = request_for("resources", {"venID": ven}, dialect) | lies
    resource = created(mine, devices, device)["id"]
    for changed in (False, True):
        if changed:
            mine.put(f"vens/{ven}", json=request_for("vens", {}, dialect) | lies).raise_for_status()
            mine.put(f"{devices}/{resource}", json=device).raise_for_status()
        for path in (f"vens/{ven}", f"resources/{resource}"):
            shown = bl.get(path).json()
            assert (shown["clientID"], shown["attributes"]) == (who[0].client_id, [place])


@pytest.mark.clause("privacy: reading programs and events")
def test_a_reference_to_what_is_hidden_is_one_to_nothing(vtn: Vtn, who: list[Credentials], webhook: str) -> None:
    bl, ven = vtn.client("bl"), vtn.client(who[0])
    program = created(bl, "programs", {"programName": unique(), "targets": ["nobody's"]})
    event = created(bl, "events", {"programID": program["id"], "targets": ["nobody's"]})
    owner = {"objectType": "BL_VEN_REQUEST", "clientID": who[1].client_id}
    theirs = created(bl, "vens", {**owner, "venName": unique()})
    told = {"objects": ["EVENT"], "operations": ["UPDATE"], "callbackUrl": webhook}
    bodies: list[tuple[str, str, dict[str, Any]]] = [
        ("reports", event["id"], {"eventID": ..., "clientName": "me", "resources": []}),
        ("subscriptions", program["id"], {"programID": ..., "clientName": "me", "objectOperations": [told]}),
        ("resources", theirs["id"], {"objectType": "VEN_RESOURCE_REQUEST", "venID": ..., "resourceName": unique()}),
    ]
    for path, hidden, body in bodies:
        one, none = (
            ven.post(path, json={k: id_ if v is ... else v for k, v in body.items()}) for id_ in (hidden, NOBODY)
        )
        assert (one.status_code, one.text) == (409, none.text.replace(NOBODY, hidden))


@pytest.mark.clause("privacy: own objects only")
@pytest.mark.clause("names: unique")
def test_a_name_that_is_taken_does_not_tell_by_whom(vtn: Vtn, who: list[Credentials]) -> None:
    theirs = created(vtn.client(who[1]), "vens", {"objectType": "VEN_VEN_REQUEST", "venName": unique()})
    answer = vtn.client(who[0]).post("vens", json={"objectType": "VEN_VEN_REQUEST", "venName": theirs["venName"]})
    assert answer.status_code == 409
    assert theirs["id"] not in answer.text
    assert who[1].client_id not in answer.text


@pytest.mark.clause("privacy: only business logic grants")
def test_a_ven_cannot_grant_itself_targets(vtn: Vtn, who: list[Credentials]) -> None:
    """Neither by its own request, which has no word for them, nor by business logic's, nor by being changed."""
    bl, ven = vtn.client("bl"), vtn.client(who[2])
    hidden = created(bl, "programs", {"programName": unique(), "targets": ["the-prize"]})
    own = {"objectType": "VEN_VEN_REQUEST", "venName": unique(), "targets": ["the-prize"]}
    made = created(ven, "vens", own)
    grabs = [own, {**own, "targets": [{"type": "TARGET", "values": ["the-prize"]}]}]
    for grab in grabs:
        ven.put(f"vens/{made['id']}", json=grab)
    device = {"objectType": "VEN_RESOURCE_REQUEST", "resourceName": unique(), "venID": made["id"]}
    created(ven, "resources", {**device, "targets": ["the-prize"]})
    business = {"objectType": "BL_VEN_REQUEST", "clientID": who[2].client_id, "venName": unique()}
    assert ven.post("vens", json={**business, "targets": ["the-prize"]}).status_code == 403
    old = vtn.client(who[2], "3.0.1")
    target = [{"type": "TARGET", "values": ["the-prize"]}]
    old.post("vens", json={"venName": unique(), "targets": target})
    old.post(f"vens/{made['id']}/resources", json={"resourceName": unique(), "targets": target})
    old.post("vens", json={"venName": unique(), "resources": [{"resourceName": unique(), "targets": target}]})
    assert ven.get(f"programs/{hidden['id']}").status_code == 404
    assert old.get(f"programs/{hidden['id']}").status_code == 404


@pytest.mark.clause("privacy: only business logic grants")
def test_a_ven_cannot_name_itself_into_what_is_meant_for_another(vtn: Vtn, who: list[Credentials]) -> None:
    """3.0.1 addresses VENs by name: the name counts that business logic gave."""
    bl, ven = vtn.client("bl"), vtn.client(who[2])
    coveted = unique()
    hidden = created(bl, "programs", {"programName": unique(), "targets": [f"VEN_NAME:{coveted}"]})
    made = created(ven, "vens", {"objectType": "VEN_VEN_REQUEST", "venName": coveted})
    owned = {"objectType": "BL_VEN_REQUEST", "clientID": who[2].client_id, "venName": coveted}
    assert ven.get(f"programs/{hidden['id']}").status_code == 404
    assert bl.put(f"vens/{made['id']}", json=owned).status_code == 200
    assert ven.get(f"programs/{hidden['id']}").status_code == 404  # written back is not given
    for name in (unique(), coveted):
        assert bl.put(f"vens/{made['id']}", json=owned | {"venName": name}).status_code == 200
    assert ven.get(f"programs/{hidden['id']}").status_code == 200
