"""A member is dialled where the coordinator sees it, or where it has answered; nowhere else, whatever it claims."""

from __future__ import annotations

import json
from typing import Any

import pytest

from overlaycast.overlay import Overlay
from overlaycast.overlay.plan.reach import linked, neighbours, opens, way
from overlaycast.overlay.state.measurement import Measurement
from overlaycast.overlay.state.members import Member
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Accept, Address, Assign, Resume, Subscribe
from tests.overlay.scene import KEY, Scene

SEEN, VICTIM, CLAIM = "192.0.2.1", "198.51.100.9", ("198.51.100.9", 25)


def subscription(host: str, seen: str = SEEN, port: int = 25, **more: Any) -> Subscribe:
    fields = {"version": 2, "group": "g", "token": "t", "name": "m", "addresses": (Address(host=host, port=port),)}
    return Subscribe.model_validate({**fields, "seen": seen, **more})


def joined(overlay: Overlay, request: Subscribe) -> Member:
    return overlay._group.members[overlay.join(request, 1.0)]


def new(allow_local: bool = False) -> Overlay:
    return Overlay(GroupSettings(), KEY, allow_local)


def test_a_claimed_address_is_not_used_before_the_member_has_answered_there() -> None:
    overlay = new()
    member = joined(overlay, subscription(VICTIM))
    assert member.addresses == ((SEEN, 25),)
    assert overlay.claims(member.id) == (CLAIM,)
    overlay.answered(member.id, {})
    assert (member.addresses, overlay.claims(member.id)) == (((SEEN, 25),), (CLAIM,))
    overlay.answered(member.id, {CLAIM: CLAIM})
    assert (member.addresses, overlay.claims(member.id)) == ((CLAIM,), ())


def test_an_answer_counts_only_for_what_is_claimed_and_for_whom_is_known() -> None:
    overlay = new()
    member = joined(overlay, subscription(SEEN))
    assert overlay.claims(member.id) == ()
    overlay.answered(member.id, {CLAIM: CLAIM})
    overlay.answered(77, {CLAIM: CLAIM})
    assert member.addresses == ((SEEN, 25),)
    assert overlay.claims(77) == ()


def test_of_a_name_others_are_told_the_address_that_answered() -> None:
    overlay = new()
    member = joined(overlay, subscription("host.example"))
    overlay.answered(member.id, {("host.example", 25): CLAIM})
    assert member.addresses == (CLAIM,)


@pytest.mark.parametrize("host", ["192.0.2.1", "::ffff:192.0.2.1"])
def test_the_address_that_is_seen_needs_no_proof_however_it_is_written(host: str) -> None:
    overlay = new()
    member = joined(overlay, subscription(host))
    assert (member.addresses, overlay.claims(member.id)) == (((SEEN, 25),), ())


def test_children_are_told_when_their_parent_has_answered_elsewhere() -> None:
    scene = Scene(start_members=1)
    source = scene.join("source", ("srv",), "source")
    child = scene.join("ann", ("srv", "a"), reachable=False)
    resume = Resume(member=source.id, secret="s" * 16, epoch=source.epoch, rank=0, next_seq=0)
    request = subscription(VICTIM, "10.0.1.2", name="source", role="source", resume=resume)
    assert scene.overlay.resume(request, scene.now)
    assert scene.overlay.measurements_wanted() == [source.id]
    scene.deliver()
    assert child.order is not None
    assert child.order.parent is not None
    assert child.order.parent.addresses == (Address(host="10.0.1.2", port=25),)
    scene.overlay.answered(source.id, {CLAIM: CLAIM})
    scene.deliver()
    assert child.order.parent is not None
    assert child.order.parent.addresses == (Address(host=VICTIM, port=25),)


def test_who_has_answered_need_not_do_it_again_also_after_a_restart_of_the_coordinator() -> None:
    overlay = new()
    member = joined(overlay, subscription(VICTIM))
    overlay.answered(member.id, {CLAIM: CLAIM})
    again = Overlay.restore(GroupSettings(), KEY, json.loads(json.dumps(overlay.snapshot())), 2.0)
    back = again._group.members[member.id]
    assert (back.addresses, again.claims(member.id)) == ((CLAIM,), ())
    resume = Resume(member=member.id, secret="s" * 16, epoch=0, rank=0, next_seq=0)
    assert again.resume(subscription(VICTIM, resume=resume), 3.0)
    assert (back.addresses, again.claims(member.id)) == ((CLAIM,), ())
    assert again.resume(subscription(VICTIM, port=26, resume=resume), 4.0)  # another port is another claim
    assert (back.addresses, again.claims(member.id)) == (((SEEN, 26),), ((VICTIM, 26),))


def test_addresses_that_members_would_refuse_are_not_taken_from_an_old_snapshot() -> None:
    overlay = new()
    member = joined(overlay, subscription(SEEN))
    kept = json.loads(json.dumps(overlay.snapshot()))
    one = kept["members"][0]
    one["addresses"] = [["a..b", 1], [SEEN, 25]]
    del one["open"], one["claimed"], one["proven"]
    back = Overlay.restore(GroupSettings(), KEY, kept, 2.0)._group.members[member.id]
    assert (back.addresses, back.open, back.claimed, back.proven) == (((SEEN, 25),), True, (), ())


@pytest.mark.parametrize("seen", ["127.0.0.1", "::1", "169.254.7.7"])
def test_an_address_of_one_host_is_for_those_who_are_seen_there_too(seen: str) -> None:
    overlay = new()
    here, there = (joined(overlay, subscription(seen, seen, name=name)) for name in ("here", "there"))
    far = joined(overlay, subscription(SEEN, name="far"))
    assert neighbours(here, there)
    assert way(here, there) == ((seen, 25),)
    assert not opens(far, here)
    assert way(far, here) == ()
    assert opens(here, far)
    assert linked(here, far)  # it is called


def test_whoever_may_be_local_is_told_to_all() -> None:
    overlay = new(allow_local=True)
    here, far = joined(overlay, subscription("127.0.0.1", "127.0.0.1")), joined(overlay, subscription(SEEN))
    assert here.reachable
    assert way(far, here) == (("127.0.0.1", 25),)


def test_an_address_for_all_goes_before_one_of_this_host() -> None:
    overlay = new()
    here = joined(overlay, subscription(VICTIM, "127.0.0.1"))
    assert not here.reachable
    overlay.answered(here.id, {CLAIM: CLAIM})
    assert here.reachable
    assert here.addresses == (CLAIM,)
    hidden = joined(overlay, subscription(VICTIM, "127.0.0.1", reachable=False))
    overlay.answered(hidden.id, {CLAIM: CLAIM})
    assert not hidden.reachable


@pytest.mark.parametrize(
    ("inside", "found"),
    [("10.0.0.7", True), ("192.168.1.7", True), ("fd00::7", True)]
    + [(host, False) for host in ("8.8.8.8", "127.0.0.1", "169.254.1.1", "224.0.0.1", "a.example", "2a00::1")],
)
def test_neighbours_find_each_other_at_private_addresses_only(inside: str, found: bool) -> None:
    overlay = new()
    local = Address(host=inside, port=80)
    one, other = (joined(overlay, subscription(SEEN, name=name, local=local)) for name in ("one", "other"))
    assert neighbours(one, other) is found
    assert way(one, other) == (((inside, 80),) if found else ((SEEN, 25),))


def test_a_child_that_has_to_be_called_is_called_where_it_is_seen() -> None:
    scene = Scene(start_members=1)
    source, overlay = scene.join("source", ("srv",), "source"), scene.overlay
    child = overlay.join(subscription(VICTIM, name="ann", dials=False), scene.now)
    overlay.measured(child, Measurement(path=("srv", "a"), rtt_ms=10.0, rate_mbit=100.0), scene.now)
    sent = overlay.messages_to_send()
    calls = [message.addresses for to, message in sent if to == source.id and isinstance(message, Accept)]
    assert calls == [(Address(host=SEEN, port=25),)]
    orders = [message for to, message in sent if to == child and isinstance(message, Assign)]
    assert orders[-1].parent is not None
    assert orders[-1].parent.addresses == ()
