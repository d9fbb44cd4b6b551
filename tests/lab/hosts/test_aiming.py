"""When a fault's target is known before the run, and who is away at a moment of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from overlaycast.errors import LabError
from overlaycast.lab.faults.aim import Hit
from overlaycast.lab.hosts import aiming
from overlaycast.lab.hosts.gathered import Struck
from tests.lab.faults.test_aim import fault, tree
from tests.lab.hosts.test_orders import plan


def test_what_names_its_target_is_known_and_what_aims_at_the_tree_is_not() -> None:
    one = plan()
    known = [
        fault("kill", target="202a"),
        fault("kill", target="202a, 202b"),
        fault("restart", target="source"),
        fault("link-down", target="uplink:east"),
        fault("link-down", target="202g"),
        fault("partition", sites=("east",)),
        fault("router-down", target="C"),
        fault("coordinator-kill"),
        fault("disk-full", target="202a"),
    ]
    assert all(aiming.known(one, each) for each in known)
    for target in ("primary-with-largest-branch", "leaf", "share:0.3", "forwarder-of:east", "backup", "all-primaries"):
        assert not aiming.known(one, fault("kill", target=target))
    assert not aiming.known(one, fault("link-down", target="another-forwarder"))


def test_a_named_target_needs_no_tree_and_a_described_one_does() -> None:
    one = plan()
    assert aiming.hit(one, "f", fault("restart", target="source"), None, {}).members == ("source",)
    assert aiming.hit(one, "f", fault("kill", target="202a, 202b"), None, {}).members == ("202a", "202b")
    assert aiming.hit(one, "f", fault("kill", target="primary-with-largest-branch"), tree(), {}).members == ("202a",)
    with pytest.raises(LabError, match="no member fits at this moment"):
        aiming.hit(one, "f", fault("kill", target="leaf"), None, {})


def test_who_is_away_follows_faults_heals_and_arrivals() -> None:
    one = plan()
    struck = [
        Struck(
            "a", fault("kill", target="202a").model_copy(update={"at_s": 5}), Hit("202a", away=("202a",)), ("202a",)
        ),
        Struck(
            "b",
            fault("freeze", target="202g", heal_after_s=4, at_s=10),
            Hit("202g", away=("202g",)),
            ("202g",),
        ),
    ]
    assert aiming.gone_at(one, struck, 4.9) == {}
    assert aiming.gone_at(one, struck, 11) == {"202a": "north", "202g": "east"}
    assert aiming.gone_at(one, struck, 14) == {"202a": "north"}
    spread = one.experiment.arrival.model_copy(update={"kind": "spread", "over_s": 12.0})
    later = replace(one, experiment=one.experiment.model_copy(update={"arrival": spread}))
    assert len(aiming.gone_at(later, [], 0)) == 12
    assert len(aiming.gone_at(later, [], 6)) == 6
