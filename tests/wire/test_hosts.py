"""Which texts stand for a host, and which addresses nobody dials because a stranger says so."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from overlaycast.wire.hosts import HOST_LIMIT, is_host, is_literal, is_local, is_loopback, is_private, plain
from overlaycast.wire.messages import Address

GOOD = [
    *("192.0.2.1", "2001:db8::1", "fe80::1%eth0", "::ffff:192.0.2.1", "::", "0.0.0.0", "localhost", "a.example"),
    *("a.example.", "xn--bcher-kva.example", "my_host", "1and1.example", "a" * 63, "0x.example"),
]
BAD = [
    *("a" * 64, "a..b", ".", ".a", "a b", "a\0b", "a\n", "\x1b]0;PWNED\x1b\\", "-a", "a-", "bücher.example", "[::1]"),
    *("a/b", "a:1", "fe80::1%", "fe80::1%\x1b[2J", "fe80::1%" + "z" * 16, "a." * 40 + "a", "²", "a.٣"),
    # what the C library would take for an address, though it does not look like one
    *("127.1", "2130706433", "0x7f000001", "0x7f.1", "127.0.0.01", "1.2.3.4.5", "127.1.", "0x"),
]


@pytest.mark.parametrize("host", GOOD)
def test_addresses_and_names_are_hosts(host: str) -> None:
    assert is_host(host)
    assert Address(host=host, port=1).host == plain(host)


@pytest.mark.parametrize("host", BAD)
def test_all_else_is_not(host: str) -> None:
    assert not is_host(host)
    with pytest.raises(ValidationError, match=r"accepted is an IP address or a host name|at most 64 characters"):
        Address(host=host, port=1)


def test_an_address_may_leave_its_host_to_the_coordinator() -> None:
    assert Address(host="", port=1).host == ""
    assert not is_host("")


@given(st.text(max_size=80))
def test_what_is_a_host_can_be_printed_and_encoded(text: str) -> None:
    if is_host(text):
        assert text.isprintable()
        assert len(text.encode("ascii")) <= HOST_LIMIT


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "169.254.1.1",
            "fe80::1",
            "fe80::1%eth0",
            "224.0.0.1",
            "239.1.2.3",
            "ff02::1",
        ),
        *("0.0.0.0", "0.1.2.3", "::", "255.255.255.255", "240.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.1.1"),
        *("::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1", "::ffff:0.0.0.0", "::ffff:255.255.255.255"),
    ],
)
def test_addresses_of_one_host_one_link_or_many_hosts(host: str) -> None:
    assert is_local(host)
    assert not is_private(host)
    assert is_literal(host)


@pytest.mark.parametrize(
    "host", ["192.0.2.1", "10.0.0.1", "2001:db8::1", "fd00::1", "::ffff:10.0.0.1", "localhost", "x"]
)
def test_others_are_for_all(host: str) -> None:
    assert not is_local(host)
    assert not is_loopback(host)


@pytest.mark.parametrize(("host", "private"), [("10.1.2.3", True), ("192.168.0.1", True), ("100.64.0.1", True)])
@pytest.mark.parametrize("form", ["{}", "::ffff:{}"])
def test_what_a_translator_hides(host: str, private: bool, form: str) -> None:
    assert is_private(form.format(host)) is private
    assert is_private("fd00::1")
    assert not is_private("8.8.8.8")
    assert not is_private("2a00::1")
    assert not is_private("localhost")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    ("host", "written"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("A.example", "A.example"),
    ],
)
def test_an_address_is_written_in_one_way(host: str, written: str) -> None:
    assert plain(host) == written


_OCTETS = st.one_of(
    st.integers(0, 999).map(str),
    st.sampled_from(
        ["00", "01", "001", "0255", "256", "-1", "+1", "", " 1", "1 ", "1\n", "\u0661", "\u00b2", "1_0", "0x1"]
    ),
)


@given(st.lists(_OCTETS, min_size=3, max_size=5).map(".".join))
def test_dotted_addresses_are_those_of_the_standard_library(text: str) -> None:
    try:
        written = str(ip_address(text))
    except ValueError:
        assert not is_literal(text)
        assert plain(text) == text
        return
    assert is_literal(text)
    assert is_host(text)
    assert plain(text) == written


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_as_the_same_one_within_an_ipv6_address(address: IPv4Address) -> None:
    mapped = str(IPv6Address(int(address) | 0xFFFF << 32))
    assert plain(mapped) == str(address)
    assert (is_local(str(address)), is_private(str(address))) == (is_local(mapped), is_private(mapped))
