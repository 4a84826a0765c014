"""The deny table, against every form in which a forbidden address can be written."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.net.guard import carried, read_networks, refusal, refusal_of_literal

FORBIDDEN = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.170",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.255",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.1.2.3",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1.1.1.1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:c0a8:101::1",
    "2002:a9fe:a9fe::",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "100:0:0:1::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456:789a::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.1",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.1",
    "192.167.255.255",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450::1",
    "2001:4860:4860::8888",
    "2003::1",
    "::ffff:1.1.1.1",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
    "2400:cb00::1",
]


@pytest.mark.parametrize("text", FORBIDDEN)
def test_forbidden_address_is_refused_with_its_reason(text: str) -> None:
    assert refusal(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_public_address_is_admitted(text: str) -> None:
    assert refusal(ip_address(text)) is None


def test_scoped_and_unreadable_literals_are_refused() -> None:
    assert refusal_of_literal("fe80::1%eth0")
    assert refusal_of_literal("/var/run/socket")
    assert refusal_of_literal("1.1.1.1") is None


@pytest.mark.parametrize("text", ["127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::"])
def test_operators_exception_holds_for_every_form_of_the_address(text: str) -> None:
    assert refusal(ip_address(text), allowed=read_networks(["127.0.0.0/8"])) is None
    assert refusal(ip_address(text), allowed=read_networks(["10.0.0.0/8", "::1"]))


def test_networks_are_read_strictly() -> None:
    assert read_networks(["10.0.0.0/8"]) == (IPv4Network("10.0.0.0/8"),)
    with pytest.raises(ValueError, match="host bits"):
        read_networks(["10.0.0.1/8"])


@given(st.integers(min_value=0, max_value=2**32 - 1).map(IPv4Address))
def test_an_address_in_other_clothes_is_the_same_address(address: IPv4Address) -> None:
    value = int(address)
    clothed = [0xFFFF << 32 | value, 0x64FF9B << 96 | value, 0x2002 << 112 | value << 80]
    assert {carried(IPv6Address(each)) for each in clothed} == {address}
    assert {refusal(IPv6Address(each)) for each in clothed} == {refusal(address)}
