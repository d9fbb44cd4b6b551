"""Places: wildcards, load-balanced paths, failed traces, sites, distances; and what is carried."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.overlay.state.locality import Routers
from overlaycast.overlay.state.measurement import Measurement
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.prefix import prefix_of
from overlaycast.overlay.state.router import Router, meeting
from tests.overlay.scene import locate

HOST = (("192.0.2.7", 8471),)
ROUTERS = st.sampled_from(["a", "b", "c", "d", None])


def router(routers: Routers, *path: str | None, host: str = "192.0.2.7") -> Router:
    return locate(routers, Measurement(path), ((host, 8471),))


def chain(where: Router) -> list[str | None]:
    return [one.name for one in where.up() if one.parent is not None]


def test_members_of_one_router_share_a_place() -> None:
    routers = Routers()
    assert router(routers, "r1", "r2") is router(routers, "r1", "r2")
    assert chain(router(routers, "r1", "r2")) == ["r2", "r1"]


def test_load_balanced_paths_and_paths_of_other_length_meet_at_the_site() -> None:
    routers = Routers()
    for path in (("r1", "x", "site"), ("r1", "y", "site"), ("r1", "y", "z", "site"), ("r1", "x", "site", "leaf")):
        router(routers, *path)
    for path in (("r1", "x", "site"), ("r1", "y", "site"), ("r1", "y", "z", "site")):
        assert router(routers, *path) is routers.known["site"]
    assert routers.known["leaf"].parent is routers.known["site"]
    assert chain(routers.known["site"])[-1] == "r1"


def test_a_silent_hop_is_another_one_only_where_both_neighbours_match() -> None:
    routers = Routers()
    first = router(routers, "r1", None, "s1")
    assert router(routers, "r1", None, "s1") is first
    assert router(routers, "r1", None, "s2").parent is not first.parent
    assert router(routers, "r9", None, "s3").parent is not first.parent


def test_a_silent_hop_takes_the_name_of_whom_answers_there_later() -> None:
    routers = Routers()
    router(routers, "r1", None, "s1")
    router(routers, "r1", "m", "s1")
    assert chain(router(routers, "r1", None, "s1")) == ["s1", "m", "r1"]
    assert router(routers, "r1", "m", "s2").parent is routers.known["s1"].parent


def test_paths_that_end_in_silence_are_told_apart_by_subnet() -> None:
    routers = Routers()
    members = [Member(number, f"m{number}", "peer") for number in range(1, 5)]
    for number, (member, host) in enumerate(zip(members, ("192.0.2.1", "192.0.2.9") * 2, strict=True)):
        network = host if number < 2 else host.replace("192.0.2", "198.51.100")
        member.fact = routers.fact(Measurement(("r1", None)), ((network, 8471),))
        routers.learn(member.fact.hops)
        member.router, _ = routers.find(member.fact)
        routers.enter(member)
    one, other, third, fourth = (routers.find(member.fact, entered=True)[0] for member in members)
    assert one is other
    assert third is fourth is not one


def test_those_that_have_a_subnet_for_themselves_are_taken_to_be_behind_one_silent_router() -> None:
    routers = Routers()
    one = router(routers, "r1", None, host="192.0.2.1")
    assert router(routers, "r1", None, host="198.51.100.9") is one
    assert router(routers, "r2", None, host="203.0.113.1") is not one


def test_a_failed_trace_falls_back_to_the_subnet_then_to_the_round_trip() -> None:
    routers = Routers()
    alone = router(routers, host="203.0.113.4")
    assert router(routers, host="203.0.113.5") is alone
    named = [locate(routers, Measurement((), rtt), (("somewhere", 1),)) for rtt in (10.0, 11.0, 80.0)]
    assert named[0] is named[1] is not named[2]


@pytest.mark.parametrize(
    ("host", "prefix"), [("10.1.2.3", "10.1.2.0/24"), ("2001:db8::5", "2001:db8::/64"), ("name", None)]
)
def test_prefixes(host: str, prefix: str | None) -> None:
    assert prefix_of(((host, 1),)) == prefix


def test_the_core_is_what_all_share_and_sites_are_the_branches_below() -> None:
    routers = Routers()
    for number, path in enumerate([("r", "core", "A", "a1"), ("r", "core", "A", "a2"), ("r", "core", "B")]):
        member = Member(number, f"m{number}", "peer", router=router(routers, *path, host=f"10.0.{number}.1"))
        routers.enter(member)
    assert routers.core.name == "core"
    assert routers.site(routers.known["a1"]) is routers.site(routers.known["a2"]) is routers.known["A"]
    assert routers.site(routers.known["r"]) is routers.known["r"]


@given(st.lists(st.lists(ROUTERS, max_size=6), max_size=12))
def test_any_paths_make_a_tree(paths: list[list[str | None]]) -> None:
    routers = Routers()
    members = [Member(number, f"m{number}", "peer", rtt_ms=10.0 + number) for number in range(len(paths))]
    for member, path in zip(members, paths, strict=True):
        member.fact = routers.fact(Measurement(tuple(path)), ((f"10.0.{member.id}.1", 1),))
        routers.learn(member.fact.hops)
    routers.refresh()
    for member in members:
        member.router, member.located = routers.find(member.fact, member.rtt_ms)
        routers.enter(member)
    for where in dict.fromkeys(routers.known.values()):
        assert where.parent is None or where.depth == where.parent.depth + 1
        assert where.parent is None or where in where.parent.children
        inside = [one for one in members if one.router is not None and where in one.router.up()]
        assert where.count == len(inside)
    for one in members:
        for other in members:
            assert one.router is not None
            assert other.router is not None
            assert meeting(one.router, other.router) in one.router.up()
    for one in members:
        routers.leave(one)
    assert all(where.count == 0 for where in routers.known.values())
    assert not routers.unlocated


def test_what_a_router_took_to_answer_is_kept_when_paths_say_that_it_is_elsewhere() -> None:
    routers = Routers()
    locate(routers, Measurement(("r1", None, "s1"), hops_ms=(2.0, None, 8.0)), HOST)
    locate(routers, Measurement(("r1", "m", "s1")), HOST)
    assert chain(routers.known["s1"]) == ["s1", "m", "r1"]
    assert (routers.known["r1"].delay_ms, routers.known["s1"].delay_ms) == (1.0, 4.0)
