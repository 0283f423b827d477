"""Where webhooks may go: every special block of addresses, every dressed-up form of a URL."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.base.errors import Refused
from tieline.vtn.webhooks.addresses import callback, is_public

PUBLIC = ["1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "192.0.1.1", "100.128.0.1", "223.255.255.255"]
PUBLIC_V6 = ["2606:4700::1111", "2a00:1450::8", "2400:cb00::1", "64:ff9b::808:808"]
NOT_PUBLIC = {
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12:3456::1", "fec0::1"],
    "carrier-grade NAT": ["100.64.0.1", "100.127.255.255"],
    "link-local": ["169.254.1.1", "fe80::1", "fe80::1%eth0"],
    "metadata of clouds": [
        "169.254.169.254",
        "169.254.170.2",
        "fd00:ec2::254",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
    ],
    "multicast and broadcast": ["224.0.0.1", "239.1.1.1", "ff02::1", "255.255.255.255"],
    "reserved and documentation": [
        "240.0.0.1",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "198.18.0.1",
        "2001:db8::1",
    ],
    "IPv4 in IPv6": ["::ffff:8.8.8.8", "::ffff:127.0.0.1", "::8.8.8.8", "2002:0808:0808::1", "2002:7f00:1::"],
    "NAT64 of what is not public": ["64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808"],
    "tunnels and others": ["2001::1", "2001:10::1", "3fff::1", "5f00::1", "100::1", "192.88.99.1"],
    "no address": ["", "localhost", "127.1", "0x7f000001", "2130706433", "8.8.8.8 ", "1.2.3.4.5"],
}


@pytest.mark.parametrize("address", [*PUBLIC, *PUBLIC_V6])
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", [one for block in NOT_PUBLIC.values() for one in block])
def test_any_other_is_not(address: str) -> None:
    assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_inside_ipv6_is_never_more_public_than_alone(address: IPv4Address) -> None:
    inside = int(address)
    assert is_public(str(IPv6Address(0x0064FF9B << 96 | inside))) is is_public(str(address))
    assert not is_public(str(IPv6Address(0xFFFF << 32 | inside)))
    assert not is_public(str(IPv6Address(inside)))
    assert not is_public(str(IPv6Address(0x2002 << 112 | inside << 80)))


@given(st.ip_addresses())
def test_what_python_holds_for_private_is_not_public(address: IPv4Address | IPv6Address) -> None:
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert not is_public(str(address))


@pytest.mark.parametrize(
    "url",
    [
        "https://ven.example/hook",
        "https://ven.example:8443/hook?site=1&site=2",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/hook",
        "https://zähler.example/ereignis",
        "HTTPS://VEN.example",
    ],
)
def test_a_callback_url_may_be(url: str) -> None:
    assert callback(url).scheme == "https"


@pytest.mark.parametrize(
    "rest", ["", "/", "/hook", "/%7Ehook/%2F?site=%2F1&site=a+b%20c", "/a/../b//c", "/?", "?a=b", "/a=b&c;d"]
)
def test_path_and_query_stay_as_they_are_written(rest: str) -> None:
    slash = "" if rest.startswith("/") else "/"
    assert callback(f"https://Ven.example:8443{rest}").raw_path_qs == f"{slash}{rest}".removesuffix("?")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://ven.example/", "https"),
        ("ftp://ven.example/", "https"),
        ("//ven.example/", "https"),
        ("https:///hook", "https"),
        ("ven.example/hook", "https"),
        ("", "https"),
        ("file:///etc/passwd", "https"),
        ("https://me:secret@ven.example/", "user"),
        ("https://me@ven.example/", "user"),
        ("https://ven.example/#part", "fragment"),
        ("https://ven.example/#", "fragment"),
        ("https://ven.example:22/", "port"),
        ("https://ven.example:80/", "port"),
        ("https://ven.example:0/", "port"),
        ("https://ven.example:65536/", "none"),
        ("https://ven.example:x/", "none"),
        ("https://127.0.0.1/", "public"),
        ("https://10.1.2.3/", "public"),
        ("https://[::1]/", "public"),
        ("https://[::ffff:8.8.8.8]/", "public"),
        ("https://[fe80::1%25eth0]/", "public"),
        ("https://169.254.169.254/latest/meta-data", "public"),
        ("https://2130706433/", "public"),
        ("https://127.1/", "public"),
        ("https://017700000001/", "public"),
        ("https://[", "none"),
        ("https://good.example\\@bad.example/", "backslashes"),
        ("https://ven.example/a b", "spaces"),
        ("https://ven.example/\r\nHost: other", "spaces"),
        ("https://ven.example/\x00", "control"),
        ("https://ven.example/" + "a" * 2000, "2000"),
    ],
)
def test_a_callback_url_may_not_be(url: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        callback(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:81/", "http://localhost/hook", "https://[::1]:9/", "http://ven/"])
def test_in_development_it_may_lead_anywhere(url: str) -> None:
    assert callback(url, development=True).host


@pytest.mark.parametrize("url", ["file:///x", "https://me:secret@localhost/", "http://localhost/#x", "http://a:99999/"])
def test_but_not_look_like_anything(url: str) -> None:
    with pytest.raises(Refused):
        callback(url, development=True)


@given(st.text())
def test_any_text_is_taken_or_refused(text: str) -> None:
    for url in (text, f"https://{text}"):
        with suppress(Refused):
            assert callback(url).host
