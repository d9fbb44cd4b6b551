"""What seldom happens, each by itself: strangers, repeats, second measurements, members that go twice."""

from __future__ import annotations

import math
from typing import Any

import pytest

from overlaycast.errors import LocalProtocolError
from overlaycast.overlay import Measurement, Overlay
from overlaycast.overlay.mending import improve, repair
from overlaycast.overlay.placing import placement
from overlaycast.overlay.plan import moves, orders, promises
from overlaycast.overlay.state.delays import distance_ms, reach_ms
from overlaycast.overlay.state.locality import Routers
from overlaycast.overlay.state.members import Member, State
from overlaycast.overlay.watching import inquiries, start, watch
from overlaycast.wire.messages import (
    Address,
    ChildReport,
    Done,
    Leaving,
    NotReceiving,
    Ping,
    Pong,
    Released,
    Report,
    Subscribe,
)
from tests.overlay.scene import KEY, Actor, Scene, figure_2a, inside, locate, record, sound


def kinds(actor: Actor, since: int = 0) -> list[str]:
    return [message.kind for message in actor.heard[since:]]


# --- strangers and repeats ----------------------------------------------------------------------------------


def test_strangers_change_nothing() -> None:
    scene = figure_2a()
    before = scene.overlay.snapshot()
    scene.overlay.receive(999, Leaving(), scene.now)
    scene.overlay.measured(999, Measurement(("gw",)), scene.now)
    scene.overlay.disconnected(999, scene.now)
    scene.overlay.disconnected(0, scene.now)
    assert scene.overlay.snapshot() == before


def test_a_request_without_resume_does_not_resume() -> None:
    scene = figure_2a()
    request = Subscribe(version=1, group="g", token="t", name="x", addresses=(Address(host="h", port=1),))
    with pytest.raises(ValueError, match="joins"):
        scene.overlay.resume(request, scene.now)


def test_what_is_said_twice_counts_once() -> None:
    scene = figure_2a()
    done = Done(next_seq=5, sha256="0" * 64, ok=True)
    scene.say(scene["a2"], done)
    scene.say(scene["a2"], done)
    scene.say(scene["d1"], Leaving())
    scene.say(scene["d1"], Leaving())
    events = scene.overlay.counters().events
    assert (events["done"], events["leaving"]) == (1, 1)


def test_a_link_that_is_lost_twice_is_lost_once() -> None:
    scene = figure_2a()
    scene.overlay.disconnected(scene["a1"].id, scene.now)
    due = scene.overlay.next_deadline()
    scene.overlay.disconnected(scene["a1"].id, scene.now + 1)
    assert scene.overlay.next_deadline() == due


def test_one_that_comes_back_unmeasured_is_measured() -> None:
    scene = Scene(start_members=5)
    late = scene.join("late", measure=False)
    assert scene.overlay.measurements_wanted() == [late.id]
    scene.overlay.disconnected(late.id, scene.now)
    assert scene.resume(late)
    assert scene.overlay.measurements_wanted() == [late.id]


def test_a_source_leaves_at_once() -> None:
    scene = figure_2a()
    scene.say(scene["source"], Leaving())
    scene.deliver()
    assert isinstance(scene["source"].heard[-1], Released)


# --- measured again -----------------------------------------------------------------------------------------


def test_a_second_measurement_moves_the_counts_and_not_the_member() -> None:
    scene = figure_2a()
    before = scene.parents()
    forwarder = next(name for name in before if name in ["a1", "a2", "a3"] and scene.children(name))
    scene.measure(scene[forwarder], ("srv", "core", "D"), None, None)
    assert record(scene, forwarder).rtt_ms == 14.5
    assert scene.parents() == before
    sound(inside(scene))
    inbound = {router.label: router.inbound for router in inside(scene).routers.known.values()}
    crossing = sum(scene.parents()[name] == forwarder for name in scene.parents() if name[0] == "a")
    assert inbound["A"] == crossing


# --- locality -----------------------------------------------------------------------------------------------


def test_members_without_a_place_are_as_far_as_their_echo() -> None:
    one, other = Member(1, "a", "peer", rtt_ms=8.0), Member(2, "b", "peer")
    assert distance_ms(one, other) == 4.0 + 1.0
    routers = Routers()
    routers.enter(one)
    routers.leave(one)
    assert routers.located == 0
    router = locate(routers, Measurement(("gw", None)), ())
    other.router = router
    assert reach_ms(other) == router.delay_ms
    assert "count=0" in repr(router)
    assert locate(routers, Measurement(("gw", None)), ()) is router


def test_a_hop_that_answered_no_probe_in_time_has_no_time() -> None:
    routers = Routers()
    router = locate(routers, Measurement(("gw", None, "a"), hops_ms=(2.0, None, None)), ())
    assert not router.timed
    assert routers.known["gw"].delay_ms == 1.0


# --- the tree and promises ----------------------------------------------------------------------------------


def test_no_rank_between_neighbours() -> None:
    scene = figure_2a()
    tree = inside(scene).tree
    top, child, below = Member(90, "t", "peer", degree=3), Member(91, "c", "peer", degree=3), Member(92, "b", "peer")
    top.rank, child.rank, below.rank = 10, 5, 11
    tree.attach(below, child)
    with pytest.raises(LocalProtocolError, match="fit"):
        tree.attach(child, top)
    assert child.parent is None
    tree.detach(top)  # it is attached nowhere: nothing to do
    assert tree.raise_rank(below, 3)
    assert not tree.raise_rank(child, 20)
    assert tree.raise_rank(below, 20)
    assert below.rank > 20


def test_promises_that_cannot_be_kept_are_broken() -> None:
    scene = figure_2a()
    group = inside(scene)
    standby = max(group.members.values(), key=lambda one: len(one.wards) if one.role == "peer" else 0)
    wards = list(standby.wards)
    promises.drop_overtaken(group, standby)
    assert standby.wards == wards  # none has been overtaken
    rank, standby.rank = standby.rank, 1 << 62
    promises.drop_overtaken(group, standby)
    assert not standby.wards
    standby.rank = rank
    scene.deliver()
    sound(inside(scene))


def test_an_orphan_s_standby_is_given_up_with_it() -> None:
    scene = figure_2a()
    group = inside(scene)
    standby = next(one for one in group.members.values() if one.wards)
    ward = standby.wards[0]
    ward.parent, parent = None, ward.parent
    promises.withdraw(group, standby)
    assert standby not in ward.standbys
    ward.parent = parent


# --- watching -----------------------------------------------------------------------------------------------


def test_latency_is_a_measure_too() -> None:
    scene = figure_2a(measure="latency", latency_threshold_ms=100)
    victim = scene["c2"]
    was = scene.parents()["c2"]
    for latency in (20.0, *7 * (500.0,)):
        scene.now += 1
        scene.report(victim, latency_p50_ms=latency)
        scene.deliver(obey=False)
    assert "slow" in scene.kinds()
    assert was is not None
    scene.report(scene["e1"], latency_p50_ms=None)
    assert record(scene, "e1").watch.slow_since is None


def test_a_child_s_progress_is_told_by_its_parent() -> None:
    scene = figure_2a()
    parent = next(name for name in scene.parents() if scene.children(name) and name not in ("source", "backup"))
    child = scene[scene.children(parent)[0]]
    told = (ChildReport(child=child.id, next_seq=77), ChildReport(child=9999, next_seq=1))
    scene.report(scene[parent], children=told)
    assert record(scene, child.name).watch.next_seq == 77
    scene.report(scene[parent], children=(ChildReport(child=child.id, next_seq=5),))
    assert record(scene, child.name).watch.next_seq == 77


def test_a_source_that_sent_nothing_tells_no_rate() -> None:
    scene = Scene(start_members=2)
    source = scene.join("source", ("gw",), role="source")
    inside(scene).watch.stream_mbit = None
    scene.say(source, Report(epoch=0, state="waiting", next_seq=0, interval_ms=0, bytes=0, records=0))
    assert inside(scene).watch.stream_mbit is None


def test_a_member_that_waits_is_not_slow() -> None:
    scene = figure_2a()
    scene.report(scene["c2"], mbit=0.1)
    assert record(scene, "c2").watch.slow_since is not None
    scene.report(scene["c2"], state="waiting")
    assert record(scene, "c2").watch.slow_since is None


def test_a_slow_receiver_with_nowhere_to_go_stays() -> None:
    scene = Scene(start_members=1, rate_mbit=8)
    scene.join("source", ("gw",), role="source")
    scene.join("only", ("gw", "a"))
    for _ in range(6):
        scene.now += 1
        scene.report(scene["only"], mbit=0.1)
    scene.deliver()
    assert scene.parents()["only"] == "source"
    assert "slow" not in scene.kinds()


def test_an_error_of_one_that_waits_makes_it_looked_at_again() -> None:
    scene = Scene(start_members=1, source_out_degree=1, default_out_degree=0)
    scene.join("source", ("gw",), role="source")
    scene.join("one", ("gw", "a"))
    scene.join("two", ("gw", "a"))
    waiting = next(name for name in ("one", "two") if scene.parents()[name] is None)
    inside(scene).repair.room_changed = False
    scene.complain(scene[waiting])
    assert inside(scene).repair.room_changed


def test_errors_set_aside_twice_count_and_are_looked_at_when_the_flag_ends() -> None:
    scene = figure_2a()
    below = scene[scene.children("a2")[0]]
    scene.complain(scene["a2"])
    scene.complain(below)
    scene.complain(below)
    assert scene.overlay.counters().events["set-aside"] == 2
    before = len(scene["a2"].heard)
    scene.now += 10
    scene.overlay.tick(scene.now)
    scene.deliver(obey=False)
    assert "ping" in kinds(scene["a2"], before) or scene.parents()[below.name] != "a2"


def test_a_pong_nobody_asked_for_is_no_answer() -> None:
    scene = figure_2a()
    scene.complain(scene["c2"])
    open_before = dict(inside(scene).watch.inquiries)
    assert open_before
    scene.say(scene["c2"], Pong(nonce=123_456, next_seq=9))
    assert inside(scene).watch.inquiries == open_before


def test_a_silent_link_is_asked_and_then_given_up() -> None:
    scene = figure_2a(improve_s=0)
    mute = scene["d3"]
    before = len(mute.heard)
    for one in scene.actors.values():
        one.answers = one is not mute
    scene.pass_time(60)
    assert any(isinstance(message, Ping) for message in mute.heard[before:])
    assert scene.parents()["d3"] is None
    sound(inside(scene))


def test_a_reporter_that_is_fed_again_by_its_parent_keeps_it() -> None:
    scene = figure_2a()
    was = scene.parents()
    scene.complain(scene["c2"])
    scene.report(scene["c2"])
    scene.deliver()
    assert not inside(scene).watch.inquiries
    assert "new-sender" not in scene.kinds()
    assert scene.parents() == was


def test_a_conclusion_about_one_that_is_gone_is_none() -> None:
    scene = figure_2a()
    group = inside(scene)
    scene.complain(scene["c2"])
    inquiry = next(iter(group.watch.inquiries.values()))
    inquiry.reporters[9999] = 1
    inquiry.answered |= {inquiry.parent, scene["c2"].id}
    inquiries.conclude(group, inquiry, scene.now)
    inquiry.parent = 9998
    inquiries.conclude(group, inquiry, scene.now)
    assert not group.watch.inquiries
    sound(inside(scene))


# --- improving and starting ---------------------------------------------------------------------------------


def test_improvement_can_be_off() -> None:
    scene = figure_2a(improve_s=0)
    improve.step(inside(scene), scene.now)
    assert not inside(scene).timers.armed("improve")
    kept: dict[str, Any] = scene.overlay.snapshot()
    again = Overlay.restore(scene.settings, KEY, kept, scene.now)
    assert not again._group.timers.armed("improve")


def test_a_snapshot_before_the_start_starts() -> None:
    scene = Scene(start_members=9)
    scene.join("one", ("gw",))
    empty = Overlay.restore(scene.settings, KEY, scene.overlay.snapshot(), scene.now)
    assert empty.tree().root is None
    scene.join("source", ("gw",), role="source")
    again = Overlay.restore(scene.settings, KEY, scene.overlay.snapshot(), scene.now)
    assert again._group.timers.armed("start")


def test_an_unmeasured_member_has_no_home_yet() -> None:
    scene = figure_2a()
    late = scene.join("late", measure=False)
    repair.place_orphan(inside(scene), record(scene, "late"))
    assert scene.parents()["late"] is None
    scene.measure(late, ("srv", "core", "C"))
    assert scene.parents()["late"] is not None


def test_a_file_s_source_with_unknown_rates_feeds_a_chain() -> None:
    scene = Scene(mode="file", start_members=4)
    scene.join("source", ("gw",), role="source", rate_mbit=None, rtt_ms=None)
    for number in range(4):
        scene.join(f"m{number}", ("gw", "core", f"s{number}"), rate_mbit=None, rtt_ms=None)
    assert scene.overlay.counters().placed == 5


def test_the_unreachable_are_fed_by_who_can_be_dialled() -> None:
    scene = Scene(start_members=6)
    scene.join("source", ("gw",), role="source")
    for number in range(6):
        scene.join(f"m{number}", ("gw", "core", f"s{number % 2}"), reachable=number % 3 == 0)
    for name, parent in scene.parents().items():
        assert name == "source" or parent is not None
    hidden = {"m1", "m2", "m4", "m5"}
    assert not any(scene.parents()[name] in hidden for name in hidden)
    scene.join("late", ("gw", "core", "s9"), reachable=False)
    assert scene.parents()["late"] not in (None, *hidden)
    assert math.isclose(record(scene, "late").rtt_ms or 0, 10.0)


def test_a_named_standby_that_took_over_is_not_accused() -> None:
    scene = figure_2a()
    parent = scene[scene.parents()["c2"] or ""]
    message = NotReceiving(
        epoch=scene["c2"].epoch, parent=parent.id, next_seq=1, silent_ms=50, reason="silence", now_from=parent.id
    )
    scene.say(scene["c2"], message)
    assert not inside(scene).watch.inquiries


# --- batches, queues, and what is dropped on the way ---------------------------------------------


def test_orders_in_small_batches_are_the_same_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = figure_2a()
    monkeypatch.setattr(orders, "BATCH", 3)
    parts = figure_2a()
    assert parts.parents() == whole.parents()
    assert {one.name: one.parent for one in parts.actors.values()} == {
        one.name: one.parent for one in whole.actors.values()
    }
    assert parts.overlay.epoch > whole.overlay.epoch
    assert parts.overlay.next_deadline() != 0


def test_queues_go_on_where_they_were_and_skip_the_dead() -> None:
    scene = Scene(start_members=150)
    scene.join("source", ("gw",), role="source")
    for number in range(150):
        scene.join(f"m{number}", ("gw", "core", f"s{number % 5}"))
    group = inside(scene)
    group.improvement.queue, group.watch.queue = [], []
    improve.step(group, scene.now + 20)
    group.improvement.queue[0] = 9999
    left = len(group.improvement.queue)
    improve.step(group, scene.now + 40)
    assert len(group.improvement.queue) == max(left - improve.LOOKED_AT, 0)
    watch.check_members(group, scene.now)
    left = len(group.watch.queue)
    assert left > 0
    group.watch.queue[0] = 9999
    watch.check_members(group, scene.now)
    assert len(group.watch.queue) < left
    sound(inside(scene))


def test_timers_that_are_late_do_nothing() -> None:
    scene = figure_2a()
    group = inside(scene)
    before = scene.parents()
    group.timers.arm(scene.now, "inquiry", scene["a1"].id)
    group.timers.arm(scene.now, "lost", scene["a2"].id)
    scene.overlay.tick(scene.now)
    assert scene.parents() == before


def test_one_that_was_just_heard_is_not_buried_at_once() -> None:
    scene = figure_2a()
    member = record(scene, "a2")
    member.connected, member.watch.heard_at = False, scene.now
    watch.still_lost(inside(scene), member, scene.now + 1)
    assert member.alive
    assert inside(scene).timers.armed("lost", member.id)


def test_a_source_whose_work_is_done_stays_when_its_link_goes() -> None:
    scene = figure_2a()
    scene.say(scene["source"], Done(next_seq=5, sha256="0" * 64, ok=True))
    scene.kill(scene["source"])
    assert "source" in scene.parents()


def test_those_who_no_longer_wait_are_not_housed() -> None:
    scene = figure_2a()
    group = inside(scene)
    before = scene.parents()
    group.repair.waiting[scene["a2"].id] = None
    group.repair.room_changed = True
    scene.deliver()
    assert not group.repair.waiting
    assert scene.parents() == before


def test_the_source_begins_once() -> None:
    scene = figure_2a()
    group = inside(scene)
    start.begin(group, scene.now)
    assert scene.overlay.counters().events["begin"] == 1
    group.start.begin_wanted = True
    start.begin(group, scene.now)
    assert scene.overlay.counters().events["begin"] == 2
    assert record(scene, "source").state is State.ACTIVE


def test_an_orphan_is_no_standby_and_one_without_a_place_has_none_outside() -> None:
    scene = figure_2a()
    group = inside(scene)
    forwarder = next(one for one in group.members.values() if one.children and one.role == "peer")
    child, nowhere = forwarder.children[0], Member(900, "n", "peer", degree=3)
    assert not promises._acceptable(forwarder, child, nowhere)
    nowhere.rank = 1 << 62
    assert promises._elsewhere(group, forwarder, nowhere) is None


def test_trimming_leaves_what_costs_no_slot() -> None:
    scene = figure_2a()
    group = inside(scene)
    free = next(
        one.standbys[0] for one in group.members.values() if one.counted == (False,) and one.standbys[0].role == "peer"
    )
    kept = [ward for ward in free.wards if ward.counted == (False,)]
    counted = next((ward for ward in free.wards if ward.counted == (True,)), None)
    if counted is not None:
        counted.parent, parent = None, counted.parent
    degree, free.degree = free.degree, 0
    promises.trim(group, free)
    assert [ward for ward in free.wards if ward in kept] == kept
    free.degree = degree
    if counted is not None:
        counted.parent = parent


def test_a_branch_is_lifted_where_only_higher_ranks_have_room() -> None:
    scene = figure_2a()
    group = inside(scene)
    tops = [one for one in group.members.values() if one.children and one.role == "peer"]
    moved = min(tops, key=lambda one: one.height)
    below = [one.name for one in moved.children]
    low = min(child.rank for child in moved.children)
    moves.detach(group, moved)
    avoid = [one for one in group.members.values() if one.rank < low and one is not moved]
    assert placement.attach_to_best(group, moved, avoid)
    assert moved.parent is not None
    assert moved.parent.rank > low
    assert [one.name for one in moved.children] == below
    sound(inside(scene))


def test_promises_to_orphans_end_without_a_new_plan() -> None:
    group = inside(Scene())
    standby, ward = Member(1, "s", "peer", degree=1), Member(2, "w", "peer", rank=5)
    promises._hold(ward, standby, True)
    standby.degree = 0
    promises.trim(group, standby)
    assert (ward.standbys, standby.promised) == ((), 0)
    promises._hold(ward, standby, False)
    standby.rank = 6
    promises.drop_overtaken(group, standby)
    assert ward.standbys == ()
    assert not group.orders.replan


def test_a_branch_with_nowhere_to_go_waits() -> None:
    scene = figure_2a()
    group = inside(scene)
    moved = next(one for one in group.members.values() if one.children and one.role == "peer")
    moves.detach(group, moved)
    assert not placement.attach_to_best(group, moved, list(group.members.values()))
    assert moved.id in group.repair.waiting


def test_an_unmeasured_member_outlives_a_restart() -> None:
    scene = figure_2a()
    late = scene.join("late", measure=False)
    again = Overlay.restore(scene.settings, KEY, scene.overlay.snapshot(), scene.now)
    assert not again._group.members[late.id].measured


def test_a_flag_that_ends_for_one_whose_error_was_not_set_aside_changes_nothing() -> None:
    scene = figure_2a()
    watch.look_again(inside(scene), inside(scene).members[scene["c2"].id], scene.now)
    assert not inside(scene).watch.inquiries


def test_who_is_put_out_is_forgotten_at_once_and_the_source_is_away() -> None:
    scene = Scene(start_members=0)
    source, relay, leaf = scene.join("s", role="source"), scene.join("r", role="relay"), scene.join("l")
    scene.overlay.forgotten()
    assert scene.overlay.seen().keys() == {source.id, relay.id, leaf.id}
    scene.overlay.put_out(relay.id, scene.now)
    assert scene.overlay.forgotten() == [relay.id]
    assert scene.overlay.forgotten() == []
    assert not scene.resume(relay)
    scene.overlay.put_out(source.id, scene.now)
    scene.overlay.put_out(99, scene.now)
    assert scene.overlay.forgotten() == []
    assert scene.resume(source)
    assert scene.overlay.seen().keys() == {source.id, leaf.id}
