"""The same experiment over other systems: what changes in the plan, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from overlaycast.errors import ConfigError
from overlaycast.lab.analysis.copies import DATAGRAM_HEADERS, PACKET_HEADERS, stream_curve, wire_curve
from overlaycast.lab.experiment import systems
from overlaycast.lab.experiment.experiment import FileStream, SyntheticStream
from overlaycast.lab.experiment.plan import Plan
from overlaycast.lab.experiment.system import System
from overlaycast.lab.experiment.systems import adapted, aimed_alike, grouped
from overlaycast.lab.recording.journals import Journal
from overlaycast.lab.recording.recording import CounterSample, LinkTraffic
from overlaycast.lab.run import programs
from overlaycast.lab.run.multicast import member_ids, star
from overlaycast.lab.run.multicast_routes import plan as routes
from overlaycast.lab.run.programs import Folders
from overlaycast.lab.topology.loading import load_topology
from overlaycast.wire.journal import Sample
from tests.lab import made_up
from tests.lab.made_up import ROOT


def plan() -> Plan:
    """Return the main experiment's plan."""
    chosen, cast, _ = made_up.experiment()
    topology = load_topology(ROOT / "topologies" / "figure_2a.py")
    return Plan(Path("x.yaml"), chosen, topology, cast, Path("/out"), 1, "overlaycast lab run x.yaml")


def test_the_overlay_is_the_experiment_as_it_is() -> None:
    assert adapted(plan(), "overlay") == plan()


def test_multicast_is_refused_where_there_is_no_ipv4() -> None:
    six = replace(plan(), topology=load_topology(ROOT / "topologies" / "figure_2a.py", "figure_2a,ip=6"))
    assert adapted(six, "unicast").system == "unicast"
    with pytest.raises(
        ConfigError, match=r"x\.yaml: topology figure_2a speaks IPv6 only, .* accepted: ip=4 or ip=both"
    ):
        adapted(six, "multicast")


@pytest.mark.parametrize("system", ["unicast", "multicast"])
def test_baselines_have_the_same_receivers_and_stream(system: System) -> None:
    before, after = plan(), adapted(plan(), system)
    assert after.system == system
    assert after.cast.peers == before.cast.peers
    assert after.cast.backups == ()
    assert after.experiment.stream == before.experiment.stream
    assert after.command.endswith(f"--system {system}")


@pytest.mark.parametrize("system", ["unicast", "multicast"])
def test_faults_of_parts_that_a_baseline_lacks_are_left_out_and_noted(system: System) -> None:
    after = adapted(plan(), system)
    assert after.experiment.timeline == ()
    assert [note.split(":")[0] for note in after.notes] == [
        "fault primary-dies was left out",
        "fault silent-death was left out",
    ]


@pytest.mark.parametrize("system", ["unicast", "multicast"])
def test_a_fault_that_names_a_host_stays_under_its_name(system: System) -> None:
    base = plan()
    kill = base.experiment.timeline[0].model_copy(update={"at_s": 12, "target": "202b", "id": None})
    faults = (*base.experiment.timeline, kill)
    some = replace(base, experiment=base.experiment.model_copy(update={"timeline": faults}))
    assert [name for name, _ in some.experiment.faults] == ["primary-dies", "kill-2", "silent-death"]
    assert [name for name, _ in adapted(some, system).experiment.faults] == ["kill-2"]


def test_a_star_is_a_group_without_another_place(tmp_path: Path) -> None:
    chosen, _, _ = made_up.experiment()
    words = programs.create_group(grouped("unicast", chosen), Folders(tmp_path, tmp_path), 13)
    assert {"depth_limit=1", "source_out_degree=4096", "rate_mbit=0.01", "start_members=13"} <= set(words)
    assert grouped("multicast", chosen) is chosen
    assert grouped("unicast", chosen).group.mode == chosen.group.mode


def test_multicast_is_sent_at_the_streams_rate_or_as_the_thinnest_link_allows() -> None:
    one = plan()
    known = (one.topology, one.cast.source, one.cast.peers)
    assert systems.multicast_rate_mbit(one.experiment, *known) == 8
    stream = SyntheticStream(kind="synthetic", rate_mbit=3)
    assert systems.multicast_rate_mbit(one.experiment.model_copy(update={"stream": stream}), *known) == 3
    file = FileStream(kind="file", rate_mbit=None)
    assert systems.multicast_rate_mbit(one.experiment.model_copy(update={"stream": file}), *known) == 18
    paced = file.model_copy(update={"rate_mbit": 5.0})
    assert systems.multicast_rate_mbit(one.experiment.model_copy(update={"stream": paced}), *known) == 5


def test_routers_forward_along_a_tree() -> None:
    one = plan()
    made = routes(one.topology, one.cast.source, ("202a", "202b", "202d", "202g"))
    assert set(made) == {"RS", "core1", "B", "A", "B2", "C", "C1"}
    # two clients of one leaf router are behind one bridge, which passes one copy to each
    assert len(made["A"].out) == 1
    assert len(made["B"].out) == 2
    assert all(router.into not in router.out for router in made.values())


def test_one_way_in_where_paths_tie() -> None:
    topology = load_topology(ROOT / "topologies" / "abilene.py")
    hosts = [host.name for host in topology.hosts("client")]
    made = routes(topology, "source", hosts)
    links_out = sum(len(router.out) for router in made.values())
    fed = len(made) - 1 + len({topology.links_of(host)[0].other(host) for host in hosts})
    assert links_out == fed  # every router but the first is fed by one other, and every LAN by its router


def test_multicast_has_no_tree_but_its_receivers() -> None:
    ids = member_ids(plan())
    assert ids["source"] == 1
    assert len(set(ids.values())) == 14


def test_star_has_everybody_below_the_source() -> None:
    tree = star(plan())
    assert set(tree.edges().values()) == {"source"}
    assert len(tree.edges()) == 13
    assert {seat.id for seat in tree.seats} == set(member_ids(plan()).values())


def test_one_copy_counts_as_one_in_every_system() -> None:
    source = Journal("s", (Sample(t=0, bytes=0, records=0), Sample(t=1, bytes=7896 * 100, records=100)))
    for system, packets, size in (
        ("overlay", 547, 100 * (7896 + 24) + 547 * PACKET_HEADERS),
        ("multicast", 600, 100 * 7896 + 600 * DATAGRAM_HEADERS),
    ):
        counters = [
            CounterSample(0, {"l": LinkTraffic(0, 0, 0, 0)}),
            CounterSample(1, {"l": LinkTraffic(size, packets, 0, 0)}),
        ]
        crossed = wire_curve(counters, "l", "ab", system).between(0, 1)
        assert crossed == stream_curve(source, system).between(0, 1)


def test_the_same_host_is_struck_in_every_system() -> None:
    first = plan()
    name, fault = first.experiment.faults[0]
    [host, *_] = first.cast.peers
    alike = adapted(aimed_alike(first, {name: host}), "multicast")
    struck = dict(alike.experiment.faults)[name]
    assert (struck.action, struck.aim, struck.at_s) == (fault.action, host, fault.at_s)


def test_what_is_no_receiver_stays_as_it_was_asked() -> None:
    first = plan()
    name, fault = first.experiment.faults[0]
    for label in ("202a, backup", "core1-A", "backup", first.cast.source):
        assert dict(aimed_alike(first, {name: label}).experiment.faults)[name].aim == fault.aim


def test_all_hosts_of_a_fault_are_struck_in_every_system() -> None:
    """A star has no primaries of its own, and its receivers may be others when a share is drawn."""
    first = plan()
    name = first.experiment.faults[0][0]
    two = ", ".join(first.cast.peers[:2])
    alike = adapted(aimed_alike(first, {name: two}), "unicast")
    assert dict(alike.experiment.faults)[name].aim == two
    assert not any(note.startswith(f"fault {name} ") for note in alike.notes)
