"""The Wireshark dissector reads what the wire room writes: tshark on a capture made of real frames."""

from __future__ import annotations

from pathlib import Path

from overlaycast.wire.frames import (
    IDLE,
    VERSION,
    Call,
    Challenge,
    Data,
    End,
    Enter,
    Heartbeat,
    Hello,
    Knock,
    Offer,
    Proof,
    Refuse,
    RefuseCode,
    Start,
    Stop,
    encode,
)
from tests.wireshark import dissected

FIELDS = [
    "kind",
    "seq",
    "rank",
    "grant",
    "stalled",
    "seek",
    "late",
    "refuse_code",
    "oldest",
    "length",
    "first_seq",
    "time",
    "version",
    "nonce",
    "calls",
    "epoch",
    "child",
    "parent",
    "proof",
    "digest",
]


def read(tmp_path: Path, segments: list[tuple[bool, bytes]]) -> list[dict[str, str]]:
    """Return, per TCP segment (from the child?, bytes), tshark's overlaycast fields."""
    from scapy.layers.inet import IP, TCP
    from scapy.layers.l2 import Ether
    from scapy.utils import wrpcap

    capture = tmp_path / "link.pcap"
    sent = {True: 1, False: 1}
    packets = []
    for from_child, data in segments:
        sport, dport = (40001, 8471) if from_child else (8471, 40001)
        ends = ("10.0.0.1", "10.0.0.2") if from_child else ("10.0.0.2", "10.0.0.1")
        tcp = TCP(sport=sport, dport=dport, flags="PA", seq=sent[from_child], ack=sent[not from_child])
        packets.append(
            Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src=ends[0], dst=ends[1]) / tcp / data
        )
        sent[from_child] += len(data)
    wrpcap(str(capture), packets)
    words = ["-T", "fields", "-E", "separator=|", *(part for name in FIELDS for part in ("-e", f"overlaycast.{name}"))]
    lines = dissected(capture, *words, environment={"TZ": "UTC", "HOME": str(tmp_path)}).splitlines()
    rows = [line.replace("True", "1").replace("False", "0").split("|") for line in lines]  # tshark 4.4 says it in words
    return [dict(zip(FIELDS, row, strict=True)) for row in rows]


def test_every_kind_of_frame_is_read(tmp_path: Path) -> None:
    grant = bytes(range(16))
    data = encode(Data(5, 1_700_000_000_000_000, b"abc"))
    end = encode(End(6, 1_700_000_000_000_000, 2, bytes(32)))
    rows = read(
        tmp_path,
        [
            (True, encode(Hello(grant, 77, IDLE))),
            (False, encode(Heartbeat(5, 2, stalled=True, seek=True))),
            (True, encode(Start(5)) + encode(Stop())),
            (False, data[:10]),
            (False, data[10:] + end),
            (False, encode(Refuse(RefuseCode.GONE, 9))),
        ],
    )
    assert rows[0]["kind"] == "1"
    assert (rows[0]["rank"], rows[0]["grant"]) == ("77", grant.hex())
    assert (rows[1]["kind"], rows[1]["stalled"], rows[1]["seek"], rows[1]["oldest"]) == ("5", "1", "1", "2")
    assert rows[1]["late"] == "0"
    assert rows[2]["kind"] == "2,3"
    assert rows[3]["kind"] == ""
    assert (rows[4]["kind"], rows[4]["seq"], rows[4]["first_seq"]) == ("4,6", "5,6", "2")
    assert rows[4]["time"].count("Nov 14, 2023 22:13:20") == 2
    assert (rows[5]["kind"], rows[5]["refuse_code"], rows[5]["oldest"]) == ("7", "5", "9")


def test_a_link_on_which_a_grant_is_proven_is_found_and_read(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        [
            (True, encode(Knock(b"a" * 16, calls=True))),
            (False, encode(Challenge(b"b" * 16))),
            (True, encode(Offer(7, 8, b"c" * 32))),
            (False, encode(Enter(9, 10, 77, IDLE, b"d" * 32))),
            (True, encode(Proof(b"e" * 32)) + encode(Heartbeat(5, 2))),
        ],
    )
    assert [row["kind"] for row in rows] == ["12", "10", "14", "13", "11,5"]
    assert (rows[0]["version"], rows[0]["nonce"], rows[0]["calls"]) == (str(VERSION), (b"a" * 16).hex(), "1")
    assert rows[1]["nonce"] == (b"b" * 16).hex()
    assert (rows[2]["parent"], rows[2]["epoch"], rows[2]["proof"]) == ("7", "8", (b"c" * 32).hex())
    assert (rows[3]["child"], rows[3]["epoch"], rows[3]["rank"]) == ("9", "10", "77")
    assert rows[3]["proof"] == (b"d" * 32).hex()
    assert rows[4]["digest"] == (b"e" * 32).hex()


def test_a_link_that_the_parent_dialled_is_found(tmp_path: Path) -> None:
    rows = read(tmp_path, [(True, encode(Call(b"g" * 16)))])
    assert (rows[0]["kind"], rows[0]["grant"]) == ("8", (b"g" * 16).hex())


def test_another_protocol_is_left_alone(tmp_path: Path) -> None:
    rows = read(tmp_path, [(True, b"GET / HTTP/1.1\r\nHost: somewhere\r\n\r\n")])
    assert rows[0]["kind"] == ""
