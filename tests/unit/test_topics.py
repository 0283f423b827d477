"""The topics of notifications: legal for any id, and each reader's place apart from all others."""

from hypothesis import given
from hypothesis import strategies as st

from tieline.base.access import Grant
from tieline.wires.openadr31 import topics
from tieline.wires.openadr31.messages import ObjectType, Operation
from tieline.wires.openadr31.notifiers import NotifierTopics

IDS = st.text(min_size=1, max_size=128) | st.from_regex(r"\A(x-)?[A-Za-z0-9_-]{1,70}\Z")
SYNTAX = ["a/b", "+", "#", "a.b", "*", ">", "$SYS", "a b", "é", "\ud800", "x" * 65, "x-1", "", "\n"]


def test_the_names_at_a_place() -> None:
    place = topics.objects(topics.ALL, ObjectType.EVENT)
    assert topics.names(place) == NotifierTopics(
        create="openadr3/all/events/create",
        update="openadr3/all/events/update",
        delete="openadr3/all/events/delete",
        all="openadr3/all/events/+",
    )
    assert topics.topic(place, Operation.UPDATE) == topics.names(place).update


def test_one_object_has_no_topic_of_its_creation() -> None:
    program = topics.program(topics.of_client("v1"), "44")
    assert topics.names(program, created=False) == NotifierTopics(
        update="openadr3/clients/v1/programs/44/update",
        delete="openadr3/clients/v1/programs/44/delete",
        all="openadr3/clients/v1/programs/44/+",
    )
    assert topics.objects(program, ObjectType.EVENT) == "openadr3/clients/v1/programs/44/events"


def test_every_kind_of_object_has_its_collection() -> None:
    found = [topics.objects(topics.of_ven("c", "v"), kind) for kind in ObjectType]
    assert found[:2] == ["openadr3/clients/c/vens/v/programs", "openadr3/clients/c/vens/v/events"]
    assert len(set(found)) == len(ObjectType)


def test_a_plain_id_is_itself_and_syntax_never_is() -> None:
    assert topics.level("home-7_A") == "home-7_A"
    assert all(topics.level(name) != name for name in SYNTAX)


@given(IDS)
def test_any_id_makes_a_legal_topic(name: str) -> None:
    place = topics.objects(topics.program(topics.of_client(name), name), ObjectType.EVENT)
    Grant(subscribe=(topics.topic(place, Operation.CREATE), topics.topic(topics.of_ven(name, name), Operation.UPDATE)))


@given(IDS | st.sampled_from(SYNTAX), IDS | st.sampled_from(SYNTAX))
def test_two_ids_never_share_a_level(one: str, other: str) -> None:
    assert (topics.level(one) == topics.level(other)) == (one == other)


@given(IDS, IDS)
def test_no_reader_s_place_lies_below_another_s(one: str, other: str) -> None:
    places = {topics.ALL, topics.ANYONE, topics.of_client(one), topics.of_client(other)}
    assert not [(a, b) for a in places for b in places if a != b and f"{a}/".startswith(f"{b}/")]


@given(IDS, IDS, IDS)
def test_a_ven_s_place_lies_below_that_of_its_client_alone(one: str, other: str, ven: str) -> None:
    place = topics.of_ven(one, ven)
    assert place.startswith(f"{topics.of_client(one)}/")
    assert (topics.of_ven(other, ven) == place) == (one == other)
