"""What members say of their networks tells who is beside whom: in any order, and liars take nobody with them."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlaycast.overlay import Overlay
from overlaycast.overlay.plan.locating import WORDS_S
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Address, FirstHops, Subscribe
from tests.overlay.observed import (
    LEAVES,
    MEMBERS,
    SOURCE,
    TRUE,
    Observed,
    Seen,
    clear,
    group,
    mistaken,
    said,
    tell,
    words,
)
from tests.overlay.plan.test_locating import FACTS, KEY, Path, _join, label, measured, places
from tests.overlay.scene import Scene, inside, sound

ROUTERS = st.sampled_from(["4.4.4.1", "4.4.4.2", None])
SAID = st.builds(FirstHops, gateway=ROUTERS, hops=st.lists(ROUTERS, max_size=3).map(tuple))
LA = ("R0", "R1", "La")
LB = ("R0", "R1", "Lb")


def a_hop(leaf: str) -> FirstHops:
    """Return what members below a leaf say, each with a link of its own to it: unlike gateways, alike beyond."""
    return FirstHops(gateway=None, hops=(None, f"4.4.4.{ord(leaf[1])}"))


def peers(many: int) -> tuple[Overlay, list[int]]:
    """Return a group that is under way; the source is at the coordinator."""
    overlay = Overlay(GroupSettings(rate_mbit=8, start_members=1), KEY)
    source = _join(overlay, "source", "source", "198.51.100.1")
    measured(overlay, source, ())
    return overlay, [_join(overlay, f"p{number}", "peer", f"198.51.{number}.1") for number in range(many)]


def say(overlay: Overlay, member: int, words: FirstHops, at: float = 1.0) -> None:
    overlay.receive(member, words, at)
    overlay.messages_to_send()
    sound(overlay._group)


def place(overlay: Overlay, member: int) -> tuple[bool, str]:
    one = overlay._group.members[member]
    return one.located, label(one.router)[0]


@settings(deadline=None)
@given(FACTS, st.lists(SAID, min_size=9, max_size=9), st.randoms(use_true_random=False))
def test_every_order_of_the_same_facts_and_words_gives_the_same_places(
    facts: list[tuple[Path, bool, int]], said: list[FirstHops], chance: random.Random
) -> None:
    events = [(what, index) for index in range(len(facts)) for what in ("path", "words")]
    found = []
    for order in (events, chance.sample(events, len(events))):
        overlay = Overlay(GroupSettings(start_members=1), KEY)
        source = _join(overlay, "source", "source", "198.51.100.1")
        ids = [_join(overlay, f"p{n}", "peer", f"10.0.{facts[n][2]}.{n + 1}") for n in range(len(facts))]
        measured(overlay, source, ("r",))
        for what, index in order:
            path, reached, _ = facts[index]
            if what == "path":
                measured(overlay, ids[index], path, reached)
            else:
                overlay.receive(ids[index], said[index], 1.0)
            sound(overlay._group)
        found.append(places(overlay))
    assert found[0] == found[1]


def test_one_whose_router_is_silent_is_where_its_like_are() -> None:
    overlay, (one, other, third, *rest) = peers(6)
    for member, path in ((one, LA), (other, LA), *((far, LB) for far in rest)):
        measured(overlay, member, path)
        say(overlay, member, a_hop(path[-1]))
    measured(overlay, third, ("R0", None, None))
    say(overlay, third, a_hop("La"))
    assert place(overlay, third) == (True, "La")
    say(overlay, third, a_hop("Lb"), at=40.0)
    assert place(overlay, third) == (True, "Lb")


def test_silence_confirms_nothing() -> None:
    overlay, (one, other, third, fourth) = peers(4)
    for member in (one, other):
        measured(overlay, member, LA)
        say(overlay, member, a_hop("La"))
    measured(overlay, third, ("R0", None, None), reached=False)
    say(overlay, third, a_hop("La"))
    assert place(overlay, third) == (False, "La"), "beside them, but not located: it has not answered"
    measured(overlay, fourth, ("R0", None))
    say(overlay, fourth, a_hop("La"))
    assert place(overlay, fourth) == (False, "La"), "it has answered from another distance"


def test_two_routers_that_nobody_gets_an_answer_from_are_told_apart_by_their_members() -> None:
    overlay = Overlay(GroupSettings(rate_mbit=8, start_members=1), KEY)
    ids = [_join(overlay, f"p{number}", "peer", f"198.51.7.{number}") for number in range(4)]
    for member in ids:
        measured(overlay, member, ("R0", "R1", None))
    assert len({place(overlay, member) for member in ids}) == 1
    for number, member in enumerate(ids):
        say(overlay, member, a_hop("La" if number < 2 else "Lb"))
    one, other, third, fourth = (place(overlay, member) for member in ids)
    assert one == other == (False, "*/R1/1/198.51.7.0/24 below 4.4.4.97")
    assert third == fourth == (False, "*/R1/1/198.51.7.0/24 below 4.4.4.98")
    kept = json.loads(json.dumps(overlay.snapshot()))
    assert places(Overlay.restore(GroupSettings(rate_mbit=8, start_members=1), KEY, kept, 5.0)) == places(overlay)


def test_a_path_that_most_deny_locates_nobody() -> None:
    overlay, (wrong, *others) = peers(7)
    say(overlay, wrong, a_hop("La"))
    measured(overlay, wrong, LB)
    assert place(overlay, wrong) == (True, "Lb"), "nobody says anything else"
    for member, path in zip(others, [LA] * 2 + [LB] * 4, strict=True):
        measured(overlay, member, path)
        say(overlay, member, a_hop(path[-1]))
    assert place(overlay, wrong) == (False, "La")
    state = overlay._group.members[wrong]
    assert state.degree == len(state.children), "nobody else is fed by it: it may have lied"
    measured(overlay, wrong, LA, at=2.0)
    assert place(overlay, wrong) == (True, "La")
    assert state.degree > len(state.children)


def test_what_was_carried_to_a_member_beside_others_shows_nothing_of_their_links() -> None:
    overlay, (one, other, third) = peers(3)
    for member in (one, other):
        measured(overlay, member, LA, mbit=20)
        say(overlay, member, a_hop("La"))
    say(overlay, third, a_hop("La"))
    measured(overlay, third, (None, None, None), mbit=900)
    assert place(overlay, third) == (True, "La")
    assert overlay._group.routers.known["La"].rate_mbit == 20
    measured(overlay, third, (None, None, None), mbit=800, at=3.0)
    assert overlay._group.routers.known["La"].rate_mbit == 20


def test_what_is_said_again_and_again_is_heard_now_and_then() -> None:
    overlay, (one, other, third) = peers(3)
    for member in (one, other):
        measured(overlay, member, LA)
        say(overlay, member, a_hop("La"))
    measured(overlay, third, (None, None, None))
    say(overlay, third, a_hop("La"), at=100.0)
    before = place(overlay, third)
    for at in range(101, 100 + int(WORDS_S)):
        say(overlay, third, a_hop("Lc"), at=at)
        assert place(overlay, third) == before
    say(overlay, third, a_hop("Lc"), at=100 + WORDS_S)
    assert place(overlay, third) != before
    say(overlay, third, FirstHops(), at=300.0)
    assert overlay._group.members[third].near is None


def test_a_source_and_a_group_that_does_not_ask_for_places_hear_nothing() -> None:
    overlay, _ = peers(1)
    source = overlay._group.source
    assert source is not None
    say(overlay, source.id, a_hop("La"))
    assert source.near is None
    fast = Overlay(GroupSettings(strategy="performance", start_members=1), KEY)
    member = _join(fast, "p", "peer", "10.0.0.1")
    measured(fast, member, LA)
    say(fast, member, a_hop("La"))
    assert place(fast, member) == (True, "coordinator")
    assert not fast._group.routers.witnesses._said
    kept = json.loads(json.dumps(fast.snapshot()))
    again = Overlay.restore(GroupSettings(strategy="performance"), KEY, kept, 5.0)
    assert not again._group.routers.witnesses._said
    assert again._group.members[member].near is not None


@pytest.mark.parametrize(
    ("source_at", "towards"), [(None, ""), ("127.0.0.1", ""), ("", ""), ("198.51.100.1", "198.51.100.1")]
)
def test_members_look_towards_the_source_if_it_is_elsewhere_than_the_coordinator(
    source_at: str | None, towards: str
) -> None:
    overlay = Overlay(GroupSettings(), KEY)
    if source_at is not None:
        overlay.join(subscribe("source", "source", source_at), 0.0)
    assert overlay.towards(subscribe("p", "peer", "4.4.4.4")) == towards
    assert overlay.towards(subscribe("p", "relay", "4.4.4.4")) == towards
    assert overlay.towards(subscribe("s", "source", "4.4.4.4")) is None


def subscribe(name: str, role: str, seen: str) -> Subscribe:
    fields = {"version": 2, "group": "g", "token": "t", "name": name, "role": role, "seen": seen}
    return Subscribe.model_validate({**fields, "addresses": (Address(host="4.4.4.9", port=1),)})


def test_words_that_say_what_prefixes_do_change_nothing() -> None:
    overlay = Overlay(GroupSettings(rate_mbit=8, start_members=1), KEY)
    one, other, third = (_join(overlay, f"p{number}", "peer", f"198.51.7.{number}") for number in range(3))
    measured(overlay, third, ("R0", None, None), reached=False)
    for member in (one, other):
        measured(overlay, member, LA)
    assert place(overlay, third) == (True, "La")
    for member in (third, one, other):
        say(overlay, member, a_hop("La"))
    assert place(overlay, third) == (True, "La")


def test_one_that_goes_is_no_witness_any_more() -> None:
    overlay, (one, other, third) = peers(3)
    for member in (one, other):
        measured(overlay, member, LA)
        say(overlay, member, a_hop("La"))
    overlay.put_out(other, 2.0)
    measured(overlay, third, (None, None, None))
    say(overlay, third, a_hop("La"), at=3.0)
    assert place(overlay, third)[1] != "La"


@pytest.mark.parametrize("words_kept", [True, False])
def test_words_outlive_a_restart_and_snapshots_of_before_have_none(words_kept: bool) -> None:
    overlay, (one, other, third) = peers(3)
    for member in (one, other):
        measured(overlay, member, LA)
        say(overlay, member, a_hop("La"))
    measured(overlay, third, (None, None, None))
    say(overlay, third, a_hop("La"))
    kept = json.loads(json.dumps(overlay.snapshot()))
    if not words_kept:
        del kept["words"]
    again = Overlay.restore(GroupSettings(rate_mbit=8, start_members=1), KEY, kept, 5.0)
    sound(again._group)
    assert (places(again) == places(overlay)) == words_kept
    assert (again._group.members[third].near is not None) == words_kept


# --- liars -----------------------------------------------------------------------------------------------------


def observed(chance: random.Random) -> Observed:
    """Return a network of which each leaf has a member of unknown router, and one is taken to be elsewhere."""
    seen = mistaken(clear(), chance, many=1)
    for leaf in LEAVES:
        name = f"{leaf[1]}{chance.randint(1, MEMBERS)}"
        seen[name] = Seen((None, None, None))
    return seen


def located(scene: Scene, names: list[str]) -> dict[str, tuple[bool, list[str]]]:
    members = {one.name: one for one in inside(scene).members.values()}
    return {name: (members[name].located, label(members[name].router)) for name in names}


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.booleans(), st.integers(1, 2))
def test_liars_take_nobody_with_them(seed: int, one24: bool, many: int) -> None:
    """Whatever a few members of each site say, the others are where they are when these say nothing."""
    chance = random.Random(seed)
    seen = observed(chance)
    at_home = [name for name, one in seen.items() if one.path == TRUE[name] and name != SOURCE]
    liars = []
    for leaf in LEAVES:
        liars += [name for name in chance.sample(at_home, len(at_home)) if leaf in TRUE[name]][:many]
    honest = [name for name in TRUE if name not in (*liars, SOURCE)]
    lies = {liar: a_lie(chance, one24) for liar in liars}
    found = []
    for told in ({}, lies):
        scene = group("live", one24)
        words(scene, one24, honest)
        for liar, lie in told.items():
            scene.overlay.receive(scene[liar].id, lie, scene.now)
        tell(scene, seen, random.Random(seed))
        sound(inside(scene))
        scene.pass_time(3)
        for liar in liars:
            one = inside(scene).members[scene[liar].id]
            assert one.located or not one.children
        found.append(located(scene, honest))
    assert found[0] == found[1]
    for name in set(honest) & set(at_home):
        assert found[1][name] == (True, [*reversed(TRUE[name]), "coordinator"])


def a_lie(chance: random.Random, one24: bool) -> FirstHops:
    """Return the words of somebody else, some of them, or what nobody says."""
    other = said(chance.choice([name for name in TRUE if name != SOURCE]), one24)
    hops = tuple(hop if chance.random() < 0.7 else chance.choice([None, "4.4.4.77"]) for hop in other.hops)
    return FirstHops(gateway=chance.choice([other.gateway, None, "4.4.4.78"]), hops=hops)
