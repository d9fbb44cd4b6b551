"""What hosts are ordered to do for a run of figure 2A."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from overlaycast.lab.experiment.plan import Plan
from overlaycast.lab.hosts import fitting, orders, shaping
from overlaycast.lab.hosts.hand import facts, units
from overlaycast.lab.hosts.hand.place import Place
from overlaycast.lab.hosts.hand.units import HandError
from overlaycast.lab.hosts.mapping import mapped
from overlaycast.lab.hosts.orders import Site
from overlaycast.lab.hosts.severing import Door
from tests.lab import made_up
from tests.lab.hosts.test_mapping import real


def plan() -> Plan:
    chosen, cast, _ = made_up.experiment()
    return Plan(Path("figure-2a.yaml"), chosen, made_up.topology(), cast, Path("out"), 1, "command")


def site(one: Plan | None = None) -> Site:
    one = one or plan()
    hosts = mapped(one.cast, one.topology, real(), {}, "inv")
    doors = {each.host: Door(each.real.address, 8600) for each in hosts}
    return Site("figure-2a-1", one, hosts, doors, 8601, frozenset(), counted=True)


def test_programs_are_those_that_are_installed_with_ports_and_addresses_of_their_own() -> None:
    assert orders.member(site(), "202a") == [
        "/opt/overlaycast/current/bin/overlaycast",
        "join",
        "figure-2a",
        "--coordinator",
        "http://192.0.2.1:8600",
        "--token-file",
        "${CREDENTIALS_DIRECTORY}/token",
        "--name",
        "202a",
        "--journal",
        "/var/lib/overlaycast-lab/figure-2a-1/journals/202a.jsonl",
        "--output",
        "/var/lib/overlaycast-lab/figure-2a-1/received/202a",
        "--overwrite",
        "--listen",
        "0.0.0.0:8600",
        "--advertise",
        "192.0.2.7",
    ]
    source = orders.member(site(), "source")
    assert source[1:4] == ["send", "figure-2a", "/var/lib/overlaycast-lab/figure-2a-1/stream"]
    assert orders.member(site(), "backup")[1] == "relay"


def test_the_coordinator_and_its_group_are_those_of_an_emulated_run() -> None:
    start, ready, group, trees = orders.start_coordinator(site())
    assert "0.0.0.0:8600" in start["program"]["words"]
    assert "AmbientCapabilities=CAP_NET_RAW" in start["program"]["properties"]
    assert ready["verb"] == "ready"
    assert group["words"][:4] == ["/opt/overlaycast/current/bin/overlaycast", "group", "create", "figure-2a"]
    assert "http://127.0.0.1:8600" in group["words"]
    assert "start_members=13" in group["words"]
    assert trees["program"]["words"][-2:] == ["trees", "figure-2a"]


def test_members_start_one_after_the_other_in_the_plans_order() -> None:
    found = orders.start_members(site())
    after = {host: each[0]["after_s"] for host, each in found.items()}
    assert sorted(after, key=lambda host: after[host]) == list(plan().members)
    assert all(each[1]["what"] == "joined" for each in found.values())


def test_a_run_ends_by_itself_on_every_host_also_where_it_only_looked() -> None:
    asked = [fitting.look(plan(), one, real()) for one in real()]
    assert {each["ends_after_s"] for each in asked} == {orders.longest_s(plan())}
    assert orders.longest_s(plan()) > 30 + 60


def test_a_host_arms_the_end_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    armed: list[tuple[str, float, list[str]]] = []

    def later(place: Place, name: str, after_s: float, words: list[str]) -> None:
        armed.append((name, after_s, words[-2:]))
        raise HandError("no more is looked at here")

    monkeypatch.setattr(units, "later", later)
    with pytest.raises(HandError):
        facts.facts(Place("one-1"), fitting.look(plan(), real()[0], real()))
    assert armed == [("end", orders.longest_s(plan()), ["one-1", "end"])]


def test_hosts_count_what_passes_between_them_unless_one_of_them_cannot() -> None:
    first = {host: each[0] for host, each in orders.prepare(site(), {}).items()}
    assert all("counter from_0" in each["counters"] for host, each in first.items() if host != "control")
    uncounted = orders.prepare(replace(site(), counted=False), {})
    assert all("counters" not in each[0] for each in uncounted.values())


def test_who_comes_later_is_prepared_and_armed_with_the_stream() -> None:
    one = plan()
    spread = one.experiment.arrival.model_copy(update={"kind": "spread", "over_s": 12.0})
    later = replace(one, experiment=one.experiment.model_copy(update={"arrival": spread}))
    found = orders.start_members(site(later))
    kinds = [each[0]["verb"] for each in found.values()]
    assert (kinds.count("start"), kinds.count("prepared")) == (3, 12)
    armed = orders.arrivals(site(later), 1000.0)
    assert sorted(each[0]["at"] for each in armed.values()) == [1000.0 + n for n in range(1, 13)]


def test_a_shape_is_the_paths_delay_and_least_rate() -> None:
    assert shaping.path(made_up.topology(), "source", "202a") == (20, 7, 0)
    assert shaping.needs(made_up.topology(), ["source", "202a"]) == {"tc", "netem"}
    assert shaping.needs(made_up.topology(), ["202a", "202b"]) == {"tc"}
    [order] = orders.shape(site())["202a"]
    words = [" ".join(each) for each in order["do"][0]["commands"]]
    assert "qdisc add dev DEVICE parent 1:11 netem limit 10000 delay 7ms loss 0%" in words
    assert (order["at"], order["undo"][0]["kind"], order["lasts_s"]) == (0.0, "tc-off", orders.longest_s(plan()))
