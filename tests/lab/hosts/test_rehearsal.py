"""A rehearsal is made from the inventory of a deployment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from overlaycast.errors import ConfigError, MistakesError
from overlaycast.lab.experiment.plan import Plan
from overlaycast.lab.hosts import mapping
from overlaycast.lab.hosts.inventory import InventoryHost, hosts
from overlaycast.lab.hosts.rehearsal import rehearsal
from tests.lab.hosts.test_mapping import inventory

GROUPS = {"news": {"settings": {"rate_mbit": 8, "default_out_degree": 3, "start_members": 40}}, "radio": {}}


def made(group: str | None = None, **more: Any) -> tuple[Plan, tuple[InventoryHost, ...]]:
    listing = inventory(server={"overlaycast_groups": GROUPS}, **more)
    return rehearsal(
        listing, hosts(listing, "inv"), Path("inv"), Path("out"), rate_mbit=4, seconds=20, group=group, seed=1
    )


def test_it_has_the_groups_hosts_sites_and_settings_and_a_rate_of_its_own() -> None:
    plan, real = made()
    assert plan.experiment.name == "rehearse-news"
    settings = plan.experiment.group.model_dump(include=plan.experiment.group.model_fields_set)
    assert settings == {"default_out_degree": 3, "mode": "live", "rate_mbit": 4.2}
    assert (plan.cast.source, plan.cast.coordinator, plan.cast.backups) == ("studio", "server", ("spare",))
    assert len(plan.cast.peers) == 13
    assert plan.topology.sites == ("berlin", "oslo", "paris", "rome")
    found = mapping.mapped(plan.cast, plan.topology, real, {}, "inv")
    assert {one.host: one.real.name for one in found}["oslo1"] == "oslo-1"
    assert mapping.differences(found) == ()


def test_hosts_of_other_groups_take_no_part() -> None:
    away = {f"oslo-{n}": {"overlaycast_peer_groups": ["radio"]} for n in range(1, 7)}
    plan, _ = made("news", **away)
    assert len(plan.cast.peers) == 7
    assert "oslo" not in plan.topology.sites
    plan, _ = made("radio", **away)
    assert len(plan.cast.peers) == 13


def test_a_group_that_is_not_declared_and_a_part_without_a_host_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^inv: overlaycast_groups: no group 'tv'; accepted: news, radio$"):
        made("tv")
    listing = inventory()
    del listing["sources"]
    few = hosts(listing, "inv")
    with pytest.raises(MistakesError, match=r"^inv: the group sources has no free host for a rehearsal of live$"):
        rehearsal(listing, few, Path("inv"), Path("out"), rate_mbit=4, seconds=20, group=None, seed=1)
