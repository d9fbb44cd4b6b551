"""What a fault hits, and which members it cuts off."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from pydantic import TypeAdapter

from overlaycast.errors import LabError
from overlaycast.lab.faults import aim
from overlaycast.lab.faults.aim import Ground, Hit
from overlaycast.lab.faults.faults import Fault
from overlaycast.lab.faults.tree import Tree
from tests.lab import made_up

_FAULT: TypeAdapter[Fault] = TypeAdapter(Fault)
EAST, NORTH = ("202g", "202h", "202i"), ("202a", "202b", "202c", "202d", "202e", "202f")


def fault(action: str, **fields: Any) -> Fault:
    """Return a fault as a file would hold it."""
    return _FAULT.validate_python({"action": action, "at_s": 1, **fields})


def ground() -> Ground:
    """Return Figure 2A with all its members."""
    _, cast, _ = made_up.experiment()
    return Ground(made_up.topology(), cast.members, cast.source)


def tree() -> Tree:
    """Return the made-up tree."""
    _, cast, network = made_up.experiment()
    return made_up.tree(made_up.START, cast, network, 1)


def hit(one: Fault, seed: int = 1, gone: dict[str, str | None] | None = None) -> Hit:
    """Return what a fault touches in the made-up tree."""
    return aim.aim(one, ground(), tree(), gone or {}, Random(seed))


def test_all_primaries() -> None:
    found = hit(fault("kill", target="all-primaries"))
    assert found.members == ("202a", "202g", "202j", "202l")
    assert found.away == found.silenced == found.members
    assert found.label == "202a, 202g, 202j, 202l"


def test_a_share_is_the_seeds() -> None:
    killed = fault("kill", target="share:0.3")
    assert hit(killed).members == hit(killed).members
    assert len(hit(killed).members) == 4
    assert len({hit(killed, seed).members for seed in range(20)}) > 5


def test_a_share_is_of_the_members_that_are_there() -> None:
    gone: dict[str, str | None] = dict.fromkeys(NORTH, "north")
    assert not {*NORTH} & {*hit(fault("kill", target="share:1"), gone=gone).members}


def test_source_and_leaf() -> None:
    assert hit(fault("restart", target="source")).members == ("source",)
    assert hit(fault("kill", target="leaf")).members == ("202b",)


def test_access_link_of_a_member() -> None:
    found = hit(fault("link-down", target="202g"))
    assert found.links == (("C1", "202g"),)
    assert found.away == ("202g",)


def test_an_uplink_cuts_off_its_site() -> None:
    found = hit(fault("link-down", target="uplink:east"))
    assert found.links == (("core1", "C"),)
    assert found.away == EAST


def test_a_link_between_routers() -> None:
    assert hit(fault("link-flap", target="link:B/A")).away == ("202a", "202b", "202c")


def test_a_link_that_only_suffers_takes_no_member_away() -> None:
    found = hit(fault("link-loss", target="uplink:east", loss=0.1))
    assert found.links == (("core1", "C"),)
    assert found.away == found.silenced == ()


def test_a_router_takes_away_the_members_behind_it() -> None:
    found = hit(fault("router-down", target="C"))
    assert {*found.links} == {("core1", "C"), ("C", "C1"), ("C", "C2")}
    assert found.away == EAST


def test_a_partition_cuts_off_sites_at_their_borders() -> None:
    found = hit(fault("partition", sites=["east", "south"]))
    assert found.borders == ("C", "D")
    assert found.away == (*EAST, "202j", "202k")
    assert {*found.inside} == {*found.away}


def test_a_mute_member_is_there_but_its_children_are_alone() -> None:
    found = hit(fault("mute", target="202a"))
    assert (found.away, found.silenced) == ((), ("202a",))
    assert hit(fault("tamper", target="202a")).silenced == ()


def test_no_member_fits() -> None:
    with pytest.raises(LabError, match="no member fits"):
        hit(fault("kill", target="backup"), gone={"backup": None})


@pytest.mark.parametrize(
    ("action", "fields", "said"),
    [
        ("kill", {"target": "mars"}, "no host 'mars'; accepted: a host's name or several after commas, primary-with"),
        ("kill", {"target": "share:2"}, "'share:2'; accepted: share: and a number above 0"),
        ("kill", {"target": "uplink:east"}, "no host 'uplink:east'"),
        ("link-down", {"target": "uplink:mars"}, "no site 'mars' with an uplink; accepted: north, east"),
        ("link-down", {"target": "link:A/E"}, "no link 'link:A/E'; accepted: link:A/B with two neighbours"),
        ("link-down", {"target": "mars"}, "or uplink:SITE, link:A/B"),
        ("link-loss", {"target": "backup-or-so", "loss": 0.1}, "accepted: a member's host, uplink:SITE"),
        ("link-loss", {"target": "all-primaries", "loss": 0.1}, "accepted: a member's host, uplink:SITE"),
        ("router-down", {"target": "202a"}, "no router '202a'; accepted: RS, core1"),
        ("partition", {"sites": ["mars"]}, "no site 'mars' with an uplink; accepted: north"),
        ("slow-reader", {"target": "backup"}, "'backup' is no receiver's host; accepted: 202a"),
        ("tamper", {"target": "all-primaries"}, "is no receiver's host"),
    ],
)
def test_what_is_not_there_is_named(action: str, fields: dict[str, Any], said: str) -> None:
    found = aim.complaint(fault(action, **fields), ground(), made_up.experiment()[1].peers)
    assert found is not None
    assert found[0] == ("sites" if action == "partition" else "target")
    assert said in found[1]


def test_what_is_there_is_accepted() -> None:
    peers = made_up.experiment()[1].peers
    good = [
        fault("kill", target="share:0.3"),
        fault("link-down", target="primary-with-largest-branch"),
        fault("link-rate", target="uplink:east", rate_mbit=1),
        fault("link-delay", target="link:B/A", delay_ms=10),
        fault("partition", sites=["east"]),
        fault("coordinator-kill"),
        fault("disk-full", target="202a"),
    ]
    assert [aim.complaint(one, ground(), peers) for one in good] == [None] * len(good)


def test_links_that_will_change_are_known_before() -> None:
    faults = (
        fault("link-loss", target="uplink:east", loss=0.1),
        fault("link-rate", target="202a", rate_mbit=1),
        fault("link-rate", target="202a", rate_mbit=2),
        fault("link-down", target="202b"),
    )
    assert aim.changeable(faults, ground()) == (("core1", "C"), ("A", "202a"))
