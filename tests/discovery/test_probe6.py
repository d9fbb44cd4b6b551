"""IPv6 probes and answers as bytes, with scapy as the judge of our own parser."""

from __future__ import annotations

from ipaddress import IPv6Address

from hypothesis import example, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6TimeExceeded, IPv6

from overlaycast.discovery.probe import PROBE_PORT, IcmpError
from overlaycast.discovery.probe6 import craft6, parse_icmp6

ADDRESS = st.ip_addresses(v=6).map(str)
NUMBER = st.integers(1, 65535)
US, ROUTER, TARGET = "2001:db8::1", "2001:db8:5::1", "2001:db8:9::9"
SHORT = 48
"""What an error quotes at least that we can use: the headers of IPv6 and UDP."""


def icmp_error(kind: int, code: int, probe: bytes, quote: int | None = None) -> bytes:
    """Return the ICMPv6 message, without IPv6 header, that a router would send about ``probe``."""
    layer = ICMPv6TimeExceeded(code=code) if kind == 3 else ICMPv6DestUnreach(type=kind, code=code)
    return bytes(IPv6(src=ROUTER, dst=US) / layer / probe[:quote])[40:]


@given(ADDRESS, ADDRESS, st.integers(1, 65535), st.integers(1, 255), NUMBER)
@settings(max_examples=60)
def test_a_probe_is_a_valid_datagram_of_its_flow(source: str, target: str, port: int, hop: int, number: int) -> None:
    raw, checksum = craft6(source, target, port, hop, number)
    packet = IPv6(raw)
    assert (IPv6Address(packet.src), IPv6Address(packet.dst)) == (IPv6Address(source), IPv6Address(target))
    assert (packet.hlim, packet.fl, packet.nh, packet.tc) == (hop, 0, 17, 0)
    assert (packet[UDP].sport, packet[UDP].dport, packet[UDP].chksum) == (port, PROBE_PORT, checksum)
    del packet[UDP].chksum
    assert bytes(packet) == raw


@given(ADDRESS, st.lists(NUMBER, min_size=2, max_size=8, unique=True))
@settings(max_examples=40)
def test_probes_of_a_route_differ_in_nothing_that_a_flow_is_made_of(target: str, numbers: list[int]) -> None:
    probes = [craft6(US, target, 40000, hop, number) for hop, number in enumerate(numbers, start=1)]
    assert len({raw[:7] + raw[8:44] for raw, _ in probes}) == 1, "all but hop limit, checksum and payload"
    assert len({checksum for _, checksum in probes}) == len(numbers)


@given(ADDRESS, NUMBER, st.sampled_from([(3, 0), (1, 0), (1, 1), (1, 3), (1, 4), (1, 5)]))
@example(str(IPv6Address("::ffff:0:0")), 1, (3, 0))  # Python 3.13 writes it in another way
@settings(max_examples=60)
def test_an_error_about_a_probe_is_read(target: str, number: int, kind: tuple[int, int]) -> None:
    probe, checksum = craft6(US, target, 40000, 3, number)
    seen = IcmpError(ROUTER, *kind, target, 40000, PROBE_PORT, number, checksum, 3, 6)
    assert parse_icmp6(icmp_error(*kind, probe), ROUTER) == seen
    short = parse_icmp6(icmp_error(*kind, probe, SHORT), ROUTER)
    assert short is not None
    assert (short.identification, short.checksum, short.left) == (0, checksum, 3), (
        "without its number the checksum tells"
    )


def test_what_kind_of_answer_an_error_is() -> None:
    probe, _ = craft6(US, TARGET, 40000, 3, 7)

    def kind(router: str, kind: int, code: int) -> tuple[bool, bool]:
        error = parse_icmp6(icmp_error(kind, code, probe), router)
        assert error is not None
        return error.expired, error.from_target

    assert kind(ROUTER, 3, 0) == (True, False)
    assert kind(TARGET, 1, 4) == (False, True)
    assert kind(ROUTER, 1, 4) == (False, True)  # a translator on the way answers in the target's place
    assert kind(TARGET, 1, 1) == (False, True)
    assert kind(ROUTER, 1, 1) == (False, False)


def test_other_icmp_is_nothing_to_us() -> None:
    probe, _ = craft6(US, TARGET, 40000, 3, 7)
    tcp = bytes(IPv6(src=US, dst=TARGET, nh=6)) + probe[40:]
    assert parse_icmp6(icmp_error(3, 1, probe), ROUTER) is None  # reassembly took too long
    assert parse_icmp6(icmp_error(3, 0, tcp), ROUTER) is None
    assert parse_icmp6(icmp_error(3, 0, probe, SHORT - 1), ROUTER) is None
    assert parse_icmp6(b"\x80" + icmp_error(3, 0, probe)[1:], ROUTER) is None  # an echo request


@given(st.binary(max_size=120), st.integers(0, 95), st.integers(0, 255), st.integers(0, 96))
def test_damage_and_garbage_are_read_within_their_bounds(garbage: bytes, place: int, value: int, length: int) -> None:
    parse_icmp6(garbage, ROUTER)
    probe, _ = craft6(US, TARGET, 40000, 3, 7)
    packet = bytearray(icmp_error(3, 0, probe))
    packet[place % len(packet)] = value
    error = parse_icmp6(bytes(packet[:length]), ROUTER)
    assert error is None or IPv6Address(error.target)
