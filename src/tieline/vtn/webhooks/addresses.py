"""Where webhooks may go: the form of a callback URL, and the addresses of the public Internet.

A URL is checked when it is given; the address behind its host is checked on every connection, and the connection is
made to the very address that was checked, so that a name which is resolved anew (DNS rebinding) gains nothing.
OpenADR 3.1.0 Definition, "Webhooks"; OWASP, Server-Side Request Forgery Prevention.
"""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from yarl import URL

from tieline.base.errors import Refused

LONGEST_URL = 2000
_AFTER_HOST = re.compile(r"^[^:]+://[^/?]*")

# Python's own `is_global` differs between its releases; these are the registries of IANA, as of 2025:
# https://www.iana.org/assignments/iana-ipv4-special-registry and …/iana-ipv6-special-registry
_SPECIAL_V4 = [
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; a cloud's metadata at 100.100.100.200
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's host agent, on an address that is public by its number
        "169.254.0.0/16",  # link-local; most clouds' metadata at 169.254.169.254
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
]
_GLOBAL_V6 = IPv6Network("2000::/3")  # leaves out ::1, IPv4-mapped, unique local, link-local and multicast
_SPECIAL_V6 = [
    IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address inside
        "3fff::/20",
    )
]
_NAT64 = IPv6Network("64:ff9b::/96")  # how a network without IPv4 names an IPv4 address: the last 32 bits


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public Internet. False for what is no address."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found in _NAT64:
        found = IPv4Address(int(found) & 0xFFFFFFFF)
    if isinstance(found, IPv4Address):
        return not any(found in block for block in _SPECIAL_V4)
    return found in _GLOBAL_V6 and not any(found in block for block in _SPECIAL_V6)


@lru_cache(maxsize=4096)
def callback(text: str, *, development: bool = False) -> URL:
    """The callback URL, parsed as the client will use it. Raises `Refused` for one that webhooks may not go to.

    In development it may be http, and lead anywhere.
    """
    url = _parsed(text)
    wanted = ("https", "http") if development else ("https",)
    if url.scheme not in wanted or not url.host:
        raise Refused(f"a callback URL must be of the form {wanted[0]}://host/path")
    if url.user is not None or url.password is not None:
        raise Refused("a callback URL must not hold a user or password: give a bearerToken instead")
    if "#" in text:
        raise Refused("a callback URL must not have a fragment (#…)")
    if not development:
        _check_host(url.host)
        _check_port(url.port or 0)
    return _as_written(text, url)


def _parsed(text: str) -> URL:
    if len(text) > LONGEST_URL:
        raise Refused(f"a callback URL of {len(text)} characters: at most {LONGEST_URL}")
    if "\\" in text or not text.isprintable() or " " in text:  # where parsers disagree about what the host is
        raise Refused("a callback URL must not hold spaces, backslashes or control characters")
    try:
        url = URL(text)
        url.port  # noqa: B018  parsed only when asked for
    except ValueError as error:
        raise Refused(f"the callback URL is none: {error}") from None
    return url


def _as_written(text: str, url: URL) -> URL:
    """Path and query to the byte: who signs or routes by them would miss what is only equivalent."""
    rest = _AFTER_HOST.sub("", text)
    if not rest.isascii():
        return url
    return URL(f"{url.origin()}{'' if rest.startswith('/') else '/'}{rest}", encoded=True)


def _check_host(host: str) -> None:
    """Names are checked when they are resolved; a literal address can be told at once."""
    literal = ":" in host or host.replace(".", "").isdigit()
    if literal and not is_public(host):
        raise Refused("a callback URL must lead to a public address")


def _check_port(port: int) -> None:
    """The port of HTTPS or one that anybody may open: not those of mail, shells and the like."""
    if port != 443 and not 1024 <= port <= 65535:
        raise Refused("a callback URL's port must be 443 or one of 1024 to 65535")
