"""Probes and answers as bytes; scapy, which crafts the probes, is also the judge of our own parser."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP

from overlaycast.discovery.probe import PROBE_PORT, IcmpError, craft, parse_icmp, scapy_layer, warm_up

ADDRESS = st.ip_addresses(v=4).map(str)
PORT = st.integers(1, 65535)
NUMBER = st.integers(1, 65535)
HOP = st.integers(1, 255)


def icmp_error(
    router: str, kind: int, code: int, probe: bytes, quote: int | None = None, options: bytes = b""
) -> bytes:
    """Return the IPv4 packet that a router would send about ``probe``, quoting ``quote`` of its bytes."""
    packet = IP(src=router, dst="192.0.2.1") / ICMP(type=kind, code=code) / probe[:quote]
    raw = bytes(packet)
    if options:
        raw = bytes([0x40 | (5 + len(options) // 4)]) + raw[1:20] + options + raw[20:]
    return raw


def test_what_crafts_probes_can_be_imported_ahead() -> None:
    scapy_layer.cache_clear()
    warm_up()
    assert scapy_layer.cache_info().currsize == 1


@given(ADDRESS, ADDRESS, PORT, HOP, NUMBER)
@settings(max_examples=60)
def test_a_probe_is_a_valid_datagram_of_its_flow(source: str, target: str, port: int, hop: int, number: int) -> None:
    raw, checksum = craft(source, target, port, hop, number)
    packet = IP(raw)
    assert (packet.src, packet.dst, packet.ttl, packet.id, packet.proto) == (source, target, hop, number, 17)
    assert (packet[UDP].sport, packet[UDP].dport, packet[UDP].chksum) == (port, PROBE_PORT, checksum)
    # the checksums are those that scapy would put in again
    del packet.chksum, packet[UDP].chksum
    assert bytes(packet) == raw


@given(ADDRESS, st.lists(NUMBER, min_size=2, max_size=8, unique=True))
@settings(max_examples=40)
def test_probes_of_a_route_differ_in_nothing_that_a_flow_is_made_of(target: str, numbers: list[int]) -> None:
    probes = [craft("192.0.2.1", target, 40000, hop, number) for hop, number in enumerate(numbers, start=1)]
    flows = {raw[9:10] + raw[12:24] for raw, _ in probes}  # protocol, addresses, ports
    assert len(flows) == 1
    assert len({raw[1:2] for raw, _ in probes}) == 1  # type of service
    assert len({checksum for _, checksum in probes}) == len(numbers)


@given(ADDRESS, ADDRESS, PORT, NUMBER, st.sampled_from([(11, 0), (3, 0), (3, 1), (3, 3), (3, 13)]), st.booleans())
@settings(max_examples=60)
def test_an_error_about_a_probe_is_read_as_scapy_reads_it(
    router: str, target: str, port: int, number: int, kind: tuple[int, int], short: bool
) -> None:
    probe, checksum = craft("192.0.2.1", target, port, 3, number)
    packet = icmp_error(router, *kind, probe, 28 if short else None)
    assert parse_icmp(packet) == IcmpError(router, *kind, target, port, PROBE_PORT, number, checksum, 3)


def test_what_kind_of_answer_an_error_is() -> None:
    probe, _ = craft("192.0.2.1", "198.51.100.9", 40000, 3, 7)

    def kind(router: str, kind: int, code: int) -> tuple[bool, bool]:
        error = parse_icmp(icmp_error(router, kind, code, probe))
        assert error is not None
        return error.expired, error.from_target

    assert kind("203.0.113.1", 11, 0) == (True, False)
    assert kind("198.51.100.9", 3, 3) == (False, True)
    assert kind("203.0.113.1", 3, 3) == (False, True)  # a translator on the way answers in the target's place
    assert kind("198.51.100.9", 3, 13) == (False, True)
    assert kind("203.0.113.1", 3, 13) == (False, False)


def test_ip_options_in_the_way_are_stepped_over() -> None:
    probe, checksum = craft("192.0.2.1", "198.51.100.9", 40000, 3, 7)
    error = parse_icmp(icmp_error("203.0.113.1", 11, 0, probe, options=b"\x01" * 8))
    assert error is not None
    assert (error.router, error.identification, error.checksum) == ("203.0.113.1", 7, checksum)


def test_other_icmp_is_nothing_to_us() -> None:
    probe, _ = craft("192.0.2.1", "198.51.100.9", 40000, 3, 7)
    tcp = bytes(IP(src="192.0.2.1", dst="198.51.100.9", proto=6)) + probe[20:]
    assert parse_icmp(bytes(IP(src="203.0.113.1") / ICMP(type=0) / b"echo reply, long enough to hold a header")) is None
    assert parse_icmp(icmp_error("203.0.113.1", 5, 0, probe)) is None
    assert parse_icmp(icmp_error("203.0.113.1", 11, 1, probe)) is None  # reassembly took too long
    assert parse_icmp(icmp_error("203.0.113.1", 11, 0, tcp)) is None


@given(st.binary(max_size=120))
def test_garbage_is_nothing_to_us(garbage: bytes) -> None:
    assert parse_icmp(garbage) is None or garbage[0] >> 4 == 4


@given(st.integers(0, 55), st.integers(0, 255), st.integers(0, 60))
def test_a_damaged_answer_is_read_within_its_bounds(place: int, value: int, length: int) -> None:
    probe, _ = craft("192.0.2.1", "198.51.100.9", 40000, 3, 7)
    packet = bytearray(icmp_error("203.0.113.1", 11, 0, probe, 28))
    packet[place] = value
    error = parse_icmp(bytes(packet[:length]))
    if error is not None:
        assert IPv4Address(error.router)
        assert IPv4Address(error.target)
        assert struct.pack("!HHHH", error.source_port, error.target_port, error.identification, error.checksum)
