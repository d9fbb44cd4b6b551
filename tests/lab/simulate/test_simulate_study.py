"""The real core among simulated members: whole studies on small nets, by seed, with churn and deaths."""

import json
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from overlaycast.lab.simulate import study
from overlaycast.lab.simulate.churn import Churn, ChurnScript, kill_share
from overlaycast.lab.simulate.command import SimulateSettings, main
from overlaycast.lab.simulate.draw import Draw, on_map, on_topology
from overlaycast.lab.simulate.study import Wishes, run
from overlaycast.lab.simulate.world import World
from overlaycast.lab.topology.graphml import RouterMap
from overlaycast.lab.topology.loading import load_topology
from overlaycast.wire.group import GroupSettings

TOPOLOGIES = Path(__file__).parents[3] / "topologies"
FIVE_WAYS = {"overlay", "multicast", "unicast", "random", "rtt"}
ASKED = {
    "stress_mean",
    "stress_max",
    "inbound_per_site_max",
    "stretch_median",
    "stretch_p95",
    "depth",
    "out_degree_max",
}


def grid(members: int, seed: int, side: int = 4) -> Draw:
    graph = nx.convert_node_labels_to_integers(nx.grid_2d_graph(side, side))
    for node in graph:
        graph.nodes[node].update(name=str(node), label=f"city {node}", latitude=None, longitude=None)
    for index, (a, b) in enumerate(graph.edges):
        graph.edges[a, b].update(delay_ms=1.0 + index % 5, rate_mbit=None)
    return on_map(RouterMap("grid", graph, ()), members, seed, None)


def quiet(line: str) -> None:
    assert line


def studied(draw: Draw, **wishes: Any) -> dict[str, Any]:
    return run(draw, Wishes(settings=GroupSettings(), seed=wishes.pop("seed", 1), **wishes), quiet)


def test_all_systems_are_measured_on_the_same_draw() -> None:
    result = studied(grid(60, 1))
    assert set(result["systems"]) == FIVE_WAYS
    for system in result["systems"].values():
        assert set(system) >= ASKED
    assert result["systems"]["overlay"]["unfed"] == 0
    assert result["systems"]["overlay"]["inbound_per_site_max"] == 1
    assert result["systems"]["overlay"]["cost_ratio"] < result["systems"]["random"]["cost_ratio"]
    assert result["start"]["orders"]["begin"] == 1
    assert result["start"]["moves"] == 0


@pytest.mark.parametrize("together", [True, False])
def test_the_overlay_keeps_the_limits_it_was_given(together: bool) -> None:
    settings = GroupSettings(default_out_degree=3, source_out_degree=4, depth_limit=8)
    result = run(grid(80, 2), Wishes(settings=settings, seed=2, together=together), quiet)
    overlay = result["systems"]["overlay"]
    assert overlay["unfed"] == 0
    assert overlay["depth"] <= 8
    assert overlay["source_out_degree"] <= 4
    assert overlay["out_degree_max"] <= 4


def test_same_seed_same_document_and_another_seed_another() -> None:
    wishes = {"churn": Churn(40, 30, 20), "kill_percent": 20.0}
    one, two = (json.dumps(studied(grid(40, 3), **wishes)) for _ in range(2))
    assert one == two
    assert one != json.dumps(studied(grid(40, 4), seed=4, **wishes))


def test_members_that_share_wire_text_and_those_that_share_objects_do_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wishes = {"churn": Churn(40, 30, 20), "kill_percent": 20.0}
    by_text = studied(grid(40, 5), **wishes)
    monkeypatch.setattr("overlaycast.lab.simulate.world.ENCODE_LIMIT", 0)
    assert studied(grid(40, 5), **wishes) == by_text


@pytest.mark.parametrize("death", ["reset", "silent"])
def test_after_a_third_has_died_at_once_everybody_is_fed_again(death: Any) -> None:
    result = studied(grid(60, 6), kill_percent=30.0, death=death)["kill"]
    assert result["killed"] == 18
    assert result["fed_again_s"] is not None
    assert result["tree"]["unfed"] == 0
    assert result["gap_ms"]["max"] < 20_000


def test_churn_comes_and_goes_and_all_are_fed_in_the_end() -> None:
    result = studied(grid(60, 7), churn=Churn(60, 40, 60))["churn"]
    assert result["joins"] > 10
    assert result["leaves"] > 0
    assert result["crashes"] > 0
    assert result["fed_again_s"] is not None
    assert result["tree"]["unfed"] == 0
    assert result["moves"] == sum(result[f"moves_{why}"] for why in ("needed", "following", "improving", "of_well"))
    assert result["events"]["joined"] == result["joins"]


def test_routers_that_never_answer_do_not_keep_anybody_out() -> None:
    result = studied(grid(40, 8), anonymous=0.3)
    assert result["systems"]["overlay"]["unfed"] == 0


def started(draw: Draw) -> World:
    return study._start(draw, Wishes(settings=GroupSettings(), seed=1), quiet)[0]


def test_the_share_that_goes_is_the_share_that_was_asked_for() -> None:
    world = started(grid(50, 9))
    assert len(kill_share(world, 30, "reset", 1)) == 15
    assert sum(not member.alive for member in world.members.values()) == 15


def test_churn_is_steady() -> None:
    """100 % a minute with a mean stay of 30 s: half of the members are exchanged in the long run, the size stays."""
    world = started(grid(60, 10))
    ChurnScript(world, Churn(100, 30, 120, crash_share=0.5), 1)
    world.agenda.run(world.now + 120)
    assert 80 <= world.tally.joins <= 160  # 120 expected
    assert 35 <= len(world.present()) <= 90
    went = world.tally.leaves + world.tally.crashes
    assert 0.3 <= world.tally.crashes / went <= 0.7


def test_no_ring_of_members_feeds_itself() -> None:
    world = started(grid(60, 11))
    ChurnScript(world, Churn(200, 20, 60), 2)
    for _ in range(60):
        world.agenda.run(world.now + 1)
        for member in world.present():
            seen = set()
            above = member
            while above.parent is not None and above.ident not in seen:
                seen.add(above.ident)
                above = world.members[above.parent]
            assert above.ident not in seen


@pytest.mark.parametrize("mode", ["live", "file"])
def test_six_sites_carry_what_is_planned(mode: Any) -> None:
    draw = on_topology(load_topology(TOPOLOGIES / "six_sites.py"), 1)
    result = run(draw, Wishes(settings=GroupSettings(mode=mode), seed=1), quiet)
    assert [goal for goal in result["goals"] if not goal["ok"]] == []
    assert len(result["goals"]) == 2


MAP = """<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><graph edgedefault="undirected">
<node id="0"/><node id="1"/><node id="2"/><edge source="0" target="1"/><edge source="1" target="2"/></graph>
</graphml>"""


def test_the_command_prints_json_and_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, output = tmp_path / "three.graphml", tmp_path / "result.json"
    path.write_text(MAP)
    assert main([str(path), "--members", "12", "--seed", "4", "--json", "--output", str(output)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(output.read_text())
    assert (printed["topology"], printed["members"], printed["seed"]) == ("three", 12, 4)
    assert set(printed["systems"]) == FIVE_WAYS


def test_the_command_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "three.graphml"
    path.write_text(MAP)
    assert main([str(path), "--members", "12", "--churn", "50", "--duration", "10", "--kill", "20"]) == 0
    text = capsys.readouterr().out
    assert "three: 12 members" in text
    for words in ("overlay", "multicast", "unicast", "random", "rtt", "Churn", "Killed at once", "stretch_median"):
        assert words in text


def test_every_option_is_described() -> None:
    text = (TOPOLOGIES.parent / "docs" / "simulate.md").read_text()
    for name, field in SimulateSettings.model_fields.items():
        if name != "topology":
            assert f"`--{(field.alias or name).replace('_', '-')}`" in text, name


def test_a_missed_goal_is_an_exit_code_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One child each and a line of sites: whoever is last is far behind."""
    path = tmp_path / "three.graphml"
    path.write_text(MAP)
    words = [str(path), "--members", "9", "--out-degree", "1", "--source-out-degree", "1", "--uplink-mbit", "5"]
    assert main(words) == 0
    assert main([*words, "--goals"]) == 1
    assert "missed" in capsys.readouterr().out


@pytest.mark.parametrize(("gap_s", "had_to"), [(GroupSettings().flag_s, True), (1.0, False), (None, False)])
def test_a_move_had_to_be_if_its_first_record_ended_a_long_silence(gap_s: float | None, had_to: bool) -> None:
    """The new feeder's first record is there at the moment of the move, and a moment before it."""
    world = World(grid(4, 1), GroupSettings(), 1)
    before, after, member = world.join(1), world.join(2), world.join(3)
    world.flows(member, gap_s)
    world.moved(member, before.ident, after.ident)
    assert (world.tally.moves_needed, world.tally.moves_of_well) == (had_to, not had_to)
    world.agenda.run(world.now + 20)
    world.moved(member, after.ident, before.ident)
    assert world.tally.moves_of_well == 1 + (not had_to)


@pytest.mark.parametrize("icmp", ["off", "stock"])
def test_routes_may_be_found_by_probes(icmp: str) -> None:
    """A few answers a second are enough: the tree is as good, and the same wishes give the same document."""
    draw = on_topology(load_topology(TOPOLOGIES / "regions.py"), 1)
    result = studied(draw, icmp=icmp, settle_s=10)
    tracing = result["tracing"]
    assert tracing["final_share"] == 1
    assert tracing["probes"] <= 150
    assert result["systems"]["overlay"]["inbound_per_site_max"] == 1
    assert result["systems"]["overlay"]["unfed"] == 0
    assert result == studied(draw, icmp=icmp, settle_s=10)
    assert "tracing" not in studied(draw)


def test_who_joins_while_routers_have_answered_enough_is_placed_when_they_answer_again() -> None:
    """All of one site at once: two of eight get no answer from their router for a second or two."""
    world = World(on_topology(load_topology(TOPOLOGIES / "regions.py"), 1), GroupSettings(), 1, icmp="stock")
    world.join(0, "source")
    for seat in range(1, 49):
        world.join(seat)
    world.agenda.run(10)
    assert world.tracing is not None
    assert max(world.tracing.complete_at.values()) < 3
    assert not world.unfed()
    located = [member.located for member in world.overlay._group.members.values()]
    assert located.count(True) == 49


def test_48_members_that_come_at_the_same_moment_begin_within_two_seconds() -> None:
    """Through routers that limit their answers, with one train of echoes at a time through 20 Mbit/s."""
    draw = on_topology(load_topology(TOPOLOGIES / "regions.py"), 1)
    world = World(draw, GroupSettings(rate_mbit=3.2, start_members=48), 1, icmp="stock")
    world.join(0, "source")
    for host in draw.members:
        world.join(host)
    assert len(world.members) == 49
    world.agenda.run(30.0)
    assert world.begun_at is not None
    assert world.begun_at < 2
    assert not world.unfed()
    shown = [one.performance.rate_mbit for one in world.overlay.members() if one.role == "peer"]
    assert {None if one is None else round(one) for one in shown} == {20}
