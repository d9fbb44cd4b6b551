"""What a fault has each real host do, and how it is undone."""

from __future__ import annotations

import pytest

from overlaycast.errors import LabError
from overlaycast.lab.faults.aim import Hit
from overlaycast.lab.faults.faults import Fault
from overlaycast.lab.hosts import deeds, orders
from overlaycast.lab.hosts.deeds import Deed
from overlaycast.lab.injection import DO
from tests.lab import made_up
from tests.lab.faults.test_aim import fault, hit
from tests.lab.hosts.test_severing import DOORS


def done(one: Fault, struck: Hit | None = None) -> dict[str, list[Deed]]:
    return deeds.deeds(
        one, "f", struck or hit(one), made_up.topology(), {**DOORS, "control": DOORS["source"]}, "control"
    )


def test_processes_are_killed_frozen_and_started_again() -> None:
    assert done(fault("kill", target="202a")) == {
        "202a": [Deed("f", ({"kind": "signal", "unit": "202a", "signal": "KILL"},))]
    }
    assert done(fault("leave", target="202a"))["202a"][0].steps[0]["signal"] == "TERM"
    [frozen] = done(fault("freeze", target="202a", heal_after_s=3))["202a"]
    assert (frozen.undo, frozen.lasts_s) == (({"kind": "signal", "unit": "202a", "signal": "CONT"},), 3)
    [again] = done(fault("restart", target="202a", heal_after_s=2))["202a"]
    assert (again.steps[0]["signal"], again.undo) == ("KILL", ({"kind": "start", "unit": "202a"},))


def test_the_coordinators_faults_are_done_on_its_host() -> None:
    found = done(fault("coordinator-restart", heal_after_s=1))
    assert found == {
        "control": [
            Deed(
                "f",
                ({"kind": "signal", "unit": "coordinator", "signal": "TERM"},),
                ({"kind": "start", "unit": "coordinator"},),
                lasts_s=1,
            )
        ]
    }
    assert done(fault("coordinator-kill"))["control"][0].undo == (), "it is not started at the end of the run"


def test_a_cut_link_is_cut_at_one_end_and_a_lossy_one_at_both() -> None:
    cut = done(fault("link-down", target="202a"))
    assert cut.keys() == {"202a"}
    assert cut["202a"][0].undo == ({"kind": "nft-off"},)
    assert done(fault("link-loss", target="202a", loss=0.1)).keys() == {*DOORS, "control"}


def test_a_flap_is_several_deeds_each_with_its_heal() -> None:
    flaps = done(fault("link-flap", target="202a", times=3, down_s=0.5, up_s=1))["202a"]
    assert [(one.name, one.after_s, one.lasts_s) for one in flaps] == [
        ("f", 0.0, 0.5),
        ("f-2", 1.5, 0.5),
        ("f-3", 3.0, 0.5),
    ]


def test_a_rate_is_held_both_ways_where_the_link_is() -> None:
    [one] = done(fault("link-rate", target="202a", rate_mbit=2))["202a"]
    assert [step["kind"] for step in one.steps] == ["tc", "nft"]
    assert [step["kind"] for step in one.undo] == ["tc-off", "nft-off"]


def test_a_fault_that_parts_no_hosts_of_the_run_is_an_error() -> None:
    one = fault("link-down", target="link:core1/core2")
    with pytest.raises(LabError, match="fault f: no packets between hosts of the run cross core1-core2"):
        deeds.deeds(one, "f", hit(one), made_up.topology(), DOORS, "source")


def test_what_makes_no_sense_on_real_hosts_is_told_by_name() -> None:
    asked = [fault("kill", target="202a"), fault("clock-step", target="202a", by_s=90), fault("mute", target="202a")]
    found = dict(deeds.impossible(enumerate(asked)))
    assert found.keys() == {1, 2}
    left_alone = "the hosts' clocks are left alone; accepted: another fault, or --no-faults"
    assert found[1] == f"clock-step is not done on real hosts: {left_alone}"


def test_every_fault_is_either_done_or_refused() -> None:
    done_there = {*deeds.ENDS, *deeds.FREEZES, *deeds.NEEDS, "disk-full"}
    assert done_there.isdisjoint(deeds.IMPOSSIBLE)
    assert done_there | set(deeds.IMPOSSIBLE) == set(DO)
    page = (made_up.ROOT / "docs" / "real-hosts.md").read_text()
    assert [name for name in DO if f"`{name}`" not in page] == []
    assert deeds.needs([fault("link-delay", target="202a", delay_ms=5)]) == {"netem"}


def test_a_heal_is_armed_for_the_end_where_the_fault_has_none() -> None:
    lasting, short = Deed("f", ({"kind": "x"},), ({"kind": "y"},)), Deed("g", (), ({"kind": "y"},), 1.5, 2.0)
    assert (orders.arm(lasting, 100.0, 500.0)["at"], orders.arm(lasting, 100.0, 500.0)["undo_at"]) == (100.0, 500.0)
    assert (orders.arm(short, 100.0, 500.0)["at"], orders.arm(short, 100.0, 500.0)["undo_at"]) == (101.5, 103.5)
