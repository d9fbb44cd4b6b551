"""Places: wildcards, load-balanced paths, failed traces, sites, distances; and what is carried."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.overlay.state.locality import Places, prefix_of
from overlaycast.overlay.state.measurement import Measurement
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.place import Place, meeting

HOST = (("192.0.2.7", 8471),)
ROUTERS = st.sampled_from(["a", "b", "c", "d", None])


def place(places: Places, *path: str | None, host: str = "192.0.2.7") -> Place:
    return places.locate(Measurement(path), ((host, 8471),))


def chain(where: Place) -> list[str | None]:
    return [one.name for one in where.up() if one.parent is not None]


def test_members_of_one_router_share_a_place() -> None:
    places = Places()
    assert place(places, "r1", "r2") is place(places, "r1", "r2")
    assert chain(place(places, "r1", "r2")) == ["r2", "r1"]


def test_load_balanced_paths_and_paths_of_other_length_meet_at_the_site() -> None:
    places = Places()
    site = place(places, "r1", "x", "site")
    assert place(places, "r1", "y", "site") is site
    assert place(places, "r1", "y", "z", "site") is site
    assert place(places, "r1", "site", "leaf").parent is site


def test_a_silent_hop_is_another_one_only_where_both_neighbours_match() -> None:
    places = Places()
    first = place(places, "r1", None, "s1")
    assert place(places, "r1", None, "s1") is first
    assert place(places, "r1", None, "s2").parent is not first.parent
    assert place(places, "r9", None, "s3").parent is not first.parent


def test_a_silent_hop_takes_the_name_of_whom_answers_there_later() -> None:
    places = Places()
    first = place(places, "r1", None, "s1")
    assert place(places, "r1", "m", "s1") is first
    assert chain(first) == ["s1", "m", "r1"]
    assert place(places, "r1", "m", "s2").parent is first.parent


def test_paths_that_end_in_silence_are_told_apart_by_subnet() -> None:
    places = Places()
    one = place(places, "r1", None, host="192.0.2.1")
    assert place(places, "r1", None, host="192.0.2.9") is one
    assert place(places, "r1", None, host="198.51.100.9") is not one


def test_a_failed_trace_falls_back_to_the_subnet_then_to_the_round_trip() -> None:
    places = Places()
    known = place(places, "r1", "r2", host="192.0.2.1")
    assert place(places, host="192.0.2.99") is known
    alone = place(places, host="203.0.113.4")
    assert place(places, host="203.0.113.5") is alone
    named = [places.locate(Measurement((), rtt), (("somewhere", 1),)) for rtt in (10.0, 11.0, 80.0)]
    assert named[0] is named[1] is not named[2]


@pytest.mark.parametrize(
    ("host", "prefix"), [("10.1.2.3", "10.1.2.0/24"), ("2001:db8::5", "2001:db8::/64"), ("name", None)]
)
def test_prefixes(host: str, prefix: str | None) -> None:
    assert prefix_of(((host, 1),)) == prefix


def test_the_core_is_what_all_share_and_sites_are_the_branches_below() -> None:
    places = Places()
    for number, path in enumerate([("r", "core", "A", "a1"), ("r", "core", "A", "a2"), ("r", "core", "B")]):
        member = Member(number, f"m{number}", "peer", place=place(places, *path, host=f"10.0.{number}.1"))
        places.enter(member)
    assert places.core.name == "core"
    assert places.site(places.known["a1"]) is places.site(places.known["a2"]) is places.known["A"]
    assert places.site(places.known["r"]) is places.known["r"]


@given(st.lists(st.lists(ROUTERS, max_size=6), max_size=12))
def test_any_paths_make_a_tree(paths: list[list[str | None]]) -> None:
    places = Places()
    members = []
    for number, path in enumerate(paths):
        found = places.locate(Measurement(tuple(path), 10.0 + number), ((f"10.0.{number}.1", 1),))
        members.append(Member(number, f"m{number}", "peer", place=found, rtt_ms=10.0 + number))
        places.enter(members[-1])
    for where in dict.fromkeys(places.known.values()):
        assert where.parent is None or where.depth == where.parent.depth + 1
        assert where.parent is None or where in where.parent.children
        inside = [one for one in members if one.place is not None and where in one.place.up()]
        assert where.count == len(inside)
    for one in members:
        for other in members:
            assert one.place is not None
            assert other.place is not None
            assert meeting(one.place, other.place) in one.place.up()
    for one in members:
        places.leave(one)
    assert all(where.count == 0 for where in places.known.values())
