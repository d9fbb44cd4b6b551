"""Control messages: each survives the way, and what is not one is refused with the field named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from overlaycast.errors import RemoteProtocolError
from overlaycast.wire import text as message_text
from overlaycast.wire.group import GroupSettings, MemberLimits
from overlaycast.wire.messages import (
    Accept,
    Address,
    Assign,
    Begin,
    ChildReport,
    Contents,
    CoordinatorMessage,
    Distance,
    DistanceReply,
    DistanceRequest,
    DistantMember,
    Done,
    EchoReply,
    EchoRequest,
    Ended,
    Failed,
    FirstHops,
    Leaving,
    MemberMessage,
    NewSettings,
    NotReceiving,
    Peer,
    Ping,
    Pong,
    Refused,
    Released,
    Report,
    Resume,
    Revoke,
    Subscribe,
    Welcome,
)
from overlaycast.wire.text import (
    LATER,
    LATER_TEXT,
    MAX_MESSAGE,
    decode_from_coordinator,
    decode_from_member,
    encode,
    later_fields,
    understands,
)

FIRST: Final = json.loads((Path(__file__).parent / "first_version_2.json").read_text())
"""What the first programs of protocol version 2 accepted, as JSON schemas."""

PEER = Peer(member=3, name="a", addresses=(Address(host="10.0.0.1", port=8471),), grant="0" * 32, rank=4)

CONTENTS = Contents(size=5, record_size=2, chunk_records=1, sha256="0" * 64, digests_sha256="f" * 64)

FROM_MEMBER: list[MemberMessage] = [
    Subscribe(version=1, group="g", token="t", name="host-1", addresses=(Address(host="", port=1),)),
    Subscribe(
        version=1,
        group="g",
        token="t",
        name="h",
        role="backup",
        addresses=(),
        limits=MemberLimits(upload_mbit=20, out_degree=3),
        reachable=False,
        dials=False,
        local=Address(host="10.0.0.2", port=8471),
        seen="192.0.2.1",
        resume=Resume(member=1, secret="s" * 16, epoch=2, rank=3, parent=None, next_seq=0),
    ),
    Subscribe(version=1, group="g", token="t", name="h", role="source", addresses=(), standby=True),
    EchoReply(nonce=1, payload="abc"),
    EchoReply(nonce=1, payload="abc", at_us=1_234_567),
    Report(
        epoch=1,
        parent=2,
        state="streaming",
        next_seq=10,
        interval_ms=1000.0,
        bytes=5,
        records=6,
        latency_p50_ms=1.5,
        standbys_ready=(4,),
        children=(ChildReport(child=5, next_seq=9),),
        behind="link",
        fed_by=2,
        links_failed=3,
        asked_in_vain=4,
    ),
    NotReceiving(epoch=1, parent=2, next_seq=3, silent_ms=80.5, reason="silence", now_from=7),
    Pong(nonce=1, next_seq=2, parent=3),
    Leaving(),
    Leaving(reason="told to go (SIGTERM)"),
    Done(next_seq=4, sha256="0" * 64, ok=True),
    Failed(reason="disk full"),
    FirstHops(gateway="10.0.0.1", hops=("10.0.0.1", None, "2001:db8::1")),
    FirstHops(),
    DistanceReply(nonce=1, distances=(Distance(member=2, hops=3, rtt_ms=4.5),)),
    CONTENTS,
]
FROM_COORDINATOR: list[CoordinatorMessage] = [
    Welcome(member=1, secret="s" * 16, settings=GroupSettings(rate_mbit=4)),
    Welcome(member=1, secret="s" * 16, settings=GroupSettings(), namesakes=(2, 3)),
    Welcome(member=1, secret="s" * 16, settings=GroupSettings(), towards="192.0.2.1"),
    Refused(code="bad-token", reason="no"),
    EchoRequest(nonce=1, payload="x"),
    Assign(epoch=5, rank=6, depth=1, primary=True, parent=PEER, standbys=(PEER,), fallbacks=(PEER, PEER)),
    Assign(epoch=5, rank=0, depth=0, parent=None),
    Assign(epoch=5, rank=0, depth=0, parent=None, relieved=True),
    Accept(epoch=5, child=2, name="b", grant="f" * 32, standby=True),
    Accept(epoch=5, child=2, name="b", grant="f" * 32, addresses=PEER.addresses),
    Revoke(epoch=5, child=2),
    Begin(epoch=5, incarnation=1, next_seq=77),
    Ping(nonce=3),
    Released(),
    Ended(reason="deleted"),
    NewSettings(settings=GroupSettings(mode="file", heartbeat_ms=100)),
    DistanceRequest(nonce=1, members=(DistantMember(member=2, address=Address(host="192.0.2.1", port=8471)),)),
    CONTENTS,
]


def test_every_kind_has_an_example() -> None:
    assert {*map(type, FROM_MEMBER)} == {*get_args(MemberMessage)}
    assert {*map(type, FROM_COORDINATOR)} == {*get_args(CoordinatorMessage)}


@pytest.mark.parametrize("message", FROM_MEMBER, ids=lambda m: m.kind)
def test_what_members_say_survives(message: MemberMessage) -> None:
    assert decode_from_member(encode(message)) == message


@pytest.mark.parametrize("message", FROM_COORDINATOR, ids=lambda m: m.kind)
def test_what_the_coordinator_says_survives(message: CoordinatorMessage) -> None:
    assert decode_from_coordinator(encode(message)) == message


@pytest.mark.parametrize(
    ("message", "accepted"),
    [(m, FIRST["member"]) for m in FROM_MEMBER] + [(m, FIRST["coordinator"]) for m in FROM_COORDINATOR],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_the_first_programs_of_this_version_understand_each_message(
    message: MemberMessage | CoordinatorMessage, accepted: dict[str, object]
) -> None:
    """They refuse unknown fields and kinds: one that came later has to be in LATER, and is not sent to them."""
    if not understands(frozenset(), message):
        assert understands(LATER, message)
        return
    check = Draft202012Validator(accepted)
    assert [error.message for error in check.iter_errors(json.loads(encode(message, frozenset())))] == []


def test_what_came_later_is_sent_to_those_who_know_it_only() -> None:
    leaving = Leaving(reason="told to go")
    assert "told to go" in encode(leaving)
    assert decode_from_member(encode(leaving, later_fields(None))) == Leaving()
    assert list(Draft202012Validator(FIRST["member"]).iter_errors(json.loads(encode(leaving))))


def test_only_a_source_stands_by() -> None:
    text = encode(FROM_MEMBER[0]).replace('"role":"peer"', '"role":"peer","standby":true')
    with pytest.raises(RemoteProtocolError, match="standby: accepted only with role source"):
        decode_from_member(text)


def test_a_setting_that_came_later_is_sent_to_those_who_know_it_only(monkeypatch: pytest.MonkeyPatch) -> None:
    later = {"welcome.settings.improve_s", "welcome.settings.flag_s"}
    monkeypatch.setattr(message_text, "LATER", LATER | later)
    settings = GroupSettings(improve_s=3, flag_s=4, rate_mbit=5)
    welcome = Welcome(member=1, secret="s" * 16, settings=settings)
    everything = settings.model_dump()
    assert json.loads(encode(welcome, LATER))["settings"].keys() == everything.keys() - {"improve_s", "flag_s"}
    assert json.loads(encode(welcome, LATER | later))["settings"] == everything


@pytest.mark.parametrize(
    ("header", "known"),
    [(None, frozenset()), ("", frozenset()), (LATER_TEXT, LATER), ("x.y,leaving.reason ,é", {"leaving.reason"})],
)
def test_each_side_says_which_later_fields_it_knows(header: str | None, known: frozenset[str]) -> None:
    assert later_fields(header) == known


def test_directions_do_not_mix() -> None:
    with pytest.raises(RemoteProtocolError):
        decode_from_member(encode(Released()))
    with pytest.raises(RemoteProtocolError):
        decode_from_coordinator(encode(Leaving()))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"kind": "subscription"}, "message"),
        ({"group": "no spaces"}, "group"),
        ({"token": ""}, "token"),
        ({"token": None}, "token"),
        ({"addresses": [{"host": "x", "port": 0}]}, "addresses.0.port"),
        ({"addresses": [{"host": "x", "port": 1}] * 5}, "addresses"),
        ({"surprise": 1}, "surprise"),
        ({"role": "king"}, "role"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, object], place: str) -> None:
    body = json.loads(encode(FROM_MEMBER[0])) | change
    with pytest.raises(RemoteProtocolError, match=place):
        decode_from_member(json.dumps(body))


@pytest.mark.parametrize(
    "change",
    [{"size": -1}, {"size": (1 << 16) * 2 + 1}, {"record_size": 0}, {"record_size": 65536, "chunk_records": 129}],
)
def test_a_file_without_bounds_is_refused(change: dict[str, int]) -> None:
    body = json.loads(encode(CONTENTS)) | change
    with pytest.raises(RemoteProtocolError):
        decode_from_coordinator(json.dumps(body))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_every_number_is_finite(number: str) -> None:
    body = json.dumps(json.loads(encode(FROM_MEMBER[0])) | {"limits": {"upload_mbit": "N"}}).replace('"N"', number)
    with pytest.raises(RemoteProtocolError, match="upload_mbit"):
        decode_from_member(body)


def test_too_large_is_refused_unread() -> None:
    with pytest.raises(RemoteProtocolError, match=str(MAX_MESSAGE)):
        decode_from_member("{" * (MAX_MESSAGE + 1))


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_garbage_gives_the_one_defined_error(garbage: str | bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_from_member(garbage)
    with pytest.raises(RemoteProtocolError):
        decode_from_coordinator(garbage)


def test_a_router_is_an_ip_address() -> None:
    with pytest.raises(RemoteProtocolError, match="gateway: accepted is an IP address"):
        decode_from_member('{"kind": "first-hops", "gateway": "router.example"}')
