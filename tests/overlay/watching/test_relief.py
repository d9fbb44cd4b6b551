"""A standby goes on with the stream when the source goes, dies or falls silent; until then it is in no tree."""

from __future__ import annotations

from typing import Any

import pytest

from overlaycast.overlay.state.members import State
from overlaycast.overlay.state.tree import check
from overlaycast.overlay.watching import relief, start
from overlaycast.wire.messages import Assign, Begin, Done, Ended, Leaving, Ping, Pong, Released
from tests.overlay.scene import Actor, Scene, figure_2a, inside, record, restart

SENT = 5_000
"""How far the stream is when something happens to its source."""


def streaming(standbys: int = 1, **settings: Any) -> Scene:
    """Return Figure 2A with standbys at a router of their own, a while after the source has begun."""
    scene = figure_2a(**settings)
    for number in range(standbys):
        scene.join(f"standby-{number}", ("srv", "core", "S"), "standby", out_degree=6)
    scene.pass_time(3)
    for actor in scene.actors.values():
        if actor.role != "standby":
            actor.next_seq = SENT
            scene.report(actor)
    scene.deliver()
    return scene


def sound(scene: Scene) -> None:
    check(inside(scene).tree, iter(inside(scene).members.values()))


def begins(actor: Actor) -> list[Begin]:
    return [said for said in actor.heard if isinstance(said, Begin)]


def told_to_end(actor: Actor) -> list[str]:
    return [said.reason for said in actor.heard if isinstance(said, Ended)]


def relieved(scene: Scene) -> bool | None:
    """Return what the source was told last of a standby."""
    source = scene.actors[inside(scene).source.id]  # type: ignore[union-attr]
    return [said.relieved for said in source.heard if isinstance(said, Assign)][-1]


def cut_off(scene: Scene, *names: str, reason: str = "reset") -> None:
    """These notice that nothing comes from their parent any more, and find nobody else."""
    for name in names:
        actor = scene[name]
        scene.say(
            actor,
            _not_receiving(actor, reason),
        )
        actor.parent = None


def _not_receiving(actor: Actor, reason: str) -> Any:
    from overlaycast.wire.messages import NotReceiving

    return NotReceiving.model_validate(
        {
            "epoch": actor.epoch,
            "parent": actor.parent,
            "next_seq": actor.next_seq,
            "silent_ms": 80,
            "reason": reason,
        }
    )


def took_over(scene: Scene, name: str, heads: list[str], first: int = SENT) -> None:
    """The standby is the source, has begun behind all that was sent, and feeds those that the former one fed."""
    scene.deliver()
    sound(scene)
    assert inside(scene).source is record(scene, name)
    assert scene.children(name) == sorted(heads)
    [begin] = begins(scene[name])
    assert (begin.next_seq, begin.incarnation) == (first, inside(scene).start.incarnation)
    assert begin.incarnation > 0
    assert scene.kinds().count("took-over") == 1
    for head in heads:
        assert scene[head].parent == scene[name].id


# --- standing by ------------------------------------------------------------------------------------------------


def test_it_is_measured_and_in_no_tree() -> None:
    scene = streaming()
    one = record(scene, "standby-0")
    assert (one.role, one.state, one.measured, one.degree, one.parent) == ("standby", State.ACTIVE, True, 0, None)
    scene.join("late", ("srv", "core", "S"))
    scene.pass_time(60)
    assert scene.children("standby-0") == []
    assert not [said for said in scene["standby-0"].heard if isinstance(said, Assign)]
    assert one.id not in inside(scene).repair.waiting
    for other in inside(scene).members.values():
        assert one not in (*other.standbys, *other.fallbacks)


def test_those_that_are_placed_together_do_not_wait_for_it() -> None:
    scene = Scene(start_members=1)
    scene.join("standby", ("srv",), "standby")
    scene.join("source", ("srv",), "source")
    scene.join("peer", ("srv", "a"))
    assert scene.parents() == {"standby": None, "source": None, "peer": "source"}
    scene.pass_time(60)
    assert begins(scene["standby"]) == []


def test_the_source_knows_whether_there_is_one() -> None:
    scene = figure_2a()
    assert relieved(scene) is None
    standby = scene.join("standby", ("srv",), "standby")
    assert relieved(scene) is True
    scene.overlay.disconnected(standby.id, scene.now)
    scene.deliver()
    assert relieved(scene) is None
    assert scene.resume(standby)
    scene.deliver()
    assert relieved(scene) is True
    scene.overlay.drain(standby.id, scene.now, "a test")
    scene.deliver()
    assert relieved(scene) is None
    scene.overlay.undo_drain(standby.id, scene.now, "a test")
    scene.deliver()
    assert relieved(scene) is True
    scene.say(standby, Leaving())
    scene.deliver()
    assert relieved(scene) is None
    assert any(isinstance(said, Released) for said in standby.heard)


def test_it_hears_that_the_stream_is_over() -> None:
    scene = streaming()
    scene.report(scene["source"], state="ended")
    scene.say(scene["source"], Done(next_seq=SENT, sha256="0" * 64, ok=True))
    scene.deliver()
    assert any(isinstance(one, Ping) and one.extent and one.extent.over for one in scene["standby-0"].heard)
    scene.kill(scene["source"])
    scene.pass_time(5, reports=False)
    assert begins(scene["standby-0"]) == []
    late = scene.join("late", ("srv",), "standby")
    assert [one.extent.over for one in late.heard if isinstance(one, Ping) and one.extent] == [True]


def test_a_file_group_has_none() -> None:
    scene = Scene(mode="file")
    scene.join("source", ("srv",), "source")
    scene.join("standby", ("srv",), "standby")
    assert relieved(scene) is None
    scene.kill(scene["source"])
    scene.pass_time(30, reports=False)
    assert begins(scene["standby"]) == []


# --- a source that goes -----------------------------------------------------------------------------------------


def test_a_source_that_leaves_hands_over_at_once() -> None:
    scene = streaming()
    heads = scene.children("source")
    source = scene["source"]
    source.next_seq = SENT + 7
    scene.report(source)
    scene.say(source, Leaving(reason="told to go"))
    took_over(scene, "standby-0", heads, SENT + 7)
    assert not [said for said in source.heard if isinstance(said, Ended)]
    # its children have changed over: it may go
    assert any(isinstance(said, Released) for said in source.heard)
    scene.kill(source)
    assert "source" not in scene.parents()
    assert [event.kind for event in scene.events if event.member == source.id][-1] == "left"


def test_it_is_let_go_when_its_children_have_changed_over() -> None:
    scene = streaming()
    slow = scene[scene.children("source")[0]]
    slow.answers = False
    source = scene["source"]
    scene.say(source, Leaving())
    scene.deliver()
    assert not any(isinstance(said, Released) for said in source.heard)
    assert record(scene, "source").leaving
    slow.answers = True
    scene._obey(slow, next(said for said in reversed(slow.heard) if isinstance(said, Assign)))
    scene.deliver()
    assert any(isinstance(said, Released) for said in source.heard)


def test_a_source_that_leaves_without_a_standby_is_let_go() -> None:
    scene = streaming(standbys=0)
    scene.say(scene["source"], Leaving())
    scene.deliver()
    assert any(isinstance(said, Released) for said in scene["source"].heard)
    heads = scene.children("source")
    standby = scene.join("standby", ("srv",), "standby")  # too late for a word of the source
    scene.deliver()
    assert inside(scene).source is record(scene, "source")
    for name in heads:
        scene[name].parent = None
    scene.kill(scene["source"])
    assert inside(scene).source is record(scene, "standby")
    scene.pass_time(1, reports=False)
    assert len(begins(standby)) == 1


def test_a_source_that_leaves_before_it_has_begun_hands_over_too() -> None:
    scene = Scene(start_members=1)
    scene.join("source", ("srv",), "source")
    scene.join("standby", ("srv",), "standby")
    scene.say(scene["source"], Leaving())
    scene.deliver()
    scene.join("peer", ("srv", "a"))
    scene.pass_time(6)
    assert scene.parents()["peer"] == "standby"
    assert [begin.next_seq for begin in begins(scene["standby"])] == [0]


def test_a_source_that_dies_before_it_has_begun_is_relieved_too() -> None:
    scene = Scene(start_members=1)
    scene.join("source", ("srv",), "source")
    scene.join("standby", ("srv",), "standby")
    scene.kill(scene["source"])
    scene.join("peer", ("srv", "a"))
    scene.pass_time(6)
    assert scene.parents() == {"standby": None, "peer": "standby"}
    assert [begin.next_seq for begin in begins(scene["standby"])] == [0]


# --- a source that fails ----------------------------------------------------------------------------------------


def test_a_source_whose_process_dies_is_relieved_as_soon_as_its_children_say_so() -> None:
    scene = streaming()
    heads = scene.children("source")
    for name in heads:
        scene[name].parent = None  # its connection is reset
    scene[heads[0]].next_seq = SENT + 3
    scene.kill(scene["source"])
    took_over(scene, "standby-0", heads, SENT + 3)
    assert [event.details["reason"] for event in scene.events if event.kind == "took-over"] == [
        "its control link is gone and it feeds nobody"
    ]


def test_a_source_whose_control_link_alone_is_down_stays() -> None:
    scene = streaming()
    heads = scene.children("source")
    scene.kill(scene["source"])
    scene.pass_time(3)  # children are fed, and say so when they are asked
    assert inside(scene).source is record(scene, "source")
    assert inside(scene).start.asks_left == 0
    scene["source"].answers = True
    assert scene.resume(scene["source"])
    scene.deliver()
    assert scene.children("source") == heads
    assert begins(scene["standby-0"]) == []


def test_children_that_notice_later_say_so_by_themselves() -> None:
    scene = streaming()
    heads = scene.children("source")
    scene.kill(scene["source"])
    cut_off(scene, *heads)
    took_over(scene, "standby-0", heads)


def test_children_that_turned_away_come_back() -> None:
    scene = streaming()
    heads = scene.children("source")
    others = [name for name in heads if name != "backup"]
    scene.kill(scene["source"])
    for name in others:
        scene.complain(scene[name], scene["backup"], "reset")
        scene.deliver()
    cut_off(scene, "backup")
    took_over(scene, "standby-0", heads)


@pytest.mark.parametrize("busy", [False, True])
def test_a_source_that_is_accused_and_does_not_answer_is_relieved(busy: bool) -> None:
    scene = streaming()
    heads = scene.children("source")
    scene["source"].answers = False
    began = scene.now
    cut_off(scene, *heads, reason="silence")
    scene.deliver()
    if busy:
        scene.say(scene["source"], Pong(nonce=next(iter(inside(scene).watch.inquiries.values())).nonce, next_seq=SENT))
    scene.pass_time(relief.ANSWER_S + 0.05, reports=False)
    if busy:
        assert inside(scene).source is record(scene, "source")
        return
    took_over(scene, "standby-0", heads)
    assert scene.now - began < 1.0
    assert told_to_end(scene["source"]) == [f"standby-0 ({scene['standby-0'].id}) has taken over as source"]
    assert "source" not in scene.parents()


def orders(actor: Actor) -> list[Assign]:
    return [said for said in actor.heard if isinstance(said, Assign)]


def test_children_of_a_silent_source_take_nothing_more_from_it_before_they_say_how_far_they_are() -> None:
    """It may be only frozen: what it sends when it runs again has numbers that are its successor's."""
    scene = streaming()
    heads = scene.children("source")
    former = scene["source"].id
    before = inside(scene).start.incarnation
    scene["source"].answers = False
    cut_off(scene, *heads, reason="silence")
    scene.deliver()
    asked = {name: len(scene[name].heard) for name in heads}
    scene.pass_time(relief.ANSWER_S + 0.05, reports=False)
    took_over(scene, "standby-0", heads)
    for name in heads:
        order, ping = scene[name].heard[asked[name] : asked[name] + 2]
        assert isinstance(order, Assign)
        assert (order.deposed, order.incarnation) == (former, before + 1)
        assert isinstance(ping, Ping)
    # whoever was not there then hears of it later
    restart(scene, 1.0, "source")
    scene.pass_time(3)
    assert {orders(scene[name])[-1].deposed for name in heads} == {former}


def test_a_source_that_has_said_how_far_it_is_feeds_its_children_until_they_have_changed_over() -> None:
    scene = streaming()
    heads = scene.children("source")
    scene.say(scene["source"], Leaving())
    took_over(scene, "standby-0", heads)
    assert {order.deposed for name in heads for order in orders(scene[name])} == {None}
    assert {orders(scene[name])[-1].incarnation for name in heads} == {inside(scene).start.incarnation}


def test_a_source_that_feeds_others_is_not_relieved_for_one_child() -> None:
    scene = streaming()
    heads = scene.children("source")
    scene["source"].answers = False
    cut_off(scene, heads[0], reason="silence")
    scene.deliver()
    scene.now += 0.1
    scene.report(scene[heads[1]])
    scene.pass_time(relief.ANSWER_S, reports=False)
    assert inside(scene).source is record(scene, "source")


def test_any_member_that_finds_nothing_shows_that_the_source_is_gone() -> None:
    scene = streaming()
    heads = scene.children("source")
    forwarder = next(name for name in heads if scene.children(name) and name != "backup")
    source = record(scene, "source")
    scene.kill(scene["source"])
    for name in heads:
        record(scene, name).watch.fed_by = 0
    assert inside(scene).source is source
    cut_off(scene, scene.children(forwarder)[0])
    took_over(scene, "standby-0", heads)


# --- the numbers go on ------------------------------------------------------------------------------------------


def test_it_waits_for_children_that_still_read_what_the_source_had_sent() -> None:
    scene = streaming()
    heads = scene.children("source")
    source, reads_on = scene["source"], scene[heads[0]]
    for name in heads[1:]:
        scene[name].parent = None
    scene.kill(source)  # one child has not noticed yet
    assert inside(scene).source is record(scene, "source")
    record(scene, heads[0]).watch.fed_by = 0  # another has said so for all: see ``source_lost``
    relief.look(inside(scene), scene.now)
    reads_on.answers = False
    scene.deliver()
    assert begins(scene["standby-0"]) == []
    [nonce] = inside(scene).start.asked
    reads_on.next_seq = SENT + 2
    scene.say(reads_on, Pong(nonce=nonce, next_seq=SENT + 2, parent=source.id))
    scene.deliver()
    assert begins(scene["standby-0"]) == []
    scene.pass_time(start.ASK_AGAIN_S, reports=False)
    [nonce] = inside(scene).start.asked
    scene.say(reads_on, Pong(nonce=nonce, next_seq=SENT + 5, parent=scene["standby-0"].id))
    scene.deliver()
    assert [begin.next_seq for begin in begins(scene["standby-0"])] == [SENT + 5]


def test_it_does_not_wait_for_ever() -> None:
    scene = streaming()
    heads = scene.children("source")
    for name in heads:
        scene[name].answers = False
        record(scene, name).watch.fed_by = 0
    scene.kill(scene["source"])
    assert begins(scene["standby-0"]) == []
    scene.pass_time(relief.ASK_S + 0.01, reports=False)
    assert len(begins(scene["standby-0"])) == 1


def test_those_below_a_child_that_is_away_are_asked_as_well() -> None:
    scene = streaming()
    heads = scene.children("source")
    away = next(name for name in heads if scene.children(name) and name != "backup")
    below = scene[scene.children(away)[0]]
    scene.overlay.disconnected(scene[away].id, scene.now)
    scene.deliver()
    below.next_seq = SENT + 9
    for name in heads:
        scene[name].parent = None
    scene.kill(scene["source"])
    scene.pass_time(relief.ASK_S, reports=False)
    assert [begin.next_seq for begin in begins(scene["standby-0"])] == [SENT + 9]


@pytest.mark.parametrize("last", [False, True])
def test_a_child_that_lacks_records_is_sent_to_one_that_has_them(last: bool) -> None:
    scene = streaming()
    heads = sorted((name for name in scene.children("source")), key=lambda name: record(scene, name).rank)
    behind = heads[-1] if last else heads[0]
    for name in heads:
        scene[name].parent = None
        scene[name].next_seq = SENT + (0 if name == behind else 4)
    scene.kill(scene["source"])
    took_over(scene, "standby-0", heads, SENT + 4)
    order = scene[behind].order
    assert order is not None
    [offered] = inside(scene).start.ahead.values()
    leader = next(peer for peer in (*order.standbys, *order.fallbacks) if peer.member == offered.id)
    assert leader.member in {scene[name].id for name in heads if name != behind}
    assert leader.rank < order.rank
    scene[behind].next_seq = SENT + 6
    scene.report(scene[behind])
    scene.deliver()
    assert inside(scene).start.ahead == {}


def test_nobody_is_offered_to_a_child_with_too_large_a_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = streaming()
    heads = sorted((name for name in scene.children("source")), key=lambda name: record(scene, name).rank)
    monkeypatch.setattr("overlaycast.overlay.watching.laggards.LIFT_LIMIT", 0)
    for name in heads:
        scene[name].parent = None
        scene[name].next_seq = SENT + (0 if name == heads[0] else 4)
    scene.kill(scene["source"])
    took_over(scene, "standby-0", heads, SENT + 4)
    assert inside(scene).start.ahead == {}


def test_what_is_offered_goes_with_the_member() -> None:
    scene = streaming()
    heads = scene.children("source")
    for name in heads:
        scene[name].parent = None
        scene[name].next_seq = SENT + (0 if name == heads[0] else 4)
    scene.kill(scene["source"])
    scene.deliver()
    [leader] = inside(scene).start.ahead.values()
    scene.say(scene.actors[leader.id], Leaving())
    scene.deliver()
    scene.kill(scene.actors[leader.id])
    assert inside(scene).start.ahead == {}


# --- more than one, and the coordinator -------------------------------------------------------------------------


def test_the_next_one_takes_over_from_one_that_does_nothing() -> None:
    scene = streaming(standbys=2)
    heads = scene.children("source")
    for name in heads:
        scene[name].parent = None
    scene["standby-0"].answers = False
    scene.kill(scene["source"])
    assert inside(scene).source is record(scene, "standby-0")
    assert relieved(scene) is True
    cut_off(scene, *heads, reason="unreachable")
    scene.pass_time(relief.ANSWER_S + 0.05, reports=False)
    assert inside(scene).source is record(scene, "standby-1")
    assert len(begins(scene["standby-1"])) == 1
    assert relieved(scene) is None


def test_a_standby_that_dies_first_takes_over_nothing() -> None:
    scene = streaming()
    scene.kill(scene["standby-0"])
    scene.pass_time(10)
    assert "standby-0" not in scene.parents()
    scene.kill(scene["source"])
    scene.pass_time(10, reports=False)
    assert inside(scene).source is record(scene, "source")


def test_the_former_source_may_wait_for_its_place() -> None:
    scene = streaming()
    heads = scene.children("source")
    scene.say(scene["source"], Leaving())
    scene.deliver()
    scene.kill(scene["source"])
    assert scene.overlay.has_source()
    scene.join("again", ("srv",), "standby")
    scene.say(scene["standby-0"], Leaving())
    scene.deliver()
    assert inside(scene).source is record(scene, "again")
    assert scene.children("again") == heads


def test_two_standbys_and_no_source_begin_after_a_while() -> None:
    scene = Scene(start_members=0)
    scene.join("one", ("srv",), "standby")
    scene.join("two", ("srv",), "standby")
    scene.join("peer", ("srv", "a"))
    assert not scene.overlay.has_source()
    scene.pass_time(relief.FIRST_S - 0.5)
    assert inside(scene).source is None
    scene.pass_time(2)
    assert scene.parents()["peer"] == "one"
    assert [begin.incarnation for begin in begins(scene["one"])] == [0]


def test_without_a_standby_the_timer_does_nothing() -> None:
    scene = Scene(start_members=0)
    one = scene.join("one", ("srv",), "standby")
    scene.say(one, Leaving())
    scene.pass_time(relief.FIRST_S + 1)
    assert inside(scene).source is None


@pytest.mark.parametrize("dead", [False, True])
def test_after_a_restart_of_the_coordinator_a_source_has_time_to_come_back(dead: bool) -> None:
    scene = streaming()
    heads = scene.children("source")
    scene["source"].answers = False
    restart(scene, 1.0, "source")
    for name in heads if dead else ():
        record(scene, name).watch.fed_by = 0
        scene[name].parent = None
    assert record(scene, "standby-0").role == "standby"
    assert list(inside(scene).start.standbys) == [scene["standby-0"].id]
    if dead:
        cut_off(scene, heads[0])
        assert inside(scene).source is record(scene, "source")
    scene.pass_time(scene.settings.lost_after_s + 0.5, reports=False)
    if dead:
        took_over(scene, "standby-0", heads)
    else:
        assert inside(scene).source is record(scene, "source")


def test_a_promoted_standby_resumes_as_the_source_that_it_is() -> None:
    scene = streaming()
    heads = scene.children("source")
    scene.say(scene["source"], Leaving())
    scene.deliver()
    scene.kill(scene["source"])
    restart(scene, 1.0, "source")
    assert inside(scene).source is record(scene, "standby-0")
    scene.pass_time(scene.settings.lost_after_s + 1)
    assert scene.children("standby-0") == heads
