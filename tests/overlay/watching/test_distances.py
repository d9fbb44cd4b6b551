"""Members count how far others are: who is asked about whom, what it changes, and that a liar harms itself alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlaycast.overlay import Measurement
from overlaycast.overlay.state.tree import check
from overlaycast.overlay.watching import distances
from overlaycast.overlay.watching.distances import AT_ONCE, ROUND_S, ROUNDS, TRIED
from overlaycast.wire.messages import Distance, DistanceReply, DistanceRequest
from tests.overlay.scene import Actor, Scene

SOON_S = ROUND_S * (ROUNDS + 3) + 12


class Far(Scene):
    """Sites at the ends of branches of four links; what members count is ``hops``, by names of asked and counted."""

    def __init__(self, sites: int, **more: object) -> None:
        super().__init__(**{"start_members": 0, "rate_mbit": 1, "improve_s": 10, **more})
        self.hops: dict[tuple[str, str], int] = {}
        self.mute: set[str] = set()
        self.join("source", ["r0"], role="source")
        for number in range(sites):
            self.site(number)

    def site(self, number: int) -> Actor:
        path = ["r0", *(f"s{number}-{step}" for step in range(4))]
        ms = [1.0, *(5.0 * step for step in range(1, 5))]
        return self.join(f"m{number}", path, rtt_ms=40.0, hops_ms=tuple(ms))

    def count(self, *names: str, hops: int) -> None:
        """Have all of these count so many routers to one another."""
        self.hops |= {(one, other): hops for one in names for other in names}

    def _obey(self, actor: Actor, message: object) -> None:
        if isinstance(message, DistanceRequest):
            if actor.name not in self.mute:
                self.say(actor, self.answer(actor, message))
            return
        super()._obey(actor, message)  # type: ignore[arg-type]

    def answer(self, actor: Actor, request: DistanceRequest) -> DistanceReply:
        names = {one.member: self.actors[one.member].name for one in request.members}
        found = []
        for one, name in names.items():
            hops = self.hops.get((actor.name, name))
            found.append(Distance(member=one, hops=hops or 9, rtt_ms=100.0 if hops is None else 4.0))
        return DistanceReply(nonce=request.nonce, distances=tuple(found))

    def asked(self) -> list[tuple[str, tuple[str, ...]]]:
        """Who was asked about whom so far."""
        return [
            (self.actors[to].name, tuple(self.actors[one.member].name for one in message.members))
            for to, message in self.sent
            if isinstance(message, DistanceRequest)
        ]


def test_neighbours_that_paths_show_far_apart_find_one_another() -> None:
    scene = Far(6)
    scene.count("m1", "m4", hops=3)
    scene.pass_time(SOON_S)
    plan = scene.parents()
    assert plan["m1"] == "m4" or plan["m4"] == "m1"
    [moved] = [event for event in scene.events if event.kind == "improved"]
    assert moved.details["gain_links"] == 4 - 2
    assert scene.now < 100 + 60


def test_who_is_near_already_is_not_asked_and_nobody_is_asked_for_nothing() -> None:
    scene = Far(3)
    scene.join("beside", ["r0", "one"])
    scene.pass_time(SOON_S)
    asked = scene.asked()
    assert {name for name, _ in asked} == {"m0", "m1", "m2"}, "one link is the least that there is"
    assert len(asked) == len(set(asked)) == 3, "all there are fit into one question, and no answer changes anything"
    assert {name: set(about) for name, about in asked}["m1"] == {"source", "m0", "m2", "beside"}


def test_a_group_that_is_not_improved_asks_nobody() -> None:
    scene = Far(3, improve_s=0)
    scene.pass_time(SOON_S)
    assert scene.asked() == []


def test_it_ends_when_the_operator_switches_improvement_off() -> None:
    scene = Far(30)
    scene.pass_time(ROUND_S)
    before = len(scene.asked())
    scene.overlay.retune(scene.settings.model_copy(update={"improve_s": 0}), scene.now)
    scene.pass_time(SOON_S)
    assert before
    assert len(scene.asked()) == before


def test_a_group_that_waits_for_its_members_asks_once_it_has_begun() -> None:
    scene = Far(0, start_members=3)
    for number in range(3):
        scene.site(number)
        scene.actors[number + 2].answers = False
    scene.pass_time(1.0)
    assert scene.asked() == []
    for actor in scene.actors.values():
        actor.answers = True
    scene.pass_time(SOON_S)
    assert scene.asked()


def test_rounds_are_bounded_and_lead_to_neighbours_of_neighbours() -> None:
    scene = Far(40)
    near = [f"m{number}" for number in range(0, 40, 4)]
    scene.count(*near, hops=2)
    scene.pass_time(SOON_S)
    by_name: dict[str, list[tuple[str, ...]]] = {}
    for name, about in scene.asked():
        by_name.setdefault(name, []).append(about)
    assert set(by_name) == {f"m{number}" for number in range(40)}
    for rounds in by_name.values():
        asked = [one for about in rounds for one in about]
        assert len(asked) == len(set(asked)) <= TRIED
        assert max(map(len, rounds)) <= AT_ONCE
    fed = scene.parents()
    assert sum(fed[name] in near for name in near) == len(near) - 1, "one copy comes to all of them"


def test_members_that_do_not_answer_change_nothing_and_hold_up_nobody() -> None:
    scene = Far(12)
    scene.count("m1", "m4", hops=2)
    scene.mute = {"m2", "m3"}
    scene.pass_time(SOON_S)
    assert {scene.parents()[name] for name in ("m2", "m3")} == {"source"}
    assert [event.kind for event in scene.events].count("improved") == 1


def test_a_reply_that_nobody_asked_for_is_nothing() -> None:
    scene = Far(3)
    scene.pass_time(SOON_S)
    ways = scene.overlay._group.ways
    before = {key: dict(known) for key, known in ways._into.items()}
    one = scene["m1"]
    liar = (Distance(member=scene["m2"].id, hops=1, rtt_ms=0.1),)
    scene.say(one, DistanceReply(nonce=10**6, distances=liar))
    assert ways._into == before


def test_a_reply_about_others_or_from_elsewhere_is_nothing() -> None:
    scene = Far(3)
    scene.mute = {"m0", "m1", "m2"}
    scene.pass_time(ROUND_S)
    group = scene.overlay._group
    one = scene["m1"]
    nonce = group.distances.asked[one.id].nonce
    stranger = Distance(member=10**6, hops=1, rtt_ms=0.1)
    scene.say(one, DistanceReply(nonce=nonce, distances=(stranger,)))
    assert not group.ways._into
    two = scene["m2"]
    nonce = group.distances.asked[two.id].nonce
    scene.measure(two, ["r0", "elsewhere", "else", "far"])
    scene.say(two, DistanceReply(nonce=nonce, distances=(Distance(member=one.id, hops=1, rtt_ms=0.1),)))
    assert not group.ways._into, "it has counted where it is no more"


def test_a_router_that_is_gone_meanwhile_does_not_count() -> None:
    scene = Far(3)
    scene.mute = {"m0", "m1", "m2"}
    scene.pass_time(ROUND_S)
    group = scene.overlay._group
    asked = group.distances.asked[scene["m1"].id]
    asked.others[scene["m2"].id] = "never heard of"
    reply = DistanceReply(nonce=asked.nonce, distances=(Distance(member=scene["m2"].id, hops=1, rtt_ms=0.1),))
    scene.say(scene["m1"], reply)
    assert not group.ways._into


def test_those_that_are_gone_are_forgotten() -> None:
    scene = Far(6)
    scene.mute = {"m0"}
    scene.pass_time(ROUND_S)
    group = scene.overlay._group
    assert scene["m0"].id in group.distances.asked
    for number in range(6):
        scene.overlay.put_out(scene[f"m{number}"].id, scene.now)
    assert not group.distances.asked
    scene.pass_time(SOON_S)
    state = group.distances
    assert (state.rounds, state.tried, state.wanted, group.ways._into) == ({}, {}, {}, {})


def test_a_router_that_wants_to_be_counted_and_goes_is_not_waited_for() -> None:
    scene = Far(3)
    scene.pass_time(SOON_S)
    wanted = scene.overlay._group.distances.wanted
    [here, *_] = scene.overlay._group.distances.rounds
    wanted[here] = {"never heard of": None}
    scene.pass_time(SOON_S)
    assert not wanted.get(here)


def test_large_groups_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "MOST", 4)
    scene = Far(6)
    scene.pass_time(SOON_S)
    assert scene.asked() == []


def test_who_cannot_be_dialled_is_no_target_and_who_is_away_is_not_asked() -> None:
    scene = Far(2)
    scene.join("behind", ["r0", "n1", "n2", "n3"], reachable=False)
    scene.join("away", ["r0", "w1", "w2", "w3"])
    scene.overlay.disconnected(scene["away"].id, scene.now)
    scene.pass_time(ROUND_S)
    asked = dict(scene.asked())
    assert "away" not in asked
    assert "behind" in asked
    assert not any("behind" in about for about in asked.values())
    scene.pass_time(SOON_S)
    router = scene.overlay._group.members[scene["behind"].id].router
    assert scene.overlay._group.ways.near(router), "what it has counted is kept"


def test_ways_from_the_coordinators_own_network_are_its_paths() -> None:
    scene = Far(2)
    beside = scene.join("beside", measure=False)
    for actor in (scene["source"], beside):
        scene.overlay.measured(actor.id, Measurement((), 0.3, 100.0, (), True), scene.now)
    scene.pass_time(SOON_S)
    asked = scene.asked()
    assert {name for name, _ in asked} == {"m0", "m1"}
    assert not any(name in about for name in ("source", "beside") for _, about in asked)


def test_a_source_that_nobody_can_place_is_no_target() -> None:
    scene = Far(3)
    scene.measure(scene["source"], ["r9", None, None])
    scene.pass_time(SOON_S)
    assert not any("source" in about for _, about in scene.asked())


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.tuples(st.sampled_from([f"m{n}" for n in range(8)]), st.sampled_from([f"m{n}" for n in range(8)])),
        st.integers(0, 255),
    )
)
def test_whatever_is_counted_the_tree_is_one_and_copies_get_fewer(hops: dict[tuple[str, str], int]) -> None:
    scene = Far(8)
    scene.hops = hops
    scene.pass_time(SOON_S)
    group = scene.overlay._group
    check(group.tree, iter(group.members.values()))
    assert all(parent is not None for name, parent in scene.parents().items() if name != "source")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 255), min_size=7, max_size=7))
def test_a_liar_moves_itself_alone(hops: list[int]) -> None:
    scene = Far(8)
    others = [f"m{number}" for number in range(8) if number != 3]
    scene.hops = {("m3", other): count for other, count in zip(others, hops, strict=True)}
    honest = {name: parent for name, parent in scene.parents().items() if name != "m3"}
    scene.pass_time(SOON_S)
    assert {name: parent for name, parent in scene.parents().items() if name != "m3"} == honest
