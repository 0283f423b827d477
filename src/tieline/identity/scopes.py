"""Roles and scopes: what a business-logic client and a VEN may ask for, and what they are given.

Definition 3.1.0, "OAuth2 Security Scopes"; `read_bl` stands in the operations only.
"""

import enum
import functools
import re
from collections.abc import Collection

from tieline.base.errors import Refused


class Role(enum.StrEnum):
    BL = "BL"  # the retailer's own software: sees everything
    VEN = "VEN"  # a customer's: sees what is its own or meant for it


SCOPES = {
    Role.BL: frozenset({"read_all", "read_bl", "write_programs", "write_events", "write_subscriptions", "write_vens"}),
    Role.VEN: frozenset({"read_targets", "read_ven_objects", "write_reports", "write_subscriptions", "write_vens"}),
}
KNOWN = SCOPES[Role.BL] | SCOPES[Role.VEN]
_READS_OF_A_VEN = frozenset({"read_targets", "read_ven_objects"})
_ONLY_BL = frozenset({"write_programs", "write_events"})
_LIST = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*")  # RFC 6749 3.3


@functools.lru_cache(4096)
def parsed(text: str) -> frozenset[str]:
    """The scopes of a list; one set for all who hold the same. Raises `Refused` for what is no list of scopes."""
    if not _LIST.fullmatch(text):
        raise Refused("scope is a list of words with one space between, such as `read_all write_events`")
    return frozenset(text.split(" "))


def told(scopes: Collection[str]) -> str:
    """As a list, always in the same order."""
    return " ".join(sorted(scopes))


def granted(role: Role, held: frozenset[str], asked: frozenset[str] | None) -> frozenset[str]:
    """What a client that holds scopes is given of those it asked for; all of them where it asked for none.

    A VEN that asks for `read_all`, as 3.0.1 has it, is given what reading means for a VEN.
    """
    if asked is None:
        return held
    if role is Role.VEN and "read_all" in asked:
        asked |= _READS_OF_A_VEN
    return held & asked


def answered(role: Role, given: frozenset[str], asked: frozenset[str] | None) -> frozenset[str]:
    """What a client is told that it was given, in its own words: one that asked for what it may have must not hear of
    other scopes, which RFC 6749 3.3 would have it take for a refusal."""
    if asked is None:
        return given
    whole = role is Role.VEN and given >= _READS_OF_A_VEN
    return asked & (given | ({"read_all"} if whole else frozenset()))


def role_of(scopes: frozenset[str]) -> Role | None:
    """Whose scopes these are, where nothing else says it; None for none of ours."""
    if scopes & _ONLY_BL or {"read_all", "read_bl"} <= scopes:
        return Role.BL
    return Role.VEN if scopes & KNOWN else None


def hears(role: Role, scopes: frozenset[str]) -> bool:
    """Whether the scopes open all that a role's notifications tell."""
    return (_READS_OF_A_VEN if role is Role.VEN else frozenset({"read_all", "read_bl"})) <= scopes
