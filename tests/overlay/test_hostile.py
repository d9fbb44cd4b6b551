"""What members say is untrusted: no valid message, however odd its figures, may end the overlay or move another."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.overlay import Measurement, Overlay
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Address, ChildReport, Contents, Ping, Pong, Report, Resume, Role, Subscribe
from overlaycast.wire.text import encode
from tests.overlay.scene import Scene

KEY = bytes(32)


def subscription(name: str, role: Role = "peer", resume: Resume | None = None) -> Subscribe:
    return Subscribe(
        version=1,
        group="g",
        token="t",
        name=name,
        role=role,
        addresses=(Address(host="10.0.0.2", port=8471),),
        resume=resume,
    )


def world(path: tuple[str | None, ...], settings: GroupSettings | None = None) -> tuple[Overlay, int, int]:
    """Return an overlay with a source and one member at the end of a path."""
    overlay = Overlay(settings or GroupSettings(), KEY)
    source, member = overlay.join(subscription("s", "source"), 1000.0), overlay.join(subscription("a"), 1000.0)
    for one, way in ((source, ("r0",)), (member, path)):
        overlay.measured(one, Measurement(path=way, rtt_ms=1.0, rate_mbit=None), 1001.0)
    overlay.messages_to_send()
    return overlay, source, member


@pytest.mark.parametrize(
    "path", [("r0", "r1"), ("r0", None, "r1"), ("r0", None, None, "r1"), (None, None, None, "r1"), ("r0", None, None)]
)
def test_a_restart_finds_places_behind_silent_routers(path: tuple[str | None, ...]) -> None:
    overlay, _, member = world(path)
    kept = json.loads(json.dumps(overlay.snapshot()))
    again = Overlay.restore(GroupSettings(), KEY, kept, 1002.0)
    assert json.loads(json.dumps(again.snapshot()))["places"] == kept["places"]
    other = again.join(subscription("b"), 1003.0)
    again.measured(other, Measurement(path=path, rtt_ms=1.0, rate_mbit=None), 1003.0)
    assert {one.id for one in again.members()} >= {member, other}


@pytest.mark.parametrize("mode", ["live", "file"])
@pytest.mark.parametrize("rate", [None, 1e-9, 1e9])
def test_impossible_rates_are_only_rates(mode: str, rate: float | None) -> None:
    overlay, source, member = world(("r0", "r1"), GroupSettings(mode=mode))
    for one, way in ((source, ("r0",)), (member, ("r0", "r1"))):
        overlay.measured(one, Measurement(path=way, rtt_ms=1.0, rate_mbit=rate), 1002.0)
    for reporter in (source, member):
        report = Report(
            epoch=9, parent=None, state="streaming", next_seq=1, interval_ms=1e-300, bytes=1 << 62, records=1
        )
        overlay.receive(reporter, report, 1003.0)
    late = overlay.join(subscription("b"), 1004.0)
    overlay.measured(late, Measurement(path=("r0", "r2"), rtt_ms=1.0, rate_mbit=rate), 1004.0)
    overlay.tick(1010.0)
    orders = [(target, encode(message)) for target, message in overlay.messages_to_send()]
    assert any(target == late for target, _ in orders)
    json.dumps(overlay.snapshot(), allow_nan=False)


def test_only_its_parent_speaks_for_a_child() -> None:
    overlay, _, member = world(("r0", "r1"))
    stranger = overlay.join(subscription("b"), 1002.0)
    claim = (ChildReport(child=member, next_seq=1 << 62),)
    report = Report(epoch=0, state="waiting", next_seq=0, interval_ms=1, bytes=0, records=0, children=claim)
    overlay.receive(stranger, report, 1003.0)
    (seen,) = [one for one in overlay.members() if one.id == member]
    assert seen.next_seq < 1 << 62


def returning(overlay: Overlay, member: int, rank: int, next_seq: int = 0, role: Role = "peer") -> None:
    """Let a member come back that claims this."""
    resume = Resume(member=member, secret="s" * 16, epoch=1, rank=rank, next_seq=next_seq)
    name = next(one.name for one in overlay.members() if one.id == member)
    assert overlay.resume(subscription(name, role, resume), 1003.0)


def again(overlay: Overlay, now: float = 1002.5) -> Overlay:
    return Overlay.restore(GroupSettings(), KEY, json.loads(json.dumps(overlay.snapshot())), now)


@given(st.integers(0, 2), st.integers(0, (1 << 63) - 1), st.booleans())
def test_no_claim_of_a_rank_breaks_the_tree(liar: int, rank: int, restarted: bool) -> None:
    scene = Scene(source_out_degree=1, improve_s=0)
    scene.join("s", ("r0",), "source")
    for name in "abc":
        scene.join(name, ("r0", name))
    overlay = scene.overlay
    ranks = [one.rank for one in overlay.members()]
    if restarted:
        overlay = again(overlay)
    liar += scene["s"].id
    returning(overlay, liar, rank, role="source" if liar == scene["s"].id else "peer")
    seats = {one.id: one for one in again(overlay).members()}
    assert all(seats[one.parent].rank < one.rank for one in seats.values() if one.parent)
    assert seats[scene["s"].id].rank == 0
    assert seats[liar].rank <= max(ranks)
    assert restarted or [one.rank for one in overlay.members()] == ranks


def test_a_rank_that_our_state_does_not_know_yet_is_believed_after_a_restart_and_once() -> None:
    scene = Scene(source_out_degree=1, improve_s=0)
    scene.join("s", ("r0",), "source")
    for name in "ab":
        scene.join(name, ("r0", name))
    overlay = again(scene.overlay)
    highest = max(one.rank for one in overlay.members())
    top = next(one for one in overlay.members() if one.depth == 1)
    below = next(one for one in overlay.members() if one.depth == 2)
    returning(overlay, top.id, highest)
    seats = {one.id: one for one in overlay.members()}
    assert seats[top.id].rank == highest < seats[below.id].rank
    assert seats[below.id].parent == top.id
    returning(overlay, top.id, seats[below.id].rank)
    assert {one.id: one.rank for one in overlay.members()} == {one.id: one.rank for one in seats.values()}


def test_record_numbers_beyond_what_the_source_can_have_sent_are_not_believed_over_restarts() -> None:
    claim = (1 << 63) - 1
    scene = Scene()
    scene.join("s", ("r0",), "source")
    scene.join("a", ("r0", "r1"))
    scene.pass_time(5)
    for overlay in (scene.overlay, again(scene.overlay, scene.now)):
        resume = Resume(member=scene["a"].id, secret="s" * 16, epoch=1, rank=1, next_seq=claim)
        assert overlay.resume(subscription("a", resume=resume), scene.now)
        report = Report(epoch=9, state="streaming", next_seq=claim, interval_ms=1, bytes=1, records=1)
        overlay.receive(scene["a"].id, report, scene.now)
        assert all(one.next_seq < 1_000_000 for one in overlay.members())
        kept = overlay.snapshot()
        assert kept["next_seq"] < 1_000_000


def test_nothing_is_beyond_the_end_of_a_file() -> None:
    scene = Scene(mode="file")
    scene.join("s", ("r0",), "source")
    scene.join("a", ("r0", "r1"))
    digest = "0" * 64
    scene.say(scene["s"], Contents(size=1001, record_size=100, chunk_records=5, sha256=digest, digests_sha256=digest))
    scene.pass_time(5)
    returning(scene.overlay, scene["a"].id, 1, 1 << 40)
    assert next(one for one in scene.overlay.members() if one.name == "a").next_seq == 11


def test_only_the_member_that_was_asked_answers_a_ping() -> None:
    scene = Scene(source_out_degree=1, improve_s=0)
    scene.join("s", ("r0",), "source")
    for name in "abc":
        scene.join(name, ("r0", name))
    top = next(scene[one] for one in "abc" if scene.parents()[one] == "s")
    child = scene[scene.children(top.name)[0]]
    top.answers = False
    scene.complain(child)
    asked = next(message for to, message in scene.overlay.messages_to_send() if to == top.id)
    assert isinstance(asked, Ping)
    scene.say(child, Pong(nonce=asked.nonce, next_seq=0))
    scene.pass_time(2)
    assert "suspect" in scene.kinds()


def test_an_epoch_beyond_all_measure_is_not_taken_over() -> None:
    overlay, _, member = world(("r0", "r1"))
    overlay.disconnected(member, 1002.0)
    resume = Resume(member=member, secret="s" * 16, epoch=(1 << 53) - 1, rank=1, next_seq=0)
    overlay.resume(subscription("a", resume=resume), 1003.0)
    assert overlay.epoch < 1 << 40
    late = overlay.join(subscription("b"), 1004.0)
    overlay.measured(late, Measurement(path=("r0", "r2"), rtt_ms=1.0, rate_mbit=None), 1005.0)
    overlay.tick(1006.0)
    assert [encode(message) for _, message in overlay.messages_to_send()]


def test_a_secret_does_not_change_a_members_name() -> None:
    overlay = Overlay(GroupSettings(), KEY)
    member = overlay.join(subscription("a"), 1000.0)
    resume = Resume(member=member, secret="s" * 16, epoch=1, rank=1, next_seq=0)
    assert not overlay.resume(subscription("b", resume=resume), 1001.0)
    assert overlay.resume(subscription("a", resume=resume), 1002.0)


def test_who_returns_is_a_member_and_says_its_own_name() -> None:
    overlay, _, member = world(("r1",))
    claim = Resume(member=member, secret="s" * 16, epoch=0, rank=0, next_seq=0)
    assert overlay.returns(subscription("a", resume=claim))
    for other in (
        subscription("b", resume=claim),
        subscription("a", "relay", resume=claim),
        subscription("a", resume=claim.model_copy(update={"member": 99})),
        subscription("a"),
    ):
        assert not overlay.returns(other)
    overlay.put_out(member, 1002.0)
    assert not overlay.returns(subscription("a", resume=claim))
