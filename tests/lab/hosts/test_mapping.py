"""Which real host stands for which host of the experiment, and what is said where there is none."""

from __future__ import annotations

from typing import Any

import pytest

from overlaycast.errors import MistakesError
from overlaycast.lab.hosts import mapping
from overlaycast.lab.hosts.inventory import InventoryHost, hosts
from overlaycast.lab.hosts.mapping import Mapped
from tests.lab import made_up

SITES = {"berlin": 3, "oslo": 6, "paris": 2, "rome": 2}
"""Real sites, and how many peers each has."""


def inventory(**more: Any) -> dict[str, Any]:
    """Return what ansible-inventory prints of a deployment with these sites, and variables of hosts."""
    names = [
        "server",
        "studio",
        "spare",
        *(f"{site}-{n}" for site, count in SITES.items() for n in range(1, count + 1)),
    ]
    addresses = {name: {"ansible_host": f"192.0.2.{number}"} for number, name in enumerate(names, 1)}
    return {
        "_meta": {"hostvars": {name: addresses[name] | more.get(name, {}) for name in names}},
        "all": {"children": ["ungrouped", "coordinator", "sources", "backups", "peers"]},
        "coordinator": {"hosts": ["server"]},
        "sources": {"hosts": ["studio"]},
        "backups": {"hosts": ["spare"]},
        "peers": {"children": [f"site_{site}" for site in SITES]},
        **{f"site_{site}": {"hosts": [f"{site}-{n}" for n in range(1, count + 1)]} for site, count in SITES.items()},
    }


def real(**more: Any) -> tuple[InventoryHost, ...]:
    return hosts(inventory(**more), "inv")


def mapped(found: tuple[InventoryHost, ...], routers: dict[str, list[str | None]] | None = None) -> tuple[Mapped, ...]:
    _, cast, _ = made_up.experiment()
    return mapping.mapped(cast, made_up.topology(), found, routers or {}, "inv")


def wrong(found: tuple[InventoryHost, ...]) -> list[str]:
    with pytest.raises(MistakesError) as error:
        mapped(found)
    return [str(one) for one in error.value.all]


def test_an_inventory_is_read_with_its_groups_sites_and_addresses() -> None:
    found = {one.name: one for one in real(**{"oslo-1": {"overlaycast_address": "198.51.100.1"}})}
    assert found["oslo-1"] == InventoryHost("oslo-1", "198.51.100.1", frozenset({"peers"}), "oslo")
    assert found["server"] == InventoryHost("server", "192.0.2.1", frozenset({"coordinator"}))


def test_hosts_are_in_the_order_of_their_numbers() -> None:
    listing = {"_meta": {"hostvars": {}}, "peers": {"hosts": ["peer-10", "peer-2", "a"]}}
    assert [one.name for one in hosts(listing, "inv")] == ["a", "peer-2", "peer-10"]


def test_an_address_that_is_a_template_is_refused_by_host() -> None:
    with pytest.raises(MistakesError, match=r"^inv: host paris-1: its address is a template; accepted: overlay"):
        real(**{"paris-1": {"ansible_host": "{{ lookup('x') }}"}})


def test_sites_go_where_they_fit_the_largest_first() -> None:
    found = {one.host: one for one in mapped(real())}
    assert {host: found[host].real.name for host in ("control", "source", "backup")} == {
        "control": "server",
        "source": "studio",
        "backup": "spare",
    }
    assert [found[f"202{letter}"].real.name for letter in "abcdef"] == [f"oslo-{n}" for n in range(1, 7)]
    assert [found[f"202{letter}"].real.name for letter in "ghi"] == [f"berlin-{n}" for n in range(1, 4)]
    assert [found[f"202{letter}"].real.name for letter in "jklm"] == ["paris-1", "paris-2", "rome-1", "rome-2"]
    assert found["202a"].how == "by site oslo"
    assert mapping.differences(tuple(found.values())) == ()


def test_without_sites_in_the_inventory_the_first_router_says_who_is_together() -> None:
    plain = inventory()
    plain["peers"] = {"hosts": [host for site in SITES for host in plain[f"site_{site}"]["hosts"]]}
    for site in SITES:
        del plain[f"site_{site}"]
    routers: dict[str, list[str | None]] = {
        host: [f"10.0.0.{len(host.split('-')[0])}", None, "10.9.9.9"] for host in plain["peers"]["hosts"]
    }
    # berlin and oslo have names of different lengths, paris one like no other, rome as oslo
    routers |= {f"rome-{n}": ["10.0.0.44"] for n in (1, 2)}
    found = {one.host: one for one in mapped(hosts(plain, "inv"), routers)}
    assert {found[f"202{letter}"].real.name.split("-")[0] for letter in "abcdef"} == {"oslo"}
    assert found["202a"].found == "10.0.0.4"
    assert found["202a"].how == "by site 10.0.0.4"


def test_a_variable_of_the_host_is_stronger_than_its_place() -> None:
    found = {one.host: one for one in mapped(real(**{"oslo-6": {"overlaycast_lab_host": "202a"}}))}
    assert (found["202a"].real.name, found["202a"].how) == ("oslo-6", "by overlaycast_lab_host")
    assert found["202b"].real.name == "oslo-1"


def test_the_same_name_is_the_same_host() -> None:
    plain = inventory()
    plain["peers"]["children"] += ["more"]
    plain["more"] = {"hosts": ["202m"]}
    found = {one.host: one for one in mapped(hosts(plain, "inv"))}
    assert (found["202m"].real.name, found["202m"].how) == ("202m", "by name")


def test_each_host_and_site_without_a_real_one_has_a_line() -> None:
    few = tuple(one for one in real() if one.name not in ("spare", "oslo-6"))
    assert wrong(few) == [
        "inv: no host for backup (backup): the group backups has no host that is free; accepted: a host of that name,"
        " or one with overlaycast_lab_host: backup",
        "inv: site north of the experiment has 6 peers without a host (202a, 202b, 202c, 202d, 202e, 202f), and no free"
        " site of the inventory has as many (free: berlin 3, oslo 5, paris 2, rome 2); accepted: peers with"
        " overlaycast_lab_host",
    ]


def test_a_name_that_the_experiment_lacks_and_one_given_twice_are_refused() -> None:
    lines = wrong(
        real(
            **{
                "oslo-1": {"overlaycast_lab_host": "h3"},
                "oslo-2": {"overlaycast_lab_host": "202a"},
                "oslo-3": {"overlaycast_lab_host": "202a"},
            }
        )
    )
    assert lines[0].startswith(
        "inv: host oslo-1: overlaycast_lab_host: no host 'h3'; accepted: control, source, backup,"
    )
    assert lines[1] == "inv: host oslo-3: overlaycast_lab_host: 202a is oslo-2 already"


def test_sites_that_are_torn_apart_or_thrown_together_are_told() -> None:
    found = mapped(
        real(**{"rome-1": {"overlaycast_lab_host": "202a"}, "rome-2": {"overlaycast_lab_host": "202g"}})
        + tuple(InventoryHost(f"extra-{n}", f"203.0.113.{n}", frozenset({"peers"}), "extra") for n in (1, 2))
    )
    assert mapping.differences(found) == (
        "site north of the experiment is in 2 real sites: oslo, rome",
        "site east of the experiment is in 2 real sites: extra, rome",
        "sites east, north of the experiment are in one real site: rome",
    )
